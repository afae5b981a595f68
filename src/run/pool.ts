import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { CoreInfo } from '../core/core.ts';
import { reviveError } from '../errors.ts';
import { findModel } from '../image/embedding/choose.ts';
import type { EmbedderInfo } from '../image/embedding/embedder.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import { prepareModel } from '../image/embedding/prepare.ts';
import type { Frame, Limits } from '../image/frame.ts';
import type { MeasuredImage } from '../image/measure.ts';
import type { SimulatedImage, Simulation } from '../image/simulation.ts';
import type { Profile } from '../profile/description.ts';
import { loadProfile } from '../profile/file.ts';
import type { Explanation } from '../profile/inspector.ts';
import type { DecideBy, Verdict } from '../profile/verdict.ts';
import type { RowFormat, WrittenRow } from './rows/row.ts';
import type { EncodedImage, Loaded, ScoredItem, WorkerSettings, WorkerTask } from './task.ts';
import type { WorkerAnswer } from './workers/answer.ts';
import { createWorkerLine } from './workers/line.ts';

/** ONNX Runtime aborts the process when its thread is ended while it loads or runs a network. */
const modelGraceMs = 5000;

export interface PoolOptions {
  /** A loaded Profile, or the path of one, which is read once: every worker, also one started later, judges by the same. */
  profile?: Profile | string;
  /** Default: number of cores. */
  threads?: number | undefined;
  /** Longest time an image may be expected to wait for a thread, in milliseconds; default: no bound (the caller paces itself). */
  maxWaitMs?: number;
  core?: 'auto' | 'native' | 'wasm';
  /** See `InspectorOptions`; a detector that the Profile lacks makes `ready` reject. */
  decideBy?: DecideBy;
  /** See `InspectorOptions`; a rule that is none, or that the Profile cannot answer, makes `ready` reject. */
  blockWhen?: string | undefined;
  /**
   * For long lists: each thread has its next image at hand when it has finished one, so that none waits for the main
   * thread; with a thread for every core it is decoded meanwhile. Not for a service, where an image handed over can no
   * longer be withdrawn.
   */
  isBatch?: boolean;
  /**
   * Whether what crashes or hangs in native code ends a process, and costs one image, or ends this one. Default `thread`;
   * batches are for threads only.
   */
  isolation?: 'process' | 'thread';
  /** Longest time of one image in a process, which is then ended; default 2000. */
  maxImageMs?: number;
  /** What is refused before it is decoded; default: `defaultLimits`. */
  limits?: Limits;
  /**
   * Path of the model that the Profile was fitted with; default: that of this package. Not looked at where the Profile has
   * no model. Without a Profile, the model that images are measured with.
   */
  model?: string | PreparedModel | undefined;
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
   * @throws {StoplineError} IMAGE_*, FRAME_INVALID, OVERLOADED, CLOSED, INTERNAL; the signal's reason when aborted
   */
  inspect(
    image: Uint8Array | Frame,
    options?: { signal?: AbortSignal | undefined; transfer?: boolean },
  ): Promise<Verdict>;
  /** As `inspect`, and where in the image the evidence lies. */
  explain(bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<Explanation>;
  /** @throws {StoplineError} INPUT_*, IMAGE_* */
  inspectFile(path: string): Promise<Verdict>;
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
  readonly info: { threads: number; core?: CoreInfo; embedder?: EmbedderInfo | undefined };
  /** See `Workers`. */
  readonly crashes: number;
  readonly isFailing: boolean;
  readonly queued: number;
  readonly running: number;
  readonly expectedWaitMs: number;
  close(): Promise<void>;
  destroy(): Promise<void>;
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
  const {
    threads = availableParallelism(),
    maxWaitMs,
    core = 'auto',
    decideBy,
    isolation = 'thread',
    maxImageMs = 2000,
    limits = {},
    isBatch,
  } = options;
  const profile = typeof options.profile === 'string' ? await loadProfile(options.profile) : options.profile;
  const model = await resolveModel(profile, options.model);
  // With fewer threads than cores somebody wants the rest left alone: then images are decoded one by one, too.
  const decodesAhead = isBatch && threads >= availableParallelism();
  const { classifier, device, blockWhen } = options;
  const workerData: WorkerSettings = {
    profile,
    core,
    model,
    classifier,
    device,
    decideBy,
    blockWhen,
    limits,
    decodesAhead,
  };
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const line = createWorkerLine<WorkerTask>({
    filename: fileURLToPath(new URL(`./worker.${extension}`, import.meta.url)),
    workerData,
    threads,
    maxWaitMs,
    ahead: isBatch ? 1 : 0,
    graceMs: (model || classifier) && isolation === 'thread' ? modelGraceMs : 0,
    ...(isolation === 'process' && { processes: { limitMs: maxImageMs, warmUp: { kind: 'warm' } } }),
  });

  const info: Pool['info'] = { threads };
  const { renew } = line;
  // As many tasks as threads, handed out at once: each thread gets one.
  const warmUp = Promise.all(
    Array.from({ length: threads }, () => line.run<Loaded>({ kind: 'warm' }, { isWarmUp: true })),
  ).then(([first]) => {
    info.core = first.core;
    info.embedder = first.embedder;
  });
  warmUp.catch(() => undefined); // reported by ready()

  return {
    info,
    get crashes() {
      return line.crashes;
    },
    get isFailing() {
      return line.isFailing;
    },
    get queued() {
      return line.queued;
    },
    get running() {
      return line.running;
    },
    get expectedWaitMs() {
      return line.expectedWaitMs;
    },
    admit: () => line.admit(),
    ...(renew && {
      async renew(profile: Profile) {
        const next: WorkerSettings = { ...workerData, profile, model: await resolveModel(profile, options.model) };
        await renew(next, (answer) => {
          if ('error' in (answer as WorkerAnswer<Loaded>)) throw reviveError((answer as { error: never }).error);
          info.embedder = (answer as { value: Loaded }).value.embedder;
        });
      },
    }),
    ready: () => warmUp,
    inspect(image, { signal, transfer } = {}) {
      // What goes to a process is copied on the way.
      if (isolation === 'process') return line.run({ kind: 'inspect', image }, { signal });
      const bytes = image instanceof Uint8Array ? image : image.data;
      const owned = transfer ? ownedBytes(bytes) : new Uint8Array(bytes);
      const sent = image instanceof Uint8Array ? owned : { ...image, data: owned };
      return line.run({ kind: 'inspect', image: sent }, { signal, transfer: [owned.buffer as ArrayBuffer] });
    },
    explain(bytes, { signal } = {}) {
      const owned = new Uint8Array(bytes);
      return line.run({ kind: 'explain', bytes: owned }, { signal, transfer: [owned.buffer] });
    },
    inspectFile: (path) => line.run({ kind: 'inspectFile', path }),
    score(item, format) {
      const bytes = item.bytes && ownedBytes(item.bytes);
      const transfer = bytes && [bytes.buffer as ArrayBuffer];
      return line.run({ kind: 'score', item: bytes ? { ...item, bytes } : item, format }, { transfer });
    },
    measure: (image) => line.run({ kind: 'measure', image: sendable(image) }),
    simulate: (image, simulations, { asks = false } = {}) =>
      line.run({ kind: 'simulate', image: sendable(image), simulations, asks }),
    close: () => line.close(),
    destroy: () => line.destroy(),
  };
}

/** What is sent without being handed over is copied, with all of the buffer that it is a view of. */
function sendable(image: EncodedImage): EncodedImage {
  return typeof image === 'string' ? image : ownedBytes(image);
}

/** A view into a larger buffer would be sent with all of that buffer, so it is copied first. */
function ownedBytes(bytes: Uint8Array): Uint8Array {
  const isWhole = bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  return isWhole ? bytes : new Uint8Array(bytes);
}

/** Found once and sent to every worker. */
async function resolveModel(
  profile: Profile | undefined,
  path?: string | PreparedModel,
): Promise<PreparedModel | undefined> {
  if (typeof path === 'object') return path;
  if (profile) return profile.model && findModel(profile.model, path);
  return path === undefined ? undefined : (await prepareModel(path)).model;
}
