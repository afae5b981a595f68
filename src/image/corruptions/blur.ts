import { addShiftedPlaced, averageDiskPlaced } from '../../core/filters.ts';
import { openWorkspace, type Workspace } from '../../core/workspace.ts';
import { blurInPlace, blurPixels, type Pixels, type Plane, placePixels, readPixels, resample } from './filter.ts';
import type { Random } from './random.ts';

/** ImageNet-C `gaussian_blur`: sigma in pixels. */
const gaussianSigma = [1, 2, 3, 4, 6] as const;
/** ImageNet-C `defocus_blur`: radius of the circle of confusion and sigma of its anti-aliasing, in pixels. */
const defocus = [
  [3, 0.1],
  [4, 0.5],
  [6, 0.5],
  [8, 0.5],
  [10, 0.5],
] as const;
/** ImageNet-C `motion_blur`: radius of the kernel (it has 2r + 1 taps on one side) and sigma of its weights, in pixels. */
const motion = [
  [10, 3],
  [15, 5],
  [15, 8],
  [15, 12],
  [20, 15],
] as const;
/** ImageNet-C `zoom_blur`: largest zoom factor during the exposure. */
const zoomLimit = [1.11, 1.16, 1.21, 1.26, 1.31] as const;
/** ImageNet-C `glass_blur`: sigma, largest displacement in pixels, rounds. */
const glass = [
  [0.7, 1, 2],
  [0.9, 2, 1],
  [1, 2, 3],
  [1.1, 3, 2],
  [1.5, 4, 2],
] as const;

export function gaussianBlur(pixels: Pixels, severity: number): Uint8Array {
  return blurPixels(pixels, gaussianSigma[severity - 1]);
}

/** A disk, row by row: each row of the disk is one difference of prefix sums. */
export function defocusBlur({ data, width, height }: Pixels, severity: number): Uint8Array {
  const [radius, alias] = defocus[severity - 1];
  const halves = Int32Array.from({ length: radius + 1 }, (_, k) => Math.floor(Math.sqrt(radius ** 2 - k ** 2)));
  const space = openWorkspace();
  const at = averageDiskPlaced(space, space.write(data), { width, height }, halves);
  const image = { at, width, height, channels: 3 };
  if (alias >= 0.3) blurInPlace(space, image, alias);
  return readPixels(space, image);
}

/**
 * A one-sided half-gaussian trail along a random direction. ImageNet-C draws the angle from -45..45 degrees; a camera can
 * shake in any direction, so here it is any angle.
 */
export function motionBlur({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const [radius, sigma] = motion[severity - 1];
  const angle = random.uniform(0, 2 * Math.PI);
  const space = openWorkspace();
  const image = { data: new Float32Array(data), width, height, channels: 3 };
  const at = trail(space, image, { angle, length: 2 * radius + 1, sigma });
  return readPixels(space, { ...image, at });
}

/** Copies an image into the middle of a larger one; the margin of `pad` pixels repeats the edge. */
function padded(data: Float32Array, width: number, height: number, channels: number, pad: number): Float32Array {
  const stride = (width + 2 * pad) * channels;
  const out = new Float32Array(stride * (height + 2 * pad));
  for (let y = 0; y < height + 2 * pad; y++) {
    const from = Math.min(height - 1, Math.max(0, y - pad)) * width * channels;
    const to = y * stride;
    const inner = to + pad * channels;
    out.set(data.subarray(from, from + width * channels), inner);
    const last = inner + (width - 1) * channels;
    for (let i = 0; i < pad * channels; i++) {
      out[to + i] = out[inner + (i % channels)];
      out[last + channels + i] = out[last + (i % channels)];
    }
  }
  return out;
}

/**
 * Weighted sum of copies shifted by 0, 1, ... `length` - 1 pixels along `angle`; edges replicate.
 * @returns where its floats are
 */
export function trail(
  space: Workspace,
  { data, width, height, channels }: Plane,
  { angle, length, sigma }: { angle: number; length: number; sigma: number },
): number {
  const weights = Array.from({ length }, (_, i) => Math.exp(-(i * i) / (2 * sigma * sigma))).filter((w) => w > 1e-3);
  const total = weights.reduce((sum, w) => sum + w, 0);
  const pad = weights.length;
  const source = padded(data, width, height, channels, pad);
  const stride = (width + 2 * pad) * channels;
  const taps = weights.map((weight, k) => ({
    weight: weight / total,
    offset: Math.round(k * Math.sin(angle)) * stride + Math.round(k * Math.cos(angle)) * channels,
  }));
  const rows = { at: pad * (stride + channels), stride, samples: width * channels, height };
  return addShiftedPlaced(space, source, rows, taps);
}

/**
 * Mean of the frame at zoom factors 1 to the limit. ImageNet-C averages 11 to 16 evenly spaced copies; here four rounds of
 * "average with an enlarged copy of yourself" give 16 geometrically spaced ones at a quarter of the cost.
 */
export function zoomBlur(pixels: Pixels, severity: number): Uint8Array {
  const { width, height } = pixels;
  const step = zoomLimit[severity - 1] ** (1 / 15);
  const space = openWorkspace();
  const image = placePixels(space, pixels);
  for (let round = 0; round < 4; round++) {
    const zoom = step ** (2 ** round);
    const cx = (width - 1) / 2;
    const cy = (height - 1) / 2;
    space.scratch(() => {
      const larger = resample(
        space,
        image,
        [width, height],
        (x) => cx + (x - cx) / zoom,
        (y) => cy + (y - cy) / zoom,
      );
      space.kernels.stopline_average(image.at, pixels.data.length, larger.at);
    });
  }
  return readPixels(space, image);
}

/** Blur, swap every pixel with a random neighbour, blur again: rippled glass. */
export function glassBlur(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const [sigma, delta, rounds] = glass[severity - 1];
  const space = openWorkspace();
  const image = placePixels(space, pixels);
  blurInPlace(space, image, sigma);
  for (let round = 0; round < rounds; round++) {
    // ImageNet-C draws from -delta..delta - 1.
    const words = random.placeWords(space, width * height);
    space.kernels.stopline_shuffle(image.at, width, height, delta, words);
  }
  blurInPlace(space, image, sigma);
  return readPixels(space, image);
}
