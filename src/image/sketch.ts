import type { Frame } from './frame.ts';

/** Cells of a sketch. A hundredth of the picture is about one cell. */
export const sketchColumns = 96;
export const sketchRows = 54;
/** Points looked at along each side of a large cell: sixteen of its pixels are enough. */
const points = 4;

/**
 * A frame as a small grey picture: the mean brightness of each of 96 x 54 cells, row by row, from 0 to 255. What stands still and
 * where the camera looks can be told from it, and sensor noise is averaged away.
 */
export function drawSketch({ data, width, height, channels }: Frame): Uint8Array {
  const sketch = new Uint8Array(sketchColumns * sketchRows);
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  const sums = new Uint32Array(sketchColumns);
  for (let row = 0; row < sketchRows; row++) {
    const top = Math.floor((row * height) / sketchRows);
    const bottom = Math.max(top + 1, Math.floor(((row + 1) * height) / sketchRows));
    const step = Math.max(1, Math.floor((bottom - top) / points));
    const { offsets, counts } = planRow({ width, channels, step });
    sums.fill(0);
    let lines = 0;
    for (let y = top; y < bottom; y += step, lines++) {
      const line = y * width * channels;
      for (let column = 0, i = 0; column < sketchColumns; column++) {
        const end = i + counts[column];
        let sum = 0;
        for (; i < end; i++) {
          const at = line + offsets[i];
          sum += data[at] + 2 * data[at + green] + data[at + blue];
        }
        sums[column] += sum;
      }
    }
    for (let column = 0; column < sketchColumns; column++) {
      sketch[row * sketchColumns + column] = Math.round(sums[column] / (4 * counts[column] * lines));
    }
  }
  return sketch;
}

interface RowPlan {
  key: string;
  /** Of every pixel of a line that is looked at, cell by cell, in bytes from its left end. */
  offsets: Int32Array;
  /** How many of them each cell has. */
  counts: Uint8Array;
}

let known: RowPlan | undefined;

/** The pixels of a line that are looked at; of the size that came last, which hardly ever changes. */
function planRow({ width, channels, step }: { width: number; channels: number; step: number }): RowPlan {
  const key = `${width} ${channels} ${step}`;
  if (known?.key === key) return known;
  const offsets: number[] = [];
  const counts = new Uint8Array(sketchColumns);
  for (let column = 0; column < sketchColumns; column++) {
    const left = Math.floor((column * width) / sketchColumns);
    const right = Math.max(left + 1, Math.floor(((column + 1) * width) / sketchColumns));
    for (let x = left; x < right; x += step) {
      offsets.push(x * channels);
      counts[column]++;
    }
  }
  known = { key, offsets: Int32Array.from(offsets), counts };
  return known;
}
