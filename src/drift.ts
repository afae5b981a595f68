import { probit } from 'simple-statistics';
import { betsPerStatistic, createDetectors, powerCount } from './drift/detectors.ts';
import { createMonitor, type Monitor, type Shared } from './drift/monitor.ts';
import { type Observable, type Observation, observationOf } from './drift/observation.ts';
import { StoplineError } from './errors.ts';
import type { Profile } from './profile.ts';
import { createScorer } from './score.ts';
import { statistics } from './statistics.ts';
import type { DecideBy } from './verdict.ts';

export interface DriftOptions {
  /** At most one false alarm in so many images of a source, on average; default 10,000. */
  falseAlarmEvery?: number;
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
  readonly profile: Profile;
  /** @param at when the image was taken or came, milliseconds since 1970 */
  observationOf(verdict: Observable, at: number): Observation;
  /**
   * A monitor of one source.
   * @param state what another monitor saved; one of another Profile or version is left aside, and it learns again
   */
  monitor(state?: Uint8Array): Monitor;
}

/** Images of the window that tests are about, and images whose repetition is noticed. */
const window = 64;
const recent = 64;

/**
 * @example
 * const drift = createDrift(profile, { falseAlarmEvery: 10_000 });
 * const monitor = drift.monitor();
 * const transition = monitor.observe(drift.observationOf(verdict, Date.now()));
 * if (transition?.to === 'drifted') console.log(monitor.report());
 * @throws {StoplineError} OPTION_INVALID
 */
export function createDrift(profile: Profile, options: DriftOptions = {}): Drift {
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
  const names = profile.statistics.map(({ name }) => name);
  expect(`${decideBy}Scores` in profile.tensors, 'decideBy to name a detector of the profile', decideBy);

  const correlation = correlationOf(profile, decideBy);
  const independent = { score: 1, statistics: new Float64Array(names.length).fill(1) };
  const detectors = createDetectors(profile, decideBy, falseAlarmEvery, correlation ?? independent);
  const groups = new Map<string, number[]>();
  for (const [i, name] of names.entries()) {
    const group = statistics.find((row) => row.name === name)?.group ?? '';
    groups.set(group, [...(groups.get(group) ?? []), i]);
  }
  const images = Math.min(...profile.regimes.map((regime) => regime.images));
  const across = profile.tensors.embeddingCloud?.shape[1] ?? 0;
  const cloud = profile.tensors.embeddingCloud?.data ?? new Float64Array();
  const shared: Shared = {
    profile,
    detector: decideBy,
    falseAlarmEvery,
    learnFor,
    staleAfterMs,
    freezeAfter,
    detectors,
    sizes: {
      statistics: names.length,
      powers: powerCount,
      betsPerStatistic,
      across,
      window,
      recent,
      series: 1 + groups.size,
    },
    groups: [...groups.values()],
    reference: Float64Array.from({ length: images }, (_, rank) => probit((rank + 0.5) / images)),
    cloud: Array.from({ length: across ? cloud.length / across : 0 }, (_, i) =>
      cloud.subarray(i * across, (i + 1) * across),
    ),
    correlation,
    promise: (time) =>
      `On average at most one false alarm in ${falseAlarmEvery} images of a source whose images are drawn as those of the ` +
      `reference were, however often one looks; for at least 95 of 100 references like this one, ${detectors.calibrating} of ` +
      `whose images count. ${
        time
          ? `Images ${time.images} apart count as independent, ${time.from === 'reference' ? 'as in the reference' : 'as the stream says'}.`
          : 'How far apart images are independent is being learnt.'
      }`,
  };
  const scorer = createScorer(profile, names);
  return {
    profile,
    observationOf: (verdict, at) => observationOf(scorer, verdict, at),
    monitor: (state) => createMonitor(shared, state),
  };
}

/** Of the deciding detector and of every statistic, where the reference was ordered. */
function correlationOf(_profile: Profile, _detector: DecideBy): Shared['correlation'] {
  return undefined;
}
