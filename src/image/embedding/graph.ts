import { StoplineError } from '../../errors.ts';
import { boundsFrom, type Limits } from '../frame.ts';
import { encodeField, encodeVarint, type Field, ProtobufReader } from './protobuf.ts';

/** One operator. */
export interface GraphNode {
  operator: string;
  domain: string;
  name: string;
  inputs: string[];
  outputs: string[];
  /** Only attributes that are integers (`axis`) or lists of them (`strides`, `kernel_shape`). */
  integers: Record<string, number[]>;
  /** The settings of a Rescaling layer of Keras. */
  numbers?: Record<string, number[]>;
}

/** An input or output of the whole graph. */
export interface GraphValue {
  name: string;
  /** `TensorProto.DataType`: 1 is float32; 0 where the file does not say. */
  type: number;
  /** A number, the name of a free dimension, or `null`; absent where the file does not say. */
  shape?: (number | string | null)[] | undefined;
}

/** What is read of an ONNX file: enough to check it and to find its layers, none of its weights. */
export interface Graph {
  producer: string;
  /** What the exporter says of the model, where it does. */
  description?: string;
  irVersion: number;
  opset: number;
  nodes: GraphNode[];
  /** Without the initialisers, which old files also list as inputs. */
  inputs: GraphValue[];
  outputs: GraphValue[];
  /** Dimensions of the initialisers. */
  initializers: Map<string, number[]>;
  parameters: number;
  /** Of TensorFlow: operators that are not run, and the tensors that are left out because they come of them. */
  refused?: { operators: string[]; tensors: ReadonlySet<string> };
}

/** One file while it is read. */
interface Reading {
  bounds: ModelBounds;
  reader: ProtobufReader;
  graph: Graph;
  /** Also those of graphs within nodes. */
  nodes: number;
}

/** What is refused before a runtime sees it, whatever is asked for. */
export const modelLimits = {
  fields: 4_000_000,
  /** Graphs within graphs, as of If. */
  depth: 8,
} as const;

/** Most bytes and nodes of a model: the settings `maxModelBytes` and `maxModelNodes`. */
export interface ModelBounds {
  bytes: number;
  nodes: number;
}

/** The bounds of a model among those of images, with the defaults of both. */
export function readModelBounds(limits: Limits = {}): ModelBounds {
  const { maxModelBytes, maxModelNodes } = boundsFrom(limits);
  return { bytes: maxModelBytes, nodes: maxModelNodes };
}

/** @throws {StoplineError} MODEL_TOO_LARGE */
export function checkNodeCount(count: number, { nodes }: ModelBounds): void {
  if (count > nodes)
    throw new StoplineError('MODEL_TOO_LARGE', `Expected a model of at most ${nodes} nodes (setting maxModelNodes).`);
}

/** Contributed operators of quantised and optimised image models. EPContext, which names files, is not among them. */
const microsoftOperators = new Set(
  (
    'Attention BiasAdd BiasGelu BiasSplitGelu ConvTransposeWithDynamicPads DequantizeLinear DynamicQuantizeMatMul ' +
    'FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation Gelu GroupNorm MatMulInteger16 ' +
    'MatMulIntegerToFloat MatMulNBits MultiHeadAttention NhwcConv NhwcFusedConv NhwcMaxPool QAttention QGemm ' +
    'QLinearAdd QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul ' +
    'QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QMoE QuantizeLinear QuickGelu ' +
    'SkipLayerNormalization SkipSimplifiedLayerNormalization SimplifiedLayerNormalization'
  ).split(' '),
);

/** What no image model needs, and why it is not let through. */
const refusedOperators: Record<string, string> = {
  Loop: 'may run without end',
  Scan: 'may run without end',
  SequenceMap: 'may run without end',
  RandomNormal: 'gives another answer each time',
  RandomNormalLike: 'gives another answer each time',
  RandomUniform: 'gives another answer each time',
  RandomUniformLike: 'gives another answer each time',
  Multinomial: 'gives another answer each time',
  Bernoulli: 'gives another answer each time',
};

const invalid = (what: string) => new StoplineError('MODEL_INVALID', `Expected an ONNX model but ${what}.`);

