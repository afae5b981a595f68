import { Command } from 'commander';
import { loadConfig } from '../config.ts';
import { StoplineError } from '../errors.ts';
import { loadSignedProfile } from '../profile/signature.ts';
import { Masks } from '../run/masks.ts';
import { createObjectStore } from '../run/objects.ts';
import { createPool, type Pool, poolOptions } from '../run/pool.ts';
import { createQueueSeal, type RunOptions } from '../run/queuejob.ts';
import { startQueueWorker } from '../run/queueworker.ts';
import { Roots } from '../run/roots.ts';
import type { Config } from '../settings.ts';
import { Interruption, interruptible } from './interrupt.ts';
import { type JudgingFlags, settingOption } from './options.ts';
import { commandLine, note, printable, printJson } from './terminal.ts';

export function workerCommand(): Command {
  return new Command('worker')
    .description(
      'Takes chunks of work from the queue until it is told to stop. Any number may run, on any machine that sees the images, ' +
        'and each may be killed at any time: its work goes to another. The Profile comes with the work. Work must be signed with ' +
        'STOPLINE_QUEUE_SECRET, the same as that of score, unless Redis is on this machine.',
    )
    .addOption(settingOption('queue'))
    .option(
      '--root <PLACES...>',
      'folders and s3:// prefixes that images and outputs of the work must lie under; s3:// for every bucket (default: this folder)',
    )
    .addOption(settingOption('profileKey'))
    .addOption(settingOption('queueStalledMs'))
    .addOption(settingOption('threads'))
    .addOption(settingOption('core'))
    .addOption(settingOption('model'))
    .addOption(settingOption('device'))
    .addOption(settingOption('s3Endpoint'))
    .option('--json', 'print how much was done as JSON when it ends')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('worker', '--queue', 'redis://127.0.0.1:6379', '--root', '/footage')}`,
    )
    .action(runWorker);
}

interface WorkerFlags extends JudgingFlags {
  queue?: string;
  queueStalledMs?: string;
  s3Endpoint?: string;
  root?: string[];
  json?: boolean;
}

async function runWorker({ root = [process.cwd()], json, ...flags }: WorkerFlags): Promise<void> {
  const { config } = loadConfig({ flags });
  const { queue, queueSecret, queueStalledMs: stalledMs, s3Endpoint, bodyLimit: maxBytes } = config;
  if (queue === undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected --queue redis://host (or STOPLINE_QUEUE) but received none.');
  }
  const seal = createQueueSeal(queue, queueSecret);
  const done = { chunks: 0, rows: 0, errors: 0 };
  await interruptible(async (signal) => {
    const worker = await startQueueWorker(queue, {
      stalledMs,
      seal,
      roots: new Roots(root),
      inputs: { store: createObjectStore({ endpoint: s3Endpoint }), maxBytes },
      openPool: (profileBytes, options) => openRunPool(config, profileBytes, options),
      onChunk({ run, part, rows }) {
        done.chunks++;
        done.rows += rows;
        note(`${run} ${part}: ${rows} rows`);
      },
      onError(error) {
        done.errors++;
        note(`stopline: ${printable(error.message)}`);
      },
    });
    note('waiting for work');
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    note('finishing what is at work');
    await worker.close();
  }).catch((error) => {
    // To be told to stop is how a worker ends.
    if (!(error instanceof Interruption)) throw error;
  });
  if (json) printJson(done);
}

/**
 * A pool that judges as a run asks, within what this worker allows.
 * @throws {StoplineError} PROFILE_*, OPTION_INVALID
 */
async function openRunPool(config: Config, profileBytes: Uint8Array, options: RunOptions): Promise<Pool> {
  const profile = await loadSignedProfile(profileBytes, config.profileKey);
  if (profile.sha256 !== options.profile) {
    throw new StoplineError(
      'PROFILE_CHECKSUM',
      `Expected the Profile ${options.profile} in the queue but it holds ${profile.sha256}.`,
    );
  }
  for (const key of ['maxPixels', 'maxSide'] as const) {
    if (options[key] <= config[key]) continue;
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected a run with ${key} of at most ${config[key]}, by the settings of this worker, but it asks for ${options[key]}.`,
    );
  }
  const { decideBy, blockWhen, ignore, masks, maxPixels, maxSide } = options;
  const judged = poolOptions({ ...config, decideBy, maxPixels, maxSide }, 'batch');
  // Not what this worker's settings say where the run says nothing.
  const pool = await createPool({ ...judged, blockWhen, ignore, profile, masks: new Masks(masks ?? []) });
  await pool.ready();
  return pool;
}
