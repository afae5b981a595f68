import type { PlacedImage } from '../../core/filters.ts';
import type { Workspace } from '../../core/workspace.ts';
import { type Pixels, resize } from './filter.ts';
import type { Random } from './random.ts';

/**
 * Cloud-like noise in 0..1: octaves of bilinearly enlarged white noise, each `decay` times weaker than the one before
 * (the spectrum of ImageNet-C's diamond-square plasma, but for any frame size).
 */
export function plasma(
  space: Workspace,
  { width, height }: Pick<Pixels, 'width' | 'height'>,
  { decay, random, firstCells = 2 }: { decay: number; random: Random; firstCells?: number },
): PlacedImage {
  const at = space.zeros(width * height);
  const longest = Math.max(width, height);
  let amplitude = 1;
  for (let cells = firstCells; cells < longest / 2 && amplitude > 0.02; cells *= 2, amplitude /= decay) {
    const w = Math.max(2, Math.ceil((cells * width) / longest) + 1);
    const h = Math.max(2, Math.ceil((cells * height) / longest) + 1);
    space.scratch(() => {
      const grid = { at: random.placeNormals(space, w * h, 0, 1), width: w, height: h, channels: 1 };
      const layer = resize(space, grid, width, height);
      space.kernels.stopline_add_scaled(at, width * height, layer.at, amplitude);
    });
  }
  space.kernels.stopline_spread(at, width * height);
  return { at, width, height, channels: 1 };
}

/** Draws a soft line of `alpha` into a mask (maximum, not sum); its width tapers from `radius` to `radiusEnd` pixels. */
export function drawLine(
  space: Workspace,
  { at, width, height }: PlacedImage,
  [x0, y0, x1, y1]: readonly [x0: number, y0: number, x1: number, y1: number],
  { radius, alpha, radiusEnd }: { radius: number; alpha: number; radiusEnd: number },
): void {
  space.kernels.stopline_line(at, width, height, x0, y0, x1, y1, radius, alpha, radiusEnd);
}

/** Hermite step from 0 at `low` to 1 at `high`. */
export function smoothstep(low: number, high: number, v: number): number {
  const t = Math.min(1, Math.max(0, (v - low) / (high - low)));
  return t * t * (3 - 2 * t);
}

/** `frame * (1 - mask) + colour * mask`, with a mask in the workspace of one channel in 0..1. */
export function blend(
  space: Workspace,
  data: Uint8Array,
  mask: number,
  [red, green, blue]: readonly [number, number, number],
): Uint8Array {
  const at = space.write(data);
  space.kernels.stopline_blend(at, data.length / 3, mask, red, green, blue);
  return space.readBytes(at, data.length);
}
