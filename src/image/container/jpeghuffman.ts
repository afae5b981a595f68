import type { BitReader, FoundMarker, HuffmanTable } from './jpegbits.ts';
import { type BlockCoder, type Grid, isKnown, markKnown } from './jpegblocks.ts';
import type { JpegScan } from './jpegmarkers.ts';

/** The tables of one component of a scan, where the scan needs them. */
export interface HuffmanTables {
  dc?: HuffmanTable;
  ac?: HuffmanTable;
}

/** Blocks of Huffman codes, by the rules of libjpeg (jdhuff.c, jdphuff.c). */
export class HuffmanCoder implements BlockCoder {
  readonly #reader: BitReader;
  readonly #scan: JpegScan;
  readonly #tables: readonly HuffmanTables[];
  readonly #isProgressive: boolean;
  readonly #read: (tables: HuffmanTables, grid: Grid, unit: number) => boolean;
  /** Blocks that an end-of-band run still covers. */
  #run = 0;

  constructor(reader: BitReader, scan: JpegScan, tables: readonly HuffmanTables[], isProgressive: boolean) {
    this.#reader = reader;
    this.#isProgressive = isProgressive;
    this.#scan = scan;
    this.#tables = tables;
    const isFirst = scan.before === 0;
    if (!isProgressive) this.#read = this.#readSequential;
    else if (scan.from === 0) this.#read = isFirst ? this.#readDifference : this.#readBit;
    else this.#read = isFirst ? this.#readBand : this.#readRefinement;
  }

  readBlock(slot: number, grid: Grid, unit: number): boolean {
    return this.#read(this.#tables[slot]!, grid, unit);
  }

  fork(): BlockCoder {
    return new HuffmanCoder(this.#reader.fork(), this.#scan, this.#tables, this.#isProgressive);
  }

  isSpent(): boolean {
    return this.#reader.isSpent;
  }

  isOverdrawn(): boolean {
    return this.#reader.isOverdrawn;
  }

  findMarker(): FoundMarker | undefined {
    return this.#reader.findMarker();
  }

  restart(): void {
    this.#run = 0;
  }

  #readSequential({ dc, ac }: HuffmanTables): boolean {
    const reader = this.#reader;
    const size = reader.decode(dc!);
    if (size < 0 || size > 15) return false;
    reader.read(size);
    for (let k = 1; k < 64; k++) {
      const symbol = reader.decode(ac!);
      if (symbol < 0) return false;
      const length = symbol & 15;
      if (length > 0) {
        k += symbol >> 4;
        if (k > 63) return false;
        reader.read(length);
      } else {
        if (symbol !== 0xf0) break;
        k += 15;
      }
    }
    return true;
  }

  /** The first bits of the mean of a block. */
  #readDifference({ dc }: HuffmanTables): boolean {
    const size = this.#reader.decode(dc!);
    if (size < 0 || size > 15) return false;
    this.#reader.read(size);
    return true;
  }

  /** A further bit of the mean of a block. */
  #readBit(): boolean {
    this.#reader.read(1);
    return true;
  }

  /** First pass over a band of coefficients of one block. */
  #readBand({ ac }: HuffmanTables, grid: Grid, unit: number): boolean {
    if (this.#run > 0) {
      this.#run--;
      return true;
    }
    const reader = this.#reader;
    for (let k = this.#scan.from; k <= this.#scan.to; k++) {
      const symbol = reader.decode(ac!);
      if (symbol < 0) return false;
      const zeros = symbol >> 4;
      const size = symbol & 15;
      if (size > 0) {
        k += zeros;
        if (k > 63) return false;
        reader.read(size);
        markKnown(grid, unit, k);
      } else if (zeros === 15) k += 15;
      else {
        this.#run = (1 << zeros) + reader.read(zeros) - 1;
        break;
      }
    }
    return true;
  }

  /** A further bit of the coefficients of one block that are known, and the first of new ones. */
  #readRefinement({ ac }: HuffmanTables, grid: Grid, unit: number): boolean {
    const reader = this.#reader;
    const { from, to } = this.#scan;
    let k = from;
    if (this.#run === 0) {
      for (; k <= to; k++) {
        const symbol = reader.decode(ac!);
        if (symbol < 0) return false;
        let zeros = symbol >> 4;
        const size = symbol & 15;
        if (size > 1) return false;
        if (size === 1) reader.read(1);
        else if (zeros < 15) {
          this.#run = (1 << zeros) + reader.read(zeros);
          break;
        }
        for (; k <= to; k++) {
          if (isKnown(grid, unit, k)) reader.read(1);
          else if (--zeros < 0) break;
        }
        if (size === 1 && k <= to) markKnown(grid, unit, k);
      }
    }
    if (this.#run > 0) {
      for (; k <= to; k++) if (isKnown(grid, unit, k)) reader.read(1);
      this.#run--;
    }
    return true;
  }
}
