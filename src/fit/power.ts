import { corruptions, powerSeverities, type Severity } from '../image/corruptions/corruptions.ts';
import type { Simulation } from '../image/simulation.ts';
import type { ProfileDescription, Rates } from '../profile/description.ts';
import { clopperPearson, type Interval } from '../profile/maths/binomial.ts';
import { PValues, type ThresholdKind } from '../profile/maths/pvalues.ts';
import type { Look, Sample, UnseenDrive, UnseenSample } from './samples.ts';

/** How often images like the reference were stopped: counts, and the exact 95 % interval of the share. */
export interface Counted extends Interval {
  images: number;
  flagged: number;
}

/** What a Profile can see: shares of reference images that are stopped once a cause is simulated on them. */
export interface Power {
  /** Images that were put through each cause at each severity, at least. */
  images: number;
  /**
   * Images warned or blocked when they are encoded again but clean: what being encoded again adds to every share
   * below. Not the false-alarm rate, which is in `falseAlarmRate.achieved`.
   */
  clean: Counted;
  causes: {
    cause: string;
    /** Share warned or blocked at severities 1 to 5. */
    warn: number[];
    /** Share blocked. */
    block: number[];
    /** Mildest severity from which on at least 95 % are warned or blocked; absent when there is none. */
    detectedFrom?: number;
  }[];
}

const detected = 0.95;
/** A cause of which even the strongest kind is seen on fewer images than this is one that the Profile is blind to. */
const blind = 0.5;

/** A reference image under a cause, or clean, as judged by a fit without it. */
export interface Trial {
  cause?: string | undefined;
  severity: Severity;
  pValue: number;
}

/** Every cause at every severity, after the clean image itself. */
export function powerPlan(seed: number): Simulation[] {
  return [
    { severity: 1, seed, crop: false },
    ...corruptions.flatMap(({ name }) =>
      powerSeverities.map((severity): Simulation => ({ cause: name, severity, seed, crop: false })),
    ),
  ];
}

/**
 * What is left to simulate until every cause at every severity has been seen on `count` images, or on all.
 * @param samples images that may be put through causes, in the order in which they are
 * @param known.looks what has been simulated before: no image is put through the same cause at the same severity twice
 * @param known.findSeed the seed of the simulations of an image
 * @returns for each image that is needed, a part of `powerPlan`
 */
export function planTrials(
  samples: readonly Sample[],
  known: { looks: readonly Look[]; count: number; findSeed(sample: Sample): number },
): { sample: Sample; plan: Simulation[] }[] {
  const name = ({ cause, severity }: Pick<Trial, 'cause' | 'severity'>) => `${cause} ${severity}`;
  const counts = new Map<string, number>();
  const seen = new Set<string>();
  for (const look of known.looks) {
    counts.set(name(look), (counts.get(name(look)) ?? 0) + 1);
    seen.add(`${look.sample.id} ${name(look)}`);
  }
  return samples.flatMap((sample) => {
    const [clean, ...every] = powerPlan(known.findSeed(sample));
    const plan = every.filter((simulation) => {
      const cell = name(simulation);
      const count = counts.get(cell) ?? 0;
      if (count >= known.count || seen.has(`${sample.id} ${cell}`)) return false;
      counts.set(cell, count + 1);
      return true;
    });
    return plan.length > 0 ? [{ sample, plan: [clean, ...plan] }] : [];
  });
}

/** Counts what a Profile would have stopped. */
export function measurePower(profile: Pick<ProfileDescription, 'falseAlarmRate'>, trials: readonly Trial[]): Power {
  const { warn, block } = profile.falseAlarmRate.promised;
  const cells = new Map<string | undefined, number[][]>();
  for (const { cause, severity, pValue } of trials) {
    const rows = cells.get(cause) ?? powerSeverities.map((): number[] => []);
    cells.set(cause, rows);
    rows[powerSeverities.indexOf(severity)].push(pValue);
  }
  const countUpTo = (pValues: readonly number[], rate: number) => pValues.filter((p) => p <= rate).length;
  const shares = (rows: readonly number[][], rate: number) =>
    rows.map((pValues) => Number((countUpTo(pValues, rate) / pValues.length).toFixed(4)));
  const clean = (cells.get(undefined) ?? []).flat();
  const causes = corruptions.flatMap(({ name }): Power['causes'] => {
    const rows = cells.get(name);
    if (!rows) return [];
    const row = { cause: name, warn: shares(rows, warn), block: shares(rows, block) };
    const from = row.warn.findIndex((_, i) => row.warn.slice(i).every((share) => share >= detected));
    return [from < 0 ? row : { ...row, detectedFrom: powerSeverities[from] }];
  });
  return {
    images: Math.min(...causes.flatMap(({ cause }) => cells.get(cause)!.map(({ length }) => length))),
    clean: countFlagged(countUpTo(clean, warn), clean.length),
    causes,
  };
}

/** Counts with their exact interval, which is right for images that are independent of each other. */
export function countFlagged(flagged: number, images: number): Counted {
  const { low, high } = clopperPearson(flagged, images);
  return { images, flagged, low: Number(low.toFixed(6)), high: Number(high.toFixed(6)) };
}

/**
 * How often images of the reference would have been stopped by thresholds that they had no part in. All images together meet
 * the promised rate by construction; here the images of each fold, scored by a fit without them, are held against
 * those of the other folds only. Where parts of the reference differ from each other, the share is above the promise. Where the
 * others are too few to tell the promised rate, the smallest that they can tell is taken: the share is rather too high than
 * one that could only be 0.
 */
export function achievedFalseAlarms(
  images: readonly Pick<UnseenSample, 'sample' | 'score' | 'calibration'>[],
  promised: Rates,
  threshold?: ThresholdKind,
): { warn: Counted; block: Counted } {
  const judged = [...new Set(images.map(({ sample }) => sample.fold))].flatMap((fold) => {
    const others = images.filter(({ sample }) => sample.fold !== fold);
    const calibration = Float64Array.from(others, (image) => image.calibration).sort();
    const inside = images.filter(({ sample }) => sample.fold === fold);
    const pValues = new PValues(calibration, threshold);
    const smallest = threshold === 'tail' ? 0 : 1 / (others.length + 1);
    return inside.map(({ score }) => ({ p: pValues.of(score), smallest }));
  });
  const count = (rate: number) =>
    countFlagged(judged.filter(({ p, smallest }) => p <= Math.max(rate, smallest)).length, judged.length);
  return { warn: count(promised.warn), block: count(promised.block) };
}

/**
 * How many images of a recording would be stopped that the reference does not have: each in turn by what was fitted on the others
 * alone.
 */
export function unseenDriveRate(
  drives: readonly UnseenDrive[],
  { warn }: Pick<Rates, 'warn'>,
  threshold?: ThresholdKind,
): ({ drives: number } & Counted) | undefined {
  const flagged = drives.flatMap(({ scores, calibration }) => {
    const pValues = new PValues(calibration, threshold);
    const rate = threshold === 'tail' ? warn : Math.max(warn, 1 / (calibration.length + 1));
    return scores.map((score) => pValues.of(score) <= rate);
  });
  if (flagged.length === 0) return undefined;
  return { drives: drives.length, ...countFlagged(flagged.filter((is) => is).length, flagged.length) };
}

/** Causes that the Profile does not see even at their strongest. */
export function blindTo({ causes }: Power): string[] {
  return causes.filter(({ warn }) => Math.max(...warn) < blind).map(({ cause }) => cause);
}
