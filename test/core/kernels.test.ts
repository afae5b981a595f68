// The integer kernels against the plainest possible loops.
import { describe, expect, it } from 'vitest';
import { at, type Field, slice } from '../../src/core/layout.ts';
import { anyFrame, everyCore } from '../fixtures/frames.ts';

type Reference = Partial<Record<Field, number | number[]>>;

function computeLuma(data: Uint8Array, channels: number): Uint8Array {
  return Uint8Array.from({ length: data.length / channels }, (_, i) => {
    const p = i * channels;
    const [r, g, b] = channels === 1 ? [data[p], data[p], data[p]] : [data[p], data[p + 1], data[p + 2]];
    return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
  });
}

function colours(data: Uint8Array, width: number, height: number, channels: number): Reference {
  const n = width * height;
  const sum = { r: 0, g: 0, b: 0, rg2: 0, yb2: 0, saturation: 0, low: 0, high: 0, grey: 0, dark: 0, blocks: 0 };
  const pixel = (i: number): [number, number, number] => {
    const p = i * channels;
    return channels === 1 ? [data[p], data[p], data[p]] : [data[p], data[p + 1], data[p + 2]];
  };
  const histogram = new Array(256).fill(0);
  for (const y of computeLuma(data, channels)) histogram[y]++;
  for (let i = 0; i < n; i++) {
    const [r, g, b] = pixel(i);
    const [max, min] = [Math.max(r, g, b), Math.min(r, g, b)];
    sum.r += r;
    sum.g += g;
    sum.b += b;
    sum.rg2 += (r - g) ** 2;
    sum.yb2 += (r + g - 2 * b) ** 2;
    sum.saturation += Math.floor(Math.fround(Math.fround((4096 * (max - min)) / Math.max(max, 1)) + 0.5));
    sum.low += Number(max <= 4);
    sum.high += Number(max >= 251);
    sum.grey += Number(max - min <= 2);
  }
  for (let y = 0; y + 8 <= height; y += 8)
    for (let x = 0; x + 8 <= width; x += 8) {
      let least = 255;
      for (let j = 0; j < 64; j++) least = Math.min(least, ...pixel((y + (j >> 3)) * width + x + (j & 7)));
      sum.dark += least;
      sum.blocks++;
    }
  return {
    lumaHistogram: histogram,
    sumR: sum.r,
    sumG: sum.g,
    sumB: sum.b,
    sumRg2: sum.rg2,
    sumYb2: sum.yb2,
    sumSaturation: sum.saturation,
    clippedLow: sum.low,
    clippedHigh: sum.high,
    grey: sum.grey,
    darkSum: sum.dark,
    darkBlocks: sum.blocks,
  };
}

