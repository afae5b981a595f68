/** Everything that can go wrong at a gate, one way to provoke each; for the tests and for `npm run faults -- gate`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { loadConfig } from '../../src/config.ts';
import { asStoplineError } from '../../src/errors.ts';
import { createProfile } from '../../src/profile/description.ts';
import { saveProfile } from '../../src/profile/file.ts';
import type { Pool } from '../../src/run/pool.ts';
import { createWorkerLine } from '../../src/run/workers/line.ts';
import { buildApp } from '../../src/server/app.ts';
import { createRefusingPool, Judge, type JudgeState } from '../../src/server/judge.ts';
import { openProfile } from '../../src/server/reload.ts';
import type { Config, Route } from '../../src/settings.ts';
import { fitOnce } from '../../test/fixtures/fitted.ts';
import type { ProbeTask } from '../../test/fixtures/pool.program.ts';
import type { Reference } from '../../test/fixtures/reference.ts';
import { closedPort, type Fault, type FaultProxy, type Recorder } from '../../test/fixtures/upstream.ts';
import { buildDifferential, differentialRoutes, drawPictures } from './differentialrequest.ts';
import { differentials } from './differentials.ts';

export interface JudgeFault {
  name: string;
  /** What a closed gate answers. */
  status: number;
  /** Code of the error, without its prefix. */
  reason: string;
  settings?: Partial<Config>;
  /** Instead of threads that judge. */
  pool?(): Promise<Pool>;
  body?(reference: Reference): Uint8Array;
}

const probe = fileURLToPath(new URL('../../test/fixtures/pool.program.ts', import.meta.url));

/** Real worker threads, in which each image meets the same fate. */
async function doomed(task: () => ProbeTask, isFull = false): Promise<Pool> {
  const line = createWorkerLine<ProbeTask>({ filename: probe, threads: 1, ...(isFull && { maxWaitMs: 0 }) });
  const cells: Int32Array[] = [];
  const held = (): ProbeTask => {
    const cell = new Int32Array(new SharedArrayBuffer(4));
    cells.push(cell);
    return { kind: 'hold', cell };
  };
  const run = (signal?: AbortSignal) => {
    const next = task();
    return line.run<never>(next.kind === 'hold' ? held() : next, { signal });
  };
  if (isFull) void line.run(held()).catch(() => undefined);
  const end = async () => {
    for (const cell of cells) {
      Atomics.store(cell, 0, 1);
      Atomics.notify(cell, 0);
    }
    await line.destroy();
  };
  return {
    ...createRefusingPool(asStoplineError(new Error('not used'))),
    get expectedWaitMs() {
      return line.expectedWaitMs;
    },
    admit: () => line.admit(),
    ready: () => Promise.resolve(),
    inspect: (_image, { signal } = {}) => run(signal),
    close: end,
    destroy: end,
  };
}

const cell = new Int32Array(new SharedArrayBuffer(4));

export const judgeFaults: readonly JudgeFault[] = [
  {
    name: 'queue full',
    status: 503,
    reason: 'OVERLOADED',
    pool: () => doomed(() => ({ kind: 'echo', value: 1 }), true),
  },
  {
    name: 'time-out',
    status: 503,
    reason: 'VERDICT_TIMEOUT',
    settings: { verdictTimeoutMs: 50 },
    pool: () => doomed(() => ({ kind: 'hold', cell })),
  },
  { name: 'worker crash', status: 500, reason: 'INTERNAL', pool: () => doomed(() => ({ kind: 'exit' })) },
  { name: 'internal error', status: 500, reason: 'INTERNAL', pool: () => doomed(() => ({ kind: 'throw' })) },
  { name: 'no Profile', status: 500, reason: 'PROFILE_UNREADABLE', settings: { profile: '/nowhere/camera.stopline' } },
  { name: 'damaged Profile', status: 500, reason: 'PROFILE_CHECKSUM', settings: { profile: 'damaged.stopline' } },
  { name: 'wrong Profile', status: 500, reason: 'PROFILE_RULE', settings: { profile: 'rule.stopline' } },
  {
    name: 'model missing',
    status: 500,
    reason: 'MODEL_UNREADABLE',
    settings: { profile: 'model.stopline', model: '/nowhere/model.onnx' },
  },
  {
    name: 'undecodable image',
    status: 422,
    reason: 'IMAGE_TRUNCATED',
    body: ({ frame }) => frame.subarray(0, frame.length / 2),
  },
  { name: 'no image', status: 415, reason: 'IMAGE_UNSUPPORTED', body: () => Buffer.from('hello, this is no image') },
  { name: 'empty body', status: 400, reason: 'IMAGE_EMPTY', body: () => new Uint8Array() },
  {
    name: 'oversize',
    status: 413,
    reason: 'REQUEST_TOO_LARGE',
    settings: { bodyLimit: 2000 },
  },
  {
    name: 'no room for bodies',
    status: 503,
    reason: 'OVERLOADED',
    settings: { bufferLimit: 2000 },
  },
];

