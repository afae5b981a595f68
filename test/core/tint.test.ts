import { describe, expect, it } from 'vitest';
import type { Core } from '../../src/core/core.ts';
import { type Field, slice } from '../../src/core/layout.ts';
import { loadWasm } from '../../src/core/wasm.ts';
import { tint } from '../../src/image/statistics/opponent.ts';
import { anyFrame, everyCore, oncePerFrame, random } from '../fixtures/frames.ts';

/** Every field of tint.c by the plainest possible loops. */
const reference = oncePerFrame((data, width, height, channels) => {
  const ref = {
    tintTop: [0, 0, 0, 0],
    tintBottom: [0, 0, 0, 0],
    tintProducts: [0, 0, 0, 0, 0, 0],
    saturationHistogram: new Array<number>(16).fill(0),
  };
  // All rows up to 255, then whole steps that leave 128 to 255.
  const step = height < 256 ? 1 : Math.floor(height / 128);
  for (let y = 0; y < height; y += step)
    for (let x = 0; x < width; x++) {
      const p = (y * width + x) * channels;
      const r = data[p];
      const g = channels === 1 ? r : data[p + 1];
      const b = channels === 1 ? r : data[p + 2];
      const luma = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
      const rg = r - g;
      const yb = r + g - 2 * b;
      const half = 2 * y < height ? ref.tintTop : ref.tintBottom;
      half[0] += 1;
      half[1] += luma;
      half[2] += rg;
      half[3] += yb;
      const products = ref.tintProducts;
      products[0] += luma * luma;
      products[1] += rg * rg;
      products[2] += yb * yb;
      products[3] += luma * rg;
      products[4] += luma * yb;
      products[5] += rg * yb;
      const most = Math.max(r, g, b);
      const least = Math.min(r, g, b);
      ref.saturationHistogram[Math.floor((16 * (most - least)) / (most + 1))]++;
    }
  return ref;
});

const sizes: [number, number][] = [
  [1, 1],
  [1, 37],
  [37, 1],
  [15, 15],
  [17, 33],
  [63, 65],
  [64, 64],
  [66, 130],
  [3, 255],
  [3, 256],
  [5, 511],
  [130, 300],
  [1023, 9],
  [1025, 9],
  [2051, 5],
  [640, 480],
];

describe.each(everyCore().map((core) => [core.info.simd, core] as [string, Core]))('tint.c on %s', (_, core) => {
  const equal = (data: Uint8Array, width: number, height: number, channels: 1 | 3 | 4, what: string): void => {
    const out = core.measure(data, width, height, channels);
    for (const [field, expected] of Object.entries(reference(data, width, height, channels)))
      expect([...slice(out, field as Field)], `${what}, ${field}`).toEqual(expected);
  };

  it.each([1, 3, 4] as const)(`%i channels: equals plain loops on ${sizes.length} sizes`, (channels) => {
    sizes.forEach(([width, height], index) => {
      const kinds = width * height < 20_000 ? [0, 1, 2, 3] : [index % 4];
      for (const kind of kinds)
        equal(anyFrame(width, height, channels, kind), width, height, channels, `${width}x${height}, kind ${kind}`);
    });
  });

  it('every pair of largest and smallest channel falls into its bin of saturation', () => {
    const data = new Uint8Array(256 * 256 * 3);
    for (let i = 0; i < 256 * 256; i++) {
      const [most, least] = [Math.max(i >> 8, i & 255), Math.min(i >> 8, i & 255)];
      // The third channel lies between them; which channel is largest goes round.
      data.set([i >> 8, i & 255, (most + least) >> 1].slice(i % 3), 3 * i);
      data.set([i >> 8, i & 255, (most + least) >> 1].slice(0, i % 3), 3 * i + 3 - (i % 3));
    }
    equal(data, 512, 128, 3, 'all pairs');
  });

  it.each([
    ['yellow', [255, 255, 0]],
    ['blue', [0, 0, 255]],
    ['red', [255, 0, 0]],
    ['green', [0, 255, 0]],
    ['white', [255, 255, 255]],
  ])('a wide frame of the extreme colour %s adds up', (name, colour) => {
    const data = Uint8Array.from({ length: 9001 * 40 * 3 }, (_, i) => colour[i % 3]);
    equal(data, 9001, 40, 3, name);
  });
});

