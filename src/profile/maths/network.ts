/** One network of a single hidden layer: logits = output · max(0, hidden · (x, 1)), 1. */
export interface Network {
  features: number;
  units: number;
  classes: number;
  /** Row-major, units x (features + 1); the last column is the bias. */
  hidden: Float64Array;
  /** Row-major, (units + 1) x classes; the last row is the bias. */
  output: Float64Array;
}

/** Several networks of one shape, trained from different beginnings: their mean is steadier than any of them. */
export type Networks = readonly Network[];

/** The mean logits of one row over the networks, into `out`. */
export function meanLogits(networks: Networks, x: Float64Array, out: Float64Array): Float64Array {
  out.fill(0);
  for (const { features, units, classes, hidden, output } of networks) {
    const bias = units * classes;
    for (let k = 0; k < classes; k++) out[k] += output[bias + k];
    for (let unit = 0; unit < units; unit++) {
      const base = unit * (features + 1);
      let sum = hidden[base + features];
      for (let j = 0; j < features; j++) sum += hidden[base + j] * x[j];
      if (sum <= 0) continue;
      const row = unit * classes;
      for (let k = 0; k < classes; k++) out[k] += sum * output[row + k];
    }
  }
  for (let k = 0; k < out.length; k++) out[k] /= networks.length;
  return out;
}
