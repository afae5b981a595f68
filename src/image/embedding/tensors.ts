import { StoplineError } from '../../errors.ts';
import { readHalf } from './halves.ts';

/** A tensor of TensorFlow as TensorFlow.js takes it: of three types instead of twenty. */
export interface PlainTensor {
  dtype: 'float32' | 'int32' | 'bool';
  shape: number[];
  /** Four bytes a number, little-endian; one of a bool. */
  bytes: Uint8Array;
}

/** A `DataType` of tensorflow/core/framework/types.proto that numbers are read from. */
interface Form {
  size: number;
  dtype: PlainTensor['dtype'];
  read: (view: DataView, at: number) => number;
}

const wide = (read: (view: DataView, at: number) => bigint) => (view: DataView, at: number) =>
  Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Number(read(view, at))));

/** By number. Wider whole numbers are kept within 32 bits, as TensorFlow.js has no others: they are shapes and axes. */
const forms: Record<number, Form> = {
  1: { size: 4, dtype: 'float32', read: (view, at) => view.getFloat32(at, true) },
  2: { size: 8, dtype: 'float32', read: (view, at) => view.getFloat64(at, true) },
  3: { size: 4, dtype: 'int32', read: (view, at) => view.getInt32(at, true) },
  4: { size: 1, dtype: 'int32', read: (view, at) => view.getUint8(at) },
  5: { size: 2, dtype: 'int32', read: (view, at) => view.getInt16(at, true) },
  6: { size: 1, dtype: 'int32', read: (view, at) => view.getInt8(at) },
  9: { size: 8, dtype: 'int32', read: wide((view, at) => view.getBigInt64(at, true)) },
  10: { size: 1, dtype: 'bool', read: (view, at) => view.getUint8(at) },
  14: { size: 2, dtype: 'float32', read: readBrainFloat },
  17: { size: 2, dtype: 'int32', read: (view, at) => view.getUint16(at, true) },
  19: { size: 2, dtype: 'float32', read: (view, at) => readHalf(view.getUint16(at, true)) },
};

/** bfloat16: the upper half of a float32. */
function readBrainFloat(view: DataView, at: number): number {
  const whole = new DataView(new ArrayBuffer(4));
  whole.setUint16(2, view.getUint16(at, true), true);
  return whole.getFloat32(0, true);
}

export const countElements = (shape: readonly number[]) => shape.reduce((product, side) => product * side, 1);

/** Bytes of one number of a type; undefined for what is no number. */
export const sizeOfType = (type: number): number | undefined => forms[type]?.size;

/** Makes the bytes of a tensor from its numbers, one after the other. */
export function packTensor(type: number, shape: number[], valueAt: (i: number) => number): PlainTensor {
  const { dtype } = forms[type];
  const Numbers = dtype === 'float32' ? Float32Array : dtype === 'int32' ? Int32Array : Uint8Array;
  const numbers = new Numbers(countElements(shape));
  for (let i = 0; i < numbers.length; i++) numbers[i] = valueAt(i);
  return { dtype, shape, bytes: new Uint8Array(numbers.buffer) };
}

/**
 * Makes a plain tensor from the bytes of one, in the order of its file.
 * @throws {StoplineError} MODEL_INVALID for a type that is no number, and for bytes that are not as many as the shape says
 */
export function unpackTensor(name: string, type: number, shape: number[], bytes: Uint8Array): PlainTensor {
  const form = forms[type];
  const label = JSON.stringify(name.slice(0, 60));
  if (form === undefined)
    throw new StoplineError('MODEL_INVALID', `Expected numbers in ${label} but received type ${type} of TensorFlow.`);
  const count = countElements(shape);
  if (count * form.size !== bytes.length)
    throw new StoplineError(
      'MODEL_INVALID',
      `Expected ${count} numbers of ${form.size} bytes in ${label} but received ${bytes.length} bytes.`,
    );
  if (type === 1 || type === 3 || type === 10) return { dtype: form.dtype, shape, bytes };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return packTensor(type, shape, (i) => form.read(view, i * form.size));
}
