import { corruptions, type Severity } from '../image/corruptions/corruptions.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import { constantProperties, type MeasuredImage } from '../image/measured.ts';
import type { SimulatedImage, Simulation } from '../image/simulation.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { createProfile, type ProfileDescription } from '../profile/description.ts';
import { createScorer, type Looks, type Score, type Scorer } from '../profile/score.ts';
import { mapOrdered } from '../run/mapordered.ts';
import type { Pool } from '../run/pool.ts';
import type { EncodedImage } from '../run/task.ts';
import { type Asked, collectAsked } from './classifier.ts';
import type { FittedReference } from './crossfit.ts';
import { deriveSeed, hash } from './groups.ts';
import { type FitOptions, takeEvery } from './options.ts';
import type { PlacedView } from './places.ts';
import { planTrials, type Trial } from './power.ts';
import type { Reference } from './reference.ts';
import type { Look, Sample, SimulatedSample } from './samples.ts';

/** Parts of each simulated image that are measured clean: other content, same camera. */
const cleanParts = 3;
/** Views of each simulated image of which parts are hidden, for where they are. */
const hiddenViews = 4;

/** Which images are looked at again, and how. */
export interface SecondLook {
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

/**
 * Puts a seeded choice of the reference images through the simulated causes, at severities that go round. A classifier is asked
 * along the way: so many images cost it little.
 * @param look.isReported whether the looks go into the power report, too, which wants to know their embeddings
 * @returns what causes are learnt from; the looks at whole images; what the classifier answered, where there is one
 */
export async function simulateReference(
  pool: Pool,
  fitted: Sample[],
  { seed, count, findSource, options, classifier, isReported }: SecondLook & { isReported: boolean },
): Promise<{ simulated: SimulatedSample[]; looks: Look[]; placed: PlacedView[]; asked: Asked[] }> {
  const chosen = chooseFrom(fitted, { seed, count, findSource });
  const asked: Asked[] = [];
  const simulated: SimulatedSample[] = [];
  const looks: Look[] = [];
  const placed: PlacedView[] = [];
  let done = 0;
  const simulate = async (sample: Sample, image: number) => {
    options.signal?.throwIfAborted();
    const plan = planSimulations(image, { seed: deriveSeed(seed, sample.id), images: count });
    const measured = await pool.simulate(findSource(sample.id) as EncodedImage, plan, {
      asks: isReported || classifier !== undefined,
    });
    return { sample, plan, measured };
  };
  const numbered = chosen.map((sample, image) => ({ sample, image }));
  for await (const { sample, plan, measured } of mapOrdered(numbered, pool.info.threads * 2, ({ sample, image }) =>
    simulate(sample, image),
  )) {
    options.onProgress?.({ stage: 'simulate', done: ++done, total: chosen.length, failed: 0 });
    const { fold, drive } = sample;
    for (const [i, { statistics, places, hidden }] of measured.entries()) {
      if (hidden) placed.push({ fold, drive, places, hidden });
      if (plan[i].hides) continue;
      simulated.push({ ...makeView(sample, plan[i]), fold, drive, statistics });
    }
    looks.push(...collectLooks(sample, plan, measured));
    if (classifier) asked.push(collectAsked(sample, plan, measured, classifier));
  }
  return { simulated, looks, placed, asked };
}

/** The looks of a plan at the image as a whole. */
function collectLooks(sample: Sample, plan: readonly Simulation[], measured: readonly SimulatedImage[]): Look[] {
  return plan.flatMap(({ cause, severity, crop, hides }, i): Look[] => {
    const { statistics, embedding, places } = measured[i];
    return crop || hides ? [] : [{ sample, cause, severity, image: { statistics, embedding, places } }];
  });
}

/** What a simulation of an image is to the fit. */
export function makeView(
  { id }: Sample,
  { cause, crop, seed }: Simulation,
): Omit<SimulatedSample, 'fold' | 'drive' | 'statistics'> {
  return { view: `${id} ${crop} ${seed}`, isPart: crop, cause };
}

/**
 * Judges images under every cause at every severity, each by the fit that is without it. The looks that causes were
 * learnt from are most of them; where they are fewer than `count` of a cause and severity, others are made.
 * @returns what became of each; and what the classifier answered to the looks that were made, where there is one
 */
export async function tryCauses(
  pool: Pool,
  { scoreUnseen, samples, looks }: { scoreUnseen: ScoreUnseen; samples: Sample[]; looks: readonly Look[] },
  { seed, count, findSource, options, classifier }: SecondLook,
): Promise<{ trials: Trial[]; asked: Asked[] }> {
  const judge = ({ sample, cause, severity, image }: Look): Trial => {
    const [combined] = scoreUnseen(sample, image).detectors;
    return { cause, severity, pValue: combined.pValue };
  };
  const trials = looks.map(judge);
  const asked: Asked[] = [];
  // Not the order in which images are chosen to learn from.
  const chosen = chooseFrom(samples, { seed: seed + 1, count, findSource });
  const plans = planTrials(chosen, { looks, count, findSeed: ({ id }) => deriveSeed(seed, id) });
  const attempt = async ({ sample, plan }: (typeof plans)[number]) => {
    options.signal?.throwIfAborted();
    const simulated = await pool.simulate(findSource(sample.id) as EncodedImage, plan, { asks: true });
    return {
      made: collectLooks(sample, plan, simulated),
      asked: classifier ? [collectAsked(sample, plan, simulated, classifier)] : [],
    };
  };
  const known = new Set(looks.map(({ sample }) => sample.id));
  let done = 0;
  for await (const { made, ...image } of mapOrdered(plans, pool.info.threads * 2, attempt)) {
    // The clean look at an image that was looked at before would count twice.
    const isNew = ({ sample, cause }: Look) => cause !== undefined || !known.has(sample.id);
    trials.push(...made.filter(isNew).map(judge));
    asked.push(...image.asked);
    options.onProgress?.({ stage: 'power', done: ++done, total: plans.length, failed: 0 });
  }
  return { trials, asked };
}

/** What a reference image, or a simulation of it, scores by the fit that is without it. */
export type ScoreUnseen = (
  sample: Pick<Sample, 'fold' | 'properties'>,
  image: Pick<MeasuredImage, 'statistics'> & Looks,
) => Score;

export function unseenScores(profile: ProfileDescription, model: FittedReference): ScoreUnseen {
  const names = statistics.map(({ name }) => name);
  const scorers = model.folds.map(
    (part) => part && createScorer(createProfile({ ...profile, ...part.description }, part.tensors), names),
  );
  return ({ fold, properties }, image) => {
    const all = { ...properties, ...constantProperties(image.statistics, profile.constants) };
    return (scorers[fold] as Scorer).score(image.statistics, all, image);
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
  const step = takeEvery(images);
  const causes = corruptions.flatMap(({ name }, cause): Simulation[] => {
    const severity = severities[(Math.floor(image / step) + cause) % severities.length];
    return (image + cause) % step === 1 ? [] : [{ cause: name, severity, seed, crop: false }];
  });
  const parts = Array.from(
    { length: cleanParts },
    (_, part): Simulation => ({ severity: 1, seed: seed + part, crop: true }),
  );
  const hidden = Array.from(
    { length: hiddenViews / step },
    (_, view): Simulation => ({ severity: 1, seed: seed + view, crop: false, hides: true }),
  );
  return [{ severity: 1, seed, crop: false }, ...causes, ...parts, ...hidden];
}
