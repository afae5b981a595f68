import { corruptions, type Severity } from './corruptions.ts';
import type { Exposure } from './exposure.ts';
import { clopperPearson, type Interval } from './intervals.ts';
import { categoricalProperties, type MeasuredImage } from './measure.ts';
import type { Profile } from './profile.ts';
import { conformalPValue, type Scorer } from './score.ts';

/** How often images like the reference were stopped: counts, and the exact 95 % interval of the share. */
export interface Counted extends Interval {
  images: number;
  flagged: number;
}

/** What a Profile can see: shares of held-out reference images that are stopped once a cause is simulated on them. */
export interface Power {
  /** Held-out images put through every cause at every severity. */
  images: number;
  /**
   * The same images warned or blocked when they are encoded again but clean: what being encoded again adds to every share
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

export const powerSeverities: readonly Severity[] = [1, 2, 3, 4, 5];
const detected = 0.95;
/** A cause of which even the strongest kind is seen on fewer images than this is one that the Profile is blind to. */
const blind = 0.5;

/** Every cause at every severity, after the clean image itself. */
export function powerPlan(seed: number): Exposure[] {
  return [
    { severity: 1, seed, crop: false },
    ...corruptions.flatMap(({ name }) =>
      powerSeverities.map((severity): Exposure => ({ cause: name, severity, seed, crop: false })),
    ),
  ];
}

/**
 * Counts what a Profile would have stopped.
 * @param images per held-out image its exposures, in the order of `powerPlan`
 */
export function measurePower(profile: Profile, scorer: Scorer, images: readonly (readonly MeasuredImage[])[]): Power {
  const { warn, block } = profile.falseAlarmRate.promised;
  const count = images.length;
  let clean = 0;
  const cells = corruptions.map(({ name }) => ({ cause: name, warn: [0, 0, 0, 0, 0], block: [0, 0, 0, 0, 0] }));
  for (const exposed of images) {
    const pValue = (image: MeasuredImage) =>
      scorer.score(image.statistics, categoricalProperties(image, profile.constants)).detectors[0].pValue;
    if (pValue(exposed[0]) <= warn) clean++;
    for (const [i, cell] of cells.entries()) {
      for (const [j] of powerSeverities.entries()) {
        const p = pValue(exposed[1 + i * powerSeverities.length + j]);
        if (p <= warn) cell.warn[j] += 1 / count;
        if (p <= block) cell.block[j] += 1 / count;
      }
    }
  }
  const tidy = (share: number) => Number(share.toFixed(4));
  return {
    images: count,
    clean: countFlagged(clean, count),
    causes: cells.map((cell) => {
      const row = { cause: cell.cause, warn: cell.warn.map(tidy), block: cell.block.map(tidy) };
      const from = row.warn.findIndex((_, i) => row.warn.slice(i).every((share) => share >= detected));
      return from < 0 ? row : { ...row, detectedFrom: powerSeverities[from] };
    }),
  };
}

/** Counts with their exact interval, which is right for images that are independent of each other. */
export function countFlagged(flagged: number, images: number): Counted {
  const { low, high } = clopperPearson(flagged, images);
  return { images, flagged, low: Number(low.toFixed(6)), high: Number(high.toFixed(6)) };
}

/**
 * How often images of the reference that set no threshold would have been stopped. The images held out meet the promised
 * rate by construction; the fitted ones do not, and each is scored by a model that was fitted without its group. That model
 * has a fifth less to learn from, so the share is rather too high than too low.
 * @param scores of the fitted images, by models that have not seen them
 * @param calibration scores of the images held out, sorted
 */
export function achievedFalseAlarms(
  scores: readonly number[],
  calibration: Float64Array,
  promised: { warn: number; block: number },
): { warn: Counted; block: Counted } {
  const pValues = scores.map((score) => conformalPValue(calibration, score));
  const count = (rate: number) => countFlagged(pValues.filter((p) => p <= rate).length, pValues.length);
  return { warn: count(promised.warn), block: count(promised.block) };
}

/** Causes that the Profile does not see even at their strongest. */
export function blindTo({ causes }: Power): string[] {
  return causes.filter(({ warn }) => Math.max(...warn) < blind).map(({ cause }) => cause);
}
