import { probit } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { checkPopulation } from '../../src/drift/check.ts';
import { Population } from '../../src/drift/population.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import type { Row } from '../../src/run/rows/row.ts';

/** Statistics of which a hundredth of a standard normal deviation can be told. */
const names = statistics
  .filter(({ scored, logFloor, resolution }) => scored && logFloor === undefined && resolution <= 0.01)
  .map(({ name }) => name);
const limits = { maxBlock: 0.01, maxWarn: 0.05, maxDistance: 0 };

function normals(seed: number): () => number {
  const random = new Random(seed);
  return () => probit(random.uniform() || 0.5);
}

/** `count` images of `width` numbers that depend on each other and on their neighbours. */
function images(normal: () => number, count: number, width: number, memory: number): number[][] {
  const fresh = Math.sqrt(1 - memory ** 2);
  let before = Array.from({ length: width + 1 }, () => normal());
  return Array.from({ length: count }, () => {
    before = before.map((value) => memory * value + fresh * normal());
    const common = before[width];
    return before.slice(0, width).map((value) => Math.SQRT1_2 * (value + common));
  });
}

function reference(rows: readonly number[][]) {
  const width = rows[0].length;
  const data = Float64Array.from(
    { length: width * rows.length },
    (_, i) => rows[i % rows.length][Math.floor(i / rows.length)],
  );
  return {
    statistics: names.slice(0, width).map((name) => ({ name })),
    detectors: [{ name: 'combined', components: [0] }],
    tensors: {
      calibrationValues: { shape: [width, rows.length], data },
      combinedScores: { shape: [rows.length], data: Float64Array.from(rows, (row) => Math.max(...row)) },
    },
  };
}

function makeRow(values: readonly number[], verdict: 'pass' | 'warn' | 'block' = 'pass', path = 'a/0.jpg'): Row {
  const score = Math.max(...values);
  const reason = {
    statistic: names[0],
    value: values[0],
    unit: '',
    direction: 'high',
    pValue: 0.01,
    text: `${names[0]}: high`,
  };
  return {
    path,
    verdict,
    pValue: verdict === 'pass' ? 0.5 : 0.001,
    score,
    reasons: verdict === 'pass' ? [] : [reason],
    causes: [{ cause: 'fog', probability: 0.9 }],
    detectors: [{ name: 'combined', pValue: 0.5, score }],
    statistics: Object.fromEntries(values.map((value, i) => [names[i], value])),
  } as unknown as Row;
}

function buildPopulation(known: ReturnType<typeof reference>, rows: readonly number[][]) {
  const population = new Population(known);
  for (const row of rows) population.add(makeRow(row));
  return population;
}

