/** The reference of the service: its routes from its own OpenAPI document, its metrics from what it registers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config.ts';
import { loadProfile } from '../../src/profile/file.ts';
import { createPool } from '../../src/run/pool.ts';
import { buildApp } from '../../src/server/app.ts';
import { Judge } from '../../src/server/judge.ts';
import { code, escapeTags, page, table } from './markdown.ts';

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: { description?: string };
}

interface Operation {
  tags?: string[];
  summary?: string;
  description?: string;
  parameters?: Parameter[];
  requestBody?: { content: object };
  responses: Record<string, { description?: string }>;
}

interface Document {
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
}

interface Service {
  document: Document;
  metrics: string;
}

/** Any Profile does: neither routes nor metrics depend on it. */
const profilePath = fileURLToPath(new URL('../../test/fixtures/profiles/63a478e.stopline', import.meta.url));
const methods = ['get', 'put', 'post', 'delete', 'patch'];

/** Starts the parts of a service that have routes and metrics, without listening, and asks them. */
async function askService(): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), 'stopline-docs-'));
  const profile = await loadProfile(profilePath);
  const pool = await createPool({ profile, threads: 1 });
  const parts = {
    redis: 'redis://127.0.0.1:1',
    alertWebhook: 'http://127.0.0.1:1',
    alertMqtt: 'mqtt://127.0.0.1:1',
    quarantine: join(folder, 'kept'),
  };
  const ask = async (flags: object) => {
    const { config } = loadConfig({ env: {}, flags: { logLevel: 'silent', ...flags } });
    const app = await buildApp(config, new Judge({ pool, profile }));
    try {
      await app.ready();
      const prefix = config.upstream === undefined ? '' : '/stopline';
      return { document: app.swagger() as unknown as Document, metrics: (await app.inject(`${prefix}/metrics`)).body };
    } finally {
      await app.close();
    }
  };
  try {
    const { document } = await ask({ quarantine: join(folder, 'shown') });
    const { metrics } = await ask({ ...parts, upstream: 'http://127.0.0.1:1' });
    return { document, metrics };
  } finally {
    await pool.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function renderServicePages(): Promise<{ http: string; metrics: string }> {
  const { document, metrics } = await askService();
  return { http: renderHttpPage(document), metrics: renderMetricsPage(metrics) };
}

function renderHttpPage({ tags, paths }: Document): string {
  const operations = Object.entries(paths).flatMap(([path, byMethod]) =>
    methods.flatMap((method) => (byMethod[method] ? [{ path, method, operation: byMethod[method] }] : [])),
  );
  const sections = tags.map(({ name, description }) => {
    const own = operations.filter(({ operation }) => operation.tags?.includes(name));
    return [`## ${description}`, ...own.map(({ path, method, operation }) => describe(path, method, operation))].join(
      '\n\n',
    );
  });
  return page(
    'HTTP',
    'GET /docs/json',
    `Every route of ${code('stopline serve')}; the running service shows the same at ${code('/docs')}, with the schema of every answer. In front of an upstream all of them lie below ${code('/stopline/')}, since every other path is the upstream’s. A refusal is ${code('{"error": {"code", "message"}}')} with a code of [errors.md](errors.md); any route can answer 400, 401, 403, 408, 415, 421, 429, 500 and 503.`,
    ...sections,
  );
}

/** Refusals that every route can give are told once, at the top of the page. */
const common = new Set(['400', '401', '403', '408', '415', '421', '429', '500', '503']);

function describe(path: string, method: string, operation: Operation): string {
  const parts = [`### ${method.toUpperCase()} ${path}`, escapeTags(sentence(operation.summary ?? ''))];
  if (operation.description) parts.push(escapeTags(operation.description));
  if (operation.requestBody) parts.push(`Takes ${Object.keys(operation.requestBody.content).map(code).join(', ')}.`);
  if (operation.parameters?.length) {
    const rows = operation.parameters.map(({ name, in: place, required, description, schema }) => [
      code(name),
      required ? `${place}, needed` : place,
      escapeTags(description ?? schema?.description ?? ''),
    ]);
    parts.push(table(['parameter', 'where', 'meaning'], rows));
  }
  const answers = Object.entries(operation.responses)
    .filter(([status]) => !common.has(status))
    .map(([status, { description = '' }]) => [status, escapeTags(description)]);
  parts.push(table(['status', 'meaning'], answers));
  return parts.filter((part) => part !== '').join('\n\n');
}

function sentence(text: string): string {
  return text === '' || /[.?!]$/.test(text) ? text : `${text}.`;
}

/** Reads the text format of Prometheus, which has the help and the kind of each metric. */
function renderMetricsPage(text: string): string {
  const kinds = new Map(Array.from(text.matchAll(/^# TYPE (\w+) (\w+)$/gm), ([, name, kind]) => [name, kind]));
  const rows = Array.from(text.matchAll(/^# HELP (stopline_\w+) (.*)$/gm), ([, name, help]) => [
    code(name),
    kinds.get(name) ?? '',
    escapeTags(help),
  ]);
  return page(
    'Metrics',
    'GET /metrics',
    `What Prometheus reads. Labels come from bounded sets only. The ${code('process_')} and ${code('nodejs_')} metrics of the client library are there as well. [alerts/rules.yml](alerts/rules.yml) has alerts, and [alerts/grafana.json](alerts/grafana.json) a dashboard.`,
    table(
      ['metric', 'kind', 'meaning'],
      rows.sort(([one], [other]) => (one < other ? -1 : 1)),
    ),
  );
}
