import { gammaln } from 'simple-statistics';
import { StoplineError } from '../../errors.ts';

/** An interval for a share, both ends from 0 to 1. */
export interface Interval {
  low: number;
  high: number;
}

/**
 * The exact (Clopper-Pearson) confidence interval for a binomial share: what an achieved false-alarm rate is compared with.
 * The ends are quantiles of beta distributions, `B(α/2; h, n - h + 1)` and `B(1 - α/2; h + 1, n - h)` (Clopper and Pearson 1934).
 *
 * @param hits how often it happened, an integer from 0 to `n`
 * @param n how often it could have happened, an integer from 1
 * @param level confidence, above 0 and below 1; default 0.95
 * @throws {StoplineError} OPTION_INVALID when the numbers do not fit together
 * @example
 * clopperPearson(10, 1000); // { low: 0.00481, high: 0.01831 }
 */
export function clopperPearson(hits: number, n: number, level = 0.95): Interval {
  if (!Number.isInteger(n) || n < 1) {
    throw new StoplineError('OPTION_INVALID', `Expected an integer from 1 for n but received ${n}.`);
  }
  if (!Number.isInteger(hits) || hits < 0 || hits > n) {
    throw new StoplineError('OPTION_INVALID', `Expected an integer from 0 to ${n} for hits but received ${hits}.`);
  }
  if (!(level > 0 && level < 1)) {
    throw new StoplineError('OPTION_INVALID', `Expected a level above 0 and below 1 but received ${level}.`);
  }
  const tail = (1 - level) / 2;
  return {
    low: hits === 0 ? 0 : betaQuantile(tail, hits, n - hits + 1),
    high: hits === n ? 1 : betaQuantile(1 - tail, hits + 1, n - hits),
  };
}

/** Bisection: the distribution function is monotone, and 60 halvings reach the resolution of a double. */
function betaQuantile(p: number, a: number, b: number): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (incompleteBeta(middle, a, b) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Regularised incomplete beta function by its continued fraction (DLMF 8.17.22), evaluated by Lentz's method. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  // The fraction converges fast on this side of the mean; on the other, I_x(a, b) = 1 - I_{1-x}(b, a).
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(gammaln(a + b) - gammaln(a) - gammaln(b) + a * Math.log(x) + b * Math.log1p(-x) - Math.log(a));
  const tiny = 1e-300;
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1) || tiny);
  let fraction = d;
  for (let m = 1; m < 10_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d || tiny);
    c = 1 + even / c || tiny;
    fraction *= c * d;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d || tiny);
    c = 1 + odd / c || tiny;
    fraction *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return front * fraction;
}
