import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import { asStoplineError, StoplineError } from '../../src/errors.ts';
import { folds as modelFolds } from '../../src/fit/crossfit.ts';
import { modelSection } from '../../src/fit/fit.ts';
import { assignFolds, deriveSeed, type GroupedBy, groupPattern, hash, withGroups } from '../../src/fit/groups.ts';
import type { PlacedView } from '../../src/fit/places.ts';
import { minImages, shortened } from '../../src/fit/reference.ts';
import type { Sample, SimulatedSample } from '../../src/fit/samples.ts';
import { choose, makeView, planSimulations } from '../../src/fit/secondlook.ts';
import {
  type CorruptionFamily,
  corruptions,
  findFamily,
  type Severity,
} from '../../src/image/corruptions/corruptions.ts';
import { decode, decoderVersion } from '../../src/image/decode.ts';
import { chooseModel } from '../../src/image/embedding/choose.ts';
import { encodeLike } from '../../src/image/encode.ts';
import { categoricalProperties } from '../../src/image/measured.ts';
import type { SimulatedImage, Simulation } from '../../src/image/simulation.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import type { Cause } from '../../src/profile/diagnosis.ts';
import { countImages, listImages } from '../../src/run/inputs/folder.ts';
import { mapOrdered } from '../../src/run/mapordered.ts';
import { createPool, type Pool } from '../../src/run/pool.ts';
import { createWorkerLine } from '../../src/run/workers/line.ts';
import { applyFault, faultNames } from './faults.ts';
import type { FoldAnswer, FoldTask, Subject } from './fold.ts';

export interface EvaluateOptions {
  /** Files and folders of images like those the classifier was trained on. */
  reference: string[];
  /** Folders of other images, scored by the Profile of the whole reference. */
  current: string[];
  /** Put held-out images through every simulated cause. */
  corruptions: boolean;
  /** Each of these families is left out of training in turn, and what was not shown it is tested on its causes. */
  leaveOut: readonly CorruptionFamily[];
  /** Put held-out images under faults that the evaluation alone knows. */
  faults: boolean;
  folds: number;
  /** Held-out images of each fold that are put through the causes. */
  images: number;
  severities: Severity[];
  /** As of `fit`. */
  simulations: number;
  seed: number;
  groupBy: string;
  /** As of `fit`: `none`, `default`, or the path of one. */
  model?: string | undefined;
  threads: number;
  /**
   * Folder that keeps what was measured under causes, so that a change of the model is tried without measuring again. It
   * is not valid after a change of the statistics' arithmetic or of the simulated causes: nothing here notices that.
   */
  cache?: string;
  onProgress?: (progress: { stage: Stage; done: number; total: number }) => void;
  signal?: AbortSignal;
}

export type Stage = 'measure' | 'simulate causes to learn' | 'simulate causes to test' | 'faults' | 'fit and score';

/** What an image is to the model that scores it. Encoded again means: as an image under a cause is, but without one. */
export type Role =
  | { kind: 'clean' }
  | { kind: 'encodedAgain' }
  | { kind: 'current'; folder: string }
  | { kind: 'cause'; cause: string; severity: Severity }
  | { kind: 'fault'; fault: string; severity: Severity };

/** One image scored by a model that has not seen it. */
export interface Judgement {
  role: Role;
  fold: number;
  /** Per detector. */
  scores: number[];
  pValues: number[];
  /** The two causes named first. */
  causes: Cause[];
}

/** Everything that the tables are made of. */
export interface Evaluation {
  detectors: string[];
  reference: { images: number; groups: number; by: GroupedBy; skipped: number };
  /** Images in each current folder. */
  current: { folder: string; images: number; skipped: number }[];
  /** Per fold: how many images its model was fitted on, of how many causes were learnt, and the statistics that never varied. */
  folds: { fitted: number; simulated: number; constants: string[] }[];
  judgements: Judgement[];
  /** Per detector, the calibration scores of the Profile of the whole reference, which judges the current folders. */
  calibration: number[][];
  /** Per family that was left out of training. */
  leftOut: { family: string; judgements: Judgement[] }[];
}

