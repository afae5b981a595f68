import { corruptions, type Severity } from '../image/corruptions/corruptions.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import { constantProperties, type MeasuredImage } from '../image/measure.ts';
import type { Simulation } from '../image/simulation.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { createProfile, type ProfileDescription } from '../profile/description.ts';
import { createScorer, type Score, type Scorer } from '../profile/score.ts';
import { mapOrdered } from '../run/mapordered.ts';
import type { Pool } from '../run/pool.ts';
import type { EncodedImage } from '../run/task.ts';
import { type Asked, collectAsked } from './classifier.ts';
import type { FittedReference } from './crossfit.ts';
import { deriveSeed, hash } from './groups.ts';
import type { FitOptions } from './options.ts';
import { powerPlan } from './power.ts';
import type { Reference } from './reference.ts';
import type { Sample, SimulatedSample } from './samples.ts';

/** Parts of each simulated image that are measured clean: other content, same camera. */
const cleanParts = 3;

/** Which images are looked at again, and how. */
interface SecondLook {
  seed: number;
  count: number;
  findSource: Reference['findSource'];
  options: FitOptions;
  classifier?: PreparedModel | undefined;
}

/** Chooses among the images that can be looked at again: all files, and the other images whose bytes were kept. */
export function chooseFrom(
  samples: readonly Sample[],
  { seed, count, findSource }: Pick<SecondLook, 'seed' | 'count' | 'findSource'>,
): Sample[] {
  return choose(
    samples.filter(({ id }) => findSource(id) !== undefined),
    count,
    seed,
  );
}

const severities: readonly Severity[] = [1, 3, 5, 2, 4];

/** From so many images on each is put through every other cause only: more of a cause teach little more. */
const enough = 100;

/**
 * Puts a seeded choice of the reference images through the simulated causes, at severities that go round. A classifier is asked along the way: so many images cost it little.
 */
export async function simulateReference(
  pool: Pool,
  fitted: Sample[],
  { seed, count, findSource, options, classifier }: SecondLook,
): Promise<{ simulated: SimulatedSample[]; asked: Asked[] }> {
  const chosen = chooseFrom(fitted, { seed, count, findSource });
  const asked: Asked[] = [];
  const simulated: SimulatedSample[] = [];
  let done = 0;
  const simulate = async (sample: Sample, image: number) => {
    options.signal?.throwIfAborted();
    const plan = planSimulations(image, { seed: deriveSeed(seed, sample.id), images: count });
    const measured = await pool.simulate(findSource(sample.id) as EncodedImage, plan, {
      asks: classifier !== undefined,
    });
    return { sample, plan, measured };
  };
  const numbered = chosen.map((sample, image) => ({ sample, image }));
  for await (const { sample, plan, measured } of mapOrdered(numbered, pool.info.threads * 2, ({ sample, image }) =>
    simulate(sample, image),
  )) {
    options.onProgress?.({ stage: 'simulate', done: ++done, total: chosen.length, failed: 0 });
    for (const [i, { statistics }] of measured.entries()) {
      simulated.push({ ...makeView(sample, plan[i]), fold: sample.fold, drive: sample.drive, statistics });
    }
    if (classifier) asked.push(collectAsked(sample, plan, measured, classifier));
  }
  return { simulated, asked };
}

/** What an simulation of an image is to the fit. */
export function makeView(
  { id }: Sample,
  { cause, crop, seed }: Simulation,
): Omit<SimulatedSample, 'fold' | 'drive' | 'statistics'> {
  return { view: `${id} ${crop} ${seed}`, isPart: crop, cause };
}

/**
 * Puts images through every cause at every severity, and judges each by the model that was not fitted on it.
 * @returns per image, p-values in the order of `powerPlan`; and what the classifier answered, where there is one
 */
export async function tryCauses(
  pool: Pool,
  { scoreUnseen, samples }: { scoreUnseen: ScoreUnseen; samples: Sample[] },
  { seed, count, findSource, options, classifier }: SecondLook,
): Promise<{ pValues: number[][]; asked: Asked[] }> {
  // Not the order in which images are chosen to learn from.
  const chosen = chooseFrom(samples, { seed: seed + 1, count, findSource });
  const pValues: number[][] = [];
  const asked: Asked[] = [];
  const attempt = async (sample: Sample) => {
    options.signal?.throwIfAborted();
    const plan = powerPlan(deriveSeed(seed, sample.id));
    const simulated = await pool.simulate(findSource(sample.id) as EncodedImage, plan, { asks: true });
    const scores = simulated.map((image) => scoreUnseen(sample, image));
    return {
      pValues: scores.map(({ detectors: [combined] }) => combined.pValue),
      asked: classifier ? [collectAsked(sample, plan, simulated, classifier)] : [],
    };
  };
  for await (const image of mapOrdered(chosen, pool.info.threads * 2, attempt)) {
    pValues.push(image.pValues);
    asked.push(...image.asked);
    options.onProgress?.({ stage: 'power', done: pValues.length, total: chosen.length, failed: 0 });
  }
  return { pValues, asked };
}

/** What a reference image, or an simulation of it, scores by the model that was not fitted on it. */
export type ScoreUnseen = (sample: Sample, image: Pick<MeasuredImage, 'statistics' | 'embedding'>) => Score;

export function unseenScores(profile: ProfileDescription, model: FittedReference): ScoreUnseen {
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
 * What one image is put through: every cause once, or of many images every other cause, of which the next image has the other
 * half. Severities go round: for the same cost many images under one cause teach more than many kinds of the cause on one image.
 * @param options.images how many images are put through causes in all
 */
export function planSimulations(image: number, { seed, images }: { seed: number; images: number }): Simulation[] {
  const step = images < enough ? 1 : 2;
  const causes = corruptions.flatMap(({ name }, cause): Simulation[] => {
    const severity = severities[(Math.floor(image / step) + cause) % severities.length];
    return (image + cause) % step === 1 ? [] : [{ cause: name, severity, seed, crop: false }];
  });
  const parts = Array.from(
    { length: cleanParts },
    (_, part): Simulation => ({ severity: 1, seed: seed + part, crop: true }),
  );
  return [{ severity: 1, seed, crop: false }, ...causes, ...parts];
}
