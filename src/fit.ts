import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { sep } from 'node:path';
import type { Items } from './batch/items.ts';
import { type Asked, askedOf, chooseClassifier } from './classifier.ts';
import { corruptions, type Severity } from './corruptions.ts';
import { decodeRule, decoderVersion } from './decode.ts';
import { orderedCorrelation } from './drift/ordered.ts';
import { chooseModel } from './embedding/choose.ts';
import type { EmbedderInfo, PreparedModel } from './embedding/index.ts';
import { StoplineError } from './errors.ts';
import { chooseExample, makeExample } from './example.ts';
import type { Exposure } from './exposure.ts';
import { fitHarm, harmRow, harmTensors, measureHarm } from './harm.ts';
import { constantProperties, type MeasuredImage } from './measure.ts';
import { chooseStatistics, type ExposedSample, fitModel, folds, type Model, type Sample } from './model.ts';
import { findOutliers, type Outliers, warnOfOutliers } from './outliers.ts';
import { mapOrdered } from './pipeline.ts';
import { createPool, type Pool } from './pool.ts';
import { achievedFalseAlarms, measurePower, powerPlan } from './power.ts';
import { createProfile, type Profile, type ProfileDescription } from './profile.ts';
import {
  checkSize,
  exampleCandidates,
  measureReference,
  minImages,
  type Reference,
  type ReferenceSample,
  type SkippedImage,
  shortened,
} from './reference.ts';
import { createScorer, type Score, type Scorer } from './score.ts';
import { assignFolds, type GroupedBy, groupPattern, hash, seedOf, withGroups } from './split.ts';
import { statistics } from './statistics.ts';
import type { EncodedImage } from './worker.ts';

export interface FitOptions {
  /** Files and folders (recursive). */
  paths: string[];
  /** Images from elsewhere, as `openItems` lists them; the paths then only shorten their names. */
  items?: Items;
  /** Which of the images under the paths are taken; default: all. */
  only?: (image: { path: string; folder: string }) => boolean;
  /** Shown in every verdict; default 'reference'. */
  name?: string;
  /** Decides which groups are left out together, and which images are exposed; default 1. */
  seed?: number;
  /** 'folder' (the default), 'none', or a regular expression whose first group (or whole match) names the group of a path. */
  groupBy?: string;
  /** Worker threads; default: number of cores. The Profile does not depend on it. */
  threads?: number;
  /** Rates to promise; default 1 % and 0.1 %. */
  falseAlarmRate?: { warn: number; block: number };
  /**
   * The images of each recording (folder, or match of `groupBy`) are frames in the natural order of their names: the Profile then
   * knows how long they remember, and drift counts neighbours for what they are. Default false.
   */
  ordered?: boolean;
  /** Written into the Profile; default: now. */
  createdAt?: Date;
  /**
   * How many reference images are put through the simulated causes, to learn what each looks like here; 0 for none.
   * Default 120. Costs about half a second an image of 480x360 on two cores.
   */
  exposures?: number;
  /**
   * How many reference images are put through every simulated cause at every severity, each judged by a model that was not
   * fitted on it, to report what the Profile can see; 0 for no report. Default 20, and 30 where a classifier is asked.
   */
  power?: number;
  /**
   * The model whose embeddings say what is in an image: `none`, `default`, or the path of one. Default: the default model
   * where it can be run, else none.
   */
  model?: string;
  /**
   * The classifier that is to be watched, as of `model`: it is asked for its answers to the images of the power report, so
   * that verdicts say how often an answer to such an image is expected to flip. Default: none.
   */
  classifier?: string | PreparedModel;
  /** Where the networks are run; `gpu` falls back to the CPU. Default: cpu. */
  device?: 'cpu' | 'gpu';
  /** Keep the paths of up to 1000 reference images, so that verdicts can name those that are most alike. Default false. */
  keepPaths?: boolean;
  /**
   * Store a small picture (at most 320 pixels, 20 kB) of one typical reference image in the Profile, on which reports show
   * the causes; false for none. Default true.
   */
  example?: boolean;
  onProgress?: (progress: {
    stage: 'measure' | 'expose' | 'train' | 'power';
    done: number;
    /** Not known where only reading everything would tell. */
    total?: number;
    failed: number;
  }) => void;
  signal?: AbortSignal;
}

