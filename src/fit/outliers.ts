import { quantileSorted } from 'simple-statistics';
import { remarkedProperties } from '../image/measured.ts';
import type { Statistic } from '../image/statistics/statistic.ts';
import { statistics } from '../image/statistics/statistics.ts';
import type { ProfileDescription } from '../profile/description.ts';
import { clopperPearson } from '../profile/maths/binomial.ts';
import { scoredValue } from '../profile/maths/gaussianise.ts';
import { propertyLabel } from '../profile/reasons.ts';
import { type Regime, standardise } from '../profile/score.ts';
import { folds } from './crossfit.ts';
import { fitRegime } from './regimes.ts';
import type { Sample } from './samples.ts';

/** A reference image that does not look like the rest of the reference. */
export interface Outlier {
  path: string;
  /** How far out it lies: steps of (upper quartile - median) above the median of ln distance. */
  steps: number;
  /** What stands out, in words, at most three. */
  why: string[];
}

/** The reference images beyond the fence that their own population sets. */
export interface Outliers {
  /** All of them; `images` is bounded. */
  count: number;
  /** Farthest first, at most 50. */
  images: Outlier[];
}

/**
 * An image is an outlier this many steps of (upper quartile - median) above the median. If the upper half of the scores falls
 * off exponentially, each step halves what is left: 2^-8 = 0.4 % of a clean reference lie beyond 7 steps, and less where the
 * tail is lighter. A tenth of strangers hardly moves a median and a quartile.
 */
const fence = 7;
/** From this share of strangers on a user should know: it is what the usual false-alarm rate of warnings lets through. */
const tolerated = 0.01;
/** From here on (2^-5 = 3 % of a clean reference) an image is left out of the next round's fits, to be judged by them. */
const trim = 4;
/** The set of those left out has settled by then, or goes to and fro by a few that are near `trim`. */
const rounds = 4;
/** This share is left out of the first fits, as suspects: strangers that are alike hide each other until all are out. */
const startingShare = 0.25;
/** One wild statistic must not decide where to start. */
const maxDeviations = 8;
/** More images than this make a round slower and its fits no better. */
const maxFitted = 3000;
/** More than this is a list nobody reads. */
const maxListed = 50;
const maxWhy = 3;
/** Statistics are named from this many deviations on, as in a verdict. */
const leastDeviations = 2;
/** A property of the file is named where so many images have another value. */
const usualShare = 0.9;

/** One image with the scored values of its statistics, in the order of the Profile. */
interface Member {
  sample: Sample;
  row: Float64Array;
}

/**
 * Finds reference images that are strange to the others. Each is judged by its ln Mahalanobis distance to a fit of other
 * groups. Strangers that are alike hide each other by what they do to the covariance, so those that stand out are left out
 * and the fits are made again, which brings the next ones to light (as in the concentration steps of the fast minimum
 * covariance determinant; Rousseeuw and Van Driessen 1999).
 * @param profile the statistics that a Profile of these images scores
 */
export function findOutliers(samples: readonly Sample[], profile: Pick<ProfileDescription, 'statistics'>): Outliers {
  const { scored, members, models, beyond } = judgeMembers(samples, profile);
  const explain = explainer(
    members,
    scored.map(({ position }) => position),
  );
  return {
    count: beyond.length,
    images: beyond.slice(0, maxListed).map(({ one, steps }): Outlier => {
      const { sample, row } = one;
      const model = models[sample.fold];
      const z = model ? standardise([model], row).z : new Float64Array();
      return { path: sample.path, steps: Number(steps.toFixed(2)), why: explain(sample, z) };
    }),
  };
}

/** Ids of all outliers, however many there are. */
export function listStrangers(
  samples: readonly Sample[],
  profile: Pick<ProfileDescription, 'statistics'>,
): ReadonlySet<string> {
  return new Set(judgeMembers(samples, profile).beyond.map(({ one }) => one.sample.id));
}

/** All images, and those beyond the fence, farthest first, with the fits that judged them. */
function judgeMembers(samples: readonly Sample[], profile: Pick<ProfileDescription, 'statistics'>) {
  const scored = profile.statistics.map(({ name, logFloor }) => {
    const position = statistics.findIndex((row) => row.name === name);
    return { position, logFloor, resolution: statistics[position].resolution };
  });
  const members = samples.map((sample): Member => {
    const row = scored.map(({ position, logFloor }) => scoredValue(sample.statistics[position], logFloor));
    return { sample, row: Float64Array.from(row) };
  });
  // Checksums are in no order of content: the first of them are a sample, and the same one wherever the files lie.
  members.sort((a, b) => (a.sample.id < b.sample.id ? -1 : 1));

  let models: (Regime | undefined)[] = [];
  let steps = new Float64Array();
  let left = farthest(members, startingShare);
  for (let round = 0; round < rounds; round++) {
    models = Array.from({ length: folds }, (_, fold) => {
      const rest = members.filter((one) => one.sample.fold !== fold && !left.has(one)).slice(0, maxFitted);
      return members.some((one) => one.sample.fold === fold) && rest.length > 1 ? fitRegime(rest, scored) : undefined;
    });
    steps = stepsAbove(
      members.map(({ sample, row }) => {
        const model = models[sample.fold];
        return model ? standardise([model], row).distance : 0;
      }),
    );
    const next = new Set(members.filter((_, i) => steps[i] > trim));
    // Settled: the fits of another round would be the same.
    if (next.size === left.size && [...next].every((one) => left.has(one))) break;
    left = next;
  }

  const beyond = members
    .map((one, i) => ({ one, steps: steps[i] }))
    .filter((entry) => entry.steps > fence)
    .sort((a, b) => b.steps - a.steps);
  return { scored, members, models, beyond };
}

