import { availableParallelism } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { judgingOptions } from '../config.ts';
import type { CoreInfo } from '../core/core.ts';
import { resolveEntry } from '../core/entry.ts';
import { reviveError } from '../errors.ts';
import { findModel } from '../image/embedding/choose.ts';
import type { EmbedderInfo } from '../image/embedding/embedder.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import { prepareModel } from '../image/embedding/prepare.ts';
import { defaultTrialLimits } from '../image/embedding/trial.ts';
import { boundsFrom, type ExtractedFrame, type Frame, type Limits } from '../image/frame.ts';
import type { Mask, SourceMask } from '../image/mask.ts';
import type { MeasuredImage } from '../image/measured.ts';
import type { SimulatedImage, Simulation } from '../image/simulation.ts';
import type { Profile } from '../profile/description.ts';
import { loadProfile } from '../profile/file.ts';
import type { Explanation, SketchedVerdict } from '../profile/inspector.ts';
import type { DecideBy, Verdict } from '../profile/verdict.ts';
import type { Config } from '../settings.ts';
import { type Masks, readSource } from './masks.ts';
import type { RowFormat, WrittenRow } from './rows/row.ts';
import { SlowImages } from './slowimages.ts';
import type { EncodedImage, JudgedBy, Loaded, ScoredItem, WorkerSettings, WorkerTask } from './task.ts';
import type { WorkerAnswer } from './workers/answer.ts';
import { WorkerLine } from './workers/line.ts';

/** ONNX Runtime aborts the process when its thread is ended while it loads or runs a network. */
const modelGraceMs = 5000;

/** How a pool judges, and how many images may wait; only `profile` is needed. */
export interface PoolOptions {
  /** A loaded Profile, or the path of one, which is read once: every worker, also one started later, judges by the same. */
  profile?: Profile | string;
  /** In place of `profile`: each image is judged by the one of these that is asked for. */
  profiles?: readonly Profile[];
  /** Default: number of cores. */
  threads?: number | undefined;
  /** Longest time an image may be expected to wait for a thread, in milliseconds; default: no bound (the caller paces itself). */
  maxWaitMs?: number;
  core?: 'auto' | 'native' | 'wasm';
  /** See `InspectorOptions`; a detector that the Profile lacks makes `ready` reject. */
  decideBy?: DecideBy;
  /** See `InspectorOptions`; a rule that is none, or that the Profile cannot answer, makes `ready` reject. */
  blockWhen?: string | undefined;
  /** See `InspectorOptions`. */
  ignore?: readonly string[] | undefined;
  /**
   * For long lists: each thread has its next image at hand when it has finished one, so that none waits for the main
   * thread; with a thread for every core it is decoded meanwhile. Not for a service, where an image handed over can no
   * longer be withdrawn.
   */
  isBatch?: boolean;
  /**
   * Whether what crashes or hangs in native code ends a process, and costs one image, or ends this one. Default `thread`. The processes
   * of a batch are for speed, one a processor: they have all rights, and as long for an image as threads.
   */
  isolation?: 'process' | 'thread';
  /** Longest processor time of one image in a process, which is then ended; default 2000. */
  maxImageMs?: number;
  /** What is refused before it is decoded; default: `defaultLimits`. */
  limits?: Limits | undefined;
  /**
   * Path of the model that the Profile was fitted with; default: that of this package. Not looked at where the Profile has
   * no model. Without a Profile, the model that images are measured with.
   */
  model?: string | PreparedModel | undefined;
  /** What of every image counts, in a pool that measures; a Profile has its own. */
  mask?: Mask | undefined;
  /** What counts nowhere in the images of which sources, beside what the Profile masks. */
  masks?: Masks | undefined;
  /** The user's classifier, asked for its answers to simulations. */
  classifier?: PreparedModel | undefined;
  /** Where networks are run; `gpu` falls back to the CPU, with the reasons in `info.embedder.failed`. Default: cpu. */
  device?: 'cpu' | 'gpu' | undefined;
}

