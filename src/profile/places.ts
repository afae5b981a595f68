import { placeCount, placeGrid, placeMeasures } from '../image/places.ts';
import type { Network } from './maths/network.ts';

/**
 * What hides a part of the view is told tile by tile, by a network that was shown parts hidden at random: from how far a tile is
 * from what is usual in its place, from the tiles around it, from what it looks like by itself, and from the whole picture.
 * The usual counts for much where a camera stands, and the tiles around where it drives.
 */
export interface PlaceFit {
  /** Median of every measure of every tile over the reference, tile after tile. */
  centre: Float64Array;
  /** Deviation, from the median of the distances, so that a vehicle that passes widens nothing. */
  spread: Float64Array;
  /** Mean and deviation of every measure over all tiles. */
  level: Float64Array;
  range: Float64Array;
  /** Two classes: seen, hidden. */
  network: Network;
}

const measures = placeMeasures.length;
/** Own deviations; mean, most and least of the tiles around; own measures; mean deviation of the picture. */
export const placeFeatures: number = 6 * measures;
/** Deviations beyond this say no more. */
const mostDeviation = 8;
/** Log odds beyond this say no more. */
const mostOdds = 8;

/**
 * How every tile looks to the network.
 * @param places as `measurePlaces` gives it
 * @returns tile after tile, `placeFeatures` of each
 */
export function describePlaces(model: Omit<PlaceFit, 'network'>, places: Float32Array): Float64Array {
  const out = new Float64Array(placeCount * placeFeatures);
  const picture = readPicture(model, places);
  for (let tile = 0; tile < placeCount; tile++) describeTile(picture, tile, out, tile * placeFeatures);
  return out;
}

/** A picture against the usual. */
interface PlacedPicture {
  model: Omit<PlaceFit, 'network'>;
  places: Float32Array;
  /** Deviation of every measure of every tile, and its mean over the picture. */
  z: Float64Array;
  whole: Float64Array;
}

export function readPicture(model: Omit<PlaceFit, 'network'>, places: Float32Array): PlacedPicture {
  const { centre, spread } = model;
  const z = new Float64Array(places.length);
  const whole = new Float64Array(measures);
  for (let i = 0; i < z.length; ) {
    for (let k = 0; k < measures; k++, i++) {
      const deviation = (places[i] - centre[i]) / spread[i];
      z[i] = Math.max(-mostDeviation, Math.min(mostDeviation, deviation));
      whole[k] += z[i] / placeCount;
    }
  }
  return { model, places, z, whole };
}

/** Writes the `placeFeatures` of one tile. */
export function describeTile(
  { model: { level, range }, places, z, whole }: PlacedPicture,
  tile: number,
  out: Float64Array,
  at: number,
): void {
  const near = neighbourMeasures[tile];
  const own = tile * measures;
  for (let k = 0; k < measures; k++) {
    let sum = z[near[0] + k];
    let most = sum;
    let least = sum;
    for (let i = 1; i < near.length; i++) {
      const value = z[near[i] + k];
      sum += value;
      if (value > most) most = value;
      if (value < least) least = value;
    }
    out[at + k] = z[own + k];
    out[at + measures + k] = sum / near.length;
    out[at + 2 * measures + k] = most;
    out[at + 3 * measures + k] = least;
    out[at + 4 * measures + k] = (places[own + k] - level[k]) / range[k];
    out[at + 5 * measures + k] = whole[k];
  }
}

/** The up to eight tiles that touch each. */
const neighbours: readonly Int32Array[] = Array.from({ length: placeCount }, (_, tile) => {
  const { columns, rows } = placeGrid;
  const [x, y] = [tile % columns, Math.floor(tile / columns)];
  const near: number[] = [];
  for (let row = Math.max(0, y - 1); row <= Math.min(rows - 1, y + 1); row++) {
    for (let column = Math.max(0, x - 1); column <= Math.min(columns - 1, x + 1); column++) {
      if (row !== y || column !== x) near.push(row * columns + column);
    }
  }
  return Int32Array.from(near);
});

/** Where the measures of each of them begin. */
const neighbourMeasures: readonly Int32Array[] = neighbours.map((near) => near.map((tile) => tile * measures));

