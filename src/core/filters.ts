import type { Exports } from './instantiate.ts';
import { openWasm } from './wasm.ts';

/** A floating-point image, interleaved, of one channel or three. */
export interface FloatImage {
  data: Float32Array;
  width: number;
  height: number;
  channels: number;
}

/** Interleaved 8-bit RGB. */
export interface BytesImage {
  data: Uint8Array;
  width: number;
  height: number;
}

/**
 * Where along one axis each sample is read: between `from`, which is at most the last but one, and its neighbour, of which it
 * takes `share`.
 */
export interface AxisSamples {
  from: Int32Array;
  share: Float32Array;
}

/**
 * The dear loops of simulated causes (src/core/simulate.c). Always WebAssembly, also where the native core is: a cause gives the
 * same pixels on every machine. The memory is laid out anew for each call, and grows to what the largest one needed.
 */
class Filters {
  readonly #exports: Exports = openWasm();
  #end = 0;

  /** See `blurBoxes`. */
  blur({ data, width, height, channels }: FloatImage, { radius, edge, scale }: ExtendedBox): Float32Array {
    this.#begin(2 * data.length + width * channels, 2);
    const image = this.#write(data);
    const scratch = this.#reserve(data.length + width * channels);
    this.#exports.stopline_blur(image, width, height, channels, radius, edge, scale, scratch);
    return this.#read(image, data.length);
  }

  /** See `blurBytes`. */
  blurBytes({ data, width, height }: BytesImage, { radius, edge, scale }: ExtendedBox): Uint8Array<ArrayBuffer> {
    const stride = width * 3;
    this.#begin(2 * data.length + stride + Math.ceil(data.length / 4), 3);
    const bytes = this.#writeBytes(data);
    const image = this.#reserve(data.length);
    const scratch = this.#reserve(data.length + stride);
    this.#exports.stopline_floats(bytes, data.length, image);
    this.#exports.stopline_blur(image, width, height, 3, radius, edge, scale, scratch);
    this.#exports.stopline_bytes(image, data.length, bytes);
    return this.#readBytes(bytes, data.length);
  }

  /** See `addShifted`. */
  trail(source: Float32Array, rows: { at: number; stride: number; samples: number; height: number }, taps: Tap[]) {
    const { at, stride, samples, height } = rows;
    this.#begin(source.length + samples * height + 2 * taps.length, 4);
    const image = this.#write(source);
    const offsets = this.#write(Int32Array.from(taps, ({ offset }) => offset));
    const weights = this.#write(Float32Array.from(taps, ({ weight }) => weight));
    const out = this.#reserve(samples * height);
    this.#exports.stopline_trail(image + at * 4, stride, samples, height, offsets, weights, taps.length, out);
    return this.#read(out, samples * height);
  }

  /** See `averageDisk`. */
  disk(sums: Int32Array, { width, height }: Pick<FloatImage, 'width' | 'height'>, halves: Int32Array): Float32Array {
    const samples = width * 3;
    this.#begin(sums.length + halves.length + samples + samples * height, 4);
    const prefix = this.#write(sums);
    const reach = this.#write(halves);
    const line = this.#reserve(samples);
    const out = this.#reserve(samples * height);
    this.#exports.stopline_disk(prefix, width, height, halves.length - 1, reach, line, out);
    return this.#read(out, samples * height);
  }

