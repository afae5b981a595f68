import { endSentence, reviveError, StoplineError } from '../../errors.ts';
import type { WorkerAnswer, Workers } from './answer.ts';
import { startProcesses } from './processes.ts';
import { startThreads } from './threads.ts';

/** Assumed time of one task until the first has been timed: a 1080p JPEG takes 15 to 30 ms on one core. */
const coldStartMs = 25;
/** Weight of the newest task in the moving average of service time. */
const newestWeight = 0.1;

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
  run<Value>(task: Task, options?: LineOptions): Promise<Value>;
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

export interface LineOptions {
  signal?: AbortSignal | undefined;
  transfer?: ArrayBuffer[] | undefined;
  /** Left out of the moving average of service time. */
  isWarmUp?: boolean;
}

interface WaitingTask {
  start(): void;
  reject(reason: unknown): void;
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
  maxWaitMs?: number | undefined;
  /** Tasks handed to a thread beyond the one it works on; the thread must take them one after the other. Default 0. */
  ahead?: number;
  /** Longest time in milliseconds that `destroy` lets running tasks end by themselves; default 0. */
  graceMs?: number;
  /** Processes instead of threads: the longest time of one task, and what each does before it takes any. */
  processes?: { limitMs: number; warmUp?: Task; crashLimit?: number | undefined };
}): WorkerLine<Task> {
  const { filename, workerData, threads, processes } = options;
  const { maxWaitMs = Number.POSITIVE_INFINITY, ahead = 0, graceMs = 0 } = options;
  const places = threads * (1 + ahead);
  const common = { filename, workerData, count: threads, onFailure: (cause: unknown) => checkThreads(cause) };
  const workers: Workers<Task> = processes
    ? startProcesses({ ...common, ...processes })
    : startThreads({ ...common, ahead });
  const waiting = new Set<WaitingTask>();
  let running = 0;
  let serviceMs = coldStartMs;
  let isClosed = false;
  let failure: StoplineError | undefined;
  let onIdle: (() => void) | undefined;

  /** Piscina stops replacing workers that fail while they start; without this check tasks would wait for ever. */
  const checkThreads = (cause: unknown) => {
    if (failure || isClosed || workers.alive > 0) return;
    failure = new StoplineError('INTERNAL', `The workers cannot start: ${endSentence(describeError(cause))}`, {
      cause,
    });
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

  const execute = async <Value>(task: Task, { transfer, isWarmUp }: LineOptions): Promise<Value> => {
    running += 1;
    const startedAt = performance.now();
    try {
      const answer = (await workers.run(task, { transfer, isWarmUp })) as WorkerAnswer<Value>;
      if (!isWarmUp) serviceMs += newestWeight * (performance.now() - startedAt - serviceMs);
      if ('error' in answer) throw reviveError(answer.error);
      const { value } = answer;
      // Piscina's finished tasks hold their answers, and one that has reached the old generation keeps the next ones alive
      // through every scavenge. An emptied answer lets the value go: otherwise all verdicts of minutes pile up.
      (answer as { value?: Value | undefined }).value = undefined;
      return value;
    } catch (cause) {
      if (cause instanceof StoplineError) throw cause;
      if (isClosed) throw closedError();
      checkThreads(cause);
      throw (
        failure ?? new StoplineError('INTERNAL', `The worker ended: ${endSentence(describeError(cause))}`, { cause })
      );
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
    async run<Value>(task: Task, runOptions: LineOptions = {}): Promise<Value> {
      const { signal } = runOptions;
      admit();
      signal?.throwIfAborted();
      return new Promise<Value>((resolve, reject) => {
        const entry: WaitingTask = {
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

function describeError(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
