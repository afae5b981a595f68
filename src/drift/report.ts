import { Random } from '../image/corruptions/random.ts';
import {
  benjaminiHochberg,
  kolmogorovSmirnov,
  maximumMeanDiscrepancy,
  wasserstein,
} from '../profile/maths/twosample.ts';
import type { ReasonGroup } from '../profile/sights.ts';
import { defaultMaxDistance, falseDiscoveryRate, groupMoved, type Movement } from './moved.ts';
import type { RecentVerdicts } from './recent.ts';
import type { Standing } from './standing.ts';
import type { StayingParts } from './stays.ts';
import type { ViewChange } from './view.ts';

/**
 * `learning`: too little is known to call it ok. `suspect`: a tenth of the evidence of an alarm. `recovered`: like the
 * reference again, until it has been so for a while. `stale`: no images come. `frozen`: the same images come again and again.
 */
export type DriftState = 'learning' | 'ok' | 'suspect' | 'drifted' | 'recovered' | 'stale' | 'frozen';

/** What is seen of a source beside its numbers: a picture or a part of it that stands still, a camera that was moved. */
export interface Sight {
  kind: Standing['kind'] | ViewChange['kind'];
  /** In plain words. */
  text: string;
  /** How much: share of the picture that stands still, share of the width that it is shifted by, degrees, share of the size. */
  by: number;
}

/** A question that the images of a source do not answer now. */
export interface Uncheckable {
  /** Whether the picture stands still; where the camera looks; whether its colours are right; whether something hides a part. */
  question: 'standsStill' | 'view' | 'colour' | 'places';
  why: string;
}

/** One change of state: what an alert is made of. */
export interface Transition {
  from: DriftState;
  to: DriftState;
  /** Milliseconds since 1970; never goes back. */
  at: number;
  /** sha256 of the image that brought it; absent where none did. */
  id?: string;
  /** Images so far. */
  images: number;
  /** Share of the evidence that an alarm needs. */
  evidence: number;
  /** In plain words. */
  text: string;
}

/** One statistic of the window that lies elsewhere than in the reference. */
export interface Moved {
  statistic: string;
  /** What a person sees of it: those that say the same stand together, the one that says it best first. */
  group: ReasonGroup;
  /** What all of the group say, such as "darker than the reference". */
  text: string;
  direction: 'high' | 'low' | 'spread';
  /** 1-Wasserstein distance in reference standard deviations. */
  size: number;
  /** Kolmogorov-Smirnov, after Benjamini-Hochberg over all statistics. */
  pValue: number;
}

/** How far a source is that learns. */
export interface Learning {
  /** Images so far, and how many independent ones they count as; absent while it is not known how long the stream remembers. */
  images: number;
  independent?: number;
  /** Independent images that are needed. */
  needed: number;
  /** Images that are still to come, at least. */
  more: number;
  /** Such as "4 of 20 independent images, about 100 images more". */
  text: string;
}

/** The alarm that a drifted source is in. */
export interface Alarm {
  /** Milliseconds since 1970. */
  at: number;
  /** Share of the evidence that an alarm needs, when it was raised. */
  share: number;
  /** The statistic that had most of the evidence, or `score`. */
  by: string;
  text: string;
  /** What ends it: images that must still come, and in words. */
  ends: { more: number; text: string };
}

/** What is known of one source at a glance. */
export interface Glance {
  state: DriftState;
  /** Milliseconds since 1970. */
  since: number;
  /** Where it is stale or frozen: the state before. */
  before?: DriftState | undefined;
  /** Where it is learning. */
  learning?: Learning | undefined;
  /** Where it is drifted, or was so before it became stale or frozen. */
  alarm?: Alarm | undefined;
  /** Where it is frozen: so many pictures come again and again, for so many images in a row. One picture: the camera hangs. */
  frozen?: { pictures: number; images: number } | undefined;
  recent: RecentVerdicts;
}