  /** See `resamplePlane`. */
  resample(image: FloatImage, columns: AxisSamples, rows: AxisSamples): Float32Array {
    const [width, height] = [columns.from.length, rows.from.length];
    const { data, channels } = image;
    const size = width * height * channels;
    this.#begin(data.length + 2 * (width + height) + image.width * channels + size, 7);
    const source = this.#write(data);
    const [acrossFrom, acrossShare] = [this.#write(columns.from), this.#write(columns.share)];
    const [downFrom, downShare] = [this.#write(rows.from), this.#write(rows.share)];
    const line = this.#reserve(image.width * channels);
    const out = this.#reserve(size);
    const sizes = [image.width, image.height, channels, width, height] as const;
    const axes = [acrossFrom, acrossShare, downFrom, downShare] as const;
    this.#exports.stopline_resample(source, ...sizes, ...axes, line, out);
    return this.#read(out, size);
  }

  /** See `passThroughJpeg`. */
  jpeg({ data, width, height }: BytesImage, { tables, isHalved }: JpegLoss): Uint8Array<ArrayBuffer> {
    const scratchBytes = this.#exports.stopline_jpeg_scratch(width, height);
    this.#begin(Math.ceil((data.length + scratchBytes) / 4) + tables.length, 3);
    const steps = this.#write(tables);
    const pixels = this.#writeBytes(data);
    const scratch = this.#reserve(Math.ceil(scratchBytes / 4));
    this.#exports.stopline_jpeg(pixels, width, height, steps, isHalved ? 1 : 0, scratch);
    return this.#readBytes(pixels, data.length);
  }

  /** Makes room for so many words in so many arrays, from the beginning of the memory on. */
  #begin(words: number, arrays: number): void {
    const { memory, __heap_base: base } = this.#exports;
    this.#end = align(base.value as number);
    const missing = this.#end + words * 4 + arrays * 64 - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  }

  #reserve(words: number): number {
    const at = this.#end;
    this.#end = align(at + words * 4);
    return at;
  }

  #write(values: Float32Array | Int32Array): number {
    const at = this.#reserve(values.length);
    const { buffer } = this.#exports.memory;
    if (values instanceof Float32Array) new Float32Array(buffer, at, values.length).set(values);
    else new Int32Array(buffer, at, values.length).set(values);
    return at;
  }

  #writeBytes(bytes: Uint8Array): number {
    const at = this.#reserve(Math.ceil(bytes.length / 4));
    new Uint8Array(this.#exports.memory.buffer).set(bytes, at);
    return at;
  }

  #readBytes(at: number, count: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#exports.memory.buffer, at, count).slice();
  }

  #read(at: number, count: number): Float32Array {
    return new Float32Array(this.#exports.memory.buffer, at, count).slice();
  }
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** A box of 2 radius + 1 samples, with a fraction of one more at each end. */
export interface ExtendedBox {
  radius: number;
  /** Weight of the two fractional ends, 0 to 1. */
  edge: number;
  /** One over the sum of the weights. */
  scale: number;
}

export interface Tap {
  weight: number;
  /** Samples from the place that is written to. */
  offset: number;
}

/** How a JPEG encoder is set. */
export interface JpegLoss {
  /** Steps of the quantiser, each 1 to 255: 64 for luma, then 64 for colours, both row by row. */
  tables: Int32Array;
  /** Whether colours are kept at half the size along both axes. */
  isHalved: boolean;
}

// Loaded by the first cause that needs it, once a thread.
let filters: Filters | undefined;

function useFilters(): Filters {
  filters ??= new Filters();
  return filters;
}

/**
 * Three passes of an extended box along rows and three down columns; edges repeat.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function blurBoxes(image: FloatImage, box: ExtendedBox): Float32Array {
  return useFilters().blur(image, box);
}

/**
 * `blurBoxes` of pixels, rounded and clipped.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function blurBytes(pixels: BytesImage, box: ExtendedBox): Uint8Array<ArrayBuffer> {
  return useFilters().blurBytes(pixels, box);
}

/**
 * The weighted sum of shifted copies.
 * @param rows.at where in `source` the first row begins; what the taps reach has to lie inside it
 * @returns `samples` x `height`
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function addShifted(
  source: Float32Array,
  rows: { at: number; stride: number; samples: number; height: number },
  taps: Tap[],
): Float32Array {
  return useFilters().trail(source, rows, taps);
}

/**
 * The mean of three channels over a disk around each pixel.
 * @param sums prefix sums of every row, whose ends are repeated radius times, one entry more than it has pixels
 * @param halves how far each row of the disk reaches, from its middle on: radius + 1 of them
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function averageDisk(
  sums: Int32Array,
  size: Pick<FloatImage, 'width' | 'height'>,
  halves: Int32Array,
): Float32Array {
  return useFilters().disk(sums, size, halves);
}

/**
 * Separable bilinear resampling.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function resamplePlane(image: FloatImage, columns: AxisSamples, rows: AxisSamples): Float32Array {
  return useFilters().resample(image, columns, rows);
}

/**
 * What JPEG leaves of interleaved RGB: to the bit what libjpeg (libjpeg-turbo, mozjpeg) decodes from what it encoded, with its accurate
 * DCT and its smooth enlargement of colours. Without the file between, which loses nothing and takes most of the time.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function passThroughJpeg(pixels: BytesImage, loss: JpegLoss): Uint8Array<ArrayBuffer> {
  return useFilters().jpeg(pixels, loss);
}
