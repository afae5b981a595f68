import { StoplineError } from '../../errors.ts';
import { nextTurn, sliceBytes } from './turns.ts';

/** Most fields of one request, over all messages in it; numbers in a packed field are one. */
const maxFields = 20_000;
/** The same with those of texts that were read as messages until they turned out to be none. */
const maxTried = 10 * maxFields;
/** Messages in messages. */
const maxDepth = 32;

/** How the content of a field is written: a varint, eight bytes, bytes with their length in front, four bytes. */
type WireType = 0 | 1 | 2 | 5;

/** One field of a message as it stands in the bytes. */
export interface WireField {
  number: number;
  type: WireType;
  /** The content, without tag and length. */
  content: Buffer;
}

/** The fields of a message in their order, by number. */
export type WireMessage = ReadonlyMap<number, readonly WireField[]>;

/** Reads messages of one request, and bounds what they cost together. */
export class WireReader {
  #fields = 0;
  #tried = 0;

  /** Fields that have been read so far, also in vain: what it has cost. */
  get tried(): number {
    return this.#tried;
  }

  /**
   * The fields of a message. Which of them hold messages is for the caller to know.
   * @throws {StoplineError} REQUEST_INVALID for what is no message, REQUEST_TOO_LARGE
   */
  read(bytes: Buffer): WireMessage {
    const message = new Map<number, WireField[]>();
    for (const field of this.list(bytes)) {
      const fields = message.get(field.number);
      if (fields) fields.push(field);
      else message.set(field.number, [field]);
    }
    return message;
  }

  /** The same in the order in which they stand. @throws {StoplineError} REQUEST_INVALID, REQUEST_TOO_LARGE */
  list(bytes: Buffer): WireField[] {
    const fields: WireField[] = [];
    for (let at = 0; at < bytes.length; ) {
      this.#fields += 1;
      this.#tried += 1;
      if (this.#fields > maxFields || this.#tried > maxTried) {
        throw new StoplineError('REQUEST_TOO_LARGE', `Expected at most ${maxFields} fields but received more.`);
      }
      const tag = readVarint(bytes, at, 5);
      const [number, type] = [Math.floor(tag.value / 8), tag.value % 8];
      if (number < 1 || number > 536_870_911) throw invalidMessage('field numbers', number);
      const start = type === 2 ? readVarint(bytes, tag.end, 5) : { value: 0, end: tag.end };
      const end = start.end + measure(bytes, type, start);
      if (end > bytes.length) throw invalidMessage('fields that end within it', 'one that does not');
      fields.push({ number, type: type as WireType, content: bytes.subarray(start.end, end) });
      at = end;
    }
    return fields;
  }

  /** Whether bytes can be a message; undefined if not. */
  tryList(bytes: Buffer, depth: number): WireField[] | undefined {
    if (bytes.length === 0 || depth > maxDepth) return undefined;
    const before = this.#fields;
    try {
      return this.list(bytes);
    } catch (error) {
      if ((error as StoplineError).code === 'STOPLINE_ERR_REQUEST_TOO_LARGE') throw error;
      this.#fields = before;
      return undefined;
    }
  }
}

function measure(bytes: Buffer, type: number, { value, end }: { value: number; end: number }): number {
  if (type === 0) return readVarint(bytes, end, 10).end - end;
  if (type === 1) return 8;
  if (type === 2) return value;
  if (type === 5) return 4;
  throw invalidMessage('fields of known kinds', `the kind ${type}`);
}

function readVarint(bytes: Buffer, start: number, most: number): { value: number; end: number } {
  let value = 0;
  for (let i = 0, unit = 1; i < most; i++, unit *= 128) {
    const byte = bytes[start + i];
    if (byte === undefined) break;
    value += (byte & 127) * unit;
    if (byte < 128) return { value, end: start + i + 1 };
  }
  throw invalidMessage('whole numbers that end', 'one that does not');
}

function invalidMessage(expected: string, received: string | number): StoplineError {
  return new StoplineError('REQUEST_INVALID', `Expected a protobuf message with ${expected} but received ${received}.`);
}

/** The content of a field that stands once; of several the last one counts. Empty where there is none. */
export function readBytes(message: WireMessage, number: number): Buffer {
  const content = message.get(number)?.filter(({ type }) => type === 2);
  return content?.at(-1)?.content ?? Buffer.alloc(0);
}

