import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { type Graph, type GraphValue, modelLimits } from './graph.ts';
import { type Field, ProtobufReader } from './protobuf.ts';
import { savedModelOperators } from './savedmodeloperators.ts';

/** Tag and signature of a model that is to be served; TensorFlow and Keras write both. */
export const served = { tag: 'serve', signature: 'serving_default' } as const;

const invalid = (what: string) => new StoplineError('MODEL_INVALID', `Expected a TensorFlow SavedModel but ${what}.`);

/**
 * Reads the files of a SavedModel: saved_model.pb, then what its `variables` folder holds, in the order of `makeName`.
 * @param read reads one regular file of bounded size
 * @throws {StoplineError} MODEL_INVALID, MODEL_TOO_LARGE, and what `read` throws
 */
export function readSavedModel(folder: string, read: (path: string, maxBytes: number) => Uint8Array): Uint8Array[] {
  const files = [read(join(folder, 'saved_model.pb'), modelLimits.bytes)];
  let names: string[] = [];
  try {
    names = readdirSync(join(folder, 'variables')).filter((name) => /^variables\.(index|data-)/.test(name));
  } catch {
    // A frozen model has no variables.
  }
  let left: number = modelLimits.bytes - files[0].length;
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
  if (place === 0) return 'saved_model.pb';
  if (place === 1) return 'variables/variables.index';
  const digits = (n: number) => String(n).padStart(5, '0');
  return `variables/variables.data-${digits(place - 2)}-of-${digits(files - 2)}`;
}

/**
 * Writes what was read and checked into a folder that nobody else may change, for a runtime that only takes a path.
 * @returns the folder, and what removes it
 */
export function writeSavedModel(files: readonly Uint8Array[]): { folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'stopline-model-'));
  for (const [place, bytes] of files.entries()) {
    const path = join(folder, makeName(place, files.length));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes, { mode: 0o400 });
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/**
 * The signature of a SavedModel as a graph of one node: its inputs and outputs are all that can be asked for.
 * Field numbers are those of tensorflow/core/protobuf/{saved_model,meta_graph}.proto and framework/graph.proto.
 * @throws {StoplineError} MODEL_INVALID, MODEL_TRUNCATED, MODEL_TOO_LARGE, MODEL_OPERATOR
 */
export function readSavedModelGraph(bytes: Uint8Array): Graph {
  const reader = new ProtobufReader(bytes, modelLimits.fields, 'a TensorFlow SavedModel');
  let found: { inputs: GraphValue[]; outputs: GraphValue[] } | undefined;
  let operators = 0;
  const checkNode = (node: Field) =>
    reader.each(node.from, node.to, (field) => {
      if (field.number !== 2) return;
      const operator = reader.text(field);
      if (++operators > 50 * modelLimits.nodes)
        throw new StoplineError('MODEL_TOO_LARGE', `Expected a model of at most ${50 * modelLimits.nodes} nodes.`);
      if (!savedModelOperators.has(operator))
        throw new StoplineError(
          'MODEL_OPERATOR',
          `Expected operators of image networks, which reach no files and run no Python, but received ${JSON.stringify(operator.slice(0, 60))}. Convert it to ONNX, or export what is served alone.`,
        );
    });
  reader.each(0, bytes.length, (meta) => {
    if (meta.number !== 2) return; // SavedModel.meta_graphs
    const tags: string[] = [];
    const signatures = new Map<string, Field>();
    reader.each(meta.from, meta.to, (field) => {
      if (field.number === 1) visitEach(reader, field, 4, (tag) => tags.push(reader.text(tag)));
      else if (field.number === 2) {
        visitEach(reader, field, 1, checkNode);
        // GraphDef.library, its functions, their nodes.
        visitEach(reader, field, 2, (library) =>
          visitEach(reader, library, 1, (definition) => visitEach(reader, definition, 3, checkNode)),
        );
      } else if (field.number === 5) {
        const [name, signature] = readEntry(reader, field);
        signatures.set(name, signature);
      }
    });
    const signature = signatures.get(served.signature);
    if (tags.join() === served.tag && signature) found = readValues(reader, signature);
  });
  if (!found) throw invalid(`it has no signature ${served.signature} with the tag ${served.tag}`);
  const { inputs, outputs } = found;
  if (inputs.length !== 1) throw invalid(`it has ${inputs.length} inputs: one image is what can be given`);
  const node = { operator: 'SavedModel', domain: '', name: served.signature, integers: {} };
  const names = (values: readonly GraphValue[]) => values.map(({ name }) => name);
  return {
    producer: 'TensorFlow',
    irVersion: 0,
    opset: 0,
    nodes: [{ ...node, inputs: names(inputs), outputs: names(outputs) }],
    inputs,
    outputs,
    initializers: new Map(),
    parameters: 0,
  };
}

function visitEach(reader: ProtobufReader, { from, to }: Field, number: number, visit: (field: Field) => void): void {
  reader.each(from, to, (field) => {
    if (field.number === number) visit(field);
  });
}

/** A field of a map: key 1, value 2. */
function readEntry(reader: ProtobufReader, entry: Field): [name: string, value: Field] {
  let name: string | undefined;
  let value: Field | undefined;
  reader.each(entry.from, entry.to, (field) => {
    if (field.number === 1) name = reader.text(field);
    else if (field.number === 2) value = field;
  });
  if (name === undefined || value === undefined) throw invalid('an entry of a map has no key or no value');
  return [name, value];
}

/** SignatureDef: inputs 1, outputs 2, each a map to TensorInfo (dtype 2, tensor_shape 3 of dim 2 of size 1). */
function readValues(reader: ProtobufReader, signature: Field) {
  const found: { inputs: GraphValue[]; outputs: GraphValue[] } = { inputs: [], outputs: [] };
  reader.each(signature.from, signature.to, (field) => {
    if (field.number !== 1 && field.number !== 2) return;
    const [name, info] = readEntry(reader, field);
    const value: GraphValue = { name, type: 0 };
    reader.each(info.from, info.to, (part) => {
      if (part.number === 2) value.type = part.value;
      if (part.number !== 3) return;
      const shape: (number | null)[] = [];
      let isUnknown = false;
      reader.each(part.from, part.to, (dimension) => {
        if (dimension.number === 3) isUnknown = dimension.value !== 0;
        if (dimension.number !== 2) return;
        let size = 0;
        visitEach(reader, dimension, 1, ({ value: length }) => {
          size = length;
        });
        shape.push(size < 0 ? null : size);
      });
      if (!isUnknown) value.shape = shape;
    });
    (field.number === 1 ? found.inputs : found.outputs).push(value);
  });
  // A map has no order of its own.
  found.outputs.sort((a, b) => (a.name < b.name ? -1 : 1));
  return found;
}
