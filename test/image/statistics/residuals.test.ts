import { describe, expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { residuals } from '../../../src/image/statistics/residuals.ts';
import { gaussian, grey } from '../../fixtures/frames.ts';

const core = loadCore();

function numbers({ data, width, height, channels }: Frame): Record<string, number> {
  const values = residuals.derive(core.measure(data, width, height, channels), undefined);
  return Object.fromEntries(residuals.rows.map(({ name }, i) => [name, values[i]]));
}

describe('residuals', () => {
  const families = ['residual', 'residualAround', 'residualHalf', 'residualColour'];
  const correlations = ['Next', 'Second', 'Across'];
  /** All statistics of pairs are 0 but for these, and those of a family add up to 1. */
  const expectPairs = (found: Record<string, number>, family: string, wanted: Record<string, number>) => {
    const names = Object.keys(found).filter((name) => new RegExp(`^${family}(Pair|Same|Opposed)\\d\\d$`).test(name));
    expect(names).toHaveLength(9);
    for (const name of names) expect(found[name], name).toBeCloseTo(wanted[name.slice(family.length)] ?? 0, 10);
  };

  it.each([
    ['a constant frame', grey(80, 70, () => 90)],
    ['a ramp', grey(80, 70, (x, y) => x + 2 * y)],
  ])('%s leaves no residual: every pair is zero, and nothing goes with anything', (_, frame) => {
    const found = numbers(frame);
    for (const family of families) {
      expectPairs(found, family, { Pair00: 1 });
      for (const which of correlations) expect(found[`${family}${which}`]).toBe(0);
    }
    expect([found.residualColourOverlap, found.residualColourRatio]).toEqual([0, 0]);
  });

  it.each([
    [1, 'Opposed11'],
    [2, 'Opposed22'],
    [40, 'Opposed22'],
  ])('a checkerboard of %i DN turns with every pixel, and its sums of 2x2 are constant', (step, pair) => {
    const found = numbers(grey(80, 70, (x, y) => 100 + step * ((x + y) % 2)));
    for (const family of ['residual', 'residualAround']) {
      expectPairs(found, family, { [pair]: 1 });
      expect(correlations.map((which) => found[`${family}${which}`])).toEqual([-1, 1, -1]);
    }
    expectPairs(found, 'residualHalf', { Pair00: 1 });
    expectPairs(found, 'residualColour', { Pair00: 1 });
  });

  it('stripes: along rows every pair turns, down columns every pair is zero', () => {
    const found = numbers(grey(80, 70, (x) => 100 + 9 * (x % 2)));
    expectPairs(found, 'residual', { Pair00: 0.5, Opposed22: 0.5 });
    expect(correlations.map((which) => found[`residual${which}`])).toEqual([-1, 1, 1]);
  });

  it('noise: second differences of independent pixels correlate by -2/3 with the next, 1/6 with the one after it', () => {
    const normal = gaussian(4);
    const found = numbers(grey(280, 280, () => 128 + 12 * normal()));
    expect(found.residualNext).toBeCloseTo(-2 / 3, 1.5);
    expect(found.residualSecond).toBeCloseTo(1 / 6, 1.5);
    expect(found.residualAcross).toBeCloseTo(0, 1.5);
    // [1 -2 1] along rows times the same down columns: across is as along.
    expect(found.residualAroundNext).toBeCloseTo(-2 / 3, 1.5);
    expect(found.residualAroundAcross).toBeCloseTo(-2 / 3, 1.5);
  });

  it('colour that turns with brightness lies wholly where that does, by the sum of its weights', () => {
    // Red is 40 and blue 0 where luma is 12 = 40 * 0.299: R - B turns by 40 where Y turns by 12.
    const stripes = Uint8Array.from({ length: 80 * 70 * 3 }, (_, i) => (i % 6 === 3 ? 40 : 0));
    const found = numbers({ data: stripes, width: 80, height: 70, channels: 3 });
    expect(found.residualColourOverlap).toBeCloseTo(1, 5);
    expect(found.residualColourRatio).toBeCloseTo(40 / 12, 5);
  });
});