function neighbourhoods(luma: Uint8Array, width: number, height: number): Reference {
  const Y = (x: number, y: number): number => luma[y * width + x];
  const ref = {
    sumLaplacian: 0,
    sumLaplacian2: 0,
    jxx: 0,
    jyy: 0,
    jxy: 0,
    residualHistogram: new Array(2041).fill(0),
    stepsX: new Array(8).fill(0),
    stepsY: new Array(8).fill(0),
    stepsPixelsX: new Array(8).fill(0),
    stepsPixelsY: new Array(8).fill(0),
    stepsY2: 0,
    movingX: 0,
    movingY: 0,
    impulses: 0,
    deadRows: 0,
    deadColumns: 0,
    rowBanding: 0,
    columnBanding: 0,
  };
  const rows = new Float64Array(height);
  const columns = new Float64Array(width);
  const still = { rowX: new Set<number>(), rowY: new Set<number>(), colX: new Set<number>(), colY: new Set<number>() };
  for (let y = 1; y < height - 1; y++)
    for (let x = 1; x < width - 1; x++) {
      const e = Y(x, y);
      const near = Y(x - 1, y) + Y(x + 1, y) + Y(x, y - 1) + Y(x, y + 1);
      const corners = Y(x - 1, y - 1) + Y(x + 1, y - 1) + Y(x - 1, y + 1) + Y(x + 1, y + 1);
      const [gx, gy] = [Y(x + 1, y) - Y(x - 1, y), Y(x, y + 1) - Y(x, y - 1)];
      ref.sumLaplacian += near - 4 * e;
      ref.sumLaplacian2 += (near - 4 * e) ** 2;
      ref.jxx += gx * gx;
      ref.jyy += gy * gy;
      ref.jxy += gx * gy;
      ref.residualHistogram[Math.abs(corners - 2 * near + 4 * e)]++;
      const [right, below] = [Math.abs(Y(x + 1, y) - e), Math.abs(Y(x, y + 1) - e)];
      ref.stepsX[(x + 1) % 8] += right;
      ref.stepsY[(y + 1) % 8] += below;
      ref.stepsPixelsX[(x + 1) % 8]++;
      ref.stepsPixelsY[(y + 1) % 8]++;
      ref.stepsY2 += Math.abs(gy);
      if (right > 0) {
        ref.movingX++;
        still.rowX.add(y);
        still.colX.add(x);
      }
      if (below > 0) {
        ref.movingY++;
        still.rowY.add(y);
        still.colY.add(x);
      }
      const window = [-1, 0, 1].flatMap((j) => [-1, 0, 1].map((i) => Y(x + i, y + j))).sort((a, b) => a - b);
      if (Math.abs(e - window[4]) > 40) ref.impulses++;
      rows[y] += e;
      columns[x] += e;
    }
  for (let y = 1; y < height - 1; y++) if (!still.rowX.has(y) || !still.rowY.has(y)) ref.deadRows++;
  for (let x = 1; x < width - 1; x++) if (!still.colX.has(x) || !still.colY.has(x)) ref.deadColumns++;
  for (let y = 2; y < height - 2; y++) ref.rowBanding += (2 * rows[y] - rows[y - 1] - rows[y + 1]) ** 2;
  for (let x = 2; x < width - 2; x++) ref.columnBanding += (2 * columns[x] - columns[x - 1] - columns[x + 1]) ** 2;
  return ref;
}

