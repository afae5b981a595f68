import { describe, expect, it } from 'vitest';
import { readBands } from '../../../src/server/watch/recent.ts';

describe('the band of a small chart', () => {
  // Rank 99 of 100 is the 99th percentile by the rule of verdicts; a rule of its own took rank 98.
  const values = Float64Array.from({ length: 100 }, (_, rank) => (rank === 99 ? 1000 : rank));
  const tensors = { calibrationValues: { shape: [1, 100], data: values.toReversed() } };

  it('lies between the quantiles that verdicts and reports show', () => {
    const [band] = readBands({ statistics: [{ name: 'lumaMean' }], tensors });
    expect(band).toEqual({ name: 'lumaMean', position: 0, p50: 50, width: 999 });
  });

  it('is measured on the scale on which the statistic is scored', () => {
    const [band] = readBands({ statistics: [{ name: 'tenengrad', logFloor: 1 }], tensors });
    expect(band.width).toBeCloseTo(Math.log(1001) - Math.log(2), 12);
  });
});
