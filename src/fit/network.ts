import { Random } from '../image/corruptions/random.ts';
import type { Network } from '../profile/maths/network.ts';
import type { TrainingSet } from '../profile/maths/softmax.ts';

export interface NetworkOptions {
  /** Hidden units: a multiple of four. */
  units: number;
  epochs: number;
  /** Decides where the weights begin, the order of rows, noise and dropout. */
  seed: number;
}

/** Rows that are looked at between two steps, at most; and steps of an epoch, at least, while there are enough rows. */
const batchSize = 256;
const leastSteps = 12;
/** Largest step of AdamW, reached at `warmUp` of all steps. */
const rate = 4e-3;
const warmUp = 0.3;
const first = 1 / 25;
const last = 1e-4;
const decay = 3e-3;
/** Deviation of the noise that is added to every input, which is in deviations of the reference. */
const inputNoise = 0.15;
/** Share of the hidden units that is silenced for each row and step, so that no unit, and no statistic, can rule. */
const dropout = 0.2;
const momentum = 0.9;
const spread = 0.999;

/**
 * Trains a network of one hidden layer by AdamW (Loshchilov and Hutter 2019) over one cycle of the step size (Smith and Topin
 * 2019), with noise on the inputs and dropout (Srivastava et al. 2014) on the hidden layer. Weighted cross-entropy.
 *
 * Only additions, multiplications, divisions and square roots: the same bits wherever it runs.
 */
export function trainNetwork(
  set: TrainingSet,
  shape: { features: number; classes: number },
  options: NetworkOptions,
): Network {
  return new Trainer(set, shape, options).train();
}

class Trainer {
  readonly #set: TrainingSet;
  readonly #rows: number;
  readonly #features: number;
  readonly #units: number;
  readonly #classes: number;
  readonly #epochs: number;
  readonly #random: Random;
  readonly #hidden: Parameters;
  readonly #output: Parameters;
  readonly #noise: Float64Array;
  /** Weights of the rows, of mean 1. */
  readonly #weights: Float64Array;
  // Of one batch, row-major.
  readonly #inputs: Float64Array;
  readonly #active: Float64Array;
  readonly #errors: Float64Array;
  readonly #deltas: Float64Array;
  readonly #listed = new Int32Array(Math.max(batchSize, 1024));

  constructor(set: TrainingSet, { features, classes }: { features: number; classes: number }, options: NetworkOptions) {
    const { units, epochs, seed } = options;
    this.#set = set;
    this.#rows = set.y.length;
    this.#features = features;
    this.#units = units;
    this.#classes = classes;
    this.#epochs = epochs;
    this.#random = new Random(seed);
    this.#hidden = new Parameters(units * (features + 1));
    this.#output = new Parameters((units + 1) * classes);
    const width = features + 1;
    for (let unit = 0; unit < units; unit++)
      this.#draw(this.#hidden.values, unit * width, features, Math.sqrt(2 / features));
    this.#draw(this.#output.values, 0, units * classes, Math.sqrt(1 / units));
    this.#noise = Float64Array.from(this.#random.normals(noiseTable, 0, inputNoise));
    let total = 0;
    for (const weight of set.w) total += weight;
    this.#weights = set.w.map((weight) => (weight * this.#rows) / total);
    this.#inputs = new Float64Array(batchSize * width);
    this.#active = new Float64Array(batchSize * units);
    this.#errors = new Float64Array(batchSize * classes);
    this.#deltas = new Float64Array(batchSize * units);
  }

