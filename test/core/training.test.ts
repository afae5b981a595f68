import { describe, expect, it } from 'vitest';
import { nativeVariants } from '../../src/core/native.ts';
import { Training, type TrainingBuild, type TrainingShape } from '../../src/core/training.ts';
import { Random } from '../../src/image/corruptions/random.ts';

const shape = { rows: 9, features: 13, units: 8, classes: 5, noise: 64, dropout: 0.25 };
/** Wider than all vectors that a build sums side by side, and with a rest behind them in every direction. */
const wideShape = { ...shape, features: 141, units: 76, classes: 37 };
const step = { size: 0.01, root: 3, shrink: 0.99 };
const seed = 3;

/** A training whose numbers are all drawn, and seven of its nine rows as the batch. */
function drawTraining(build?: TrainingBuild, of: TrainingShape = shape): Training {
  const { rows, features, units, classes } = of;
  const random = new Random(1);
  const training = new Training(of, build);
  const fill = ({ data, width }: Training['x'], height: number, columns: number) => {
    for (let row = 0; row < height; row++) data.set(random.normals(columns), row * width);
  };
  fill(training.x, rows, features);
  for (let row = 0; row < rows; row++) training.x.data[row * training.x.width + features] = 1;
  fill(training.hidden, units, features + 1);
  fill(training.output, units + 1, classes);
  training.noise.set(random.normals(shape.noise, 0, 0.2));
  training.weights.set(random.normals(rows).map(Math.abs));
  training.classes.set(Array.from({ length: rows }, () => random.integer(classes)));
  training.batch.set([8, 0, 3, 1, 7, 2, 5]);
  return training;
}

/** The same step in 64 bits, one number after the other. */
function learnPlainly(training: Training, rows: number, of: TrainingShape): { hidden: number[][]; output: number[][] } {
  const { features, units, classes, noise, dropout } = of;
  const random = new Random(seed);
  const offsets = random.words(rows);
  const luck = random.words(rows * units);
  const read = ({ data, width }: Training['x'], height: number, columns: number) =>
    Array.from({ length: height }, (_, row) => [...data.subarray(row * width, row * width + columns)]);
  const x = read(training.x, of.rows, features + 1);
  const hidden = read(training.hidden, units, features + 1);
  const output = read(training.output, units + 1, classes);
  const slopes = { hidden: hidden.map((row) => row.map(() => 0)), output: output.map((row) => row.map(() => 0)) };
  for (let r = 0; r < rows; r++) {
    const row = training.batch[r];
    const input = x[row].map((v, j) => (j < features ? v + training.noise[(offsets[r] + j) % noise] : v));
    const active = hidden.map((weights, u) => {
      const sum = weights.reduce((total, weight, j) => total + weight * input[j], 0);
      return sum > 0 && luck[r * units + u] >= dropout * 2 ** 32 ? sum / (1 - dropout) : 0;
    });
    const logits = output[units].map((bias, k) => active.reduce((sum, a, u) => sum + a * output[u][k], bias));
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const errors = logits.map(
      (logit, k) => ((Math.exp(logit) / total - (k === training.classes[row] ? 1 : 0)) * training.weights[row]) / rows,
    );
    for (let k = 0; k < classes; k++) {
      slopes.output[units][k] += errors[k];
      for (let u = 0; u < units; u++) slopes.output[u][k] += active[u] * errors[k];
    }
    for (let u = 0; u < units; u++) {
      if (active[u] === 0) continue;
      const delta = errors.reduce((sum, error, k) => sum + error * output[u][k], 0) / (1 - dropout);
      for (let j = 0; j <= features; j++) slopes.hidden[u][j] += delta * input[j];
    }
  }
  // AdamW from the beginning: the running means are a tenth and a thousandth of what was seen.
  const move = (weight: number, slope: number) =>
    weight * step.shrink - (step.size * 0.1 * slope) / (Math.sqrt(0.001 * slope * slope * step.root) + 1e-8);
  const moveAll = (weights: number[][], by: number[][]) =>
    weights.map((row, i) => row.map((weight, j) => move(weight, by[i][j])));
  return { hidden: moveAll(hidden, slopes.hidden), output: moveAll(output, slopes.output) };
}

function listBuilds(): (TrainingBuild | undefined)[] {
  try {
    return ['wasm', undefined, ...nativeVariants()];
  } catch (error) {
    if ((error as { code?: string }).code !== 'STOPLINE_ERR_CORE_UNAVAILABLE') throw error;
    return ['wasm', undefined];
  }
}

describe('Training', () => {
  // The first step of AdamW makes slopes of nearly nothing as long as all others, and their rounding with them: of many weights a
  // few are known to fewer digits. A step is 0.018.
  it.each([
    [7, shape, 5],
    [1, shape, 5],
    [7, wideShape, 2],
  ])('moves the weights as plain loops over %i rows do', (rows, of, digits) => {
    const training = drawTraining(undefined, of);
    const expected = learnPlainly(training, rows, of);
    training.learn(rows, new Random(seed).state, step);
    for (const name of ['hidden', 'output'] as const) {
      const { data, width } = training[name];
      for (const [i, row] of expected[name].entries()) {
        for (const [j, weight] of row.entries()) expect(data[i * width + j]).toBeCloseTo(weight, digits);
        // What pads a row stays nothing, whatever is learnt.
        expect([...data.subarray(i * width + row.length, (i + 1) * width)].every((v) => v === 0)).toBe(true);
      }
    }
  });

  it.each([shape, wideShape])('is the same to the bit in every build that runs here: $units units', (of) => {
    const learnt = listBuilds().map((build) => {
      const training = drawTraining(build, of);
      const { state } = new Random(seed);
      for (let i = 0; i < 20; i++) training.learn(1 + (i % 7), state, step);
      return [...training.hidden.data, ...training.output.data];
    });
    for (const weights of learnt) expect(weights).toEqual(learnt[0]);
  });

  it('is no other for what a training before it left', () => {
    const [one, other] = [drawTraining(), drawTraining()];
    for (const training of [one, other]) {
      const { state } = new Random(seed);
      for (let i = 0; i < 3; i++) training.learn(7, state, step);
    }
    expect(one.hidden.data).toEqual(other.hidden.data);
    expect(one.output.data).toEqual(other.output.data);
  });

  it('keeps its numbers where logits are far apart', () => {
    const training = drawTraining();
    training.output.data.set([1e6, -1e6, 200, 0, -1e30]);
    training.learn(7, new Random(seed).state, step);
    expect([...training.hidden.data, ...training.output.data].every(Number.isFinite)).toBe(true);
  });
});
