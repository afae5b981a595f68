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
  const green = last >> 1;
  const { xs, ys } = planPoints(width, height, channels);
  let hash = '';
  for (let row = 0; row < side; row++) {
    let bits = 0;
    let before = 0;
    for (let column = 0; column <= side; column++) {
      let sum = 0;
      for (let j = row * samples; j < (row + 1) * samples; j++) {
        const line = ys[j];
        for (let i = column * samples; i < (column + 1) * samples; i++) {
          const at = line + xs[i];
          sum += data[at] + 2 * data[at + green] + data[at + last];
        }
      }
      if (column > 0) bits = (bits << 1) | (before > sum ? 1 : 0);
      before = sum;
    }
    hash += bits.toString(16).padStart(2, '0');
  }
  return hash;
}

interface PointPlan {
  key: string;
  xs: Int32Array;
  ys: Int32Array;
}

let known: PointPlan | undefined;

/** The pixels that are looked at; of the size that came last, which hardly ever changes. */
function planPoints(width: number, height: number, channels: number): PointPlan {
  const key = `${width} ${height} ${channels}`;
  if (known?.key === key) return known;
  known = { key, xs: choosePoints(width, side + 1, channels), ys: choosePoints(height, side, width * channels) };
  return known;
}

/**
 * The pixels of a side that are looked at, cell after cell.
 * @param step between neighbours, in bytes
 */
function choosePoints(length: number, cells: number, step: number): Int32Array {
  return Int32Array.from(
    { length: cells * samples },
    (_, i) => Math.floor(((Math.floor(i / samples) + ((i % samples) + 0.5) / samples) * length) / cells) * step,
  );
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
