import { fork } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { killWorkers } from '../../scripts/faults/queue.ts';
import { openItems } from '../../src/run/inputs/items.ts';
import { createObjectStore } from '../../src/run/objects.ts';
import { runOnQueue } from '../../src/run/queue.ts';
import { QueueSeal } from '../../src/run/queuejob.ts';
import { listParts, mergeRows } from '../../src/run/rows/merge.ts';
import { openParquet } from '../../src/run/rows/parquet.ts';
import { startBroker } from '../fixtures/broker.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const store = createObjectStore();

describe('workers on a queue', () => {
  it('judge every image exactly once, although some are killed', async (test) => {
    const report = await killWorkers({ workers: 3, kills: 2, runs: 1, images: 150, seed: 3 });
    if (!report) return test.skip();
    expect(report).toMatchObject({ images: 150, missing: 0, twice: 0, different: 0 });
  });

  it('give up an image that kills them, and nothing else; a repeated call does nothing twice', async (test) => {
    const redis = await startBroker('redis-server');
    if (!redis) return test.skip();
    const url = `redis://127.0.0.1:${redis.port}`;
    const images = join(folder, 'images');
    const out = join(folder, 'out');
    for (const path of [images, out]) mkdirSync(path);
    for (let i = 0; i < 12; i++) writeFileSync(join(images, i === 7 ? 'poison.jpg' : `${i}.jpg`), 'x');
    const options = {
      ...{ profile: 'a'.repeat(64), decideBy: 'combined' as const, maxPixels: 1, maxSide: 1, fps: 1, out, columns: [] },
      ...{ chunk: 6, profileBytes: new Uint8Array([1]) },
    };
    const score = async () =>
      runOnQueue(url, await openItems([images], { store, maxBytes: 100, asReferences: true }), options, {
        seal: new QueueSeal(undefined),
        signal: new AbortController().signal,
      });
    const program = fileURLToPath(new URL('../fixtures/queueworker.program.ts', import.meta.url));
    let deaths = 0;
    let isDone = false;
    const keepAlive = () => {
      const child = fork(program, [url, folder]);
      child.on('close', () => {
        if (isDone) return;
        deaths++;
        worker = keepAlive();
      });
      return child;
    };
    let worker = keepAlive();
    try {
      const { run, results } = await score();
      // Once among others, then three times alone.
      expect(deaths).toBe(4);
      const again = await score();
      expect(again).toEqual({ run, results });
      const list = { parts: results.map(({ part, rows, sha256 }) => ({ file: part, rows, sha256 })) };
      writeFileSync(join(out, 'manifest.json'), JSON.stringify(list));
      const joined = join(folder, 'joined.parquet');
      expect(await mergeRows(await listParts(join(out, 'manifest.json'), store), joined, store)).toBe(12);
      const errors = new Map<unknown, unknown>();
      for await (const { path, errorCode } of await openParquet(joined)) errors.set(path, errorCode);
      expect(errors.size).toBe(12);
      for (const [path, code] of errors) {
        expect(code).toBe(`STOPLINE_ERR_IMAGE_${String(path).endsWith('poison.jpg') ? 'FATAL' : 'EMPTY'}`);
      }
      writeFileSync(join(out, 'part-000001.parquet'), await readFile(join(out, 'part-000000.parquet')));
      await expect(listParts(join(out, 'manifest.json'), store)).rejects.toMatchObject({
        code: 'STOPLINE_ERR_PART_INVALID',
      });
      expect(readdirSync(out).filter((name) => name.endsWith('.partial'))).toEqual([]);
    } finally {
      isDone = true;
      worker.kill('SIGKILL');
      await redis.stop();
    }
  });
});
