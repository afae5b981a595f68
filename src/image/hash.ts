import type { Frame } from './frame.ts';

/** Columns that are compared with their right neighbour; as many rows. */
const side = 8;
/** Pixels looked at along each side of a cell: what matters is that the same picture gives the same bits. */
const samples = 12;

/**
 * 64-bit difference hash: brightness on a grid of 9 by 8 cells, a bit for every cell that is brighter than its right
 * neighbour, row by row. The same picture gives the same hash; a repeated picture that was compressed again differs in a
 * few bits.
 * @returns 16 hexadecimal digits
 */
export function differenceHash({ data, width, height, channels }: Frame): string {
  const last = channels < 3 ? 0 : 2;
  let hash = '';
  for (let row = 0; row < side; row++) {
    let bits = 0;
    let before = 0;
    for (let column = 0; column <= side; column++) {
      let sum = 0;
      for (let j = 0; j < samples; j++) {
        const y = Math.floor(((row + (j + 0.5) / samples) * height) / side);
        for (let i = 0; i < samples; i++) {
          const x = Math.floor(((column + (i + 0.5) / samples) * width) / (side + 1));
          const at = (y * width + x) * channels;
          sum += data[at] + 2 * data[at + (last >> 1)] + data[at + last];
        }
      }
      if (column > 0) bits = (bits << 1) | (before > sum ? 1 : 0);
      before = sum;
    }
    hash += bits.toString(16).padStart(2, '0');
  }
  return hash;
}

/** Bits in which two hashes differ. */
export function hashDistance(a: string, b: string): number {
  let distance = 0;
  for (let i = 0; i < 16; i++) {
    let differing = Number.parseInt(a[i], 16) ^ Number.parseInt(b[i], 16);
    for (; differing > 0; differing &= differing - 1) distance++;
  }
  return distance;
}
