import { realpath } from 'node:fs/promises';
import { Command } from 'commander';
import { decode } from '../image/decode.ts';
import { readImage } from '../image/file.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { createInspector } from '../profile/inspector.ts';
import type { Verdict } from '../profile/verdict.ts';
import { judgingOptions } from '../run/pool.ts';
import { type JudgingFlags, judgingFlags, openJudging } from './options.ts';
import { beside, picture, showsPictures } from './picture.ts';
import {
  bytesText,
  commandLine,
  note,
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
}

export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description('Prints the verdict on one image, with the reasons in plain words.')
    .argument('<image>', 'a JPEG, PNG or WebP file')
    .option('--json', 'print the verdict as JSON, as HTTP and score give it');
  for (const option of judgingFlags({ threads: false })) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('inspect', 'frame.jpg', '--profile', 'camera.stopline')}
  ${commandLine('inspect', 'frame.jpg', '--profile', 'camera.stopline', '--json')} | jq .reasons[].text

Exit status: 0 pass, 3 warn, 4 block; 2 usage, 65 not an image that can be judged, 66 no such file, 69 a package for its model is missing, 78 bad Profile or another model.`,
    )
    .action(runInspect);
}

async function runInspect(path: string, { json, ...flags }: InspectFlags): Promise<void> {
  const { config, profile } = await openJudging(flags);
  const options = judgingOptions(config);
  const inspector = await createInspector({ ...options, profile });
  for (const warning of inspector.warnings) note(`stopline: warning: ${printable(warning)}`);
  // In a folder links are not followed, but a user who names one means the image behind it.
  const file = await realpath(path).catch(() => path);
  const bytes = readImage(file, config.bodyLimit);
  const verdict = await inspector.inspect(bytes);
  process.exitCode = verdictExit[verdict.verdict];
  if (json) return printJson(verdict);
  print(describe(verdict, path, showsPictures() ? await picture((await decode(bytes, options.limits)).frame) : []));
}

/** @param pictureLines stand beside the table where the terminal is wide enough for both, else above it */
function describe(verdict: Verdict, path: string, pictureLines: readonly string[]): string {
  const { image, falseAlarmRate, reasons, decidedBy } = verdict;
  const others = verdict.detectors.filter(({ name }) => name !== decidedBy);
  const blocks = verdict.blockWhen === undefined ? percent(falseAlarmRate.block) : 'by the rule';
  const rates = `false alarms promised: warn ${percent(falseAlarmRate.warn)}, block ${blocks}`;
  const lines = [
    `${verdictText(verdict.verdict, verdict.verdict.toUpperCase())}  ${printable(path)}`,
    `  ${decidedBy === 'combined' ? '' : `decided by ${decidedBy}: `}p-value ${pText(verdict.pValue)} (${rates})`,
    `  ${others.map(({ name, pValue }) => `${name} ${pText(pValue)}`).join(', ')}`,
    `  score ${verdict.score.toFixed(2)}, ${image.format} ${image.width}x${image.height}, ${bytesText(image.bytes)}; ` +
      `Profile "${printable(verdict.profile.name)}" ${verdict.profile.sha256.slice(0, 12)}; ${verdict.timingMs.total.toFixed(0)} ms`,
  ];
  const { expectedFlipRate: flips } = verdict;
  if (flips)
    lines.push(
      `  expected flip rate ${percent(flips.rate)} (${percent(flips.low)} to ${percent(flips.high)}): how often the classifier answers otherwise to such an image`,
    );
  if (reasons.length === 0) lines.push('No single statistic stands out.');
  else
    lines.push(styled('bold', verdict.verdict === 'pass' ? 'What stands out, though not enough to warn' : 'Reasons'));
  for (const [i, { text }] of reasons.entries()) lines.push(`  ${i + 1}. ${printable(text)}`);

  if (image.remarks.length > 0) {
    lines.push(styled('bold', 'Remarks, which decide nothing'));
    for (const { kind, text } of image.remarks) lines.push(`  ${kind}: ${printable(text)}`);
  }
  if (verdict.nearest) {
    lines.push(styled('bold', 'Most alike in the reference'));
    for (const { path, distance } of verdict.nearest) lines.push(`  ${printable(path)} (${distance.toFixed(3)} of 2)`);
  }

  if (verdict.causes && verdict.verdict !== 'pass') {
    const named = verdict.causes.slice(0, 3).map(({ cause, probability }) => `${cause} ${percent(probability)}`);
    lines.push(`${styled('bold', 'Probable cause')}  ${named.join(', ')}`);
  }

  const rows = reasons.flatMap(({ statistic, value, unit, reference }) => {
    if (!reference || typeof value !== 'number') return [];
    const digits = statistics.find(({ name }) => name === statistic)?.digits ?? 2;
    const { p01, p99 } = reference;
    return [
      [statistic, value.toFixed(digits), unit, p01.toFixed(digits), rangeBar(value, reference), p99.toFixed(digits)],
    ];
  });
  const header = ['statistic', 'value', 'unit', 'p01', 'reference'.padStart(20), 'p99'];
  const tableLines = rows.length > 0 ? table([header, ...rows], [1, 3]).split('\n') : [];
  const drawn = beside(tableLines, pictureLines, process.stdout.columns);
  if (drawn.length > 0) lines.push('', ...drawn);
  return lines.join('\n');
}

function pText(pValue: number): string {
  return String(Number(pValue.toPrecision(3)));
}
