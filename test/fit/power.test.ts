import { expect, test } from 'vitest';
import { achievedFalseAlarms, blindTo, countFlagged, type Power } from '../../src/fit/power.ts';
import type { Sample } from '../../src/fit/samples.ts';

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

test('the achieved rate holds each part against the thresholds of the others, with the exact interval', () => {
  const images = (fold: number, scores: number[]) => scores.map((score) => ({ sample: inFold(fold), score }));
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
  const images = Array.from({ length: 100 }, (_, i) => ({ sample: inFold(i % 5), score: i % 5 === 4 ? 1000 + i : i }));
  const { warn } = achievedFalseAlarms(images, { warn: 0.05, block: 0.02 });
  // All 20 of the odd part, and none of those that have it among their thresholds.
  expect(warn.flagged).toBe(20);
  expect(warn.low).toBeGreaterThan(0.05);
});

test('by the tail the achieved rate is that of fitted tails, which tell rates that no rank does', () => {
  const scores = Array.from({ length: 400 }, (_, i) => ({
    sample: inFold(i % 5),
    score: -Math.log(1 - (i + 0.5) / 400),
  }));
  const { warn, block } = achievedFalseAlarms(scores, { warn: 0.01, block: 0.0005 }, 'tail');
  // Exponential scores: four of 400 are beyond the score of 1 %, and the farthest, at ln 800, is not beyond ln 2000.
  expect(warn.flagged).toBe(4);
  expect(block.flagged).toBe(0);
});

test('where the other parts are too few to tell the promised rate, the strangest image still counts', () => {
  const images = Array.from({ length: 20 }, (_, i) => ({ sample: inFold(i % 2), score: i }));
  // All 20 promise 1/21; of the 10 others the smallest p-value is 1/11, which the last image has.
  expect(achievedFalseAlarms(images, { warn: 1 / 21, block: 1 / 21 }).warn.flagged).toBe(1);
});

/** A sample of which only the part matters. */
function inFold(fold: number): Sample {
  return { id: '', path: '', group: '', fold, statistics: new Float64Array(), properties: {} };
}
