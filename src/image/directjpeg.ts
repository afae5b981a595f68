import sharp from 'sharp';
import { type JpegDecoder, openJpegDecoder } from '../core/jpegdecoder.ts';
import type { Container } from './container/container.ts';
import { shrinkFactor } from './decoderule.ts';
import { type Frame, release, takeMemory } from './frame.ts';

/** The decoder, or why there is none. */
interface Opened {
  decoder?: JpegDecoder;
  reason?: string;
}

/**
 * Plain JPEGs by the loader of libvips itself, which gives the pixels of sharp for two thirds to five sixths of the time. Whatever is
 * not plain, and whatever it refuses or warns of, is left to sharp, whose answer counts.
 */
class DirectJpeg {
  #opened: Opened | undefined;

  /** Why JPEGs are not decoded this way here; undefined where they are. */
  get reason(): string | undefined {
    return this.#open().reason;
  }

  /**
   * @param bytes must not change until the promise settles
   * @returns undefined where sharp has to be asked
   */
  async decode(bytes: Uint8Array, container: Container, seconds: number): Promise<Frame | undefined> {
    const { decoder } = this.#open();
    if (!decoder || !isPlain(container)) return undefined;
    const { width, height } = container;
    const data = takeMemory(width * height * 3);
    if (await decoder(bytes, data, width, height, seconds)) return { data, width, height, channels: 3 };
    release(data);
    return undefined;
  }

  #open(): Opened {
    this.#opened ??= tryOpen();
    return this.#opened;
  }
}

export const directJpeg: DirectJpeg = new DirectJpeg();

function tryOpen(): Opened {
  try {
    return { decoder: openJpegDecoder(sharp.versions.vips) };
  } catch (error) {
    return { reason: (error as Error).message };
  }
}

/** Three channels of values as they are stored, neither to be turned nor to be shrunk. */
function isPlain(container: Container): boolean {
  const { format, colour, orientation, jpeg } = container;
  const isColour = colour === 'ycbcr' || colour === 'rgb';
  return (
    format === 'jpeg' && isColour && orientation === 1 && jpeg?.arithmetic === false && shrinkFactor(container) === 1
  );
}
