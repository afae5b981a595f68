import { readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second (USER_HZ), whatever its clock ticks at. */
const tickMs = 10;

/**
 * The processor time that a process has used, all of its threads together, in milliseconds. Undefined where the system has no
 * `/proc`, or the process has ended.
 */
export function readProcessorMs(pid: number | undefined): number | undefined {
  if (pid === undefined || process.platform !== 'linux') return undefined;
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program stands in parentheses and may hold spaces; user and system time are the 14th and 15th field.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ms = (Number(fields[11]) + Number(fields[12])) * tickMs;
    return Number.isFinite(ms) ? ms : undefined;
  } catch {
    return undefined;
  }
}
