import { quantileSorted } from 'simple-statistics';
import { StoplineError } from '../errors.ts';
import { families, findFamily } from '../image/corruptions/corruptions.ts';
import type { EmbeddingPart } from '../image/embedding/embedder.ts';
import { constantProperties } from '../image/measured.ts';
import { placeCount } from '../image/places.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { componentNames } from '../profile/components.ts';
import type { ProfileDescription } from '../profile/description.ts';
import { pickCapped, unknownFeatures } from '../profile/diagnosis.ts';
import { type Grain, scoredValue } from '../profile/maths/gaussianise.ts';
import { concatenate } from '../profile/maths/softmax.ts';
import { fitTail, knotCount, knotsBelow } from '../profile/maths/tail.ts';
import { type PlaceFit, tellLayout } from '../profile/places.ts';
import type { Tensor } from '../profile/safetensors.ts';
import { computeComponents, normalise, type Parts, readScales, standardise, strongest } from '../profile/score.ts';
import { CauseRows, calibrateDiagnosis, networks } from './causes.ts';
import { measureRise, moveBetween, type SeenTwice, spreadBetween } from './drives.ts';
import { fitEmbeddings } from './embeddings.ts';
import { type CrossFittedPlaces, crossFitPlaces, fitPlaces, type PlacedView } from './places.ts';
import { findRegimes, fitRegime } from './regimes.ts';
import type { Sample, SimulatedSample, UnseenDrive, UnseenSample } from './samples.ts';
import { collectProjections, collectTensors, vector } from './tensors.ts';

/** Parts of the reference that are left out in turn to see what an image scores by a fit that has not seen it. */
export const folds = 5;
/** More distinct values of one container property than this are not told apart. */
const maxCategories = 1024;
/** Where more images than this have a value of their own, one never seen before says nothing (Good-Turing). */
const maxSingletons = 0.1;
/** The edge of the categorical surprise is its mean over this share of the clean images, the farthest. */
const edge = 0.01;

/** The numbers of a Profile. */
interface Fitted {
  description: Pick<
    ProfileDescription,
    'statistics' | 'constants' | 'categories' | 'components' | 'regimes' | 'detectors' | 'causes' | 'places'
  >;
  tensors: Record<string, Tensor>;
}

/** What fitting makes of a reference. */
export interface FittedReference extends Fitted {
  /** Per fold, the model that was fitted without it; undefined where nothing is in the fold. */
  folds: (Fitted | undefined)[];
  /** Every image of the reference, as the model of its fold sees it. */
  unseen: UnseenSample[];
  /** Every recording, where there are a few, as a model sees it that was fitted on the others. */
  drives: UnseenDrive[];
  /** Ids of the images whose embeddings are kept, in their order. */
  coreset: string[];
}

/**
 * The part that is arithmetic only: from measured images to the numbers of a Profile.
 *
 * Cross-fitted: the Profile's fit is of all images; what a clean image scores is learnt by fits without
 * its fold, one per fold. After cross-conformal prediction (Vovk 2015), but a new image is scored by the one fit of all and not
 * by every fold's: that rests on a fit that hardly changes when a fold is left out, and is checked in the tests and by
 * `npm run evaluate`.
 */
