import { EigenvalueDecomposition, Matrix, solve } from 'ml-matrix';
import { quantileSorted, standardDeviation } from 'simple-statistics';
import { ledoitWolf } from '../profile/maths/covariance.ts';
import { fitGaussianiser, type Grain, gaussianise } from '../profile/maths/gaussianise.ts';
import { invert } from '../profile/maths/invert.ts';
import type { Regime } from '../profile/score.ts';

/**
 * What rows have in common, within which they vary.
 * @param grains how coarse each statistic is
 */
export function fitRegime(clean: readonly { row: Float64Array }[], grains: readonly Grain[]): Regime {
  const column = new Float64Array(clean.length);
  const gaussianisers = Array.from(clean[0].row, (_, i) => {
    for (let k = 0; k < column.length; k++) column[k] = clean[k].row[i];
    // Constant within this part of the reference only: any value is then at its centre.
    return (
      fitGaussianiser(column, grains[i]) ?? {
        x: Float64Array.of(column[0], column[0]),
        z: new Float64Array(2),
        slope: 1,
      }
    );
  });
  // One array for all: it is read before the next row comes, and hundreds of thousands of them would be left behind.
  const z = new Float64Array(gaussianisers.length);
  const { mean, covariance } = ledoitWolf(clean, ({ row }) => {
    for (let i = 0; i < z.length; i++) z[i] = gaussianise(gaussianisers[i], row[i]);
    return z;
  });
  return { gaussianisers, mean, precision: invert(covariance) };
}

/** A regime of fewer images than this cannot be told from chance, nor described by itself. */
const minRegime = 40;
const maxRegimes = 4;
/**
 * Clusters are apart when nearly nothing lies between them: the gap from the 98 % quantile of one to the 2 % quantile of the
 * other is at least this many deviations of the narrower one. Two normal clouds have it from 6 deviations between their means
 * on; one cloud cut in two has none.
 */
const apart = 2;
const tail = 0.02;
/** Clusters are looked for in this many leading principal components. */
const dimensions = 6;
/** One wild statistic must not decide where to cut. */
const maxDeviations = 8;

/**
 * Finds populations within a reference that lie clearly apart: day and night, two cameras. A cloud is cut in two by 2-means in
 * its leading principal components, and the cut stays if there is a gap between the halves along the line that tells them
 * best (Fisher's discriminant); then each half is looked at again.
 * @param rows scored values of the statistics
 * @param isAllowed whether a cluster can be fitted and calibrated by itself
 * @returns the regime of each row, from 0 on
 */
export function findRegimes(
  rows: readonly Float64Array[],
  isAllowed: (members: readonly number[]) => boolean,
): number[] {
  const regimes = [rows.map((_, i) => i)];
  const isWhole = new Set<readonly number[]>();
  for (;;) {
    const next = regimes.findIndex((members) => !isWhole.has(members));
    if (next < 0 || regimes.length === maxRegimes) break;
    const halves = cut(rows, regimes[next], isAllowed);
    if (halves) regimes.splice(next, 1, ...halves);
    else isWhole.add(regimes[next]);
  }
  const labels = new Array<number>(rows.length);
  for (const [regime, members] of regimes.entries()) for (const member of members) labels[member] = regime;
  return labels;
}

function cut(rows: readonly Float64Array[], members: number[], isAllowed: (members: readonly number[]) => boolean) {
  if (members.length < 2 * minRegime) return undefined;
  const points = principal(robust(members.map((member) => rows[member])));
  let best: { gap: number; halves: number[][] } | undefined;
  for (let axis = 0; axis < Math.min(4, points[0].length); axis++) {
    const isRight = twoMeans(points, axis);
    const halves = [false, true].map((side) => members.filter((_, i) => isRight[i] === side));
    if (halves.some((half) => half.length < minRegime || !isAllowed(half))) continue;
    const gap = gapBetween(points, isRight);
    if (gap >= apart && gap > (best?.gap ?? 0)) best = { gap, halves };
  }
  return best?.halves;
}

/** (value - median) / width of every statistic, capped. Ranks would close the gap between two clusters. */
function robust(rows: readonly Float64Array[]): Float64Array[] {
  const scaled = rows.map((row) => new Float64Array(row.length));
  for (let i = 0; i < rows[0].length; i++) {
    const sorted = rows.map((row) => row[i]).sort((a, b) => a - b);
    const median = quantileSorted(sorted, 0.5);
    const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
    const deviation = Math.sqrt(sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length);
    const width = Math.max((quantileSorted(sorted, 0.75) - quantileSorted(sorted, 0.25)) / 1.349, 0.2 * deviation) || 1;
    for (const [at, row] of rows.entries()) {
      scaled[at][i] = Math.max(-maxDeviations, Math.min(maxDeviations, (row[i] - median) / width));
    }
  }
  return scaled;
}

/** Coordinates along the leading principal components. */
function principal(rows: readonly Float64Array[]): Float64Array[] {
  const { centred, covariance } = computeMoments(rows);
  const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(covariance, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const axes = eigenvectorMatrix.subMatrixColumn(order.slice(0, dimensions));
  return centred
    .mmul(axes)
    .to2DArray()
    .map((row) => Float64Array.from(row));
}

/** The library takes typed rows, but its types do not say so. */
function makeMatrix(rows: readonly Float64Array[]): Matrix {
  return new Matrix(rows as unknown as number[][]);
}

function computeMoments(rows: readonly Float64Array[]) {
  const matrix = makeMatrix(rows);
  const mean = matrix.mean('column');
  const centred = matrix.subRowVector(mean);
  return { mean, centred, covariance: centred.transpose().mmul(centred).div(rows.length) };
}

/** Lloyd's algorithm, from a cut at the centre of one axis. */
function twoMeans(points: readonly Float64Array[], axis: number): boolean[] {
  let isRight = points.map((point) => point[axis] > 0);
  for (let round = 0; round < 50; round++) {
    const sides = [false, true].map((side) => points.filter((_, i) => isRight[i] === side));
    if (sides.some(({ length }) => length === 0)) break;
    const centres = sides.map((side) => makeMatrix(side).mean('column'));
    const squared = (point: Float64Array, centre: readonly number[]) =>
      point.reduce((sum, value, i) => sum + (value - centre[i]) ** 2, 0);
    const moved = points.map((point) => squared(point, centres[1]) < squared(point, centres[0]));
    if (moved.every((side, i) => side === isRight[i])) break;
    isRight = moved;
  }
  return isRight;
}

/** The gap along Fisher's discriminant, in deviations of the narrower half; negative where they overlap. */
function gapBetween(points: readonly Float64Array[], isRight: readonly boolean[]): number {
  const halves = [false, true].map((side) => points.filter((_, i) => isRight[i] === side));
  const moments = halves.map(computeMoments);
  const within = moments
    .map(({ covariance }, side) => covariance.mul(halves[side].length / points.length))
    .reduce((sum, part) => sum.add(part));
  for (let i = 0; i < within.rows; i++) within.set(i, i, within.get(i, i) + 1e-9);
  const difference = Matrix.columnVector(moments[1].mean.map((value, i) => value - moments[0].mean[i]));
  const direction = solve(within, difference).to1DArray();
  const along = halves.map((half) =>
    half.map((point) => direction.reduce((sum, weight, i) => sum + weight * point[i], 0)).sort((a, b) => a - b),
  );
  // The discriminant points from the left half to the right one.
  const gap = quantileSorted(along[1], tail) - quantileSorted(along[0], 1 - tail);
  const narrower = Math.min(...along.map(standardDeviation));
  return narrower > 0 ? gap / narrower : 0;
}
