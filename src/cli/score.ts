import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import { StoplineError } from '../errors.ts';
import { decoderVersion } from '../image/decode.ts';
import { defaultLimits } from '../image/frame.ts';
import type { Profile } from '../profile/description.ts';
import { noImages } from '../run/inputs/folder.ts';
import type { Items, Shard } from '../run/inputs/item.ts';
import { chooseFormat, createColumnTypes, judgeItems, unfinishedItems } from '../run/judgeitems.ts';
import type { Masks } from '../run/masks.ts';
import { createObjectStore, isObjectUrl, type ObjectStore } from '../run/objects.ts';
import { createPool, type Pool, poolOptions, spreadBatch } from '../run/pool.ts';
import { type Job, openJob } from '../run/rows/job.ts';
import { replaceFile, writeRows } from '../run/rows/output.ts';
import { formatHeader, type RowCount, type RowFormat, rowFormats } from '../run/rows/row.ts';
import { createTally } from '../run/rows/tally.ts';
import type { Config } from '../settings.ts';
import { inputOptions, openInputs, pathsHelp, tellLeftOut } from './inputs.ts';
import { Interruption, interruptible } from './interrupt.ts';
import { judgingFlags, numberOption, openJudging, pickSettings, settingOption } from './options.ts';
import { checkWritable } from './output.ts';
import { startProgress } from './progress.ts';
import { scoreOnQueue } from './queue.ts';
import { reportWritten, writeRunReport } from './report.ts';
import { type ScoreFlags, sumUp } from './scoresummary.ts';
import { commandLine, note, print, printable, printJson } from './terminal.ts';

export function scoreCommand(): Command {
  const command = new Command('score')
    .description(
      'Judges every image and writes one row for each, in the order of the images. An image that cannot be judged is a row ' +
        'with an error code, and the run goes on. FILE appears when it is complete; until then the rows are in FILE.job, ' +
        'and a run that was stopped, killed or lost its network goes on with --resume.',
    )
    .argument('[paths...]', pathsHelp)
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
  for (const option of [...judgingFlags(), ...inputOptions()]) command.addOption(option);
  return command
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
  const format = chooseFormat(flags.out, flags.format);
  // Only where it is asked for: an address in the environment is for the workers.
  const isQueued = flags.queue !== undefined;
  if (!isQueued) await checkOutputs(flags, format);
  // Loaded here as well, so that a bad Profile is found before any file is written.
  const { config, profile, masks } = await openJudging({ ...pickSettings(flags), mask: flags.mask });
  if (isQueued) return scoreOnQueue(paths, flags, { config, profile, masks });
  if (flags.resume && (await isFinished(flags.out, config))) {
    if (flags.json) return printJson({ file: flags.out, finished: true });
    return print(
      `${printable(flags.out)} is finished already, so there is nothing to resume. To judge its images anew, leave out --resume.`,
    );
  }
  const inputs = await openInputs(paths, flags, config);
  const { items, shard, store } = inputs;
  const startedAt = performance.now();
  const run = new ScoreRun({ paths, flags, format, config, profile, masks, ...inputs });
  await interruptible((signal) => run.judge(signal));
  const seconds = (performance.now() - startedAt) / 1000;
  if (flags.report !== undefined)
    note(reportWritten(flags.report, await writeRunReport(flags.out, flags.report, profile)));
  const { tally } = run;
  await sumUp(flags, { tally, format, config, profile, seconds, shard, store, leftOut: items.leftOut });
  tellLeftOut(items, flags);
}

interface RunParts {
  paths: string[];
  flags: ScoreFlags;
  format: RowFormat;
  config: Config;
  profile: Profile;
  masks: Masks;
  items: Items;
  total: number | undefined;
  shard: Shard | undefined;
  store: ObjectStore;
}