/** Whether one of some fields that stand once stands twice: then readers join messages, and of texts take one or the other. */
export function standsTwice(message: WireMessage, numbers: readonly number[]): boolean {
  return numbers.some((number) => (message.get(number)?.length ?? 0) > 1);
}

/** All contents of a field that may be repeated. */
export function readAll(message: WireMessage, number: number): Buffer[] {
  return (message.get(number) ?? []).filter(({ type }) => type === 2).map(({ content }) => content);
}

/** A short text; what is too long is cut. */
export function readText(message: WireMessage, number: number, most = 4096): string {
  return readBytes(message, number).toString('utf8', 0, most);
}

/** A whole number, 0 where it is absent. */
export function readNumber(message: WireMessage, number: number): number {
  const field = message.get(number)?.findLast(({ type }) => type === 0);
  return field ? readSigned(field.content, 0, field.content.length) : 0;
}

/** A varint as int64 has it: ten bytes are a negative number. */
function readSigned(bytes: Buffer, start: number, end: number): number {
  if (end - start < 10) return readVarint(bytes, start, 10).value;
  let value = 0n;
  for (let i = end - 1; i >= start; i--) value = value * 128n + BigInt(bytes[i] & 127);
  return Number(BigInt.asIntN(64, value));
}

/** How the numbers of a field are written: varints, or floats of four or eight bytes. */
export type NumberKind = 'varint' | 'float' | 'double';

/** How one number that is not packed is written; a field of another type is none of those that readers know. */
const wireTypes: Readonly<Record<NumberKind, WireType>> = { varint: 0, float: 5, double: 1 };

/** The numbers of a repeated field, packed or not, a piece at a time. */
export class WireNumbers {
  readonly #chunks: readonly WireField[];
  readonly #kind: NumberKind;
  #chunk = 0;
  #at = 0;

  constructor(message: WireMessage, number: number, kind: NumberKind) {
    this.#chunks = (message.get(number) ?? []).filter(({ type }) => type === 2 || type === wireTypes[kind]);
    this.#kind = kind;
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.#chunks.reduce((sum, { content }) => sum + content.length, 0);
  }

  /** How many there are. @throws {StoplineError} REQUEST_INVALID where one is cut */
  async count(): Promise<number> {
    let count = 0;
    for (const { content } of this.#chunks) {
      if (this.#kind === 'varint') count += await countVarints(content);
      else {
        const size = this.#kind === 'float' ? 4 : 8;
        if (content.length % size !== 0) throw invalidMessage(`numbers of ${size} bytes`, 'one that is cut');
        count += content.length / size;
      }
    }
    return count;
  }

  /** Fills an array from its beginning. @returns how many numbers there were */
  read(into: Float64Array): number {
    let count = 0;
    while (count < into.length && this.#chunk < this.#chunks.length) {
      const { content } = this.#chunks[this.#chunk];
      if (this.#at >= content.length) {
        this.#chunk += 1;
        this.#at = 0;
      } else {
        into[count] = this.#readOne(content);
        count += 1;
      }
    }
    return count;
  }

  #readOne(content: Buffer): number {
    const at = this.#at;
    if (this.#kind === 'float') {
      this.#at += 4;
      return content.readFloatLE(at);
    }
    if (this.#kind === 'double') {
      this.#at += 8;
      return content.readDoubleLE(at);
    }
    let end = at + 1;
    while (content[end - 1] > 127) end += 1;
    this.#at = end;
    return end - at === 1 ? content[at] : readSigned(content, at, end);
  }
}

async function countVarints(content: Buffer): Promise<number> {
  let count = 0;
  let length = 0;
  for (let at = 0; at < content.length; at++) {
    length += 1;
    if (content[at] < 128) {
      count += 1;
      length = 0;
    } else if (length === 10) break;
    if (at % sliceBytes === sliceBytes - 1) await nextTurn();
  }
  if (length > 0) throw invalidMessage('whole numbers that end', 'one that does not');
  return count;
}

/** A field of bytes, a text or a message. */
export function writeContent(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([writeVarint(number * 8 + 2), writeVarint(bytes.length), bytes]);
}

/** A field of a whole number that is not negative. */
export function writeNumber(number: number, value: number): Buffer {
  return Buffer.concat([writeVarint(number * 8), writeVarint(value)]);
}

function writeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
