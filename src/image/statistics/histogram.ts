/**
 * Quantile of counted whole numbers by rule R-7: linear between the two order statistics around position p (n - 1).
 * @param counts how often each of 0, 1, 2, ... occurs
 * @param n their sum
 */
export function quantile(counts: Float64Array, n: number, p: number): number {
  const position = p * (n - 1);
  const low = Math.floor(position);
  let value = 0;
  let below = counts[0];
  while (below <= low) below += counts[++value];
  if (position === low || below > low + 1) return value;
  let next = value + 1;
  while (counts[next] === 0) next++;
  return value + (position - low) * (next - value);
}

/**
 * Median of magnitudes that were rounded to whole numbers: linear within the bin, which reaches from k - 1/2 to k + 1/2
 * (bin 0 only from 0), because whole medians would move in jumps larger than the noise of a clean image.
 */
export function medianMagnitude(counts: Float64Array, n: number): number {
  let below = 0;
  let k = 0;
  while (below + counts[k] < n / 2) below += counts[k++];
  const within = (n / 2 - below) / counts[k];
  return k === 0 ? within / 2 : k - 0.5 + within;
}
