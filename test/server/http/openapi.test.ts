import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { generate } from 'openapi-typescript-codegen';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Service } from '../../../src/server/serve.ts';
import { encodeFrame, renderFrame } from '../../fixtures/camera.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';
import { startService } from '../../fixtures/service.ts';

interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  schema: Record<string, unknown>;
}

interface Operation {
  operationId: string;
  parameters?: Parameter[];
  responses: Record<string, { content?: Record<string, { schema?: object }> }>;
  security?: unknown[];
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { securitySchemes: object };
  security: unknown[];
}

const key = 'a-key-of-twenty-letters';
const keyed = { authorization: `Bearer ${key}` };
let folder: string;
let reference: Reference;
let service: Service;
let document: Document;
let stopped: string;

async function start(flags: object): Promise<Service> {
  const apiKeys = [`admin:${createHash('sha256').update(key).digest('hex')}`];
  return startService({ profile: reference.profilePath, apiKeys, ...flags });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stopline-openapi-'));
  reference = await fitReference();
  service = await start({ quarantine: join(folder, 'kept'), bodyLimit: 200_000 });
  document = (await (await fetch(`${service.url}/docs/json`, { headers: keyed })).json()) as Document;
  const strange = await encodeFrame(renderFrame(1000, { width: 320, height: 180 }), { quality: 3 });
  const inspect = async (body: Uint8Array) => {
    const options = { method: 'POST', body: Buffer.from(body), headers: keyed };
    return (await fetch(`${service.url}/inspect?source=front`, options)).json() as Promise<{
      image: { sha256: string };
    }>;
  };
  await inspect(reference.frame);
  stopped = (await inspect(strange)).image.sha256;
  const kept = async () => (await fetch(`${service.url}/quarantine/${stopped}`, { headers: keyed })).status;
  await vi.waitUntil(async () => (await kept()) === 200, { timeout: 120_000 });
});
afterAll(async () => {
  await service.close();
  await reference.remove();
  rmSync(folder, { recursive: true });
});

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1, with and without an upstream', async () => {
    const gate = await start({ upstream: 'http://127.0.0.1:9' });
    const ofGate = (await (await fetch(`${gate.url}/stopline/docs/json`, { headers: keyed })).json()) as Document;
    await gate.close();
    expect(Object.keys(ofGate.paths).filter((path) => !path.startsWith('/stopline/'))).toEqual([]);
    for (const one of [document, ofGate]) {
      const validator = new Validator();
      const { valid, errors } = await validator.validate(structuredClone(one) as never);
      expect([valid, errors, validator.version]).toEqual([true, undefined, '3.1']);
    }
  });

  it('has none of what only looks like 3.1: tuples of draft 7, required defaults, keys that are not described', () => {
    const found: string[] = [];
    const look = (value: unknown, path: string) => {
      if (typeof value !== 'object' || value === null) return;
      const { items, required, schema, nullable } = value as {
        [name: string]: unknown;
        schema?: { default?: unknown };
      };
      if (Array.isArray(items) || 'additionalItems' in value || nullable !== undefined) found.push(path);
      if (required === true && schema && 'default' in schema) found.push(path);
      for (const [name, part] of Object.entries(value)) look(part, `${path}/${name}`);
    };
    look(document, '');
    expect(found).toEqual([]);
    expect(Object.keys(document.components.securitySchemes)).toEqual(['bearer', 'header', 'basic']);
    expect(document.security).toEqual([{ bearer: [] }, { header: [] }, { basic: [] }]);
    const open = operations().filter(({ operation }) => operation.security?.length === 0);
    expect(open.map(({ path }) => path)).toEqual(['/health/live', '/health/ready']);
    const names = operations().map(({ operation }) => operation.operationId);
    expect(new Set(names).size).toBe(names.length);
  });

  it('makes a client that works', async () => {
    const output = join(folder, 'client');
    await generate({ input: document, output, httpClient: 'fetch' });
    const { OpenAPI, ImagesService, OperationService, DriftService, ApiError } = await import(join(output, 'index.ts'));
    Object.assign(OpenAPI, { BASE: service.url, TOKEN: key });
    const verdict = await ImagesService.inspect({ image: new Blob([Buffer.from(reference.frame)]) }, 'front');
    expect(verdict).toMatchObject({ verdict: 'pass', image: { format: 'jpeg' } });
    expect(await OperationService.ready()).toEqual({ ready: true });
    expect((await DriftService.listDrift()).sources).toEqual([expect.objectContaining({ source: 'front' })]);
    await expect(DriftService.drift('nowhere')).rejects.toBeInstanceOf(ApiError);
    await expect(DriftService.drift('nowhere')).rejects.toMatchObject({
      status: 404,
      body: { error: { code: 'STOPLINE_ERR_SOURCE_UNKNOWN' } },
    });
  });
});

