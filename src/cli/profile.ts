import { Command } from 'commander';
import { judgingOptions, loadConfig, readCacheFolder } from '../config.ts';
import type { Acceptance, Verdicts } from '../fit/accept.ts';
import { loadProfile, saveProfile } from '../profile/file.ts';
import { type AcceptedOptions, isLabelFile, readAccepted } from '../run/labelling/accepted.ts';
import { planFit } from './fit.ts';
import { describeSkipped } from './fitsummary.ts';
import { runFitTask } from './fitthread.ts';
import { followOption, pathsHelp, strictOption, tellLeftOut } from './inputs.ts';
import { addSimulations, numberOption, settingOption } from './options.ts';
import { checkWritable } from './output.ts';
import { signatureCommands } from './signature.ts';
import { commandLine, count, note, print, printable, printJson, styled, table } from './terminal.ts';

interface AcceptFlags {
  profile: string;
  reference: string[];
  out: string;
  acceptLabel: string;
  root?: string;
  model?: string;
  groupBy?: string;
  simulations?: number;
  power?: number;
  threads?: number;
  s3Endpoint?: string;
  follow?: boolean;
  strict?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

export function profileCommand(): Command {
  const example = ['accept', 'kept/accepted/', '--profile', 'camera.stopline'];
  const examples = `\nExamples:\n  ${commandLine('profile', ...example, '--reference', 'drives/', '--out', 'next.stopline')}`;
  const command = new Command('profile')
    .description(
      'Changes what is normal: accepts images that were stopped, after somebody has looked at them. Says who vouches for it.',
    )
    .addHelpText('after', examples);
  const acceptance = command
    .command('accept')
    .summary('fold reviewed images into a new version')
    .description(
      'Fits the Profile again on its reference and on images that were found to be as they should be, with the same seed and rates. ' +
        'Says what changes before it writes: thresholds, verdicts on the accepted images, and causes that are no longer seen.',
    )
    .argument(
      '<images...>',
      `reviewed images, such as the folder accepted of a quarantine: ${pathsHelp}; or the file that a labelling tool gave back (.json, .jsonl, .xml): its images that are labelled accept`,
    )
    .requiredOption('--profile <FILE>', 'the Profile in force')
    .requiredOption('--reference <PATHS...>', 'what it was fitted on, as of fit; it does not hold its images')
    .requiredOption('-o, --out <FILE>', 'the new Profile')
    .option('--accept-label <NAME>', 'label that says that an image is as it should be', 'accept')
    .option('--root <DIR>', 'folder in which the names in a file of labels begin (default: that of the file)')
    .option('--model <FILE>', 'model that the Profile was fitted with, where it is not that of this package')
    .option('--group-by <RULE>', 'as of fit')
    .addOption(numberOption('--power <N>', 'as of fit'))
    .addOption(numberOption('--threads <N>', 'worker threads'))
    .addOption(followOption())
    .addOption(strictOption())
    .addOption(settingOption('s3Endpoint'))
    .option('--dry-run', 'say what would change, and write nothing')
    .option('--json', 'print the difference as JSON')
    .addHelpText('after', examples)
    .action(accept);
  addSimulations(acceptance, 'as of fit');
  for (const part of signatureCommands()) command.addCommand(part);
  return command;
}

async function accept(images: string[], flags: AcceptFlags): Promise<void> {
  const { out, dryRun, json, strict, profile: path, acceptLabel, root, ...options } = flags;
  if (!dryRun) await checkWritable(out);
  const accepted = await listAccepted(images, { label: acceptLabel, root });
  const profile = await loadProfile(path);
  const { config } = loadConfig({ flags: { threads: options.threads, s3Endpoint: options.s3Endpoint } });
  const { threads, s3Endpoint } = config;
  const { limits } = judgingOptions(config);
  const accepting = { ...options, threads, s3Endpoint, limits, profile, accepted };
  const task = { kind: 'accept', options: accepting, cache: readCacheFolder(undefined) } as const;
  const acceptance = await runFitTask(task, planFit(accepting));
  const { profile: next, ...difference } = acceptance;
  if (json)
    printJson({ ...difference, profile: { name: next.name, sha256: next.sha256 }, ...(!dryRun && { file: out }) });
  else print(differenceText(acceptance));
  if (!dryRun) {
    await saveProfile(next, out);
    if (!json) note(`written to ${printable(out)}; a service that watches this file takes it by itself`);
  }
  tellLeftOut(acceptance, { strict });
}

/** The images themselves, and in place of a file of labels those that it accepts. */
async function listAccepted(images: readonly string[], options: AcceptedOptions): Promise<string[]> {
  const paths: string[] = [];
  for (const image of images) {
    if (!isLabelFile(image)) {
      paths.push(image);
      continue;
    }
    const { paths: accepted, others } = await readAccepted(image, options);
    note(`${count(accepted.length, 'image')} of ${accepted.length + others} accepted in ${printable(image)}`);
    paths.push(...accepted);
  }
  return paths;
}

function differenceText({ images, accepted, thresholds, power, warnings, skipped }: Acceptance): string {
  const verdicts = ({ pass, warn, block }: Verdicts) => `${pass} pass, ${warn} warn, ${block} block`;
  const score = (value: number) => value.toFixed(2);
  const rows = [
    ['', 'before', 'after'],
    ['fitted images', ...images.map(String)],
    ['accepted images', verdicts(accepted.before), verdicts(accepted.after)],
    ['warn from score', ...thresholds.warn.map(score)],
    ['block from score', ...thresholds.block.map(score)],
  ];
  const severity = (from?: number) => (from === undefined ? 'not seen' : `severity ${from}`);
  const changes = power.map(({ cause, before, after }) => {
    const isLoss = (after ?? 6) > (before ?? 6);
    return `  ${styled(isLoss ? 'red' : 'green', cause)}: seen from ${severity(before)} before, ${severity(after)} now`;
  });
  const losses =
    changes.length === 0 ? [] : [`${count(changes.length, 'cause')} seen otherwise than before:`, ...changes];
  const lines = [table(rows), ...losses, ...warnings.map((warning) => styled('yellow', warning))];
  return [...lines, ...describeSkipped(skipped)].join('\n');
}