/** Worker threads that decode, measure and judge images. */
export interface Pool {
  /** See `WorkerLine`. @throws {StoplineError} OVERLOADED, CLOSED, INTERNAL */
  admit(): void;
  /**
   * @param image the encoded bytes, or pixels that are decoded already
   * @param options.transfer hand the memory over to the worker instead of copying it: the array is empty afterwards
   * @param options.wantsSketch with the small grey picture that a monitor needs
   * @param options.mask what counts nowhere beside what the Profile masks; default: what `masks` of the pool has for its source
   * @param options.source whose image it is, for `masks`
   * @param options.profile which of `profiles` to judge by; default: the first
   * @throws {StoplineError} IMAGE_*, FRAME_INVALID, OVERLOADED, CLOSED, INTERNAL; the signal's reason when aborted
   */
  inspect(
    image: Uint8Array | ExtractedFrame | Frame,
    options?: {
      signal?: AbortSignal | undefined;
      transfer?: boolean;
      wantsSketch?: boolean;
      mask?: SourceMask | undefined;
      source?: string | undefined;
      profile?: number | undefined;
    },
  ): Promise<SketchedVerdict>;
  /** As `inspect`, and where in the image the evidence lies. */
  explain(
    bytes: Uint8Array,
    options?: { signal?: AbortSignal | undefined; mask?: SourceMask | undefined },
  ): Promise<Explanation>;
  /**
   * A small WebP of an image, whose longer side has so many pixels at most.
   * @throws {StoplineError} IMAGE_*, OVERLOADED, CLOSED
   */
  draw(image: Uint8Array | Frame, side: number, mask?: SourceMask): Promise<Uint8Array>;
  /** An image as a PNG of the pixels that are judged. @throws {StoplineError} IMAGE_*, OVERLOADED, CLOSED */
  encode(image: Uint8Array | Frame, mask?: SourceMask): Promise<Uint8Array>;
  /** @throws {StoplineError} INPUT_*, IMAGE_* */
  inspectFile(path: string, options?: { profile?: number | undefined; source?: string | undefined }): Promise<Verdict>;
  /**
   * The row of one image in the output of `score`; a file or image that is bad is a row with its error. Bytes are handed
   * over: they are empty afterwards.
   */
  score(item: ScoredItem, format: RowFormat): Promise<WrittenRow>;
  /** @throws {StoplineError} INPUT_*, IMAGE_* */
  measure(image: EncodedImage): Promise<MeasuredImage>;
  /**
   * The image under each simulation, in order; with what the networks of the pool say of it, if asked for.
   * @throws {StoplineError} INPUT_*, IMAGE_*, OPTION_INVALID, MODEL_*
   */
  simulate(
    image: EncodedImage,
    simulations: readonly Simulation[],
    options?: { asks?: boolean },
  ): Promise<SimulatedImage[]>;
  /**
   * Resolves when every worker has loaded the core, the profile and the model.
   * @throws {StoplineError} PROFILE_RULE, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID
   */
  ready(): Promise<void>;
  /**
   * Judges by another Profile from now on, image after image; absent in a pool of threads, which has to be replaced.
   * @throws {StoplineError} PROFILE_RULE, MODEL_*, OPTION_INVALID: then the Profile stays
   */
  renew?(profile: Profile): Promise<void>;
  /** `core` and, with a model, `embedder` are known once `ready` has resolved. */
  readonly info: {
    threads: number;
    core?: CoreInfo;
    embedder?: EmbedderInfo | undefined;
    /** What was taken from the processes that judge, such as `seccomp`. */
    confined?: readonly string[];
  };
  /** See `Workers`. */
  readonly crashes: number;
  readonly slow: number;
  readonly isFailing: boolean;
  readonly queued: number;
  readonly running: number;
  readonly expectedWaitMs: number;
  close(): Promise<void>;
  destroy(): Promise<void>;
}

/**
 * The settings in the terms of a pool. With a model that is not of this package the pool has processes, whatever is asked for.
 * @param use `batch` for long lists, `stream` where images come one by one, `service` where people wait for answers
 */
