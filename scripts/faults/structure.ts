import { createHistogram } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { loadConfig } from '../../src/config.ts';
import { loadProfile } from '../../src/profile/file.ts';
import { createPool } from '../../src/run/pool.ts';
import { buildApp } from '../../src/server/app.ts';
import { Judge } from '../../src/server/judge.ts';
import type { Outcome, Stage } from './target.ts';

const MiB = 1024 * 1024;
/** Length of every body: just below the limit of the service. */
const length = 31 * MiB;
const fill = (start: string, piece: string, end: string) =>
  Buffer.concat([Buffer.from(start), Buffer.alloc(length - start.length - end.length, piece), Buffer.from(end)]);

const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'multipart/form-data; boundary=x' };
const binaryHead = '{"inputs":[{"name":"a","datatype":"BYTES","shape":[7],"parameters":{"binary_data_size":SIZE}}]}';

function manyKeys(): Buffer {
  const keys: string[] = [];
  for (let i = 0, size = 0; size < length - 100; size += keys[i++].length + 1) keys.push(`"k${i}":1`);
  return Buffer.from(`{${keys.join(',')}}`);
}

function nestedBytes(): Buffer {
  const head = binaryHead.replace('SIZE', String(length));
  return Buffer.concat([Buffer.from(head), Buffer.alloc(length)]);
}

/** Bodies of which the structure costs more than the bytes. */
const bodies: Record<string, { path: string; headers: Record<string, string>; make(): Buffer }> = {
  'many keys': { path: 'json', headers: json, make: manyKeys },
  'the same key': { path: 'json', headers: json, make: () => fill('{"a":1', ',"a":1', '}') },
  'deep arrays': { path: 'json', headers: json, make: () => fill('', '[', '') },
  'deep objects': { path: 'json', headers: json, make: () => fill('', '{"a":', '') },
  'empty objects': { path: 'json', headers: json, make: () => fill('[{}', ',{}', ']') },
  'empty arrays': { path: 'json', headers: json, make: () => fill('[[]', ',[]', ']') },
  'small arrays': { path: 'json', headers: json, make: () => fill('[[1]', ',[1]', ']') },
  'small arrays in arrays': { path: 'json', headers: json, make: () => fill('[[[1]]', ',[[1]]', ']') },
  'pixels in brackets': { path: 'json', headers: json, make: () => fill('{"instances":[[1,2,3]', ',[1,2,3]', ']}') },
  'small numbers': { path: 'json', headers: json, make: () => fill('{"instances":[0', ',0', ']}') },
  floats: { path: 'json', headers: json, make: () => fill('{"instances":[0.1', ',-0.123e-5', ']}') },
  'one number': { path: 'json', headers: json, make: () => fill('', '1', '') },
  'small texts': { path: 'json', headers: json, make: () => fill('[""', ',""', ']') },
  'texts among numbers': { path: 'json', headers: json, make: () => fill('[1', ',"a",1', ']') },
  'one long text': { path: 'json', headers: json, make: () => fill('{"image":"', 'A', '"}') },
  'one long text with spaces': { path: 'json', headers: json, make: () => fill('{"image":"', 'A ', '"}') },
  'a text of escapes': { path: 'json', headers: json, make: () => fill('{"image":"', '\\/', '"}') },
  'a text of long escapes': { path: 'json', headers: json, make: () => fill('{"image":"', '\\u0041', '"}') },
  'a text of quotation marks': { path: 'json', headers: json, make: () => fill('{"image":"', '\\"', '"}') },
  'a text of backslashes': { path: 'json', headers: json, make: () => fill('{"image":"', '\\', '"}') },
  'a text of words': { path: 'json', headers: json, make: () => fill('{"text":"', 'some words ', '"}') },
  'white space': { path: 'json', headers: json, make: () => fill('', ' ', '{}') },
  'tiny parts': { path: 'form', headers: form, make: () => fill('--x\r\n\r\n', '\r\n--x\r\n\r\n', '\r\n--x--') },
  'many headers of a part': { path: 'form', headers: form, make: () => fill('--x\r\n', 'a: b\r\n', '\r\n\r\n--x--') },
  'one long header': { path: 'form', headers: form, make: () => fill('--x\r\na: ', 'b', '\r\n\r\n\r\n--x--') },
  'almost boundaries': { path: 'form', headers: form, make: () => fill('--x\r\n\r\n', '\r\n-', '\r\n--x--') },
  'nested BYTES': {
    path: 'binary',
    headers: { 'inference-header-content-length': String(binaryHead.replace('SIZE', String(length)).length) },
    make: nestedBytes,
  },
  'fields in the encoding of URLs': {
    path: 'form',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    make: () => fill('a=b', '&a=b', ''),
  },
  'escapes in the encoding of URLs': {
    path: 'form',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    make: () => fill('a=', '%41', ''),
  },
};
const paths: Record<string, string[]> = {
  json: ['/inspect', '/ext-authz/classify', '/ext-authz/v1/models/m:predict', '/ext-authz/v2/models/m/infer'],
  form: ['/inspect', '/ext-authz/classify'],
  binary: ['/ext-authz/v2/models/m/infer'],
};

