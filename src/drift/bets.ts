import { errorFunction, probit } from 'simple-statistics';

/**
 * Bets against "nothing has changed": e-values by the rank of an observation among calibration values.
 *
 * An e-value is a non-negative number whose mean is at most 1 as long as nothing has changed. A conformal p-value gives one
 * on average over calibration sets, but not for the one calibration set that there is: given that, an image of rank r comes with
 * the probability of a spacing of m uniform numbers, not with 1 / (m + 1), and a detector that looks at 10,000 images finds the
 * difference. So each bet is divided by a bound on its mean given the calibration set, which holds with probability 1 - delta
 * over calibration sets (`conditionalMeanBound`). It takes little: only the one mean must be bounded, not all
 * probabilities at once as with calibration-conditional p-values (Bates et al. 2023), which must hold at every threshold.
 */
export interface Bet {
  /** Factor by rank: how many of m calibration values are at least as large, 0 to m. */
  factors: Float64Array;
  /** What the mean over calibration values was divided by. */
  bound: number;
}

/**
 * Power bet on a score that grows: factor * p^(factor - 1) with p = (r + 1) / (m + 1).
 * @param m calibration values that are independent of each other
 */
export function powerBet(m: number, power: number, delta: number): Bet {
  return conditionalBet(
    Float64Array.from({ length: m + 1 }, (_, rank) => power * ((rank + 1) / (m + 1)) ** (power - 1)),
    delta,
  );
}

/** Deviations beyond this count as this: a bet on the mean must not hang on a few images. */
export const tiltLimit = 2.5;

/**
 * What a bet exp(tilt * z) on a shift of a standard normal statistic is divided by, with |z| limited to `tiltLimit` and z
 * known by its rank among m calibration values. The same upwards and downwards.
 */
export function tiltBound(m: number, tilt: number, delta: number): number {
  const raw = Float64Array.from({ length: m + 1 }, (_, rank) => {
    const z = probit((rank + 0.5) / (m + 1));
    return Math.exp(tilt * Math.max(-tiltLimit, Math.min(tiltLimit, z)));
  });
  return conditionalMeanBound(raw, delta);
}

function conditionalBet(raw: Float64Array, delta: number): Bet {
  const bound = conditionalMeanBound(raw, delta);
  return { factors: raw.map((value) => value / bound), bound };
}

/**
 * The number that the mean of `values` by rank stays below, given the calibration set, with probability 1 - delta over
 * calibration sets: the probabilities of the m + 1 ranks are spacings of uniform numbers, that is E_r / sum(E) with independent
 * exponentials. Tail by the saddlepoint approximation (Lugannani and Rice 1980), which is within a few percent of delta.
 */
export function conditionalMeanBound(values: Float64Array, delta: number): number {
  let mean = 0;
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const value of values) {
    mean += value / values.length;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (high - low < 1e-12 * high) return high;
  let [below, above] = [mean, high];
  while (above - below > 1e-6 * mean) {
    const middle = (below + above) / 2;
    if (tailAbove(values, middle) > delta) below = middle;
    else above = middle;
  }
  return above;
}

/** P(sum of (value - limit) E > 0) for a limit above the mean, E independent exponentials. */
function tailAbove(values: Float64Array, limit: number): number {
  let top = 0;
  for (const value of values) top = Math.max(top, value - limit);
  if (top <= 0) return 0;
  // The saddlepoint: where the slope of the cumulant generating function -sum ln(1 - t a) is 0.
  let [low, high] = [0, 1 / top];
  let t = 0;
  let curvature = 0;
  for (let step = 0; step < 60; step++) {
    let slope = 0;
    curvature = 0;
    for (const value of values) {
      const part = (value - limit) / (1 - t * (value - limit));
      slope += part;
      curvature += part * part;
    }
    if (slope < 0) low = t;
    else high = t;
    // Newton's step, or half of what is left where that leads outside.
    const next = t - slope / curvature;
    const before = t;
    t = next > low && next < high ? next : (low + high) / 2;
    if (Math.abs(t - before) <= 1e-9 * t) break;
  }
  let cumulant = 0;
  for (const value of values) cumulant -= Math.log1p(-t * (value - limit));
  const w = Math.sqrt(Math.max(0, -2 * cumulant));
  const u = t * Math.sqrt(curvature);
  if (!(w > 1e-6)) return 0.5;
  const density = Math.exp((-w * w) / 2) / Math.sqrt(2 * Math.PI);
  return Math.max(0, Math.min(1, (1 - errorFunction(w / Math.SQRT2)) / 2 + density * (1 / u - 1 / w)));
}
