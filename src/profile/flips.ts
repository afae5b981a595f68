import type { Cause } from './diagnosis.ts';

/** How often the classifier is expected to answer otherwise than it would have to the same image in good condition. */
export interface FlipRate {
  rate: number;
  /** Ends of the 95 % interval of the rate. */
  low: number;
  high: number;
}

/**
 * A logistic regression of "the answer flipped" on the anomaly score and the probable causes. On the score alone would be
 * simpler, but causes do unequal harm at one score: a hot pixel is as strange as a blur, and changes no answer.
 */
export interface HarmFit {
  /** One weight for each number of `harmRow`. The weight of the score is not negative: with the same causes, stranger is never safer. */
  weights: Float64Array;
  /** Row-major covariance of the weights. */
  covariance: Float64Array;
}

/** What an image is to the regression: 1, its score, the probability of each cause and, last, of `unknown`. */
export function harmRow(score: number, causes: readonly Cause[] | undefined, names: readonly string[]): Float64Array {
  const row = new Float64Array(2 + (causes ? names.length + 1 : 0));
  row[0] = 1;
  row[1] = scaled(score);
  for (const { cause, probability } of causes ?? []) {
    const at = names.indexOf(cause);
    row[2 + (at < 0 ? names.length : at)] += probability;
  }
  return row;
}

/** Scores of all that is clearly wrong are large and tell little apart. */
function scaled(score: number): number {
  return Math.log1p(Math.max(0, score));
}

/** @param row as of `harmRow` */
export function expectedFlipRate({ weights, covariance }: HarmFit, row: Float64Array): FlipRate {
  const size = weights.length;
  let logit = 0;
  let variance = 0;
  for (let i = 0; i < size; i++) {
    logit += weights[i] * row[i];
    if (row[i] === 0) continue;
    let inner = 0;
    for (let j = 0; j < size; j++) inner += covariance[i * size + j] * row[j];
    variance += row[i] * inner;
  }
  const reach = 1.96 * Math.sqrt(Math.max(0, variance));
  const tidy = (value: number) => Number(logistic(value).toFixed(4));
  return { rate: tidy(logit), low: tidy(logit - reach), high: tidy(logit + reach) };
}

export const logistic = (x: number) => 1 / (1 + Math.exp(-x));
