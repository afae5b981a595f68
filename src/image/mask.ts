import { StoplineError } from '../errors.ts';
import type { Frame } from './frame.ts';
import { statistics } from './statistics/statistics.ts';

/** What counts and what does not, on a grid that is laid over an image of whatever size. */
export interface Mask {
  width: number;
  height: number;
  /** Lengths of runs of cells, row by row, by turns of what counts and of what does not; the first may be 0. */
  runs: number[];
}

/** A rectangle in shares of the sides, 0 to 1, from the upper left corner. */
export interface MaskedArea {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Cells of a mask that is made of areas, on either side. */
const areaCells = 500;
/** Side of the largest block that a JPEG codes together, in pixels: what lies under the mask reaches so far. */
const block = 16;
/** Pixels beyond the block into which a decoder smooths colours, and a reduction of large images everything. */
const bleed = 2;
/** Less than this share of an image left is too little to judge. */
const leastKept = 0.1;

/**
 * A mask of areas that do not count: cells that they touch.
 * @throws {StoplineError} OPTION_INVALID unless every area lies within the image and is not empty
 */
export function maskAreas(areas: readonly MaskedArea[]): Mask {
  const isHidden = new Uint8Array(areaCells * areaCells);
  for (const { left, top, right, bottom } of areas) {
    const isWithin = [left, top, right, bottom].every((share) => share >= 0 && share <= 1);
    if (!isWithin || left >= right || top >= bottom) {
      throw new StoplineError(
        'OPTION_INVALID',
        `Expected areas of a mask as left,top,right,bottom in shares of the sides, 0 to 1, left before right and top before bottom, but received ${[left, top, right, bottom].join(',')}.`,
      );
    }
    for (let y = Math.floor(top * areaCells); y < Math.ceil(bottom * areaCells); y++) {
      isHidden.fill(1, y * areaCells + Math.floor(left * areaCells), y * areaCells + Math.ceil(right * areaCells));
    }
  }
  return encodeMask(isHidden, areaCells, areaCells);
}

/** @param isHidden a cell each, row by row: not 0 where it does not count */
export function encodeMask(isHidden: Uint8Array, width: number, height: number): Mask {
  const runs: number[] = [];
  let [hides, length] = [false, 0];
  for (const value of isHidden) {
    if ((value !== 0) === hides) length++;
    else {
      runs.push(length);
      hides = !hides;
      length = 1;
    }
  }
  return { width, height, runs: [...runs, length] };
}

/** A byte a cell, 1 where it does not count. */
function decodeMask({ width, height, runs }: Mask): Uint8Array {
  const isHidden = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < runs.length; at += runs[i], i++) if (i & 1) isHidden.fill(1, at, at + runs[i]);
  return isHidden;
}

/**
 * Takes masked parts out of frames: each masked pixel becomes one of those that count, mirrored at the border of the mask along its
 * row, or along its column where a whole row is masked. So nothing under the mask reaches any number, and what is there instead
 * has the texture of what lies beside it. The mask grows to whole blocks of 16 pixels and 2 beyond, because a JPEG mixes
 * within them.
 */
export class Masking {
  readonly mask: Mask;
  readonly #isHidden: Uint8Array;
  /** For the size that came last: where each masked pixel is taken from. */
  #plan: { width: number; height: number; to: Int32Array; from: Int32Array } | undefined;

  constructor(mask: Mask) {
    this.mask = mask;
    this.#isHidden = decodeMask(mask);
  }

  /**
   * Fills the masked pixels of a frame, which is changed.
   * @throws {StoplineError} IMAGE_MASKED where too little of an image of this size counts
   */
  fill({ data, width, height, channels }: Frame): void {
    const { to, from } = this.#planFor(width, height);
    for (let i = 0; i < to.length; i++) {
      const target = to[i] * channels;
      const source = from[i] * channels;
      for (let c = 0; c < channels; c++) data[target + c] = data[source + c];
    }
  }

  /** The same on a copy, for pixels that belong to somebody else. */
  copy(frame: Frame): Frame {
    const copied = { ...frame, data: new Uint8Array(frame.data) };
    this.fill(copied);
    return copied;
  }

