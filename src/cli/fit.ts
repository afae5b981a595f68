import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import { judgingOptions, loadConfig, readCacheFolder } from '../config.ts';
import { reviveError, StoplineError } from '../errors.ts';
import type { BurntIn } from '../fit/burntin.ts';
import type { FitResult } from '../fit/fit.ts';
import { type FitOptions, resolveSecondLook } from '../fit/options.ts';
import { listSources, sourceRule } from '../fit/percamera.ts';
import { Canvas } from '../image/corruptions/canvas.ts';
import { encodePng } from '../image/encode.ts';
import { readMask } from '../image/readmask.ts';
import { describeProfile } from '../profile/description.ts';
import { saveProfile } from '../profile/file.ts';
import type { ThresholdKind } from '../profile/maths/pvalues.ts';
import type { FitPlan } from './fitclock.ts';
import { describeFit, describePart, describeSource, nameMaskFile } from './fitsummary.ts';
import { runFitTask } from './fitthread.ts';
import { type InputFlags, inputOptions, pathsHelp, tellLeftOut } from './inputs.ts';
import { addSimulations, numberOption, settingOption, shareOption } from './options.ts';
import { checkWritable, makeFolder } from './output.ts';
import { commandLine, note, print, printable, printJson, styled } from './terminal.ts';

interface FitFlags extends InputFlags {
  out: string;
  profilePer?: string;
  name?: string;
  seed?: number;
  groupBy?: string;
  threads?: string;
  warn?: number;
  block?: number;
  threshold?: ThresholdKind;
  leaveOut?: string;
  simulations?: number;
  power?: number;
  example: boolean;
  model?: string;
  classifier?: string;
  device?: string;
  keepPaths?: boolean;
  mask?: string;
  ordered?: boolean;
  /** A folder, or false for none. */
  cache?: string | false;
  json?: boolean;
}

const examples = `
Examples:
  ${commandLine('fit', 'frames/', '--out', 'camera.stopline', '--name', 'front-camera')}
  ${commandLine('fit', 'drives/', '--out', 'camera.stopline', '--group-by', 'drive(\\d+)')}
  ${commandLine('fit', 's3://footage/2025/', '--shard', '0/8', '--out', 'part0.stopline-part')}   then: stopline merge
  ${commandLine('fit', 'cameras/', '--out', 'profiles/', '--profile-per', 'cameras/([^/]+)')}
  ${commandLine('fit', 'frames/', '--out', 'camera.stopline', '--mask', '0,0,0.35,0.08;0,0.85,1,1')}

Consecutive frames of a recording resemble each other. Keep each recording in a folder of its own, or name it with
--group-by, so that no frame is scored by a fit of its neighbours.`;

