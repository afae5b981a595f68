import { expect, test } from 'vitest';
import { achievedFalseAlarms, blindTo, countFlagged, type Power } from '../src/power.ts';

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

test('the achieved rate counts images that set no threshold, with the exact interval', () => {
  const calibration = Float64Array.from({ length: 99 }, (_, i) => i);
  // p <= 0.05 needs at most 4 of the 99 at least as strange: scores above 94. p <= 0.01 needs none: above 98.
  const { warn, block } = achievedFalseAlarms([...Array(97).fill(3), 94, 95, 99], calibration, {
    warn: 0.05,
    block: 0.01,
  });
  expect(warn).toMatchObject({ images: 100, flagged: 2 });
  // Clopper-Pearson at 95 %, as R's binom.test(2, 100) and binom.test(1, 100) give it.
  expect(warn.low).toBeCloseTo(0.002431, 5);
  expect(warn.high).toBeCloseTo(0.070384, 5);
  expect(block).toMatchObject({ images: 100, flagged: 1 });
  expect(block.low).toBeCloseTo(0.000253, 5);
  expect(block.high).toBeCloseTo(0.054459, 5);
});