/** All that is known of one source. */
export interface DriftReport extends Glance {
  /** What stands still, or where the camera looks now: absent where nothing is wrong, or nothing can be seen of it. */
  sight?: Sight;
  /** What cannot be told of it now, as at night: absent where all can. */
  uncheckable?: Uncheckable[];
  /** Where the state is learning: why. */
  reason?: string;
  /** Images that counted; the same picture again does not. */
  images: number;
  repeats: number;
  /** Images of which an alarm could be wrong: one in so many on average. */
  falseAlarmEvery: number;
  /** What is promised, in words. */
  promise: string;
  /**
   * Evidence as a share of what an alarm needs: 1 is an alarm. `by` is the statistic that has most, or `score`. While a source is
   * drifted both are those of the alarm, and `now` is what has come together since.
   */
  evidence: { share: number; by: string; now: number; alarms: number; lastAlarmAt?: number };
  /** How long the stream remembers, and who says so; absent while unknown. */
  correlationTime?: { images: number; from: 'reference' | 'stream' };
  /** How many independent images would tell as much as all that came. */
  effectiveImages: number;
  /** Images that the tests below are about: those since the change, where there is one. */
  window: { images: number; effective: number; from: number; to: number };
  /** Statistics that moved, by what a person sees, what explains most first: at most three that say the same. */
  moved: Moved[];
  /** How many statistics moved in all, of how many. */
  movedCount: { moved: number; compared: number };
  /** Whether the window shows other things than the reference; where the Profile has a model. */
  content?: { distance: number; pValue: number };
  /** Causes of the images that did not pass, likeliest first. */
  causes: { cause: string; probability: number }[];
  /** Mean of the images of late; where the Profile knows. */
  expectedFlipRate?: number;
  /** Where in the picture something hides or blurs it in image after image; where the Profile tells places. */
  places?: StayingParts;
  /** Images that carried most evidence, most first. */
  frames: { id: string; at: number; pValue: number }[];
  /** sha256 of the Profile. */
  profile: string;
}

/** What moved in words, one for each thing that a person sees: `darker than the reference (lumaP50)`. */
export function tellMoved(moved: readonly NamedMove[]): string[] {
  return listLeads(moved).map(({ statistic, text }) => (text === undefined ? statistic : `${text} (${statistic})`));
}

/** The first of those that say the same. */
export function listLeads<Item extends NamedMove>(moved: readonly Item[]): Item[] {
  return moved.filter(({ text }, i) => text === undefined || text !== moved[i - 1]?.text);
}

/** What an earlier version has stored lacks the text. */
interface NamedMove {
  statistic: string;
  text?: string | undefined;
}

const maxPerGroup = 3;
/** Nothing is tested on fewer rows than this. */
const leastRows = 4;
const permutations = 199;

/** Compares rows of deviations with the reference, whose deviations are `reference` for every statistic. */
export function movedStatistics(
  names: readonly string[],
  rows: readonly ArrayLike<number>[],
  reference: ArrayLike<number>,
  /** Images that are like one independent image: in the window, and for every statistic in the reference. */
  dependence: { window: number; reference: ArrayLike<number> },
): Pick<DriftReport, 'moved' | 'movedCount'> {
  const compared = names.length;
  if (rows.length < leastRows) return { moved: [], movedCount: { moved: 0, compared } };
  const tested = names.map((name, i) => {
    const column = Float64Array.from(rows, (row) => row[i]).sort();
    const effective = { a: rows.length / dependence.window, b: reference.length / dependence.reference[i] };
    const { pValue, statistic: distance } = kolmogorovSmirnov(column, reference, effective);
    const size = wasserstein(column, reference);
    const mean = column.reduce((sum, value) => sum + value, 0) / column.length;
    // The mean of standard normal numbers is 0: what is not explained by it is a change of spread.
    const direction: Movement['direction'] = Math.abs(mean) < size / 2 ? 'spread' : mean > 0 ? 'high' : 'low';
    return { name, direction, size, pValue, distance };
  });
  const adjusted = benjaminiHochberg(tested.map(({ pValue }) => pValue));
  const all = tested
    .map((shift, i) => ({ ...shift, pValue: adjusted[i] }))
    .filter(({ pValue, distance }) => pValue <= falseDiscoveryRate && distance > defaultMaxDistance);
  const moved = groupMoved(all).flatMap(({ group, words, members }) =>
    members.slice(0, maxPerGroup).map(({ name, direction, size, pValue }): Moved => {
      return { statistic: name, group, text: words, direction, size: Number(size.toFixed(3)), pValue };
    }),
  );
  return { moved, movedCount: { moved: all.length, compared } };
}

/** Whether rows show other things than the reference does. */
export function movedContent(
  rows: readonly ArrayLike<number>[],
  cloud: readonly ArrayLike<number>[],
  /** Images that are like one independent image. */
  dependence: number,
): DriftReport['content'] {
  // Every so-many-th: permutations need rows that may change places.
  const step = Math.max(1, Math.round(dependence));
  const thinned = rows.filter((_, i) => i % step === 0);
  if (thinned.length < leastRows || cloud.length < leastRows) return undefined;
  const random = new Random(1);
  const { statistic, pValue } = maximumMeanDiscrepancy(thinned, cloud, {
    permutations,
    random: () => random.uniform(),
  });
  return { distance: Number(statistic.toFixed(4)), pValue };
}
