import { writeFile } from 'node:fs/promises';
import type { Profile, Rates } from '../profile/description.ts';
import { describeFileFacts } from '../profile/filefacts.ts';
import type { DecideBy } from '../profile/verdict.ts';
import type { Shard } from '../run/inputs/item.ts';
import type { LeftOut } from '../run/inputs/leftout.ts';
import type { ObjectStore } from '../run/objects.ts';
import { replaceFile } from '../run/rows/output.ts';
import type { RowFormat } from '../run/rows/row.ts';
import type { Tally } from '../run/rows/tally.ts';
import type { Config } from '../settings.ts';
import type { InputFlags } from './inputs.ts';
import type { JudgingFlags } from './options.ts';
import {
  bar,
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

export interface ScoreFlags extends InputFlags, JudgingFlags {
  out: string;
  format?: RowFormat;
  resume?: boolean;
  queue?: string;
  chunk?: number;
  summary?: string;
  report?: string;
  json?: boolean;
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
    shard?: Shard | undefined;
    store: ObjectStore;
    leftOut: LeftOut;
  },
): Promise<void> {
  const { tally, format, config, profile, seconds, shard, store, leftOut } = run;
  const { promised, threshold } = profile.falseAlarmRate;
  const { decideBy: decidedBy, blockWhen } = config;
  // Where the rows went and what their files are have the same name in a tally.
  const { file: fileFacts, ...counts } = tally.toJSON();
  const counted = {
    file: flags.out,
    format,
    decidedBy,
    blockWhen,
    ...counts,
    ...(fileFacts && { fileFacts }),
    leftOut: leftOut.toJSON(),
    falseAlarmRate: { ...promised, ...(threshold && { threshold }) },
    seconds,
    ...(shard && { shard }),
  };
  if (flags.summary !== undefined) {
    await replaceFile(flags.summary, store, (path) => writeFile(path, `${JSON.stringify(counted, undefined, 2)}\n`));
  }
  if (flags.json) printJson(counted);
  else
    (flags.out === '-' ? note : print)(
      summary(tally, { file: flags.out, format, decidedBy, blockWhen, promised, threshold, seconds }),
    );
}

function summary(
  tally: Tally,
  run: {
    file: string;
    format: RowFormat;
    decidedBy: DecideBy;
    blockWhen?: string | undefined;
    promised: Rates;
    threshold?: 'tail' | undefined;
    seconds: number;
  },
): string {
  const { images, failed, verdicts, errors, reasons, remarks = [], file = [] } = tally.toJSON();
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
    const held = run.threshold === 'tail' ? 'expected by a fitted tail' : 'promised';
    lines.push(
      `  ${percent(warned)} warned or blocked${run.decidedBy === 'combined' ? '' : `, decided by ${run.decidedBy}`}; ${percent(run.promised.warn)} is ${held} for images like the reference`,
      run.blockWhen === undefined
        ? `  ${percent(verdicts.block / judged)} blocked; ${percent(run.promised.block)} is ${held}`
        : `  ${percent(verdicts.block / judged)} blocked by the rule ${printable(run.blockWhen)}, for which nothing is promised`,
    );
  }
  if (file.length > 0) {
    lines.push('Said of the files, once for all');
    lines.push(...describeFileFacts(file, judged).map((line) => `  ${printable(line)}`));
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
  if (remarks.length > 0) {
    lines.push('Remarks, which decide nothing');
    lines.push(
      table(
        remarks.map(({ kind, count, example }) => [`  ${count}`, kind, printable(example)]),
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
