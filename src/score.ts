import { probit } from 'simple-statistics';
import { StoplineError } from './errors.ts';
import type { Profile } from './profile.ts';

/** Far outside the reference every detector is saturated; beyond this many deviations nothing more is learnt. */
const zLimit = 30;

/** Heavy-tailed statistics are scored as logarithms. */
export function scoredValue(value: number, logFloor: number | undefined): number {
  return logFloor === undefined ? value : Math.log(Math.max(value, 0) + logFloor);
}

/**
 * A monotone map of one statistic to a standard normal: piecewise linear between knots at mid-ranks of the reference,
 * continued outside it with the robust slope (p90 - p10) / 2.563.
 */
export interface Gaussianiser {
  x: Float64Array;
  z: Float64Array;
  /** Deviations per unit below the first and above the last knot. */
  slope: number;
}

/** Knots per statistic: enough that the map's error is far below the sampling error of the ranks themselves. */
const maxKnots = 128;

/**
 * Fits the map on reference values (statistics.md, 7.1): u = (rank + 0.5) / n with mid-ranks for ties, z = Phi^-1(u).
 * @returns undefined when all values are equal: such a statistic carries no rank information
 */
export function fitGaussianiser(values: Float64Array): Gaussianiser | undefined {
  const sorted = values.slice().sort();
  const n = sorted.length;
  const x: number[] = [];
  const z: number[] = [];
  for (let start = 0; start < n; ) {
    let end = start;
    while (end < n && sorted[end] === sorted[start]) end++;
    x.push(sorted[start]);
    z.push(probit((start + end) / 2 / n));
    start = end;
  }
  if (x.length < 2) return undefined;
  const keep = x.length <= maxKnots ? x.map((_, i) => i) : evenly(x.length, maxKnots);
  const at = (share: number) => sorted[Math.min(n - 1, Math.floor(share * n))];
  let mean = 0;
  for (const value of sorted) mean += value / n;
  let variance = 0;
  for (const value of sorted) variance += (value - mean) ** 2 / n;
  // A statistic that is constant but for a few images has no robust width; a fifth of its deviation stands in.
  const width = Math.max((at(0.9) - at(0.1)) / 2.563, 0.2 * Math.sqrt(variance));
  return {
    x: Float64Array.from(keep, (i) => x[i]),
    z: Float64Array.from(keep, (i) => z[i]),
    slope: 1 / width,
  };
}

function evenly(length: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.round((i * (length - 1)) / (count - 1)));
}

/** Deviations of one value; 0 (no evidence) when it is missing. */
export function gaussianise({ x, z, slope }: Gaussianiser, value: number): number {
  if (Number.isNaN(value)) return 0;
  const last = x.length - 1;
  if (value <= x[0]) return Math.max(-zLimit, z[0] + (value - x[0]) * slope);
  if (value >= x[last]) return Math.min(zLimit, z[last] + (value - x[last]) * slope);
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= value) low = middle;
    else high = middle;
  }
  return z[low] + ((value - x[low]) / (x[high] - x[low])) * (z[high] - z[low]);
}

/** ln of the squared Mahalanobis distance of the chosen members. */
export function logDistance(z: Float64Array, members: readonly number[], mean: Float64Array, precision: Float64Array) {
  const count = members.length;
  let sum = 0;
  for (let row = 0; row < count; row++) {
    const deviation = z[members[row]] - mean[row];
    let inner = 0;
    for (let column = 0; column < count; column++) {
      inner += precision[row * count + column] * (z[members[column]] - mean[column]);
    }
    sum += deviation * inner;
  }
  return Math.log(Math.max(sum, 1e-9));
}

/**
 * Surprise of the categorical properties: the sum over properties of -ln((count + 1) / (n + 1)), so that a value never
 * seen in n images adds ln(n + 1). `leaveOut` is 1 when the image itself is among the counted.
 */
export function surprise(
  categories: Profile['categories'],
  properties: Readonly<Record<string, string>>,
  leaveOut: 0 | 1 = 0,
): number {
  let sum = 0;
  for (const [property, value] of Object.entries(properties)) {
    const counts = categories[property];
    if (!counts) continue;
    let total = 0;
    for (const count of Object.values(counts)) total += count;
    const count = Object.hasOwn(counts, value) ? counts[value] : 0;
    sum += Math.log((total - leaveOut + 1) / (Math.max(0, count - leaveOut) + 1));
  }
  return sum;
}

