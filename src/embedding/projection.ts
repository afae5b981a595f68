import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { type EmbeddingModel, jointOf, sizesOf, valuesOf } from './distances.ts';

/** Coordinates that are kept of every embedding: enough to tell populations apart, few enough to keep for many images. */
export const projectionSize = 8;
/** Reference images whose projections are kept. */
export const cloudSize = 300;

/**
 * The directions in which the content of the reference varies most: eigenvectors of its covariance, each divided by its
 * deviation, so that coordinates are in reference standard deviations. The largest number of each is positive.
 * @returns `projectionSize` rows, one after the other; fewer where the content has fewer dimensions
 */
export function principalAxes({ parts, factor }: Pick<EmbeddingModel, 'parts' | 'factor'>): Float64Array {
  const { content, early } = sizesOf(parts);
  const width = content + early;
  const lower = new Matrix(content, content);
  for (let row = 0; row < content; row++) {
    for (let column = 0; column <= row; column++) lower.set(row, column, factor[row * width + column]);
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(lower.mmul(lower.transpose()), {
    assumeSymmetric: true,
  });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const rows = order.slice(0, projectionSize).map((at) => {
    const axis = eigenvectorMatrix.getColumn(at);
    const most = axis.reduce((kept, value) => (Math.abs(value) > Math.abs(kept) ? value : kept), 0);
    const scale = Math.sign(most) * Math.sqrt(realEigenvalues[at]);
    return axis.map((value) => Math.fround(value / scale));
  });
  return Float64Array.from(rows.flat());
}

/** Coordinates of the standardised content of an embedding along the axes. */
export function project(axes: Float64Array, content: Float64Array): Float64Array {
  const projected = new Float64Array(axes.length / content.length);
  for (let row = 0; row < projected.length; row++) {
    for (let i = 0, at = row * content.length; i < content.length; i++, at++) projected[row] += axes[at] * content[i];
  }
  return projected;
}

/** Projections of reference images, row by row: the first by id. */
export function projectCloud(
  model: EmbeddingModel,
  axes: Float64Array,
  rows: readonly { id: string; embedding: Float32Array }[],
): Float64Array {
  const { content } = sizesOf(model.parts);
  const chosen = [...rows].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, cloudSize);
  const projections = chosen.map(({ embedding }) =>
    project(axes, jointOf(model, valuesOf(model, embedding)).subarray(0, content)),
  );
  return Float64Array.from(projections.flatMap((row) => [...row].map(Math.fround)));
}
