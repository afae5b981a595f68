import { StoplineError } from '../../errors.ts';

/**
 * One field of a message. Varints are read as signed 64-bit numbers, which is what ONNX uses; beyond 2^53 they are
 * rounded, and nothing read here is that large.
 */
export interface Field {
  number: number;
  /** 0 varint, 1 eight bytes, 2 bytes with a length, 5 four bytes. Groups (3, 4) are refused. */
  wire: 0 | 1 | 2 | 5;
  /** Where the tag begins in the file. */
  start: number;
  /** Where the contents begin. */
  from: number;
  to: number;
  value: number;
}

/** Longest name that is read, and bytes of all names together. */
const maxText = 4096;
const maxTextTotal = 16 * 1024 * 1024;

/**
 * Reads the protobuf wire format of one untrusted file: every length is checked against what holds it before it is used,
 * and a field of another wire type than asked for is an error instead of being skipped. Nothing is copied, and the number
 * of fields read is bounded.
 * @see https://protobuf.dev/programming-guides/encoding
 */
export class ProtobufReader {
  readonly bytes: Uint8Array;
  readonly #maxFields: number;
  readonly #what: string;
  // A byte order mark is part of a name.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #fieldsLeft: number;
  #textLeft = maxTextTotal;
  #at = 0;

  /** @param what what the file should be, for messages */
  constructor(bytes: Uint8Array, maxFields: number, what = 'an ONNX model (a protobuf ModelProto)') {
    this.bytes = bytes;
    this.#maxFields = maxFields;
    this.#fieldsLeft = maxFields;
    this.#what = what;
  }

  /**
   * Calls `visit` for each field of the message in [from, to).
   * @throws {StoplineError} MODEL_TRUNCATED, MODEL_INVALID, MODEL_TOO_LARGE
   */
  each(from: number, to: number, visit: (field: Field) => void): void {
    this.#at = from;
    while (this.#at < to) {
      const field = this.#readField(to);
      const next = this.#at;
      visit(field);
      this.#at = next;
    }
  }

  /** Appends repeated integers, packed or not. */
  integers(field: Field, into: number[]): void {
    if (field.wire === 0) into.push(field.value);
    else if (field.wire === 2) {
      this.#at = field.from;
      while (this.#at < field.to) {
        this.#countField();
        into.push(this.#readSigned(field.to));
      }
    } else throw this.#invalid(`the field at byte ${field.start} holds no integers`);
  }

  text(field: Field): string {
    const length = field.to - field.from;
    if (field.wire !== 2) throw this.#invalid(`the field at byte ${field.start} holds no text`);
    if (length > maxText) throw this.#invalid(`the text at byte ${field.from} is ${length} bytes long`);
    this.#textLeft -= length;
    if (this.#textLeft < 0)
      throw new StoplineError('MODEL_TOO_LARGE', `Expected a model with at most ${maxTextTotal} bytes of names.`);
    return this.#decoder.decode(this.bytes.subarray(field.from, field.to));
  }

  #readField(to: number): Field {
    const start = this.#at;
    this.#countField();
    const tag = this.#readVarint(to, 5);
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (tag > 0xffffffff || number === 0) throw this.#invalid(`byte ${start} does not start a field`);
    if (wire === 0) {
      const from = this.#at;
      const value = this.#readSigned(to);
      return { number, wire, start, from, to: this.#at, value };
    }
    if (wire !== 1 && wire !== 2 && wire !== 5) throw this.#invalid(`byte ${start} does not start a field`);
    const length = wire === 2 ? this.#readVarint(to, 5) : wire === 1 ? 8 : 4;
    const from = this.#at;
    if (length > to - from) throw this.#outside(to);
    this.#at = from + length;
    return { number, wire, start, from, to: this.#at, value: length };
  }

  /** A number of at most `maxBytes` bytes of seven bits each. */
  #readVarint(to: number, maxBytes: number): number {
    let value = 0;
    for (let i = 0; i < maxBytes; i++) {
      if (this.#at >= to) throw this.#outside(to);
      const byte = this.bytes[this.#at++];
      // The tenth byte holds bit 63 and nothing else.
      if (i === 9 && byte > 1) break;
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw this.#invalid(`the number at byte ${this.#at} is too long`);
  }

  /** -1 is ten bytes of ones; as the sum of halves it would lose its last bits. */
  #readSigned(to: number): number {
    const start = this.#at;
    const value = this.#readVarint(to, 10);
    if (this.#at - start < 10) return value;
    let low = 0n;
    for (let i = 9; i >= 0; i--) low = (low << 7n) | BigInt(this.bytes[start + i] & 127);
    return Number(BigInt.asIntN(64, low));
  }

  #countField(): void {
    if (this.#fieldsLeft-- > 0) return;
    throw new StoplineError('MODEL_TOO_LARGE', `Expected a model of at most ${this.#maxFields} protobuf fields.`);
  }

  #outside(to: number): StoplineError {
    if (to < this.bytes.length)
      return this.#invalid(`a field at byte ${this.#at} reaches beyond the message that holds it`);
    return new StoplineError('MODEL_TRUNCATED', `Expected ${this.#what} but the file ends at byte ${to}.`);
  }

  #invalid(but: string): StoplineError {
    return new StoplineError('MODEL_INVALID', `Expected ${this.#what} but ${but}.`);
  }
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
