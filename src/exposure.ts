import type { Container } from './container.ts';
import type { Core } from './core/index.ts';
import { corrupt, type Severity } from './corruptions.ts';
import { decode, type Frame, type Limits } from './decode.ts';
import type { Embedder } from './embedding/index.ts';
import { encodeLike } from './encode.ts';
import { type MeasuredImage, measureBytes } from './measure.ts';
import { measure } from './statistics.ts';

/** One way to look at a reference image again: a part of it, a simulated cause, or both. */
export interface Exposure {
  /** A name in the table of corruptions; none leaves the picture clean. */
  cause?: string;
  severity: Severity;
  seed: number;
  /** Take a random part of the frame first: other content, same camera. */
  crop: boolean;
}

/** An image as an exposure shows it. */
export interface ExposedImage extends MeasuredImage {
  /** What the classifier answers to a whole frame; absent without one. */
  classScores?: Float32Array;
}

/** Crops keep to multiples of this, so that the grid of an earlier JPEG pass keeps its phase. */
const grid = 8;
const share = { least: 0.55, most: 0.95 };
/** Larger crops cost time and teach nothing more. */
const maxCropPixels = 400_000;

/**
 * Measures one image under exposures, each encoded again the way the image was: what a camera with the same encoder would
 * have delivered. The pixels are the exposed ones; whatever only the file says is the original's, because the exposed file
 * is our encoder's doing. However large the image, causes are simulated on the frame as it is inspected, which has at most
 * `inspectionPixels`.
 * @throws {StoplineError} IMAGE_*, OPTION_INVALID, MODEL_FAILED, MODEL_UNSUPPORTED
 */
export async function measureExposures(
  core: Core,
  bytes: Uint8Array,
  exposures: readonly Exposure[],
  limits?: Limits,
  { embedder, classifier }: { embedder?: Embedder; classifier?: Embedder } = {},
): Promise<ExposedImage[]> {
  // Our own files: no time limit, which a busy machine would exceed at random.
  const unhurried = { ...limits, maxSeconds: 0 };
  const original = await measureBytes(core, bytes, unhurried);
  const { frame, container } = await decode(bytes, unhurried);
  // A large image is shrunk before it is looked at, and the traces of its encoder with it: at the size at which causes are
  // simulated, a lossless file is what keeps the pixels like those of the reference.
  const isShrunk = frame.width * frame.height < container.width * container.height;
  const encoder: Container = isShrunk ? { ...container, format: 'png' } : container;
  const measured: ExposedImage[] = [];
  for (const { cause, severity, seed, crop } of exposures) {
    const part = crop ? cropFrame(frame, seed) : frame;
    const changed = cause === undefined ? part : await corrupt(part, cause, severity, seed);
    const encoded = await decode(await encodeLike(changed, encoder), unhurried);
    const vector = measure(core, encoded.frame, container);
    // A part of a frame is nothing that the networks are given.
    const [embedding] = crop ? [] : ((await embedder?.embed([encoded.frame])) ?? []);
    const [classScores] = crop ? [] : ((await classifier?.classify([encoded.frame])) ?? []);
    const of = { ...(embedding && { embedding }), ...(classScores && { classScores }) };
    measured.push({ ...original, statistics: vector, ...of });
  }
  return measured;
}

/** A part of the frame, its size and place drawn from the seed. A frame of less than 128 pixels a side is left whole. */
export function cropFrame(frame: Frame, seed: number): Frame {
  const { width, height, channels } = frame;
  if (Math.min(width, height) < 16 * grid) return frame;
  let state = seed >>> 0;
  const random = () => {
    // splitmix32: one draw per call, good enough to place a rectangle.
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
  const shrink = Math.min(1, Math.sqrt(maxCropPixels / (width * height * share.most ** 2)));
  const side = (length: number) =>
    Math.max(8, Math.floor(((share.least + (share.most - share.least) * random()) * shrink * length) / grid)) * grid;
  const size = { width: side(width), height: side(height) };
  const place = (length: number, part: number) =>
    Math.floor(random() * (Math.floor((length - part) / grid) + 1)) * grid;
  const left = place(width, size.width);
  const top = place(height, size.height);
  const data = new Uint8Array(size.width * size.height * channels);
  const stride = size.width * channels;
  for (let row = 0; row < size.height; row++) {
    const from = ((top + row) * width + left) * channels;
    data.set(frame.data.subarray(from, from + stride), row * stride);
  }
  return { data, ...size, channels };
}
