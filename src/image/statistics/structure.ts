import { at, slice } from '../../core/layout.ts';
import type { StatisticTable } from './statistic.ts';

/** Faults of the sensor and its read-out, and faults of one part of the image (a dirty or covered lens). */
export const structure: StatisticTable = {
  rows: [
    {
      name: 'deadRows',
      unit: 'share',
      group: 'structure',
      meaning: 'Share of rows that are constant or equal to the next.',
      high: 'more dead or repeated rows than',
      low: 'fewer repeated rows than',
      bad: 'high',
      logFloor: 1e-3,
      scored: true,
      digits: 4,
      source: 'exact comparison',
    },
    {
      name: 'deadColumns',
      unit: 'share',
      group: 'structure',
      meaning: 'Share of columns that are constant or equal to the next.',
      high: 'more dead or repeated columns than',
      low: 'fewer repeated columns than',
      bad: 'high',
      logFloor: 1e-3,
      scored: true,
      digits: 4,
      source: 'exact comparison',
    },
    {
      name: 'rowBanding',
      unit: 'DN',
      group: 'structure',
      meaning: 'Unevenness from one row to the next: rms second difference of row means.',
      high: 'more row banding than',
      low: 'less row banding than',
      bad: 'high',
      logFloor: 0.01,
      scored: true,
      digits: 3,
      source: 'high-passed row means',
    },
    {
      name: 'columnBanding',
      unit: 'DN',
      group: 'structure',
      meaning: 'Unevenness from one column to the next: rms second difference of column means.',
      high: 'more column banding than',
      low: 'less column banding than',
      bad: 'high',
      logFloor: 0.01,
      scored: true,
      digits: 3,
      source: 'high-passed column means',
    },
    {
      name: 'oddEvenRows',
      unit: 'ln ratio',
      group: 'structure',
      meaning: 'Whether neighbouring rows differ more than rows two apart, as in interlaced video.',
      high: 'more combed than',
      low: 'less combed than',
      bad: 'high',
      scored: true,
      digits: 3,
      source: 'mean |Y[y+1] - Y[y]| / mean |Y[y+2] - Y[y]|',
    },
    {
      name: 'tileEnergyMin',
      unit: 'DN^2',
      group: 'structure',
      meaning: 'Edge strength of the weakest of 8x6 tiles: a covered corner lowers it.',
      high: 'more detail in the weakest part than',
      low: 'a blank part unlike',
      bad: 'low',
      logFloor: 0.1,
      scored: true,
      digits: 2,
      source: 'mean squared gradient by tile',
    },
    {
      name: 'tileEnergyMedian',
      unit: 'DN^2',
      group: 'structure',
      meaning: 'Edge strength of the middle one of 8x6 tiles.',
      high: 'stronger edges than',
      low: 'weaker edges than',
      bad: 'low',
      logFloor: 0.1,
      scored: true,
      digits: 2,
      source: 'mean squared gradient by tile',
    },
    {
      name: 'tileEnergyDispersion',
      unit: 'ln ratio',
      group: 'structure',
      meaning: 'How unevenly detail is spread over 8x6 tiles.',
      high: 'more uneven detail than',
      low: 'more even detail than',
      bad: 'both',
      scored: true,
      digits: 3,
      source: 'standard deviation of the log energies',
    },
    {
      name: 'tileMeanDispersion',
      unit: 'DN',
      group: 'structure',
      meaning: 'How unevenly brightness is spread over 8x6 tiles.',
      high: 'more uneven light than',
      low: 'more even light than',
      bad: 'both',
      scored: true,
      digits: 2,
      source: 'standard deviation of the tile means',
    },
    {
      name: 'tileFlatShare',
      unit: 'share',
      group: 'structure',
      meaning: 'Share of 8x6 tiles with less than a tenth of the edge strength of the middle one.',
      high: 'more blank parts than',
      low: 'fewer blank parts than',
      bad: 'high',
      logFloor: 0.01,
      scored: true,
      digits: 3,
      source: 'tile energy < 0.1 median',
    },
  ],
  derive(out) {
    const [n, m] = [out[at.width] - 2, out[at.height] - 2];
    if (n < 1 || m < 1) return new Array(10).fill(Number.NaN);
    const steps = slice(out, 'stepsY').reduce((sum, value) => sum + value, 0);
    return [
      out[at.deadRows] / m,
      out[at.deadColumns] / n,
      // Sums of n pixels; the second difference 2 a - b - c is twice the distance to the mean of the neighbours.
      m > 2 ? Math.sqrt(out[at.rowBanding] / (m - 2)) / (2 * n) : Number.NaN,
      n > 2 ? Math.sqrt(out[at.columnBanding] / (n - 2)) / (2 * m) : Number.NaN,
      Math.log((steps / out[at.interior] + 0.5) / (out[at.stepsY2] / out[at.interior] + 0.5)),
      ...tiles(out),
    ];
  },
};

/** Minimum, median and dispersion of the energy, dispersion of the luma, share of flat tiles. */
function tiles(out: Float64Array): number[] {
  const pixels = slice(out, 'tilePixels');
  if (pixels[0] === 0) return new Array(5).fill(Number.NaN);
  const energy = slice(out, 'tileGradient2').map((sum, tile) => sum / 4 / pixels[tile]);
  const luma = slice(out, 'tileLuma').map((sum, tile) => sum / pixels[tile]);
  const sorted = Float64Array.from(energy).sort();
  const median = (sorted[23] + sorted[24]) / 2;
  const flat = energy.filter((value) => value < 0.1 * median).length;
  return [sorted[0], median, spread(energy.map((value) => Math.log(value + 0.1))), spread(luma), flat / energy.length];
}

function spread(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
