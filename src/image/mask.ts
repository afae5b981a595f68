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

/** A polygon of at least three corners in the same shares, its last corner joined to the first. */
export interface MaskedPolygon {
  points: readonly (readonly [x: number, y: number])[];
}

/** What is hidden of the images of one source, with a name by which what is prepared for it is found again. */
export interface SourceMask {
  key: string;
  masks: readonly Mask[];
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
export function maskAreas(areas: readonly (MaskedArea | MaskedPolygon)[]): Mask {
  const isHidden = new Uint8Array(areaCells * areaCells);
  for (const area of areas) {
    if ('points' in area) {
      hidePolygon(isHidden, area);
      continue;
    }
    const { left, top, right, bottom } = area;
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

/** Hides the cells whose middle lies within (by the even-odd rule), and those that an edge passes through. */
function hidePolygon(isHidden: Uint8Array, { points }: MaskedPolygon): void {
  if (points.length < 3 || !points.flat().every((share) => share >= 0 && share <= 1)) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected polygons of a mask as x,y of at least three corners in shares of the sides, 0 to 1, but received ${points.join(',')}.`,
    );
  }
  const corners = points.map(([x, y]) => [x * areaCells, y * areaCells] as const);
  const edges = corners.map((from, i) => [from, corners[(i + 1) % corners.length]] as const);
  for (let row = 0; row < areaCells; row++) {
    const middle = row + 0.5;
    const crossings = edges
      .filter(([[, y0], [, y1]]) => y0 > middle !== y1 > middle)
      .map(([[x0, y0], [x1, y1]]) => x0 + ((middle - y0) / (y1 - y0)) * (x1 - x0))
      .sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      isHidden.fill(
        1,
        row * areaCells + Math.ceil(crossings[i] - 0.5),
        row * areaCells + Math.ceil(crossings[i + 1] - 0.5),
      );
    }
  }
  for (const [[x0, y0], [x1, y1]] of edges) {
    const steps = Math.ceil(4 * Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0))) + 1;
    for (let i = 0; i <= steps; i++) {
      const cell = (from: number, to: number) => Math.min(areaCells - 1, Math.floor(from + (i / steps) * (to - from)));
      isHidden[cell(y0, y1) * areaCells + cell(x0, x1)] = 1;
    }
  }
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

/** A grid with a byte a cell, 1 where it does not count. */
interface HiddenCells {
  width: number;
  height: number;
  isHidden: Uint8Array;
}

/** What any of some masks hides: those on one grid as one, so that many areas cost no more than one. */
function decodeMasks(masks: readonly Mask[]): HiddenCells[] {
  const grids = new Map<string, HiddenCells>();
  for (const { width, height, runs } of masks) {
    const size = nameSize({ width, height });
    const grid = grids.get(size) ?? { width, height, isHidden: new Uint8Array(width * height) };
    grids.set(size, grid);
    for (let i = 0, at = 0; i < runs.length; at += runs[i], i++) if (i & 1) grid.isHidden.fill(1, at, at + runs[i]);
  }
  return [...grids.values()];
}

const nameSize = ({ width, height }: Pick<Mask, 'width' | 'height'>) => `${width}x${height}`;

/** Most cells of the different grids of masks that may come together, and most runs of all of them. */
const maskBounds = { cells: 32_000_000, runs: 2_000_000 };

/**
 * Bounds what masks cost that may come together, whichever of them do.
 * @throws {StoplineError} OPTION_INVALID
 */
export function boundMasks(masks: readonly Mask[]): void {
  const grids = new Map(masks.map((mask) => [nameSize(mask), mask.width * mask.height]));
  const cells = [...grids.values()].reduce((sum, count) => sum + count, 0);
  const runs = masks.reduce((sum, mask) => sum + mask.runs.length, 0);
  if (cells <= maskBounds.cells && runs <= maskBounds.runs) return;
  throw new StoplineError(
    'OPTION_INVALID',
    `Expected masks with at most ${maskBounds.cells} cells in all of their sizes and ${maskBounds.runs} changes between hidden and not, ` +
      `but received ${cells} in ${grids.size} sizes and ${runs}. Draw them in fewer sizes, or coarser.`,
  );
}

/**
 * Takes masked parts out of frames: each masked pixel becomes one of those that count, mirrored at the border of the mask along its
 * row, or along its column where a whole row is masked. So nothing under the mask reaches any number, and what is there instead
 * has the texture of what lies beside it. The mask grows to whole blocks of 16 pixels and 2 beyond, because a JPEG mixes
 * within them.
 */
export class Masking {
  readonly #masks: readonly Mask[];
  #grids: readonly HiddenCells[] | undefined;
  /** For the size that came last: where each masked pixel is taken from. */
  #plan: { width: number; height: number; to: Int32Array; from: Int32Array } | undefined;

  /** @param masks what any of them hides does not count */
  constructor(...masks: readonly Mask[]) {
    this.#masks = masks;
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

  /** Bytes of what is prepared, for the size that came last and for any. */
  get preparedBytes(): number {
    const grids = this.#grids?.reduce((sum, { isHidden }) => sum + isHidden.length, 0) ?? 0;
    return grids + 2 * (this.#plan?.to.byteLength ?? 0);
  }

  /** Leaves what is prepared to be made again. */
  forget(): void {
    this.#plan = undefined;
    this.#grids = undefined;
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
    let kept = 0;
    for (const value of isHidden) if (value === 0) kept++;
    if (kept < leastKept * width * height) {
      throw new StoplineError(
        'IMAGE_MASKED',
        `Expected at least ${100 * leastKept} % of the image outside the mask but ${Math.round((100 * kept) / (width * height))} % of ${width}x${height} is: it cannot be checked.`,
      );
    }
    const { to, from } = planFill(isHidden, width, height, width * height - kept);
    this.#plan = { width, height, to, from };
    return this.#plan;
  }

  /** The mask at a size: a byte a pixel. */
  #grow(width: number, height: number): Uint8Array {
    const grown = new Uint8Array(width * height);
    this.#grids ??= decodeMasks(this.#masks);
    const grids = this.#grids;
    for (let y = 0; y < height; y += block) {
      const bottom = Math.min(height, y + block);
      for (let x = 0; x < width; x += block) {
        const right = Math.min(width, x + block);
        if (!grids.some((grid) => isTouched(grid, x / width, y / height, right / width, bottom / height))) continue;
        for (let row = Math.max(0, y - bleed); row < Math.min(height, bottom + bleed); row++) {
          grown.fill(1, row * width + Math.max(0, x - bleed), row * width + Math.min(width, right + bleed));
        }
      }
    }
    return grown;
  }
}

/** Whether a rectangle in shares of the sides touches what is hidden. */
function isTouched({ width, height, isHidden }: HiddenCells, ...sides: [number, number, number, number]): boolean {
  const [left, top, right, bottom] = sides;
  for (let y = Math.floor(top * height); y < bottom * height; y++) {
    for (let x = Math.floor(left * width); x < right * width; x++) if (isHidden[y * width + x]) return true;
  }
  return false;
}

/** Masks that are kept prepared: more sources than this with masks of their own take turns. */
const keptMaskings = 64;
/** Most bytes of what is prepared for the sizes of images: whoever may send images chooses among all sources and all sizes. */
const mostPrepared = 96 * 1024 * 1024;

/** What masks of sources are prepared to, each once. */
export class Maskings {
  readonly #always: readonly Mask[];
  readonly #all: Masking | undefined;
  readonly #known = new Map<string, Masking>();

  /** @param always what is masked of every image */
  constructor(...always: readonly Mask[]) {
    this.#always = always;
    this.#all = always.length > 0 ? new Masking(...always) : undefined;
  }

  /** Undefined where nothing is masked. */
  find(mask: SourceMask | undefined): Masking | undefined {
    if (!mask) return this.#all;
    const { key, masks } = mask;
    const masking = this.#known.get(key) ?? new Masking(...this.#always, ...masks);
    // The one that was used last stands last.
    this.#known.delete(key);
    this.#known.set(key, masking);
    if (this.#known.size > keptMaskings) this.#known.delete(this.#known.keys().next().value as string);
    this.#forgetOldest();
    return masking;
  }

  #forgetOldest(): void {
    let bytes = 0;
    for (const masking of [...this.#known.values()].reverse()) {
      bytes += masking.preparedBytes;
      if (bytes > mostPrepared) masking.forget();
    }
  }
}

/**
 * Where each masked pixel is taken from; rows first, so that rows that are masked as a whole are taken from filled ones.
 * @param count how many pixels are masked
 */
function planFill(
  isHidden: Uint8Array,
  width: number,
  height: number,
  count: number,
): { to: Int32Array; from: Int32Array } {
  const to = new Int32Array(count);
  const from = new Int32Array(count);
  let next = 0;
  let last: Uint8Array | undefined;
  let sources: Int32Array | undefined;
  const isRowHidden = new Uint8Array(height).fill(1);
  for (let y = 0; y < height; y++) {
    const row = isHidden.subarray(y * width, (y + 1) * width);
    // Rows of one block are hidden alike.
    if (last === undefined || Buffer.compare(row, last) !== 0) sources = mirrorLine(row);
    last = row;
    if (!sources) continue;
    isRowHidden[y] = 0;
    for (let x = 0; x < width; x++) {
      if (!row[x]) continue;
      to[next] = y * width + x;
      from[next++] = y * width + sources[x];
    }
  }
  const rows = mirrorLine(isRowHidden) as Int32Array;
  for (let y = 0; y < height; y++) {
    if (!isRowHidden[y]) continue;
    for (let x = 0; x < width; x++) {
      to[next] = y * width + x;
      from[next++] = rows[y] * width + x;
    }
  }
  return { to, from };
}

/**
 * For every place of a line the place it is taken from: itself where it counts, else among those that count as far behind the
 * nearer border as it lies before it; there and back again where they are few.
 * @returns undefined where none counts
 */
function mirrorLine(isHidden: Uint8Array): Int32Array | undefined {
  const kept = new Int32Array(isHidden.length);
  /** How many places count up to each. */
  const before = new Int32Array(isHidden.length);
  let count = 0;
  for (let at = 0; at < isHidden.length; at++) {
    if (!isHidden[at]) kept[count++] = at;
    before[at] = count;
  }
  if (count === 0) return undefined;
  const bounce = (at: number) => {
    const period = 2 * count;
    const wrapped = ((at % period) + period) % period;
    return kept[wrapped < count ? wrapped : period - 1 - wrapped];
  };
  const sources = new Int32Array(isHidden.length);
  for (let at = 0; at < isHidden.length; at++) {
    if (!isHidden[at]) {
      sources[at] = at;
      continue;
    }
    const next = before[at];
    const left = next > 0 ? at - kept[next - 1] : Number.POSITIVE_INFINITY;
    const right = next < count ? kept[next] - at : Number.POSITIVE_INFINITY;
    sources[at] = left <= right ? bounce(next - left) : bounce(next + right - 1);
  }
  return sources;
}

const tellsSize = statistics.map(({ name }) => name === 'bytesPerPixel' || name === 'codedBytesPerPixel');

/** Statistics without the size of the file, which what lies under the mask decides, too. */
export function withoutFileSize(vector: Float64Array): Float64Array {
  return vector.map((value, i) => (tellsSize[i] ? Number.NaN : value));
}
