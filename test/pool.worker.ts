import { setTimeout as delay } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';

/** Tasks that provoke everything a worker thread can do to its pool. */
export type ProbeTask =
  | { kind: 'echo'; value: unknown }
  /** Blocks the thread until the cell of shared memory is set: the test decides when it ends, not a clock. */
  | { kind: 'hold'; cell: Int32Array }
  | { kind: 'refuse'; code: string; message: string }
  | { kind: 'throw' }
  | { kind: 'exit' }
  | { kind: 'uncaught' };

export default async function probe(task: ProbeTask): Promise<unknown> {
  switch (task.kind) {
    case 'echo':
      return { value: { task: task.value, workerData } };
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
    case 'uncaught':
      queueMicrotask(() => {
        throw new Error('nobody catches this');
      });
      await delay(60_000);
  }
  return undefined;
}
