import { CholeskyDecomposition, EigenvalueDecomposition, inverse, Matrix } from 'ml-matrix';
import { quantileSorted } from 'simple-statistics';
import { type CauseModel, cap, causeEvidence, softmaxOf, unknownFeatures } from './diagnosis.ts';
import { StoplineError } from './errors.ts';
import type { ProfileDescription } from './profile.ts';
import type { Tensor } from './safetensors.ts';
import {
  fitGaussianiser,
  type Gaussianiser,
  gaussianise,
  logDistance,
  normalise,
  scoredValue,
  strongest,
  surprise,
} from './score.ts';
import { trainSoftmax } from './softmax.ts';
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
/** Dimensions of the subspace in which causes act. */
const subspaceSize = 16;
/** Weight of parts of frames against whole frames: they vary the content, but they are not what will come in. */
const partWeight = 0.2;
const l2 = 1;
const iterations = { first: 60, again: 15 };
/** The clean quantile that every component is normalised by: a lower one lets a heavy-tailed component rule the maximum. */
const edge = 0.995;

type Model = {
  description: Pick<
    ProfileDescription,
    'statistics' | 'constants' | 'categories' | 'components' | 'detectors' | 'causes'
  >;
  tensors: Record<string, Tensor>;
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
  };
}

/** Statistics measured on every image that vary are scored; those that never vary are categorical evidence. */
function chooseStatistics(fitted: Sample[], calibrated: Sample[]) {
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

interface Parts {
  gaussianisers: Gaussianiser[];
  mean: Float64Array;
  precision: Float64Array;
  categories: Record<string, Record<string, number>>;
  members: number[];
  causeModel?: CauseModel;
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
  const standardise = (row: Float64Array) => row.map((value, i) => gaussianise(gaussianisers[i], value));
  const { mean, covariance } = ledoitWolf(clean, ({ row }) => standardise(row));
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

/** A view under a cause or clean, standardised and capped. */
interface View {
  x: Float64Array;
  view: string;
  isPart: boolean;
  cause?: string;
}

function fitCauses(rows: { clean: Float64Array[]; views: View[] }, causes: string[], start?: Float64Array): CauseModel {
  const cleanViews = rows.views.filter(({ cause }) => cause === undefined);
  const causeViews = rows.views.filter(({ cause }) => cause !== undefined);
  const features = rows.clean[0].length;

  // Clean variation, with parts of frames for other content than the reference happens to show.
  const { mean, covariance } = ledoitWolf([...rows.clean, ...cleanViews.map(({ x }) => x)]);
  const { projection, centre } = causeSubspace(
    causeViews,
    new Map(cleanViews.map(({ view, x }) => [view, x])),
    mean,
    covariance,
  );

  const all = [
    ...rows.clean.map((x) => ({ x, y: 0, w: 1 })),
    ...cleanViews.map(({ x }) => ({ x, y: 0, w: (partWeight * rows.clean.length) / cleanViews.length })),
    ...causeViews.map(({ x, cause, isPart }) => ({
      x,
      y: 1 + causes.indexOf(cause as string),
      w: isPart ? partWeight : 1,
    })),
  ];
  // Clean weighs as much as all causes together.
  const weigh = (isClean: boolean) => all.reduce((sum, { y, w }) => sum + ((y === 0) === isClean ? w : 0), 0);
  const total = { clean: weigh(true), causes: weigh(false) };
  const softmax = trainSoftmax(
    {
      x: concatenate(all.map(({ x }) => x)),
      y: Uint16Array.from(all, ({ y }) => y),
      w: Float64Array.from(all, ({ y, w }) => w / (y === 0 ? total.clean : total.causes)),
    },
    { features, classes: causes.length + 1 },
    { l2, iterations: start ? iterations.again : iterations.first, start },
  );
  return { causes, softmax, temperature: 1, projection, centre, unknown: new Float64Array(5) };
}

/**
 * Directions in which causes move an image most, measured in clean deviations: the leading eigenvectors of the second
 * moment of (exposed - clean of the same view) relative to the clean covariance. They whiten it.
 */
function causeSubspace(causeViews: View[], cleanOf: Map<string, Float64Array>, mean: Float64Array, covariance: Matrix) {
  const size = mean.length;
  const lower = new CholeskyDecomposition(covariance).lowerTriangularMatrix;
  const whiten = inverse(lower);
  const moment = Matrix.zeros(size, size);
  const shift = new Float64Array(size);
  for (const { x, view } of causeViews) {
    const clean = cleanOf.get(view);
    if (!clean) continue;
    let length = 0;
    for (let i = 0; i < size; i++) {
      shift[i] = x[i] - clean[i];
      length += shift[i] ** 2;
    }
    // A gross cause must not count for a hundred mild ones.
    const scale = Math.min(1, 8 / Math.sqrt(Math.max(length, 1e-12)));
    for (let i = 0; i < size; i++)
      for (let j = i; j < size; j++) moment.set(i, j, moment.get(i, j) + shift[i] * shift[j] * scale ** 2);
  }
  for (let i = 0; i < size; i++) for (let j = 0; j < i; j++) moment.set(i, j, moment.get(j, i));
  const whitened = whiten.mmul(moment).mmul(whiten.transpose());
  const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(whitened, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const vectors = order.slice(0, subspaceSize).map((column) => eigenvectorMatrix.getColumn(column));
  const projection = new Matrix(vectors).mmul(whiten);
  return {
    projection: Float64Array.from(projection.to1DArray()),
    centre: Float64Array.from(projection.mmul(Matrix.columnVector([...mean])).to1DArray()),
  };
}

/** Starting weights for a model that knows fewer causes. */
function withoutClasses({ softmax }: CauseModel, causes: string[], known: string[]): Float64Array {
  const classes = [0, ...known.map((cause) => 1 + causes.indexOf(cause))];
  const start = new Float64Array((softmax.features + 1) * classes.length);
  for (let row = 0; row <= softmax.features; row++) {
    for (const [i, k] of classes.entries())
      start[row * classes.length + i] = softmax.weights[row * softmax.classes + k];
  }
  return start;
}

function componentsOf(parts: Parts, row: Float64Array, properties: Record<string, string>) {
  const z = row.map((value, i) => gaussianise(parts.gaussianisers[i], value));
  const distance = logDistance(z, parts.mean, parts.precision);
  const categorical = surprise(parts.categories, properties);
  if (!parts.causeModel) return { values: Float64Array.of(distance, categorical), distance };
  const evidence = causeEvidence(parts.causeModel, pick(cap(z), parts.members));
  return { values: Float64Array.of(distance, evidence.logDistance, evidence.logOdds, categorical), distance, evidence };
}

/** Temperature and the model of `unknown`, on images that neither was trained on. */
function calibrateDiagnosis(diagnosed: { logits: Float64Array; truth: number; features: number[] }[]) {
  const known = diagnosed.filter(({ truth }) => truth >= 0);
  let temperature = 1;
  let least = Number.POSITIVE_INFINITY;
  for (let candidate = 0.4; candidate < 6; candidate *= 1.08) {
    let loss = 0;
    for (const { logits, truth } of known) loss -= Math.log(softmaxOf(logits, candidate)[truth] + 1e-12);
    if (loss < least) [least, temperature] = [loss, candidate];
  }
  const features = diagnosed[0]?.features.length ?? 0;
  const { weights } = trainSoftmax(
    {
      x: Float64Array.from(diagnosed.flatMap((row) => row.features)),
      y: Uint16Array.from(diagnosed, ({ truth }) => (truth < 0 ? 1 : 0)),
      w: new Float64Array(diagnosed.length).fill(1),
    },
    { features, classes: 2 },
    { l2: 0.01, iterations: 100 },
  );
  return {
    temperature,
    unknown: Float64Array.from({ length: features + 1 }, (_, i) => weights[2 * i + 1] - weights[2 * i]),
  };
}

function pick(x: Float64Array, members: readonly number[]): Float64Array {
  return Float64Array.from(members, (member) => x[member]);
}

/**
 * Mean and Ledoit-Wolf covariance (Ledoit and Wolf 2004; the estimator of scikit-learn): the sample covariance shrunk
 * towards a multiple of the identity, with the intensity in closed form. `valuesOf` is asked twice for each row, so that
 * what it computes need not be kept.
 */
export function ledoitWolf<Row = Float64Array>(
  rows: readonly Row[],
  valuesOf: (row: Row) => Float64Array = (row) => row as Float64Array,
): { mean: Float64Array; covariance: Matrix; shrinkage: number } {
  const n = rows.length;
  const p = valuesOf(rows[0]).length;
  const mean = new Float64Array(p);
  for (const row of rows) {
    const values = valuesOf(row);
    for (let i = 0; i < p; i++) mean[i] += values[i] / n;
  }
  const covariance = Matrix.zeros(p, p);
  const centred = new Float64Array(p);
  let fourth = 0;
  const sums = new Float64Array(p * p);
  for (const row of rows) {
    const values = valuesOf(row);
    let square = 0;
    for (let i = 0; i < p; i++) {
      centred[i] = values[i] - mean[i];
      square += centred[i] ** 2;
    }
    fourth += square ** 2;
    for (let i = 0; i < p; i++) for (let j = i; j < p; j++) sums[i * p + j] += centred[i] * centred[j];
  }
  let norm = 0;
  let trace = 0;
  for (let i = 0; i < p; i++) {
    for (let j = i; j < p; j++) {
      const value = sums[i * p + j] / n;
      covariance.set(i, j, value);
      covariance.set(j, i, value);
      norm += (i === j ? 1 : 2) * value ** 2;
      if (i === j) trace += value;
    }
  }
  const mu = trace / p;
  const delta = norm / p - mu ** 2;
  const beta = Math.min((fourth / n - norm) / (n * p), delta);
  const shrinkage = delta <= 0 ? 1 : Math.max(0, beta / delta);
  covariance.mul(1 - shrinkage);
  // A floor keeps the matrix invertible where statistics are exact copies of each other.
  for (let i = 0; i < p; i++) covariance.set(i, i, covariance.get(i, i) + shrinkage * mu + 1e-9 * Math.max(mu, 1e-9));
  return { mean, covariance, shrinkage };
}

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
  return categories;
}

function vector(data: ArrayLike<number>): Tensor {
  return { shape: [data.length], data: Float64Array.from(data) };
}

function concatenate(parts: Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
