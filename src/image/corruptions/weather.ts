import { openWorkspace } from '../../core/workspace.ts';
import { trail } from './blur.ts';
import { type Pixels, resize } from './filter.ts';
import type { Random } from './random.ts';
import { drawLine, plasma, smoothstep } from './texture.ts';

/** Streaks relative to severity 3; the veil of distant rain as a share of grey; the light lost to the clouds. */
const rainfall = [
  { density: 0.25, veil: 0.04, light: 0.97 },
  { density: 0.55, veil: 0.08, light: 0.93 },
  { density: 1, veil: 0.13, light: 0.88 },
  { density: 1.7, veil: 0.19, light: 0.83 },
  { density: 2.7, veil: 0.27, light: 0.77 },
] as const;

/** Three distances: streaks per frame height squared of area, length, radius (shares of the height), opacity. */
const rainLayers = [
  { count: 700, length: 0.035, radius: 0.0004, alpha: 0.3 },
  { count: 260, length: 0.085, radius: 0.0011, alpha: 0.38 },
  { count: 60, length: 0.2, radius: 0.0026, alpha: 0.36 },
] as const;

/**
 * Motion-blurred drops at three distances, one wind direction, a grey veil and less light (Garg and Nayar 2007, "Vision and
 * rain": streaks are brighter than what is behind them, near ones are longer and wider). Lengths scale with the height.
 */
