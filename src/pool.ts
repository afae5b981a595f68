import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { CoreInfo } from './core/index.ts';
import type { Frame, Limits } from './decode.ts';
import { findModel } from './embedding/choose.ts';
import { type EmbedderInfo, type PreparedModel, prepareModel } from './embedding/index.ts';
import { reviveError, StoplineError } from './errors.ts';
import type { ExposedImage, Exposure } from './exposure.ts';
import type { Explanation } from './inspector.ts';
import type { MeasuredImage } from './measure.ts';
import { startProcesses } from './processes.ts';
import { loadProfile, type Profile } from './profile.ts';
import type { RowFormat, WrittenRow } from './row.ts';
import type { DecideBy, Verdict } from './verdict.ts';
import type { EncodedImage, Loaded, ScoredItem, WorkerSettings, WorkerTask } from './worker.ts';
import type { WorkerAnswer } from './workeranswer.ts';

/** Assumed time of one task until the first has been timed: a 1080p JPEG takes 15 to 30 ms on one core. */
const coldStartMs = 25;
/** Weight of the newest task in the moving average of service time. */
const newestWeight = 0.1;
/**
 * Most memory for young objects of a worker, in MiB. Next to nothing lives longer than one image, but without a limit this
 * grows for thousands of images: measured, 51 MB of heap a worker instead of 24, and no faster.
 */
const maxYoungMiB = 6;

/** ONNX Runtime aborts the process when its thread is ended while it loads or runs a network. */
const modelGraceMs = 5000;

/** What does the tasks of a line: threads, or processes. */
export interface Workers<Task> {
  /** Takes as many tasks at a time as there are workers; what a worker answers is not looked at. */
  run(task: Task, options: { transfer?: ArrayBuffer[]; isWarmUp?: boolean }): Promise<unknown>;
  /**
   * Gives every worker other `workerData`, one after the other, while the rest go on; absent where workers cannot be told.
   * @param check looks at what the warm-up of each came to; what it throws is thrown, and all work with what they had before
   */
  renew?(workerData: unknown, check: (answer: unknown) => void): Promise<void>;
  /** Workers that run or start. */
  readonly alive: number;
  /** Workers that ended by themselves, ever. */
  readonly crashes: number;
  /** So many end by themselves that new ones are held back. */
  readonly isFailing: boolean;
  destroy(): Promise<void>;
}

/** A first-in first-out line in front of a set of worker threads, bounded by the time a newcomer would wait. */
export interface WorkerLine<Task> {
  /**
   * Whether a task that comes now would be taken: lets a server refuse a request before it reads the body.
   * @throws {StoplineError} OVERLOADED when the wait would exceed `maxWaitMs`, CLOSED after `close`, INTERNAL when the
   * worker threads cannot start
   */
  admit(): void;
  /**
   * @throws {StoplineError} at once what `admit` throws; later INTERNAL when the worker died, and whatever coded error the
   * worker answered
   * @throws the reason of `signal` when it aborts; a task that has started runs on, and its result is dropped
   */
  run<Value>(task: Task, options?: RunOptions): Promise<Value>;
  readonly threads: number;
  /** See `Workers`. */
  readonly renew?: Workers<Task>['renew'];
  readonly crashes: number;
  readonly isFailing: boolean;
  /** Tasks that wait for a thread. */
  readonly queued: number;
  readonly running: number;
  /** What a task that comes now would wait: 0 while a thread is free. */
  readonly expectedWaitMs: number;
  /** Takes no more tasks, finishes those accepted, then ends the threads. */
  close(): Promise<void>;
  /** Ends the threads at once; tasks not finished reject with CLOSED. */
  destroy(): Promise<void>;
}

export interface RunOptions {
  signal?: AbortSignal;
  transfer?: ArrayBuffer[];
  /** Left out of the moving average of service time. */
  isWarmUp?: boolean;
}

interface Waiting {
  start(): void;
  reject(reason: unknown): void;
}

