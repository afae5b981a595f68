import { at, slice } from '../../core/layout.ts';
import { quantile } from './histogram.ts';
import type { StatisticTable } from './statistic.ts';

/** Brightness and contrast, all from the 256-bin histogram of luma. */
export const exposure: StatisticTable = {
  rows: [
    {
      name: 'lumaMean',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Mean brightness.',
      high: 'brighter than',
      low: 'darker than',
      bad: 'both',
      scored: true,
      digits: 1,
      source: 'BT.601 luma as in libjpeg',
    },
    {
      name: 'lumaStd',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Contrast: standard deviation of brightness.',
      high: 'more contrast than',
      low: 'less contrast than',
      bad: 'low',
      scored: true,
      digits: 1,
      source: 'RMS contrast, Peli 1990',
    },
    {
      name: 'lumaSkewness',
      unit: 'ratio',
      group: 'exposure',
      meaning: 'Whether the few very different pixels are bright (positive) or dark (negative).',
      high: 'more bright outliers than',
      low: 'more dark outliers than',
      bad: 'both',
      scored: true,
      digits: 2,
      source: 'third standardised moment',
    },
    {
      name: 'lumaP01',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Brightness that 1 % of the pixels stay below.',
      high: 'lifted blacks compared with',
      low: 'deeper blacks than',
      bad: 'both',
      scored: true,
      digits: 0,
      source: 'quantile, R-7',
    },
    {
      name: 'lumaP05',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Brightness that 5 % of the pixels stay below.',
      high: 'lighter shadows than',
      low: 'darker shadows than',
      bad: 'both',
      scored: true,
      digits: 0,
      source: 'quantile, R-7',
    },
    {
      name: 'lumaP25',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Brightness that a quarter of the pixels stay below.',
      high: 'lighter dark parts than',
      low: 'darker dark parts than',
      bad: 'both',
      scored: true,
      digits: 0,
      source: 'quantile, R-7',
    },
    {
      name: 'lumaP50',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Median brightness.',
      high: 'brighter than',
      low: 'darker than',
      bad: 'both',
      scored: true,
      digits: 0,
      source: 'quantile, R-7',
    },
    {
      name: 'lumaP75',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Brightness that three quarters of the pixels stay below.',
      high: 'brighter light parts than',
      low: 'darker light parts than',
      bad: 'both',
      scored: true,
      digits: 0,
      source: 'quantile, R-7',
    },
    {
      name: 'lumaP95',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Brightness that 95 % of the pixels stay below.',
      high: 'brighter highlights than',
      low: 'darker highlights than',
      bad: 'both',
      scored: true,
      digits: 0,
      source: 'quantile, R-7',
    },
    {
      name: 'lumaP99',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Brightness that 99 % of the pixels stay below.',
      high: 'brighter highlights than',
      low: 'duller highlights than',
      bad: 'both',
      scored: true,
      digits: 0,
      source: 'quantile, R-7',
    },
    {
      name: 'lumaRange',
      unit: 'DN',
      group: 'exposure',
      meaning: 'Range of brightness: 99th less 1st percentile.',
      high: 'wider tonal range than',
      low: 'narrower tonal range than',
      bad: 'low',
      scored: true,
      digits: 0,
      source: 'lumaP99 - lumaP01',
    },
    {
      name: 'entropy',
      unit: 'bits',
      group: 'exposure',
      meaning: 'How evenly the 256 levels are used; 8 when all equally.',
      high: 'more levels in use than',
      low: 'fewer levels in use than',
      bad: 'low',
      scored: true,
      digits: 2,
      source: 'Shannon 1948, on the luma histogram',
    },
    {
      name: 'clippedLow',
      unit: 'share',
      group: 'exposure',
      meaning: 'Share of pixels without light in any channel (largest channel 4 or less).',
      high: 'more crushed shadows than',
      low: 'fewer crushed shadows than',
      bad: 'high',
      logFloor: 1e-4,
      scored: true,
      digits: 4,
      source: 'max(R, G, B) <= 4',
    },
    {
      name: 'clippedHigh',
      unit: 'share',
      group: 'exposure',
      meaning: 'Share of pixels with a saturated channel (251 or more).',
      high: 'more blown highlights than',
      low: 'fewer blown highlights than',
      bad: 'high',
      logFloor: 1e-4,
      scored: true,
      digits: 4,
      source: 'max(R, G, B) >= 251',
    },
    {
      name: 'histogramRoughness',
      unit: 'share',
      group: 'exposure',
      meaning: 'How jagged the histogram is: combs are left by gamma, contrast or quantisation.',
      high: 'more retouched levels than',
      low: 'smoother levels than',
      bad: 'high',
      logFloor: 0.01,
      scored: true,
      digits: 3,
      source: 'sum of |h(i+1) - h(i)| / n',
    },
    {
      name: 'histogramGaps',
      unit: 'share',
      group: 'exposure',
      meaning: 'Share of unused levels between the half-percent tails: stretched or posterised images.',
      high: 'more missing levels than',
      low: 'fewer missing levels than',
      bad: 'high',
      logFloor: 0.01,
      scored: true,
      digits: 3,
      source: 'empty bins within [P0.5, P99.5]',
    },
  ],
  derive(out) {
    const n = out[at.pixels];
    const pixels = out[at.width] * out[at.height];
    const histogram = slice(out, 'lumaHistogram');
    let mean = 0;
    for (let y = 0; y < 256; y++) mean += (y * histogram[y]) / n;
    let second = 0;
    let third = 0;
    let entropy = 0;
    let roughness = 0;
    for (let y = 0; y < 256; y++) {
      const share = histogram[y] / n;
      const d = y - mean;
      second += share * d * d;
      third += share * d * d * d;
      if (share > 0) entropy -= share * Math.log2(share);
      if (y > 0) roughness += Math.abs(histogram[y] - histogram[y - 1]) / n;
    }
    // A single level has no shape, and rounding must not give it one.
    const std = second > 1e-9 ? Math.sqrt(second) : 0;
    const [p01, p05, p25, p50, p75, p95, p99] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99].map((p) =>
      quantile(histogram, n, p),
    );
    const from = Math.ceil(quantile(histogram, n, 0.005));
    const to = Math.floor(quantile(histogram, n, 0.995));
    let empty = 0;
    for (let y = from; y <= to; y++) if (histogram[y] === 0) empty++;
    return [
      mean,
      std,
      std > 0 ? third / std ** 3 : 0,
      p01,
      p05,
      p25,
      p50,
      p75,
      p95,
      p99,
      p99 - p01,
      Math.abs(entropy),
      out[at.clippedLow] / pixels,
      out[at.clippedHigh] / pixels,
      roughness,
      to >= from ? empty / (to - from + 1) : 0,
    ];
  },
};
