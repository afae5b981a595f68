import { open, realpath, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command } from 'commander';
import { createDrift } from '../drift/drift.ts';
import type { Monitor } from '../drift/monitor.ts';
import { Population } from '../drift/population.ts';
import { endSentence, StoplineError } from '../errors.ts';
import { readImage } from '../image/file.ts';
import { defaultLimits } from '../image/frame.ts';
import type { Profile } from '../profile/description.ts';
import { loadProfile } from '../profile/file.ts';
import { renderReport } from '../report/page.ts';
import { type ReplayedTransition, renderRunReport } from '../report/run.ts';
import { openJudging, settingOption } from './options.ts';
import { checkWritable } from './output.ts';
import { readRows } from './scored.ts';
import { bytesText, commandLine, print, printable, printJson } from './terminal.ts';

interface ReportFlags {
  out: string;
  profile?: string;
  example?: string;
  json?: boolean;
}

export function reportCommand(): Command {
  return new Command('report')
    .description(
      'Writes one HTML file that opens from disk and loads nothing. Of a Profile: what it was made of, which causes it sees from ' +
        'which severity on, which it is blind to, what each looks like, and how every statistic lies over the reference. Of the ' +
        'rows that score wrote: whether the images match the reference, where and why not, which statistics moved, the strangest ' +
        'images, and when a service would have raised an alarm.',
    )
    .argument('<file>', 'Profile file, such as camera.stopline, or rows of score (.jsonl)')
    .option('-o, --out <FILE>', 'HTML file to write', 'report.html')
    .addOption(settingOption('profile'))
    .option('--example <FILE>', 'image to show the causes on, instead of the small one in the Profile')
    .option('--json', 'print the file and its size as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('report', 'camera.stopline')}
  ${commandLine('report', 'camera.stopline', '--out', 'camera.html', '--example', 'frame.jpg')}
  ${commandLine('report', 'verdicts.jsonl', '--profile', 'camera.stopline', '--out', 'run.html')}

The page of a Profile holds a small picture of one reference image. fit --no-example keeps it out of the Profile, and of the
page. That of a run holds small pictures of its strangest images, where they are still at their paths.`,
    )
    .action(runReport);
}

async function runReport(path: string, flags: ReportFlags): Promise<void> {
  await checkWritable(flags.out);
  const isRun = await holdsRows(path);
  if (isRun && flags.example !== undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected --example only for the report of a Profile.');
  }
  const bytes = isRun
    ? await writeRunReport(path, flags.out, (await openJudging({ profile: flags.profile })).profile)
    : await writeReport(flags.out, await renderReport(await loadProfile(path), { example: readExample(flags) }));
  if (flags.json) printJson({ file: flags.out, bytes });
  else print(reportWritten(flags.out, bytes));
}

/** Bytes at the start of a file that tell rows and Profiles apart. */
const sniffedBytes = 64;

/**
 * Whether a file holds rows of `score` and not a Profile, by its first bytes.
 * @throws {StoplineError} OPTION_INVALID for rows in a format that lacks what the page shows
 */
async function holdsRows(path: string): Promise<boolean> {
  const start = await readStart(path).catch(() => ''); // what cannot be read is said by whoever reads it
  const format = start.startsWith('PAR1') ? 'Parquet' : /^(\xef\xbb\xbf)?"?path"?,/.test(start) ? 'CSV' : undefined;
  if (format === undefined) return /^(\xef\xbb\xbf)?\s*\{"/.test(start) || path.toLowerCase().endsWith('.jsonl');
  throw new StoplineError(
    'OPTION_INVALID',
    `Expected rows as JSON lines but "${path}" holds them as ${format}, which leaves out the pictures, properties and reasons that the page shows. Write them so: ${commandLine('score', '<images>', '--profile', 'camera.stopline', '--out', 'verdicts.jsonl')}`,
  );
}

async function readStart(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(sniffedBytes), position: 0 });
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

function readExample({ example }: ReportFlags): Uint8Array | undefined {
  return example === undefined ? undefined : readImage(example, defaultLimits.maxBytes);
}

export function reportWritten(file: string, bytes: number): string {
  return `Report written to ${printable(file)} (${bytesText(bytes)}): open it in a browser.`;
}

/**
 * The report of a run, from its rows.
 * @returns its size in bytes
 * @throws {StoplineError} OUTPUT_UNWRITABLE, and what `readRows` throws
 */
export async function writeRunReport(rows: string, file: string, profile: Profile): Promise<number> {
  const population = new Population(profile);
  const replay = createReplay(profile);
  for await (const row of readRows(rows, profile)) {
    population.add(row);
    if (!('error' in row)) replay.take(row);
  }
  if (population.counts.images === 0) {
    throw new StoplineError('INPUT_NO_IMAGES', `Expected rows in "${rows}" but found none.`);
  }
  const { transitions } = replay;
  // An image behind a link was judged, so it is shown.
  const read = async (path: string) => readImage(await realpath(path).catch(() => path), defaultLimits.maxBytes);
  return writeReport(file, await renderRunReport(profile, { population, transitions }, read));
}

/** Folders that are watched, each as a camera, and images of the clock of the replay: a second apart. */
const maxSources = 500;
const intervalMs = 1000;

function createReplay(profile: Profile) {
  const monitors = new Map<string, { monitor: Monitor; images: number }>();
  const transitions: ReplayedTransition[] = [];
  let drift: ReturnType<typeof createDrift> | undefined;
  return {
    transitions,
    take(row: Parameters<ReturnType<typeof createDrift>['makeObservation']>[0] & { path: string }) {
      drift ??= createDrift(profile, { decideBy: row.decidedBy });
      const source = dirname(row.path);
      if (!monitors.has(source) && monitors.size >= maxSources) return;
      const watched = monitors.get(source) ?? { monitor: drift.monitor(), images: 0 };
      monitors.set(source, watched);
      const transition = watched.monitor.observe(drift.makeObservation(row, watched.images++ * intervalMs));
      if (!transition) return;
      const { from, to, text } = transition;
      transitions.push({ source, image: watched.images, from, to, text });
    },
  };
}

async function writeReport(file: string, text: string): Promise<number> {
  const bytes = Buffer.from(text);
  try {
    await writeFile(file, bytes);
  } catch (cause) {
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `The report cannot be written to "${file}": ${endSentence(cause instanceof Error ? cause.message : String(cause))}`,
      { cause },
    );
  }
  return bytes.length;
}
