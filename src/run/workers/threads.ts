import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { Workers } from './answer.ts';

/**
 * Most memory for young objects of a worker, in MiB. Next to nothing lives longer than one image, but without a limit this
 * grows for thousands of images: measured, 51 MB of heap a worker instead of 24, and no faster.
 */
const maxYoungMiB = 6;

export function startThreads<Task>(options: {
  filename: string;
  workerData: unknown;
  count: number;
  ahead: number;
  onFailure(cause: unknown): void;
}): Workers<Task> {
  const { filename, workerData, count, ahead, onFailure } = options;
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const piscina = new Piscina({
    filename: fileURLToPath(new URL(`./thread.entry.${extension}`, import.meta.url)),
    workerData: { filename, given: workerData },
    minThreads: count,
    maxThreads: count,
    concurrentTasksPerWorker: 1 + ahead,
    resourceLimits: { maxYoungGenerationSizeMb: maxYoungMiB },
  });
  piscina.on('error', onFailure);
  return {
    run: (task, { transfer }) => piscina.run(task, { transferList: transfer }),
    get alive() {
      return piscina.threads.length;
    },
    crashes: 0,
    isFailing: false,
    destroy: () => piscina.destroy(),
  };
}
