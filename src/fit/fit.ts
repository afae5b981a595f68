import { availableParallelism } from 'node:os';
import { sep } from 'node:path';
import { readingRule } from '../core/reading.ts';
import { StoplineError } from '../errors.ts';
import { decoderVersion } from '../image/decode.ts';
import { decodeRule } from '../image/decoderule.ts';
import { chooseModel } from '../image/embedding/choose.ts';
import type { EmbedderInfo } from '../image/embedding/embedder.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import type { Limits } from '../image/frame.ts';
import type { Mask } from '../image/mask.ts';
import { createProfile, type Profile, type ProfileDescription } from '../profile/description.ts';
import { createPool, isolateModels, type Pool } from '../run/pool.ts';
import type { EncodedImage } from '../run/task.ts';
import { version } from '../version.ts';
import { type BurntIn, findBurntIn } from './burntin.ts';
import { chooseClassifier } from './classifier.ts';
import { chooseStatistics, crossFit, type FittedReference, folds } from './crossfit.ts';
import { chooseExample, type Example, makeExample } from './example.ts';
import { assignFolds, type GroupedBy, groupPattern, withGroups } from './groups.ts';
import { learnHarm } from './harm.ts';
import { leaveOut, restatePromise } from './leaveout.ts';
import { checkOptions, type FitOptions, resolveSecondLook, warnAboutGuesses, warningsAbout } from './options.ts';
import { orderedCorrelation } from './ordered.ts';
import { findOutliers, type Outliers, warnAboutOutliers } from './outliers.ts';
import { achievedFalseAlarms, measurePower, unseenDriveRate } from './power.ts';
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
import type { Sample } from './samples.ts';
import { chooseFrom, simulateReference, tryCauses, unseenScores } from './secondlook.ts';
import { measureVideoRise, withVideoRise } from './video.ts';

/** What a fit made, and what its user should look at before relying on it. */
export interface FitResult {
  profile: Profile;
  skipped: SkippedImage[];
  /** Reference images unlike the rest. They are in the Profile all the same: leaving some out is the user's decision. */
  outliers: Outliers;
  /** Why there is no model, where the default one was not asked for and cannot be run. */
  missingModel?: string;
  /** What looks burnt in (a clock, a logo), to be confirmed and masked; absent where nothing does, or a mask was given. */
  burntIn?: BurntIn[];
  /** What the user should know: rates that cannot be promised, outliers, duplicates, few groups. */
  warnings: string[];
}

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
    const { paths, items, only, follow, seed = 1, signal } = options;
    const again = resolveSecondLook(options);
    const onProgress = (state: { done: number; total?: number | undefined; failed: number }) =>
      options.onProgress?.({ stage: 'measure', ...state });
    return measureReference(pool, { paths, items, only, follow, seed, again, onProgress, signal });
  });
}

/**
 * Fits what `measure` measured, in worker threads that are there for both.
 * @throws {StoplineError} as `fit`
 */
export async function fitReference(
  options: FitOptions,
  measure: (pool: Pool) => Promise<Reference>,
): Promise<FitResult> {
  const plan = await planFit(options);
  const { threads = availableParallelism(), device, limits, mask } = options;
  const { chosen, asking } = plan;
  const classifier = asking?.model;
  const judging = isolateModels(options.model, options.classifier);
  const workers = await createPool({ ...judging, threads, model: chosen.model, classifier, device, limits, mask });
  try {
    await workers.ready();
    const cards = { model: chosen.model?.card, classifier: classifier?.card, ...workers.info, ...(mask && { mask }) };
    const pool = options.measurements?.attach(workers, cards) ?? workers;
    return await fitMeasured(pool, await measure(pool), plan);
  } finally {
    await workers.destroy();
  }
}

/** What the options come to, checked before any image is measured. */
interface FitPlan {
  options: FitOptions;
  seed: number;
  groupBy: string;
  pattern: RegExp | undefined;
  asked: { warn: number; block: number };
  /** Images that are looked at again. */
  simulations: number;
  power: number;
  chosen: Awaited<ReturnType<typeof chooseModel>>;
  asking: Awaited<ReturnType<typeof chooseClassifier>>;
}

