import { Matrix } from 'ml-matrix';
import { invert } from './invert.ts';
import type { Softmax } from './logits.ts';

export interface TrainingSet {
  /** Row-major, rows x features. */
  x: Float64Array;
  /** Class of each row. */
  y: Uint16Array;
  /** Weight of each row, positive. */
  w: Float64Array;
}

const memory = 8;
/** Share of the mean square that is added to every direction before it is inverted: some hardly vary. */
const ridge = 0.05;

/**
 * L-BFGS starts from the inverse of the rows' second moments instead of the identity: statistics are strongly correlated,
 * and a quarter of the iterations then reach the same fit.
 * @param l2 strength of the penalty l2 / (2 n) |weights|^2, the intercept left out; n is the number of rows
 * @param start weights to begin with, from a model of the same shape
 */
export function trainSoftmax(
  set: TrainingSet,
  shape: { features: number; classes: number },
  options: { l2: number; iterations: number; start?: Float64Array | undefined },
): Softmax {
  const { features, classes } = shape;
  const size = (features + 1) * classes;
  const weights = options.start?.slice() ?? new Float64Array(size);
  let gradient = new Float64Array(size);
  const metric = inverseMoments(set, features);
  let loss = computeLoss(set, shape, options.l2, weights, gradient);
  const steps: Float64Array[] = [];
  const changes: Float64Array[] = [];
  for (let iteration = 0; iteration < options.iterations; iteration++) {
    const direction = twoLoop(gradient, steps, changes, metric);
    const slope = dot(direction, gradient);
    if (!(slope < 0)) break;
    // The first step has no scale of its own.
    let step = steps.length === 0 ? 1 / Math.sqrt(-slope) : 1;
    const next = new Float64Array(size);
    const nextGradient = new Float64Array(size);
    let nextLoss = Number.POSITIVE_INFINITY;
    for (let trial = 0; trial < 20; trial++, step /= 2) {
      for (let i = 0; i < size; i++) next[i] = weights[i] + step * direction[i];
      nextLoss = computeLoss(set, shape, options.l2, next, nextGradient);
      if (nextLoss <= loss + 1e-4 * step * slope) break;
    }
    if (!(nextLoss < loss)) break;
    const moved = new Float64Array(size);
    const changed = new Float64Array(size);
    for (let i = 0; i < size; i++) {
      moved[i] = next[i] - weights[i];
      changed[i] = nextGradient[i] - gradient[i];
    }
    if (dot(moved, changed) > 1e-12) {
      steps.push(moved);
      changes.push(changed);
      if (steps.length > memory) {
        steps.shift();
        changes.shift();
      }
    }
    weights.set(next);
    gradient = nextGradient;
    const gained = loss - nextLoss;
    loss = nextLoss;
    if (gained < 1e-6 * Math.max(loss, 1e-3)) break;
  }
  return { features, classes, weights };
}

/** Mean weighted cross-entropy plus the penalty; writes the gradient. */
function computeLoss(
  { x, y, w }: TrainingSet,
  { features, classes }: { features: number; classes: number },
  l2: number,
  weights: Float64Array,
  gradient: Float64Array,
): number {
  const rows = y.length;
  const out = new Float64Array(classes);
  gradient.fill(0);
  let total = 0;
  for (let i = 0; i < rows; i++) total += w[i];
  let loss = 0;
  const intercept = features * classes;
  for (let i = 0; i < rows; i++) {
    const at = i * features;
    for (let k = 0; k < classes; k++) out[k] = weights[intercept + k];
    for (let j = 0; j < features; j++) {
      const value = x[at + j];
      const base = j * classes;
      for (let k = 0; k < classes; k++) out[k] += value * weights[base + k];
    }
    let most = out[0];
    for (let k = 1; k < classes; k++) if (out[k] > most) most = out[k];
    let sum = 0;
    const target = out[y[i]];
    for (let k = 0; k < classes; k++) {
      out[k] = Math.exp(out[k] - most);
      sum += out[k];
    }
    const share = w[i] / total;
    loss += share * (Math.log(sum) + most - target);
    for (let k = 0; k < classes; k++) out[k] *= share / sum;
    out[y[i]] -= share;
    for (let j = 0; j < features; j++) {
      const value = x[at + j];
      const base = j * classes;
      for (let k = 0; k < classes; k++) gradient[base + k] += value * out[k];
    }
    for (let k = 0; k < classes; k++) gradient[intercept + k] += out[k];
  }
  for (let i = 0; i < intercept; i++) {
    loss += (l2 / (2 * rows)) * weights[i] ** 2;
    gradient[i] += (l2 / rows) * weights[i];
  }
  return loss;
}

/** Inverse of the weighted second moments of the rows with a constant 1 appended, (features + 1) squared, row-major. */
function inverseMoments({ x, y, w }: TrainingSet, features: number): Float64Array {
  const size = features + 1;
  const moments = new Float64Array(size * size);
  let total = 0;
  const row = new Float64Array(size);
  row[features] = 1;
  for (let i = 0; i < y.length; i++) {
    total += w[i];
    for (let j = 0; j < features; j++) row[j] = x[i * features + j];
    for (let j = 0; j < size; j++) {
      const value = w[i] * row[j];
      if (value !== 0) for (let k = j; k < size; k++) moments[j * size + k] += value * row[k];
    }
  }
  let mean = 0;
  for (let j = 0; j < features; j++) mean += moments[j * size + j] / total / features;
  const matrix = Matrix.zeros(size, size);
  for (let j = 0; j < size; j++) {
    for (let k = j; k < size; k++) {
      const value = moments[j * size + k] / total + (j === k ? ridge * mean + 1e-9 : 0);
      matrix.set(j, k, value);
      matrix.set(k, j, value);
    }
  }
  return invert(matrix);
}

/** `metric` times each class's column. */
function applied(metric: Float64Array, direction: Float64Array): Float64Array {
  const size = Math.sqrt(metric.length);
  const classes = direction.length / size;
  const out = new Float64Array(direction.length);
  for (let j = 0; j < size; j++) {
    for (let i = 0; i < size; i++) {
      const value = metric[j * size + i];
      for (let k = 0; k < classes; k++) out[j * classes + k] += value * direction[i * classes + k];
    }
  }
  return out;
}

/** The L-BFGS direction: minus the inverse Hessian's estimate times the gradient. */
function twoLoop(
  gradient: Float64Array,
  steps: Float64Array[],
  changes: Float64Array[],
  metric: Float64Array,
): Float64Array {
  let direction: Float64Array = gradient.map((value) => -value);
  const shares: number[] = [];
  for (let i = steps.length - 1; i >= 0; i--) {
    shares[i] = dot(steps[i], direction) / dot(steps[i], changes[i]);
    for (let j = 0; j < direction.length; j++) direction[j] -= shares[i] * changes[i][j];
  }
  direction = applied(metric, direction);
  const last = steps.length - 1;
  if (last >= 0) {
    const scale = dot(steps[last], changes[last]) / dot(changes[last], applied(metric, changes[last]));
    for (let j = 0; j < direction.length; j++) direction[j] *= scale;
  }
  for (let i = 0; i < steps.length; i++) {
    const back = shares[i] - dot(changes[i], direction) / dot(steps[i], changes[i]);
    for (let j = 0; j < direction.length; j++) direction[j] += back * steps[i][j];
  }
  return direction;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Rows one after the other, as a training set wants them. */
export function concatenate(parts: Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
