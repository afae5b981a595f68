import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { StoplineError } from '../../errors.ts';
import type { Workers } from './answer.ts';

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
/**
 * Most data of one process in bytes, enforced where there is a POSIX shell. The largest image that is let through takes
 * about 300 MB beside the 100 MB of a process with the default model.
 */
const maxBytes = 1024 ** 3;

interface Assignment {
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
  job?: Assignment | undefined;
  timer?: NodeJS.Timeout;
  /** What it is to work with instead, once it is idle; told how its warm-up ended, or nothing where the process did. */
  renewal?: { workerData: unknown; isSent: boolean; resolve(answer?: unknown): void } | undefined;
}

/**
 * Workers that are processes: what crashes, hangs or eats memory in native code ends one of them and costs one image, where
 * a thread would take the service with it. Bytes cross the border through a pipe. One process more than work at a time is
 * kept ready, started when the others are.
 *
 * @param options.count tasks that are worked on at a time
 * @param options.limitMs a task that takes longer ends with its process
 * @param options.warmUp done by every process before it takes tasks, also by one that replaces another
 */
export function startProcesses<Task>(options: {
  filename: string;
  workerData: unknown;
  count: number;
  limitMs: number;
  warmUp?: Task;
  crashLimit?: number | undefined;
  onFailure(cause: unknown): void;
}): Workers<Task> {
  const { filename, count, limitMs, warmUp, crashLimit = defaultCrashLimit, onFailure } = options;
  let { workerData } = options;
  const children = new Set<Child>();
  /** Handed over, but no process is ready. */
  const waiting: Assignment[] = [];
  let crashes: number[] = [];
  let total = 0;
  let failedStarts = 0;
  let readyOnce = 0;
  let isClosed = false;

  const recentCrashes = () => {
    const since = performance.now() - crashWindowMs;
    crashes = crashes.filter((at) => at > since);
    return crashes.length;
  };

  const endAfter = (child: Child, ms: number) => {
    child.timer = setTimeout(() => {
      child.isLate = true;
      child.process.kill('SIGKILL');
    }, ms);
  };

  const open = (child: Child, given: unknown) => {
    child.isReady = false;
    child.given = given;
    endAfter(child, startMs);
    child.process.send({ workerData: given, warmUp }, () => undefined);
  };

  const giveNext = (child: Child) => {
    if (child.renewal && !child.renewal.isSent) {
      child.renewal.isSent = true;
      open(child, child.renewal.workerData);
      return;
    }
    const job = waiting.shift();
    if (!job) return;
    child.job = job;
    if (job.isLimited) endAfter(child, limitMs);
    child.process.send({ task: job.task }, () => undefined); // a process that is gone is noticed by its end
  };

  const receive = (child: Child, message: { ready?: true; answer?: unknown }) => {
    clearTimeout(child.timer);
    if (message.ready) {
      child.isReady = true;
      failedStarts = 0;
      const { renewal } = child;
      if (renewal?.isSent) {
        child.renewal = undefined;
        renewal.resolve(message.answer);
      } else if (++readyOnce === count) for (let i = 0; i < spares; i++) start();
    } else {
      const { job } = child;
      child.job = undefined;
      job?.resolve(message.answer);
    }
    giveNext(child);
  };

  const replace = (child: Child, how: string) => {
    if (!children.delete(child)) return;
    clearTimeout(child.timer);
    child.renewal?.resolve();
    child.job?.reject(
      isClosed
        ? new Error('closed')
        : child.isLate
          ? new StoplineError(
              'IMAGE_TOO_COMPLEX',
              `Expected an image that is judged within ${limitMs} ms; it took longer.`,
            )
          : new StoplineError(
              'IMAGE_CRASHED',
              `Expected a verdict but the process at work on the image ended: ${how}.`,
            ),
    );
    if (isClosed) return;
    total += 1;
    crashes.push(performance.now());
    failedStarts += child.isReady ? 0 : 1;
    if (readyOnce > 0 || failedStarts < maxFailedStarts) {
      setTimeout(start, recentCrashes() >= crashLimit ? backOffMs : 0);
    } else if (children.size === 0) {
      const cause = new Error(`the last one ended: ${how}`);
      onFailure(cause);
      for (const job of waiting.splice(0)) job.reject(cause);
    }
  };

  function start(): void {
    if (isClosed) return;
    const child: Child = { process: spawnChild(filename), isReady: false, isLate: false };
    children.add(child);
    child.process.on('message', (message: { ready?: true; answer?: unknown }) => receive(child, message));
    child.process.on('exit', (code, signal) => replace(child, signal ?? `exit code ${code}`));
    child.process.on('error', (error) => replace(child, error.message));
    open(child, workerData);
  }
  for (let i = 0; i < count; i++) start();

  /** A process that works with something else: an idle one first, so that the others go on with what they have. */
  const nextBut = (given: unknown): Child | undefined => {
    const others = [...children].filter((child) => child.given !== given);
    return others.find(({ job }) => !job) ?? others[0];
  };

  /** @returns what its warm-up came to; nothing where the process has ended */
  const renewOne = (child: Child, given: unknown) =>
    new Promise<unknown>((resolve) => {
      child.renewal = { workerData: given, isSent: false, resolve };
      if (child.isReady && !child.job) giveNext(child);
    });

  // Told by the end of the pipe, a process that hangs in native code would not notice.
  const killAll = () => {
    for (const child of children) child.process.kill('SIGKILL');
  };
  process.on('exit', killAll);

  return {
    run: (task, { isWarmUp }) =>
      new Promise((resolve, reject) => {
        waiting.push({ task, isLimited: !isWarmUp, resolve, reject });
        for (const child of children) if (child.isReady && !child.job) giveNext(child);
      }),
    async renew(next, check) {
      const before = workerData;
      for (;;) {
        const child = nextBut(next);
        if (!child) break;
        const answer = await renewOne(child, next);
        if (answer === undefined) continue; // what replaces one that ended meanwhile gets its turn
        try {
          check(answer);
        } catch (error) {
          workerData = before;
          for (let wrong = nextBut(before); wrong; wrong = nextBut(before)) await renewOne(wrong, before);
          throw error;
        }
        workerData = next;
      }
      if (workerData !== next) throw new Error('Expected processes to be renewed but none runs.');
    },
    get alive() {
      return children.size;
    },
    get crashes() {
      return total;
    },
    get isFailing() {
      return recentCrashes() >= crashLimit;
    },
    async destroy() {
      isClosed = true;
      for (const job of waiting.splice(0)) job.reject(new Error('closed'));
      process.off('exit', killAll);
      // Not 'close', which does not always come after a pipe with unread messages.
      const ended = [...children].map((child) => new Promise((resolve) => child.process.once('exit', resolve)));
      killAll();
      await Promise.all(ended);
    },
  };
}

function spawnChild(filename: string): ChildProcess {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const entry = fileURLToPath(new URL(`./process.entry.${extension}`, import.meta.url));
  // As for threads (`maxYoungMiB`): three semi-spaces are the young generation.
  const args = ['--max-semi-space-size=2', entry, filename];
  const limited: [string, string[]] =
    process.platform === 'win32'
      ? [process.execPath, args]
      : [
          '/bin/sh',
          [
            '-c',
            // glibc keeps an arena of freed memory for each thread, which grows with the images.
            `ulimit -d ${maxBytes / 1024} 2>/dev/null; export MALLOC_ARENA_MAX="\${MALLOC_ARENA_MAX:-2}"; exec "$0" "$@"`,
            process.execPath,
            ...args,
          ],
        ];
  return spawn(...limited, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], serialization: 'advanced' });
}
