import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Freezer, type FrozenGraph, isReplaced } from './freeze.ts';
import { type ModelBounds, modelLimits, readModelBounds } from './graph.ts';
import { GraphDefReader, invalidSavedModel as invalid, type MetaGraph, quoted, type Signature } from './graphdef.ts';
import { graphOperators } from './graphoperators.ts';
import { TensorBundle } from './tensorbundle.ts';
import { tensorflowMark } from './tensorflow.ts';

/** Tag and signature of a model that is to be served; TensorFlow and Keras write both. */
const served = { tag: 'serve', signature: 'serving_default' } as const;

/**
 * Reads the files of a SavedModel: saved_model.pb, then what its `variables` folder holds, in the order of `makeName`.
 * @param read reads one regular file of bounded size
 * @throws {StoplineError} MODEL_INVALID, MODEL_TOO_LARGE, and what `read` throws
 */
export function readSavedModel(
  folder: string,
  read: (path: string, maxBytes: number) => Uint8Array,
  bounds: ModelBounds = readModelBounds(),
): Uint8Array[] {
  const files = [read(join(folder, 'saved_model.pb'), bounds.bytes)];
  let names: string[] = [];
  try {
    names = readdirSync(join(folder, 'variables')).filter((name) => /^variables\.(index|data-)/.test(name));
  } catch {
    // A frozen model has no variables.
  }
  let left: number = bounds.bytes - files[0].length;
  for (let i = 1; i <= names.length; i++) {
    const name = makeName(i, names.length + 1);
    if (!names.includes(name.replace('variables/', ''))) throw invalid(`${name} is not there`);
    const bytes = read(join(folder, name), left);
    left -= bytes.length;
    files.push(bytes);
  }
  return files;
}

/** Path of a file within the folder, by its place: TensorFlow leaves no choice. */
function makeName(place: number, files: number): string {
  if (place === 1) return 'variables/variables.index';
  const digits = (n: number) => String(n).padStart(5, '0');
  return `variables/variables.data-${digits(place - 2)}-of-${digits(files - 2)}`;
}

/**
 * Makes a graph model of TensorFlow.js out of a SavedModel: what serves images, without functions and variables. Nothing of
 * it is run, and of what it does not need for that nothing is looked at: it may reach files or hold Python.
 * @param files as `readSavedModel` gives them
 * @returns model.json and its weights
 * @throws {StoplineError} MODEL_INVALID, MODEL_TRUNCATED, MODEL_TOO_LARGE
 */
export function freezeSavedModel(
  [saved, index, ...shards]: readonly Uint8Array[],
  { nodes, bytes }: ModelBounds = readModelBounds(),
): Uint8Array[] {
  const { fields } = modelLimits;
  const file = new GraphDefReader(saved, { maxFields: fields, maxNodes: 50 * nodes });
  const { graph, signature } = chooseSignature(file.readMetaGraphs());
  const bundle = index && new TensorBundle(index, shards);
  const frozen = new Freezer(file, graph, bundle, { maxNodes: nodes, maxBytes: bytes }).freeze(signature);
  return writeGraphModel(frozen, signature);
}

/**
 * Makes a graph model of TensorFlow.js out of a frozen graph, as TensorFlow 1 wrote them (`frozen_inference_graph.pb`). Its
 * signature is read off: the image is its only placeholder that can hold one, the answers are what nothing that is run reads.
 * @returns model.json and its weights
 * @throws {StoplineError} MODEL_INVALID, MODEL_TRUNCATED, MODEL_TOO_LARGE
 */
export function freezeGraphDef(file: Uint8Array, { nodes, bytes }: ModelBounds = readModelBounds()): Uint8Array[] {
  const reader = new GraphDefReader(file, { maxFields: modelLimits.fields, maxNodes: nodes });
  const graph = reader.readWholeGraph();
  const signature = deriveSignature(reader, graph);
  return writeGraphModel(
    new Freezer(reader, graph, undefined, { maxNodes: nodes, maxBytes: bytes }).freeze(signature),
    signature,
  );
}

/** What gives numbers but is no answer. */
const given = new Set(['Const', 'NoOp', 'Placeholder', 'PlaceholderWithDefault']);