function checkOperator({ operator, domain, name }: GraphNode): void {
  const refuse = (what: string) =>
    new StoplineError('MODEL_OPERATOR', `Expected standard ONNX operators but node ${quoted(name)} ${what}.`);
  if (domain === 'com.microsoft') {
    if (!microsoftOperators.has(operator))
      throw refuse(`is com.microsoft ${quoted(operator)}, which is not let through`);
  } else if (domain !== '' && domain !== 'ai.onnx' && domain !== 'ai.onnx.ml') {
    throw refuse(`is ${quoted(operator)} of the domain ${quoted(domain)}, which is not known`);
  }
  if (Object.hasOwn(refusedOperators, operator)) throw refuse(`is ${operator}, which ${refusedOperators[operator]}`);
  // Whatever its domain: it names files that other execution providers read.
  if (operator === 'EPContext') throw refuse('is EPContext, compiled code of another runtime');
}

/** Names come from the file: they must not grow or break a message. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}

/**
 * Reads an ONNX file that nobody vouches for, and refuses what could hurt: weights in other files, operators of unknown
 * domains, loops, compiled code (EPContext, or the ORT format, which would pass by all these checks), local functions,
 * and more bytes, nodes or nesting than any image model has.
 *
 * The field numbers are those of onnx/onnx.proto; a reader that skips what this one refuses would be the hole, so
 * anything ambiguous (a graph given twice, which protobuf merges) is refused as well.
 *
 * @throws {StoplineError} MODEL_TOO_LARGE, MODEL_TRUNCATED, MODEL_INVALID, MODEL_EXTERNAL_DATA, MODEL_OPERATOR
 */
export function readGraph(bytes: Uint8Array, bounds: ModelBounds = readModelBounds()): Graph {
  if (bytes.length > bounds.bytes)
    throw new StoplineError(
      'MODEL_TOO_LARGE',
      `Expected a model of at most ${bounds.bytes} bytes (setting maxModelBytes) but received ${bytes.length}.`,
    );
  if (bytes.length === 0) throw new StoplineError('MODEL_TRUNCATED', 'Expected an ONNX model but the file is empty.');
  // ONNX Runtime looks for this mark first, so a file can be both.
  if (String.fromCharCode(...bytes.subarray(4, 8)) === 'ORTM')
    throw invalid('the file is in the ORT format, which cannot be checked: use the .onnx file it was made from');
  const reader = new ProtobufReader(bytes, modelLimits.fields);
  const graph: Graph = {
    producer: '',
    irVersion: 0,
    opset: 0,
    nodes: [],
    inputs: [],
    outputs: [],
    initializers: new Map(),
    parameters: 0,
  };
  let graphs = 0;
  reader.each(0, bytes.length, (field) => {
    expectWire(field, field.number === 1 || field.number === 5 ? 0 : 2);
    if (field.number === 1) graph.irVersion = field.value;
    else if (field.number === 2) graph.producer = reader.text(field);
    else if (field.number === 7) {
      if (++graphs > 1) throw invalid('it holds two graphs');
      readGraphProto({ reader, graph, bounds, nodes: 0 }, field, 0);
    } else if (field.number === 8) readOpset(reader, field, graph);
    else if (field.number === 14) readMetadata(reader, field, graph);
    else if (field.number === 20) throw invalid('it holds a training graph: export it for inference');
    else if (field.number === 25)
      throw new StoplineError(
        'MODEL_OPERATOR',
        'Expected standard ONNX operators but the model defines functions of its own: inline them (onnx.inliner.inline_local_functions) and save it again.',
      );
  });
  if (graphs === 0 || graph.opset === 0 || graph.nodes.length === 0)
    throw invalid(`the file has ${graphs === 0 ? 'no graph' : graph.nodes.length === 0 ? 'no nodes' : 'no opset'}`);
  graph.inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  return graph;
}

/** `protobuf` skips a known field of an unexpected type as unknown; here it is an error. */
function expectWire(field: Field, wire: Field['wire']): void {
  if (field.wire !== wire) throw invalid(`field ${field.number} at byte ${field.start} has wire type ${field.wire}`);
}

function readOpset(reader: ProtobufReader, { from, to }: Field, graph: Graph): void {
  let domain = '';
  let version = 0;
  reader.each(from, to, (field) => {
    if (field.number === 1) domain = reader.text(field);
    else if (field.number === 2) version = field.value;
  });
  if (domain === '' || domain === 'ai.onnx') graph.opset = version;
}

/** Metadata that says what a model is; StringStringEntryProto: key 1, value 2. */
function readMetadata(reader: ProtobufReader, { from, to }: Field, graph: Graph): void {
  let key = '';
  reader.each(from, to, (field) => {
    if (field.number === 1) key = reader.text(field);
    else if (field.number === 2 && /^(author|description)$/.test(key))
      graph.description = [graph.description, reader.text(field)].filter(Boolean).join(' ');
  });
}