/** Order statistics over blocks, by sorting. */
function blocks(luma: Uint8Array, width: number, height: number): Reference {
  const Y = (x: number, y: number): number => luma[y * width + x];
  const [across, down] = [Math.floor((width - 2) / 8), Math.floor((height - 2) / 8)];
  const tile = {
    tileGradient2: new Array(48).fill(0),
    tileLuma: new Array(48).fill(0),
    tilePixels: new Array(48).fill(0),
  };
  const all = Array.from({ length: across * down }, (_, b) => {
    const [bx, by] = [b % across, Math.floor(b / across)];
    const block = { r2: 0, g2: 0, l2: 0, luma: 0, clipped: false };
    for (let y = 1 + 8 * by; y < 9 + 8 * by; y++)
      for (let x = 1 + 8 * bx; x < 9 + 8 * bx; x++) {
        const e = Y(x, y);
        const near = Y(x - 1, y) + Y(x + 1, y) + Y(x, y - 1) + Y(x, y + 1);
        const corners = Y(x - 1, y - 1) + Y(x + 1, y - 1) + Y(x - 1, y + 1) + Y(x + 1, y + 1);
        block.r2 += (corners - 2 * near + 4 * e) ** 2;
        block.g2 += (Y(x + 1, y) - Y(x - 1, y)) ** 2 + (Y(x, y + 1) - Y(x, y - 1)) ** 2;
        block.l2 += (near - 4 * e) ** 2;
        block.luma += e;
        block.clipped ||= e <= 4 || e >= 251;
      }
    if (across >= 8 && down >= 6) {
      const t = Math.floor((by * 6) / down) * 8 + Math.floor((bx * 8) / across);
      tile.tileGradient2[t] += block.g2;
      tile.tileLuma[t] += block.luma;
      tile.tilePixels[t] += 64;
    }
    return block;
  });
  const open = all.filter((block) => !block.clipped).map((block) => block.r2);
  open.sort((a, b) => a - b);
  const position = (open.length - 1) / 10;
  const low = open[Math.floor(position)];
  const noiseEnergy = open.length === 0 ? 0 : low + ((open[Math.ceil(position)] - low) * ((open.length - 1) % 10)) / 10;

  const noise2 = noiseEnergy / (64 * 36 * 0.7914 * 0.7914);
  const large: typeof all = [];
  for (let y = 0; y + 2 <= down; y += 2)
    for (let x = 0; x + 2 <= across; x += 2) {
      const four = [0, 1, across, across + 1].map((offset) => all[y * across + x + offset]);
      const sum = (pick: (block: (typeof all)[number]) => number): number => four.reduce((s, b) => s + pick(b), 0);
      large.push({
        r2: sum((b) => b.r2),
        g2: sum((b) => b.g2),
        l2: sum((b) => b.l2),
        luma: 0,
        clipped: four.some((b) => b.clipped),
      });
    }
  const top = large.map((b) => b.g2).sort((a, b) => a - b)[large.length - 1 - Math.floor((large.length - 1) / 5)];
  const textured = large.filter((b) => b.g2 >= top);
  const unclipped = large.filter((b) => !b.clipped);
  const least = unclipped.map((b) => b.g2).sort((a, b) => a - b)[Math.floor((unclipped.length - 1) / 10)];
  const flat = unclipped.filter((b) => b.g2 <= least);
  return {
    ...tile,
    noiseEnergy,
    noiseBlocks: open.length,
    sharpRatio: textured.reduce(
      (s, b) => s + Math.max(b.l2 / 256 - 20 * noise2, 0.01) / Math.max(b.g2 / 1024 - noise2, 0.01),
      0,
    ),
    sharpBlocks: textured.length,
    flatResidual2: flat.reduce((s, b) => s + b.r2, 0),
    flatPixels: 256 * flat.length,
  };
}

const sizes: [number, number][] = [
  [3, 3],
  [5, 20],
  [10, 10],
  [18, 19],
  [35, 34],
  [70, 53],
  [131, 66],
];

for (const core of everyCore())
  describe(`${core.info.build} ${core.info.simd} against plain loops`, () => {
    for (const [width, height] of sizes)
      it(`${width}x${height}`, () => {
        for (const channels of [1, 3, 4] as const)
          for (let seed = 0; seed < 4; seed++) {
            const data = anyFrame(width, height, channels, seed);
            const luma = computeLuma(data, channels);
            const expected: Reference = {
              ...colours(data, width, height, channels),
              ...neighbourhoods(luma, width, height),
              ...blocks(luma, width, height),
            };
            const out = core.measure(data, width, height, channels);
            for (const [field, value] of Object.entries(expected) as [Field, number | number[]][]) {
              const name = `${field}, ${channels} channels, seed ${seed}`;
              if (Array.isArray(value)) expect([...slice(out, field)], name).toEqual(value);
              // Whole numbers are exact; the two that divide only differ by the order of rounding.
              else expect(Math.abs(out[at[field]] - value), name).toBeLessThanOrEqual(1e-12 * Math.abs(value));
            }
          }
      });
  });

it('squares do not overflow on a wide frame of the largest Laplacians', () => {
  const [width, height] = [5000, 18];
  const data = Uint8Array.from({ length: width * height }, (_, i) =>
    ((i % width) + Math.floor(i / width)) & 1 ? 255 : 0,
  );
  for (const core of everyCore()) {
    const out = core.measure(data, width, height, 1);
    const n = (width - 2) * (height - 2);
    expect(out[at.sumLaplacian2]).toBe(n * 1020 ** 2);
    expect(slice(out, 'residualHistogram')[2040]).toBe(n);
    expect(out[at.movingX]).toBe(n);
    expect(slice(out, 'stepsX').reduce((a, b) => a + b)).toBe(n * 255);
  }
});
