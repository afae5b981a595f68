import { probit } from 'simple-statistics';
import { makeShared } from '../../src/drift/drift.ts';
import { createMonitor } from '../../src/drift/monitor.ts';
import type { Observation } from '../../src/drift/observation.ts';
import type { Shared } from '../../src/drift/state.ts';
import { correlationTime } from '../../src/profile/maths/correlation.ts';
import { fitGaussianiser, type Gaussianiser, gaussianise } from '../../src/profile/maths/gaussianise.ts';
import { conformalPValue } from '../../src/profile/maths/ranks.ts';
import type { Population, StreamImage } from './populations.ts';

/** Frames of an ordered recording from which the correlation time is learnt. */
const recordingLength = 2000;
/** Detectors take more independent images than this for so many. */
const mostIndependent = 20_000;

/** One calibration set of a population, and what watching with it needs. */
export interface Watch {
  shared: Shared;
  scores: Float64Array;
  gaussianisers: Gaussianiser[];
}

export interface WatchOptions {
  falseAlarmEvery: number;
  /** Independent images that calibrate. */
  images: number;
  seed: number;
  /** Whether the reference was ordered: else the stream itself must show its correlation time. */
  isOrdered: boolean;
}

/** Learns from a calibration set as `fit` does, but for the model, which a population has built in. */
export function watch(population: Population, { falseAlarmEvery, images, seed, isOrdered }: WatchOptions): Watch {
  const correlation = isOrdered ? learnCorrelation(population, seed) : undefined;
  // Frames that remember count for less. Of an ordered reference in which the slowest statistic has seen as many independent
  // images as were asked for, the quick ones have seen more.
  const frames = Math.round(images * Math.max(1, ...(correlation?.statistics ?? [1])));
  const seenBy = Array.from({ length: population.statistics }, (_, i) =>
    Math.min(mostIndependent, Math.floor(frames / Math.max(1, correlation?.statistics[i] ?? 1))),
  );
  const drawn = population.draw(seed, Math.max(images, ...seenBy));
  const scores = Float64Array.from(drawn.slice(0, images), ({ score }) => score).sort();
  const copies = Math.ceil(correlation?.score ?? 1);
  const repeated = Float64Array.from({ length: images * copies }, (_, i) => scores[Math.floor(i / copies)]);
  const gaussianisers = seenBy.map((seen, i) => fitMap(drawn.slice(0, seen), i));
  const names = gaussianisers.map((_, i) => `s${i}`);
  const reference = { profile: `${seed}`, names, scores: repeated, images: frames, correlation };
  return { shared: makeShared(reference, { falseAlarmEvery }), scores, gaussianisers };
}

/** As `fit --ordered` does. */
function learnCorrelation(population: Population, seed: number) {
  const next = population.stream(seed + 500_000);
  const recording = Array.from({ length: recordingLength }, next);
  const scores = Float64Array.from(recording, ({ score }) => score).sort();
  const deviates = recording.map(({ score }) => -probit(Math.min(0.999, conformalPValue(scores, score))));
  const estimateMemory = (_: unknown, i: number) => {
    const map = fitMap(recording, i);
    return correlationTime([recording.map(({ values }) => gaussianise(map, values[i]))]).images;
  };
  return {
    score: correlationTime([deviates]).images,
    statistics: Array.from({ length: population.statistics }, estimateMemory),
  };
}

function fitMap(images: readonly StreamImage[], statistic: number): Gaussianiser {
  const values = Float64Array.from(images, (image) => image.values[statistic]);
  return fitGaussianiser(values) ?? { x: Float64Array.of(values[0], values[0]), z: new Float64Array(2), slope: 1 };
}

let named = 0;