interface Cost {
  status: number;
  /** Processor time of the longest turn of the event loop, and of all, in milliseconds. */
  longest: number;
  total: number;
  /** By how much the memory of the process grew at most, in bytes. */
  grown: number;
}

/** Processor time of this thread so far, in milliseconds: it says how long the loop was held, whatever else is going on. */
function readProcessorTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

async function measure(
  app: FastifyInstance,
  url: string,
  headers: Record<string, string>,
  payload: Buffer,
): Promise<Cost> {
  globalThis.gc?.();
  const memory = process.memoryUsage.rss();
  const turns = createHistogram();
  let peak = memory;
  let isDone = false;
  const watch = (async () => {
    for (let last = readProcessorTime(); !isDone; ) {
      await turn();
      const now = readProcessorTime();
      turns.record(Math.max(1, Math.round((now - last) * 1000)));
      last = now;
      peak = Math.max(peak, process.memoryUsage.rss());
    }
  })();
  const startedAt = readProcessorTime();
  const { statusCode } = await app.inject({ method: 'POST', url, headers, payload });
  const total = readProcessorTime() - startedAt;
  isDone = true;
  await watch;
  return { status: statusCode, longest: turns.max / 1000, total, grown: peak - memory };
}

/** Longest turn of the event loop, and growth of the memory in bodies, that are allowed. */
const bounds = { longest: 50, bodies: 2 };

/** Bodies whose structure is made to cost: none holds the loop that answers everybody, or takes more memory than two of it. */
export async function run(stage: Stage): Promise<Outcome> {
  const profile = await loadProfile(stage.profile);
  const flags = { logLevel: 'silent', mode: 'enforce', onError: 'closed', verdictTimeoutMs: 60_000, threads: 1 };
  const routes = [{ path: '/classify', protocol: 'image' }];
  const { config } = loadConfig({ env: {}, flags: { ...flags, routes, profile: stage.profile } as never });
  const pool = await createPool({ profile, threads: 1, isolation: 'process', maxWaitMs: 60_000 });
  await pool.ready();
  const app = await buildApp(config, new Judge({ pool, profile }));
  const wrong: string[] = [];
  const worst = { longest: 0, total: 0, bodies: 0 };
  let requests = 0;
  for (const [name, { path, headers, make }] of Object.entries(bodies).slice(0, stage.count)) {
    const body = make();
    // What is compiled at first is compiled before anything is measured.
    for (const url of paths[path]) await app.inject({ method: 'POST', url, headers, payload: body.subarray(0, MiB) });
    for (const url of paths[path]) {
      const { status, longest, total, grown } = await measure(app, url, headers, body);
      const used = grown / body.length;
      requests += 1;
      if (status >= 500 || longest > bounds.longest || used > bounds.bodies) {
        wrong.push(`${name} at ${url}: ${status}, ${longest.toFixed(0)} ms, ${used.toFixed(1)} bodies`);
      }
      worst.longest = Math.max(worst.longest, longest);
      worst.total = Math.max(worst.total, total);
      worst.bodies = Math.max(worst.bodies, used);
    }
  }
  await app.close();
  await pool.destroy();
  return {
    ok: wrong.length === 0,
    figures:
      `${requests} bodies of 31 MiB, the loop held for ${worst.longest.toFixed(0)} ms at most, ${worst.total.toFixed(0)} ms ` +
      `of processor for the worst, memory grew by ${worst.bodies.toFixed(1)} bodies at most` +
      (wrong.length > 0 ? `; ${wrong.length} beyond: ${wrong.join('; ')}` : ''),
  };
}
