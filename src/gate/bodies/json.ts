import { isUtf8 } from 'node:buffer';
import { StoplineError } from '../../errors.ts';
import { describeName, foldCase } from './names.ts';
import { nextTurn, sliceBytes } from './turns.ts';

/**
 * Bounds of a JSON body. Every key and value counts, except numbers in arrays of nothing else, so that the memory for the
 * structure follows from these bounds and not from the length of the body.
 */
const jsonBounds = {
  values: 50_000,
  depth: 32,
  keyBytes: 1024,
  // Each is looked for by itself. As many as a text has that is itself JSON of so many values.
  quotes: 100_000,
  backslashes: 4096,
  digits: 400,
  arrays: 500_000,
};

/** Values that are read in one go, whatever their length. */
const sliceSteps = 10_000;
/** Longest array of numbers that is read without a level of its own: a pixel, or a row of a small table. */
const shortRow = 16;

/** A place in the bytes of a document. */
interface Place {
  start: number;
  end: number;
}
interface JsonFields extends Place {
  kind: 'object';
  fields: Map<string, JsonValue>;
}
interface JsonItems extends Place {
  kind: 'array';
  items: JsonValue[];
}
/** An array, or arrays of arrays, of nothing but numbers. */
export interface JsonNumbers extends Place {
  kind: 'numbers';
  count: number;
  /** Undefined where rows have different lengths. */
  shape?: number[];
  /** All are whole numbers from 0 to 255. */
  isBytes: boolean;
}
/** A text with its quotation marks. */
interface JsonText extends Place {
  kind: 'text';
  isEscaped: boolean;
}
/** A number by itself, or true, false or null. */
interface JsonScalar extends Place {
  kind: 'number' | 'word';
}
export type JsonValue = JsonFields | JsonItems | JsonNumbers | JsonText | JsonScalar;

/** JSON of which only the structure has been read; texts and numbers stay where they are. */
export interface JsonDocument {
  bytes: Buffer;
  root: JsonValue;
  /** Why another reader could see something else in it. */
  ambiguity?: StoplineError;
}

/** Numbers, or arrays of numbers, next to each other in an array that is not closed yet. */
interface Run extends Place {
  rows: number;
  count: number;
  isBytes: boolean;
  /** Shape of each row, empty for numbers; undefined where rows differ. */
  shape: readonly number[] | undefined;
}

/** An object or an array that is not closed yet. */
interface Level {
  start: number;
  fields?: Map<string, JsonValue>;
  /** The keys in lower case, because readers differ in whether they mind it. */
  folded?: Set<string>;
  key?: string;
  items?: JsonValue[];
  run?: Run;
}

const [quote, comma, minus, plus, dot, zero, nine, colon] = Buffer.from('",-+.09:');
const [open, close, openBrace, closeBrace, backslash] = Buffer.from('[]{}\\');
const [space, newline, carriageReturn, tab, lowerE, upperE, letterT, letterF, letterN] = Buffer.from(' \n\r\teEtfn');
const words: Readonly<Record<number, Buffer>> = {
  [letterT]: Buffer.from('true'),
  [letterF]: Buffer.from('false'),
  [letterN]: Buffer.from('null'),
};
const scalarShape: readonly number[] = [];

/**
 * Reads the structure of JSON, in slices between which others have the processor.
 *
 * @throws {StoplineError} REQUEST_INVALID, REQUEST_TOO_LARGE where there is more structure than a request with images has
 */
export async function readJson(bytes: Buffer): Promise<JsonDocument> {
  if (!isUtf8(bytes)) throw invalidJson('JSON in UTF-8', 'other bytes');
  const scanner = new JsonScanner(bytes);
  while (!scanner.advance(sliceBytes)) await nextTurn();
  return scanner.document;
}

function invalidJson(expected: string, received: string): StoplineError {
  return new StoplineError('REQUEST_INVALID', `Expected ${expected} but received ${received}.`);
}

