/** The quantile that verdicts show: the value that a share of the values lies below. */
export function findQuantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

/**
 * Conformal p-value of a score against sorted calibration scores: (1 + #{calibration >= score}) / (m + 1). A score that is not
 * a number counts as beyond all of them, because nothing is known of it.
 */
export function conformalPValue(sorted: Float64Array, score: number): number {
  if (Number.isNaN(score)) return 1 / (sorted.length + 1);
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
