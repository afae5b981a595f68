import { StoplineError } from '../../errors.ts';
import { BitReader, buildHuffman, type FoundMarker, type HuffmanTable } from './jpegbits.ts';
import {
  findMissing,
  isArithmetic,
  isProgressive,
  type JpegFrame,
  type JpegScan,
  type JpegStructure,
} from './jpegmarkers.ts';
import { createRemarks, type Remark } from './remark.ts';
import { standardHuffman } from './standardhuffman.ts';

/** What a walk over the coded data of a JPEG found. */
export type ScanWalk =
  /** Every block is there. */
  | { isWhole: true; remarks: Remark[] }
  /** Something is lost: `loss` says what, as the end of a sentence. */
  | { isWhole: false; isCut: boolean; loss: string }
  /** Arithmetic coding has no sign of its end. */
  | { isWhole: undefined };

/** Blocks of one component. */
interface Grid {
  h: number;
  v: number;
  /** Blocks that the picture covers. */
  columns: number;
  rows: number;
  /** In a progressive file, a bit for each coefficient of each block that is not zero: two words a block. */
  known?: Uint32Array;
}

interface Place {
  grid: Grid;
  dc?: HuffmanTable;
  ac?: HuffmanTable;
}

/** What ends a walk. */
class Loss extends Error {
  readonly isCut: boolean;

  constructor(what: string, isCut: boolean) {
    super(what);
    this.isCut = isCut;
  }
}

/** Units between two looks at the clock. */
const clockUnits = 4096;

/**
 * Decodes the entropy-coded data of every scan, without any arithmetic on the picture, to tell whether all blocks of all
 * components are there: what a decoder warns about is not always a loss, and what is lost is not always warned about. The
 * rules are those of libjpeg (jdhuff.c, jdphuff.c, jdmarker.c), so that what is whole here decodes to the same pixels.
 * @param deadline as of `performance.now()`
 * @throws {StoplineError} IMAGE_TOO_COMPLEX when the deadline passes
 */
export function walkScans(bytes: Uint8Array, structure: JpegStructure, deadline = Number.POSITIVE_INFINITY): ScanWalk {
  if (isArithmetic(structure.frame)) return { isWhole: undefined };
  const walker = new ScanWalker(bytes, structure, deadline);
  try {
    return { isWhole: true, remarks: walker.walk() };
  } catch (error) {
    if (!(error instanceof Loss)) throw error;
    return { isWhole: false, isCut: error.isCut, loss: error.message };
  }
}

class ScanWalker {
  readonly #bytes: Uint8Array;
  readonly #structure: JpegStructure;
  readonly #deadline: number;
  readonly #grids: Grid[];
  readonly #remarks = createRemarks();
  readonly #built = new Map<Uint8Array, HuffmanTable>();
  #scan = 0;
  /** Blocks that an end-of-band run still covers. */
  #run = 0;

  constructor(bytes: Uint8Array, structure: JpegStructure, deadline: number) {
    this.#bytes = bytes;
    this.#structure = structure;
    this.#deadline = deadline;
    this.#grids = createGrids(structure.frame);
  }

  walk(): Remark[] {
    for (const scan of this.#structure.scans) {
      this.#scan++;
      this.#walkScan(scan);
    }
    const { frame, scans, hasEnd } = this.#structure;
    const missing = findMissing(frame, scans);
    if (missing.component !== undefined) throw new Loss(`no scan brings component ${missing.component}`, !hasEnd);
    if (missing.isDetail && !hasEnd) throw new Loss(`scans are missing behind scan ${this.#scan}`, true);
    return this.#remarks.list();
  }

