import type { Profile } from '../profile/description.ts';
import { clopperPearson, type Interval } from '../profile/maths/binomial.ts';
import { falseDiscoveryRate, groupMoved, type MovedGroup } from './moved.ts';
import type { Population, Shift, VerdictCounts } from './population.ts';

/** The limits beyond which a set of images no longer matches the reference. */
export interface CheckLimits {
  /** Largest share of images that are blocked, and that are warned about or blocked, 0 to 1. */
  maxBlock: number;
  maxWarn: number;
  /** Largest share of images that cannot be judged; default 0, since nothing is known of them. */
  maxFailed?: number;
  /** Largest Kolmogorov-Smirnov distance of a statistic from the reference, 0 to 1. */
  maxDistance: number;
  /** What fails: images that are stopped, a mix that has shifted, or either (the default). */
  failOn?: FailOn;
}

export const failOns = ['any', 'stopped', 'shifted'] as const;
export type FailOn = (typeof failOns)[number];

/** A share of the images with its exact 95 % interval, and the share that passes. */
export interface CheckedShare extends Interval {
  hits: number;
  images: number;
  share: number;
  max: number;
  passed: boolean;
}

/** Whether a set of images matches the population that the Profile describes, and in what it does not. */
export interface PopulationCheck {
  passed: boolean;
  /** More images are stopped than allowed: single images are unlike the reference. */
  isStopped: boolean;
  /** Statistics have moved: the images together are unlike the reference, whether or not single ones are. */
  isShifted: boolean;
  counts: VerdictCounts;
  /** `warn` counts blocked images, too; an image that cannot be judged counts as blocked. */
  shares: { warn: CheckedShare; block: CheckedShare; failed: CheckedShare };
  /** Whether nothing was found but images that cannot be judged. */
  failsByFailed: boolean;
  /** Every test of a population: the statistics that have moved in the order of `groups`, then the rest, largest first. */
  shifts: (Shift & { moved: boolean })[];
  /** The statistics that have moved as people see them, what explains most first: the order of every report. */
  groups: MovedGroup<Shift>[];
  /** The same one by one, and how many were compared: what every report counts. */
  moved: Shift[];
  compared: number;
  maxDistance: number;
  failOn: FailOn;
}

/**
 * The shares that this Profile may be held to: what it promises, or as much as it may have met at its own fit (the upper end of
 * the 95 % interval) where that is more. A reference of a few hundred images cannot promise its rates to the last digit.
 * @param given limits that are asked for; what is blocked is stopped, too, so the other gives way to one that is
 */
export function defaultShares(
  { falseAlarmRate }: Profile,
  given: { maxBlock?: number | undefined; maxWarn?: number | undefined } = {},
): { maxBlock: number; maxWarn: number } {
  const { promised, achieved } = falseAlarmRate;
  const block = Math.max(promised.block, achieved?.block.high ?? 0);
  const warn = Math.max(promised.warn, achieved?.warn.high ?? 0);
  return {
    maxBlock: given.maxBlock ?? Math.min(block, given.maxWarn ?? 1),
    maxWarn: given.maxWarn ?? Math.max(warn, given.maxBlock ?? 0),
  };
}

/**
 * Holds a set of images against limits. It fails where more images cannot be judged than may, and else only on evidence: where even the lower end of the exact 95 % interval
 * (Clopper-Pearson) of a share exceeds its limit, or where a statistic lies farther from the reference than `maxDistance` and the
 * two-sample test rejects that nothing has moved at a false discovery rate of 1 % over all statistics.
 */
export function checkPopulation(population: Population, limits: CheckLimits): PopulationCheck {
  const { counts } = population;
  const checkShare = (hits: number, max: number): CheckedShare => {
    const interval = clopperPearson(hits, counts.images);
    return { hits, images: counts.images, share: hits / counts.images, ...interval, max, passed: interval.low <= max };
  };
  const blocked = counts.block + counts.failed;
  const failed = checkShare(counts.failed, limits.maxFailed ?? 0);
  const shares = {
    warn: checkShare(blocked + counts.warn, limits.maxWarn),
    block: checkShare(blocked, limits.maxBlock),
    // No sample of anything: each of these images was not looked at.
    failed: { ...failed, passed: failed.share <= failed.max },
  };
  const tested = population.shifts().map((shift) => ({
    ...shift,
    value: shift.current.p50,
    moved:
      shift.adjusted <= falseDiscoveryRate &&
      shift.distance > limits.maxDistance &&
      // Images less strange than the reference, such as those that it was fitted on, are no drift.
      (shift.kind === 'statistic' || shift.direction !== 'low'),
  }));
  const groups = groupMoved(tested.filter(({ moved, kind }) => moved && kind === 'statistic'));
  const moved = groups.flatMap(({ members }) => members);
  const shifts = [...moved, ...tested.filter((shift) => !moved.includes(shift))];
  const isStopped = !shares.warn.passed || !shares.block.passed;
  const isShifted = shifts.some(({ moved }) => moved);
  const { failOn = 'any' } = limits;
  const matches = !(isStopped && failOn !== 'shifted') && !(isShifted && failOn !== 'stopped');
  return {
    passed: matches && shares.failed.passed,
    failsByFailed: matches && !shares.failed.passed,
    isStopped,
    isShifted,
    counts: { ...counts },
    shares,
    shifts,
    groups,
    moved,
    compared: shifts.filter(({ kind }) => kind === 'statistic').length,
    maxDistance: limits.maxDistance,
    failOn,
  };
}

/** What was found, what it means and how large it is, in one sentence: every report begins with it. */
export function summarizeCheck(check: PopulationCheck): string {
  const { isStopped, isShifted, shares, counts, compared, passed, failOn } = check;
  if (counts.failed === counts.images) {
    return `None of ${counts.images} images could be judged, so nothing is known of what they show.`;
  }
  const { share, max } = shares.warn.passed ? shares.block : shares.warn;
  const word = shares.warn.passed ? 'blocked' : 'warned about or blocked';
  const stopped = `${percent(share)} of ${counts.images} images are ${word}, where ${percent(max)} is allowed`;
  const shifted = describeShift(check);
  const calm = `${percent(shares.warn.share)} of ${counts.images} images are warned about or blocked, which is not surely more than the ${percent(shares.warn.max)} allowed`;
  const only = failOn === 'stopped' ? 'images that are stopped' : 'a mix that has shifted';
  const allowed =
    passed && (isStopped || isShifted) ? ` This passes, since a failure was asked for only of ${only}.` : '';
  if (isStopped && isShifted) return `Images are stopped: ${stopped}. The mix has shifted, too: ${shifted}.${allowed}`;
  if (isStopped) {
    const mix =
      compared === 0
        ? 'They are too few to say whether the mix has shifted.'
        : `The mix has not shifted: none of ${compared} statistics.`;
    return `Images are stopped: ${stopped}. ${mix}${allowed}`;
  }
  if (isShifted) return `The mix has shifted, though no single image need be strange: ${shifted}. ${calm}.${allowed}`;
  if (compared === 0) return `Like the reference, as far as so few tell: ${calm}, and no statistic could be compared.`;
  return `Like the reference: ${calm}, and none of ${compared} statistics has moved.`;
}

function describeShift(check: PopulationCheck): string {
  const { moved, compared, groups } = check;
  const [largest] = groups;
  if (!largest) return 'the scores of detectors lie higher';
  const { words, lead } = largest;
  return `${moved.length} of ${compared} statistics, most of all ${words}, by ${Number(lead.size.toPrecision(2))} standard deviations`;
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}
