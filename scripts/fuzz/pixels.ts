/** What the core reads from a JPEG beside what sharp does. */
import sharp from 'sharp';
import type { Core } from '../../src/core/core.ts';
import { readContainer } from '../../src/image/container/read.ts';

/** What sharp gives, as strict as `decode` has it; undefined where it refuses the file. */
export async function askSharp(bytes: Uint8Array): Promise<Buffer | undefined> {
  const image = sharp(bytes, { failOn: 'warning', ignoreIcc: true });
  return image
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer()
    .catch(() => undefined);
}

export interface Compared {
  isRead: boolean;
  /** Where sharp has other pixels, or refuses what the core reads, or cores do not agree. */
  fault?: string;
}

/** The pixels of one file by each of some cores. */
export async function comparePixels(bytes: Uint8Array, cores: readonly Core[]): Promise<Compared> {
  const size = findSize(bytes);
  if (!size) return { isRead: false };
  const { width, height } = size;
  const frames = cores.map((core) => {
    const pixels = Buffer.alloc(width * height * 3);
    return core.readJpeg(bytes, width, height, pixels) ? pixels : undefined;
  });
  const [first] = frames;
  const other = frames.findIndex((frame) => (first && frame ? !frame.equals(first) : first !== frame));
  if (other >= 0) return { isRead: true, fault: `${cores[other]!.info.simd} and ${cores[0]!.info.simd} differ` };
  if (!first) return { isRead: false };
  const expected = await askSharp(bytes);
  if (!expected) return { isRead: true, fault: 'sharp refuses what the core reads' };
  return expected.equals(first) ? { isRead: true } : { isRead: true, fault: 'sharp has other pixels' };
}

/** Of a JPEG of a colour that the core reads: what else it asks for, it looks at itself. */
function findSize(bytes: Uint8Array): { width: number; height: number } | undefined {
  try {
    const { format, colour, width, height } = readContainer(bytes);
    const isTried = format === 'jpeg' && (colour === 'ycbcr' || colour === 'grey') && width * height < 4_000_000;
    return isTried ? { width, height } : undefined;
  } catch {
    return undefined;
  }
}