describe('what the statistics say', () => {
  const core = loadWasm();
  const measure = (width: number, height: number, colour: (x: number, y: number) => number[]) => {
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.set(colour(x, y), 3 * (y * width + x));
    const numbers = tint.derive(core.measure(data, width, height, 3), undefined);
    return Object.fromEntries(tint.rows.map(({ name }, i) => [name, numbers[i]]));
  };

  it('red that grows with brightness, blue that does', () => {
    const red = measure(100, 60, (x) => [2 * x + 20, 0, 0]);
    // Luma is rounded to 1 DN of a range of 59: its correlation with what it came from is 1 - 1 / (2 * 59^2).
    expect(red.lumaRedGreen).toBeGreaterThan(0.999);
    expect(red.lumaYellowBlue).toBeGreaterThan(0.999);
    expect(red.redGreenYellowBlue).toBeCloseTo(1, 12);
    const blue = measure(100, 60, (x) => [0, 0, 2 * x + 20]);
    expect(blue.lumaYellowBlue).toBeLessThan(-0.995);
    expect(blue.lumaRedGreen).toBe(0);
    const green = measure(100, 60, (x) => [0, 2 * x + 20, 0]);
    expect(green.lumaRedGreen).toBeLessThan(-0.999);
    expect(green.redGreenYellowBlue).toBeCloseTo(-1, 12);
  });

  it('red-green and yellow-blue that vary each on their own do not correlate', () => {
    // R - G = 20 (i - 1), R + G - 2 B = 40 (j - 1), every pair equally often.
    const numbers = measure(90, 90, (x, y) => {
      const [i, j] = [x % 3, y % 3];
      return [100 + 10 * (i - 1), 100 - 10 * (i - 1), 100 - 20 * (j - 1)];
    });
    expect(numbers.redGreenYellowBlue).toBeCloseTo(0, 12);
  });

  it('swapping red and blue turns the correlation round', () => {
    const warm = (x: number, y: number): number[] => [60 + x, 60 + (x + y) / 2, 60 + y / 2];
    const numbers = measure(120, 80, warm);
    const swapped = measure(120, 80, (x, y) => warm(x, y).reverse());
    expect(numbers.lumaYellowBlue).toBeGreaterThan(0.5);
    expect(swapped.lumaYellowBlue).toBeLessThan(numbers.lumaYellowBlue - 0.5);
  });

  it('a grey frame has no tint at all, exactly', () => {
    const uniform = random(4);
    const numbers = measure(80, 70, () => new Array(3).fill(Math.floor(256 * uniform())));
    for (const name of ['lumaRedGreen', 'lumaYellowBlue', 'redGreenYellowBlue', 'redGreenTopBottom'])
      expect(numbers[name], name).toBe(0);
    expect(numbers.yellowBlueTopBottom).toBe(0);
    expect(numbers.saturatedShare).toBe(0);
    // All of it in the lowest of 16 bins.
    expect(numbers.saturationP50).toBe(0.5 / 16);
    expect(numbers.saturationP95).toBeCloseTo(0.95 / 16, 12);
  });

  it('sky above, grass below', () => {
    const numbers = measure(64, 64, (_, y) => (y < 32 ? [100, 140, 220] : [60, 90, 30]));
    const luma = (r: number, g: number, b: number) => (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
    expect(numbers.lumaTopBottom).toBe(luma(100, 140, 220) - luma(60, 90, 30));
    expect(numbers.redGreenTopBottom).toBe(-40 - -30);
    expect(numbers.yellowBlueTopBottom).toBe((100 + 140 - 440 - (60 + 90 - 60)) / 2);
  });

  it('quantiles of saturation: half the pixels grey, half pure red', () => {
    const numbers = measure(64, 40, (x) => (x < 32 ? [90, 90, 90] : [255, 0, 0]));
    expect(numbers.saturationP50).toBe(1 / 16);
    expect(numbers.saturationP95).toBeCloseTo((15 + 0.45 / 0.5) / 16, 12);
    expect(numbers.saturatedShare).toBe(0.5);
    // 16 * 64 / 128 = 8 exactly: the ninth bin.
    const half = measure(64, 40, () => [127, 63, 100]);
    expect(half.saturationP50).toBe(8.5 / 16);
  });

  it('one row has an upper half only', () => {
    const numbers = measure(40, 1, () => [10, 20, 30]);
    expect(numbers.lumaTopBottom).toBeNaN();
    expect(numbers.saturatedShare).toBe(0);
  });
});
