import type { EmbeddingPart } from '../image/embedding/embedder.ts';

/** Where the embeddings of a reference lie: part of a Profile. */
export interface EmbeddingFit {
  parts: readonly EmbeddingPart[];
  /** One for each number of an embedding: 0, or what is added to it before the logarithm is taken. */
  floors: Float64Array;
  centre: Float64Array;
  /** Deviation of each number, 0 for one that is not looked at because it never varies. */
  scales: Float64Array;
  /** Lower triangle L of the covariance L L^T of the standardised numbers, content first; row by row, whole rows. */
  factor: Float64Array;
  /** Content of at most `coresetSize` reference images at length 1, one after the other. */
  coreset: Float64Array;
  /** Principal axes of the standardised content (`principalAxes`); not needed to tell distances. */
  axes?: Float64Array;
}

/** How far an image is from a reference, as a network sees it. */
export interface EmbeddingDistances {
  /** ln of the squared Mahalanobis distance of the content. */
  distance: number;
  /** ln of the mean distance to the nearest content vectors of the coreset. */
  neighbours: number;
  /**
   * ln of the squared Mahalanobis distance of the early channels from what is usual beside such content; absent where the
   * model has no early maps.
   */
  early?: number;
  /** Rows of the coreset, nearest first, and how far they are: 0 to 2. */
  nearest: { row: number; distance: number }[];
  /** First principal coordinates of the content, in reference standard deviations; where the model has axes. */
  projection?: Float64Array;
}

/** More rows sharpen little, and with them grow the Profile and the time of a score. */
export const coresetSize = 1000;
/** Neighbours whose mean distance counts: one alone may be a near copy, many blur small populations. */
const neighbours = 5;

/** Longer vectors are folded to this length by a sketch, so that a score stays below a millisecond. */
const most = { content: 256, early: 128 } as const;

/** How far an embedding is from the reference. */
export function embeddingDistances(model: EmbeddingFit, embedding: Float32Array): EmbeddingDistances {
  const values = scaleValues(model, embedding);
  const joint = joinParts(model, values);
  const y = whiten(model.factor, joint);
  const content = countSizes(model.parts).content;
  const nearest = nearestRows(model.coreset, normaliseParts(model, values));
  const mean = nearest.reduce((sum, { distance }) => sum + distance, 0) / nearest.length;
  return {
    distance: logSquare(y.subarray(0, content)),
    neighbours: Math.log(Math.max(mean, 1e-9)),
    ...(y.length > content && { early: logSquare(y.subarray(content)) }),
    nearest,
    ...(model.axes && { projection: project(model.axes, joint.subarray(0, content)) }),
  };
}

/** Lengths of the vectors that are compared. */
export function countSizes(parts: readonly EmbeddingPart[]): { content: number; early: number } {
  let [content, early] = [0, 0];
  for (const { kind, length } of parts) {
    if (kind === 'content') content += length;
    else early += length;
  }
  return { content: Math.min(content, most.content), early: Math.min(early, most.early) };
}

/** Content at length 1, early channels as logarithms. */
export function scaleValues({ parts, floors }: EmbeddingFit, embedding: Float32Array): Float64Array {
  const values = new Float64Array(embedding.length);
  let square = 0;
  for (const { kind, at, length } of parts) {
    for (let i = at; i < at + length; i++) {
      values[i] =
        kind === 'content' || floors[i] === 0 ? embedding[i] : Math.log(Math.max(embedding[i], 0) + floors[i]);
      if (kind === 'content') square += embedding[i] ** 2;
    }
  }
  for (const { kind, at, length } of parts) {
    if (kind === 'content' && square > 0) for (let i = at; i < at + length; i++) values[i] /= Math.sqrt(square);
  }
  return values;
}

/** Standardised content, then standardised early channels. */
export function joinParts({ parts, centre, scales }: EmbeddingFit, values: Float64Array): Float64Array {
  const { content, early } = countSizes(parts);
  const joint = new Float64Array(content + early);
  const z = (i: number) => (scales[i] > 0 ? (values[i] - centre[i]) / scales[i] : 0);
  sketch(parts, 'content', z, joint.subarray(0, content));
  sketch(parts, 'early', z, joint.subarray(content));
  return joint;
}

export function normaliseParts({ parts }: EmbeddingFit, values: Float64Array): Float64Array {
  const unit = new Float64Array(countSizes(parts).content);
  sketch(parts, 'content', (i) => values[i], unit);
  return unit;
}

/**
 * Writes the numbers of one kind; where there are more than fit, each is added to or taken from a place drawn by its
 * position, which keeps distances in expectation (count sketch, Charikar et al. 2002).
 */
function sketch(
  parts: readonly EmbeddingPart[],
  kind: 'content' | 'early',
  value: (position: number) => number,
  into: Float64Array,
): void {
  const all = parts.filter((part) => (part.kind === 'content') === (kind === 'content'));
  const count = all.reduce((sum, { length }) => sum + length, 0);
  let index = 0;
  for (const { at, length } of all) {
    for (let i = 0; i < length; i++, index++) {
      if (count <= into.length) into[index] = value(at + i);
      else {
        const drawn = mix(index);
        into[(drawn >>> 1) % into.length] += (drawn & 1 ? 1 : -1) * value(at + i);
      }
    }
  }
}

