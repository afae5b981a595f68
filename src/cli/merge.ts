import { readFile, writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { loadConfig } from '../config.ts';
import { StoplineError } from '../errors.ts';
import type { Rates } from '../profile/description.ts';
import { createObjectStore, isObjectUrl, type ObjectStore } from '../run/objects.ts';
import { listParts, mergeRows } from '../run/rows/merge.ts';
import { replaceFile } from '../run/rows/output.ts';
import { createTally, type TallyCounts } from '../run/rows/tally.ts';
import { planFit, writeProfile } from './fit.ts';
import { runFitTask } from './fitthread.ts';
import { settingOption } from './options.ts';
import { checkWritable } from './output.ts';
import { commandLine, count, print, printable, printJson } from './terminal.ts';

export function mergeCommand(): Command {
  return new Command('merge')
    .description(
      'Joins the rows (.jsonl, .csv, .parquet) or the summaries (.json) of the parts of a run, or fits a Profile from the ' +
        'parts that fit --shard measured. Refuses parts that are not whole, that do not fit together, or that have an ' +
        'image in common.',
    )
    .argument(
      '<parts...>',
      'files or s3:// objects, all of one kind, in the order in which they are joined; or the manifest.json of score --queue',
    )
    .requiredOption('-o, --out <FILE>', 'file or s3:// object to write, of the same kind')
    .addOption(settingOption('s3Endpoint'))
    .addOption(settingOption('threads'))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('merge', 'part-0.parquet', 'part-1.parquet', '--out', 'verdicts.parquet')}
  ${commandLine('merge', 'run/manifest.json', '--out', 'verdicts.parquet')}
  ${commandLine('merge', 'part0.stopline-part', 'part1.stopline-part', '--out', 'camera.stopline')}
  ${commandLine('merge', 'part-0.json', 'part-1.json', '--out', 'summary.json')}`,
    )
    .action(runMerge);
}

async function runMerge(
  parts: string[],
  flags: { out: string; json?: boolean; s3Endpoint?: string; threads?: string },
): Promise<void> {
  const { out, json, s3Endpoint, threads } = flags;
  const { config } = loadConfig({ flags: { s3Endpoint, threads } });
  const store = createObjectStore({ endpoint: config.s3Endpoint });
  if (!isObjectUrl(out)) await checkWritable(out);
  const [first] = parts;
  if (first.endsWith('.stopline-part')) {
    const options = { threads: config.threads };
    return writeProfile(await runFitTask({ kind: 'merge', parts, options }, planFit(options)), flags);
  }
  const isList = parts.length === 1 && first.endsWith('.json') && !out.endsWith('.json');
  const listed = isList ? await listParts(first, store) : parts;
  const images = await (out.endsWith('.json') ? mergeSummaries : mergeRows)(listed, out, store);
  if (json) printJson({ file: out, parts: listed.length, images });
  else print(`${count(listed.length, 'part')} with ${count(images, 'image')} joined in ${printable(out)}`);
}

type Summary = TallyCounts & {
  format: string;
  decidedBy: string;
  falseAlarmRate: Rates;
  seconds: number;
  shard?: { index: number; count: number };
};

/** @returns the number of images */
async function mergeSummaries(parts: string[], out: string, store: ObjectStore): Promise<number> {
  const invalid = (why: string) =>
    new StoplineError('PART_INVALID', `Expected summaries of the parts of one run but ${why}.`);
  const tally = createTally();
  const shards: number[] = [];
  let first: Summary | undefined;
  let seconds = 0;
  for (const part of parts) {
    const bytes = isObjectUrl(part) ? await store.read(part, 1e8) : await readFile(part);
    let summary: Summary;
    try {
      summary = JSON.parse(Buffer.from(bytes).toString());
      tally.addCounts(summary);
    } catch {
      throw invalid(`"${part}" is none`);
    }
    const { falseAlarmRate, decidedBy, shard } = summary;
    first ??= summary;
    if (
      JSON.stringify([falseAlarmRate, decidedBy, shard?.count]) !==
      JSON.stringify([first.falseAlarmRate, first.decidedBy, first.shard?.count])
    ) {
      throw invalid(`"${part}" was made with other options than "${parts[0]}"`);
    }
    if (shard) shards.push(shard.index);
    seconds += summary.seconds;
  }
  const { shard, format, decidedBy, falseAlarmRate } = first as Summary;
  const wanted = shard ? Array.from({ length: shard.count }, (_, i) => i) : [];
  if (shards.sort((a, b) => a - b).join() !== wanted.join()) {
    throw invalid(`received the shards ${shards.join(', ')} of ${shard?.count}`);
  }
  const whole = { format, decidedBy, ...tally.toJSON(), falseAlarmRate, seconds };
  await replaceFile(out, store, (path) => writeFile(path, `${JSON.stringify(whole, undefined, 2)}\n`));
  return tally.images;
}
