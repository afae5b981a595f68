/*
 * What the simulated camera paints on and with: projection, light, textures, polygons.
 * World: metres, x right, y up, z ahead along the road; one-point perspective, the horizon moved instead of a pitch.
 * Colour: linear light until the tone curve of `develop`.
 */

export type Rgb = readonly [number, number, number];
export type Point = readonly [x: number, y: number, z: number];

export interface Scene {
  random: () => number;
  width: number;
  height: number;
  /** Linear RGB, interleaved. */
  pixels: Float32Array;
  /** How much of the sun is hidden from the ground at each pixel, 0 to 1. */
  shadow: Float32Array;
  coverage: Float32Array;
  /** Rows for what depends on the column alone. */
  columns: readonly Float32Array[];
  /** Camera: focal length, principal column and horizon row in pixels; place in metres. */
  focal: number;
  centre: number;
  horizon: number;
  eyeX: number;
  eyeY: number;
  /** Unit vector towards the sun, its light on a surface that faces it, and the light of the sky. */
  sun: Point;
  direct: Rgb;
  ambient: Rgb;
  zenith: Rgb;
  haze: Rgb;
  /** Distance in metres at which haze has taken all but 1/e of the contrast. */
  visibility: number;
  cloud: number;
}

/** mulberry32 (T. Ettinger, public domain). */
export function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const side = 512;
const mask = side - 1;
export const noiseMask = (1 << 17) - 1;

/** Tileable fractal value noise, about -1 to 1, and a table of standard normal deviates (Box-Muller). */
function makeTextures(): { fractal: Float32Array; normal: Float32Array } {
  const random = generator(0x51);
  const fractal = new Float32Array(side * side);
  for (let cells = 16, amplitude = 0.62; cells <= 256; cells *= 2, amplitude *= 0.62) {
    const lattice = Float32Array.from({ length: cells * cells }, () => random() * 2 - 1);
    const ease = (t: number) => t * t * (3 - 2 * t);
    for (let y = 0; y < side; y++) {
      const v = (y * cells) / side;
      const [top, bottom] = [Math.floor(v) * cells, ((Math.floor(v) + 1) % cells) * cells];
      for (let x = 0; x < side; x++) {
        const u = (x * cells) / side;
        const [left, right, t] = [Math.floor(u), (Math.floor(u) + 1) % cells, ease(u % 1)];
        const above = lattice[top + left] + (lattice[top + right] - lattice[top + left]) * t;
        const below = lattice[bottom + left] + (lattice[bottom + right] - lattice[bottom + left]) * t;
        fractal[y * side + x] += amplitude * (above + (below - above) * ease(v % 1));
      }
    }
  }
  const normal = Float32Array.from(
    { length: noiseMask + 1 },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
  return { fractal, normal };
}
const { fractal, normal } = makeTextures();

export { normal };

/** Nearest texel; coordinates may be negative down to -65536. */
export const texel = (u: number, v: number) => fractal[(((v + 65536) & mask) << 9) | ((u + 65536) & mask)];

/** Bilinear, for textures that are magnified on the screen. */
export function smooth(u: number, v: number): number {
  const x = Math.floor(u);
  const y = Math.floor(v);
  const above = texel(x, y) + (texel(x + 1, y) - texel(x, y)) * (u - x);
  const below = texel(x, y + 1) + (texel(x + 1, y + 1) - texel(x, y + 1)) * (u - x);
  return above + (below - above) * (v - y);
}

export const clamp = (value: number, low = 0, high = 1) => Math.min(high, Math.max(low, value));
export const mix = (a: Rgb, b: Rgb, t: number): Rgb => [
  a[0] + (b[0] - a[0]) * t,
  a[1] + (b[1] - a[1]) * t,
  a[2] + (b[2] - a[2]) * t,
];
export const scale = (a: Rgb, k: number): Rgb => [a[0] * k, a[1] * k, a[2] * k];
export const times = (a: Rgb, b: Rgb): Rgb => [a[0] * b[0], a[1] * b[1], a[2] * b[2]];
export const plus = (a: Rgb, b: Rgb): Rgb => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)];

/** Share of [t - width/2, t + width/2] in which a wave of period 1 is between `low` and `high`: a box-filtered pulse. */
export function pulse(t: number, low: number, high: number, width: number): number {
  const on = high - low;
  const a = t - width / 2 - low;
  const b = a + width;
  const i = Math.floor(a);
  const j = Math.floor(b);
  return ((j - i) * on + Math.min(b - j, on) - Math.min(a - i, on)) / width;
}

const near = 1;
export const project = (scene: Scene, [x, y, z]: Point): [number, number] => {
  const k = scene.focal / Math.max(z, near);
  return [scene.centre + (x - scene.eyeX) * k, scene.horizon + (scene.eyeY - y) * k];
};
export const outline = (scene: Scene, points: readonly Point[]) => points.flatMap((point) => project(scene, point));
export const through = (scene: Scene, z: number) => Math.exp(-z / scene.visibility);
export const hazy = (scene: Scene, colour: Rgb, z: number) => mix(scene.haze, colour, through(scene, z));

