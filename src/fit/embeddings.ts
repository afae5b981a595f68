import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { EmbeddingPart } from '../image/embedding/embedder.ts';
import {
  cloudSize,
  coresetSize,
  countSizes,
  type EmbeddingFit,
  joinParts,
  normaliseParts,
  project,
  projectionSize,
  scaleValues,
} from '../profile/embeddings.ts';
import { ledoitWolf } from '../profile/maths/covariance.ts';

/** Images that a covariance is estimated from: ten for each dimension. */
const maxFitted = 4000;

/** Activations are compared as logarithms: of one that is far below its mean only that is known. */
const floorShare = 0.01;

/**
 * Learns where the embeddings of a reference lie.
 *
 * Content is brought to length 1, then every number to mean 0 and deviation 1; the logarithms of the early channels
 * likewise. One Ledoit-Wolf covariance of both has a Cholesky factor whose first rows give the Mahalanobis distance of the
 * content, and the rest that of the early channels given the content: what is usual for similar scenes.
 * @param rows at least two; the first of them by `id` are the coreset, so that it does not depend on their order
 */
export function fitEmbeddings(
  rows: readonly { id: string; embedding: Float32Array }[],
  parts: readonly EmbeddingPart[],
): { model: EmbeddingFit; coreset: string[] } {
  const sorted = [...rows].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, maxFitted);
  const length = sorted[0].embedding.length;
  const model: EmbeddingFit = {
    parts,
    floors: new Float64Array(length),
    centre: new Float64Array(length),
    scales: new Float64Array(length),
    factor: new Float64Array(),
    coreset: new Float64Array(),
  };
  const { floors, centre, scales } = model;
  for (const { kind, at, length: count } of parts) {
    if (kind === 'content') continue;
    for (let i = at; i < at + count; i++) {
      for (const { embedding } of sorted) floors[i] += (floorShare * Math.abs(embedding[i])) / sorted.length;
    }
  }
  const values = sorted.map(({ embedding }) => scaleValues(model, embedding));
  for (const row of values) for (let i = 0; i < length; i++) centre[i] += row[i] / values.length;
  for (const row of values) for (let i = 0; i < length; i++) scales[i] += (row[i] - centre[i]) ** 2 / values.length;
  for (let i = 0; i < length; i++) scales[i] = Math.sqrt(scales[i]);
  for (const kinds of [['content'], ['level', 'peak']]) {
    const positions = parts.flatMap(({ kind, at, length: count }) =>
      kinds.includes(kind) ? Array.from({ length: count }, (_, i) => at + i) : [],
    );
    const usual = Float64Array.from(positions, (i) => scales[i]).sort()[positions.length >> 1] ?? 0;
    // A channel that hardly ever answers must not outweigh all others when it does.
    for (const i of positions) scales[i] = scales[i] > 0 ? Math.max(scales[i], usual / 100) : 0;
  }
  const { covariance } = ledoitWolf(values, (row) => joinParts(model, row));
  const lower = new CholeskyDecomposition(covariance).lowerTriangularMatrix.to1DArray();
  model.factor = Float64Array.from(lower, Math.fround);
  const chosen = sorted.slice(0, coresetSize);
  const units = chosen.map((_, i) => normaliseParts(model, values[i]));
  const { length: side } = units[0];
  model.coreset = new Float64Array(units.length * side);
  for (const [i, unit] of units.entries()) model.coreset.set(unit.map(Math.fround), i * side);
  return { model, coreset: chosen.map(({ id }) => id) };
}

/**
 * The directions in which the content of the reference varies most: eigenvectors of its covariance, each divided by its
 * deviation, so that coordinates are in reference standard deviations. The largest number of each is positive.
 * @returns `projectionSize` rows, one after the other; fewer where the content has fewer dimensions
 */
export function principalAxes({ parts, factor }: Pick<EmbeddingFit, 'parts' | 'factor'>): Float64Array {
  const { content, early } = countSizes(parts);
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

/** Projections of reference images, row by row: the first by id. */
export function projectCloud(
  model: EmbeddingFit,
  axes: Float64Array,
  rows: readonly { id: string; embedding: Float32Array }[],
): Float64Array {
  const { content } = countSizes(model.parts);
  const chosen = [...rows].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, cloudSize);
  const projections = chosen.map(({ embedding }) =>
    project(axes, joinParts(model, scaleValues(model, embedding)).subarray(0, content)),
  );
  return Float64Array.from(projections.flatMap((row) => [...row].map(Math.fround)));
}
