import sharp from 'sharp';
import { StoplineError } from '../../../errors.ts';
import type { Frame } from '../../../image/frame.ts';
import { build, plant } from './buildings.ts';
import {
  clamp,
  type Drawing,
  fill,
  generator,
  hazy,
  light,
  mix,
  noiseMask,
  normal,
  pick,
  plus,
  type Scene,
  scale,
  side,
  smooth,
  times,
} from './canvas.ts';
import { applyShadow, paintRoad, type Street } from './street.ts';
import { type Aspect, drive, lampPost, signal, walk } from './traffic.ts';

/*
 * A small simulated traffic camera: the reference population of `stopline demo` and of the test fixtures.
 * World: metres, x right, y up, z ahead along the road; one-point perspective, the horizon moved instead of a pitch.
 * Colour: linear light until the tone curve of `develop`. Every choice is drawn from (seed, index) alone.
 */

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
      const k0 = glow * (1 - cover);
      const k1 = glow * cover * (1 - lit);
      const k2 = glow * cover * lit;
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

function furnish(scene: Scene, street: Street): void {
  const { random } = scene;
  const { half, lane, lanes, pavement, cross, open } = street;
  const drawings: Drawing[] = [];
  build(scene, street, drawings);
  const isClear = (z: number) => z < cross[0] - 5 || z > cross[1] + 5;
  const greenery = random();
  for (const way of [-1, 1] as const) {
    const row = way * (half + Math.min(1.2, pavement / 3));
    const gap = 7 + 9 * random();
    // Trees before the crossing would hide the signals of a camera on the right.
    for (
      let z = (way === 1 && random() < 0.8 ? cross[1] : 15) + gap * random();
      z < 150;
      z += gap * (0.8 + 0.4 * random())
    )
      if (random() < greenery && isClear(z)) plant(scene, row, z, 5 + 4 * random(), drawings);
    for (let z = 18 + 14 * random(); z < 170; z += 27) if (isClear(z)) lampPost(scene, way * (half + 0.5), z, drawings);
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
    for (z = stopped ? cross[1] + 12 : z; z < 120; z += 8 + (45 - 30 * busy) * random())
      if (random() < 0.75 && (aspect !== 'red' || isClear(z)))
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

type Canvas = Pick<Scene, 'pixels' | 'shadow' | 'coverage' | 'columns'>;
let spare: Canvas | undefined;

/** Rendering is synchronous, so one canvas serves all frames of a size; every pixel of it is painted again. */
function openCanvas(width: number, height: number): Canvas {
  if (spare?.pixels.length !== width * height * 3 || spare.coverage.length !== width + 2) {
    const row = () => new Float32Array(width + 2);
    const [pixels, shadow] = [new Float32Array(width * height * 3), new Float32Array(width * height)];
    spare = { pixels, shadow, coverage: row(), columns: [row(), row(), row(), row(), row()] };
  }
  spare.pixels.fill(0);
  spare.shadow.fill(0);
  return spare;
}

function setOut(random: () => number, width: number, height: number): [Scene, Street] {
  const elevation = ((14 + 50 * random()) * Math.PI) / 180;
  const azimuth = 2 * Math.PI * random();
  const cloud = clamp(1.15 * random() - 0.05);
  const warm = clamp((0.72 - elevation) / 0.5);
  // The sun behind cloud: full below about four tenths of cover, gone when the sky is closed.
  const strength = 2.1 * clamp(1.25 - 1.25 * cloud ** 2.2) * (0.55 + 0.6 * Math.sin(elevation));
  const direct = scale(mix([1, 0.95, 0.87], [1, 0.72, 0.42], warm), strength);
  const grey = 0.4 + 0.35 * Math.sin(elevation);
  const zenith = mix(
    mix([0.1, 0.24, 0.56], [0.16, 0.24, 0.44], warm),
    [grey * 0.8, grey * 0.85, grey * 0.92],
    cloud ** 2,
  );
  const horizonTone = mix([0.58, 0.7, 0.86], [0.86, 0.72, 0.56], warm * (1 - cloud));
  const haze = mix(horizonTone, [grey * 1.15, grey * 1.18, grey * 1.2], cloud ** 2);
  const lanes = pick(random, [2, 2, 2, 4, 4]);
  const lane = 3.1 + 0.4 * random();
  const start = 21 + 14 * random();
  const kind = random();
  const focal = width * (0.88 + 0.3 * random());
  const scene: Scene = {
    random,
    width,
    height,
    ...openCanvas(width, height),
    focal,
    centre: width * (0.5 + 0.2 * (random() - 0.5)),
    horizon: height * (0.27 + 0.14 * random()),
    eyeX: -1 + 6 * random(),
    eyeY: 4.2 + 2.6 * random(),
    sun: [Math.cos(elevation) * Math.sin(azimuth), Math.sin(elevation), Math.cos(elevation) * Math.cos(azimuth)],
    direct,
    ambient: scale(mix(zenith, haze, 0.6), 0.55),
    zenith,
    haze,
    visibility: 350 + 1800 * random() ** 1.3,
    cloud,
  };
  const street: Street = {
    lanes,
    lane,
    half: (lanes * lane) / 2,
    pavement: 2.6 + 2.6 * random(),
    cross: [start, start + 7 + 5 * random()],
    open: { '-1': kind < 0.75, '1': kind > 0.25 },
  };
  return [scene, street];
}

const curveSteps = 2048;
/** Exposure to 8-bit: a film-like toe and shoulder, then the sRGB transfer curve (IEC 61966-2-1). Domain 0 to 4. */
const curve = Float32Array.from({ length: 4 * curveSteps + 1 }, (_, i) => {
  const film = 1 - Math.exp(-1.15 * (i / curveSteps));
  const tone = 0.6 * film + 0.4 * film * film * (3 - 2 * film);
  return 255 * (tone <= 0.0031308 ? 12.92 * tone : 1.055 * tone ** (1 / 2.4) - 0.055);
});

/** Lens softness, automatic exposure, vignette, tone curve, shot and read noise. */
function develop(scene: Scene): Uint8Array {
  const { random, pixels, width, height } = scene;
  let sum = 0;
  for (let i = 1; i < pixels.length; i += 3 * 37) sum += pixels[i];
  const mean = sum / Math.ceil(pixels.length / 111);
  const exposure = (0.3 / mean) ** 0.65 * 2 ** (0.8 * (random() - 0.5));
  const brightest = 4 * curveSteps;
  const soft = 0.12 + 0.2 * random();
  const corner = 0.12 + 0.16 * random();
  const [read, shot] = [0.8 + 0.7 * random(), 0.6 + 1.1 * random()];
  const sigma = Float32Array.from({ length: 256 }, (_, v) => Math.sqrt(read ** 2 + (shot ** 2 * v) / 255));
  const falloff = Float32Array.from({ length: width }, (_, x) => corner * 2 * ((x + 0.5) / width - 0.5) ** 2);
  const bytes = new Uint8Array(width * height * 3);
  const expose = (value: number, deviate: number) => {
    const level = curve[value < brightest ? value | 0 : brightest];
    const noisy = level + sigma[level | 0] * deviate + 0.5;
    return noisy < 0 ? 0 : noisy > 255 ? 255 : noisy | 0;
  };
  for (let y = 0; y < height; y++) {
    const edge = 1 - corner * 2 * ((y + 0.5) / height - 0.5) ** 2;
    let i = y * width * 3;
    // The lens: every pixel leaks into its right and lower neighbour, which is a 2x2 blur of the given weight.
    let j = y < height - 1 ? i + width * 3 : i;
    let noise = (random() * (noiseMask - width * 3)) | 0;
    let [r, g, b] = [pixels[i], pixels[i + 1], pixels[i + 2]];
    for (let x = 0; x < width; x++, i += 3, j += 3, noise += 3) {
      const gain = exposure * curveSteps * (edge - falloff[x]);
      const r1 = pixels[i] + (pixels[j] - pixels[i]) * soft;
      const g1 = pixels[i + 1] + (pixels[j + 1] - pixels[i + 1]) * soft;
      const b1 = pixels[i + 2] + (pixels[j + 2] - pixels[i + 2]) * soft;
      bytes[i] = expose((r1 + (r - r1) * soft) * gain, normal[noise]);
      bytes[i + 1] = expose((g1 + (g - g1) * soft) * gain, normal[noise + 1]);
      bytes[i + 2] = expose((b1 + (b - b1) * soft) * gain, normal[noise + 2]);
      r = r1;
      g = g1;
      b = b1;
    }
  }
  return bytes;
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
  for (const [
    name,
    value,
    low,
  ] of [['index', index, 0], ['width', width, 32], ['height', height, 32], ['seed', seed, 0]] as const) // biome-ignore format: a table
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
export async function encodeFrame(frame: Frame, options: { quality?: number | undefined } = {}): Promise<Uint8Array> {
  const { data, width, height, channels } = frame;
  return sharp(data, { raw: { width, height, channels } })
    .jpeg({ quality: options.quality ?? 92 })
    .toBuffer();
}
