import type { Frame, Limits } from '../image/frame.ts';
import type { MaskedArea } from '../image/mask.ts';
import type { EncodedImage } from '../run/task.ts';
import { decodeSource } from './example.ts';
import type { Sample } from './samples.ts';

/** A part of the view that looks burnt in: proposed as a mask, and never applied without being asked for. */
export interface BurntIn extends MaskedArea {
  /** `still`: never changes while the rest does, as a logo. `flipping`: jumps between two values, as the digits of a clock. */
  kind: 'still' | 'flipping';
}

/** Images that are looked at, evenly over the reference; fewer than the least tell nothing. */
const images = { most: 32, least: 16 };
/** Side of a cell in pixels, and the share of its pixels that have to be of a kind. */
const cell = 16;
const shares = { still: 0.06, flipping: 0.08 };
/** DN within which a value is the same: noise and compression. */
const same = 14;
/** DN between neighbours at the edge of something drawn. */
const edge = 40;
/** DN by which the median pixel has to change for a still one to be told, and between the two values of a flipping one. */
const moving = 40;
const apart = 90;
/** The share of images at one of two values, and of those at the rarer of them, at least. */
const atEither = 0.9;
const atRarer = 0.12;
/** A part larger than this share of the view is the scene; so are many cells that flip. */
const largest = 0.15;
const mostFlipping = 0.05;

/**
 * Looks at some images of a reference for what is burnt in. Images of another size than the first are left out.
 * @throws {StoplineError} INPUT_*, IMAGE_*
 */
export async function findBurntIn(
  samples: readonly Sample[],
  findSource: (id: string) => EncodedImage | undefined,
  limits: Limits = {},
): Promise<BurntIn[]> {
  const sources = samples.flatMap(({ id }) => findSource(id) ?? []);
  const step = Math.max(1, sources.length / images.most);
  const count = Math.min(sources.length, images.most);
  const chosen = Array.from({ length: count }, (_, i) => sources[Math.floor(i * step)]);
  const lights: Uint8Array[] = [];
  let size: Frame | undefined;
  for (const source of chosen) {
    const frame = await decodeSource(source, limits);
    size ??= frame;
    if (frame.width === size.width && frame.height === size.height) lights.push(readLight(frame));
  }
  return size ? proposeAreas(lights, size.width, size.height) : [];
}

function readLight({ data, width, height }: Frame): Uint8Array {
  const out = new Uint8Array(width * height);
  for (let p = 0, at = 0; p < out.length; p++, at += 3) out[p] = (data[at] + 2 * data[at + 1] + data[at + 2]) >> 2;
  return out;
}

/**
 * @param lights brightness of some images of one size, row by row
 * @returns boxes in shares of the sides, the largest first
 */
export function proposeAreas(lights: readonly Uint8Array[], width: number, height: number): BurntIn[] {
  if (lights.length < images.least) return [];
  const pixels = lookAtPixels(lights);
  const columns = Math.ceil(width / cell);
  const counts = {
    still: new Uint16Array(columns * Math.ceil(height / cell)),
    flipping: new Uint16Array(columns * Math.ceil(height / cell)),
  };
  // The scene has to move for something to stand still in it.
  const isMoving = median(pixels.range) > moving;
  const isStill = (p: number) => pixels.range[p] <= same;
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0; x + 1 < width; x++) {
      const p = y * width + x;
      const at = Math.floor(y / cell) * columns + Math.floor(x / cell);
      if (pixels.isFlipping[p]) counts.flipping[at]++;
      // Both sides of the edge stand still: a white sky does, and what passes before it does not.
      const isEdge = [p + 1, p + width].some((q) => isStill(q) && Math.abs(pixels.low[p] - pixels.low[q]) >= edge);
      if (isMoving && isStill(p) && isEdge) counts.still[at]++;
    }
  }
  const marks = { still: mark(counts.still, shares.still), flipping: mark(counts.flipping, shares.flipping) };
  // What passes before a white sky jumps between two values, too; a clock has colons that stand still beside its digits.
  if (isMoving) {
    const stills = Array.from(marks.still.keys()).filter((at) => marks.still[at]);
    marks.flipping.forEach((value, at) => {
      if (value && !stills.some((still) => isNear(still, at, columns))) marks.flipping[at] = 0;
    });
  }
  // Leaves in the wind and traffic flip in many places; a clock does in one.
  if (marks.flipping.reduce((sum, value) => sum + value, 0) > mostFlipping * marks.flipping.length) {
    marks.flipping.fill(0);
  }
  return joinCells(marks, { columns, width, height });
}

