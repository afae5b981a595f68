import sharp from 'sharp';
import type { Frame } from '../decode.ts';
import { StoplineError } from '../errors.ts';

/*
 * A small simulated traffic camera: the reference population of `stopline demo` and of the test fixtures.
 * World: metres, x right, y up, z ahead along the road; one-point perspective, the horizon moved instead of a pitch.
 * Colour: linear light until the tone curve of `develop`. Every choice is drawn from (seed, index) alone.
 */

type Rgb = readonly [number, number, number];
type Point = readonly [x: number, y: number, z: number];

interface Scene {
  random: () => number;
  width: number;
  height: number;
  /** Linear RGB, interleaved. */
  pixels: Float32Array;
  /** How much of the sun is hidden from the ground at each pixel, 0 to 1. */
  shadow: Float32Array;
  coverage: Float32Array;
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

// ---------------------------------------------------------------- chance and texture

/** mulberry32 (T. Ettinger, public domain). */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const side = 512;
const mask = side - 1;
const noiseMask = (1 << 17) - 1;

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

/** Nearest texel; coordinates may be negative down to -65536. */
const texel = (u: number, v: number) => fractal[(((v + 65536) & mask) << 9) | ((u + 65536) & mask)];

/** Bilinear, for textures that are magnified on the screen. */
function smooth(u: number, v: number): number {
  const x = Math.floor(u);
  const y = Math.floor(v);
  const above = texel(x, y) + (texel(x + 1, y) - texel(x, y)) * (u - x);
  const below = texel(x, y + 1) + (texel(x + 1, y + 1) - texel(x, y + 1)) * (u - x);
  return above + (below - above) * (v - y);
}

const clamp = (value: number, low = 0, high = 1) => (value < low ? low : value > high ? high : value);
const mix = (a: Rgb, b: Rgb, t: number): Rgb => [
  a[0] + (b[0] - a[0]) * t,
  a[1] + (b[1] - a[1]) * t,
  a[2] + (b[2] - a[2]) * t,
];
const scale = (a: Rgb, k: number): Rgb => [a[0] * k, a[1] * k, a[2] * k];
const times = (a: Rgb, b: Rgb): Rgb => [a[0] * b[0], a[1] * b[1], a[2] * b[2]];
const plus = (a: Rgb, b: Rgb): Rgb => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const pick = <T>(random: () => number, list: readonly T[]): T => list[Math.floor(random() * list.length)];

/** Share of [t - width/2, t + width/2] in which a wave of period 1 is between `low` and `high`: a box-filtered pulse. */
function pulse(t: number, low: number, high: number, width: number): number {
  const on = high - low;
  const a = t - width / 2 - low;
  const b = a + width;
  const i = Math.floor(a);
  const j = Math.floor(b);
  return ((j - i) * on + Math.min(b - j, on) - Math.min(a - i, on)) / width;
}

// ---------------------------------------------------------------- projection and polygons

const near = 1;
const project = (scene: Scene, [x, y, z]: Point): [number, number] => {
  const k = scene.focal / Math.max(z, near);
  return [scene.centre + (x - scene.eyeX) * k, scene.horizon + (scene.eyeY - y) * k];
};
const outline = (scene: Scene, points: readonly Point[]) => points.flatMap((point) => project(scene, point));
const through = (scene: Scene, z: number) => Math.exp(-z / scene.visibility);
const hazy = (scene: Scene, colour: Rgb, z: number) => mix(scene.haze, colour, through(scene, z));

/** Light that falls on a surface with the given normal. */
function light(scene: Scene, [x, y, z]: Point): Rgb {
  const facing = Math.max(0, x * scene.sun[0] + y * scene.sun[1] + z * scene.sun[2]);
  return plus(scale(scene.ambient, 0.7 + 0.3 * y), scale(scene.direct, facing));
}

/** Edges of the polygon in hand, four numbers each: first and last y, x at the first y, and dx/dy; the sign is the turn. */
const edges = new Float64Array(5 * 64);

/**
 * Scan conversion of a simple polygon: exact coverage along x, four samples along y. `paint` finds the share of each
 * pixel that is inside in `scene.coverage[from..to)`. Points are x, y pairs in pixels.
 */
function rasterise(scene: Scene, points: readonly number[], paint: (y: number, from: number, to: number) => void): void {
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
function fill(scene: Scene, points: readonly number[], colour: Rgb, slope = 0, alpha = 1): void {
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

const disc = (x: number, y: number, rx: number, ry = rx, corners = 16) =>
  Array.from({ length: corners * 2 }, (_, i) => {
    const angle = ((i >> 1) / corners) * 2 * Math.PI;
    return i & 1 ? y + ry * Math.sin(angle) : x + rx * Math.cos(angle);
  });

/** An upright rectangle that faces the camera, in metres. */
function board(scene: Scene, x0: number, x1: number, y0: number, y1: number, z: number, albedo: Rgb, slope = 0): void {
  const [left, top] = project(scene, [x0, y1, z]);
  const [right, bottom] = project(scene, [x1, y0, z]);
  const lit = times(albedo, light(scene, [0.4 * Math.sign(scene.sun[0]), 0, -0.9]));
  fill(scene, [left, top, right, top, right, bottom, left, bottom], hazy(scene, lit, z), slope);
}

// ---------------------------------------------------------------- sky

function paintSky(scene: Scene): void {
  const { pixels, width, height, horizon, centre, focal, zenith, haze, cloud, direct, sun, random } = scene;
  const [driftX, driftY, stretch] = [random() * side, random() * side, 0.7 + 0.9 * random()];
  const bright = plus(scale(haze, 0.95), scale(direct, 0.22));
  const dark = scale(haze, 0.62 + 0.2 * (1 - cloud));
  const rows = Math.min(height, Math.ceil(horizon) + 1);
  for (let y = 0; y < rows; y++) {
    const up = Math.max(0, horizon - y) / focal;
    const clear = mix(haze, zenith, clamp(1 - Math.exp(-up * 4.2)));
    const depth = 1 / (up + 0.07);
    const hide = 1 - Math.exp(-up * 14);
    let lit = 0;
    let cover = 0;
    for (let x = 0, i = y * width * 3; x < width; x++, i += 3) {
      const across = (x - centre) / focal;
      // Clouds have no detail finer than two pixels.
      if ((x & 1) === 0) {
        const u = across * depth * 26 * stretch + driftX;
        const v = depth * 38 + driftY;
        const billow = smooth(u, v) + 0.45 * smooth(u * 3.1, v * 3.1 + 90);
        cover = clamp((billow + 2.4 * cloud - 0.95) * 1.6) * hide;
        lit = clamp(0.62 - 0.6 * billow * cloud + 0.25 * across * sun[0]);
      }
      const glow = 1 + 0.22 * clamp(across * sun[0] + sun[2]) * (1 - cloud);
      const [k0, k1, k2] = [glow * (1 - cover), glow * cover * (1 - lit), glow * cover * lit];
      pixels[i] = clear[0] * k0 + dark[0] * k1 + bright[0] * k2;
      pixels[i + 1] = clear[1] * k0 + dark[1] * k1 + bright[1] * k2;
      pixels[i + 2] = clear[2] * k0 + dark[2] * k1 + bright[2] * k2;
    }
  }
}

/** What stands too far away for detail: roofs and tree tops in the haze. */
function paintSkyline(scene: Scene): void {
  const { random, width, horizon, focal } = scene;
  for (const distance of [420, 260]) {
    const colour = hazy(scene, times([0.2, 0.22, 0.2], light(scene, [0, 0.3, -0.9])), distance);
    for (let x = -10; x < width; ) {
      const span = (focal / distance) * (10 + 26 * random());
      const rise = (focal / distance) * (4 + 26 * random() ** 2.5);
      fill(scene, [x, horizon - rise, x + span, horizon - rise, x + span, horizon + 3, x, horizon + 3], colour);
      x += span * (0.8 + 0.2 * random());
    }
  }
}

// ---------------------------------------------------------------- road

interface Ground {
  albedo: Rgb;
  /** Contrast of the fine grain and of the stains that are metres wide. */
  grain: number;
  stain: number;
  /** Share of the paint that traffic has taken off. */
  wear?: number;
  /** Side of the paving slabs in metres. */
  slab?: number;
}

function paintGround(scene: Scene, points: readonly Point[], ground: Ground): void {
  const { pixels, width, coverage, focal, centre, horizon, eyeX, eyeY } = scene;
  const { albedo, grain, stain, wear = 0, slab = 0 } = ground;
  const lit = times(albedo, light(scene, [0, 1, 0]));
  rasterise(scene, outline(scene, points), (y, from, to) => {
    const z = (focal * eyeY) / Math.max(y + 0.5 - horizon, 0.3);
    const metre = z / focal;
    // One texel per pixel at any distance: the texture is self-similar, so octaves replace mip levels.
    const fine = 2 ** -Math.ceil(Math.log2(metre * 1.4));
    const keep = through(scene, z);
    const air = scale(scene.haze, 1 - keep);
    const joints = slab ? pulse(z / slab, 0, 0.05, (z * metre) / eyeY / slab) : 0;
    for (let x = from, i = (y * width + from) * 3; x < to; x++, i += 3) {
      const across = (x + 0.5 - centre) * metre + eyeX;
      const small = texel(across * fine, z * fine * 0.5);
      const large = texel(across * 11, z * 2.2 + 130);
      let tone = 1 + grain * small + stain * large;
      if (slab) tone *= 1 - 0.35 * clamp(joints + pulse(across / slab, 0, 0.05, metre / slab));
      let a = coverage[x];
      if (wear) a *= clamp(1.25 - wear * (1 + 1.5 * large + 1.2 * small));
      tone *= keep;
      pixels[i] += (lit[0] * tone + air[0] - pixels[i]) * a;
      pixels[i + 1] += (lit[1] * tone + air[1] - pixels[i + 1]) * a;
      pixels[i + 2] += (lit[2] * tone + air[2] - pixels[i + 2]) * a;
    }
  });
}

const flat = (x0: number, x1: number, z0: number, z1: number): Point[] => [
  [x0, 0, z0],
  [x1, 0, z0],
  [x1, 0, z1],
  [x0, 0, z1],
];

interface Street {
  lanes: number;
  lane: number;
  half: number;
  pavement: number;
  /** The crossing street: where it begins and ends, and whether it leaves to the left and to the right. */
  cross: readonly [number, number];
  open: Record<-1 | 1, boolean>;
}

function paintRoad(scene: Scene, street: Street): void {
  const { random } = scene;
  const { lanes, lane, half, pavement, cross, open } = street;
  const tone = 0.075 + 0.07 * random();
  const asphalt: Ground = { albedo: [tone, tone * 0.99, tone * 0.97], grain: 0.16, stain: 0.1 };
  const paving: Ground = { albedo: scale([0.3, 0.28, 0.25], 0.7 + 0.5 * random()), grain: 0.1, stain: 0.1, slab: 1.2 };
  const kerb: Ground = { albedo: [0.36, 0.35, 0.33], grain: 0.1, stain: 0.1 };
  const paint: Ground = { albedo: [0.62, 0.62, 0.6], grain: 0.06, stain: 0, wear: 0.15 + 0.4 * random() };
  const yellow: Ground = { ...paint, albedo: [0.62, 0.42, 0.08] };
  const grass: Ground = { albedo: [0.09, 0.11, 0.045], grain: 0.35, stain: 0.25 };
  paintGround(scene, flat(-half, half, 2, 4000), asphalt);
  for (const way of [-1, 1]) {
    paintGround(scene, flat(way * (half + pavement - 0.2), way * 900, 2, 4000), grass);
    paintGround(scene, flat(way * half, way * (half + pavement), 2, 900), paving);
    paintGround(scene, flat(way * (half - 0.1), way * (half + 0.3), 2, 900), kerb);
  }
  for (const way of [-1, 1] as const) {
    if (!open[way]) continue;
    paintGround(scene, flat(way * half, way * 120, cross[0] - 3, cross[1] + 3), paving);
    paintGround(scene, flat(way * half, way * 120, cross[0] - 0.3, cross[1] + 0.3), kerb);
    paintGround(scene, flat(way * (half - 0.4), way * 120, cross[0], cross[1]), asphalt);
  }
  for (let i = 0; i < lanes; i++) {
    const middle = -half + (i + 0.5) * lane;
    const track: Ground = { albedo: scale(asphalt.albedo, 0.82), grain: 0.14, stain: 0.12, wear: 0.75 };
    for (const wheel of [-0.8, 0.8]) paintGround(scene, flat(middle + wheel - 0.3, middle + wheel + 0.3, 2, 300), track);
    if (random() < 0.5) {
      const z = 14 + 40 * random();
      const patch = flat(middle - 1.3 * random(), middle + 1.4 * random(), z, z + 2 + 7 * random());
      paintGround(scene, patch, { ...asphalt, albedo: scale(asphalt.albedo, 0.6 + 0.65 * random()) });
    }
  }
  for (let i = 1; i < lanes; i++) {
    const x = -half + i * lane;
    const spans = [
      [2, cross[0] - 4.6],
      [cross[1] + 4.6, 260],
    ];
    for (const [start, end] of spans) {
      if (i * 2 === lanes) {
        paintGround(scene, flat(x - 0.2, x - 0.08, start, end), yellow);
        paintGround(scene, flat(x + 0.08, x + 0.2, start, end), yellow);
      } else {
        for (let z = start; z < Math.min(end, 130); z += 9)
          paintGround(scene, flat(x - 0.08, x + 0.08, z, Math.min(end, z + 3.5)), paint);
      }
    }
  }
  paintGround(scene, flat(0, half, cross[0] - 5, cross[0] - 4.5), paint);
  paintGround(scene, flat(-half, 0, cross[1] + 4.5, cross[1] + 5), paint);
  for (const z of [cross[0] - 3.8, cross[1] + 0.8])
    for (let x = -half + 0.5; x < half - 0.4; x += 1.1) paintGround(scene, flat(x, x + 0.55, z, z + 3), paint);
}

/** Marks the shadow of an upright box on the ground: the hull of its base and of its top moved along the light. */
function castBox(scene: Scene, x0: number, x1: number, z0: number, z1: number, height: number, depth = 1): void {
  const { sun } = scene;
  const [shiftX, shiftZ] = [(-sun[0] / sun[1]) * height, (-sun[2] / sun[1]) * height];
  const base = [x0, x1].flatMap((x) => [z0, z1].map((z) => [x, z] as const));
  const points = [...base, ...base.map(([x, z]) => [x + shiftX, z + shiftZ] as const)];
  points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const chain = (list: typeof points) => {
    const hull: typeof points = [];
    for (const p of list) {
      for (let a = hull.at(-2), b = hull.at(-1); a && b; a = hull.at(-2), b = hull.at(-1)) {
        if ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0) break;
        hull.pop();
      }
      hull.push(p);
    }
    return hull.slice(0, -1);
  };
  const hull = [...chain(points), ...chain(points.toReversed())];
  castPolygon(scene, outline(scene, hull.map(([x, z]): Point => [x, 0, z])), depth); // biome-ignore format: one thought
}

function castPolygon(scene: Scene, points: readonly number[], depth: number, dapple = 0): void {
  const { shadow, width, coverage } = scene;
  rasterise(scene, points, (y, from, to) => {
    for (let x = from, i = y * width + from; x < to; x++, i++) {
      const dark = coverage[x] * depth * (dapple ? clamp(0.75 + dapple * texel(x, y * 2)) : 1);
      if (dark > shadow[i]) shadow[i] = dark;
    }
  });
}

function applyShadow(scene: Scene): void {
  const { pixels, shadow, width, height, horizon, focal, eyeY, direct, ambient, sun } = scene;
  for (let y = Math.max(0, Math.ceil(horizon)); y < height; y++) {
    const keep = through(scene, (focal * eyeY) / Math.max(y + 0.5 - horizon, 0.3));
    const [r, g, b] = direct.map((d, c) => (keep * d * sun[1]) / (d * sun[1] + ambient[c]));
    for (let j = y * width, i = j * 3; j < (y + 1) * width; j++, i += 3) {
      if (shadow[j] === 0) continue;
      pixels[i] *= 1 - r * shadow[j];
      pixels[i + 1] *= 1 - g * shadow[j];
      pixels[i + 2] *= 1 - b * shadow[j];
    }
  }
}

// ---------------------------------------------------------------- buildings

interface Wall {
  /** A wall along the road stands at x = x0 = x1; one that faces the camera stands at z = z0 = z1. */
  x0: number;
  x1: number;
  z0: number;
  z1: number;
  height: number;
  /** Below this height a nearer house hides it. */
  base: number;
}

interface Facade {
  albedo: Rgb;
  /** Bay width and storey height in metres, and the share of each that is glass. */
  bay: number;
  storey: number;
  glass: readonly [across: number, up: number];
  shop: Rgb;
  tag: number;
}

function paintWall(scene: Scene, wall: Wall, facade: Facade): void {
  const { pixels, width, coverage, focal, centre, horizon, eyeX, eyeY, ambient, zenith, haze } = scene;
  const { x0, x1, z0, z1, height, base } = wall;
  const { albedo, bay, storey, glass, shop, tag } = facade;
  const along = x0 === x1;
  const lit = light(scene, along ? [x0 > eyeX ? -1 : 1, 0, 0] : [0, 0, -1]);
  const plaster = times(albedo, lit);
  const front = times(shop, lit);
  const reflection = plus(scale(ambient, 0.22), scale(zenith, 0.1));
  const keeps = new Float32Array(width);
  const depths = new Float32Array(width);
  const panes = new Float32Array(width);
  const places = new Float32Array(width);
  const corners: Point[] = [
    [x0, base, z0],
    [x0, height, z0],
    [x1, height, z1],
    [x1, base, z1],
  ];
  const points = outline(scene, corners);
  const left = Math.max(0, Math.floor(Math.min(points[0], points[4])) - 1);
  const right = Math.min(width, Math.ceil(Math.max(points[0], points[4])) + 2);
  for (let x = left; x < right; x++) {
    const column = x + 0.5 - centre;
    const reach = (focal * (x0 - eyeX)) / column;
    const z = along ? clamp(reach > 0 ? reach : z1, z0, z1) : z0;
    const place = along ? z : (column * z) / focal + eyeX;
    const step = along ? z / Math.max(Math.abs(column), 1) : z / focal;
    depths[x] = z;
    keeps[x] = through(scene, z);
    places[x] = place;
    panes[x] = pulse(place / bay, 0.5 - glass[0] / 2, 0.5 + glass[0] / 2, step / bay);
  }
  rasterise(scene, points, (y, from, to) => {
    for (let x = Math.max(from, left), i = (y * width + x) * 3; x < Math.min(to, right); x++, i += 3) {
      const z = depths[x];
      const metre = z / focal;
      const up = eyeY - (y + 0.5 - horizon) * metre;
      const ground = up < 3.6;
      const floor = (up - 3.6) / storey;
      let pane = 0;
      if (panes[x] > 0 && up < height - 1)
        pane = ground
          ? pulse((up - 0.5) / 10, 0, 0.21, metre / 10) * Math.min(1, panes[x] * 1.6)
          : panes[x] * pulse(floor, 0.5 - glass[1] / 2, 0.5 + glass[1] / 2, metre / storey);
      let shine = 0;
      if (pane > 0) {
        const cell = texel(Math.floor(places[x] / bay) * 37 + tag, Math.floor(floor) * 53 + tag);
        shine = pane * (0.55 + 0.5 * clamp(1 + 1.3 * cell, 0, 2.2));
      }
      const edge = up > height - 0.7 ? 1.22 : up > 3.6 && up < 4 ? 0.8 : 1;
      const tone = (1 - pane) * edge * (0.96 + 0.1 * texel(places[x] * 9, up * 9) + 0.05 * texel(x * 1.3, y * 1.3));
      const keep = keeps[x];
      const body = ground && up > 0.5 ? front : plaster;
      const a = coverage[x];
      pixels[i] += (haze[0] + (body[0] * tone + reflection[0] * shine - haze[0]) * keep - pixels[i]) * a;
      pixels[i + 1] += (haze[1] + (body[1] * tone + reflection[1] * shine - haze[1]) * keep - pixels[i + 1]) * a;
      pixels[i + 2] += (haze[2] + (body[2] * tone + reflection[2] * shine - haze[2]) * keep - pixels[i + 2]) * a;
    }
  });
}

const plasters: readonly Rgb[] = [
  [0.42, 0.36, 0.27],
  [0.3, 0.14, 0.09],
  [0.5, 0.47, 0.42],
  [0.24, 0.24, 0.25],
  [0.44, 0.3, 0.17],
  [0.36, 0.38, 0.4],
  [0.22, 0.11, 0.08],
  [0.55, 0.5, 0.38],
];

type Drawing = readonly [z: number, draw: () => void];

function build(scene: Scene, street: Street, drawings: Drawing[]): void {
  const { random } = scene;
  const { half, pavement, cross, open } = street;
  const lowest = 6 + 8 * random();
  for (const way of [-1, 1] as const) {
    let before = { end: 0, x: 0, height: 0 };
    for (let z = 9 + 8 * random(); z < 190; ) {
      const length = 9 + 15 * random();
      const height = lowest + 14 * random() ** 2;
      const shop: Rgb = mix([0.12, 0.12, 0.13], [0.2 + 0.4 * random(), 0.15 + 0.2 * random(), 0.1 + 0.3 * random()], 0.6);
      const glass = [0.35 + 0.4 * random(), 0.45 + 0.25 * random()] as const;
      const facade = { albedo: pick(random, plasters), bay: 2.2 + 1.6 * random(), storey: 3 + 0.5 * random(), glass, shop, tag: Math.floor(random() * side) };
      const setback = random() < 0.3 ? 3 * random() : 0;
      const garden = random() < 0.16;
      const step = random() < 0.3 ? 4 * random() : 0;
      const last = z;
      if (open[way] && z < cross[1] + 3.5 && z + length > cross[0] - 3.5) {
        // No house stands in the crossing street: end before it, or begin after it.
        if (cross[0] - 3.5 - z < 5) {
          z = cross[1] + 3.5;
          continue;
        }
        z = cross[0] - 3.5;
      } else z += length;
      const [start, end] = [last, z];
      z += step;
      const x = way * (half + pavement + setback);
      const wide = x + way * 16;
      if (garden) {
        for (let i = 0; i < 4; i++)
          plant(scene, x + way * (2 + 8 * random()), start + (end - start) * random(), 5 + 4 * random(), drawings);
        continue;
      }
      castBox(scene, Math.min(x, wide), Math.max(x, wide), start, end, height);
      const base = before.end === start && Math.abs(before.x) <= Math.abs(x) ? before.height : 0;
      before = { end, x, height };
      drawings.push([
        start,
        () => {
          paintWall(scene, { x0: x, x1: x, z0: start, z1: end, height, base: 0 }, facade);
          if (base < height) paintWall(scene, { x0: x, x1: wide, z0: start, z1: start, height, base }, facade);
        },
      ]);
    }
  }
}

// ---------------------------------------------------------------- trees

function plant(scene: Scene, x: number, z: number, height: number, drawings: Drawing[]): void {
  const { random } = scene;
  const radius = height * (0.26 + 0.1 * random());
  const tint = mix(mix([0.035, 0.075, 0.02], [0.1, 0.13, 0.03], random()), [0.2, 0.1, 0.02], random() ** 6);
  const blobs = Array.from({ length: 4 }, () => ({
    x: x + (random() - 0.5) * radius,
    y: height - radius * (0.9 + 0.9 * random()),
    size: radius * (0.65 + 0.3 * random()),
    texture: random() * side,
  }));
  const [shiftX, shiftZ] = [-scene.sun[0] / scene.sun[1], -scene.sun[2] / scene.sun[1]];
  for (const blob of blobs) {
    const ring = disc(x + shiftX * blob.y, z + shiftZ * blob.y, blob.size, blob.size, 12);
    const points = ring.flatMap((_, i) => (i & 1 ? [] : [[ring[i], 0, ring[i + 1]] as Point]));
    castPolygon(scene, outline(scene, points), 0.95, 0.7);
  }
  castBox(scene, x - 0.12, x + 0.12, z, z + 0.2, height * 0.6);
  drawings.push([
    z,
    () => {
      board(scene, x - 0.14, x + 0.14, 0, height - radius, z, [0.09, 0.07, 0.05]);
      for (const blob of blobs) paintCrown(scene, blob, z, tint);
    },
  ]);
}

function paintCrown(scene: Scene, blob: { x: number; y: number; size: number; texture: number }, z: number, tint: Rgb) {
  const { pixels, width, height, focal, sun, haze } = scene;
  const [cx, cy] = project(scene, [blob.x, blob.y, z]);
  const radius = (blob.size * 1.35 * focal) / z;
  const dark = times(tint, scale(scene.ambient, 0.75));
  const bright = plus(times(tint, scale(scene.direct, 1.25)), times(tint, scene.ambient));
  const keep = through(scene, z);
  const k = 44 / radius;
  const toSun = sun[2] < 0 ? 0.35 : -0.1;
  const [top, bottom] = [Math.max(0, Math.floor(cy - radius)), Math.min(height, Math.ceil(cy + radius))];
  for (let y = top; y < bottom; y++) {
    const dy = (y + 0.5 - cy) / radius;
    const reach = Math.sqrt(Math.max(0, 1 - dy * dy)) * radius;
    const from = Math.max(0, Math.floor(cx - reach));
    const to = Math.min(width, Math.ceil(cx + reach));
    for (let x = from, i = (y * width + from) * 3; x < to; x++, i += 3) {
      const dx = (x + 0.5 - cx) / radius;
      const clump = texel((x - cx) * k + blob.texture, (y - cy) * k);
      const leaf = texel(x * 1.7 + blob.texture, y * 1.7);
      const a = clamp((0.5 - dx * dx - dy * dy + 0.45 * clump + 0.3 * leaf) * Math.max(3, radius * 0.12));
      if (a === 0) continue;
      const lit = clamp(0.3 + toSun + 0.5 * (dx * sun[0] - dy * sun[1]) + 0.55 * clump + 0.45 * leaf);
      pixels[i] += (haze[0] + (dark[0] + (bright[0] - dark[0]) * lit - haze[0]) * keep - pixels[i]) * a;
      pixels[i + 1] += (haze[1] + (dark[1] + (bright[1] - dark[1]) * lit - haze[1]) * keep - pixels[i + 1]) * a;
      pixels[i + 2] += (haze[2] + (dark[2] + (bright[2] - dark[2]) * lit - haze[2]) * keep - pixels[i + 2]) * a;
    }
  }
}

// ---------------------------------------------------------------- cars and people

interface Car {
  length: number;
  width: number;
  height: number;
  /** Heights of boot and bonnet, and the cabin along the car: rear foot, rear roof, front roof, front foot. */
  boot: number;
  bonnet: number;
  cabin: readonly [number, number, number, number];
}

const models: readonly Car[] = [
  { length: 4.5, width: 1.8, height: 1.46, boot: 0.98, bonnet: 0.86, cabin: [0.45, 1.25, 2.55, 3.3] },
  { length: 4.1, width: 1.78, height: 1.5, boot: 0.95, bonnet: 0.88, cabin: [0.08, 0.6, 2.3, 3.1] },
  { length: 4.6, width: 1.9, height: 1.72, boot: 1.08, bonnet: 1.02, cabin: [0.08, 0.5, 2.6, 3.35] },
  { length: 5.2, width: 2, height: 2.3, boot: 1.15, bonnet: 1.15, cabin: [0.03, 0.12, 3.7, 4.5] },
];
const paints: readonly Rgb[] = [
  [0.62, 0.62, 0.6],
  [0.32, 0.33, 0.35],
  [0.02, 0.02, 0.024],
  [0.1, 0.105, 0.11],
  [0.34, 0.02, 0.02],
  [0.03, 0.07, 0.26],
  [0.48, 0.48, 0.47],
  [0.6, 0.4, 0.03],
  [0.03, 0.1, 0.07],
  [0.28, 0.22, 0.15],
];

/** Turns (along, up, across) of a car into the world. `heading`: 0 away, 2 towards the camera, 1 right, 3 left. */
const placed =
  (x: number, z: number, heading: number) =>
  (along: number, up: number, across: number): Point => {
    const [c, s] = [[1, 0, -1, 0][heading], [0, 1, 0, -1][heading]];
    return [x + along * s + across * c, up, z + along * c - across * s];
  };

/** A car whose middle stands at (x, z). */
function drive(scene: Scene, x: number, z: number, heading: number, drawings: Drawing[]): void {
  const { random } = scene;
  const car = models[Math.floor(random() ** 1.3 * models.length)];
  const paint = pick(random, paints);
  const braking = random() < 0.5;
  const at = placed(x, z, heading);
  const [l, w] = heading & 1 ? [car.width / 2, car.length / 2] : [car.length / 2, car.width / 2];
  castBox(scene, x - w + 0.1, x + w - 0.1, z - l + 0.1, z + l - 0.1, car.height * 0.92);
  drawings.push([
    z - l,
    () => {
      // The dark under the car: no sun and little sky gets there.
      const ring = [-1, 1].flatMap((a) => [-1, 1].map((b) => [x + w * a, z + l * a * b] as const));
      const under = [ring[0], ring[1], ring[3], ring[2]];
      fill(scene, outline(scene, under.map(([px, pz]): Point => [px, 0, pz])), [0, 0, 0], 0, 0.6); // biome-ignore format: one thought
      paintCar(scene, car, paint, braking, at);
    },
  ]);
}

function paintCar(scene: Scene, car: Car, paint: Rgb, braking: boolean, at: ReturnType<typeof placed>): void {
  const { length, width, height, boot, bonnet, cabin } = car;
  const [half, roof] = [width / 2, width * 0.4];
  const eye: Point = [scene.eyeX, scene.eyeY, 0];
  const middle = at(0, 0.6, 0);
  const keep = through(scene, middle[2]);
  const seen = (along: number, up: number, across: number) => {
    const here = at(0, 0, 0);
    const there = at(along, up, across);
    const normal: Point = [there[0] - here[0], there[1], there[2] - here[2]];
    return normal;
  };
  const face = (corners: readonly Point[], normal: Point, albedo: Rgb, shine = 0, slope = 0) => {
    const [x, y, z] = corners[0];
    if ((eye[0] - x) * normal[0] + (eye[1] - y) * normal[1] + (eye[2] - z) * normal[2] <= 0) return;
    const colour = plus(times(albedo, light(scene, normal)), scale(scene.haze, shine));
    fill(scene, outline(scene, corners), mix(scene.haze, colour, keep), slope);
  };
  const glow = (corners: readonly Point[], normal: Point, colour: Rgb) => {
    const [x, , z] = corners[0];
    if ((eye[0] - x) * normal[0] + (eye[2] - z) * normal[2] > 0)
      fill(scene, outline(scene, corners), mix(scene.haze, colour, keep));
  };
  const glass: Rgb = [0.02, 0.024, 0.027];
  const [rear, front] = [-length / 2, length / 2];
  const [footRear, roofRear, roofFront, footFront] = cabin.map((a) => a - length / 2);
  const across = (along: number, low: number, high: number, from: number, to: number) => [
    at(along, low, from),
    at(along, high, from),
    at(along, high, to),
    at(along, low, to),
  ];
  const panel = (a: number, b: number, p: number, q: number, wa: number, wb: number) => [
    at(a, p, -wa),
    at(a, p, wa),
    at(b, q, wb),
    at(b, q, -wb),
  ];
  for (const flank of [-1, 1]) {
    const out = seen(0, 0, flank);
    const s = flank * half;
    const body = [at(rear, 0.28, s), at(rear, boot, s), at(footFront, bonnet + 0.06, s), at(front, bonnet - 0.12, s)];
    face([...body, at(front, 0.28, s)], out, paint, 0.02, 0.15);
    for (const wheel of [rear + 0.85, front - 0.85])
      for (const [size, albedo] of [
        [0.33, [0.015, 0.015, 0.015]],
        [0.19, [0.22, 0.22, 0.23]],
      ] as const) {
        const ring = disc(0, 0.33, size, size, 14);
        const rim = ring.flatMap((_, i) => (i & 1 ? [] : [at(wheel + ring[i], ring[i + 1], s * 1.005)]));
        face(rim, out, albedo);
      }
  }
  for (const [end, belt, isFront] of [
    [rear, boot, false],
    [front, bonnet - 0.1, true],
  ] as const) {
    const out = seen(isFront ? 1 : -1, 0, 0);
    face(across(end, 0.25, belt, -half, half), out, paint, 0.015, 0.12);
    face(across(end, 0.22, 0.42, -half, half), out, [0.03, 0.03, 0.03]);
    if (isFront) face(across(end, 0.45, 0.66, -half * 0.5, half * 0.5), out, [0.015, 0.015, 0.016]);
    face(across(end, 0.48, 0.6, -0.26, 0.26), out, [0.55, 0.55, 0.5]);
    for (const flank of [-1, 1]) {
      const lamp = across(end, belt - 0.26, belt - 0.08, flank * half * 0.96, flank * half * 0.64);
      if (isFront) glow(lamp, out, scale(scene.haze, 1.1));
      else glow(lamp, out, braking ? [1.6, 0.06, 0.04] : [0.2, 0.012, 0.012]);
    }
    const wheels = across(end, 0, 0.27, -half * 0.95, -half * 0.7);
    face(wheels, out, [0.01, 0.01, 0.01]);
    face(across(end, 0, 0.27, half * 0.95, half * 0.7), out, [0.01, 0.01, 0.01]);
  }
  face(panel(footFront, front, bonnet + 0.06, bonnet - 0.1, half * 0.96, half * 0.9), seen(0.1, 1, 0), paint, 0.06);
  face(panel(rear, footRear, boot, boot, half * 0.92, half * 0.92), seen(0, 1, 0), paint, 0.06);
  for (const flank of [-1, 1]) {
    const out = seen(0, 0.3, flank * 0.95);
    const corners = (inset: number, low: number) => [
      at(footRear + inset, boot + low, flank * half * 0.96),
      at(roofRear + inset * 0.6, height - low * 1.4, flank * roof),
      at(roofFront - inset * 0.6, height - low * 1.4, flank * roof),
      at(footFront - inset * 2, bonnet + 0.06 + low, flank * half * 0.96),
    ];
    face(corners(0, 0), out, paint, 0.02);
    face(corners(0.16, 0.06), out, glass, 0.05);
  }
  const slant = (rise: number, run: number) => [rise / Math.hypot(rise, run), run / Math.hypot(rise, run)];
  const [backUp, backOut] = slant(roofRear - footRear, height - boot);
  const [frontUp, frontOut] = slant(footFront - roofFront, height - bonnet);
  face(panel(footRear, roofRear, boot, height, half * 0.96, roof), seen(-backOut, backUp, 0), paint, 0.02);
  face(panel(footRear, roofRear, boot + 0.05, height - 0.06, half * 0.84, roof * 0.9), seen(-backOut, backUp, 0), glass, 0.1, 0.4);
  face(panel(footFront, roofFront, bonnet + 0.06, height, half * 0.96, roof), seen(frontOut, frontUp, 0), paint, 0.02);
  face(panel(footFront, roofFront, bonnet + 0.1, height - 0.05, half * 0.88, roof * 0.93), seen(frontOut, frontUp, 0), glass, 0.12, 0.4);
  face(panel(roofRear, roofFront, height, height, roof, roof), seen(0, 1, 0), paint, 0.06);
}

function walk(scene: Scene, x: number, z: number, drawings: Drawing[]): void {
  const { random } = scene;
  const tall = 1.55 + 0.3 * random();
  const [coat, legs] = [pick(random, paints), scale(pick(random, paints), 0.35)];
  const stride = 0.28 * random();
  castBox(scene, x - 0.2, x + 0.2, z, z + 0.25, tall, 0.9);
  drawings.push([
    z,
    () => {
      const lit = (albedo: Rgb) => hazy(scene, times(albedo, light(scene, [0.4 * Math.sign(scene.sun[0]), 0.2, -0.8])), z);
      const shape = (points: readonly (readonly [number, number])[], albedo: Rgb) => {
        const world = points.map(([dx, dy]): Point => [x + dx, dy * tall, z]);
        fill(scene, outline(scene, world), lit(albedo), 0.1);
      };
      for (const foot of [-stride, stride]) {
        const [hip, toe] = [foot > 0 ? 0.08 : -0.08, foot];
        const points = [[hip - 0.08, 0.5], [hip + 0.08, 0.5], [toe + 0.06, 0], [toe - 0.06, 0]] as const; // biome-ignore format: one limb
        shape(points, legs);
      }
      shape([[-0.19, 0.82], [-0.1, 0.86], [0.1, 0.86], [0.19, 0.82], [0.24, 0.5], [0.15, 0.44], [-0.15, 0.44], [-0.24, 0.5]], coat); // biome-ignore format: one body
      const [hx, hy] = project(scene, [x, tall * 0.93, z]);
      fill(scene, disc(hx, hy, (0.1 * scene.focal) / z, (0.125 * scene.focal) / z, 10), lit([0.3, 0.19, 0.13]));
    },
  ]);
}

// ---------------------------------------------------------------- traffic lights and lamp posts

type Aspect = 'red' | 'amber' | 'green';
const lamps: readonly (readonly [Aspect, Rgb])[] = [
  ['red', [2.6, 0.1, 0.05]],
  ['amber', [2.6, 1.1, 0.06]],
  ['green', [0.12, 2.1, 0.9]],
];

/** A head whose lowest edge hangs at `bottom` metres; 0.38 m by 1.14 m with lenses of 300 mm (EN 12368). */
function paintHead(scene: Scene, x: number, bottom: number, z: number, aspect: Aspect): void {
  const black: Rgb = [0.018, 0.018, 0.02];
  board(scene, x - 0.36, x + 0.36, bottom - 0.18, bottom + 1.32, z, [0.4, 0.4, 0.4]);
  board(scene, x - 0.32, x + 0.32, bottom - 0.14, bottom + 1.28, z, black);
  board(scene, x - 0.2, x + 0.2, bottom, bottom + 1.14, z, [0.04, 0.042, 0.042], 0.2);
  for (const [place, [name, colour]] of lamps.entries()) {
    const [cx, cy] = project(scene, [x, bottom + 0.95 - 0.38 * place, z]);
    const r = (0.165 * scene.focal) / z;
    fill(scene, disc(cx, cy - 0.22 * r, r * 1.1), scale(black, 0.5));
    const on = name === aspect;
    fill(scene, disc(cx, cy, r), hazy(scene, on ? colour : times(scale(colour, 0.025), scene.ambient), z), on ? 0.15 : 0.4);
    if (!on) continue;
    fill(scene, disc(cx, cy, r * 0.5), plus(colour, [0.5, 0.5, 0.25]), 0, 0.6);
    for (let halo = 1; halo < 4; halo++) fill(scene, disc(cx, cy, r * (1 + 0.5 * halo)), colour, 0, 0.05);
  }
}

const steel: Rgb = [0.16, 0.17, 0.17];

function signal(scene: Scene, foot: number, heads: readonly number[], z: number, aspect: Aspect, drawings: Drawing[]): void {
  const tall = heads.some((x) => Math.abs(x - foot) > 0.5) ? 6.6 : 3.6;
  castBox(scene, foot - 0.12, foot + 0.12, z, z + 0.2, tall);
  drawings.push([
    z,
    () => {
      board(scene, foot - 0.11, foot + 0.11, 0, tall + 0.2, z, steel);
      board(scene, foot - 0.2, foot + 0.2, 0, 0.5, z, scale(steel, 0.7));
      for (const x of heads) {
        const arm = Math.abs(x - foot) > 0.5;
        if (arm) board(scene, Math.min(x, foot), Math.max(x, foot) , tall - 0.16, tall, z, steel, 0.3);
      }
      for (const x of heads) paintHead(scene, x, Math.abs(x - foot) > 0.5 ? 5.2 : 2.5, z - 0.3, aspect);
    },
  ]);
}

function lampPost(scene: Scene, x: number, z: number, drawings: Drawing[]): void {
  const reach = -Math.sign(x) * 1.8;
  castBox(scene, x - 0.1, x + 0.1, z, z + 0.2, 8.5);
  drawings.push([
    z,
    () => {
      board(scene, x - 0.08, x + 0.08, 0, 8.5, z, steel);
      board(scene, Math.min(x, x + reach), Math.max(x, x + reach), 8.42, 8.54, z, steel);
      board(scene, x + reach - 0.4, x + reach + 0.4, 8.34, 8.54, z, [0.3, 0.3, 0.3]);
    },
  ]);
}

// ---------------------------------------------------------------- the scene

function furnish(scene: Scene, street: Street): void {
  const { random } = scene;
  const { half, lane, lanes, pavement, cross, open } = street;
  const drawings: Drawing[] = [];
  build(scene, street, drawings);
  const clearOf = (z: number) => z < cross[0] - 5 || z > cross[1] + 5;
  const greenery = random();
  for (const way of [-1, 1] as const) {
    const row = way * (half + Math.min(1.2, pavement / 3));
    const gap = 7 + 9 * random();
    for (let z = 15 + gap * random(); z < 150; z += gap * (0.8 + 0.4 * random()))
      if (random() < greenery && clearOf(z)) plant(scene, row, z, 5 + 4 * random(), drawings);
    for (let z = 18 + 14 * random(); z < 170; z += 27) if (clearOf(z)) lampPost(scene, way * (half + 0.5), z, drawings);
    for (let i = Math.floor(4 * random() ** 1.5); i > 0; i--)
      walk(scene, way * (half + 0.8 + (pavement - 1.4) * random()), 16 + 40 * random(), drawings);
  }
  const aspect = pick<Aspect>(random, ['red', 'red', 'green', 'green', 'amber']);
  const busy = random();
  for (let i = 0; i < lanes; i++) {
    const x = -half + (i + 0.5) * lane;
    const away = x > 0;
    const stopped = aspect === 'red' && away;
    let z = stopped ? cross[0] - 8 - 2 * random() : 13 + 12 * random();
    while (z > 12 && stopped) {
      if (random() < 0.35 + 0.6 * busy) drive(scene, x + 0.3 * (random() - 0.5), z, 0, drawings);
      z -= 6 + 2 * random();
    }
    for (z = stopped ? cross[1] + 12 : z; z < 160; z += 8 + (45 - 30 * busy) * random())
      if (random() < 0.75 && (aspect !== 'red' || clearOf(z)))
        drive(scene, x + 0.4 * (random() - 0.5), z, away ? 0 : 2, drawings);
  }
  for (const way of [-1, 1] as const) {
    if (aspect !== 'red' || !open[way]) continue;
    const z = way === 1 ? cross[1] - 2.2 : cross[0] + 2.2;
    for (let x = half * (random() - 0.5) * 3; Math.abs(x) < 30; x += way * (8 + 14 * random()))
      if (Math.abs(x) < half || open[x > 0 ? 1 : -1]) drive(scene, x, z, way === 1 ? 3 : 1, drawings);
    if (random() < 0.6) walk(scene, half * (2 * random() - 1), cross[0] - 2.5, drawings);
  }
  // One signal over the near side, then one on the far side and one on the left kerb where the crossing has them.
  const [nearZ, farZ] = [cross[0] - 1, cross[1] + 3.5];
  const over = Array.from({ length: random() < 0.45 ? 2 : 1 }, (_, i) => lane * (lanes / 2 - 0.5 - i));
  signal(scene, half + 0.7, [...over, ...(random() < 0.4 ? [half + 0.7] : [])], nearZ, aspect, drawings);
  if (random() < 0.5) signal(scene, -half - 0.7, [-half - 0.7], nearZ, aspect, drawings);
  if (random() < 0.5) signal(scene, half + 0.9, [half + 0.9, lane * 0.5], farZ, aspect, drawings);
  applyShadow(scene);
  drawings.sort((a, b) => b[0] - a[0]);
  for (const [, draw] of drawings) draw();
}

function setOut(random: () => number, width: number, height: number): [Scene, Street] {
  const elevation = ((14 + 50 * random()) * Math.PI) / 180;
  const azimuth = 2 * Math.PI * random();
  const cloud = clamp(1.15 * random() - 0.05);
  const warm = clamp((0.72 - elevation) / 0.5);
  // The sun behind cloud: full below about four tenths of cover, gone when the sky is closed.
  const strength = 1.5 * clamp(1.25 - 1.25 * cloud ** 2.2) * (0.55 + 0.6 * Math.sin(elevation));
  const direct = scale(mix([1, 0.95, 0.87], [1, 0.72, 0.42], warm), strength);
  const grey = 0.4 + 0.35 * Math.sin(elevation);
  const zenith = mix(mix([0.1, 0.24, 0.56], [0.16, 0.24, 0.44], warm), [grey * 0.8, grey * 0.85, grey * 0.92], cloud ** 2);
  const horizonTone = mix([0.58, 0.7, 0.86], [0.86, 0.72, 0.56], warm * (1 - cloud));
  const haze = mix(horizonTone, [grey * 1.15, grey * 1.18, grey * 1.2], cloud ** 2);
  const lanes = pick(random, [2, 2, 3, 4, 4, 4]);
  const lane = 3.1 + 0.4 * random();
  const start = 21 + 14 * random();
  const kind = random();
  const focal = width * (0.88 + 0.3 * random());
  const scene: Scene = {
    random,
    width,
    height,
    pixels: new Float32Array(width * height * 3),
    shadow: new Float32Array(width * height),
    coverage: new Float32Array(width + 2),
    focal,
    centre: width * (0.5 + 0.2 * (random() - 0.5)),
    horizon: height * (0.27 + 0.14 * random()),
    eyeX: -1 + 6 * random(),
    eyeY: 4.2 + 2.6 * random(),
    sun: [Math.cos(elevation) * Math.sin(azimuth), Math.sin(elevation), Math.cos(elevation) * Math.cos(azimuth)],
    direct,
    ambient: scale(mix(zenith, haze, 0.6), 0.62),
    zenith,
    haze,
    visibility: 180 + 500 * random() ** 1.5,
    cloud,
  };
  const street: Street = {
    lanes,
    lane,
    half: (lanes * lane) / 2,
    pavement: 2.6 + 2.6 * random(),
    cross: [start, start + 7 + 5 * random()],
    open: { [-1]: kind < 0.75, [1]: kind > 0.25 },
  };
  return [scene, street];
}

// ---------------------------------------------------------------- the camera

const curveSteps = 4096;
/** Exposure to 8-bit: a film-like shoulder, then the sRGB transfer curve (IEC 61966-2-1). Domain 0 to 4. */
const curve = Float32Array.from({ length: 4 * curveSteps + 1 }, (_, i) => {
  const tone = 1 - Math.exp(-1.15 * (i / curveSteps));
  return 255 * (tone <= 0.0031308 ? 12.92 * tone : 1.055 * tone ** (1 / 2.4) - 0.055);
});

/** Lens softness, automatic exposure, vignette, tone curve, shot and read noise. */
function develop(scene: Scene): Uint8Array {
  const { random, pixels, width, height } = scene;
  let sum = 0;
  for (let i = 1; i < pixels.length; i += 3 * 37) sum += pixels[i];
  const mean = sum / Math.ceil(pixels.length / 111);
  const exposure = (0.24 / mean) ** 0.8 * 2 ** (0.5 * (random() - 0.5));
  const brightest = 4 * curveSteps;
  const soft = 0.06 + 0.09 * random();
  const centre = 1 - 2 * soft;
  const corner = 0.12 + 0.16 * random();
  const [read, shot] = [0.8 + 0.7 * random(), 0.6 + 1.1 * random()];
  const sigma = Float32Array.from({ length: 256 }, (_, v) => Math.sqrt(read ** 2 + (shot ** 2 * v) / 255));
  const bytes = new Uint8ClampedArray(width * height * 3);
  const stride = width * 3;
  const blurred = new Float32Array(stride + 6);
  const falloff = Float32Array.from({ length: width }, (_, x) => ((x + 0.5) / width - 0.5) ** 2);
  for (let y = 0; y < height; y++) {
    const row = y * stride;
    const above = y > 0 ? row - stride : row;
    const below = y < height - 1 ? row + stride : row;
    for (let i = 0; i < stride; i++)
      blurred[i + 3] = pixels[row + i] * centre + (pixels[above + i] + pixels[below + i]) * soft;
    for (let c = 0; c < 3; c++) {
      blurred[c] = blurred[c + 3];
      blurred[stride + 3 + c] = blurred[stride + c];
    }
    const edge = 1 - corner * 2 * ((y + 0.5) / height - 0.5) ** 2;
    let noise = Math.floor(random() * noiseMask);
    for (let x = 0, i = 0; x < width; x++) {
      const gain = exposure * curveSteps * (edge - corner * 2 * falloff[x]);
      for (const end = i + 3; i < end; i++) {
        const value = blurred[i + 3] * centre + (blurred[i] + blurred[i + 6]) * soft;
        const level = curve[Math.min(brightest, (value * gain) | 0)];
        bytes[row + i] = level + sigma[level | 0] * normal[noise++ & noiseMask];
      }
    }
  }
  return new Uint8Array(bytes.buffer);
}

/**
 * One frame of the simulated traffic camera: a function of `seed` and `index` alone, so frames can be rendered in any order.
 *
 * @param index which frame of the population, an integer from 0
 * @param options size in pixels (640x360) and the seed of the population (1)
 * @throws StoplineError `OPTION_INVALID` for an index, size or seed that is not an integer, or a size below 32 pixels
 * @example
 * const frame = renderFrame(7, { seed: 2 });
 */
export function renderFrame(index: number, options: { width?: number; height?: number; seed?: number } = {}): Frame {
  const { width = 640, height = 360, seed = 1 } = options;
  for (const [name, value, low] of [['index', index, 0], ['width', width, 32], ['height', height, 32], ['seed', seed, 0]] as const) // biome-ignore format: a table
    if (!Number.isSafeInteger(value) || value < low)
      throw new StoplineError('OPTION_INVALID', `Expected an integer from ${low} for ${name} but received ${value}.`);
  const random = generator(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const [scene, street] = setOut(random, width, height);
  paintSky(scene);
  paintSkyline(scene);
  paintRoad(scene, street);
  furnish(scene, street);
  return { data: develop(scene), width, height, channels: 3 };
}

/** JPEG of a rendered frame, 4:2:0. */
export async function encodeFrame(frame: Frame, options: { quality?: number } = {}): Promise<Uint8Array> {
  const { data, width, height, channels } = frame;
  return sharp(data, { raw: { width, height, channels } })
    .jpeg({ quality: options.quality ?? 92 })
    .toBuffer();
}
