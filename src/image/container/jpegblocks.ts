import type { FoundMarker } from './jpegbits.ts';
import { isProgressive, type JpegFrame } from './jpegmarkers.ts';

/** Blocks of one component. */
export interface Grid {
  h: number;
  v: number;
  /** Blocks that the picture covers. */
  columns: number;
  rows: number;
  /** In a progressive file, a bit for each coefficient of each block that is not zero: two words a block. */
  known?: Uint32Array;
}

/** Reads the blocks of one scan, by one of the two ways of coding. */
export interface BlockCoder {
  /**
   * Reads one block.
   * @param slot position of the component in the scan
   * @param unit place of the block in its grid; matters only where the scan has one component
   * @returns false for a code that is none
   */
  readBlock(slot: number, grid: Grid, unit: number): boolean;
  /**
   * Whether more was read than there is.
   * @param isAtEnd nothing but the end of the file can follow
   */
  isOverdrawn(isAtEnd: boolean): boolean;
  /** A second coder at the same place, where what comes next can tell whether it is more of the same. */
  fork?(): BlockCoder;
  /** Whether nothing is left before the next marker but bits that fill up a byte. */
  isSpent?(): boolean;
  /** Goes to the next marker, whatever lies before it; undefined at the end of the file. */
  findMarker(): FoundMarker | undefined;
  /** Begins anew behind a restart marker. */
  restart(): void;
}

export function markKnown({ known }: Grid, unit: number, k: number): void {
  known![2 * unit + (k >> 5)]! |= 1 << (k & 31);
}

export function isKnown({ known }: Grid, unit: number, k: number): boolean {
  return ((known![2 * unit + (k >> 5)]! >>> (k & 31)) & 1) === 1;
}

export function createGrids(frame: JpegFrame): Grid[] {
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
export function countUnits({ width, height, components }: JpegFrame): number {
  const across = 8 * Math.max(...components.map(({ h }) => h));
  const down = 8 * Math.max(...components.map(({ v }) => v));
  return Math.ceil(width / across) * Math.ceil(height / down);
}
