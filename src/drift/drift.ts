import { probit } from 'simple-statistics';
import { StoplineError } from '../errors.ts';
import { statistics } from '../image/statistics/statistics.ts';
import type { Profile } from '../profile/description.ts';
import { createScorer } from '../profile/score.ts';
import type { DecideBy } from '../profile/verdict.ts';
import { betsPerStatistic, type Calibration, createDetectors, powers } from './detectors.ts';
import { mergeStates } from './merge.ts';
import { createMonitor, type Monitor } from './monitor.ts';
import { makeObservation, type Observable, type Observation } from './observation.ts';
import type { Shared } from './state.ts';

/** How sources are watched; every field has a default. */
export interface DriftOptions {
  /** At most one false alarm in so many images of a source, on average; default 10,000. */
  falseAlarmEvery?: number | undefined;
  /** The detector whose score is watched, as a Verdict's `decidedBy`; default combined. */
  decideBy?: DecideBy;
  /** Images, counted as if they were independent, before a source is called ok; default 20. */
  learnFor?: number;
  /** Milliseconds without an image after which a source is stale; default five minutes. */
  staleAfterMs?: number;
  /** The same picture so many times in a row is a frozen camera; default 10. */
  freezeAfter?: number;
}

/** Watches sources against one Profile: the part that all of them share. */
export interface Drift {
  /** sha256 of the Profile. */
  readonly profile: string;
  /** @param at when the image was taken or came, milliseconds since 1970 */
  makeObservation(verdict: Observable, at: number): Observation;
  /**
   * A monitor of one source.
   * @param state what another monitor saved; one of another Profile or version is left aside, and it learns again
   */
  monitor(state?: Uint8Array): Monitor;
  /**
   * One state of several of the same source, each of which has seen a part of its images: evidence is averaged, which keeps
   * the promise, counts are added, and the newest images make the window. States of another Profile are left out.
   */
  merge(states: readonly Uint8Array[]): Uint8Array;
}

/** Images of the window that tests are about, and images whose repetition is noticed. */
const window = 48;
const recent = 64;

/**
 * Watches streams of verdicts for drift: one evidence a source, with a promise about false alarms over all of its images.
 *
 * @example
 * const drift = createDrift(profile, { falseAlarmEvery: 10_000 });
 * const monitor = drift.monitor();
 * const transition = monitor.observe(drift.makeObservation(verdict, Date.now()));
 * if (transition?.to === 'drifted') console.log(monitor.report());
 * @throws {StoplineError} OPTION_INVALID
 */
export function createDrift(profile: Profile, options: DriftOptions = {}): Drift {
  const { decideBy = 'combined' } = options;
  const names = profile.statistics.map(({ name }) => name);
  if (!profile.detectors.some(({ name }) => name === decideBy)) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected decideBy to name a detector of the profile (${profile.detectors.map(({ name }) => name).join(', ')}) but received ${decideBy}.`,
    );
  }
  const { embeddingCloud: cloud, correlationTimes } = profile.tensors;
  const score = profile.correlation?.detectors[decideBy]?.images;
  const shared = makeShared(
    {
      profile: profile.sha256,
      names,
      scores: profile.tensors[`${decideBy}Scores`].data,
      images: Math.min(...profile.regimes.map((regime) => regime.images)),
      correlation: score === undefined ? undefined : { score, statistics: correlationTimes.data },
      usual: profile.tensors.placeUsual?.data,
      cloud: cloud && { across: cloud.shape[1], rows: cloud.data },
    },
    options,
  );
  const scorer = createScorer(profile, names);
  return {
    profile: profile.sha256,
    makeObservation: (verdict, at) => makeObservation(scorer, verdict, at),
    monitor: (state) => createMonitor(shared, state),
    merge: (states) => mergeStates(shared, states),
  };
}

/** What watching needs of a reference. */
export interface DriftReference {
  /** sha256 of the Profile. */
  profile: string;
  /** Names of the statistics. */
  names: readonly string[];
  /** Sorted calibration scores of the deciding detector. */
  scores: Float64Array;
  /** How many images the deviations of a statistic were learnt from. */
  images: number;
  /** Images that are like one independent image, where the reference was ordered. */
  correlation?: Calibration['correlation'] | undefined;
  /** Mean chance of every tile that it is hidden, where places are told. */
  usual?: Float64Array | undefined;
  /** Projections of images, row by row. */
  cloud?: { across: number; rows: Float64Array };
}

/**
 * The tables that all monitors of one reference share.
 * @throws {StoplineError} OPTION_INVALID
 */
export function makeShared(reference: DriftReference, options: DriftOptions): Shared {
  const { falseAlarmEvery = 10_000, decideBy = 'combined', learnFor = 20 } = options;
  const { staleAfterMs = 5 * 60_000, freezeAfter = 10 } = options;
  const expect = (ok: boolean, text: string, value: unknown) => {
    if (!ok) throw new StoplineError('OPTION_INVALID', `Expected ${text} but received ${value}.`);
  };
  const isWhole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  expect(isWhole(falseAlarmEvery, 100), 'an integer from 100 for falseAlarmEvery', falseAlarmEvery);
  expect(isWhole(learnFor, 1), 'an integer from 1 for learnFor', learnFor);
  expect(staleAfterMs > 0, 'a positive time for staleAfterMs', staleAfterMs);
  expect(isWhole(freezeAfter, 2), 'an integer from 2 for freezeAfter', freezeAfter);

  const { names, scores, images, correlation, cloud, usual } = reference;
  const independent = { score: 1, statistics: new Float64Array(names.length).fill(1) };
  const calibration = { scores, statistics: names.length, images, correlation: correlation ?? independent };
  const detectors = createDetectors(calibration, falseAlarmEvery);
  const groups = new Map<string, number[]>();
  for (const [i, name] of names.entries()) {
    const group = statistics.find((row) => row.name === name)?.group ?? '';
    groups.set(group, [...(groups.get(group) ?? []), i]);
  }
  const { across = 0, rows = new Float64Array() } = cloud ?? {};
  return {
    profile: reference.profile,
    detector: decideBy,
    names,
    falseAlarmEvery,
    learnFor,
    staleAfterMs,
    freezeAfter,
    detectors,
    sizes: {
      statistics: names.length,
      powers: powers.length,
      betsPerStatistic,
      across,
      window,
      recent,
      series: 1 + groups.size,
    },
    groups: [...groups.values()],
    reference: Float64Array.from({ length: images }, (_, rank) => probit((rank + 0.5) / images)),
    cloud: Array.from({ length: across && rows.length / across }, (_, i) =>
      rows.subarray(i * across, (i + 1) * across),
    ),
    correlation,
    usual,
    promise: (time) =>
      describePromise(falseAlarmEvery, { images: scores.length, counted: detectors.calibrating, time }),
  };
}

function describePromise(
  every: number,
  counts: { images: number; counted: number; time?: { images: number; from: 'reference' | 'stream' } | undefined },
): string {
  const { images, counted, time } = counts;
  const among =
    counted < images
      ? `its ${images} images count as ${counted} independent ones`
      : `its ${images} images count as independent`;
  const apart = time
    ? `images of a source ${time.images} apart count as independent, as ${time.from === 'reference' ? 'in the reference' : 'the stream itself shows'}`
    : 'how far apart images of a source are independent is not known yet, so nothing is called ok';
  return (
    `Of a source whose images are drawn as those of the reference were, at most one false alarm in ${every} images on average, ` +
    `however often one looks, for at least 95 of 100 such references; ${among}, and ${apart}.`
  );
}
