import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import type { Item, Shard } from '../batch/items.ts';
import { openJob } from '../batch/job.ts';
import { replaceFile, writeRows } from '../batch/output.ts';
import { createColumnTypes, formatOf, judgeItems, unfinishedItems } from '../batch/run.ts';
import { isObjectUrl, type ObjectStore } from '../batch/s3.ts';
import { createTally, type Tally } from '../batch/tally.ts';
import type { Config } from '../config.ts';
import { decoderVersion } from '../decode.ts';
import { StoplineError } from '../errors.ts';
import { noImages } from '../folder.ts';
import { createPool } from '../pool.ts';
import { loadProfile, type Profile } from '../profile.ts';
import { formatHeader, type RowFormat, rowFormats } from '../row.ts';
import type { DecideBy } from '../verdict.ts';
import { type InputFlags, inputOptions, openInputs, pathsHelp } from './inputs.ts';
import { Interruption, interruptible } from './interrupt.ts';
import { configWithProfile, numberOption, settingOption } from './options.ts';
import { checkWritable } from './output.ts';
import { startProgress } from './progress.ts';
import { scoreOnQueue } from './queue.ts';
import { reportWritten, writeRunReport } from './report.ts';
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

export interface ScoreFlags extends InputFlags {
  profile?: string;
  model?: string;
  device?: string;
  out: string;
  format?: RowFormat;
  resume?: boolean;
  queue?: string;
  chunk?: number;
  summary?: string;
  report?: string;
  decideBy?: string;
  blockWhen?: string;
  threads?: string;
  core?: string;
  json?: boolean;
}

export function scoreCommand(): Command {
  const command = new Command('score')
    .summary('judge many images: one row an image')
    .description(
      'Judges every image and writes one row for each, in the order of the images. An image that cannot be judged is a row ' +
        'with an error code, and the run goes on. FILE appears when it is complete; until then the rows are in FILE.job, ' +
        'and a run that was stopped, killed or lost its network goes on with --resume.',
    )
    .argument('[paths...]', pathsHelp)
    .addOption(settingOption('profile'))
    .addOption(settingOption('model'))
    .addOption(settingOption('device'))
    .addOption(settingOption('decideBy'))
    .addOption(settingOption('blockWhen'))
    .requiredOption('-o, --out <FILE>', 'file or s3:// object to write; - for standard output')
    .addOption(
      new Option('--format <FORMAT>', 'jsonl, csv or parquet (default: by the ending of FILE, else jsonl)').choices(
        rowFormats,
      ),
    )
    .option('--resume', 'go on with the run that has this output, if there is one')
    .addOption(settingOption('queue'))
    .addOption(numberOption('--chunk <N>', 'images that a worker of the queue takes at a time (default: 512)'))
    .option('--summary <FILE>', 'also write the summary as JSON to a file or s3:// object')
    .option('--report <FILE>', 'also draw the run as one HTML file; needs rows in a jsonl file');
  for (const option of inputOptions()) command.addOption(option);
  return command
    .addOption(settingOption('threads'))
    .addOption(settingOption('core'))
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('score', 'incoming/', '--profile', 'camera.stopline', '--out', 'verdicts.jsonl')}
  ${commandLine('score', 's3://footage/2026/', '--profile', 'camera.stopline', '--out', 'verdicts.parquet', '--resume')}
  ${commandLine('score', '--manifest', 'frames.csv', '--profile', 'camera.stopline', '--out', '-')} | jq 'select(.verdict == "block") | .path'

