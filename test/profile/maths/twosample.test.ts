import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/image/corruptions/random.ts';
import {
  benjaminiHochberg,
  kolmogorovSmirnov,
  maximumMeanDiscrepancy,
  wasserstein,
} from '../../../src/profile/maths/twosample.ts';

const sorted = (count: number, value: (k: number) => number) =>
  Float64Array.from({ length: count }, (_, k) => value(k)).sort();

describe('Kolmogorov-Smirnov, as SciPy 1.17 ks_2samp(method="exact") has it', () => {
  it.each([
    [[1, 2, 3, 4, 5], [3.5, 4.5, 6, 7], 0.6, 0.285714285714],
    [sorted(8, (k) => 0.1 * (k + 1) ** 2 - 1), sorted(12, (k) => 2 * Math.sin(k + 1) + 0.3), 0.375, 0.447773279352],
    [sorted(30, (k) => k / 10), sorted(40, (k) => k / 10 + 1.234), 0.575, 9.7032250301e-6],
    [sorted(5, (k) => 0.5 * k + 2.5), sorted(1000, (k) => k / 250 - 2), 1, 2.3643e-13],
  ])('%#', (a, b, statistic, pValue) => {
    const test = kolmogorovSmirnov(a, b);
    expect(test.statistic).toBeCloseTo(statistic, 12);
    expect(test.pValue / pValue).toBeCloseTo(1, 2);
  });

  it('uses the limiting distribution for large samples', () => {
    // SciPy, exact: 1.10e-13 at 0.26; the limit is good to a tenth that far out.
    const { statistic, pValue } = kolmogorovSmirnov(
      sorted(400, (k) => k / 100),
      sorted(500, (k) => k / 100 + 0.3),
    );
    expect(statistic).toBeCloseTo(0.26, 12);
    expect(pValue).toBeGreaterThan(0.7e-13);
    expect(pValue).toBeLessThan(1.5e-13);
  });

  it('holds its level: 5 % of windows of 20 at most, without drift', () => {
    const random = new Random(3);
    const reference = random.normals(400).sort();
    let rejected = 0;
    for (let run = 0; run < 400; run++) {
      if (kolmogorovSmirnov(random.normals(20).sort(), reference).pValue <= 0.05) rejected++;
    }
    expect(rejected / 400).toBeLessThan(0.08);
    expect(rejected / 400).toBeGreaterThan(0.015);
  });

  it('counts samples that depend as fewer', () => {
    const a = sorted(30, (k) => k / 10);
    const b = sorted(40, (k) => k / 10 + 1.234);
    const { pValue } = kolmogorovSmirnov(a, b, { a: 3, b: 4 });
    // As SciPy has it for samples of 3 and 4 at that distance.
    expect(pValue).toBeCloseTo(0.4, 9);
  });
});

it('the Wasserstein distance is that of SciPy 1.17, and of a shift its size', () => {
  const a = sorted(8, (k) => 0.1 * (k + 1) ** 2 - 1);
  const b = sorted(12, (k) => 2 * Math.sin(k + 1) + 0.3);
  expect(wasserstein(a, b)).toBeCloseTo(1.2708957922, 9);
  expect(
    wasserstein(
      sorted(30, (k) => k / 10),
      sorted(40, (k) => k / 10 + 1.234),
    ),
  ).toBeCloseTo(1.734, 9);
  expect(
    wasserstein(
      a,
      a.map((value) => value + 0.25),
    ),
  ).toBeCloseTo(0.25, 12);
});

it('Benjamini-Hochberg adjusts as SciPy 1.17 false_discovery_control does', () => {
  const adjusted = benjaminiHochberg([0.01, 0.04, 0.03, 0.5, 0.005]);
  for (const [i, value] of [0.025, 0.05, 0.05, 0.5, 0.025].entries()) expect(adjusted[i]).toBeCloseTo(value, 12);
});

describe('maximum mean discrepancy', () => {
  const random = new Random(9);
  const options = { permutations: 199, random: () => random.uniform() };
  const rows = (count: number, mean = 0) => Array.from({ length: count }, () => random.normals(8, mean));

  it('is the closed form on a few points', () => {
    const a = [
      [0, 0],
      [1, 0],
      [0, 1],
    ];
    const b = [
      [2, 2],
      [3, 2],
      [2, 3],
      [3, 3],
    ];
    // NumPy: median squared distance 5, unbiased estimate.
    expect(maximumMeanDiscrepancy(a, b, options).statistic).toBeCloseTo(0.993564867, 8);
  });

  it('sees a shift of half a deviation in 40 rows, and holds its level', () => {
    expect(maximumMeanDiscrepancy(rows(40, 0.5), rows(150), options).pValue).toBe(1 / 200);
    let rejected = 0;
    const quick = { ...options, permutations: 39 };
    for (let run = 0; run < 100; run++) {
      if (maximumMeanDiscrepancy(rows(12), rows(40), quick).pValue <= 0.05) rejected++;
    }
    expect(rejected).toBeLessThanOrEqual(12);
  });
});