  train(): Network {
    const batches = Math.max(Math.ceil(this.#rows / batchSize), Math.min(leastSteps, this.#rows));
    const steps = batches * this.#epochs;
    const order = Uint32Array.from({ length: this.#rows }, (_, i) => i);
    let step = 0;
    for (let epoch = 0; epoch < this.#epochs; epoch++) {
      this.#shuffle(order);
      for (let batch = 0; batch < batches; batch++) {
        const rows = order.subarray(
          Math.floor((batch * this.#rows) / batches),
          Math.floor(((batch + 1) * this.#rows) / batches),
        );
        this.#lookAt(rows);
        const size = stepSize(++step / steps);
        this.#hidden.update(size);
        this.#output.update(size);
      }
    }
    const [features, units, classes] = [this.#features, this.#units, this.#classes];
    return { features, units, classes, hidden: this.#hidden.values, output: this.#output.values };
  }

  #draw(into: Float64Array, from: number, count: number, deviation: number): void {
    into.set(this.#random.normals(count, 0, deviation), from);
  }

  #shuffle(order: Uint32Array): void {
    const words = this.#random.words(order.length);
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor((words[i] / 4294967296) * (i + 1));
      const other = order[i];
      order[i] = order[j];
      order[j] = other;
    }
  }

  /** Leaves the gradient of the rows' mean loss in the parameters. */
  #lookAt(rows: Uint32Array): void {
    this.#readInputs(rows);
    this.#activate(rows.length);
    this.#answer(rows);
    this.#learn(rows.length);
  }

  #readInputs(rows: Uint32Array): void {
    const [features, inputs, noise, x] = [this.#features, this.#inputs, this.#noise, this.#set.x];
    const offsets = this.#random.words(rows.length);
    for (let r = 0; r < rows.length; r++) {
      const from = rows[r] * features;
      const to = r * (features + 1);
      const at = offsets[r] & (noiseTable - 1);
      for (let j = 0; j < features; j++) inputs[to + j] = x[from + j] + noise[(at + j) & (noiseTable - 1)];
      inputs[to + features] = 1;
    }
  }

  /** Hidden units of every row: two rows by four units at a time, which is what fits into registers. */
  #activate(rows: number): void {
    const [units, active, inputs] = [this.#units, this.#active, this.#inputs];
    const weights = this.#hidden.values;
    const width = this.#features + 1;
    const kept = this.#random.words(rows * units);
    const scale = 1 / (1 - dropout);
    const limit = dropout * 4294967296;
    const keep = (at: number, sum: number) => {
      active[at] = sum > 0 && kept[at] >= limit ? sum * scale : 0;
    };
    for (let r = 0; r < rows; r += 2) {
      const x0 = r * width;
      // The last row of an odd number stands for its neighbour, too.
      const x1 = r + 1 < rows ? x0 + width : x0;
      for (let unit = 0; unit < units; unit += 4) {
        const w0 = unit * width;
        const w1 = w0 + width;
        const w2 = w1 + width;
        const w3 = w2 + width;
        let a0 = 0;
        let a1 = 0;
        let a2 = 0;
        let a3 = 0;
        let b0 = 0;
        let b1 = 0;
        let b2 = 0;
        let b3 = 0;
        for (let j = 0; j < width; j++) {
          const u = inputs[x0 + j];
          const v = inputs[x1 + j];
          const p = weights[w0 + j];
          const q = weights[w1 + j];
          const s = weights[w2 + j];
          const t = weights[w3 + j];
          a0 += p * u;
          a1 += q * u;
          a2 += s * u;
          a3 += t * u;
          b0 += p * v;
          b1 += q * v;
          b2 += s * v;
          b3 += t * v;
        }
        const at = r * units + unit;
        keep(at, a0);
        keep(at + 1, a1);
        keep(at + 2, a2);
        keep(at + 3, a3);
        if (x1 === x0) continue;
        keep(at + units, b0);
        keep(at + units + 1, b1);
        keep(at + units + 2, b2);
        keep(at + units + 3, b3);
      }
    }
  }

  /** Class probabilities less the truth, weighted. */
  #answer(rows: Uint32Array): void {
    const [units, classes, active, errors, listed] = [
      this.#units,
      this.#classes,
      this.#active,
      this.#errors,
      this.#listed,
    ];
    const weights = this.#output.values;
    for (let r = 0; r < rows.length; r++) {
      const at = r * classes;
      const bias = units * classes;
      for (let k = 0; k < classes; k++) errors[at + k] = weights[bias + k];
      let count = 0;
      for (let unit = 0; unit < units; unit++) if (active[r * units + unit] > 0) listed[count++] = unit;
      addRows(errors, at, classes, { from: weights, listed, count, scale: active, scaleAt: r * units, scaleStep: 1 });
      softmaxInPlace(errors, at, classes);
      errors[at + this.#set.y[rows[r]]] -= 1;
      const weight = this.#weights[rows[r]] / rows.length;
      for (let k = 0; k < classes; k++) errors[at + k] *= weight;
    }
  }

  #learn(rows: number): void {
    const [units, classes, active, errors, deltas] = [
      this.#units,
      this.#classes,
      this.#active,
      this.#errors,
      this.#deltas,
    ];
    const [listed, weights, toOutput, toHidden] = [
      this.#listed,
      this.#output.values,
      this.#output.gradient,
      this.#hidden.gradient,
    ];
    const width = this.#features + 1;
    const scale = 1 / (1 - dropout);
    toOutput.fill(0);
    toHidden.fill(0);
    for (let r = 0; r < rows; r++) {
      for (let unit = 0; unit < units; unit++) {
        if (active[r * units + unit] === 0) continue;
        let sum = 0;
        const e = r * classes;
        const w = unit * classes;
        for (let k = 0; k < classes; k++) sum += errors[e + k] * weights[w + k];
        deltas[r * units + unit] = sum * scale;
      }
    }
    for (let unit = 0; unit < units; unit++) {
      let count = 0;
      for (let r = 0; r < rows; r++) if (active[r * units + unit] > 0) listed[count++] = r;
      const ofUnit = { listed, count, scaleAt: unit, scaleStep: units };
      addRows(toOutput, unit * classes, classes, { ...ofUnit, from: errors, scale: active });
      addRows(toHidden, unit * width, width, { ...ofUnit, from: this.#inputs, scale: deltas });
    }
    const bias = units * classes;
    for (let r = 0; r < rows; r++) for (let k = 0; k < classes; k++) toOutput[bias + k] += errors[r * classes + k];
  }
}

/** A power of two, so that a place in it is a mask. */
const noiseTable = 1 << 16;

/** into[at..] += the sum of scale * row over the listed rows, four at a time. */
function addRows(
  into: Float64Array,
  at: number,
  length: number,
  rows: {
    from: Float64Array;
    listed: Int32Array;
    count: number;
    scale: Float64Array;
    scaleAt: number;
    scaleStep: number;
  },
): void {
  const { from, listed, count, scale, scaleAt, scaleStep } = rows;
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const s0 = scale[scaleAt + listed[i] * scaleStep];
    const s1 = scale[scaleAt + listed[i + 1] * scaleStep];
    const s2 = scale[scaleAt + listed[i + 2] * scaleStep];
    const s3 = scale[scaleAt + listed[i + 3] * scaleStep];
    const r0 = listed[i] * length;
    const r1 = listed[i + 1] * length;
    const r2 = listed[i + 2] * length;
    const r3 = listed[i + 3] * length;
    for (let k = 0; k < length; k++) {
      into[at + k] += s0 * from[r0 + k] + s1 * from[r1 + k] + (s2 * from[r2 + k] + s3 * from[r3 + k]);
    }
  }
  for (; i < count; i++) {
    const s = scale[scaleAt + listed[i] * scaleStep];
    const r = listed[i] * length;
    for (let k = 0; k < length; k++) into[at + k] += s * from[r + k];
  }
}

function softmaxInPlace(values: Float64Array, at: number, count: number): void {
  let most = values[at];
  for (let k = 1; k < count; k++) if (values[at + k] > most) most = values[at + k];
  let sum = 0;
  for (let k = at; k < at + count; k++) {
    values[k] = exponential(values[k] - most);
    sum += values[k];
  }
  for (let k = at; k < at + count; k++) values[k] /= sum;
}

const { LN2: ln2, LOG2E: log2e } = Math;
/** 2^0 to 2^-64. */
const powers = Float64Array.from({ length: 65 }, (_, i) => 2 ** -i);

/**
 * e^x of x at most 0, to nine digits: by 2^k and a Taylor polynomial within half a doubling. `Math.exp` may differ in the last bit
 * from one engine to another, and training would carry that on.
 */
export function exponential(x: number): number {
  const k = Math.floor(0.5 - x * log2e);
  if (k > 64) return 0;
  const r = x + k * ln2;
  const high = 1 / 24 + r * (1 / 120 + r * (1 / 720 + r * (1 / 5040 + r / 40320)));
  return (1 + r * (1 + r * (0.5 + r * (1 / 6 + r * high)))) * powers[k];
}

/** One cycle: up to the largest step and down to nearly none, along smooth steps 3 t^2 - 2 t^3. */
function stepSize(share: number): number {
  const smooth = (t: number) => t * t * (3 - 2 * t);
  if (share <= warmUp) return rate * (first + (1 - first) * smooth(share / warmUp));
  return rate * (last + (1 - last) * (1 - smooth((share - warmUp) / (1 - warmUp))));
}

/** Weights with what AdamW keeps of each. */
class Parameters {
  readonly values: Float64Array;
  readonly gradient: Float64Array;
  readonly #mean: Float64Array;
  readonly #square: Float64Array;
  #meanLeft = 1;
  #squareLeft = 1;

  constructor(size: number) {
    this.values = new Float64Array(size);
    this.gradient = new Float64Array(size);
    this.#mean = new Float64Array(size);
    this.#square = new Float64Array(size);
  }

  update(size: number): void {
    const [values, gradient, mean, square] = [this.values, this.gradient, this.#mean, this.#square];
    this.#meanLeft *= momentum;
    this.#squareLeft *= spread;
    const scale = size / (1 - this.#meanLeft);
    const root = 1 / (1 - this.#squareLeft);
    const shrink = 1 - size * decay;
    for (let i = 0; i < values.length; i++) {
      const slope = gradient[i];
      mean[i] = momentum * mean[i] + (1 - momentum) * slope;
      square[i] = spread * square[i] + (1 - spread) * slope * slope;
      values[i] = values[i] * shrink - (scale * mean[i]) / (Math.sqrt(square[i] * root) + 1e-8);
    }
  }
}
