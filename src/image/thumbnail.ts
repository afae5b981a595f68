import sharp from 'sharp';
import { corrupt, type Severity } from './corruptions/corruptions.ts';
import { decode } from './decode.ts';
import type { Frame, Limits } from './frame.ts';

/** A picture inside the page. */
export interface Thumbnail {
  /** A data: URI. */
  source: string;
  width: number;
  height: number;
}

/** Longest side in pixels: twice what the page shows, for screens with small pixels. */
export const thumbnailSide = 320;

/** A frame as a small WebP; one that is smaller than the limit keeps its size. */
async function shrink(
  { data, width, height, channels }: Frame,
  side = thumbnailSide,
): Promise<{ bytes: Buffer; width: number; height: number }> {
  const { data: bytes, info } = await sharp(data, { raw: { width, height, channels } })
    .resize({ width: side, height: side, fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 70 })
    .toBuffer({ resolveWithObject: true });
  return { bytes, width: info.width, height: info.height };
}

/** The same of an image as it came; it is decoded here, so this is for processes that may end. */
export async function shrinkImage(image: Uint8Array | Frame, side: number, limits: Limits): Promise<Uint8Array> {
  const frame = image instanceof Uint8Array ? (await decode(image, limits)).frame : image;
  return (await shrink(frame, side)).bytes;
}

/** The same inside a page. */
export async function thumbnail(frame: Frame, side?: number): Promise<Thumbnail> {
  const { bytes, width, height } = await shrink(frame, side);
  return { source: `data:image/webp;base64,${bytes.toString('base64')}`, width, height };
}

/** The frame under each cause, one after the other: a full frame takes much memory. */
export async function causeThumbnails<Item extends { cause: string; severity: Severity }>(
  frame: Frame,
  items: readonly Item[],
  seed: number,
): Promise<(Item & { picture: Thumbnail })[]> {
  const drawn: (Item & { picture: Thumbnail })[] = [];
  for (const item of items) {
    drawn.push({ ...item, picture: await thumbnail(await corrupt(frame, item.cause, item.severity, seed)) });
  }
  return drawn;
}
