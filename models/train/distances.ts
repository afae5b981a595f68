import { inverse } from 'ml-matrix';
import type { EmbeddingPart } from '../../src/image/embedding/embedder.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { ledoitWolf } from '../../src/profile/maths/covariance.ts';
import { fitGaussianiser, gaussianise, scoredValue } from '../../src/profile/maths/gaussianise.ts';

/** What was measured of the images of one side of a test. */
export interface Columns {
  statistics: Float64Array[];
  /** The rows of each model. */
  embeddings: Float32Array[][];
}

/** Scores of the images asked about, and of the fitted ones by a model that was fitted without them. */
export interface Scores {
  fitted: Float64Array;
  asked: Float64Array;
}

type Row = Float64Array;
/** From fitted rows to a score of any row. */
type Fit = (fitted: readonly Row[]) => (row: Row) => number;

const folds = 4;

function scores(fit: Fit, fitted: readonly Row[], asked: readonly Row[]): Scores {
  const inside = new Float64Array(fitted.length);
  for (let fold = 0; fold < folds; fold++) {
    const score = fit(fitted.filter((_, i) => i % folds !== fold));
    fitted.forEach((row, i) => {
      if (i % folds === fold) inside[i] = score(row);
    });
  }
  return { fitted: inside, asked: Float64Array.from(asked, fit(fitted)) };
}

/** ln of the squared Mahalanobis distance, with the covariance of Ledoit and Wolf. */
const mahalanobis: Fit = (fitted) => {
  const { mean, covariance } = ledoitWolf(fitted);
  const precision = inverse(covariance).to2DArray();
  return (row) => {
    let sum = 0;
    for (let i = 0; i < row.length; i++) {
      let line = 0;
      for (let j = 0; j < row.length; j++) line += precision[i][j] * (row[j] - mean[j]);
      sum += line * (row[i] - mean[i]);
    }
    return Math.log(sum + 1e-12);
  };
};

/** Distances to the fitted rows, nearest first. */
const sortedDistances = (fitted: readonly Row[], row: Row): number[] =>
  fitted
    .map((other) => {
      let sum = 0;
      for (let i = 0; i < row.length; i++) sum += (row[i] - other[i]) ** 2;
      return Math.sqrt(sum);
    })
    .sort((a, b) => a - b);

/** Distance to the k-th nearest fitted row. */
const nearest =
  (k: number): Fit =>
  (fitted) =>
  (row) =>
    sortedDistances(fitted, row)[Math.min(k, fitted.length) - 1];

/** Mean distance to the k nearest fitted rows, as a Profile takes it. */
const nearestMean =
  (k: number): Fit =>
  (fitted) =>
  (row) => {
    const near = sortedDistances(fitted, row).slice(0, k);
    return near.reduce((sum, distance) => sum + distance, 0) / near.length;
  };

/** Rows with mean 0 and deviation 1 in the fitted ones, then another fit. */
const standardised =
  (fit: Fit, isUnit = false): Fit =>
  (fitted) => {
    const n = fitted.length;
    const mean = fitted[0].map((_, i) => fitted.reduce((sum, row) => sum + row[i], 0) / n);
    const deviation = mean.map((m, i) => Math.sqrt(fitted.reduce((sum, row) => sum + (row[i] - m) ** 2, 0) / n));
    const floor = 0.01 * [...deviation].sort((a, b) => a - b)[deviation.length >> 1];
    const change = (row: Row) => {
      const z = row.map((value, i) => (value - mean[i]) / Math.max(deviation[i], floor, 1e-12));
      return isUnit ? unit(z) : z;
    };
    const score = fit(fitted.map(change));
    return (row) => score(change(row));
  };

function unit(row: Row): Row {
  const length = Math.hypot(...row) + 1e-12;
  return row.map((value) => value / length);
}

/** Each number as deviations of a normal distribution, by its rank among the fitted ones. */
const gaussianised =
  (fit: Fit): Fit =>
  (fitted) => {
    const maps = Array.from(fitted[0], (_, i) => fitGaussianiser(Float64Array.from(fitted, (row) => row[i])));
    const used = maps.flatMap((map, i) => (map === undefined ? [] : [{ map, i }]));
    const change = (row: Row) => Float64Array.from(used, ({ map, i }) => gaussianise(map, row[i]));
    const score = fit(fitted.map(change));
    return (row) => score(change(row));
  };

/**
 * How far the early channels are from those of the fitted images whose content is most alike, in deviations
 * (science: level of similar images). The first `content` numbers of a row are its content.
 */
