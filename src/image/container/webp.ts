import { StoplineError } from '../../errors.ts';
import { sha256 } from '../sha256.ts';
import type { Container } from './container.ts';
import { readOrientation } from './exif.ts';
import { noteTrailing } from './remark.ts';

const maxChunks = 100_000;

/** Flags of the VP8X chunk, WebP container specification, "Extended File Format". */
const animationFlag = 0x02;
const alphaFlag = 0x10;

const corrupt = (message: string) => new StoplineError('IMAGE_CORRUPT', message);

interface Size {
  width: number;
  height: number;
  hasAlpha: boolean;
}

interface Chunk {
  type: string;
  /** Where its data begin, and where the next chunk does. */
  data: number;
  length: number;
  next: number;
}

/**
 * The RIFF chunks of a WebP.
 * @throws {StoplineError} IMAGE_TRUNCATED, IMAGE_TOO_COMPLEX
 */
function* walkChunks(bytes: Uint8Array, view: DataView, end: number): Generator<Chunk> {
  let position = 12;
  for (let chunks = 0; position < end; chunks++) {
    if (chunks === maxChunks) {
      throw new StoplineError('IMAGE_TOO_COMPLEX', `Expected at most ${maxChunks} WebP chunks but received more.`);
    }
    if (position + 8 > end) throw truncated(position + 8, end);
    const written = String.fromCharCode(...bytes.subarray(position, position + 4));
    // It stands in what is told of the image, where nothing may steer a terminal.
    const type = /^[ -~]{4}$/.test(written) ? written : 'none';
    const length = view.getUint32(position + 4, true);
    const data = position + 8;
    if (data + length > end) throw truncated(data + length, end);
    // Chunks are padded to even sizes; a missing last padding byte is accepted, as libwebp does.
    position = data + length + (length & 1);
    yield { type, data, length, next: position };
  }
}

/**
 * Reads what the chunks of a WebP say.
 * @throws {StoplineError} IMAGE_CORRUPT, IMAGE_TRUNCATED, IMAGE_TOO_COMPLEX
 */
export function readWebp(bytes: Uint8Array): Container {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = 8 + view.getUint32(4, true);
  if (end < 12) throw corrupt(`Expected a RIFF size of at least 4 in a WebP but received ${end - 8}.`);
  if (end > bytes.length) throw truncated(end, bytes.length);
  const order: string[] = [];
  let canvas: Size | undefined;
  let image: Size | undefined;
  let animated = false;
  let alphaChunk = false;
  let frames = 0;
  let codedBytes = 0;
  let orientation = 1;
  let last = 12;
  for (const { type, data, length, next } of walkChunks(bytes, view, end)) {
    last = next;
    if (order.at(-1) !== type) order.push(type);
    if (type === 'VP8X') {
      if (length < 10) throw corrupt(`Expected a VP8X chunk of 10 bytes but received ${length}.`);
      const flags = bytes[data]!;
      animated = (flags & animationFlag) !== 0;
      canvas = {
        width: uint24(view, data + 4) + 1,
        height: uint24(view, data + 7) + 1,
        hasAlpha: (flags & alphaFlag) !== 0,
      };
    } else if (type === 'VP8 ') {
      image ??= readLossy(view, data, length);
      codedBytes += length;
    } else if (type === 'VP8L') {
      image ??= readLossless(view, data, length);
      codedBytes += length;
    } else if (type === 'ALPH') {
      alphaChunk = true;
    } else if (type === 'ANMF') {
      frames++;
    } else if (type === 'EXIF') {
      // Some writers keep the six bytes that introduce EXIF in JPEG.
      const prefixed = length >= 6 && view.getUint32(data) === 0x45786966 && view.getUint16(data + 4) === 0;
      orientation = readOrientation(bytes, prefixed ? data + 6 : data, data + length);
    }
  }
  const size = canvas ?? image;
  if (size === undefined || (image === undefined && frames === 0)) {
    throw corrupt(
      `Expected image data (VP8, VP8L or ANMF) in a WebP but received ${order.length} kinds of other chunks.`,
    );
  }
  const process = order.includes('VP8 ') ? 'lossy' : 'lossless';
  const trailingBytes = Math.max(0, bytes.length - Math.max(end, last));
  const hasAlpha = size.hasAlpha || alphaChunk || image?.hasAlpha === true;
  return {
    format: 'webp',
    width: size.width,
    height: size.height,
    bitDepth: 8,
    channels: hasAlpha ? 4 : 3,
    colour: process === 'lossy' ? 'ycbcr' : 'rgb',
    hasAlpha,
    progressive: false,
    frames: animated ? Math.max(1, frames) : 1,
    scans: 1,
    orientation,
    trailingBytes,
    bytes: bytes.length,
    bytesPerPixel: bytes.length / (size.width * size.height),
    codedBytes,
    fingerprint: sha256(`webp ${process}`).slice(0, 16),
    wrapping: order.map((name) => name.trim()),
    remarks: noteTrailing(trailingBytes),
  };
}

/** Key frame header of VP8, RFC 6386 section 9.1: three bytes of tag, start code, two sides of 14 bits with a scale above them. */
function readLossy(view: DataView, at: number, length: number): Size {
  if (length < 10) throw corrupt(`Expected a VP8 chunk of at least 10 bytes but received ${length}.`);
  const isKeyFrame = (view.getUint8(at) & 1) === 0;
  if (!isKeyFrame || uint24(view, at + 3) !== 0x2a019d)
    throw corrupt('Expected a VP8 key frame but received other bytes.');
  const width = view.getUint16(at + 6, true) & 0x3fff;
  const height = view.getUint16(at + 8, true) & 0x3fff;
  if (width === 0 || height === 0) throw corrupt(`Expected WebP sides of at least 1 but received ${width}x${height}.`);
  return { width, height, hasAlpha: false };
}

/** VP8L header: signature byte, then 14 bits of width - 1, 14 bits of height - 1, one bit "alpha is used". */
function readLossless(view: DataView, at: number, length: number): Size {
  if (length < 5 || view.getUint8(at) !== 0x2f) throw corrupt('Expected a VP8L header but received other bytes.');
  const bits = view.getUint32(at + 1, true);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1, hasAlpha: ((bits >>> 28) & 1) === 1 };
}

function uint24(view: DataView, at: number): number {
  return view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
}

function truncated(expected: number, received: number): StoplineError {
  return new StoplineError('IMAGE_TRUNCATED', `Expected a WebP of ${expected} bytes but received ${received}.`);
}
