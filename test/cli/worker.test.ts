import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { beforeAll, describe, expect, it } from 'vitest';
import { startBroker } from '../fixtures/broker.ts';
import { jpegFrame } from '../fixtures/camera.ts';
import { runHere, stopline } from '../fixtures/cli.ts';
import { fitOnce, plainProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
let profile: string;

beforeAll(async () => {
  profile = (await fitOnce(plainProfile)).profilePath;
  mkdirSync(at('in'));
  for (const i of [0, 1, 2])
    writeFileSync(at(`in/${i}.jpg`), await jpegFrame(500 + i, 92, { width: 400, height: 226 }));
}, 120_000);

/** A command that runs until it is told to stop, and what it has said when it is ready. */
function startUntil(args: readonly string[], ready: string) {
  let child: ChildProcess | undefined;
  let isReady = () => {};
  const waiting = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  const ended = stopline(args, {
    onSpawn(spawned) {
      child = spawned;
      spawned.stderr?.on('data', (text: string) => text.includes(ready) && isReady());
    },
  });
  const stop = () => {
    child?.kill('SIGTERM');
    return ended;
  };
  return { waiting: Promise.race([waiting, ended]), stop };
}

describe('on a real Redis', () => {
  it('worker --json tells what it did when it ends, and judges without what score --ignore leaves out', async (test) => {
    const redis = await startBroker('redis-server');
    if (!redis) return test.skip();
    const queue = `redis://127.0.0.1:${redis.port}`;
    const worker = startUntil(['worker', '--queue', queue, '--root', folder, '--json'], 'waiting for work');
    try {
      await worker.waiting;
      const score = (out: string, ...more: string[]) =>
        runHere(['score', at('in'), '--profile', profile, '--queue', queue, '--out', at(out), '--json', ...more]);
      const all = JSON.parse((await score('all')).stdout);
      expect(all.fileFacts).toContainEqual({ property: 'size', count: 3, values: ['400x226'] });
      const without = JSON.parse((await score('without', '--ignore', 'size')).stdout);
      expect(without).toMatchObject({ images: 3, file: at('without') });
      expect(JSON.stringify(without.fileFacts ?? [])).not.toContain('size');
      const { code, stdout } = await worker.stop();
      expect([code, JSON.parse(stdout)]).toEqual([0, { chunks: 2, rows: 6, errors: 0 }]);
    } finally {
      await worker.stop();
      await redis.stop();
    }
  });

  it('consume --json tells what it published when it ends', async (test) => {
    const redis = await startBroker('redis-server');
    if (!redis) return test.skip();
    const broker = `redis://127.0.0.1:${redis.port}`;
    const names = ['--topic', 'images', '--publish', 'verdicts', '--root', at('in')];
    const args = ['consume', '--from', 'redis-stream', '--broker', broker, ...names, '--profile', profile, '--json'];
    const consumer = startUntil(args, 'waiting for images');
    const client = new Redis(redis.port);
    try {
      await consumer.waiting;
      for (const i of [0, 1, 2]) await client.xadd('images', '*', 'data', JSON.stringify({ id: i, path: `${i}.jpg` }));
      for (let last = '0', seen = 0; seen < 3; ) {
        const [[, entries]] = (await client.xread('BLOCK', 60_000, 'STREAMS', 'verdicts', last)) ?? [['', []]];
        if (entries.length === 0) break;
        seen += entries.length;
        last = entries.at(-1)?.[0] ?? last;
      }
      const { code, stdout } = await consumer.stop();
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ images: 3, failed: 0 });
    } finally {
      await consumer.stop();
      client.disconnect();
      await redis.stop();
    }
  });
});
