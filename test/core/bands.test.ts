// Large frames are read in bands of rows for averages, and whole for local damage.
import { describe, expect, it } from 'vitest';
import { at, type Field, slice } from '../../src/core/layout.ts';
import { wholePixels } from '../../src/core/reading.ts';
import { measureStatistics, statistics } from '../../src/image/statistics/statistics.ts';
import { anyFrame, everyCore, random } from '../fixtures/frames.ts';

const cores = everyCore();
/** The fastest build; that all are equal is tested below. */
const core = cores[cores.length > 1 ? 1 : 0];
const named = (data: Uint8Array, width: number, height: number): Record<string, number> => {
  const vector = measureStatistics(core, { data, width, height, channels: 3 });
  return Object.fromEntries(statistics.map(({ name }, index) => [name, vector[index]]));
};

/** A picture that repeats every 8 rows and 128 columns, so that all bands show the same. */
function repeating(width: number, height: number): Uint8Array {
  const uniform = random(3);
  const tile = Uint8Array.from({ length: 8 * 128 * 3 }, () => 20 + 200 * uniform());
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      data.set(tile.subarray(384 * (y % 8) + 3 * (x % 128), 384 * (y % 8) + 3 * (x % 128) + 3), 3 * (y * width + x));
  return data;
}

/**
 * Of every 2^shift bands of 16 rows of 256 columns one is read: where the multiples of the powers of the plastic number fall,
 * the root of x^3 = x + 1.
 */
function isRead(x: number, y: number, shift: number): boolean {
  const plastic = 1.324717957244746;
  const band = Math.floor(y / 16);
  const turns = Math.floor(band / 2 ** shift) / plastic + Math.floor(x / 256) / plastic ** 2;
  return band % 2 ** shift === Math.floor((turns - Math.floor(turns)) * 2 ** shift);
}

describe('which rows are read', () => {
  it.each([
    ['as many pixels as are read whole', 1024, Math.floor(wholePixels / 1024)],
    ['few rows', 2400, 511],
  ])('%s: all', (_, width, height) => {
    const out = core.measure(new Uint8Array(width * height * 3), width, height, 3);
    expect(out[at.pixels]).toBe(width * height);
    expect(out[at.interior]).toBe((width - 2) * (height - 2));
    expect(slice(out, 'tilePixels').reduce((sum, n) => sum + n)).toBe(
      64 * Math.floor((width - 2) / 8) * Math.floor((height - 2) / 8),
    );
  });

  it('one row more: about half', () => {
    const [width, height] = [1024, Math.floor(wholePixels / 1024) + 1];
    const share = core.measure(new Uint8Array(width * height), width, height, 1)[at.pixels] / (width * height);
    expect(Math.abs(share - 0.5)).toBeLessThan(0.02);
  });

  it.each([
    [1, 1030, 1024],
    [2, 1500, 1024],
  ])('of 2^%i bands one: %ix%i', (shift, width, height) => {
    const data = anyFrame(width, height, 3, 0);
    const out = core.measure(data, width, height, 3).slice();
    const histogram = new Array<number>(256).fill(0);
    const residuals = new Array<number>(2041).fill(0);
    const rows = new Array<number>(8).fill(0);
    const columns = new Array<number>(8).fill(0);
    let pixels = 0;
    const sums = { red: 0, laplacian2: 0, interior: 0, moving: 0, steps: 0 };
    const luma = Int32Array.from(
      { length: width * height },
      (_, i) => (19595 * data[3 * i] + 38470 * data[3 * i + 1] + 7471 * data[3 * i + 2] + 32768) >> 16,
    );
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (!isRead(x, y, shift)) continue;
        pixels++;
        histogram[luma[y * width + x]]++;
        sums.red += data[3 * (y * width + x)];
      }
      // Blocks of neighbourhoods begin in row 1, and those of 8 upper rows of a band are counted.
      if (y === 0 || y === height - 1) continue;
      for (let x = 1; x < width - 1; x++) {
        if (!isRead(x - 1, y - 1, shift)) continue;
        rows[(y + 1) % 8]++;
        columns[(x + 1) % 8]++;
        const i = y * width + x;
        const e = luma[i];
        const near = luma[i - 1] + luma[i + 1] + luma[i - width] + luma[i + width];
        const corners = luma[i - width - 1] + luma[i - width + 1] + luma[i + width - 1] + luma[i + width + 1];
        sums.laplacian2 += (near - 4 * e) ** 2;
        sums.interior++;
        sums.moving += Number(luma[i + 1] !== e);
        sums.steps += Math.abs(luma[i + width] - e);
        if ((y - 1) % 16 < 8) residuals[Math.abs(corners - 2 * near + 4 * e)]++;
      }
    }
    expect([...slice(out, 'lumaHistogram')]).toEqual(histogram);
    expect(out[at.sumR]).toBe(sums.red);
    expect(out[at.sumLaplacian2]).toBe(sums.laplacian2);
    expect(out[at.interior]).toBe(sums.interior);
    expect(out[at.movingX]).toBe(sums.moving);
    expect(slice(out, 'stepsY').reduce((a, b) => a + b)).toBe(sums.steps);
    expect([...slice(out, 'stepsPixelsX')]).toEqual(columns);
    expect([...slice(out, 'stepsPixelsY')]).toEqual(rows);
    expect([...slice(out, 'residualHistogram')]).toEqual(residuals);
    expect(out[at.pixels]).toBe(pixels);
  });

  it.each([
    [1280, 720, 2],
    [1920, 1080, 4],
    [3840, 2160, 8],
  ])('%ix%i: one of %i pixels, and some of every tile', (width, height, share) => {
    const out = core.measure(new Uint8Array(width * height), width, height, 1);
    expect(Math.abs((out[at.pixels] * share) / (width * height) - 1)).toBeLessThan(0.1);
    expect(Math.min(...slice(out, 'tilePixels'))).toBeGreaterThan(0);
  });

  it('a picture that repeats gives the same numbers read whole and in bands', () => {
    const whole = named(repeating(640, 1024), 640, 1024);
    const bands = named(repeating(640, 2048), 640, 2048);
    // Exact, but for rows at borders of the frame and of bands: there coarse scales are clamped and rows have no upper one.
    const atBorder = 0.05;
    for (const { name, scored } of statistics) {
      // Upper and lower half: measured on single rows, of which 2048 do not make equal halves of this pattern.
      if (!scored || Number.isNaN(whole[name]) || name.endsWith('TopBottom')) continue;
      const size = Math.max(1, Math.abs(whole[name]));
      expect(Math.abs(bands[name] - whole[name]) / size, name).toBeLessThanOrEqual(atBorder);
    }
    for (const name of ['lumaMean', 'lumaStd', 'entropy', 'meanR', 'rgStd', 'ybStd', 'saturationMean', 'darkChannel'])
      expect(Math.abs(bands[name] - whole[name]), name).toBeLessThanOrEqual(1e-9);
  });
});