/** Stands for the model that leaves no fold out. */
const whole = -1;

/** An image of the reference, measured once and used by all folds. */
interface ReferenceImage {
  sample: Sample;
  fold: number;
  /** Place in the seeded order in which images are put through the causes to learn from. */
  rank: number;
}

/**
 * Cross-validates on whole groups: each fold is scored by a model fitted and calibrated on the others, as `fit` does it.
 * Deterministic for a seed, whatever the number of threads.
 * @throws {StoplineError} INPUT_*, OPTION_INVALID, FIT_*
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  checkOptions(options);
  const { threads } = options;
  const chosen = await chooseModel(options.model);
  const pool = await createPool({ threads, model: chosen.model });
  await pool.ready();
  const { embedder } = pool.info;
  const model = chosen.model && embedder && modelSection(chosen.model, embedder);
  const measured = await measureEverything(pool, options).finally(() => pool.destroy());
  const { images, by, groups, current, skipped } = measured;
  const parts = crossValidates(options) ? planParts(measured, options) : [];
  const families = options.leaveOut.map((family) => planFamily(family, measured, options));
  const jobs: Job[] = [...parts, ...families];
  const answers = await fitAndScore(jobs, model, options);
  const collectJudgements = (wanted: readonly Job[]): Judgement[] =>
    wanted.flatMap((job) =>
      job.judged.map(({ role, fold }, i) => ({ role, fold, ...answers[jobs.indexOf(job)].scored[i] })),
    );
  const last = parts.at(-1);
  return {
    detectors: answers[0].detectors,
    reference: { images: images.length, groups, by, skipped },
    current: current.map(({ folder, samples, skipped }) => ({ folder, images: samples.length, skipped })),
    folds: describeFolds(jobs, answers),
    judgements: collectJudgements(parts),
    calibration: last?.fold === whole ? answers[parts.length - 1].calibration : [],
    leftOut: families.map((job) => ({ family: job.family as string, judgements: collectJudgements([job]) })),
  };
}

/** Whether models are wanted that were shown every family: those with a family left out say nothing of them. */
function crossValidates({ corruptions, faults, current, leaveOut }: EvaluateOptions): boolean {
  return corruptions || faults || current.length > 0 || leaveOut.length === 0;
}

/** One model to fit, and what it is to score. */
interface Job extends Pick<FoldTask, 'samples' | 'simulated' | 'isCrossed'> {
  /** With the cause that hid a part, where it was one. */
  placed: (PlacedView & { cause?: string | undefined })[];
  /** Which part is held out; none by the model of the whole. */
  fold: number;
  /** What causes are learnt from. */
  images: number;
  family?: CorruptionFamily;
  judged: { role: Role; fold: number; subject: Subject }[];
}

/** As fit does it: the model goes without one of its parts in turn to learn what clean images score. */
function planModel(
  fold: number,
  { images, learnt }: Everything,
  { seed, simulations }: Pick<EvaluateOptions, 'seed' | 'simulations'>,
): Omit<Job, 'judged'> {
  const outside = images.filter((image) => image.fold !== fold).map(({ sample }) => sample);
  const innerFold = assignFolds(outside, { folds: modelFolds, seed });
  const samples = outside.map((sample) => ({ ...sample, fold: innerFold.get(sample.group) as number }));
  const chosen = choose(samples, simulations, seed);
  const simulated = chosen.flatMap(({ id, fold }) => learnt.get(id)?.views.map((view) => ({ ...view, fold })) ?? []);
  const placed = chosen.flatMap(({ id, fold }) => learnt.get(id)?.placed.map((view) => ({ ...view, fold })) ?? []);
  return { fold, samples, simulated, placed, images: chosen.length };
}

