import { inverse, Matrix, solve } from 'ml-matrix';
import type { Asked, AskedExposure } from './classifier.ts';
import { corruptions } from './corruptions.ts';
import type { Cause } from './diagnosis.ts';
import { powerSeverities } from './power.ts';
import type { ProfileDescription } from './profile.ts';
import type { Tensor } from './safetensors.ts';

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
export interface HarmModel {
  /** Of the numbers of `harmRow`. That of the score is not negative: with the same causes, stranger is never safer. */
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
export function expectedFlipRate({ weights, covariance }: HarmModel, row: Float64Array): FlipRate {
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

const logistic = (x: number) => 1 / (1 + Math.exp(-x));

/** One reference image under causes. */
export interface TriedImage {
  /** As of `harmRow`, by a model that was not fitted on the image. */
  rows: Float64Array[];
  /** Whether the answer differs from that to the clean image. */
  flips: boolean[];
}

/** Strength of the pull of every cause towards all causes: that of ten answers' evidence. */
const ridge = { cause: 1, rest: 1e-3 };

/** How often answers flip and how far confidence falls, for each cause at each severity. */
export function measureHarm(asked: readonly Asked[]): NonNullable<ProfileDescription['harm']>['causes'] {
  const all = asked.flatMap(({ exposures }) => exposures);
  return corruptions.map(({ name }) => {
    const cells = powerSeverities.map((of) => all.filter(({ cause, severity }) => cause === name && severity === of));
    const mean = (pick: (exposure: AskedExposure) => number) =>
      cells.map((cell) => Number((cell.reduce((sum, one) => sum + pick(one), 0) / cell.length).toFixed(4)));
    return { cause: name, flips: mean(({ isFlipped }) => Number(isFlipped)), fall: mean(({ fall }) => fall) };
  });
}

/**
 * Fits the regression by Newton's method.
 *
 * Reference images as they are have not flipped, by definition; together they weigh as much as all exposures, as if every
 * other image were in good condition. Without them an unremarkable image would be expected to flip as often as one under
 * a cause that cannot be seen.
 *
 * The covariance is that of Liang and Zeger (1986), because exposures of one image answer alike: the images vary, not
 * their exposures.
 * @param clean rows of reference images as they are, by models that were not fitted on them
 */
export function fitHarm(images: readonly TriedImage[], clean: readonly Float64Array[]): HarmModel {
  const exposures = images.reduce((sum, { rows }) => sum + rows.length, 0);
  const groups: Group[] = [
    ...images.map(({ rows, flips }) => ({ rows, flips, weight: 1 })),
    ...clean.map((row) => ({ rows: [row], flips: [false], weight: exposures / clean.length })),
  ];
  const size = clean[0].length;
  let penalty = Float64Array.from({ length: size }, (_, i) => (i < 2 ? ridge.rest : ridge.cause));
  let fitted = newton(groups, penalty);
  if (fitted.weights[1] < 0) {
    // Nothing grows with the score here. Held at zero rather than believed.
    penalty = penalty.map((of, i) => (i === 1 ? 1e9 : of));
    fitted = newton(groups, penalty);
    fitted.weights[1] = 0;
  }
  const { weights, hessian } = fitted;
  const meat = Matrix.zeros(size, size);
  for (const { rows, flips, weight } of groups) {
    const sum = new Float64Array(size);
    rows.forEach((row, i) => {
      const error = weight * ((flips[i] ? 1 : 0) - logistic(dot(weights, row)));
      for (let j = 0; j < size; j++) sum[j] += error * row[j];
    });
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) meat.set(i, j, meat.get(i, j) + sum[i] * sum[j]);
  }
  const bread = inverse(hessian);
  const covariance = bread
    .mmul(meat)
    .mmul(bread)
    .mul(images.length / Math.max(1, images.length - 1));
  return { weights, covariance: Float64Array.from(covariance.to1DArray()) };
}

/** Rows whose errors go together. */
interface Group {
  rows: readonly Float64Array[];
  flips: readonly boolean[];
  weight: number;
}

/** The weights that maximise the penalised likelihood, and the negative second derivative there. */
function newton(groups: readonly Group[], penalty: Float64Array): { weights: Float64Array; hessian: Matrix } {
  const size = penalty.length;
  let weights = new Float64Array(size);
  let loss = lossOf(groups, penalty, weights);
  let hessian = Matrix.zeros(size, size);
  for (let iteration = 0; iteration < 50; iteration++) {
    const gradient = Float64Array.from(weights, (weight, i) => -penalty[i] * weight);
    const second = new Float64Array(size * size);
    for (const { rows, flips, weight } of groups) {
      for (const [at, row] of rows.entries()) {
        const p = logistic(dot(weights, row));
        const curvature = weight * p * (1 - p);
        for (let i = 0; i < size; i++) {
          if (row[i] === 0) continue;
          gradient[i] += weight * ((flips[at] ? 1 : 0) - p) * row[i];
          for (let j = 0; j <= i; j++) second[i * size + j] += curvature * row[i] * row[j];
        }
      }
    }
    hessian = Matrix.zeros(size, size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) {
        hessian.set(i, j, second[i * size + j]);
        hessian.set(j, i, second[i * size + j]);
      }
      hessian.set(i, i, hessian.get(i, i) + penalty[i]);
    }
    const step = solve(hessian, Matrix.columnVector(Array.from(gradient))).to1DArray();
    let share = 1;
    let next = weights;
    let nextLoss = loss;
    for (; share > 1e-6; share /= 2) {
      next = weights.map((weight, i) => weight + share * step[i]);
      nextLoss = lossOf(groups, penalty, next);
      if (nextLoss <= loss) break;
    }
    const gained = loss - nextLoss;
    weights = next;
    loss = nextLoss;
    if (!(gained > 1e-9 * Math.max(1, loss))) break;
  }
  return { weights, hessian };
}

/** Negative log-likelihood and penalty. */
function lossOf(groups: readonly Group[], penalty: Float64Array, weights: Float64Array): number {
  let loss = 0;
  for (const [i, weight] of weights.entries()) loss += (penalty[i] * weight * weight) / 2;
  for (const { rows, flips, weight } of groups) {
    for (const [at, row] of rows.entries()) {
      const logit = dot(weights, row) * (flips[at] ? -1 : 1);
      loss += weight * (logit > 0 ? logit + Math.log1p(Math.exp(-logit)) : Math.log1p(Math.exp(logit)));
    }
  }
  return loss;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** The tensors of a Profile that hold it. */
export function harmTensors({ weights, covariance }: HarmModel): Record<string, Tensor> {
  return {
    harmWeights: { shape: [weights.length], data: weights },
    harmCovariance: { shape: [weights.length, weights.length], data: covariance },
  };
}
