import { StoplineError } from '../../errors.ts';
import { invalidSavedModel, quoted } from './graphdef.ts';
import { readHalf } from './halves.ts';
import type { Field, ProtobufReader } from './protobuf.ts';
import { countElements, type PlainTensor, packTensor, sizeOfType, unpackTensor } from './tensors.ts';

/** What a constant holds. */
export type ConstantValue = { tensor: PlainTensor } | { texts: string[] };

/** Text of TensorFlow. */
const textType = 7;

/**
 * Reads a TensorProto of tensorflow/core/framework/tensor.proto: dtype 1, tensor_shape 2, tensor_content 4, and lists of
 * numbers, float_val 5, double_val 6, int_val 7, string_val 8, int64_val 10, bool_val 11, half_val 13, of which the last
 * stands for all that are missing.
 * @param maxBytes what the tensor may take: a single number may stand for any number of them
 * @throws {StoplineError} MODEL_INVALID, MODEL_TOO_LARGE
 */
export function readTensorProto(
  reader: ProtobufReader,
  { from, to }: Field,
  {
    name,
    shape: readShape,
    maxBytes,
  }: { name: string; shape: (field: Field) => (number | null)[] | undefined; maxBytes: number },
): ConstantValue {
  let type = 0;
  let shape: number[] = [];
  let content: Uint8Array | undefined;
  const values: number[] = [];
  const texts: string[] = [];
  const { bytes } = reader;
  reader.each(from, to, (field) => {
    const { number } = field;
    if (number === 1) type = field.value;
    else if (number === 2) shape = (readShape(field) ?? []).map((side) => side ?? -1);
    else if (number === 4) content = bytes.subarray(field.from, field.to);
    else if (number === 5 || number === 6) pushFloats(bytes, field, number === 5 ? 4 : 8, values);
    else if (number === 7 || number === 10 || number === 11 || number === 13) reader.integers(field, values);
    else if (number === 8) texts.push(reader.text(field));
  });
  if (type === textType) return { texts };
  if (shape.some((side) => side < 0)) throw invalidSavedModel(`the constant ${quoted(name)} has an open dimension`);
  const size = sizeOfType(type);
  if (size === undefined)
    throw invalidSavedModel(`the constant ${quoted(name)} is of type ${type}, which holds no numbers`);
  const count = countElements(shape);
  if (count * Math.max(4, size) > maxBytes)
    throw new StoplineError(
      'MODEL_TOO_LARGE',
      `Expected weights of at most ${maxBytes} bytes more but the constant ${quoted(name)} claims ${count} numbers.`,
    );
  if (content !== undefined && content.length > 0) return { tensor: unpackTensor(name, type, shape, content) };
  if (values.length > count)
    throw invalidSavedModel(`the constant ${quoted(name)} has ${values.length} of ${count} numbers`);
  // Halves are written as whole numbers of their bits.
  const decode = type === 19 ? readHalf : type === 14 ? readBrainBits : (value: number) => value;
  const last = values.at(-1) ?? 0;
  return { tensor: packTensor(type, shape, (i) => decode(values[i] ?? last)) };
}

const readBrainBits = (bits: number) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0];

function pushFloats(bytes: Uint8Array, { from, to }: Field, size: 4 | 8, into: number[]): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, to - from);
  for (let at = 0; at + size <= to - from; at += size)
    into.push(size === 4 ? view.getFloat32(at, true) : view.getFloat64(at, true));
}
