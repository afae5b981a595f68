import { StoplineError } from '../errors.ts';
import type { Exports } from './instantiate.ts';
import { loadTrain, nativeVariants } from './native.ts';
import { openWasm } from './wasm.ts';

/** A set to learn from, and the network that is to learn it. */
export interface TrainingShape {
  /** Rows of the set. */
  rows: number;
  features: number;
  /** Hidden units: a multiple of four. */
  units: number;
  classes: number;
  /** Numbers in the table of noise: a power of two. */
  noise: number;
  /** Share of the hidden units that is silenced. */
  dropout: number;
}

/** A matrix in the memory of the kernels: rows are padded to `width`, and what pads them is 0. */
export interface PaddedMatrix {
  data: Float32Array;
  width: number;
}

/** Rows of a batch, at most; rows that the kernels compute beyond them, and units of a row beyond the hidden ones: see train.c. */
export const mostRows = 256;
const spareRows = 3;
const bias = 8;
/** Words of the record that train.c reads. */
const recordWords = 48;

const roundUp = (count: number, to: number) => Math.ceil(count / to) * to;

/** Which build takes the steps: an instruction set of the native one, or WebAssembly. */
export type TrainingBuild = (string & {}) | 'wasm';

/** @throws {StoplineError} CORE_UNAVAILABLE where WebAssembly is faster than the native core: its vectors are as wide, and kept in registers. */
function fastestWide(): string {
  const [fastest] = nativeVariants();
  if (fastest !== 'baseline') return fastest;
  throw new StoplineError('CORE_UNAVAILABLE', 'Expected vectors of more than four floats but this processor has none.');
}

/** The step on the memory of an instance, which must not grow any more. */
function chooseTrain(wasm: Exports, build?: TrainingBuild): (record: number, rows: number) => void {
  if (build !== 'wasm') {
    try {
      const train = loadTrain(build ?? fastestWide());
      const memory = new Uint8Array(wasm.memory.buffer);
      return (record, rows) => train(memory, record, rows);
    } catch (error) {
      // `loadCore` says why there is no native core.
      if (build !== undefined) throw error;
    }
  }
  return (record, rows) => wasm.stopline_train(0, record, rows);
}

/**
 * The memory in which one network is trained, and the step that trains it (src/core/train.c). The memory is always that of a
 * WebAssembly instance; the step is taken by the native core where there is one. What is learnt is the same to the bit everywhere.
 */
export class Training {
  /** Rows of the set, each with a 1 behind its features. */
  readonly x: PaddedMatrix;
  readonly weights: Float32Array;
  readonly classes: Uint32Array;
  readonly noise: Float32Array;
  /** Which rows the next batch has. */
  readonly batch: Uint32Array;
  /** units x (features + 1), and (units + 1) x classes: the last of each is the bias. */
  readonly hidden: PaddedMatrix;
  readonly output: PaddedMatrix;
  readonly #train: (record: number, rows: number) => void;
  readonly #record: number;
  readonly #step: Float32Array;
  readonly #random: Uint32Array;

  /**
   * @param build default: the fastest that there is
   * @throws {StoplineError} CORE_UNAVAILABLE
   */
  constructor({ rows, features, units, classes, noise, dropout }: TrainingShape, build?: TrainingBuild) {
    const wasm = openWasm();
    const { memory, __heap_base: base } = wasm;
    const width = roundUp(features + 1, 16);
    const across = roundUp(classes, 16);
    const most = mostRows + spareRows;
    const sizes = {
      ...{ x: rows * width, weights: rows, classes: rows, noise, batch: mostRows },
      ...{ inputs: most * width, active: most * (units + bias), errors: most * across, deltas: most * units },
      ...{ turnedHidden: width * units, turnedOutput: across * units },
      ...{ lists: (units + 1) * mostRows, counts: units + 1, chosen: units + 1 },
    };
    const matrices = { hidden: units * width, output: (units + bias) * across };
    let end = roundUp(base.value as number, 64) + recordWords * 4;
    const reserve = (words: number) => {
      const at = end;
      end = roundUp(at + words * 4, 64);
      return at;
    };
    const at = Object.fromEntries(Object.entries(sizes).map(([name, words]) => [name, reserve(words)])) as Record<
      keyof typeof sizes,
      number
    >;
    // Values, gradient, mean and mean square of each weight.
    const hidden = Array.from({ length: 4 }, () => reserve(matrices.hidden));
    const output = Array.from({ length: 4 }, () => reserve(matrices.output));
    if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / 65536));
    this.#train = chooseTrain(wasm, build);
    this.#record = roundUp(base.value as number, 64);
    const floats = (from: number, count: number) => new Float32Array(memory.buffer, from, count);
    const words = (from: number, count: number) => new Uint32Array(memory.buffer, from, count);
    this.x = { data: floats(at.x, sizes.x), width };
    this.weights = floats(at.weights, rows);
    this.classes = words(at.classes, rows);
    this.noise = floats(at.noise, noise);
    this.batch = words(at.batch, mostRows);
    this.hidden = { data: floats(hidden[0], matrices.hidden), width };
    this.output = { data: floats(output[0], matrices.output), width: across };
    words(this.#record, recordWords).set([
      ...[...hidden, units, width, ...output, units + bias, across],
      ...[features, units, classes, noise - 1],
      ...[at.x, at.weights, at.classes, at.noise, at.batch, at.inputs, at.active, at.errors, at.deltas],
      ...[at.turnedHidden, at.turnedOutput, at.lists, at.counts, at.chosen],
      Math.floor(dropout * 4294967296),
    ]);
    const floatsAt = 12 + 4 + 9 + 5 + 1;
    floats(this.#record + floatsAt * 4, 1)[0] = 1 / (1 - dropout);
    this.#step = floats(this.#record + (floatsAt + 1) * 4, 3);
    this.#random = words(this.#record + (floatsAt + 4) * 4, 4);
  }

  /**
   * Looks at the first `rows` of `batch`, and moves the weights. Draws a word for each row, where in the noise it begins, and then for
   * each row one for each hidden unit, which is silenced below the share.
   * @param random the state of the generator, which moves on
   * @param step.size of AdamW, corrected for the mean's beginning
   * @param step.root what corrects the mean square for its beginning
   * @param step.shrink what every weight is multiplied by
   */
  learn(
    rows: number,
    random: Uint32Array,
    { size, root, shrink }: { size: number; root: number; shrink: number },
  ): void {
    this.#step.set([size, root, shrink]);
    this.#random.set(random);
    this.#train(this.#record, rows);
    random.set(this.#random);
  }
}
