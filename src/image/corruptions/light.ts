import { openWorkspace, type Workspace } from '../../core/workspace.ts';
import {
  blurInPlace,
  encodeLight,
  linearLight,
  mapChannels,
  type Pixels,
  placePixels,
  readPixels,
  table,
} from './filter.ts';
import { addNoise } from './noise.ts';
import type { Random } from './random.ts';

/** Exposure error in stops (factors of two of the light). */
const stopsOver = [0.4, 0.8, 1.2, 1.8, 2.6] as const;
const stopsUnder = [0.6, 1.1, 1.7, 2.4, 3.4] as const;
/** ImageNet-C `brightness`: added to V of HSV. */
const valueAdded = [0.1, 0.2, 0.3, 0.4, 0.5] as const;
/** ImageNet-C `contrast`: factor about the channel means. */
const contrastFactor = [0.4, 0.3, 0.2, 0.1, 0.05] as const;
/** ImageNet-C `saturate`: S * mul + add. */
const saturateHsv = [
  [0.3, 0],
  [0.1, 0],
  [2, 0],
  [5, 0.1],
  [20, 0.2],
] as const;
/** Share of the colour removed. */
const colourLost = [0.3, 0.5, 0.7, 0.85, 1] as const;
/** Exponents of the tone curve. */
const gammaLighterBy = [0.85, 0.7, 0.55, 0.45, 0.35] as const;
const gammaDarkerBy = [1.2, 1.5, 1.8, 2.3, 3] as const;
/** Gain of one channel and loss of the others. */
const castBy = [0.05, 0.1, 0.16, 0.24, 0.36] as const;
/** Error of the white balance in mired (millionths of a reciprocal kelvin). */
const miredError = [18, 36, 60, 95, 140] as const;
/** Share of daylight that is left, and the noise of the gain that makes up for some of it (DN at black, DN per root DN). */
const nights = [
  { light: 0.3, read: 2, shot: 0.3 },
  { light: 0.17, read: 4, shot: 0.5 },
  { light: 0.1, read: 6, shot: 0.8 },
  { light: 0.06, read: 9, shot: 1.1 },
  { light: 0.035, read: 12, shot: 1.5 },
] as const;

/** Share of infrared in the light; light of the lamp at the corners as a share of that in its middle; noise of the gain in DN. */
const lamps = [
  { infrared: 0.1, corner: 0.95, noise: 0.8 },
  { infrared: 0.4, corner: 0.75, noise: 1.5 },
  { infrared: 0.7, corner: 0.55, noise: 3 },
  { infrared: 1, corner: 0.4, noise: 5 },
  { infrared: 1, corner: 0.22, noise: 8 },
] as const;

/**
 * Share of daylight that is left, the exponent by which what is dark falls further, gain of red and blue at blue hour, colour that is
 * left, deviation in pixels of what a longer exposure smears, and of the noise of the gain in DN.
 */
const dusks = [
  { light: 0.75, fall: 1.1, red: 0.94, blue: 1.02, colour: 0.92, blur: 0.3, noise: 0.1 },
  { light: 0.6, fall: 1.17, red: 0.9, blue: 1.04, colour: 0.84, blur: 0.38, noise: 0.2 },
  { light: 0.45, fall: 1.25, red: 0.87, blue: 1.06, colour: 0.76, blur: 0.45, noise: 0.3 },
  { light: 0.33, fall: 1.33, red: 0.84, blue: 1.08, colour: 0.68, blur: 0.52, noise: 0.5 },
  { light: 0.24, fall: 1.4, red: 0.8, blue: 1.1, colour: 0.6, blur: 0.6, noise: 0.8 },
] as const;
/** What is burnt out by day was brighter than white by so much. */
const headroom = 0.9;

const same = (t: Uint8Array) => [t, t, t] as const;

/** A copy of pixels, changed in a workspace. */
function change(data: Uint8Array, apply: (space: Workspace, at: number) => void): Uint8Array {
  const space = openWorkspace();
  const at = space.write(data);
  apply(space, at);
  return space.readBytes(at, data.length);
}

function expose({ data }: Pixels, stops: number): Uint8Array {
  return mapChannels(data, same(table((v) => encodeLight(linearLight[v] * 2 ** stops))));
}

