import './loaders.ts';
import { setTimeout } from 'node:timers/promises';
import sharp from 'sharp';
import { StoplineError } from '../errors.ts';
import type { Container } from './container/container.ts';
import { findPngDamage } from './container/pngdata.ts';
import { readContainer } from './container/read.ts';
import { checkContainer, isOddJpeg, type Source, shrinkFactor, turns, walkJpeg } from './decoderule.ts';
import { type JpegReader, readPlainJpeg } from './directjpeg.ts';
import { boundsFrom, checkLength, type Frame, type Limits } from './frame.ts';

const { sharp: wrapper, vips, mozjpeg, png, webp } = sharp.versions as Record<string, string | undefined>;
/** Stored in every Profile: another decoder may round differently. */
export const decoderVersion = `sharp ${wrapper} libvips ${vips} mozjpeg ${mozjpeg} png ${png} webp ${webp}`;

/**
 * Bytes to pixels, by one rule for every caller (`decodeRule`):
 *
 * - The stored EXIF orientation is applied.
 * - Grey is replicated, palettes are expanded, 16 bit becomes 8 by dropping the low byte, alpha is dropped and not
 *   blended, so transparent pixels keep the colour they are stored with.
 * - Embedded ICC profiles are ignored: a classifier sees stored values. CMYK and YCCK have no such values and are
 *   converted to sRGB through their profile, or through that of libvips where there is none.
 * - Up to `inspectionPixels` an image is inspected as stored. A larger one is shrunk by the smallest power of two that
 *   brings it within, to floor(side / factor). The last halving is a linear (1 3 3 1) reduction, halvings before it are
 *   done by libjpeg in the DCT domain or by averaging 2x2 boxes. (sharp refuses libjpeg's scaling at exactly the factor
 *   asked for, so it is never the last step.)
 *
 * What is lost is refused, what loses no pixel is a remark of the container. Whether a JPEG is whole that the decoder warns
 * about, or that has no end, is told by our own walk over its blocks, and so is what is wrong with an image that does not
 * decode: the same bytes give the same error. Not every damage makes the decoder warn: flipped bits that still are valid
 * codes decode to wrong pixels, data that is left over is not read, and libvips checks before each eight rows, so that
 * damage to the last ones passes.
 *
 * @param bytes a whole JPEG, PNG or WebP; must not change until the promise settles
 * @param container from `readContainer`, where the caller already has it
 * @param reader what decodes plain JPEGs; without one, the fastest core that there is
 * @returns the Frame (3 channels) and what the container says
 * @example
 * const { frame, container } = await decode(await readFile('frame.jpg'));
 *
 * @throws {StoplineError} what `readContainer` throws, and IMAGE_TOO_LARGE, IMAGE_TOO_MANY_PIXELS, IMAGE_TOO_SMALL,
 *   IMAGE_ANIMATED, IMAGE_UNSUPPORTED (12-bit JPEG), IMAGE_TOO_COMPLEX (time or scans), IMAGE_CORRUPT
 */
export async function decode(
  bytes: Uint8Array,
  limits: Limits = {},
  container?: Container,
  reader?: JpegReader,
): Promise<{ frame: Frame; container: Container }> {
  const bounds = boundsFrom(limits);
  checkLength(bytes, bounds);
  const stored = container ?? readContainer(bytes);
  checkContainer(stored, bounds);
  const started = performance.now();
  const deadline = bounds.maxSeconds > 0 ? started + bounds.maxSeconds * 1000 : Number.POSITIVE_INFINITY;
  let source: Source = isOddJpeg(stored)
    ? walkJpeg(bytes, stored, deadline)
    : { bytes, container: stored, isWalked: false };
  for (let tries = 1; ; tries++) {
    try {
      // What the core refuses, sharp is asked for: its errors are those that are told.
      const direct = source.isWalked ? undefined : readPlainJpeg(source.bytes, source.container, reader);
      return { frame: direct ?? (await render(source, bounds)), container: source.container };
    } catch (error) {
      if (error instanceof StoplineError) throw error;
      const isLate = performance.now() >= deadline;
      if (stored.format === 'jpeg' && !source.isWalked) {
        source = walkJpeg(bytes, stored, isLate ? Number.POSITIVE_INFINITY : deadline);
        if (!isLate) continue;
      }
      if (isLate) throw tooSlow(bounds.maxSeconds, error);
      if (tries >= (notRecognised.test(readWords(error)) ? maxTries.unrecognised : maxTries.other)) {
        throw describeDamage(bytes, stored, error);
      }
      await setTimeout(2 ** (tries - 1));
    }
  }
}

/**
 * libvips keeps one buffer of words for all threads of a process, so that an image that fails may be told those of another:
 * its words decide nothing but whether it is worth asking once more.
 */
const maxTries = { unrecognised: 4, other: 2 };

/**
 * What libvips says of a format it does not know, or that is blocked. The magic bytes were right, so either the header
 * behind them is broken, or a thread that does not know of this one has just loaded this module and is between blocking
 * and unblocking. So it is worth asking again.
 */
const notRecognised = /contains unsupported image format|not in a known format|operation is blocked/;

async function render({ bytes, container, isWalked }: Source, limits: Required<Limits>): Promise<Frame> {
  const isManaged = container.colour === 'cmyk' || container.colour === 'ycck';
  const failOn = isWalked ? 'error' : 'warning';
  const input = { failOn, limitInputPixels: limits.maxPixels, limitInputChannels: 4, ignoreIcc: !isManaged } as const;
  const factor = shrinkFactor(container);
  const width = Math.floor(container.width / factor);
  const height = Math.floor(container.height / factor);
  let image = sharp(bytes, input).timeout({ seconds: limits.maxSeconds }).removeAlpha().toColourspace('srgb');
  if (factor > 1) {
    if (container.hasAlpha) {
      // sharp resizes premultiplied pixels, which would blend; so alpha is dropped in a pass of its own.
      const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
      image = sharp(data, { raw: { width: info.width, height: info.height, channels: info.channels as 3 } });
    }
    image = image.resize({ width, height, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false });
  }
  // Not autoOrient: the orientation applied must be the one the Container reports, in all three formats.
  const turn = turns[container.orientation]!;
  if (turn.mirror) image = image.flop();
  if (turn.degrees !== 0) image = image.rotate(turn.degrees);
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  const [across, down] = turn.degrees % 180 === 0 ? [width, height] : [height, width];
  if (info.channels !== 3 || info.width !== across || info.height !== down) {
    const received = `${info.width}x${info.height} of ${info.channels} channels`;
    throw new StoplineError(
      'IMAGE_CORRUPT',
      `Expected ${across}x${down}, as the header says, but the data decode to ${received}.`,
    );
  }
  return { data, width: across, height: down, channels: 3 };
}

function readWords(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function tooSlow(seconds: number, cause: unknown): StoplineError {
  return new StoplineError('IMAGE_TOO_COMPLEX', `Expected an image that decodes in ${seconds} s but it takes longer.`, {
    cause,
  });
}

/** What is wrong with an image that the decoder refuses, by our own reading of it. */
function describeDamage(bytes: Uint8Array, container: Container, cause: unknown): StoplineError {
  const name = { jpeg: 'JPEG', png: 'PNG', webp: 'WebP' }[container.format];
  const damage = container.format === 'png' ? findPngDamage(bytes, container) : undefined;
  return new StoplineError(
    'IMAGE_CORRUPT',
    `Expected an intact ${name} but ${damage ?? 'the decoder refuses its picture data'}.`,
    { cause },
  );
}
