import './loaders.ts';
import { setTimeout } from 'node:timers/promises';
import sharp from 'sharp';
import { StoplineError } from '../errors.ts';
import type { Container } from './container/container.ts';
import { readMarkers } from './container/jpegmarkers.ts';
import { walkScans } from './container/jpegscan.ts';
import { findPngDamage } from './container/pngdata.ts';
import { readContainer } from './container/read.ts';
import { boundsFrom, type Frame, type Limits } from './frame.ts';

/** Largest number of pixels inspected as they are stored: 1920x1080 is 2,073,600. Part of the rule, so not a setting. */
export const inspectionPixels = 2_100_000;

/** How bytes become pixels; stored in every Profile, because numbers measured under another rule must not be compared. */
export const decodeRule = `rgb8 orientation-applied alpha-dropped icc-ignored cmyk-managed shrink-pow2-linear<=${inspectionPixels}`;

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
): Promise<{ frame: Frame; container: Container }> {
  const bounds = boundsFrom(limits);
  if (bytes.length > bounds.maxBytes) {
    throw new StoplineError(
      'IMAGE_TOO_LARGE',
      `Expected at most ${bounds.maxBytes} bytes but received ${bytes.length}.`,
    );
  }
  const stored = container ?? readContainer(bytes);
  checkContainer(stored, bounds);
  const started = performance.now();
  const deadline = bounds.maxSeconds > 0 ? started + bounds.maxSeconds * 1000 : Number.POSITIVE_INFINITY;
  // Where data of arithmetic coding end, decoders read zeros without a word, as the standard has it.
  const isOdd = stored.jpeg?.arithmetic || stored.remarks.some(({ kind }) => kind !== 'trailingBytes');
  let source: Source =
    stored.format === 'jpeg' && isOdd
      ? walkJpeg(bytes, stored, deadline)
      : { bytes, container: stored, isWalked: false };
  for (let tries = 1; ; tries++) {
    try {
      return { frame: await render(source, bounds), container: source.container };
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

/** Bytes as they are given to the decoder. */
interface Source {
  bytes: Uint8Array;
  container: Container;
  /** All blocks of the JPEG are known to be there, so that warnings of the decoder mean no loss. */
  isWalked: boolean;
}

/**
 * Looks whether all blocks of a JPEG are there. Where it has no end marker the decoder gets one.
 * @throws {StoplineError} IMAGE_TRUNCATED, IMAGE_CORRUPT with what is lost; IMAGE_TOO_COMPLEX
 */
function walkJpeg(bytes: Uint8Array, container: Container, deadline: number): Source {
  const structure = readMarkers(bytes);
  const walk = walkScans(bytes, structure, deadline);
  if (!walk.isWhole) {
    const code = walk.isCut ? 'IMAGE_TRUNCATED' : 'IMAGE_CORRUPT';
    throw new StoplineError(code, `Expected a JPEG with all of its blocks but ${walk.loss}.`);
  }
  const remarks = [...container.remarks, ...walk.remarks];
  const known = new Map(remarks.map((remark) => [remark.kind, remark]));
  return {
    bytes: structure.hasEnd ? bytes : Buffer.concat([bytes.subarray(0, structure.end), endOfImage]),
    container: { ...container, remarks: [...known.values()] },
    isWalked: true,
  };
}

const endOfImage = Uint8Array.of(0xff, 0xd9);

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

function checkContainer(container: Container, limits: Required<Limits>): void {
  const { format, width, height, bitDepth, frames, scans, progressive } = container;
  const size = `${width}x${height}`;
  if (format === 'jpeg' && bitDepth !== 8) {
    throw new StoplineError('IMAGE_UNSUPPORTED', `Expected a JPEG of 8 bits per sample but received ${bitDepth}.`);
  }
  if (frames > 1) {
    throw new StoplineError('IMAGE_ANIMATED', `Expected a still image but received an animation of ${frames} frames.`);
  }
  if (Math.min(width, height) < limits.minSide) {
    throw new StoplineError('IMAGE_TOO_SMALL', `Expected sides of at least ${limits.minSide} but received ${size}.`);
  }
  if (Math.max(width, height) > limits.maxSide) {
    throw new StoplineError(
      'IMAGE_TOO_MANY_PIXELS',
      `Expected sides of at most ${limits.maxSide} but received ${size}.`,
    );
  }
  const most = progressive ? limits.maxProgressivePixels : limits.maxPixels;
  if (width * height > most) {
    const kind = progressive ? 'progressive or interlaced pixels' : 'pixels';
    throw new StoplineError('IMAGE_TOO_MANY_PIXELS', `Expected at most ${most} ${kind} but received ${size}.`);
  }
  if (width * height * scans > limits.maxScanPixels) {
    const message = `Expected at most ${limits.maxScanPixels} pixels times scans but received ${size} in ${scans} scans.`;
    throw new StoplineError('IMAGE_TOO_COMPLEX', message);
  }
}

/** Smallest power of two that brings floor(width / factor) x floor(height / factor) to at most `inspectionPixels`. */
function shrinkFactor({ width, height }: Container): number {
  let factor = 1;
  while (Math.floor(width / factor) * Math.floor(height / factor) > inspectionPixels) factor *= 2;
  return factor;
}

/** Mirror first, then turn clockwise: what undoes each EXIF orientation (index 1 to 8). */
const turns: ReadonlyArray<{ mirror: boolean; degrees: 0 | 90 | 180 | 270 }> = [
  { mirror: false, degrees: 0 },
  { mirror: false, degrees: 0 },
  { mirror: true, degrees: 0 },
  { mirror: false, degrees: 180 },
  { mirror: true, degrees: 180 },
  { mirror: true, degrees: 270 },
  { mirror: false, degrees: 90 },
  { mirror: true, degrees: 90 },
  { mirror: false, degrees: 270 },
];

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
