import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { limitNode } from '../../core/confine.ts';
import { resolveEntry } from '../../core/entry.ts';
import { pickEnvironment } from '../../core/environment.ts';
import { StoplineError } from '../../errors.ts';
import { chooseCpus } from './affinity.ts';
import type { Workers } from './answer.ts';
import { takeApart } from './arrays.ts';
import { planNextLook, readProcessorMs, wantsProcessor } from './processortime.ts';

/** Longest time that a process may take to start and to warm up. */
const startMs = 60_000;
/** Starts in a row that fail before the first process was ever ready: then none will. */
const maxFailedStarts = 4;
/** So many that end within the window hold new ones back: a storm of starts would take every core. */
const defaultCrashLimit = 20;
const crashWindowMs = 60_000;
/** Processes beyond those that work, warm: one takes over at once from one that ended, where a new one takes a second to start. */
const spares = 1;
const backOffMs = 2000;
/** Most data of one process in bytes, where nobody has reckoned what its tasks need. */
const defaultMaxBytes = 1024 ** 3;

interface Assignment {
  id: number;
  task: unknown;
  isLimited: boolean;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

interface Child {
  process: ChildProcess;
  isReady: boolean;
  isLate: boolean;
  /** The data that it works with. */
  given?: unknown;
  /** The processor that it is bound to. */
  cpu?: number | undefined;
  /** What it was handed and has not answered, by number. */
  jobs: Map<number, Assignment>;
  timer?: NodeJS.Timeout;
  /** What it is to work with instead, once it is idle; told how its warm-up ended, or nothing where the process did. */
  renewal?: { workerData: unknown; isSent: boolean; resolve(answer?: unknown): void } | undefined;
}

/** What a process sends: the answer to a task by its number, or, without one, that it is ready and what its warm-up came to. */
interface Answer {
  id?: number;
  answer?: unknown;
}

export interface ProcessOptions<Task> {
  filename: string;
  workerData: unknown;
  /** Tasks that are worked on at a time. */
  count: number;
  /** Tasks handed to a process beyond the one it works on; only without `limitMs`, and then there is no spare process. Default 0. */
  ahead?: number | undefined;
  /** Whether each process keeps to a processor of its own, where there is one for each and the system can be asked for that. */
  isPinned?: boolean | undefined;
  /**
   * A task that takes more processor time than this ends with its process. Where processor time cannot be read, it is the time
   * on the clock. Default: no limit.
   */
  limitMs?: number | undefined;
  /** Done by every process before it takes tasks, also by one that replaces another. */
  warmUp?: Task | undefined;
  crashLimit?: number | undefined;
  /** Most data of one process in bytes, enforced where there is a POSIX shell; default 1 GiB. */
  maxBytes?: number | undefined;
  /** Whether rights are taken from the processes, as far as there are means; default: yes. */
  isConfined?: boolean | undefined;
  /** Whether they come a little behind this process, which has answers to give, where all processors are busy; default: no. */
  isBehind?: boolean | undefined;
  onFailure(cause: unknown): void;
}

/**
 * Workers that are processes: what crashes, hangs or eats memory in native code ends one of them and costs one image, where
 * a thread would take the service with it. Bytes cross the border through a pipe and must not change until the task has ended. One
 * process more than work at a time is kept ready, started when the others are.
 */
export class WorkerProcesses<Task> implements Workers<Task> {
  readonly #options: ProcessOptions<Task>;
  readonly #children = new Set<Child>();
  /** Jobs that were handed over while no process was ready. */
  readonly #waiting: Assignment[] = [];
  readonly #room: number;
  readonly #spares: number;
  readonly #cpus: readonly number[];
  #lastId = 0;
  #workerData: unknown;
  #crashTimes: number[] = [];
  #crashes = 0;
  #slow = 0;
  #failedStarts = 0;
  #readyOnce = 0;
  #isClosed = false;

