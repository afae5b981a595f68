import { corruptions, type Severity } from '../image/corruptions/corruptions.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import type { Exposure } from '../image/exposure.ts';
import { constantProperties, type MeasuredImage } from '../image/measure.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { createProfile, type ProfileDescription } from '../profile/description.ts';
import { createScorer, type Score, type Scorer } from '../profile/score.ts';
import { mapOrdered } from '../run/mapordered.ts';
import type { Pool } from '../run/pool.ts';
import type { EncodedImage } from '../run/task.ts';
import { type Asked, askedOf } from './classifier.ts';
import type { Model } from './crossfit.ts';
import { hash, seedOf } from './groups.ts';
import type { FitOptions } from './options.ts';
import { powerPlan } from './power.ts';
import type { Reference } from './reference.ts';
import type { ExposedSample, Sample } from './samples.ts';

/** Parts of each exposed image that are measured clean, besides the one put through causes. */
const cleanParts = 2;

/** Which images are looked at again, and how. */
interface SecondLook {
  seed: number;
  count: number;
  sourceOf: Reference['sourceOf'];
  options: FitOptions;
  classifier?: PreparedModel;
}

/** Of the images that can be looked at again: all, where they are files; those kept for it, where they are not. */
export function chooseFrom(
  samples: readonly Sample[],
  { seed, count, sourceOf }: Pick<SecondLook, 'seed' | 'count' | 'sourceOf'>,
): Sample[] {
  return choose(
    samples.filter(({ id }) => sourceOf(id) !== undefined),
    count,
    seed,
  );
}

const severities: readonly Severity[] = [1, 3, 5, 2, 4];

/**
 * Puts a seeded choice of the reference images through every simulated cause, half of them on the whole image and half on a
 * part of it, at severities that go round. A classifier is asked along the way: so many images cost it little.
 */
export async function exposeReference(
  pool: Pool,
  fitted: Sample[],
  { seed, count, sourceOf, options, classifier }: SecondLook,
): Promise<{ exposed: ExposedSample[]; asked: Asked[] }> {
  const chosen = chooseFrom(fitted, { seed, count, sourceOf });
  const asked: Asked[] = [];
  const exposed: ExposedSample[] = [];
  let done = 0;
  const expose = async (sample: Sample, image: number) => {
    options.signal?.throwIfAborted();
    const plan = planOf(image, seedOf(seed, sample.id));
    const measured = await pool.expose(sourceOf(sample.id) as EncodedImage, plan, { asks: classifier !== undefined });
    return { sample, plan, measured };
  };
  const numbered = chosen.map((sample, image) => ({ sample, image }));
  for await (const { sample, plan, measured } of mapOrdered(numbered, pool.info.threads * 2, ({ sample, image }) =>
    expose(sample, image),
  )) {
    options.onProgress?.({ stage: 'expose', done: ++done, total: chosen.length, failed: 0 });
    for (const [i, { statistics }] of measured.entries()) {
      exposed.push({ ...viewOf(sample, plan[i]), fold: sample.fold, statistics });
    }
    if (classifier) asked.push(askedOf(sample, plan, measured, classifier));
  }
  return { exposed, asked };
}

/** What an exposure of an image is to the fit. */
export function viewOf({ id }: Sample, { cause, crop, seed }: Exposure): Omit<ExposedSample, 'fold' | 'statistics'> {
  return { view: `${id} ${crop} ${seed}`, isPart: crop, cause };
}

/**
 * Puts images through every cause at every severity, and judges each by the model that was not fitted on it.
 * @returns per image, p-values in the order of `powerPlan`; and what the classifier answered, where there is one
 */
export async function tryCauses(
  pool: Pool,
  { scoreOf, samples }: { scoreOf: ScoreOf; samples: Sample[] },
  { seed, count, sourceOf, options, classifier }: SecondLook,
): Promise<{ pValues: number[][]; asked: Asked[] }> {
  // Not the order in which images are chosen to learn from.
  const chosen = chooseFrom(samples, { seed: seed + 1, count, sourceOf });
  const pValues: number[][] = [];
  const asked: Asked[] = [];
  const attempt = async (sample: Sample) => {
    options.signal?.throwIfAborted();
    const plan = powerPlan(seedOf(seed, sample.id));
    const exposed = await pool.expose(sourceOf(sample.id) as EncodedImage, plan, { asks: true });
    const scores = exposed.map((image) => scoreOf(sample, image));
    return {
      pValues: scores.map(({ detectors: [combined] }) => combined.pValue),
      asked: classifier ? [askedOf(sample, plan, exposed, classifier)] : [],
    };
  };
  for await (const image of mapOrdered(chosen, pool.info.threads * 2, attempt)) {
    pValues.push(image.pValues);
    asked.push(...image.asked);
    options.onProgress?.({ stage: 'power', done: pValues.length, total: chosen.length, failed: 0 });
  }
  return { pValues, asked };
}

/** What a reference image, or an exposure of it, scores by the model that was not fitted on it. */
export type ScoreOf = (sample: Sample, image: Pick<MeasuredImage, 'statistics' | 'embedding'>) => Score;

export function unseenScores(profile: ProfileDescription, model: Model): ScoreOf {
  const names = statistics.map(({ name }) => name);
  const scorers = model.folds.map(
    (part) => part && createScorer(createProfile({ ...profile, ...part.description }, part.tensors), names),
  );
  return ({ fold, properties }, image) => {
    const all = { ...properties, ...constantProperties(image.statistics, profile.constants) };
    return (scorers[fold] as Scorer).score(image.statistics, all, image.embedding);
  };
}

/** The same for a seed, whatever the order of the samples. */
export function choose(samples: readonly Sample[], count: number, seed: number): Sample[] {
  return [...samples].sort((a, b) => (hash(seed, a.id) < hash(seed, b.id) ? -1 : 1)).slice(0, count);
}

/**
 * What one image is put through: every cause once, half of them on the whole image and the other half on a part of it. The
 * next image has it the other way round, and severities go round: for the same cost many images under one cause teach more
 * than many kinds of the cause on one image.
 */
export function planOf(image: number, seed: number): Exposure[] {
  const clean = [false, true].map((crop): Exposure => ({ severity: 1, seed, crop }));
  const causes = corruptions.map(({ name }, cause): Exposure => {
    const severity = severities[(Math.floor(image / 2) + cause) % severities.length];
    return { cause: name, severity, seed, crop: (image + cause) % 2 === 1 };
  });
  const parts = Array.from(
    { length: cleanParts },
    (_, part): Exposure => ({ severity: 1, seed: seed + 1 + part, crop: true }),
  );
  return [...clean, ...causes, ...parts];
}
