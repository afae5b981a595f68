import sharp from 'sharp';
import { openWorkspace } from '../../../src/core/workspace.ts';
import { trail } from '../../../src/image/corruptions/blur.ts';
import type { Severity } from '../../../src/image/corruptions/corruptions.ts';
import { type Pixels, type Plane, reflect, resample, toBytes } from '../../../src/image/corruptions/filter.ts';
import { Random } from '../../../src/image/corruptions/random.ts';
import { plasma } from '../../../src/image/corruptions/texture.ts';

/**
 * The nineteen corruptions of CIFAR-10-C (Hendrycks and Dietterich 2019) with their published parameters for images of 32 x 32, drawn
 * here in floats of 0 to 255. Two are drawn in another way: frost, which is photographs there and a texture here, and the drops of
 * `spatter`, whose shading follows from edges there and from how thick the water is here. A simulated cause of `fit` has the
 * parameters of ImageNet-C: none of these is one.
 */
type Draw = (image: Image, severity: number, random: Random) => Float32Array | Promise<Uint8Array>;

/** Interleaved pixels of three channels, 0 to 255. */
export interface Image {
  data: Float32Array;
  width: number;
  height: number;
}

const channels = 3;

export const cifarCorruptions: Readonly<Record<string, Draw>> = {
  gaussianNoise,
  shotNoise,
  impulseNoise,
  defocusBlur,
  glassBlur,
  motionBlur,
  zoomBlur,
  snow,
  frost,
  fog,
  brightness,
  contrast,
  elastic,
  pixelate,
  jpeg,
  speckleNoise,
  gaussianBlur,
  spatter,
  saturate,
};

/** One corruption on one picture; the same for a seed. */
export async function drawCifar(pixels: Pixels, name: string, severity: Severity, seed: number): Promise<Uint8Array> {
  const image = { ...pixels, data: new Float32Array(pixels.data) };
  const drawn = await cifarCorruptions[name](image, severity - 1, new Random(seed));
  return drawn instanceof Uint8Array ? drawn : toBytes(drawn);
}

function gaussianNoise({ data }: Image, severity: number, random: Random): Float32Array {
  const sigma = 255 * [0.04, 0.06, 0.08, 0.09, 0.1][severity];
  const noise = random.normals(data.length, 0, sigma);
  return data.map((value, i) => value + noise[i]);
}

function speckleNoise({ data }: Image, severity: number, random: Random): Float32Array {
  const noise = random.normals(data.length, 0, [0.06, 0.1, 0.12, 0.16, 0.2][severity]);
  return data.map((value, i) => value * (1 + noise[i]));
}

/** Photons are counted: Poisson numbers, by their sums of exponential times. */
function shotNoise({ data }: Image, severity: number, random: Random): Float32Array {
  const photons = [500, 250, 100, 75, 50][severity];
  return data.map((value) => (255 * drawPoisson((value / 255) * photons, random)) / photons);
}

/** Knuth 1969, in pieces that do not underflow. */
function drawPoisson(mean: number, random: Random): number {
  let count = 0;
  for (let left = mean; left > 0; left -= 50) {
    const limit = Math.exp(-Math.min(left, 50));
    for (let product = random.uniform(0, 1); product > limit; product *= random.uniform(0, 1)) count++;
  }
  return count;
}

/** Salt and pepper, each channel for itself. */
function impulseNoise({ data }: Image, severity: number, random: Random): Float32Array {
  const share = [0.01, 0.02, 0.03, 0.05, 0.07][severity];
  return data.map((value) => {
    const luck = random.uniform(0, 1);
    if (luck >= share) return value;
    return luck < share / 2 ? 0 : 255;
  });
}

function gaussianBlur(image: Image, severity: number): Float32Array {
  return blur(image, [0.4, 0.6, 0.7, 0.8, 1][severity]);
}

