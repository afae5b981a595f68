import { once } from 'node:events';
import { open, rename, unlink } from 'node:fs/promises';
import { StoplineError } from '../errors.ts';
import { statistics } from '../statistics.ts';
import type { Verdict } from '../verdict.ts';

/** One image of a run of `score`: its verdict, or why it has none. */
export type Row = ({ path: string } & Verdict) | { path: string; error: { code: string; message: string } };

export type RowFormat = 'jsonl' | 'csv';

const csvColumns = [
  'path',
  'verdict',
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
    const cells = [row.path, '', '', '', row.error.code, row.error.message];
    return csvLine([...cells, ...Array(csvColumns.length - cells.length + statistics.length).fill('')]);
  }
  const { path, verdict, pValue, score, reasons, image } = row;
  return csvLine([
    ...[path, verdict, pValue, score, '', '', reasons[0]?.text ?? '', image.format, image.width, image.height],
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

/** Where rows go. Writing waits for the disk or the reader, so memory stays flat however slow they are. */
export interface RowWriter {
  /** What a row that is written so far can be found under. */
  readonly path: string;
  write(text: string): Promise<void>;
  /** Makes the rows visible under their final name. */
  finish(): Promise<void>;
  /** Closes the file and leaves it under its `.partial` name. */
  keep(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
}

const chunkLength = 64 * 1024;

/**
 * Writes to `FILE.partial`, which becomes FILE when it is complete: whoever sees FILE sees all of it.
 * @throws {StoplineError} OUTPUT_UNWRITABLE, from every method
 */
export async function openRowFile(path: string): Promise<RowWriter> {
  const partial = `${path}.partial`;
  const attempt = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new StoplineError('OUTPUT_UNWRITABLE', `Expected to write "${path}" but ${message}.`, { cause });
    }
  };
  const file = await attempt(() => open(partial, 'w'));
  let pending = '';
  const flush = () =>
    attempt(async () => {
      const text = pending;
      pending = '';
      await file.writeFile(text);
    });
  return {
    path: partial,
    async write(text) {
      pending += text;
      if (pending.length >= chunkLength) await flush();
    },
    async finish() {
      await flush();
      await attempt(async () => {
        await file.sync();
        await file.close();
        await rename(partial, path);
      });
    },
    async keep() {
      await flush();
      await attempt(() => file.close());
    },
    async discard() {
      await file.close().catch(() => undefined);
      await unlink(partial).catch(() => undefined);
    },
  };
}

/** Rows on standard output. */
export function standardOutputRows(): RowWriter {
  return {
    path: 'standard output',
    async write(text) {
      if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    },
    async finish() {},
    async keep() {},
    async discard() {},
  };
}
