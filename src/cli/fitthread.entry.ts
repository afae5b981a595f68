import { parentPort, workerData } from 'node:worker_threads';
import { asStoplineError, type ErrorJson, endSentence } from '../errors.ts';
import { type Acceptance, type AcceptOptions, acceptImages } from '../fit/accept.ts';
import { type FitResult, fit } from '../fit/fit.ts';
import { type FitOptions, resolveSecondLook } from '../fit/options.ts';
import { type CameraFolder, fitPer, type SourceFit, sourceRule } from '../fit/percamera.ts';
import { checkCount } from '../fit/reference.ts';
import { fitParts, measurePart } from '../fit/shards.ts';
import { readContainer } from '../image/container/read.ts';
import { inspectionPixels } from '../image/decoderule.ts';
import { readImage } from '../image/file.ts';
import { defaultLimits } from '../image/frame.ts';
import type { Items, Shard } from '../run/inputs/item.ts';
import type { LeftOutCount } from '../run/inputs/leftout.ts';
import { Measurements } from '../run/measurements.ts';
import type { Config } from '../settings.ts';
import type { FitPlan } from './fitclock.ts';
import type { FitProgressState } from './fitprogress.ts';
import { type InputFlags, openInputs } from './inputs.ts';

/** Options that can be sent to a thread. */
type SentOptions = Omit<FitOptions, 'items' | 'only' | 'onProgress' | 'signal' | 'measurements'>;

/** What a thread is to do. */
export type FitTask = { cache?: string | undefined } & (
  | { kind: 'fit'; options: SentOptions; inputs: InputFlags; config: Config }
  | { kind: 'part'; options: SentOptions; inputs: InputFlags; config: Config; out: string }
  | { kind: 'source'; options: SentOptions; per: string; source: CameraFolder }
  | { kind: 'merge'; parts: readonly string[]; options: Pick<FitOptions, 'threads'> }
  | { kind: 'accept'; options: Omit<AcceptOptions, 'onProgress' | 'signal' | 'measurements'> }
);

export interface FitAnswers {
  fit: FitResult & { leftOut: LeftOutCount[] };
  part: { images: number; skipped: number; shard: Shard; leftOut: LeftOutCount[] };
  source: { result: FitResult } | { error: ErrorJson };
  merge: FitResult;
  accept: Acceptance;
}

export type FitMessage =
  | { plan: FitPlan }
  | { progress: FitProgressState }
  | { cacheFailed: string }
  | { answer: FitAnswers[keyof FitAnswers] }
  | { error: ErrorJson; stack?: string | undefined };

const controller = new AbortController();
const port = parentPort as NonNullable<typeof parentPort>;
const send = (message: FitMessage) => port.postMessage(message);
// Only one thing is ever said to this thread.
port.once('message', () => controller.abort(new Error('interrupted')));

const task: FitTask = workerData;
const measurements = openMeasurements(task.cache);
/** How many measurements had been found when the stage began, and when it was last heard of. */
let before = 0;
let last = 0;
let stage: string | undefined;
const watch = {
  signal: controller.signal,
  measurements,
  onProgress(state: FitProgressState) {
    const hits = measurements?.counts.hits ?? 0;
    if (stage !== undefined && stage !== state.stage) before = last;
    stage = state.stage;
    last = hits;
    send({ progress: { ...state, known: Math.min(state.done, Math.max(0, hits - before)) } });
  },
};

try {
  send({ answer: await perform(task) });
} catch (error) {
  const coded = asStoplineError(error);
  send({ error: coded.toJSON(), stack: coded === error ? undefined : (error as Error).stack });
} finally {
  measurements?.close();
  port.close();
}

function openMeasurements(folder: string | undefined): Measurements | undefined {
  if (folder === undefined) return undefined;
  try {
    return Measurements.open(folder);
  } catch (error) {
    send({ cacheFailed: endSentence((error as Error).message) });
    return undefined;
  }
}

async function perform(asked: FitTask): Promise<FitAnswers[keyof FitAnswers]> {
  if (asked.kind === 'merge') return fitParts(asked.parts, { ...asked.options, ...watch });
  if (asked.kind === 'accept') return acceptImages({ ...asked.options, ...watch });
  if (asked.kind === 'source') return fitSource(asked);
  const { options, inputs, config } = asked;
  const { items, shard, store } = await openInputs(options.paths, inputs, config);
  if (asked.kind === 'part') {
    const part = shard as Shard;
    const measured = await measurePart({ ...options, items, shard: part, ...watch }, asked.out, store);
    return { ...measured, shard: part, leftOut: items.leftOut.toJSON() };
  }
  const images = await items.count();
  if (images !== undefined) checkCount(images, options.falseAlarmRate?.warn);
  send({ plan: { ...readPlan(options, images), pixels: await readPixels(items) } });
  const result = await fit({ ...options, items, ...watch });
  return { ...result, leftOut: items.leftOut.toJSON() };
}

async function fitSource({ options, per, source }: FitTask & { kind: 'source' }): Promise<FitAnswers['source']> {
  send({ plan: readPlan(options, source.images) });
  const answers = fitPer({ ...options, ...watch }, [source], sourceRule(per, options.paths));
  const { value } = (await answers.next()) as { value: SourceFit };
  return 'error' in value ? { error: value.error.toJSON() } : { result: value.result };
}

function readPlan(options: SentOptions, images: number | undefined): FitPlan {
  return { ...resolveSecondLook(options), threads: options.threads as number, images };
}

/** The size of the first image, as it is looked at, stands for all; undefined where it is no file or cannot be read. */
async function readPixels(items: Items): Promise<number | undefined> {
  for await (const { path } of items) {
    if (path === undefined) return undefined;
    try {
      const { width, height } = readContainer(readImage(path, defaultLimits.maxBytes));
      return Math.min(width * height, inspectionPixels);
    } catch {
      return undefined;
    }
  }
  return undefined;
}
