import { StoplineError } from '../../errors.ts';
import { quotePath } from '../../image/file.ts';
import type { Frame } from '../../image/frame.ts';
import type { Item } from './item.ts';
import { listColumns } from './manifest.ts';

/** In pixels of the upright image, from its upper left corner. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The columns that hold a box, in the order in which COCO writes them. */
const sides = ['x', 'y', 'width', 'height'] as const;

/**
 * The box that a row of a manifest names: columns `x`, `y`, `width`, `height`, or `bbox` with the four of them.
 * @throws {StoplineError} MANIFEST_INVALID
 */
export function readBox({ name, columns = {} }: Pick<Item, 'name' | 'columns'>): Box {
  // A column that is called as one of a row is kept under another name.
  const given = (key: string) => columns[key] ?? columns[`manifest_${key}`];
  const list = given('bbox');
  const parts = list === undefined || list === null ? sides.map(given) : readList(list);
  const numbers = parts.map((part) => (part === null || part === undefined || part === '' ? Number.NaN : Number(part)));
  const [x, y, width, height] = numbers;
  if (numbers.length !== 4 || !numbers.every(Number.isFinite) || width <= 0 || height <= 0) {
    throw new StoplineError(
      'MANIFEST_INVALID',
      `Expected a box of ${quotePath(name)} as columns x, y, width and height, or bbox as [x, y, width, height], but received ${listColumns(Object.keys(columns))}.`,
    );
  }
  return { x, y, width, height };
}

function readList(list: unknown): unknown[] {
  if (Array.isArray(list)) return list;
  return String(list)
    .split(/[\s,;[\]()]+/)
    .filter((part) => part !== '');
}

/**
 * The pixels of a box.
 * @param frame 8-bit RGB, perhaps at a smaller size than the image
 * @param image size of the upright image, of which the box has its coordinates
 * @returns undefined where the box lies outside the image
 */
export function cutBox(frame: Frame, box: Box, image: { width: number; height: number }): Frame | undefined {
  const { data, width, height, channels } = frame;
  // An image that is turned has the sides of its file the other way round.
  const isTurned = width > height !== image.width > image.height && image.width !== image.height;
  const scale = width / (isTurned ? image.height : image.width);
  const clip = (value: number, most: number) => Math.min(most, Math.max(0, Math.round(value * scale)));
  const [left, top] = [clip(box.x, width), clip(box.y, height)];
  const [right, bottom] = [clip(box.x + box.width, width), clip(box.y + box.height, height)];
  if (right <= left || bottom <= top) return undefined;
  const stride = (right - left) * channels;
  const cut = new Uint8Array(stride * (bottom - top));
  for (let y = top; y < bottom; y++) {
    const from = (y * width + left) * channels;
    cut.set(data.subarray(from, from + stride), (y - top) * stride);
  }
  return { data: cut, width: right - left, height: bottom - top, channels };
}
