import { createHash } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { readImage } from '../file.ts';
import type { Limits } from '../frame.ts';
import { checkCardFits, proposeCard } from './card.ts';
import type { ModelCard } from './cardschema.ts';
import { checkCard } from './checkcard.ts';
import { type Constants, readOnnxConstants, readTensorflowConstants } from './constants.ts';
import { inlineExternalData } from './externaldata.ts';
import { type Graph, type ModelBounds, readGraph, readModelBounds } from './graph.ts';
import type { PreparedModel } from './open.ts';
import { freezeGraphDef, freezeSavedModel, readSavedModel } from './savedmodel.ts';
import { readTensorflowGraph, readTensorflowModel } from './tensorflow.ts';
import { isTflite, readTflite, readTfliteConstants } from './tflite.ts';
import { type TrialLimits, tryModel } from './trial.ts';

/** A model's bytes as they were read once: what is hashed and checked is what is loaded. */
export interface ModelFiles {
  kind: ModelCard['kind'];
  /**
   * What is loaded: one file, or the JSON of a TensorFlow.js model and its weights in the order of the manifest. Of a SavedModel
   * or frozen graph these are made of its files.
   */
  files: Uint8Array[];
  /** Of the files as they lie there. */
  sha256: string;
  graph: Graph;
  /** Within which it was read. */
  bounds: ModelBounds;
}

const maxCardBytes = 1024 * 1024;

/**
 * Reads the files of a model and its graph; nothing is run.
 * @param path an .onnx or .tflite file, the model.json of a TensorFlow.js model, the folder of a SavedModel, or a frozen graph (.pb)
 * @param limits of them `maxModelBytes` and `maxModelNodes`
 * @throws {StoplineError} MODEL_UNREADABLE, what `readGraph`, `readTensorflowGraph`, `freezeSavedModel` and `readTflite` throw
 */
export async function readModel(path: string, limits: Limits = {}): Promise<ModelFiles> {
  const bounds = readModelBounds(limits);
  // A user who names a link means the model behind it.
  const file = await realpath(path).catch(() => path);
  if (file.endsWith('.json')) {
    const { kind, files } = readTensorflowModel(file, readBytes, bounds);
    return { kind, files, sha256: hashFiles(files), graph: readTensorflowGraph(files[0], bounds), bounds };
  }
  const isFolder = (await stat(file).catch(() => undefined))?.isDirectory();
  if (isFolder || basename(file) === 'saved_model.pb') {
    const given = readSavedModel(isFolder ? file : dirname(file), readBytes, bounds);
    const files = freezeSavedModel(given, bounds);
    return {
      kind: 'saved-model',
      files,
      sha256: hashFiles(given),
      graph: readTensorflowGraph(files[0], bounds),
      bounds,
    };
  }
  const bytes = readBytes(file, bounds.bytes);
  refuseOtherFormats(bytes);
  if (/\.pb$/i.test(file)) {
    const files = freezeGraphDef(bytes, bounds);
    const graph = readTensorflowGraph(files[0], bounds);
    return { kind: 'frozen-graph', files, sha256: hashFiles([bytes]), graph, bounds };
  }
  if (isTflite(bytes))
    return {
      kind: 'tflite',
      files: [bytes],
      sha256: hashFiles([bytes]),
      graph: readTflite(bytes, bounds).graph,
      bounds,
    };
  const files = [inlineExternalData(bytes, (name, maxBytes) => readBytes(join(dirname(file), name), maxBytes), bounds)];
  return { kind: 'onnx', files, sha256: hashFiles(files), graph: readGraph(files[0], bounds), bounds };
}

/** What files of other frameworks begin with, and how to make of them what is read. */
const otherFormats: [beginning: string, what: string, instead: string][] = [
  [
    '\x89HDF',
    'HDF5, as Keras wrote it',
    'in Keras: keras.saving.load_model(FILE).export(FOLDER), and name that folder',
  ],
  [
    'PK\x03\x04',
    'a zip file, as Keras and PyTorch write them',
    'in Keras: keras.saving.load_model(FILE).export(FOLDER); in PyTorch: torch.onnx.export(model, image, "model.onnx")',
  ],
  ['\x80\x02', 'a pickle, as PyTorch wrote it', 'in PyTorch: torch.onnx.export(model, image, "model.onnx")'],
];

