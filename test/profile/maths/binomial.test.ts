import { describe, expect, it } from 'vitest';
import { clopperPearson } from '../../../src/profile/maths/binomial.ts';

/** P(X >= k) for X ~ Binomial(n, p), summed term by term: the definition that the interval inverts. */
function upperTail(k: number, n: number, p: number): number {
  let term = (1 - p) ** n;
  let below = 0;
  for (let i = 0; i < k; i++) {
    below += term;
    term *= ((n - i) / (i + 1)) * (p / (1 - p));
  }
  return 1 - below;
}

describe('clopperPearson', () => {
  it.each([
    // published values: shares in percent, to the digits given there
    [0, 300, 0, 0.0122, 4],
    [1, 241, 0.0001, 0.0229, 4],
    [10, 1000, 0.0048, 0.0183, 4],
    [5, 60, 0.028, 0.184, 3],
  ])('gives the published interval for %i of %i', (hits, n, low, high, digits) => {
    const interval = clopperPearson(hits, n);
    expect(interval.low).toBeCloseTo(low, digits);
    expect(interval.high).toBeCloseTo(high, digits);
  });

  it('has closed forms where nothing or everything was hit', () => {
    for (const n of [1, 7, 300, 5000]) {
      // Rule: (1 - high)^n = alpha / 2.
      expect(clopperPearson(0, n).high).toBeCloseTo(1 - 0.025 ** (1 / n), 12);
      expect(clopperPearson(n, n).low).toBeCloseTo(0.025 ** (1 / n), 12);
    }
    expect(clopperPearson(0, 300, 0.9).high).toBeCloseTo(0.00994, 5); // one-sided 95 %, O11
    expect(clopperPearson(0, 9).low).toBe(0);
    expect(clopperPearson(9, 9).high).toBe(1);
  });

  it('puts exactly half of alpha in each binomial tail', () => {
    for (const [hits, n] of [
      [1, 2],
      [3, 40],
      [20, 40],
      [39, 40],
      [10, 1000],
      [70, 1000],
    ]) {
      const { low, high } = clopperPearson(hits, n);
      expect(upperTail(hits, n, low)).toBeCloseTo(0.025, 9);
      expect(1 - upperTail(hits + 1, n, high)).toBeCloseTo(0.025, 9);
    }
  });

  it('is symmetric: the interval of the misses mirrors that of the hits', () => {
    const some = clopperPearson(7, 90);
    const rest = clopperPearson(83, 90);
    expect(rest.low).toBeCloseTo(1 - some.high, 12);
    expect(rest.high).toBeCloseTo(1 - some.low, 12);
  });

  it('stays exact for large counts', () => {
    // Normal approximation, which is good to 1e-6 here.
    const { low, high } = clopperPearson(500_000, 1_000_000);
    expect(low).toBeCloseTo(0.5 - 1.959964 * 0.0005, 5);
    expect(high).toBeCloseTo(0.5 + 1.959964 * 0.0005, 5);
  });

  it.each([
    [-1, 10],
    [11, 10],
    [0.5, 10],
    [0, 0],
    [Number.NaN, 3],
  ])('refuses %d of %d', (hits, n) => {
    expect(() => clopperPearson(hits, n)).toThrow(/Expected an integer/);
  });

  it.each([0, 1, Number.NaN])('refuses a level of %d', (level) => {
    expect(() => clopperPearson(1, 10, level)).toThrow(/Expected a level/);
  });
});