class JsonScanner {
  readonly #bytes: Buffer;
  readonly #levels: Level[] = [];
  #at = 0;
  #values = 0;
  #quotes = 0;
  #arrays = 0;
  #root: JsonValue | undefined;
  #ambiguity: StoplineError | undefined;
  /** What may stand next: a value, or what follows one; `first` also allows the end of an empty object or array. */
  #next: 'first' | 'value' | 'key' | 'colon' | 'after' = 'value';
  /** Whether the number that was read last is a whole one from 0 to 255. */
  #isByte = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get document(): JsonDocument {
    const document: JsonDocument = { bytes: this.#bytes, root: this.#root as JsonValue };
    if (this.#ambiguity) document.ambiguity = this.#ambiguity;
    return document;
  }

  /** Goes on for about so many bytes. @returns whether the end is reached */
  advance(length: number): boolean {
    const until = Math.min(this.#at + length, this.#bytes.length);
    for (let steps = 0; this.#at < until && steps < sliceSteps; steps++) this.#step(until);
    if (this.#at < this.#bytes.length) return false;
    if (this.#root === undefined || this.#levels.length > 0) throw invalidJson('whole JSON', 'a part of it');
    return true;
  }

  #fail(expected: string, received = 'something else'): never {
    throw invalidJson(`JSON with ${expected} at byte ${this.#at}`, received);
  }

  #bound(what: string, most: number): never {
    throw new StoplineError('REQUEST_TOO_LARGE', `Expected JSON with at most ${most} ${what} but received more.`);
  }

  #step(until: number): void {
    const bytes = this.#bytes;
    const byte = bytes[this.#at];
    if (isSpace(byte)) {
      do this.#at += 1;
      while (this.#at < until && isSpace(bytes[this.#at]));
      return;
    }
    if (this.#root !== undefined && this.#levels.length === 0) this.#fail('nothing behind its value');
    const level = this.#levels.at(-1);
    if (this.#next === 'after') this.#separate(level as Level, byte);
    else if (this.#next === 'colon') {
      if (byte !== colon) this.#fail('a colon');
      this.#at += 1;
      this.#next = 'value';
    } else if (this.#next === 'first' && byte === (level?.items ? close : closeBrace)) this.#close(level as Level);
    else if (level?.fields && this.#next !== 'value') this.#readKey(level, byte);
    else this.#readValue(level, byte, until);
  }

  #separate(level: Level, byte: number): void {
    if (byte === comma) {
      this.#at += 1;
      this.#next = level.items ? 'value' : 'key';
    } else if (byte === (level.items ? close : closeBrace)) this.#close(level);
    else this.#fail(level.items ? 'a comma or ]' : 'a comma or }');
  }

  #readKey(level: Level, byte: number): void {
    if (byte !== quote) this.#fail('a key');
    const { start, end, isEscaped } = this.#readText();
    if (end - start > jsonBounds.keyBytes) this.#bound('bytes in a key', jsonBounds.keyBytes);
    const text = this.#bytes.toString('utf8', start, end);
    let key: string;
    try {
      key = isEscaped ? JSON.parse(text) : text.slice(1, -1);
    } catch {
      this.#fail('escapes that exist', 'others');
    }
    const folded = foldCase(key);
    // Readers keep the first, the last or both; some are written in C and end a text at a zero byte.
    if (level.folded?.has(folded)) this.#doubt('every key of an object once', `${describeName('key', key)} again`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    if (/[\0-\x1f\x7f]|\p{Surrogate}/u.test(key)) this.#doubt('keys of plain text', 'control characters in one');
    level.folded?.add(folded);
    level.key = key;
    this.#next = 'colon';
  }

  #doubt(expected: string, received: string): void {
    this.#ambiguity ??= invalidJson(`JSON that every reader understands alike, with ${expected},`, received);
  }

  #readValue(level: Level | undefined, byte: number, until: number): void {
    const start = this.#at;
    if (byte === quote) this.#put(level, this.#readText());
    else if (byte === open && level?.items && this.#readShortRow(level)) this.#next = 'after';
    else if (byte === open || byte === openBrace) {
      this.#arrays += 1;
      if (this.#arrays > jsonBounds.arrays) this.#bound('arrays', jsonBounds.arrays);
      if (this.#levels.length === jsonBounds.depth) this.#bound('levels', jsonBounds.depth);
      this.#levels.push(byte === open ? { start, items: [] } : { start, fields: new Map(), folded: new Set() });
      this.#at += 1;
      this.#next = 'first';
    } else if (byte === minus || (byte >= zero && byte <= nine)) {
      if (level?.items) this.#readRun(level, until);
      else {
        this.#at = this.#skipNumber(start);
        this.#put(level, { kind: 'number', start, end: this.#at });
      }
    } else {
      const word = words[byte];
      if (!word?.equals(this.#bytes.subarray(start, start + word.length))) this.#fail('a value');
      this.#at += word.length;
      this.#put(level, { kind: 'word', start, end: this.#at });
    }
  }

  /** Takes a value that is whole into the object or array around it. */
  #put(level: Level | undefined, value: JsonValue): void {
    this.#values += 1;
    if (this.#values > jsonBounds.values) this.#bound('keys and values', jsonBounds.values);
    this.#next = 'after';
    if (!level) this.#root = value;
    else if (level.fields) {
      // Where a key stands twice, both values stay to be looked at.
      const key = level.key as string;
      level.fields.set(level.fields.has(key) ? `${key}\0${this.#values}` : key, value);
    } else {
      this.#endRun(level);
      level.items?.push(value);
    }
  }

  #close(level: Level): void {
    this.#at += 1;
    this.#levels.pop();
    const { start, fields, items = [], run } = level;
    const end = this.#at;
    const parent = this.#levels.at(-1);
    if (fields) this.#put(parent, { kind: 'object', start, end, fields });
    else if (run && items.length === 0) {
      const { rows, count, isBytes, shape } = run;
      if (parent?.items)
        this.#extendRun(parent, { start, end, rows: 1, count, isBytes, shape: shape && [rows, ...shape] });
      else
        this.#put(parent, { kind: 'numbers', start, end, count, isBytes, ...(shape && { shape: [rows, ...shape] }) });
    } else {
      this.#endRun(level);
      this.#put(parent, { kind: 'array', start, end, items });
    }
    this.#next = 'after';
  }

  /** Numbers between other values of an array are one value of it. */
  #endRun(level: Level): void {
    const { run } = level;
    if (!run) return;
    const { start, end, count, isBytes } = run;
    delete level.run;
    this.#values += 1;
    level.items?.push({ kind: 'numbers', start, end, count, isBytes });
  }

  #extendRun(level: Level, added: Run): void {
    const { run } = level;
    if (!run) {
      level.run = added;
      return;
    }
    run.rows += added.rows;
    run.count += added.count;
    run.end = added.end;
    run.isBytes &&= added.isBytes;
    if (run.shape && !isSameShape(run.shape, added.shape)) run.shape = undefined;
  }

  /** A few numbers in brackets, such as a pixel, without a level of their own. @returns whether that is what stood here */
  #readShortRow(level: Level): boolean {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start + 1;
    let isBytes = true;
    for (let count = 1; count <= shortRow; count++) {
      if (bytes[at] === space) at += 1;
      const byte = bytes[at];
      if (!(byte === minus || (byte >= zero && byte <= nine))) return false;
      at = this.#skipNumber(at);
      isBytes &&= this.#isByte;
      if (bytes[at] === close) {
        this.#at = at + 1;
        const { run } = level;
        if (run?.shape?.length === 1 && run.shape[0] === count) {
          run.rows += 1;
          run.count += count;
          run.end = at + 1;
          run.isBytes &&= isBytes;
        } else this.#extendRun(level, { start, end: at + 1, rows: 1, count, isBytes, shape: [count] });
        return true;
      }
      if (bytes[at] !== comma) return false;
      at += 1;
    }
    return false;
  }

  /** Numbers of an array, as many as there are in this slice. */
  #readRun(level: Level, until: number): void {
    const bytes = this.#bytes;
    const start = this.#at;
    let count = 0;
    let isBytes = true;
    let at = start;
    let end = start;
    for (;;) {
      end = this.#skipNumber(at);
      count += 1;
      isBytes &&= this.#isByte;
      at = end;
      if (bytes[at] !== comma) break;
      let next = at + 1;
      if (bytes[next] === space) next += 1;
      const byte = bytes[next];
      if (next >= until || !(byte === minus || (byte >= zero && byte <= nine))) break;
      at = next;
    }
    this.#at = end;
    this.#extendRun(level, { start, end, rows: count, count, isBytes, shape: scalarShape });
    this.#next = 'after';
  }

  /** @returns the place behind the number that begins at a place */
  #skipNumber(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    this.#isByte = true;
    if (bytes[at] === minus) {
      at += 1;
      this.#isByte = false;
    }
    let value = 0;
    if (bytes[at] === zero) at += 1;
    else {
      const first = at;
      while (bytes[at] >= zero && bytes[at] <= nine) {
        value = value * 10 + bytes[at] - zero;
        at += 1;
        if (at - first > jsonBounds.digits) this.#bound('digits in a number', jsonBounds.digits);
      }
      if (at === first) this.#failAt(at);
    }
    if (value > 255) this.#isByte = false;
    if (bytes[at] === dot) at = this.#skipDigits(at + 1);
    if (bytes[at] === lowerE || bytes[at] === upperE) {
      const isSigned = bytes[at + 1] === plus || bytes[at + 1] === minus;
      at = this.#skipDigits(at + (isSigned ? 2 : 1));
    }
    return at;
  }

  #skipDigits(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    this.#isByte = false;
    while (bytes[at] >= zero && bytes[at] <= nine) {
      at += 1;
      if (at - start > jsonBounds.digits) this.#bound('digits in a number', jsonBounds.digits);
    }
    if (at === start) this.#failAt(at);
    return at;
  }

  #failAt(at: number): never {
    this.#at = at;
    this.#fail('a digit');
  }

  /** The text that begins here; its end is looked for by native code. */
  #readText(): JsonText {
    const bytes = this.#bytes;
    const start = this.#at;
    let end = start;
    for (;;) {
      end = bytes.indexOf(quote, end + 1);
      if (end < 0) this.#fail('the end of a text', 'its end');
      let before = end;
      while (bytes[before - 1] === backslash && before - 1 > start) {
        before -= 1;
        if (end - before > jsonBounds.backslashes) this.#bound('backslashes in a row', jsonBounds.backslashes);
      }
      if ((end - before) % 2 === 0) break;
      this.#quotes += 1;
      if (this.#quotes > jsonBounds.quotes) this.#bound('quotation marks in texts', jsonBounds.quotes);
    }
    this.#at = end + 1;
    const isEscaped = bytes.subarray(start, end).includes(backslash);
    return { kind: 'text', start, end: end + 1, isEscaped };
  }
}

function isSpace(byte: number): boolean {
  return byte === space || byte === newline || byte === carriageReturn || byte === tab;
}

function isSameShape(a: readonly number[], b: readonly number[] | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((side, i) => side === b[i]);
}

/** The fields of an object that is one; undefined for anything else. */
export function readFields(value: JsonValue | undefined): Map<string, JsonValue> | undefined {
  return value?.kind === 'object' ? value.fields : undefined;
}

/** A short text; undefined for anything else. */
export function readString({ bytes }: JsonDocument, value: JsonValue | undefined, most = 4096): string | undefined {
  if (value?.kind !== 'text' || value.end - value.start > most) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8', value.start, value.end));
  } catch {
    return undefined;
  }
}

