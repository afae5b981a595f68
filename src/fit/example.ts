import sharp from 'sharp';
import { decode } from '../image/decode.ts';
import { readImage } from '../image/file.ts';
import { defaultLimits, type Frame, type Limits } from '../image/frame.ts';
import { type Mask, Masking } from '../image/mask.ts';
import type { EncodedImage } from '../run/task.ts';
import type { UnseenSample } from './samples.ts';

/** A small picture of a typical reference image, for people who look at a Profile: no number depends on it. */
export interface Example {
  /** The sha256 of the file that it was made from. */
  sha256: string;
  /** Size in pixels at which that image is inspected. */
  width: number;
  height: number;
  /** A JPEG, pixels only, as base64. */
  jpeg: string;
}

/** Longest side in pixels. */
const maxSide = 320;
/** About 20 kB. Pure noise has 23 kB at the lowest quality, and is stored so. */
const maxBytes = 20_000;
const qualities = [82, 70, 55, 40, 25] as const;

/**
 * The image whose score is the median: neither the most ordinary nor a strange one. Equal scores are told apart by the
 * sha256 of the file, so the choice depends on the images alone.
 */
export function chooseExample(images: readonly UnseenSample[]): UnseenSample['sample'] {
  const sorted = [...images].sort((a, b) => a.score - b.score || (a.sample.id < b.sample.id ? -1 : 1));
  return sorted[Math.floor((sorted.length - 1) / 2)].sample;
}

/**
 * The pixels of an image of the reference, however long they take: it was measured before.
 * @param image its path or its bytes
 * @throws {StoplineError} INPUT_*, IMAGE_*
 */
export async function decodeSource(image: EncodedImage, limits: Limits): Promise<Frame> {
  const source = typeof image === 'string' ? readImage(image, limits.maxBytes ?? defaultLimits.maxBytes) : image;
  const bytes = source instanceof Uint8Array ? source : source.bytes;
  return (await decode(bytes, { ...limits, maxSeconds: 0 })).frame;
}

/**
 * Makes the picture from a file. It is drawn from the decoded pixels, so nothing else of the file (EXIF, place, names) is in it.
 * @param image its path or its bytes
 * @throws {StoplineError} INPUT_*, IMAGE_*
 */
export async function makeExample(id: string, image: EncodedImage, limits: Limits = {}, mask?: Mask): Promise<Example> {
  const frame = await decodeSource(image, limits);
  // What is not to count is often what is not to be shown, either.
  if (mask) new Masking(mask).fill(frame);
  return {
    sha256: id,
    width: frame.width,
    height: frame.height,
    jpeg: Buffer.from(await shrink(frame)).toString('base64'),
  };
}

async function shrink({ data, width, height, channels }: Frame): Promise<Uint8Array> {
  const small = sharp(data, { raw: { width, height, channels } }).resize({
    width: maxSide,
    height: maxSide,
    fit: 'inside',
    withoutEnlargement: true,
  });
  let bytes = new Uint8Array();
  for (const quality of qualities) {
    bytes = await small.clone().jpeg({ quality }).toBuffer();
    if (bytes.length <= maxBytes) break;
  }
  return bytes;
}
