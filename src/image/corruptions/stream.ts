import { openWorkspace } from '../../core/workspace.ts';
import { Canvas, type Colour } from './canvas.ts';
import { type Pixels, resizePixels } from './filter.ts';
import type { Random } from './random.ts';

/** How often the step between the two ranges is made that should not be made: 3 is the usual mistake, 5 the same twice. */
const rangeSteps = [0.35, 0.65, 1, 1.5, 2] as const;
/** Of a side, what all bars together take. */
const barShare = [0.04, 0.09, 0.16, 0.26, 0.4] as const;
/** Of the rows, what was not decoded. */
const lostShare = [0.1, 0.22, 0.38, 0.58, 0.8] as const;
/** Of the blocks, what is wrong. */
const brokenShare = [0.02, 0.05, 0.1, 0.2, 0.4] as const;
/** Side of a macroblock in pixels. */
const block = 16;

const clip = (value: number) => Math.min(255, Math.max(0, Math.round(value)));

/**
 * Video levels (16 to 235, colour differences 16 to 240) shown as if they were full ones, or full ones taken for video levels, by the
 * seed: a range of 219 / 255 about the level that both share, and of 224 / 255 for the differences (ITU-R BT.601).
 */
export function colourRange({ data }: Pixels, severity: number, random: Random): Uint8Array {
  const steps = random.sign() * rangeSteps[severity - 1];
  const fixed = (16 * 255) / (255 - 219);
  const [light, colour] = [(219 / 255) ** steps, (224 / 255) ** steps];
  const space = openWorkspace();
  const at = space.write(data);
  space.kernels.stopline_range(at, data.length / 3, fixed, light, colour);
  return space.readBytes(at, data.length);
}

const barColours: readonly Colour[] = [
  [0, 0, 0],
  [0, 0, 0],
  [16, 16, 16],
  [255, 255, 255],
  [128, 128, 128],
];

/** Bars above and below, at the sides, on one side or all around, over the picture or with the picture made smaller, by the seed. */
export function bars(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const share = barShare[severity - 1];
  const kind = random.integer(4);
  const isShrunk = random.uniform() < 0.5;
  const colour = barColours[random.integer(barColours.length)];
  // Left, top, right and bottom as shares of a side; all around it is half as wide, and hides as much.
  const [left, top, right, bottom] = [
    [0, share / 2, 0, share / 2],
    [share / 2, 0, share / 2, 0],
    [0, 0, 0, share],
    [share / 4, share / 4, share / 4, share / 4],
  ][kind];
  const x = Math.ceil(left * width);
  const y = Math.ceil(top * height);
  const w = Math.max(1, width - x - Math.ceil(right * width));
  const h = Math.max(1, height - y - Math.ceil(bottom * height));
  const small = isShrunk ? resizePixels(pixels, w, h) : undefined;
  const canvas = new Canvas(pixels);
  canvas.fill(0, 0, width, height, colour);
  for (let row = 0; row < h; row++) {
    const at = 3 * ((y + row) * width + x);
    const line = small ? small.subarray(3 * row * w, 3 * (row + 1) * w) : pixels.data.subarray(at, at + 3 * w);
    canvas.data.set(line.subarray(0, Math.max(0, 3 * Math.min(w, width - x))), at);
  }
  return canvas.data;
}

/**
 * The decoder stopped within a row of macroblocks: what follows is grey (of a JPEG), green (planes of zeros), black, or the last row
 * of blocks again and again, by the seed.
 */
