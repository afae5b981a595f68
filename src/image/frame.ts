import { StoplineError } from '../errors.ts';

/** Decoded pixels: 8-bit sRGB, interleaved, rows top to bottom without padding. */
export interface Frame {
  data: Uint8Array;
  width: number;
  height: number;
  /** 3 when Stopline decoded it; `inspectFrame` also takes 1 (grey) and 4 (alpha is ignored). */
  channels: 1 | 3 | 4;
}

/**
 * A frame that Stopline took out of a video itself, in a lossless file of its own making: what that file says of format,
 * encoder and size in bytes says nothing of the camera, so only the pixels and the codec of the video count.
 */
export interface ExtractedFrame {
  bytes: Uint8Array;
  /** The codec of the video, as ffmpeg names it: `h264`. */
  codec: string;
}

/** What is refused before a decoder sees it. Sides and pixels are those stored, before any shrinking. */
export interface Limits {
  /** Encoded bytes. */
  maxBytes?: number;
  /** Pixels of a sequential image. */
  maxPixels?: number;
  /** Pixels of a progressive JPEG or interlaced PNG, which a decoder must hold whole. */
  maxProgressivePixels?: number;
  /** Pixels times scans of a JPEG: each scan is a pass over all coefficients. */
  maxScanPixels?: number;
  /** Pixels on the shorter side. */
  minSide?: number;
  /** Pixels on the longer side. */
  maxSide?: number;
  /** Whole seconds after which libvips gives up, not counting the wait for a thread; 0 for no limit. */
  maxSeconds?: number;
  /** Bytes of a model with its weights. */
  maxModelBytes?: number;
  /** Operators of a model. */
  maxModelNodes?: number;
}

/** 40 megapixels are 120 MB of RGB: two decodes at once stay within a service of 512 MB. */
export const defaultLimits: Readonly<Required<Limits>> = {
  maxBytes: 32 * 1024 * 1024,
  maxPixels: 40_000_000,
  maxProgressivePixels: 24_000_000,
  maxScanPixels: 400_000_000,
  minSide: 16,
  maxSide: 16_384,
  maxSeconds: 10,
  maxModelBytes: 200 * 1024 * 1024,
  maxModelNodes: 20_000,
};

/**
 * The defaults with what was asked for; a key that is present but undefined must not lift its limit. A progressive image may
 * not have more pixels than a sequential one: the decoder would stop at the lower limit, and call the image damaged.
 */
export function boundsFrom(limits: Limits): Required<Limits> {
  const asked = Object.entries(limits).filter(([, value]) => value !== undefined);
  const bounds = { ...defaultLimits, ...Object.fromEntries(asked) };
  return { ...bounds, maxProgressivePixels: Math.min(bounds.maxProgressivePixels, bounds.maxPixels) };
}

/** @throws {StoplineError} IMAGE_TOO_LARGE, before anything of the bytes is read */
export function checkLength({ length }: Uint8Array, { maxBytes }: Required<Limits>): void {
  if (length <= maxBytes) return;
  throw new StoplineError('IMAGE_TOO_LARGE', `Expected at most ${maxBytes} bytes but received ${length}.`);
}

/** Memory of a frame that was released, for the next one of its size: fresh memory has to be cleared by the system, page by page. */
class KeptMemory {
  readonly #own = new WeakSet<ArrayBuffer>();
  #free: ArrayBuffer | undefined;

  /** What stands in it is left from before. */
  take(bytes: number): Uint8Array {
    const kept = this.#free?.byteLength === bytes ? this.#free : undefined;
    this.#free = undefined;
    const memory = kept ?? new ArrayBuffer(bytes);
    this.#own.add(memory);
    return new Uint8Array(memory);
  }