/** GraphProto; of graphs within nodes only what must be refused matters. */
function readGraphProto(file: Reading, { from, to }: Field, depth: number): void {
  const { reader, graph } = file;
  if (depth > modelLimits.depth) throw invalid(`its graphs are nested deeper than ${modelLimits.depth}`);
  const isMain = depth === 0;
  reader.each(from, to, (field) => {
    if (field.number === 1) {
      expectWire(field, 2);
      const node = readNode(file, field, depth);
      checkOperator(node);
      if (isMain) graph.nodes.push(node);
      checkNodeCount(++file.nodes, file.bounds);
    } else if (field.number === 5) {
      const { name, dims } = readTensor(reader, field);
      if (isMain) graph.initializers.set(name, dims);
      graph.parameters += dims.reduce((product, dim) => product * dim, 1);
    } else if (field.number === 15) readSparse(reader, field);
    else if (field.number === 11 && isMain) graph.inputs.push(readValue(reader, field));
    else if (field.number === 12 && isMain) graph.outputs.push(readValue(reader, field));
  });
}

function readNode(file: Reading, { from, to }: Field, depth: number): GraphNode {
  const { reader } = file;
  const node: GraphNode = { operator: '', domain: '', name: '', inputs: [], outputs: [], integers: {} };
  const seen = new Set<number>();
  reader.each(from, to, (field) => {
    const { number } = field;
    if (number === 1) node.inputs.push(reader.text(field));
    else if (number === 2) node.outputs.push(reader.text(field));
    else if (number === 3) node.name = reader.text(field);
    else if (number === 4 || number === 7) {
      if (seen.has(number)) throw invalid(`the node at byte ${from} has two operators`);
      seen.add(number);
      node[number === 4 ? 'operator' : 'domain'] = reader.text(field);
    } else if (number === 5) readAttribute(file, field, node, depth);
  });
  return node;
}

function readAttribute(file: Reading, attribute: Field, node: GraphNode, depth: number): void {
  const { reader } = file;
  expectWire(attribute, 2);
  let name = '';
  const integers: number[] = [];
  reader.each(attribute.from, attribute.to, (field) => {
    const { number } = field;
    if (number === 1) name = reader.text(field);
    else if (number === 3 || number === 8) reader.integers(field, integers);
    else if (number === 5 || number === 10) readTensor(reader, field);
    else if (number === 6 || number === 11) {
      expectWire(field, 2);
      readGraphProto(file, field, depth + 1);
    } else if (number === 22 || number === 23) readSparse(reader, field);
  });
  if (integers.length > 0 && name !== '') node.integers[name] = integers;
}

function readSparse(reader: ProtobufReader, sparse: Field): void {
  expectWire(sparse, 2);
  reader.each(sparse.from, sparse.to, (field) => {
    if (field.number === 1 || field.number === 2) readTensor(reader, field);
  });
}

function readTensor(reader: ProtobufReader, tensor: Field): { name: string; dims: number[] } {
  expectWire(tensor, 2);
  let name = '';
  const dims: number[] = [];
  reader.each(tensor.from, tensor.to, (field) => {
    if (field.number === 1) reader.integers(field, dims);
    else if (field.number === 8) name = reader.text(field);
    // Also the markers of addresses in memory that ONNX Runtime uses by itself are of this kind.
    else if (field.number === 13 || (field.number === 14 && (field.wire !== 0 || field.value !== 0)))
      throw new StoplineError(
        'MODEL_EXTERNAL_DATA',
        'Expected the weights of initialisers, within the model or in a file beside it, but a tensor elsewhere in the graph names a file: save it as one file (onnx.save with save_as_external_data=False).',
      );
  });
  if (dims.some((dim) => dim < 0)) throw invalid(`the tensor ${quoted(name)} has a negative dimension`);
  // The narrowest type has two numbers in a byte: more than that is claimed, and would be made when it is loaded.
  const elements = dims.reduce((product, dim) => product * dim, 1);
  if (elements > 2 * (tensor.to - tensor.from))
    throw invalid(`the tensor ${quoted(name)} claims ${elements} numbers in ${tensor.to - tensor.from} bytes`);
  return { name, dims };
}

/** ValueInfoProto, TypeProto.Tensor and TensorShapeProto. */
function readValue(reader: ProtobufReader, value: Field): GraphValue {
  expectWire(value, 2);
  const read: GraphValue = { name: '', type: 0 };
  reader.each(value.from, value.to, (field) => {
    if (field.number === 1) read.name = reader.text(field);
    else if (field.number === 2)
      reader.each(field.from, field.to, (type) => {
        if (type.number !== 1 || type.wire !== 2) return;
        reader.each(type.from, type.to, (part) => {
          if (part.number === 1) read.type = part.value;
          else if (part.number === 2 && part.wire === 2) read.shape = readShape(reader, part);
        });
      });
  });
  return read;
}

