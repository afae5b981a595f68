import { StoplineError } from '../../errors.ts';
import type { Frame } from '../../image/frame.ts';
import type { TensorOptions } from '../../settings.ts';
import { nextTurn } from '../bodies/turns.ts';

/** More images than this in one request are refused: each is judged by itself. */
export const maxImages = 256;

export interface Sizes {
  images: number;
  width: number;
  height: number;
  channels: 1 | 3 | 4;
  layout: 'NHWC' | 'NCHW';
}

/** What the shape of a tensor says if it is that of images, with or without batches; undefined if it is not. */
export function readSizes(shape: readonly number[], options: TensorOptions = {}): Sizes | undefined {
  if (shape.length < 3 || shape.length > 5) return undefined;
  const image = shape.slice(-3);
  const images = shape.slice(0, -3).reduce((product, side) => product * side, 1);
  const isChannels = (side: number): side is 1 | 3 | 4 => side === 1 || side === 3 || side === 4;
  const layout = options.layout ?? (isChannels(image[2]) ? 'NHWC' : 'NCHW');
  const [height, width, channels] = layout === 'NHWC' ? image : [image[1], image[2], image[0]];
  return isChannels(channels) ? { images, width, height, channels, layout } : undefined;
}

/** Numbers in the order of a tensor, read a piece at a time. */
export interface NumberSource {
  /** Fills an array from its beginning. @returns how many numbers there were */
  read(into: Float64Array): number;
}

/** Bytes of one number of each datatype of fixed length. */
export const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  UINT8: 1,
  INT8: 1,
  UINT16: 2,
  INT16: 2,
  FP16: 2,
  BF16: 2,
  UINT32: 4,
  INT32: 4,
  FP32: 4,
  UINT64: 8,
  INT64: 8,
  FP64: 8,
};

const readers: Readonly<Record<string, (bytes: Buffer, at: number) => number>> = {
  UINT8: (bytes, at) => bytes[at],
  INT8: (bytes, at) => bytes.readInt8(at),
  UINT16: (bytes, at) => bytes.readUInt16LE(at),
  INT16: (bytes, at) => bytes.readInt16LE(at),
  UINT32: (bytes, at) => bytes.readUInt32LE(at),
  INT32: (bytes, at) => bytes.readInt32LE(at),
  UINT64: (bytes, at) => Number(bytes.readBigUInt64LE(at)),
  INT64: (bytes, at) => Number(bytes.readBigInt64LE(at)),
  FP16: (bytes, at) => readHalf(bytes.readUInt16LE(at)),
  BF16: (bytes, at) => readUpperHalf(bytes.readUInt16LE(at)),
  FP32: (bytes, at) => bytes.readFloatLE(at),
  FP64: (bytes, at) => bytes.readDoubleLE(at),
};

/** Datatypes that can hold pixels, preprocessed or quantised unless they are UINT8. */
export function isNumeric(datatype: string): boolean {
  return Object.hasOwn(readers, datatype);
}

export function readHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

const word = new DataView(new ArrayBuffer(4));
export function readUpperHalf(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

/** The numbers of a binary tensor, little-endian. */
export class BinaryNumbers implements NumberSource {
  readonly #bytes: Buffer;
  readonly #size: number;
  readonly #readOne: (bytes: Buffer, at: number) => number;
  #at = 0;

  /** @throws {StoplineError} REQUEST_INVALID where a number is cut */
  constructor(bytes: Buffer, datatype: string) {
    this.#bytes = bytes;
    this.#size = elementBytes[datatype];
    this.#readOne = readers[datatype];
    if (bytes.length % this.#size !== 0) {
      throw invalid(`whole numbers of ${this.#size} bytes for ${datatype}`, `${bytes.length} bytes`);
    }
  }

  read(into: Float64Array): number {
    const count = Math.min(into.length, (this.#bytes.length - this.#at) / this.#size);
    for (let i = 0; i < count; i++) into[i] = this.#readOne(this.#bytes, this.#at + i * this.#size);
    this.#at += count * this.#size;
    return count;
  }
}

/** Numbers that are turned into pixels in one go: about a millisecond. */
const piece = 32_768;

/** The images of a UINT8 tensor that needs no change: they stay where they are. */
export function sliceFrames(data: Uint8Array, sizes: Sizes): Frame[] {
  const { images, width, height, channels } = sizes;
  const size = width * height * channels;
  checkCount(data.length, sizes);
  return Array.from({ length: images }, (_, i) => ({
    data: data.subarray(i * size, (i + 1) * size),
    width,
    height,
    channels,
  }));
}

/**
 * The pixels of every image of a tensor.
 * @param count how many numbers there are
 * @param isNormalised whether a preprocessing has to be undone
 * @throws {StoplineError} REQUEST_INVALID where numbers and shape do not fit together
 */
export async function makeFrames(
  source: NumberSource,
  count: number,
  sizes: Sizes,
  options: TensorOptions = {},
  isNormalised = false,
): Promise<Frame[]> {
  const { images, width, height, channels, layout } = sizes;
  checkCount(count, sizes);
  const pixels = width * height;
  const { scale = 1 / 255, mean = [0], deviation = [1] } = options;
  const to = options.order === 'BGR' && channels >= 3 ? [2, 1, 0, 3] : [0, 1, 2, 3];
  const frames = Array.from({ length: images }, () => new Uint8Array(pixels * channels));
  const numbers = new Float64Array(piece);
  let at = 0;
  for (let length = source.read(numbers); length > 0; length = source.read(numbers)) {
    for (let i = 0; i < length; i++, at++) {
      const place = at % (pixels * channels);
      const stored = layout === 'NHWC' ? place % channels : Math.floor(place / pixels);
      const pixel = layout === 'NHWC' ? Math.floor(place / channels) : place % pixels;
      let value = numbers[i];
      if (isNormalised) {
        const centre = mean[mean.length === 1 ? 0 : stored] ?? 0;
        const spread = deviation[deviation.length === 1 ? 0 : stored] ?? 1;
        value = Math.round((value * spread + centre) / scale);
      }
      frames[Math.floor(at / (pixels * channels))][pixel * channels + to[stored]] = Math.min(Math.max(value, 0), 255);
    }
    await nextTurn();
  }
  return frames.map((data) => ({ data, width, height, channels }));
}

function checkCount(received: number, { images, width, height, channels }: Sizes): void {
  const expected = images * width * height * channels;
  if (received === expected) return;
  throw invalid(
    `${expected} numbers for a tensor of ${images} images of ${width}x${height}x${channels}`,
    String(received),
  );
}

/** Something that the protocol does not allow. */
export function invalid(expected: string, received = 'something else'): StoplineError {
  return new StoplineError('REQUEST_INVALID', `Expected ${expected} but received ${received}.`);
}

/** Nothing that can be looked at. */
export function uninspected(reason: string): StoplineError {
  return new StoplineError('UNINSPECTED', `Expected an image that can be inspected but ${reason}.`);
}

/** The images of a batch, bounded. */
export function boundedImages(count: number): number {
  if (count < 1) throw uninspected('the request holds none');
  if (count > maxImages) {
    throw new StoplineError(
      'REQUEST_TOO_LARGE',
      `Expected at most ${maxImages} images in a request but received ${count}.`,
    );
  }
  return count;
}
