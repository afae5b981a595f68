import { realpath, stat } from 'node:fs/promises';
import { Command } from 'commander';
import { hideSecrets, judgingOptions } from '../config.ts';
import { StoplineError } from '../errors.ts';
import { decode } from '../image/decode.ts';
import { readImage } from '../image/file.ts';
import { statistics } from '../image/statistics/statistics.ts';
import type { Advice } from '../profile/advice.ts';
import type { Profile } from '../profile/description.ts';
import { createInspector, warnOfDecoder } from '../profile/inspector.ts';
import { prepareJudging } from '../profile/judging.ts';
import { writeNumbers } from '../profile/sights.ts';
import type { Verdict } from '../profile/verdict.ts';
import type { Masks } from '../run/masks.ts';
import { isObjectUrl } from '../run/objects.ts';
import type { Config } from '../settings.ts';
import { type JudgingFlags, judgingFlags, openJudging } from './options.ts';
import { beside, picture, showsPictures } from './picture.ts';
import {
  bytesText,
  commandLine,
  complain,
  measureWidth,
  percent,
  print,
  printable,
  printJson,
  rangeBar,
  styled,
  table,
  verdictText,
} from './terminal.ts';

/** What `inspect` exits with. */
export const verdictExit = { pass: 0, warn: 3, block: 4 } as const;

interface InspectFlags extends JudgingFlags {
  json?: boolean;
  verbose?: boolean;
}

export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description('Prints the verdict on each image, with the reasons in plain words.')
    .argument('<images...>', 'JPEG, PNG or WebP files; - for one on standard input')
    .option('--verbose', 'show the numbers behind each reason by their names, and what each detector says')
    .option('--json', 'print the verdict as JSON, as HTTP and score give it; of several images a line each');
  for (const option of judgingFlags({ threads: false })) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('inspect', 'frame.jpg', '--profile', 'camera.stopline')}
  ${commandLine('inspect', 'frame.jpg', '--profile', 'camera.stopline', '--json')} | jq .reasons[].text
  curl -sSL https://camera.example/now.jpg | ${commandLine('inspect', '-', '--profile', 'camera.stopline')}

