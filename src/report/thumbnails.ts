import sharp from 'sharp';
import { corrupt, type Severity } from '../corruptions.ts';
import type { Frame } from '../decode.ts';

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
export async function thumbnail({ data, width, height, channels }: Frame): Promise<Thumbnail> {
  const { data: bytes, info } = await sharp(data, { raw: { width, height, channels } })
    .resize({ width: thumbnailSide, height: thumbnailSide, fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 70 })
    .toBuffer({ resolveWithObject: true });
  return { source: `data:image/webp;base64,${bytes.toString('base64')}`, width: info.width, height: info.height };
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
