import sharp from 'sharp';
import type { Container } from './container/container.ts';
import { decode } from './decode.ts';
import type { Frame } from './frame.ts';
import { loseAsJpeg } from './jpegloss.ts';

/**
 * Encodes a frame the way an image of `container` was encoded: the same format, JPEG quality, chroma subsampling and
 * progressive flag. A simulated cause happens in front of the camera's encoder, so its frame must carry the traces of
 * that encoder like every reference image; otherwise the missing traces alone would give it away.
 */
export async function encodeLike(frame: Frame, container: Container): Promise<Uint8Array> {
  const { width, height, channels } = frame;
  const image = sharp(frame.data, { raw: { width, height, channels } });
  if (container.format === 'jpeg')
    return image.jpeg({ ...findJpegOptions(container), progressive: container.progressive }).toBuffer();
  if (container.format === 'webp') return image.webp({ quality: 90 }).toBuffer();
  return image.png({ compressionLevel: 1 }).toBuffer();
}

/**
 * What is left of the pixels of a frame by the encoder of `container`: those of `encodeLike` decoded again, for less. A PNG keeps
 * all of them, and of a JPEG they depend on its quantised coefficients alone, so that no file is written.
 */
export async function passThroughEncoder(frame: Frame, container: Container): Promise<Frame> {
  if (container.format === 'png') return frame;
  if (container.format === 'jpeg' && frame.channels === 3) {
    const { quality, chromaSubsampling } = findJpegOptions(container);
    return { ...frame, data: loseAsJpeg(frame, quality, chromaSubsampling) };
  }
  // One of our own files, and perhaps a part of a frame: no time limit, which a busy machine would exceed at random.
  return (await decode(await encodeLike(frame, container), { maxSeconds: 0, minSide: 1 })).frame;
}

function findJpegOptions({ jpeg }: Container): { quality: number; chromaSubsampling: '4:2:0' | '4:4:4' } {
  return {
    quality: jpeg?.quality ?? 90,
    chromaSubsampling: jpeg?.chromaSubsampling === '4:2:0' ? '4:2:0' : '4:4:4',
  };
}

/** What is left of the pixels by a video codec: coded as VP8 codes a key frame, which is what a lossy WebP of this quality holds. */
export async function passThroughVideo({ data, width, height, channels }: Frame, quality: number): Promise<Frame> {
  const bytes = await sharp(data, { raw: { width, height, channels } }).webp({ quality, effort: 0 }).toBuffer();
  return (await decode(bytes, { maxSeconds: 0, minSide: 1 })).frame;
}

/** Pixels that came without a file, as a file that keeps all of them. */
export async function encodePng({ data, width, height, channels }: Frame): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels } }).png({ compressionLevel: 3 }).toBuffer();
}
