import { describe, expect, it } from 'vitest';
import { conditionalMeanBound, powerBet, tiltBound } from '../../src/drift/bets.ts';
import { Random } from '../../src/image/corruptions/random.ts';

/** Means of values by rank, each given a calibration set: spacings of uniform numbers. */
function conditionalMeans(values: Float64Array, sets: number): Float64Array {
  const random = new Random(11);
  return Float64Array.from({ length: sets }, () => {
    let [sum, total] = [0, 0];
    for (const value of values) {
      const spacing = -Math.log(random.uniform(1e-12, 1));
      sum += value * spacing;
      total += spacing;
    }
    return sum / total;
  });
}

describe('the mean of a bet given the calibration set', () => {
  it.each([
    [100, 0.15, 0.05],
    [100, 0.15, 0.01],
    [300, 0.6, 0.01],
  ])('%i images, power %f: stays below its bound but for a share of %f of sets', (m, power, delta) => {
    const { factors, bound } = powerBet(m, power, delta);
    const sets = 8000;
    const over = conditionalMeans(factors, sets).filter((mean) => mean > 1).length / sets;
    // Three standard errors of the share, and a tenth for the approximation.
    expect(Math.abs(over - delta)).toBeLessThan(3 * Math.sqrt(delta / sets) + 0.1 * delta);
    expect(bound * factors[0]).toBeCloseTo(power * (m + 1) ** (1 - power), 9);
  });

  it('is the plain one of a bet that never pays', () => {
    expect(conditionalMeanBound(new Float64Array(50).fill(1), 0.01)).toBe(1);
  });

  it('of a tilt tends to the one of a standard normal', () => {
    // E exp(t Z) with |Z| <= 2.5 by quadrature: 1.01923 at 0.2.
    expect(tiltBound(200_000, 0.2, 0.5)).toBeCloseTo(1.0192, 3);
    expect(tiltBound(1000, 0.2, 0.001)).toBeGreaterThan(tiltBound(1000, 0.2, 0.01));
  });
});

it('saves from plain conformal p-values, whose bets are too good for one set in five', () => {
  const plain = Float64Array.from({ length: 101 }, (_, rank) => 0.6 * ((rank + 1) / 101) ** -0.4);
  const over = conditionalMeans(plain, 2000).filter((mean) => mean > 1).length / 2000;
  expect(over).toBeGreaterThan(0.15);
});
