import { countBelow } from '../../src/profile/maths/ranks.ts';

/**
 * Area under the ROC curve: the probability that a current image scores above a clean one, ties counting half
 * (Mann and Whitney 1947).
 * @returns NaN when either is empty
 */
export function auroc(clean: readonly number[], current: readonly number[]): number {
  const sorted = Float64Array.from(clean).sort();
  let wins = 0;
  for (const score of current) wins += (countBelow(sorted, score, false) + countBelow(sorted, score, true)) / 2;
  return wins / (clean.length * current.length);
}

/**
 * The lowest threshold that at most `rate` of the clean scores lie above. With fewer than 1 / rate of them it is the
 * largest: no clean image is then above, and the share detected is what is seen without any false alarm.
 */
export function thresholdAt(clean: readonly number[], rate: number): number {
  const descending = Float64Array.from(clean).sort().reverse();
  return descending[Math.floor(rate * descending.length)];
}

/** Share of values that `is` holds for; NaN of none. */
export function share<Value>(values: readonly Value[], is: (value: Value) => boolean): number {
  return values.filter(is).length / values.length;
}

/** NaN of none. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Expected calibration error (Naeini et al. 2015): the difference between mean confidence and accuracy in bins of equal
 * width, weighted by their counts.
 */
export function calibrationError(answers: readonly { confidence: number; isRight: boolean }[], bins = 10): number {
  let error = 0;
  for (let bin = 0; bin < bins; bin++) {
    const inside = answers.filter(({ confidence }) => Math.min(bins - 1, Math.floor(confidence * bins)) === bin);
    if (inside.length === 0) continue;
    const gap = mean(inside.map(({ confidence }) => confidence)) - share(inside, ({ isRight }) => isRight);
    error += (inside.length / answers.length) * Math.abs(gap);
  }
  return error;
}
