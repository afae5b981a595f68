import { StoplineError } from '../../errors.ts';
import type { Constant, Constants } from './constants.ts';
import { FlatBufferReader, type FlatTable } from './flatbuffer.ts';
import { checkNodeCount, type Graph, type GraphNode, type ModelBounds, readModelBounds } from './graph.ts';
import { readHalf } from './halves.ts';

/** A tensor of a TFLite model. */
export interface LiteTensor {
  /** What it is called here: the name in the file, made unique. */
  name: string;
  /** `TensorType` of its schema. */
  type: number;
  shape: number[];
  /** Of whole numbers that stand for others: (number - zero) * scale, where it is the same for all. */
  quantised?: { scale: number; zero: number };
  /** Which of the buffers holds its numbers; 0 for none. */
  buffer: number;
}

/** What is read of a TFLite file. */
export interface LiteModel {
  graph: Graph;
  tensors: LiteTensor[];
  /** Where in the file it stands which tensors are outputs, and which signatures there are. */
  places: { outputs: number; signatures: number | undefined };
}

const invalid = (what: string) => new StoplineError('MODEL_INVALID', `Expected a TFLite model but ${what}.`);
const what = 'a TFLite model (a FlatBuffer TFL3)';

/** Whether bytes are a TFLite file. */
export const isTflite = (bytes: Uint8Array): boolean => Buffer.from(bytes.subarray(4, 8)).toString('latin1') === 'TFL3';

/**
 * `BuiltinOperator` of the schema, by number; named as in ONNX where that means the same to layers.ts.
 */
const operators = (
  'Add AveragePool Concatenate Conv DepthwiseConv DepthToSpace DequantizeLinear EmbeddingLookup Floor Gemm HashtableLookup ' +
  'LpNormalization LpPool LRN Sigmoid LshProjection LSTM MaxPool Mul Relu ReluN1To1 Relu6 Reshape Resize RNN Softmax ' +
  'SpaceToDepth SVDF Tanh ConcatEmbeddings SkipGram Call Custom EmbeddingLookupSparse Pad UnidirectionalSequenceRnn GatherV2 ' +
  'BatchToSpaceND SpaceToBatchND Transpose ReduceMean Sub Div Squeeze UnidirectionalSequenceLstm StridedSlice ' +
  'BidirectionalSequenceRnn Exp TopK Split LogSoftmax Delegate BidirectionalSequenceLstm Cast PRelu Max ArgMax Min Less Neg ' +
  'PadV2 Greater GreaterEqual LessEqual Select Slice Sin ConvTranspose SparseToDense Tile ExpandDims Equal NotEqual Log ' +
  'ReduceSum Sqrt Rsqrt Shape Pow ArgMin FakeQuant ReduceProd ReduceMax Pack LogicalOr OneHot LogicalAnd LogicalNot Unpack ' +
  'ReduceMin FloorDiv ReduceAny Square ZerosLike Fill FloorMod Range Resize LeakyRelu SquaredDifference MirrorPad Abs SplitV ' +
  'Unique Ceil ReverseV2 AddN GatherNd Cos Where Rank Elu ReverseSequence MatrixDiag QuantizeLinear MatrixSetDiag Round ' +
  'HardSwish If While NonMaxSuppressionV4 NonMaxSuppressionV5 ScatterNd SelectV2 Densify SegmentSum MatMul Placeholder Cumsum ' +
  'CallOnce BroadcastTo Rfft2d Conv3D Imag Real ComplexAbs Hashtable HashtableFind HashtableImport HashtableSize ReduceAll ' +
  'Conv3DTranspose VarHandle ReadVariable AssignVariable BroadcastArgs RandomStandardNormal Bucketize RandomUniform ' +
  'Multinomial Gelu DynamicUpdateSlice Relu0To1 UnsortedSegmentProd UnsortedSegmentMax UnsortedSegmentSum Atan2 ' +
  'UnsortedSegmentMin Sign BitwiseXor RightShift'
).split(' ');

/** Loops, state, chance, and what other programs would have to compute. */
const refused = new Set(
  (
    'While If Call CallOnce Delegate RandomStandardNormal RandomUniform Multinomial VarHandle ReadVariable AssignVariable ' +
    'Hashtable HashtableFind HashtableImport HashtableSize HashtableLookup Placeholder RNN LSTM UnidirectionalSequenceRnn ' +
    'BidirectionalSequenceRnn UnidirectionalSequenceLstm BidirectionalSequenceLstm SVDF'
  ).split(' '),
);
/** The one operator of its own that LiteRT brings and detectors end with. */
const knownCustom = 'TFLite_Detection_PostProcess';

/** `TensorProto.DataType` of ONNX by `TensorType`. */
const onnxTypes: Record<number, number> = { 0: 1, 2: 6, 3: 2, 9: 3 };

const maxSides = 16;

