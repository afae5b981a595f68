import { StoplineError } from '../errors.ts';
import { remarkedProperties } from '../image/measured.ts';
import { componentNames } from './components.ts';
import type { Profile } from './description.ts';
import { type Cause, type CauseEvidence, type CauseFit, causeEvidence, diagnose, pickCapped } from './diagnosis.ts';
import { type EmbeddingDistances, type EmbeddingFit, embeddingDistances } from './embeddings.ts';
import { expectedFlipRate, type FlipRate, harmRow } from './flips.ts';
import { type Gaussianiser, gaussianise, scoredValue } from './maths/gaussianise.ts';
import type { Networks } from './maths/network.ts';
import { PValues } from './maths/pvalues.ts';
import { knotCount, strangeness, type Tail } from './maths/tail.ts';
import { type Layout, type PlaceFit, placeFeatures, placeOdds, strongestPlace, tellLayout } from './places.ts';

/** Kept, because an array for every image costs more than what is computed in it. */
let centredRow = new Float64Array(0);

/** ln of the squared Mahalanobis distance. */
export function logDistance(z: Float64Array, mean: Float64Array, precision: Float64Array): number {
  const count = z.length;
  if (centredRow.length < count) centredRow = new Float64Array(count);
  const centred = centredRow;
  for (let i = 0; i < count; i++) centred[i] = z[i] - mean[i];
  let sum = 0;
  // The matrix is symmetric: half of it, and the diagonal, say all. Two rows at a time: one sum waits for each of its additions.
  for (let row = 0; row < count; row += 2) {
    const base = row * count;
    const next = row + 1 < count ? base + count : base;
    let inner = 0;
    let nextInner = 0;
    for (let column = 0; column < row; column++) {
      inner += precision[base + column] * centred[column];
      nextInner += precision[next + column] * centred[column];
    }
    sum += centred[row] * (2 * inner + precision[base + row] * centred[row]);
    if (row + 1 === count) break;
    nextInner += precision[next + row] * centred[row];
    sum += centred[row + 1] * (2 * nextInner + precision[next + row + 1] * centred[row + 1]);
  }
  return Math.log(Math.max(sum, 1e-9));
}

/**
 * Surprise of the categorical properties: the sum over properties of -ln((count + 1) / (n + 1)), so that a value never
 * seen in n images adds ln(n + 1).
 */
export function surprise(categories: Profile['categories'], properties: Readonly<Record<string, string>>): number {
  let sum = 0;
  for (const [property, value] of Object.entries(properties)) {
    const counts = categories[property];
    if (!counts || remarkedProperties.has(property)) continue;
    let total = 0;
    for (const other in counts) total += counts[other];
    sum += Math.log((total + 1) / ((Object.hasOwn(counts, value) ? counts[value] : 0) + 1));
  }
  return sum;
}

/** One population within the reference: all of it, or day and night, one camera and another. */
export interface Regime {
  gaussianisers: readonly Gaussianiser[];
  mean: Float64Array;
  precision: Float64Array;
}

/** What is needed to score standardised images: part of a Profile, or what a fold of the fit makes of it. */
export interface Parts {
  regimes: readonly Regime[];
  categories: Profile['categories'];
  /** Positions of the statistics that causes are told by. */
  members: readonly number[];
  causeFit?: CauseFit | undefined;
  embeddingFit?: EmbeddingFit | undefined;
  placeFit?: PlaceFit | undefined;
}

/** What an image shows, beside its statistics. */
export interface Looks {
  embedding?: Float32Array | undefined;
  /** As `measurePlaces` gives it. */
  places?: Float32Array | undefined;
}

/** The regime to which an image is nearest, and its deviations there. */
export interface Standardised {
  regime: number;
  z: Float64Array;
  /** ln of the squared Mahalanobis distance. */
  distance: number;
}

/** @param row scored values (`scoredValue`) of the statistics that are used */
export function standardise(regimes: readonly Regime[], row: Float64Array): Standardised {
  let nearest: Standardised | undefined;
  for (const [regime, { gaussianisers, mean, precision }] of regimes.entries()) {
    const z = new Float64Array(row.length);
    for (let i = 0; i < z.length; i++) z[i] = gaussianise(gaussianisers[i], row[i]);
    const distance = logDistance(z, mean, precision);
    if (!nearest || distance < nearest.distance) nearest = { regime, z, distance };
  }
  return nearest as Standardised;
}

