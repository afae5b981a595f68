import type { Core } from '../../core/core.ts';
import type { Container } from '../container/container.ts';
import type { Frame } from '../frame.ts';
import { colour } from './colour.ts';
import { compression } from './compression.ts';
import { container } from './container.ts';
import { exposure } from './exposure.ts';
import { lattice } from './lattice.ts';
import { local } from './local.ts';
import { naturalness } from './naturalness.ts';
import { noise } from './noise.ts';
import { tint } from './opponent.ts';
import { earlier } from './recompression.ts';
import { residuals } from './residuals.ts';
import { scales } from './scales.ts';
import { sharpness } from './sharpness.ts';
import type { ImageStatistics, Statistic, StatisticsVector, StatisticTable } from './statistic.ts';
import { structure } from './structure.ts';

/** One line per table; their order is the order of the vector. */
const tables: readonly StatisticTable[] = [
  container,
  exposure,
  colour,
  tint,
  sharpness,
  noise,
  compression,
  lattice,
  earlier,
  structure,
  local,
  scales,
  naturalness,
  residuals,
];

/** Every statistic, in the order of the vector. */
export const statistics: readonly Statistic[] = tables
  .flatMap((table) => table.rows)
  .map((row) => ({ ...row, resolution: row.resolution ?? Number(`1e-${row.digits}`) }));

/**
 * Measures every statistic on one frame.
 * @returns one number per row of `statistics`; NaN where one does not apply
 * @throws `FRAME_INVALID` when the sizes of the frame do not fit together
 * @example
 * const vector = measure(loadCore(), { data, width: 640, height: 480, channels: 3 });
 */
export function measureStatistics(core: Core, frame: Frame, source?: Container): StatisticsVector {
  const out = core.measure(frame.data, frame.width, frame.height, frame.channels);
  const vector = new Float64Array(statistics.length);
  let at = 0;
  for (const table of tables) for (const value of table.derive(out, source)) vector[at++] = value;
  return vector;
}

/**
 * Statistics in which coding shows: the grid and steps of JPEG, the finest structure, of which a codec leaves what it likes, and
 * the levels that the colour range of video leaves out. A frame of a video was coded in another way than the stills of its
 * camera, so that there they tell of the codec alone.
 */
const showsCoding = statistics.map(
  ({ name, group }) =>
    group === 'compression' || group === 'residuals' || name === 'histogramRoughness' || name === 'histogramGaps',
);

/** The statistics of a frame of a video, without those that tell of its codec alone. */
export function measureVideoFrame(core: Core, frame: Frame): StatisticsVector {
  return measureStatistics(core, frame).map((value, i) => (showsCoding[i] ? Number.NaN : value));
}

/** Names the numbers of a vector. */
export function toImageStatistics(vector: StatisticsVector): ImageStatistics {
  const named: ImageStatistics = {};
  for (let i = 0; i < statistics.length; i++) {
    named[statistics[i].name] = Number.isFinite(vector[i]) ? vector[i] : null;
  }
  return named;
}
