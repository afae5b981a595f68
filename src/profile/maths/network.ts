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
  for (const network of networks) addLogits(network, x, out);
  for (let k = 0; k < out.length; k++) out[k] /= networks.length;
  return out;
}

/**
 * Four hidden units at a time: one sum has to wait for each of its additions, four sums beside one another do not. Every sum still
 * adds its terms in the order of the features, and the units go into `out` in their order, so that no bit depends on it.
 */
function addLogits(network: Network, x: Float64Array, out: Float64Array): void {
  const { features, units, classes, hidden, output } = network;
  const bias = units * classes;
  for (let k = 0; k < classes; k++) out[k] += output[bias + k];
  const width = features + 1;
  let unit = 0;
  for (; unit + 4 <= units; unit += 4) {
    const [first, second, third, fourth] = [unit * width, (unit + 1) * width, (unit + 2) * width, (unit + 3) * width];
    let a = hidden[first + features];
    let b = hidden[second + features];
    let c = hidden[third + features];
    let d = hidden[fourth + features];
    for (let j = 0; j < features; j++) {
      const value = x[j];
      a += hidden[first + j] * value;
      b += hidden[second + j] * value;
      c += hidden[third + j] * value;
      d += hidden[fourth + j] * value;
    }
    addUnit(network, unit, a, out);
    addUnit(network, unit + 1, b, out);
    addUnit(network, unit + 2, c, out);
    addUnit(network, unit + 3, d, out);
  }
  for (; unit < units; unit++) {
    let sum = hidden[unit * width + features];
    for (let j = 0; j < features; j++) sum += hidden[unit * width + j] * x[j];
    addUnit(network, unit, sum, out);
  }
}

/** What one hidden unit says of every class, where it is positive. */
function addUnit({ classes, output }: Network, unit: number, sum: number, out: Float64Array): void {
  if (sum <= 0) return;
  const row = unit * classes;
  for (let k = 0; k < classes; k++) out[k] += sum * output[row + k];
}
