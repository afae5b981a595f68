import { type FoundMarker, fewBytes } from './jpegbits.ts';
import { type BlockCoder, type Grid, isKnown, markKnown } from './jpegblocks.ts';
import type { JpegScan } from './jpegmarkers.ts';

/**
 * Table D.3 of ITU-T T.81, and behind it the fixed probability of one half (ITU-T T.851, table 5): size of the less probable
 * part of the interval, next state behind the less and behind the more probable decision, and whether their meanings change.
 */
const states = (
  '5a1d 1 1 1,2586 14 2 0,1114 16 3 0,080b 18 4 0,03d8 20 5 0,01da 23 6 0,00e5 25 7 0,006f 28 8 0,0036 30 9 0,' +
  '001a 33 10 0,000d 35 11 0,0006 9 12 0,0003 10 13 0,0001 12 13 0,5a7f 15 15 1,3f25 36 16 0,2cf2 38 17 0,' +
  '207c 39 18 0,17b9 40 19 0,1182 42 20 0,0cef 43 21 0,09a1 45 22 0,072f 46 23 0,055c 48 24 0,0406 49 25 0,' +
  '0303 51 26 0,0240 52 27 0,01b1 54 28 0,0144 56 29 0,00f5 57 30 0,00b7 59 31 0,008a 60 32 0,0068 62 33 0,' +
  '004e 63 34 0,003b 32 35 0,002c 33 9 0,5ae1 37 37 1,484c 64 38 0,3a0d 65 39 0,2ef1 67 40 0,261f 68 41 0,' +
  '1f33 69 42 0,19a8 70 43 0,1518 72 44 0,1177 73 45 0,0e74 74 46 0,0bfb 75 47 0,09f8 77 48 0,0861 78 49 0,' +
  '0706 79 50 0,05cd 48 51 0,04de 50 52 0,040f 50 53 0,0363 51 54 0,02d4 52 55 0,025c 53 56 0,01f8 54 57 0,' +
  '01a4 55 58 0,0160 56 59 0,0125 57 60 0,00f6 58 61 0,00cb 59 62 0,00ab 61 63 0,008f 61 32 0,5b12 65 65 1,' +
  '4d04 80 66 0,412c 81 67 0,37d8 82 68 0,2fe8 83 69 0,293c 84 70 0,2379 86 71 0,1edf 87 72 0,1aa9 87 73 0,' +
  '174e 72 74 0,1424 72 75 0,119c 74 76 0,0f6b 74 77 0,0d51 75 78 0,0bb6 77 79 0,0a40 77 48 0,5832 80 81 1,' +
  '4d1c 88 82 0,438e 89 83 0,3bdd 90 84 0,34ee 91 85 0,2eae 92 86 0,299a 93 87 0,2516 86 71 0,5570 88 89 1,' +
  '4ca9 95 90 0,44d9 96 91 0,3e22 97 92 0,3824 99 93 0,32b4 99 94 0,2e17 93 86 0,56a8 95 96 1,4f46 101 97 0,' +
  '47e5 102 98 0,41cf 103 99 0,3c3d 104 100 0,375e 99 93 0,5231 105 102 0,4c0f 106 103 0,4639 107 104 0,' +
  '415e 103 99 0,5627 105 106 1,50e7 108 107 0,4b85 109 103 0,5597 110 109 0,504f 111 107 0,5a10 110 111 1,' +
  '5522 112 109 0,59eb 112 111 1,5a1d 113 113 0'
)
  .split(',')
  .map((row) => row.split(' '));
const sizes = Uint16Array.from(states, ([size]) => Number.parseInt(size!, 16));
/** A state is kept with the meaning of the more probable decision in its highest bit. */
const afterLess = Uint8Array.from(states, ([, less, , isChange]) => Number(less) | (Number(isChange) << 7));
const afterMore = Uint8Array.from(states, ([, , more]) => Number(more));
/** The state of decisions that are as likely as not. */
const evenState = 113;

/** Fewer bytes than this behind the last decision are what an encoder sends that does not drop the zeros at its end. */
const flushedBytes = 3;
/**
 * Encoders drop zeros at the end of the data, and any bits may be zeros: so many that are missing are taken for such zeros. Where a
 * marker follows, nothing was cut there; where the file ends, one byte that is missing can not be told from a zero in 1 of 8 files.
 */
const mostDropped = { beforeMarker: 32, atEnd: 8 };