/**
 * The components of one image, in the order of `componentNames`.
 * @param row scored values (`scoredValue`) of the statistics that are used
 * @param looks where one is missing, the components of it say that nothing is strange
 */
export function computeComponents(
  parts: Parts,
  row: Float64Array,
  properties: Readonly<Record<string, string>>,
  { embedding, places }: Looks = {},
): Standardised & {
  values: Float64Array;
  evidence?: CauseEvidence | undefined;
  embedded?: EmbeddingDistances | undefined;
  odds?: Float64Array | undefined;
  layout?: Layout | undefined;
} {
  const { causeFit, embeddingFit, placeFit } = parts;
  const standardised = standardise(parts.regimes, row);
  const { z, distance } = standardised;
  const evidence = causeFit && causeEvidence(causeFit, pickCapped(z, parts.members));
  const embedded = embeddingFit && embedding && embeddingDistances(embeddingFit, embedding);
  const odds = placeFit && places && placeOdds(placeFit, places);
  // Which way round a picture is shown is a property like those of its file: some value of it was never seen.
  const layout = placeFit && places && parts.categories.layout ? tellLayout(placeFit, places) : undefined;
  const nothing = Number.NEGATIVE_INFINITY;
  const values: Record<string, number> = {
    distance,
    causeSpace: evidence?.logDistance ?? nothing,
    causeOdds: evidence?.logOdds ?? nothing,
    embeddingDistance: embedded?.distance ?? nothing,
    embeddingNeighbours: embedded?.neighbours ?? nothing,
    embeddingEarly: embedded?.early ?? nothing,
    places: odds ? strongestPlace(odds) : nothing,
    categories: surprise(parts.categories, { ...properties, ...(layout && { layout }) }),
  };
  const names = componentNames({
    hasCauses: causeFit !== undefined,
    parts: embeddingFit?.parts,
    hasPlaces: placeFit !== undefined,
  });
  return {
    ...standardised,
    values: Float64Array.from(names, (name) => values[name]),
    evidence,
    embedded,
    odds,
    layout,
  };
}

/** Strangeness of one image. */
export interface Score {
  /** Per detector of the Profile, in its order, the combined one first. */
  detectors: DetectorScore[];
  /** Deviations of every scored statistic, within the nearest regime. */
  z: Float64Array;
  /** Position of the nearest regime of the reference. */
  regime: number;
  /** Ranked probable causes; absent where the Profile knows none. */
  causes?: Cause[] | undefined;
  /** Per component of the Profile, about 1 at the edge of the reference. */
  components: Float64Array;
  /** Absent where the Profile has no model. */
  embedded?: EmbeddingDistances | undefined;
  /** Log odds for every tile that it is hidden; absent where the Profile knows no places. */
  odds?: Float64Array | undefined;
  /** Which way round it is shown; absent where the Profile does not know. */
  layout?: Layout | undefined;
  /** Absent where the Profile has no harm map. */
  flips?: FlipRate | undefined;
}

/** Scores images against one Profile; holds the tensors in the form the arithmetic wants. */
export interface Scorer {
  /** @throws {StoplineError} INTERNAL when the Profile has a model and no embedding is given */
  score(vector: Float64Array, properties: Readonly<Record<string, string>>, looks?: Looks): Score;
  /** Sorted values of one scored statistic over the reference images of a regime. */
  calibration(position: number, regime: number): Float64Array;
  /**
   * Deviations of every scored statistic of an image that was judged before, within the nearest regime: the same numbers as
   * in its score. A statistic that is missing deviates by 0.
   */
  deviations(statistics: Readonly<Record<string, number | null>>): Float64Array;
}

/**
 * @param order names of all statistics in the order of the vectors that will be scored
 * @throws {StoplineError} PROFILE_VERSION when the Profile knows a statistic that this version does not measure
 */
