import { StoplineError } from '../../errors.ts';
import { ArithmeticCoder } from './jpegarithmetic.ts';
import { BitReader, buildHuffman, type FoundMarker, type HuffmanTable } from './jpegbits.ts';
import { type BlockCoder, countUnits, createGrids, type Grid } from './jpegblocks.ts';
import { HuffmanCoder, type HuffmanTables } from './jpeghuffman.ts';
import { findMissing, isArithmetic, isProgressive, type JpegScan, type JpegStructure } from './jpegmarkers.ts';
import { createRemarks, type Remark } from './remark.ts';
import { standardHuffman } from './standardhuffman.ts';

/** What a walk over the coded data of a JPEG found. */
export type ScanWalk =
  /** Every block is there. */
  | { isWhole: true; remarks: Remark[] }
  /** Something is lost: `loss` says what, as the end of a sentence. */
  | { isWhole: false; isCut: boolean; loss: string };

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
 * rules are those of libjpeg (jdhuff.c, jdphuff.c, jdarith.c, jdmarker.c), so that what is whole here decodes to the same pixels.
 * @param deadline as of `performance.now()`
 * @throws {StoplineError} IMAGE_TOO_COMPLEX when the deadline passes
 */
export function walkScans(bytes: Uint8Array, structure: JpegStructure, deadline = Number.POSITIVE_INFINITY): ScanWalk {
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
    const grids = this.#openGrids(scan);
    const coder = this.#openCoder(scan);
    const [single] = grids as [Grid];
    const units = grids.length === 1 ? single.columns * single.rows : countUnits(this.#structure.frame);
    const isLast = scan === this.#structure.scans.at(-1);
    const isAtEnd = isLast && !this.#structure.hasEnd;
    let restart = 0;
    for (let unit = 0; unit < units; unit++) {
      if (scan.interval > 0 && unit > 0 && unit % scan.interval === 0) {
        this.#restart(coder, { wanted: restart, unit, units, grids });
        restart = (restart + 1) & 7;
      }
      if (unit % clockUnits === 0 && performance.now() > this.#deadline) throw tooSlow();
      const isGood = readUnit(coder, grids, unit);
      if (coder.isOverdrawn(isAtEnd)) {
        throw new Loss(`the data of scan ${this.#scan} end after ${unit} of ${units} units`, isAtEnd);
      }
      if (!isGood)
        throw new Loss(`unit ${unit + 1} of ${units} in scan ${this.#scan} holds a code that is none`, false);
    }
    const { frame, scans } = this.#structure;
    // Nobody reads on behind the only scan of a sequential file. Of arithmetic coding that is all that tells of damage.
    if (scans.length === 1 && !isProgressive(frame) && !isArithmetic(frame)) return;
    const found = coder.findMarker();
    if (found) this.#noteLeftover(found, 'the end');
  }

  /** The blocks of the components of a scan. */
  #openGrids({ components, from, to }: JpegScan): Grid[] {
    const { frame } = this.#structure;
    const isBand = isProgressive(frame) && from > 0;
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
    return components.map(({ index }) => this.#grids[index]!);
  }

  #openCoder(scan: JpegScan): BlockCoder {
    const { frame } = this.#structure;
    if (isArithmetic(frame)) return new ArithmeticCoder(this.#bytes, scan, isProgressive(frame));
    const hasMeans = !isProgressive(frame) || (scan.from === 0 && scan.before === 0);
    const hasBand = !isProgressive(frame) || scan.from > 0;
    const tables = scan.components.map(
      ({ dc, ac }): HuffmanTables => ({
        ...(hasMeans && { dc: this.#openTable(scan, dc, 0) }),
        ...(hasBand && { ac: this.#openTable(scan, ac, 1) }),
      }),
    );
    return new HuffmanCoder(new BitReader(this.#bytes, scan.start), scan, tables, isProgressive(frame));
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

  /** Restart markers by the rules of libjpeg (jdmarker.c, jpeg_resync_to_restart). */
  #restart(coder: BlockCoder, at: { wanted: number; unit: number; units: number; grids: readonly Grid[] }): void {
    const { wanted, unit, units, grids } = at;
    const before = coder.fork?.();
    coder.restart();
    for (;;) {
      const found = coder.findMarker();
      const lost = (what: string) =>
        new Loss(`after ${unit} of ${units} units of scan ${this.#scan} ${what}`, found === undefined);
      if (!found) throw lost('the data end');
      this.#noteLeftover(found, 'a restart marker', () => before !== undefined && !holdsUnits(before, grids));
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

  /**
   * Bytes that no block needed: put in, or left over by damage.
   * @param isForeign whether many bytes are no blocks
   */
  #noteLeftover({ skipped, isPadded, isFew }: FoundMarker, where: string, isForeign = () => false): void {
    if (skipped === 0) return;
    if (!isPadded || !(isFew || isForeign())) {
      throw new Loss(`${skipped} bytes are left over before ${where} of scan ${this.#scan}`, false);
    }
    this.#remarks.add('extraneousBytes', `bytes that belong to nothing lie before ${where}`);
  }
}

/**
 * Whether what comes next are whole units up to the next marker. Huffman codes fall into step again behind damage, so what it
 * leaves over is such; other bytes hardly ever end with a unit.
 */
function holdsUnits(coder: BlockCoder, grids: readonly Grid[]): boolean {
  while (readUnit(coder, grids, -1) && !coder.isOverdrawn(false)) if (coder.isSpent?.()) return true;
  return false;
}

/** Reads the blocks of one unit: one of a scan of one component, else all of each component that lie there. */
function readUnit(coder: BlockCoder, grids: readonly Grid[], unit: number): boolean {
  if (grids.length === 1) return coder.readBlock(0, grids[0]!, unit);
  return grids.every((grid, slot) => {
    for (let block = grid.h * grid.v; block > 0; block--) if (!coder.readBlock(slot, grid, -1)) return false;
    return true;
  });
}

function tooSlow(): StoplineError {
  return new StoplineError(
    'IMAGE_TOO_COMPLEX',
    'Expected a JPEG whose blocks are counted in time but it takes longer.',
  );
}
