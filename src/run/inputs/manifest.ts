import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline, type Readable } from 'node:stream';
import { parse } from 'csv-parse';
import { endSentence, StoplineError } from '../../errors.ts';
import { unreadable } from '../../image/file.ts';
import { isObjectUrl } from '../objects.ts';
import { openParquet } from '../rows/parquet.ts';
import { type Columns, columnName } from '../rows/row.ts';
import type { InputOptions } from './item.ts';

/** A list of images with what is known of each. */
export interface Manifest {
  /** Names that its other columns have in rows: as in the manifest, unless a column of ours is called so. */
  columns: readonly string[];
  rows: AsyncIterable<Record<string, unknown>>;
  file: string;
  pathColumn: string;
}

type Cell = Columns[string];

/**
 * Opens a manifest: CSV with a header, JSON lines, Parquet, or a text of one path a line, by the ending of its name (`-` is
 * such a text on standard input).
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, MANIFEST_INVALID
 */
export async function openManifest(file: string, options: InputOptions): Promise<Manifest> {
  const { pathColumn = 'path', store } = options;
  if (!isObjectUrl(file) && file !== '-') {
    await stat(file).catch((cause) => {
      throw unreadable(file, cause);
    });
  }
  const open = async (): Promise<Readable> => {
    if (file === '-') return process.stdin;
    return isObjectUrl(file) ? store.stream(file) : createReadStream(file);
  };
  const ending = /\.(csv|tsv|jsonl|ndjson|parquet)$/i.exec(file)?.[1].toLowerCase();
  let columns: string[];
  let rows: Manifest['rows'];
  if (ending === 'csv' || ending === 'tsv') {
    const read = () => csvRows(open, file, ending === 'csv' ? ',' : '\t');
    columns = Object.keys((await first(read())) ?? {});
    rows = { [Symbol.asyncIterator]: read };
  } else if (ending === 'jsonl' || ending === 'ndjson') {
    const read = () => jsonRows(open, file);
    columns = Object.keys((await first(read())) ?? {});
    rows = { [Symbol.asyncIterator]: read };
  } else if (ending === 'parquet') {
    const table = await openParquet(isObjectUrl(file) ? await store.read(file, Number.MAX_SAFE_INTEGER) : file);
    columns = table.columns.map(({ name }) => name);
    rows = table;
  } else {
    columns = [pathColumn];
    rows = { [Symbol.asyncIterator]: () => textRows(open, pathColumn) };
  }
  if (columns.length > 0 && !columns.includes(pathColumn)) {
    throw new StoplineError(
      'MANIFEST_INVALID',
      `Expected a column "${pathColumn}" in "${file}" but received ${columns.map((name) => `"${name}"`).join(', ')}. Name the one with the paths: --path-column NAME`,
    );
  }
  return { columns: columns.filter((name) => name !== pathColumn).map(columnName), rows, file, pathColumn };
}

/**
 * The images of a manifest in its order. A relative path starts at the folder of the manifest; on standard input, where
 * Stopline was started.
 * @throws {StoplineError} MANIFEST_INVALID
 */
export async function* listManifest({
  rows,
  columns,
  file,
  pathColumn,
}: Manifest): AsyncGenerator<{ name: string; location: string; columns?: Columns }> {
  let number = 0;
  for await (const row of rows) {
    number++;
    const { [pathColumn]: name, ...rest } = row;
    if (typeof name !== 'string' || name === '') {
      throw new StoplineError(
        'MANIFEST_INVALID',
        `Expected a path in the column "${pathColumn}" of row ${number} of "${file}" but received ${JSON.stringify(name)}.`,
      );
    }
    const isPlace = isObjectUrl(name) || isAbsolute(name) || file === '-';
    const location = isPlace
      ? name
      : isObjectUrl(file)
        ? `${file.slice(0, file.lastIndexOf('/') + 1)}${name}`
        : join(dirname(file), name);
    if (columns.length === 0) {
      yield { name, location };
      continue;
    }
    const cells = new Map(Object.entries(rest).map(([key, value]) => [columnName(key), cell(value)]));
    yield { name, location, columns: Object.fromEntries(columns.map((key) => [key, cells.get(key) ?? null])) };
  }
}

async function first<Row>(rows: AsyncIterable<Row>): Promise<Row | undefined> {
  for await (const row of rows) return row;
  return undefined;
}

async function* textRows(open: () => Promise<Readable>, pathColumn: string) {
  for await (const line of createInterface({ input: await open(), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line !== '') yield { [pathColumn]: line };
  }
}

async function* jsonRows(open: () => Promise<Readable>, file: string): AsyncGenerator<Record<string, unknown>> {
  let number = 0;
  for await (const line of createInterface({ input: await open(), crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (line.trim() === '') continue;
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch {}
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      throw new StoplineError('MANIFEST_INVALID', `Expected a JSON object in line ${number} of "${file}".`);
    }
    yield row as Record<string, unknown>;
  }
}

async function* csvRows(
  open: () => Promise<Readable>,
  file: string,
  delimiter: string,
): AsyncGenerator<Record<string, unknown>> {
  const rows = parse({ columns: true, bom: true, skip_empty_lines: true, delimiter });
  pipeline(await open(), rows, () => undefined); // errors are those of the iteration below
  try {
    for await (const row of rows) yield row;
  } catch (cause) {
    throw new StoplineError('MANIFEST_INVALID', `"${file}" is not CSV: ${endSentence((cause as Error).message)}`, {
      cause,
    });
  }
}

/** What JSON and Parquet can both hold. */
function cell(value: unknown): Cell {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Date) return value.toISOString();
  return JSON.stringify(value);
}
