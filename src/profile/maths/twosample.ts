/**
 * Two-sample tests of a window against the reference. They say what has changed; whether it has is for the sequential
 * detectors to say, because a test of a fixed sample that is looked at again and again is none.
 */

/** Above this many lattice points the limiting distribution is used: counting them for all statistics would take too long. */
const exactLimit = 20_000;

/**
 * Two-sample Kolmogorov-Smirnov test, two-sided; exact for small samples.
 * @param a sorted
 * @param b sorted
 * @param effective sizes that the p-value is told by, where samples are not independent; default: those of a and b
 * @param tolerance values that differ by less count as equal: the distance is the smallest that such differences allow
 */
export function kolmogorovSmirnov(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  effective: { a: number; b: number } = { a: a.length, b: b.length },
  tolerance = 0,
): { statistic: number; pValue: number } {
  const statistic = Math.max(0, excess(a, b, tolerance), excess(b, a, tolerance));
  const [n, m] = [Math.max(1, Math.floor(effective.a)), Math.max(1, Math.floor(effective.b))];
  const pValue = n * m <= exactLimit ? exactTail(n, m, statistic) : limitTail(n, m, statistic);
  return { statistic, pValue };
}

/** The most that the distribution function of `a` lies above that of `b`, whose values may be smaller by the tolerance. */
function excess(a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number): number {
  let most = 0;
  for (let i = 0, j = 0; i < a.length; ) {
    const value = a[i];
    while (i < a.length && a[i] <= value) i++;
    while (j < b.length && b[j] <= value + tolerance) j++;
    most = Math.max(most, i / a.length - j / b.length);
  }
  return most;
}

/**
 * P(D >= d) by counting lattice paths from (0, 0) to (n, m) that stay inside (Hodges 1958), as probabilities so that nothing
 * overflows.
 */
function exactTail(n: number, m: number, d: number): number {
  // A distance is a multiple of 1 / (n m): one that rounding left just below d belongs to the tail.
  const limit = d - 0.5 / (n * m) - 1e-12;
  if (limit <= 0) return 1;
  const inside = new Float64Array(m + 1);
  for (let i = 0; i <= n; i++) {
    for (let j = 0; j <= m; j++) {
      if (Math.abs(i / n - j / m) > limit) inside[j] = 0;
      else if (i === 0 && j === 0) inside[j] = 1;
      else {
        const left = j > 0 ? (inside[j - 1] * j) / (i + j) : 0;
        const below = i > 0 ? (inside[j] * i) / (i + j) : 0;
        inside[j] = left + below;
      }
    }
  }
  return Math.min(1, Math.max(0, 1 - inside[m]));
}

/** Kolmogorov's limit with the small-sample correction of Stephens (1970). */
function limitTail(n: number, m: number, d: number): number {
  const root = Math.sqrt((n * m) / (n + m));
  const lambda = (root + 0.12 + 0.11 / root) * d;
  if (lambda < 0.2) return 1;
  let sum = 0;
  for (let j = 1; j <= 100; j++) {
    const term = Math.exp(-2 * j * j * lambda * lambda);
    sum += j % 2 === 1 ? term : -term;
    if (term < 1e-16) break;
  }
  return Math.min(1, Math.max(0, 2 * sum));
}

/**
 * 1-Wasserstein distance between two samples: the area between their distribution functions.
 * @param a sorted
 * @param b sorted
 */
export function wasserstein(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let distance = 0;
  let before = Math.min(a[0], b[0]);
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const value = Math.min(
      i < a.length ? a[i] : Number.POSITIVE_INFINITY,
      j < b.length ? b[j] : Number.POSITIVE_INFINITY,
    );
    distance += Math.abs(i / a.length - j / b.length) * (value - before);
    while (i < a.length && a[i] <= value) i++;
    while (j < b.length && b[j] <= value) j++;
    before = value;
  }
  return distance;
}

/** Benjamini-Hochberg adjusted p-values, in the order given. */
export function benjaminiHochberg(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[b] - pValues[a]);
  const adjusted = new Array<number>(pValues.length);
  let least = 1;
  for (const [place, i] of order.entries()) {
    least = Math.min(least, (pValues[i] * pValues.length) / (pValues.length - place));
    adjusted[i] = least;
  }
  return adjusted;
}

/**
 * Unbiased squared maximum mean discrepancy with a gaussian kernel exp(-d^2 / (2 s^2)), s the median distance of all pairs
 * (Gretton et al. 2012), and its permutation p-value (1 + k) / (1 + permutations).
 * @param a rows, at least two
 * @param b rows, at least two
 * @param random numbers from 0 to 1
 */
export function maximumMeanDiscrepancy(
  a: readonly ArrayLike<number>[],
  b: readonly ArrayLike<number>[],
  { permutations, random }: { permutations: number; random: () => number },
): { statistic: number; pValue: number } {
  const rows = [...a, ...b];
  const count = rows.length;
  const kernel = new Float64Array(count * count);
  const squares = new Float64Array((count * (count - 1)) / 2);
  let pairs = 0;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < i; j++) {
      let square = 0;
      for (let k = 0; k < rows[i].length; k++) {
        const difference = rows[i][k] - rows[j][k];
        square += difference * difference;
      }
      squares[pairs++] = square;
      kernel[i * count + j] = square;
    }
  }
  const scale = 2 * computeMedian(squares);
  const rowSums = new Float64Array(count);
  let total = 0;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < i; j++) {
      const value = scale > 0 ? Math.exp(-kernel[i * count + j] / scale) : 1;
      kernel[i * count + j] = value;
      kernel[j * count + i] = value;
      rowSums[i] += value;
      rowSums[j] += value;
      total += 2 * value;
    }
  }
  const order = Int32Array.from({ length: count }, (_, i) => i);
  const [n, m] = [a.length, b.length];
  const computeStatistic = () => {
    let within = 0;
    let all = 0;
    for (let i = 0; i < n; i++) {
      all += rowSums[order[i]];
      for (let j = 0; j < i; j++) within += 2 * kernel[order[i] * count + order[j]];
    }
    const between = all - within;
    const others = total - 2 * between - within;
    return within / (n * (n - 1)) + others / (m * (m - 1)) - (2 * between) / (n * m);
  };
  const statistic = computeStatistic();
  let atLeast = 0;
  for (let permutation = 0; permutation < permutations; permutation++) {
    // Only who is among the first n matters.
    for (let i = 0; i < n; i++) {
      const other = i + Math.floor(random() * (count - i));
      [order[i], order[other]] = [order[other], order[i]];
    }
    if (computeStatistic() >= statistic - 1e-12) atLeast++;
  }
  return { statistic, pValue: (1 + atLeast) / (1 + permutations) };
}

function computeMedian(values: Float64Array): number {
  values.sort();
  const middle = values.length >> 1;
  return values.length % 2 === 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}
