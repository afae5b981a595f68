import { probit } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { checkPopulation, type FailOn, summarizeCheck } from '../../src/drift/check.ts';
import { Population } from '../../src/drift/population.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import type { Row } from '../../src/run/rows/row.ts';

const images = 400;
const limits = { maxBlock: 0.01, maxWarn: 0.05, maxDistance: 0.2 };

function createNormals(seed: number): () => number {
  const random = new Random(seed);
  return () => probit(random.uniform() || 0.5);
}

/** Where each statistic lies, and how widely. */
const centres = { lumaP50: [100, 20], lumaMean: [100, 20], noiseSigma: [2, 0.5], earlierJpegScore: [0, 1e-7] } as const;
const names = Object.keys(centres) as (keyof typeof centres)[];

function draw(normal: () => number, moved: Partial<Record<keyof typeof centres, number>> = {}): number[] {
  return names.map((name) => centres[name][0] + (moved[name] ?? 0) + centres[name][1] * normal());
}

/** Images against a reference of the same numbers, some of them moved. */
function check(
  moved: Partial<Record<keyof typeof centres, number>>,
  { blocked = 0, failOn }: { blocked?: number; failOn?: FailOn } = {},
) {
  const normal = createNormals(5);
  const rows = Array.from({ length: images }, () => draw(normal));
  const data = Float64Array.from({ length: names.length * images }, (_, i) => rows[i % images][Math.floor(i / images)]);
  const scores = Float64Array.from({ length: images }, () => normal());
  const population = new Population({
    statistics: names.map((name) => ({ name })),
    detectors: [{ name: 'combined', components: [0] }],
    tensors: {
      calibrationValues: { shape: [names.length, images], data },
      combinedScores: { shape: [images], data: scores },
    },
  });
  for (let i = 0; i < images; i++) {
    const score = normal();
    const verdict = i < blocked ? 'block' : 'pass';
    const statistics = Object.fromEntries(draw(normal, moved).map((value, at) => [names[at], value]));
    const detectors = [{ name: 'combined', pValue: 0.5, score }];
    population.add({
      path: 'a/0.jpg',
      verdict,
      pValue: 0.5,
      score,
      reasons: [],
      detectors,
      statistics,
    } as unknown as Row);
  }
  return checkPopulation(population, { ...limits, ...(failOn && { failOn }) });
}

describe('checkPopulation', () => {
  it('says of images like the reference that they are', () => {
    const found = check({});
    expect(found).toMatchObject({ passed: true, isStopped: false, isShifted: false, moved: [], compared: 4 });
    expect(summarizeCheck(found)).toBe(
      'Like the reference: 0 % of 400 images are warned about or blocked, which is not surely more than the 5 % allowed, and none of 4 statistics has moved.',
    );
  });

  it('tells a mix that has shifted from images that are stopped', () => {
    const shifted = check({ lumaP50: -40, lumaMean: -30 });
    expect(shifted).toMatchObject({ passed: false, isStopped: false, isShifted: true });
    expect(summarizeCheck(shifted)).toMatch(
      /^The mix has shifted, though no single image need be strange: 2 of 4 statistics, most of all darker than the reference, by [\d.]+ standard deviations\. 0 % of 400/,
    );
    const stopped = check({}, { blocked: 60 });
    expect(stopped).toMatchObject({ passed: false, isStopped: true, isShifted: false });
    expect(summarizeCheck(stopped)).toBe(
      'Images are stopped: 15 % of 400 images are warned about or blocked, where 5 % is allowed. The mix has not shifted: none of 4 statistics.',
    );
    expect(summarizeCheck(check({ noiseSigma: 2 }, { blocked: 60 }))).toMatch(
      /^Images are stopped: .* The mix has shifted, too: 1 of 4 statistics, most of all noisier than the reference, by/,
    );
  });

  it.each([
    ['any', false, false],
    ['stopped', true, false],
    ['shifted', false, true],
  ] as const)('that fails on %s', (failOn, shiftedPasses, stoppedPasses) => {
    expect(check({ lumaP50: -40 }, { failOn }).passed).toBe(shiftedPasses);
    expect(check({}, { blocked: 60, failOn }).passed).toBe(stoppedPasses);
    // What is found and allowed is said all the same, and that it is allowed.
    const allowed = /This passes, since a failure was asked for only of/;
    expect(allowed.test(summarizeCheck(check({ lumaP50: -40 }, { failOn })))).toBe(shiftedPasses);
    expect(allowed.test(summarizeCheck(check({}, { blocked: 60, failOn })))).toBe(stoppedPasses);
  });

  it('counts nothing below the resolution of a statistic, and no width is narrower', () => {
    const found = check({ earlierJpegScore: 5e-4 });
    expect(found.moved).toEqual([]);
    const { distance, size } = found.shifts.find(({ name }) => name === 'earlierJpegScore')!;
    expect(distance).toBe(0);
    expect(size).toBeLessThan(1);
    // Beyond it is seen, and its size is a number that can be read.
    const seen = check({ earlierJpegScore: 0.05 });
    expect(seen.moved.map(({ name }) => name)).toEqual(['earlierJpegScore']);
    expect(seen.moved[0].size).toBeCloseTo(50, 0);
  });

  it('groups what says the same to a person, and counts and orders by that what has moved', () => {
    const found = check({ lumaP50: -40, lumaMean: -60, noiseSigma: 0.75 });
    expect(found.groups.map(({ group, words, lead, members }) => [group, words, lead.name, members.length])).toEqual([
      ['dark', 'darker than the reference', 'lumaP50', 2],
      ['noisy', 'noisier than the reference', 'noiseSigma', 1],
    ]);
    expect(found.moved.map(({ name }) => name)).toEqual(['lumaP50', 'lumaMean', 'noiseSigma']);
    expect(found.shifts.slice(0, 3)).toEqual(found.moved);
    const rest = found.shifts.slice(3).map(({ size }) => size);
    expect(rest).toEqual([...rest].sort((a, b) => b - a));
  });
});