/** A whole number that is not negative, written as one; undefined for anything else. */
export function readCount({ bytes }: JsonDocument, value: JsonValue | undefined): number | undefined {
  if (value?.kind !== 'number' || value.end - value.start > 15) return undefined;
  const text = bytes.toString('latin1', value.start, value.end);
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Reads the numbers of a document from its bytes, a piece at a time. */
export class NumberReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor({ bytes }: JsonDocument, { start, end }: JsonNumbers) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Fills an array from its beginning. @returns how many numbers there were */
  read(into: Float64Array): number {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at;
    let count = 0;
    while (count < into.length) {
      while (at < end && !isNumberByte(bytes[at])) at += 1;
      if (at >= end) break;
      const start = at;
      let value = 0;
      while (bytes[at] >= zero && bytes[at] <= nine) {
        value = value * 10 + bytes[at] - zero;
        at += 1;
      }
      if (at === start || isNumberByte(bytes[at]) || at - start > 15) {
        while (isNumberByte(bytes[at])) at += 1;
        value = Number(bytes.toString('latin1', start, at));
      }
      into[count] = value;
      count += 1;
    }
    this.#at = at;
    return count;
  }
}

function isNumberByte(byte: number): boolean {
  return (
    (byte >= zero && byte <= nine) ||
    byte === minus ||
    byte === plus ||
    byte === dot ||
    byte === lowerE ||
    byte === upperE
  );
}
