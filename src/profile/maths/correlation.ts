/** How long a sequence remembers. */
export interface CorrelationTime {
  /**
   * Integrated correlation time in images, at least 1: n images tell as much of a mean as n / images independent ones.
   */
  images: number;
  /** Standard error of it. */
  error: number;
}

/**
 * Integrated correlation time 1 + 2 sum of autocorrelations, by the initial monotone sequence (Geyer 1992, section 3.3): sums of
 * two neighbouring autocorrelations of a reversible chain are positive, falling and convex, so the sum ends with the first that
 * is not positive, and each counts at most as much as the one before. Standard error after Sokal (1997): images * sqrt(2 (2 M + 1) / n)
 * with M lags used.
 * @param recordings numbers in order; between recordings nothing is remembered. Each is compared with its own mean.
 */
export function correlationTime(recordings: readonly ArrayLike<number>[]): CorrelationTime {
  const centred = recordings.filter(({ length }) => length > 1).map(centre);
  const count = centred.reduce((sum, { length }) => sum + length, 0);
  const longest = Math.max(0, ...centred.map(({ length }) => length));
  const covariance = (lag: number) => {
    let sum = 0;
    for (const x of centred) for (let i = lag; i < x.length; i++) sum += x[i] * x[i - lag];
    return sum;
  };
  const variance = covariance(0);
  if (!(variance > 0)) return { images: 1, error: 0 };
  let sum = 0;
  let lag = 0;
  let before = Number.POSITIVE_INFINITY;
  for (; lag + 1 < longest; lag += 2) {
    const pair = (covariance(lag) + covariance(lag + 1)) / variance;
    if (pair <= 0) break;
    before = Math.min(before, pair);
    sum += before;
  }
  const images = Math.max(1, 2 * sum - 1);
  return { images, error: images * Math.sqrt((2 * (2 * lag + 1)) / count) };
}

function centre(x: ArrayLike<number>): Float64Array {
  let mean = 0;
  for (let i = 0; i < x.length; i++) mean += x[i] / x.length;
  return Float64Array.from(x, (value) => value - mean);
}