const mark = (counts: Uint16Array, share: number) =>
  Uint8Array.from(counts, (count) => Number(count >= share * cell * cell));

/** The least value of every pixel, how far it changes, and whether it jumps between two values. */
function lookAtPixels(lights: readonly Uint8Array[]) {
  const size = lights[0].length;
  const low = new Uint8Array(size);
  const range = new Uint8Array(size);
  const isFlipping = new Uint8Array(size);
  for (let p = 0; p < size; p++) {
    let [least, most] = [255, 0];
    for (const light of lights) {
      if (light[p] < least) least = light[p];
      if (light[p] > most) most = light[p];
    }
    low[p] = least;
    range[p] = most - least;
    if (most - least < apart) continue;
    let [below, above] = [0, 0];
    for (const light of lights) {
      if (light[p] <= least + same) below++;
      else if (light[p] >= most - same) above++;
    }
    const isEither = below + above >= atEither * lights.length;
    isFlipping[p] = Number(isEither && Math.min(below, above) >= atRarer * lights.length);
  }
  return { low, range, isFlipping };
}

function median(values: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (const value of values) counts[value]++;
  let [value, seen] = [0, counts[0]];
  while (seen <= values.length / 2) seen += counts[++value];
  return value;
}

/** Letters of a line are up to two cells apart. */
const isNear = (a: number, b: number, columns: number) =>
  Math.abs((a % columns) - (b % columns)) <= 3 && Math.abs(Math.floor(a / columns) - Math.floor(b / columns)) <= 1;

/** Boxes around marked cells that lie near each other. */
function joinCells(
  { still, flipping }: Record<BurntIn['kind'], Uint8Array>,
  { columns, width, height }: { columns: number; width: number; height: number },
): BurntIn[] {
  const rows = still.length / columns;
  const left = new Set(Array.from(still.keys()).filter((at) => still[at] || flipping[at]));
  const found: BurntIn[] = [];
  for (const first of left) {
    left.delete(first);
    const members = [first];
    // Grows while it is gone through.
    for (const at of members) {
      for (const other of left) {
        if (!isNear(other, at, columns)) continue;
        left.delete(other);
        members.push(other);
      }
    }
    const xs = members.map((at) => at % columns);
    const ys = members.map((at) => Math.floor(at / columns));
    const [x0, x1] = [Math.min(...xs), Math.max(...xs) + 1];
    const [y0, y1] = [Math.min(...ys), Math.max(...ys) + 1];
    const isLarge = (x1 - x0) * (y1 - y0) > largest * columns * rows;
    if (members.length < 2 || isLarge) continue;
    const share = (cells: number, side: number) => Math.min(1, Number(((cells * cell) / side).toFixed(3)));
    const kind = members.some((at) => flipping[at]) ? 'flipping' : 'still';
    found.push({
      ...{ left: share(x0, width), top: share(y0, height), right: share(x1, width), bottom: share(y1, height) },
      kind,
    });
  }
  const area = (box: MaskedArea) => (box.right - box.left) * (box.bottom - box.top);
  return found.sort((a, b) => area(b) - area(a));
}

/** The areas as `--mask` takes them. */
export function writeAreas(areas: readonly MaskedArea[]): string {
  return areas.map(({ left, top, right, bottom }) => [left, top, right, bottom].join(',')).join(';');
}