export function partlyDecoded({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const out = data.slice();
  const kind = random.integer(4);
  const from = Math.min(height - 1, Math.max(0, Math.round(height * (1 - lostShare[severity - 1]))));
  const row = from - (from % block);
  // So many blocks of that row did come.
  const came = block * Math.floor(random.uniform(0, width / block));
  const colour = [
    [128, 128, 128],
    [0, 135, 0],
    [0, 0, 0],
  ][kind];
  for (let y = row; y < height; y++) {
    const start = 3 * (y * width + (y < row + block ? came : 0));
    const end = 3 * (y + 1) * width;
    if (colour) for (let at = start; at < end; at++) out[at] = colour[at % 3];
    // The row of blocks above, or of the first row its first line.
    else {
      const back = 3 * width * (y >= block ? block : Math.min(y, 1));
      out.copyWithin(start, start - back, end - back);
    }
  }
  return out;
}

/**
 * Memory read with another layout than it was written with. It has no degrees, so severities are kinds: interleaved chroma read as two
 * planes (1, NV12 as I420), two planes read as interleaved (2), rows read a few pixels too long or too short (3), a few bytes too
 * long, so that colours turn, too (4), and interleaved colours read as planes (5).
 */
export function wrongLayout(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { data, width, height } = pixels;
  if (severity <= 2) return mixChroma(pixels, severity === 1);
  const out = new Uint8Array(data.length);
  const size = data.length;
  if (severity === 5) {
    for (let p = 0; p < width * height; p++) {
      for (let c = 0; c < 3; c++) out[3 * p + c] = data[c * width * height + p];
    }
    return out;
  }
  const step = random.sign() * (severity === 3 ? 3 * (1 + random.integer(8)) : 1 + 3 * random.integer(4));
  for (let y = 0; y < height; y++) {
    // A buffer goes round where its end is left.
    const from = (((y * (3 * width + step)) % size) + size) % size;
    const line = data.subarray(from, from + 3 * width);
    out.set(line, 3 * y * width);
    // Rows are shorter than the buffer, but for a frame of one row.
    for (let i = line.length; i < 3 * width; i++) out[3 * y * width + i] = data[(from + i) % size];
  }
  return out;
}

/** 4:2:0 with the chroma of one order read in the other; luma stays. */
function mixChroma({ data, width, height }: Pixels, isInterleaved: boolean): Uint8Array {
  const [w, h] = [(width + 1) >> 1, (height + 1) >> 1];
  const count = w * h;
  const blue = new Float32Array(count);
  const red = new Float32Array(count);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const at = 3 * (2 * y * width + 2 * x);
      const luma = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      blue[y * w + x] = 0.564 * (data[at + 2] - luma);
      red[y * w + x] = 0.713 * (data[at] - luma);
    }
  }
  const planar = (i: number) => (i < count ? blue[i] : red[i - count]);
  const interleaved = (i: number) => (i & 1 ? red[i >> 1] : blue[i >> 1]);
  const readBlue = (i: number) => (isInterleaved ? interleaved(i) : planar(2 * i));
  const readRed = (i: number) => (isInterleaved ? interleaved(count + i) : planar(2 * i + 1));
  const out = new Uint8Array(data.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const luma = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
      const cell = (y >> 1) * w + (x >> 1);
      const [cb, cr] = [readBlue(cell), readRed(cell)];
      out[at] = clip(luma + 1.402 * cr);
      out[at + 1] = clip(luma - 0.344 * cb - 0.714 * cr);
      out[at + 2] = clip(luma + 1.772 * cb);
    }
  }
  return out;
}

/** Runs of macroblocks that show another place, only what was left over of a prediction, one colour, or wrong colours. */
export function brokenBlocks(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const out = pixels.data.slice();
  const columns = Math.ceil(width / block);
  const count = columns * Math.ceil(height / block);
  let left = Math.max(1, Math.round(brokenShare[severity - 1] * count));
  while (left > 0) {
    const first = random.integer(count);
    const breaks = [displace, leaveResidual, flatten, discolour][random.integer(4)];
    const length = 1 + random.integer(Math.max(2, columns >> 1));
    // A wrong vector holds for a run.
    const vector = [random.sign() * (5 + random.integer(60)), random.sign() * (1 + random.integer(40))] as const;
    for (let i = first; i < Math.min(count, first + length) && left > 0; i++, left--) {
      const [x, y] = [block * (i % columns), block * Math.floor(i / columns)];
      breaks(out, pixels, { x, y, w: Math.min(block, width - x), h: Math.min(block, height - y) }, vector);
    }
  }
  return out;
}

interface Block {
  x: number;
  y: number;
  w: number;
  h: number;
}

function eachPixel(width: number, { x, y, w, h }: Block, visit: (at: number, px: number, py: number) => void): void {
  for (let j = 0; j < h; j++) for (let i = 0; i < w; i++) visit(3 * ((y + j) * width + x + i), x + i, y + j);
}

function displace(
  out: Uint8Array,
  { data, width, height }: Pixels,
  area: Block,
  [dx, dy]: readonly [number, number],
): void {
  eachPixel(width, area, (at, x, y) => {
    const sx = Math.min(width - 1, Math.max(0, x + dx));
    const sy = Math.min(height - 1, Math.max(0, y + dy));
    for (let c = 0; c < 3; c++) out[at + c] = data[3 * (sy * width + sx) + c];
  });
}

function blockMean({ data, width }: Pixels, area: Block): number[] {
  const sums = [0, 0, 0];
  eachPixel(width, area, (at) => {
    for (let c = 0; c < 3; c++) sums[c] += data[at + c];
  });
  return sums.map((sum) => sum / (area.w * area.h));
}

/** On grey, what is left of a block once its mean is gone: the reference that it was predicted from never came. */
function leaveResidual(out: Uint8Array, pixels: Pixels, area: Block): void {
  const mean = blockMean(pixels, area);
  eachPixel(pixels.width, area, (at) => {
    for (let c = 0; c < 3; c++) out[at + c] = clip(128 + pixels.data[at + c] - mean[c]);
  });
}

function flatten(out: Uint8Array, pixels: Pixels, area: Block): void {
  const mean = blockMean(pixels, area);
  eachPixel(pixels.width, area, (at) => {
    for (let c = 0; c < 3; c++) out[at + c] = clip(mean[c]);
  });
}

function discolour(out: Uint8Array, { data, width }: Pixels, area: Block, [dx, dy]: readonly [number, number]): void {
  // Colour differences that belong elsewhere, strong enough to be seen: green where both are low, pink where both are high.
  const [cb, cr] = [Math.sign(dx) * 60, Math.sign(dy) * 60];
  eachPixel(width, area, (at) => {
    const luma = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    out[at] = clip(luma + 1.402 * cr);
    out[at + 1] = clip(luma - 0.344 * cb - 0.714 * cr);
    out[at + 2] = clip(luma + 1.772 * cb);
  });
}
