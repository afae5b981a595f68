/** Multinomial logistic regression, L2-regularised, trained by L-BFGS (Nocedal and Wright 2006, algorithm 7.4). */
export interface Softmax {
  features: number;
  classes: number;
  /** Row-major, (features + 1) x classes; the last row is the intercept. */
  weights: Float64Array;
}

/** Logits of one row, into `out`. */
export function logits({ features, classes, weights }: Softmax, x: Float64Array, out: Float64Array): Float64Array {
  const intercept = features * classes;
  for (let k = 0; k < classes; k++) out[k] = weights[intercept + k];
  for (let j = 0; j < features; j++) {
    const value = x[j];
    if (value === 0) continue;
    const base = j * classes;
    for (let k = 0; k < classes; k++) out[k] += value * weights[base + k];
  }
  return out;
}
