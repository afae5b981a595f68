import { mostRows, type PaddedMatrix, Training } from '../core/training.ts';
import { Random } from '../image/corruptions/random.ts';
import type { Network } from '../profile/maths/network.ts';
import type { TrainingSet } from '../profile/maths/softmax.ts';

export interface NetworkOptions {
  /** Hidden units: a multiple of four. */
  units: number;
  epochs: number;
  /** Decides where the weights begin, the order of rows, noise and dropout. */
  seed: number;
  /** Deviation of the noise that is added to every input. Default: 0.15. */
  noise?: number;
  /** Largest step of AdamW. Default: 0.004. */
  rate?: number;
}

/** Steps of an epoch, at least, while there are enough rows. */
const leastSteps = 12;
/** Largest step of AdamW, reached at `warmUp` of all steps. */
const largestRate = 4e-3;
const warmUp = 0.3;
const first = 1 / 25;
const last = 1e-4;
const decay = 3e-3;
/** For inputs in deviations of the reference. */
const inputNoise = 0.15;
/** A power of two, so that a place in it is a mask. */
const noiseTable = 1 << 16;
/** Share of the hidden units that is silenced for each row and step, so that no unit, and no statistic, can rule. */
const dropout = 0.2;
/** How much of the running means of gradient and square is kept in a step: the same numbers are in train.c. */
const momentum = 0.9;
const spread = 0.999;

/**
 * Trains a network of one hidden layer by AdamW (Loshchilov and Hutter 2019) over one cycle of the step size (Smith and Topin
 * 2019), with noise on the inputs and dropout (Srivastava et al. 2014) on the hidden layer. Weighted cross-entropy.
 *
 * Only additions, multiplications, divisions and square roots of 32-bit floats: the same bits wherever it runs.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function trainNetwork(
  set: TrainingSet,
  shape: { features: number; classes: number },
  options: NetworkOptions,
): Network {
  return new Trainer(set, shape, options).train();
}

class Trainer {
  readonly #rows: number;
  readonly #features: number;
  readonly #units: number;
  readonly #classes: number;
  readonly #epochs: number;
  readonly #rate: number;
  readonly #random: Random;
  readonly #training: Training;
  #meanLeft = 1;
  #squareLeft = 1;

  constructor(set: TrainingSet, { features, classes }: { features: number; classes: number }, options: NetworkOptions) {
    const { units, epochs, seed, noise: deviation = inputNoise, rate = largestRate } = options;
    const rows = set.y.length;
    this.#rows = rows;
    this.#features = features;
    this.#units = units;
    this.#classes = classes;
    this.#epochs = epochs;
    this.#rate = rate;
    this.#random = new Random(seed);
    const shape = { rows, features, units, classes, noise: noiseTable, dropout };
    this.#training = new Training(shape);
    const { x, weights, noise, hidden, output, classes: truths } = this.#training;
    this.#draw(hidden, units, features, Math.sqrt(2 / features));
    this.#draw(output, units, classes, Math.sqrt(1 / units));
    noise.set(this.#random.normals(noiseTable, 0, deviation));
    for (let row = 0; row < rows; row++) {
      x.data.set(set.x.subarray(row * features, (row + 1) * features), row * x.width);
      x.data[row * x.width + features] = 1;
    }
    let total = 0;
    for (const weight of set.w) total += weight;
    // Their mean is 1.
    weights.set(set.w.map((weight) => (weight * rows) / total));
    truths.set(set.y);
  }

  train(): Network {
    const batches = Math.max(Math.ceil(this.#rows / mostRows), Math.min(leastSteps, this.#rows));
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
        this.#learn(rows, this.#rate * shareOfRate(++step / steps));
      }
    }
    const { hidden, output } = this.#training;
    const [features, units, classes] = [this.#features, this.#units, this.#classes];
    return {
      ...{ features, units, classes },
      hidden: unpad(hidden, units, features + 1),
      output: unpad(output, units + 1, classes),
    };
  }

  #draw(into: PaddedMatrix, rows: number, columns: number, deviation: number): void {
    const numbers = this.#random.normals(rows * columns, 0, deviation);
    for (let row = 0; row < rows; row++) {
      into.data.set(numbers.subarray(row * columns, (row + 1) * columns), row * into.width);
    }
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

  #learn(rows: Uint32Array, rate: number): void {
    this.#training.batch.set(rows);
    this.#meanLeft *= momentum;
    this.#squareLeft *= spread;
    const size = rate / (1 - this.#meanLeft);
    this.#training.learn(rows.length, this.#random.state, {
      size,
      root: 1 / (1 - this.#squareLeft),
      shrink: 1 - rate * decay,
    });
  }
}

function unpad({ data, width }: PaddedMatrix, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) out.set(data.subarray(row * width, row * width + columns), row * columns);
  return out;
}

/** One cycle: up to the largest step, which is 1, and down to nearly none, along smooth steps 3 t^2 - 2 t^3. */
function shareOfRate(share: number): number {
  const smooth = (t: number) => t * t * (3 - 2 * t);
  if (share <= warmUp) return first + (1 - first) * smooth(share / warmUp);
  return last + (1 - last) * (1 - smooth((share - warmUp) / (1 - warmUp)));
}