export function createScorer(profile: Profile, order: readonly string[]): Scorer {
  const { tensors } = profile;
  const positions = profile.statistics.map(({ name }) => {
    const position = order.indexOf(name);
    if (position < 0) {
      throw new StoplineError(
        'PROFILE_VERSION',
        `The profile was fitted with a statistic "${name}" that this version of Stopline does not measure. Fit it again: stopline fit <folder> --out FILE`,
      );
    }
    return position;
  });
  const parts: Parts = {
    regimes: readRegimes(profile),
    categories: profile.categories,
    members: profile.causes?.members ?? [],
    causeFit: profile.causes && readCauseFit(profile),
    embeddingFit: profile.model && readEmbeddingFit(profile),
    placeFit: profile.places && readPlaceFit(profile),
  };
  const harm = profile.harm && {
    weights: tensors.harmWeights.data as Float64Array,
    covariance: tensors.harmCovariance.data as Float64Array,
  };

  const { threshold } = profile.falseAlarmRate;
  const pValues = profile.detectors.map(({ name }) => new PValues(tensors[`${name}Scores`].data, threshold));
  const scales = profile.regimes.map(({ components }, regime) =>
    readScales(components, tensors.componentKnots?.data.subarray(regime * components.length * knotCount)),
  );

  return {
    calibration: (position, regime) => readCalibration(profile, position, regime),
    deviations(values) {
      const row = Float64Array.from(profile.statistics, ({ name, logFloor }) =>
        scoredValue(values[name] ?? Number.NaN, logFloor),
      );
      const [first, second] = parts.regimes;
      if (second) return standardise(parts.regimes, row).z;
      return row.map((value, i) => gaussianise(first.gaussianisers[i], value));
    },
    score(vector, properties, looks = {}) {
      const { model } = profile;
      const { embedding } = looks;
      if (model && embedding?.length !== model.dimension) {
        throw new StoplineError(
          'INTERNAL',
          `Expected an embedding of ${model.dimension} numbers but received ${embedding?.length ?? 'none'}.`,
        );
      }
      const row = Float64Array.from(positions, (position, i) =>
        scoredValue(vector[position], profile.statistics[i].logFloor),
      );
      const found = computeComponents(parts, row, properties, looks);
      const { z, regime, distance, values, evidence, embedded, odds, layout } = found;
      const causes = parts.causeFit && evidence && diagnose(parts.causeFit, evidence, distance);
      const normalised = normalise(values, scales[regime]);
      const isVideo = properties.codec !== undefined && profile.categories.codec === undefined;
      const detectors = profile.detectors.map((detector, i): DetectorScore => {
        const { name, video } = detector;
        // What every codec does to images of this camera is no evidence against a frame of a video.
        const score = strongest(normalised, detector) - (isVideo ? (video ?? 0) : 0);
        return { name, pValue: pValues[i].of(score), score };
      });
      const flips = harm && expectedFlipRate(harm, harmRow(detectors[0].score, causes, profile.causes?.names ?? []));
      return { detectors, z, regime, causes, components: normalised, embedded, odds, layout, flips };
    },
  };
}

function readRegimes({ statistics: { length: count }, regimes, tensors }: Profile): Regime[] {
  const { knotOffsets, knotValues, knotDeviations, slopes, mean, precision } = tensors;
  return regimes.map((_, regime): Regime => {
    const first = regime * count;
    const gaussianisers = Array.from({ length: count }, (_, i): Gaussianiser => {
      const [from, to] = [knotOffsets.data[first + i], knotOffsets.data[first + i + 1]];
      const x = knotValues.data.subarray(from, to);
      return { x, z: knotDeviations.data.subarray(from, to), slope: slopes.data[first + i] };
    });
    return {
      gaussianisers,
      mean: mean.data.subarray(first, first + count),
      precision: precision.data.subarray(first * count, (first + count) * count),
    };
  });
}

/** Sorted values of one scored statistic over the reference images of a regime. */
function readCalibration({ regimes, tensors }: Profile, position: number, regime: number): Float64Array {
  const { shape, data } = tensors.calibrationValues;
  let from = position * shape[1];
  for (let before = 0; before < regime; before++) from += regimes[before].images;
  return data.subarray(from, from + regimes[regime].images);
}

function readCauseFit({ causes, tensors }: Profile): CauseFit {
  const { names, temperature } = causes as NonNullable<Profile['causes']>;
  return {
    causes: names,
    classifier: readClassifier(causes as NonNullable<Profile['causes']>, tensors),
    temperature,
    projection: tensors.causeProjection.data,
    centre: tensors.causeCentre.data,
    unknown: tensors.causeUnknown.data,
  };
}