export function crossFit(
  samples: Sample[],
  simulated: SimulatedSample[],
  /** What the embeddings of the samples are made of; none where they have none. */
  embedding?: { parts: readonly EmbeddingPart[] },
  /** Images of the reference of which parts were hidden; without, nothing is told by place. */
  placed: readonly PlacedView[] = [],
): FittedReference {
  const rows = prepareRows(samples, simulated, embedding?.parts);
  const places = crossFitPlaces(samples, placed);
  if (places) for (const row of rows.clean) noteLayout(row, places);
  const { parts: ofAll, coreset } = fitParts(rows);
  const whole = { ...ofAll, placeFit: places?.model };
  const without = Array.from({ length: folds }, (_, fold) => fitWithout(fold, rows, places?.folds[fold]));
  const judged = without.flatMap((fold) => fold.judged);
  const calibration = whole.causeFit && calibrateDiagnosis(without.flatMap(({ diagnosed }) => diagnosed));
  const components = componentNames({
    hasCauses: calibration !== undefined,
    parts: rows.embedded,
    hasPlaces: places !== undefined,
  });
  const left = leaveDrives(rows, { judged, placed: places ? placed : [] });
  const rises = left.filter(({ hasKin }) => hasKin).map(({ drive, images }) => ({ drive, rise: measureRise(images) }));
  const spread = spreadBetween(rises.map(({ rise }) => rise));
  const calibrating = judged.map((image) => ({ ...image, values: moveBetween(image.values, spread) }));
  const { regimes, knots } = measureRegimes(rows.labels, calibrating);
  const detectors = chooseDetectors(components, { hasCauses: calibration !== undefined, embedded: rows.embedded });
  // What is added for drives that are not known must not know the one that is left out, either.
  const drives = left.map((one) => {
    const others = rises.filter(({ drive }) => drive !== one.drive);
    return scoreDrive(one, spreadBetween(others.map(({ rise }) => rise)), detectors[0]);
  });
  const scales = regimes.map((regime, i) => readScales(regime.components, knots[i]));
  for (const image of [...judged, ...calibrating]) {
    normalise(image.values, scales[image.regime]);
    image.scores = detectors.map((detector) => strongest(image.values, detector));
    [image.score] = image.scores;
  }
  const shared = calibrationTensors(samples, rows, regimes.length);
  shared.componentKnots = { shape: [regimes.length, components.length, knotCount], data: concatenate(knots) };
  for (const [i, { name }] of detectors.entries()) {
    shared[`${name}Scores`] = vector(Float64Array.from(calibrating, ({ scores }) => scores[i]).sort());
  }
  if (places) shared.placeUsual = { shape: [placeCount], data: places.usual, isSingle: true };
  const { used, constants, causes, members } = rows;
  const describe = (part: Parts): Fitted => ({
    description: {
      statistics: nameStatistics(used),
      constants,
      categories: part.categories,
      components,
      regimes,
      detectors,
      ...(calibration && { causes: { names: causes, members, temperature: calibration.temperature, networks } }),
      ...(places && { places: places.description }),
    },
    tensors: { ...shared, ...collectTensors(part, calibration) },
  });
  const fitted = describe(whole);
  if (whole.embeddingFit) Object.assign(fitted.tensors, collectProjections(whole.embeddingFit, samples));
  return {
    ...fitted,
    folds: without.map(({ part }) => part && describe(part)),
    unseen: judged.map(({ sample, score, scores, z }, i) => ({
      ...{ sample, score, scores, z },
      calibration: calibrating[i].score,
    })),
    drives,
    coreset,
  };
}

/** All images as rows of the statistics that are scored. */
interface Rows {
  /** Positions of the scored statistics in the table. */
  used: number[];
  grains: Grain[];
  constants: Record<string, number>;
  /** Which of the scored statistics causes are told by. */
  members: number[];
  causes: string[];
  /** The regime of each clean row. */
  labels: number[];
  clean: CleanRow[];
  views: (Omit<SimulatedSample, 'statistics'> & { row: Float64Array })[];
  embedded?: readonly EmbeddingPart[];
}