export interface FitResult {
  profile: Profile;
  skipped: SkippedImage[];
  /** Reference images unlike the rest. They are in the Profile all the same: leaving some out is the user's decision. */
  outliers: Outliers;
  /** Why there is no model, where the default one was not asked for and cannot be run. */
  missingModel?: string;
  /** What the user should know: rates that cannot be promised, outliers, duplicates, few groups. */
  warnings: string[];
}

/** Reference images as they are that the harm map is fitted on, at most. */
const cleanAsked = 500;
/** Parts of each exposed image that are measured clean, besides the one put through causes. */
const cleanParts = 2;

const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

/**
 * Learns what the reference population looks like.
 *
 * Images are measured in worker threads; what a clean image scores is learnt by leaving out whole groups in turn (folders,
 * matches of `groupBy`, or blocks of neighbouring frames), because neighbouring frames of one recording leak. Deterministic
 * for a seed, whatever the number of threads.
 * @throws {StoplineError} INPUT_*, OPTION_INVALID, MODEL_*, FIT_TOO_FEW_IMAGES, FIT_NO_VARIATION
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  return fitReference(options, (pool) => {
    const { paths, items, only, seed = 1, signal } = options;
    const again = lookAgainOf(options);
    const onProgress = (state: { done: number; total?: number; failed: number }) =>
      options.onProgress?.({ stage: 'measure', ...state });
    return measureReference(pool, { paths, items, only, seed, again, onProgress, signal });
  });
}

/** How many images are looked at again, under causes. A harm map of twenty would vary by which they are. */
export function lookAgainOf({
  exposures = 120,
  power,
  classifier,
}: Pick<FitOptions, 'exposures' | 'power' | 'classifier'>): { exposures: number; power: number } {
  return { exposures, power: power ?? (classifier === undefined ? 20 : 30) };
}

/**
 * Fits what `measure` measured, in worker threads that are there for both.
 * @throws {StoplineError} as `fit`
 */
