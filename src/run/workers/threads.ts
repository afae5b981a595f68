import { Piscina } from 'piscina';
import { resolveEntry } from '../../core/entry.ts';
import type { Workers } from './answer.ts';

/**
 * Most memory for young objects of a worker, in MiB. Next to nothing lives longer than one image, but without a limit this
 * grows for thousands of images: measured, 51 MB of heap a worker instead of 24, and no faster.
 */
const maxYoungMiB = 6;

/** Workers that are threads of this process. */
export class WorkerThreads<Task> implements Workers<Task> {
  readonly crashes = 0;
  readonly slow = 0;
  readonly isFailing = false;
  readonly #piscina: Piscina;

  constructor(options: {
    filename: string;
    workerData: unknown;
    count: number;
    ahead: number;
    onFailure(cause: unknown): void;
  }) {
    const { filename, workerData, count, ahead, onFailure } = options;
    this.#piscina = new Piscina({
      filename: resolveEntry('./thread.entry', import.meta.url),
      workerData: { filename, given: workerData },
      minThreads: count,
      maxThreads: count,
      concurrentTasksPerWorker: 1 + ahead,
      resourceLimits: { maxYoungGenerationSizeMb: maxYoungMiB },
    });
    this.#piscina.on('error', onFailure);
  }

  get alive(): number {
    return this.#piscina.threads.length;
  }

  run(task: Task, { transfer }: { transfer?: ArrayBuffer[] }): Promise<unknown> {
    return this.#piscina.run(task, { transferList: transfer });
  }

  destroy(): Promise<void> {
    return this.#piscina.destroy();
  }
}
