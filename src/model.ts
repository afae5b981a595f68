import { inverse } from 'ml-matrix';
import { quantileSorted } from 'simple-statistics';
import { calibrateDiagnosis, fitCauses, withoutClasses } from './causes.ts';
import { ledoitWolf } from './covariance.ts';
import { cap, unknownFeatures } from './diagnosis.ts';
import { StoplineError } from './errors.ts';
import type { ProfileDescription } from './profile.ts';
import type { Tensor } from './safetensors.ts';
import {
  componentsOf,
  fitGaussianiser,
  gaussianise,
  normalise,
  type Parts,
  pick,
  scoredValue,
  strongest,
} from './score.ts';
import { concatenate } from './softmax.ts';
import { statistics } from './statistics.ts';

/** What fitting keeps of one image. */
export interface Sample {
  /** sha256 of the file: decides by seed, wherever the file lies. */
  id: string;
  path: string;
  group: string;
  fold: number;
  statistics: Float64Array;
  properties: Record<string, string>;
}

/** One reference image looked at again: whole or in part, clean or under a simulated cause. */
export interface ExposedSample {
  fold: number;
  /** Exposures of one view show the same pixels but for the cause. */
  view: string;
  isPart: boolean;
  /** Absent when clean. */
  cause?: string;
  statistics: Float64Array;
}

/** Parts of the reference that are left out in turn to see what a clean image scores on a model that has not seen it. */
export const folds = 5;
/** More distinct values of one container property than this are not told apart. */
const maxCategories = 1024;
/** Where more images than this have a value of their own, one never seen before says nothing (Good-Turing). */
const maxSingletons = 0.1;
/** The clean quantile that every component is normalised by: a lower one lets a heavy-tailed component rule the maximum. */
const edge = 0.995;

type Model = {
  description: Pick<
    ProfileDescription,
    'statistics' | 'constants' | 'categories' | 'components' | 'detectors' | 'causes'
  >;
  tensors: Record<string, Tensor>;
  /** Combined scores of the fitted images, each by a model that was fitted without its fold. */
  unseenScores: number[];
};

/** The part that is arithmetic only: from measured images to the numbers of a Profile. `exposed` belongs to `fitted`. */
export function fitModel(fitted: Sample[], calibrated: Sample[], exposed: ExposedSample[]): Model {
  const { used, constants } = chooseStatistics(fitted, calibrated);
  const logFloors = used.map((position) => statistics[position].logFloor);
  const values = ({ statistics: all }: { statistics: Float64Array }) =>
    Float64Array.from(used, (position, i) => scoredValue(all[position], logFloors[i]));
  const withConstants = (sample: Sample) => {
    const properties = { ...sample.properties };
    for (const [position, { name }] of statistics.entries()) {
      if (name in constants) properties[name] = String(sample.statistics[position]);
    }
    return properties;
  };
  // The file was written by our encoder, not by the camera's: what only the container tells is not the cause's doing.
  const causeMembers = used.flatMap((position, i) => (statistics[position].group === 'container' ? [] : [i]));

  const clean = fitted.map((sample) => ({ fold: sample.fold, row: values(sample), properties: withConstants(sample) }));
  const views = exposed.map((sample) => ({ ...sample, row: values(sample) }));
  const causes = [...new Set(exposed.flatMap(({ cause }) => cause ?? []))];

  const train = (cleanPart: typeof clean, viewPart: typeof views, names: string[], start?: Float64Array) =>
    fitParts({ clean: cleanPart, views: viewPart, causes: names, members: causeMembers, start });
  const whole = train(clean, views, causes);

  // Out of fold: what an image scores on a model that has seen neither it nor its neighbours. Each fold also goes
  // without a fifth of the causes, so that there are images of causes the model does not know.
  const outOfFold: Float64Array[] = [];
  const diagnosed: { logits: Float64Array; truth: number; features: number[] }[] = [];
  for (let fold = 0; fold < folds; fold++) {
    const inside = clean.filter((sample) => sample.fold === fold);
    const outside = clean.filter((sample) => sample.fold !== fold);
    if (inside.length === 0 || outside.length < 2) continue;
    const known = causes.filter((_, i) => i % folds !== fold);
    const part = train(
      outside,
      views.filter(({ fold: of, cause }) => of !== fold && (cause === undefined || known.includes(cause))),
      known,
      whole.causeModel && withoutClasses(whole.causeModel, causes, known),
    );
    for (const { row, properties } of inside) outOfFold.push(componentsOf(part, row, properties).values);
    for (const { fold: of, cause, row } of views) {
      if (of !== fold || cause === undefined || !part.causeModel) continue;
      const { evidence, distance } = componentsOf(part, row, {});
      if (!evidence) continue;
      const features = unknownFeatures(evidence, distance);
      diagnosed.push({ logits: evidence.logits.slice(), truth: known.indexOf(cause), features });
    }
  }
  const causeModel = whole.causeModel && { ...whole.causeModel, ...calibrateDiagnosis(diagnosed) };

  const names = causeModel ? ['distance', 'causeSpace', 'causeOdds', 'categories'] : ['distance', 'categories'];
  const components = names.map((name, i) => {
    const sorted = outOfFold.map((row) => row[i]).sort((a, b) => a - b);
    const median = quantileSorted(sorted, 0.5);
    // Categories are often the same throughout. One property never seen before then scores 2: beyond the edge of the
    // reference, but not beyond everything, because sooner or later a clean image has one, too.
    const least = name === 'categories' ? Math.log(clean.length + 1) / 2 : 1e-3;
    return { name, median, scale: Math.max(quantileSorted(sorted, edge) - median, least) };
  });
  const all = components.map((_, i) => i);
  const detectors = causeModel
    ? [
        { name: 'combined', components: all },
        { name: 'capture', components: [1, 2, 3] },
        { name: 'content', components: [0] },
      ]
    : [
        { name: 'combined', components: all },
        { name: 'statistics', components: [0] },
        { name: 'container', components: [1] },
      ];
  const held = calibrated.map((sample) =>
    normalise(componentsOf(whole, values(sample), withConstants(sample)).values, components),
  );
  const unseenScores = outOfFold.map((row) => strongest(normalise(row, components), all));

  const knots = whole.gaussianisers;
  const offsets = [0];
  for (const { x } of knots) offsets.push(offsets[offsets.length - 1] + x.length);
  const tensors: Record<string, Tensor> = {
    knotOffsets: vector(offsets),
    knotValues: vector(knots.flatMap(({ x }) => [...x])),
    knotDeviations: vector(knots.flatMap(({ z }) => [...z])),
    slopes: vector(knots.map(({ slope }) => slope)),
    mean: vector(whole.mean),
    precision: { shape: [used.length, used.length], data: whole.precision },
    calibrationValues: {
      shape: [used.length, calibrated.length],
      data: concatenate(
        used.map((position) => Float64Array.from(calibrated, (sample) => sample.statistics[position]).sort()),
      ),
    },
  };
  for (const { name, components: of } of detectors) {
    tensors[`${name}Scores`] = vector(Float64Array.from(held, (row) => strongest(row, of)).sort());
  }
  if (causeModel) {
    tensors.causeProjection = { shape: [causeModel.centre.length, causeMembers.length], data: causeModel.projection };
    tensors.causeCentre = vector(causeModel.centre);
    tensors.causeWeights = { shape: [causeMembers.length + 1, causes.length + 1], data: causeModel.softmax.weights };
    tensors.causeUnknown = vector(causeModel.unknown);
  }
  return {
    description: {
      statistics: used.map((position) => {
        const { name, logFloor } = statistics[position];
        return logFloor === undefined ? { name } : { name, logFloor };
      }),
      constants,
      categories: countCategories(clean.map(({ properties }) => properties)),
      components,
      detectors,
      ...(causeModel && { causes: { names: causes, members: causeMembers, temperature: causeModel.temperature } }),
    },
    tensors,
    unseenScores,
  };
}

