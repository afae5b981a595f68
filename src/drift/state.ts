import type { DecideBy } from '../profile/verdict.ts';
import type { Calibration, Detectors } from './detectors.ts';
import { createMemory, type Memory, type Sizes, unpackState } from './memory.ts';
import type { RecentMemory } from './recent.ts';
import type { DriftReport, DriftState } from './report.ts';
import type { SavedSight } from './sight.ts';
import type { Stays } from './stays.ts';

/** What all sources of one Profile share. */
export interface Shared {
  /** sha256 of the Profile. */
  profile: string;
  detector: DecideBy;
  /** Names of the statistics, in their order. */
  names: readonly string[];
  falseAlarmEvery: number;
  learnFor: number;
  staleAfterMs: number;
  freezeAfter: number;
  detectors: Detectors;
  sizes: Sizes;
  /** Positions of the statistics of each group whose mean is watched for memory. */
  groups: readonly (readonly number[])[];
  /** Sorted deviations that a statistic has over the reference. */
  reference: Float64Array;
  cloud: readonly Float64Array[];
  /** Mean chance of every tile over the reference that it is hidden; where the Profile tells places. */
  usual?: Float64Array | undefined;
  /** Correlation times of the reference, where it was ordered. */
  correlation?: Calibration['correlation'] | undefined;
  promise(correlation: DriftReport['correlationTime']): string;
}

/** Evidence of one statistic counts for at most this where the reference was not ordered: below an alarm. */
const mostUnordered = 0.99;

/** What is saved besides the numbers of `Memory`. */
export interface Head extends RecentMemory {
  profile: string;
  detector: DecideBy;
  state: DriftState;
  since: number;
  /** State to go back to from stale or frozen. */
  before: DriftState;
  at: number;
  images: number;
  repeats: number;
  /** Images in a row that came before, and how many pictures they go round. */
  run: number;
  loop: number;
  hash: string;
  rows: number;
  recents: number;
  spacing: number;
  seriesLength: number;
  times?: number[] | undefined;
  /** Correlation times that the evidence was gathered with: of the score, and of the statistics where the stream tells it. */
  pace: { score: number; statistics: number } | null;
  alarms: number;
  lastAlarmAt?: number;
  /** Image number of the last alarm, and of the last images before it at which score and statistics said nothing. */
  alarmImage: number;
  calm: { score: number; statistic: number };
  /** Images that the last alarm took, its evidence and what it was about. */
  alarmTook: number;
  alarm?: { at: number; share: number; by: string; text: string };
  stateImage: number;
  causes: Record<string, number>;
  flip?: number;
  /** What stays in its place; where the Profile tells places. */
  stays?: Stays;
  /** Images in a row without colour. */
  greys?: number;
  /** What is seen in its small pictures, as it was saved. */
  sight?: SavedSight;
  frames: { id: string; at: number; pValue: number; weight: number }[];
}

export function createHead({ profile, detector }: Shared): Head {
  return {
    profile,
    detector,
    state: 'learning',
    since: 0,
    before: 'learning',
    at: 0,
    images: 0,
    repeats: 0,
    run: 0,
    loop: 1,
    hash: '',
    rows: 0,
    recents: 0,
    spacing: 1,
    seriesLength: 0,
    pace: null,
    alarms: 0,
    alarmImage: 0,
    calm: { score: 0, statistic: 0 },
    alarmTook: 0,
    stateImage: 0,
    causes: {},
    frames: [],
    verdicts: '',
    level: 'calm',
  };
}

/** The state of a source whose images come and differ. */
export function readSettled({ state, before }: Head): DriftState {
  return state === 'stale' || state === 'frozen' ? before : state;
}

export function restore(shared: Shared, saved: Uint8Array): { head: Head; memory: Memory } | undefined {
  const unpacked = unpackState(saved);
  if (!unpacked) return undefined;
  const { version: _, ...head } = unpacked.header as unknown as Head & { version: number };
  if (head.profile !== shared.profile || head.detector !== shared.detector) return undefined;
  try {
    // A state that an earlier version saved lacks what has been added since.
    return { head: { ...createHead(shared), ...head }, memory: createMemory(shared.sizes, unpacked.bytes) };
  } catch {
    return undefined;
  }
}

/**
 * The larger of the evidence of the score and of the statistic that has most. Where a statistic lies follows slow cycles, such
 * as that of the day, which only an ordered reference tells from drift; without one it makes a source suspect and no more.
 */
export function collectEvidence({ detectors, names, correlation }: Shared, memory: Memory) {
  const { score, statistic: found, position } = detectors.strongest(memory);
  const statistic = correlation ? found : Math.min(found, mostUnordered);
  return { score, statistic, share: Math.max(score, statistic), by: score >= statistic ? 'score' : names[position] };
}