  #planFor(width: number, height: number) {
    if (this.#plan?.width === width && this.#plan.height === height) return this.#plan;
    const isHidden = this.#grow(width, height);
    const kept = isHidden.reduce((sum, value) => sum + Number(value === 0), 0);
    if (kept < leastKept * width * height) {
      throw new StoplineError(
        'IMAGE_MASKED',
        `Expected at least ${100 * leastKept} % of the image outside the mask but ${Math.round((100 * kept) / (width * height))} % of ${width}x${height} is: it cannot be checked.`,
      );
    }
    this.#plan = { width, height, ...planFill(isHidden, width, height) };
    return this.#plan;
  }

  /** The mask at a size: a byte a pixel. */
  #grow(width: number, height: number): Uint8Array {
    const { width: columns, height: rows } = this.mask;
    const grown = new Uint8Array(width * height);
    for (let y = 0; y < height; y += block) {
      const bottom = Math.min(height, y + block);
      for (let x = 0; x < width; x += block) {
        const right = Math.min(width, x + block);
        if (
          !this.#touches(
            (x * columns) / width,
            (y * rows) / height,
            (right * columns) / width,
            (bottom * rows) / height,
          )
        )
          continue;
        for (let row = Math.max(0, y - bleed); row < Math.min(height, bottom + bleed); row++) {
          grown.fill(1, row * width + Math.max(0, x - bleed), row * width + Math.min(width, right + bleed));
        }
      }
    }
    return grown;
  }

  #touches(left: number, top: number, right: number, bottom: number): boolean {
    const { width } = this.mask;
    for (let y = Math.floor(top); y < bottom; y++) {
      for (let x = Math.floor(left); x < right; x++) if (this.#isHidden[y * width + x]) return true;
    }
    return false;
  }
}

/** Where each masked pixel is taken from; rows first, so that rows that are masked as a whole are taken from filled ones. */
function planFill(isHidden: Uint8Array, width: number, height: number): { to: Int32Array; from: Int32Array } {
  const to: number[] = [];
  const from: number[] = [];
  const keptRows: number[] = [];
  for (let y = 0; y < height; y++) {
    const row = isHidden.subarray(y * width, (y + 1) * width);
    const sources = mirrorLine(row);
    if (!sources) continue;
    keptRows.push(y);
    for (let x = 0; x < width; x++) {
      if (!row[x]) continue;
      to.push(y * width + x);
      from.push(y * width + sources[x]);
    }
  }
  const isRowHidden = new Uint8Array(height).fill(1);
  for (const y of keptRows) isRowHidden[y] = 0;
  const rows = mirrorLine(isRowHidden) as Int32Array;
  for (let y = 0; y < height; y++) {
    if (!isRowHidden[y]) continue;
    for (let x = 0; x < width; x++) {
      to.push(y * width + x);
      from.push(rows[y] * width + x);
    }
  }
  return { to: Int32Array.from(to), from: Int32Array.from(from) };
}

/**
 * For every place of a line the place it is taken from: itself where it counts, else among those that count as far behind the
 * nearer border as it lies before it; there and back again where they are few.
 * @returns undefined where none counts
 */
function mirrorLine(isHidden: Uint8Array): Int32Array | undefined {
  const kept: number[] = [];
  const before = Int32Array.from(isHidden, (hides, at) => {
    if (!hides) kept.push(at);
    return kept.length;
  });
  if (kept.length === 0) return undefined;
  const bounce = (at: number) => {
    const period = Math.max(1, 2 * kept.length);
    const wrapped = ((at % period) + period) % period;
    return kept[wrapped < kept.length ? wrapped : period - 1 - wrapped];
  };
  return Int32Array.from(isHidden, (hides, at) => {
    if (!hides) return at;
    const next = before[at];
    const left = next > 0 ? at - kept[next - 1] : Number.POSITIVE_INFINITY;
    const right = next < kept.length ? kept[next] - at : Number.POSITIVE_INFINITY;
    return left <= right ? bounce(next - left) : bounce(next + right - 1);
  });
}

const tellsSize = statistics.map(({ name }) => name === 'bytesPerPixel' || name === 'codedBytesPerPixel');

/** Statistics without the size of the file, which what lies under the mask decides, too. */
export function withoutFileSize(vector: Float64Array): Float64Array {
  return vector.map((value, i) => (tellsSize[i] ? Number.NaN : value));
}