/** Log odds for every tile that it is hidden, row by row, from -8 to 8. */
export function placeOdds(model: PlaceFit, places: Float32Array): Float64Array {
  const features = describePlaces(model, places);
  const { units, hidden, output } = model.network;
  const odds = new Float64Array(placeCount).fill(output[2 * units + 1] - output[2 * units]);
  // What the whole picture adds is the same for every tile.
  const own = placeFeatures - measures;
  for (let unit = 0; unit < units; unit++) {
    const weights = unit * (placeFeatures + 1);
    let shared = hidden[weights + placeFeatures];
    for (let k = own; k < placeFeatures; k++) shared += hidden[weights + k] * features[k];
    const effect = output[2 * unit + 1] - output[2 * unit];
    // One sum has to wait for each of its additions; those of four tiles beside one another do not. Each adds in the same order.
    for (let tile = 0; tile < placeCount; tile += 4) {
      const at = tile * placeFeatures;
      let [a, b, c, d] = [shared, shared, shared, shared];
      for (let k = 0; k < own; k++) {
        const weight = hidden[weights + k];
        a += weight * features[at + k];
        b += weight * features[at + placeFeatures + k];
        c += weight * features[at + 2 * placeFeatures + k];
        d += weight * features[at + 3 * placeFeatures + k];
      }
      if (a > 0) odds[tile] += a * effect;
      if (b > 0) odds[tile + 1] += b * effect;
      if (c > 0) odds[tile + 2] += c * effect;
      if (d > 0) odds[tile + 3] += d * effect;
    }
  }
  for (let tile = 0; tile < placeCount; tile++) odds[tile] = Math.max(-mostOdds, Math.min(mostOdds, odds[tile]));
  return odds;
}

/** The largest mean of the log odds of two by two tiles: one tile alone may be anything. */
export function strongestPlace(odds: Float64Array): number {
  const { columns, rows } = placeGrid;
  let most = Number.NEGATIVE_INFINITY;
  for (let row = 0; row + 1 < rows; row++) {
    for (let column = 0; column + 1 < columns; column++) {
      const at = row * columns + column;
      most = Math.max(most, (odds[at] + odds[at + 1] + odds[at + columns] + odds[at + columns + 1]) / 4);
    }
  }
  return most;
}

/** Which way round a picture is shown, as far as its places tell. */
export type Layout = 'upright' | 'mirrored' | 'upsideDown';

/** Squared deviations beyond this count as this: a vehicle somewhere says little of the whole. */
const mostSquared = 9;
/** The mean of them beyond which a picture is of another scene, and upside down is none of its faults. */
const mostAlike = 4;
/** The other way round has to fit the better by these shares; streets look much the same in a mirror. */
const fitsBetter: Readonly<Record<Exclude<Layout, 'upright'>, number>> = { mirrored: 0.8, upsideDown: 0.9 };

/**
 * Holds every tile against what is usual in its place, and in the place where it would be if the picture were shown another way
 * round: whatever is measured of a tile is the same in a mirror.
 * @param places as `measurePlaces` gives it
 */
export function tellLayout({ centre, spread }: Pick<PlaceFit, 'centre' | 'spread'>, places: Float32Array): Layout {
  const { columns, rows } = placeGrid;
  const distance = (isAcross: boolean, isDown: boolean) => {
    let sum = 0;
    for (let tile = 0; tile < placeCount; tile++) {
      const [x, y] = [tile % columns, Math.floor(tile / columns)];
      const other = (isDown ? rows - 1 - y : y) * columns + (isAcross ? columns - 1 - x : x);
      for (let k = 0; k < measures; k++) {
        const at = tile * measures + k;
        const z = (places[other * measures + k] - centre[at]) / spread[at];
        sum += Math.min(mostSquared, z * z);
      }
    }
    return sum / places.length;
  };
  const upright = distance(false, false);
  const ways: [Exclude<Layout, 'upright'>, number][] = [
    ['upsideDown', Math.min(distance(false, true), distance(true, true))],
    ['mirrored', distance(true, false)],
  ];
  const [layout, least] = ways[0][1] <= ways[1][1] ? ways[0] : ways[1];
  return least < fitsBetter[layout] * upright && least <= mostAlike ? layout : 'upright';
}

