import sharp from 'sharp';
import type { Container } from './container/container.ts';
import type { Frame } from './frame.ts';

/**
 * Encodes a frame the way an image of `container` was encoded: the same format, JPEG quality, chroma subsampling and
 * progressive flag. A simulated cause happens in front of the camera's encoder, so its frame must carry the traces of
 * that encoder like every reference image; otherwise the missing traces alone would give it away.
 */
export async function encodeLike(frame: Frame, container: Container): Promise<Uint8Array> {
  const { width, height, channels } = frame;
  const image = sharp(frame.data, { raw: { width, height, channels } });
  const { jpeg, progressive } = container;
  if (container.format === 'jpeg') {
    const quality = jpeg?.quality ?? 90;
    const chromaSubsampling = jpeg?.chromaSubsampling === '4:2:0' ? '4:2:0' : '4:4:4';
    return image.jpeg({ quality, chromaSubsampling, progressive }).toBuffer();
  }
  if (container.format === 'webp') return image.webp({ quality: 90 }).toBuffer();
  return image.png({ compressionLevel: 1 }).toBuffer();
}

/** Pixels that came without a file, as a file that keeps all of them. */
export async function encodePng({ data, width, height, channels }: Frame): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels } }).png({ compressionLevel: 3 }).toBuffer();
}