function prepareRows(samples: Sample[], simulated: SimulatedSample[], embedded?: readonly EmbeddingPart[]): Rows {
  const { used, constants } = chooseStatistics(samples);
  const grains = used.map((position) => statistics[position]);
  const readRow = ({ statistics: all }: { statistics: Float64Array }) =>
    Float64Array.from(used, (position, i) => scoredValue(all[position], grains[i].logFloor));
  // The file was written by our encoder, not by the camera's: what only the container tells is not the cause's doing.
  const members = used.flatMap((position, i) => (statistics[position].group === 'container' ? [] : [i]));
  const scored = samples.map(readRow);
  const labels = findRegimes(scored, (inside) => isSpread(inside.map((member) => samples[member].fold)));
  const clean = samples.map((sample, i): CleanRow => {
    const properties = { ...sample.properties, ...constantProperties(sample.statistics, constants) };
    return { sample, regime: labels[i], row: scored[i], properties };
  });
  const views = simulated.map((sample) => ({ ...sample, row: readRow(sample) }));
  const causes = [...new Set(simulated.flatMap(({ cause }) => cause ?? []))];
  return { used, grains, constants, members, causes, labels, clean, views, ...(embedded && { embedded }) };
}

/** Which way round an image is shown, as places tell that do not know it. */
function noteLayout({ sample: { fold, places }, properties }: CleanRow, { model, folds }: CrossFittedPlaces): void {
  if (places) properties.layout = tellLayout(folds[fold] ?? model, places);
}

/** An image of the reference as seen by the fit without its fold. */
type JudgedSample = Omit<UnseenSample, 'calibration'> & { regime: number; values: Float64Array };

/** Fits without one fold, and looks at the images of that fold with it. */
function fitWithout(
  fold: number,
  rows: Rows,
  placeFit: PlaceFit | undefined,
): { part?: Parts; judged: JudgedSample[]; diagnosed: Diagnosed[] } {
  const inside = rows.clean.filter(({ sample }) => sample.fold === fold);
  const outside = rows.clean.filter(({ sample }) => sample.fold !== fold);
  if (inside.length === 0 || outside.length < 2) return { judged: [], diagnosed: [] };
  const viewsOutside = rows.views.filter((view) => view.fold !== fold);
  const fitted = fitParts({ ...rows, clean: outside, views: viewsOutside });
  const part = { ...fitted.parts, placeFit };
  const judged = inside.map(({ sample, row, properties }): JudgedSample => {
    const { regime, values, z } = computeComponents(part, row, properties, sample);
    return { sample, regime, values, score: Number.NaN, scores: [], z: Float32Array.from(z) };
  });
  return { part, judged, diagnosed: diagnoseFold(fold, rows, fitted) };
}

/** Diagnoses the views of a fold by a fit that knows neither their images nor whole families of causes. */
function diagnoseFold(fold: number, { causes, views }: Rows, fitted: ReturnType<typeof fitParts>): Diagnosed[] {
  const { parts: part, causeRows } = fitted;
  if (!part.causeFit || !causeRows) return [];
  // Without whole families of causes, so that there are images of causes whose relatives the fit does not know either.
  const known = causes.filter((cause) => families.indexOf(findFamily(cause)!) % folds !== fold);
  if (known.length < 2) return [];
  const knowing = known.length === causes.length ? part : { ...part, causeFit: causeRows.fit(known, { networks: 1 }) };
  return views.flatMap(({ fold: own, cause, row }): Diagnosed[] => {
    if (own !== fold || cause === undefined) return [];
    const { evidence, distance } = computeComponents(knowing, row, {});
    if (!evidence) return [];
    const features = unknownFeatures(evidence, distance);
    return [{ logits: evidence.logits.slice(), truth: known.indexOf(cause), features }];
  });
}

/** More recordings than this sharpen the share little, and each takes a fit. */
const maxDrives = 4;
/** A recording is left out where so many images are left to fit and to calibrate, and where it says something itself. */
const leastOfDrive = 20;

/** A recording that was left out whole. */
interface LeftDrive {
  drive: string;
  images: SeenTwice[];
  /** Whether others are of its kind: one that is a population of its own, as of another camera, tells nothing of drives like the rest. */
  hasKin: boolean;
  /** Images of all others, as fits without their parts see them. */
  others: JudgedSample[];
}

/**
 * Leaves out one recording after the other: frames of one are alike in ways that another of the same camera is not, so what
 * images score without their time block tells nothing of a new drive.
 */
