import { at, slice } from '../../core/layout.ts';
import type { StatisticTable } from './statistic.ts';

/** Traces of 8x8 block coding in the pixels: they survive a change of format, and a crop only shifts their phase. */
export const compression: StatisticTable = {
  rows: [
    {
      name: 'blockinessX',
      unit: 'ln ratio',
      group: 'compression',
      meaning: 'Steps across the strongest column grid of 8 pixels against steps elsewhere.',
      high: 'blockier than',
      low: 'less blocky than',
      bad: 'high',
      scored: true,
      digits: 3,
      source: 'after Wang, Bovik and Evans 2000',
    },
    {
      name: 'blockinessY',
      unit: 'ln ratio',
      group: 'compression',
      meaning: 'Steps across the strongest row grid of 8 pixels against steps elsewhere.',
      high: 'blockier than',
      low: 'less blocky than',
      bad: 'high',
      scored: true,
      digits: 3,
      source: 'after Wang, Bovik and Evans 2000',
    },
    {
      name: 'blockPhaseX',
      unit: 'pixels',
      group: 'compression',
      meaning: 'Column at which the strongest grid starts; 0 unless cropped after compression.',
      high: 'grid shifted from',
      low: 'grid shifted from',
      bad: 'both',
      scored: false,
      digits: 0,
      source: 'strongest of 8 phases',
    },
    {
      name: 'blockPhaseY',
      unit: 'pixels',
      group: 'compression',
      meaning: 'Row at which the strongest grid starts; 0 unless cropped after compression.',
      high: 'grid shifted from',
      low: 'grid shifted from',
      bad: 'both',
      scored: false,
      digits: 0,
      source: 'strongest of 8 phases',
    },
    {
      name: 'blockiness',
      unit: 'ratio',
      group: 'compression',
      meaning: 'How much steps stand out on the grid that starts at pixel 0.',
      high: 'blockier than',
      low: 'less blocky than',
      bad: 'high',
      scored: true,
      digits: 3,
      source: 'Stopline: step across the 8x8 grid against its neighbours',
    },
    {
      name: 'blockinessMax',
      unit: 'ratio',
      group: 'compression',
      meaning: 'How much steps stand out on the strongest grid, wherever it starts.',
      high: 'blockier than',
      low: 'less blocky than',
      bad: 'high',
      scored: true,
      digits: 3,
      source: 'Stopline: the same at the strongest of 8 phases',
    },
    {
      name: 'zeroDifferenceShare',
      unit: 'share',
      group: 'compression',
      meaning: 'Share of neighbours that are equal: flat areas, upscaling, screen content.',
      high: 'more flat or upscaled than',
      low: 'less flat than',
      bad: 'high',
      logFloor: 1e-3,
      scored: true,
      digits: 4,
      source: 'Wang 2002 idea',
    },
  ],
  derive(out) {
    const [width, height] = [out[at.width], out[at.height]];
    if (width < 3 || height < 3) return new Array(7).fill(Number.NaN);
    const x = grid(slice(out, 'stepsX'), slice(out, 'stepsPixelsX'), width);
    const y = grid(slice(out, 'stepsY'), slice(out, 'stepsPixelsY'), height);
    const moving = out[at.movingX] + out[at.movingY];
    return [
      x.ratio,
      y.ratio,
      x.phase,
      y.phase,
      (x.aligned + y.aligned) / 2,
      (x.strongest + y.strongest) / 2,
      1 - moving / (2 * out[at.interior]),
    ];
  },
};

interface Grid {
  ratio: number;
  phase: number;
  aligned: number;
  strongest: number;
}

const none: Grid = { ratio: Number.NaN, phase: Number.NaN, aligned: Number.NaN, strongest: Number.NaN };

/**
 * How much the steps of one phase stand out of those of its two neighbours, for the 8 phases of a grid.
 * @param steps sums of |difference| before the pixels whose coordinate is 0 to 7 modulo 8
 * @param pixels how many differences were summed
 * @param length pixels along the axis
 */
function grid(steps: Float64Array, pixels: Float64Array, length: number): Grid {
  // Two whole periods at least: one edge in a strip is not a grid.
  if (length < 18) return none;
  const mean = new Float64Array(8);
  for (let phase = 0; phase < 8; phase++) mean[phase] = steps[phase] / pixels[phase];
  const all = mean.reduce((sum, value) => sum + value, 0) / 8;
  // Half a level of floor: rounding alone makes steps of that size.
  const floor = 0.5;
  const peak = mean.map((value, k) => (value - (mean[(k + 7) & 7] + mean[(k + 1) & 7]) / 2) / (all + floor));
  let phase = 0;
  for (let k = 1; k < 8; k++) if (peak[k] > peak[phase]) phase = k;
  const others = (8 * all - mean[phase]) / 7;
  const sorted = Float64Array.from(peak).sort();
  const rest = (peak.reduce((sum, value) => sum + value, 0) - peak[0]) / 7;
  return {
    ratio: Math.log((mean[phase] + floor) / (others + floor)),
    phase,
    aligned: peak[0] - rest,
    strongest: sorted[7] - (sorted[3] + sorted[4]) / 2,
  };
}