function readClassifier(
  { names, members, networks }: NonNullable<Profile['causes']>,
  tensors: Profile['tensors'],
): CauseFit['classifier'] {
  const [features, classes] = [members.length, names.length + 1];
  if (!networks) return { features, classes, weights: tensors.causeWeights.data };
  const { count, units } = networks;
  return Array.from({ length: count }, (_, i): Networks[number] => {
    const [hidden, output] = [units * (features + 1), (units + 1) * classes];
    return {
      ...{ features, units, classes },
      hidden: tensors.causeHidden.data.subarray(i * hidden, (i + 1) * hidden),
      output: tensors.causeOutput.data.subarray(i * output, (i + 1) * output),
    };
  });
}

function readEmbeddingFit({ model, tensors }: Profile): EmbeddingFit {
  return {
    parts: (model as NonNullable<Profile['model']>).parts,
    floors: tensors.embeddingFloors.data,
    centre: tensors.embeddingCentre.data,
    scales: tensors.embeddingScales.data,
    factor: tensors.embeddingFactor.data,
    coreset: tensors.embeddingCoreset.data,
    axes: tensors.embeddingAxes?.data,
  };
}

function readPlaceFit({ places, tensors }: Profile): PlaceFit {
  const { units } = places as NonNullable<Profile['places']>;
  return {
    centre: tensors.placeCentre.data,
    spread: tensors.placeSpread.data,
    level: tensors.placeLevel.data,
    range: tensors.placeRange.data,
    network: {
      ...{ features: placeFeatures, units, classes: 2 },
      hidden: tensors.placeHidden.data,
      output: tensors.placeOutput.data,
    },
  };
}

/** The score of an image of which a component cannot be told: beyond all others, so that it is stopped. */
const strangest = 1e6;

/** The score of an image whose container says nothing unusual: below all others, so that it never decides or ties. */
const quiet = -10;

/** What brings a component to the scale of all: where clean images lie, and how fast they become fewer. */
export type Scale = { median: number; scale: number } | (Tail & { knots: Float64Array });

/** The scales of one regime, with the knots of its components one after the other. */
export function readScales(
  components: Profile['regimes'][number]['components'],
  knots: Float64Array | undefined,
): Scale[] {
  return components.map((component, i) =>
    'from' in component
      ? { ...component, knots: (knots as Float64Array).subarray(i * knotCount, (i + 1) * knotCount) }
      : component,
  );
}

/** Strangeness of one image in a hundred, which is 1 on the scale of scores. */
const edge = Math.log(100);

/**
 * Every component on one scale, on which 1 is the edge of the reference: -ln of the share of clean images at least as
 * strange, over ln 100; or (value - median) / (mean of the farthest 1 % - median). In place.
 * The last component is the categorical surprise, which is the same for most images: up to its median it is no evidence.
 */
export function normalise(values: Float64Array, scales: readonly Scale[]): Float64Array {
  const last = values.length - 1;
  for (let i = 0; i <= last; i++) {
    const value = bringToScale(values[i], scales[i], i === last);
    // A number that is none, such as a network may answer, is no reason to trust an image.
    values[i] = Number.isNaN(value) || value > strangest ? strangest : value;
  }
  return values;
}

function bringToScale(value: number, scale: Scale, isLast: boolean): number {
  if ('from' in scale) return Number.isNaN(value) ? value : strangeness(scale, scale.knots, value) / edge;
  return isLast && value <= scale.median ? quiet : (value - scale.median) / scale.scale;
}

/**
 * The score of a detector: the largest of its components. A discount d makes of a component of 1, which is one clean image in a hundred,
 * 1 - d; below it is taken off, and beyond it is that share of it. So what sees little neither decides among images that are
 * hardly strange, nor lets one clean image that it finds very strange set the threshold for all.
 * @param values components on the scale of scores
 */
export function strongest(
  values: Float64Array,
  { components, discounts, weights }: Pick<Profile['detectors'][number], 'components' | 'discounts' | 'weights'>,
): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const [i, component] of components.entries()) {
    const discount = discounts?.[i] ?? 0;
    const value = values[component] * (weights?.[i] ?? 1);
    most = Math.max(most, value < 1 ? value - discount : value * (1 - discount));
  }
  return most;
}

/** One detector's opinion. `score` is real-valued, larger is stranger. */
export interface DetectorScore {
  name: string;
  pValue: number;
  score: number;
}