/** Conformal p-value of a score against sorted calibration scores: (1 + #{calibration >= score}) / (m + 1). */
export function conformalPValue(sorted: Float64Array, score: number): number {
  return (1 + sorted.length - countBelow(sorted, score, false)) / (sorted.length + 1);
}

/** Two-sided: twice the smaller of the two one-sided conformal p-values, at most 1. */
export function twoSidedPValue(sorted: Float64Array, value: number): number {
  const atMost = countBelow(sorted, value, true);
  const atLeast = sorted.length - countBelow(sorted, value, false);
  return Math.min(1, (2 * (1 + Math.min(atMost, atLeast))) / (sorted.length + 1));
}

/** How many sorted values are < value, or <= value when `inclusive`. */
export function countBelow(sorted: Float64Array, value: number, inclusive: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (inclusive ? sorted[middle] <= value : sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One of the parts the combined score is the maximum of. */
export interface Component {
  name: string;
  /** Positions among the scored statistics. */
  members: readonly number[];
  mean: Float64Array;
  /** Inverse covariance, row-major. */
  precision: Float64Array;
}

/** The value of every component for one image, the categorical surprise last. */
export function componentValues(components: readonly Component[], z: Float64Array, categorical: number): Float64Array {
  const values = new Float64Array(components.length + 1);
  for (let i = 0; i < components.length; i++) {
    values[i] = logDistance(z, components[i].members, components[i].mean, components[i].precision);
  }
  values[components.length] = categorical;
  return values;
}

/** Strangeness of one image. */
export interface Score {
  /** Maximum over the components of (value - median) / (99.5 % quantile - median): about 1 at the edge of the reference. */
  score: number;
  pValue: number;
  /** Deviations of every scored statistic. */
  z: Float64Array;
  /** Normalised value of every component, in the order of `profile.components`. */
  components: Float64Array;
}

/** Scores images against one Profile; holds the tensors in the form the arithmetic wants. */
export interface Scorer {
  /** Value of every scored statistic, picked out of a full vector. */
  select(vector: Float64Array): Float64Array;
  score(vector: Float64Array, properties: Readonly<Record<string, string>>): Score;
  /** Sorted values of one scored statistic over the calibration images. */
  calibration(position: number): Float64Array;
}

/**
 * @param order names of all statistics in the order of the vectors that will be scored
 * @throws {StoplineError} PROFILE_VERSION when the Profile knows a statistic that this version does not measure
 */
export function createScorer(profile: Profile, order: readonly string[]): Scorer {
  const { tensors } = profile;
  const positions = profile.statistics.map(({ name }) => {
    const position = order.indexOf(name);
    if (position < 0) {
      throw new StoplineError(
        'PROFILE_VERSION',
        `The profile was fitted with a statistic "${name}" that this version of Stopline does not measure. Fit it again: stopline fit <folder> --out FILE`,
      );
    }
    return position;
  });
  const offsets = tensors.knotOffsets.data;
  const gaussianisers = positions.map((_, i): Gaussianiser => {
    const [from, to] = [offsets[i], offsets[i + 1]];
    return {
      x: tensors.knotValues.data.subarray(from, to),
      z: tensors.knotDeviations.data.subarray(from, to),
      slope: tensors.slopes.data[i],
    };
  });
  const components = profile.components.slice(0, -1).map(({ name, members }, i): Component => {
    return { name, members, mean: tensors[`mean${i}`].data, precision: tensors[`precision${i}`].data };
  });
  const calibrationScores = tensors.calibrationScores.data;
  const [, calibrated] = tensors.calibrationValues.shape;

  const select = (vector: Float64Array) => Float64Array.from(positions, (position) => vector[position]);
  return {
    select,
    calibration: (position) =>
      tensors.calibrationValues.data.subarray(position * calibrated, (position + 1) * calibrated),
    score(vector, properties) {
      const z = select(vector);
      for (let i = 0; i < z.length; i++) {
        z[i] = gaussianise(gaussianisers[i], scoredValue(z[i], profile.statistics[i].logFloor));
      }
      const values = componentValues(components, z, surprise(profile.categories, properties));
      const score = normalise(values, profile.components);
      return { score, pValue: conformalPValue(calibrationScores, score), z, components: values };
    },
  };
}

/** Normalises component values in place and returns their maximum. */
export function normalise(values: Float64Array, by: readonly { median: number; scale: number }[]): number {
  let maximum = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    values[i] = (values[i] - by[i].median) / by[i].scale;
    maximum = Math.max(maximum, values[i]);
  }
  return maximum;
}
