import type { Frame } from './frame.ts';

/** Tiles side by side and one above the other. */
export const placeGrid = { columns: 16, rows: 12 } as const;
export const placeCount: number = placeGrid.columns * placeGrid.rows;

/** What is measured of every tile, in this order. */
export const placeMeasures = [
  'brightness',
  'contrast',
  'detail',
  'noise',
  'saturation',
  'redness',
  'blueness',
  'slope',
  'peak',
] as const;

/** Points looked at along each side of a tile, at most: a frame costs the same whatever its size. */
const most = 6;
/** A second difference counts as noise up to so many DN. */
const noiseLimit = 8;
/** Added before a logarithm is taken, in DN. */
const floor = 0.125;
/** Slopes are taken over this share of the height of a tile, to either side. */
const slopeReach = 6;

/**
 * What every tile of a frame looks like, in DN: the means of brightness and saturation, of red and of blue against green; and log2 of
 * the deviation of brightness, of the mean difference of neighbouring pixels (`detail`), of the mean second difference up to a
 * limit (`noise`, where there is no edge), of the mean difference over a sixth of the tile (`slope`), and of the root mean
 * square of the differences of neighbours (`peak`). Between them they tell what is sharp, what is soft and what is flat.
 *
 * Up to 36 points of a tile are looked at, with their neighbours at the full resolution. All sums are of integers.
 * @returns tile after tile, row by row, the `placeMeasures` of each
 */
export function measurePlaces(frame: Frame): Float32Array {
  const { columns, rows } = placeGrid;
  const out = new Float32Array(placeCount * placeMeasures.length);
  // Nothing has a neighbour on each side.
  if (frame.width < 2 || frame.height < 3) return out.fill(Number.NaN);
  const { data, width, height, channels } = frame.channels < 3 ? replicate(frame) : frame;
  const pixels = new DataView(data.buffer, data.byteOffset, data.length);
  const picture = { pixels, step: channels, stride: width * channels };
  const { xs, ys } = planOffsets(width, height, channels);
  for (let row = 0, tile = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, tile++) {
      measureTile(picture, xs[column], ys[row], out, tile * placeMeasures.length);
    }
  }
  return out;
}

/** A grey frame as one of three channels: there are few of them. */
function replicate({ data, width, height }: Frame): Frame {
  const copy = new Uint8Array(3 * data.length);
  for (let i = 0; i < copy.length; i++) copy[i] = data[Math.floor(i / 3)];
  return { data: copy, width, height, channels: 3 };
}

interface OffsetPlan {
  key: string;
  xs: Offsets[];
  ys: Offsets[];
}

let known: OffsetPlan | undefined;

/** The points that are looked at; of the size that came last, which hardly ever changes. */
function planOffsets(width: number, height: number, channels: number): OffsetPlan {
  const key = `${width} ${height} ${channels}`;
  if (known?.key === key) return known;
  const { columns, rows } = placeGrid;
  const reach = Math.max(2, Math.round(height / rows / slopeReach));
  const xs = choosePoints(width, columns).map((points) => findOffsets(points, reach, width, channels));
  const ys = choosePoints(height, rows).map((points) => findOffsets(points, reach, height, width * channels));
  known = { key, xs, ys };
  return known;
}

/** For every tile of a side, the points that are looked at: evenly spread, and none at the border of the frame. */
function choosePoints(length: number, tiles: number): Int32Array[] {
  return Array.from({ length: tiles }, (_, tile) => {
    const from = Math.floor((tile * length) / tiles);
    const size = Math.floor(((tile + 1) * length) / tiles) - from;
    const count = Math.max(1, Math.min(most, size));
    return Int32Array.from({ length: count }, (_, i) =>
      Math.min(Math.max(from + Math.floor(((i + 0.5) * size) / count), 1), length - 2),
    );
  });
}

/** Where points along one side lie in the data: their own offsets, and those of what lies `reach` before and after. */
interface Offsets {
  own: Int32Array;
  before: Int32Array;
  after: Int32Array;
}

/** @param step between neighbours along this side, in bytes */
function findOffsets(points: Int32Array, reach: number, length: number, step: number): Offsets {
  return {
    own: points.map((point) => point * step),
    before: points.map((point) => Math.max(0, point - reach) * step),
    after: points.map((point) => Math.min(length - 1, point + reach) * step),
  };
}

