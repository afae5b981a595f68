import type { Core } from '../../core/core.ts';
import { StoplineError } from '../../errors.ts';
import { type Frame, release } from '../frame.ts';
import { classTensors, namedOutputs } from './card.ts';
import type { ModelCard } from './cardschema.ts';
import { classScores } from './classscores.ts';
import { knownFrames } from './knownframes.ts';
import type { FailedProvider, Network } from './network.ts';
import { poolContent, poolEarly, readChannels } from './pooling.ts';
import { createPreprocess } from './preprocess.ts';

/** A stretch of an embedding. */
export interface EmbeddingPart {
  /** `content`: what the image shows. `level` and `peak`: how strongly an early channel answers, on average and at most. */
  kind: 'content' | 'level' | 'peak';
  /** The tensor it comes from. */
  tensor: string;
  at: number;
  length: number;
}

/** What runs, and where. */
export interface EmbedderInfo {
  /** SHA-256 of the model; a Profile records it and refuses another. */
  sha256: string;
  model: string;
  dimension: number;
  parts: EmbeddingPart[];
  runtime: string;
  provider: string;
  device: 'cpu' | 'gpu';
  /** Providers that were tried before, with their reasons. */
  failed: readonly FailedProvider[];
  /** Most frames that the network takes at once. */
  maxBatch: number;
  /** Fields of its card that nobody has confirmed. */
  assumed: readonly string[];
}

/** Frames to embeddings. Lives in worker threads: a run blocks its thread. */
export interface Embedder {
  readonly info: EmbedderInfo;
  /**
   * @returns one row of `info.dimension` numbers for each frame, all finite
   * @throws {StoplineError} MODEL_FAILED
   */
  embed(frames: readonly Frame[]): Promise<Float32Array[]>;
  /**
   * Class scores of each frame, as the network gives them; of a detector, for each class that of its surest cell.
   * @throws {StoplineError} MODEL_UNSUPPORTED when the card names no such output, or one of another shape; MODEL_FAILED
   */
  classify(frames: readonly Frame[]): Promise<Float32Array[]>;
  /**
   * Both of each frame, in one run of the network.
   * @throws {StoplineError} as `embed` and `classify`
   */
  answer(frames: readonly Frame[]): Promise<{ embedding: Float32Array; classScores: Float32Array }[]>;
  close(): Promise<void>;
}

/** On a card, answers differ by the order of sums and by shorter mantissas (TF32): relative to the largest number. */
const answerTolerance = { cpu: 1e-3, gpu: 2e-2 } as const;

/** Frames in one run at most: beyond that a batch only needs more memory. */
const largestBatch = 16;

/**
 * Makes an embedder of an open network. Runs it once or twice, which warms it up and shows the shapes of its outputs.
 * @throws {StoplineError} MODEL_UNSUPPORTED, MODEL_FAILED
 */
export async function createEmbedder(network: Network, card: ModelCard, core: Core): Promise<Embedder> {
  const runner = new BatchRunner(network, card, core);
  const warm = await runner.run([knownFrames.ramps()]);
  const rows = new RowLayout(card, warm, network.channelAxis);
  const maxBatch = await findUsableBatch(runner, rows, warm);

  async function readBatches<T>(frames: readonly Frame[], read: (outputs: Outputs, count: number) => T[]) {
    const all: T[] = [];
    for (let first = 0; first < frames.length; first += maxBatch) {
      const batch = frames.slice(first, first + maxBatch);
      const outputs = await runner.run(batch);
      all.push(...read(outputs, batch.length));
      for (const { data } of outputs) release(data);
    }
    return all;
  }

  return {
    info: describeEmbedder(network, card, { dimension: rows.dimension, parts: rows.parts, maxBatch }),
    embed: (frames) => readBatches(frames, (outputs, count) => rows.split(outputs, count)),
    async classify(frames) {
      const read = planScores(card);
      return readBatches(frames, read);
    },
    async answer(frames) {
      const read = planScores(card);
      return readBatches(frames, (outputs, count) => {
        const scores = read(outputs);
        return rows.split(outputs, count).map((embedding, i) => ({ embedding, classScores: scores[i] }));
      });
    },
    close: () => network.close(),
  };
}