export function poolOptions(config: Config, use: 'batch' | 'stream' | 'service'): PoolOptions {
  const { threads, isolation, maxImageMs, maxWaitMs } = config;
  const options: PoolOptions = { ...judgingOptions(config), threads };
  if (use !== 'service' && config.model !== undefined) {
    const alone = isolateModels(config.model);
    return { ...options, ...alone, maxImageMs: Math.max(maxImageMs, 1000 * defaultTrialLimits.seconds) };
  }
  if (use === 'batch') return { ...options, isBatch: true };
  return use === 'stream' ? options : { ...options, isolation, maxImageMs, maxWaitMs };
}

/** Images from which on a process for each processor gains more than its start takes: threads share memory, locks and caches. */
const manyImages = 200;

/** How a batch of so many images, where that is known, is spread over the processors. */
export function spreadBatch(options: PoolOptions, images: number | undefined): PoolOptions {
  const { isBatch, threads = availableParallelism() } = options;
  return isBatch && threads > 1 && (images ?? 0) >= manyImages ? { ...options, isolation: 'process' } : options;
}

/** Processor time of one task of a batch with a model: an image under a hundred simulations, each of which the model is asked about. */
const modelTaskMs = 20_000 * defaultTrialLimits.seconds;

/**
 * How a batch runs models. One that is not of this package may wait for one image to expand without bounds: what it may use is what its
 * trial may, in a process of its own.
 * @param models as `fit` takes them: paths, `none`, `default`, or what has been read already
 */
export function isolateModels(
  ...models: readonly (string | PreparedModel | undefined)[]
): Pick<PoolOptions, 'isolation' | 'isBatch' | 'maxImageMs'> {
  const isForeign = models.some((model) => model !== undefined && model !== 'none' && model !== 'default');
  return isForeign ? { isolation: 'process', maxImageMs: modelTaskMs } : { isBatch: true };
}

/**
 * Starts the worker threads and warms them up. On N cores: N threads with `sharp.concurrency(1)` in each, since the main
 * thread only moves bytes.
 *
 * @throws {StoplineError} PROFILE_*, MODEL_* where the model of the Profile is not found
 * @example
 * const pool = await createPool({ profile: 'front.stopline', maxWaitMs: 1000 });
 * await pool.ready();
 * const verdict = await pool.inspect(bytes);
 */
export async function createPool(options: PoolOptions = {}): Promise<Pool> {
  const profile = typeof options.profile === 'string' ? await loadProfile(options.profile) : options.profile;
  const profiles = options.profiles ?? (profile ? [profile] : []);
  return new ImagePool(options, await findModels(profiles, options));
}

class ImagePool implements Pool {
  readonly info: Pool['info'];
  readonly renew?: NonNullable<Pool['renew']>;
  readonly #line: WorkerLine<WorkerTask>;
  readonly #options: PoolOptions;
  readonly #settings: WorkerSettings;
  readonly #isProcess: boolean;
  readonly #slowImages: SlowImages | undefined;
  readonly #warmUp: Promise<void>;