function leaveDrives(
  rows: Rows,
  { judged, placed }: { judged: readonly JudgedSample[]; placed: readonly PlacedView[] },
): LeftDrive[] {
  const sizes = new Map<string, number>();
  for (const { sample } of rows.clean) if (sample.drive) sizes.set(sample.drive, (sizes.get(sample.drive) ?? 0) + 1);
  if (sizes.size < 2) return [];
  const known = new Map(judged.map(({ sample, values }) => [sample.id, values]));
  const drives = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, maxDrives);
  return drives.flatMap(([drive, count]): LeftDrive[] => {
    const inside = rows.clean.filter(({ sample }) => sample.drive === drive);
    const outside = rows.clean.filter(({ sample }) => sample.drive !== drive);
    if (count < leastOfDrive || outside.length < 2 * leastOfDrive) return [];
    // Without the drive a regime may be empty; all that is left is then one population.
    const isSplit = countRegimes(outside).every((images) => images >= minJudged);
    const clean = isSplit ? outside : outside.map((row) => ({ ...row, regime: 0 }));
    const { parts } = fitParts({ ...rows, clean, views: rows.views.filter((view) => view.drive !== drive) });
    const placeFit = fitPlaces(
      outside.map(({ sample }) => sample),
      placed.filter((view) => view.drive !== drive),
    );
    if (placed.length > 0 && !placeFit) return [];
    const images = inside.map(({ sample, row, properties }) => ({
      known: known.get(sample.id) as Float64Array,
      unknown: computeComponents({ ...parts, placeFit }, row, properties, sample).values,
    }));
    const hasKin = countKin(inside, outside) >= leastOfDrive;
    return [{ drive, images, hasKin, others: judged.filter(({ sample }) => sample.drive !== drive) }];
  });
}

/** Images of other drives in the regime in which most images of one are. */
function countKin(inside: readonly CleanRow[], outside: readonly CleanRow[]): number {
  const sizes = countRegimes(inside);
  return countRegimes(outside)[sizes.indexOf(Math.max(...sizes))] ?? 0;
}

/** Images of each regime. */
function countRegimes(rows: readonly CleanRow[]): number[] {
  const sizes = new Array<number>(Math.max(...rows.map(({ regime }) => regime)) + 1).fill(0);
  for (const { regime } of rows) sizes[regime]++;
  return sizes;
}

/** What a drive scores that was left out, and what images of the others do. */
function scoreDrive(
  { drive, images, others }: LeftDrive,
  spread: Float64Array | undefined,
  detector: ProfileDescription['detectors'][number],
): UnseenDrive {
  const calibrating = others.map(({ values }) => moveBetween(values, spread));
  const found = findScales(calibrating);
  const scales = readScales(found.components, found.knots);
  const readScore = (values: Float64Array) => strongest(normalise(values.slice(), scales), detector);
  return {
    drive,
    scores: images.map(({ unknown }) => readScore(unknown)),
    calibration: Float64Array.from(calibrating, readScore).sort(),
  };
}

/** How many images each regime has, and what its components are normalised by. */
function measureRegimes(labels: readonly number[], judged: readonly JudgedSample[]) {
  const knots: Float64Array[] = [];
  const regimes = Array.from({ length: Math.max(...labels) + 1 }, (_, regime): Regimes[number] => {
    const inside = judged.filter((image) => image.regime === regime);
    const images = labels.filter((label) => label === regime).length;
    const scales = findScales((inside.length < minJudged ? judged : inside).map(({ values }) => values));
    knots.push(scales.knots);
    return { images, components: scales.components };
  });
  return { regimes, knots };
}

/**
 * By how much a component counts for less in the combined detector: what sees hardly anything of simulated causes, or differs from
 * drive to drive, must not raise the edge for what does. Tables in docs/detection.md.
 */
const discounts: Readonly<Record<string, number>> = {
  distance: 0.4,
  causeSpace: 0.05,
  embeddingDistance: 0.5,
  embeddingNeighbours: 0.5,
  embeddingEarly: 0.5,
};

