import { describe, expect, it } from 'vitest';
import { fitTail, knotCount, knotsBelow, shareBeyond, strangeness } from '../../../src/profile/maths/tail.ts';

/** The quantiles of an exponential distribution of mean 2 that begins at 3. */
const exponential = Float64Array.from({ length: 1000 }, (_, i) => 3 - 2 * Math.log(1 - (i + 0.5) / 1000));

describe('the tail of a sample', () => {
  it('is the top tenth, at least ten values, and its mean excess', () => {
    // 180 to 199 are beyond 179: by 10.5 in the mean.
    const tail = fitTail(Float64Array.from({ length: 200 }, (_, i) => i));
    expect(tail).toMatchObject({ from: 179, share: 0.1 });
    expect(tail.excess).toBeCloseTo(10.5, 12);
    expect(fitTail([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])).toMatchObject({
      ...{ from: 9, share: 0.5 },
    });
    expect(fitTail([1, 2, 6])).toEqual({ from: 1, share: 2 / 3, excess: 3 });
  });

  it('of an exponential distribution is that distribution, also where nothing was seen', () => {
    const tail = fitTail(exponential);
    expect(tail.excess).toBeCloseTo(2, 1);
    // P(X > 3 + 2 ln 1000) = 1 / 1000, and ten times farther out than any value 1 / 10,000.
    expect(shareBeyond(tail, 3 + 2 * Math.log(1000)) * 1000).toBeCloseTo(1, 1);
    expect(shareBeyond(tail, 3 + 2 * Math.log(10_000)) * 10_000).toBeCloseTo(1, 1);
  });

  it('of equal values ends at once', () => {
    const tail = fitTail(new Float64Array(50).fill(4));
    expect(shareBeyond(tail, 4)).toBeCloseTo(0.2, 12);
    expect(shareBeyond(tail, 5)).toBe(0);
  });
});

describe('strangeness', () => {
  const tail = fitTail(exponential);
  const knots = knotsBelow(exponential, tail);
  const of = (value: number) => strangeness(tail, knots, value);

  it('is -ln of the share at least as large: (x - 3) / 2 for the exponential distribution', () => {
    expect(knots).toHaveLength(knotCount);
    for (const x of [3.1, 3.5, 4, 5, 6, 7, 8, 12, 20]) expect(of(x)).toBeCloseTo((x - 3) / 2, 1);
  });

  it('never falls, has no steps, and is 0 for what is least strange', () => {
    let last = 0;
    for (let x = 2; x < 12; x += 0.01) {
      expect(of(x)).toBeGreaterThanOrEqual(last);
      expect(of(x) - last).toBeLessThan(0.02);
      last = of(x);
    }
    expect(of(2)).toBe(0);
    expect(of(Number.NEGATIVE_INFINITY)).toBe(0);
    expect(of(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });

  it('gives values that were seen often one place', () => {
    const many = Float64Array.from({ length: 100 }, (_, i) => (i < 60 ? 1 : i));
    const ofMany = fitTail(many);
    expect(strangeness(ofMany, knotsBelow(many, ofMany), 1)).toBe(0);
  });
});
