import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config.ts';
import type { LabelRow } from '../run/labelling/labelrow.ts';
import { type Pick, pickImages } from '../run/labelling/pick.ts';
import { createObjectStore } from '../run/objects.ts';
import { replaceFile } from '../run/rows/output.ts';
import { plainJson } from '../run/rows/plainjson.ts';
import { readSources, sourceHelp } from './labelsource.ts';
import { settingOption } from './options.ts';
import { checkWritable } from './output.ts';
import { commandLine, count, note, percent, print, printable, printJson, table, verdictText } from './terminal.ts';

interface PickFlags {
  out?: string;
  s3Endpoint?: string;
  json?: boolean;
}

/** Rows of the table that a person reads; the file has all. */
const shown = 20;

export function pickCommand(): Command {
  return new Command('pick')
    .description(
      'Chooses the images that are most worth labelling: strange to the Profile, unlike each other, and where the Profile has a harm ' +
        'map, such that the classifier is probably wrong on them. With --out their rows are written in that order, for export.',
    )
    .argument('<count>', 'how many images', readCount)
    .argument('<sources...>', sourceHelp)
    .option('-o, --out <FILE>', 'file to write the chosen rows to, as JSON lines')
    .addOption(settingOption('s3Endpoint'))
    .option('--json', 'print what was chosen, and why, as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('pick', '200', 'verdicts.jsonl', '--out', 'picked.jsonl')}
  ${commandLine('pick', '50', 'kept/', '--out', 'picked.jsonl')}`,
    )
    .action(runPick);
}

function readCount(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 100_000) return value;
  throw new InvalidArgumentError('Expected a whole number from 1 to 100000, then the rows or the quarantine.');
}

async function runPick(wanted: number, sources: string[], { out, s3Endpoint, json }: PickFlags): Promise<void> {
  if (out !== undefined) await checkWritable(out);
  const { config } = loadConfig({ flags: { s3Endpoint } });
  const store = createObjectStore({ endpoint: config.s3Endpoint });
  let seen = 0;
  const counted = async function* (): AsyncGenerator<LabelRow> {
    for await (const row of readSources(sources, store)) {
      seen++;
      yield row;
    }
  };
  const picks = await pickImages(counted(), { count: wanted });
  if (out !== undefined) {
    const text = picks.map(({ row }) => `${plainJson(row)}\n`).join('');
    await replaceFile(out, store, (path) => writeFile(path, text));
  }
  if (json) {
    const images = picks.map(({ row, ...why }) => ({ path: row.path, verdict: row.verdict, ...why }));
    return printJson({ images, from: seen, ...(out !== undefined && { file: out }) });
  }
  print(describePicks(picks, seen));
  if (out !== undefined)
    note(
      `rows written to ${printable(out)}; go on: ${commandLine('export', out, '--format', 'label-studio', '--out', 'tasks.json')}`,
    );
}

function describePicks(picks: readonly Pick[], seen: number): string {
  const hasHarm = picks.some(({ harm }) => harm !== undefined);
  const head = ['', 'image', 'verdict', 'p-value', ...(hasHarm ? ['flip rate'] : []), 'unlike those before'];
  const rows = picks
    .slice(0, shown)
    .map(({ row, harm, novelty }, i) => [
      `${i + 1}`,
      printable(row.path),
      verdictText(row.verdict),
      row.pValue.toPrecision(2),
      ...(hasHarm ? [harm === undefined ? '' : percent(harm)] : []),
      novelty === undefined ? '' : novelty.toFixed(2),
    ]);
  const more = picks.length > shown ? [`and ${picks.length - shown} more`] : [];
  return [`${count(picks.length, 'image')} of ${seen} to label first:`, table([head, ...rows]), ...more].join('\n');
}
