import type { Frame } from './frame.ts';

/** Cells of a sketch. A hundredth of the picture is about one cell. */
export const sketchColumns = 96;
export const sketchRows = 54;

/**
 * A frame as a small grey picture: the mean brightness of each of 96 x 54 cells, row by row, from 0 to 255. What stands still and
 * where the camera looks can be told from it, and sensor noise is averaged away.
 */
export function drawSketch({ data, width, height, channels }: Frame): Uint8Array {
  const sketch = new Uint8Array(sketchColumns * sketchRows);
  const last = channels < 3 ? 0 : 2;
  const lefts = Array.from({ length: sketchColumns + 1 }, (_, i) => Math.floor((i * width) / sketchColumns));
  for (let row = 0; row < sketchRows; row++) {
    const top = Math.floor((row * height) / sketchRows);
    const bottom = Math.max(top + 1, Math.floor(((row + 1) * height) / sketchRows));
    // Some 25 pixels of a large cell are enough.
    const step = Math.max(1, Math.floor((bottom - top) / 5));
    for (let column = 0; column < sketchColumns; column++) {
      const left = lefts[column];
      const right = Math.max(left + 1, lefts[column + 1]);
      let sum = 0;
      let count = 0;
      for (let y = top; y < bottom; y += step) {
        let at = (y * width + left) * channels;
        for (let x = left; x < right; x += step, at += step * channels) {
          sum += data[at] + 2 * data[at + (last >> 1)] + data[at + last];
          count++;
        }
      }
      sketch[row * sketchColumns + column] = Math.round(sum / (4 * count));
    }
  }
  return sketch;
}