function readShape(reader: ProtobufReader, { from, to }: Field): (number | string | null)[] {
  const shape: (number | string | null)[] = [];
  reader.each(from, to, (field) => {
    if (field.number !== 1 || field.wire !== 2) return;
    let dimension: number | string | null = null;
    reader.each(field.from, field.to, (part) => {
      if (part.number === 1) dimension = part.value < 0 ? null : part.value;
      else if (part.number === 2) dimension = reader.text(part);
    });
    shape.push(dimension);
  });
  return shape;
}

/**
 * The same model with more outputs, so that any tensor inside it can be asked for: a ValueInfoProto is appended to
 * `graph.output` for each; its type is inferred by the runtime.
 * @param names tensors that a node of the graph writes; those that are outputs already are left out
 * @throws {StoplineError} MODEL_INVALID for a tensor that no node of the main graph writes
 */
export function addOutputs(bytes: Uint8Array, graph: Graph, names: readonly string[]): Uint8Array {
  const written = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  const present = new Set(graph.outputs.map(({ name }) => name));
  const added = [...new Set(names)].filter((name) => !present.has(name));
  for (const name of added) if (!written.has(name)) throw invalid(`no node writes a tensor called ${quoted(name)}`);
  if (added.length === 0) return bytes;
  const values = added.map((name) => encodeField(12, encodeField(1, new TextEncoder().encode(name))));
  const reader = new ProtobufReader(bytes, modelLimits.fields);
  let rewritten = bytes;
  reader.each(0, bytes.length, (field) => {
    if (field.number !== 7) return;
    const contents = Buffer.concat([bytes.subarray(field.from, field.to), ...values]);
    rewritten = Buffer.concat([bytes.subarray(0, field.start), encodeField(7, contents), bytes.subarray(field.to)]);
  });
  return rewritten;
}

/** What the input of `castInput` is called. */
export const castName = (name: string) => `${name}__float32`;

/**
 * The same model with an input of float32 in place of one of float16: a Cast that goes before all other nodes.
 * @param name an input of the graph
 */
export function castInput(bytes: Uint8Array, name: string): Uint8Array {
  const utf8 = new TextEncoder();
  const text = (field: number, value: string) => encodeField(field, utf8.encode(value));
  const number = (field: number, value: number) => Uint8Array.of(field * 8, value);
  const outside = castName(name);
  // AttributeProto: name 1, i 3, type 20 (2 is INT); to 10 is float16.
  const to = encodeField(5, Buffer.concat([text(1, 'to'), number(3, 10), encodeVarint(20 * 8), Uint8Array.of(2)]));
  const cast = encodeField(1, Buffer.concat([text(1, outside), text(2, name), text(3, outside), text(4, 'Cast'), to]));
  const reader = new ProtobufReader(bytes, modelLimits.fields);
  let rewritten = bytes;
  reader.each(0, bytes.length, (graph) => {
    if (graph.number !== 7) return;
    const parts: Uint8Array[] = [cast];
    reader.each(graph.from, graph.to, (field) => {
      const isInput = field.number === 11 && readValue(reader, field).name === name;
      parts.push(
        isInput ? encodeField(11, renameValue(reader, field, outside)) : bytes.subarray(field.start, field.to),
      );
    });
    rewritten = Buffer.concat([
      ...[bytes.subarray(0, graph.start), encodeField(7, Buffer.concat(parts)), bytes.subarray(graph.to)],
    ]);
  });
  return rewritten;
}

/** A ValueInfoProto under another name and of float32; its shape stays. */
function renameValue(reader: ProtobufReader, value: Field, name: string): Uint8Array {
  const parts = [encodeField(1, new TextEncoder().encode(name))];
  reader.each(value.from, value.to, (field) => {
    if (field.number !== 2) return;
    reader.each(field.from, field.to, (type) => {
      if (type.number !== 1) return;
      const shapes: Uint8Array[] = [];
      reader.each(type.from, type.to, (part) => {
        if (part.number === 2) shapes.push(reader.bytes.subarray(part.start, part.to));
      });
      parts.push(encodeField(2, encodeField(1, Buffer.concat([Uint8Array.of(8, 1), ...shapes]))));
    });
  });
  return Buffer.concat(parts);
}
