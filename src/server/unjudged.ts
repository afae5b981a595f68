import { Counter, type Registry } from '@prometheus-io/client';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Report } from '../gate/admission.ts';
import { protocolRoutes } from '../gate/protocols/protocols.ts';
import { Type } from '../schema.ts';
import type { Route } from '../settings.ts';
import { hidePaths } from './http/paths.ts';
import { refusals } from './http/schemas.ts';
import type { Journal } from './watch/journal.ts';

/** Paths that are counted by themselves; clients choose them, so they are bounded. */
const maxPaths = 100;
const otherPaths = 'other';

/** Requests to one path that were let through for one reason without a judgement. */
export interface UnjudgedEntry {
  path: string;
  reason: string;
  count: number;
  firstAt: string;
  lastAt: string;
  message: string;
  /** What to put into the settings. */
  mend: string;
}

/** What a gate let through without a judgement: counted by path and reason, and told once in the log. */
export class Unjudged {
  readonly #entries = new Map<string, UnjudgedEntry>();
  readonly #paths = new Set<string>();
  readonly #counter: Counter<'path' | 'reason'>;
  readonly #log: FastifyBaseLogger;
  readonly #journal: Journal;

  /** @param parts.journal where each of them is written down */
  constructor({ registry, log, journal }: { registry: Registry; log: FastifyBaseLogger; journal: Journal }) {
    this.#log = log;
    this.#journal = journal;
    this.#counter = new Counter({
      name: 'stopline_gate_unjudged_total',
      help: 'Requests that a gate let through without a judgement, by path and reason.',
      labelNames: ['path', 'reason'],
      registers: [registry],
    });
  }

  /** @param route the route that fits the path, whose pattern then stands for it */
  observe(report: Report, path: string, route: Route | undefined): void {
    const { outcome, unjudged } = report;
    if (outcome !== 'skipped' && !unjudged) return;
    const reason = outcome === 'skipped' ? 'share' : report.reason;
    const message = hidePaths(unjudged?.message ?? 'It was outside the share of requests that is judged.');
    this.#count({ path: this.#bound(route?.path ?? path), reason, message, mend: adviseOn(reason, path, route) });
  }

  /** A request to a path that the settings let pass, or that is known to carry no images. */
  observePassed(route: Route): void {
    const isKnown = protocolRoutes.includes(route);
    const message = isKnown ? 'It loads a model or sets the server up.' : 'The settings let it pass.';
    this.#count({ path: route.path, reason: 'pass', message, mend: adviseOn('pass', route.path, route) });
  }

  get entries(): UnjudgedEntry[] {
    return [...this.#entries.values()].sort((a, b) => b.count - a.count);
  }

  #bound(path: string): string {
    const name = path.slice(0, 200);
    if (this.#paths.has(name)) return name;
    if (this.#paths.size >= maxPaths) return otherPaths;
    this.#paths.add(name);
    return name;
  }

  #count(told: Pick<UnjudgedEntry, 'path' | 'reason' | 'message' | 'mend'>): void {
    const { path, reason } = told;
    this.#counter.inc({ path, reason });
    this.#journal.addUnjudged(told);
    const key = `${path} ${reason}`;
    const entry = this.#entries.get(key);
    const now = new Date().toISOString();
    if (entry) {
      entry.count += 1;
      entry.lastAt = now;
      return;
    }
    this.#entries.set(key, { ...told, count: 1, firstAt: now, lastAt: now });
    const line = { path, reason, detail: told.message, mend: told.mend };
    if (reason === 'pass') this.#log.info(line, 'let through unjudged, as is meant; told once for each path');
    else this.#log.warn(line, 'let through unjudged; told once for each path and reason');
  }
}

/** What to put into the settings so that such requests are judged, or refused. */
function adviseOn(reason: string, path: string, route: Route | undefined): string {
  const described = JSON.stringify(route?.path ?? path.slice(0, 200));
  if (reason === 'share') return `"share": 1`;
  if (reason === 'pass') return `"routes": [{ "path": ${described}, "protocol": "find" }]`;
  if (reason === 'VERDICT_TIMEOUT') return '"verdictTimeoutMs": a longer time';
  if (reason === 'OVERLOADED') return '"threads": more, or "maxWaitMs": a longer time';
  if (reason === 'REQUEST_TOO_LARGE') return '"bodyLimit": more bytes';
  if (/^(PROFILE|MODEL)_/.test(reason)) return '"profile": a file that can be used';
  if (reason === 'UNINSPECTED' || reason === 'REQUEST_TYPE') {
    return `"routes": [{ "path": ${described}, "protocol": "image", "input": "name of the field with the image" }], or "protocol": "pass" where it carries none`;
  }
  return '"onError": "closed" refuses what cannot be judged';
}

const entrySchema = Type.Object({
  path: Type.String({ description: 'Path, or the pattern of its route; `other` beyond a hundred paths.' }),
  reason: Type.String({
    description:
      'Code of the error without its prefix, `share` (not in the sample) or `pass` (the settings let it pass).',
  }),
  count: Type.Integer({ description: 'Since the service started.' }),
  firstAt: Type.String({ format: 'date-time' }),
  lastAt: Type.String({ format: 'date-time' }),
  message: Type.String({ description: 'Why the first of them was not judged.' }),
  mend: Type.String({ description: 'What to put into the settings.' }),
});

/** GET /unjudged: what the gate let through without a judgement. */
export function registerUnjudged(app: FastifyInstance, unjudged: Unjudged): void {
  app.get(
    '/unjudged',
    {
      schema: {
        operationId: 'unjudged',
        tags: ['operation'],
        summary: 'What the gate let through without a judgement, by path and reason.',
        description: 'Since the service started; the most frequent first. Empty where nothing was.',
        response: {
          200: {
            description: 'Paths and reasons.',
            content: {
              'application/json': {
                schema: Type.Object({
                  total: Type.Integer({ description: 'Requests, those that the settings let pass left out.' }),
                  paths: Type.Array(entrySchema),
                }),
              },
            },
          },
          ...refusals(401, 403, 429),
        },
      },
    },
    async () => {
      const paths = unjudged.entries;
      const isLeak = ({ reason }: UnjudgedEntry) => reason !== 'pass' && reason !== 'share';
      return { total: paths.filter(isLeak).reduce((sum, { count }) => sum + count, 0), paths };
    },
  );
}
