import { isDeepStrictEqual } from 'node:util';
import { readConfinement } from '../core/confine.ts';
import type { Core } from '../core/core.ts';
import { loadCore } from '../core/index.ts';
import { asStoplineError, endSentence, reviveError, StoplineError } from '../errors.ts';
import { decode } from '../image/decode.ts';
import type { Embedder } from '../image/embedding/embedder.ts';
import { openPrepared, type PreparedModel } from '../image/embedding/open.ts';
import { encodePng } from '../image/encode.ts';
import { readImage } from '../image/file.ts';
import { defaultLimits, type ExtractedFrame, type Frame } from '../image/frame.ts';
import { checkLoaders } from '../image/loaders.ts';
import { Masking, Maskings, type SourceMask } from '../image/mask.ts';
import { measureBytes } from '../image/measure.ts';
import type { MeasuredImage } from '../image/measured.ts';
import { measureSimulations, type SimulatedImage } from '../image/simulation.ts';
import { shrinkImage } from '../image/thumbnail.ts';
import { createInspector, type Explanation, type Inspector } from '../profile/inspector.ts';
import type { Verdict } from '../profile/verdict.ts';
import { type WrittenRow, writeRow } from './rows/row.ts';
import type { EncodedImage, JudgedBy, Loaded, WorkerSettings, WorkerTask } from './task.ts';
import { answerWith, type WorkerAnswer } from './workers/answer.ts';

let settings: WorkerSettings;

const maxBytes = () => settings.limits.maxBytes ?? defaultLimits.maxBytes;

// Loaded once, by the warm-up or by the first task of a worker that replaces a dead one.
let core: Core | undefined;
const inspectors = new Map<JudgedBy, Promise<Inspector>>();
let sessions: { card: PreparedModel['card']; embedder: Promise<Embedder> }[] = [];
/** Of a pool that measures: a Profile brings its own. */
let masking: Masking | undefined;

function requireCore(): Core {
  if (core) return core;
  const asked = settings.core;
  const loaded = loadCore(asked === 'auto' ? undefined : asked);
  if (asked !== 'auto' && loaded.info.build !== asked) {
    const reason = loaded.info.reason ?? 'it does not load';
    throw new StoplineError(
      'CORE_UNAVAILABLE',
      `Expected the ${asked} core but only ${loaded.info.build} loads: ${endSentence(reason)}`,
    );
  }
  core = loaded;
  return core;
}

async function openInspector({ profile, model }: JudgedBy): Promise<Inspector> {
  const { decideBy, blockWhen, ignore, limits } = settings;
  const { build } = requireCore().info;
  const embedder = await requireSession(model);
  return createInspector({ profile, core: build, decideBy, blockWhen, ignore, limits, embedder });
}

/** Whatever the number of its users, a thread has one session of a network. */
async function requireSession(model: PreparedModel | undefined): Promise<Embedder | undefined> {
  if (!model) return undefined;
  const { card } = model;
  const known = sessions.find((session) => isDeepStrictEqual(session.card, card));
  if (known) return known.embedder;
  const embedder = openPrepared(model, { core: requireCore(), device: settings.device });
  sessions.push({ card, embedder });
  return embedder;
}

/** What simulations are asked about: the network that measures, and the user's, which may be the same. */
async function requireNetworks() {
  const { model, classifier } = settings;
  return { embedder: await requireSession(model), classifier: await requireSession(classifier) };
}

/** @param number which of the Profiles of the pool */
async function requireInspector(number = 0): Promise<Inspector> {
  const judgedBy = settings.profiles[number];
  if (!judgedBy) {
    throw new StoplineError('OPTION_INVALID', 'Expected a pool with a profile, to judge images, but received none.');
  }
  const inspector = inspectors.get(judgedBy) ?? openInspector(judgedBy);
  inspectors.set(judgedBy, inspector);
  return inspector;
}

type Answer = Uint8Array | Loaded | Verdict | Explanation | WrittenRow | MeasuredImage | SimulatedImage[];

async function inspect(task: Extract<WorkerTask, { kind: 'inspect' }>): Promise<Verdict> {
  const { image, wantsSketch, mask, profile } = task;
  const inspector = await requireInspector(profile);
  const options = { wantsSketch, mask };
  return image instanceof Uint8Array || 'bytes' in image
    ? inspector.inspect(image, options)
    : inspector.inspectFrame(image, options);
}

