import { describe, expect, test } from 'vitest';
import { fitGaussianiser, gaussianise, scoredValue } from '../../src/profile/maths/gaussianise.ts';
import { conformalPValue, countBelow, twoSidedPValue } from '../../src/profile/maths/ranks.ts';
import { knotCount } from '../../src/profile/maths/tail.ts';
import { logDistance, normalise, strongest, surprise } from '../../src/profile/score.ts';

const sorted = Float64Array.of(1, 2, 2, 3, 5);

describe('conformal p-values', () => {
  test('p = (1 + #{calibration >= score}) / (m + 1)', () => {
    expect(conformalPValue(sorted, 6)).toBe(1 / 6);
    expect(conformalPValue(sorted, 5)).toBe(2 / 6);
    expect(conformalPValue(sorted, 2)).toBe(5 / 6);
    expect(conformalPValue(sorted, 0)).toBe(1);
  });

  test('two-sided: twice the smaller side, at most 1', () => {
    expect(twoSidedPValue(sorted, 6)).toBe(2 / 6);
    expect(twoSidedPValue(sorted, 0)).toBe(2 / 6);
    expect(twoSidedPValue(sorted, 1)).toBe(4 / 6);
    expect(twoSidedPValue(sorted, 2)).toBe(1);
  });

  test('countBelow is < or <=', () => {
    expect(countBelow(sorted, 2, false)).toBe(1);
    expect(countBelow(sorted, 2, true)).toBe(3);
  });

  test('are super-uniform over calibration sets: P(p <= a) <= a', () => {
    // Exchangeable scores: every rank of the test score among m + 1 is equally likely, so the mean over all ranks is exact.
    const m = 19;
    const all = Array.from({ length: m + 1 }, (_, i) => i);
    for (const a of [0.05, 0.1, 0.5]) {
      const hits = all.filter((i) => {
        const calibration = Float64Array.from(all.filter((j) => j !== i));
        return conformalPValue(calibration, i) <= a;
      }).length;
      expect(hits / (m + 1)).toBeCloseTo(a, 12);
    }
  });
});

describe('gaussianise', () => {
  test('mid-ranks go to normal quantiles, the median to 0', () => {
    const map = fitGaussianiser(Float64Array.of(30, 10, 20));
    expect(map).toBeDefined();
    expect(gaussianise(map!, 20)).toBeCloseTo(0, 12);
    // (0.5 / 3) and its mirror: Phi^-1(1/6) = -0.9674
    expect(gaussianise(map!, 10)).toBeCloseTo(-0.9674, 3);
    expect(gaussianise(map!, 30)).toBeCloseTo(0.9674, 3);
  });

  test('continues outside the reference with the robust slope (p90 - p10) / 2.563', () => {
    const values = Float64Array.from({ length: 1001 }, (_, i) => i);
    const map = fitGaussianiser(values)!;
    const slope = 2.563 / 800;
    expect(gaussianise(map, 1500) - gaussianise(map, 1000)).toBeCloseTo(500 * slope, 2);
    expect(gaussianise(map, -400) - gaussianise(map, 0)).toBeCloseTo(-400 * slope, 2);
    expect(gaussianise(map, 1e9)).toBe(30);
  });

  test('is monotone and gives ties one value', () => {
    const map = fitGaussianiser(Float64Array.of(0, 0, 0, 0, 1, 2, 3, 3))!;
    let last = Number.NEGATIVE_INFINITY;
    for (let x = -1; x <= 4; x += 0.01) {
      const z = gaussianise(map, x);
      expect(z).toBeGreaterThanOrEqual(last);
      last = z;
    }
    expect(gaussianise(map, 0)).toBeCloseTo(-0.6745, 3); // mid-rank (0 + 4) / 2 / 8 = 0.25
  });

  test('a missing value is no evidence; equal values have no map', () => {
    expect(gaussianise(fitGaussianiser(Float64Array.of(1, 2))!, Number.NaN)).toBe(0);
    expect(fitGaussianiser(Float64Array.of(4, 4, 4))).toBeUndefined();
  });
});