type Outputs = Awaited<ReturnType<Network['run']>>;

/**
 * Where class scores are among the outputs of a run.
 * @throws {StoplineError} MODEL_UNSUPPORTED when the card names none
 */
function planScores(card: ModelCard): (outputs: Outputs) => Float32Array[] {
  if (card.outputs.classes === undefined)
    throw new StoplineError('MODEL_UNSUPPORTED', `Expected outputs.classes in the card of "${card.name}".`);
  const names = namedOutputs(card);
  const { objectness = [], labels } = card.outputs;
  return (outputs) => {
    const output = (name: string) => outputs[names.indexOf(name)];
    const found = { classes: classTensors(card.outputs).map(output), objectness: objectness.map(output) };
    return classScores({ ...found, labels: labels === undefined ? undefined : output(labels) }, card);
  };
}

/** Runs a network on frames, prepared as its card says. */
class BatchRunner {
  readonly network: Network;
  readonly #names: readonly string[];
  /** How many numbers the network takes for a frame. */
  readonly #size: number;
  readonly #preprocess: ReturnType<typeof createPreprocess>;
  /** Outputs of boxes that are sorted out already, which may be as many as were found. */
  readonly #sorted: ReadonlySet<string>;

  constructor(network: Network, card: ModelCard, core: Core) {
    const { width, height, channels } = card.input;
    this.network = network;
    this.#names = namedOutputs(card);
    const { labels } = card.outputs;
    this.#sorted = new Set(labels === undefined ? [] : [labels, ...classTensors(card.outputs)]);
    this.#size = width * height * channels;
    this.#preprocess = createPreprocess(card.input, core);
  }

  async run(frames: readonly Frame[]): Promise<Outputs> {
    const size = this.#size;
    const input = new Float32Array(frames.length * size);
    frames.forEach((frame, i) => {
      this.#preprocess(frame, input.subarray(i * size, (i + 1) * size));
    });
    const outputs = await this.network.run(input, frames.length);
    release(input);
    outputs.forEach(({ dimensions, data }, i) => {
      if (this.#sorted.has(this.#names[i]) && frames.length === 1) return;
      if (dimensions[0] !== frames.length || data.length !== dimensions.reduce((a, b) => a * b, 1))
        throw new StoplineError(
          'MODEL_UNSUPPORTED',
          `Expected ${frames.length} rows of ${JSON.stringify(this.#names[i])} but received ${dimensions.join(' x ')}.`,
        );
    });
    return outputs;
  }
}

/** How the outputs of a network become rows of an embedding. */
class RowLayout {
  readonly parts: EmbeddingPart[];
  readonly dimension: number;
  readonly #name: string;
  readonly #names: readonly string[];
  readonly #channelAxis: Network['channelAxis'];