/** One draw of splitmix32. */
function mix(index: number): number {
  const state = Math.imul(index + 1, 0x9e3779b9) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/**
 * Solves L y = x. Four rows at a time: one sum has to wait for each of its additions, four beside one another do not. Every sum still
 * has its terms in the order of the columns.
 */
function whiten(factor: Float64Array, x: Float64Array): Float64Array {
  const { length } = x;
  const y = new Float64Array(length);
  let row = 0;
  for (; row + 4 <= length; row += 4) {
    const [a, b, c, d] = [row * length, (row + 1) * length, (row + 2) * length, (row + 3) * length];
    let restA = x[row];
    let restB = x[row + 1];
    let restC = x[row + 2];
    let restD = x[row + 3];
    for (let column = 0; column < row; column++) {
      const value = y[column];
      restA -= factor[a + column] * value;
      restB -= factor[b + column] * value;
      restC -= factor[c + column] * value;
      restD -= factor[d + column] * value;
    }
    y[row] = restA / factor[a + row];
    restB -= factor[b + row] * y[row];
    y[row + 1] = restB / factor[b + row + 1];
    restC = restC - factor[c + row] * y[row] - factor[c + row + 1] * y[row + 1];
    y[row + 2] = restC / factor[c + row + 2];
    restD = restD - factor[d + row] * y[row] - factor[d + row + 1] * y[row + 1] - factor[d + row + 2] * y[row + 2];
    y[row + 3] = restD / factor[d + row + 3];
  }
  for (; row < length; row++) {
    let rest = x[row];
    const base = row * length;
    for (let column = 0; column < row; column++) rest -= factor[base + column] * y[column];
    y[row] = rest / factor[base + row];
  }
  return y;
}

function logSquare(y: Float64Array): number {
  return Math.log(
    Math.max(
      y.reduce((sum, value) => sum + value ** 2, 0),
      1e-9,
    ),
  );
}

/** Numbers of a row that are added up before it is known whether it may still be near. */
const stretch = 32;

function nearestRows(coreset: Float64Array, unit: Float64Array): EmbeddingDistances['nearest'] {
  const nearest: EmbeddingDistances['nearest'] = [];
  const squares = new Float64Array(2);
  const rows = coreset.length / unit.length;
  for (let row = 0; row < rows; row += 2) {
    const enough = nearest.length === neighbours ? nearest[neighbours - 1].distance : Number.POSITIVE_INFINITY;
    addSquares(coreset, unit, { first: row, second: Math.min(row + 1, rows - 1), enough }, squares);
    keepNearest(nearest, row, squares[0]);
    if (row + 1 < rows) keepNearest(nearest, row + 1, squares[1]);
  }
  return nearest.map(({ row, distance }) => ({ row, distance: Math.sqrt(distance) }));
}

function keepNearest(nearest: EmbeddingDistances['nearest'], row: number, square: number): void {
  if (nearest.length === neighbours && square >= nearest[neighbours - 1].distance) return;
  const place = nearest.findIndex(({ distance }) => square < distance);
  nearest.splice(place < 0 ? nearest.length : place, 0, { row, distance: square });
  if (nearest.length > neighbours) nearest.pop();
}

/**
 * The squared distances of two rows at a time, into `out`: one sum has to wait for each of its additions. Sums never fall, so that two
 * that have both reached what is far enough are left as they are.
 */
function addSquares(
  coreset: Float64Array,
  unit: Float64Array,
  { first, second, enough }: { first: number; second: number; enough: number },
  out: Float64Array,
): void {
  const { length } = unit;
  let sum = 0;
  let other = 0;
  let at = first * length;
  let otherAt = second * length;
  for (let from = 0; from < length && !(sum >= enough && other >= enough); from += stretch) {
    const end = Math.min(length, from + stretch);
    for (let i = from; i < end; i++, at++, otherAt++) {
      const difference = coreset[at] - unit[i];
      const otherDifference = coreset[otherAt] - unit[i];
      sum += difference * difference; // `** 2` takes ten times as long
      other += otherDifference * otherDifference;
    }
  }
  out[0] = sum;
  out[1] = other;
}

/** Coordinates that are kept of every embedding: enough to tell populations apart, few enough to keep for many images. */
export const projectionSize = 8;
/** Reference images whose projections are kept. */
export const cloudSize = 300;

/** Coordinates of the standardised content of an embedding along the axes. */
export function project(axes: Float64Array, content: Float64Array): Float64Array {
  const projected = new Float64Array(axes.length / content.length);
  for (let row = 0; row < projected.length; row++) {
    for (let i = 0, at = row * content.length; i < content.length; i++, at++) projected[row] += axes[at] * content[i];
  }
  return projected;
}
