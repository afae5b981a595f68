/** A worker that is a thread: `pool.ts` starts it with the file of a worker, as `child.ts` is started for a process. */
import { enableCompileCache } from 'node:module';
import { pathToFileURL } from 'node:url';
import { workerData } from 'node:worker_threads';

// A thread does not take it over, and from TypeScript sources half of its start is compiling.
enableCompileCache?.();

const { filename, given } = workerData as { filename: string; given: unknown };
const { openWorker } = await import(pathToFileURL(filename).href);

export default openWorker(given);