  #walkScan(scan: JpegScan): void {
    const places = this.#openPlaces(scan);
    const visit = this.#chooseVisit(scan);
    const reader = new BitReader(this.#bytes, scan.start);
    const [single] = places;
    const units = places.length === 1 ? single!.grid.columns * single!.grid.rows : countUnits(this.#structure.frame);
    let restart = 0;
    this.#run = 0;
    for (let unit = 0; unit < units; unit++) {
      if (scan.interval > 0 && unit > 0 && unit % scan.interval === 0) {
        this.#restart(reader, restart, unit, units);
        restart = (restart + 1) & 7;
      }
      if (unit % clockUnits === 0 && performance.now() > this.#deadline) throw tooSlow();
      let isGood = true;
      if (places.length === 1) isGood = visit(reader, single!, unit);
      else {
        for (const place of places) {
          for (let block = place.grid.h * place.grid.v; block > 0 && isGood; block--) isGood = visit(reader, place, -1);
        }
      }
      if (reader.isOverdrawn) {
        const isEnd = scan === this.#structure.scans.at(-1) && !this.#structure.hasEnd;
        throw new Loss(`the data of scan ${this.#scan} end after ${unit} of ${units} units`, isEnd);
      }
      if (!isGood)
        throw new Loss(`unit ${unit + 1} of ${units} in scan ${this.#scan} holds a code that is none`, false);
    }
    // Nobody reads on behind the only scan of a sequential file.
    if (this.#structure.scans.length === 1 && !isProgressive(this.#structure.frame)) return;
    const found = reader.findMarker();
    if (found) this.#noteLeftover(found, 'the end');
  }

  /** The components of a scan with their tables. */
  #openPlaces(scan: JpegScan): Place[] {
    const { frame } = this.#structure;
    const isBand = isProgressive(frame) && scan.from > 0;
    const { components, from, to } = scan;
    const blocks = components.reduce(
      (sum, { index }) => sum + (this.#grids[index]?.h ?? 0) * (this.#grids[index]?.v ?? 0),
      0,
    );
    const isOdd = components.length === 0 || components.length > 4 || components.some(({ index }) => index < 0);
    if (
      isOdd ||
      (components.length > 1 && (isBand || blocks > 10)) ||
      (isProgressive(frame) && (to > 63 || from > to))
    ) {
      throw new Loss(`the header of scan ${this.#scan} contradicts itself`, false);
    }
    const isRefined = isProgressive(frame) && scan.before > 0;
    return components.map(({ index, dc, ac }): Place => {
      const place: Place = { grid: this.#grids[index]! };
      if (!isProgressive(frame) || (from === 0 && !isRefined)) place.dc = this.#openTable(scan, dc, 0);
      if (!isProgressive(frame) || isBand) place.ac = this.#openTable(scan, ac, 1);
      return place;
    });
  }

  /** A table of a scan; where the file has none at all, the usual one, as libjpeg has it for motion JPEG. */
  #openTable(scan: JpegScan, id: number, kind: 0 | 1): HuffmanTable {
    let stored = scan.tables[kind * 4 + id];
    // With tables that are there in part, or bytes that were passed over, a table was lost.
    const hasNone = scan.tables.every((table) => table === undefined);
    const isClean = this.#structure.remarks.every(({ kind }) => kind !== 'extraneousBytes');
    if (!stored && hasNone && isClean && id < 2) {
      stored = standardHuffman[kind * 2 + id];
      this.#remarks.add('usualTables', 'it has no Huffman tables of its own');
    }
    const built = stored && (this.#built.get(stored) ?? buildHuffman(stored));
    if (!stored || !built) throw new Loss(`scan ${this.#scan} has no sound Huffman table ${id}`, false);
    this.#built.set(stored, built);
    return built;
  }

  #chooseVisit(scan: JpegScan): (reader: BitReader, place: Place, unit: number) => boolean {
    if (!isProgressive(this.#structure.frame)) return visitSequential;
    const isFirst = scan.before === 0;
    if (scan.from === 0) {
      return isFirst ? visitDifference : visitBit;
    }
    return isFirst
      ? (reader, place, unit) => this.#visitBand(reader, place, unit, scan)
      : (reader, place, unit) => this.#visitRefinement(reader, place, unit, scan);
  }

  /** First pass over a band of coefficients of one block. */
  #visitBand(reader: BitReader, { grid, ac }: Place, unit: number, { from, to }: JpegScan): boolean {
    if (this.#run > 0) {
      this.#run--;
      return true;
    }
    for (let k = from; k <= to; k++) {
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
  #visitRefinement(reader: BitReader, { grid, ac }: Place, unit: number, { from, to }: JpegScan): boolean {
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

  /** Restart markers by the rules of libjpeg (jdmarker.c, jpeg_resync_to_restart). */
  #restart(reader: BitReader, wanted: number, unit: number, units: number): void {
    this.#run = 0;
    for (;;) {
      const found = reader.findMarker();
      const lost = (what: string) =>
        new Loss(`after ${unit} of ${units} units of scan ${this.#scan} ${what}`, found === undefined);
      if (!found) throw lost('the data end');
      this.#noteLeftover(found, 'a restart marker');
      const { type } = found;
      if (type === 0xd0 + wanted) return;
      if (type < 0xc0) continue;
      if (type < 0xd0 || type > 0xd7) throw lost(`a restart marker is missing`);
      const ahead = (type - 0xd0 - wanted + 8) & 7;
      if (ahead === 1 || ahead === 2) throw lost(`restart marker ${wanted} is missing`);
      if (ahead >= 6) continue;
      this.#remarks.add('oddRestartOrder', 'its restart markers are not numbered in order');
      return;
    }
  }

  /** Bytes that no block needed: put in, or left over by damage. */
  #noteLeftover({ skipped, isHarmless }: FoundMarker, where: string): void {
    if (skipped === 0) return;
    if (!isHarmless) throw new Loss(`${skipped} bytes are left over before ${where} of scan ${this.#scan}`, false);
    this.#remarks.add('extraneousBytes', `bytes that belong to nothing lie before ${where}`);
  }
}

/** One block of a sequential scan. */
function visitSequential(reader: BitReader, { dc, ac }: Place): boolean {
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
function visitDifference(reader: BitReader, { dc }: Place): boolean {
  const size = reader.decode(dc!);
  if (size < 0 || size > 15) return false;
  reader.read(size);
  return true;
}

/** A further bit of the mean of a block. */
function visitBit(reader: BitReader): boolean {
  reader.read(1);
  return true;
}

function markKnown({ known }: Grid, unit: number, k: number): void {
  known![2 * unit + (k >> 5)]! |= 1 << (k & 31);
}

function isKnown({ known }: Grid, unit: number, k: number): boolean {
  return ((known![2 * unit + (k >> 5)]! >>> (k & 31)) & 1) === 1;
}

function createGrids(frame: JpegFrame): Grid[] {
  const { width, height, components } = frame;
  const across = Math.max(...components.map(({ h }) => h));
  const down = Math.max(...components.map(({ v }) => v));
  return components.map(({ h, v }): Grid => {
    const columns = Math.ceil((width * h) / (8 * across));
    const rows = Math.ceil((height * v) / (8 * down));
    return isProgressive(frame)
      ? { h, v, columns, rows, known: new Uint32Array(2 * columns * rows) }
      : { h, v, columns, rows };
  });
}

/** Units of an interleaved scan: one block of the most coarsely sampled component, and all that lie there of the others. */
function countUnits({ width, height, components }: JpegFrame): number {
  const across = 8 * Math.max(...components.map(({ h }) => h));
  const down = 8 * Math.max(...components.map(({ v }) => v));
  return Math.ceil(width / across) * Math.ceil(height / down);
}

function tooSlow(): StoplineError {
  return new StoplineError(
    'IMAGE_TOO_COMPLEX',
    'Expected a JPEG whose blocks are counted in time but it takes longer.',
  );
}
