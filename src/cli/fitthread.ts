import { Worker } from 'node:worker_threads';
import { resolveEntry } from '../core/entry.ts';
import { reviveError, StoplineError } from '../errors.ts';
import type { FitPlan } from './fitclock.ts';
import { FitProgress, type FitProgressState, warnOfCache } from './fitprogress.ts';
import type { FitAnswers, FitMessage, FitTask } from './fitthread.entry.ts';
import { Interruption } from './interrupt.ts';

/** How long a fit that is asked to stop has to leave things in order. */
const graceMs = 1000;

/**
 * Does what is asked in a thread of its own: training holds its thread for many seconds, in which this one still shows how far
 * it is and answers to Ctrl-C.
 * @param onProgress is told how far it is, beside the person who waits
 * @throws {StoplineError} what the task throws
 * @throws {Interruption} at once when the user or the system asks to stop
 */
export async function runFitTask<Task extends FitTask>(
  task: Task,
  plan: FitPlan,
  onProgress?: (state: FitProgressState) => void,
): Promise<FitAnswers[Task['kind']]> {
  const readsInput = 'inputs' in task && task.inputs.manifest === '-';
  const worker = new Worker(resolveEntry('./fitthread.entry', import.meta.url), {
    workerData: task,
    stdin: readsInput,
  });
  if (readsInput) process.stdin.pipe(worker.stdin as NodeJS.WritableStream);
  const progress = new FitProgress(plan);
  if (onProgress) worker.on('message', (message: FitMessage) => 'progress' in message && onProgress(message.progress));
  const { interrupted, release } = watchSignals(worker);
  try {
    return (await Promise.race([interrupted, collectAnswer(worker, task, progress)])) as FitAnswers[Task['kind']];
  } finally {
    progress.stop();
    release();
  }
}

function collectAnswer(worker: Worker, task: FitTask, progress: FitProgress): Promise<FitAnswers[FitTask['kind']]> {
  return new Promise((resolve, reject) => {
    worker.on('message', (message: FitMessage) => {
      if ('progress' in message) progress.update(message.progress);
      else if ('plan' in message) progress.announce(message.plan);
      else if ('cacheFailed' in message) warnOfCache(task.cache as string, message.cacheFailed);
      else if ('answer' in message) resolve(message.answer);
      else reject(reviveFault(message));
    });
    worker.on('error', reject);
    worker.on('exit', (code) =>
      reject(new StoplineError('INTERNAL', `The thread that fits ended with ${code} without an answer.`)),
    );
  });
}

/** What was not raised on purpose keeps its place in the code. */
function reviveFault({ error, stack }: Extract<FitMessage, { error: unknown }>): Error {
  const coded = reviveError(error);
  if (stack === undefined) return coded;
  return Object.assign(new Error(coded.message), { stack });
}

/** The first signal is answered at once. What has not ended a moment later is ended by the signal itself, as without us. */
function watchSignals(worker: Worker): { interrupted: Promise<never>; release(): void } {
  let fail: (error: Interruption) => void;
  const interrupted = new Promise<never>((_, reject) => {
    fail = reject;
  });
  interrupted.catch(() => undefined); // also where nobody waits any more
  const stop = (signal: 'SIGINT' | 'SIGTERM', exit: 130 | 143) => () => {
    worker.postMessage('stop');
    const end = setTimeout(() => process.kill(process.pid, signal), graceMs);
    worker.once('exit', () => clearTimeout(end));
    fail(new Interruption(exit));
  };
  const onInterrupt = stop('SIGINT', 130);
  const onTerminate = stop('SIGTERM', 143);
  process.once('SIGINT', onInterrupt).once('SIGTERM', onTerminate);
  return { interrupted, release: () => void process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate) };
}
