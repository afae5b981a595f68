import { type BytesImage, type JpegLoss, passThroughJpeg } from '../core/filters.ts';
import { standardTable } from './container/quality.ts';

/** How libjpeg is set for a quality: with the tables of the standard, and colours at half the size for 4:2:0. */
function findLoss(quality: number, isHalved: boolean): JpegLoss {
  return {
    tables: Int32Array.from([...standardTable('luma', quality), ...standardTable('chroma', quality)]),
    isHalved,
  };
}

/**
 * The pixels of `sharp(data).jpeg({ quality, chromaSubsampling })` decoded again, to the bit.
 * @param pixels they are not changed
 * @param chromaSubsampling default: that of sharp, 4:2:0
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function loseAsJpeg(
  pixels: BytesImage,
  quality: number,
  chromaSubsampling: '4:2:0' | '4:4:4' = '4:2:0',
): Uint8Array<ArrayBuffer> {
  return passThroughJpeg(pixels, findLoss(quality, chromaSubsampling === '4:2:0'));
}