/** Gain in linear light; highlights clip. */
export const overExposure = (pixels: Pixels, severity: number): Uint8Array => expose(pixels, stopsOver[severity - 1]);

/** Loss in linear light; shadows are crushed by the 8 bits. */
export const underExposure = (pixels: Pixels, severity: number): Uint8Array =>
  expose(pixels, -stopsUnder[severity - 1]);

/** HSV with V + c, clipped: scales each pixel, hue and saturation stay. */
export function brightness({ data }: Pixels, severity: number): Uint8Array {
  const add = 255 * valueAdded[severity - 1];
  // What becomes of a sample, for every value of its pixel.
  const raised = new Uint8Array(65536).fill(add + 0.5, 0, 1);
  for (let value = 1; value < 256; value++) {
    for (let v = 0; v <= value; v++) raised[256 * value + v] = (v * Math.min(255, value + add)) / value + 0.5;
  }
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    const row = 256 * Math.max(data[i], data[i + 1], data[i + 2]);
    out[i] = raised[row + data[i]];
    out[i + 1] = raised[row + data[i + 1]];
    out[i + 2] = raised[row + data[i + 2]];
  }
  return out;
}

/** (x - mean) c + mean with the mean of each channel. */
export function lowContrast({ data }: Pixels, severity: number): Uint8Array {
  const factor = contrastFactor[severity - 1];
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i += 3) {
    sums[0] += data[i];
    sums[1] += data[i + 1];
    sums[2] += data[i + 2];
  }
  const [red, green, blue] = sums.map((sum) =>
    table((v) => (v - (3 * sum) / data.length) * factor + (3 * sum) / data.length),
  );
  return mapChannels(data, [red, green, blue]);
}

/** HSV with S * mul + add, clipped; a grey pixel has hue 0, so `add` turns it red, as it does in ImageNet-C. */
export function saturation({ data }: Pixels, severity: number): Uint8Array {
  const [mul, add] = saturateHsv[severity - 1];
  return change(data, ({ kernels }, at) => kernels.stopline_saturate(at, data.length / 3, mul, add));
}

/** Moves every pixel towards its BT.601 luma: what a grey or washed-out camera mode delivers. */
export function desaturation({ data }: Pixels, severity: number): Uint8Array {
  const lost = colourLost[severity - 1];
  return change(data, ({ kernels }, at) => kernels.stopline_desaturate(at, data.length / 3, lost));
}

const gamma = ({ data }: Pixels, exponent: number): Uint8Array =>
  mapChannels(data, same(table((v) => 255 * (v / 255) ** exponent)));

/** A tone curve that lifts the shadows. */
export const gammaLighter = (pixels: Pixels, severity: number): Uint8Array =>
  gamma(pixels, gammaLighterBy[severity - 1]);

/** A tone curve that sinks the mid-tones. */
export const gammaDarker = (pixels: Pixels, severity: number): Uint8Array => gamma(pixels, gammaDarkerBy[severity - 1]);

/** A tint of random hue: channel gains 1 + a cos(hue - 120 degrees * channel), which average to one. */
export function colourCast({ data }: Pixels, severity: number, random: Random): Uint8Array {
  const hue = random.uniform(0, 2 * Math.PI);
  const [red, green, blue] = [0, 1, 2].map((channel) => {
    const gain = 1 + castBy[severity - 1] * Math.cos(hue - (channel * 2 * Math.PI) / 3);
    return table((v) => v * gain);
  });
  return mapChannels(data, [red, green, blue]);
}

/** Linear sRGB of a black body, green = 1: Planckian locus of Kang et al. 2002 (1667 K to 25000 K), then IEC 61966-2-1. */
export function blackBody(kelvin: number): [number, number, number] {
  const t = 1000 / kelvin;
  const x =
    kelvin < 4000
      ? -0.2661239 * t ** 3 - 0.234358 * t ** 2 + 0.8776956 * t + 0.17991
      : -3.0258469 * t ** 3 + 2.1070379 * t ** 2 + 0.2226347 * t + 0.24039;
  const y =
    kelvin < 2222
      ? -1.1063814 * x ** 3 - 1.3481102 * x ** 2 + 2.18555832 * x - 0.20219683
      : kelvin < 4000
        ? -0.9549476 * x ** 3 - 1.37418593 * x ** 2 + 2.09137015 * x - 0.16748867
        : 3.081758 * x ** 3 - 5.8733867 * x ** 2 + 3.75112997 * x - 0.37001483;
  const X = x / y;
  const Z = (1 - x - y) / y;
  const green = -0.969266 * X + 1.8760108 + 0.041556 * Z;
  return [(3.2404542 * X - 1.5371385 - 0.4985314 * Z) / green, 1, (0.0556434 * X - 0.2040259 + 1.0572252 * Z) / green];
}

