import type { ErrorJson } from '../../errors.ts';
import type { RemarkKind } from '../../image/container/remark.ts';
import { statistics } from '../../image/statistics/statistics.ts';
import { type FileFact, readFileFacts } from '../../profile/filefacts.ts';
import type { Reason } from '../../profile/reasons.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { plainJson } from './plainjson.ts';

export type TableCell = string | number | boolean | null;

export interface TableColumn {
  name: string;
  type: 'STRING' | 'DOUBLE' | 'INT32' | 'BOOLEAN';
}

/** What a manifest says of an image, by the name of its column in rows; see `columnName`. */
export type Columns = Record<string, TableCell>;

/** A verdict without how long it took: a row is the same whenever it is written. */
export type RowVerdict = Omit<Verdict, 'timingMs'>;

/** One image of a run of `score`: its verdict, or why it has none. */
export type Row = { path: string; columns?: Columns } & (RowVerdict | { error: ErrorJson });

export type RowFormat = 'jsonl' | 'csv' | 'parquet';
export const rowFormats: readonly RowFormat[] = ['jsonl', 'csv', 'parquet'];

/** One column of a table of rows. A row without a verdict has null where `ofVerdict` would tell. */
interface RowColumn extends TableColumn {
  ofVerdict?: (verdict: RowVerdict) => TableCell | undefined;
  ofError?: (error: ErrorJson) => string;
}

const rowColumns: readonly RowColumn[] = [
  { name: 'verdict', type: 'STRING', ofVerdict: ({ verdict }) => verdict },
  { name: 'decidedBy', type: 'STRING', ofVerdict: ({ decidedBy }) => decidedBy },
  { name: 'pValue', type: 'DOUBLE', ofVerdict: ({ pValue }) => pValue },
  { name: 'score', type: 'DOUBLE', ofVerdict: ({ score }) => score },
  { name: 'expectedFlipRate', type: 'DOUBLE', ofVerdict: ({ expectedFlipRate }) => expectedFlipRate?.rate },
  { name: 'errorCode', type: 'STRING', ofError: ({ code }) => code },
  { name: 'errorMessage', type: 'STRING', ofError: ({ message }) => message },
  { name: 'reason', type: 'STRING', ofVerdict: ({ reasons }) => reasons[0]?.text },
  { name: 'format', type: 'STRING', ofVerdict: ({ image }) => image.format },
  { name: 'width', type: 'INT32', ofVerdict: ({ image }) => image.width },
  { name: 'height', type: 'INT32', ofVerdict: ({ image }) => image.height },
  {
    name: 'remarks',
    type: 'STRING',
    ofVerdict: ({ image }) => (image.remarks ?? []).map(({ kind }) => kind).join(' ') || null,
  },
  ...statistics.map(
    ({ name }): RowColumn => ({ name, type: 'DOUBLE', ofVerdict: (verdict) => verdict.statistics[name] }),
  ),
];

const ownNames = new Set(['path', ...rowColumns.map(({ name }) => name)]);

/**
 * What a column of a manifest is called in rows: its name, or with `manifest_` ahead where a column of ours has that name, or would have
 * it without: no two of a manifest become one.
 */
export function columnName(name: string): string {
  return ownNames.has(name.replace(/^(manifest_)+/, '')) ? `manifest_${name}` : name;
}

/** The columns of a table of rows: the path, those of the manifest, ours. */
export function tableColumns(manifest: readonly TableColumn[] = []): TableColumn[] {
  return [{ name: 'path', type: 'STRING' }, ...manifest, ...rowColumns.map(({ name, type }) => ({ name, type }))];
}

/** The cells of a row, in the order of `tableColumns`. */
export function tableRow(row: Row): TableCell[] {
  const own = rowColumns.map(({ ofVerdict, ofError }) =>
    'error' in row ? (ofError?.(row.error) ?? null) : (ofVerdict?.(row) ?? null),
  );
  return [row.path, ...Object.values(row.columns ?? {}), ...own];
}

/**
 * What comes before the first row.
 * @param manifest names of the columns that a manifest brings along
 */
export function formatHeader(format: RowFormat, manifest: readonly string[] = []): string {
  return format === 'csv' ? csvLine(['path', ...manifest, ...rowColumns.map(({ name }) => name)]) : '';
}

/** A row as a line; those of a Parquet file wait as JSON until it is written. */
export function formatRow(format: RowFormat, row: Row): string {
  return format === 'csv' ? csvLine(tableRow(row).map((cell) => cell ?? '')) : `${plainJson(row)}\n`;
}

function csvLine(cells: readonly (string | number | boolean)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

/**
 * RFC 4180. A text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP, CSV injection), and one that holds
 * another separator than ours stands in quotes, too: where a spreadsheet parts cells there, a formula could begin behind it. Numbers are
 * left alone, so that a negative one stays a number.
 */
export function csvCell(cell: string | number | boolean): string {
  if (typeof cell !== 'string') return String(cell);
  const text = /^[=+\-@\t\r\n＝＋－＠]/.test(cell) ? `'${cell}` : cell;
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** What is counted of a row. */
export type RowCount =
  | {
      path: string;
      verdict: Verdict['verdict'];
      reasons: Pick<Reason, 'group'>[];
      /** Kinds of remarks; absent where there are none. */
      remarks?: RemarkKind[];
      /** What is foreign about its file; absent where nothing is. */
      file?: FileFact[];
    }
  | { path: string; error: ErrorJson };

/** A row as a line of UTF-8, and the little of it that is counted: all that needs to leave the thread that judged the image. */
export interface WrittenRow {
  line: Uint8Array;
  count: RowCount;
}

const encoder = new TextEncoder();

export function writeRow(format: RowFormat, row: Row): WrittenRow {
  const line = encoder.encode(formatRow(format, row));
  const { path } = row;
  if ('error' in row) return { line, count: { path, error: row.error } };
  const { verdict, reasons, image } = row;
  const counted = reasons.slice(0, 1).map(({ group }) => ({ group }));
  const remarks = (image.remarks ?? []).map(({ kind }) => kind);
  const file = readFileFacts(row);
  const noted = { ...(remarks.length > 0 && { remarks }), ...(file.length > 0 && { file }) };
  return { line, count: { path, verdict, reasons: verdict === 'pass' ? [] : counted, ...noted } };
}
