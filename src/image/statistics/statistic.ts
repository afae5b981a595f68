import type { Container } from '../container/container.ts';

/** The families in which statistics are listed. */
export type StatisticGroup =
  | 'container'
  | 'exposure'
  | 'colour'
  | 'sharpness'
  | 'noise'
  | 'compression'
  | 'structure'
  | 'scales'
  | 'naturalness'
  | 'residuals';

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
  /** The smallest difference that means anything, in its unit. Less is no evidence, and a spread below it is a constant. */
  resolution: number;
  source: string;
}

/** A row as its table gives it. Without a resolution of its own it has that of the last digit shown. */
export type StatisticRow = Omit<Statistic, 'resolution'> & Partial<Pick<Statistic, 'resolution'>>;

/** Numbers measured on one image, in the order of `statistics`; NaN where one does not apply (no container, frame too small). */
export type StatisticsVector = Float64Array;

/** The same numbers by name; `null` where one does not apply, because JSON has no NaN. */
export type ImageStatistics = Record<string, number | null>;

/** Rows that are derived together, and how. `derive` returns one number per row, in the order of the rows. */
export interface StatisticTable {
  rows: readonly StatisticRow[];
  /**
   * @param out what the kernels wrote: sums, counts and histograms at the indices of core/layout.ts
   * @param container what the encoded bytes say, where there are any
   */
  derive(out: Float64Array, container: Container | undefined): number[];
}
