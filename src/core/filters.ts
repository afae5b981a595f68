import { openWorkspace, type Workspace } from './workspace.ts';

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

/** An image of floats in a workspace: interleaved, of one channel or three. */
export interface PlacedImage {
  at: number;
  width: number;
  height: number;
  channels: number;
}

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

/** Three passes of an extended box along rows and three down columns, in place; edges repeat. */
export function blurPlaced(
  space: Workspace,
  { at, width, height, channels }: PlacedImage,
  { radius, edge, scale }: ExtendedBox,
): void {
  space.scratch(() => {
    const scratch = space.reserve(4 * width * channels * (height + 1));
    space.kernels.stopline_blur(at, width, height, channels, radius, edge, scale, scratch);
  });
}

/**
 * `blurPlaced` of a copy.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function blurBoxes({ data, width, height, channels }: FloatImage, box: ExtendedBox): Float32Array {
  const space = openWorkspace();
  const at = space.write(data);
  blurPlaced(space, { at, width, height, channels }, box);
  return space.readFloats(at, data.length);
}

/**
 * `blurPlaced` of pixels, rounded and clipped.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function blurBytes({ data, width, height }: BytesImage, box: ExtendedBox): Uint8Array<ArrayBuffer> {
  const space = openWorkspace();
  const at = space.writeFloats(data);
  blurPlaced(space, { at, width, height, channels: 3 }, box);
  return space.readRounded(at, data.length);
}

/**
 * The weighted sum of shifted copies.
 * @param rows.at where in `source` the first row begins; what the taps reach has to lie inside it
 * @returns where its `samples` x `height` floats are
 */
export function addShiftedPlaced(
  space: Workspace,
  source: Float32Array,
  rows: { at: number; stride: number; samples: number; height: number },
  taps: readonly Tap[],
): number {
  const { at, stride, samples, height } = rows;
  const image = space.write(source);
  const offsets = space.write(Int32Array.from(taps, ({ offset }) => offset));
  const weights = space.write(Float32Array.from(taps, ({ weight }) => weight));
  const out = space.reserve(4 * samples * height);
  space.kernels.stopline_trail(image + at * 4, stride, samples, height, offsets, weights, taps.length, out);
  return out;
}

/**
 * The mean of three channels over a disk around each pixel; edges repeat.
 * @param pixels where the bytes are
 * @param halves how far each row of the disk reaches, from its middle on: radius + 1 of them
 * @returns where the floats are
 */
export function averageDiskPlaced(
  space: Workspace,
  pixels: number,
  { width, height }: Pick<FloatImage, 'width' | 'height'>,
  halves: Int32Array,
): number {
  const radius = halves.length - 1;
  const sums = space.reserve(12 * (width + 2 * radius + 1) * height);
  space.kernels.stopline_prefix(pixels, width, height, radius, sums);
  const reach = space.write(halves);
  const line = space.reserve(12 * width);
  const out = space.reserve(12 * width * height);
  space.kernels.stopline_disk(sums, width, height, radius, reach, line, out);
  return out;
}

/** Separable bilinear resampling. */
export function resamplePlaced(
  space: Workspace,
  image: PlacedImage,
  columns: AxisSamples,
  rows: AxisSamples,
): PlacedImage {
  const { channels } = image;
  const [width, height] = [columns.from.length, rows.from.length];
  const axes = [columns.from, columns.share, rows.from, rows.share].map((values) => space.write(values));
  const line = space.reserve(4 * image.width * channels);
  const at = space.reserve(4 * width * height * channels);
  const [acrossFrom, acrossShare, downFrom, downShare] = axes;
  space.kernels.stopline_resample(
    ...([image.at, image.width, image.height, channels, width, height] as const),
    ...([acrossFrom, acrossShare, downFrom, downShare, line, at] as const),
  );
  return { at, width, height, channels };
}

/**
 * What JPEG leaves of interleaved RGB: to the bit what libjpeg (libjpeg-turbo, mozjpeg) decodes from what it encoded, with its accurate
 * DCT and its smooth enlargement of colours. Without the file between, which loses nothing and takes most of the time.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function passThroughJpeg(
  { data, width, height }: BytesImage,
  { tables, isHalved }: JpegLoss,
): Uint8Array<ArrayBuffer> {
  const space = openWorkspace();
  const steps = space.write(tables);
  const pixels = space.write(data);
  const scratch = space.reserve(space.kernels.stopline_jpeg_scratch(width, height));
  space.kernels.stopline_jpeg(pixels, width, height, steps, isHalved ? 1 : 0, scratch);
  return space.readBytes(pixels, data.length);
}
