import { dirname } from 'node:path';
import { mean, standardDeviation } from 'simple-statistics';
import { statistics } from '../image/statistics/statistics.ts';
import type { Profile } from '../profile/description.ts';
import type { Cause } from '../profile/diagnosis.ts';
import type { FlipRate } from '../profile/flips.ts';
import { correlationTime } from '../profile/maths/correlation.ts';
import { scoredValue } from '../profile/maths/gaussianise.ts';
import { benjaminiHochberg, kolmogorovSmirnov, wasserstein } from '../profile/maths/twosample.ts';
import type { Reason } from '../profile/reasons.ts';
import type { Verdict } from '../profile/verdict.ts';
import type { Row, RowVerdict } from '../run/rows/row.ts';

/** Verdicts of some images. */
export interface VerdictCounts {
  images: number;
  pass: number;
  warn: number;
  block: number;
  /** Images that could not be judged. */
  failed: number;
}

/** One number of the images beside the same of the reference. */
export interface Shift {
  /** Of a statistic, or of the score of a detector. */
  name: string;
  kind: 'statistic' | 'detector';
  unit: string;
  /** Largest difference of the two distribution functions (Kolmogorov-Smirnov), 0 to 1. */
  distance: number;
  pValue: number;
  /** Adjusted for the number of tests (Benjamini-Hochberg). */
  adjusted: number;
  direction: 'high' | 'low' | 'spread';
  /** 1-Wasserstein distance in standard deviations of the reference, on the scale on which it is scored. */
  size: number;
  reference: Quantiles;
  current: Quantiles;
  /** How many independent images the current ones are worth in this number. */
  effective: number;
}

interface Quantiles {
  p01: number;
  p50: number;
  p99: number;
}

/** What an image is remembered by. */
export interface RememberedImage extends Pick<Verdict, 'verdict' | 'pValue' | 'score'> {
  path: string;
  reasons: string[];
  cause?: Cause;
  nearest?: string[];
}

/** How many answers of a classifier are expected to be others than to the same images in good condition. */
export interface ExpectedHarm {
  /** Images that were judged. */
  images: number;
  /**
   * Mean over the images. Its interval is the mean of theirs: what is uncertain is how the classifier answers under causes, and
   * that is the same for all.
   */
  rate: FlipRate;
  /** By likeliest cause, most flips first; images that passed are together, without a cause. */
  causes: { cause?: string | undefined; images: number; flips: number }[];
}

/** Many images of one run against the Profile that they were judged by, in memory that does not grow with them. */
export interface Population {
  readonly counts: VerdictCounts;
  add(row: Row): void;
  /** By folder, in the order in which they came. */
  folders(): { folder: string; counts: VerdictCounts }[];
  /**
   * At most `bins` stretches of images in the order in which they came, all of the same length but the last. The mean
   * p-value is 0.5 for images like the reference.
   */
  timeline(): { from: number; counts: VerdictCounts; meanP: number }[];
  /** First reasons of images that did not pass, most frequent first. */
  reasons(): { statistic: string; direction: Reason['direction']; count: number }[];
  /** Likeliest causes of images that did not pass, most frequent first. */
  causes(): { cause: string; count: number }[];
  /** What is expected to have happened to the classifier's answers; undefined where no verdict says. */
  harm(): ExpectedHarm | undefined;
  /** Why images could not be judged, most frequent first. */
  errors(): { code: string; count: number; example: string }[];
  /** Strangest images, strangest first; of those with the same reason only a few. */
  worst(): RememberedImage[];
  /**
   * Every scored statistic and detector against the reference, farthest first, without those in which the images are worth
   * fewer than `leastImages` independent ones.
   */
  shifts(): Shift[];
  /** Values of a statistic or detector, ascending. */
  readValues(name: string): Float64Array;
}

/** Values that are kept of each number; beyond, every second, fourth... image is. */
const keptValues = 4096;
/** Stretches of the timeline. */
const bins = 120;
/** Folders beyond are counted together. */
const maxFolders = 500;
const otherFolders = '(others)';
/** Strangest images remembered, and most of them with the same first reason. */
const keptWorst = 60;
const perReason = 12;
/** Fewer independent images than this are not compared as a population. */
export const leastImages = 8;

function emptyCounts(): VerdictCounts {
  return { images: 0, pass: 0, warn: 0, block: 0, failed: 0 };
}

/**
 * @example
 * const population = createPopulation(profile);
 * for await (const row of rows) population.add(row);
 * const moved = population.shifts().filter(({ adjusted, distance }) => adjusted <= 0.01 && distance > 0.2);
 */
