import { StoplineError } from '../../errors.ts';

/** Text of all names together, and tables that are looked at, at most: many may point to the same bytes. */
const limits = { text: 16 * 1024 * 1024, tables: 1_000_000, name: 4096 } as const;

/**
 * Reads an untrusted FlatBuffer: every offset is checked against the file before it is followed, and how much is read in all
 * is bounded. A field is asked for by its number in the schema.
 * @see https://flatbuffers.dev/internals
 */
export class FlatBufferReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #text: number = limits.text;
  #tables: number = limits.tables;

  /** @param what what the file should be, for messages */
  constructor(bytes: Uint8Array, what: string) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  /** The table that the file is about. */
  root(): FlatTable {
    return this.table(this.uint32(0));
  }

  /** @throws {StoplineError} MODEL_INVALID, MODEL_TOO_LARGE */
  table(at: number): FlatTable {
    if (--this.#tables < 0)
      throw new StoplineError('MODEL_TOO_LARGE', `Expected ${this.#what} of at most ${limits.tables} tables.`);
    const fields = at - this.#view.getInt32(this.check(at, 4), true);
    return new FlatTable(this, at, fields, this.uint16(fields));
  }

  text(at: number): string {
    const { from, length } = this.vector(at, 1);
    if (length > limits.name) throw this.invalid(`a name at byte ${at} is ${length} bytes long`);
    this.#text -= length;
    if (this.#text < 0)
      throw new StoplineError('MODEL_TOO_LARGE', `Expected ${this.#what} with at most ${limits.text} bytes of names.`);
    return new TextDecoder().decode(this.bytes.subarray(from, from + length));
  }

  /** Where the elements of a vector begin, and how many there are. */
  vector(at: number, size: number): { from: number; length: number } {
    const length = this.uint32(at);
    this.check(at + 4, length * size);
    return { from: at + 4, length };
  }

  /** Where an offset leads. */
  follow(at: number): number {
    return at + this.uint32(at);
  }

  uint16(at: number): number {
    return this.#view.getUint16(this.check(at, 2), true);
  }

  uint32(at: number): number {
    return this.#view.getUint32(this.check(at, 4), true);
  }

  int32(at: number): number {
    return this.#view.getInt32(this.check(at, 4), true);
  }

  float32(at: number): number {
    return this.#view.getFloat32(this.check(at, 4), true);
  }

  int64(at: number): number {
    return Number(this.#view.getBigInt64(this.check(at, 8), true));
  }

  check(at: number, size: number): number {
    if (at >= 0 && at + size <= this.bytes.length) return at;
    throw new StoplineError(
      'MODEL_TRUNCATED',
      `Expected ${this.#what} but it points to byte ${at + size} of ${this.bytes.length}: it was cut short or is damaged.`,
    );
  }

  invalid(but: string): StoplineError {
    return new StoplineError('MODEL_INVALID', `Expected ${this.#what} but ${but}.`);
  }
}

/** One table of a FlatBuffer. */
export class FlatTable {
  readonly #file: FlatBufferReader;
  readonly #at: number;
  readonly #fields: number;
  readonly #size: number;

  constructor(file: FlatBufferReader, at: number, fields: number, size: number) {
    this.#file = file;
    this.#at = at;
    this.#fields = fields;
    this.#size = size;
  }

  /** Where a field lies; undefined where it has its default. */
  place(field: number): number | undefined {
    const entry = 4 + 2 * field;
    if (entry + 2 > this.#size) return undefined;
    const offset = this.#file.uint16(this.#fields + entry);
    return offset === 0 ? undefined : this.#at + offset;
  }

  byte(field: number): number {
    const at = this.place(field);
    return at === undefined ? 0 : this.#file.bytes[this.#file.check(at, 1)];
  }

  int(field: number): number {
    const at = this.place(field);
    return at === undefined ? 0 : this.#file.int32(at);
  }

  text(field: number): string | undefined {
    const at = this.place(field);
    return at === undefined ? undefined : this.#file.text(this.#file.follow(at));
  }

  child(field: number): FlatTable | undefined {
    const at = this.place(field);
    return at === undefined ? undefined : this.#file.table(this.#file.follow(at));
  }

  /** Where the elements of a vector lie, of `size` bytes each. */
  vector(field: number, size: number): { from: number; length: number } {
    const at = this.place(field);
    return at === undefined ? { from: 0, length: 0 } : this.#file.vector(this.#file.follow(at), size);
  }

  /** @param most elements, at most */
  numbers(field: number, kind: 'int32' | 'float32' | 'int64', most: number): number[] {
    const size = kind === 'int64' ? 8 : 4;
    const { from, length } = this.vector(field, size);
    if (length > most) throw this.#file.invalid(`a list has ${length} numbers, of at most ${most}`);
    return Array.from({ length }, (_, i) => this.#file[kind](from + i * size));
  }

  children(field: number): FlatTable[] {
    const { from, length } = this.vector(field, 4);
    return Array.from({ length }, (_, i) => this.#file.table(this.#file.follow(from + 4 * i)));
  }
}
