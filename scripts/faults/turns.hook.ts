/**
 * Loaded into a service by `structure.ts`: from one SIGUSR2 to the next it looks how long each turn of the event loop takes, by
 * the processor time of its thread, which other work on the machine does not lengthen, and how large the process becomes.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';

function readProcessorTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

let isWatching = false;
async function watch(): Promise<void> {
  isWatching = !isWatching;
  if (!isWatching) return;
  const before = process.memoryUsage.rss();
  const startedAt = readProcessorTime();
  let longest = 0;
  let peak = before;
  for (let last = startedAt; isWatching; ) {
    await turn();
    const now = readProcessorTime();
    longest = Math.max(longest, now - last);
    last = now;
    peak = Math.max(peak, process.memoryUsage.rss());
  }
  const turns = { longest, total: readProcessorTime() - startedAt, grown: peak - before };
  process.stderr.write(`${JSON.stringify({ turns })}\n`);
}
if (isMainThread) process.on('SIGUSR2', () => void watch());