export function createPopulation(profile: Pick<Profile, 'statistics' | 'detectors' | 'tensors'>): Population {
  const counts = emptyCounts();
  const folders = new Map<string, VerdictCounts>();
  const reasons = new Map<string, { statistic: string; direction: Reason['direction']; count: number }>();
  const causes = new Map<string, { cause: string; count: number }>();
  const errors = new Map<string, { code: string; count: number; example: string }>();
  const harm = createHarm();
  const series = createSeries([
    ...profile.statistics.map(({ name }) => name),
    ...profile.detectors.map(({ name }) => detectorKey(name)),
  ]);
  const timeline = createTimeline();
  let worst: RememberedImage[] = [];
  const byCount = (a: { count: number }, b: { count: number }) => b.count - a.count;

  const addWorst = (row: Extract<Row, RowVerdict>) => {
    if (worst.length >= 4 * keptWorst) worst = strangest(worst);
    const { path, verdict, pValue, score, nearest } = row;
    const [cause] = verdict === 'pass' ? [] : (row.causes ?? []);
    worst.push({
      path,
      verdict,
      pValue,
      score,
      reasons: row.reasons.slice(0, 3).map(({ text }) => text),
      ...(cause && { cause }),
      ...(nearest && { nearest: nearest.map((image) => image.path) }),
    });
  };

  return {
    counts,
    add(row) {
      const folder = dirname(row.path);
      const name = folders.has(folder) || folders.size < maxFolders ? folder : otherFolders;
      const ofFolder = folders.get(name) ?? emptyCounts();
      folders.set(name, ofFolder);
      const kind = 'error' in row ? 'failed' : row.verdict;
      for (const each of [counts, ofFolder]) {
        each.images++;
        each[kind]++;
      }
      timeline.add(kind, 'error' in row ? undefined : row.pValue);
      if ('error' in row) {
        const entry = errors.get(row.error.code) ?? { code: row.error.code, count: 0, example: row.path };
        entry.count++;
        errors.set(row.error.code, entry);
        return;
      }
      series.add((key, i) => {
        if (i < profile.statistics.length) return row.statistics[key] ?? Number.NaN;
        return row.detectors.find(({ name }) => detectorKey(name) === key)?.score ?? Number.NaN;
      });
      addWorst(row);
      harm.add(row);
      if (row.verdict === 'pass') return;
      const [reason] = row.reasons;
      if (reason) {
        const key = `${reason.statistic} ${reason.direction}`;
        const { statistic, direction } = reason;
        const entry = reasons.get(key) ?? { statistic, direction, count: 0 };
        entry.count++;
        reasons.set(key, entry);
      }
      const [cause] = row.causes ?? [];
      if (cause) {
        const entry = causes.get(cause.cause) ?? { cause: cause.cause, count: 0 };
        entry.count++;
        causes.set(cause.cause, entry);
      }
    },
    folders: () => [...folders].map(([folder, counts]) => ({ folder, counts })),
    timeline: () => timeline.bins(),
    reasons: () => [...reasons.values()].sort(byCount),
    causes: () => [...causes.values()].sort(byCount),
    harm: harm.expected,
    errors: () => [...errors.values()].sort(byCount),
    worst: () => strangest(worst),
    shifts() {
      const compared = [
        ...profile.statistics.map(({ name, logFloor }, i) => {
          const { shape, data } = profile.tensors.calibrationValues;
          const reference = data.slice(i * shape[1], (i + 1) * shape[1]).sort();
          const unit = statistics.find((row) => row.name === name)?.unit ?? '';
          return compare({ name, kind: 'statistic', unit, logFloor, reference, current: series.inOrder(name) });
        }),
        ...profile.detectors.map(({ name }) => {
          const reference = profile.tensors[`${name}Scores`].data.slice().sort();
          return compare({ name, kind: 'detector', unit: '', reference, current: series.inOrder(detectorKey(name)) });
        }),
      ].filter((shift) => shift !== undefined);
      const adjusted = benjaminiHochberg(compared.map(({ pValue }) => pValue));
      return compared
        .map((shift, i) => ({ ...shift, adjusted: adjusted[i] }))
        .sort((a, b) => b.distance - a.distance || a.pValue - b.pValue);
    },
    readValues(name) {
      const values = series.inOrder(profile.statistics.some((row) => row.name === name) ? name : detectorKey(name));
      return values.sort();
    },
  };
}

/** Sums of what verdicts expect of the classifier. */
function createHarm() {
  const sum = { images: 0, rate: 0, low: 0, high: 0 };
  const causes = new Map<string | undefined, ExpectedHarm['causes'][number]>();
  return {
    add({ verdict, causes: [likeliest] = [], expectedFlipRate: expected }: RowVerdict) {
      if (!expected) return;
      sum.images++;
      for (const end of ['rate', 'low', 'high'] as const) sum[end] += expected[end];
      const cause = verdict === 'pass' ? undefined : likeliest?.cause;
      const entry = causes.get(cause) ?? { cause, images: 0, flips: 0 };
      entry.images++;
      entry.flips += expected.rate;
      causes.set(cause, entry);
    },
    expected(): ExpectedHarm | undefined {
      if (sum.images === 0) return undefined;
      const { images } = sum;
      return {
        images,
        rate: { rate: sum.rate / images, low: sum.low / images, high: sum.high / images },
        causes: [...causes.values()].sort((a, b) => b.flips - a.flips),
      };
    },
  };
}