/** The detectors of a Profile, the combined one first: each is the largest of some components. */
function chooseDetectors(
  components: readonly string[],
  { hasCauses, embedded }: { hasCauses: boolean; embedded?: Rows['embedded'] },
): ProfileDescription['detectors'] {
  const positions = (...wanted: string[]) =>
    wanted.flatMap((name) => (components.includes(name) ? components.indexOf(name) : []));
  const seen = ['embeddingDistance', 'embeddingNeighbours'];
  const content = { name: 'content', components: positions('distance', ...seen) };
  const byQuestion = hasCauses
    ? [{ name: 'capture', components: positions('causeSpace', 'causeOdds', 'places', 'categories') }, content]
    : [
        { name: 'statistics', components: positions('distance') },
        { name: 'container', components: positions('categories') },
        ...(embedded ? [content] : []),
      ];
  // Without simulated causes nothing is known of what a component sees, so each counts alike.
  const discounted = hasCauses && { discounts: components.map((name) => discounts[name] ?? 0) };
  return [
    { name: 'combined', components: components.map((_, i) => i), ...discounted },
    ...byQuestion,
    ...(embedded ? [{ name: 'embedding', components: positions(...seen) }] : []),
    ...(components.includes('places') ? [{ name: 'places', components: positions('places') }] : []),
  ];
}

/** The sorted values of every scored statistic, regime after regime. */
function calibrationTensors(samples: Sample[], { used, labels }: Rows, regimes: number): Record<string, Tensor> {
  const readSorted = (position: number, regime: number) => {
    const inside = samples.filter((_, i) => labels[i] === regime);
    return Float64Array.from(inside, (sample) => sample.statistics[position]).sort();
  };
  const columns = used.flatMap((position) =>
    Array.from({ length: regimes }, (_, regime) => readSorted(position, regime)),
  );
  return { calibrationValues: { shape: [used.length, samples.length], data: concatenate(columns) } };
}

/** One image under a cause, as seen by a fit that knows neither the image nor, of some, the cause. */
interface Diagnosed {
  logits: Float64Array;
  /** Position of the cause among those known to the model; -1 for one it does not know. */
  truth: number;
  features: number[];
}

type Regimes = ProfileDescription['regimes'];

/** A regime to which fewer images turn out to be nearest is normalised as all of them are. */
const minJudged = 20;

/** A regime must be left in every fit that goes without a fold. */
function isSpread(members: readonly number[]): boolean {
  const sizes = new Map<number, number>();
  for (const fold of members) sizes.set(fold, (sizes.get(fold) ?? 0) + 1);
  return Math.max(...sizes.values()) <= members.length / 2;
}

/** The tail of every component and the knots below it; of the categories, which are last, median and edge. */
function findScales(rows: readonly Float64Array[]): Pick<Regimes[number], 'components'> & { knots: Float64Array } {
  const last = rows[0].length - 1;
  const knots = new Float64Array(rows[0].length * knotCount);
  const components = Array.from(rows[0], (_, i): Regimes[number]['components'][number] => {
    const sorted = rows.map((values) => values[i]).sort((a, b) => a - b);
    if (i === last) return findEdge(sorted);
    const tail = fitTail(sorted);
    knots.set(knotsBelow(sorted, tail), i * knotCount);
    return tail;
  });
  return { components, knots };
}

/** Median and edge of the categorical surprise. */
function findEdge(sorted: readonly number[]) {
  const median = quantileSorted(sorted as number[], 0.5);
  const top = sorted.slice(-Math.ceil(edge * sorted.length));
  const reach = top.reduce((sum, value) => sum + value, 0) / top.length - median;
  // Categories are often the same throughout. One property never seen before then scores 2: beyond the edge of the
  // reference, but not beyond everything, because sooner or later a clean image has one, too.
  return { median, scale: Math.max(reach, Math.log(sorted.length + 1) / 2) };
}

