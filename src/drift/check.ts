import type { Profile } from '../profile/description.ts';
import { clopperPearson, type Interval } from '../profile/maths/binomial.ts';
import type { Population, Shift, VerdictCounts } from './population.ts';

/** From where on a set of images no longer matches the reference. */
export interface CheckLimits {
  /** Largest share of images that are blocked, and that are warned about or blocked, 0 to 1. */
  maxBlock: number;
  maxWarn: number;
  /** Largest share of images that cannot be judged; default 0, since nothing is known of them. */
  maxFailed?: number;
  /** Largest Kolmogorov-Smirnov distance of a statistic from the reference, 0 to 1. */
  maxDistance: number;
}

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
  counts: VerdictCounts;
  /** `warn` counts blocked images, too; an image that cannot be judged counts as blocked. */
  shares: { warn: CheckedShare; block: CheckedShare; failed: CheckedShare };
  /** Whether nothing was found but images that cannot be judged. */
  failsByFailed: boolean;
  /** Every test of a population, farthest first; those that fail have `moved`. */
  shifts: (Shift & { moved: boolean })[];
  maxDistance: number;
}

/** Rate of false discoveries among statistics that are said to have moved. */
export const falseDiscoveryRate = 0.01;
/** About half a standard deviation: less is found in any two days of one camera. */
export const defaultMaxDistance = 0.2;

/**
 * The shares that this Profile may be held to: what it promises, or as much as it may have met at its own fit (the upper end of
 * the 95 % interval) where that is more. A reference of a few hundred images cannot promise its rates to the last digit.
 */
export function defaultShares({ falseAlarmRate }: Profile): { maxBlock: number; maxWarn: number } {
  const { promised, achieved } = falseAlarmRate;
  return {
    maxBlock: Math.max(promised.block, achieved?.block.high ?? 0),
    maxWarn: Math.max(promised.warn, achieved?.warn.high ?? 0),
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
  const shifts = population.shifts().map((shift) => ({
    ...shift,
    moved:
      shift.adjusted <= falseDiscoveryRate &&
      shift.distance > limits.maxDistance &&
      // Images less strange than the reference, such as those that it was fitted on, are no drift.
      (shift.kind === 'statistic' || shift.direction !== 'low'),
  }));
  const matches = shares.warn.passed && shares.block.passed && !shifts.some(({ moved }) => moved);
  return {
    passed: matches && shares.failed.passed,
    failsByFailed: matches && !shares.failed.passed,
    counts: { ...counts },
    shares,
    shifts,
    maxDistance: limits.maxDistance,
  };
}
