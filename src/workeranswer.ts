import { asStoplineError } from './errors.ts';

/** What a worker sends back. */
export type WorkerAnswer<Value> = { value: Value } | { error: { code: string; message: string } };

/** The answer of a worker that does `work`: errors are answers too, because cloning would strip their code. */
export async function answerWith<Value>(work: () => Value | Promise<Value>): Promise<WorkerAnswer<Value>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: asStoplineError(error).toJSON() };
  }
}
