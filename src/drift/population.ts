import { dirname } from 'node:path';
import { mean, standardDeviation } from 'simple-statistics';
import { statistics } from '../image/statistics/statistics.ts';
import type { Profile } from '../profile/description.ts';
import { type FileFact, FileFacts, readFileFacts } from '../profile/filefacts.ts';
import type { FlipRate } from '../profile/flips.ts';
import { nameCause } from '../profile/likelycause.ts';
import { correlationTime } from '../profile/maths/correlation.ts';
import { type Grain, scoredResolution, scoredValue } from '../profile/maths/gaussianise.ts';
import { findQuantile } from '../profile/maths/ranks.ts';
import { benjaminiHochberg, kolmogorovSmirnov, wasserstein } from '../profile/maths/twosample.ts';
import { readGroup } from '../profile/reasons.ts';
import { describeGroup, type ReasonGroup } from '../profile/sights.ts';
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
  /** Name of a statistic, or of a detector whose score is compared. */
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
  /** What probably happened, in words. */
  cause?: string;
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
  /** Sums for each likeliest cause, most flips first; images that passed are together, without a cause. */
  causes: { cause?: string | undefined; images: number; flips: number }[];
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
 * Many images of one run against the Profile that they were judged by, in memory that does not grow with them.
 * @example
 * const population = new Population(profile);
 * for await (const row of rows) population.add(row);
 * const moved = population.shifts().filter(({ adjusted, distance }) => adjusted <= 0.01 && distance > 0.2);
 */
export class Population {
  readonly counts: VerdictCounts = emptyCounts();
  readonly #profile: Pick<Profile, 'statistics' | 'detectors' | 'tensors'>;
  readonly #folders = new Map<string, VerdictCounts>();
  readonly #reasons = new Tally<{ group: ReasonGroup; text: string }>();
  readonly #causes = new Tally<{ cause: string }>();
  readonly #errors = new Tally<{ code: string; example: string }>();
  readonly #file = new FileFacts();
  readonly #harm = new HarmSum();
  readonly #series: Series;
  readonly #timeline = new Timeline();
  #worst: RememberedImage[] = [];