  constructor(options: PoolOptions, { profiles, model }: Pick<WorkerSettings, 'profiles' | 'model'>) {
    const { threads = availableParallelism(), isolation = 'thread', maxImageMs: limitMs = 2000, isBatch } = options;
    const { core = 'auto', decideBy, blockWhen, ignore, classifier, device, limits = {}, maxWaitMs, mask } = options;
    // With fewer threads than cores somebody wants the rest left alone: then images are decoded one by one, too.
    // A process of a batch has one processor, on which nothing runs beside.
    const decodesAhead = isBatch && isolation === 'thread' && threads >= availableParallelism();
    this.#options = options;
    const judging = { decideBy, blockWhen, ignore };
    this.#settings = { profiles, core, model, classifier, device, ...judging, limits, decodesAhead, mask };
    this.#isProcess = isolation === 'process';
    this.#slowImages = this.#isProcess && !isBatch ? new SlowImages() : undefined;
    const models = new Set([model, classifier, ...profiles.map((judgedBy) => judgedBy.model)]);
    const maxBytes = countWorkerBytes(limits, [...models]);
    const isConfined = device !== 'gpu' && !isBatch;
    this.#line = new WorkerLine<WorkerTask>({
      filename: resolveEntry('./worker', import.meta.url),
      workerData: this.#settings,
      threads,
      maxWaitMs,
      ahead: isBatch ? 1 : 0,
      graceMs: [...models].some(Boolean) && !this.#isProcess ? modelGraceMs : 0,
      ...(this.#isProcess && {
        processes: {
          limitMs: isBatch ? undefined : limitMs,
          maxBytes,
          isConfined,
          isPinned: isBatch,
          // Somebody waits for answers, also for those that refuse.
          isBehind: maxWaitMs !== undefined,
          warmUp: { kind: 'warm' as const },
        },
      }),
    });
    // Where workers cannot be told, a pool is replaced, so it must not look as if it could be renewed.
    if (this.#line.renew) this.renew = (next) => this.#renewWorkers(next);
    this.info = { threads };
    this.#warmUp = this.#warm(threads);
    this.#warmUp.catch(() => undefined); // reported by ready()
  }

  get crashes(): number {
    return this.#line.crashes;
  }

  get slow(): number {
    return this.#line.slow;
  }

  get isFailing(): boolean {
    return this.#line.isFailing;
  }

  get queued(): number {
    return this.#line.queued;
  }

  get running(): number {
    return this.#line.running;
  }

  get expectedWaitMs(): number {
    return this.#line.expectedWaitMs;
  }

  ready(): Promise<void> {
    return this.#warmUp;
  }

  admit(): void {
    this.#line.admit();
  }

  inspect(
    image: Uint8Array | ExtractedFrame | Frame,
    options: {
      signal?: AbortSignal;
      transfer?: boolean;
      wantsSketch?: boolean;
      mask?: SourceMask;
      source?: string;
      profile?: number;
    } = {},
  ): Promise<SketchedVerdict> {
    const { signal, transfer, source, ...given } = options;
    const asked = { ...given, mask: given.mask ?? this.#options.masks?.find(source) };
    // What goes to a process is copied on the way.
    if (this.#isProcess) {
      return this.#line.run(
        { kind: 'inspect', image, ...asked },
        {
          signal,
          isSlow: this.#slowImages?.isSlow(image instanceof Uint8Array || !('bytes' in image) ? image : image.bytes),
        },
      );
    }
    const bytes = image instanceof Uint8Array ? image : 'bytes' in image ? image.bytes : image.data;
    const owned = transfer ? ownBytes(bytes) : new Uint8Array(bytes);
    const sent =
      image instanceof Uint8Array ? owned : { ...image, ...('bytes' in image ? { bytes: owned } : { data: owned }) };
    return this.#line.run(
      { kind: 'inspect', image: sent, ...asked },
      { signal, transfer: [owned.buffer as ArrayBuffer] },
    );
  }

  explain(
    bytes: Uint8Array,
    { signal, mask }: { signal?: AbortSignal | undefined; mask?: SourceMask | undefined } = {},
  ): Promise<Explanation> {
    const owned = new Uint8Array(bytes);
    const isSlow = this.#slowImages?.isSlow(bytes);
    return this.#line.run({ kind: 'explain', bytes: owned, mask }, { signal, isSlow, transfer: [owned.buffer] });
  }

  draw(image: Uint8Array | Frame, side: number, mask?: SourceMask): Promise<Uint8Array> {
    // The array is the caller's still, so it is copied.
    return this.#line.run({ kind: 'draw', image, side, mask }, { isSlow: this.#slowImages?.isSlow(image) });
  }

  encode(image: Uint8Array | Frame, mask?: SourceMask): Promise<Uint8Array> {
    return this.#line.run({ kind: 'encode', image, mask });
  }

  inspectFile(
    path: string,
    { profile, source }: { profile?: number | undefined; source?: string | undefined } = {},
  ): Promise<Verdict> {
    return this.#line.run({ kind: 'inspectFile', path, profile, mask: this.#options.masks?.find(source) });
  }

  score(item: ScoredItem, format: RowFormat): Promise<WrittenRow> {
    const bytes = item.bytes && ownBytes(item.bytes);
    const transfer = bytes && [bytes.buffer as ArrayBuffer];
    const mask = this.#options.masks?.find(readSource(item));
    return this.#line.run({ kind: 'score', item: bytes ? { ...item, bytes } : item, format, mask }, { transfer });
  }

  measure(image: EncodedImage): Promise<MeasuredImage> {
    return this.#line.run({ kind: 'measure', image: makeSendable(image) });
  }

  simulate(
    image: EncodedImage,
    simulations: readonly Simulation[],
    { asks = false }: { asks?: boolean } = {},
  ): Promise<SimulatedImage[]> {
    return this.#line.run({ kind: 'simulate', image: makeSendable(image), simulations, asks });
  }

  close(): Promise<void> {
    return this.#line.close();
  }

  destroy(): Promise<void> {
    return this.#line.destroy();
  }

  async #renewWorkers(profile: Profile): Promise<void> {
    await this.#line.renew?.({ ...this.#settings, ...(await findModels([profile], this.#options)) }, (answer) => {
      if ('error' in (answer as WorkerAnswer<Loaded>)) throw reviveError((answer as { error: never }).error);
      this.info.embedder = (answer as { value: Loaded }).value.embedder;
    });
  }

  /** As many tasks as threads, handed out at once: each thread gets one. */
  async #warm(threads: number): Promise<void> {
    const warmUps = Array.from({ length: threads }, () => this.#line.run<Loaded>({ kind: 'warm' }, { isWarmUp: true }));
    const [first] = await Promise.all(warmUps);
    this.info.core = first.core;
    if (this.#isProcess) this.info.confined = first.confined;
    this.info.embedder = first.embedder;
  }
}

