import { at, slice } from '../../core/layout.ts';
import { medianMagnitude } from './histogram.ts';
import type { StatisticTable } from './statistic.ts';

/** Median of |x| for x ~ N(0, 1). */
const normalMad = 0.6744897501960817;

/** Noise, as the standard deviation of the white noise that would leave the same residual. */
export const noise: StatisticTable = {
  rows: [
    {
      name: 'noiseSigma',
      unit: 'DN',
      group: 'noise',
      meaning: 'Noise, from the quietest tenth of the 8x8 blocks in which nothing is clipped.',
      high: 'noisier than',
      low: 'less noisy than',
      bad: 'high',
      logFloor: 0.1,
      scored: true,
      digits: 2,
      source: 'Stopline: tenth percentile of Immerkaer residuals of 8x8 blocks',
    },
    {
      name: 'noiseImmerkaer',
      unit: 'DN',
      group: 'noise',
      meaning: 'Noise with fine texture: mean residual.',
      high: 'noisier or more textured than',
      low: 'smoother than',
      bad: 'high',
      logFloor: 0.1,
      scored: true,
      digits: 2,
      source: 'Immerkaer 1996',
    },
    {
      name: 'noiseMedian',
      unit: 'DN',
      group: 'noise',
      meaning: 'Noise with fine texture: median residual.',
      high: 'noisier or more textured than',
      low: 'smoother than',
      bad: 'high',
      logFloor: 0.1,
      scored: true,
      digits: 2,
      source: 'Immerkaer 1996, median',
    },
    {
      name: 'noiseMad',
      unit: 'DN',
      group: 'noise',
      meaning: 'Noise with fine texture: median diagonal Haar coefficient.',
      high: 'noisier or more textured than',
      low: 'smoother than',
      bad: 'high',
      logFloor: 0.1,
      scored: true,
      digits: 2,
      source: 'Donoho and Johnstone 1994',
    },
    {
      name: 'noiseFlat',
      unit: 'DN',
      group: 'noise',
      meaning: 'Noise in the flattest tenth of the 16x16 blocks.',
      high: 'noisier than',
      low: 'less noisy than',
      bad: 'high',
      logFloor: 0.1,
      scored: true,
      digits: 2,
      source: 'residual energy of the flattest blocks',
    },
    {
      name: 'impulseShare',
      unit: 'share',
      group: 'noise',
      meaning: 'Share of pixels that stick out of their 3x3 neighbourhood by more than 40.',
      high: 'more dead or hot pixels than',
      low: 'fewer stray pixels than',
      bad: 'high',
      logFloor: 1e-4,
      scored: true,
      digits: 5,
      source: '|Y - median of 3x3| > 40',
    },
  ],
  derive(out) {
    const haar = slice(out, 'haarDiagonal');
    const cells = haar.reduce((sum, count) => sum + count, 0);
    // A frame of two pixels a side has one Haar cell, but no interior.
    const mad = cells > 0 ? medianMagnitude(haar, cells) / 2 / normalMad : Number.NaN;
    if (out[at.width] < 3 || out[at.height] < 3)
      return [Number.NaN, Number.NaN, Number.NaN, mad, Number.NaN, Number.NaN];
    const residual = slice(out, 'residualHistogram');
    let n = 0;
    let sum = 0;
    for (let r = 0; r < residual.length; r++) {
      n += residual[r];
      sum += r * residual[r];
    }
    return [
      // 0.7914 is what the tenth percentile of 64-pixel blocks is on white noise of sigma 1.
      out[at.noiseBlocks] > 0 ? Math.sqrt(out[at.noiseEnergy] / (64 * 36)) / 0.7914 : Number.NaN,
      (Math.sqrt(Math.PI / 2) / 6) * (sum / n),
      medianMagnitude(residual, n) / 6 / normalMad,
      mad,
      out[at.flatPixels] > 0 ? Math.sqrt(out[at.flatResidual2] / (36 * out[at.flatPixels])) : Number.NaN,
      out[at.impulses] / out[at.interior],
    ];
  },
};
