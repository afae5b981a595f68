import { type Plane, plane, resize } from './filter.ts';
import type { Random } from './random.ts';

/**
 * Cloud-like noise in 0..1: octaves of bilinearly enlarged white noise, each `decay` times weaker than the one before
 * (the spectrum of ImageNet-C's diamond-square plasma, but for any frame size).
 */
export function plasma(width: number, height: number, decay: number, random: Random, firstCells = 2): Plane {
  const out = plane(width, height);
  const { data } = out;
  const longest = Math.max(width, height);
  let amplitude = 1;
  for (let cells = firstCells; cells < longest / 2 && amplitude > 0.02; cells *= 2, amplitude /= decay) {
    const w = Math.max(2, Math.ceil((cells * width) / longest) + 1);
    const h = Math.max(2, Math.ceil((cells * height) / longest) + 1);
    const grid: Plane = { data: random.normals(w * h), width: w, height: h, channels: 1 };
    const layer = resize(grid, width, height).data;
    const weight = amplitude;
    for (let i = 0; i < data.length; i++) data[i] += weight * layer[i];
  }
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < data.length; i++) {
    const v = data[i];
    if (v < low) low = v;
    if (v > high) high = v;
  }
  const scale = high > low ? 1 / (high - low) : 0;
  for (let i = 0; i < data.length; i++) data[i] = (data[i] - low) * scale;
  return out;
}

/** Draws a soft line of `alpha` into a mask (maximum, not sum); its width tapers from `radius` to `radiusEnd` pixels. */
export function drawLine(
  mask: Plane,
  x0: number,
  y0: number,
  x1: number,
  y1: number,
  radius: number,
  alpha: number,
  radiusEnd = radius,
): void {
  const { data, width, height } = mask;
  const dx = x1 - x0;
  const dy = y1 - y0;
  const length2 = dx * dx + dy * dy || 1e-6;
  const reach = Math.max(radius, radiusEnd) + 1;
  const top = Math.max(0, Math.floor(Math.min(y0, y1) - reach));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(y0, y1) + reach));
  const steep = Math.abs(dy) > 1e-6;
  const extent = steep ? (reach * Math.sqrt(length2)) / Math.abs(dy) : Number.POSITIVE_INFINITY;
  const lowest = Math.min(x0, x1) - reach;
  const highest = Math.max(x0, x1) + reach;
  for (let y = top; y <= bottom; y++) {
    const centre = steep ? x0 + (dx * (y - y0)) / dy : x0;
    const left = Math.max(0, Math.floor(Math.max(lowest, centre - extent)));
    const right = Math.min(width - 1, Math.ceil(Math.min(highest, centre + extent)));
    for (let x = left; x <= right; x++) {
      let t = ((x - x0) * dx + (y - y0) * dy) / length2;
      t = t < 0 ? 0 : Math.min(t, 1);
      const ex = x - x0 - t * dx;
      const ey = y - y0 - t * dy;
      const distance = Math.sqrt(ex * ex + ey * ey);
      const cover = radius + t * (radiusEnd - radius) + 0.5 - distance;
      if (cover <= 0) continue;
      const value = alpha * Math.min(1, cover);
      const i = y * width + x;
      if (value > data[i]) data[i] = value;
    }
  }
}

/** Hermite step from 0 at `low` to 1 at `high`. */
export function smoothstep(low: number, high: number, v: number): number {
  const t = Math.min(1, Math.max(0, (v - low) / (high - low)));
  return t * t * (3 - 2 * t);
}

/** `frame * (1 - mask) + colour * mask`, mask of one channel in 0..1. */
export function blend(data: Uint8Array, mask: Float32Array, colour: readonly [number, number, number]): Uint8Array {
  const out = new Uint8Array(data.length);
  const [red, green, blue] = colour;
  for (let p = 0, i = 0; p < mask.length; p++, i += 3) {
    const m = mask[p] < 0 ? 0 : Math.min(mask[p], 1);
    out[i] = data[i] + m * (red - data[i]) + 0.5;
    out[i + 1] = data[i + 1] + m * (green - data[i + 1]) + 0.5;
    out[i + 2] = data[i + 2] + m * (blue - data[i + 2]) + 0.5;
  }
  return out;
}