/** Chance for every tile that it is hidden. */
export function placeChances(odds: Float64Array): Float64Array {
  return odds.map((value) => 1 / (1 + Math.exp(-value)));
}

/** A part of the picture. */
export interface PicturePart {
  /** In words: `lower right corner, 6 % of the picture`. */
  text: string;
  /** Share of the picture. */
  share: number;
  /** The rectangle around it, in shares of width and height from the upper left corner. */
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Chance from which on a tile belongs to a part. */
const leastChance = 0.5;
/** More parts than this are told as one. */
const maxParts = 3;

/**
 * Parts of the picture where tiles that touch have a chance of a half or more, the largest first.
 * @param chances of every tile, row by row
 */
export function findParts(chances: ArrayLike<number>): PicturePart[] {
  const all = groupTiles(chances).sort((a, b) => b.length - a.length);
  // One tile alone may be anything, and is not worth a word beside a larger part.
  const groups = all.filter(({ length }) => length > 1 || all[0].length === 1);
  const parts = groups.length > maxParts ? [groups.flat()] : groups;
  return parts.map((tiles) => describePart(tiles, groups.length > maxParts ? groups.length : 1));
}

function groupTiles(chances: ArrayLike<number>): number[][] {
  const seen = new Set<number>();
  const groups: number[][] = [];
  for (let first = 0; first < placeCount; first++) {
    if (seen.has(first) || !(chances[first] >= leastChance)) continue;
    const group = [first];
    seen.add(first);
    for (const tile of group) {
      for (const other of neighbours[tile]) {
        if (seen.has(other) || !(chances[other] >= leastChance)) continue;
        seen.add(other);
        group.push(other);
      }
    }
    groups.push(group);
  }
  return groups;
}

function describePart(tiles: readonly number[], count: number): PicturePart {
  const { columns, rows } = placeGrid;
  const xs = tiles.map((tile) => tile % columns);
  const ys = tiles.map((tile) => Math.floor(tile / columns));
  const share = tiles.length / placeCount;
  const [left, right] = [Math.min(...xs) / columns, (Math.max(...xs) + 1) / columns];
  const [top, bottom] = [Math.min(...ys) / rows, (Math.max(...ys) + 1) / rows];
  const percent = share < 0.1 ? Number((100 * share).toFixed(1)) : Math.round(100 * share);
  const where = count > 1 ? `${count} places` : nameArea({ left, right, top, bottom, share });
  return { text: `${where}, ${percent} % of the picture`, share, left, top, right, bottom };
}

/** Names of three by three areas, row by row. */
const areas = [
  ['upper left corner', 'upper edge', 'upper right corner'],
  ['left side', 'middle', 'right side'],
  ['lower left corner', 'lower edge', 'lower right corner'],
] as const;

function nameArea({ left, right, top, bottom, share }: Omit<PicturePart, 'text'>): string {
  if (share > 0.5) return 'most of the view';
  const third = (from: number, to: number) => Math.min(2, Math.floor(((from + to) / 2) * 3));
  const [isWide, isTall] = [right - left > 0.7, bottom - top > 0.7];
  if (isWide && isTall) return 'across the view';
  if (isWide) return ['upper part', 'middle from side to side', 'lower part'][third(top, bottom)];
  if (isTall) return ['left part', 'middle from top to bottom', 'right part'][third(left, right)];
  return areas[third(top, bottom)][third(left, right)];
}

/** The digits of `packChances`. */
const steps = 9;

/** Chances as a digit each, row by row: 0 is seen, 9 is hidden. */
export function packChances(chances: Float64Array): string {
  return Array.from(chances, (chance) => Math.round(chance * steps)).join('');
}

/** The chances of `packChances`; undefined for what is none. */
export function unpackChances(digits: string): Float64Array | undefined {
  if (digits.length !== placeCount || !/^[0-9]+$/.test(digits)) return undefined;
  return Float64Array.from(digits, (digit) => Number(digit) / steps);
}
