import { describe, expect, it, test } from 'vitest';
import { countLooks } from '../../src/fit/options.ts';
import {
  achievedFalseAlarms,
  blindTo,
  countFlagged,
  measurePower,
  type Power,
  planTrials,
  powerPlan,
} from '../../src/fit/power.ts';
import type { Look, Sample } from '../../src/fit/samples.ts';
import { planSimulations } from '../../src/fit/secondlook.ts';
import { corruptions, powerSeverities } from '../../src/image/corruptions/corruptions.ts';
import type { ProfileDescription } from '../../src/profile/description.ts';

test('a profile is blind to a cause of which even the strongest kind is seen on less than half of the images', () => {
  const power: Power = {
    images: 20,
    clean: countFlagged(0, 20),
    causes: [
      { cause: 'fog', warn: [0.2, 0.6, 1, 1, 1], block: [0, 0, 0, 0, 0], detectedFrom: 3 },
      { cause: 'elastic', warn: [0, 0.1, 0.2, 0.3, 0.45], block: [0, 0, 0, 0, 0] },
    ],
  };
  expect(blindTo(power)).toEqual(['elastic']);
});

describe('what is left to try', () => {
  const samples = ['a', 'b', 'c', 'd'].map((id): Sample => ({ ...inFold(0), id }));
  const image = { statistics: new Float64Array() };
  const findSeed = ({ id }: Sample) => id.charCodeAt(0);
  const cells = corruptions.length * powerSeverities.length;

  it('is every cause at every severity on each image where nothing was simulated before', () => {
    const trials = planTrials(samples, { looks: [], count: 4, findSeed });
    expect(trials.map(({ sample }) => sample.id)).toEqual(['a', 'b', 'c', 'd']);
    for (const { sample, plan } of trials) {
      expect(plan).toHaveLength(1 + cells);
      expect(new Set(plan.map(({ seed }) => seed))).toEqual(new Set([findSeed(sample)]));
    }
  });

  it('is nothing where each was seen often enough', () => {
    const looks = samples.flatMap((sample) => powerPlan(1).map((simulation) => ({ ...simulation, sample, image })));
    expect(planTrials(samples, { looks, count: 4, findSeed })).toEqual([]);
  });

  it('fills up what was seen less often, and takes no image twice for the same', () => {
    const looks = samples.slice(0, 2).map((sample): Look => ({ sample, image, cause: 'fog', severity: 3 }));
    const trials = planTrials(samples, { looks, count: 3, findSeed });
    const seen = (cause: string, severity: number) =>
      trials.filter(({ plan }) => plan.some((one) => one.cause === cause && one.severity === severity));
    // The first two showed it before, so that the third is the one that is left; everything else is seen on three.
    expect(seen('fog', 3).map(({ sample }) => sample.id)).toEqual(['c']);
    expect(seen('fog', 2).map(({ sample }) => sample.id)).toEqual(['a', 'b', 'c']);
    expect(trials.every(({ plan }) => plan[0].cause === undefined)).toBe(true);
  });
});

test('the learning of causes shows each at each severity on a tenth of the images, or on a fifth of few', () => {
  for (const [simulations, images, least] of [
    [120, 500, 12],
    [120, 60, 6],
    [60, 500, 12],
    [10, 60, 2],
    [0, 60, 0],
  ] as const) {
    expect(countLooks(simulations, images)).toBe(least);
    const plans = Array.from({ length: Math.min(simulations, images) }, (_, image) =>
      planSimulations(image, { seed: 1, images: simulations }),
    );
    for (const { name } of corruptions) {
      const looks = plans.flatMap((plan) => plan.filter(({ cause }) => cause === name));
      const counts = powerSeverities.map((wanted) => looks.filter(({ severity }) => severity === wanted).length);
      expect(Math.min(...counts)).toBe(least);
    }
  }
});

