/** Everything that can go wrong at a gate, one way to provoke each; for the tests and for `npm run faults -- gate`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Config, loadConfig } from '../../src/config.ts';
import { asStoplineError } from '../../src/errors.ts';
import { createWorkerLine, type Pool } from '../../src/pool.ts';
import { createProfile, type Profile, saveProfile } from '../../src/profile.ts';
import { buildApp } from '../../src/server/app.ts';
import { openProfile, refusingPool } from '../../src/server/reload.ts';
import type { ProbeTask } from '../pool.worker.ts';
import type { Reference } from './reference.ts';

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

const probe = fileURLToPath(new URL('../pool.worker.ts', import.meta.url));

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
    ...refusingPool(asStoplineError(new Error('not used'))),
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
export async function writeBadProfiles({ profile, profilePath }: Reference, withModel: Profile): Promise<void> {
  const folder = join(profilePath, '..');
  const bytes = readFileSync(profilePath);
  bytes[bytes.length - 5] ^= 1;
  writeFileSync(join(folder, 'damaged.stopline'), bytes);
  const { sha256: _, tensors, ...description } = profile;
  const ruled = { ...description, decode: { ...description.decode, rule: 'another rule' } };
  await saveProfile(createProfile(ruled, tensors), join(folder, 'rule.stopline'));
  await saveProfile(withModel, join(folder, 'model.stopline'));
}

/** A gate under a fault, listening: it enforces, open at the path `/open` and closed at `/closed`. */
export async function startFaulty(reference: Reference, fault: Partial<JudgeFault>, flags: Partial<Config>) {
  const { settings = {} } = fault;
  const profile = settings.profile?.startsWith('/')
    ? settings.profile
    : join(reference.profilePath, '..', settings.profile ?? 'camera.stopline');
  const routes: Config['routes'] = (['open', 'closed'] as const).map((onError) => ({
    path: `/${onError}`,
    protocol: 'image',
    mode: 'enforce',
    onError,
  }));
  const usual = {
    threads: 1,
    logLevel: 'silent',
    verdictTimeoutMs: 60_000,
    maxWaitMs: 60_000,
    routes,
    watchProfile: false,
  };
  const { config } = loadConfig({ env: {}, flags: { ...usual, ...settings, ...flags, profile, port: 0 } as never });
  const opened = fault.pool
    ? { pool: await fault.pool(), profile: reference.profile }
    : await openProfile(config).catch((error) => {
        const coded = asStoplineError(error);
        return { pool: refusingPool(coded), profile: coded };
      });
  const app = await buildApp(config, opened.pool, opened.profile);
  await opened.pool.ready().catch(() => undefined);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const close = async () => {
    await app.close();
    await opened.pool.destroy();
  };
  return { url, app, close };
}
