import type { Severity } from '../../src/image/corruptions/corruptions.ts';
import { blurPixels, type Pixels } from '../../src/image/corruptions/filter.ts';
import { Random } from '../../src/image/corruptions/random.ts';

/**
 * Things that happen to cameras and pipelines, drawn here and known to the evaluation alone: no Profile is fitted to this code. Most
 * are unseen: no simulated cause shows them. What became a cause since is kept, drawn in its own way, and counts for itself.
 */
type Fault = (pixels: Pixels, strength: number, random: Random) => Uint8Array;

/** Strengths of severities 1 to 5. */
const strengths = [0.2, 0.4, 0.6, 0.8, 1] as const;

const faults: Readonly<Record<string, readonly [meaning: string, fault: Fault, cause?: string]>> = {
  wiper: ['A wiper blade, out of focus, across the windscreen.', wiper],
  leaf: ['A leaf on the windscreen, dark and soft.', leaf],
  web: ['Threads of a spider web before the lens.', web],
  condensation: ['Moisture inside the housing: a soft patch that grows.', condensation],
  smudge: ['A finger print in one corner.', smudge],
  ghost: ['A second picture, shifted and faint: a reflection in the glass.', ghost],
  bitPlane: ['The lowest bits are lost.', bitPlane],
  lineShift: ['Rows shaken to and fro by a bad sync.', lineShift],
  flicker: ['Bands of light and dark across the picture: lamps that flicker with the mains.', flicker],
  insect: ['An insect sits on the glass.', insect],
  colourFringe: ['Red and blue do not meet: a lens that is not made for this sensor.', colourFringe],
  vignette: ['The corners are dark: a hood or filter that is too narrow.', vignette],
  mosaic: ['A part made unreadable on purpose, as software for privacy does.', mosaic],
  moire: ['Filmed from a screen: a fine pattern over everything.', moire],
  limitedRange: ['Video levels 16 to 235 shown as if they were 0 to 255.', limitedRange, 'colourRange'],
  stride: ['Rows read with a wrong length: the picture leans and wraps.', stride, 'wrongLayout'],
  macroblocks: ['Blocks of 16 pixels lost in transmission, filled from beside.', macroblocks, 'brokenBlocks'],
  displacedBlocks: ['Blocks of 16 pixels put where they do not belong.', displacedBlocks, 'brokenBlocks'],
  mirrored: ['A part of the rows is mirrored by a wrong buffer.', mirrored, 'orientation'],
  greenTint: ['Chroma planes cut short: the picture turns green.', greenTint, 'partlyDecoded'],
};

export const faultNames: readonly string[] = Object.keys(faults);

export function describeFault(name: string): string {
  return faults[name][0];
}

/** The simulated cause that shows the same since; undefined for a fault that is unseen. */
export function findSimulated(name: string): string | undefined {
  return faults[name][2];
}

/** Puts one fault on pixels; the same for a seed. */
export function applyFault(pixels: Pixels, name: string, severity: Severity, seed: number): Uint8Array {
  // A Buffer, as decoders give it, has a slice that is no copy.
  const data = new Uint8Array(pixels.data.buffer, pixels.data.byteOffset, pixels.data.length);
  return faults[name][1]({ ...pixels, data }, strengths[severity - 1], new Random(seed));
}

/** Every pixel mixed with another picture by a mask of 0 to 1. */
function mix(pixels: Pixels, other: (at: number, channel: number) => number, mask: (x: number, y: number) => number) {
  const { data, width, height } = pixels;
  const out = data.slice();
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0; x < width; x++, pixel++) {
      const share = mask(x, y);
      if (share <= 0) continue;
      for (let c = 0; c < 3; c++) {
        const at = 3 * pixel + c;
        out[at] = Math.round(data[at] + share * (other(at, c) - data[at]));
      }
    }
  }
  return out;
}

const soft = (distance: number, width: number) => Math.max(0, Math.min(1, 0.5 - distance / width));

function wiper(pixels: Pixels, strength: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const angle = random.uniform(-1, 1);
  const [cx, cy] = [random.uniform(0.2, 0.8) * width, height * 1.1];
  const half = (0.01 + 0.04 * strength) * width;
  return mix(
    pixels,
    () => 18,
    (x, y) => {
      const across = Math.abs((x - cx) * Math.cos(angle) + (y - cy) * Math.sin(angle));
      return (0.5 + 0.5 * strength) * soft(across - half, 0.03 * width);
    },
  );
}

function leaf(pixels: Pixels, strength: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const [cx, cy] = [random.uniform(0.15, 0.85) * width, random.uniform(0.15, 0.85) * height];
  const radius = (0.03 + 0.1 * strength) * height;
  const turn = random.uniform(0, 3);
  const colour = [58, 66, 24];
  return mix(
    pixels,
    (_, c) => colour[c],
    (x, y) => {
      const u = ((x - cx) * Math.cos(turn) + (y - cy) * Math.sin(turn)) / (1.8 * radius);
      const v = ((y - cy) * Math.cos(turn) - (x - cx) * Math.sin(turn)) / radius;
      return 0.95 * soft((Math.hypot(u, v) - 1) * radius, 0.25 * radius);
    },
  );
}