/**
 * Statistics measured on every image that vary are scored; those that never vary are categorical evidence.
 * @throws {StoplineError} FIT_NO_VARIATION
 */
export function chooseStatistics(fitted: Sample[], calibrated: Sample[]) {
  const constants: Record<string, number> = {};
  const used: number[] = [];
  for (const [position, { name, scored }] of statistics.entries()) {
    if (!scored) continue;
    const isMeasured = (sample: Sample) => Number.isFinite(sample.statistics[position]);
    // Measured on some images only: then their format is the evidence.
    if (!fitted.every(isMeasured) || !calibrated.every(isMeasured)) continue;
    const [first] = fitted;
    const value = first.statistics[position];
    if (fitted.every((sample) => sample.statistics[position] === value)) constants[name] = value;
    else used.push(position);
  }
  if (used.length < 3) {
    throw new StoplineError(
      'FIT_NO_VARIATION',
      `Expected reference images that differ but only ${used.length} statistics vary over ${fitted.length} images. Add images of other scenes and times.`,
    );
  }
  return { used, constants };
}

interface CleanRow {
  row: Float64Array;
  properties: Record<string, string>;
}

interface ViewRow {
  row: Float64Array;
  view: string;
  isPart: boolean;
  cause?: string;
}

function fitParts(input: {
  clean: CleanRow[];
  views: ViewRow[];
  causes: string[];
  members: number[];
  start?: Float64Array;
}): Parts {
  const { clean, views, causes, members, start } = input;
  const gaussianisers = Array.from(clean[0].row, (_, i) => {
    const column = Float64Array.from(clean, ({ row }) => row[i]);
    // Constant within this part of the reference only: any value is then at its centre.
    return fitGaussianiser(column) ?? { x: Float64Array.of(column[0], column[0]), z: new Float64Array(2), slope: 1 };
  });
  const standardise = (row: Float64Array, z = new Float64Array(row.length)) => {
    for (let i = 0; i < z.length; i++) z[i] = gaussianise(gaussianisers[i], row[i]);
    return z;
  };
  // Each row is read before the next one comes.
  const passing = new Float64Array(gaussianisers.length);
  const { mean, covariance } = ledoitWolf(clean, ({ row }) => standardise(row, passing));
  const parts: Parts = {
    gaussianisers,
    mean,
    precision: Float64Array.from(inverse(covariance).to1DArray()),
    categories: countCategories(clean.map(({ properties }) => properties)),
    members,
  };
  if (causes.length < 2) return parts;
  const capped = (row: Float64Array) => pick(cap(standardise(row)), members);
  const rows = {
    clean: clean.map(({ row }) => capped(row)),
    views: views.map(({ row, ...view }) => ({ ...view, x: capped(row) })),
  };
  return { ...parts, causeModel: fitCauses(rows, causes, start) };
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

function vector(data: ArrayLike<number>): Tensor {
  return { shape: [data.length], data: Float64Array.from(data) };
}