/** A disk of a radius below two pixels, softened by three taps. */
function defocusBlur({ data, width, height }: Image, severity: number): Float32Array {
  const [radius, alias] = [
    [0.3, 0.4],
    [0.4, 0.5],
    [0.5, 0.6],
    [1, 0.2],
    [1.5, 0.1],
  ][severity];
  const reach = 3;
  const size = 2 * reach + 1;
  const disk = Float32Array.from({ length: size * size }, (_, i) =>
    (Math.floor(i / size) - reach) ** 2 + ((i % size) - reach) ** 2 <= radius ** 2 ? 1 : 0,
  );
  const taps = readTaps(alias, 1);
  const kernel = convolveRows(convolveColumns({ data: disk, width: size, height: size }, taps, 1), taps, 1);
  const total = kernel.data.reduce((sum, value) => sum + value, 0);
  const out = new Float32Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let k = 0; k < kernel.data.length; k++) {
        const weight = kernel.data[k] / total;
        if (weight === 0) continue;
        const from = reflect(y + Math.floor(k / size) - reach, height) * width + reflect(x + (k % size) - reach, width);
        for (let c = 0; c < channels; c++) out[channels * (y * width + x) + c] += weight * data[channels * from + c];
      }
    }
  }
  return out;
}

function glassBlur(image: Image, severity: number, random: Random): Float32Array {
  const [sigma, reach, rounds] = [
    [0.05, 1, 1],
    [0.25, 1, 1],
    [0.4, 1, 1],
    [0.25, 1, 2],
    [0.4, 1, 2],
  ][severity];
  const { width, height } = image;
  const data = blur(image, sigma).map(Math.floor);
  for (let round = 0; round < rounds; round++) {
    for (let y = height - reach; y > reach; y--) {
      for (let x = width - reach; x > reach; x--) {
        // From -reach to reach - 1, as numpy's randint draws.
        const [dx, dy] = [random.integer(2 * reach) - reach, random.integer(2 * reach) - reach];
        const here = channels * (y * width + x);
        const there = channels * ((y + dy) * width + x + dx);
        for (let c = 0; c < channels; c++) [data[here + c], data[there + c]] = [data[there + c], data[here + c]];
      }
    }
  }
  return blur({ ...image, data }, sigma);
}

function motionBlur({ data, width, height }: Image, severity: number, random: Random): Float32Array {
  const [radius, sigma] = [
    [6, 1],
    [6, 1.5],
    [6, 2],
    [8, 2],
    [9, 2.5],
  ][severity];
  const angle = random.uniform(-Math.PI / 4, Math.PI / 4);
  return smear({ data, width, height, channels }, { angle, length: 2 * radius + 1, sigma });
}

function zoomBlur(image: Image, severity: number): Float32Array {
  const copies = [6, 11, 16, 21, 26][severity];
  const sum = image.data.slice();
  for (let k = 0; k < copies; k++) {
    const larger = enlarge(image, 1 + k / 100);
    for (let i = 0; i < sum.length; i++) sum[i] += larger[i];
  }
  return sum.map((value) => value / (copies + 1));
}

function fog({ data, width, height }: Image, severity: number, random: Random): Float32Array {
  const [thickness, decay] = [
    [0.2, 3],
    [0.5, 3],
    [0.75, 2.5],
    [1, 2],
    [1.5, 1.75],
  ][severity];
  const brightest = data.reduce((most, value) => Math.max(most, value), 0) / 255;
  const cloud = drawClouds(width, height, { decay, random });
  const scale = brightest / (brightest + thickness);
  return data.map((value, i) => (value + 255 * thickness * cloud[Math.floor(i / channels)]) * scale);
}

/** A texture of ice in place of photographs of it. */
function frost({ data, width, height }: Image, severity: number, random: Random): Float32Array {
  const [picture, ice] = [
    [1, 0.2],
    [1, 0.3],
    [0.9, 0.4],
    [0.85, 0.4],
    [0.75, 0.45],
  ][severity];
  const texture = drawClouds(width, height, { decay: 1.3, random, firstCells: 4 });
  const tint = [0.8, 0.95, 1.1];
  return data.map((value, i) => picture * value + ice * 200 * texture[Math.floor(i / channels)] * tint[i % channels]);
}

