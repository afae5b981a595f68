import { endSentence, reviveError, StoplineError } from '../../errors.ts';
import type { WorkerAnswer, Workers } from './answer.ts';
import { type ProcessOptions, WorkerProcesses } from './processes.ts';
import { WorkerThreads } from './threads.ts';

/** Assumed time of one task until the first has been timed: a 1080p JPEG takes 15 to 30 ms on one core. */
const coldStartMs = 25;
/** Weight of the newest task in the moving average of service time. */
const newestWeight = 0.1;

export interface WorkerLineOptions<Task> {
  filename: string;
  workerData?: unknown;
  threads: number;
  maxWaitMs?: number | undefined;
  /** Tasks handed to a thread beyond the one it works on; the thread must take them one after the other. Default 0. */
  ahead?: number;
  /** Longest time in milliseconds that `destroy` lets running tasks end by themselves; default 0. */
  graceMs?: number;
  /** Processes instead of threads: the longest time of one task, and what each does before it takes any. */
  processes?: Pick<
    ProcessOptions<Task>,
    'limitMs' | 'warmUp' | 'crashLimit' | 'maxBytes' | 'isConfined' | 'isPinned' | 'isBehind'
  >;
}

export interface TaskOptions {
  signal?: AbortSignal | undefined;
  transfer?: ArrayBuffer[] | undefined;
  /** Left out of the moving average of service time. */
  isWarmUp?: boolean | undefined;
  /** Expected to take far longer than others: it waits in a line of its own, of which one is worked on at a time. */
  isSlow?: boolean | undefined;
}

interface WaitingTask {
  start(): void;
  reject(reason: unknown): void;
}

/**
 * The tasks of one kind: those that wait, and how many are worked on. Slow tasks have a lane of their own beside that of the
 * others, with one place more than there are workers, so that a run of slow images costs the others no more than a share of
 * the processors.
 */
class Lane {
  readonly waiting = new Set<WaitingTask>();
  running = 0;
  readonly #places: number;
  readonly #threads: number;
  #serviceMs: number;

  constructor(places: number, threads: number, serviceMs: number) {
    this.#places = places;
    this.#threads = threads;
    this.#serviceMs = serviceMs;
  }

  get hasRoom(): boolean {
    return this.running < this.#places;
  }

  /** What a task that comes now would wait. */
  get expectedWaitMs(): number {
    return this.hasRoom ? 0 : (this.ahead / this.#threads) * this.#serviceMs;
  }

  /** Tasks that come before one that comes now. */
  get ahead(): number {
    return this.waiting.size + this.running;
  }

  learn(ms: number): void {
    this.#serviceMs += newestWeight * (ms - this.#serviceMs);
  }

  startNext(): void {
    while (this.hasRoom && this.waiting.size > 0) {
      const [next] = this.waiting;
      this.waiting.delete(next);
      next.start();
    }
  }

  rejectAll(reason: unknown): void {
    for (const entry of this.waiting) entry.reject(reason);
    this.waiting.clear();
  }
}

/** Assumed time of a slow task until the first has been timed. */
const coldSlowMs = 1000;

/**
 * A first-in first-out line in front of a set of workers, bounded by the time a newcomer would wait. The workers run `filename`,
 * whose export `openWorker` takes the `workerData` and returns what takes a task and answers with a `WorkerAnswer`.
 *
 * Piscina is not given the queue: its abort kills a busy worker, so a client that hangs up would cost a restart, and with
 * signals its order is last-in first-out. It gets a task only when a thread is free.
 */
export class WorkerLine<Task> {
  readonly threads: number;
  /** See `Workers`. */
  readonly renew?: Workers<Task>['renew'];
  readonly #maxWaitMs: number;
  readonly #graceMs: number;
  readonly #workers: Workers<Task>;
  readonly #lane: Lane;
  readonly #slowLane: Lane;
  #isClosed = false;
  #failure: StoplineError | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: WorkerLineOptions<Task>) {
    const { filename, workerData, threads, processes, ahead = 0, graceMs = 0 } = options;
    this.threads = threads;
    this.#maxWaitMs = options.maxWaitMs ?? Number.POSITIVE_INFINITY;
    this.#graceMs = graceMs;
    this.#lane = new Lane(threads * (1 + ahead), threads, coldStartMs);
    this.#slowLane = new Lane(1, 1, coldSlowMs);
    const onFailure = (cause: unknown) => this.#checkWorkers(cause);
    const common = { filename, workerData, count: threads, onFailure };
    this.#workers = processes
      ? new WorkerProcesses({ ...common, ahead, ...processes })
      : new WorkerThreads({ ...common, ahead });
    const workers = this.#workers;
    if (workers.renew) this.renew = workers.renew.bind(workers);
  }

  /** See `Workers`. */
  get crashes(): number {
    return this.#workers.crashes;
  }

  /** See `Workers`. */
  get slow(): number {
    return this.#workers.slow;
  }

  /** See `Workers`. */
  get isFailing(): boolean {
    return this.#workers.isFailing;
  }

