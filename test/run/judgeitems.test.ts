import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openItems } from '../../src/run/inputs/items.ts';
import { judgeItems } from '../../src/run/judgeitems.ts';
import { createObjectStore } from '../../src/run/objects.ts';
import { createPool } from '../../src/run/pool.ts';
import { fitOnce, plainProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { noiseBytes, picture } from '../fixtures/images.ts';

const folder = temporaryFolder();

/** Files that break in every decoder, each in its own way, among sound ones. */
async function writeBroken(): Promise<void> {
  mkdirSync(join(folder, 'broken'));
  const image = picture(160, 120);
  const whole = {
    jpg: await image.clone().jpeg().toBuffer(),
    'progressive.jpg': await image.clone().jpeg({ progressive: true }).toBuffer(),
    png: await image.clone().png().toBuffer(),
    webp: await image.clone().webp().toBuffer(),
    'lossless.webp': await image.clone().webp({ lossless: true }).toBuffer(),
  };
  for (const [ending, bytes] of Object.entries(whole)) {
    writeFileSync(join(folder, 'broken', `whole.${ending}`), bytes);
    for (const share of [0.3, 0.7, 0.95]) {
      writeFileSync(join(folder, 'broken', `cut-${share}.${ending}`), bytes.subarray(0, bytes.length * share));
    }
    for (const seed of [1, 2, 3]) {
      const noisy = Buffer.from(bytes);
      const noise = noiseBytes(30, seed);
      for (let i = 0; i < noise.length; i++) noisy[Math.floor(noisy.length * (0.3 + i / 60))] ^= noise[i]!;
      writeFileSync(join(folder, 'broken', `noise-${seed}.${ending}`), noisy);
    }
  }
  writeFileSync(join(folder, 'broken', 'text.jpg'), 'no image');
  writeFileSync(join(folder, 'broken', 'empty.jpg'), '');
}

it('the rows of a folder of broken files are the same bytes in 20 runs with 1, 2 and 4 workers', async () => {
  await writeBroken();
  const { profile } = await fitOnce(plainProfile);
  const runs = new Map<string, string>();
  for (const [threads, times] of [
    [1, 6],
    [2, 7],
    [4, 7],
  ]) {
    const pool = await createPool({ profile, threads, isBatch: true });
    try {
      for (let i = 0; i < times; i++) {
        const items = await openItems([join(folder, 'broken')], { store: createObjectStore(), maxBytes: 1e6 });
        let rows = '';
        for await (const { line } of judgeItems(pool, items, { format: 'jsonl' })) rows += Buffer.from(line);
        runs.set(`${threads} workers, run ${i}`, rows);
      }
    } finally {
      await pool.destroy();
    }
  }
  expect(runs.size).toBe(20);
  const [first] = runs.values();
  for (const [run, rows] of runs) expect(rows, run).toBe(first);
  // No row tells of memory, or of the file beside it.
  expect(first).not.toMatch(/0x[0-9a-f]{6}/);
});