/** Detectors stand beside statistics of the same name. */
function detectorKey(name: string): string {
  return `${name} score`;
}

function strangest(images: readonly RememberedImage[]): RememberedImage[] {
  const seen = new Map<string, number>();
  return [...images]
    .sort((a, b) => b.score - a.score)
    .filter(({ reasons: [first = ''] }) => {
      // The text up to its numbers says what is strange.
      const key = first.split(':')[0];
      const times = (seen.get(key) ?? 0) + 1;
      seen.set(key, times);
      return times <= perReason;
    })
    .slice(0, keptWorst);
}

/** Two columns of numbers, put beside each other; undefined where there are too few to say anything. */
function compare(column: {
  name: string;
  kind: Shift['kind'];
  unit: string;
  logFloor?: number | undefined;
  reference: Float64Array;
  current: Float64Array;
}): Omit<Shift, 'adjusted'> | undefined {
  const { name, kind, unit, logFloor, reference } = column;
  // Neighbouring frames resemble each other, in the reference as much as here.
  const memory = estimateMemory(column.current);
  const effective = column.current.length / memory;
  if (effective < leastImages) return undefined;
  const current = column.current.sort();
  const { statistic: distance, pValue } = kolmogorovSmirnov(current, reference, {
    a: effective,
    b: reference.length / memory,
  });
  const [now, then] = [current, reference].map((sorted) => Array.from(sorted, (value) => scoredValue(value, logFloor)));
  // A statistic that hardly varies but for a few images has no robust width.
  const width = (quantile(then, 0.9) - quantile(then, 0.1)) / 2.563 || standardDeviation(then);
  const size = wasserstein(now, then) / width;
  const moved = (mean(now) - mean(then)) / width;
  return {
    name,
    kind,
    unit,
    // What the mean does not explain is a change of spread.
    direction: Math.abs(moved) < size / 2 ? 'spread' : moved > 0 ? 'high' : 'low',
    size,
    distance,
    pValue,
    reference: quantiles(reference),
    current: quantiles(current),
    effective,
  };
}

/**
 * Correlation time of numbers in order. A change in the middle of a run would pass for a long memory, and hide itself; it lies in
 * one quarter at most, so the middle of four quarters tells how alike neighbours are apart from it.
 */
function estimateMemory(series: Float64Array): number {
  const quarter = Math.floor(series.length / 4);
  const times = [0, 1, 2, 3].map((i) => correlationTime([series.subarray(i * quarter, (i + 1) * quarter)]).images);
  times.sort((a, b) => a - b);
  return (times[1] + times[2]) / 2;
}

function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

function quantiles(sorted: Float64Array): Quantiles {
  return { p01: quantile(sorted, 0.01), p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
}

/** Columns of numbers in the order in which they came, thinned evenly when they become too many. */
function createSeries(names: readonly string[]) {
  const columns = names.map(() => new Float64Array(keptValues));
  let length = 0;
  let step = 1;
  let seen = 0;
  return {
    add(read: (name: string, position: number) => number) {
      if (seen++ % step !== 0) return;
      if (length === keptValues) {
        length /= 2;
        step *= 2;
        for (const column of columns) for (let i = 0; i < length; i++) column[i] = column[2 * i];
        // This image has an even place, so it stays.
      }
      for (const [i, name] of names.entries()) columns[i][length] = read(name, i);
      length++;
    },
    /** A copy, without what does not apply. */
    inOrder: (name: string): Float64Array =>
      columns[names.indexOf(name)].slice(0, length).filter((value) => Number.isFinite(value)),
  };
}

/** Verdicts in order, in equal stretches that double when they become too many. */
function createTimeline() {
  let stretches: { counts: VerdictCounts; sumP: number }[] = [];
  let length = 1;
  const merged = (a: (typeof stretches)[number], b: (typeof stretches)[number]) => {
    const sum = emptyCounts();
    for (const key of Object.keys(sum) as (keyof VerdictCounts)[]) sum[key] = a.counts[key] + b.counts[key];
    return { counts: sum, sumP: a.sumP + b.sumP };
  };
  return {
    add(kind: keyof Omit<VerdictCounts, 'images'>, pValue = 0) {
      if (stretches.length === 0 || stretches[stretches.length - 1].counts.images === length) {
        if (stretches.length === bins) {
          stretches = Array.from({ length: bins / 2 }, (_, i) => merged(stretches[2 * i], stretches[2 * i + 1]));
          length *= 2;
        }
        stretches.push({ counts: emptyCounts(), sumP: 0 });
      }
      const last = stretches[stretches.length - 1];
      last.counts.images++;
      last.counts[kind]++;
      last.sumP += pValue;
    },
    bins: () =>
      stretches.map(({ counts, sumP }, i) => ({
        from: i * length,
        counts,
        meanP: sumP / (counts.images - counts.failed),
      })),
  };
}