/** Whether there are more strangers than any reference has, with 95 % confidence. */
function isContaminated({ count }: Outliers, images: number): boolean {
  return clopperPearson(count, images).low > tolerated;
}

/** Says what outliers do to the promise, where they are more than chance leaves there. */
export function warnAboutOutliers(outliers: Outliers, images: number, promised: { warn: number }): string[] {
  if (!isContaminated(outliers, images)) return [];
  const { count } = outliers;
  // Reference images that may be at least as strange as one that is warned about.
  const allowed = Math.floor(promised.warn * (images + 1)) - 1;
  const effect =
    count > allowed
      ? `: at a false-alarm rate of ${promised.warn.toPrecision(2)} only images as strange as the strangest of these are stopped`
      : '';
  return [
    `${count} of ${images} reference images are unlike the rest${effect}. If they do not belong to the reference, take them out and fit again.`,
  ];
}

/**
 * Where to start: the images with the largest mean square of robust deviations, statistic by statistic. It knows nothing of
 * correlations, but no cluster of strangers below a quarter moves a median or a quartile far.
 */
function farthest(members: readonly Member[], share: number): Set<Member> {
  const sums = new Float64Array(members.length);
  const sorted = new Float64Array(members.length);
  for (let i = 0; i < members[0].row.length; i++) {
    for (const [at, { row }] of members.entries()) sorted[at] = row[i];
    sorted.sort();
    const median = quantileSorted(sorted as unknown as number[], 0.5);
    const width =
      quantileSorted(sorted as unknown as number[], 0.75) - quantileSorted(sorted as unknown as number[], 0.25);
    // Half of a normal population lies between quartiles that are 1.349 deviations apart.
    const deviation = width / 1.349 || Number.POSITIVE_INFINITY;
    for (const [at, { row }] of members.entries()) {
      sums[at] += Math.min(Math.abs((row[i] - median) / deviation), maxDeviations) ** 2 / row.length;
    }
  }
  const order = members.map((one, i) => ({ one, sum: sums[i] })).sort((a, b) => b.sum - a.sum);
  return new Set(order.slice(0, Math.floor(share * members.length)).map(({ one }) => one));
}

function stepsAbove(distances: readonly number[]): Float64Array<ArrayBuffer> {
  const sorted = distances.toSorted((a, b) => a - b);
  const median = quantileSorted(sorted, 0.5);
  // Where most images are the same one there is no width to measure by; a hundredth of ln distance is next to nothing.
  const step = Math.max(quantileSorted(sorted, 0.75) - median, 0.01);
  return Float64Array.from(distances, (distance) => (distance - median) / step);
}

/** Puts in words what sets an image apart: properties of the file that few others have, then the farthest statistics. */
function explainer(members: readonly Member[], positions: readonly number[]) {
  const usual = usualProperties(members.map(({ sample }) => sample));
  const computeMedian = (position: number) => {
    const sorted = members.map(({ sample }) => sample.statistics[position]).sort((a, b) => a - b);
    return quantileSorted(sorted, 0.5);
  };
  const medians = new Map<number, number>();
  return (sample: Sample, z: Float64Array): string[] => {
    const why: string[] = [];
    for (const [property, value] of usual) {
      const own = sample.properties[property];
      // A checksum of encoder tables tells a reader nothing, that it is another one does.
      if (own === undefined || own === value || remarkedProperties.has(property)) continue;
      const label = propertyLabel(property);
      why.push(property === 'encoder' ? `another ${label}` : `${label} ${own}, not ${value}`);
    }
    const farthest = positions
      .map((position, i) => ({ position, deviations: Math.abs(z[i]) }))
      .filter(({ deviations }) => deviations >= leastDeviations)
      .sort((a, b) => b.deviations - a.deviations);
    const said = new Set<string>();
    for (const { position } of farthest) {
      const row = statistics[position];
      if (!medians.has(position)) medians.set(position, computeMedian(position));
      const median = medians.get(position) as number;
      const value = sample.statistics[position];
      const words = value >= median ? row.high : row.low;
      // Statistics that say the same are one reason.
      if (said.has(words)) continue;
      said.add(words);
      why.push(`${words} the rest: ${row.name} ${amount(value, row)}, median ${amount(median, row)}`);
      if (why.length >= maxWhy) break;
    }
    return why.slice(0, maxWhy);
  };
}

/** Properties of which nearly all images have one value, and that value. */
function usualProperties(samples: readonly Sample[]): [property: string, value: string][] {
  return Object.keys(samples[0].properties).flatMap((property): [string, string][] => {
    const counts = new Map<string, number>();
    for (const { properties } of samples) counts.set(properties[property], (counts.get(properties[property]) ?? 0) + 1);
    const [[value, times]] = [...counts].sort((a, b) => b[1] - a[1]);
    return times >= usualShare * samples.length ? [[property, value]] : [];
  });
}

function amount(value: number, { digits, unit }: Statistic): string {
  const isBare = unit === 'ratio' || unit === 'share';
  return `${Number(value.toFixed(digits))}${isBare ? '' : ` ${unit}`}`;
}