/** What a service would make of an image. */
export function observe({ scores, gaussianisers }: Watch, { score, values }: StreamImage, at: number): Observation {
  const pValue = conformalPValue(scores, score);
  const key = (++named).toString(16).padStart(16, '0');
  return {
    id: key.padEnd(64, '0'),
    at,
    verdict: pValue <= 0.01 ? 'warn' : 'pass',
    decidedBy: 'combined',
    pValue,
    score,
    z: Float32Array.from(gaussianisers, (map, i) => gaussianise(map, values[i])),
    hash: named % 2 === 0 ? '0000000000000000' : 'ffffffffffffffff',
  };
}

/** What came of streams in which nothing changed. */
export interface Quiet {
  population: string;
  isOrdered: boolean;
  calibration: number;
  runs: number;
  images: number;
  alarms: number;
  /** Calibration sets of which no stream alarmed. */
  silent: number;
  /** Share of images at which a source was called ok, and at which it was still learning. */
  ok: number;
  learning: number;
  /** Median correlation time that was told at the end; NaN where it was not known. */
  correlation: number;
}

export interface QuietOptions {
  falseAlarmEvery: number;
  calibration: number;
  runs: number;
  /** Images of each run. */
  length: number;
  isOrdered: boolean;
  seed: number;
}

/** Runs streams in which nothing changes, each with a calibration set of its own. */
export function runQuiet(population: Population, options: QuietOptions): Quiet {
  const { falseAlarmEvery, calibration, runs, length, isOrdered, seed } = options;
  let [alarms, silent, ok, learning] = [0, 0, 0, 0];
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const own = seed + 1000 * run;
    const set = watch(population, { falseAlarmEvery, images: calibration, seed: own, isOrdered });
    const monitor = createMonitor(set.shared);
    const next = population.stream(own + 1);
    for (let i = 0; i < length; i++) {
      monitor.observe(observe(set, next(), 1000 * i));
      if (monitor.state === 'ok') ok++;
      else if (monitor.state === 'learning') learning++;
    }
    const { evidence, correlationTime: time } = monitor.report();
    alarms += evidence.alarms;
    if (evidence.alarms === 0) silent++;
    times.push(time?.images ?? Number.NaN);
  }
  times.sort((a, b) => a - b);
  const images = runs * length;
  return {
    population: population.name,
    isOrdered,
    calibration,
    runs,
    images,
    alarms,
    silent,
    ok: ok / images,
    learning: learning / images,
    correlation: times[times.length >> 1],
  };
}

/** What happens to an image after a change. */
export type Change = (image: StreamImage) => StreamImage;

export interface DelayOptions extends Omit<QuietOptions, 'length'> {
  /** Images before the change. */
  before: number;
  /** Images after which a change counts as missed. */
  limit: number;
}

/**
 * Images from a change to the alarm, of each run, sorted, Infinity for a miss; and the median correlation time of the score.
 * Runs that alarm before the change are left out.
 */
export function runDelays(
  population: Population,
  change: Change,
  options: DelayOptions,
): { delays: number[]; correlation: number } {
  const { falseAlarmEvery, calibration, runs, isOrdered, seed, before, limit } = options;
  const delays: number[] = [];
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const own = seed + 1000 * run;
    const set = watch(population, { falseAlarmEvery, images: calibration, seed: own, isOrdered });
    const monitor = createMonitor(set.shared);
    const next = population.stream(own + 1);
    let count = 0;
    const alarms = (image: StreamImage) => monitor.observe(observe(set, image, 1000 * count++))?.to === 'drifted';
    // Not always at the same distance from the next look.
    const start = before + ((run * 37) % 100);
    let isEarly = false;
    for (let i = 0; i < start && !isEarly; i++) isEarly = alarms(next());
    if (isEarly) continue;
    let delay = 1;
    while (delay <= limit && !alarms(change(next()))) delay++;
    delays.push(delay <= limit ? delay : Number.POSITIVE_INFINITY);
    times.push(set.shared.correlation?.score ?? Number.NaN);
  }
  const ascending = (a: number, b: number) => a - b;
  return { delays: delays.sort(ascending), correlation: median(times.sort(ascending)) };
}

export function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