/** Light that falls on a surface with the given normal. */
export function light(scene: Scene, [x, y, z]: Point): Rgb {
  const facing = Math.max(0, x * scene.sun[0] + y * scene.sun[1] + z * scene.sun[2]);
  return plus(scale(scene.ambient, 0.7 + 0.3 * y), scale(scene.direct, facing));
}

/** Edges of the polygon in hand, four numbers each: first and last y, x at the first y, and dx/dy; the sign is the turn. */
const edges = new Float64Array(5 * 64);

/**
 * Scan conversion of a simple polygon: exact coverage along x, four samples along y. `paint` finds the share of each
 * pixel that is inside in `scene.coverage[from..to)`. Points are x, y pairs in pixels.
 */
export function rasterise(
  scene: Scene,
  points: readonly number[],
  paint: (y: number, from: number, to: number) => void,
): void {
  const { width, height, coverage } = scene;
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  let count = 0;
  let x0 = points[points.length - 2];
  let y0 = points[points.length - 1];
  for (let i = 0; i < points.length; i += 2) {
    const x1 = points[i];
    const y1 = points[i + 1];
    left = Math.min(left, x1);
    right = Math.max(right, x1);
    top = Math.min(top, y1);
    bottom = Math.max(bottom, y1);
    if (y0 !== y1) {
      const down = y1 > y0;
      edges[count] = down ? y0 : y1;
      edges[count + 1] = down ? y1 : y0;
      edges[count + 2] = down ? x0 : x1;
      edges[count + 3] = (x1 - x0) / (y1 - y0);
      edges[count + 4] = down ? 0.25 : -0.25;
      count += 5;
    }
    x0 = x1;
    y0 = y1;
  }
  if (right <= 0 || left >= width) return;
  const last = Math.min(height, Math.ceil(bottom));
  for (let y = Math.max(0, Math.floor(top)); y < last; y++) {
    let from = width;
    let to = 0;
    for (let line = y + 0.125; line < y + 1; line += 0.25) {
      // Each edge is a step, stored as a difference; the running sum below turns the steps into coverage.
      for (let e = 0; e < count; e += 5) {
        if (line < edges[e] || line >= edges[e + 1]) continue;
        const x = Math.min(width, Math.max(0, edges[e + 2] + (line - edges[e]) * edges[e + 3]));
        const pixel = x | 0;
        const weight = edges[e + 4];
        coverage[pixel] += weight * (pixel + 1 - x);
        coverage[pixel + 1] += weight * (x - pixel);
        if (pixel < from) from = pixel;
        if (pixel + 2 > to) to = pixel + 2;
      }
    }
    if (from >= to) continue;
    let sum = 0;
    for (let x = from; x < to; x++) {
      sum += coverage[x];
      coverage[x] = Math.abs(sum);
    }
    paint(y, from, Math.min(to, width));
    coverage.fill(0, from, to);
  }
}

/** One colour; with `slope` the top row is that much brighter than the middle and the bottom row that much darker. */
export function fill(scene: Scene, points: readonly number[], colour: Rgb, slope = 0, alpha = 1): void {
  const { pixels, width, coverage } = scene;
  let top = Infinity;
  let bottom = -Infinity;
  for (let i = 1; i < points.length; i += 2) {
    top = Math.min(top, points[i]);
    bottom = Math.max(bottom, points[i]);
  }
  rasterise(scene, points, (y, from, to) => {
    const shade = 1 + slope * (1 - (2 * (y + 0.5 - top)) / (bottom - top));
    const r = colour[0] * shade;
    const g = colour[1] * shade;
    const b = colour[2] * shade;
    for (let x = from, i = (y * width + from) * 3; x < to; x++, i += 3) {
      const a = coverage[x] * alpha;
      pixels[i] += (r - pixels[i]) * a;
      pixels[i + 1] += (g - pixels[i + 1]) * a;
      pixels[i + 2] += (b - pixels[i + 2]) * a;
    }
  });
}

export const disc = (x: number, y: number, rx: number, ry = rx, corners = 16) =>
  Array.from({ length: corners * 2 }, (_, i) => {
    const angle = ((i >> 1) / corners) * 2 * Math.PI;
    return i & 1 ? y + ry * Math.sin(angle) : x + rx * Math.cos(angle);
  });

/** An upright rectangle that faces the camera, in metres. */
export function board(
  scene: Scene,
  x0: number,
  x1: number,
  y0: number,
  y1: number,
  z: number,
  albedo: Rgb,
  slope = 0,
): void {
  const [left, top] = project(scene, [x0, y1, z]);
  const [right, bottom] = project(scene, [x1, y0, z]);
  const lit = times(albedo, light(scene, [0.4 * Math.sign(scene.sun[0]), 0, -0.9]));
  fill(scene, [left, top, right, top, right, bottom, left, bottom], hazy(scene, lit, z), slope);
}

/** Something that stands up, painted from far to near. */
export type Drawing = readonly [z: number, draw: () => void];