function web(pixels: Pixels, strength: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const threads = Array.from({ length: Math.round(3 + 12 * strength) }, () => {
    const angle = random.uniform(0, Math.PI);
    return [Math.cos(angle), Math.sin(angle), random.uniform(-0.3, 0.3) * width] as const;
  });
  return mix(
    pixels,
    () => 225,
    (x, y) => {
      let share = 0;
      for (const [nx, ny, offset] of threads) {
        const across = Math.abs((x - width / 2) * nx + (y - height / 2) * ny - offset);
        if (across < 2) share = Math.max(share, (0.2 + 0.3 * strength) * (1 - across / 2));
      }
      return share;
    },
  );
}

/** Blurred and lightened within a soft circle. */
function softPatch(pixels: Pixels, circle: { x: number; y: number; radius: number }, blur: number, haze: number) {
  const blurred = blurPixels(pixels, blur);
  return mix(
    pixels,
    (at) => blurred[at] + haze * (200 - blurred[at]),
    (x, y) => soft(Math.hypot(x - circle.x, y - circle.y) - circle.radius, 0.6 * circle.radius),
  );
}

function condensation(pixels: Pixels, strength: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const circle = { x: random.uniform(0.3, 0.7) * width, y: height, radius: (0.3 + 0.6 * strength) * height };
  return softPatch(pixels, circle, 1 + 4 * strength, 0.25 * strength);
}

function smudge(pixels: Pixels, strength: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const [x, y] = [
    random.uniform() < 0.5 ? 0.15 * width : 0.85 * width,
    random.uniform() < 0.5 ? 0.15 * height : 0.85 * height,
  ];
  return softPatch(pixels, { x, y, radius: (0.12 + 0.2 * strength) * height }, 2 + 4 * strength, 0);
}

function limitedRange({ data }: Pixels, strength: number): Uint8Array {
  return data.map((value) => Math.round(value + strength * (16 + (value * 219) / 255 - value)));
}

function stride({ data, width, height }: Pixels, strength: number): Uint8Array {
  const out = data.slice();
  const wrong = Math.ceil(1 + 3 * strength);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + ((x + y * wrong) % width)) * 3;
      out.set(data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return out;
}

/** Copies one square block of 16 pixels over another. */
function copyBlock(
  out: Uint8Array,
  { data, width, height }: Pixels,
  to: readonly number[],
  from: readonly number[],
): void {
  for (let y = 0; y < 16; y++) {
    for (let x = 0; x < 16; x++) {
      const [tx, ty] = [to[0] + x, to[1] + y];
      const [fx, fy] = [from[0] + x, from[1] + y];
      if (tx >= width || ty >= height || fx < 0 || fx >= width || fy < 0 || fy >= height) continue;
      out.set(data.subarray((fy * width + fx) * 3, (fy * width + fx) * 3 + 3), (ty * width + tx) * 3);
    }
  }
}

function drawBlocks(
  pixels: Pixels,
  share: number,
  random: Random,
  from: (to: readonly [number, number]) => [number, number],
) {
  const out = pixels.data.slice();
  for (let y = 0; y < pixels.height; y += 16) {
    for (let x = 0; x < pixels.width; x += 16) {
      if (random.uniform() < share) copyBlock(out, pixels, [x, y], from([x, y]));
    }
  }
  return out;
}

function macroblocks(pixels: Pixels, strength: number, random: Random): Uint8Array {
  return drawBlocks(pixels, 0.03 + 0.15 * strength, random, ([x, y]) => [x - 16, y]);
}

function displacedBlocks(pixels: Pixels, strength: number, random: Random): Uint8Array {
  const place = (length: number) => 16 * random.integer(Math.max(1, Math.floor(length / 16)));
  return drawBlocks(pixels, 0.02 + 0.1 * strength, random, () => [place(pixels.width), place(pixels.height)]);
}

function mirrored({ data, width, height }: Pixels, strength: number): Uint8Array {
  const out = data.slice();
  for (let y = Math.floor(height * (1 - strength)); y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + (width - 1 - x)) * 3;
      out.set(data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return out;
}

function ghost({ data, width, height }: Pixels, strength: number, random: Random): Uint8Array {
  const out = data.slice();
  const [dx, dy] = [8 + random.integer(Math.ceil(width / 8)), random.integer(Math.ceil(height / 16))];
  for (let y = dy; y < height; y++) {
    for (let x = dx; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const at = (y * width + x) * 3 + c;
        const other = data[((y - dy) * width + x - dx) * 3 + c];
        out[at] = Math.round((data[at] + 0.5 * strength * other) / (1 + 0.5 * strength));
      }
    }
  }
  return out;
}

