// Writes small ONNX models, sound and hostile ones: field numbers of onnx/onnx.proto.
import { encodeField, encodeVarint } from '../../src/embedding/protobuf.ts';
import { random } from '../core/frames.ts';

export { encodeField as message, encodeVarint };

const utf8 = new TextEncoder();
export const text = (number: number, value: string) => encodeField(number, utf8.encode(value));
export const varint = (number: number, value: number) =>
  Buffer.concat([encodeVarint(number * 8), value < 0 ? tenBytes(value) : encodeVarint(value)]);
export const join = (...parts: Uint8Array[]) => Buffer.concat(parts);

/** Negative numbers are written as 64 bits of two's complement. */
function tenBytes(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

/** TensorProto of float32. */
export function tensor(name: string, dims: number[], values: ArrayLike<number>): Uint8Array {
  const raw = new Uint8Array(Float32Array.from(values).buffer);
  return join(...dims.map((dim) => varint(1, dim)), varint(2, 1), text(8, name), encodeField(9, raw));
}

/** TensorProto of int64. */
export function integers(name: string, values: number[]): Uint8Array {
  const raw = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
  return join(varint(1, values.length), varint(2, 7), text(8, name), encodeField(9, raw));
}

export type Attribute = { name: string; bytes: Uint8Array };
export const ints = (name: string, values: number[]): Attribute => ({
  name,
  bytes: join(text(1, name), ...values.map((value) => varint(8, value)), varint(20, 7)),
});
export const int = (name: string, value: number): Attribute => ({
  name,
  bytes: join(text(1, name), varint(3, value), varint(20, 2)),
});
export const tensorAttribute = (name: string, value: Uint8Array): Attribute => ({
  name,
  bytes: join(text(1, name), encodeField(5, value), varint(20, 4)),
});
export const graphAttribute = (name: string, graph: Uint8Array): Attribute => ({
  name,
  bytes: join(text(1, name), encodeField(6, graph), varint(20, 5)),
});

/** NodeProto. */
export function node(
  operator: string,
  inputs: string[],
  outputs: string[],
  attributes: Attribute[] = [],
  domain?: string,
): Uint8Array {
  return join(
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(3, `${operator}_${outputs[0]}`),
    text(4, operator),
    ...attributes.map(({ bytes }) => encodeField(5, bytes)),
    ...(domain === undefined ? [] : [text(7, domain)]),
  );
}

/** ValueInfoProto of float32, a string for a free dimension. */
export function value(name: string, shape: (number | string)[], type = 1): Uint8Array {
  const dims = shape.map((dim) => encodeField(1, typeof dim === 'number' ? varint(1, dim) : text(2, dim)));
  return join(text(1, name), encodeField(2, encodeField(1, join(varint(1, type), encodeField(2, join(...dims))))));
}

export interface GraphParts {
  nodes: Uint8Array[];
  inputs: Uint8Array[];
  outputs: Uint8Array[];
  initializers?: Uint8Array[];
}

/** GraphProto. */
export function graph({ nodes, inputs, outputs, initializers = [] }: GraphParts): Uint8Array {
  return join(
    ...nodes.map((bytes) => encodeField(1, bytes)),
    text(2, 'test'),
    ...initializers.map((bytes) => encodeField(5, bytes)),
    ...inputs.map((bytes) => encodeField(11, bytes)),
    ...outputs.map((bytes) => encodeField(12, bytes)),
  );
}

export const opset = (version = 13, domain = '') => encodeField(8, join(text(1, domain), varint(2, version)));

/** ModelProto. */
export function model(parts: GraphParts, ...more: Uint8Array[]): Uint8Array {
  return join(varint(1, 8), text(2, 'stopline-test'), encodeField(7, graph(parts)), opset(), ...more);
}

export const conv = (input: string, output: string, weight: string, stride: number, kernel = 3): Uint8Array => {
  const pad = (kernel - 1) / 2;
  return node(
    'Conv',
    [input, weight, `${weight}_bias`],
    [output],
    [ints('kernel_shape', [kernel, kernel]), ints('strides', [stride, stride]), ints('pads', [pad, pad, pad, pad])],
  );
};

/** Weights and biases of a small net, the same for ONNX (OIHW) and for TensorFlow (HWIO). */
export function smallWeights(seed = 1) {
  const uniform = random(seed);
  const draw = (count: number, scale: number) =>
    Float32Array.from({ length: count }, () => (uniform() - 0.5) * 2 * scale);
  const layers = [
    { name: 'w1', shape: [8, 3, 3, 3] },
    { name: 'w2', shape: [12, 8, 3, 3] },
    { name: 'w3', shape: [16, 12, 3, 3] },
    { name: 'w4', shape: [24, 16, 3, 3] },
  ].map(({ name, shape }) => ({
    name,
    shape,
    values: draw(
      shape.reduce((a, b) => a * b),
      Math.sqrt(6 / (shape[1] * 9)),
    ),
    bias: draw(shape[0], 0.1),
  }));
  return { layers, dense: { shape: [24, 5], values: draw(24 * 5, 0.5), bias: draw(5, 0.1) } };
}

/**
 * A classifier as exporters write them: four strided 3x3 convolutions with ReLU, global pooling, Flatten, Gemm, Softmax.
 * Symmetric padding, so that the same net can be built in TensorFlow with explicit padding.
 */
export function smallClassifier({
  batch = 'N' as number | string,
  side = 64 as number | string,
  seed = 1,
} = {}): Uint8Array {
  const { layers, dense } = smallWeights(seed);
  const nodes = layers.flatMap(({ name }, i) => [
    conv(i === 0 ? 'image' : `a${i}`, `c${i + 1}`, name, 2),
    node('Relu', [`c${i + 1}`], [`a${i + 1}`]),
  ]);
  nodes.push(
    node('GlobalAveragePool', ['a4'], ['pooled']),
    node('Flatten', ['pooled'], ['features'], [int('axis', 1)]),
    node('Gemm', ['features', 'dense', 'dense_bias'], ['logits']),
    node('Softmax', ['logits'], ['probabilities'], [int('axis', 1)]),
  );
  const initializers = layers.flatMap(({ name, shape, values, bias }) => [
    tensor(name, shape, values),
    tensor(`${name}_bias`, [shape[0]], bias),
  ]);
  initializers.push(tensor('dense', dense.shape, dense.values), tensor('dense_bias', [5], dense.bias));
  return model({
    nodes,
    inputs: [value('image', [batch, 3, side, side])],
    outputs: [value('probabilities', [batch, 5])],
    initializers,
  });
}

/** A classifier whose embedding is a picture of 4 x 4 pixels: what is where, and nothing of how it was taken. */
export function layoutClassifier(): Uint8Array {
  const uniform = random(3);
  return model({
    nodes: [
      node('AveragePool', ['image'], ['grid'], [ints('kernel_shape', [16, 16]), ints('strides', [16, 16])]),
      node('Flatten', ['grid'], ['features'], [int('axis', 1)]),
      node('Gemm', ['features', 'dense', 'dense_bias'], ['logits']),
    ],
    inputs: [value('image', ['N', 3, 64, 64])],
    outputs: [value('logits', ['N', 5])],
    initializers: [
      tensor(
        'dense',
        [48, 5],
        Float32Array.from({ length: 240 }, () => uniform() - 0.5),
      ),
      tensor('dense_bias', [5], [0, 0, 0, 0, 0]),
    ],
  });
}