test('power is the share of the images of each cell, however many there are', () => {
  const cells = (cause: string, pValues: number[][]) =>
    pValues.flatMap((cell, i) => cell.map((pValue) => ({ cause, severity: powerSeverities[i], pValue })));
  const power = measurePower({ falseAlarmRate: { promised: { warn: 0.05, block: 0.01 } } } as ProfileDescription, [
    { severity: 1, pValue: 0.2 },
    { severity: 1, pValue: 0.05 },
    ...cells('fog', [
      [0.5, 0.05, 0.3, 0.001],
      [0.01, 0.5],
      [0.001, 0.02],
      [0.01, 0.01, 0.001],
      [0.001, 0.001],
    ]),
  ]);
  expect(power.images).toBe(2);
  expect(power.clean).toMatchObject({ images: 2, flagged: 1 });
  expect(power.causes).toEqual([
    { cause: 'fog', warn: [0.5, 0.5, 1, 1, 1], block: [0.25, 0.5, 0.5, 1, 1], detectedFrom: 3 },
  ]);
});

test('the achieved rate holds each part against the thresholds of the others, with the exact interval', () => {
  const images = (fold: number, scores: number[]) =>
    scores.map((score) => ({ sample: inFold(fold), score, calibration: score }));
  const even = Array.from({ length: 100 }, (_, i) => 2 * i);
  const odd = even.map((score) => score + 1);
  // Of an even score 2j, 100 - j odd ones are at least as large: p = (101 - j) / 101 <= 0.05 for the last four. Of an odd
  // score 2k + 1, 99 - k even ones: p = (100 - k) / 101 <= 0.05 for the last five, and <= 0.01 for the last.
  const { warn, block } = achievedFalseAlarms([...images(0, even), ...images(1, odd)], { warn: 0.05, block: 0.01 });
  expect(warn).toMatchObject({ images: 200, flagged: 9 });
  // Clopper-Pearson at 95 %, solved from sums of binomial probabilities.
  expect(warn.low).toBeCloseTo(0.02078, 5);
  expect(warn.high).toBeCloseTo(0.083703, 5);
  expect(block).toMatchObject({ images: 200, flagged: 1 });
  expect(block.low).toBeCloseTo(0.000127, 5);
  expect(block.high).toBeCloseTo(0.027542, 5);
});

test('the achieved rate is above the promise where a part of the reference is unlike the others', () => {
  const images = Array.from({ length: 100 }, (_, i) => {
    const score = i % 5 === 4 ? 1000 + i : i;
    return { sample: inFold(i % 5), score, calibration: score };
  });
  const { warn } = achievedFalseAlarms(images, { warn: 0.05, block: 0.02 });
  // All 20 of the odd part, and none of those that have it among their thresholds.
  expect(warn.flagged).toBe(20);
  expect(warn.low).toBeGreaterThan(0.05);
});

test('by the tail the achieved rate is that of fitted tails, which tell rates that no rank does', () => {
  const scores = Array.from({ length: 400 }, (_, i) => ({
    sample: inFold(i % 5),
    score: -Math.log(1 - (i + 0.5) / 400),
    calibration: -Math.log(1 - (i + 0.5) / 400),
  }));
  const { warn, block } = achievedFalseAlarms(scores, { warn: 0.01, block: 0.0005 }, 'tail');
  // Exponential scores: four of 400 are beyond the score of 1 %, and the farthest, at ln 800, is not beyond ln 2000.
  expect(warn.flagged).toBe(4);
  expect(block.flagged).toBe(0);
});

test('where the other parts are too few to tell the promised rate, the strangest image still counts', () => {
  const images = Array.from({ length: 20 }, (_, i) => ({ sample: inFold(i % 2), score: i, calibration: i }));
  // All 20 promise 1/21; of the 10 others the smallest p-value is 1/11, which the last image has.
  expect(achievedFalseAlarms(images, { warn: 1 / 21, block: 1 / 21 }).warn.flagged).toBe(1);
});

/** A sample of which only the part matters. */
function inFold(fold: number): Sample {
  return { id: '', path: '', group: '', fold, statistics: new Float64Array(), properties: {} };
}