function refuseOtherFormats(bytes: Uint8Array): void {
  const beginning = Buffer.from(bytes.subarray(0, 4)).toString('latin1');
  const other = otherFormats.find(([start]) => beginning.startsWith(start));
  if (other === undefined) return;
  throw new StoplineError(
    'MODEL_UNSUPPORTED',
    `Expected ONNX, TFLite, the model.json of TensorFlow.js, the folder of a SavedModel or a frozen graph (.pb) but this is ${other[1]}. Export it: ${other[2]}.`,
  );
}

/** SHA-256 of the files, one after the other. */
function hashFiles(files: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file);
  return hash.digest('hex');
}

function readBytes(path: string, maxBytes: number): Uint8Array {
  try {
    return readImage(path, maxBytes);
  } catch (error) {
    if (!(error instanceof StoplineError)) throw error;
    const { code, message } = error;
    throw new StoplineError(code === 'STOPLINE_ERR_IMAGE_TOO_LARGE' ? 'MODEL_TOO_LARGE' : 'MODEL_UNREADABLE', message);
  }
}

/** Where the card of a model lies: beside it, `model.onnx` with `model.card.json`. */
export function resolveCardPath(modelPath: string): string {
  return join(dirname(modelPath), `${basename(modelPath).replace(/\.(onnx|json|tflite|pb)$/i, '')}.card.json`);
}

/**
 * Reads a card.
 * @returns undefined where there is no such file
 * @throws {StoplineError} MODEL_UNREADABLE, MODEL_CARD
 */
export function readCard(path: string): ModelCard | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readImage(path, maxCardBytes);
  } catch (error) {
    if (!(error instanceof StoplineError)) throw error;
    const { code, message } = error;
    if (code === 'STOPLINE_ERR_INPUT_NOT_FOUND') return undefined;
    throw new StoplineError('MODEL_UNREADABLE', message);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new StoplineError('MODEL_CARD', `Expected JSON in "${path}" but ${(cause as Error).message}.`, { cause });
  }
  return checkCard(value);
}

/** The card that the graph suggests. */
export function proposeFor(path: string, read: ModelFiles) {
  const { kind, sha256, graph } = read;
  const name =
    basename(path)
      .replace(/\.(onnx|json|tflite|pb)$/i, '')
      .slice(0, 128) || 'model';
  const constants = readConstants(read);
  return proposeCard(graph, { sha256, name, kind, layout: kind === 'onnx' ? 'NCHW' : 'NHWC', constants });
}

/** The small constants of a model, whatever its kind. */
function readConstants({ kind, files, graph, bounds }: ModelFiles): Constants {
  if (kind === 'onnx') return readOnnxConstants(files[0], graph.nodes);
  if (kind === 'tflite') return readTfliteConstants(files[0], readTflite(files[0], bounds));
  return readTensorflowConstants(files);
}

export interface PrepareOptions {
  /** Instead of the one beside the model. */
  card?: ModelCard | undefined;
  /** Of its first load. */
  trial?: TrialLimits | undefined;
  /** Of them `maxModelBytes` and `maxModelNodes`. */
  limits?: Limits | undefined;
  /** Comes with this package: there is no need to try it in a process of its own. */
  isOwn?: boolean;
}

/**
 * Reads a model, checks it against its card, and loads it once in a process of its own.
 * @param path as of `readModel`; its card is looked for beside it, and proposed where there is none
 * @returns the model, and what in a proposed card is a guess
 * @throws {StoplineError} what `readModel`, `readCard` and `tryModel` throw, MODEL_CHECKSUM, MODEL_CARD
 * @example
 * const { model } = await prepareModel('classifier.onnx');
 * const embedder = await openPrepared(model, { core: loadCore() }); // in a worker thread
 * const [row] = await embedder.embed([frame]);
 */
export async function prepareModel(
  path: string,
  { card: given, trial, limits, isOwn }: PrepareOptions = {},
): Promise<{ model: PreparedModel; guesses: string[] }> {
  const read = await readModel(path, limits);
  const kept = given ?? readCard(resolveCardPath(path));
  const { card, guesses } =
    kept === undefined
      ? proposeFor(path, read)
      : { card: kept, guesses: (kept.assumed ?? []).map((field) => `${field}, as its card says`) };
  if (card.sha256 !== read.sha256)
    throw new StoplineError(
      'MODEL_CHECKSUM',
      `Expected the model of the card, sha256 ${card.sha256.slice(0, 16)}, but "${path}" has ${read.sha256.slice(0, 16)}.`,
    );
  checkCardFits(card, read.graph);
  const answers = isOwn ? card.answers : await tryModel({ files: read.files, card, limits }, trial);
  return { model: { files: read.files, card, answers, ...(limits && { limits }) }, guesses };
}