/** Profiles that cannot be used, beside the good one. */
export async function writeBadProfiles({ profile, profilePath }: Reference): Promise<void> {
  const folder = join(profilePath, '..');
  const plain = { groupBy: 'none', simulations: 0, power: 0, threads: 1 };
  const size = { width: 320, height: 180 };
  const { profile: withModel } = await fitOnce({ images: 90, size, ...plain, model: 'default' });
  const bytes = readFileSync(profilePath);
  bytes[bytes.length - 5] ^= 1;
  writeFileSync(join(folder, 'damaged.stopline'), bytes);
  const { sha256: _, tensors, ...description } = profile;
  const ruled = { ...description, decode: { ...description.decode, rule: 'another rule' } };
  await saveProfile(createProfile(ruled, tensors), join(folder, 'rule.stopline'));
  await saveProfile(withModel, join(folder, 'model.stopline'));
}

/** A gate under a fault, listening: it enforces, open at the path `/open` and closed at `/closed`, and observes at `/observe`. */
export async function startFaulty(reference: Reference, fault: Partial<JudgeFault>, flags: Partial<Config>) {
  const { settings = {} } = fault;
  const profile = settings.profile?.startsWith('/')
    ? settings.profile
    : join(reference.profilePath, '..', settings.profile ?? 'camera.stopline');
  const routes: Config['routes'] = [
    { path: '/observe', protocol: 'image', mode: 'observe', onError: 'closed' },
    { path: wayMethods.observe, protocol: 'oip', mode: 'observe', onError: 'closed' },
    ...(['open', 'closed'] as const).flatMap((onError): Route[] => [
      { path: `/${onError}`, protocol: 'image', mode: 'enforce', onError },
      { path: wayMethods[onError], protocol: 'oip', mode: 'enforce', onError },
    ]),
  ];
  const usual = {
    threads: 1,
    logLevel: 'silent',
    verdictTimeoutMs: 60_000,
    maxWaitMs: 60_000,
    routes,
    watchProfile: false,
  };
  const { config } = loadConfig({ env: {}, flags: { ...usual, ...settings, ...flags, profile, port: 0 } as never });
  const opened: JudgeState = fault.pool
    ? { pool: await fault.pool(), profile: reference.profile }
    : await openProfile(config).catch((error) => ({ refusal: asStoplineError(error) }));
  const judge = new Judge(opened);
  const app = await buildApp(config, judge);
  await judge.pool.ready().catch(() => undefined);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const grpcUrl = (await app.grpc?.listen()) ?? '';
  const close = async () => {
    await app.grpc?.close(AbortSignal.timeout(1000));
    await app.close();
    await judge.pool.destroy();
  };
  return { url, grpcUrl, app, close };
}

export const ways = ['closed', 'open', 'observe'] as const;

/** The method of gRPC that stands for each way. */
export const wayMethods = {
  closed: '/inference.GRPCInferenceService/ModelInfer',
  open: '/my.lights.Classifier/Classify',
  observe: '/my.lights.Classifier/Watch',
} as const;

export async function classify(url: string, body: Uint8Array, headers: Record<string, string> = {}) {
  const response = await request(url, {
    method: 'POST',
    body: Buffer.from(body),
    headers: { 'content-type': 'image/jpeg', ...headers },
  });
  const text = await response.body.text();
  return { status: response.statusCode, headers: response.headers, text, json: () => JSON.parse(text) };
}

/** What an answer says of a request that could not be judged. */
export function verdictFor(way: (typeof ways)[number], reason: string): string {
  return { closed: `none; reason=${reason}`, open: `bypass; reason=${reason}`, observe: 'pending' }[way];
}

/** How many requests were counted, waited for where they are judged behind the answer. */
export async function countPassages(url: string, way: (typeof ways)[number], reason: string, expected: number) {
  const outcome = { closed: 'refused', open: 'bypassed', observe: 'observed' }[way];
  const line = `stopline_gate_requests_total{outcome="${outcome}",reason="${reason}"}`;
  let count = await metric(url, line);
  for (let i = 0; i < 400 && count < expected; i++) {
    await delay(25);
    count = await metric(url, line);
  }
  return count;
}

async function metric(url: string, line: string): Promise<number> {
  // Only in front of an upstream over HTTP are they below a prefix.
  const prefixed = await request(`${url}/stopline/metrics`);
  const answer = prefixed.statusCode === 404 ? await request(`${url}/metrics`) : prefixed;
  if (answer !== prefixed) await prefixed.body.dump();
  const text = await answer.body.text();
  const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
  return found ? Number(found.split(' ').at(-1)) : 0;
}

/** A check that keeps what differs as a sentence that begins with what was tried. */
export function createCheck(wrong: string[], tried: string) {
  return (what: string, received: unknown, expected: unknown): void => {
    if (received !== expected) wrong.push(`${tried}: ${what} is ${received}, not ${expected}`);
  };
}

/**
 * Sends images to a gate that cannot judge them. Closed, the upstream must see nothing and the client the reason; open, the
 * upstream must be asked once, with the same bytes, and everybody told that the verdict was bypassed; both must be counted.
 * @returns what was not so
 */