/** One run of `score` in this process: to standard output, or by way of a job to a file. */
class ScoreRun {
  readonly tally = createTally();
  readonly #parts: RunParts;
  #progress: ReturnType<typeof startProgress> | undefined;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  async judge(signal: AbortSignal): Promise<void> {
    const { config, profile, masks, flags, total } = this.#parts;
    const pool = await createPool({ ...spreadBatch(poolOptions(config, 'batch'), total), profile, masks });
    try {
      await pool.ready();
      this.#progress = startProgress('score');
      if (flags.out === '-') await this.#print(pool, signal);
      else await this.#write(pool, signal);
    } finally {
      this.#progress?.stop();
      await pool.destroy();
    }
  }

  async #print(pool: Pool, signal: AbortSignal): Promise<void> {
    const { items, format } = this.#parts;
    await toStandardOutput(formatHeader(format, items.columns), signal);
    for await (const { line, count } of judgeItems(pool, items, { format, signal })) {
      signal.throwIfAborted();
      await toStandardOutput(line, signal);
      this.#count(count);
    }
  }

  async #write(pool: Pool, signal: AbortSignal): Promise<void> {
    const { flags } = this.#parts;
    const file = isObjectUrl(flags.out) ? `${basename(flags.out)}.job` : `${flags.out}.job`;
    const job = openJob(file, this.#identify(), flags.resume ?? false);
    try {
      await this.#fillJob(job, pool, signal);
      await job.remove();
    } catch (error) {
      if (!job.isOpen) throw error;
      if (error instanceof Interruption) job.commit();
      // A job without rows is nothing to go on with, and would stand in the way of the next run.
      const { rows } = job;
      if (rows === 0) await job.remove().catch(() => undefined);
      throw error instanceof Interruption && rows > 0 ? this.#describeInterruption(error, job) : error;
    } finally {
      job.close();
    }
  }

  async #fillJob(job: Job, pool: Pool, signal: AbortSignal): Promise<void> {
    const { items, format, flags, paths, shard, store } = this.#parts;
    const types = createColumnTypes(items);
    const unfinished = unfinishedItems(items, job, (item, finished) => {
      types.see(item);
      if (finished) this.tally.add(finished);
    });
    for await (const row of judgeItems(pool, unfinished, { format, signal })) {
      signal.throwIfAborted();
      job.add(row);
      this.#count(row.count);
    }
    job.commit();
    if (this.tally.images === 0 && !shard)
      throw noImages(flags.manifest === undefined ? paths : [...paths, flags.manifest]);
    await replaceFile(flags.out, store, (path) => writeRows(path, job.lines(), { format, manifest: types.columns() }));
  }

  #count(count: RowCount): void {
    const { total } = this.#parts;
    this.tally.add(count);
    // Files may come and go while the folder is walked, so the total may be overtaken.
    const most = total === undefined ? undefined : Math.max(total, this.tally.images);
    this.#progress?.update({ done: this.tally.images, total: most, failed: this.tally.failed });
  }

  /** What the rows depend on beside the images, by its name for people. */
  #identify(): Record<string, string> {
    const { paths, flags, format, config, profile, masks } = this.#parts;
    return {
      Profile: profile.sha256,
      decoder: decoderVersion,
      'decide-by': config.decideBy,
      'block-when': config.blockWhen ?? 'none',
      ...(config.ignore && { ignore: config.ignore.join() }),
      ...(masks.key !== undefined && { mask: masks.key }),
      format,
      paths: JSON.stringify(paths),
      manifest: flags.manifest ?? 'none',
      'path-column': flags.pathColumn ?? 'path',
      fps: `${flags.fps ?? 1}`,
      shard: flags.shard ?? 'none',
      'max-pixels': `${config.maxPixels}`,
      'max-side': `${config.maxSide}`,
      // Only where they are not the default: runs that an earlier version began go on.
      ...(flags.delimiter !== undefined && { delimiter: flags.delimiter }),
      ...(flags.follow === false && { links: 'not followed' }),
      ...(config.bodyLimit !== defaultLimits.maxBytes && { 'max-bytes': `${config.bodyLimit}` }),
    };
  }

  #describeInterruption({ exit }: Interruption, job: Job): Interruption {
    const { total } = this.#parts;
    const most = total === undefined ? '' : ` of ${total}`;
    return new Interruption(
      exit,
      `interrupted after ${job.rows}${most} images; their rows are in ${printable(job.file)}. Go on: the same command with --resume`,
    );
  }
}

/** Whether the output is there and nothing is left to do for it. */
async function isFinished(out: string, { s3Endpoint }: Config): Promise<boolean> {
  if (!isObjectUrl(out)) return existsSync(out) && !existsSync(`${out}.job`);
  if (existsSync(`${basename(out)}.job`)) return false;
  for await (const { url } of createObjectStore({ endpoint: s3Endpoint }).list(out)) if (url === out) return true;
  return false;
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
