import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { quantileSorted } from 'simple-statistics';
import { StoplineError } from './errors.ts';
import type { ProfileDescription } from './profile.ts';
import type { Tensor } from './safetensors.ts';
import {
  type Component,
  componentValues,
  fitGaussianiser,
  type Gaussianiser,
  gaussianise,
  normalise,
  scoredValue,
  surprise,
} from './score.ts';
import { statistics } from './statistics.ts';

/** What fitting keeps of one image. */
export interface Sample {
  path: string;
  group: string;
  fold: number;
  statistics: Float64Array;
  properties: Record<string, string>;
}

/** Parts of the reference that are left out in turn to see what a clean image scores on a model that has not seen it. */
export const folds = 5;
/** More distinct values of one container property than this are not told apart. */
const maxCategories = 1024;

type Model = {
  description: Pick<ProfileDescription, 'statistics' | 'constants' | 'categories' | 'components'>;
  tensors: Record<string, Tensor>;
};

/** The part that is arithmetic only: from two disjoint sets of measured images to the numbers of a Profile. */
export function fitModel(fitted: Sample[], calibrated: Sample[]): Model {
  const constants: Record<string, number> = {};
  const used: number[] = [];
  for (const [position, { name, scored }] of statistics.entries()) {
    if (!scored) continue;
    const values = fitted.map((sample) => sample.statistics[position]);
    const finite = values.filter(Number.isFinite);
    if (finite.length < values.length) continue; // measured on some images only: their format is categorical evidence
    if (finite.every((value) => value === finite[0])) constants[name] = finite[0];
    else used.push(position);
  }
  if (used.length < 3) {
    throw new StoplineError(
      'FIT_NO_VARIATION',
      `Expected reference images that differ but only ${used.length} statistics vary over ${fitted.length} images. Add images of other scenes and times.`,
    );
  }
  const logFloors = used.map((position) => statistics[position].logFloor);
  const values = (sample: Sample) =>
    Float64Array.from(used, (position, i) => scoredValue(sample.statistics[position], logFloors[i]));
  const withConstants = (sample: Sample) => {
    const properties = { ...sample.properties };
    for (const [position, { name }] of statistics.entries()) {
      if (name in constants) properties[name] = String(sample.statistics[position]);
    }
    return properties;
  };

  const rows = fitted.map(values);
  const properties = fitted.map(withConstants);
  const blocks = componentMembers(used);
  const standard = fitStandard(rows, blocks);
  const categories = countCategories(properties);

  // Out-of-fold component values: what a clean image scores on a model that has not seen it or its neighbours.
  const outOfFold: Float64Array[] = [];
  for (let fold = 0; fold < folds; fold++) {
    const inside = fitted.flatMap((sample, i) => (sample.fold === fold ? [i] : []));
    const outside = fitted.flatMap((sample, i) => (sample.fold === fold ? [] : [i]));
    if (inside.length === 0 || outside.length < 2) continue;
    const part = fitStandard(
      outside.map((i) => rows[i]),
      blocks,
    );
    const counts = countCategories(outside.map((i) => properties[i]));
    for (const i of inside) {
      outOfFold.push(componentValues(part.components, part.standardise(rows[i]), surprise(counts, properties[i])));
    }
  }
  const components = [
    ...standard.components.map(({ name, members }) => ({ name, members: [...members] })),
    { name: 'categories', members: [] },
  ].map(({ name, members }, i) => {
    const sorted = outOfFold.map((clean) => clean[i]).sort((a, b) => a - b);
    const median = quantileSorted(sorted, 0.5);
    return {
      name,
      members,
      median,
      scale: Math.max(quantileSorted(sorted, 0.995) - median, 1e-3 + (members.length === 0 ? 1 : 0)),
    };
  });

  const calibrationScores = Float64Array.from(calibrated, (sample) => {
    const clean = componentValues(
      standard.components,
      standard.standardise(values(sample)),
      surprise(categories, withConstants(sample)),
    );
    return normalise(clean, components);
  }).sort();
  const calibrationValues = used.map((position) =>
    Float64Array.from(calibrated, (sample) => sample.statistics[position]).sort(),
  );

  const knots = standard.gaussianisers;
  const offsets = [0];
  for (const { x } of knots) offsets.push(offsets[offsets.length - 1] + x.length);
  const tensors: Record<string, Tensor> = {
    knotOffsets: vector(offsets),
    knotValues: vector(knots.flatMap(({ x }) => [...x])),
    knotDeviations: vector(knots.flatMap(({ z }) => [...z])),
    slopes: vector(knots.map(({ slope }) => slope)),
    calibrationScores: vector(calibrationScores),
    calibrationValues: { shape: [used.length, calibrated.length], data: concatenate(calibrationValues) },
  };
  for (const [i, { members, mean, precision }] of standard.components.entries()) {
    tensors[`mean${i}`] = vector(mean);
    tensors[`precision${i}`] = { shape: [members.length, members.length], data: precision };
  }
  return {
    description: {
      statistics: used.map((position) => {
        const { name, logFloor } = statistics[position];
        return logFloor === undefined ? { name } : { name, logFloor };
      }),
      constants,
      categories,
      components,
    },
    tensors,
  };
}

/** All statistics together, and each group by itself: a single group sees its own cause where the whole dilutes it. */
function componentMembers(used: number[]): { name: string; members: number[] }[] {
  const groups = new Map<string, number[]>();
  for (const [member, position] of used.entries()) {
    const { group } = statistics[position];
    groups.set(group, [...(groups.get(group) ?? []), member]);
  }
  return [
    { name: 'all', members: used.map((_, member) => member) },
    ...[...groups].map(([name, members]) => ({ name, members })),
  ];
}

interface Standard {
  gaussianisers: Gaussianiser[];
  components: Component[];
  standardise(values: Float64Array): Float64Array;
}

function fitStandard(rows: Float64Array[], blocks: { name: string; members: number[] }[]): Standard {
  const gaussianisers = Array.from(rows[0], (_, i) => {
    const values = Float64Array.from(rows, (row) => row[i]);
    // Constant within this part of the reference only: any value is then at its centre.
    return fitGaussianiser(values) ?? { x: Float64Array.of(values[0], values[0]), z: new Float64Array(2), slope: 1 };
  });
  const standardise = (values: Float64Array) => values.map((value, i) => gaussianise(gaussianisers[i], value));
  const standardised = rows.map(standardise);
  const components = blocks.map(({ name, members }): Component => {
    const { mean, covariance } = ledoitWolf(standardised.map((z) => Float64Array.from(members, (member) => z[member])));
    const inverse = new CholeskyDecomposition(covariance).solve(Matrix.eye(members.length));
    return { name, members, mean, precision: Float64Array.from(inverse.to1DArray()) };
  });
  return { gaussianisers, components, standardise };
}

/**
 * Mean and Ledoit-Wolf covariance (Ledoit and Wolf 2004; the estimator of scikit-learn): the sample covariance shrunk
 * towards a multiple of the identity, with the intensity in closed form.
 */
export function ledoitWolf(rows: readonly Float64Array[]): {
  mean: Float64Array;
  covariance: Matrix;
  shrinkage: number;
} {
  const n = rows.length;
  const p = rows[0].length;
  const mean = new Float64Array(p);
  for (const row of rows) for (let i = 0; i < p; i++) mean[i] += row[i] / n;
  const covariance = Matrix.zeros(p, p);
  const centred = new Float64Array(p);
  let fourth = 0;
  const sums = new Float64Array(p * p);
  for (const row of rows) {
    let square = 0;
    for (let i = 0; i < p; i++) {
      centred[i] = row[i] - mean[i];
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