/** The scored statistics as a Profile names them. */
export function nameStatistics(used: readonly number[]): ProfileDescription['statistics'] {
  return used.map((position) => {
    const { name, logFloor } = statistics[position];
    return logFloor === undefined ? { name } : { name, logFloor };
  });
}

/** Statistics measured on every image that vary by more than their resolution are scored; the others are categorical evidence. */
export function chooseStatistics(samples: Sample[]) {
  const constants: Record<string, number> = {};
  const used: number[] = [];
  for (const [position, { name, scored, resolution }] of statistics.entries()) {
    if (!scored) continue;
    const isMeasured = (sample: Sample) => Number.isFinite(sample.statistics[position]);
    // Measured on some images only: then their format is the evidence.
    if (!samples.every(isMeasured)) continue;
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const sample of samples) {
      low = Math.min(low, sample.statistics[position]);
      high = Math.max(high, sample.statistics[position]);
    }
    if (high === low || high - low < resolution) constants[name] = samples[0].statistics[position];
    else used.push(position);
  }
  if (used.length < 3) {
    throw new StoplineError(
      'FIT_NO_VARIATION',
      `Expected reference images that differ but only ${used.length} statistics vary over ${samples.length} images. Add images of other scenes and times.`,
    );
  }
  return { used, constants };
}

interface CleanRow {
  sample: Sample;
  regime: number;
  row: Float64Array;
  properties: Record<string, string>;
}

interface ViewRow {
  row: Float64Array;
  view: string;
  isPart: boolean;
  cause?: string | undefined;
}

/** What is fitted on one part of the reference, and its rows as causes are learnt from them; none with fewer than two causes. */
function fitParts(input: {
  clean: CleanRow[];
  views: ViewRow[];
  causes: string[];
  members: number[];
  grains: Grain[];
  embedded?: readonly EmbeddingPart[];
}): { parts: Parts; causeRows?: CauseRows; coreset: string[] } {
  const { clean, views, causes, members, grains } = input;
  const regimes = Array.from({ length: Math.max(...clean.map(({ regime }) => regime)) + 1 }, (_, regime) =>
    fitRegime(
      clean.filter((image) => image.regime === regime),
      grains,
    ),
  );
  const embeddings = clean.flatMap(({ sample: { id, embedding } }) => (embedding ? { id, embedding } : []));
  const fitted = input.embedded && fitEmbeddings(embeddings, input.embedded);
  const parts = {
    regimes,
    categories: countCategories(clean.map(({ properties }) => properties)),
    members,
    embeddingFit: fitted?.model,
  };
  const coreset = fitted?.coreset ?? [];
  if (causes.length < 2) return { parts, coreset };
  const standardised = (row: Float64Array) => {
    const { regime, z } = standardise(regimes, row);
    return { regime, x: pickCapped(z, members) };
  };
  const causeRows = new CauseRows({
    clean: clean.map(({ row }) => standardised(row).x),
    views: views.map(({ row, ...view }) => ({ ...view, ...standardised(row) })),
  });
  return { parts: { ...parts, causeFit: causeRows.fit(causes) }, causeRows, coreset };
}

/** How often each property had each value; properties of which most images have a value of their own are left out. */
function countCategories(rows: Record<string, string>[]): Record<string, Record<string, number>> {
  const categories: Record<string, Record<string, number>> = {};
  for (const row of rows) {
    for (const [property, value] of Object.entries(row)) {
      categories[property] ??= {};
      const counts = categories[property];
      if (Object.hasOwn(counts, value)) counts[value]++;
      else if (Object.keys(counts).length < maxCategories) counts[value] = 1;
    }
  }
  for (const [property, counts] of Object.entries(categories)) {
    const singletons = Object.values(counts).filter((count) => count === 1).length;
    if (singletons > Math.max(1, maxSingletons * rows.length)) delete categories[property];
  }
  return categories;
}