export function fitCommand(): Command {
  const command = new Command('fit')
    .description(
      'Measures every image under the paths and writes one Profile file. All are fitted; what a clean image scores is learnt ' +
        'by leaving out whole groups in turn, so all of them count for the false-alarm rates that can be promised. Bad ' +
        'images are listed and skipped.',
    )
    .argument('[paths...]', pathsHelp)
    .requiredOption('-o, --out <FILE>', 'Profile file to write, such as camera.stopline; with --profile-per a folder')
    .option(
      '--profile-per <WHAT>',
      'one Profile for each source (camera), written into the folder that --out names: folder, or a regular expression on the path',
    )
    .option('--name <NAME>', 'name of the reference, shown in every verdict (default: reference)')
    .addOption(numberOption('--seed <N>', 'decides which groups are left out together (default: 1)'))
    .option(
      '--group-by <WHAT>',
      'what is never cut in two: folder, none, or a regular expression on the path (default: folder)',
    )
    .addOption(settingOption('threads'))
    .addOption(shareOption('--warn <RATE>', 'false-alarm rate to promise for warn, such as 1% (default: 0.01)'))
    .addOption(shareOption('--block <RATE>', 'false-alarm rate to promise for block, such as 0.1% (default: 0.001)'))
    .addOption(
      new Option(
        '--threshold <KIND>',
        'how rates are held: rank (promised, as far as the images reach) or tail (expected by an exponential fitted to the farthest tenth)',
      )
        .choices(['rank', 'tail'])
        .default('rank'),
    )
    .option(
      '--leave-out <WHAT>',
      'images that are no part of the reference: strangers (those unlike the rest), or a file with their paths, one a line; the promise is then about those that stay',
    )
    .addOption(
      numberOption(
        '--power <N>',
        'reference images seen under every cause at every severity, at least, to report what the Profile can see; those of --simulations count; 0 for no report (default: 10, with --classifier 30)',
      ),
    )
    .option(
      '--model <WHAT>',
      'whose embeddings say what is in an image: none, default, or a model file (default: default where it runs, else none)',
    )
    .option(
      '--classifier <FILE>',
      'the classifier that is to be watched: report how often its answers flip under each cause, and expect it in verdicts',
    )
    .addOption(settingOption('device'))
    .option(
      '--mask <FILE|AREAS>',
      'what counts nowhere (a clock, a bonnet, a private area): an image in which black does not count and white does, or areas in shares of the sides, left,top,right,bottom or a polygon x,y,x,y,x,y, several joined by ";"; the Profile keeps it and applies it itself',
    )
    .option('--keep-paths', 'keep the paths of up to 1000 reference images, so that verdicts name those most alike')
    .option(
      '--ordered',
      'the images of each folder (or match of --group-by) are frames in the order of their names: learn how long they remember, for drift',
    )
    .option('--no-example', 'store no small picture of a typical reference image, which reports show the causes on');
  addSimulations(
    command,
    'reference images put through the simulated causes, to learn what rain, blur... look like here; 0 for none (default: 120)',
  );
  for (const option of inputOptions()) command.addOption(option);
  return command
    .option(
      '--cache <DIR>',
      'folder that keeps measurements, at most 1 GB, so that a fit of the same images need not measure them again (default: one of the user)',
    )
    .option('--no-cache', 'keep no measurements, and use none')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples)
    .action(runFit);
}

async function runFit(paths: string[], flags: FitFlags): Promise<void> {
  // What is kept of an image is old at once: a larger heap for young objects gains nothing, and would grow with the images.
  setFlagsFromString('--semi-space-growth-factor=1');
  const { config } = loadConfig({
    flags: { threads: flags.threads, device: flags.device, s3Endpoint: flags.s3Endpoint },
  });
  const { threads, device } = config;
  const { warn = 0.01, block = Math.min(0.001, warn) } = flags;
  const { name, seed, groupBy, threshold, simulations, power, example, model, classifier, keepPaths, ordered } = flags;
  const falseAlarmRate = { warn, block };
  const choices = {
    name,
    seed,
    groupBy,
    threshold,
    simulations,
    power,
    example,
    model,
    classifier,
    keepPaths,
    ordered,
  };
  const leaveOut = await readLeaveOut(flags.leaveOut);
  const mask = flags.mask === undefined ? undefined : await readMask(flags.mask);
  const { limits } = judgingOptions(config);
  const options = { paths, threads, device, falseAlarmRate, leaveOut, limits, mask, ...choices };
  const cache = readCacheFolder(flags.cache);
  if (flags.profilePer !== undefined) {
    for (const flag of ['manifest', 'shard'] as const) {
      if (flags[flag] === undefined) continue;
      throw new StoplineError('OPTION_INVALID', `Expected --profile-per without --${flag} but received both.`);
    }
    return runFitPer({ ...options, follow: flags.follow }, { ...flags, per: flags.profilePer, cache });
  }
  await checkWritable(flags.out);
  const { manifest, pathColumn, delimiter, follow, fps, shard } = flags;
  const inputs: InputFlags = { manifest, pathColumn, delimiter, follow, fps, shard };
  if (shard !== undefined) {
    const plan = { simulations: 0, power: 0, threads };
    const task = { kind: 'part', options, inputs, config, out: flags.out, cache } as const;
    const part = await runFitTask(task, plan);
    const { leftOut } = part;
    if (flags.json) printJson({ file: flags.out, ...part });
    else print(describePart(part, flags.out, part.shard));
    return tellLeftOut({ leftOut }, flags);
  }
  const result = await runFitTask({ kind: 'fit', options, inputs, config, cache }, planFit(options));
  const { leftOut } = result;
  await writeProfile(result, flags);
  tellLeftOut({ leftOut }, flags);
}

