import { StoplineError } from '../../errors.ts';
import { sha256 } from '../sha256.ts';
import type { Container } from './container.ts';
import { readOrientation } from './exif.ts';
import { noteTrailing } from './remark.ts';

/** An encoder that writes 8 KiB of data per chunk reaches 4,096 chunks at 32 MiB. */
const maxChunks = 100_000;

/** Colour type of IHDR: stored channels and the bit depths that the format allows (PNG third edition, table 8). */
const colourTypes: Record<number, { colour: Container['colour']; channels: number; alpha: boolean; depths: number[] }> =
  {
    0: { colour: 'grey', channels: 1, alpha: false, depths: [1, 2, 4, 8, 16] },
    2: { colour: 'rgb', channels: 3, alpha: false, depths: [8, 16] },
    3: { colour: 'palette', channels: 3, alpha: false, depths: [1, 2, 4, 8] },
    4: { colour: 'grey', channels: 2, alpha: true, depths: [8, 16] },
    6: { colour: 'rgb', channels: 4, alpha: true, depths: [8, 16] },
  };

const corrupt = (message: string) => new StoplineError('IMAGE_CORRUPT', message);

/**
 * Walks the chunks of a PNG without inflating anything.
 * @throws {StoplineError} IMAGE_CORRUPT, IMAGE_TRUNCATED, IMAGE_TOO_COMPLEX
 */
export function readPng(bytes: Uint8Array): Container {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let position = 8;
  let header: { width: number; height: number; bitDepth: number; colourType: number; interlaced: boolean } | undefined;
  let frames = 1;
  let orientation = 1;
  let transparency = false;
  let level = -1;
  let codedBytes = 0;
  const order: string[] = [];
  for (let chunks = 0; ; chunks++) {
    if (chunks === maxChunks) {
      throw new StoplineError('IMAGE_TOO_COMPLEX', `Expected at most ${maxChunks} PNG chunks but received more.`);
    }
    if (position + 12 > bytes.length) throw truncated(bytes.length, order.at(-1));
    const length = view.getUint32(position);
    const type = chunkType(bytes, position + 4);
    const data = position + 8;
    const end = data + length + 4;
    if (length > 0x7fffffff)
      throw corrupt(`Expected a PNG chunk below 2 GiB but received ${nameChunk(type)} of ${length} bytes.`);
    if (header === undefined && (type !== 'IHDR' || length !== 13)) {
      throw corrupt(
        `Expected IHDR of 13 bytes as the first PNG chunk but received ${nameChunk(type)} of ${length} bytes.`,
      );
    }
    if (end > bytes.length) throw truncated(bytes.length, type);
    if (order.at(-1) !== type) order.push(type);
    if (type === 'IHDR') {
      if (header !== undefined) throw corrupt('Expected one IHDR chunk in a PNG but received two.');
      header = readHeader(view, data);
    } else if (type === 'IDAT') {
      codedBytes += length;
      // FLEVEL of the zlib header (RFC 1950): the compression level of the encoder; the window size depends on the image.
      if (level < 0 && length >= 2) level = bytes[data + 1]! >> 6;
    } else if (type === 'tRNS') {
      transparency = true;
    } else if (type === 'acTL' && length >= 4) {
      frames = Math.max(1, view.getUint32(data));
    } else if (type === 'eXIf') {
      orientation = readOrientation(bytes, data, data + length);
    }
    position = end;
    if (type === 'IEND') break;
  }
  if (!order.includes('IDAT')) throw corrupt('Expected image data (IDAT) in a PNG but received none.');
  const { width, height, bitDepth, colourType, interlaced } = header!;
  const stored = colourTypes[colourType]!;
  const added = transparency && !stored.alpha ? 1 : 0;
  return {
    format: 'png',
    width,
    height,
    bitDepth,
    channels: stored.channels + added,
    colour: stored.colour,
    hasAlpha: stored.alpha || transparency,
    progressive: interlaced,
    frames,
    scans: 1,
    orientation,
    trailingBytes: bytes.length - position,
    bytes: bytes.length,
    bytesPerPixel: bytes.length / (width * height),
    codedBytes,
    fingerprint: sha256(`png ${bitDepth} ${colourType}`).slice(0, 16),
    wrapping: [...order, `compression level ${level}`, ...(interlaced ? ['interlaced'] : [])],
    remarks: noteTrailing(bytes.length - position),
  };
}

function readHeader(view: DataView, at: number) {
  const width = view.getUint32(at);
  const height = view.getUint32(at + 4);
  const bitDepth = view.getUint8(at + 8);
  const colourType = view.getUint8(at + 9);
  const interlace = view.getUint8(at + 12);
  if (width === 0 || height === 0 || width > 0x7fffffff || height > 0x7fffffff) {
    throw corrupt(`Expected PNG sides from 1 to 2147483647 but received ${width}x${height}.`);
  }
  if (!colourTypes[colourType]?.depths.includes(bitDepth)) {
    throw corrupt(
      `Expected a PNG colour type with a bit depth it allows but received type ${colourType}, ${bitDepth} bit.`,
    );
  }
  if (interlace > 1) throw corrupt(`Expected PNG interlace method 0 or 1 but received ${interlace}.`);
  return { width, height, bitDepth, colourType, interlaced: interlace === 1 };
}

function chunkType(bytes: Uint8Array, at: number): string {
  let type = '';
  for (let i = at; i < at + 4; i++) {
    const letter = bytes[i]! & 0xdf;
    if (letter < 0x41 || letter > 0x5a || bytes[i]! > 0x7a) {
      throw corrupt(`Expected a PNG chunk name of four letters at byte ${at} but received other bytes.`);
    }
    type += String.fromCharCode(bytes[i]!);
  }
  return type;
}

/** Chunks of the specification; the name of another is up to whoever made the file. */
const knownChunks =
  /^(?:IHDR|PLTE|IDAT|IEND|tRNS|cHRM|gAMA|iCCP|sBIT|sRGB|tEXt|zTXt|iTXt|bKGD|hIST|pHYs|sPLT|eXIf|tIME|acTL)$/;

function nameChunk(type: string): string {
  return knownChunks.test(type) ? `a ${type} chunk` : 'a chunk of another name';
}

function truncated(length: number, last: string | undefined): StoplineError {
  const where = last === undefined ? 'before its first chunk' : `in or after ${nameChunk(last)}`;
  return new StoplineError(
    'IMAGE_TRUNCATED',
    `Expected a PNG that ends with IEND but its ${length} bytes end ${where}.`,
  );
}
