/** Measures what a reference detects, on images that its models have not seen: `npm run evaluate -- --help`. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, isAbsolute, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { interruptible } from '../src/cli/interrupt.ts';
import { numberOption } from '../src/cli/options.ts';
import { startProgress, startStages } from '../src/cli/progress.ts';
import { note, print } from '../src/cli/terminal.ts';
import { loadConfig } from '../src/config.ts';
import { loadCore } from '../src/core/index.ts';
import { asStoplineError, StoplineError } from '../src/errors.ts';
import { families, type Severity } from '../src/image/corruptions/corruptions.ts';
import { prepareModel, readCard } from '../src/image/embedding/prepare.ts';
import { readCommit } from './docs/commit.ts';
import { type Probe, takeProbe, takeSightProbe, writeProbe } from './docs/probe.ts';
import { type CifarStage, evaluateCifar } from './evaluate/cifar/run.ts';
import { cifarReport } from './evaluate/cifar/tables.ts';
import { type EvaluateOptions, evaluate, type Stage } from './evaluate/evaluation.ts';
import { changedReport, evaluateHarm, type HarmOptions, type HarmStage, harmReport } from './evaluate/harm.ts';
import { evaluateHidden, hiddenReport } from './evaluate/hidden.ts';
import { evaluateHistory, historyReport } from './evaluate/history.ts';
import { prefaces, withSection } from './evaluate/page.ts';
import { judgeShifts, judgeSimulated, shiftsReport } from './evaluate/shifts.ts';
import { evaluateCamera, evaluateStreams } from './evaluate/streams.run.ts';
import { cameraReport, streamsReport } from './evaluate/streams.tables.ts';
import { report } from './evaluate/tables.ts';
import { evaluateWatched, watchedReport } from './evaluate/watched.ts';

interface EvaluateFlags extends Omit<EvaluateOptions, 'threads' | 'severities' | 'leaveOut'> {
  leaveOut: boolean;
  threads?: number | undefined;
  severities: string;
  write?: boolean;
  history: boolean;
  shifts?: string;
  simulate?: string;
  harm?: string;
  card?: string;
  cifar?: string;
  streams: boolean;
  camera: boolean;
  cameras: boolean;
  hidden: boolean;
  only?: string;
  days: number;
  runs: number;
  length: number;
}

const program = new Command('evaluate')
  .description(
    'Cross-validates a reference by whole groups and prints AUROC, detection at 1 % and 0.1 % false alarms, and the rate achieved.',
  )
  .option('--reference <DIR...>', 'images like those the classifier was trained on', [])
  .option(
    '--current <DIR...>',
    'folders of other images, one row each; DIR:TEXT takes the files whose path holds a text',
    [],
  )
  .option(
    '--history',
    'instead: what is read from pixels about earlier JPEG compression, on the images of --current',
    false,
  )
  .option(
    '--shifts <PROFILE>',
    'instead: what verdicts of this Profile say of real images, each --current as DIR=FAMILY of what happened to them',
  )
  .option('--simulate <DIR>', 'of --shifts: images of the same camera that are put through every simulated cause')
  .option(
    '--harm <MODEL>',
    'instead: how well verdicts tell how often this classifier answers otherwise, and how many changed answers are stopped',
  )
  .option('--card <FILE>', 'card of that classifier, where it does not lie beside it')
  .option(
    '--cifar <DIR>',
    'instead: training and test images of CIFAR-10 (its binary version), the latter also as CIFAR-10-C has them',
  )
  .option(
    '--streams',
    'instead: false alarms and delays of drift on simulated streams, and on the frames of --reference in their order',
    false,
  )
  .option('--camera', 'instead: delays of drift under simulated causes, on the simulated camera of the demo', false)
  .option(
    '--cameras',
    'instead: rendered cameras under faults, watched as the service does; --write writes docs/watch.md',
    false,
  )
  .option(
    '--hidden',
    'instead: drops, dirt, a wiper, a leaf on single frames of --current, by a Profile of --reference; --write writes docs/watch.md',
    false,
  )
  .option('--only <NAMES>', 'of --cameras: names of cameras, separated by commas (default: all five)')
  .addOption(numberOption('--days <N>', 'of --cameras: days of each camera in which nothing happens').default(10))
  .addOption(numberOption('--runs <N>', 'of --streams and --camera: runs of each kind').default(200))
  .addOption(numberOption('--length <N>', 'of --streams: images of each run in which nothing changes').default(2000))
  .option('--corruptions', 'put held-out images through every simulated cause', false)
  .option(
    '--leave-out',
    'held-out images under causes whose family was left out of training; by itself a section of its own',
    false,
  )
  .option('--faults', 'put held-out images under faults that the evaluation alone knows', false)
  .addOption(numberOption('--folds <K>', 'parts that are held out in turn').default(5))
  .addOption(numberOption('--images <N>', 'held-out images of each fold put through the causes').default(20))
  .option('--severities <LIST>', 'severities to test', '1,3,5')
  .addOption(numberOption('--simulations <N>', 'images of each fold to learn the causes from, as of fit').default(120))
  .option('--group-by <RULE>', "'folder', 'none' or a regular expression, as of fit", 'folder')
  .option('--model <NAME>', "embeddings of 'default', 'none' or the network at a path, as of fit")
  .addOption(numberOption('--seed <N>', 'decides folds, choices and simulations').default(1))
  .addOption(numberOption('--threads <N>', 'worker threads (default: cores)'))
  .option(
    '--cache <DIR>',
    'keep what is measured, to try another model on it; delete it when images, statistics or causes change',
  )
  .option('--write', 'write the section of this reference in docs/detection.md')
  .action(run);

async function run(all: EvaluateFlags): Promise<void> {
  const { write, history, shifts, simulate, harm, card, cifar, streams, ...others } = all;
  const { camera, cameras, hidden, only, days, runs, length, threads, severities, ...flags } = others;
  if (history) return runHistory(flags.current, write);
  if (shifts !== undefined) return runShifts(shifts, { current: flags.current, simulate }, write);
  if (cameras) return runCameras({ days, seed: flags.seed, cache: flags.cache, cameras: only?.split(',') }, write);
  if (camera) return runCamera(runs, flags.seed, write);
  if (cifar !== undefined) return runCifar(cifar, { ...flags, threads: chooseThreads(threads) }, write);
  if (streams) return runStreams({ ...flags, runs, length, threads }, write);
  if (flags.reference.length === 0) {
    throw new StoplineError('OPTION_INVALID', 'Expected --reference DIR... but received none.');
  }
  if (hidden) return runHidden(flags, write);
  if (harm !== undefined)
    return runHarm(harm, card, { ...flags, threads: chooseThreads(threads), onProgress: undefined }, write);
  const options: EvaluateOptions = {
    ...flags,
    leaveOut: flags.leaveOut ? families : [],
    threads: chooseThreads(threads),
    severities: severities.split(',').map(Number) as Severity[],
  };
  const progress = startStages((stage: Stage) => [stage, stage === 'fit and score' ? 'models' : 'images']);
  const evaluation = await interruptible((signal) =>
    evaluate({ ...options, onProgress: progress.update, signal }),
  ).finally(progress.stop);
  // By itself it is a table of its own, beside that of the same reference with every family learnt.
  const isOfUnknown = flags.leaveOut && !flags.corruptions;
  const heading = isOfUnknown ? '## The family of the cause left out' : formatHeading(options.reference);
  const section = `${heading}\n\n${await provenance()}\n\n${report(evaluation, options)}\n`;
  publish(heading, section, write);
}

async function runHistory(folders: readonly string[], write: boolean | undefined): Promise<void> {
  const progress = startProgress('history', 'pictures');
  const found = await evaluateHistory(loadCore(), folders, progress.update).finally(progress.stop);
  const heading = '## JPEG history';
  publish(heading, `${heading}\n\n${await provenance()}\n\n${historyReport(found)}\n`, write);
}

async function runShifts(
  profile: string,
  { current, simulate }: { current: readonly string[]; simulate: string | undefined },
  write: boolean | undefined,
): Promise<void> {
  const progress = startProgress('shifts', 'images');
  const found = await judgeShifts(profile, current, progress.update).finally(progress.stop);
  const simulations = simulate === undefined ? [] : await judgeSimulated(profile, simulate);
  const heading = '## Causes on real shifts';
  publish(heading, `${heading}\n\n${await provenance()}\n\n${shiftsReport(found, simulations)}\n`, write);
}

async function runCifar(
  folder: string,
  { seed, simulations, threads }: { seed: number; simulations: number; threads: number },
  write: boolean | undefined,
): Promise<void> {
  const progress = startStages((stage: CifarStage) => [stage, 'images']);
  const found = await evaluateCifar({
    ...{ folder, seed, simulations, threads, reference: 2000, clean: 1000, spoilt: 100, windowed: 2000 },
    onProgress: progress.update,
  }).finally(progress.stop);
  const heading = '## CIFAR-10-C';
  publish(heading, `${heading}\n\n${await provenance()}\n\n${cifarReport(found)}\n`, write);
}

async function runHarm(
  path: string,
  cardPath: string | undefined,
  options: Omit<HarmOptions, 'classifier'>,
  write: boolean | undefined,
): Promise<void> {
  const { model: classifier } = await prepareModel(path, {
    card: cardPath === undefined ? undefined : readCard(cardPath),
  });
  const progress = startStages((stage: HarmStage) => [stage, 'images']);
  const found = await evaluateHarm({ ...options, classifier, onProgress: progress.update }).finally(progress.stop);
  const heading = formatHeading(options.reference);
  const made = await provenance();
  publish(heading, `${heading}\n\n${made}\n\n${harmReport(found)}\n`, write, 'harm');
  const changed = '## Changed answers';
  publish(changed, `${changed}\n\n${made}\n\n${changedReport(found)}\n`, write);
}

const chooseThreads = (threads: number | undefined) => loadConfig({ flags: { threads } }).config.threads;
const formatHeading = (folders: readonly string[]) => `## ${folders.map((folder) => basename(folder)).join(' and ')}`;

async function runStreams(
  flags: Pick<EvaluateFlags, 'reference' | 'runs' | 'length' | 'seed' | 'threads'>,
  write: boolean | undefined,
): Promise<void> {
  const threads = chooseThreads(flags.threads);
  const progress = startProgress('streams', 'kinds of runs');
  const onProgress = (done: number, total: number) => progress.update({ done, total, failed: 0 });
  const found = await evaluateStreams({ ...flags, threads, onProgress }).finally(progress.stop);
  const heading = '## Measured on streams';
  publish(heading, `${heading}\n\n${await provenance()}\n\n${streamsReport(found)}\n`, write, 'drift');
}

async function runCamera(runs: number, seed: number, write: boolean | undefined): Promise<void> {
  const progress = startProgress('camera', 'frames');
  const onProgress = (done: number, total: number) => progress.update({ done, total, failed: 0 });
  const found = await evaluateCamera({ runs, seed, onProgress }).finally(progress.stop);
  const heading = '## Measured on a camera';
  publish(heading, `${heading}\n\n${await provenance()}\n\n${cameraReport(found)}\n`, write, 'drift');
}

async function runHidden(
  flags: Pick<EvaluateFlags, 'reference' | 'current' | 'model'>,
  write: boolean | undefined,
): Promise<void> {
  const progress = startProgress('hidden', 'frames');
  const onProgress = (done: number) => progress.update({ done, total: undefined, failed: 0 });
  const found = await evaluateHidden(flags, onProgress).finally(progress.stop);
  const heading = '## Measured on one frame';
  publish(heading, `${heading}\n\n${await provenance()}\n\n${hiddenReport(found)}\n`, write, 'watch');
}

async function runCameras(
  options: { days: number; seed: number; cache: string | undefined; cameras: string[] | undefined },
  write: boolean | undefined,
): Promise<void> {
  const progress = startProgress('cameras', 'frames');
  const onProgress = (done: number) => progress.update({ done, total: undefined, failed: 0 });
  const found = await evaluateWatched({ ...options, onProgress }).finally(progress.stop);
  const heading = '## Measured on rendered cameras';
  publish(heading, `${heading}\n\n${await provenance(takeSightProbe())}\n\n${watchedReport(found)}\n`, write, 'watch');
}

function publish(
  heading: string,
  section: string,
  write: boolean | undefined,
  page: keyof typeof prefaces = 'detection',
): void {
  print(section);
  if (!write) return;
  const file = fileURLToPath(new URL(`../docs/${page}.md`, import.meta.url));
  const before = existsSync(file) ? readFileSync(file, 'utf8') : prefaces[page];
  writeFileSync(file, withSection(before, heading, section));
  note(`written: docs/${page}.md`);
}

/** The command line, the day, the commit, and what the code does, so that anyone can do it again. Paths are told from the current folder. */
async function provenance(also: Probe = {}): Promise<string> {
  const here = (text: string) => (isAbsolute(text) ? relative(process.cwd(), text) : text);
  // Where things were kept changes no number.
  const said = process.argv.slice(2).filter((text, i, all) => text !== '--cache' && all[i - 1] !== '--cache');
  // Where somebody keeps CIFAR-10 is nobody else's place.
  const shown = said.map((text, i) => (said[i - 1] === '--cifar' ? 'DIR' : here(text)));
  const command = ['npm run evaluate --', ...shown].join(' ');
  return `\`\`\`sh\n${command}\n\`\`\`\n\nMade on ${new Date().toISOString().slice(0, 10)}, at commit ${readCommit()}.\n${writeProbe({ ...(await takeProbe()), ...also })}`;
}

await program.parseAsync().catch((error: unknown) => {
  const { code, message, exit } = asStoplineError(error);
  note(`${code}: ${message}`);
  process.exitCode = exit;
});
