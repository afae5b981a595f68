import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Simulation } from '../../src/image/simulation.ts';
import { Measurements } from '../../src/run/measurements.ts';
import { createPool, type Pool } from '../../src/run/pool.ts';
import { renderFolder, temporaryFolder } from '../fixtures/cli.ts';

const folder = temporaryFolder();
const plan: Simulation[] = [
  { severity: 1, seed: 1, crop: false },
  { cause: 'fog', severity: 3, seed: 1, crop: true },
];
let pool: Pool;
let paths: string[];
beforeAll(async () => {
  paths = await renderFolder(join(folder, 'frames'), 3);
  pool = await createPool({ threads: 1 });
  await pool.ready();
});
afterAll(() => pool.destroy());

/** What is measured, without how long it took. */
function withoutTimes(value: object): object {
  return JSON.parse(JSON.stringify(value, (key, part) => (key === 'timingMs' ? undefined : part)));
}

async function measureAll(kept: Measurements, context: unknown = pool.info) {
  const attached = kept.attach(pool, context);
  const measured = [];
  for (const path of paths) measured.push(await attached.measure(path), ...(await attached.simulate(path, plan)));
  return measured;
}

describe('Measurements', () => {
  it('gives back what was measured, to the bit, also to the next process', async () => {
    const place = join(folder, 'cache');
    const first = Measurements.open(place);
    const measured = await measureAll(first);
    expect(first.counts).toEqual({ hits: 0, misses: 6 });
    first.close();
    const second = Measurements.open(place);
    const again = await measureAll(second);
    expect(second.counts).toEqual({ hits: 6, misses: 0 });
    expect(again.map(({ statistics }) => statistics)).toEqual(measured.map(({ statistics }) => statistics));
    expect(again.map(withoutTimes)).toEqual(measured.map(withoutTimes));
    second.close();
    expect(statSync(readdirSync(place).map((name) => join(place, name))[0]).mode & 0o077).toBe(0);
  });

  it('finds an image by its bytes, wherever it lies, also where it is no file', async () => {
    const kept = Measurements.open(join(folder, 'bytes'));
    const attached = kept.attach(pool, pool.info);
    const [path, other] = paths;
    const first = await attached.measure(path);
    mkdirSync(join(folder, 'moved'), { recursive: true });
    copyFileSync(path, join(folder, 'moved/x.jpg'));
    expect(await attached.measure(join(folder, 'moved/x.jpg'))).toEqual(first);
    const { readFile } = await import('node:fs/promises');
    expect(await attached.measure(new Uint8Array(await readFile(path)))).toEqual(first);
    // The same name with other content is another image.
    copyFileSync(other, join(folder, 'moved/x.jpg'));
    expect((await attached.measure(join(folder, 'moved/x.jpg'))).sha256).not.toBe(first.sha256);
    expect(kept.counts).toEqual({ hits: 2, misses: 2 });
    kept.close();
  });

  it.each<[string, (kept: Measurements) => Promise<unknown>]>([
    ['another network', (kept) => measureAll(kept, { model: 'other' })],
    ['other causes', (kept) => kept.attach(pool, pool.info).simulate(paths[0], plan.slice(1))],
    [
      'another severity',
      (kept) => kept.attach(pool, pool.info).simulate(paths[0], [plan[0], { ...plan[1], severity: 4 }]),
    ],
    ['another seed', (kept) => kept.attach(pool, pool.info).simulate(paths[0], [plan[0], { ...plan[1], seed: 2 }])],
    ['what the networks say', (kept) => kept.attach(pool, pool.info).simulate(paths[0], plan, { asks: true })],
  ])('measures again for %s', async (_, measure) => {
    const kept = Measurements.open(join(folder, 'other'));
    await measureAll(kept);
    const { hits } = kept.counts;
    await measure(kept);
    expect(kept.counts.hits).toBe(hits);
    kept.close();
    rmSync(join(folder, 'other'), { recursive: true });
  });

  it('measures again what is damaged, and tells what cannot be read as the pool does', async () => {
    const place = join(folder, 'damaged');
    const kept = Measurements.open(place);
    const [whole] = await measureAll(kept);
    kept.close();
    const database = new Database(join(place, readdirSync(place)[0]));
    database.exec('UPDATE measurement SET value = zeroblob(length(value))');
    database.close();
    const again = Measurements.open(place);
    const [measured] = await measureAll(again);
    expect(again.counts.hits).toBe(0);
    expect(measured.statistics).toEqual(whole.statistics);
    const attached = again.attach(pool, pool.info);
    await expect(attached.measure(join(folder, 'absent.jpg'))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_INPUT_NOT_FOUND',
    });
    writeFileSync(join(folder, 'text.jpg'), 'no image');
    await expect(attached.measure(join(folder, 'text.jpg'))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_IMAGE_UNSUPPORTED',
    });
    again.close();
  });

  it('is used by two at once', async () => {
    const place = join(folder, 'two');
    const [first, second] = [Measurements.open(place), Measurements.open(place)];
    await measureAll(first);
    await measureAll(second);
    expect(second.counts).toEqual({ hits: 6, misses: 0 });
    first.close();
    second.close();
  });

  it('keeps its size, and forgets first what was not used for longest', async () => {
    const place = join(folder, 'small');
    const maxBytes = 200_000;
    const kept = Measurements.open(place, { maxBytes });
    const attached = kept.attach(pool, pool.info);
    for (let seed = 0; seed < 80; seed++) await attached.simulate(paths[0], [{ severity: 1, seed, crop: false }]);
    kept.close();
    const size = readdirSync(place).reduce((sum, name) => sum + statSync(join(place, name)).size, 0);
    expect(size).toBeLessThanOrEqual(maxBytes);
    const again = Measurements.open(place, { maxBytes });
    const later = again.attach(pool, pool.info);
    await later.simulate(paths[0], [{ severity: 1, seed: 0, crop: false }]);
    await later.simulate(paths[0], [{ severity: 1, seed: 79, crop: false }]);
    expect(again.counts).toEqual({ hits: 1, misses: 1 });
    again.close();
  });

  it('does not open where it cannot write', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => Measurements.open(join(folder, 'file'))).toThrow();
    mkdirSync(join(folder, 'garbage'));
    writeFileSync(join(folder, 'garbage/measurements-1.sqlite'), 'no database'.repeat(1000));
    expect(() => Measurements.open(join(folder, 'garbage'))).toThrow();
  });
});