/** A model for each part that is held out, and for the folders of other images one of the whole reference. */
function planParts(measured: Everything, options: EvaluateOptions): Job[] {
  const { images, tested, current } = measured;
  const parts = Array.from({ length: options.folds }, (_, fold): Job => {
    const heldOut = images.filter((image) => image.fold === fold);
    const clean = heldOut.map(({ sample }): Test => ({ role: { kind: 'clean' }, subject: makeSubject(sample) }));
    const tests = [...clean, ...heldOut.flatMap(({ sample }) => tested.get(sample.id) ?? [])];
    return { ...planModel(fold, measured, options), judged: tests.map((test) => ({ ...test, fold })) };
  });
  if (current.length === 0) return parts;
  const judged = current.flatMap(({ folder, samples }) =>
    samples.map((sample) => ({
      role: { kind: 'current', folder } as Role,
      fold: whole,
      subject: makeSubject(sample),
    })),
  );
  return [...parts, { ...planModel(whole, measured, options), judged }];
}

/** Images of which causes are learnt by models that go without a part in turn: as many are left as \`fit\` takes. */
const crossed = (simulations: number) => Math.ceil((simulations * modelFolds) / (modelFolds - 1));

/**
 * A model that was shown no cause of a family. What goes without a part of it in turn judges the images of that part: a fifth of the
 * fits that a model of its own for each part would take.
 */
function planFamily(family: CorruptionFamily, measured: Everything, options: EvaluateOptions): Job {
  const isKnown = ({ cause }: { cause?: string | undefined }) => cause === undefined || findFamily(cause) !== family;
  const model = planModel(whole, measured, { ...options, simulations: crossed(options.simulations) });
  const judged = model.samples.flatMap((sample): Job['judged'] => {
    const tests = (measured.tested.get(sample.id) ?? []).filter(
      ({ role }) => role.kind === 'encodedAgain' || (role.kind === 'cause' && findFamily(role.cause) === family),
    );
    return [{ role: { kind: 'clean' } as Role, subject: makeSubject(sample) }, ...tests].map((test) => ({
      ...test,
      fold: sample.fold,
    }));
  });
  const [simulated, placed] = [model.simulated.filter(isKnown), model.placed.filter(isKnown)];
  return { ...model, simulated, placed, family, isCrossed: true, judged };
}

/** What each model was fitted on, and, of one that goes without a part in turn, each part. */
function describeFolds(jobs: readonly Job[], answers: readonly FoldAnswer[]): Evaluation['folds'] {
  const parts = jobs.flatMap(({ fold, samples, images, isCrossed }, job) =>
    fold === whole || isCrossed
      ? []
      : [{ fitted: samples.length, simulated: images, constants: answers[job].constants }],
  );
  if (parts.length > 0) return parts;
  const [{ samples, simulated }] = jobs;
  const [{ constants }] = answers;
  return [...new Set(samples.map(({ fold }) => fold))].map((fold) => ({
    fitted: samples.filter((sample) => sample.fold !== fold).length,
    simulated: new Set(simulated.filter((view) => view.fold !== fold).map(({ view }) => view.split(' ')[0])).size,
    constants,
  }));
}

/** `DIR:TEXT` means the images of a folder whose path holds a text: one half of pairs that lie together. */
function selectPart(folder: string): [paths: string[], only: (image: { path: string }) => boolean] {
  const [path, text = ''] = folder.split(':');
  return [[path], (image) => image.path.includes(text)];
}

type Everything = Awaited<ReturnType<typeof measureEverything>>;

