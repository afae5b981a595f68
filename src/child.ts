/** A worker that is a process: `processes.ts` starts it with the file of a worker and talks to it over the pipe. */
import { enableCompileCache } from 'node:module';
import { pathToFileURL } from 'node:url';

enableCompileCache?.();

type Work = (task: unknown) => Promise<unknown>;
const { openWorker } = (await import(pathToFileURL(process.argv[2]).href)) as { openWorker(workerData: unknown): Work };
let work: Work | undefined;

process.on('message', async (message: { workerData?: unknown; warmUp?: unknown; task?: unknown }) => {
  if (!work) {
    work = openWorker(message.workerData);
    if (message.warmUp !== undefined) await work(message.warmUp);
    process.send?.({ ready: true });
  } else {
    process.send?.({ answer: await work(message.task) });
  }
});
// The service decides when its workers end; a terminal and a service manager signal all processes at once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(0));
