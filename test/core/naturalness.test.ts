import { describe, expect, it } from 'vitest';
import { slice } from '../../src/core/layout.ts';
import { loadWasm } from '../../src/core/wasm.ts';
import { fitAsymmetric, fitShape } from '../../src/image/statistics/naturalness.ts';
import { measureStatistics, statistics } from '../../src/image/statistics/statistics.ts';
import { gaussian, grey, random } from '../fixtures/frames.ts';

const core = loadWasm();

function named(frame: ReturnType<typeof grey>): Record<string, number> {
  const vector = measureStatistics(core, frame);
  return Object.fromEntries(statistics.map(({ name }, index) => [name, vector[index]]));
}

const window = [0.01256, 0.078828, 0.237296, 0.342632, 0.237296, 0.078828, 0.01256];

/** The sums of naturalness.c as direct 7x7 sums in double precision. */
function mscnSums(image: number[][]): number[] {
  const [height, width] = [image.length, image[0].length];
  const coefficients: number[][] = [];
  let sigmas = 0;
  for (let y = 3; y < height - 3; y++) {
    const row: number[] = [];
    for (let x = 3; x < width - 3; x++) {
      let [mean, square] = [0, 0];
      for (let j = 0; j < 7; j++)
        for (let i = 0; i < 7; i++) {
          const value = image[y + j - 3][x + i - 3];
          mean += window[j] * window[i] * value;
          square += window[j] * window[i] * value * value;
        }
      const sigma = Math.sqrt(Math.max(0, square - mean * mean));
      sigmas += sigma;
      row.push((image[y][x] - mean) / (sigma + 1));
    }
    coefficients.push(row);
  }
  const flat = coefficients.flat();
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  const sums = [flat.length, sum(flat.map(Math.abs)), sum(flat.map((n) => n * n)), sigmas];
  for (const [down, right] of [
    [0, 1],
    [1, 0],
    [1, 1],
    [1, -1],
  ]) {
    const products: number[] = [];
    coefficients.forEach((row, y) => {
      row.forEach((n, x) => {
        const other = coefficients[y + down]?.[x + right];
        if (other !== undefined) products.push(n * other);
      });
    });
    const negative = products.filter((p) => p < 0);
    sums.push(
      products.length,
      negative.length,
      sum(products.map(Math.abs)),
      sum(negative.map((p) => p * p)),
      sum(products.filter((p) => p >= 0).map((p) => p * p)),
    );
  }
  return sums;
}

function halve(image: number[][]): number[][] {
  return Array.from({ length: image.length >> 1 }, (_, y) =>
    Array.from(
      { length: image[0].length >> 1 },
      (_, x) =>
        (image[2 * y][2 * x] + image[2 * y][2 * x + 1] + image[2 * y + 1][2 * x] + image[2 * y + 1][2 * x + 1]) / 4,
    ),
  );
}

describe('coefficients and products', () => {
  it.each([
    [41, 37],
    [64, 50],
    [23, 90],
    [14, 15],
  ])('%i x %i: the sums are those of direct 7x7 windows', (width, height) => {
    const uniform = random(width);
    const frame = grey(width, height, (x, y) => 130 + 70 * Math.sin(x / 4) * Math.cos(y / 6) + 30 * uniform());
    const image = Array.from({ length: height }, (_, y) => [...frame.data.subarray(y * width, (y + 1) * width)]);
    const out = core.measure(frame.data, width, height, 1);
    for (const [field, plane] of [
      ['mscn', image],
      ['mscnHalf', halve(image)],
    ] as const) {
      const expected = plane.length > 7 && plane[0].length > 7 ? mscnSums(plane) : new Array<number>(24).fill(0);
      // 32-bit floats: 5e-4 of each sum. Counts are exact, but a product within rounding of 0 may change its sign.
      expected.forEach((value, index) => {
        expect(slice(out, field)[index], `${field}[${index}]`).toBeCloseTo(value, 4 - Math.ceil(Math.log10(value + 1)));
      });
    }
  });

  it('large frames are sampled: counts are half, statistics those of the whole within 3 %', () => {
    const draw = (width: number, height: number) => {
      const normal = gaussian(3);
      return grey(width, height, () => 128 + 10 * normal());
    };
    const large = draw(700, 600);
    const sums = slice(core.measure(large.data, 700, 600, 1), 'mscn');
    const share = sums[0] / (694 * 594);
    expect(share).toBeGreaterThan(0.48);
    expect(share).toBeLessThan(0.52);
    const [sampled, whole] = [named(large), named(draw(500, 500))];
    for (const name of ['mscnShape', 'mscnVariance', 'mscnVerticalLeftVariance', 'localContrast'])
      expect(Math.abs(sampled[name] / whole[name] - 1), name).toBeLessThan(0.03);
  });
});

