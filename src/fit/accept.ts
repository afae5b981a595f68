import { asStoplineError } from '../errors.ts';
import { defaultLimits } from '../image/frame.ts';
import type { Profile } from '../profile/description.ts';
import { PValues } from '../profile/maths/pvalues.ts';
import type { Verdict } from '../profile/verdict.ts';
import type { Items } from '../run/inputs/item.ts';
import { openItems } from '../run/inputs/items.ts';
import type { LeftOutCount } from '../run/inputs/leftout.ts';
import { createObjectStore } from '../run/objects.ts';
import { createPool, isolateModels, type Pool, type PoolOptions } from '../run/pool.ts';
import { fit } from './fit.ts';
import type { FitOptions } from './options.ts';
import type { SkippedImage } from './reference.ts';

export interface AcceptOptions
  extends Pick<
    FitOptions,
    'groupBy' | 'simulations' | 'power' | 'threads' | 'limits' | 'measurements' | 'onProgress' | 'signal'
  > {
  /** The Profile in force. */
  profile: Profile;
  /** Images that people have looked at and found to be as they should be, wherever `score` would take them from. */
  accepted: string[];
  /**
   * The images that the Profile was fitted on. A Profile holds what fitting made of them, and neither them nor what simulated
   * causes do to them, which is needed to fit again; kept in it, that would be some kB an image.
   */
  reference: string[];
  /** See `FitOptions`; default: none where the Profile has none. */
  model?: string;
  /** Address of the store of `s3://` where it is not that of AWS. */
  s3Endpoint?: string | undefined;
  /** Whether symbolic links are followed; default true. */
  follow?: boolean | undefined;
}

/** How often each verdict was given. */
export type Verdicts = Record<Verdict['verdict'], number>;

/** What accepting images changes, to be looked at before it is put into force. */
export interface Acceptance {
  profile: Profile;
  /** Fitted images, before and after. */
  images: [before: number, after: number];
  /** The accepted images by the Profile before, and by the one after, which has seen them. */
  accepted: { before: Verdicts; after: Verdicts };
  /** Score from which an image is warned of or blocked. */
  thresholds: Record<'warn' | 'block', [before: number, after: number]>;
  /** Causes that are blocked from another severity on; undefined where none of the five is seen. Only where both have a report. */
  power: { cause: string; before?: number | undefined; after?: number | undefined }[];
  warnings: string[];
  /** Images of either kind that could not be read, and are in neither. */
  skipped: SkippedImage[];
  /** What was not looked at. */
  leftOut: LeftOutCount[];
}

/**
 * Folds images into a new version of a Profile, by fitting it again on the reference and them, with the same seed, rates and name.
 *
 * Nothing is written: accepted images raise thresholds, so what the Profile loses belongs before the eyes of whoever decides.
 * @throws {StoplineError} what `fit` throws
 */
export async function acceptImages(options: AcceptOptions): Promise<Acceptance> {
  const { profile, accepted, reference, follow, threads, groupBy, simulations, power, measurements } = options;
  const { limits, onProgress, signal } = options;
  const { seed } = profile.reference.split;
  const model = profile.model ? options.model : 'none';
  const inputs = {
    store: createObjectStore({ endpoint: options.s3Endpoint }),
    maxBytes: limits?.maxBytes ?? defaultLimits.maxBytes,
    follow,
  };
  const paths = [...reference, ...accepted];
  const items = await openItems(paths, inputs);
  const fitted = await fit({
    paths,
    items,
    name: profile.name,
    falseAlarmRate: profile.falseAlarmRate.asked,
    threshold: profile.falseAlarmRate.threshold,
    keepPaths: profile.model?.paths !== undefined,
    example: profile.example !== undefined,
    seed,
    model,
    threads,
    groupBy,
    simulations,
    power,
    limits,
    measurements,
    onProgress,
    signal,
  });
  const after = fitted.profile;
  const reviewed = await openItems(accepted, inputs);
  const path = model === 'none' || model === 'default' ? undefined : model;
  return {
    profile: after,
    images: [profile.reference.fitted, after.reference.fitted],
    accepted: {
      before: await collectVerdicts(reviewed, { profile, model: path, threads, limits }),
      after: await collectVerdicts(reviewed, { profile: after, model: path, threads, limits }),
    },
    thresholds: {
      warn: [readThreshold(profile, 'warn'), readThreshold(after, 'warn')],
      block: [readThreshold(profile, 'block'), readThreshold(after, 'block')],
    },
    power: powerChanges(profile, after),
    warnings: fitted.warnings,
    skipped: fitted.skipped,
    leftOut: items.leftOut.toJSON(),
  };
}

async function collectVerdicts(images: Items, options: PoolOptions): Promise<Verdicts> {
  const counts: Verdicts = { pass: 0, warn: 0, block: 0 };
  const pool: Pool = await createPool({ ...isolateModels(options.model), ...options });
  try {
    await pool.ready();
    for await (const { path, target = path, codec, read } of images) {
      try {
        const bytes = await read?.();
        const source = bytes && codec !== undefined ? { bytes, codec } : bytes;
        const { verdict } = source ? await pool.inspect(source) : await pool.inspectFile(target as string);
        counts[verdict] += 1;
      } catch (error) {
        // One that cannot be read was skipped when it was fitted, and is told there.
        if (asStoplineError(error).status >= 500) throw error;
      }
    }
    return counts;
  } finally {
    await pool.destroy();
  }
}

/** The score from which on images are warned about or blocked. */
function readThreshold({ falseAlarmRate, detectors, tensors }: Profile, level: 'warn' | 'block'): number {
  const { promised, threshold } = falseAlarmRate;
  return new PValues(tensors[`${detectors[0].name}Scores`].data, threshold).limit(promised[level]);
}

function powerChanges(before: Profile, after: Profile): Acceptance['power'] {
  return (before.power?.causes ?? []).flatMap(({ cause, detectedFrom }) => {
    const now = after.power?.causes.find((row) => row.cause === cause);
    return now && now.detectedFrom !== detectedFrom ? [{ cause, before: detectedFrom, after: now.detectedFrom }] : [];
  });
}
