import type { Container } from './container.ts';
import type { Core } from './core/index.ts';
import type { Frame } from './decode.ts';
import { colour } from './statistics/colour.ts';
import { compression } from './statistics/compression.ts';
import { container } from './statistics/container.ts';
import { earlier } from './statistics/earlier.ts';
import { exposure } from './statistics/exposure.ts';
import { lattice } from './statistics/lattice.ts';
import { local } from './statistics/local.ts';
import { naturalness } from './statistics/naturalness.ts';
import { noise } from './statistics/noise.ts';
import { scales } from './statistics/scales.ts';
import { sharpness } from './statistics/sharpness.ts';
import { structure } from './statistics/structure.ts';
import { tint } from './statistics/tint.ts';

export type StatisticGroup =
  | 'container'
  | 'exposure'
  | 'colour'
  | 'sharpness'
  | 'noise'
  | 'compression'
  | 'structure'
  | 'scales'
  | 'naturalness';

/** One row of the table from which the CLI, HTTP, reports and docs are generated. */
export interface Statistic {
  /** camelCase, stable: part of the Profile format. */
  name: string;
  /** 'DN', 'bits', 'ratio', 'degrees', 'share', ... */
  unit: string;
  group: StatisticGroup;
  /** What it means, in one sentence for a person. */
  meaning: string;
  /** What a value above / below the reference usually means, as a short phrase: 'noisier than', 'blurrier than'. */
  high: string;
  low: string;
  /** Which direction is bad. */
  bad: 'high' | 'low' | 'both';
  /** Heavy-tailed statistics are scored as ln(value + floor); the value shown to people is not logged. */
  logFloor?: number;
  /** False for circular or categorical numbers (an angle, a grid phase) that are shown but never scored. */
  scored: boolean;
  /** Digits after the point when shown. */
  digits: number;
  source: string;
}

/** Numbers measured on one image, in the order of `statistics`; NaN where one does not apply (no container, frame too small). */
export type StatisticsVector = Float64Array;

/** The same numbers by name; `null` where one does not apply, because JSON has no NaN. */
export type ImageStatistics = Record<string, number | null>;

/** Rows that are derived together, and how. `derive` returns one number per row, in the order of the rows. */
export interface StatisticTable {
  rows: readonly Statistic[];
  /**
   * @param out what the kernels wrote: sums, counts and histograms at the indices of core/layout.ts
   * @param container what the encoded bytes say, where there are any
   */
  derive(out: Float64Array, container: Container | undefined): number[];
}

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
];

/** Every statistic, in the order of the vector. */
export const statistics: readonly Statistic[] = tables.flatMap((table) => table.rows);

/**
 * Measures every statistic on one frame.
 * @returns one number per row of `statistics`; NaN where one does not apply
 * @throws `FRAME_INVALID` when the sizes of the frame do not fit together
 * @example
 * const vector = measure(loadCore(), { data, width: 640, height: 480, channels: 3 });
 */
export function measure(core: Core, frame: Frame, source?: Container): StatisticsVector {
  const out = core.measure(frame.data, frame.width, frame.height, frame.channels);
  return Float64Array.from(tables.flatMap((table) => table.derive(out, source)));
}

/** Names the numbers of a vector. */
export function toImageStatistics(vector: StatisticsVector): ImageStatistics {
  return Object.fromEntries(
    statistics.map(({ name }, index) => [name, Number.isFinite(vector[index]) ? vector[index] : null]),
  );
}
