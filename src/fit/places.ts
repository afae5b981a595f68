import { Random } from '../image/corruptions/random.ts';
import { placeCount, placeGrid, placeMeasures } from '../image/places.ts';
import type { ProfileDescription } from '../profile/description.ts';
import {
  describeTile,
  type PlaceFit,
  placeChances,
  placeFeatures,
  placeOdds,
  readPicture,
  strongestPlace,
} from '../profile/places.ts';
import { trainNetwork } from './network.ts';
import { countFlagged } from './power.ts';
import type { Sample } from './samples.ts';

/** A reference image of which parts were hidden. */
export interface PlacedView {
  fold: number;
  drive?: string | undefined;
  /** As `measurePlaces` gives it. */
  places: Float32Array;
  /** Share of each tile that changed visibly. */
  hidden: Float32Array;
}

const measures = placeMeasures.length;
/**
 * How the network is trained: one clean image in a hundred is one tile in twenty thousand, which needs more units, tiles and looks at
 * them, and less noise, than telling most tiles apart (docs/watch.md, *Measured on one frame*).
 */
const training = { units: 32, noise: 0.05, rate: 1.2e-2, seed: 1 } as const;
/** How often it looks at every tile; of a small reference more often, so that it takes at least so many steps. */
const epochs = 8;
const leastSteps = 400;
const batch = 256;
/** A tile is shown as hidden from this share on, as seen up to that, and between them not at all. */
const hiddenFrom = 0.35;
const seenUpTo = 0.02;
/** Tiles of each kind that the network is shown for every clean image: hidden ones, those beside them, and those of the image. */
const tilesOf = { hidden: 40, beside: 60, clean: 160 } as const;
/** More images than this are shown by fewer tiles each. */
const mostShown = 250;
/** More images tell the usual no better. */
const mostClean = 2000;
/** How much the deviation of a place counts against that of all places: few images tell it badly. */
const ownWeight = 0.7;

/** What is told by place, with how it does on images that it was not fitted on. */
export interface CrossFittedPlaces {
  model: PlaceFit;
  /** Per fold, the model that was fitted without it; undefined where nothing is in the fold. */
  folds: (PlaceFit | undefined)[];
  /** Mean chance of every tile of a clean image that it is hidden. */
  usual: Float64Array;
  description: NonNullable<ProfileDescription['places']>;
}

/** Nothing is told by place where less than this share of the views with a twentieth hidden is found at one clean image in a hundred. */
const leastFound = 0.2;
/** Views of which so much is hidden count for that. */
const largeShare = 0.05;
/** The share of the clean images that may look like one of them. */
const falseShare = 0.01;

/**
 * Fits places with and without each fold, and tries them on views of the fold.
 * @returns undefined without views or places, and where places tell too little: scenes that change from image to image
 */
export function crossFitPlaces(
  samples: readonly Sample[],
  views: readonly PlacedView[],
): CrossFittedPlaces | undefined {
  if (views.length === 0) return undefined;
  const count = 1 + Math.max(...samples.map(({ fold }) => fold));
  const scores: number[] = [];
  const tried: number[] = [];
  const usual = new Float64Array(placeCount);
  let isWhole = true;
  const folds = Array.from({ length: count }, (_, fold) => {
    const inside = samples.filter((sample) => sample.fold === fold);
    const outside = samples.filter((sample) => sample.fold !== fold);
    const model = fitPlaces(
      outside,
      views.filter((view) => view.fold !== fold),
    );
    if (inside.length === 0) return undefined;
    if (!model) {
      isWhole = false;
      return undefined;
    }
    for (const { places } of inside) {
      const odds = placeOdds(model, places as Float32Array);
      scores.push(strongestPlace(odds));
      for (const [tile, chance] of placeChances(odds).entries()) usual[tile] += chance / samples.length;
    }
    for (const view of views) {
      if (view.fold === fold && computeMean(view.hidden) >= largeShare)
        tried.push(strongestPlace(placeOdds(model, view.places)));
    }
    return model;
  });
  const model = fitPlaces(samples, views);
  if (!model || !isWhole || tried.length === 0) return undefined;
  scores.sort((a, b) => b - a);
  const limit = scores[Math.floor(falseShare * scores.length)];
  const flagged = tried.filter((score) => score > limit).length;
  if (flagged < leastFound * tried.length) return undefined;
  return {
    model,
    folds,
    usual: usual.map(Math.fround),
    description: {
      ...placeGrid,
      measures: [...placeMeasures],
      units: training.units,
      found: countFlagged(flagged, tried.length),
    },
  };
}

function computeMean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** @returns undefined where there are no views, or images without places */
export function fitPlaces(samples: readonly Sample[], views: readonly PlacedView[]): PlaceFit | undefined {
  const clean = samples.flatMap(({ places }) => places ?? []);
  if (clean.length === 0 || clean.length < samples.length || views.length === 0) return undefined;
  return learnPlaces(clean, views);
}

