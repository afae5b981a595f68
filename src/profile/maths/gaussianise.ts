import { probit } from 'simple-statistics';
import { findQuantile } from './ranks.ts';

/** Far outside the reference every detector is saturated; beyond this many deviations nothing more is learnt. */
const zLimit = 30;

/** Heavy-tailed statistics are scored as logarithms. */
export function scoredValue(value: number, logFloor: number | undefined): number {
  return logFloor === undefined ? value : Math.log(Math.max(value, 0) + logFloor);
}

/** How coarse a statistic is, so that differences below its resolution are no evidence. */
export interface Grain {
  resolution: number;
  logFloor?: number | undefined;
}

/** The resolution on the scale of `scoredValue`, at one scored value. */
export function scoredResolution({ resolution, logFloor }: Grain, scored: number): number {
  return logFloor === undefined ? resolution : Math.log1p(resolution * Math.exp(-scored));
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
 * Fits the map on reference values: u = (rank + 0.5) / n with mid-ranks for ties, z = Phi^-1(u). Values closer than the
 * resolution are ties, and no deviation is narrower than it.
 * @returns undefined when all values are equal: such a statistic carries no rank information
 */
export function fitGaussianiser(values: Float64Array, grain: Grain = { resolution: 0 }): Gaussianiser | undefined {
  const sorted = values.slice().sort();
  const n = sorted.length;
  const x: number[] = [];
  const z: number[] = [];
  for (let start = 0; start < n; ) {
    let end = start + 1;
    const tie = scoredResolution(grain, sorted[start]);
    while (end < n && (sorted[end] === sorted[start] || sorted[end] - sorted[start] < tie)) end++;
    x.push((sorted[start] + sorted[end - 1]) / 2);
    z.push(probit((start + end) / 2 / n));
    start = end;
  }
  if (x.length < 2) return undefined;
  const keep = x.length <= maxKnots ? x.map((_, i) => i) : evenly(x.length, maxKnots);
  let mean = 0;
  for (const value of sorted) mean += value / n;
  let variance = 0;
  for (const value of sorted) variance += (value - mean) ** 2 / n;
  // A statistic that is constant but for a few images has no robust width; a fifth of its deviation stands in.
  const width = Math.max(
    (findQuantile(sorted, 0.9) - findQuantile(sorted, 0.1)) / 2.563,
    0.2 * Math.sqrt(variance),
    scoredResolution(grain, findQuantile(sorted, 0.5)),
  );
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