  constructor(options: ProcessOptions<Task>) {
    this.#options = options;
    const { count, ahead = 0, isPinned } = options;
    this.#room = 1 + ahead;
    this.#spares = ahead > 0 ? 0 : spares;
    this.#cpus = isPinned ? chooseCpus(count) : [];
    this.#workerData = options.workerData;
    // Told by the end of the pipe, a process that hangs in native code would not notice.
    process.on('exit', this.#killAll);
    for (let i = 0; i < count; i++) this.#start();
  }

  get alive(): number {
    return this.#children.size;
  }

  get crashes(): number {
    return this.#crashes;
  }

  get slow(): number {
    return this.#slow;
  }

  get isFailing(): boolean {
    return this.#isCrashing() && ![...this.#children].some(({ isReady }) => isReady);
  }

  run(task: Task, { isWarmUp }: { isWarmUp?: boolean }): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id: ++this.#lastId, task, isLimited: !isWarmUp, resolve, reject });
      this.#giveAll();
    });
  }

  async renew(next: unknown, check: (answer: unknown) => void): Promise<void> {
    const before = this.#workerData;
    for (;;) {
      const child = this.#findOther(next);
      if (!child) break;
      const answer = await this.#renewChild(child, next);
      if (answer === undefined) continue; // what replaces one that ended meanwhile gets its turn
      try {
        check(answer);
      } catch (error) {
        this.#workerData = before;
        for (let wrong = this.#findOther(before); wrong; wrong = this.#findOther(before)) {
          await this.#renewChild(wrong, before);
        }
        throw error;
      }
      this.#workerData = next;
    }
    if (this.#workerData !== next) throw new Error('Expected processes to be renewed but none runs.');
  }

  async destroy(): Promise<void> {
    this.#isClosed = true;
    for (const job of this.#waiting.splice(0)) job.reject(new Error('closed'));
    process.off('exit', this.#killAll);
    // Not 'close', which does not always come after a pipe with unread messages.
    const ended = [...this.#children].map((child) => new Promise((resolve) => child.process.once('exit', resolve)));
    this.#killAll();
    await Promise.all(ended);
  }

  readonly #killAll = () => {
    for (const child of this.#children) child.process.kill('SIGKILL');
  };

  #start(): void {
    if (this.#isClosed) return;
    const cpu = this.#findCpu();
    const child: Child = {
      process: spawnChild(this.#options, cpu),
      isReady: false,
      isLate: false,
      cpu,
      jobs: new Map(),
    };
    this.#children.add(child);
    child.process.on('message', (message: Answer) => this.#receive(child, message));
    child.process.on('exit', (code, signal) => this.#replace(child, signal ?? `exit code ${code}`));
    child.process.on('error', (error) => this.#replace(child, error.message));
    this.#open(child, this.#workerData);
  }

  #open(child: Child, given: unknown): void {
    child.isReady = false;
    child.given = given;
    child.timer = setTimeout(() => this.#endLate(child), startMs);
    child.process.send({ workerData: given, warmUp: this.#options.warmUp }, () => undefined);
  }

  /** The processor that the fewest keep to; nothing where none is to. */
  #findCpu(): number | undefined {
    const count = (cpu: number) => [...this.#children].filter((child) => child.cpu === cpu).length;
    return [...this.#cpus].sort((a, b) => count(a) - count(b))[0];
  }

  /** Hands out what waits, each to the one that has least to do. */
  #giveAll(): void {
    while (this.#waiting.length > 0) {
      let free: Child | undefined;
      for (const child of this.#children) {
        const hasRoom = child.isReady && !child.isLate && !child.renewal && child.jobs.size < this.#room;
        if (hasRoom && child.jobs.size < (free?.jobs.size ?? this.#room)) free = child;
      }
      if (!free) return;
      this.#give(free, this.#waiting.shift() as Assignment);
    }
  }

  #give(child: Child, job: Assignment): void {
    child.jobs.set(job.id, job);
    // First: what the process has used so far is read from a file, for which the image need not wait.
    handOver(child.process, job);
    if (job.isLimited && this.#options.limitMs !== undefined) this.#limit(child, job, this.#options.limitMs);
  }

  /** Gives it what it is to work with instead, once nothing is left of what it was handed. */
  #renewIdle(child: Child): void {
    const { renewal, isReady, jobs } = child;
    if (!renewal || renewal.isSent || !isReady || jobs.size > 0) return;
    renewal.isSent = true;
    this.#open(child, renewal.workerData);
  }

  /** Ends the process when its task has used its processor time: on a busy machine a sound image may take longer by the clock. */
  #limit(child: Child, job: Assignment, limitMs: number): void {
    const { pid } = child.process;
    const usedBefore = readProcessorMs(pid);
    const startedAt = performance.now();
    let lastUsedMs = 0;
    const look = () => {
      if (!child.jobs.has(job.id)) return;
      const usedNow = readProcessorMs(pid);
      const usedMs = usedBefore === undefined || usedNow === undefined ? limitMs : usedNow - usedBefore;
      const elapsedMs = performance.now() - startedAt;
      const waitMs = planNextLook({ limitMs, usedMs, lastUsedMs, elapsedMs, isWaiting: wantsProcessor(pid) });
      lastUsedMs = usedMs;
      if (waitMs === undefined) this.#endLate(child);
      else lookIn(waitMs);
    };
    // Timers come before what was sent meanwhile: where this process itself was held up, the answer may have long been there.
    const lookIn = (ms: number) => {
      child.timer = setTimeout(() => setImmediate(look), ms);
    };
    lookIn(limitMs);
  }

  #endLate(child: Child): void {
    child.isLate = true;
    child.process.kill('SIGKILL');
  }

  #receive(child: Child, { id, answer }: Answer): void {
    clearTimeout(child.timer);
    if (id === undefined) this.#welcome(child, answer);
    else {
      const job = child.jobs.get(id);
      child.jobs.delete(id);
      job?.resolve(answer);
    }
    this.#renewIdle(child);
    this.#giveAll();
  }

  #welcome(child: Child, answer: unknown): void {
    child.isReady = true;
    this.#failedStarts = 0;
    const { renewal } = child;
    if (renewal?.isSent) {
      child.renewal = undefined;
      renewal.resolve(answer);
    } else if (++this.#readyOnce === this.#options.count) {
      for (let i = 0; i < this.#spares; i++) this.#start();
    }
  }

  /** Says what the end of a process means for its task, and starts another. */
  #replace(child: Child, how: string): void {
    if (!this.#children.delete(child)) return;
    clearTimeout(child.timer);
    child.renewal?.resolve();
    for (const job of child.jobs.values()) {
      job.reject(this.#isClosed ? new Error('closed') : this.#describeEnd(child, how));
    }
    if (this.#isClosed) return;
    this.#countEnd(child);
    if (this.#readyOnce > 0 || this.#failedStarts < maxFailedStarts) {
      setTimeout(() => this.#start(), this.#isCrashing() ? backOffMs : 0);
    } else if (this.#children.size === 0) {
      const cause = new Error(`the last one ended: ${how}`);
      this.#options.onFailure(cause);
      for (const job of this.#waiting.splice(0)) job.reject(cause);
    }
  }

  #describeEnd({ isLate }: Child, how: string): StoplineError {
    return isLate
      ? new StoplineError(
          'IMAGE_TOO_COMPLEX',
          `Expected an image that is judged within ${this.#options.limitMs} ms; it took longer.`,
        )
      : new StoplineError('IMAGE_CRASHED', `Expected a verdict but the process at work on the image ended: ${how}.`);
  }

  /** A process that was ended for a slow task is no crash: legal images may be slow, and say nothing about the next ones. */
  #countEnd(child: Child): void {
    if (child.isLate && child.jobs.size > 0) {
      this.#slow += 1;
      return;
    }
    this.#crashes += 1;
    this.#crashTimes.push(performance.now());
    this.#failedStarts += child.isReady ? 0 : 1;
  }

  #isCrashing(): boolean {
    const since = performance.now() - crashWindowMs;
    this.#crashTimes = this.#crashTimes.filter((at) => at > since);
    return this.#crashTimes.length >= (this.#options.crashLimit ?? defaultCrashLimit);
  }

  /** A process that works with something else: an idle one first, so that the others go on with what they have. */
  #findOther(given: unknown): Child | undefined {
    const others = [...this.#children].filter((child) => child.given !== given);
    return others.find(({ jobs }) => jobs.size === 0) ?? others[0];
  }

  /** @returns what its warm-up came to; nothing where the process has ended */
  #renewChild(child: Child, given: unknown): Promise<unknown> {
    return new Promise<unknown>((resolve) => {
      child.renewal = { workerData: given, isSent: false, resolve };
      this.#renewIdle(child);
    });
  }
}

/** Sends a task, its long arrays ahead of it. A process that is gone is noticed by its end. */
function handOver(child: ChildProcess, { id, task }: Assignment): void {
  const { arrays, ...apart } = takeApart(task);
  const pipe = child.stdio[4] as Writable;
  for (const array of arrays) pipe.write(array);
  child.send({ id, ...apart }, () => undefined);
}

function spawnChild<Task>(options: ProcessOptions<Task>, cpu: number | undefined): ChildProcess {
  const { filename, maxBytes = defaultMaxBytes, isConfined = true, isBehind } = options;
  // As for threads (`maxYoungMiB`): three semi-spaces are the young generation.
  const args = ['--max-semi-space-size=2', resolveEntry('./process.entry', import.meta.url), filename];
  if (isBehind) args.push('behind');
  const child = spawn(...limitNode(args, { maxBytes, isConfined, cpu }), {
    // The last one carries long arrays: see `process.entry.ts`.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'],
    serialization: 'advanced',
    env: pickEnvironment(),
  });
  child.stdio[4]?.on('error', () => undefined);
  return child;
}