/** Bad images are rows, too; a pool that cannot judge at all is an error. */
async function score({ item, format, mask }: Extract<WorkerTask, { kind: 'score' }>): Promise<WrittenRow> {
  const { name, path, bytes, codec, error, columns } = item;
  const { inspect } = await requireInspector();
  const known = { path: name, ...(columns && { columns }) };
  try {
    if (error) throw reviveError(error);
    const { timingMs: _, ...verdict } = await inspect(
      bytes && codec !== undefined ? { bytes, codec } : (bytes ?? readImage(path as string, maxBytes(), name)),
      { mask },
    );
    return writeRow(format, { ...known, ...verdict });
  } catch (cause) {
    return writeRow(format, { ...known, error: asStoplineError(cause).toJSON() });
  }
}

/** What each source masks, prepared. */
const maskings = new Maskings();

/** The pixels of an image as they are judged: what is masked is filled, and nothing of it is shown to anybody. */
async function cover({ image, mask }: { image: Uint8Array | Frame; mask?: SourceMask | undefined }): Promise<Frame> {
  const isFile = image instanceof Uint8Array;
  const frame = isFile ? (await decode(image, settings.limits)).frame : image;
  const masking = maskings.find(mask);
  if (isFile) masking?.fill(frame);
  return masking && !isFile ? masking.copy(frame) : frame;
}

function readSource(image: EncodedImage): Uint8Array | ExtractedFrame {
  return typeof image === 'string' ? readImage(image, maxBytes()) : image;
}

/** Judged before the first image is: what Node compiles and libraries load on first use takes 50 ms, which no client should wait. */
const warmingFrame: Frame = {
  data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => i),
  width: 64,
  height: 64,
  channels: 3,
};

/** A mask that leaves enough of a camera's image may leave too little of a small one. */
function ignoreMasked(error: unknown): void {
  if (!(error instanceof StoplineError) || error.code !== 'STOPLINE_ERR_IMAGE_MASKED') throw error;
}

async function perform(task: WorkerTask): Promise<Answer> {
  switch (task.kind) {
    case 'warm':
      await checkLoaders();
      // All of them, so that one that cannot judge is known before the first image.
      for (const number of settings.profiles.keys()) await requireInspector(number);
      if (settings.profiles.length > 0) await (await requireInspector()).inspectFrame(warmingFrame).catch(ignoreMasked);
      return {
        core: requireCore().info,
        embedder: (await requireSession(settings.model))?.info,
        confined: readConfinement(),
      };
    case 'inspect':
      return inspect(task);
    case 'explain':
      return (await requireInspector()).explain(task.bytes, { mask: task.mask });
    case 'draw':
      return shrinkImage(await cover(task), task.side, settings.limits);
    case 'encode':
      return encodePng(await cover(task));
    case 'inspectFile':
      return (await requireInspector(task.profile)).inspect(readImage(task.path, maxBytes()), { mask: task.mask });
    case 'score':
      return score(task);
    case 'measure':
      return measureBytes(
        requireCore(),
        readSource(task.image),
        settings.limits,
        await requireSession(settings.model),
        masking,
      );
    case 'simulate':
      return measureSimulations(
        requireCore(),
        readSource(task.image),
        task.simulations,
        settings.limits,
        task.asks ? { ...(await requireNetworks()), masking } : { masking },
      );
  }
}

/**
 * A thread takes its tasks one after the other, so that N threads mean N images at work. With `decodesAhead` the next image
 * is decoded, by the threads of libvips, while this one is measured: else a core idles whenever bytes change threads.
 * Simulations hold many frames and stay alone.
 */
let last: Promise<unknown> = Promise.resolve();

/** Entry of a worker; again with a process that is to judge by another Profile. A network that stays the same stays open. */
export function openWorker(given: WorkerSettings): typeof work {
  settings = given;
  masking = given.mask && new Masking(given.mask);
  inspectors.clear();
  const isKept = ({ card }: (typeof sessions)[number]) => isDeepStrictEqual(card, given.model?.card);
  for (const session of sessions) if (!isKept(session)) void session.embedder.then((open) => open.close());
  sessions = sessions.filter(isKept);
  return work;
}

/** One task in, one answer out. */
function work(task: WorkerTask): Promise<WorkerAnswer<Answer>> {
  const isAhead = settings.decodesAhead && task.kind !== 'simulate';
  const turn = isAhead ? perform(task) : last.then(() => perform(task));
  last = turn.catch(() => undefined);
  return answerWith(() => turn);
}