export function rain({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const { density, veil, light } = rainfall[severity - 1];
  const tilt = random.uniform(-0.35, 0.35);
  const space = openWorkspace();
  const mask = { at: space.zeros(width * height), width, height, channels: 1 };
  for (const layer of rainLayers) {
    const count = Math.ceil((layer.count * density * width) / height);
    for (let i = 0; i < count; i++) {
      const x = random.uniform(-0.1, 1.1) * width;
      const y = random.uniform(-0.2, 1) * height;
      const angle = tilt + random.uniform(-0.04, 0.04);
      const length = layer.length * height * random.uniform(0.6, 1.3);
      const radius = layer.radius * height;
      const alpha = layer.alpha * random.uniform(0.5, 1) * Math.min(1, 0.55 + radius);
      const [endX, endY] = [x + length * Math.sin(angle), y + length * Math.cos(angle)];
      drawLine(space, mask, [x, y, endX, endY], { radius: radius * 0.4, alpha, radiusEnd: radius });
    }
  }
  const at = space.write(data);
  space.kernels.stopline_rain(at, width * height, mask.at, light, veil);
  return space.readBytes(at, data.length);
}

/** ImageNet-C `snow`: mean, deviation, zoom, threshold, radius and sigma of the fall, weight of the unwhitened frame. */
const snowfall = [
  [0.1, 0.3, 3, 0.5, 10, 4, 0.8],
  [0.2, 0.3, 2, 0.5, 12, 4, 0.7],
  [0.55, 0.3, 4, 0.9, 12, 8, 0.7],
  [0.55, 0.3, 4.5, 0.85, 12, 8, 0.65],
  [0.55, 0.3, 2.5, 0.85, 12, 12, 0.55],
] as const;

/** Thresholded noise, enlarged and smeared along the fall, over a whitened frame; the layer is used twice, once turned over. */
export function snow({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const [mean, deviation, zoom, threshold, radius, sigma, keep] = snowfall[severity - 1];
  const w = Math.ceil(width / zoom) + 1;
  const h = Math.ceil(height / zoom) + 1;
  const space = openWorkspace();
  const noise = { at: random.placeNormals(space, w * h, mean, deviation), width: w, height: h, channels: 1 };
  const flakes = resize(space, noise, width, height);
  space.kernels.stopline_flakes(flakes.at, width * height, threshold);
  const angle = random.uniform(0.25, 0.75) * Math.PI;
  const layer = { ...flakes, data: space.readFloats(flakes.at, width * height) };
  const fall = trail(space, layer, { angle, length: 2 * radius + 1, sigma });
  const at = space.write(data);
  space.kernels.stopline_snow(at, width * height, fall, keep);
  return space.readBytes(at, data.length);
}

/** Meteorological visibility in metres. */
const visibility = [500, 280, 170, 105, 60] as const;

/**
 * Koschmieder's law, x t + airlight (1 - t) with t = exp(-3.912 d / visibility). The depth d is that of a street: 8 m at the
 * lower edge, growing geometrically to 120 m at the horizon (42 % of the height) and above it, where fog thins out; patches of
 * plasma vary the density. Law and visibilities are those of Sakaridis et al. 2018, "Foggy Cityscapes"; ImageNet-C `fog` is as
 * thick on the bonnet as at the horizon, and takes 60 % of the contrast at severity 1 already.
 */
export function fog({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const density = 3.912 / visibility[severity - 1];
  const space = openWorkspace();
  const patches = plasma(space, { width, height }, { decay: 2, random }).at;
  const horizon = 0.42 * height;
  // Transmission by optical depth, tabulated: the exponential of every pixel would cost more than all the rest.
  const transmission = space.write(Float32Array.from({ length: 2048 }, (_, i) => Math.exp(-i / 256)));
  const at = space.write(data);
  for (let y = 0; y < height; y++) {
    const nearness = Math.max(0, (y - horizon) / (height - horizon));
    const thinning = y < horizon ? 1 - 0.45 * (1 - y / horizon) : 1;
    const optical = 256 * density * thinning * 120 * (8 / 120) ** nearness;
    space.kernels.stopline_fog(at + 3 * y * width, width, patches + 4 * y * width, transmission, optical);
  }
  return space.readBytes(at, data.length);
}

/** Brightness of the sun's glare relative to full scale. */
const glare = [0.16, 0.32, 0.56, 0.9, 1.4] as const;

/** Ghosts of the lens: place on the line from the sun (0) through the centre (1), radius (heights), opacity, colour. */
const ghosts = [
  [0.45, 0.03, 0.2, [255, 220, 150]],
  [0.75, 0.016, 0.26, [190, 255, 200]],
  [1.25, 0.055, 0.14, [150, 220, 255]],
  [1.5, 0.022, 0.24, [255, 190, 160]],
  [1.85, 0.1, 0.1, [190, 170, 255]],
] as const;

/**
 * Low sun in the upper part of the frame: a saturated core, a bloom and a veil that fall off with distance (the glare spread
 * function of Vos 1984 in three exponentials), six diffraction rays, and ghosts on the line through the optical centre.
 */
export function sunGlare({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const strength = glare[severity - 1];
  const sunX = random.uniform(0.15, 0.85) * width;
  const sunY = random.uniform(0.06, 0.32) * height;
  const turn = random.uniform(0, Math.PI / 3);
  const rayX = Math.cos(turn);
  const rayY = Math.sin(turn);
  const bins = 2048;
  const longest = Math.hypot(width, height) / height;
  const binsPerPixel = bins / (longest * height);
  const bloom = new Float32Array(bins);
  const ray = new Float32Array(bins);
  for (let i = 0; i < bins; i++) {
    const r = (i / bins) * longest;
    bloom[i] = strength * (2.2 * Math.exp(-((r / 0.05) ** 2)) + 0.85 * Math.exp(-r / 0.12) + 0.4 * Math.exp(-r / 0.5));
    ray[i] = strength * 0.5 * Math.exp(-r / 0.22);
  }
  const space = openWorkspace();
  const placed = space.reserve(4 * data.length);
  const tables = [space.write(bloom), space.write(ray)] as const;
  const sun = [sunX, sunY, rayX, rayY] as const;
  space.kernels.stopline_glare(placed, width, height, ...sun, ...tables, bins, binsPerPixel);
  const light = space.floats(placed, data.length);
  for (const [place, size, opacity, colour] of ghosts) {
    const cx = sunX + place * (width / 2 - sunX);
    const cy = sunY + place * (height / 2 - sunY);
    const radius = Math.max(1, size * height);
    const alpha = opacity * Math.min(1.5, 0.5 + strength);
    for (let y = Math.max(0, Math.floor(cy - radius)); y <= Math.min(height - 1, cy + radius); y++) {
      for (let x = Math.max(0, Math.floor(cx - radius)); x <= Math.min(width - 1, cx + radius); x++) {
        const r = Math.hypot(x - cx, y - cy) / radius;
        if (r >= 1) continue;
        const ring = alpha * (0.6 + 0.4 * r ** 4) * (1 - smoothstep(0.9, 1, r));
        for (let c = 0; c < 3; c++) light[(y * width + x) * 3 + c] += ring * colour[c];
      }
    }
  }
  const at = space.write(data);
  space.kernels.stopline_lighten(at, data.length, placed);
  return space.readBytes(at, data.length);
}