const besideSimilar =
  (content: number, share: number): Fit =>
  (fitted) => {
    const k = Math.max(3, Math.round(fitted.length * share));
    const units = fitted.map((row) => unit(row.slice(0, content)));
    const early = fitted.map((row) => row.slice(content));
    const mean = early[0].map((_, c) => early.reduce((sum, row) => sum + row[c], 0) / early.length);
    const deviation = mean.map((m, c) =>
      Math.sqrt(early.reduce((sum, row) => sum + (row[c] - m) ** 2, 0) / early.length),
    );
    const floor = 0.01 * [...deviation].sort((a, b) => a - b)[deviation.length >> 1] + 1e-12;
    return (row) => {
      const own = unit(row.slice(0, content));
      const near = units
        .map((other, i) => ({ i, d: other.reduce((sum, value, c) => sum + (value - own[c]) ** 2, 0) }))
        .sort((a, b) => a.d - b.d)
        .slice(0, k);
      let sum = 0;
      for (let c = 0; c < deviation.length; c++) {
        const usual = near.reduce((total, { i }) => total + early[i][c], 0) / near.length;
        sum += Math.abs(row[content + c] - usual) / Math.max(deviation[c], floor);
      }
      return sum / deviation.length;
    };
  };

/** The distance by the statistics as `fit` scores them without causes, but for those of the container. */
export function statisticsDistance(fitted: readonly Row[], asked: readonly Row[]): Scores {
  const used = statistics.flatMap(({ scored, group }, i) =>
    scored && group !== 'container' && fitted.every((row) => Number.isFinite(row[i])) ? [i] : [],
  );
  const change = (row: Row) => Float64Array.from(used, (i) => scoredValue(row[i], statistics[i].logFloor));
  return scores(gaussianised(mahalanobis), fitted.map(change), asked.map(change));
}

interface Method {
  name: string;
  isMain?: boolean;
  kinds: readonly EmbeddingPart['kind'][];
  isUnit?: boolean;
  isLog?: boolean;
  fit: Fit;
}

export const methods: readonly Method[] = [
  { name: 'mahalanobis, not unit', kinds: ['content'], fit: mahalanobis },
  { name: 'nearest', isMain: true, kinds: ['content'], isUnit: true, fit: nearest(1) },
  { name: 'nearest 5', kinds: ['content'], isUnit: true, fit: nearest(5) },
  { name: 'nearest 10', kinds: ['content'], isUnit: true, fit: nearest(10) },
  { name: 'mean of the nearest 5', kinds: ['content'], isUnit: true, fit: nearestMean(5) },
  { name: 'nearest, standardised, unit', kinds: ['content'], fit: standardised(nearest(5), true) },
  { name: 'nearest, standardised', kinds: ['content'], fit: standardised(nearest(5)) },
  { name: 'mahalanobis', isMain: true, kinds: ['content'], isUnit: true, fit: mahalanobis },
  { name: 'early', isMain: true, kinds: ['level', 'peak'], isLog: true, fit: standardised(mahalanobis) },
  { name: 'early, gaussianised', kinds: ['level', 'peak'], isLog: true, fit: gaussianised(mahalanobis) },
  { name: 'early of similar images', kinds: ['content', 'level', 'peak'], isLog: true, fit: besideSimilar(128, 0.2) },
  { name: 'all', kinds: ['content', 'level', 'peak'], isLog: true, fit: standardised(mahalanobis) },
];

/** Scores of every method. */
export function distances(
  parts: readonly EmbeddingPart[],
  fitted: readonly Float32Array[],
  asked: readonly Float32Array[],
): Record<string, Scores> {
  const found: Record<string, Scores> = {};
  for (const { name, kinds, isUnit, isLog, fit } of methods) {
    const change = (row: Float32Array) => {
      const kept = parts.flatMap(({ kind, at, length }) => {
        if (!kinds.includes(kind)) return [];
        const values = [...row.subarray(at, at + length)];
        return isLog && kind !== 'content' ? values.map((value) => Math.log(value + 1e-3)) : values;
      });
      return isUnit ? unit(Float64Array.from(kept)) : Float64Array.from(kept);
    };
    found[name] = scores(fit, fitted.map(change), asked.map(change));
  }
  return found;
}

/** The largest, or the mean, of several scores, each normalised by what it gives for fitted images it has not seen, as in a Profile. */
export function together(all: readonly Scores[], how: 'largest' | 'mean'): Float64Array {
  const scaled = all.map(({ fitted, asked }) => {
    const sorted = [...fitted].sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1];
    const scale = Math.max(sorted[Math.floor(0.98 * (sorted.length - 1))] - median, 1e-9);
    return asked.map((value) => (value - median) / scale);
  });
  return scaled[0].map((_, i) => {
    const values = scaled.map((column) => column[i]);
    return how === 'largest' ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0) / values.length;
  });
}