it.skipIf(cores.length < 2)('every build agrees bit for bit on a large frame', () => {
  const [width, height] = [1091, 1003];
  for (const seed of [0, 3]) {
    const data = anyFrame(width, height, 3, seed);
    const expected = cores[0].measure(data, width, height, 3).slice();
    for (const other of cores.slice(1)) {
      const got = other.measure(data, width, height, 3);
      const differing = (Object.keys(at) as Field[]).filter((field) =>
        slice(expected, field).some((value, i) => !Object.is(value, slice(got, field)[i])),
      );
      expect(differing, `${other.info.simd}, seed ${seed}`).toEqual([]);
    }
  }
});

describe('local damage is seen in whichever band it lies', () => {
  const [width, height] = [1040, 1024];
  const uniform = random(8);
  const clean = Uint8Array.from({ length: width * height * 3 }, () => 100 + 30 * uniform());
  const before = core.measure(clean, width, height, 3).slice();
  /** The first, middle and last rows of two bands that are read and two that are left out. */
  const tried = Array.from({ length: 64 }, (_, k) => 320 + k).filter((y) => [0, 1, 7, 8, 14, 15].includes(y % 16));
  /** What a change of some pixels does to some fields, in each of these rows. */
  const changes = (fields: [Field, number][], damage: (data: Uint8Array, y: number) => void): number[][] => {
    const rows = tried.map((y) => {
      const data = clean.slice();
      damage(data, y);
      const after = core.measure(data, width, height, 3);
      return fields.map(([field, index]) => after[at[field] + index] - before[at[field] + index]);
    });
    return fields.map((_, i) => rows.map((values) => values[i]));
  };
  const row = (data: Uint8Array, y: number) => data.subarray(3 * y * width, 3 * (y + 1) * width);

  it('a row that stands still', () => {
    const [rows] = changes([['deadRows', 0]], (data, y) => row(data, y).fill(115));
    expect(Math.min(...rows)).toBe(1);
  });

  it('a row that is offset', () => {
    const fields: [Field, number][] = [
      ['rowSigns', 1],
      ['rowBanding', 0],
    ];
    const [largest, energy] = changes(fields, (data, y) => {
      const pixels = row(data, y);
      for (let i = 0; i < pixels.length; i++) pixels[i] += 20;
    });
    // Clean rows are coin flips, |sum of signs| / width about 0.1 at most; an offset row has most signs alike.
    expect(Math.min(...largest) / width).toBeGreaterThan(0.5);
    // 20 DN over the row, bent by -1, 2, -1: (1 + 4 + 1) (20 width)^2, up to the unevenness that was there.
    expect(Math.min(...energy) / (6 * (20 * (width - 2)) ** 2)).toBeGreaterThan(0.9);
  });

  it('a pixel that is stuck', () => {
    const stuck = (data: Uint8Array, y: number) => row(data, y).fill(255, 300, 303);
    const [alone] = changes([['aloneBright', 0]], stuck);
    expect(Math.min(...alone)).toBe(1);
  });

  it('a single pixel that still lives in a dead column', () => {
    const [dead] = changes([['deadColumns', 0]], (data, y) => {
      for (let below = 0; below < height; below++) row(data, below).fill(below === y ? 90 : 115, 300, 303);
    });
    expect(Math.max(...dead)).toBe(0);
    // With no pixel that lives, wherever one did above.
    const still = clean.slice();
    for (let below = 0; below < height; below++) row(still, below).fill(115, 300, 303);
    expect(core.measure(still, width, height, 3)[at.deadColumns] - before[at.deadColumns]).toBe(1);
  });

  it('clipped pixels', () => {
    const clipped = (data: Uint8Array, y: number) => row(data, y).fill(255, 300, 330).fill(0, 600, 660);
    const fields: [Field, number][] = [
      ['clippedHigh', 0],
      ['clippedLow', 0],
    ];
    const [high, low] = changes(fields, clipped);
    expect(new Set(high)).toEqual(new Set([10]));
    expect(new Set(low)).toEqual(new Set([20]));
  });

  it('a dark spot', () => {
    const [spots] = changes([['blockDark', 2]], (data, y) => {
      for (let k = 0; k < 16; k++) row(data, y + k).fill(10, 300, 360);
    });
    expect(Math.min(...spots)).toBeGreaterThan(0);
  });
});