Exit status, of several images the highest: 0 pass, 3 warn, 4 block; 2 usage, 65 not an image that can be judged, 66 no such file, 69 a package for its model is missing, 78 bad Profile or another model.`,
    )
    .action(runInspect);
}

async function runInspect(paths: string[], { json, verbose = false, ...flags }: InspectFlags): Promise<void> {
  const { config, profile, masks } = await openJudging(flags);
  for (const path of paths) await checkIsImage(path, config.profile);
  const judge = await openJudge(config, profile, masks);
  for (const warning of judge.warnings) complain(`stopline: warning: ${printable(warning)}`);
  try {
    process.exitCode = await inspectAll(paths, judge, { json, verbose, config });
  } finally {
    await judge.close();
  }
}

/** What judges here, and what is to be said of its Profile. */
interface ImageJudge {
  warnings: readonly string[];
  inspect(bytes: Uint8Array): Promise<Verdict>;
  close(): Promise<void>;
}

/** In this process; with a model of somebody else's in another one, which has bounds. */
async function openJudge(config: Config, profile: Profile, masks: Masks): Promise<ImageJudge> {
  const options = judgingOptions(config);
  if (config.model === undefined || profile.model === undefined) {
    const inspector = await createInspector({ ...options, profile });
    return {
      warnings: inspector.warnings,
      inspect: (bytes) => inspector.inspect(bytes, { mask: masks.find() }),
      close: async () => undefined,
    };
  }
  const { warnings } = prepareJudging(profile, options);
  // Loaded only here: what starts workers takes as long to load as a large image to judge.
  const { createPool, poolOptions } = await import('../run/pool.ts');
  const pool = await createPool({ ...poolOptions(config, 'stream'), threads: 1, profile, masks });
  await pool.ready();
  return {
    warnings: [...warnOfDecoder(profile), ...warnings],
    inspect: (bytes) => pool.inspect(bytes),
    close: () => pool.destroy(),
  };
}

/** @returns the exit status */
async function inspectAll(
  paths: string[],
  judge: ImageJudge,
  { json, verbose, config }: { json: boolean | undefined; verbose: boolean; config: Config },
): Promise<number> {
  const { limits } = judgingOptions(config);
  let worst = 0;
  for (const [i, path] of paths.entries()) {
    try {
      const bytes = await readInput(path, config.bodyLimit);
      const verdict = await judge.inspect(bytes);
      worst = Math.max(worst, verdictExit[verdict.verdict]);
      if (json) printJson(paths.length === 1 ? verdict : { path, ...verdict });
      else {
        const shown = showsPictures() ? await picture((await decode(bytes, limits)).frame) : [];
        print(
          `${i > 0 ? '\n' : ''}${describe(verdict, path === '-' ? 'standard input' : path, { pictureLines: shown, verbose })}`,
        );
      }
    } catch (error) {
      // A bad one among several images is told like a verdict, and the others are judged.
      if (paths.length === 1 || !(error instanceof StoplineError)) throw error;
      worst = Math.max(worst, error.exit);
      if (json) printJson({ path, error });
      else complain(`stopline: ${error.code}: ${printable(path)}: ${printable(error.message)}`);
    }
  }
  return worst;
}

/** Names the command for what is more than an image. @throws {StoplineError} OPTION_INVALID */
async function checkIsImage(path: string, profile: string): Promise<void> {
  if (/^https?:\/\//i.test(path)) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected an image file but "${hideSecrets(path)}" is an address. Fetch it first: curl -sSL '${hideSecrets(path)}' | ${commandLine('inspect', '-', '--profile', profile)}`,
    );
  }
  const kind = await stat(path).catch(() => undefined);
  const isFolder = kind?.isDirectory();
  const isPattern = kind === undefined && /[*?]/.test(path);
  if (isFolder || isPattern || isObjectUrl(path) || /\.(tar|tgz|tar\.gz|mp4|mkv|mov|avi|webm)$/i.test(path)) {
    const what = isFolder ? 'a folder' : isObjectUrl(path) ? 'in a bucket' : 'many images';
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected an image file but "${path}" is ${what}. To judge all of them: ${commandLine('score', path, '--profile', profile, '--out', 'verdicts.jsonl')}`,
    );
  }
}

async function readInput(path: string, maxBytes: number): Promise<Uint8Array> {
  // In a folder links are not followed, but a user who names one means the image behind it.
  if (path !== '-') return readImage(await realpath(path).catch(() => path), maxBytes);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      throw new StoplineError('IMAGE_TOO_LARGE', `Expected at most ${maxBytes} bytes on standard input but more came.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

interface DescribeOptions {
  /** They stand beside the table where the terminal is wide enough for both, else above it. */
  pictureLines: readonly string[];
  verbose: boolean;
}

function describe(verdict: Verdict, path: string, { pictureLines, verbose }: DescribeOptions): string {
  const lines = [...describeVerdict(verdict, path, verbose), ...describeReasons(verdict, verbose)];
  if (verdict.nearest) {
    lines.push(styled('bold', 'Most alike in the reference'));
    for (const { path, distance } of verdict.nearest) lines.push(`  ${printable(path)} (${distance.toFixed(3)} of 2)`);
  }
  const { remarks } = verdict.image;
  if (remarks.length > 0) {
    lines.push(styled('bold', 'Remarks, which decide nothing'));
    for (const { kind, text } of remarks) lines.push(`  ${kind}: ${printable(text)}`);
  }
  const tableLines = verbose ? tabulateEvidence(verdict) : [];
  const drawn = beside(tableLines, pictureLines, process.stdout.columns);
  if (drawn.length > 0) lines.push('', ...drawn);
  return lines.join('\n');
}

function describeVerdict(verdict: Verdict, path: string, verbose: boolean): string[] {
  const { image, falseAlarmRate, decidedBy, expectedFlipRate: flips } = verdict;
  const blocks = verdict.blockWhen === undefined ? percent(falseAlarmRate.block) : 'by the rule';
  const kind = falseAlarmRate.threshold === 'tail' ? 'expected by a fitted tail' : 'promised';
  const rates = `false alarms ${kind}: warn ${percent(falseAlarmRate.warn)}, block ${blocks}`;
  const others = verdict.detectors.filter(({ name }) => name !== decidedBy);
  return [
    `${verdictText(verdict.verdict, verdict.verdict.toUpperCase())}  ${printable(path)}`,
    `  ${decidedBy === 'combined' ? '' : `decided by ${decidedBy}: `}p-value ${pText(verdict.pValue)} (${rates})`,
    ...(verbose ? [`  ${others.map(({ name, pValue }) => `${name} ${pText(pValue)}`).join(', ')}`] : []),
    `  score ${verdict.score.toFixed(2)}, ${image.format} ${image.width}x${image.height}, ${bytesText(image.bytes)}; ` +
      `Profile "${printable(verdict.profile.name)}" ${verdict.profile.sha256.slice(0, 12)}; ${verdict.timingMs.total.toFixed(0)} ms`,
    ...(flips
      ? [
          `  expected flip rate ${percent(flips.rate)} (${percent(flips.low)} to ${percent(flips.high)}): how often the classifier answers otherwise to such an image`,
        ]
      : []),
  ];
}

/** What a person sees, what probably happened, and what to do. */
function describeReasons(verdict: Verdict, verbose: boolean): string[] {
  const { reasons, unusual = [] } = verdict;
  if (verdict.verdict === 'pass') {
    if (unusual.length === 0) return ['Like the reference.'];
    const told = unusual.map(({ text }) => `  ${printable(text)}`);
    return [`Passes. ${styled('bold', 'Unusual, but not enough to warn')}`, ...told];
  }
  const [first] = reasons;
  return [
    styled('bold', 'Reasons'),
    ...reasons.flatMap(({ text, evidence }, i) => [
      `  ${i + 1}. ${printable(text)}`,
      ...(verbose ? evidence.map((one) => `       ${printable(one.text)}`) : []),
    ]),
    ...describeCause(verdict, verbose),
    ...describeAdvice(verdict.cause?.advice, first?.advice),
  ];
}

/** @param seen what the first reason advises, where no cause is known */
function describeAdvice(advice: Advice | undefined, seen: string | undefined): string[] {
  const title = styled('bold', 'What to do');
  if (!advice) return seen === undefined ? [] : [`${title}  ${seen}`];
  return [`${title}  on shift: ${advice.onShift}`, `            data scientist: ${advice.dataScientist}`];
}

function describeCause({ cause, causes }: Verdict, verbose: boolean): string[] {
  const told = cause ? [`${styled('bold', 'Probable cause')}  ${cause.text}`] : [];
  if (!verbose || !causes) return told;
  const named = causes.slice(0, 3).map(({ cause: name, probability }) => `${name} ${percent(probability)}`);
  return [...told, `  among the simulated causes: ${named.join(', ')}`];
}

/** The numbers behind the reasons, with bars. */
function tabulateEvidence({ reasons, unusual = [] }: Verdict): string[] {
  const rows = [...reasons, ...unusual]
    .flatMap(({ evidence }) => evidence)
    .flatMap(({ statistic, value, unit, reference }) => {
      if (!reference || typeof value !== 'number') return [];
      const row = statistics.find(({ name }) => name === statistic);
      const { p01, p99 } = reference;
      const [own, low, high] = writeNumbers([value, p01, p99], row?.digits ?? 2, row?.resolution);
      return [[statistic, own, unit, low, rangeBar(value, reference), high]];
    });
  const header = ['statistic', 'value', 'unit', 'p01', 'reference'.padStart(20), 'p99'];
  const lines = rows.length > 0 ? table([header, ...rows], [1, 3]).split('\n') : [];
  // A bar that does not fit is worth less than a table that does.
  const isNarrow = process.stdout.isTTY && Math.max(0, ...lines.map(measureWidth)) > process.stdout.columns;
  if (!isNarrow) return lines;
  return table(
    rows.map((row) => row.filter((_, i) => i !== 4)),
    [1, 3, 4],
  ).split('\n');
}

function pText(pValue: number): string {
  return String(Number(pValue.toPrecision(3)));
}