/** Four times the brightness, red and blue once, green twice; of three bytes that are read at once. */
function readLight(pixels: DataView, at: number): number {
  const pixel = pixels.getUint32(at, true);
  return (pixel & 255) + ((pixel >>> 7) & 510) + ((pixel >>> 16) & 255);
}

interface Picture {
  pixels: DataView;
  /** From a pixel to the next, and to the one below, in bytes. */
  step: number;
  stride: number;
}

/** The sums are plain variables of integers, and nothing is made for a point: 7,000 points of a frame come through here. */
function measureTile({ pixels, step, stride }: Picture, xs: Offsets, ys: Offsets, out: Float32Array, to: number): void {
  let sum = 0;
  let squares = 0;
  let edges = 0;
  let edgeSquares = 0;
  let bends = 0;
  let slopes = 0;
  let saturation = 0;
  let redness = 0;
  let blueness = 0;
  for (let j = 0; j < ys.own.length; j++) {
    const line = ys.own[j];
    const up = ys.before[j];
    const down = ys.after[j];
    for (let i = 0; i < xs.own.length; i++) {
      const offset = xs.own[i];
      const at = line + offset;
      const pixel = pixels.getUint32(at, true);
      const r = pixel & 255;
      const g = (pixel >>> 8) & 255;
      const b = (pixel >>> 16) & 255;
      const own = r + 2 * g + b;
      const west = readLight(pixels, at - step);
      const east = readLight(pixels, at + step);
      const north = readLight(pixels, at - stride);
      const south = readLight(pixels, at + stride);
      const left = readLight(pixels, line + xs.before[i]);
      const right = readLight(pixels, line + xs.after[i]);
      const above = readLight(pixels, up + offset);
      const below = readLight(pixels, down + offset);
      const edge = Math.abs(east - west) + Math.abs(south - north);
      sum += own;
      squares += own * own;
      edges += edge;
      edgeSquares += edge * edge;
      bends += Math.min(Math.abs(2 * own - east - west), 8 * noiseLimit);
      bends += Math.min(Math.abs(2 * own - north - south), 8 * noiseLimit);
      slopes += Math.abs(right - left) + Math.abs(below - above);
      saturation += Math.max(r, Math.max(g, b)) - Math.min(r, Math.min(g, b));
      redness += r - g;
      blueness += b - g;
    }
  }
  const points = xs.own.length * ys.own.length;
  const mean = sum / points;
  out[to] = mean / 4;
  out[to + 1] = Math.log2(Math.sqrt(Math.max(0, squares / points - mean * mean)) / 4 + 4 * floor);
  out[to + 2] = Math.log2(edges / points / 8 + floor);
  out[to + 3] = Math.log2(bends / points / 8 + floor);
  out[to + 4] = saturation / points;
  out[to + 5] = redness / points;
  out[to + 6] = blueness / points;
  out[to + 7] = Math.log2(slopes / points / 8 + floor);
  out[to + 8] = Math.log2(Math.sqrt(edgeSquares / points) / 8 + floor);
}

/** A pixel counts as changed from so many DN in a channel on: less, no eye sees. */
const visible = 12;

/** Which share of the pixels of every tile two pictures of one size differ in visibly, row by row. */
export function changedShares(before: Frame, after: Frame): Float32Array {
  const { columns, rows } = placeGrid;
  const { width, height } = before;
  const changed = new Float32Array(placeCount);
  const counts = new Float32Array(placeCount);
  const tileAt = Int32Array.from({ length: width }, (_, x) => Math.floor((x * columns) / width));
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor((y * rows) / height) * columns;
    for (let x = 0; x < width; x++, at += 3) {
      const tile = row + tileAt[x];
      counts[tile]++;
      if (
        Math.abs(before.data[at] - after.data[at]) > visible ||
        Math.abs(before.data[at + 1] - after.data[at + 1]) > visible ||
        Math.abs(before.data[at + 2] - after.data[at + 2]) > visible
      ) {
        changed[tile]++;
      }
    }
  }
  return changed.map((count, tile) => count / Math.max(1, counts[tile]));
}