  /** Tasks that wait for a worker. */
  get queued(): number {
    return this.#lane.waiting.size + this.#slowLane.waiting.size;
  }

  get running(): number {
    return this.#lane.running + this.#slowLane.running;
  }

  /** What a task that comes now would wait: 0 while a worker is free. */
  get expectedWaitMs(): number {
    return this.#lane.expectedWaitMs;
  }

  /**
   * Whether a task that comes now would be taken: lets a server refuse a request before it reads the body.
   * @throws {StoplineError} OVERLOADED when the wait would exceed `maxWaitMs`, CLOSED after `close`, INTERNAL when the
   * workers cannot start
   */
  admit(isSlow = false): void {
    if (this.#isClosed) throw closedError();
    if (this.#failure) throw this.#failure;
    const lane = isSlow ? this.#slowLane : this.#lane;
    if (lane.expectedWaitMs <= this.#maxWaitMs) return;
    throw new StoplineError(
      'OVERLOADED',
      `Expected a wait of at most ${this.#maxWaitMs} ms but ${lane.ahead} ${isSlow ? 'slow ' : ''}images come first and take about ${Math.ceil(lane.expectedWaitMs)} ms.`,
    );
  }

  /**
   * @throws {StoplineError} at once what `admit` throws; later INTERNAL when the worker died, and whatever coded error the
   * worker answered
   * @throws the reason of `signal` when it aborts; a task that has started runs on, and its result is dropped
   */
  async run<Value>(task: Task, options: TaskOptions = {}): Promise<Value> {
    const { signal, isSlow } = options;
    this.admit(isSlow);
    signal?.throwIfAborted();
    const lane = isSlow ? this.#slowLane : this.#lane;
    return new Promise<Value>((resolve, reject) => {
      const entry: WaitingTask = {
        start: () => this.#execute<Value>(task, lane, options).then(resolve, reject).finally(forget),
        reject: (reason) => {
          forget();
          reject(reason);
        },
      };
      const abort = () => {
        lane.waiting.delete(entry);
        reject(signal?.reason); // a task that has started runs on
      };
      const forget = () => signal?.removeEventListener('abort', abort);
      signal?.addEventListener('abort', abort, { once: true });
      lane.waiting.add(entry);
      lane.startNext();
    });
  }

  /** Takes no more tasks, finishes those accepted, then ends the workers. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.running > 0 || this.queued > 0) await this.#waitUntilIdle();
    await this.#workers.destroy();
  }

  /** Ends the workers at once; tasks not finished reject with CLOSED. */
  async destroy(): Promise<void> {
    this.#isClosed = true;
    this.#rejectWaiting(closedError());
    if (this.running > 0 && this.#graceMs > 0) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, this.#graceMs);
      });
      await Promise.race([this.#waitUntilIdle(), late]);
      clearTimeout(timer);
    }
    await this.#workers.destroy();
  }

  async #execute<Value>(task: Task, lane: Lane, { transfer, isWarmUp }: TaskOptions): Promise<Value> {
    lane.running += 1;
    const startedAt = performance.now();
    try {
      const answer = (await this.#workers.run(task, { transfer, isWarmUp })) as WorkerAnswer<Value>;
      if (!isWarmUp) lane.learn(performance.now() - startedAt);
      if ('error' in answer) throw reviveError(answer.error);
      const { value } = answer;
      // Piscina's finished tasks hold their answers, and one that has reached the old generation keeps the next ones alive
      // through every scavenge. An emptied answer lets the value go: otherwise all verdicts of minutes pile up.
      (answer as { value: Value | undefined }).value = undefined;
      return value;
    } catch (cause) {
      if (cause instanceof StoplineError) throw cause;
      if (this.#isClosed) throw closedError();
      this.#checkWorkers(cause);
      throw (
        this.#failure ??
        new StoplineError('INTERNAL', `The worker ended: ${endSentence(describeCause(cause))}`, { cause })
      );
    } finally {
      lane.running -= 1;
      lane.startNext();
      if (this.running === 0) this.#onIdle?.();
    }
  }

  /** Piscina stops replacing workers that fail while they start; without this check tasks would wait for ever. */
  #checkWorkers(cause: unknown): void {
    if (this.#failure || this.#isClosed || this.#workers.alive > 0) return;
    this.#failure = new StoplineError('INTERNAL', `The workers cannot start: ${endSentence(describeCause(cause))}`, {
      cause,
    });
    this.#rejectWaiting(this.#failure);
    void this.#workers.destroy();
  }

  #rejectWaiting(reason: unknown): void {
    this.#lane.rejectAll(reason);
    this.#slowLane.rejectAll(reason);
  }

  #waitUntilIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }
}

export function createWorkerLine<Task>(options: WorkerLineOptions<Task>): WorkerLine<Task> {
  return new WorkerLine(options);
}

function closedError(): StoplineError {
  return new StoplineError('CLOSED', 'Expected an open pool but it is closing; try another replica.');
}

function describeCause(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
