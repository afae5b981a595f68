import { at, slice } from '../core/layout.ts';
import type { StatisticTable } from '../statistics.ts';

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
  ],
  derive(out) {
    const histogram = slice(out, 'lumaHistogram');
    let sum = 0;
    for (let y = 0; y < 256; y++) sum += y * histogram[y];
    return [sum / out[at.pixels]];
  },
};