/**
 * Learns what is usual in every place of the view, and how a hidden place looks.
 * @param all the reference, as `measurePlaces` gives it
 */
function learnPlaces(all: readonly Float32Array[], views: readonly PlacedView[]): PlaceFit {
  const clean = thinOut(all, mostClean);
  const usual = measureUsual(clean);
  const rows = collectTiles(clean, views, usual);
  const set = {
    x: rows.x,
    y: rows.y,
    w: new Float64Array(rows.y.length).fill(1),
  };
  const network = trainNetwork(
    set,
    { features: placeFeatures, classes: 2 },
    { ...training, epochs: Math.max(epochs, Math.ceil((leastSteps * batch) / rows.y.length)) },
  );
  return {
    ...usual,
    network: { ...network, hidden: network.hidden.map(Math.fround), output: network.output.map(Math.fround) },
  };
}

function measureUsual(clean: readonly Float32Array[]): Omit<PlaceFit, 'network'> {
  const size = placeCount * measures;
  const centre = new Float64Array(size);
  const own = new Float64Array(size);
  const sorted = new Float32Array(clean.length);
  const middle = clean.length >> 1;
  for (let i = 0; i < size; i++) {
    for (let row = 0; row < clean.length; row++) sorted[row] = clean[row][i];
    centre[i] = sorted.sort()[middle];
    for (let row = 0; row < clean.length; row++) sorted[row] = Math.abs(clean[row][i] - centre[i]);
    // Of a normal distribution the median distance is 0.6745 deviations.
    own[i] = sorted.sort()[middle] / 0.6745;
  }
  const level = new Float64Array(measures);
  const range = new Float64Array(measures);
  const shared = new Float64Array(measures);
  for (let k = 0; k < measures; k++) {
    const ofMeasure = own.filter((_, i) => i % measures === k).sort();
    shared[k] = ofMeasure[ofMeasure.length >> 1];
    let [count, sum, squares] = [0, 0, 0];
    for (const places of clean) {
      for (let i = k; i < size; i += measures) {
        count++;
        sum += places[i];
        squares += places[i] ** 2;
      }
    }
    level[k] = Math.fround(sum / count);
    range[k] = Math.fround(Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2)) + 1e-3);
  }
  const spread = own.map((value, i) =>
    Math.fround(Math.sqrt(ownWeight * value ** 2 + (1 - ownWeight) * shared[i % measures] ** 2) + leastSpread),
  );
  return { centre, spread, level, range };
}

/** A view that never changes at all is told no finer than this. */
const leastSpread = 0.02;

/** Hidden tiles, tiles beside them, and tiles of clean images: an even choice of each. */
function collectTiles(
  clean: readonly Float32Array[],
  views: readonly PlacedView[],
  usual: Omit<PlaceFit, 'network'>,
): { x: Float64Array; y: Uint16Array } {
  const hidden: number[] = [];
  const beside: number[] = [];
  for (const [view, { hidden: shares }] of views.entries()) {
    for (let tile = 0; tile < placeCount; tile++) {
      if (shares[tile] > hiddenFrom) hidden.push(view * placeCount + tile);
      else if (shares[tile] < seenUpTo) beside.push(view * placeCount + tile);
    }
  }
  const shown = Math.min(mostShown, clean.length);
  const untouched = Array.from({ length: clean.length * placeCount }, (_, i) => i);
  const groups = [
    { rows: views.map(({ places }) => places), tiles: thinOut(hidden, shown * tilesOf.hidden), y: 1 },
    { rows: views.map(({ places }) => places), tiles: thinOut(beside, shown * tilesOf.beside), y: 0 },
    { rows: clean, tiles: thinOut(untouched, shown * tilesOf.clean), y: 0 },
  ];
  const count = groups.reduce((sum, { tiles }) => sum + tiles.length, 0);
  const x = new Float64Array(count * placeFeatures);
  const y = new Uint16Array(count);
  let at = 0;
  for (const { rows, tiles, y: kind } of groups) {
    let shown: { row: number; picture: ReturnType<typeof readPicture> } | undefined;
    for (const place of tiles) {
      const row = Math.floor(place / placeCount);
      if (shown?.row !== row) shown = { row, picture: readPicture(usual, rows[row]) };
      describeTile(shown.picture, place % placeCount, x, at * placeFeatures);
      y[at++] = kind;
    }
  }
  return { x, y };
}

/** At most so many of them: one at random of every stretch, so that no column of tiles comes more often. */
function thinOut<Item>(tiles: readonly Item[], count: number): readonly Item[] {
  if (tiles.length <= count) return tiles;
  const random = new Random(count);
  return Array.from({ length: count }, (_, i) => tiles[Math.floor(((i + random.uniform()) * tiles.length) / count)]);
}
