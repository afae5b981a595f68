import { stripVTControlCharacters, styleText } from 'node:util';
import { Help } from 'commander';
import { isSource } from '../core/entry.ts';
import type { Reason } from '../profile/reasons.ts';
import type { Verdict } from '../profile/verdict.ts';
import { plainJson } from '../run/rows/plainjson.ts';

/**
 * File names and messages come from elsewhere: control, format and lone surrogate characters could move the cursor,
 * change colours or reverse the text of a terminal, so each becomes U+FFFD.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, '\ufffd');
}

/** The result of a command: the only thing that goes to standard output. A terminal gets it wrapped at words. */
export function print(text: string): void {
  const { isTTY, columns } = process.stdout;
  process.stdout.write(`${isTTY ? wrapText(text, columns) : text}\n`);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${plainJson(value)}\n`);
}

let quiet = false;

/** With `--quiet` nothing is said but results, warnings and errors. */
export function setQuiet(value: boolean): void {
  quiet = value;
}

export function isQuiet(): boolean {
  return quiet;
}

/** Progress and hints go to standard error, where no program reads them. */
export function note(text: string): void {
  if (!quiet) complain(text);
}

/** Warnings and errors go there as well, and are said in any case. */
export function complain(text: string): void {
  const { isTTY, columns } = process.stderr;
  process.stderr.write(`${isTTY ? wrapText(text, columns) : text}\n`);
}

const helper = Object.assign(new Help(), { minWidthToWrap: 1 });

/**
 * Breaks lines that are wider than the terminal between words. What follows stands below the text that it belongs to: behind
 * the number of a list, or in the last column of a table. Commands to type stay on one line, so that they can be copied.
 */
function wrapText(text: string, width: number): string {
  const wrapLine = (line: string): string => {
    if (measureWidth(line) <= width) return line;
    const command = line.search(/(npm run -s stopline|npx stopline|curl) /);
    const before = command < 0 ? '' : line.slice(0, command).trimEnd();
    // A command behind a sentence has a line of its own; behind a word or two it stays where it is.
    if (measureWidth(before) > width / 2) return `${wrapLine(before)}\n  ${line.slice(command)}`;
    if (command >= 0) return line;
    const plain = stripVTControlCharacters(line);
    const starts = [...plain.matchAll(/^\s*(\d+\.|[-*]) (?=\S)|\s{2,}(?=\S)/g)].map(
      (match) => match.index + match[0].length,
    );
    const hang = starts.filter((start) => start <= width * 0.6).at(-1) ?? 0;
    const [first, ...rest] = helper.boxWrap(line, width).split('\n');
    if (rest.length === 0) return line;
    const below = helper.boxWrap(rest.map((part) => part.trim()).join(' '), width - hang);
    return [first, ...below.split('\n').map((part) => ' '.repeat(hang) + part)].join('\n');
  };
  return text.split('\n').map(wrapLine).join('\n');
}

export type Style = Parameters<typeof styleText>[0];

/** Styled only where standard output is a terminal and NO_COLOR is not set (node:util checks both). */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

const verdictStyles: Record<Verdict['verdict'], Style> = {
  pass: ['bold', 'green'],
  warn: ['bold', 'yellow'],
  block: ['bold', 'red'],
};

/** The verdict in its colour. */
export function verdictText(verdict: Verdict['verdict'], text: string = verdict): string {
  return styled(verdictStyles[verdict], text);
}

/** Characters of a text that are seen. */
export function measureWidth(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Rows with aligned columns, two spaces apart; `right` names the columns that are aligned to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, measureWidth(cell));
  const pad = (cell: string, i: number) => {
    const space = ' '.repeat(widths[i] - measureWidth(cell));
    return right.includes(i) ? space + cell : cell + space;
  };
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

/** A share as a bar of at most `width` characters, never empty for a share above 0. */
export function bar(share: number, width: number): string {
  return '#'.repeat(share > 0 ? Math.max(1, Math.round(share * width)) : 0);
}

/**
 * Where a value lies against the reference: `[` p01, `|` the median, `]` p99, `o` the value; `<` or `>` where it is
 * farther away than the bar shows.
 */
export function rangeBar(value: number, { p01, p50, p99 }: NonNullable<Reason['reference']>, width = 31): string {
  const span = p99 - p01 || Math.abs(p50) || 1;
  const at = (x: number) => Math.round(((x - (p01 - span)) / (3 * span)) * (width - 1));
  const cells: string[] = Array.from({ length: width }, (_, i) => (i > at(p01) && i < at(p99) ? '-' : ' '));
  cells[at(p01)] = '[';
  cells[at(p99)] = ']';
  cells[at(p50)] = '|';
  const place = at(value);
  if (place < 0) cells[0] = '<';
  else if (place >= width) cells[width - 1] = '>';
  else cells[place] = 'o';
  return cells.join('');
}

/** A share in percent, to three significant digits. */
export function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}

export function bytesText(bytes: number): string {
  const unit = bytes < 1000 ? 0 : bytes < 1e6 ? 1 : 2;
  return `${Number((bytes / 1000 ** unit).toPrecision(3))} ${['B', 'kB', 'MB'][unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** A command that the user can type next: through npm in a checkout, through npx where Stopline is a package. */
export function commandLine(...args: readonly string[]): string {
  const start = isSource(import.meta.url) ? 'npm run -s stopline --' : 'npx stopline';
  const quoted = args.map((arg) => (/^[\w@%+=:,./<>-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`));
  return printable(`${start} ${quoted.join(' ')}`);
}
