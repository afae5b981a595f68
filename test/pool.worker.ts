import { setTimeout as delay } from 'node:timers/promises';

/** Tasks that provoke everything a worker thread can do to its pool. */
export type ProbeTask =
  | { kind: 'echo'; value: unknown }
  /** Blocks the thread until the cell of shared memory is set: the test decides when it ends, not a clock. */
  | { kind: 'hold'; cell: Int32Array }
  | { kind: 'refuse'; code: string; message: string }
  | { kind: 'throw' }
  | { kind: 'exit' }
  | { kind: 'uncaught' }
  /** What a fault in native code does. */
  | { kind: 'segfault' }
  /** Native code that never comes back. */
  | { kind: 'hang' }
  | { kind: 'eat'; bytes: number }
  | { kind: 'pid' }
  /** When the process started, in milliseconds since 1970. */
  | { kind: 'startedAt' };

let givenData: unknown;

export function openWorker(given: unknown): typeof probe {
  givenData = given;
  return probe;
}

async function probe(task: ProbeTask): Promise<unknown> {
  switch (task.kind) {
    case 'echo':
      return { value: { task: task.value, workerData: givenData } };
    case 'hold':
      Atomics.wait(task.cell, 0, 0);
      return { value: 'held' };
    case 'refuse':
      return { error: { code: task.code, message: task.message } };
    case 'throw':
      throw new TypeError('not a coded error');
    case 'exit':
      process.exit(7);
      break;
    case 'segfault':
      process.kill(process.pid, 'SIGSEGV');
      await delay(60_000);
      break;
    case 'hang':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      break;
    case 'eat':
      return { value: new Uint8Array(task.bytes).fill(1).length };
    case 'startedAt':
      return { value: performance.timeOrigin };
    case 'pid':
      return { value: process.pid };
    case 'uncaught':
      queueMicrotask(() => {
        throw new Error('nobody catches this');
      });
      await delay(60_000);
  }
  return undefined;
}