  /** Whether it came from here. Whoever still holds an array on it finds that empty. */
  give(buffer: ArrayBuffer): boolean {
    if (!this.#own.has(buffer)) return false;
    this.#free = buffer.transfer();
    return true;
  }
}

const keptMemory = new KeptMemory();

/** Memory for the pixels of a frame, to be given back by `release`; what stands in it is left from before. */
export function takeMemory(bytes: number): Uint8Array {
  return keptMemory.take(bytes);
}

/**
 * Gives back the memory of pixels or tensors that nobody else holds; the array is empty afterwards. They lie outside the
 * heap: left to the garbage collector they pile up, and each decode then starts on memory that the system has to clear
 * first, which is 2 of the 8 ms of a 1080p JPEG.
 */
export function release({ buffer, byteLength }: Uint8Array | Float32Array): void {
  // Small buffers may share memory with others.
  if (!(buffer instanceof ArrayBuffer) || byteLength !== buffer.byteLength) return;
  if (!keptMemory.give(buffer)) buffer.transfer(0);
}

/**
 * Checks a Frame that a caller decoded, before any kernel reads it.
 * @throws {StoplineError} FRAME_INVALID
 */
export function checkFrame(frame: Frame, limits: Limits = {}): void {
  const { minSide, maxSide, maxPixels } = boundsFrom(limits);
  const invalid = (what: string) => new StoplineError('FRAME_INVALID', `Expected ${what}.`);
  const { data, width, height, channels } = frame ?? {};
  if (!(data instanceof Uint8Array)) throw invalid(`frame.data to be a Uint8Array but received ${describeValue(data)}`);
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    throw invalid(`frame.channels to be 1, 3 or 4 but received ${describeValue(channels)}`);
  }
  for (const [name, side] of Object.entries({ width, height })) {
    if (!Number.isInteger(side) || side < minSide || side > maxSide) {
      const range = `an integer from ${minSide} to ${maxSide}`;
      throw invalid(`frame.${name} to be ${range} but received ${describeValue(side)}`);
    }
  }
  if (width * height > maxPixels) {
    throw invalid(`a frame of at most ${maxPixels} pixels but received ${width}x${height}`);
  }
  if (data.length !== width * height * channels) {
    throw invalid(
      `frame.data of width x height x channels = ${width * height * channels} bytes but received ${data.length}`,
    );
  }
}

function describeValue(value: unknown): string {
  return typeof value === 'number' ? String(value) : value === null ? 'null' : typeof value;
}

/** Crops keep to multiples of this, so that the grid of an earlier JPEG pass keeps its phase. */
const grid = 8;
const cropShare = { least: 0.55, most: 0.95 };
/** Larger crops cost time and teach nothing more. */
const maxCropPixels = 400_000;

/** A part of the frame, its size and place drawn from the seed. A frame of less than 128 pixels a side is left whole. */
export function cropFrame(frame: Frame, seed: number): Frame {
  const { width, height } = frame;
  if (Math.min(width, height) < 16 * grid) return frame;
  let state = seed >>> 0;
  const random = () => {
    // splitmix32: one draw per call, good enough to place a rectangle.
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
  const shrink = Math.min(1, Math.sqrt(maxCropPixels / (width * height * cropShare.most ** 2)));
  const side = (length: number) =>
    Math.max(
      8,
      Math.floor(((cropShare.least + (cropShare.most - cropShare.least) * random()) * shrink * length) / grid),
    ) * grid;
  const size = { width: side(width), height: side(height) };
  const place = (length: number, part: number) =>
    Math.floor(random() * (Math.floor((length - part) / grid) + 1)) * grid;
  const left = place(width, size.width);
  const top = place(height, size.height);
  return cutFrame(frame, { left, top, ...size });
}

/** Copies a rectangle out of a frame. */
export function cutFrame(
  frame: Frame,
  { left, top, width, height }: { left: number; top: number; width: number; height: number },
): Frame {
  const { channels } = frame;
  const stride = width * channels;
  const data = new Uint8Array(stride * height);
  for (let row = 0; row < height; row++) {
    const from = ((top + row) * frame.width + left) * channels;
    data.set(frame.data.subarray(from, from + stride), row * stride);
  }
  return { data, width, height, channels };
}