export async function fitReference(
  options: FitOptions,
  measure: (pool: Pool) => Promise<Reference>,
): Promise<FitResult> {
  const { paths, seed = 1, groupBy = 'folder', threads = availableParallelism() } = options;
  const { falseAlarmRate: asked = { warn: 0.01, block: 0.001 } } = options;
  const { exposures, power } = lookAgainOf(options);
  checkOptions({ seed, asked, exposures, power });
  const pattern = groupPattern(groupBy);
  const chosen = await chooseModel(options.model);
  if (options.keepPaths && !chosen.model) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected a model where paths are to be kept, because the nearest images are told by embeddings. ${chosen.missing ?? 'Fit without --model none'}`,
    );
  }
  const asking = await chooseClassifier(options.classifier, power);
  const classifier = asking?.model;
  const pool = await createPool({ threads, isBatch: true, model: chosen.model, classifier, device: options.device });
  try {
    await pool.ready();
    const { embedder } = pool.info;
    const reference = await measure(pool);
    checkSize(reference, asked.warn);
    const { kept, skipped, duplicates, folders, sourceOf } = reference;
    const grouped = withGroups(kept, { pattern, folders: folders.size, groupBy });
    const { by } = grouped;
    const foldOf = assignFolds(grouped.samples, { folds, seed });
    const samples = grouped.samples.map((sample) => ({ ...sample, fold: foldOf.get(sample.group) as number }));
    checkFolds(samples, foldOf.size);
    // Found out before minutes of simulating causes, not after them.
    chooseStatistics(samples);
    const lookAgain = { seed, sourceOf, options, classifier };
    const { exposed, asked: answered } = await exposeReference(pool, samples, { ...lookAgain, count: exposures });
    options.signal?.throwIfAborted();
    options.onProgress?.({ stage: 'train', done: 0, total: 1, failed: skipped.length });
    const model = fitModel(samples, exposed, embedder);
    const outliers = findOutliers(samples, model.description);
    const ordered = options.ordered && {
      recordings: recordingsOf(samples, kept, by),
      stride: reference.measured / samples.length,
    };
    const remembered = ordered && orderedCorrelation(model, ordered);
    options.onProgress?.({ stage: 'train', done: 1, total: 1, failed: skipped.length });
    const smallest = 1 / (samples.length + 1);
    const promised = { warn: Math.max(asked.warn, smallest), block: Math.max(asked.block, smallest) };
    const warnings = [
      ...warningsAbout({ asked, promised, duplicates, skipped: skipped.length, images: samples.length, by }),
      ...(ordered && !remembered ? ['No recording is long enough to tell how long its frames remember.'] : []),
      ...warnOfOutliers(outliers, samples.length, promised),
      ...warnOfGuesses('model', chosen.guesses),
      ...warnOfGuesses('classifier', asking?.guesses ?? []),
    ];
    const whole: ProfileDescription = {
      name: options.name ?? 'reference',
      createdAt: (options.createdAt ?? new Date()).toISOString(),
      stopline: version,
      decode: { rule: decodeRule, decoder: decoderVersion },
      reference: {
        images: reference.measured,
        fitted: samples.length,
        skipped: skipped.length,
        duplicates,
        outliers: outliers.count,
        split: { by, groups: foldOf.size, folds: new Set(foldOf.values()).size, seed },
        folders: [...folders].slice(0, 4096).map(([folder, images]) => ({ folder, images })),
      },
      falseAlarmRate: { asked, promised, achieved: achievedFalseAlarms(model.unseen, promised) },
      ...model.description,
      ...(remembered && { correlation: remembered.correlation }),
      ...(chosen.model && embedder && { model: modelSection(chosen.model, embedder) }),
      warnings,
    };
    if (whole.model && options.keepPaths) whole.model.paths = pathsOf(model.coreset, samples, paths);
    if (options.example !== false) {
      const candidates = chooseFrom(samples, { seed: seed + 2, count: exampleCandidates, sourceOf });
      const { id } = chooseExample(model.unseen.filter(({ sample }) => candidates.some(({ id }) => id === sample.id)));
      whole.example = await makeExample(id, sourceOf(id) as EncodedImage);
    }
    const scoreOf = unseenScores(whole, model);
    const tried = await tryCauses(pool, { scoreOf, samples }, { ...lookAgain, count: power });
    const harm =
      classifier && learnHarm(classifier, [...answered, ...tried.asked], { profile: whole, scoreOf, samples, seed });
    const profile = createProfile(
      {
        ...whole,
        ...(power > 0 && { power: measurePower(whole, tried.pValues) }),
        ...(harm && { harm: harm.description }),
      },
      {
        ...model.tensors,
        ...(remembered && { correlationTimes: remembered.correlationTimes }),
        ...harm?.tensors,
      },
    );
    return { profile, skipped, outliers, ...(chosen.missing && { missingModel: chosen.missing }), warnings };
  } finally {
    await pool.destroy();
  }
}

/** Which images are looked at again, and how. */
interface SecondLook {
  seed: number;
  count: number;
  sourceOf: Reference['sourceOf'];
  options: FitOptions;
  classifier?: PreparedModel;
}

/** Of the images that can be looked at again: all, where they are files; those kept for it, where they are not. */
function chooseFrom(
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
async function exposeReference(
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
async function tryCauses(
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
type ScoreOf = (sample: Sample, image: Pick<MeasuredImage, 'statistics' | 'embedding'>) => Score;

function unseenScores(profile: ProfileDescription, model: Model): ScoreOf {
  const names = statistics.map(({ name }) => name);
  const scorers = model.folds.map(
    (part) => part && createScorer(createProfile({ ...profile, ...part.description }, part.tensors), names),
  );
  return ({ fold, properties }, image) => {
    const all = { ...properties, ...constantProperties(image.statistics, profile.constants) };
    return (scorers[fold] as Scorer).score(image.statistics, all, image.embedding);
  };
}

/** What the classifier's answers teach: the table of the report, and the map of the verdicts. */
function learnHarm(
  { card }: PreparedModel,
  asked: readonly Asked[],
  about: { profile: ProfileDescription; scoreOf: ScoreOf; samples: Sample[]; seed: number },
) {
  const { profile, scoreOf, samples, seed } = about;
  const rowOf = ({ detectors: [combined], causes }: Score) =>
    harmRow(combined.score, causes, profile.causes?.names ?? []);
  const tried = asked.map(({ sample, exposures }) => ({
    rows: exposures.map(({ image }) => rowOf(scoreOf(sample, image))),
    flips: exposures.map(({ isFlipped }) => isFlipped),
  }));
  const clean = choose(samples, cleanAsked, seed + 2).map((sample) => rowOf(scoreOf(sample, sample)));
  const images = new Set(asked.map(({ sample }) => sample.id)).size;
  const { name, sha256 } = card;
  return {
    description: { classifier: { name, sha256 }, images, causes: measureHarm(asked) },
    tensors: harmTensors(fitHarm(tried, clean)),
  };
}

function warnOfGuesses(what: string, guesses: readonly string[]): string[] {
  return guesses.length === 0 ? [] : [`The ${what} has no card, so this is guessed: ${guesses.join('; ')}.`];
}

function modelSection({ card, answers }: PreparedModel, embedder: EmbedderInfo): NonNullable<Profile['model']> {
  const { model: name, sha256, dimension, parts } = embedder;
  // What this machine's CPU answered holds for whoever uses the Profile, too.
  return {
    name,
    sha256,
    dimension,
    parts,
    card: { ...card, answers: card.answers.length > 0 ? card.answers : answers },
  };
}

/** Paths of images of the reference, from the folders that were named on. */
function pathsOf(ids: readonly string[], samples: readonly Sample[], roots: readonly string[]): string[] {
  const byId = new Map(samples.map(({ id, path }) => [id, path]));
  return ids.map((id) => {
    const path = byId.get(id) as string;
    return shortened(path, roots).split(sep).join('/').slice(-4096);
  });
}

/** Ids of the images of each recording, in the order in which they were listed. */
function recordingsOf(samples: readonly Sample[], kept: readonly ReferenceSample[], by: GroupedBy): string[][] {
  const recordings = new Map<string, string[]>();
  for (const [i, { id, group }] of samples.entries()) {
    const name = by === 'pattern' ? group : kept[i].listed.folder;
    const ids = recordings.get(name);
    if (ids) ids.push(id);
    else recordings.set(name, [id]);
  }
  return [...recordings.values()];
}

/** Clean scores come from models that have not seen a group, so there must be enough other images to fit them on. */
function checkFolds(samples: readonly Sample[], groups: number): void {
  const sizes = new Array<number>(folds).fill(0);
  for (const { fold } of samples) sizes[fold]++;
  const left = samples.length - Math.max(...sizes);
  if (left < minImages / 2) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected at least two groups of similar size, but of ${samples.length} images in ${groups} ${groups === 1 ? 'group' : 'groups'} only ${left} are left to fit when the largest group is left out. Use another pattern for group-by, or none.`,
    );
  }
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

