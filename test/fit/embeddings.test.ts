import { expect, it } from 'vitest';
import { fitEmbeddings, principalAxes, projectCloud } from '../../src/fit/embeddings.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { embeddingDistances, projectionSize } from '../../src/profile/embeddings.ts';

const random = new Random(4);
const length = 24;
const loadings = random.normals(length);
/** Embeddings with one strong factor. */
const rows = Array.from({ length: 400 }, (_, i) => {
  const [factor] = random.normals(1);
  const embedding = random.normals(length).map((value, k) => 3 + 0.2 * value + 0.4 * factor * loadings[k]);
  return { id: `${i}`.padStart(4, '0'), embedding, factor };
});
const parts = [{ kind: 'content' as const, tensor: 'content', at: 0, length }];
const { model } = fitEmbeddings(rows, parts);
const axes = principalAxes(model);

it('coordinates of the reference have deviation 1 and do not vary together; the first is the strong factor', () => {
  const cloud = projectCloud(model, axes, rows.slice(0, 300));
  expect(axes.length).toBe(projectionSize * length);
  const column = (k: number) => Float64Array.from({ length: 300 }, (_, i) => cloud[i * projectionSize + k]);
  const product = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0) / a.length;
  for (let k = 0; k < projectionSize; k++) {
    expect(product(column(k), column(k)), `${k}`).toBeGreaterThan(0.6);
    expect(product(column(k), column(k)), `${k}`).toBeLessThan(1.5);
    for (let other = 0; other < k; other++) expect(Math.abs(product(column(k), column(other)))).toBeLessThan(0.25);
  }
  const factors = Float64Array.from(rows.slice(0, 300), ({ factor }) => factor);
  expect(Math.abs(product(column(0), factors))).toBeGreaterThan(0.9);
});

it('an image is projected as those of the cloud are', () => {
  const cloud = projectCloud(model, axes, rows.slice(0, 1));
  const { projection } = embeddingDistances({ ...model, axes }, rows[0].embedding);
  for (const [k, value] of projection!.entries()) expect(value).toBeCloseTo(cloud[k], 5);
});