/** White balanced for a wrong colour temperature, warm or cool by the seed, in linear light; the error is counted in mired from 6500 K. */
export function whiteBalance({ data }: Pixels, severity: number, random: Random): Uint8Array {
  const right = blackBody(6500);
  // 25000 K, the end of the formula, is 114 mired away from 6500 K: the cool side is kept inside.
  const shift = random.uniform() < 0.5 ? miredError[severity - 1] : -0.75 * miredError[severity - 1];
  const wrong = blackBody(1e6 / (1e6 / 6500 + shift));
  const [red, green, blue] = wrong.map((value, channel) =>
    table((v) => encodeLight((linearLight[v] * value) / right[channel])),
  );
  return mapChannels(data, [red, green, blue]);
}

/**
 * Little light (scaled in linear light), the bluish, less colourful look of night, and the noise of a high gain: standard
 * deviation read + shot * sqrt(value), as in the low-light of ImageNet-3DCC (Kar et al. 2022), Poisson and gaussian.
 */
export function night({ data }: Pixels, severity: number, random: Random): Uint8Array {
  const { light, read, shot } = nights[severity - 1];
  const encoded = Uint8Array.from({ length: 4096 }, (_, i) => encodeLight(i / 4095) + 0.5);
  const dark = change(data, (space, at) => {
    const [linear, gamma] = [space.write(linearLight), space.write(encoded)];
    space.kernels.stopline_night(at, data.length / 3, linear, gamma, 4095 * light);
  });
  return addNoise(
    dark,
    Float32Array.from({ length: 256 }, (_, v) => read + shot * Math.sqrt(v)),
    random,
  );
}

/**
 * Several things at once, as they come at dusk: less light, which leaves the ground before it leaves the sky (a power of linear light),
 * the tint of blue hour or of a low sun by the seed, paler colours, and a longer exposure, with what it smears and some noise.
 */
export function dusk({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const { light, fall, red, blue, colour, blur, noise } = dusks[severity - 1];
  const tint = random.sign() > 0 ? [red, 1, blue] : [blue, 1, red];
  const tables = tint.map((gain) =>
    table((v) => encodeLight(light * gain * linearLight[v] ** fall * (1 + headroom * linearLight[v] ** 4))),
  );
  const dark = mapChannels(data, tables as [Uint8Array, Uint8Array, Uint8Array]);
  const space = openWorkspace();
  const smeared = placePixels(space, { data: dark, width, height });
  blurInPlace(space, smeared, blur);
  space.kernels.stopline_pale(smeared.at, width * height, colour);
  return addNoise(readPixels(space, smeared), new Float32Array(256).fill(noise), random);
}

/**
 * The infrared mode of a camera: no colour at all; the more infrared is in the light, the lighter are foliage and skin and the darker
 * is the sky; and the lamp of the camera, brightest near the middle, with the noise of the gain.
 */
export function monochrome({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const { infrared, corner, noise } = lamps[severity - 1];
  const [cx, cy] = [random.uniform(0.4, 0.6) * width, random.uniform(0.4, 0.6) * height];
  const reach = (width * width + height * height) / 4;
  const space = openWorkspace();
  const normals = space.floats(random.placeNormals(space, width * height, 0, noise), width * height);
  const out = new Uint8Array(data.length);
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const i = 3 * p;
      // Silicon sees infrared through all three filters, most through red; plants send back much of what they are lit with.
      const unseen = 0.6 * data[i] + 0.55 * data[i + 1] - 0.15 * data[i + 2];
      const luma = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
      const grey = luma + infrared * (unseen - luma);
      const lit = corner ** (((x - cx) ** 2 + (y - cy) ** 2) / reach);
      const value = Math.min(255, Math.max(0, lit * grey + normals[p] + 0.5));
      out[i] = value;
      out[i + 1] = value;
      out[i + 2] = value;
    }
  }
  return out;
}