/** Reads the decisions of a scan of arithmetic coding (ITU-T T.81 annex D.2), and counts which bits of the file they took. */
export class DecisionReader {
  readonly #bytes: Uint8Array;
  #at: number;
  #value = 0;
  #interval = 0;
  #count = 0;
  /** Bits that all decisions took since the last marker, and bytes that the file had for them. */
  #taken = 0;
  #stored = 0;
  #isAtMarker = false;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#begin();
  }

  #begin(): void {
    this.#taken = 0;
    this.#stored = 0;
    this.#isAtMarker = false;
    this.#interval = 0x10000;
    const first = this.#nextByte();
    this.#value = (first << 8) | this.#nextByte();
    this.#count = 0;
  }

  /** The next byte of coded data; zeros from a marker on, as the standard has it. */
  #nextByte(): number {
    if (this.#isAtMarker) return 0;
    const next = this.#bytes[this.#at] ?? 0xff;
    let behind = this.#at + 1;
    if (next === 0xff) {
      while (this.#bytes[behind] === 0xff) behind++;
      if (this.#bytes[behind] !== 0) {
        this.#isAtMarker = true;
        return 0;
      }
      behind++;
    }
    this.#at = behind;
    this.#stored++;
    return next;
  }

  /** One decision, 0 or 1, by the state at `place`, which learns from it. */
  decide(learnt: Uint8Array, place: number): number {
    while (this.#interval < 0x8000) this.#double();
    const state = learnt[place]!;
    const [index, likely] = [state & 127, state & 128];
    const size = sizes[index]!;
    this.#interval -= size;
    const isUpper = this.#value >= this.#interval << this.#count;
    if (!isUpper && this.#interval >= 0x8000) return likely >> 7;
    // The smaller part is that of the less probable decision, whichever of the two parts it is.
    const isLess = isUpper === this.#interval >= size;
    if (isUpper) {
      this.#value -= this.#interval << this.#count;
      this.#interval = size;
    }
    learnt[place] = likely ^ (isLess ? afterLess[index]! : afterMore[index]!);
    return (likely >> 7) ^ Number(isLess);
  }

  /** A decision that is as likely as not. */
  decideEvenly(): number {
    even[0] = evenState;
    return this.decide(even, 0);
  }

  #double(): void {
    if (this.#count === 0) {
      this.#value = (this.#value << 8) | this.#nextByte();
      this.#count = 8;
    }
    this.#count--;
    this.#interval *= 2;
    this.#taken++;
  }

  /** Whether the decisions took more than the zeros that an encoder may have dropped. */
  isOverdrawn(isAtEnd: boolean): boolean {
    const most = isAtEnd ? mostDropped.atEnd : mostDropped.beforeMarker;
    return this.#isAtMarker && this.#taken + this.#pending - 8 * this.#stored > most;
  }

  /** Bits that the next decision takes before it is made. */
  get #pending(): number {
    return this.#interval < 0x8000 ? Math.clz32(this.#interval) - 16 : 0;
  }

  /** Goes to the next marker, whatever lies before it; undefined at the end of the file. */
  findMarker(): FoundMarker | undefined {
    const needed = Math.ceil((this.#taken + this.#pending + 1) / 8);
    let filler: number | undefined;
    let isFiller = true;
    while (!this.#isAtMarker) {
      const next = this.#nextByte();
      if (this.#isAtMarker || this.#stored <= needed) continue;
      filler ??= next;
      isFiller &&= next === filler;
    }
    const left = Math.max(0, this.#stored - needed);
    let at = this.#at;
    while (this.#bytes[at] === 0xff) at++;
    if (at >= this.#bytes.length) return undefined;
    this.#at = at + 1;
    this.#begin();
    const skipped = left < flushedBytes ? 0 : left;
    return { type: this.#bytes[at]!, skipped, isPadded: true, isFew: isFiller || left <= fewBytes };
  }
}

const even = Uint8Array.of(evenState);

/** Places of the decisions about a mean and about coefficients (ITU-T T.81, tables F.4 and F.5). */
const place = { meanSize: 20, lowSize: 189, highSize: 217, bits: 14 } as const;
/** Sizes of numbers beyond are no code. */
const largest = 0x8000;

/** Blocks of arithmetic coding (ITU-T T.81, F.2.4 and G.2.3), by the rules of libjpeg (jdarith.c). */
export class ArithmeticCoder implements BlockCoder {
  readonly #reader: DecisionReader;
  readonly #scan: JpegScan;
  readonly #isProgressive: boolean;
  /** What was learnt about means and coefficients, by table. */
  readonly #means = new Map<number, Uint8Array>();
  readonly #bands = new Map<number, Uint8Array>();
  /** Where the decisions about the mean of the next block of each component begin. */
  readonly #contexts: Uint8Array;

  constructor(bytes: Uint8Array, scan: JpegScan, isProgressive: boolean) {
    this.#reader = new DecisionReader(bytes, scan.start);
    this.#scan = scan;
    this.#isProgressive = isProgressive;
    this.#contexts = new Uint8Array(scan.components.length);
    for (const { dc, ac } of scan.components) {
      this.#means.set(dc, new Uint8Array(64));
      this.#bands.set(ac, new Uint8Array(256));
    }
  }

  readBlock(slot: number, grid: Grid, unit: number): boolean {
    const { from, to, before } = this.#scan;
    if (!this.#isProgressive) return this.#readMean(slot) && this.#readBand(slot, 1, 63);
    if (from === 0) {
      if (before === 0) return this.#readMean(slot);
      this.#reader.decideEvenly();
      return true;
    }
    return before === 0
      ? this.#readBand(slot, from, to, (k) => markKnown(grid, unit, k))
      : this.#readRefinement(slot, grid, unit);
  }

  isOverdrawn(isAtEnd: boolean): boolean {
    return this.#reader.isOverdrawn(isAtEnd);
  }

  findMarker(): FoundMarker | undefined {
    return this.#reader.findMarker();
  }

  restart(): void {
    this.#contexts.fill(0);
    for (const learnt of [...this.#means.values(), ...this.#bands.values()]) learnt.fill(0);
  }

  /** Figures F.19 to F.24: the difference to the mean before. */
  #readMean(slot: number): boolean {
    const { dc } = this.#scan.components[slot]!;
    const learnt = this.#means.get(dc)!;
    const [lower, upper] = this.#scan.conditioning.mean[dc]!;
    const context = this.#contexts[slot]!;
    this.#contexts[slot] = 0;
    if (this.#reader.decide(learnt, context) === 0) return true;
    const sign = this.#reader.decide(learnt, context + 1);
    let at = context + 2 + sign;
    let size = this.#reader.decide(learnt, at);
    if (size !== 0) {
      at = place.meanSize;
      for (; this.#reader.decide(learnt, at) === 1; at++) {
        size <<= 1;
        if (size === largest) return false;
      }
    }
    if (size > (1 << upper!) >> 1) this.#contexts[slot] = 12 + 4 * sign;
    else if (size >= (1 << lower!) >> 1) this.#contexts[slot] = 4 + 4 * sign;
    this.#readBits(learnt, at, size);
    return true;
  }

  /** Figure F.20: coefficients up to the last that is not zero. */
  #readBand(slot: number, from: number, to: number, found?: (k: number) => void): boolean {
    const { ac } = this.#scan.components[slot]!;
    const learnt = this.#bands.get(ac)!;
    const reader = this.#reader;
    for (let k = from; k <= to; k++) {
      if (reader.decide(learnt, 3 * (k - 1)) === 1) break;
      while (reader.decide(learnt, 3 * (k - 1) + 1) === 0) {
        k++;
        if (k > to) return false;
      }
      reader.decideEvenly();
      let at = 3 * (k - 1) + 2;
      let size = reader.decide(learnt, at);
      if (size === 1 && reader.decide(learnt, at) === 1) {
        size = 2;
        at = k <= this.#scan.conditioning.band[ac]! ? place.lowSize : place.highSize;
        for (; reader.decide(learnt, at) === 1; at++) {
          size <<= 1;
          if (size === largest) return false;
        }
      }
      this.#readBits(learnt, at, size);
      found?.(k);
    }
    return true;
  }

  /** Figure G.10: a further bit of the coefficients of one block that are known, and the first of new ones. */
  #readRefinement(slot: number, grid: Grid, unit: number): boolean {
    const { from, to, components } = this.#scan;
    const learnt = this.#bands.get(components[slot]!.ac)!;
    const reader = this.#reader;
    let last = to;
    while (last > 0 && !isKnown(grid, unit, last)) last--;
    for (let k = from; k <= to; k++) {
      if (k > last && reader.decide(learnt, 3 * (k - 1)) === 1) break;
      for (; ; k++) {
        if (k > to) return false;
        if (isKnown(grid, unit, k)) {
          reader.decide(learnt, 3 * (k - 1) + 2);
          break;
        }
        if (reader.decide(learnt, 3 * (k - 1) + 1) === 1) {
          reader.decideEvenly();
          markKnown(grid, unit, k);
          break;
        }
      }
    }
    return true;
  }

  /** Figure F.24: the bits below the highest of a number. */
  #readBits(learnt: Uint8Array, at: number, size: number): void {
    for (let bit = size >> 1; bit > 0; bit >>= 1) this.#reader.decide(learnt, at + place.bits);
  }
}
