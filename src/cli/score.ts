import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import { StoplineError } from '../errors.ts';
import { countImages, type ListedImage, listImages } from '../folder.ts';
import { mapOrdered } from '../pipeline.ts';
import { createPool } from '../pool.ts';
import { loadProfile } from '../profile.ts';
import { formatHeader, type RowFormat } from '../row.ts';
import type { DecideBy } from '../verdict.ts';
import { Interruption, interruptible } from './interrupt.ts';
import { configWithProfile, settingOption } from './options.ts';
import { checkWritable } from './output.ts';
import { startProgress } from './progress.ts';
import { openRowFile, standardOutputRows } from './rows.ts';
import { createTally, type Tally } from './tally.ts';
import {
  bar,
  commandLine,
  count,
  duration,
  note,
  percent,
  print,
  printable,
  printJson,
  styled,
  table,
  verdictText,
} from './terminal.ts';

interface ScoreFlags {
  profile?: string;
  model?: string;
  out: string;
  format?: RowFormat;
  decideBy?: string;
  threads?: string;
  core?: string;
  json?: boolean;
}

export function scoreCommand(): Command {
  return new Command('score')
    .summary('judge a folder of images: one row an image')
    .description(
      'Judges every image under the paths and writes one row for each, in the order of the files. An image that cannot be ' +
        'judged is a row with an error code, and the run goes on. FILE appears when it is complete; until then it is FILE.partial.',
    )
    .argument('<paths...>', 'image files and folders (searched recursively)')
    .addOption(settingOption('profile'))
    .addOption(settingOption('model'))
    .addOption(settingOption('decideBy'))
    .requiredOption('-o, --out <FILE>', 'file to write; - for standard output')
    .addOption(
      new Option('--format <FORMAT>', 'jsonl or csv (default: by the ending of FILE, else jsonl)').choices([
        'jsonl',
        'csv',
      ]),
    )
    .addOption(settingOption('threads'))
    .addOption(settingOption('core'))
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('score', 'incoming/', '--profile', 'camera.stopline', '--out', 'verdicts.jsonl')}
  ${commandLine('score', 'incoming/', '--profile', 'camera.stopline', '--out', '-')} | jq 'select(.verdict == "block") | .path'

Exit status: 0 when every image has its row, whatever the verdicts.`,
    )
    .action(runScore);
}

async function runScore(paths: string[], flags: ScoreFlags): Promise<void> {
  // Rows are short-lived, so a larger heap for young objects gains nothing, and V8 would enlarge it for thousands of images.
  setFlagsFromString('--semi-space-growth-factor=1');
  const { out: _, format: asked, json, ...settings } = flags;
  const { config } = configWithProfile(settings);
  const toStandardOutput = flags.out === '-';
  if (toStandardOutput && json) {
    throw new StoplineError('OPTION_INVALID', 'Expected a file for --out together with --json but received -.');
  }
  if (!toStandardOutput) await checkWritable(flags.out);
  const format = asked ?? (flags.out.toLowerCase().endsWith('.csv') ? 'csv' : 'jsonl');
  // Loaded here as well, so that a bad Profile is found before any file is written.
  const profile = await loadProfile(config.profile);
  const total = await countImages(paths);
  const tally = createTally();
  const startedAt = performance.now();
  await interruptible(async (signal) => {
    const { core, threads, maxPixels, maxSide, decideBy, model } = config;
    const pool = await createPool({
      profilePath: config.profile,
      threads,
      core,
      decideBy,
      model,
      limits: { maxPixels, maxSide },
      isBatch: true,
    });
    const progress = startProgress('score');
    try {
      await pool.ready();
      const judge = ({ path }: ListedImage) => {
        signal.throwIfAborted();
        return pool.scoreFile(path, format);
      };
      const writer = toStandardOutput ? standardOutputRows() : await openRowFile(flags.out);
      try {
        await writer.write(formatHeader(format));
        for await (const row of mapOrdered(listImages(paths), threads * 4, async (image) => judge(image))) {
          signal.throwIfAborted();
          await writer.write(row.text);
          tally.add(row.count);
          // Files may come and go while the folder is walked, so the total may be overtaken.
          progress.update({ done: tally.images, total: Math.max(total, tally.images), failed: tally.failed });
        }
        await writer.finish();
      } catch (error) {
        if (!(error instanceof Interruption)) {
          await writer.discard();
          throw error;
        }
        await writer.keep();
        throw new Interruption(
          error.exit,
          `interrupted after ${tally.images} of ${total} images; their rows are in ${printable(writer.path)}`,
        );
      }
    } finally {
      progress.stop();
      await pool.destroy();
    }
  });

  const seconds = (performance.now() - startedAt) / 1000;
  const { promised } = profile.falseAlarmRate;
  const { decideBy: decidedBy } = config;
  const run = { file: flags.out, format, decidedBy, promised, seconds };
  if (json) printJson({ file: flags.out, format, decidedBy, ...tally.toJSON(), falseAlarmRate: promised, seconds });
  else (toStandardOutput ? note : print)(summary(tally, run));
}

function summary(
  tally: Tally,
  run: {
    file: string;
    format: RowFormat;
    decidedBy: DecideBy;
    promised: { warn: number; block: number };
    seconds: number;
  },
): string {
  const { images, failed, verdicts, errors, reasons } = tally.toJSON();
  const judged = images - failed;
  const where = run.file === '-' ? 'standard output' : printable(run.file);
  const lines = [
    `${styled('bold', `${count(images, 'row')} written`)} to ${where} (${run.format}) in ${duration(run.seconds)}`,
  ];
  const shares = (['pass', 'warn', 'block'] as const).map((verdict) => {
    const share = judged === 0 ? 0 : verdicts[verdict] / judged;
    const text = `${verdicts[verdict]}`;
    return [verdictText(verdict), text, judged === 0 ? '' : percent(share), bar(share, 40)];
  });
  lines.push(table(shares, [1, 2]).replace(/^/gm, '  '));
  if (judged > 0) {
    const warned = (verdicts.warn + verdicts.block) / judged;
    lines.push(
      `  ${percent(warned)} warned or blocked${run.decidedBy === 'combined' ? '' : `, decided by ${run.decidedBy}`}; ${percent(run.promised.warn)} is promised for images like the reference`,
      `  ${percent(verdicts.block / judged)} blocked; ${percent(run.promised.block)} is promised`,
    );
  }
  if (reasons.length > 0) {
    lines.push('First reasons of what was warned or blocked');
    lines.push(
      table(
        reasons.slice(0, 5).map(({ count, text }) => [`  ${count}`, text]),
        [0],
      ),
    );
  }
  if (failed > 0) {
    lines.push(styled('yellow', `${count(failed, 'image')} could not be judged`));
    lines.push(
      table(
        errors.map(({ code, count, example }) => [`  ${count}`, code, printable(example)]),
        [0],
      ),
    );
  }
  return lines.join('\n');
}