function deriveSignature(reader: GraphDefReader, { nodes }: MetaGraph): Signature {
  const placeholders = [...nodes.values()].filter(({ operator }) => operator === 'Placeholder');
  const inputs = placeholders.map((node) => {
    const { dtype, shape } = reader.readAttributes(node);
    const dim = (shape?.shape as { dim?: { size: string }[] } | undefined)?.dim;
    const sides = dim?.map(({ size }) => (Number(size) < 0 ? null : Number(size)));
    // A shape of no sides is one that was not said.
    return {
      key: node.name,
      tensor: node.name,
      type: Number(dtype?.type ?? 0),
      ...(sides?.length && { shape: sides }),
    };
  });
  const images = inputs.filter(
    ({ type, shape }) => imageTypes.has(type) && (shape === undefined || shape.length === 4),
  );
  if (images.length !== 1)
    throw invalid(
      `${images.length === 0 ? 'no placeholder' : 'more than one placeholder'} takes an image of numbers: ${inputs.slice(0, 8).map(describeInput).join('; ') || 'it has no placeholders'}`,
    );
  // What only writes, prints or asserts is looked through: what it reads is the answer.
  const running = [...nodes.values()].filter(({ operator }) => graphOperators.has(operator) || isReplaced(operator));
  const read = new Set(running.flatMap((node) => node.inputs.map((input) => input.replace(/:\d+$/, ''))));
  const ends = running.filter(({ name, operator }) => !read.has(name) && !given.has(operator));
  if (ends.length === 0) throw invalid('nothing in it is an answer');
  return { inputs: images, outputs: ends.map(({ name }) => ({ key: name, tensor: name, type: 1 })) };
}

/** Types of numbers that images can be given as: `DataType` of TensorFlow. */
const imageTypes = new Set([1, 3, 4, 6, 19]);

/**
 * The signature that takes images: `serving_default` where it is there, else the only one that does.
 * @throws {StoplineError} MODEL_INVALID that says which signatures there are
 */
function chooseSignature(graphs: readonly MetaGraph[]): { graph: MetaGraph; signature: Signature } {
  const serving = graphs.filter(({ tags }) => tags.includes(served.tag));
  // TensorFlow Hub tags what is not for training with nothing.
  const [graph] = serving.length > 0 ? serving : graphs.filter(({ tags }) => tags.length === 0);
  if (graph === undefined)
    throw invalid(
      `none of its graphs has the tag ${served.tag}: ${graphs.map(({ tags }) => quoted(tags.join())).join(', ') || 'it has none'}`,
    );
  const takesImages = ({ inputs, outputs }: Signature) =>
    inputs.length === 1 &&
    outputs.length > 0 &&
    imageTypes.has(inputs[0].type) &&
    (inputs[0].shape === undefined || inputs[0].shape.length === 4);
  const usual = graph.signatures.get(served.signature);
  if (usual && takesImages(usual)) return { graph, signature: usual };
  const others = [...graph.signatures].filter(([, signature]) => takesImages(signature));
  if (others.length === 1) return { graph, signature: others[0][1] };
  const list = [...graph.signatures].map(
    ([name, { inputs }]) => `${quoted(name)} of ${inputs.map(describeInput).join(', ') || 'nothing'}`,
  );
  throw invalid(
    `${others.length === 0 ? 'no signature takes one image of numbers' : `several signatures take an image and none of them is ${served.signature}`}: ${list.slice(0, 8).join('; ') || 'it has no signatures'}`,
  );
}

function describeInput({ key, type, shape }: Signature['inputs'][number]): string {
  const what = type === 7 ? 'text (encoded images, perhaps: export what takes their pixels)' : `type ${type}`;
  return `${quoted(key)}, ${what}${shape ? `, ${shape.map((side) => side ?? '?').join(' x ')}` : ''}`;
}

/** model.json, and the weights one after the other. */
function writeGraphModel({ nodes, weights }: FrozenGraph, { outputs }: Signature): Uint8Array[] {
  const described = outputs.map(({ key, shape }) => {
    const dim = shape?.map((size) => ({ size: String(size ?? -1) }));
    return [key, { name: key, ...(dim && { tensorShape: { dim } }) }];
  });
  const json = {
    format: 'graph-model',
    generatedBy: tensorflowMark,
    signature: { outputs: Object.fromEntries(described) },
    modelTopology: { node: nodes },
    weightsManifest: [
      {
        paths: ['weights.bin'],
        weights: weights.map(({ name, tensor: { shape, dtype } }) => ({ name, shape, dtype })),
      },
    ],
  };
  return [Buffer.from(JSON.stringify(json)), Buffer.concat(weights.map(({ tensor }) => tensor.bytes))];
}
