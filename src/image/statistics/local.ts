import { at, slice } from '../../core/layout.ts';
import type { StatisticRow, StatisticTable } from './statistic.ts';

const shareRow = { unit: 'share', scored: true, digits: 5, source: 'Stopline' } as const;

function blocks(name: string, what: string, high: string, low: string): StatisticRow {
  return {
    ...shareRow,
    name,
    group: 'structure',
    meaning: `Share of 8x8 blocks that are ${what} on all four sides around them.`,
    high,
    low,
    bad: 'high',
    logFloor: 1e-3,
  };
}

const comparisons: readonly StatisticRow[] = [
  blocks('holes2', 'less than half as busy as', 'more smooth spots than', 'fewer smooth spots than'),
  blocks('holes4', 'less than a quarter as busy as', 'more smooth spots than', 'fewer smooth spots than'),
  blocks('holes8', 'less than an eighth as busy as', 'more smooth spots than', 'fewer smooth spots than'),
  blocks('peaks2', 'more than twice as busy as', 'more busy spots than', 'fewer busy spots than'),
  blocks('peaks4', 'more than four times as busy as', 'more busy spots than', 'fewer busy spots than'),
  blocks('peaks8', 'more than eight times as busy as', 'more busy spots than', 'fewer busy spots than'),
  blocks('brightSpots12', 'more than 12 DN brighter than', 'more bright spots than', 'fewer bright spots than'),
  blocks('brightSpots24', 'more than 24 DN brighter than', 'more bright spots than', 'fewer bright spots than'),
  blocks('brightSpots48', 'more than 48 DN brighter than', 'more bright spots than', 'fewer bright spots than'),
  blocks('darkSpots12', 'more than 12 DN darker than', 'more dark spots than', 'fewer dark spots than'),
  blocks('darkSpots24', 'more than 24 DN darker than', 'more dark spots than', 'fewer dark spots than'),
  blocks('darkSpots48', 'more than 48 DN darker than', 'more dark spots than', 'fewer dark spots than'),
];

/** What sticks out of its surroundings: single pixels, whole rows and columns, spots. */
export const local: StatisticTable = {
  rows: [
    {
      ...shareRow,
      name: 'aloneBright',
      group: 'noise',
      meaning: 'Share of pixels brighter than all 8 neighbours by more than the range of these.',
      high: 'more hot pixels than',
      low: 'fewer stray bright pixels than',
      bad: 'high',
      logFloor: 1e-5,
    },
    {
      ...shareRow,
      name: 'aloneDark',
      group: 'noise',
      meaning: 'Share of pixels darker than all 8 neighbours by more than the range of these.',
      high: 'more dead pixels than',
      low: 'fewer stray dark pixels than',
      bad: 'high',
      logFloor: 1e-5,
    },
    {
      ...shareRow,
      name: 'rowOffset',
      group: 'structure',
      meaning:
        'How one-sided rows are against their neighbours, on average: 0 when edges cancel, 1 when all pixels of every row are offset.',
      high: 'more offset rows than',
      low: 'fewer offset rows than',
      bad: 'high',
    },
    {
      ...shareRow,
      name: 'rowOffsetMax',
      group: 'structure',
      meaning: 'How one-sided the most offset row is against its neighbours.',
      high: 'a row more offset than any of',
      low: 'rows less offset than',
      bad: 'high',
    },
    {
      ...shareRow,
      name: 'columnOffset',
      group: 'structure',
      meaning: 'How one-sided columns are against their neighbours, on average.',
      high: 'more offset columns than',
      low: 'fewer offset columns than',
      bad: 'high',
    },
    {
      ...shareRow,
      name: 'columnOffsetMax',
      group: 'structure',
      meaning: 'How one-sided the most offset column is against its neighbours.',
      high: 'a column more offset than any of',
      low: 'columns less offset than',
      bad: 'high',
    },
    ...comparisons,
  ],
  derive(out) {
    const across = out[at.width] - 2;
    const down = out[at.height] - 2;
    const interior = across > 0 && down > 0 ? across * down : Number.NaN;
    // So few blocks have no surroundings.
    const compared = out[at.blocksCompared] >= 16 ? out[at.blocksCompared] : Number.NaN;
    const fields = ['blockHoles', 'blockPeaks', 'blockBright', 'blockDark'] as const;
    // Divided by the length of a row or column: NaN where there is no interior.
    return [
      out[at.aloneBright] / interior,
      out[at.aloneDark] / interior,
      out[at.rowSigns] / interior,
      out[at.rowSigns + 1] / (interior / down),
      out[at.columnSigns] / interior,
      out[at.columnSigns + 1] / (interior / across),
      ...fields.flatMap((field) => Array.from(slice(out, field), (count) => count / compared)),
    ];
  },
};
