/** A worker that is a process: `processes.ts` starts it with the file of a worker and talks to it over the pipe. */
import { readSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { getPriority, setPriority } from 'node:os';
import { pathToFileURL } from 'node:url';
import { putTogether, type TaskApart } from './arrays.ts';

enableCompileCache?.();
// Where all cores are busy a service comes a little before its workers: it is the one that answers, also those that it must refuse.
// Two steps, because with five they were so far behind other work on the machine that most images were refused there, and with none
// the answers of an overloaded service were seconds late. A service that was started with a lower priority keeps it: raising it takes a
// right that workers do not have.
const steps = 2;
if (process.argv[3] === 'behind' && getPriority() < steps) setPriority(steps);

type Work = (task: unknown) => Promise<unknown>;
const { openWorker } = (await import(pathToFileURL(process.argv[2]).href)) as { openWorker(workerData: unknown): Work };
let work: Work | undefined;
// A service that is gone has no use for an answer.
const send = (message: object) => process.send?.(message, undefined, {}, () => undefined);

/** The pipe of long arrays: behind the standard streams and the channel of messages. */
const arraysPipe = 4;

/** Waits until so many bytes have come: they were sent ahead of the message that tells of them. */
function readArray(length: number): Uint8Array {
  const array = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const bytes = readSync(arraysPipe, array, at, length - at, null);
    if (bytes === 0) process.exit(0);
    at += bytes;
  }
  return array;
}

type Message = { workerData: unknown; warmUp?: unknown } | (TaskApart & { id: number });
process.on('message', async (message: Message) => {
  if ('workerData' in message) {
    work = openWorker(message.workerData);
    send({ answer: message.warmUp === undefined ? undefined : await work(message.warmUp) });
  } else {
    send({ id: message.id, answer: await work?.(putTogether(message, readArray)) });
  }
});
// The service decides when its workers end; a terminal and a service manager signal all processes at once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => process.exit(0));
