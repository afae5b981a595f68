import { once } from 'node:events';
import { basename } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import { StoplineError } from '../errors.ts';
import { decoderVersion } from '../image/decode.ts';
import { loadProfile } from '../profile/file.ts';
import { noImages } from '../run/inputs/folder.ts';
import type { Item } from '../run/inputs/item.ts';
import { chooseFormat, createColumnTypes, judgeItems, unfinishedItems } from '../run/judgeitems.ts';
import { isObjectUrl } from '../run/objects.ts';
import { createPool } from '../run/pool.ts';
import { openJob } from '../run/rows/job.ts';
import { replaceFile, writeRows } from '../run/rows/output.ts';
import { formatHeader, type RowFormat, rowFormats } from '../run/rows/row.ts';
import { createTally } from '../run/rows/tally.ts';
import { inputOptions, openInputs, pathsHelp } from './inputs.ts';
import { Interruption, interruptible } from './interrupt.ts';
import { configWithProfile, numberOption, settingOption } from './options.ts';
import { checkWritable } from './output.ts';
import { startProgress } from './progress.ts';
import { scoreOnQueue } from './queue.ts';
import { reportWritten, writeRunReport } from './report.ts';
import { type ScoreFlags, sumUp } from './scoresummary.ts';
import { commandLine, note, printable } from './terminal.ts';

export function scoreCommand(): Command {
  const command = new Command('score')
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
  const format = chooseFormat(flags.out, flags.format);
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
        const ending = total === undefined ? '' : ` of ${total}`;
        throw new Interruption(
          error.exit,
          `interrupted after ${job.rows}${ending} images; their rows are in ${printable(job.file)}. Go on: the same command with --resume`,
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