function greenTint({ data, height }: Pixels, strength: number): Uint8Array {
  const out = data.slice();
  // From a row on no chroma has come: what is missing is taken for zero.
  for (let at = Math.floor(height * (1 - 0.5 * strength)) * (data.length / height); at < data.length; at += 3) {
    const luma = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    out[at] = Math.max(0, luma - 1.402 * 128);
    out[at + 1] = Math.min(255, luma + (0.344 + 0.714) * 128);
    out[at + 2] = Math.max(0, luma - 1.772 * 128);
  }
  return out;
}

function bitPlane({ data }: Pixels, strength: number): Uint8Array {
  const mask = 255 << Math.ceil(4 * strength);
  return data.map((value) => value & mask);
}

function lineShift({ data, width, height }: Pixels, strength: number, random: Random): Uint8Array {
  const out = data.slice();
  for (let y = 0; y < height; y++) {
    const shift = Math.round(random.uniform(-1, 1) * (1 + 5 * strength));
    for (let x = 0; x < width; x++) {
      const from = (y * width + Math.max(0, Math.min(width - 1, x + shift))) * 3;
      out.set(data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return out;
}

/** A rolling shutter sees lamps brighten and darken a few times while it reads a frame. */
function flicker({ data, width, height }: Pixels, strength: number, random: Random): Uint8Array {
  const phase = random.uniform(0, 2 * Math.PI);
  const turns = random.uniform(1, 4);
  return data.map((value, i) => {
    const y = Math.floor(i / (3 * width)) / height;
    return Math.min(255, Math.round(value * (1 + 0.4 * strength * Math.sin(phase + 2 * Math.PI * turns * y))));
  });
}

function insect(pixels: Pixels, strength: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const size = (0.02 + 0.06 * strength) * height;
  const [cx, cy] = [random.uniform(0.15, 0.85) * width, random.uniform(0.15, 0.85) * height];
  const turn = random.uniform(0, 2 * Math.PI);
  return mix(
    pixels,
    () => 28,
    (x, y) => {
      const u = ((x - cx) * Math.cos(turn) + (y - cy) * Math.sin(turn)) / size;
      const v = ((y - cy) * Math.cos(turn) - (x - cx) * Math.sin(turn)) / size;
      if (Math.abs(u) > 2 || Math.abs(v) > 2) return 0;
      const body = soft((Math.hypot(u / 1.4, v / 0.6) - 1) * size, 0.3 * size);
      // Three legs to each side, bent backwards.
      const leg = Math.min(...[-0.6, 0, 0.6].map((foot) => Math.abs(u - foot - 0.4 * Math.abs(v))));
      return 0.9 * Math.max(body, Math.abs(v) < 1.6 ? soft((leg - 0.06) * size, 0.1 * size) : 0);
    },
  );
}

function colourFringe({ data, width, height }: Pixels, strength: number): Uint8Array {
  const out = data.slice();
  const stretch = [1 + 0.012 * strength, 1, 1 - 0.012 * strength];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const c of [0, 2]) {
        const sx = Math.max(0, Math.min(width - 1, Math.round(width / 2 + (x - width / 2) * stretch[c])));
        const sy = Math.max(0, Math.min(height - 1, Math.round(height / 2 + (y - height / 2) * stretch[c])));
        out[3 * (y * width + x) + c] = data[3 * (sy * width + sx) + c];
      }
    }
  }
  return out;
}

function vignette(pixels: Pixels, strength: number): Uint8Array {
  const { width, height } = pixels;
  const edge = 1.05 - 0.35 * strength;
  return mix(
    pixels,
    () => 4,
    (x, y) => 1 - soft(Math.hypot(x / width - 0.5, y / height - 0.5) / Math.SQRT1_2 - edge, 0.25),
  );
}

function mosaic(pixels: Pixels, strength: number, random: Random): Uint8Array {
  const { data, width, height } = pixels;
  const side = (0.12 + 0.25 * strength) * height;
  const [left, top] = [random.uniform() * (width - side), random.uniform() * (height - side)];
  const cell = Math.max(2, Math.round(side / 8));
  return mix(
    pixels,
    (at, c) => {
      const pixel = (at - c) / 3;
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      return data[3 * ((y - (y % cell)) * width + x - (x % cell)) + c];
    },
    (x, y) => Number(x >= left && x < left + side && y >= top && y < top + side),
  );
}

function moire({ data, width }: Pixels, strength: number, random: Random): Uint8Array {
  const [fx, fy] = [random.uniform(0.8, 1.6), random.uniform(0.8, 1.6)];
  return data.map((value, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / (3 * width))];
    const wave = Math.sin(fx * x + 0.02 * y) * Math.sin(fy * y + 0.015 * x + (i % 3));
    return Math.max(0, Math.min(255, Math.round(value * (1 + 0.25 * strength * wave))));
  });
}
