import { slice } from '../../core/layout.ts';
import type { StatisticTable } from './statistic.ts';

const row = { group: 'colour', bad: 'both', scored: true, source: 'Stopline' } as const;

/** How colour goes with brightness and with height in the frame. */
export const tint: StatisticTable = {
  rows: [
    {
      ...row,
      name: 'lumaRedGreen',
      unit: 'ratio',
      meaning: 'Correlation of brightness and red minus green.',
      high: 'lights redder against shadows than',
      low: 'lights greener against shadows than',
      digits: 3,
    },
    {
      ...row,
      name: 'lumaYellowBlue',
      unit: 'ratio',
      meaning: 'Correlation of brightness and yellow minus blue.',
      high: 'lights yellower against shadows than',
      low: 'lights bluer against shadows than',
      digits: 3,
    },
    {
      ...row,
      name: 'redGreenYellowBlue',
      unit: 'ratio',
      meaning: 'Correlation of red minus green and yellow minus blue.',
      high: 'colours more along one warm-cold axis than',
      low: 'colours less along one warm-cold axis than',
      digits: 3,
    },
    {
      ...row,
      name: 'lumaTopBottom',
      unit: 'DN',
      meaning: 'Mean brightness of the upper half minus that of the lower half.',
      high: 'a brighter upper half than',
      low: 'a darker upper half than',
      digits: 1,
    },
    {
      ...row,
      name: 'redGreenTopBottom',
      unit: 'DN',
      meaning: 'Mean red minus green of the upper half minus that of the lower half.',
      high: 'a redder upper half than',
      low: 'a greener upper half than',
      digits: 2,
    },
    {
      ...row,
      name: 'yellowBlueTopBottom',
      unit: 'DN',
      meaning: 'Mean yellow minus blue of the upper half minus that of the lower half.',
      high: 'a yellower upper half than',
      low: 'a bluer upper half than',
      digits: 2,
    },
    {
      ...row,
      name: 'saturationP50',
      unit: 'ratio',
      meaning: 'Median saturation.',
      high: 'more saturated than',
      low: 'less saturated than',
      digits: 3,
    },
    {
      ...row,
      name: 'saturationP95',
      unit: 'ratio',
      meaning: 'Saturation exceeded by 5 % of the pixels.',
      high: 'stronger colours than',
      low: 'weaker colours than',
      digits: 3,
    },
    {
      ...row,
      name: 'saturatedShare',
      unit: 'share',
      meaning: 'Share of pixels with a saturation over 7/8.',
      high: 'more pure colours than',
      low: 'fewer pure colours than',
      logFloor: 1e-4,
      digits: 5,
    },
  ],
  derive(out) {
    const top = slice(out, 'tintTop');
    const bottom = slice(out, 'tintBottom');
    const [y2, rg2, yb2, yRg, yYb, rgYb] = slice(out, 'tintProducts');
    const n = top[0] + bottom[0];
    const [y, rg, yb] = [1, 2, 3].map((i) => (top[i] + bottom[i]) / n);
    const correlation = (product: number, a: number, b: number, a2: number, b2: number) => {
      const variance = (a2 / n - a * a) * (b2 / n - b * b);
      // Grey or flat: nothing goes with anything. The floor is far below one quantisation step of either.
      return variance > 1e-6 ? (product / n - a * b) / Math.sqrt(variance) : 0;
    };
    const halves = (i: number) => top[i] / top[0] - bottom[i] / bottom[0];
    const histogram = slice(out, 'saturationHistogram');
    return [
      correlation(yRg, y, rg, y2, rg2),
      correlation(yYb, y, yb, y2, yb2),
      correlation(rgYb, rg, yb, rg2, yb2),
      halves(1),
      halves(2),
      halves(3) / 2,
      quantile(histogram, n, 0.5),
      quantile(histogram, n, 0.95),
      (histogram[14] + histogram[15]) / n,
    ];
  },
};

/** Quantile of a histogram of 16 bins over 0 to 1, linear inside a bin. */
function quantile(histogram: Float64Array, n: number, share: number): number {
  let below = 0;
  for (let bin = 0; bin < histogram.length; bin++) {
    const count = histogram[bin];
    if (below + count >= share * n && count > 0) return (bin + (share * n - below) / count) / histogram.length;
    below += count;
  }
  return 1;
}
