/**
 * The upper tail of a sample, as an exponential: of the values beyond `from`, which are `share` of all, the mean lies `excess`
 * beyond it. For excesses over a high threshold this is the generalised Pareto distribution of shape 0 (Pickands 1975).
 */
export interface Tail {
  from: number;
  share: number;
  excess: number;
}

/** The tail is the top tenth, and no fewer values than this say how long it is. */
const tailShare = 0.1;
const leastValues = 10;

/** @param sorted ascending; at least two */
export function fitTail(sorted: ArrayLike<number>): Tail {
  const n = sorted.length;
  const count = Math.min(n - 1, Math.max(leastValues, Math.ceil(tailShare * n)));
  const from = sorted[n - count - 1];
  let excess = 0;
  for (let i = n - count; i < n; i++) excess += (sorted[i] - from) / count;
  // Where the values beyond are all the same one, whatever lies farther is as far as it gets.
  return { from, share: count / n, excess: Math.max(excess, 1e-9) };
}

/** The share of images that is expected beyond a value above `from`: an estimate, which reaches below 1 / n. */
export function shareBeyond({ from, share, excess }: Tail, value: number): number {
  return share * Math.exp(-(value - from) / excess);
}

/** Steps from the least value to the tail. */
export const knotCount = 33;

/** The values at even shares from the least value to where the tail begins. @param sorted ascending */
export function knotsBelow(sorted: ArrayLike<number>, { share }: Tail): Float64Array {
  const last = Math.round(sorted.length * (1 - share)) - 1;
  return Float64Array.from({ length: knotCount }, (_, i) => {
    const at = (last * i) / (knotCount - 1);
    const below = Math.floor(at);
    const above = Math.min(last, below + 1);
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
  });
}

/**
 * How strange a value is: -ln of the share of the sample at or beyond it, between the knots by interpolation and beyond them by the
 * tail. 0 for the least value and below.
 */
export function strangeness(tail: Tail, knots: ArrayLike<number>, value: number): number {
  const last = knotCount - 1;
  if (value >= tail.from) return -Math.log(tail.share) + (value - tail.from) / tail.excess;
  if (!(value > knots[0])) return 0;
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (knots[middle] <= value) low = middle;
    else high = middle;
  }
  const at = (low + (value - knots[low]) / (knots[low + 1] - knots[low])) / last;
  return -Math.log(1 - at * (1 - tail.share));
}
