import { StoplineError } from '../../errors.ts';
import type { Frame } from '../../image/frame.ts';
import type { TensorOptions } from '../../settings.ts';

/** More images than this in one request are refused: each is judged by itself. */
export const maxImages = 256;

export interface Sizes {
  images: number;
  width: number;
  height: number;
  channels: 1 | 3 | 4;
  layout: 'NHWC' | 'NCHW';
}

/** What the shape of a tensor says if it is that of images, with or without a batch; undefined if it is not. */
export function readSizes(shape: readonly number[], options: TensorOptions = {}): Sizes | undefined {
  if (shape.length !== 3 && shape.length !== 4) return undefined;
  const [images, ...image] = shape.length === 4 ? shape : [1, ...shape];
  const isChannels = (side: number): side is 1 | 3 | 4 => side === 1 || side === 3 || side === 4;
  const layout = options.layout ?? (isChannels(image[2]) ? 'NHWC' : 'NCHW');
  const [height, width, channels] = layout === 'NHWC' ? image : [image[1], image[2], image[0]];
  return isChannels(channels) ? { images, width, height, channels, layout } : undefined;
}

/**
 * The pixels of every image of a tensor.
 * @param data one number for each element, in the order of the shape
 * @param isNormalised whether a preprocessing has to be undone
 * @throws {StoplineError} REQUEST_INVALID where numbers and shape do not fit together
 */
export function makeFrames(
  data: ArrayLike<number>,
  sizes: Sizes,
  options: TensorOptions = {},
  isNormalised = false,
): Frame[] {
  const { images, width, height, channels, layout } = sizes;
  const pixels = width * height;
  if (data.length !== images * pixels * channels) {
    throw new StoplineError(
      'REQUEST_INVALID',
      `Expected ${images * pixels * channels} numbers for a tensor of ${images} images of ${width}x${height}x${channels} but received ${data.length}.`,
    );
  }
  if (!isNormalised && layout === 'NHWC' && options.order !== 'BGR' && data instanceof Uint8Array) {
    const size = pixels * channels;
    return Array.from({ length: images }, (_, i) => frame(data.subarray(i * size, (i + 1) * size), sizes));
  }
  const { scale = 1 / 255, mean = [0], deviation = [1] } = options;
  const from = options.order === 'BGR' && channels >= 3 ? [2, 1, 0, 3] : [0, 1, 2, 3];
  return Array.from({ length: images }, (_, image) => {
    const out = new Uint8Array(pixels * channels);
    const start = image * pixels * channels;
    for (let channel = 0; channel < channels; channel++) {
      const source = from[channel];
      const centre = mean[mean.length === 1 ? 0 : source] ?? 0;
      const spread = deviation[deviation.length === 1 ? 0 : source] ?? 1;
      for (let pixel = 0; pixel < pixels; pixel++) {
        const value = data[start + (layout === 'NHWC' ? pixel * channels + source : source * pixels + pixel)];
        const byte = isNormalised ? Math.round((value * spread + centre) / scale) : value;
        out[pixel * channels + channel] = Math.min(Math.max(byte, 0), 255);
      }
    }
    return frame(out, sizes);
  });
}

function frame(data: Uint8Array, { width, height, channels }: Sizes): Frame {
  return { data, width, height, channels };
}

/** Numbers of nested or flat JSON arrays, in order; not deeper than a tensor can be. */
export function flatten(data: unknown, length: number, depth = 0): number[] {
  if (!Array.isArray(data) || depth > 8) throw invalid('an array of numbers as the data of the tensor');
  if (!Array.isArray(data[0])) {
    if (data.length > length) throw invalid(`at most ${length} numbers as the data of the tensor`);
    if (!data.every((value) => typeof value === 'number')) throw invalid('numbers as the data of the tensor');
    return data;
  }
  const flat: number[] = [];
  for (const row of data) {
    for (const value of flatten(row, length, depth + 1)) flat.push(value);
    if (flat.length > length) throw invalid(`at most ${length} numbers as the data of the tensor`);
  }
  return flat;
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