/**
 * What a worker takes beside its images and models: Node, the libraries, the Profile. Node alone counts with 640 MB, most of
 * which it only reserves.
 */
const workerBytes = 1024 * 1024 * 1024;
/**
 * Most bytes that a decoder and the steps behind it hold for a pixel. Measured: 20 for a lossless WebP of 40 megapixels with alpha,
 * 19 for a WebP with loss, 18 for an interlaced PNG of 16 bits, 9 for a progressive JPEG.
 */
const bytesPerPixel = 24;
/** ONNX Runtime holds the file, the graph made of it, its weights, and the weights packed for the processor. */
const copiesOfModel = 6;

/** Most data of a worker process: enough for the largest image that is let through, and for the models. */
function countWorkerBytes(limits: Limits, models: readonly (PreparedModel | undefined)[]): number {
  const { maxPixels, maxBytes } = boundsFrom(limits);
  const files = models.flatMap((model) => model?.files ?? []);
  const modelBytes = files.reduce((sum, file) => sum + file.byteLength, 0);
  return workerBytes + bytesPerPixel * maxPixels + 2 * maxBytes + copiesOfModel * modelBytes;
}

/** What is sent without being handed over is copied, with all of the buffer that it is a view of. */
function makeSendable(image: EncodedImage): EncodedImage {
  if (typeof image === 'string') return image;
  return image instanceof Uint8Array ? ownBytes(image) : { ...image, bytes: ownBytes(image.bytes) };
}

/** A view into a larger buffer would be sent with all of that buffer, so it is copied first. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  const isWhole = bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  return isWhole ? bytes : new Uint8Array(bytes);
}

/** The models of the Profiles, or the one to measure with: found once and sent to every worker, each model once. */
async function findModels(
  profiles: readonly Profile[],
  { model: path, limits }: Pick<PoolOptions, 'model' | 'limits'>,
): Promise<Pick<WorkerSettings, 'profiles' | 'model'>> {
  const found: PreparedModel[] = [];
  const find = async ({ model: fitted }: Profile) => {
    if (typeof path === 'object') return path;
    if (!fitted) return undefined;
    const model = await findModel(fitted, path, limits);
    const known = found.find(({ card }) => isDeepStrictEqual(card, model.card));
    if (!known) found.push(model);
    return known ?? model;
  };
  const judging: JudgedBy[] = [];
  for (const profile of profiles) judging.push({ profile, model: await find(profile) });
  if (judging.length > 0) return { profiles: judging, model: judging[0].model };
  if (typeof path === 'object') return { profiles: [], model: path };
  return { profiles: [], model: path === undefined ? undefined : (await prepareModel(path, { limits })).model };
}
