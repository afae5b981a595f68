import { at, slice } from '../../core/layout.ts';
import type { StatisticRow, StatisticTable } from './statistic.ts';

/** Octave energies are compared above this floor (DN^2), so that a flat image gives a finite ratio. */
const octaveFloor = 0.01;

const levels = ['single pixels', '2 pixels', '4 pixels', '8 pixels'] as const;

const energies: StatisticRow[] = levels.map((size, level) => ({
  name: `pyramidEnergy${level}`,
  unit: 'DN^2',
  group: 'scales',
  meaning: `Energy of detail at the scale of ${size}: variance of band ${level} of a Laplacian pyramid.`,
  high: 'more detail or noise than',
  low: 'less detail than',
  bad: 'both',
  logFloor: 0.01,
  scored: true,
  digits: 2,
  source: 'Burt and Adelson 1983',
}));

const kurtoses: StatisticRow[] = levels.map((size, level) => ({
  name: `pyramidKurtosis${level}`,
  unit: 'ratio',
  group: 'scales',
  meaning: `How sparse detail at the scale of ${size} is: 3 for white noise, more for edges on a calm ground.`,
  high: 'sparser detail than',
  low: 'more noise-like detail than',
  bad: 'both',
  logFloor: 0.1,
  scored: true,
  digits: 1,
  source: 'Burt and Adelson 1983; fourth moment over squared second',
}));

const slopes: StatisticRow[] = [0, 1, 2].map((level) => ({
  name: `pyramidSlope${level}${level + 1}`,
  unit: 'ln ratio',
  group: 'scales',
  meaning: `Detail at the scale of ${levels[level]} against ${levels[level + 1]}.`,
  high: 'sharper or noisier than',
  low: 'blurrier than',
  bad: 'both',
  scored: true,
  digits: 2,
  source: 'difference of neighbouring log energies',
}));

const octaves: StatisticRow[] = [1, 2, 3].map((octave) => ({
  name: `octaveRatio${octave}`,
  unit: 'log2 ratio',
  group: 'scales',
  meaning: `Haar detail of octave ${octave} against the next coarser one.`,
  high: 'sharper or noisier than',
  low: 'blurrier than',
  bad: 'both',
  scored: true,
  digits: 2,
  source: 'orthonormal Haar pyramid',
}));

const directions: StatisticRow[] = (['Horizontal', 'Vertical'] as const).map((direction) => ({
  name: `octave${direction}`,
  unit: 'log2 ratio',
  group: 'scales',
  meaning: `The finest ${direction.toLowerCase()} changes against the next coarser ones; motion lowers one direction only.`,
  high: 'sharper or noisier than',
  low: `${direction === 'Horizontal' ? 'horizontally' : 'vertically'} smeared against`,
  bad: 'both',
  scored: true,
  digits: 2,
  source: 'orthonormal Haar pyramid, one direction',
}));

/** Detail from scale to scale: differences of neighbouring scales depend less on the scene than any one energy does. */
export const scales: StatisticTable = {
  rows: [
    ...energies,
    ...kurtoses,
    ...slopes,
    ...octaves,
    {
      name: 'haarDiagonal1',
      unit: 'log2 ratio',
      group: 'scales',
      meaning: 'Share of diagonal detail in the finest octave; noise has a third, real edges less.',
      high: 'noisier than',
      low: 'less noisy or more compressed than',
      bad: 'both',
      scored: true,
      digits: 2,
      source: 'orthonormal Haar pyramid',
    },
    {
      name: 'octaveRatioCompensated',
      unit: 'log2 ratio',
      group: 'scales',
      meaning:
        'Sharpness that noise cannot fake: the two finest octaves, each without its share of the estimated noise.',
      high: 'sharper than',
      low: 'blurrier than',
      bad: 'low',
      scored: true,
      digits: 2,
      source: 'Stopline: octave ratio less the energy of the estimated noise',
    },
    ...directions,
  ],
  derive(out) {
    const bands = slice(out, 'laplacianMoments');
    const energy = levels.map((_, level) => bands[3 * level + 1] / bands[3 * level] / 256);
    // fourth moment / second moment^2; a band without energy has no shape
    const kurtosis = levels.map(
      (_, level) => (bands[3 * level + 2] * bands[3 * level]) / (bands[3 * level + 1] * bands[3 * level + 1]),
    );
    const logEnergy = energy.map((value) => Math.log(value + 0.01));
    const squares = slice(out, 'haarSquares');
    const counts = slice(out, 'haarCounts');
    /** Mean squared orthonormal coefficient of a level; `detail` 0 is LH, 1 HL, 2 HH. */
    const haar = (level: number, detail: number): number =>
      counts[level] > 0 ? squares[3 * level + detail] / (4 * 16 ** level) / counts[level] : Number.NaN;
    const octave = levels.map((_, level) => haar(level, 0) + haar(level, 1));
    const ratio = (fine: number, coarse: number): number => Math.log2((fine + octaveFloor) / (coarse + octaveFloor));
    // White noise of variance v adds v to every coefficient of level 0 and v / 4 at level 1. The estimate is noiseSigma^2.
    const noise = out[at.noiseBlocks] > 0 ? out[at.noiseEnergy] / (64 * 36) / 0.7914 ** 2 : Number.NaN;
    const clean = [Math.max(octave[0] - 2 * noise, octaveFloor), Math.max(octave[1] - noise / 2, octaveFloor)];
    const diagonal = haar(0, 2);
    return [
      ...energy,
      ...kurtosis,
      ...[0, 1, 2].map((level) => logEnergy[level] - logEnergy[level + 1]),
      ...[0, 1, 2].map((level) => ratio(octave[level], octave[level + 1])),
      Math.log2((diagonal + 0.02) / (octave[0] + diagonal + 0.02)),
      Math.log2(clean[0] / clean[1]),
      ratio(haar(0, 0), haar(1, 0)),
      ratio(haar(0, 1), haar(1, 1)),
    ];
  },
};