  constructor(profile: Pick<Profile, 'statistics' | 'detectors' | 'tensors'>) {
    this.#profile = profile;
    this.#series = new Series([
      ...profile.statistics.map(({ name }) => name),
      ...profile.detectors.map(({ name }) => detectorKey(name)),
    ]);
  }

  add(row: Row): void {
    const kind = 'error' in row ? 'failed' : row.verdict;
    for (const counts of [this.counts, this.#findCounts(dirname(row.path))]) {
      counts.images++;
      counts[kind]++;
    }
    this.#timeline.add(kind, 'error' in row ? undefined : row.pValue);
    if ('error' in row) {
      this.#errors.add(row.error.code, { code: row.error.code, example: row.path });
      return;
    }
    this.#series.add((key, i) => {
      if (i < this.#profile.statistics.length) return row.statistics[key] ?? Number.NaN;
      return row.detectors.find(({ name }) => detectorKey(name) === key)?.score ?? Number.NaN;
    });
    this.#keepWorst(row);
    this.#file.add(readFileFacts(row));
    this.#harm.add(row);
    if (row.verdict === 'pass') return;
    const [reason] = row.reasons;
    if (reason) {
      const group = readGroup(reason);
      this.#reasons.add(group, { group, text: describeGroup(group) });
    }
    const cause = nameCause(row);
    if (cause) this.#causes.add(cause, { cause });
  }

  /** Counts for each folder, in the order in which they came. */
  folders(): { folder: string; counts: VerdictCounts }[] {
    return [...this.#folders].map(([folder, counts]) => ({ folder, counts }));
  }

  /**
   * At most `bins` stretches of images in the order in which they came, all of the same length but the last. The mean
   * p-value is 0.5 for images like the reference.
   */
  timeline(): { from: number; counts: VerdictCounts; meanP: number }[] {
    return this.#timeline.bins();
  }

  /** First reasons of images that did not pass, most frequent first. */
  reasons(): { group: ReasonGroup; text: string; count: number }[] {
    return this.#reasons.ranked();
  }

  /** What images have as files and none of the reference had, most frequent first. */
  fileFacts(): FileFact[] {
    return this.#file.list();
  }

  /** Likeliest causes of images that did not pass, most frequent first. */
  causes(): { cause: string; count: number }[] {
    return this.#causes.ranked();
  }

  /** What is expected to have happened to the classifier's answers; undefined where no verdict says. */
  harm(): ExpectedHarm | undefined {
    return this.#harm.expected();
  }

  /** Why images could not be judged, most frequent first. */
  errors(): { code: string; count: number; example: string }[] {
    return this.#errors.ranked();
  }

  /** Strangest images, strangest first; of those with the same reason only a few. */
  worst(): RememberedImage[] {
    return strangest(this.#worst);
  }

  /**
   * Every scored statistic and detector against the reference, largest in standard deviations first, without those in which the images are worth
   * fewer than `leastImages` independent ones.
   */
  shifts(): Shift[] {
    const { statistics: scored, detectors, tensors } = this.#profile;
    const compared = [
      ...scored.map(({ name, logFloor }, i) => {
        const { shape, data } = tensors.calibrationValues;
        const reference = data.slice(i * shape[1], (i + 1) * shape[1]).sort();
        const { unit = '', resolution = 0 } = statistics.find((row) => row.name === name) ?? {};
        const current = this.#series.inOrder(name);
        return compare({ name, kind: 'statistic', unit, grain: { resolution, logFloor }, reference, current });
      }),
      ...detectors.map(({ name }) => {
        const reference = tensors[`${name}Scores`].data.slice().sort();
        const current = this.#series.inOrder(detectorKey(name));
        return compare({ name, kind: 'detector', unit: '', grain: { resolution: 0 }, reference, current });
      }),
    ].filter((shift) => shift !== undefined);
    const adjusted = benjaminiHochberg(compared.map(({ pValue }) => pValue));
    return compared
      .map((shift, i) => ({ ...shift, adjusted: adjusted[i] }))
      .sort((a, b) => b.size - a.size || a.pValue - b.pValue);
  }

  /** Values of a statistic or detector, ascending. */
  readValues(name: string): Float64Array {
    const isStatistic = this.#profile.statistics.some((row) => row.name === name);
    return this.#series.inOrder(isStatistic ? name : detectorKey(name)).sort();
  }

  #findCounts(folder: string): VerdictCounts {
    const name = this.#folders.has(folder) || this.#folders.size < maxFolders ? folder : otherFolders;
    const counts = this.#folders.get(name) ?? emptyCounts();
    this.#folders.set(name, counts);
    return counts;
  }

  #keepWorst(row: Extract<Row, RowVerdict>): void {
    const { path, verdict, pValue, score, reasons, nearest } = row;
    if (this.#worst.length >= 4 * keptWorst) this.#worst = strangest(this.#worst);
    const cause = nameCause(row);
    // What files share is said once of the run.
    const own = reasons.filter((reason) => readGroup(reason) !== 'file');
    this.#worst.push({
      path,
      verdict,
      pValue,
      score,
      reasons: (own.length > 0 ? own : reasons).slice(0, 3).map(({ text }) => text),
      ...(cause && { cause }),
      ...(nearest && { nearest: nearest.map((image) => image.path) }),
    });
  }
}

/** Counts things by a key, and keeps the first of each. */
class Tally<Entry extends object> {
  readonly #entries = new Map<string, Entry & { count: number }>();

  add(key: string, entry: Entry): void {
    const known = this.#entries.get(key);
    if (known) known.count++;
    else this.#entries.set(key, { ...entry, count: 1 });
  }

  /** Most frequent first. */
  ranked(): (Entry & { count: number })[] {
    return [...this.#entries.values()].sort((a, b) => b.count - a.count);
  }
}

/** Sums of what verdicts expect of the classifier. */
class HarmSum {
  readonly #sum = { images: 0, rate: 0, low: 0, high: 0 };
  readonly #causes = new Map<string | undefined, ExpectedHarm['causes'][number]>();

  add({ verdict, causes: [likeliest] = [], expectedFlipRate }: RowVerdict): void {
    if (!expectedFlipRate) return;
    this.#sum.images++;
    for (const end of ['rate', 'low', 'high'] as const) this.#sum[end] += expectedFlipRate[end];
    const cause = verdict === 'pass' ? undefined : likeliest?.cause;
    const entry = this.#causes.get(cause) ?? { cause, images: 0, flips: 0 };
    entry.images++;
    entry.flips += expectedFlipRate.rate;
    this.#causes.set(cause, entry);
  }

