import { at } from '../../core/layout.ts';
import type { StatisticTable } from './statistic.ts';

/** Sharpness, blur and the direction of motion, from central differences and the Laplacian over the interior. */
export const sharpness: StatisticTable = {
  rows: [
    {
      name: 'laplacianVariance',
      unit: 'DN^2',
      group: 'sharpness',
      meaning: 'Fine detail: variance of the Laplacian. Noise raises it too.',
      high: 'more fine detail or noise than',
      low: 'blurrier than',
      bad: 'low',
      logFloor: 0.1,
      scored: true,
      digits: 1,
      source: 'Pech-Pacheco 2000',
    },
    {
      name: 'tenengrad',
      unit: 'DN^2',
      group: 'sharpness',
      meaning: 'Edge strength: mean squared gradient.',
      high: 'stronger edges than',
      low: 'weaker edges than',
      bad: 'low',
      logFloor: 0.1,
      scored: true,
      digits: 1,
      source: 'Krotkov 1987, with central differences',
    },
    {
      name: 'laplacianRatio',
      unit: 'ln ratio',
      group: 'sharpness',
      meaning: 'Fine detail against edge strength.',
      high: 'finer detail or more noise than',
      low: 'softer detail than',
      bad: 'both',
      scored: true,
      digits: 2,
      source: 'ln laplacianVariance - ln tenengrad',
    },
    {
      name: 'gradientAnisotropy',
      unit: 'ratio',
      group: 'sharpness',
      meaning: 'Whether edges are vertical (positive) or horizontal (negative).',
      high: 'more vertical edges than',
      low: 'more horizontal edges than',
      bad: 'both',
      scored: true,
      digits: 3,
      source: 'structure tensor, Bigun and Granlund 1987',
    },
    {
      name: 'gradientCoherence',
      unit: 'ratio',
      group: 'sharpness',
      meaning: 'Whether all edges share one direction, as after motion blur.',
      high: 'more one-directional than',
      low: 'less one-directional than',
      bad: 'high',
      scored: true,
      digits: 3,
      source: 'structure tensor, Bigun and Granlund 1987',
    },
    {
      name: 'gradientDiagonal',
      unit: 'ratio',
      group: 'sharpness',
      meaning: 'Whether diagonal edges rise to the right (positive) or fall (negative).',
      high: 'more rising diagonals than',
      low: 'more falling diagonals than',
      bad: 'both',
      scored: true,
      digits: 3,
      source: 'structure tensor, Bigun and Granlund 1987',
    },
    {
      name: 'gradientAngle',
      unit: 'degrees',
      group: 'sharpness',
      meaning:
        'Direction of the strongest gradients, -90 to 90, 0 is horizontal; motion blur is at right angles to it.',
      high: 'gradients turned clockwise from',
      low: 'gradients turned anticlockwise from',
      bad: 'both',
      scored: false,
      digits: 0,
      source: 'structure tensor, Bigun and Granlund 1987',
    },
    {
      name: 'blockSharpness',
      unit: 'ln ratio',
      group: 'sharpness',
      meaning: 'Sharpness of the textured fifth of the image, with noise subtracted.',
      high: 'sharper than',
      low: 'blurrier than',
      bad: 'low',
      scored: true,
      digits: 2,
      source: 'Stopline: Laplacian to gradient energy of 16x16 blocks',
    },
  ],
  derive(out) {
    const n = out[at.interior];
    if (out[at.width] < 3 || out[at.height] < 3) return new Array(8).fill(Number.NaN);
    const laplacian = Math.max(0, out[at.sumLaplacian2] / n - (out[at.sumLaplacian] / n) ** 2);
    // Differences over two pixels: a quarter of their squares is the squared gradient per pixel.
    const [xx, yy, xy] = [out[at.jxx] / 4 / n, out[at.jyy] / 4 / n, out[at.jxy] / 4 / n];
    const floor = 0.1;
    const total = xx + yy + floor;
    return [
      laplacian,
      xx + yy,
      Math.log(laplacian + floor) - Math.log(total),
      (xx - yy) / total,
      Math.hypot(xx - yy, 2 * xy) / total,
      (2 * xy) / total,
      (Math.atan2(2 * xy, xx - yy) / 2) * (180 / Math.PI),
      out[at.sharpBlocks] > 0 ? Math.log(out[at.sharpRatio] / out[at.sharpBlocks]) : Number.NaN,
    ];
  },
};
