import { inverse, Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { fitEmbeddings } from '../../src/fit/embeddings.ts';
import type { EmbeddingPart } from '../../src/image/embedding/embedder.ts';
import { coresetSize, countSizes, embeddingDistances } from '../../src/profile/embeddings.ts';
import { ledoitWolf } from '../../src/profile/maths/covariance.ts';
import { gaussian } from '../fixtures/frames.ts';

const content = (length: number): EmbeddingPart => ({ kind: 'content', tensor: 'c', at: 0, length });
const level = (at: number, length: number): EmbeddingPart => ({ kind: 'level', tensor: 'e', at, length });

/** Rows of normal numbers around 3, so that they have no length 0 and a logarithm. */
function makeRows(count: number, length: number, seed = 1) {
  const normal = gaussian(seed);
  return Array.from({ length: count }, (_, i) => ({
    id: String(i).padStart(6, '0'),
    embedding: Float32Array.from({ length }, () => Math.abs(3 + normal())),
  }));
}

function unit(row: ArrayLike<number>): number[] {
  const length = Math.hypot(...Array.from(row));
  return Array.from(row, (value) => value / length);
}

describe('distances of embeddings', () => {
  it('are those of Mahalanobis: the content by itself, and the early channels given the content', () => {
    const rows = makeRows(200, 7);
    const parts = [content(4), level(4, 3)];
    const { model } = fitEmbeddings(rows, parts);
    // Written out: standardised by hand, the covariance inverted as a whole and for the content alone.
    const floors = [4, 5, 6].map((i) => rows.reduce((sum, { embedding }) => sum + embedding[i], 0) / rows.length / 100);
    const change = (row: Float32Array) => [
      ...unit(row.subarray(0, 4)),
      ...[4, 5, 6].map((i) => Math.log(row[i] + floors[i - 4])),
    ];
    const changed = rows.map(({ embedding }) => change(embedding));
    const mean = changed[0].map((_, i) => changed.reduce((sum, row) => sum + row[i], 0) / rows.length);
    const scale = mean.map((m, i) => Math.sqrt(changed.reduce((sum, row) => sum + (row[i] - m) ** 2, 0) / rows.length));
    const z = (row: Float32Array) => change(row).map((value, i) => (value - mean[i]) / scale[i]);
    const { covariance } = ledoitWolf(rows, ({ embedding }) => Float64Array.from(z(embedding)));
    const square = (matrix: Matrix, row: number[]) => {
      const column = Matrix.columnVector(row);
      return column.transpose().mmul(inverse(matrix)).mmul(column).get(0, 0);
    };
    const [{ embedding }] = makeRows(1, 7, 5);
    const found = embeddingDistances(model, embedding);
    const whole = square(covariance, z(embedding));
    const part = square(covariance.subMatrix(0, 3, 0, 3), z(embedding).slice(0, 4));
    expect(found.distance).toBeCloseTo(Math.log(part), 4);
    expect(found.early).toBeCloseTo(Math.log(whole - part), 4);
  });

  it('to the nearest neighbours are those between vectors of length 1', () => {
    const rows = makeRows(50, 6);
    const { model, coreset } = fitEmbeddings(rows, [content(6)]);
    const [{ embedding }] = makeRows(1, 6, 9);
    const own = unit(embedding);
    const all = rows
      .map(({ id, embedding: row }) => ({ id, distance: Math.hypot(...unit(row).map((value, i) => value - own[i])) }))
      .sort((a, b) => a.distance - b.distance);
    const { nearest, neighbours, early } = embeddingDistances(model, embedding);
    expect(nearest.map(({ row }) => coreset[row])).toEqual(all.slice(0, 5).map(({ id }) => id));
    expect(nearest[0].distance).toBeCloseTo(all[0].distance, 5);
    expect(neighbours).toBeCloseTo(Math.log(all.slice(0, 5).reduce((sum, { distance }) => sum + distance / 5, 0)), 5);
    expect(early).toBeUndefined();
  });

  it('of long vectors are kept by the sketch, to within 15 %', () => {
    const parts = [content(3000)];
    expect(countSizes(parts)).toEqual({ content: 256, early: 0 });
    const rows = makeRows(20, 3000);
    const { model } = fitEmbeddings(rows, parts);
    expect(model.coreset).toHaveLength(20 * 256);
    const [{ embedding }] = makeRows(1, 3000, 7);
    const own = unit(embedding);
    for (const { row, distance } of embeddingDistances(model, embedding).nearest) {
      const exact = Math.hypot(...unit(rows[row].embedding).map((value, i) => value - own[i]));
      expect(Math.abs(distance / exact - 1)).toBeLessThan(0.15);
    }
  });

  it('do not depend on the order of the reference, and keep at most a thousand rows of it', () => {
    const rows = makeRows(coresetSize + 50, 3);
    const fitted = fitEmbeddings(rows, [content(3)]);
    expect(fitted.coreset).toHaveLength(coresetSize);
    expect(fitEmbeddings(rows.toReversed(), [content(3)])).toEqual(fitted);
  });

  it('take a channel that never answers and an embedding of zeros', () => {
    const rows = makeRows(60, 5).map(({ id, embedding }) => ({ id, embedding: embedding.with(1, 0).with(4, 0) }));
    const { model } = fitEmbeddings(rows, [content(3), level(3, 2)]);
    for (const embedding of [new Float32Array(5), Float32Array.of(1, 50, 1, 1, 50)]) {
      const { distance, early, neighbours } = embeddingDistances(model, embedding);
      for (const value of [distance, early, neighbours]) expect(value).toSatisfy(Number.isFinite);
    }
  });
});
