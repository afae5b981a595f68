import { inverse, Matrix, solve } from 'ml-matrix';
import { corruptions, powerSeverities } from '../image/corruptions/corruptions.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import type { ProfileDescription } from '../profile/description.ts';
import { type HarmFit, harmRow, logistic } from '../profile/flips.ts';
import type { Tensor } from '../profile/safetensors.ts';
import type { Score } from '../profile/score.ts';
import { type Asked, type AskedSimulation, findUnusable, shareAnswered } from './classifier.ts';
import type { Sample } from './samples.ts';
import { choose, type ScoreUnseen } from './secondlook.ts';

/** Reference images as they are that the harm map is fitted on, at most. */
const cleanAsked = 500;

/**
 * What the classifier's answers teach: the table of the report, and the map of the verdicts; or, where it says nothing that
 * could change, why there is none.
 */
export function learnHarm(
  { card }: PreparedModel,
  asked: readonly Asked[],
  about: { profile: ProfileDescription; scoreUnseen: ScoreUnseen; samples: Sample[]; seed: number },
): LearntHarm {
  const { profile, scoreUnseen, samples, seed } = about;
  const makeRow = ({ detectors: [combined], causes }: Score) =>
    harmRow(combined.score, causes, profile.causes?.names ?? []);
  const { name, sha256 } = card;
  const classifier = { name, sha256 };
  const images = new Set(asked.map(({ sample }) => sample.id)).size;
  const unusable = findUnusable(asked, card);
  if (unusable) return { missing: { classifier, images, ...unusable }, warnings: [unusable.message] };
  const scored = asked.map(({ sample, simulations }) =>
    simulations.map(({ image, severity, isFlipped }) => {
      const score = scoreUnseen(sample, image);
      return { row: makeRow(score), severity, isFlipped, pValue: score.detectors[0].pValue };
    }),
  );
  const tried = scored.map((simulations) => ({
    rows: simulations.map(({ row }) => row),
    flips: simulations.map(({ isFlipped }) => isFlipped),
  }));
  const clean = choose(samples, cleanAsked, seed + 2).map((sample) => makeRow(scoreUnseen(sample, sample)));
  const answered = shareAnswered(asked);
  return {
    description: {
      ...{ classifier, images, answered, causes: measureHarm(asked) },
      stopped: measureStopped(scored.flat(), profile.falseAlarmRate.promised),
    },
    tensors: harmTensors(fitHarm(tried, clean)),
    warnings:
      answered < 0.5
        ? [
            `The classifier "${name}" finds nothing in ${Math.round(100 * (1 - answered))} % of clean images: is it fed as its card says? stopline model inspect <model> --probe IMAGES`,
          ]
        : [],
  };
}

/** A harm map, or why there is none. */
interface LearntHarm {
  description?: NonNullable<ProfileDescription['harm']>;
  missing?: NonNullable<ProfileDescription['harmMissing']>;
  tensors?: Record<string, Tensor>;
  warnings: string[];
}

/** The share of all answers changed by a cause that is stopped at the promised rates; null where none changed. */
export function measureStopped(
  simulations: readonly { severity: number; isFlipped: boolean; pValue: number }[],
  promised: { warn: number; block: number },
): NonNullable<NonNullable<ProfileDescription['harm']>['stopped']> {
  const flipped = powerSeverities.map((wanted) =>
    simulations.filter(({ severity, isFlipped }) => isFlipped && severity === wanted),
  );
  const share = (rate: number) =>
    flipped.map((cell) =>
      cell.length === 0 ? null : Number((cell.filter(({ pValue }) => pValue <= rate).length / cell.length).toFixed(4)),
    );
  return { flipped: flipped.map(({ length }) => length), warn: share(promised.warn), block: share(promised.block) };
}

/** One reference image under causes. */
export interface TriedImage {
  /** The numbers of `harmRow`, by the fit without the image. */
  rows: Float64Array[];
  /** Whether the answer differs from that to the clean image. */
  flips: boolean[];
}

/** Good images weigh as much as those of one severity: 0, which is none, is as likely as 1 to 5 each. */
const cleanShare = 1 / powerSeverities.length;

/** Strength of the pull of every cause towards all causes: that of ten answers' evidence. */
const ridge = { cause: 1, rest: 1e-3 };

/** How often answers flip and how far confidence falls, for each cause at each severity. */
export function measureHarm(asked: readonly Asked[]): NonNullable<ProfileDescription['harm']>['causes'] {
  const all = asked.flatMap(({ simulations }) => simulations);
  return corruptions.map(({ name }) => {
    const cells = powerSeverities.map((wanted) =>
      all.filter(({ cause, severity }) => cause === name && severity === wanted),
    );
    const mean = (pick: (simulation: AskedSimulation) => number) =>
      cells.map((cell) => Number((cell.reduce((sum, one) => sum + pick(one), 0) / cell.length).toFixed(4)));
    return { cause: name, flips: mean(({ isFlipped }) => Number(isFlipped)), fall: mean(({ fall }) => fall) };
  });
}

/**
 * Fits the regression by Newton's method.
 *
 * Reference images as they are have not flipped, by definition; together they weigh as much as the simulations of one
 * severity. Without them an unremarkable image would be expected to flip as often as one under a cause that cannot be seen;
 * with more, images under mild causes would be told rates that they do not keep.
 *
 * The covariance is that of Liang and Zeger (1986), because simulations of one image answer alike: the images vary, not
 * their simulations.
 * @param clean rows of reference images as they are, by fits without them
 */
export function fitHarm(images: readonly TriedImage[], clean: readonly Float64Array[]): HarmFit {
  const simulations = images.reduce((sum, { rows }) => sum + rows.length, 0);
  const groups: Group[] = [
    ...images.map(({ rows, flips }) => ({ rows, flips, weight: 1 })),
    ...clean.map((row) => ({ rows: [row], flips: [false], weight: (cleanShare * simulations) / clean.length })),
  ];
  const size = clean[0].length;
  let penalty = Float64Array.from({ length: size }, (_, i) => (i < 2 ? ridge.rest : ridge.cause));
  let fitted = newton(groups, penalty);
  if (fitted.weights[1] < 0) {
    // Nothing grows with the score here. Held at zero rather than believed.
    penalty = penalty.map((weight, i) => (i === 1 ? 1e9 : weight));
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
  let loss = computeLoss(groups, penalty, weights);
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
      nextLoss = computeLoss(groups, penalty, next);
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
function computeLoss(groups: readonly Group[], penalty: Float64Array, weights: Float64Array): number {
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
function harmTensors({ weights, covariance }: HarmFit): Record<string, Tensor> {
  return {
    harmWeights: { shape: [weights.length], data: weights },
    harmCovariance: { shape: [weights.length, weights.length], data: covariance },
  };
}