/** @throws {StoplineError} OPTION_INVALID, MODEL_* */
async function planFit(options: FitOptions): Promise<FitPlan> {
  const { seed = 1, groupBy = 'folder' } = options;
  const { falseAlarmRate: asked = { warn: 0.01, block: 0.001 } } = options;
  const { simulations, power } = resolveSecondLook(options);
  checkOptions({ seed, asked, simulations, power });
  const pattern = groupPattern(groupBy);
  const chosen = await chooseModel(options.model, options.limits);
  if (options.keepPaths && !chosen.model) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected a model where paths are to be kept, because the nearest images are told by embeddings. ${chosen.missing ?? 'Fit without --model none.'}`,
    );
  }
  const asking = await chooseClassifier(options.classifier, power, options.limits);
  return { options, seed, groupBy, pattern, asked, simulations, power, chosen, asking };
}

async function fitMeasured(pool: Pool, reference: Reference, plan: FitPlan): Promise<FitResult> {
  const { options, seed, simulations, power, chosen, asking } = plan;
  const { skipped, findSource } = reference;
  checkSize(reference, plan.asked.warn);
  const split = splitReference(reference, plan);
  const { samples } = split;
  checkSize({ ...reference, kept: samples }, plan.asked.warn);
  // Found out before minutes of simulating causes, not after them.
  chooseStatistics(samples);
  const classifier = asking?.model;
  const lookAgain = { seed, findSource, options, classifier };
  const isReported = power > 0;
  const again = await simulateReference(pool, samples, { ...lookAgain, count: simulations, isReported });
  const { simulated, looks, placed } = again;
  options.signal?.throwIfAborted();
  options.onProgress?.({ stage: 'train', done: 0, total: 1, failed: skipped.length });
  const model = crossFit(samples, simulated, pool.info.embedder, placed);
  const outliers = findOutliers(samples, model.description);
  const remembered = measureMemory(reference, split, { model, options });
  options.onProgress?.({ stage: 'train', done: 1, total: 1, failed: skipped.length });
  const example =
    options.example === false
      ? undefined
      : await drawExample(reference, samples, { model, seed, limits: options.limits, mask: options.mask });
  const embedder = pool.info.embedder;
  const description = describeFit(reference, split, { plan, model, outliers, remembered, embedder, example });
  const scoreUnseen = unseenScores(description, model);
  const look = { ...lookAgain, count: simulations };
  const rises = await measureVideoRise(pool, { scoreUnseen, samples, model }, look);
  const tried = isReported
    ? await tryCauses(pool, { scoreUnseen, samples, looks }, { ...lookAgain, count: power })
    : { trials: [], asked: [] };
  const harm =
    classifier &&
    learnHarm(classifier, [...again.asked, ...tried.asked], { profile: description, scoreUnseen, samples, seed });
  const burntIn = options.mask ? [] : await findBurntIn(samples, findSource, options.limits);
  const warnings = [...description.warnings, ...(harm?.warnings ?? [])];
  const profile = createProfile(
    {
      ...description,
      detectors: withVideoRise(description.detectors, rises),
      ...(tried.trials.length > 0 && { power: measurePower(description, tried.trials) }),
      ...(harm?.description && { harm: harm.description }),
      ...(harm?.missing && { harmMissing: harm.missing }),
      warnings,
    },
    {
      ...model.tensors,
      ...(remembered && { correlationTimes: remembered.correlationTimes }),
      ...harm?.tensors,
    },
  );
  return {
    ...{ profile, skipped, outliers, warnings },
    ...(chosen.missing && { missingModel: chosen.missing }),
    ...(burntIn.length > 0 && { burntIn }),
  };
}

/** The images of a reference, cut into the parts that are left out in turn. */
interface Split {
  samples: Sample[];
  by: GroupedBy;
  groups: number;
  folds: number;
  /** Images that the user had left out. */
  left: number;
}

/** @throws {StoplineError} OPTION_INVALID */
function splitReference({ kept, folders }: Reference, { pattern, groupBy, seed, options }: FitPlan): Split {
  const grouped = withGroups(kept, { pattern, folders: folders.size, groupBy });
  const split = (grouped: readonly Sample[]) => {
    const foldByGroup = assignFolds(grouped, { folds, seed });
    const samples = grouped.map((sample) => ({ ...sample, fold: foldByGroup.get(sample.group) as number }));
    checkFolds(samples, foldByGroup.size);
    return { samples, groups: foldByGroup.size, folds: new Set(foldByGroup.values()).size };
  };
  const all = split(grouped.samples);
  if (options.leaveOut === undefined) return { ...all, by: grouped.by, left: 0 };
  const stayed = split(leaveOut(all.samples, options.leaveOut));
  return { ...stayed, by: grouped.by, left: all.samples.length - stayed.samples.length };
}

type Remembered = ReturnType<typeof orderedCorrelation>;

/** How long the reference remembers, where its images are in order. */
function measureMemory(
  { kept, measured }: Reference,
  { samples, by, left }: Split,
  { model, options }: { model: FittedReference; options: FitOptions },
): Remembered {
  if (!options.ordered) return undefined;
  const recordings = listRecordings(samples, kept, by);
  return orderedCorrelation(model, { recordings, stride: measured / (samples.length + left) });
}

async function drawExample(
  { findSource }: Reference,
  samples: readonly Sample[],
  {
    model,
    seed,
    limits,
    mask,
  }: { model: FittedReference; seed: number; limits: Limits | undefined; mask: Mask | undefined },
): Promise<Example> {
  const candidates = chooseFrom(samples, { seed: seed + 2, count: exampleCandidates, findSource });
  const { id } = chooseExample(model.unseen.filter(({ sample }) => candidates.some(({ id }) => id === sample.id)));
  return makeExample(id, findSource(id) as EncodedImage, limits, mask);
}

/** Everything that a Profile says in words and counts, but for what is tried on it afterwards. */
function describeFit(
  reference: Reference,
  split: Split,
  fitted: {
    plan: FitPlan;
    model: FittedReference;
    outliers: Outliers;
    remembered: Remembered;
    embedder: EmbedderInfo | undefined;
    example: Example | undefined;
  },
): ProfileDescription {
  const { plan, model, outliers, remembered, embedder, example } = fitted;
  const { options, asked, chosen, asking, seed } = plan;
  const { samples, by, groups, left } = split;
  const { skipped, duplicates, folders } = reference;
  const smallest = 1 / (samples.length + 1);
  const { threshold } = options;
  const promised =
    threshold === 'tail' ? asked : { warn: Math.max(asked.warn, smallest), block: Math.max(asked.block, smallest) };
  const unseenDrive = unseenDriveRate(model.drives, promised, threshold);
  const warnings = [
    ...warningsAbout({ asked, promised, duplicates, skipped: skipped.length, images: samples.length, by, threshold }),
    ...(options.ordered && !remembered ? ['No recording is long enough to tell how long its frames remember.'] : []),
    ...(left > 0 ? [restatePromise({ left, images: samples.length + left }, promised)] : []),
    ...(plan.simulations > 0 && !model.description.places ? [noPlaces] : []),
    ...warnAboutOutliers(outliers, samples.length, promised),
    ...warnAboutGuesses('model', chosen.guesses),
    ...warnAboutGuesses('classifier', asking?.guesses ?? []),
  ];
  const paths = options.keepPaths ? listPaths(model.coreset, samples, options.paths) : undefined;
  return {
    name: options.name ?? 'reference',
    createdAt: (options.createdAt ?? new Date()).toISOString(),
    stopline: version,
    decode: { rule: decodeRule, decoder: decoderVersion, reading: readingRule },
    ...(options.mask && { mask: options.mask }),
    reference: {
      images: reference.measured,
      fitted: samples.length,
      skipped: skipped.length,
      duplicates,
      ...(left > 0 && { leftOut: left }),
      outliers: outliers.count,
      split: { by, groups, folds: split.folds, seed },
      folders: [...folders].slice(0, 4096).map(([folder, images]) => ({ folder, images })),
    },
    falseAlarmRate: {
      asked,
      promised,
      achieved: achievedFalseAlarms(model.unseen, promised, threshold),
      ...(unseenDrive && { unseenDrive }),
      ...(threshold === 'tail' && { threshold }),
    },
    ...model.description,
    ...(remembered && { correlation: remembered.correlation }),
    ...(chosen.model && embedder && { model: { ...modelSection(chosen.model, embedder), ...(paths && { paths }) } }),
    warnings,
    ...(example && { example }),
  };
}

/** Said where what hides a part of the view is not told by place. */
const noPlaces =
  'Nothing is told by place: of reference images in which a twentieth or more was hidden at random, less than a fifth could be told from clean ones, because what is where changes too much from image to image.';

/** What a Profile says of the network that its embeddings come from. */
export function modelSection({ card, answers }: PreparedModel, embedder: EmbedderInfo): NonNullable<Profile['model']> {
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
function listPaths(ids: readonly string[], samples: readonly Sample[], roots: readonly string[]): string[] {
  const byId = new Map(samples.map(({ id, path }) => [id, path]));
  return ids.map((id) => {
    const path = byId.get(id) as string;
    return shortened(path, roots).split(sep).join('/').slice(-4096);
  });
}

/** Ids of the images of each recording, in the order in which they were listed. */
function listRecordings(samples: readonly Sample[], kept: readonly ReferenceSample[], by: GroupedBy): string[][] {
  const recordings = new Map<string, string[]>();
  const folders = new Map(kept.map(({ id, listed }) => [id, listed.folder]));
  for (const { id, group } of samples) {
    const name = by === 'pattern' ? group : (folders.get(id) as string);
    const ids = recordings.get(name);
    if (ids) ids.push(id);
    else recordings.set(name, [id]);
  }
  return [...recordings.values()];
}

/** Clean scores come from fits that have not seen a group, so there must be enough other images to fit them on. */
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
