import {
  type AxisSamples,
  blurBoxes,
  blurBytes,
  blurPlaced,
  type ExtendedBox,
  type FloatImage,
  type PlacedImage,
  resamplePlaced,
} from '../../core/filters.ts';
import { openWorkspace, type Workspace } from '../../core/workspace.ts';

/** One channel for masks, three for pixels. */
export type Plane = FloatImage;

/** What every cause receives: three interleaved 8-bit channels. */
export interface Pixels {
  data: Uint8Array;
  width: number;
  height: number;
}

export const plane = (width: number, height: number, channels = 1): Plane => ({
  data: new Float32Array(width * height * channels),
  width,
  height,
  channels,
});

/** Pixels as floats. */
export function placePixels(space: Workspace, { data, width, height }: Pixels): PlacedImage {
  return { at: space.writeFloats(data), width, height, channels: 3 };
}

/** What a cause made of pixels in a workspace, rounded and clipped. */
export function readPixels(space: Workspace, { at, width, height, channels }: PlacedImage): Uint8Array {
  return space.readRounded(at, width * height * channels);
}

/** Rounds and clips to 0..255. */
export function toBytes(values: Float32Array): Uint8Array {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const v = values[i] + 0.5;
    out[i] = v <= 0 ? 0 : Math.min(v, 255);
  }
  return out;
}

/** Each channel through its own 256-entry table. */
export function mapChannels(data: Uint8Array, tables: readonly [Uint8Array, Uint8Array, Uint8Array]): Uint8Array {
  const [red, green, blue] = tables;
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    out[i] = red[data[i]];
    out[i + 1] = green[data[i + 1]];
    out[i + 2] = blue[data[i + 2]];
  }
  return out;
}

/** Tabulates a function of 0..255, rounded and clipped. */
export function table(f: (v: number) => number): Uint8Array {
  return toBytes(Float32Array.from({ length: 256 }, (_, v) => f(v)));
}

/** 8-bit sRGB to linear light in 0..1 (IEC 61966-2-1). */
export const linearLight: Float32Array = Float32Array.from({ length: 256 }, (_, v) =>
  v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4,
);

/** Linear light in 0..1 back to sRGB in 0..255; clips. */
export function encodeLight(x: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 255;
  return 255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);
}

/**
 * Gaussian blur as three extended boxes, whose variance is exact for every sigma (Gwosdek et al. 2011, "Theoretical
 * foundations of Gaussian convolution by extended box filtering"); cost does not grow with sigma. Edges replicate.
 */
export function gaussianBlur(image: Plane, sigma: number): Plane {
  return sigma <= 0 ? image : { ...image, data: blurBoxes(image, findBox(sigma)) };
}

/** The same in place. */
export function blurInPlace(space: Workspace, image: PlacedImage, sigma: number): void {
  if (sigma > 0) blurPlaced(space, image, findBox(sigma));
}

/** The same of pixels, rounded and clipped. */
export function blurPixels(pixels: Pixels, sigma: number): Uint8Array {
  return blurBytes(pixels, findBox(sigma));
}

/** @param sigma above 0 */
function findBox(sigma: number): ExtendedBox {
  const variance = (sigma * sigma) / 3;
  const radius = Math.floor((Math.sqrt(12 * variance + 1) - 1) / 2);
  const size = 2 * radius + 1;
  const edge = (size * (radius * (radius + 1) - 3 * variance)) / (6 * (variance - (radius + 1) ** 2));
  return { radius, edge, scale: 1 / (size + 2 * edge) };
}

/** Bilinear sample positions along one axis, inside it. */
function placeSamples(count: number, limit: number, position: (i: number) => number): AxisSamples {
  const from = new Int32Array(count);
  const share = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const p = Math.min(limit - 1, Math.max(0, position(i)));
    const left = Math.min(Math.floor(p), Math.max(0, limit - 2));
    from[i] = left;
    share[i] = limit > 1 ? p - left : 0;
  }
  return { from, share };
}

/** Separable bilinear resampling; `x(i)` and `y(i)` give the source position of target column and row `i` (clamped). */
export function resample(
  space: Workspace,
  image: PlacedImage,
  [width, height]: readonly [number, number],
  x: (i: number) => number,
  y: (i: number) => number,
): PlacedImage {
  return resamplePlaced(space, image, placeSamples(width, image.width, x), placeSamples(height, image.height, y));
}

/** Resizes with pixel centres aligned. */
export function resize(space: Workspace, image: PlacedImage, width: number, height: number): PlacedImage {
  const sx = image.width / width;
  const sy = image.height / height;
  return resample(
    space,
    image,
    [width, height],
    (i) => (i + 0.5) * sx - 0.5,
    (i) => (i + 0.5) * sy - 0.5,
  );
}

/** The same of pixels, rounded and clipped. */
export function resizePixels(pixels: Pixels, width: number, height: number): Uint8Array {
  const space = openWorkspace();
  return readPixels(space, resize(space, placePixels(space, pixels), width, height));
}

/** Reflects a coordinate into 0..limit-1 without repeating the edge. */
export function reflect(value: number, limit: number): number {
  if (limit === 1) return 0;
  const period = 2 * (limit - 1);
  const v = Math.abs(value) % period;
  return v < limit ? v : period - v;
}

/** Where the source of every pixel lies: the sum of what its column and its row say, and of planes that move it further. */
export interface Warping {
  columns: { x: Float64Array; y: Float64Array };
  rows: { x: Float64Array; y: Float64Array };
  /** Two planes in the workspace. */
  moved?: { x: number; y: number };
}

/** Bilinear warp; positions outside are mirrored. */
export function warp(
  { data, width, height }: Pixels,
  { columns, rows, moved }: Warping,
  space: Workspace = openWorkspace(),
): Uint8Array {
  const sources = [columns.x, columns.y, rows.x, rows.y].map((values) => space.write(values));
  const [columnsX, columnsY, rowsX, rowsY] = sources;
  const pixels = space.write(data);
  const out = space.reserve(data.length);
  space.kernels.stopline_warp(
    ...([pixels, width, height, columnsX, columnsY, rowsX, rowsY] as const),
    ...([moved?.x ?? 0, moved?.y ?? 0, out] as const),
  );
  return space.readBytes(out, data.length);
}
