import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/image/corruptions/random.ts';
import { PValues } from '../../../src/profile/maths/pvalues.ts';
import { conformalPValue } from '../../../src/profile/maths/ranks.ts';

const sorted = Float64Array.from({ length: 200 }, (_, i) => -Math.log(1 - (i + 0.5) / 200));

describe('p-values by rank', () => {
  const byRank = new PValues(sorted);

  it('are conformal, and at most a rate above its limit', () => {
    for (const score of [0, 1, 4, 9, Number.NaN]) expect(byRank.of(score)).toBe(conformalPValue(sorted, score));
    expect(byRank.of(byRank.limit(0.05) + 1e-9)).toBeLessThanOrEqual(0.05);
    expect(byRank.of(byRank.limit(0.05))).toBeGreaterThan(0.05);
    // No rate below 1 / 201 is told: only what is beyond all.
    expect(byRank.limit(0.001)).toBe(sorted[199]);
  });
});

describe('p-values by the tail', () => {
  const byTail = new PValues(sorted, 'tail');

  it('are e^-x for exponential scores, also beyond all that were seen', () => {
    for (const score of [3, 4.6, 7, 10]) expect(byTail.of(score) / Math.exp(-score)).toBeCloseTo(1, 0);
    expect(byTail.limit(0.01)).toBeCloseTo(Math.log(100), 0);
    expect(byTail.of(byTail.limit(0.001))).toBeCloseTo(0.001, 12);
  });

  it('are ranks where nine tenths of the reference lie', () => {
    for (const score of [0, 0.5, 1, 2.2]) expect(byTail.of(score)).toBe(conformalPValue(sorted, score));
    expect(byTail.limit(0.5)).toBe(new PValues(sorted).limit(0.5));
  });

  it('never rise, and what is no number is beyond all', () => {
    let last = 1;
    for (let score = 0; score < 40; score += 0.01) {
      expect(byTail.of(score)).toBeLessThanOrEqual(last);
      last = byTail.of(score);
    }
    expect(byTail.of(Number.NaN)).toBe(1e-9);
    expect(byTail.of(Number.POSITIVE_INFINITY)).toBe(1e-9);
  });

  it('keep the rate in the mean over references of normal scores, and vary less than ranks do', () => {
    const random = new Random(5);
    const met = (kind: 'rank' | 'tail') =>
      Array.from({ length: 100 }, () => {
        const pValues = new PValues(Float64Array.from(random.normals(240)).sort(), kind);
        const fresh = random.normals(4000);
        return fresh.filter((score) => pValues.of(score) <= 0.01).length / fresh.length;
      });
    const mean = (shares: number[]) => shares.reduce((sum, share) => sum + share / shares.length, 0);
    const spread = (shares: number[]) => Math.sqrt(mean(shares.map((share) => (share - mean(shares)) ** 2)));
    const [rank, tail] = [met('rank'), met('tail')];
    // Two of 241 ranks: 0.83 %. The estimate has no such bound: what one reference has too high another has too low, and the
    // mean of shares beyond is a little above the share beyond the mean.
    expect(mean(rank)).toBeGreaterThan(0.006);
    expect(mean(rank)).toBeLessThan(0.0105);
    expect(mean(tail)).toBeGreaterThan(0.008);
    expect(mean(tail)).toBeLessThan(0.012);
    expect(spread(tail) / mean(tail)).toBeLessThan(spread(rank) / mean(rank));
  });
});
