import { Command } from 'commander';
import { loadConfig } from '../config.ts';
import { StoplineError } from '../errors.ts';
import { defaultLimits } from '../image/frame.ts';
import { loadProfile } from '../profile/file.ts';
import { createObjectStore } from '../run/objects.ts';
import { createPool } from '../run/pool.ts';
import { startQueueWorker } from '../run/queue.ts';
import { Interruption, interruptible } from './interrupt.ts';
import { settingOption } from './options.ts';
import { commandLine, note, printable } from './terminal.ts';

export function workerCommand(): Command {
  return new Command('worker')
    .description(
      'Takes chunks of work from the queue until it is told to stop. Any number may run, on any machine that sees the images, ' +
        'and each may be killed at any time: its work goes to another. The Profile comes with the work.',
    )
    .addOption(settingOption('queue'))
    .addOption(settingOption('queueStalledMs'))
    .addOption(settingOption('threads'))
    .addOption(settingOption('core'))
    .addOption(settingOption('model'))
    .addOption(settingOption('device'))
    .addOption(settingOption('s3Endpoint'))
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('worker', '--queue', 'redis://127.0.0.1:6379')}`,
    )
    .action(runWorker);
}

async function runWorker(flags: Record<string, string>): Promise<void> {
  const { config } = loadConfig({ flags });
  const { queue, queueStalledMs: stalledMs, threads, core, model, device, s3Endpoint } = config;
  if (queue === undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected --queue redis://host (or STOPLINE_QUEUE) but received none.');
  }
  const store = createObjectStore({ endpoint: s3Endpoint });
  await interruptible(async (signal) => {
    const worker = await startQueueWorker(queue, {
      stalledMs,
      inputs: { store, maxBytes: defaultLimits.maxBytes },
      async openPool(profileBytes, { decideBy, blockWhen, maxPixels, maxSide }) {
        const limits = { maxPixels, maxSide };
        const judging = { decideBy, blockWhen, limits, model, device };
        const pool = await createPool({
          profile: await loadProfile(profileBytes),
          ...judging,
          threads,
          core,
          isBatch: true,
        });
        await pool.ready();
        return pool;
      },
      onChunk: ({ run, part, rows }) => note(`${run} ${part}: ${rows} rows`),
      onError: (error) => note(`stopline: ${printable(error.message)}`),
    });
    note('waiting for work');
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    note('finishing what is at work');
    await worker.close();
  }).catch((error) => {
    // To be told to stop is how a worker ends.
    if (!(error instanceof Interruption)) throw error;
  });
}