function checkOptions({
  seed,
  asked,
  exposures,
  power,
}: {
  seed: number;
  asked: { warn: number; block: number };
  exposures: number;
  power: number;
}) {
  const expect = (ok: boolean, text: string, value: number) => {
    if (!ok) throw new StoplineError('OPTION_INVALID', `Expected ${text} but received ${value}.`);
  };
  expect(Number.isSafeInteger(seed), 'an integer for seed', seed);
  expect(
    exposures === 0 || (Number.isSafeInteger(exposures) && exposures >= 10 && exposures <= 1000),
    'none or 10 to 1000 images for exposures',
    exposures,
  );
  expect(Number.isSafeInteger(power) && power >= 0 && power <= 1000, '0 to 1000 images for power', power);
  expect(
    asked.warn > 0 && asked.warn < 0.5,
    'a rate above 0 and below 0.5 for the false-alarm rate of warn',
    asked.warn,
  );
  expect(
    asked.block > 0 && asked.block <= asked.warn,
    `a rate above 0 and at most ${asked.warn} for the false-alarm rate of block`,
    asked.block,
  );
}

function warningsAbout(facts: {
  asked: { warn: number; block: number };
  promised: { warn: number; block: number };
  duplicates: number;
  skipped: number;
  images: number;
  by: GroupedBy;
}): string[] {
  const { asked, promised, duplicates, skipped, images, by } = facts;
  const warnings: string[] = [];
  for (const level of ['warn', 'block'] as const) {
    if (promised[level] > asked[level]) {
      warnings.push(
        `A false-alarm rate of ${asked[level]} for ${level} needs ${Math.ceil(1 / asked[level] - 1)} reference images; ` +
          `${images} can promise ${promised[level].toPrecision(2)}, which is used.`,
      );
    }
  }
  if (duplicates > 0) warnings.push(`${duplicates} images are exact copies of others and were counted once.`);
  if (skipped > 0) warnings.push(`${skipped} images could not be used and were skipped.`);
  if (by === 'image') {
    warnings.push(
      'Left out image by image: if these are frames of recordings, neighbouring frames leak and the promised rate is too low. Group them.',
    );
  }
  return warnings;
}