/**
 * Reads a TFLite file that nobody vouches for, and refuses loops, chance and foreign code. Its graph is in the terms of the
 * graphs of TensorFlow: kernels are height, width, input, output.
 * @throws {StoplineError} MODEL_INVALID, MODEL_TRUNCATED, MODEL_TOO_LARGE, MODEL_OPERATOR
 */
export function readTflite(bytes: Uint8Array, bounds: ModelBounds = readModelBounds()): LiteModel {
  if (!isTflite(bytes)) throw invalid('the file has not its mark');
  const root = new FlatBufferReader(bytes, what).root();
  const codes = root.children(1);
  const [subgraph] = root.children(2);
  const places = { outputs: subgraph?.place(2), signatures: root.place(7) };
  if (subgraph === undefined || places.outputs === undefined) throw invalid('it has no graph, or that no outputs');
  const { length } = subgraph.vector(3, 4);
  checkNodeCount(length, bounds);
  const tensors = readTensors(subgraph);
  const named = (index: number): LiteTensor => {
    const tensor = tensors[index];
    if (tensor === undefined) throw invalid(`it names tensor ${index} of ${tensors.length}`);
    return tensor;
  };
  const list = (table: FlatTable, field: number) => table.numbers(field, 'int32', 10_000);
  const kinds = codes.map(readCode);
  const nodes = subgraph.children(3).map((operator): GraphNode => {
    const kind = kinds[operator.int(0)];
    if (kind === undefined) throw invalid(`it names operator ${operator.int(0)} of ${kinds.length}`);
    // -1 is an input that is not given.
    const inputs = list(operator, 1).map((index) => (index === -1 ? '' : named(index).name));
    const outputs = list(operator, 2).map((index) => named(index).name);
    const options = operator.child(4);
    return {
      ...kind,
      domain: '',
      name: outputs[0] ?? '',
      inputs,
      outputs,
      integers: readOptions(kind.operator, options),
    };
  });
  const graph: Graph = {
    producer: root.text(3) ?? '',
    irVersion: 0,
    opset: 0,
    nodes,
    inputs: list(subgraph, 1)
      .map(named)
      .map(({ name, type, shape }) => ({ name, shape, type: onnxTypes[type] ?? -1 })),
    outputs: list(subgraph, 2)
      .map(named)
      .map(({ name, shape }) => ({ name, shape, type: 1 })),
    initializers: new Map(),
    parameters: 0,
  };
  collectWeights(graph, tensors);
  checkNodes(graph);
  return { graph, tensors, places: { outputs: places.outputs, signatures: places.signatures } };
}

/** OperatorCode: deprecated_builtin_code 0, custom_code 1, builtin_code 3; the larger counts. */
function readCode(code: FlatTable): Pick<GraphNode, 'operator'> {
  const number = Math.max(code.byte(0), code.int(3));
  const operator = operators[number] ?? `builtin ${number}`;
  return { operator: operator === 'Custom' ? (code.text(1) ?? '') : operator };
}

/** Tensor: shape 0, type 1, buffer 2, name 3, quantization 4 (scale 2, zero_point 3). */
function readTensors(subgraph: FlatTable): LiteTensor[] {
  const names = new Set<string>();
  return subgraph.children(0).map((tensor, index) => {
    const given = tensor.text(3) ?? '';
    const name = given === '' || names.has(given) ? `${given}#${index}` : given;
    names.add(name);
    const shape = tensor.numbers(0, 'int32', maxSides);
    if (shape.some((side) => side < 0))
      throw invalid(`the tensor ${JSON.stringify(name.slice(0, 60))} has a negative side`);
    const quantisation = tensor.child(4);
    const scale = quantisation?.vector(2, 4).length === 1 ? quantisation.numbers(2, 'float32', 1)[0] : 0;
    const zero = quantisation?.numbers(3, 'int64', 65_536)[0] ?? 0;
    return {
      name,
      type: tensor.byte(1),
      shape,
      buffer: tensor.int(2),
      ...(scale > 0 && { quantised: { scale, zero } }),
    };
  });
}

/** What layers.ts asks of a convolution or a pooling: strides, and the sides of a kernel. */
function readOptions(operator: string, options: FlatTable | undefined): GraphNode['integers'] {
  if (options === undefined) return {};
  const strides = [options.int(2), options.int(1)];
  if (operator === 'Conv') return { strides };
  if (operator === 'DepthwiseConv') return { strides, depthwise: [1] };
  if (operator === 'MaxPool' || operator === 'AveragePool')
    return { strides, kernel_shape: [options.int(4), options.int(3)] };
  if (operator === 'Concatenate') return { axis: [options.int(0)] };
  return {};
}