function startThreads<Task>(options: {
  filename: string;
  workerData: unknown;
  count: number;
  ahead: number;
  onFailure(cause: unknown): void;
}): Workers<Task> {
  const { filename, workerData, count, ahead, onFailure } = options;
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const piscina = new Piscina({
    filename: fileURLToPath(new URL(`./thread.${extension}`, import.meta.url)),
    workerData: { filename, given: workerData },
    minThreads: count,
    maxThreads: count,
    concurrentTasksPerWorker: 1 + ahead,
    resourceLimits: { maxYoungGenerationSizeMb: maxYoungMiB },
  });
  piscina.on('error', onFailure);
  return {
    run: (task, { transfer }) => piscina.run(task, { transferList: transfer }),
    get alive() {
      return piscina.threads.length;
    },
    crashes: 0,
    isFailing: false,
    destroy: () => piscina.destroy(),
  };
}

/**
 * Starts workers on `filename`, whose export `openWorker` takes the `workerData` and returns what takes a task and answers with a
 * `WorkerAnswer`.
 *
 * Piscina is not given the queue: its abort kills a busy worker, so a client that hangs up would cost a restart, and with
 * signals its order is last-in first-out. It gets a task only when a thread is free.
 */
export function createWorkerLine<Task>(options: {
  filename: string;
  workerData?: unknown;
  threads: number;
  maxWaitMs?: number;
  /** Tasks handed to a thread beyond the one it works on; the thread must take them one after the other. Default 0. */
  ahead?: number;
  /** Longest time in milliseconds that `destroy` lets running tasks end by themselves; default 0. */
  graceMs?: number;
  /** Processes instead of threads: the longest time of one task, and what each does before it takes any. */
  processes?: { limitMs: number; warmUp?: Task; crashLimit?: number };
}): WorkerLine<Task> {
  const { filename, workerData, threads, processes } = options;
  const { maxWaitMs = Number.POSITIVE_INFINITY, ahead = 0, graceMs = 0 } = options;
  const places = threads * (1 + ahead);
  const common = { filename, workerData, count: threads, onFailure: (cause: unknown) => checkThreads(cause) };
  const workers: Workers<Task> = processes
    ? startProcesses({ ...common, ...processes })
    : startThreads({ ...common, ahead });
  const waiting = new Set<Waiting>();
  let running = 0;
  let serviceMs = coldStartMs;
  let isClosed = false;
  let failure: StoplineError | undefined;
  let onIdle: (() => void) | undefined;

  /** Piscina stops replacing workers that fail while they start; without this check tasks would wait for ever. */
  const checkThreads = (cause: unknown) => {
    if (failure || isClosed || workers.alive > 0) return;
    failure = new StoplineError('INTERNAL', `The workers cannot start: ${messageOf(cause)}`, { cause });
    for (const entry of waiting) entry.reject(failure);
    waiting.clear();
    void workers.destroy();
  };

  const closedError = () =>
    new StoplineError('CLOSED', 'Expected an open pool but it is closing; try another replica.');
  const expectedWaitMs = () => (running < places ? 0 : ((waiting.size + running) / threads) * serviceMs);

  const admit = () => {
    if (isClosed) throw closedError();
    if (failure) throw failure;
    const waitMs = expectedWaitMs();
    if (waitMs <= maxWaitMs) return;
    throw new StoplineError(
      'OVERLOADED',
      `Expected a wait of at most ${maxWaitMs} ms but ${waiting.size + running} images come first and take about ${Math.ceil(waitMs)} ms.`,
    );
  };

  const startNext = () => {
    while (running < places && waiting.size > 0) {
      const [next] = waiting;
      waiting.delete(next);
      next.start();
    }
    if (running === 0) onIdle?.();
  };

  const execute = async <Value>(task: Task, { transfer, isWarmUp }: RunOptions): Promise<Value> => {
    running += 1;
    const startedAt = performance.now();
    try {
      const answer = (await workers.run(task, { transfer, isWarmUp })) as WorkerAnswer<Value>;
      if (!isWarmUp) serviceMs += newestWeight * (performance.now() - startedAt - serviceMs);
      if ('error' in answer) throw reviveError(answer.error);
      const { value } = answer;
      // Piscina's finished tasks hold their answers, and one that has reached the old generation keeps the next ones alive
      // through every scavenge. An emptied answer lets the value go: otherwise all verdicts of minutes pile up.
      (answer as { value?: Value }).value = undefined;
      return value;
    } catch (cause) {
      if (cause instanceof StoplineError) throw cause;
      if (isClosed) throw closedError();
      checkThreads(cause);
      throw failure ?? new StoplineError('INTERNAL', `The worker ended: ${messageOf(cause)}`, { cause });
    } finally {
      running -= 1;
      startNext();
    }
  };

  return {
    threads,
    renew: workers.renew,
    get crashes() {
      return workers.crashes;
    },
    get isFailing() {
      return workers.isFailing;
    },
    admit,
    get queued() {
      return waiting.size;
    },
    get running() {
      return running;
    },
    get expectedWaitMs() {
      return expectedWaitMs();
    },
    async run<Value>(task: Task, runOptions: RunOptions = {}): Promise<Value> {
      const { signal } = runOptions;
      admit();
      signal?.throwIfAborted();
      return new Promise<Value>((resolve, reject) => {
        const entry: Waiting = {
          start: () => execute<Value>(task, runOptions).then(resolve, reject).finally(forget),
          reject: (reason) => {
            forget();
            reject(reason);
          },
        };
        const abort = () => {
          waiting.delete(entry);
          reject(signal?.reason); // a task that has started runs on
        };
        const forget = () => signal?.removeEventListener('abort', abort);
        signal?.addEventListener('abort', abort, { once: true });
        waiting.add(entry);
        startNext();
      });
    },
    async close() {
      isClosed = true;
      if (running > 0 || waiting.size > 0) await new Promise<void>((resolve) => (onIdle = resolve));
      await workers.destroy();
    },
    async destroy() {
      isClosed = true;
      for (const entry of waiting) entry.reject(closedError());
      waiting.clear();
      if (running > 0 && graceMs > 0) {
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, graceMs);
        });
        const idle = new Promise<void>((resolve) => {
          onIdle = resolve;
        });
        await Promise.race([idle, late]);
        clearTimeout(timer);
      }
      await workers.destroy();
    },
  };
}

