import type { Frame } from '../frame.ts';

const width = 160;
const height = 120;

function makeFrame(at: (x: number, y: number, c: number) => number): Frame {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) data[i++] = at(x, y, c);
  return { data, width, height, channels: 3 };
}

/** 0 up to 255 and down again, once in `period`. */
const triangle = (x: number, period: number) => Math.abs(((x % period) * 510) / period - 255) | 0;

/**
 * Frames that every machine generates alike, in integers, for the known answers of model cards and for warming up:
 * smooth colours, noise, and edges of several scales.
 */
export const knownFrames = {
  ramps: () => makeFrame((x, y, c) => (c === 0 ? x : c === 1 ? 2 * y : 255 - ((x + y) >> 1)) & 255),
  noise() {
    let state = 1;
    return makeFrame(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    });
  },
  waves: () => makeFrame((x, y, c) => triangle(x * (c + 1) + y, 16 << c) ^ (((x >> 4) + (y >> 4)) & 1 ? 255 : 0)),
} as const satisfies Record<string, () => Frame>;