/** Every image is measured once, and each simulation once, however many folds use it. */
async function measureEverything(pool: Pool, options: EvaluateOptions) {
  const { seed, groupBy, onProgress, signal } = options;
  const counts = await Promise.all([
    countImages(options.reference),
    ...options.current.map((folder) => {
      const [paths, only] = selectPart(folder);
      return countImages(paths, { only });
    }),
  ]);
  const total = counts.reduce((sum, images) => sum + images, 0);
  let done = 0;
  const measure = async (paths: string[], only?: (image: { path: string }) => boolean) => {
    const samples = new Map<string, Sample & { listed: { folder: string } }>();
    let skipped = 0;
    const one = async (listed: { path: string; folder: string }) => {
      signal?.throwIfAborted();
      return pool.measure(listed.path).then(
        (image) => ({ listed, image }),
        (error) => ({ listed, error: asStoplineError(error) }),
      );
    };
    for await (const answer of mapOrdered(listImages(paths, { only }), pool.info.threads * 4, one)) {
      onProgress?.({ stage: 'measure', done: ++done, total });
      if ('error' in answer) {
        if (answer.error.status >= 500) throw answer.error;
        skipped++;
        continue;
      }
      const { listed, image } = answer;
      const properties = categoricalProperties(image);
      const { sha256: id, statistics, embedding, places } = image;
      if (!samples.has(id)) {
        const looks = { statistics, embedding, places };
        // Called as fit calls it: what a folder is called decides which fold its groups are in.
        const folder = shortened(listed.folder, paths);
        samples.set(id, { id, path: listed.path, group: '', fold: 0, ...looks, properties, listed: { folder } });
      }
    }
    return { samples: [...samples.values()], skipped };
  };
  const reference = await measure(options.reference);
  if (reference.samples.length < minImages) {
    throw new StoplineError(
      'FIT_TOO_FEW_IMAGES',
      `Expected at least ${minImages} distinct images but received ${reference.samples.length}.`,
    );
  }
  const listed = new Set(reference.samples.map((sample) => sample.listed.folder)).size;
  const { samples, by } = withGroups(reference.samples, { pattern: groupPattern(groupBy), folders: listed, groupBy });
  const foldByGroup = assignFolds(samples, options);
  if (foldByGroup.size < options.folds) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected at least ${options.folds} groups of images for ${options.folds} folds but found ${foldByGroup.size}. Use --group-by none or another pattern.`,
    );
  }
  const order = choose(samples, samples.length, seed);
  const images = samples.map(
    (sample): ReferenceImage => ({
      sample,
      fold: foldByGroup.get(sample.group) as number,
      rank: order.indexOf(sample),
    }),
  );

  const current: { folder: string; samples: Sample[]; skipped: number }[] = [];
  for (const folder of options.current) current.push({ folder, ...(await measure(...selectPart(folder))) });
  const learnt = await simulateToLearn(pool, images, options);
  const tested = await simulateToTest(pool, images, options);
  return { images, by, groups: foldByGroup.size, skipped: reference.skipped, current, learnt, tested };
}

/** On a machine with other work the decoder's time limit can strike an image that it decoded before. */
const attempts = 5;

type Measured = Pick<SimulatedImage, 'statistics' | 'embedding' | 'places'> & { hidden?: Float32Array | undefined };

/** What is measured of one image under each simulation, kept where there is a folder for it. */
async function simulated(
  pool: Pool,
  { id, path }: Sample,
  { plan, asks }: { plan: Simulation[]; asks: boolean },
  { cache }: EvaluateOptions,
): Promise<Measured[]> {
  const network = asks ? pool.info.embedder?.sha256 : undefined;
  const file = cache && join(cache, `${hash(0, JSON.stringify([id, plan, names, decoderVersion, network]))}.v8`);
  const kept = file && (await readFile(file).catch(() => undefined));
  if (kept) return deserialize(kept) as Measured[];
  for (let attempt = 1; ; attempt++) {
    try {
      const answers = await pool.simulate(path, plan, { asks });
      const measured = answers.map(({ statistics, embedding, places, hidden }) => ({
        statistics,
        embedding,
        places,
        hidden,
      }));
      if (file) {
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, serialize(measured));
      }
      return measured;
    } catch (error) {
      if (attempt === attempts || asStoplineError(error).code !== 'STOPLINE_ERR_IMAGE_TOO_COMPLEX') throw error;
    }
  }
}

const names = statistics.map(({ name }) => name);

/** What one image is learnt from: views of it under causes, and where parts of it were hidden. */
interface Learnt {
  views: Omit<SimulatedSample, 'fold'>[];
  placed: Omit<Job['placed'][number], 'fold'>[];
}

async function simulateToLearn(pool: Pool, images: ReferenceImage[], options: EvaluateOptions) {
  const { seed, folds, onProgress } = options;
  const wanted = new Set<string>();
  const want = (fold: number, count: number) => {
    const outside = images.filter((image) => image.fold !== fold).map(({ sample }) => sample);
    for (const { id } of choose(outside, count, seed)) wanted.add(id);
  };
  if (crossValidates(options)) {
    for (let fold = options.current.length > 0 ? whole : 0; fold < folds; fold++) want(fold, options.simulations);
  }
  if (options.leaveOut.length > 0) want(whole, crossed(options.simulations));
  const learnt = new Map<string, Learnt>();
  const simulate = async ({ sample, rank }: ReferenceImage) => {
    options.signal?.throwIfAborted();
    const plan = planSimulations(rank, { seed: deriveSeed(seed, sample.id), images: options.simulations });
    const measured = await simulated(pool, sample, { plan, asks: false }, options);
    const { drive } = sample;
    return {
      views: measured.flatMap(({ statistics }, i) =>
        plan[i].hides ? [] : [{ ...makeView(sample, plan[i]), drive, statistics }],
      ),
      placed: measured.flatMap(({ places, hidden }, i) =>
        hidden ? [{ cause: plan[i].cause, drive, places, hidden }] : [],
      ),
    };
  };
  const chosen = images.filter(({ sample }) => wanted.has(sample.id));
  for await (const one of mapOrdered(chosen, pool.info.threads * 2, simulate)) {
    learnt.set(chosen[learnt.size].sample.id, one);
    onProgress?.({ stage: 'simulate causes to learn', done: learnt.size, total: chosen.length });
  }
  return learnt;
}

/** One image to score, and what it is to the model. */
interface Test {
  role: Role;
  subject: Subject;
}

/** A seeded choice of each fold. */
function chooseTested(images: ReferenceImage[], { seed, folds, images: count }: EvaluateOptions): Set<string> {
  const chosen = new Set<string>();
  for (let fold = 0; fold < folds; fold++) {
    // Not the order in which images are chosen to learn from.
    const order = images
      .filter((image) => image.fold === fold)
      .map(({ sample }) => ({ id: sample.id, key: hash(seed, `test ${sample.id}`) }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const { id } of order.slice(0, count)) chosen.add(id);
  }
  return chosen;
}

/** Every reference image encoded again, and a seeded choice of each fold under every cause and fault. */
async function simulateToTest(pool: Pool, images: ReferenceImage[], options: EvaluateOptions) {
  const tested = new Map<string, Test[]>();
  const hasCauses = options.corruptions || options.leaveOut.length > 0;
  if (!hasCauses && !options.faults) return tested;
  const { seed, severities, onProgress } = options;
  const chosen = chooseTested(images, options);
  const underCauses = hasCauses ? chosen : new Set<string>();
  const simulate = async ({ sample }: ReferenceImage) => {
    options.signal?.throwIfAborted();
    const view = { seed: deriveSeed(seed, `test ${sample.id}`), crop: false };
    const plan: Simulation[] = [{ ...view, severity: 1 }];
    if (underCauses.has(sample.id)) {
      for (const { name } of corruptions)
        for (const severity of severities) plan.push({ ...view, cause: name, severity });
    }
    const measured = await simulated(pool, sample, { plan, asks: true }, options);
    return measured.map((numbers, i) => {
      const { cause, severity } = plan[i];
      const role: Role = cause === undefined ? { kind: 'encodedAgain' } : { kind: 'cause', cause, severity };
      return { role, subject: { ...makeSubject(sample), ...numbers } };
    });
  };
  for await (const subjects of mapOrdered(images, pool.info.threads * 2, simulate)) {
    tested.set(images[tested.size].sample.id, subjects);
    onProgress?.({ stage: 'simulate causes to test', done: tested.size, total: images.length });
  }
  if (!options.faults) return tested;
  let done = 0;
  const spoil = async ({ sample }: ReferenceImage) => {
    options.signal?.throwIfAborted();
    return { sample, spoilt: await underFaults(pool, sample, options) };
  };
  const some = images.filter(({ sample }) => chosen.has(sample.id));
  for await (const { sample, spoilt } of mapOrdered(some, pool.info.threads * 2, spoil)) {
    tested.get(sample.id)?.push(...spoilt);
    onProgress?.({ stage: 'faults', done: ++done, total: some.length });
  }
  return tested;
}

/** One image under every fault, encoded again as it was. */
async function underFaults(pool: Pool, sample: Sample, { seed, severities }: EvaluateOptions): Promise<Test[]> {
  const { frame, container } = await decode(await readFile(sample.path));
  const tests: Test[] = [];
  for (const fault of faultNames) {
    for (const severity of severities) {
      const data = applyFault(frame, fault, severity, deriveSeed(seed, `${fault} ${sample.id}`));
      const image = await pool.measure(await encodeLike({ ...frame, data }, container));
      // As under simulated causes, what only the file says is the original's.
      const vector = image.statistics.map((value, i) =>
        statistics[i].group === 'container' ? sample.statistics[i] : value,
      );
      const { embedding, places } = image;
      const subject = { ...makeSubject(sample), statistics: vector, embedding, places };
      tests.push({ role: { kind: 'fault', fault, severity }, subject });
    }
  }
  return tests;
}

function makeSubject({ statistics, embedding, places, properties }: Sample): Subject {
  return { statistics, embedding, places, properties };
}

async function fitAndScore(
  jobs: readonly Job[],
  model: FoldTask['model'],
  { threads, onProgress, signal }: EvaluateOptions,
): Promise<FoldAnswer[]> {
  const filename = fileURLToPath(new URL('./fold.ts', import.meta.url));
  const line = createWorkerLine<FoldTask>({ filename, threads: Math.min(threads, jobs.length) });
  const answers: FoldAnswer[] = [];
  try {
    const perform = ({ samples, simulated, placed, isCrossed, judged }: Job) => {
      const subjects = judged.map(({ subject, fold }) => ({ ...subject, fold }));
      return line.run<FoldAnswer>({ samples, simulated, placed, isCrossed, subjects, model }, { signal });
    };
    for await (const answer of mapOrdered(jobs, line.threads, perform)) {
      answers.push(answer);
      onProgress?.({ stage: 'fit and score', done: answers.length, total: jobs.length });
    }
  } finally {
    await line.destroy();
  }
  return answers;
}

function checkOptions({ folds, images, simulations, severities, seed, threads }: EvaluateOptions): void {
  const expect = (ok: boolean, text: string, value: unknown) => {
    if (!ok) throw new StoplineError('OPTION_INVALID', `Expected ${text} but received ${value}.`);
  };
  expect(Number.isSafeInteger(folds) && folds >= 2 && folds <= 20, '2 to 20 folds', folds);
  expect(Number.isSafeInteger(images) && images >= 1, 'at least one image for images', images);
  expect(
    Number.isSafeInteger(simulations) && simulations >= 10 && simulations <= 1000,
    '10 to 1000 for simulations',
    simulations,
  );
  expect(severities.length > 0, 'severities from 1 to 5', severities);
  for (const severity of severities) expect([1, 2, 3, 4, 5].includes(severity), 'severities from 1 to 5', severity);
  expect(Number.isSafeInteger(seed), 'an integer for seed', seed);
  expect(Number.isSafeInteger(threads) && threads >= 1, 'at least one thread', threads);
}
