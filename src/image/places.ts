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
  const { width, height } = frame;
  const reach = Math.max(2, Math.round(height / rows / slopeReach));
  const xs = choosePoints(width, columns);
  const ys = choosePoints(height, rows);
  const out = new Float32Array(placeCount * placeMeasures.length);
  for (let row = 0, tile = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, tile++) {
      measureTile(frame, { xs: xs[column], ys: ys[row], reach }, out.subarray(tile * placeMeasures.length));
    }
  }
  return out;
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

function measureTile(
  { data, width, height, channels }: Frame,
  { xs, ys, reach }: { xs: Int32Array; ys: Int32Array; reach: number },
  out: Float32Array,
): void {
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  const stride = width * channels;
  // Four times the brightness: red and blue once, green twice.
  const light = (at: number) => data[at] + 2 * data[at + green] + data[at + blue];
  let [sum, squares, edges, edgeSquares, bends, slopes] = [0, 0, 0, 0, 0, 0];
  let [saturation, redness, blueness] = [0, 0, 0];
  for (let j = 0; j < ys.length; j++) {
    const y = ys[j];
    const line = y * stride;
    const up = Math.max(0, y - reach) * stride;
    const down = Math.min(height - 1, y + reach) * stride;
    for (let i = 0; i < xs.length; i++) {
      const x = xs[i];
      const offset = x * channels;
      const at = line + offset;
      const own = light(at);
      const west = light(at - channels);
      const east = light(at + channels);
      const north = light(at - stride);
      const south = light(at + stride);
      const edge = Math.abs(east - west) + Math.abs(south - north);
      const left = light(line + Math.max(0, x - reach) * channels);
      const right = light(line + Math.min(width - 1, x + reach) * channels);
      sum += own;
      squares += own * own;
      edges += edge;
      edgeSquares += edge * edge;
      bends += Math.min(Math.abs(2 * own - east - west), 8 * noiseLimit);
      bends += Math.min(Math.abs(2 * own - north - south), 8 * noiseLimit);
      slopes += Math.abs(right - left) + Math.abs(light(down + offset) - light(up + offset));
      const r = data[at];
      const g = data[at + green];
      const b = data[at + blue];
      saturation += Math.max(r, Math.max(g, b)) - Math.min(r, Math.min(g, b));
      redness += r - g;
      blueness += b - g;
    }
  }
  const points = xs.length * ys.length;
  const mean = sum / points;
  out[0] = mean / 4;
  out[1] = Math.log2(Math.sqrt(Math.max(0, squares / points - mean * mean)) / 4 + 4 * floor);
  out[2] = Math.log2(edges / points / 8 + floor);
  out[3] = Math.log2(bends / points / 8 + floor);
  out[4] = saturation / points;
  out[5] = redness / points;
  out[6] = blueness / points;
  out[7] = Math.log2(slopes / points / 8 + floor);
  out[8] = Math.log2(Math.sqrt(edgeSquares / points) / 8 + floor);
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
