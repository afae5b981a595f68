import { constants, crc32, inflateSync } from 'node:zlib';
import { adam7 } from './adam7.ts';
import type { Container } from './container.ts';

/**
 * Reads the picture data of a PNG by our own rules, to say what is wrong with one that does not decode.
 * @returns the damage as the end of a sentence, or undefined where none is found
 */
export function findPngDamage(bytes: Uint8Array, container: Container): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const parts: Uint8Array[] = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const end = at + 8 + length;
    if (end + 4 > bytes.length) break;
    const type = Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1');
    if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      return `the checksum of its ${type} chunk at byte ${at} is not that of its data`;
    }
    if (type === 'IDAT') parts.push(bytes.subarray(at + 8, end));
    if (type === 'IEND') break;
    at = end + 4;
  }
  const expected = countBytes(container, bytes[25]!);
  let data: Buffer;
  try {
    data = inflateSync(Buffer.concat(parts), { maxOutputLength: expected + 1, finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    const isMore = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    return isMore ? undefined : 'its compressed data are damaged';
  }
  return data.length < expected ? `its data hold ${data.length} of ${expected} bytes` : undefined;
}

/** Samples of a pixel by the colour type of IHDR. */
const samples: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** Bytes of the rows of all passes, each with its filter. */
function countBytes({ width, height, bitDepth, progressive }: Container, colourType: number): number {
  const bits = (samples[colourType] ?? 1) * bitDepth;
  const countRows = (columns: number, rows: number) =>
    columns <= 0 || rows <= 0 ? 0 : rows * (1 + Math.ceil((columns * bits) / 8));
  if (!progressive) return countRows(width, height);
  return adam7.reduce(
    (sum, [column, row, across, down]) =>
      sum + countRows(Math.ceil((width - column) / across), Math.ceil((height - row) / down)),
    0,
  );
}