Exit status: 0 when every image has its row, whatever the verdicts.`,
    )
    .action(runScore);
}

async function runScore(paths: string[], flags: ScoreFlags): Promise<void> {
  // Rows are short-lived, so a larger heap for young objects gains nothing, and V8 would enlarge it for thousands of images.
  setFlagsFromString('--semi-space-growth-factor=1');
  const { profile: file, model, decideBy, threads, core, s3Endpoint, queue } = flags;
  const { config } = configWithProfile({ profile: file, model, decideBy, threads, core, s3Endpoint, queue });
  // Only where it is asked for: an address in the environment is for the workers.
  if (queue !== undefined) return scoreOnQueue(paths, flags, { ...config, queue });
  const format = formatOf(flags.out, flags.format);
  await checkOutputs(flags, format);
  // Loaded here as well, so that a bad Profile is found before any file is written.
  const profile = await loadProfile(config.profile);
  const { items, total, shard, store } = await openInputs(paths, flags, config);
  const tally = createTally();
  const startedAt = performance.now();
  await interruptible(async (signal) => {
    const { maxPixels, maxSide } = config;
    const pool = await createPool({
      ...{ profile: config.profile, threads: config.threads, core: config.core, isBatch: true },
      ...{ decideBy: config.decideBy, blockWhen: config.blockWhen, model: config.model },
      ...{ device: config.device, limits: { maxPixels, maxSide } },
    });
    let progress: ReturnType<typeof startProgress> | undefined;
    const shown = () => {
      // Files may come and go while the folder is walked, so the total may be overtaken.
      const most = total === undefined ? undefined : Math.max(total, tally.images);
      progress?.update({ done: tally.images, total: most, failed: tally.failed });
    };
    try {
      await pool.ready();
      progress = startProgress('score');
      const judged = (source: AsyncIterable<Item>) => judgeItems(pool, source, { format, signal });
      if (flags.out === '-') {
        await toStandardOutput(formatHeader(format, items.columns), signal);
        for await (const { line, count } of judged(items)) {
          signal.throwIfAborted();
          await toStandardOutput(line, signal);
          tally.add(count);
          shown();
        }
        return;
      }
      const identity = {
        Profile: profile.sha256,
        decoder: decoderVersion,
        'decide-by': config.decideBy,
        'block-when': config.blockWhen ?? 'none',
        format,
        paths: JSON.stringify(paths),
        manifest: flags.manifest ?? 'none',
        'path-column': flags.pathColumn ?? 'path',
        fps: `${flags.fps ?? 1}`,
        shard: flags.shard ?? 'none',
        'max-pixels': `${maxPixels}`,
        'max-side': `${maxSide}`,
      };
      const job = openJob(
        isObjectUrl(flags.out) ? `${basename(flags.out)}.job` : `${flags.out}.job`,
        identity,
        flags.resume ?? false,
      );
      try {
        const types = createColumnTypes(items);
        const unfinished = unfinishedItems(items, job, (item, finished) => {
          types.see(item);
          if (finished) tally.add(finished);
        });
        for await (const row of judged(unfinished)) {
          signal.throwIfAborted();
          job.add(row);
          tally.add(row.count);
          shown();
        }
        job.commit();
        if (tally.images === 0 && !shard) throw noImages(paths);
        await replaceFile(flags.out, store, (path) =>
          writeRows(path, job.lines(), { format, manifest: types.columns() }),
        );
        await job.remove();
      } catch (error) {
        if (error instanceof StoplineError && error.code === 'STOPLINE_ERR_INPUT_NO_IMAGES') await job.remove();
        if (!(error instanceof Interruption)) throw error;
        job.commit();
        const of = total === undefined ? '' : ` of ${total}`;
        throw new Interruption(
          error.exit,
          `interrupted after ${job.rows}${of} images; their rows are in ${printable(job.file)}. Go on: the same command with --resume`,
        );
      } finally {
        job.close();
      }
    } finally {
      progress?.stop();
      await pool.destroy();
    }
  });

  const seconds = (performance.now() - startedAt) / 1000;
  if (flags.report !== undefined)
    note(reportWritten(flags.report, await writeRunReport(flags.out, flags.report, profile)));
  await sumUp(flags, { tally, format, config, profile, seconds, shard, store });
}

/** Prints what the rows say together, and writes it where that was asked for. */
export async function sumUp(
  flags: ScoreFlags,
  run: {
    tally: Tally;
    format: RowFormat;
    config: Pick<Config, 'decideBy' | 'blockWhen'>;
    profile: Profile;
    seconds: number;
    shard?: Shard;
    store: ObjectStore;
  },
): Promise<void> {
  const { tally, format, config, profile, seconds, shard, store } = run;
  const { promised } = profile.falseAlarmRate;
  const { decideBy: decidedBy, blockWhen } = config;
  const counted = {
    ...{ file: flags.out, format, decidedBy, blockWhen, ...tally.toJSON(), falseAlarmRate: promised, seconds },
    ...(shard && { shard }),
  };
  if (flags.summary !== undefined) {
    await replaceFile(flags.summary, store, (path) => writeFile(path, `${JSON.stringify(counted, undefined, 2)}\n`));
  }
  if (flags.json) printJson(counted);
  else
    (flags.out === '-' ? note : print)(
      summary(tally, { file: flags.out, format, decidedBy, blockWhen, promised, seconds }),
    );
}

/** Found out before anything is judged. @throws {StoplineError} OPTION_INVALID, OUTPUT_UNWRITABLE */
async function checkOutputs({ out, json, resume, summary, report }: ScoreFlags, format: RowFormat): Promise<void> {
  if (report !== undefined && (format !== 'jsonl' || out === '-' || isObjectUrl(out))) {
    const received = out === '-' || isObjectUrl(out) ? out : format;
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected a .jsonl file for --out together with --report but received ${received}.`,
    );
  }
  if (out === '-') {
    const other = json ? '--json' : resume ? '--resume' : format === 'parquet' ? '--format parquet' : undefined;
    if (other === undefined) return;
    throw new StoplineError('OPTION_INVALID', `Expected a file for --out together with ${other} but received -.`);
  }
  for (const file of [out, summary, report]) if (file !== undefined && !isObjectUrl(file)) await checkWritable(file);
}

/** Waits for a slow reader, so that memory stays flat. */
async function toStandardOutput(text: string | Uint8Array, signal: AbortSignal): Promise<void> {
  if (process.stdout.write(text)) return;
  await once(process.stdout, 'drain', { signal }).catch((error) => {
    signal.throwIfAborted();
    throw error;
  });
}

function summary(
  tally: Tally,
  run: {
    file: string;
    format: RowFormat;
    decidedBy: DecideBy;
    blockWhen?: string;
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
      run.blockWhen === undefined
        ? `  ${percent(verdicts.block / judged)} blocked; ${percent(run.promised.block)} is promised`
        : `  ${percent(verdicts.block / judged)} blocked by the rule ${printable(run.blockWhen)}, for which nothing is promised`,
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
