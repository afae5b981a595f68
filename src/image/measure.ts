import { createHash } from 'node:crypto';
import type { Core } from '../core/core.ts';
import type { Container } from './container/container.ts';
import { decode } from './decode.ts';
import type { Embedder } from './embedding/embedder.ts';
import { checkFrame, type ExtractedFrame, type Frame, type Limits, release } from './frame.ts';
import { differenceHash } from './hash.ts';
import { measurePlaces } from './places.ts';
import { measureStatistics, measureVideoFrame, statistics } from './statistics/statistics.ts';

/** Everything known of one image before it is compared with a Profile. */
export interface MeasuredImage {
  /** In the order of the statistics table. */
  statistics: Float64Array;
  /** What a network says of it; absent without one. */
  embedding?: Float32Array | undefined;
  /** What every tile looks like: `measurePlaces`. */
  places: Float32Array;
  /** Absent when the caller decoded the image, and for a frame that Stopline took out of a video. */
  container?: Container;
  /** The codec of the video that the frame was taken from. */
  codec?: string;
  /** Size of the decoded image in pixels, orientation applied, before any shrinking. */
  width: number;
  height: number;
  bytes: number;
  sha256: string;
  /** Difference hash of the pixels. */
  hash: string;
  timingMs: { decode: number; statistics: number; embedding?: number };
}

/**
 * Encoded bytes to statistics, and to an embedding where there is an embedder.
 * @throws {StoplineError} IMAGE_*, MODEL_FAILED
 */
export async function measureBytes(
  core: Core,
  source: Uint8Array | ExtractedFrame,
  limits?: Limits,
  embedder?: Embedder,
): Promise<MeasuredImage> {
  const { frame, ...image } = await measurePixels(core, source, limits, embedder);
  release(frame.data);
  return image;
}

/**
 * The same, with the pixels for whoever wants to look closer, and then releases them.
 * @throws {StoplineError} IMAGE_*, MODEL_FAILED
 */
export async function measurePixels(
  core: Core,
  source: Uint8Array | ExtractedFrame,
  limits?: Limits,
  embedder?: Embedder,
): Promise<MeasuredImage & { frame: Frame }> {
  const started = performance.now();
  const isFile = source instanceof Uint8Array;
  const { frame, container } = await decode(isFile ? source : source.bytes, limits);
  const decoded = performance.now();
  const vector = isFile ? measureStatistics(core, frame, container) : measureVideoFrame(core, frame);
  const places = measurePlaces(frame);
  const measured = performance.now();
  const embedded = await embed(embedder, frame);
  const turned = container.orientation >= 5;
  return {
    frame,
    statistics: vector,
    places,
    ...embedded?.row,
    ...(isFile ? { container } : { codec: source.codec }),
    width: turned ? container.height : container.width,
    height: turned ? container.width : container.height,
    bytes: isFile ? source.length : frame.data.length,
    sha256: createHash('sha256')
      .update(isFile ? source : frame.data)
      .digest('hex'),
    hash: differenceHash(frame),
    timingMs: { decode: decoded - started, statistics: measured - decoded, ...embedded?.time },
  };
}

async function embed(embedder: Embedder | undefined, frame: Frame) {
  if (!embedder) return undefined;
  const started = performance.now();
  const [embedding] = await embedder.embed([frame]);
  return { row: { embedding }, time: { embedding: performance.now() - started } };
}

/**
 * A frame that the caller has decoded, by the same rule as `decode`, to statistics.
 * @throws {StoplineError} FRAME_INVALID, MODEL_FAILED
 */
export async function measureFrame(core: Core, frame: Frame, embedder?: Embedder): Promise<MeasuredImage> {
  checkFrame(frame);
  const started = performance.now();
  const vector = measureStatistics(core, frame);
  const places = measurePlaces(frame);
  const measured = performance.now();
  const embedded = await embed(embedder, frame);
  return {
    statistics: vector,
    places,
    ...embedded?.row,
    width: frame.width,
    height: frame.height,
    bytes: frame.data.length,
    sha256: createHash('sha256').update(frame.data).digest('hex'),
    hash: differenceHash(frame),
    timingMs: { decode: 0, statistics: measured - started, ...embedded?.time },
  };
}

/** The properties that never reach the pixels: a value never seen is a remark and no evidence. */
export const remarkedProperties: ReadonlySet<string> = new Set(['wrapping']);

/**
 * The properties of an image that are names rather than amounts. A value never seen in the reference is evidence by
 * itself: another camera, another encoder, another setting.
 */
export function categoricalProperties(
  image: MeasuredImage,
  constants: Readonly<Record<string, number>> = {},
): Record<string, string> {
  const properties: Record<string, string> = { size: `${image.width}x${image.height}` };
  if (image.container) {
    const { format, fingerprint: encoder, wrapping, colour, bitDepth, orientation } = image.container;
    Object.assign(properties, { format, encoder, colour, bitDepth: `${bitDepth}`, orientation: `${orientation}` });
    properties.wrapping = wrapping.join(', ');
  }
  if (image.codec !== undefined) properties.codec = image.codec;
  return { ...properties, ...constantProperties(image.statistics, constants) };
}

/** The statistics that never varied in a reference, where they apply: another value is evidence by itself. */
export function constantProperties(
  values: Float64Array,
  constants: Readonly<Record<string, number>>,
): Record<string, string> {
  const properties: Record<string, string> = {};
  for (const [position, { name, resolution }] of statistics.entries()) {
    const value = values[position];
    const constant = constants[name];
    if (constant === undefined || Number.isNaN(value)) continue;
    properties[name] = String(Math.abs(value - constant) < resolution ? constant : value);
  }
  return properties;
}
