/** Bits of a Huffman code that one look into a table resolves. */
const lookahead = 9;

/** A Huffman table in the form that decoding wants. */
export interface HuffmanTable {
  /** By the next `lookahead` bits: length of the code above, symbol in the low byte; 0 for a longer code. */
  fast: Uint16Array;
  /** Largest code of each length, -1 where there is none, and what to add to a code for the place of its symbol. */
  largest: Int32Array;
  offsets: Int32Array;
  symbols: Uint8Array;
}

/**
 * Builds the codes of ITU-T T.81 annex C.
 * @param stored 16 counts, then the symbols
 * @returns undefined for counts that are no code, or symbols that are missing
 */
export function buildHuffman(stored: Uint8Array): HuffmanTable | undefined {
  const symbols = stored.subarray(16);
  const table: HuffmanTable = {
    fast: new Uint16Array(1 << lookahead),
    largest: new Int32Array(18).fill(-1),
    offsets: new Int32Array(18),
    symbols,
  };
  let code = 0;
  let place = 0;
  for (let length = 1; length <= 16; length++) {
    const count = stored[length - 1]!;
    if (code + count > 1 << length || place + count > symbols.length) return undefined;
    table.offsets[length] = place - code;
    for (let i = 0; i < count; i++, code++, place++) {
      if (length > lookahead) continue;
      const first = code << (lookahead - length);
      table.fast.fill((length << 8) | symbols[place]!, first, first + (1 << (lookahead - length)));
    }
    if (count > 0) table.largest[length] = code - 1;
    code <<= 1;
  }
  return table;
}

/** So many bytes before a marker that belong to nothing are too few to be blocks that damage left over. */
export const fewBytes = 8;

/** A marker, and what lay before it. */
export interface FoundMarker {
  type: number;
  /** Whole bytes that were passed over. */
  skipped: number;
  /** Whether they begin behind bits that fill up a byte. What damage leaves over mostly begins within one. */
  isPadded: boolean;
  /** Whether they are few or all the same, as what is put in mostly is. */
  isFew: boolean;
}

/** Reads the coded data of a scan bit by bit, up to the next marker; behind that it gives zeros and counts them. */
export class BitReader {
  readonly #bytes: Uint8Array;
  #at: number;
  #bits = 0;
  #count = 0;
  /** How many of the bits at hand do not stand in the file. */
  #padding = 0;
  #isAtMarker = false;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#at = start;
  }

  /** A second reader at the same place. */
  fork(): BitReader {
    const other = new BitReader(this.#bytes, this.#at);
    other.#bits = this.#bits;
    other.#count = this.#count;
    other.#padding = this.#padding;
    other.#isAtMarker = this.#isAtMarker;
    return other;
  }

  /** Whether nothing is left before the next marker but bits that fill up a byte. */
  get isSpent(): boolean {
    const left = this.#count - this.#padding;
    if (!this.#isAtMarker) this.#fill();
    const mask = (1 << left) - 1;
    return this.#isAtMarker && left >= 0 && left < 8 && ((this.#bits >>> this.#padding) & mask) === mask;
  }

  /** Whether more bits were read than there are. */
  get isOverdrawn(): boolean {
    return this.#padding > this.#count;
  }

  /** First byte that was not read: at the marker, once that is reached. */
  get position(): number {
    return this.#at;
  }

  #fill(): void {
    const bytes = this.#bytes;
    while (this.#count <= 24) {
      let next = 0;
      if (!this.#isAtMarker) {
        const at = this.#at;
        next = bytes[at] ?? 0xff;
        if (next !== 0xff) this.#at = at + 1;
        else {
          let behind = at + 1;
          while (bytes[behind] === 0xff) behind++;
          if (bytes[behind] === 0) this.#at = behind + 1;
          else {
            this.#isAtMarker = true;
            next = 0;
          }
        }
      }
      if (this.#isAtMarker) this.#padding += 8;
      this.#bits = (this.#bits << 8) | next;
      this.#count += 8;
    }
  }

  /** The next bits as a number, at most 16. */
  read(length: number): number {
    if (length === 0) return 0;
    if (this.#count < length) this.#fill();
    this.#count -= length;
    return (this.#bits >>> this.#count) & ((1 << length) - 1);
  }

  /** The next symbol of a table; -1 for a code that it does not have. */
  decode(table: HuffmanTable): number {
    if (this.#count < 16) this.#fill();
    const found = table.fast[(this.#bits >>> (this.#count - lookahead)) & ((1 << lookahead) - 1)]!;
    if (found !== 0) {
      this.#count -= found >> 8;
      return found & 255;
    }
    for (let length = lookahead + 1; length <= 16; length++) {
      const code = (this.#bits >>> (this.#count - length)) & ((1 << length) - 1);
      if (code <= table.largest[length]!) {
        this.#count -= length;
        return table.symbols[code + table.offsets[length]!]!;
      }
    }
    return -1;
  }

  /** Goes to the next marker, whatever lies before it; undefined at the end of the file. */
  findMarker(): FoundMarker | undefined {
    const bytes = this.#bytes;
    const left = this.#count - this.#padding;
    const partial = left & 7;
    const mask = (1 << partial) - 1;
    const bits = (this.#bits >>> (this.#count - partial)) & mask;
    const skipped: number[] = [];
    for (let shift = this.#count - partial - 8; shift >= this.#padding; shift -= 8) {
      skipped.push((this.#bits >>> shift) & 255);
    }
    let count = skipped.length;
    let filler = skipped[0] ?? bytes[this.#at];
    let isFiller = skipped.every((byte) => byte === filler);
    let at = this.#at;
    for (;;) {
      for (; at < bytes.length && bytes[at] !== 0xff; at++, count++) isFiller &&= bytes[at] === filler;
      while (bytes[at] === 0xff) at++;
      if (at >= bytes.length) return undefined;
      if (bytes[at] !== 0) break;
      if (count === 0) filler = 0xff;
      isFiller &&= filler === 0xff;
      count++;
      at++;
    }
    this.#at = at + 1;
    this.#bits = 0;
    this.#count = 0;
    this.#padding = 0;
    this.#isAtMarker = false;
    const isPadded = bits === 0 || bits === mask;
    return { type: bytes[at]!, skipped: count, isPadded, isFew: isFiller || count <= fewBytes };
  }
}
