import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fastify } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDrift, type Drift } from '../../../src/drift/drift.ts';
import type { Observation } from '../../../src/drift/observation.ts';
import { sketchColumns, sketchRows } from '../../../src/image/sketch.ts';
import { openStore } from '../../../src/server/store/store.ts';
import { createMonitors } from '../../../src/server/watch/monitors.ts';
import { Replicas, redisAt } from '../../../src/server/watch/replicas.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';

const hasRedis = spawnSync('redis-server', ['--version']).status === 0;
if (!hasRedis) console.log('skipped: the command redis-server is not installed');

let reference: Reference;
let drift: Drift;
let root: string;
let port: number;
let redis: ChildProcess | undefined;
const closing: (() => Promise<void>)[] = [];

/** @param data folder of an earlier one whose data it goes on with */
async function startRedis(data?: string): Promise<string> {
  const folder = data ?? (await mkdtemp(join(root, 'data-')));
  const kept = ['--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always'];
  redis = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', ...kept]);
  for await (const chunk of redis.stdout as NodeJS.ReadableStream) {
    if (String(chunk).includes('Ready to accept connections')) break;
  }
  return folder;
}

async function stopRedis(): Promise<void> {
  const stopping = redis;
  redis = undefined;
  if (!stopping || stopping.exitCode !== null) return;
  stopping.kill('SIGKILL');
  await once(stopping, 'exit');
}

beforeAll(async () => {
  if (!hasRedis) return;
  root = await mkdtemp(join(tmpdir(), 'stopline-redis-'));
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  ({ port } = probe.address() as { port: number });
  probe.close();
  reference = await fitReference();
  drift = createDrift(reference.profile);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await stopRedis();
});
afterAll(async () => {
  if (!hasRedis) return;
  await reference.remove();
  await rm(root, { recursive: true });
});

/** What one replica of a service has, without its HTTP. */
async function startReplica() {
  const store = await openStore({ historyRows: 10, historyDays: 1 });
  const { log } = fastify();
  const monitors = await createMonitors({
    store,
    log,
    drift,
    staleAfterMs: 300_000,
    maxSources: 100,
    onTransition: () => undefined,
    onAttention: () => undefined,
  });
  const connect = await redisAt(`redis://127.0.0.1:${port}`);
  const replicas = new Replicas({ redis: connect(), profile: drift.profile, monitors, log });
  let isClosed = false;
  const close = async () => {
    if (isClosed) return;
    isClosed = true;
    await replicas.close();
    monitors.close();
    await store.close();
  };
  closing.push(close);
  return { replicas, monitors, close };
}

let serial = 0;
function observation(): Observation {
  serial += 1;
  const id = serial.toString(16).padStart(16, '0').padEnd(64, 'f');
  const z = Float32Array.from({ length: reference.profile.statistics.length }, (_, i) => Math.sin(serial * (i + 1)));
  const hash = id.slice(0, 16);
  const sketch = new Uint8Array(sketchColumns * sketchRows).fill(serial);
  return { id, at: Date.now(), verdict: 'pass', decidedBy: 'combined', pValue: 0.5, score: 1, z, hash, sketch };
}

const sources = Array.from({ length: 40 }, (_, i) => `camera-${i}`);
type Replica = Awaited<ReturnType<typeof startReplica>>;

function feed(replica: Replica, rounds: number): void {
  for (let i = 0; i < rounds; i++) for (const source of sources) replica.replicas.observe(source, observation());
}

/** So many that their small pictures, of one grey each, would come round: a loop, whose images do not count. */
function feedBare(replica: Replica, rounds: number): void {
  for (let i = 0; i < rounds; i++)
    for (const source of sources) {
      const { sketch: _, ...bare } = observation();
      replica.replicas.observe(source, bare);
    }
}

/** Images of each source as whoever asks a replica sees it. */
async function imagesAt({ replicas }: Replica): Promise<number[]> {
  const states = await Promise.all(sources.map((source) => replicas.state(source)));
  return states.map((state) => (state ? drift.monitor(state).report().images : 0));
}

const each = (images: number) => sources.map(() => images);
const soon = { interval: 100 };

describe.skipIf(!hasRedis)('replicas', () => {
  it('watch each source together: every image counts once, wherever it came, also when a replica goes', async () => {
    await startRedis();
    const [a, b] = [await startReplica(), await startReplica()];
    await expect.poll(() => a.replicas.isAlone || b.replicas.isAlone, soon).toBe(false);
    feed(a, 3);
    feed(b, 2);
    await expect.poll(() => imagesAt(a), soon).toEqual(each(5));
    expect(await imagesAt(b)).toEqual(each(5));
    // Whoever watches has seen the small pictures of both, and hands on what it has learnt of them.
    const state = (await a.replicas.state('camera-1')) as Uint8Array;
    const seen = { question: 'standsStill', why: 'it is learnt how much the picture changes, for 56 images more' };
    expect(drift.monitor(state).report().uncheckable).toContainEqual(seen);
    // Each source has one replica that watches it, and both have some.
    await expect
      .poll(() => sources.filter((source) => a.replicas.watches(source) !== b.replicas.watches(source)).length, soon)
      .toBe(sources.length);
    await expect.poll(() => a.monitors.summaries().length > 0 && b.monitors.summaries().length > 0, soon).toBe(true);
    expect((await a.replicas.summaries()).map(({ source }) => source).sort()).toEqual([...sources].sort());

    feed(b, 1);
    await b.close();
    feed(a, 1);
    await expect.poll(() => imagesAt(a), soon).toEqual(each(7));
    await expect.poll(() => sources.every((source) => a.replicas.watches(source)), soon).toBe(true);
    for (const source of sources) expect((await a.monitors.report(source))?.images).toBe(7);

    a.replicas.reset('camera-7');
    await expect.poll(async () => (await imagesAt(a))[7], soon).toBe(0);
  });

  it('go on alone while Redis is away, say so, and hand in what they saw when it is back', async () => {
    const data = await startRedis();
    const a = await startReplica();
    await expect.poll(() => a.replicas.isAlone, soon).toBe(false);
    feed(a, 2);
    await expect.poll(() => imagesAt(a), soon).toEqual(each(2));
    await stopRedis();
    await expect.poll(() => a.replicas.isAlone, soon).toBe(true);
    feed(a, 3);
    expect(a.replicas.pending).toBe(3 * sources.length);
    for (const source of sources) expect((await a.monitors.report(source))?.images).toBe(5);
    await startRedis(data);
    await expect.poll(() => a.replicas.isAlone, soon).toBe(false);
    await expect.poll(() => imagesAt(a), soon).toEqual(each(5));
    expect(a.replicas.dropped).toBe(0);
  });

  it('start alone where there is no Redis, and keep no more for it than they may', async () => {
    const a = await startReplica();
    feedBare(a, 300);
    expect(a.replicas.isAlone).toBe(true);
    expect([a.replicas.pending, a.replicas.dropped]).toEqual([10_000, 2000]);
    expect((await a.monitors.report('camera-0'))?.images).toBe(300);
  });
});