export async function challengeJudge(
  fault: JudgeFault,
  { reference, upstream, times }: { reference: Reference; upstream: Recorder; times: number },
): Promise<string[]> {
  const gate = await startFaulty(reference, fault, { upstream: upstream.url });
  const body = Buffer.from(fault.body?.(reference) ?? reference.frame);
  const wrong: string[] = [];
  const { name, reason, status } = fault;
  try {
    for (const way of ways) {
      const check = createCheck(wrong, `${name}, ${way}`);
      for (let i = 0; i < times; i++) {
        upstream.received.length = 0;
        const answer = await classify(`${gate.url}/${way}`, body);
        const [asked] = upstream.received;
        const verdict = verdictFor(way, reason);
        check('x-stopline-verdict', answer.headers['x-stopline-verdict'], verdict);
        check('the status', answer.status, way === 'closed' ? status : 200);
        check('the number of requests to the upstream', upstream.received.length, way === 'closed' ? 0 : 1);
        if (way === 'closed') check('the code', answer.json().error?.code, `STOPLINE_ERR_${reason}`);
        else check('the body at the upstream', asked?.body.equals(body), true);
        if (way === 'open') check('what the upstream was told', asked?.headers['x-stopline-verdict'], verdict);
      }
      check('the count', await countPassages(gate.url, way, reason, times), times);
    }
    return wrong;
  } finally {
    await gate.close();
  }
}

export const upstreamFaults: readonly { fault: Fault | 'refused'; status: number; code?: string }[] = [
  { fault: 'refused', status: 502, code: 'UPSTREAM_UNREACHABLE' },
  { fault: 'black hole', status: 504, code: 'UPSTREAM_TIMEOUT' },
  { fault: 'reset', status: 502, code: 'UPSTREAM_BROKEN' },
  { fault: 'closes', status: 502, code: 'UPSTREAM_BROKEN' },
  { fault: 'garbage', status: 502, code: 'UPSTREAM_BROKEN' },
  { fault: 'slow', status: 200 },
  { fault: 'fails', status: 500 },
  // The head of the answer is through when its end fails to come: the client must see that it is not whole.
  { fault: 'cut off', status: 0 },
];

/**
 * Sends good images through a gate to an upstream that fails. Open or closed, the client is told as it is, and the upstream
 * is asked once and never again.
 * @returns what was not so
 */
export async function challengeUpstream(
  { fault, status, code }: (typeof upstreamFaults)[number],
  { reference, proxy, times }: { reference: Reference; proxy: FaultProxy; times: number },
): Promise<string[]> {
  const address = fault === 'refused' ? `http://127.0.0.1:${await closedPort()}` : proxy.url;
  const settings = { upstreamTimeoutMs: 1000, breakerFailures: 1000, breakerRetryMs: 10 };
  const gate = await startFaulty(reference, { settings }, { upstream: address });
  const wrong: string[] = [];
  try {
    for (const way of ways) {
      const check = createCheck(wrong, `${fault}, ${way}`);
      for (let i = 0; i < times; i++) {
        // A second of failures opens the breaker for a moment.
        while ((await request(`${gate.url}/stopline/health/ready`)).statusCode !== 200) await delay(10);
        Object.assign(proxy.state, { fault: fault === 'refused' ? 'none' : fault, requests: 0 });
        const answer = await classify(`${gate.url}/${way}`, reference.frame).catch(() => undefined);
        check('the status', answer?.status ?? 0, status);
        const verdict = way === 'observe' ? 'pending' : 'pass';
        if (answer) check('x-stopline-verdict', answer.headers['x-stopline-verdict'], verdict);
        if (code) check('the code', answer?.json().error?.code, `STOPLINE_ERR_${code}`);
        check('the number of requests to the upstream', proxy.state.requests, fault === 'refused' ? 0 : 1);
      }
    }
    return wrong;
  } finally {
    await gate.close();
  }
}

/**
 * Sends what two readers could take differently to a gate that enforces and is closed: the upstream must see nothing of it.
 * @returns what was not so
 */
export async function challengeDifferentials(options: { reference: Reference; upstream: Recorder }): Promise<string[]> {
  const { reference, upstream } = options;
  const settings = { mode: 'enforce', onError: 'closed', routes: differentialRoutes } as const;
  const gate = await startFaulty(reference, { settings }, { upstream: upstream.url });
  const pictures = await drawPictures(Buffer.from(reference.frame));
  const wrong: string[] = [];
  try {
    for (const differential of differentials) {
      const { path, headers, body } = buildDifferential(differential, pictures);
      upstream.received.length = 0;
      const answer = await classify(gate.url + path, body, headers);
      const isRefused = answer.status >= 400 && answer.status < 500 && upstream.received.length === 0;
      if (!isRefused) wrong.push(`${differential.name}: ${answer.status}, ${upstream.received.length} at the upstream`);
    }
    return wrong;
  } finally {
    await gate.close();
  }
}