  /** `warm` are outputs of the same network, whose shapes show the channels of each tensor. */
  constructor(card: ModelCard, warm: Outputs, channelAxis: Network['channelAxis']) {
    this.#name = card.name;
    this.#names = namedOutputs(card);
    this.#channelAxis = channelAxis;
    const { parts, dimension } = planParts(card, (tensor) =>
      readChannels(warm[this.#names.indexOf(tensor)].dimensions, channelAxis),
    );
    this.parts = parts;
    this.dimension = dimension;
  }

  /** The first `count` rows. */
  split(outputs: Outputs, count: number): Float32Array[] {
    return Array.from({ length: count }, (_, i) => {
      const row = new Float32Array(this.dimension);
      for (const { kind, tensor, at, length } of this.parts) {
        const output = outputs[this.#names.indexOf(tensor)];
        const part = row.subarray(at, at + length);
        if (kind === 'content') poolContent(output, this.#channelAxis, i, part);
        else if (kind === 'level') {
          const peaks = row.subarray(at + length, at + 2 * length);
          poolEarly(output, this.#channelAxis, i, part, peaks);
        }
      }
      if (!areFinite(row))
        throw new StoplineError(
          'MODEL_FAILED',
          `Expected finite numbers but "${this.#name}" gives others for an image.`,
        );
      return row;
    });
  }
}

function areFinite(row: Float32Array): boolean {
  for (let i = 0; i < row.length; i++) if (!Number.isFinite(row[i])) return false;
  return true;
}

/** In exports with a fixed batch hidden in a reshape, two frames at once fail or mix: those are asked one by one. */
async function findUsableBatch(runner: BatchRunner, rows: RowLayout, warm: Outputs): Promise<number> {
  const most = Math.min(largestBatch, runner.network.maxBatch);
  if (most === 1) return 1;
  const frames = [knownFrames.waves(), knownFrames.ramps()];
  try {
    const [, second] = rows.split(await runner.run(frames), 2);
    const [alone] = rows.split(warm, 1);
    return measureDifference(second, alone) < answerTolerance.cpu ? most : 1;
  } catch {
    return 1;
  }
}

/** Which numbers of a row come from which tensor: the content, then level and peak of each early map. */
function planParts(
  { outputs }: ModelCard,
  countChannels: (tensor: string) => number,
): { parts: EmbeddingPart[]; dimension: number } {
  const parts: EmbeddingPart[] = [];
  let dimension = 0;
  const add = (kind: EmbeddingPart['kind'], tensor: string) => {
    const length = countChannels(tensor);
    parts.push({ kind, tensor, at: dimension, length });
    dimension += length;
  };
  add('content', outputs.content);
  for (const tensor of outputs.early) {
    add('level', tensor);
    add('peak', tensor);
  }
  return { parts, dimension };
}

/** What a user may know of an embedder. */
function describeEmbedder(
  { runtime, provider, failed }: Network,
  { sha256, name, assumed = [] }: ModelCard,
  row: Pick<EmbedderInfo, 'dimension' | 'parts' | 'maxBatch'>,
): EmbedderInfo {
  const device = /^(cpu|wasm|tensorflow)$/.test(provider) ? 'cpu' : 'gpu';
  return { sha256, model: name, ...row, runtime, provider, device, failed, assumed };
}

/** Largest difference of two rows, relative to the largest number of the second. */
export function measureDifference(row: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (row.length !== expected.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  let scale = Number.MIN_VALUE;
  for (let i = 0; i < row.length; i++) {
    const difference = Math.abs(row[i] - expected[i]);
    if (!(difference <= most)) most = difference; // also where it is not a number
    scale = Math.max(scale, Math.abs(expected[i]));
  }
  return most / scale;
}

/** Numbers of an embedding that a card keeps. */
const keptAnswers = 64;

function sample(row: ArrayLike<number>): number[] {
  const count = Math.min(keptAnswers, row.length);
  return Array.from({ length: count }, (_, i) => Number(row[Math.floor((i * row.length) / count)].toPrecision(7)));
}

/** The embeddings of the generated frames, as a card keeps them. */
export async function collectAnswers(embedder: Embedder): Promise<ModelCard['answers']> {
  const entries = Object.entries(knownFrames);
  const rows = await embedder.embed(entries.map(([, generate]) => generate()));
  return entries.map(([frame], i) => ({
    frame: frame as keyof typeof knownFrames,
    dimension: rows[i].length,
    values: sample(rows[i]),
  }));
}

/** One known answer, and how far the embedder is from it (see `measureDifference`). */
export interface AnswerCheck {
  frame: string;
  difference: number;
  tolerance: number;
  ok: boolean;
}

/** Compares what the embedder says of the generated frames with known answers. */
export async function checkAnswers(embedder: Embedder, known: ModelCard['answers']): Promise<AnswerCheck[]> {
  const given = await collectAnswers(embedder);
  const tolerance = answerTolerance[embedder.info.device];
  return known.map(({ frame, dimension, values }) => {
    const answer = given.find((candidate) => candidate.frame === frame);
    const isSame = answer?.dimension === dimension;
    const difference = isSame ? measureDifference(answer.values, values) : Number.POSITIVE_INFINITY;
    return { frame, difference, tolerance, ok: difference <= tolerance };
  });
}