function snow({ data, width, height }: Image, severity: number, random: Random): Float32Array {
  const [mean, deviation, zoom, least, radius, sigma, kept] = [
    [0.1, 0.2, 1, 0.6, 8, 3, 0.95],
    [0.1, 0.2, 1, 0.5, 10, 4, 0.9],
    [0.15, 0.3, 1.75, 0.55, 10, 4, 0.9],
    [0.25, 0.3, 2.25, 0.6, 12, 6, 0.85],
    [0.3, 0.3, 1.25, 0.65, 14, 12, 0.8],
  ][severity];
  const flakes = enlarge({ data: random.normals(width * height, mean, deviation), width, height }, zoom, 1).map(
    (value) => (value < least ? 0 : Math.min(1, value)),
  );
  const angle = random.uniform((-3 * Math.PI) / 4, -Math.PI / 4);
  const layer = smear({ data: flakes, width, height, channels: 1 }, { angle, length: 2 * radius + 1, sigma });
  return data.map((value, i) => {
    const pixel = Math.floor(i / channels);
    const whiter = Math.max(value, 1.5 * grey(data, pixel) + 127.5);
    return kept * value + (1 - kept) * whiter + 255 * (layer[pixel] + layer[layer.length - 1 - pixel]);
  });
}

function spatter({ data, width, height }: Image, severity: number, random: Random): Float32Array {
  const [mean, deviation, sigma, least, strength, isMud] = [
    [0.62, 0.1, 0.7, 0.7, 0.5, 0],
    [0.65, 0.1, 0.8, 0.7, 0.5, 0],
    [0.65, 0.3, 1, 0.69, 0.5, 0],
    [0.65, 0.1, 0.7, 0.69, 0.6, 1],
    [0.65, 0.1, 0.5, 0.68, 0.6, 1],
  ][severity];
  const noise = { data: random.normals(width * height, mean, deviation), width, height };
  const liquid = blur(noise, sigma, 1).map((value) => (value < least ? 0 : value));
  if (isMud) {
    const thick = { ...noise, data: liquid.map((value) => (value > least ? 1 : 0)) };
    const mud = blur(thick, strength, 1).map((value) => (value < 0.8 ? 0 : value));
    const colour = [63, 42, 20];
    return data.map((value, i) => {
      const cover = mud[Math.floor(i / channels)];
      return value * (1 - cover) + cover * colour[i % channels];
    });
  }
  const most = liquid.reduce((most, value) => Math.max(most, value), 0);
  const water = blur({ ...noise, data: liquid.map((value) => (most > 0 ? value / most : 0)) }, 0.5, 1);
  const colour = [175, 238, 238];
  return data.map((value, i) => value + strength * water[Math.floor(i / channels)] * colour[i % channels]);
}

function brightness({ data }: Image, severity: number): Float32Array {
  const more = 255 * [0.05, 0.1, 0.15, 0.2, 0.3][severity];
  return changeColours(data, (value, saturation) => [Math.min(255, value + more), saturation]);
}

function saturate({ data }: Image, severity: number): Float32Array {
  const [scale, more] = [
    [0.3, 0],
    [0.1, 0],
    [1.5, 0],
    [2, 0.1],
    [2.5, 0.2],
  ][severity];
  return changeColours(data, (value, saturation) => [value, Math.min(1, scale * saturation + more)]);
}

/** Each channel towards its own mean. */
function contrast({ data }: Image, severity: number): Float32Array {
  const kept = [0.75, 0.5, 0.4, 0.3, 0.15][severity];
  const means = [0, 0, 0];
  for (let i = 0; i < data.length; i++) means[i % channels] += (data[i] * channels) / data.length;
  return data.map((value, i) => means[i % channels] + kept * (value - means[i % channels]));
}

async function jpeg(image: Image, severity: number): Promise<Uint8Array> {
  const coded = await sharp(toBytes(image.data), { raw: { width: image.width, height: image.height, channels } })
    .jpeg({ quality: [80, 65, 58, 50, 40][severity], chromaSubsampling: '4:2:0' })
    .toBuffer();
  return new Uint8Array(await sharp(coded).raw().toBuffer());
}

/** Boxes of pixels averaged, and spread again. */
function pixelate({ data, width, height }: Image, severity: number): Float32Array {
  const size = [0.95, 0.9, 0.85, 0.75, 0.65][severity];
  const small = [Math.floor(width * size), Math.floor(height * size)] as const;
  return boxResize(boxResize({ data, width, height }, ...small), width, height).data;
}

