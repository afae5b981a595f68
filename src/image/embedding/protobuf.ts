import { StoplineError } from '../../errors.ts';

/**
 * One field of a message. Varints are read as signed 64-bit numbers, which is what ONNX uses; beyond 2^53 they are
 * rounded, and nothing read here is that large.
 */
export interface Field {
  number: number;
  /** 0 varint, 1 eight bytes, 2 bytes with a length, 5 four bytes. Groups (3, 4) are refused. */
  wire: 0 | 1 | 2 | 5;
  /** Of the tag, in the file. */
  start: number;
  /** Of the contents. */
  from: number;
  to: number;
  value: number;
}

/** Reads the messages of one file; nothing is copied, and the number of fields read is bounded. */
export interface ProtobufReader {
  readonly bytes: Uint8Array;
  /**
   * Calls `visit` for each field of the message in [from, to).
   * @throws {StoplineError} MODEL_TRUNCATED, MODEL_INVALID, MODEL_TOO_LARGE
   */
  each(from: number, to: number, visit: (field: Field) => void): void;
  /** Repeated integers, packed or not. */
  integers(field: Field, into: number[]): void;
  text(field: Field): string;
}

/** Longest name that is read, and bytes of all names together. */
const maxText = 4096;
const maxTextTotal = 16 * 1024 * 1024;

/**
 * A reader of the protobuf wire format for untrusted files: every length is checked against what holds it before it is
 * used, and a field of another wire type than asked for is an error instead of being skipped.
 * @param what what the file should be, for messages
 * @see https://protobuf.dev/programming-guides/encoding
 */
export function createProtobufReader(
  bytes: Uint8Array,
  maxFields: number,
  what = 'an ONNX model (a protobuf ModelProto)',
): ProtobufReader {
  const invalid = (but: string) => new StoplineError('MODEL_INVALID', `Expected ${what} but ${but}.`);
  let left = maxFields;
  let textLeft = maxTextTotal;
  // A byte order mark is part of a name.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let at = 0;

  function ends(to: number): StoplineError {
    if (to < bytes.length) return invalid(`a field at byte ${at} reaches beyond the message that holds it`);
    return new StoplineError('MODEL_TRUNCATED', `Expected ${what} but the file ends at byte ${to}.`);
  }

  /** At most `maxBytes` bytes of seven bits. */
  function varint(to: number, maxBytes: number): number {
    let value = 0;
    for (let i = 0; i < maxBytes; i++) {
      if (at >= to) throw ends(to);
      const byte = bytes[at++];
      // The tenth byte holds bit 63 and nothing else.
      if (i === 9 && byte > 1) break;
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw invalid(`the number at byte ${at} is too long`);
  }

  /** -1 is ten bytes of ones; as the sum of halves it would lose its last bits. */
  function signed(to: number): number {
    const start = at;
    const value = varint(to, 10);
    if (at - start < 10) return value;
    let low = 0n;
    for (let i = 9; i >= 0; i--) low = (low << 7n) | BigInt(bytes[start + i] & 127);
    return Number(BigInt.asIntN(64, low));
  }

  function read(to: number): Field {
    const start = at;
    if (left-- <= 0)
      throw new StoplineError('MODEL_TOO_LARGE', `Expected a model of at most ${maxFields} protobuf fields.`);
    const tag = varint(to, 5);
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (tag > 0xffffffff || number === 0) throw invalid(`byte ${start} does not start a field`);
    if (wire === 0) {
      const from = at;
      const value = signed(to);
      return { number, wire, start, from, to: at, value };
    }
    if (wire !== 1 && wire !== 2 && wire !== 5) throw invalid(`byte ${start} does not start a field`);
    const length = wire === 2 ? varint(to, 5) : wire === 1 ? 8 : 4;
    const from = at;
    if (length > to - from) throw ends(to);
    at = from + length;
    return { number, wire, start, from, to: at, value: length };
  }

  return {
    bytes,
    each(from, to, visit) {
      at = from;
      while (at < to) {
        const field = read(to);
        const next = at;
        visit(field);
        at = next;
      }
    },
    integers(field, into) {
      if (field.wire === 0) into.push(field.value);
      else if (field.wire === 2) {
        at = field.from;
        while (at < field.to) {
          if (left-- <= 0)
            throw new StoplineError('MODEL_TOO_LARGE', `Expected a model of at most ${maxFields} protobuf fields.`);
          into.push(signed(field.to));
        }
      } else throw invalid(`the field at byte ${field.start} holds no integers`);
    },
    text(field) {
      if (field.wire !== 2) throw invalid(`the field at byte ${field.start} holds no text`);
      if (field.to - field.from > maxText)
        throw invalid(`the text at byte ${field.from} is ${field.to - field.from} bytes long`);
      textLeft -= field.to - field.from;
      if (textLeft < 0)
        throw new StoplineError('MODEL_TOO_LARGE', `Expected a model with at most ${maxTextTotal} bytes of names.`);
      return decoder.decode(bytes.subarray(field.from, field.to));
    },
  };
}

/** A field with a length: tag, length, contents. */
export function encodeField(number: number, contents: Uint8Array): Uint8Array {
  return Buffer.concat([encodeVarint(number * 8 + 2), encodeVarint(contents.length), contents]);
}

/** A whole number from 0 to 2^53. */
export function encodeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