/** Weights under the shapes that TensorFlow gives them, and sides of kernels. */
function collectWeights(graph: Graph, tensors: readonly LiteTensor[]): void {
  const written = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  const given = new Set(graph.inputs.map(({ name }) => name));
  for (const { name, shape, buffer } of tensors) {
    if (buffer === 0 || written.has(name) || given.has(name)) continue;
    graph.initializers.set(name, shape);
    graph.parameters += shape.reduce((product, side) => product * side, 1);
  }
  const turned = new Set<string>();
  for (const node of graph.nodes) {
    const [, weights] = node.inputs;
    const shape = graph.initializers.get(weights);
    if (!shape) continue;
    if (shape.length === 4 && /^(Depthwise)?Conv$/.test(node.operator)) {
      node.integers.kernel_shape = [shape[1], shape[2]];
      const [out, height, width, depth] = shape;
      // Of a depthwise kernel the last is every channel times how many each becomes.
      const turnedShape = node.operator === 'Conv' ? [height, width, depth, out] : [height, width, depth, 1];
      if (!turned.has(weights)) graph.initializers.set(weights, turnedShape);
    } else if (node.operator === 'Gemm' && shape.length === 2 && !turned.has(weights))
      graph.initializers.set(weights, [shape[1], shape[0]]);
    else continue;
    turned.add(weights);
  }
  for (const node of graph.nodes) if (node.operator === 'DepthwiseConv') node.operator = 'Conv';
}

function checkNodes({ nodes, inputs }: Graph): void {
  const known = new Set(operators);
  const odd = nodes.filter(
    ({ operator }) => refused.has(operator) || !(known.has(operator) || operator === knownCustom),
  );
  if (odd.length > 0) {
    const names = [...new Set(odd.map(({ operator }) => operator))];
    throw new StoplineError(
      'MODEL_OPERATOR',
      `Expected operators that LiteRT runs without loops, state and chance but the model has ${names
        .slice(0, 16)
        .map((name) => JSON.stringify(name.slice(0, 60)))
        .join(', ')}. Convert the model it was made of to ONNX (docs/models.md).`,
    );
  }
  if (nodes.length === 0 || inputs.length === 0) throw invalid('it has no operators or no input');
}

/** Numbers of a first layer, at most, as for the other kinds. */
const maxNumbers = 64 * 3 * 11 * 11;

/** The small constants of a TFLite file, kernels as TensorFlow has them. */
export function readTfliteConstants(bytes: Uint8Array, { graph, tensors }: LiteModel): Constants {
  const buffers = new FlatBufferReader(bytes, what).root().children(4);
  const constants = new Map<string, Constant>();
  for (const { name, shape, type, buffer, quantised } of tensors) {
    const turned = graph.initializers.get(name);
    const count = shape.reduce((product, side) => product * side, 1);
    if (turned === undefined || count > maxNumbers) continue;
    const { from, length } = buffers[buffer]?.vector(0, 1) ?? { from: 0, length: 0 };
    const values = readNumbers(bytes.subarray(from, from + length), type, count);
    if (values === undefined) continue;
    const { scale = 1, zero = 0 } = quantised ?? {};
    const plain = quantised ? values.map((value) => (value - zero) * scale) : values;
    const isTurned = turned.length === 4 && turned[3] === shape[0] && turned[0] === shape[1];
    constants.set(name, { shape: turned, values: isTurned ? turnKernel(plain, shape) : plain });
  }
  return constants;
}

/** Output, height, width, input to height, width, input, output. */
function turnKernel(values: number[], [out, height, width, depth]: number[]): number[] {
  const each = height * width * depth;
  return values.map((_, at) => values[(at % out) * each + Math.floor(at / out)]);
}

function readNumbers(bytes: Uint8Array, type: number, count: number): number[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const forms: Record<number, [size: number, read: (at: number) => number]> = {
    0: [4, (at) => view.getFloat32(at, true)],
    1: [2, (at) => readHalf(view.getUint16(at, true))],
    2: [4, (at) => view.getInt32(at, true)],
    3: [1, (at) => view.getUint8(at)],
    9: [1, (at) => view.getInt8(at)],
  };
  const form = forms[type];
  if (form === undefined || bytes.length !== count * form[0]) return undefined;
  return Array.from({ length: count }, (_, i) => form[1](i * form[0]));
}

/**
 * The same model with other outputs, in the order of `names`, and without signatures, which would name the old ones: both are
 * put behind the file, and what pointed to them points there.
 * @throws {StoplineError} MODEL_INVALID for a tensor that no operator writes
 */
export function setOutputs(
  bytes: Uint8Array,
  { graph, tensors, places }: LiteModel,
  names: readonly string[],
): Uint8Array {
  const written = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  const indices = names.map((name) => {
    if (!written.has(name)) throw invalid(`no operator writes a tensor called ${JSON.stringify(name.slice(0, 60))}`);
    return tensors.findIndex((tensor) => tensor.name === name);
  });
  const end = Math.ceil(bytes.length / 4) * 4;
  const changed = Buffer.alloc(end + 4 + 4 * indices.length + 4);
  changed.set(bytes);
  changed.writeUInt32LE(indices.length, end);
  for (const [i, index] of indices.entries()) changed.writeInt32LE(index, end + 4 + 4 * i);
  changed.writeUInt32LE(end - places.outputs, places.outputs);
  const none = changed.length - 4;
  if (places.signatures !== undefined) changed.writeUInt32LE(none - places.signatures, places.signatures);
  return changed;
}