/** Texts that are none of what is asked for, and some that are. */
const text = fc.oneof(
  fc.constantFrom(
    'front',
    'default',
    'pass',
    'block',
    'drifted',
    'true',
    '0',
    '1',
    '-1',
    '1e400',
    'NaN',
    '..',
    '%2e',
    'a'.repeat(300),
  ),
  fc.constantFrom('__proto__', 'constructor', 'toString', '0'.repeat(64), '\u0000', '/', '//', ';', '?', '#', ' '),
  fc.nat().map(String),
  fc.string({ unit: 'binary', maxLength: 20 }),
);
const types = [
  'image/jpeg',
  'application/json',
  'multipart/form-data; boundary=x',
  'text/csv',
  'x',
  '@@',
  'application/json; charset=x',
];
const call = fc.record({
  fields: fc.array(text, { minLength: 6, maxLength: 6 }),
  given: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
  isKnown: fc.boolean(),
  type: fc.option(fc.constantFrom(...types), { nil: undefined }),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((json) => Buffer.from(json)),
    fc.json().map((json) => Buffer.from(`{"image":${json}}`)),
    fc.constant(Buffer.alloc(300_000)),
    // A JPEG that breaks off.
    fc.constant(Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex')),
  ),
  headers: fc.constantFrom(
    keyed,
    keyed,
    keyed,
    {},
    { authorization: 'Bearer another' },
    { ...keyed, 'content-encoding': 'gzip' },
    { ...keyed, origin: 'https://a.example' },
    { ...keyed, 'x-stopline-source': 'a b' },
    { authorization: 'Basic !!!' },
  ),
});

describe('the API against its own document', () => {
  it('answers nothing that is not described, whatever it is asked (seeded)', async () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(document as object, 'document');
    const escapePointer = (part: string) => part.replaceAll('~', '~0').replaceAll('/', '~1');
    const found: string[] = [];
    const statuses = new Set<number>();
    for (const [i, { path, method, operation }] of operations().entries()) {
      for (const { fields, given, isKnown, type, body, headers } of fc.sample(call, { seed: i + 1, numRuns: 12 })) {
        const query = new URLSearchParams();
        let at = path;
        for (const [j, { name, in: place, required }] of (operation.parameters ?? []).entries()) {
          const known = name === 'source' ? 'front' : name === 'id' ? stopped : fields[j];
          const value = isKnown ? known : fields[j];
          if (place === 'path') at = at.replace(`{${name}}`, encodeURIComponent(value.replace(/^\.{0,2}$/, 'x')));
          else if (required || given[j]) query.append(name, value);
        }
        const sent = { method: method.toUpperCase(), headers: { ...headers, ...(type && { 'content-type': type }) } };
        const hasBody = method !== 'get';
        const response = await fetch(`${service.url}${at}?${query}`, { ...sent, ...(hasBody && { body }) });
        const asked = `${method} ${at.slice(0, 80)}?${query} ${JSON.stringify(sent.headers)}: ${response.status}`;
        statuses.add(response.status);
        const described = operation.responses[response.status];
        const [received] = (response.headers.get('content-type') ?? '').split(';');
        if (!described) found.push(`${asked} is not described`);
        const kinds = Object.keys(described?.content ?? {});
        const kind = kinds.find((one) => new RegExp(`^${one.replace('*', '.*')}$`).test(received));
        if (described && kinds.length > 0 && !kind) found.push(`${asked} comes as ${received}`);
        if (received !== 'application/json' || !kind) {
          await response.body?.cancel();
          continue;
        }
        const pointer = ['paths', path, method, 'responses', String(response.status), 'content', kind, 'schema'];
        const check = ajv.getSchema(`document#/${pointer.map(escapePointer).map(encodeURIComponent).join('/')}`);
        const answer = await response.json();
        if (!check?.(answer))
          found.push(`${asked}: ${ajv.errorsText(check?.errors)} in ${JSON.stringify(answer).slice(0, 200)}`);
      }
    }
    expect(found).toEqual([]);
    expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404, 413, 415]));
  });
});
