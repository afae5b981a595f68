import type { Container } from './container/container.ts';
import { statistics } from './statistics/statistics.ts';

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
  for (let position = 0; position < statistics.length; position++) {
    const { name, resolution } = statistics[position];
    const value = values[position];
    const constant = constants[name];
    if (constant === undefined || Number.isNaN(value)) continue;
    properties[name] = String(Math.abs(value - constant) < resolution ? constant : value);
  }
  return properties;
}