export interface PoolOptions {
  /** A loaded Profile, or the path of one, which is read once: every worker, also one started later, judges by the same. */
  profile?: Profile | string;
  /** Default: number of cores. */
  threads?: number;
  /** Longest time an image may be expected to wait for a thread, in milliseconds; default: no bound (the caller paces itself). */
  maxWaitMs?: number;
  core?: 'auto' | 'native' | 'wasm';
  /** See `InspectorOptions`; a detector that the Profile lacks makes `ready` reject. */
  decideBy?: DecideBy;
  /** See `InspectorOptions`; a rule that is none, or that the Profile cannot answer, makes `ready` reject. */
  blockWhen?: string;
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
  model?: string | PreparedModel;
  /** The user's classifier, asked for its answers to exposures. */
  classifier?: PreparedModel;
  /** Where networks are run; `gpu` falls back to the CPU, with the reasons in `info.embedder.failed`. Default: cpu. */
  device?: 'cpu' | 'gpu';
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
  inspect(image: Uint8Array | Frame, options?: { signal?: AbortSignal; transfer?: boolean }): Promise<Verdict>;
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
   * The image under each exposure, in order; with what the networks of the pool say of it, if asked for.
   * @throws {StoplineError} INPUT_*, IMAGE_*, OPTION_INVALID, MODEL_*
   */
  expose(image: EncodedImage, exposures: readonly Exposure[], options?: { asks?: boolean }): Promise<ExposedImage[]>;
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
  readonly info: { threads: number; core?: CoreInfo; embedder?: EmbedderInfo };
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
  const model = await modelOf(profile, options.model);
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
        const next: WorkerSettings = { ...workerData, profile, model: await modelOf(profile, options.model) };
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
    expose: (image, exposures, { asks = false } = {}) =>
      line.run({ kind: 'expose', image: sendable(image), exposures, asks }),
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
async function modelOf(
  profile: Profile | undefined,
  path?: string | PreparedModel,
): Promise<PreparedModel | undefined> {
  if (typeof path === 'object') return path;
  if (profile) return profile.model && findModel(profile.model, path);
  return path === undefined ? undefined : (await prepareModel(path)).model;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