describe('comparing a population with the reference', () => {
  it.each([
    ['independent images', 0, 100, 200, 7],
    ['a recording in which neighbours resemble each other', 0.9, 600, 100, 5],
  ])('keeps its false discovery rate of 1 %% on %s, memory %d, %d images', (_, memory, count, runs, most) => {
    const normal = normals(7);
    let alarms = 0;
    for (let run = 0; run < runs; run++) {
      const population = buildPopulation(reference(images(normal, 300, 12, memory)), images(normal, count, 12, memory));
      if (!checkPopulation(population, limits).passed) alarms++;
    }
    // One in a hundred is expected; more than this come once in a thousand times.
    expect(alarms).toBeLessThanOrEqual(most);
  });

  it('names the one statistic that moved, which way and how far', () => {
    const normal = normals(3);
    const shifted = images(normal, 2000, 12, 0).map((row) => row.map((value, i) => (i === 4 ? value + 1.5 : value)));
    const check = checkPopulation(buildPopulation(reference(images(normal, 2000, 12, 0)), shifted), {
      ...limits,
      maxDistance: 0.3,
    });
    expect(check.passed).toBe(false);
    const [first, ...others] = check.shifts.filter(({ moved, kind }) => moved && kind === 'statistic');
    expect(others).toEqual([]);
    expect(first).toMatchObject({ name: names[4], direction: 'high', size: expect.closeTo(1.5, 1) });
    // Two normal distributions 1.5 apart: 2 Phi(0.75) - 1.
    expect(first.distance).toBeCloseTo(0.547, 1);
  });

  it('does not call a difference drift that is smaller than allowed', () => {
    const normal = normals(5);
    const shifted = images(normal, 2000, 12, 0).map((row) => row.map((value) => value + 0.25));
    const population = buildPopulation(reference(images(normal, 2000, 12, 0)), shifted);
    expect(checkPopulation(population, limits).passed).toBe(false);
    expect(checkPopulation(population, { ...limits, maxDistance: 0.2 }).passed).toBe(true);
  });

  it('holds a share against its exact interval, and counts what cannot be judged as blocked', () => {
    const normal = normals(9);
    const known = reference(images(normal, 300, 12, 0));
    const population = buildPopulation(known, images(normal, 96, 12, 0));
    population.add({ path: 'a/x.jpg', error: { code: 'STOPLINE_ERR_IMAGE_CORRUPT', message: 'broken' } });
    const check = () => checkPopulation(population, limits).shares;
    // 1 of 97: Clopper-Pearson 0.026 % to 5.6 %.
    expect(check().block).toMatchObject({ hits: 1, images: 97, passed: true, low: expect.closeTo(0.00026, 5) });
    for (const name of ['b', 'c', 'd']) population.add(makeRow(images(normal, 1, 12, 0)[0], 'block', `${name}/1.jpg`));
    // 4 of 100: 1.10 % to 9.93 %.
    expect(check().block).toMatchObject({ hits: 4, passed: false, low: expect.closeTo(0.011, 4) });
    expect(check().warn).toMatchObject({ hits: 4, passed: true });
    expect(population.folders().map(({ folder, counts }) => [folder, counts.images])).toEqual([
      ['a', 97],
      ['b', 1],
      ['c', 1],
      ['d', 1],
    ]);
    expect(population.causes()).toEqual([{ cause: 'fog', count: 3 }]);
    expect(population.errors()).toEqual([{ code: 'STOPLINE_ERR_IMAGE_CORRUPT', count: 1, example: 'a/x.jpg' }]);
  });
});

describe('memory of a long run', () => {
  it('keeps a bounded number of values, evenly, and every count', () => {
    const normal = normals(11);
    const known = reference(images(normal, 100, 2, 0));
    const population = new Population(known);
    const count = 30_000;
    for (let i = 0; i < count; i++) population.add(makeRow([i, 0], i % 10 === 0 ? 'warn' : 'pass', `${i % 900}/x.jpg`));
    const kept = population.readValues(names[0]);
    expect(kept.length).toBeLessThanOrEqual(4096);
    expect([...kept]).toEqual(Array.from({ length: kept.length }, (_, i) => i * (kept[1] - kept[0])));
    expect(kept[kept.length - 1]).toBeGreaterThan(count - 2 * kept[1]);
    const timeline = population.timeline();
    expect(timeline.length).toBeLessThanOrEqual(120);
    expect(timeline.reduce((sum, { counts }) => sum + counts.images, 0)).toBe(count);
    const [{ counts: first, meanP }] = timeline;
    expect(first).toMatchObject({ images: 256, warn: 26 });
    expect(meanP).toBeCloseTo((26 * 0.001 + 230 * 0.5) / 256, 10);
    expect(population.counts).toEqual({ images: count, pass: count * 0.9, warn: count / 10, block: 0, failed: 0 });
    expect(population.folders().length).toBeLessThanOrEqual(501);
    expect(
      population
        .worst()
        .filter(({ verdict }) => verdict === 'warn')
        .map(({ score }) => score),
    ).toEqual(Array.from({ length: 12 }, (_, i) => count - 10 - 10 * i));
  });
});
