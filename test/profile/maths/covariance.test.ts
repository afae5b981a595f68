import { describe, expect, test } from 'vitest';
import { ledoitWolf } from '../../../src/profile/maths/covariance.ts';

describe('Ledoit-Wolf covariance', () => {
  test('reproduces scikit-learn on a fixed matrix', () => {
    const rows = [
      [1, 2],
      [2, 1],
      [3, 5],
      [4, 4],
      [0, -1],
      [2, 3],
    ].map((row) => Float64Array.from(row));
    const { covariance, shrinkage, mean } = ledoitWolf(rows);
    expect([...mean]).toEqual([expect.closeTo(2, 12), expect.closeTo(7 / 3, 12)]);
    expect(shrinkage).toBeCloseTo(0.423824, 6);
    expect(covariance.get(0, 0)).toBeCloseTo(2.137583, 6);
    expect(covariance.get(0, 1)).toBeCloseTo(1.24838, 5);
    expect(covariance.get(1, 1)).toBeCloseTo(3.417973, 6);
  });

  test('shrinks fully where every variance is equal and nothing is correlated, not at all in the limit of many rows', () => {
    const cross = [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ].map((row) => Float64Array.from(row));
    expect(ledoitWolf(cross).shrinkage).toBe(1);
    const line = Array.from({ length: 4000 }, (_, i) => Float64Array.of(i % 7, 2 * (i % 7) + (i % 3)));
    expect(ledoitWolf(line).shrinkage).toBeLessThan(0.01);
  });

  test('stays invertible with a column that is an exact copy', () => {
    const rows = Array.from({ length: 50 }, (_, i) => Float64Array.of(i, i, (i * 7) % 11));
    const { covariance } = ledoitWolf(rows);
    expect(covariance.get(0, 0)).toBeGreaterThan(Math.abs(covariance.get(0, 1)));
  });
});
