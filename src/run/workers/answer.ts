import { asStoplineError, type ErrorJson } from '../../errors.ts';

/** What does the tasks of a line: threads, or processes. */
export interface Workers<Task> {
  /** Takes as many tasks at a time as there are workers; what a worker answers is not looked at. */
  run(task: Task, options: { transfer?: ArrayBuffer[] | undefined; isWarmUp?: boolean | undefined }): Promise<unknown>;
  /**
   * Gives every worker other `workerData`, one after the other, while the rest go on; absent where workers cannot be told.
   * @param check looks at what the warm-up of each came to; what it throws is thrown, and all work with what they had before
   */
  renew?(workerData: unknown, check: (answer: unknown) => void): Promise<void>;
  /** Workers that run or start. */
  readonly alive: number;
  /** Workers that ended by themselves, ever. */
  readonly crashes: number;
  /** Workers that were ended because one task took too long, ever. They are not among the crashes. */
  readonly slow: number;
  /** So many workers end by themselves that new ones are held back, and none is ready. */
  readonly isFailing: boolean;
  destroy(): Promise<void>;
}

/** What a worker sends back. */
export type WorkerAnswer<Value> = { value: Value } | { error: ErrorJson };

/** The answer of a worker that does `work`: errors are answers too, because cloning would strip their code. */
export async function answerWith<Value>(work: () => Value | Promise<Value>): Promise<WorkerAnswer<Value>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: asStoplineError(error).toJSON() };
  }
}
