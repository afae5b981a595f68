import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second (USER_HZ), whatever its clock ticks at. */
const tickMs = 10;

/**
 * The processor time that a process has used, all of its threads together, in milliseconds. Undefined where the system has no
 * `/proc`, or the process has ended.
 */
export function readProcessorMs(pid: number | undefined): number | undefined {
  if (pid === undefined || process.platform !== 'linux') return undefined;
  try {
    const fields = readFields(`/proc/${pid}/stat`);
    // The 14th and 15th field.
    const ms = (Number(fields[11]) + Number(fields[12])) * tickMs;
    return Number.isFinite(ms) ? ms : undefined;
  } catch {
    return undefined;
  }
}

/** The fields from the third on: the name of the program, the second, stands in parentheses and may hold spaces. */
function readFields(path: string): string[] {
  const text = readFileSync(path, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** Whether a thread of a process works, or would if it got a processor; false where that cannot be told. */
export function wantsProcessor(pid: number | undefined): boolean {
  if (pid === undefined || process.platform !== 'linux') return false;
  try {
    return readdirSync(`/proc/${pid}/task`).some((thread) => readFields(`/proc/${pid}/task/${thread}/stat`)[0] === 'R');
  } catch {
    return false;
  }
}

/**
 * A task that has used no more than this since it was last looked at, and does not wait for a processor, is not slow but waits for
 * something that does not come.
 */
const leastBusyMs = 20;
/** A task is looked at no sooner again: on a busy machine it may get no processor for a while. */
const leastLookMs = 500;
/** However busy the machine is, no task may take longer than so many times its limit. */
const mostDelay = 10;

/**
 * When to look again at a task, in milliseconds; undefined where it has had its time. On a busy machine a sound image may take
 * longer by the clock, so what counts is the processor time that it has used.
 */
export function planNextLook(task: {
  limitMs: number;
  usedMs: number;
  /** What it had used when it was last looked at. */
  lastUsedMs: number;
  elapsedMs: number;
  /** See `wantsProcessor`. */
  isWaiting: boolean;
}): number | undefined {
  const { limitMs, usedMs, lastUsedMs, elapsedMs, isWaiting } = task;
  const isHanging = usedMs - lastUsedMs <= leastBusyMs && !isWaiting;
  if (usedMs >= limitMs || isHanging || elapsedMs > limitMs * mostDelay) return undefined;
  return Math.max(leastLookMs, limitMs - usedMs);
}