  expected(): ExpectedHarm | undefined {
    const { images, rate, low, high } = this.#sum;
    if (images === 0) return undefined;
    return {
      images,
      rate: { rate: rate / images, low: low / images, high: high / images },
      causes: [...this.#causes.values()].sort((a, b) => b.flips - a.flips),
    };
  }
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
      // The text up to its numbers says what is strange, and its first word how much.
      const key = first.split(':')[0].replace(/^(much|slightly) /, '');
      const times = (seen.get(key) ?? 0) + 1;
      seen.set(key, times);
      return times <= perReason;
    })
    .slice(0, keptWorst);
}

/** Two columns of numbers, put beside each other; undefined where there are too few to say anything. */
function compare(options: {
  name: string;
  kind: Shift['kind'];
  unit: string;
  grain: Grain;
  reference: Float64Array;
  current: Float64Array;
}): Omit<Shift, 'adjusted'> | undefined {
  const { name, kind, unit, grain, reference } = options;
  const { logFloor, resolution } = grain;
  // Neighbouring frames resemble each other, in the reference as much as here.
  const memory = estimateMemory(options.current);
  const effective = options.current.length / memory;
  if (effective < leastImages) return undefined;
  const current = options.current.sort();
  const { statistic: distance, pValue } = kolmogorovSmirnov(
    current,
    reference,
    {
      a: effective,
      b: reference.length / memory,
    },
    resolution,
  );
  const [now, then] = [current, reference].map((sorted) => Array.from(sorted, (value) => scoredValue(value, logFloor)));
  // A statistic that hardly varies but for a few images has no robust width.
  const robust = (findQuantile(then, 0.9) - findQuantile(then, 0.1)) / 2.563 || standardDeviation(then);
  const width = Math.max(robust, scoredResolution(grain, findQuantile(then, 0.5))) || 1;
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

function quantiles(sorted: Float64Array): Quantiles {
  return { p01: findQuantile(sorted, 0.01), p50: findQuantile(sorted, 0.5), p99: findQuantile(sorted, 0.99) };
}

/** Columns of numbers in the order in which they came, thinned evenly when they become too many. */
class Series {
  readonly #names: readonly string[];
  readonly #columns: readonly Float64Array[];
  #length = 0;
  #step = 1;
  #seen = 0;

  constructor(names: readonly string[]) {
    this.#names = names;
    this.#columns = names.map(() => new Float64Array(keptValues));
  }

  add(read: (name: string, position: number) => number): void {
    if (this.#seen++ % this.#step !== 0) return;
    // The image that comes when the columns are full has an even place, so it stays.
    if (this.#length === keptValues) this.#thin();
    for (const [i, name] of this.#names.entries()) this.#columns[i][this.#length] = read(name, i);
    this.#length++;
  }

  /** A copy, without what does not apply. */
  inOrder(name: string): Float64Array {
    const column = this.#columns[this.#names.indexOf(name)];
    return column.slice(0, this.#length).filter((value) => Number.isFinite(value));
  }

  #thin(): void {
    this.#length /= 2;
    this.#step *= 2;
    for (const column of this.#columns) for (let i = 0; i < this.#length; i++) column[i] = column[2 * i];
  }
}

interface Stretch {
  counts: VerdictCounts;
  sumP: number;
}

/** Verdicts in order, in equal stretches that double when they become too many. */
class Timeline {
  #stretches: Stretch[] = [];
  #length = 1;

  add(kind: keyof Omit<VerdictCounts, 'images'>, pValue = 0): void {
    const last = this.#open();
    last.counts.images++;
    last.counts[kind]++;
    last.sumP += pValue;
  }

  bins(): { from: number; counts: VerdictCounts; meanP: number }[] {
    return this.#stretches.map(({ counts, sumP }, i) => ({
      from: i * this.#length,
      counts,
      meanP: sumP / (counts.images - counts.failed),
    }));
  }

  /** The stretch that takes the next image. */
  #open(): Stretch {
    const last = this.#stretches.at(-1);
    if (last && last.counts.images < this.#length) return last;
    if (this.#stretches.length === bins) this.#merge();
    const next = { counts: emptyCounts(), sumP: 0 };
    this.#stretches.push(next);
    return next;
  }

  #merge(): void {
    const all = this.#stretches;
    this.#stretches = Array.from({ length: bins / 2 }, (_, i) => joinStretches(all[2 * i], all[2 * i + 1]));
    this.#length *= 2;
  }
}

function joinStretches(a: Stretch, b: Stretch): Stretch {
  const counts = emptyCounts();
  for (const key of Object.keys(counts) as (keyof VerdictCounts)[]) counts[key] = a.counts[key] + b.counts[key];
  return { counts, sumP: a.sumP + b.sumP };
}