function elastic(image: Image, severity: number, random: Random): Float32Array {
  const { width, height } = image;
  const [push, sigma, shift] = [
    [0, 0, 0.08],
    [0.05, 0.2, 0.07],
    [0.08, 0.06, 0.06],
    [0.1, 0.04, 0.05],
    [0.1, 0.03, 0.03],
  ][severity].map((part) => part * width);
  const [cx, cy, third] = [width / 2, height / 2, Math.floor(Math.min(width, height) / 3)];
  const from = [cx + third, cy + third, cx + third, cy - third, cx - third, cy - third];
  const to = from.map((place) => place + random.uniform(-shift, shift));
  // Where a pixel comes from: the map of the moved corners back to where they stood.
  const back = solveAffine(to, from);
  const turned = warp(image, (x, y) => [back[0] * x + back[1] * y + back[2], back[3] * x + back[4] * y + back[5]]);
  const drawPushes = () => {
    const data = Float32Array.from({ length: width * height }, () => random.uniform(-1, 1));
    return blur({ data, width, height }, sigma, 1).map((value) => value * push);
  };
  const [dx, dy] = [drawPushes(), drawPushes()];
  return warp({ ...image, data: turned }, (x, y) => [x + dx[y * width + x], y + dy[y * width + x]]);
}

/** The affine map that takes three points to three others, by Cramer's rule: x' = a x + b y + c, y' = d x + e y + f. */
export function solveAffine(from: readonly number[], to: readonly number[]): number[] {
  const [x0, y0, x1, y1, x2, y2] = from;
  const size = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0);
  return [0, 1].flatMap((axis) => {
    const [p0, p1, p2] = [to[axis], to[2 + axis], to[4 + axis]];
    const a = ((p1 - p0) * (y2 - y0) - (p2 - p0) * (y1 - y0)) / size;
    const b = ((p2 - p0) * (x1 - x0) - (p1 - p0) * (x2 - x0)) / size;
    return [a, b, p0 - a * x0 - b * y0];
  });
}

/** Pixels from where `source` says, between neighbours by distance; beyond the edge, from where `beyond` says: mirrored by default. */
export function warp(
  { data, width, height }: Image,
  source: (x: number, y: number) => readonly [number, number],
  beyond: (place: number, size: number) => number = reflect,
): Float32Array {
  const out = new Float32Array(data.length);
  const at = (x: number, y: number, c: number) => data[channels * (beyond(y, height) * width + beyond(x, width)) + c];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [sx, sy] = source(x, y);
      const [left, top] = [Math.floor(sx), Math.floor(sy)];
      const [u, v] = [sx - left, sy - top];
      for (let c = 0; c < channels; c++) {
        out[channels * (y * width + x) + c] =
          (1 - v) * ((1 - u) * at(left, top, c) + u * at(left + 1, top, c)) +
          v * ((1 - u) * at(left, top + 1, c) + u * at(left + 1, top + 1, c));
      }
    }
  }
  return out;
}

function smear(image: Plane, how: Parameters<typeof trail>[2]): Float32Array {
  const space = openWorkspace();
  return space.readFloats(trail(space, image, how), image.data.length);
}

function drawClouds(width: number, height: number, how: Parameters<typeof plasma>[2]): Float32Array {
  const space = openWorkspace();
  return space.readFloats(plasma(space, { width, height }, how).at, width * height);
}

/** The middle of a picture enlarged to its size, between neighbours by distance, corners on corners. */
function enlarge({ data, width, height }: Image, zoom: number, depth = channels): Float32Array {
  const axis = (size: number) => {
    const crop = Math.ceil(size / zoom);
    const large = Math.round(crop * zoom);
    const [start, trim] = [Math.floor((size - crop) / 2), Math.floor((large - size) / 2)];
    const step = large > 1 ? (crop - 1) / (large - 1) : 0;
    return (i: number) => Math.min(start + crop - 1, start + (i + trim) * step);
  };
  const space = openWorkspace();
  const image = { at: space.write(data), width, height, channels: depth };
  const { at } = resample(space, image, [width, height], axis(width), axis(height));
  return space.readFloats(at, width * height * depth);
}

