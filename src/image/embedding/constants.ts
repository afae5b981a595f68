import type { GraphNode } from './graph.ts';
import { readHalf } from './halves.ts';
import { type Field, ProtobufReader } from './protobuf.ts';
import { parseModelJson } from './tensorflow.ts';

/** A tensor of a model that does not depend on the image. */
export interface Constant {
  shape: number[];
  values: ArrayLike<number>;
  /** Whether it is of a type of one signed byte, as the zero point of a quantised tensor may be. */
  isSigned?: boolean;
}

/** Constants by name; those of more than `maxNumbers` numbers, or of a type that is not read, are not among them. */
export type Constants = ReadonlyMap<string, Constant>;

/** A first layer of 64 filters of 11x11 pixels, and nothing larger: it is the beginning of a network that is looked at. */
const maxNumbers = 64 * 3 * 11 * 11;
/** Fields of a file whose constants are read. */
const maxFields = 4_000_000;

const count = (shape: readonly number[]) => shape.reduce((product, side) => product * side, 1);

/**
 * The small constants of an ONNX file that `readGraph` has let through: initialisers, the values of Constant nodes, and
 * those of both that a DequantizeLinear spreads.
 */
export function readOnnxConstants(bytes: Uint8Array, nodes: readonly GraphNode[]): Constants {
  const reader = new ProtobufReader(bytes, maxFields);
  const constants = new Map<string, Constant>();
  const keep = (name: string, constant: Constant | undefined) => {
    if (name !== '' && constant) constants.set(name, constant);
  };
  reader.each(0, bytes.length, (graph) => {
    if (graph.number !== 7) return;
    reader.each(graph.from, graph.to, (field) => {
      if (field.number === 5) {
        const { name, constant } = readTensor(reader, field);
        keep(name, constant);
      } else if (field.number === 1) readConstantNode(reader, field, keep);
    });
  });
  for (const { operator, inputs, outputs } of nodes)
    if (operator === 'DequantizeLinear') keep(outputs[0], dequantise(inputs, constants));
    else if (operator === 'Identity') keep(outputs[0], constants.get(inputs[0]));
  return constants;
}

/** NodeProto: output 2, op_type 4, attribute 5, of which `value` has a tensor in field 5. */
function readConstantNode(
  reader: ProtobufReader,
  node: Field,
  keep: (name: string, constant: Constant | undefined) => void,
): void {
  let operator = '';
  let output = '';
  let value: Field | undefined;
  reader.each(node.from, node.to, (field) => {
    if (field.number === 2 && output === '') output = reader.text(field);
    else if (field.number === 4) operator = reader.text(field);
    else if (field.number === 5) value = field;
  });
  if (operator !== 'Constant' || value === undefined) return;
  reader.each(value.from, value.to, (field) => {
    if (field.number === 5) keep(output, readTensor(reader, field).constant);
  });
}

/** Bytes of a number of each `TensorProto.DataType` that is read, and how; little-endian, as ONNX has it. */
const types: Record<number, { size: number; read: (view: DataView, at: number) => number }> = {
  1: { size: 4, read: (view, at) => view.getFloat32(at, true) },
  2: { size: 1, read: (view, at) => view.getUint8(at) },
  3: { size: 1, read: (view, at) => view.getInt8(at) },
  6: { size: 4, read: (view, at) => view.getInt32(at, true) },
  7: { size: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  10: { size: 2, read: (view, at) => readHalf(view.getUint16(at, true)) },
  11: { size: 8, read: (view, at) => view.getFloat64(at, true) },
};

/** TensorProto: dims 1, data_type 2, float_data 4, int32_data 5, int64_data 7, name 8, raw_data 9, double_data 10. */
function readTensor(reader: ProtobufReader, tensor: Field): { name: string; constant?: Constant } {
  let name = '';
  let type = 0;
  let raw: Field | undefined;
  const shape: number[] = [];
  const lists: Field[] = [];
  reader.each(tensor.from, tensor.to, (field) => {
    const { number } = field;
    if (number === 1) reader.integers(field, shape);
    else if (number === 2) type = field.value;
    else if (number === 8) name = reader.text(field);
    else if (number === 9) raw = field;
    else if (number === 4 || number === 5 || number === 7 || number === 10) lists.push(field);
  });
  const length = count(shape);
  const form = types[type];
  if (form === undefined || length > maxNumbers || length === 0) return { name };
  const values = raw ? readRaw(reader, raw, form) : lists.flatMap((field) => readList(reader, field, type));
  return values.length === length ? { name, constant: { shape, values, isSigned: type === 3 } } : { name };
}

function readRaw({ bytes }: ProtobufReader, { from, to }: Field, { size, read }: (typeof types)[number]): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, to - from);
  return Array.from({ length: Math.floor((to - from) / size) }, (_, i) => read(view, i * size));
}

/** Numbers that are written one by one, or packed. Float16 lies in int32_data as its bits. */
function readList(reader: ProtobufReader, field: Field, type: number): number[] {
  if (field.number === 4 || field.number === 10) return readRaw(reader, field, types[field.number === 4 ? 1 : 11]);
  const values: number[] = [];
  reader.integers(field, values);
  return type === 10 ? values.map(readHalf) : values;
}

/** (x - zero point) * scale, one for all or one for each along the first axis of that length. */
function dequantise([x, scale, zero]: readonly string[], constants: Constants): Constant | undefined {
  const whole = constants.get(x);
  const scales = constants.get(scale)?.values;
  const zeros = constants.get(zero)?.values;
  if (!whole || !scales) return undefined;
  const axis = whole.shape.indexOf(scales.length);
  if (scales.length > 1 && axis < 0) return undefined;
  const step = count(whole.shape.slice(axis + 1));
  const values = Array.from(whole.values, (value, i) => {
    const at = scales.length === 1 ? 0 : Math.floor(i / step) % scales.length;
    return (value - (zeros?.[at] ?? 0)) * scales[at];
  });
  return { shape: whole.shape, values };
}

/** The small weights of a TensorFlow.js model, from the files as `readTensorflowModel` has read them. */
export function readTensorflowConstants(files: readonly Uint8Array[]): Constants {
  const { json } = parseModelJson(files[0]);
  const bytes = Buffer.concat(files.slice(1));
  const constants = new Map<string, Constant>();
  let at = 0;
  for (const { name, shape, dtype, quantization } of json.weightsManifest.flatMap(({ weights }) => weights)) {
    const stored = quantization?.dtype ?? dtype;
    const size = { uint8: 1, bool: 1, uint16: 2, float16: 2, int32: 4, float32: 4 }[stored];
    // Text has no length of its own here, so what follows cannot be found.
    if (size === undefined) break;
    const length = count(shape);
    const end = at + length * size;
    if (end > bytes.length) break;
    if (length <= maxNumbers) {
      const { scale = 1, min = 0 } = quantization ?? {};
      const read = {
        ...{ uint8: (p: number) => bytes.readUInt8(p), bool: (p: number) => bytes.readUInt8(p) },
        ...{ uint16: (p: number) => bytes.readUInt16LE(p), float16: (p: number) => readHalf(bytes.readUInt16LE(p)) },
        ...{ int32: (p: number) => bytes.readInt32LE(p), float32: (p: number) => bytes.readFloatLE(p) },
      }[stored] as (p: number) => number;
      constants.set(name, {
        shape,
        values: Array.from({ length }, (_, i) => read(at + i * size) * scale + min),
      });
    }
    at = end;
  }
  return constants;
}
