import { statistics } from './statistics.ts';
import type { Reason, Verdict } from './verdict.ts';

/** One image of a run of `score`: its verdict, or why it has none. */
export type Row = ({ path: string } & Verdict) | { path: string; error: { code: string; message: string } };

export type RowFormat = 'jsonl' | 'csv';

const csvColumns = [
  'path',
  'verdict',
  'decidedBy',
  'pValue',
  'score',
  'errorCode',
  'errorMessage',
  'reason',
  'format',
  'width',
  'height',
] as const;

/** What comes before the first row. */
export function formatHeader(format: RowFormat): string {
  return format === 'jsonl' ? '' : csvLine([...csvColumns, ...statistics.map(({ name }) => name)]);
}

export function formatRow(format: RowFormat, row: Row): string {
  if (format === 'jsonl') return `${JSON.stringify(row)}\n`;
  if ('error' in row) {
    const cells = [row.path, '', '', '', '', row.error.code, row.error.message];
    return csvLine([...cells, ...Array(csvColumns.length - cells.length + statistics.length).fill('')]);
  }
  const { path, verdict, decidedBy, pValue, score, reasons, image } = row;
  return csvLine([
    ...[
      path,
      verdict,
      decidedBy,
      pValue,
      score,
      '',
      '',
      reasons[0]?.text ?? '',
      image.format,
      image.width,
      image.height,
    ],
    ...statistics.map(({ name }) => row.statistics[name] ?? ''),
  ]);
}

function csvLine(cells: readonly (string | number)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/**
 * RFC 4180. A text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, CSV injection); numbers
 * are left alone, so that a negative one stays a number.
 */
export function csvCell(cell: string | number): string {
  if (typeof cell === 'number') return String(cell);
  const text = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** What is counted of a row. */
export type RowCount =
  | { path: string; verdict: Verdict['verdict']; reasons: Pick<Reason, 'statistic' | 'direction'>[] }
  | { path: string; error: { code: string; message: string } };

/** A row as text, and the little of it that is counted: all that needs to leave the thread that judged the image. */
export interface WrittenRow {
  text: string;
  count: RowCount;
}

export function writeRow(format: RowFormat, row: Row): WrittenRow {
  const text = formatRow(format, row);
  if ('error' in row) return { text, count: row };
  const { path, verdict, reasons } = row;
  return { text, count: { path, verdict, reasons: reasons.slice(0, 1) } };
}
