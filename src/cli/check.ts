import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import { checkPopulation, defaultShares, type FailOn, failOns } from '../drift/check.ts';
import { defaultMaxDistance } from '../drift/moved.ts';
import { Population } from '../drift/population.ts';
import { StoplineError } from '../errors.ts';
import { noImages } from '../run/inputs/folder.ts';
import { type FindingsFormat, findingsFormats, formatFindings, listFindings, toJson } from './findings.ts';
import { type InputFlags, inputOptions, openInputs, pathsHelp, tellLeftOut } from './inputs.ts';
import { judgeAll } from './judge.ts';
import { type JudgingFlags, judgingFlags, openJudging, pickSettings, shareOption } from './options.ts';
import { commandLine, percent, print, printJson } from './terminal.ts';

/** What `check` exits with when the images do not match the reference. */
export const driftExit = 1;

interface CheckFlags extends JudgingFlags, InputFlags {
  maxBlock?: number;
  maxWarn?: number;
  maxFailed: number;
  maxDistance: number;
  failOn: FailOn;
  format: FindingsFormat;
  json?: boolean;
}

export function checkCommand(): Command {
  const command = new Command('check')
    .description(
      'Judges every image under the paths and compares them, as a population, with the reference: the shares that are ' +
        'warned about and blocked, and the distribution of every statistic. It fails where an image cannot be judged, and else ' +
        'only on evidence: where the lower end ' +
        'of the exact 95 % interval of a share exceeds its limit, or where a statistic has moved by more than allowed and a ' +
        'Kolmogorov-Smirnov test says so at a false discovery rate of 1 % over all statistics.',
    )
    .argument('[paths...]', pathsHelp)
    .addOption(
      shareOption('--max-block <SHARE>', 'largest share of blocked images, such as 1% (default: what the Profile met)'),
    )
    .addOption(
      shareOption(
        '--max-warn <SHARE>',
        'largest share of images that are warned about or blocked, such as 5% (default: what the Profile met)',
      ),
    )
    .addOption(
      shareOption(
        '--max-failed <SHARE>',
        'largest share of images that cannot be judged: a data set that was not looked at does not match',
      ).default(0),
    )
    .addOption(
      shareOption('--max-distance <D>', 'largest Kolmogorov-Smirnov distance of a statistic, 0 to 1').default(
        defaultMaxDistance,
      ),
    )
    .addOption(
      new Option(
        '--fail-on <WHAT>',
        'what fails: images that are stopped, a mix that has shifted although no single image need be strange, or any',
      )
        .choices(failOns)
        .default('any'),
    )
    .addOption(new Option('--format <FORMAT>', 'what to print').choices(findingsFormats).default('text'))
    .option('--json', 'the same as --format json');
  for (const option of [...judgingFlags(), ...inputOptions()]) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('check', 'dataset/', '--profile', 'camera.stopline')}
  ${commandLine('check', 'dataset/', '--profile', 'camera.stopline', '--max-block', '1%', '--format', 'junit')} > stopline.xml

Exit status: 0 the images match the reference, 1 they do not (drift) or could not be judged, 2 usage, else as docs/errors.md says.`,
    )
    .action(runCheck);
}

async function runCheck(paths: string[], flags: CheckFlags): Promise<void> {
  setFlagsFromString('--semi-space-growth-factor=1');
  const { maxBlock, maxWarn, maxFailed, maxDistance, failOn, format: asked, json, ...rest } = flags;
  const { config, profile, masks } = await openJudging({ ...pickSettings(rest), mask: rest.mask });
  const limits = { ...defaultShares(profile, { maxBlock, maxWarn }), maxFailed, maxDistance, failOn };
  if (limits.maxBlock > limits.maxWarn) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected --max-warn, which counts blocked images too, to be at least --max-block but received ${percent(limits.maxWarn)} and ${percent(limits.maxBlock)}.`,
    );
  }
  const { items, total } = await openInputs(paths, rest, config);
  const population = new Population(profile);
  await judgeAll('check', { config, masks, profile, items, total }, ({ row }) => population.add(row));
  if (population.counts.images === 0) throw noImages(rest.manifest === undefined ? paths : [...paths, rest.manifest]);
  const check = checkPopulation(population, limits);
  if (!check.passed) process.exitCode = driftExit;
  const format = json ? 'json' : asked;
  if (format === 'json') {
    printJson({ ...toJson(check, population, profile), leftOut: items.leftOut });
  } else print(formatFindings(format, { findings: listFindings(check), check, population, profile }));
  tellLeftOut(items, rest);
}