describe('generalised gaussians by moment matching', () => {
  it('closed forms: gaussian 2, Laplacian 1, uniform at the end of the table', () => {
    expect(fitShape(Math.sqrt(2 / Math.PI), 1)).toBeCloseTo(2, 3);
    expect(fitShape(1, 2)).toBeCloseTo(1, 3);
    // E|x| = 1/2 and E[x^2] = 1/3 on (-1, 1): the limit of an infinite shape.
    expect(fitShape(1 / 2, 1 / 3)).toBe(10);
    expect(fitShape(0, 0)).toBeNaN();
  });

  it('samples: white gaussian noise 2, Laplacian noise 1, within 0.05', () => {
    const [normal, uniform] = [gaussian(1), random(2)];
    const estimateShape = (draw: () => number): number => {
      let [absolute, square] = [0, 0];
      for (let i = 0; i < 200_000; i++) {
        const x = draw();
        absolute += Math.abs(x) / 200_000;
        square += (x * x) / 200_000;
      }
      return fitShape(absolute, square);
    };
    expect(Math.abs(estimateShape(normal) - 2)).toBeLessThan(0.05);
    expect(Math.abs(estimateShape(() => Math.log(1 - uniform()) * (uniform() < 0.5 ? 1 : -1)) - 1)).toBeLessThan(0.05);
  });

  it('two half gaussians of scales 1 and 2: shape 2, mean sqrt(2 / pi), variances 1 and 4', () => {
    // A third of the mass is left of zero; E|x| of a half gaussian is sqrt(2 / pi) times its scale.
    const half = Math.sqrt(2 / Math.PI);
    const moments = { n: 3, negative: 1, absolute: half + 2 * 2 * half, leftSquare: 1, rightSquare: 2 * 4 };
    const [shape, mean, left, right] = fitAsymmetric(moments);
    expect(shape).toBeCloseTo(2, 2);
    expect(mean).toBeCloseTo(half, 2);
    expect([left, right]).toEqual([1, 4]);
  });

  it('products of independent gaussians are symmetric', () => {
    const normal = gaussian(4);
    const moments = { n: 0, negative: 0, absolute: 0, leftSquare: 0, rightSquare: 0 };
    for (let i = 0; i < 200_000; i++) {
      const p = normal() * normal();
      moments.n++;
      moments.absolute += Math.abs(p);
      if (p < 0) moments.negative++;
      if (p < 0) moments.leftSquare += p * p;
      else moments.rightSquare += p * p;
    }
    const [, mean, left, right] = fitAsymmetric(moments);
    // The fourth moment of a product of gaussians is 9: standard error of either variance 0.9 %.
    expect(Math.abs(left / right - 1)).toBeLessThan(0.05);
    expect(Math.abs(mean)).toBeLessThan(0.02);
  });
});

describe('frames', () => {
  // measured in a prototype on white noise around 128.
  it.each([
    [10, 2.89, 0.653, [0.99, -0.1, 0.449, 0.279]],
    [30, 2.97, 0.743, undefined],
  ])('white noise of %i DN', (sigma, shape, variance, horizontal) => {
    const normal = gaussian(7);
    const numbers = named(grey(512, 512, () => 128 + sigma * normal()));
    expect(Math.abs(numbers.mscnShape - shape)).toBeLessThan(0.03);
    expect(Math.abs(numbers.mscnVariance - variance)).toBeLessThan(0.01);
    horizontal?.forEach((expected, index) => {
      const name = `mscnHorizontal${['Shape', 'Mean', 'LeftVariance', 'RightVariance'][index]}`;
      expect(Math.abs(numbers[name] - expected), name).toBeLessThan(0.03);
    });
  });

  it('adding 10 DN without clipping changes nothing by more than 0.02', () => {
    const scene = (lift: number) => {
      const uniform = random(8);
      return named(grey(200, 160, (x, y) => 100 + lift + 50 * Math.sin(x / 7 + y / 9) + 20 * uniform()));
    };
    const [before, after] = [scene(0), scene(10)];
    for (const { name, group } of statistics)
      if (group === 'naturalness') expect(Math.abs(before[name] - after[name]), name).toBeLessThan(0.02);
  });

  it('turning the frame swaps directions', () => {
    const uniform = random(11);
    const frame = grey(96, 96, (x, y) => 120 + 60 * Math.sin(x / 3) + 10 * Math.cos(y / 13) + 8 * uniform());
    const turned = named(grey(96, 96, (x, y) => frame.data[x * 96 + y]));
    const numbers = named(frame);
    for (const part of ['Shape', 'Mean', 'LeftVariance', 'RightVariance']) {
      expect(turned[`mscnVertical${part}`]).toBeCloseTo(numbers[`mscnHorizontal${part}`], 4);
      expect(turned[`mscnDiagonal2${part}`]).toBeCloseTo(numbers[`mscnDiagonal2${part}`], 4);
    }
  });

  it('a flat frame has no shape, and a frame without 256 windows has no statistics', () => {
    const flat = named(grey(64, 64, () => 255));
    expect(flat.mscnVariance).toBe(0);
    expect(flat.mscnShape).toBeNaN();
    expect(flat.localContrast).toBe(0);
    const normal = gaussian(12);
    const small = named(grey(21, 21, () => 128 + 9 * normal()));
    expect(small.mscnShape).toBeNaN();
    expect(small.localContrast).toBeNaN();
    const middling = named(grey(30, 30, () => 128 + 9 * normal()));
    expect(middling.mscnShape).toBeGreaterThan(2);
    expect(middling.mscnHalfShape).toBeNaN();
  });
});
