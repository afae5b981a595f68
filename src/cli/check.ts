import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import { checkPopulation, defaultMaxDistance, defaultShares } from '../drift/check.ts';
import { createPopulation } from '../drift/population.ts';
import { asStoplineError, StoplineError } from '../errors.ts';
import { loadProfile } from '../profile/file.ts';
import { countImages, listImages } from '../run/inputs/folder.ts';
import { mapOrdered } from '../run/mapordered.ts';
import { createPool } from '../run/pool.ts';
import type { Row } from '../run/rows/row.ts';
import { type FindingsFormat, findingsFormats, formatFindings, listFindings, toJson } from './findings.ts';
import { interruptible } from './interrupt.ts';
import { configWithProfile, settingOption, shareOption } from './options.ts';
import { startProgress } from './progress.ts';
import { commandLine, print } from './terminal.ts';

/** What `check` exits with when the images do not match the reference. */
export const driftExit = 1;

interface CheckFlags {
  profile?: string;
  model?: string;
  decideBy?: string;
  threads?: string;
  core?: string;
  maxBlock?: number;
  maxWarn?: number;
  maxDistance: number;
  format: FindingsFormat;
  json?: boolean;
}

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'Judges every image under the paths and compares them, as a population, with the reference: the shares that are ' +
        'warned about and blocked, and the distribution of every statistic. It fails only on evidence: where the lower end ' +
        'of the exact 95 % interval of a share exceeds its limit, or where a statistic has moved by more than allowed and a ' +
        'Kolmogorov-Smirnov test says so at a false discovery rate of 1 % over all statistics.',
    )
    .argument('<paths...>', 'image files and folders (searched recursively)')
    .addOption(settingOption('profile'))
    .addOption(settingOption('model'))
    .addOption(settingOption('decideBy'))
    .addOption(
      shareOption('--max-block <SHARE>', 'largest share of blocked images, such as 1% (default: what the Profile met)'),
    )
    .addOption(
      shareOption(
        '--max-warn <SHARE>',
        'largest share of images that are warned about or blocked (default: what the Profile met)',
      ),
    )
    .addOption(
      shareOption('--max-distance <D>', 'largest Kolmogorov-Smirnov distance of a statistic, 0 to 1').default(
        defaultMaxDistance,
      ),
    )
    .addOption(new Option('--format <FORMAT>', 'what to print').choices(findingsFormats).default('text'))
    .addOption(settingOption('threads'))
    .addOption(settingOption('core'))
    .option('--json', 'the same as --format json')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('check', 'dataset/', '--profile', 'camera.stopline')}
  ${commandLine('check', 'dataset/', '--profile', 'camera.stopline', '--max-block', '1%', '--format', 'junit')} > stopline.xml

Exit status: 0 the images match the reference, 1 they do not (drift), 2 usage, else as docs/errors.md says.`,
    )
    .action(runCheck);
}

async function runCheck(paths: string[], flags: CheckFlags): Promise<void> {
  setFlagsFromString('--semi-space-growth-factor=1');
  const { maxBlock, maxWarn, maxDistance, format: asked, json, ...settings } = flags;
  const { config } = configWithProfile(settings);
  const profile = await loadProfile(config.profile);
  const defaults = defaultShares(profile);
  const limits = { maxBlock: maxBlock ?? defaults.maxBlock, maxWarn: maxWarn ?? defaults.maxWarn, maxDistance };
  if (limits.maxBlock > limits.maxWarn) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected --max-warn, which counts blocked images too, to be at least --max-block but received ${limits.maxWarn} and ${limits.maxBlock}.`,
    );
  }
  const total = await countImages(paths);
  const population = createPopulation(profile);
  await interruptible(async (signal) => {
    const { core, threads, maxPixels, maxSide, decideBy, model } = config;
    const pool = await createPool({
      profile: config.profile,
      threads,
      core,
      decideBy,
      model,
      limits: { maxPixels, maxSide },
      isBatch: true,
    });
    const progress = startProgress('check');
    try {
      await pool.ready();
      const judge = async (path: string): Promise<Row> => {
        signal.throwIfAborted();
        try {
          return { path, ...(await pool.inspectFile(path)) };
        } catch (error) {
          const coded = asStoplineError(error);
          if (coded.status >= 500) throw error;
          return { path, error: coded.toJSON() };
        }
      };
      for await (const row of mapOrdered(listImages(paths), threads * 4, ({ path }) => judge(path))) {
        signal.throwIfAborted();
        population.add(row);
        const { images, failed } = population.counts;
        progress.update({ done: images, total: Math.max(total, images), failed });
      }
    } finally {
      progress.stop();
      await pool.destroy();
    }
  });
  const check = checkPopulation(population, limits);
  if (!check.passed) process.exitCode = driftExit;
  const format = json ? 'json' : asked;
  if (format === 'json') return print(JSON.stringify(toJson(check, population, profile)));
  print(formatFindings(format, { findings: listFindings(check), check, population, profile }));
}