/** @throws {StoplineError} INPUT_NOT_FOUND */
async function readLeaveOut(what: string | undefined): Promise<FitOptions['leaveOut']> {
  if (what === undefined || what === 'strangers') return what;
  const text = await readFile(what, 'utf8').catch((cause) => {
    throw new StoplineError(
      'INPUT_NOT_FOUND',
      `Expected "strangers" or a file of paths for --leave-out but "${what}" gave ${cause.code}.`,
      { cause },
    );
  });
  return text.split(/\r?\n/).filter((line) => line.trim() !== '');
}

/** What is known of a fit before its images are counted. */
export function planFit(options: { threads: number } & Parameters<typeof resolveSecondLook>[0]): FitPlan {
  return { ...resolveSecondLook(options), threads: options.threads };
}

/** @throws {StoplineError} OUTPUT_UNWRITABLE */
export async function writeProfile(result: FitResult, { out, json }: { out: string; json?: boolean }): Promise<void> {
  await saveProfile(result.profile, out);
  const { burntIn, profile } = result;
  if (burntIn) await writeFile(nameMaskFile(out), await drawMask(burntIn, profile.example));
  if (json) printJson(asJson(result, out));
  else print(describeFit(result, out));
}

function asJson({ profile, ...rest }: FitResult, file: string) {
  return { file, profile: describeProfile(profile), ...rest };
}

/** One Profile a source: each is written when it is there, and a source that cannot be fitted does not stop the others. */
async function runFitPer(
  options: FitOptions & { threads: number },
  {
    per,
    out,
    json,
    strict,
    cache,
  }: Pick<FitFlags, 'out' | 'json' | 'strict'> & { per: string; cache: string | undefined },
): Promise<void> {
  const { sources, unmatched, leftOut } = await listSources(options.paths, sourceRule(per, options.paths), options);
  await makeFolder(out);
  for (const { file } of sources) await checkWritable(join(out, file));
  const answers: unknown[] = [];
  for (const source of sources) {
    note(`${printable(source.name)}:`);
    const answer = await runFitTask({ kind: 'source', options, per, source, cache }, planFit(options));
    const file = join(out, source.file);
    if ('error' in answer) {
      const error = reviveError(answer.error);
      process.exitCode = error.exit;
      answers.push({ source: source.name, error: error.toJSON() });
      if (!json) print(styled('red', `${printable(source.name)}: ${printable(failure(error))}`));
    } else {
      await saveProfile(answer.result.profile, file);
      answers.push({ source: source.name, ...asJson(answer.result, file) });
      if (!json) print(describeSource(source.name, answer.result, file));
    }
  }
  if (json) printJson({ folder: out, unmatched, sources: answers, leftOut });
  tellLeftOut({ leftOut }, { strict });
}

function failure({ code, message }: StoplineError): string {
  return `${code}: ${message}`;
}

/** A mask of what is proposed, as a picture to look at, to change and to give back: white counts, black does not. */
function drawMask(areas: readonly BurntIn[], { width, height } = { width: 4, height: 3 }): Promise<Uint8Array> {
  const size = { width: 640, height: Math.max(1, Math.round((640 * height) / width)) };
  const white = { data: new Uint8Array(3 * size.width * size.height).fill(255), ...size };
  const canvas = new Canvas(white);
  for (const { left, top, right, bottom } of areas) {
    const [x, y] = [left * size.width, top * size.height];
    canvas.fill(x, y, right * size.width - x, bottom * size.height - y, [0, 0, 0]);
  }
  return encodePng({ data: canvas.data, ...size, channels: 3 });
}
