import { gammaln } from 'simple-statistics';
import { slice } from '../../core/layout.ts';
import type { StatisticRow, StatisticTable } from './statistic.ts';

/** Shapes of a generalised gaussian that can be told apart: 0.2 (spikes) to 10 (nearly uniform), in steps of 0.001. */
const smallestShape = 0.2;
const largestShape = 10;
const shapeStep = 0.001;
/** Below this many coefficients a fitted shape is noise. */
const leastSamples = 256;

/** (E|x|)^2 / E[x^2] of a generalised gaussian, increasing in its shape. */
function momentRatio(shape: number): number {
  return Math.exp(2 * gammaln(2 / shape) - gammaln(1 / shape) - gammaln(3 / shape));
}

const ratios = Float64Array.from({ length: Math.round((largestShape - smallestShape) / shapeStep) + 1 }, (_, index) =>
  momentRatio(smallestShape + index * shapeStep),
);

/**
 * Finds the shape of the generalised gaussian with this moment ratio (Sharifi and Leon-Garcia 1995). It reads the table
 * backwards, linearly between its entries; beyond its ends the shape is 0.2 or 10.
 */
function invertMomentRatio(ratio: number): number {
  if (Number.isNaN(ratio)) return Number.NaN;
  if (ratio <= ratios[0]) return smallestShape;
  let low = 0;
  let high = ratios.length - 1;
  if (ratio >= ratios[high]) return largestShape;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (ratios[middle] <= ratio) low = middle;
    else high = middle;
  }
  return smallestShape + (low + (ratio - ratios[low]) / (ratios[high] - ratios[low])) * shapeStep;
}

/** Sums over n samples of a variable x from which its asymmetric generalised gaussian is fitted. */
export interface Moments {
  n: number;
  /** Samples below zero. */
  negative: number;
  /** Sum of |x|. */
  absolute: number;
  /** Sum of x^2 below zero, and from zero up. */
  leftSquare: number;
  rightSquare: number;
}

/**
 * Generalised gaussian by moment matching.
 * @param absolute mean |x|
 * @param square mean x^2
 * @returns its shape: 2 for a gaussian, 1 for a Laplacian, limited to 0.2 to 10; NaN without any variance
 */
export function fitShape(absolute: number, square: number): number {
  return invertMomentRatio((absolute * absolute) / square);
}

/**
 * Asymmetric generalised gaussian by moment matching (Lasmar, Stitou and Berthoumieu 2009; BRISQUE's features).
 * @returns shape, mean, and the variances of its left and right half; NaN when one half is empty
 */
export function fitAsymmetric(moments: Moments): [shape: number, mean: number, left: number, right: number] {
  const { n, negative, absolute, leftSquare, rightSquare } = moments;
  const left = leftSquare / negative;
  const right = rightSquare / (n - negative);
  const gamma = Math.sqrt(left / right);
  const symmetric = (absolute / n) ** 2 / ((leftSquare + rightSquare) / n);
  const ratio = (symmetric * (gamma ** 3 + 1) * (gamma + 1)) / (gamma ** 2 + 1) ** 2;
  const shape = invertMomentRatio(ratio);
  // Gamma(2/a) / sqrt(Gamma(1/a) Gamma(3/a)) is the root of the moment ratio.
  return [shape, (Math.sqrt(right) - Math.sqrt(left)) * Math.sqrt(momentRatio(shape)), left, right];
}

const directions = [
  ['Horizontal', 'right'],
  ['Vertical', 'lower'],
  ['Diagonal1', 'lower right'],
  ['Diagonal2', 'lower left'],
] as const;

function describe(prefix: string, scale: string): StatisticRow[] {
  const row = (name: string, meaning: string, high: string, low: string, logFloor?: number): StatisticRow => ({
    name: `${prefix}${name}`,
    unit: 'ratio',
    group: 'naturalness',
    meaning: `${meaning} ${scale}.`,
    high,
    low,
    bad: 'both',
    ...(logFloor === undefined ? {} : { logFloor }),
    scored: true,
    digits: 3,
    source: 'Mittal, Moorthy and Bovik 2012',
  });
  return [
    row(
      'Shape',
      'Tail of the local-contrast-normalised pixels, 2 for noise and 1 for sparse edges,',
      'more noise-like than',
      'sparser than',
    ),
    row(
      'Variance',
      'Variance of the local-contrast-normalised pixels',
      'noisier or busier than',
      'smoother than',
      0.01,
    ),
    ...directions.flatMap(([name, neighbour]) => {
      const meaning = `products of a normalised pixel and its ${neighbour} neighbour`;
      return [
        row(`${name}Shape`, `Tail of the ${meaning}`, 'more regular than', 'sparser than', 0.1),
        row(
          `${name}Mean`,
          `Mean of the ${meaning}`,
          'more correlated neighbours than',
          'less correlated neighbours than',
        ),
        row(`${name}LeftVariance`, `Spread of the negative ${meaning}`, 'noisier than', 'smoother than', 0.001),
        row(
          `${name}RightVariance`,
          `Spread of the positive ${meaning}`,
          'more structure than',
          'less structure than',
          0.001,
        ),
      ];
    }),
  ];
}

/** The 18 statistics of one scale from the sums of naturalness.c. */
function fitScale(sums: Float64Array): number[] {
  const [n, absolute, square] = sums;
  if (n < leastSamples) return new Array<number>(18).fill(Number.NaN);
  const products = directions.flatMap((_, k) => {
    const [pairs, negative, absoluteProduct, leftSquare, rightSquare] = sums.subarray(4 + 5 * k, 9 + 5 * k);
    return fitAsymmetric({ n: pairs, negative, absolute: absoluteProduct, leftSquare, rightSquare });
  });
  return [fitShape(absolute / n, square / n), square / n, ...products];
}

/** Natural-scene statistics: how local contrast is distributed, which every distortion changes in its own way. */
export const naturalness: StatisticTable = {
  rows: [
    ...describe('mscn', 'at full scale'),
    ...describe('mscnHalf', 'at half scale'),
    {
      name: 'localContrast',
      unit: 'DN',
      group: 'naturalness',
      meaning: 'Mean standard deviation in a window of 7x7 pixels.',
      high: 'more local contrast than',
      low: 'flatter or hazier than',
      bad: 'both',
      logFloor: 0.1,
      scored: true,
      digits: 2,
      source: 'Mittal, Moorthy and Bovik 2012 (sigma)',
    },
  ],
  derive(out) {
    const full = slice(out, 'mscn');
    const contrast = full[0] < leastSamples ? Number.NaN : full[3] / full[0];
    return [...fitScale(full), ...fitScale(slice(out, 'mscnHalf')), contrast];
  },
};