test('scoredValue takes the logarithm only where the statistic asks for it', () => {
  expect(scoredValue(7, undefined)).toBe(7);
  expect(scoredValue(Math.E - 0.5, 0.5)).toBeCloseTo(1, 12);
  expect(scoredValue(-3, 0.1)).toBeCloseTo(Math.log(0.1), 12);
});

test('logDistance is ln of the Mahalanobis distance', () => {
  const precision = Float64Array.of(2, -1, -1, 3);
  // d = (2 - 1, 1 + 1) = (1, 2): 2*1 - 2*2 + 3*4 = 10
  expect(logDistance(Float64Array.of(2, 1), Float64Array.of(1, -1), precision)).toBeCloseTo(Math.log(10), 12);
});

test('surprise: a value seen by all costs nothing, one never seen costs ln(n + 1)', () => {
  const categories = { format: { jpeg: 99 }, size: { '1x1': 50, '2x2': 49 } };
  expect(surprise(categories, { format: 'jpeg' })).toBe(0);
  expect(surprise(categories, { format: 'png' })).toBeCloseTo(Math.log(100), 12);
  expect(surprise(categories, { format: 'jpeg', size: '2x2' })).toBeCloseTo(Math.log(100 / 50), 12);
  expect(surprise(categories, { unknown: 'x', format: 'constructor' })).toBeCloseTo(Math.log(100), 12);
});

test('normalise: (value - median) / scale, the categorical surprise only above its median', () => {
  const scales = [
    { median: 1, scale: 2 },
    { median: 10, scale: 5 },
  ];
  expect([...normalise(Float64Array.of(3, 20), scales)]).toEqual([1, 2]);
  expect([...normalise(Float64Array.of(0, 10), scales)]).toEqual([-0.5, -10]);
});

test('normalise: by the tail, one clean image in a hundred is at 1, one in ten thousand at 2', () => {
  const scale = { from: 10, share: 0.1, excess: 2, knots: Float64Array.from({ length: knotCount }, (_, i) => i / 4) };
  const [at, far, usual] = [10 + 2 * Math.log(10), 10 + 2 * Math.log(1000), 4].map((value) => {
    const [normalised] = normalise(Float64Array.of(value, 0), [scale, { median: 1, scale: 1 }]);
    return normalised;
  });
  expect(at).toBeCloseTo(1, 12);
  expect(far).toBeCloseTo(2, 12);
  // Half way along the knots, which hold nine tenths of the images.
  expect(usual).toBeCloseTo(-Math.log(1 - 0.45) / Math.log(100), 12);
  // What is no number is stopped.
  expect(normalise(Float64Array.of(Number.NaN, 0), [scale, { median: 1, scale: 1 }])[0]).toBe(1e6);
});

test('a detector is the strongest of its components, each less by its discount, or by the weight of earlier versions', () => {
  const values = (...of: number[]) => Float64Array.from(of);
  expect(strongest(values(1, 5, 3), { components: [0, 2] })).toBe(3);
  const discounted = { components: [0, 1], discounts: [0, 0.4] };
  // One clean image in a hundred, by either piece; beyond, the share; below, the difference.
  expect(strongest(values(0, 1), discounted)).toBeCloseTo(0.6, 12);
  expect(strongest(values(0, 1 - 1e-13), discounted)).toBeCloseTo(0.6, 12);
  expect(strongest(values(0, 5), discounted)).toBeCloseTo(3, 12);
  expect(strongest(values(0, 0.7), discounted)).toBeCloseTo(0.3, 12);
  expect(strongest(values(0.2, 0.5), discounted)).toBeCloseTo(0.2, 12);
  const weighted = { components: [0, 1, 2], weights: [1, 0.5, 1] };
  expect(strongest(values(1, 5, 3), weighted)).toBe(3);
  expect(strongest(values(1, 8, 3), weighted)).toBe(4);
  expect(strongest(values(0.1, 0.8, 0.3), weighted)).toBe(0.4);
});
