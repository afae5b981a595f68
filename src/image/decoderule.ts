import { StoplineError } from '../errors.ts';
import type { Container } from './container/container.ts';
import { readMarkers } from './container/jpegmarkers.ts';
import { walkScans } from './container/jpegscan.ts';
import type { Limits } from './frame.ts';

/** Largest number of pixels inspected as they are stored: 1920x1080 is 2,073,600. Part of the rule, so not a setting. */
export const inspectionPixels = 2_100_000;

/** How bytes become pixels; stored in every Profile, because numbers measured under another rule must not be compared. */
export const decodeRule = `rgb8 orientation-applied alpha-dropped icc-ignored cmyk-managed shrink-pow2-linear<=${inspectionPixels}`;

/** Whether a JPEG is looked at block by block: where data of arithmetic coding end, decoders read zeros without a word, as the standard has it. */
export function isOddJpeg({ format, jpeg, remarks }: Container): boolean {
  return format === 'jpeg' && (jpeg?.arithmetic === true || remarks.some(({ kind }) => kind !== 'trailingBytes'));
}

/** Bytes as they are given to the decoder. */
export interface Source {
  bytes: Uint8Array;
  container: Container;
  /** All blocks of the JPEG are known to be there, so that warnings of the decoder mean no loss. */
  isWalked: boolean;
}

/**
 * Looks whether all blocks of a JPEG are there. Where it has no end marker the decoder gets one.
 * @throws {StoplineError} IMAGE_TRUNCATED, IMAGE_CORRUPT with what is lost; IMAGE_TOO_COMPLEX
 */
export function walkJpeg(bytes: Uint8Array, container: Container, deadline: number): Source {
  const structure = readMarkers(bytes);
  const walk = walkScans(bytes, structure, deadline);
  if (!walk.isWhole) {
    const code = walk.isCut ? 'IMAGE_TRUNCATED' : 'IMAGE_CORRUPT';
    throw new StoplineError(code, `Expected a JPEG with all of its blocks but ${walk.loss}.`);
  }
  const remarks = [...container.remarks, ...walk.remarks];
  const known = new Map(remarks.map((remark) => [remark.kind, remark]));
  return {
    bytes: structure.hasEnd ? bytes : withEnd(bytes.subarray(0, structure.end)),
    container: { ...container, remarks: [...known.values()] },
    isWalked: true,
  };
}

const endOfImage = Uint8Array.of(0xff, 0xd9);

function withEnd(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(bytes.length + endOfImage.length);
  whole.set(bytes);
  whole.set(endOfImage, bytes.length);
  return whole;
}

/** Refuses what is not decoded at all. @throws {StoplineError} IMAGE_* */
export function checkContainer(container: Container, limits: Required<Limits>): void {
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
export function shrinkFactor({ width, height }: Pick<Container, 'width' | 'height'>): number {
  let factor = 1;
  while (Math.floor(width / factor) * Math.floor(height / factor) > inspectionPixels) factor *= 2;
  return factor;
}

/** Mirror first, then turn clockwise: what undoes each EXIF orientation (index 1 to 8). */
export const turns: ReadonlyArray<{ mirror: boolean; degrees: 0 | 90 | 180 | 270 }> = [
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
