import { corruptions, type Severity } from './corruptions.ts';
import type { Exposure } from './exposure.ts';
import { categoricalProperties, type MeasuredImage } from './measure.ts';
import type { Profile } from './profile.ts';
import type { Scorer } from './score.ts';

/** What a Profile can see: shares of held-out reference images that are stopped once a cause is simulated on them. */
export interface Power {
  /** Held-out images put through every cause at every severity. */
  images: number;
  /** Share warned or blocked among the same images, encoded again but clean. */
  clean: number;
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
 * @param images per held-out image: itself, and its exposures in the order of `powerPlan`
 */
export function measurePower(
  profile: Profile,
  scorer: Scorer,
  images: readonly { original: MeasuredImage; exposed: readonly MeasuredImage[] }[],
): Power {
  const { warn, block } = profile.falseAlarmRate.promised;
  const count = images.length;
  let clean = 0;
  const cells = corruptions.map(({ name }) => ({ cause: name, warn: [0, 0, 0, 0, 0], block: [0, 0, 0, 0, 0] }));
  for (const { original, exposed } of images) {
    const pValue = ({ statistics }: MeasuredImage) => {
      // The file was written by our encoder: only what the pixels say may count.
      const properties = { ...categoricalProperties({ ...original, statistics }, profile.constants) };
      return scorer.score(statistics, properties).detectors[0].pValue;
    };
    if (pValue(exposed[0]) <= warn) clean += 1 / count;
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
    clean: tidy(clean),
    causes: cells.map((cell) => {
      const row = { cause: cell.cause, warn: cell.warn.map(tidy), block: cell.block.map(tidy) };
      const from = row.warn.findIndex((_, i) => row.warn.slice(i).every((share) => share >= detected));
      return from < 0 ? row : { ...row, detectedFrom: powerSeverities[from] };
    }),
  };
}

/** Causes that the Profile does not see even at their strongest. */
export function blindTo({ causes }: Power): string[] {
  return causes.filter(({ warn }) => Math.max(...warn) < blind).map(({ cause }) => cause);
}
