import { slice } from '../../core/layout.ts';
import type { StatisticRow, StatisticTable } from './statistic.ts';

/** In the order of residuals.c. */
const families = [
  ['residual', 'second differences of brightness'],
  ['residualAround', 'differences of brightness from its neighbours in 3x3'],
  ['residualHalf', 'second differences of brightness at half scale'],
  ['residualColour', 'second differences of red and of blue minus brightness'],
] as const;

/** Classes of pairs of neighbouring residuals, each rounded to -2 to 2, in the order of residuals.c. */
const pairs = [
  ['Pair00', 'are both about zero'],
  ['Pair10', 'are small and zero'],
  ['Same11', 'are both small, of one sign'],
  ['Opposed11', 'are both small, of opposite signs'],
  ['Pair20', 'are large and zero'],
  ['Same21', 'are large and small, of one sign'],
  ['Opposed21', 'are large and small, of opposite signs'],
  ['Same22', 'are both large, of one sign'],
  ['Opposed22', 'are both large, of opposite signs'],
] as const;

const neighbours = [
  ['Next', 'the next ones'],
  ['Second', 'the next but one'],
  ['Across', 'those beside them'],
] as const;

const row = {
  group: 'residuals',
  bad: 'both',
  scored: true,
  source: 'after Fridrich and Kodovský 2012',
} as const;

function describe([prefix, what]: (typeof families)[number]): StatisticRow[] {
  return [
    ...pairs.map(([name, are]) => ({
      ...row,
      name: `${prefix}${name}`,
      unit: 'share',
      meaning: `Share of pairs of neighbouring ${what} that ${are}.`,
      high: 'another fine structure than',
      low: 'another fine structure than',
      // Of the tens of thousands of pairs of a frame, a class that is rare has a few.
      logFloor: 1e-4,
      digits: 5,
    })),
    ...neighbours.map(([name, which]) => ({
      ...row,
      name: `${prefix}${name}`,
      unit: 'ratio',
      meaning: `Correlation of ${what} with ${which}.`,
      high: 'smoother fine structure than',
      low: 'rougher fine structure than',
      digits: 4,
    })),
  ];
}

/**
 * How what a pixel's neighbours do not foretell goes with that of the next pixel. Whatever a picture shows, optics, sensor and
 * encoder leave much the same fine structure in it; a mild fault changes it before it changes anything that a person sees.
 */
export const residuals: StatisticTable = {
  rows: [
    ...families.flatMap(describe),
    {
      ...row,
      name: 'residualColourOverlap',
      unit: 'ratio',
      meaning: 'How far second differences of red minus blue lie where those of brightness do.',
      high: 'colour edges more on edges of brightness than',
      low: 'colour edges less on edges of brightness than',
      digits: 4,
    },
    {
      ...row,
      name: 'residualColourRatio',
      unit: 'ratio',
      meaning: 'Second differences of red minus blue, as a share of those of brightness.',
      high: 'more fine colour than',
      low: 'less fine colour than',
      logFloor: 1e-3,
      digits: 4,
    },
  ],
  derive(out) {
    const counts = slice(out, 'residualPairs');
    const products = slice(out, 'residualProducts');
    const [overlap, luma, colour] = slice(out, 'residualColours');
    const measured = families.flatMap((_, family) => {
      const found = counts.subarray(pairs.length * family, pairs.length * (family + 1));
      const n = found.reduce((sum, count) => sum + count, 0);
      const [energy, ...others] = products.subarray(4 * family, 4 * family + 4);
      // Nothing was left over anywhere: nothing goes with anything.
      return [...found.map((count) => count / n), ...others.map((sum) => (energy > 0 ? sum / energy : 0))].map(
        (value) => (n > 0 ? value : Number.NaN),
      );
    });
    if (Number.isNaN(measured[0])) return [...measured, Number.NaN, Number.NaN];
    // One more, so that nothing beside nothing is nothing.
    return [...measured, overlap / Math.sqrt((luma + 1) * (colour + 1)), Math.sqrt(colour / (luma + 1))];
  },
};
