import { createReadStream, existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { Readable } from 'node:stream';
import { parse } from 'csv-parse';
import { asStoplineError, endSentence, StoplineError } from '../../errors.ts';
import { decodeBase64 } from '../../image/base64.ts';
import { quotePath, unreadable } from '../../image/file.ts';
import { isObjectUrl } from '../objects.ts';
import { openParquet, type ParquetColumn } from '../rows/parquet.ts';
import { type Columns, columnName } from '../rows/row.ts';
import { readAddress } from './address.ts';
import type { InputOptions } from './item.ts';
import { readJsonList } from './jsonlist.ts';
import type { LeftOut } from './leftout.ts';
import { decodeText, splitEntries, splitLines } from './text.ts';

/** What is wrong with a row that cannot be read as one. */
const fault = Symbol('fault');

type Row = Record<string, unknown> & { [fault]?: StoplineError };

/** A list of images with what is known of each. */
export interface Manifest {
  /** Names that its other columns have in rows: as in the manifest, unless a column of ours is called so. */
  columns: readonly string[];
  rows: AsyncIterable<Row>;
  file: string;
  pathColumn: string;
}

/** One image of a manifest: its place, its bytes, or why it has neither. */
export interface ManifestRow {
  name: string;
  /** A path of this machine or an object. */
  location?: string;
  bytes?: Uint8Array;
  error?: StoplineError;
  columns?: Columns;
}

type Cell = Columns[string];

/** Longest path in a list. */
const maxPathLength = 1024 * 1024;
/** Longest document that is read at once. */
const maxDocumentLength = 2 ** 28;
const defaultPathColumn = 'path';

/**
 * Opens a manifest: CSV with a header, JSON lines, a JSON array or COCO, Parquet, or a text of one path a line, by the ending of its
 * name (`-` is such a text on standard input). With a delimiter it is CSV, whatever its name.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, MANIFEST_INVALID
 */
export async function openManifest(file: string, options: InputOptions): Promise<Manifest> {
  const { store, delimiter } = options;
  if (!isObjectUrl(file) && file !== '-') {
    const found = await stat(file).catch((cause) => {
      throw unreadable(file, cause);
    });
    if (found.isDirectory()) {
      throw new StoplineError(
        'INPUT_UNREADABLE',
        `Expected a list of images as --manifest but ${quotePath(file)} is a folder: give it without --manifest.`,
      );
    }
  }
  const open = async (): Promise<Readable> => {
    if (file === '-') return process.stdin;
    return isObjectUrl(file) ? store.stream(file) : createReadStream(file);
  };
  const ending = /\.(csv|tsv|json|jsonl|ndjson|parquet)$/i.exec(file)?.[1].toLowerCase();
  if (ending === 'parquet') return openTable(file, options);
  if (ending === 'json' && delimiter === undefined) {
    return finishManifest(await peekRows(() => readDocument(open, file)), file, options);
  }
  if (ending === 'jsonl' || ending === 'ndjson') {
    return finishManifest(await peekRows(() => readJson(open, file)), file, options);
  }
  if (ending === 'csv' || ending === 'tsv' || delimiter !== undefined) {
    const separator = readDelimiter(delimiter) ?? (ending === 'tsv' ? '\t' : ',');
    const read = () => readCsv(open, file, { delimiter: separator, pathColumn: options.pathColumn });
    return finishManifest(await peekRows(read), file, options);
  }
  const { pathColumn = defaultPathColumn } = options;
  const rows = { [Symbol.asyncIterator]: () => readPaths(open, file, pathColumn) };
  return { columns: [], rows, file, pathColumn };
}

/** @throws {StoplineError} OPTION_INVALID */
function readDelimiter(text: string | undefined): string | undefined {
  const named: Record<string, string> = { tab: '\t', '\\t': '\t', comma: ',', semicolon: ';', pipe: '|' };
  const delimiter = text === undefined ? undefined : (named[text] ?? text);
  if (delimiter === undefined || (delimiter.length === 1 && !/["\r\n]/.test(delimiter))) return delimiter;
  throw new StoplineError(
    'OPTION_INVALID',
    `Expected one character for --delimiter, such as ';' or tab, but received ${quotePath(text as string)}.`,
  );
}

async function openTable(file: string, { store, pathColumn }: InputOptions): Promise<Manifest> {
  const table = await openParquet(isObjectUrl(file) ? await store.read(file, Number.MAX_SAFE_INTEGER) : file);
  const chosen = pathColumn ?? choosePathColumn(table.columns);
  const names = table.columns.map(({ name }) => name);
  if (!names.includes(chosen)) throw missingColumn(file, chosen, names);
  const kept = table.columns.filter(({ name, isBinary }) => name !== chosen && !isBinary);
  // In the order in which the cells of a row stand: an object has names that are numbers first.
  const columns = Object.keys(Object.fromEntries(kept.map(({ name }) => [columnName(name), true])));
  return { columns, rows: table, file, pathColumn: chosen };
}

/** `path`, or the one column that holds images as the data sets of Hugging Face do: a group of `bytes` and `path`. */
function choosePathColumn(columns: readonly ParquetColumn[]): string {
  if (columns.some(({ name }) => name === defaultPathColumn)) return defaultPathColumn;
  const images = columns.filter(({ fields }) => fields.includes('bytes') && fields.includes('path'));
  return images.length === 1 ? images[0].name : defaultPathColumn;
}

function finishManifest(
  { first, rows }: { first: Row | undefined; rows: AsyncIterable<Row> },
  file: string,
  options: InputOptions,
): Manifest {
  const names = Object.keys(first ?? {});
  const pathColumn = options.pathColumn ?? chooseImageColumn(first);
  if (first && !names.includes(pathColumn)) throw missingColumn(file, pathColumn, names);
  return { columns: names.filter((name) => name !== pathColumn).map(columnName), rows, file, pathColumn };
}

/** As `choosePathColumn`, by the first row. */
function chooseImageColumn(first: Row | undefined): string {
  if (!first || defaultPathColumn in first) return defaultPathColumn;
  const images = Object.keys(first).filter((name) => isImageGroup(first[name]));
  return images.length === 1 ? images[0] : defaultPathColumn;
}

function isImageGroup(value: unknown): value is { bytes?: unknown; path?: unknown } {
  return typeof value === 'object' && value !== null && 'bytes' in value && 'path' in value;
}

function missingColumn(file: string, pathColumn: string, names: readonly string[]): StoplineError {
  return new StoplineError(
    'MANIFEST_INVALID',
    `Expected a column "${pathColumn}" in ${quotePath(file)} but received ${listColumns(names)}. Name the one with the paths: --path-column NAME`,
  );
}

/** Rows of which the first has been looked at already; what cannot be read twice is not. */
async function peekRows(
  read: () => AsyncGenerator<Row>,
): Promise<{ first: Row | undefined; rows: AsyncIterable<Row> }> {
  let begun: AsyncGenerator<Row> | undefined = read();
  const { value: first, done } = await begun.next();
  // Where not even the first row is one, the file is not what its name says.
  if (!done && first[fault]) throw first[fault];
  return {
    first: done ? undefined : first,
    rows: {
      async *[Symbol.asyncIterator]() {
        const rest = begun;
        begun = undefined;
        if (rest && done) return;
        if (rest) yield first;
        yield* rest ?? read();
      },
    },
  };
}

/**
 * The images of a manifest in its order. A relative path starts at the folder of the manifest; on standard input, where
 * Stopline was started.
 * @throws {StoplineError} MANIFEST_INVALID
 */
export async function* listManifest(manifest: Manifest, leftOut: LeftOut): AsyncGenerator<ManifestRow> {
  const { rows, columns, file, pathColumn } = manifest;
  const known = new Set(columns);
  let number = 0;
  for await (const row of rows) {
    number++;
    const { [pathColumn]: value, ...rest } = row;
    const cells = new Map<string, Cell>();
    let deepest: StoplineError | undefined;
    for (const [key, cell] of Object.entries(rest)) {
      const name = columnName(key);
      try {
        cells.set(name, readCell(cell));
      } catch {
        deepest = refuseDepth({ file, number, key });
      }
      if (known.has(name)) continue;
      known.add(name);
      leftOut.add(
        cell instanceof Uint8Array ? 'binary column of the manifest' : 'column that its first row lacks',
        key,
      );
    }
    const broken = row[fault] ?? deepest;
    const image = broken
      ? { name: nameRow(file, number), error: broken }
      : readImageCell(value, { file, pathColumn, number });
    if (columns.length === 0) yield image;
    else yield { ...image, columns: Object.fromEntries(columns.map((key) => [key, cells.get(key) ?? null])) };
  }
}

/** What holds too many levels to be written again. */
function refuseDepth({ file, number, key }: { file: string; number: number; key: string }): StoplineError {
  return new StoplineError(
    'MANIFEST_INVALID',
    `Expected fewer levels in the column ${quotePath(key)} of row ${number} of ${quotePath(file)}.`,
  );
}

/** Names of columns as a message tells them: the first of many. */
export function listColumns(names: readonly string[]): string {
  const rest = names.length - 20;
  const shown = names.slice(0, 20).map((name) => quotePath(name));
  return `${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}` || 'no columns';
}

/** A name for a row that names no image. */
function nameRow(file: string, number: number): string {
  return `${file === '-' ? 'standard input' : basename(file)}/${number - 1}`;
}

/** What stands in the column of the paths: a path, the bytes of an image, or both as Hugging Face writes them. */
function readImageCell(value: unknown, row: { file: string; pathColumn: string; number: number }): ManifestRow {
  const unnamed = nameRow(row.file, row.number);
  if (value instanceof Uint8Array) {
    return looksLikeText(value) ? readPlace(Buffer.from(value).toString(), row.file) : { name: unnamed, bytes: value };
  }
  if (isImageGroup(value)) {
    const path = value.path instanceof Uint8Array ? Buffer.from(value.path).toString() : value.path;
    const name = typeof path === 'string' && path !== '' ? path : undefined;
    const bytes = typeof value.bytes === 'string' ? decodeBase64(value.bytes) : value.bytes;
    if (bytes instanceof Uint8Array) return { name: name ?? unnamed, bytes };
    if (typeof value.bytes === 'string') {
      const wrong = `Expected base64 as the bytes of row ${row.number} of ${quotePath(row.file)} but received something else.`;
      return { name: name ?? unnamed, error: new StoplineError('MANIFEST_INVALID', wrong) };
    }
    if (name !== undefined) return readPlace(name, row.file);
  }
  if (typeof value === 'string' && value !== '') return readPlace(value, row.file);
  const error = new StoplineError(
    'MANIFEST_INVALID',
    `Expected a path in the column "${row.pathColumn}" of row ${row.number} of ${quotePath(row.file)} but received ${describeValue(value)}.`,
  );
  return { name: unnamed, error };
}

/** Some writers do not say of a text that it is one; an image begins with bytes that no path does. */
function looksLikeText(bytes: Uint8Array): boolean {
  if (bytes.length === 0 || bytes.length > 4096) return false;
  try {
    return !/\p{Cc}/u.test(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return false;
  }
}

function readPlace(name: string, file: string): ManifestRow {
  try {
    const address = readAddress(name);
    if ('url' in address) return { name, location: address.url };
    const { path } = address;
    if (path.includes('\ufffd') && !existsSync(isAbsolute(path) ? path : join(dirname(file), path))) {
      throw new StoplineError(
        'INPUT_UNREADABLE',
        `Expected a path but ${quotePath(name)} holds bytes of neither UTF-8 nor UTF-16. Write the list as UTF-8: iconv -f LATIN1 -t UTF-8 does so.`,
      );
    }
    if (isAbsolute(path) || file === '-') return { name, location: path };
    return {
      name,
      location: isObjectUrl(file) ? `${file.slice(0, file.lastIndexOf('/') + 1)}${path}` : join(dirname(file), path),
    };
  } catch (cause) {
    return { name, error: asStoplineError(cause) };
  }
}

/** Says what stands there in few letters, and never the bytes that came. */
function describeValue(value: unknown): string {
  if (value === undefined || value === null || value === '') return 'none';
  try {
    return (JSON.stringify(value, dropBytes) ?? typeof value).slice(0, 100);
  } catch {
    return typeof value;
  }
}

async function* readPaths(open: () => Promise<Readable>, file: string, pathColumn: string): AsyncGenerator<Row> {
  const entries = splitEntries(decodeText(await open()), { name: file, maxLength: maxPathLength });
  for await (const entry of entries) yield { [pathColumn]: entry };
}

async function* readJson(open: () => Promise<Readable>, file: string): AsyncGenerator<Row> {
  let number = 0;
  for await (const line of splitLines(decodeText(await open()), file)) {
    number++;
    if (line.trim() === '') continue;
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch {}
    const isRow = typeof row === 'object' && row !== null && !Array.isArray(row);
    const message = `Expected a JSON object in line ${number} of ${quotePath(file)}.`;
    yield isRow ? (row as Row) : { [fault]: new StoplineError('MANIFEST_INVALID', message) };
  }
}

async function* readDocument(open: () => Promise<Readable>, file: string): AsyncGenerator<Row> {
  const pieces: string[] = [];
  let length = 0;
  for await (const piece of decodeText(await open())) {
    length += piece.length;
    if (length > maxDocumentLength) {
      const long = `Expected at most ${maxDocumentLength} letters of JSON in ${quotePath(file)}. JSON lines (.jsonl) may be of any length.`;
      throw new StoplineError('MANIFEST_INVALID', long);
    }
    pieces.push(piece);
  }
  yield* readJsonList(pieces.join(''), file);
}

async function* readCsv(
  open: () => Promise<Readable>,
  file: string,
  { delimiter, pathColumn = defaultPathColumn }: { delimiter: string; pathColumn?: string | undefined },
): AsyncGenerator<Row> {
  const columns = (header: string[]) => checkHeader(header, { file, delimiter, pathColumn });
  const cells = { relax_column_count: true, info: true };
  const rows = parse({ columns, bom: true, skip_empty_lines: true, delimiter, ...cells });
  const text = Readable.from(decodeText(await open()));
  text.on('error', (error) => rows.destroy(error)).pipe(rows);
  try {
    for await (const { record, info } of rows) {
      // Columns that moved would give a row the cells, or the image, of others.
      yield info.error === undefined ? record : { ...record, [fault]: refuseCells(file, info.lines) };
    }
  } catch (cause) {
    if (cause instanceof StoplineError) throw cause;
    const { message } = cause as Error;
    throw new StoplineError(
      'MANIFEST_INVALID',
      `${quotePath(file)} is not CSV: ${endSentence(message.slice(0, 200))}`,
      { cause },
    );
  } finally {
    text.destroy();
  }
}

function refuseCells(file: string, line: number): StoplineError {
  return new StoplineError(
    'MANIFEST_INVALID',
    `Expected as many cells as columns in line ${line} of ${quotePath(file)} but received more or fewer. A cell that holds a separator stands in double quotes.`,
  );
}

/** @throws {StoplineError} MANIFEST_INVALID for a header that is cut at the wrong sign, or names a column twice */
function checkHeader(
  header: string[],
  { file, delimiter, pathColumn }: { file: string; delimiter: string; pathColumn: string },
): string[] {
  const twice = header.find((name, i) => header.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new StoplineError(
      'MANIFEST_INVALID',
      `Expected columns of different names in ${quotePath(file)} but ${quotePath(twice)} comes twice.`,
    );
  }
  const other = [',', ';', '\t', '|'].find(
    (sign) => sign !== delimiter && header.some((name) => name.split(sign).includes(pathColumn) && name !== pathColumn),
  );
  if (header.includes(pathColumn) || other === undefined) return header;
  throw new StoplineError(
    'MANIFEST_INVALID',
    `Expected columns parted by ${JSON.stringify(delimiter)} in ${quotePath(file)} but its header is parted by ${JSON.stringify(other)}. Say so with --delimiter ${other === '\t' ? 'tab' : `'${other}'`}.`,
  );
}

/** What JSON and Parquet can both hold; bytes are in neither. */
function readCell(value: unknown): Cell {
  if (value === undefined || value === null || value instanceof Uint8Array) return null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Date) return value.toISOString();
  return JSON.stringify(value, dropBytes);
}

function dropBytes(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return null;
  return typeof value === 'bigint' ? value.toString() : value;
}