/** Every pixel is the mean of what it covers of the picture, in parts of pixels. */
function boxResize({ data, width, height }: Image, toWidth: number, toHeight: number): Image {
  const covered = (size: number, target: number, i: number) => {
    const [low, high] = [(i * size) / target, ((i + 1) * size) / target];
    const first = Math.floor(low);
    const weights = Array.from(
      { length: Math.min(size, Math.ceil(high)) - first },
      (_, k) => (Math.min(first + k + 1, high) - Math.max(first + k, low)) / (high - low),
    );
    return { first, weights };
  };
  const columns = Array.from({ length: toWidth }, (_, x) => covered(width, toWidth, x));
  const out = new Float32Array(toWidth * toHeight * channels);
  for (let y = 0; y < toHeight; y++) {
    const rows = covered(height, toHeight, y);
    for (const [x, column] of columns.entries()) {
      for (const [j, down] of rows.weights.entries()) {
        for (const [i, across] of column.weights.entries()) {
          const from = channels * ((rows.first + j) * width + column.first + i);
          for (let c = 0; c < channels; c++) out[channels * (y * toWidth + x) + c] += down * across * data[from + c];
        }
      }
    }
  }
  return { data: out, width: toWidth, height: toHeight };
}

/** Weights of a Gaussian, to four deviations or so far as is said, of sum one. */
function readTaps(sigma: number, reach = Math.floor(4 * sigma + 0.5)): Float32Array {
  const taps = Float32Array.from({ length: 2 * reach + 1 }, (_, i) =>
    i === reach ? 1 : Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)),
  );
  const total = taps.reduce((sum, tap) => sum + tap, 0);
  return taps.map((tap) => tap / total);
}

function blur(image: Image, sigma: number, depth = channels): Float32Array {
  const taps = readTaps(sigma);
  return convolveColumns(convolveRows(image, taps, depth), taps, depth).data;
}

/** Along rows; the edge repeats. */
function convolveRows(image: Image, taps: Float32Array, depth: number): Image {
  const { data, width, height } = image;
  const reach = (taps.length - 1) / 2;
  const out = new Float32Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [k, tap] of taps.entries()) {
        const from = Math.min(width - 1, Math.max(0, x + k - reach));
        for (let c = 0; c < depth; c++) out[depth * (y * width + x) + c] += tap * data[depth * (y * width + from) + c];
      }
    }
  }
  return { ...image, data: out };
}

/** Along columns: a row of whole pixels' lines is one long row. */
function convolveColumns(image: Image, taps: Float32Array, depth: number): Image {
  const { data, width, height } = image;
  const reach = (taps.length - 1) / 2;
  const stride = width * depth;
  const out = new Float32Array(data.length);
  for (let y = 0; y < height; y++) {
    for (const [k, tap] of taps.entries()) {
      const from = Math.min(height - 1, Math.max(0, y + k - reach)) * stride;
      for (let i = 0; i < stride; i++) out[y * stride + i] += tap * data[from + i];
    }
  }
  return { ...image, data: out };
}

/** Luma of Rec. 601. */
function grey(data: Float32Array, pixel: number): number {
  const at = channels * pixel;
  return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
}

/** Value and saturation changed, the hue kept (HSV): every channel is value minus its own part of the chroma. */
function changeColours(
  data: Float32Array,
  change: (value: number, saturation: number) => readonly [number, number],
): Float32Array {
  const out = new Float32Array(data.length);
  for (let at = 0; at < data.length; at += channels) {
    const most = Math.max(data[at], data[at + 1], data[at + 2]);
    const chroma = most - Math.min(data[at], data[at + 1], data[at + 2]);
    const [value, saturation] = change(most, most > 0 ? chroma / most : 0);
    for (let c = 0; c < channels; c++) {
      const part = chroma > 0 ? (most - data[at + c]) / chroma : c === 0 ? 0 : 1;
      out[at + c] = value - value * saturation * part;
    }
  }
  return out;
}
