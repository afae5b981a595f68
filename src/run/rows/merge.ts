import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import Database from 'better-sqlite3';
import { parse } from 'csv-parse';
import { StoplineError } from '../../errors.ts';
import { unreadable } from '../../image/file.ts';
import { isObjectUrl, type ObjectStore } from '../objects.ts';
import { replaceFile, writeLines } from './output.ts';
import { openParquet, writeParquet } from './parquet.ts';
import { type RowFormat, rowFormats, type TableCell, type TableColumn } from './row.ts';

/**
 * Joins the outputs of the parts of a run into one, part by part in the order given.
 * @param parts files or s3:// objects, all of the same format
 * @param out of that format, too
 * @returns number of rows
 * @throws {StoplineError} PART_INVALID when an image is in two of them, they do not have the same columns or one is not whole,
 *   INPUT_*, OUTPUT_UNWRITABLE
 */
export async function mergeRows(parts: readonly string[], out: string, store: ObjectStore): Promise<number> {
  const formats = new Set([...parts, out].map(formatByEnding));
  const [format] = formats;
  if (formats.size !== 1 || format === undefined) {
    throw new StoplineError(
      'PART_INVALID',
      `Expected parts and output of one format (${rowFormats.join(', ')}), by their endings, but received ${[...parts, out].map((path) => `"${path}"`).join(', ')}.`,
    );
  }
  const seen = createSeen();
  let rows = 0;
  const count = (part: number, path: string) => {
    const other = seen.add(path, part);
    if (other !== undefined && other !== part) {
      throw new StoplineError(
        'PART_INVALID',
        `Expected each image in one part but "${path}" is in "${parts[other]}" and "${parts[part]}".`,
      );
    }
    rows++;
  };
  try {
    await replaceFile(out, store, (path) => {
      if (format === 'parquet') return mergeParquet(parts, path, store, count);
      return writeLines(path, format === 'csv' ? csvLines(parts, store, count) : jsonLines(parts, store, count));
    });
  } finally {
    seen.close();
  }
  return rows;
}

/** What a run on a queue leaves beside its parts. */
export interface PartList {
  run: string;
  profile: string;
  images: number;
  parts: { file: string; rows: number; sha256: string }[];
}

/**
 * The parts that a run on a queue has left, in order, each compared with what the list says of it.
 * @throws {StoplineError} PART_INVALID
 */
export async function listParts(list: string, store: ObjectStore): Promise<string[]> {
  const read = async (path: string) =>
    isObjectUrl(path)
      ? store.read(path, Number.MAX_SAFE_INTEGER)
      : readFile(path).catch((cause) => Promise.reject(unreadable(path, cause)));
  let parts: PartList['parts'];
  try {
    ({ parts } = JSON.parse(Buffer.from(await read(list)).toString()) as PartList);
    if (!Array.isArray(parts)) throw new Error('it has no parts');
  } catch (cause) {
    if (cause instanceof StoplineError) throw cause;
    throw new StoplineError('PART_INVALID', `Expected the list of parts of a run but "${list}" is none.`, { cause });
  }
  const folder = list.slice(0, list.lastIndexOf('/') + 1);
  for (const { file, sha256 } of parts) {
    const found = createHash('sha256')
      .update(await read(`${folder}${file}`))
      .digest('hex');
    if (found !== sha256) throw notWhole(`${folder}${file}`, 'it is not the file that its run wrote');
  }
  return parts.map(({ file }) => `${folder}${file}`);
}

function formatByEnding(path: string): RowFormat | undefined {
  return rowFormats.find((format) => path.toLowerCase().endsWith(`.${format}`));
}

type Count = (part: number, path: string) => void;

/** Remembers in which part a path was, on disk where memory would not do: SQLite keeps a nameless file for it. */
function createSeen() {
  const database = new Database('');
  database.exec(
    'PRAGMA synchronous = OFF; CREATE TABLE seen (path BLOB PRIMARY KEY, part INTEGER) WITHOUT ROWID; BEGIN',
  );
  const insert = database.prepare('INSERT OR IGNORE INTO seen VALUES (?, ?)');
  const select = database.prepare('SELECT part FROM seen WHERE path = ?').pluck();
  return {
    /** The part that had the path before. */
    add(path: string, part: number): number | undefined {
      const key = createHash('sha256').update(path).digest().subarray(0, 16);
      return insert.run(key, part).changes === 1 ? undefined : (select.get(key) as number);
    },
    close: () => database.close(),
  };
}

async function open(part: string, store: ObjectStore): Promise<Readable> {
  return isObjectUrl(part) ? store.stream(part) : createReadStream(part, { highWaterMark: 1024 * 1024 });
}

async function* jsonLines(parts: readonly string[], store: ObjectStore, count: Count): AsyncGenerator<Uint8Array> {
  for (const [i, part] of parts.entries()) {
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of (await open(part, store)) as AsyncIterable<Buffer>) {
      const whole = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = whole.indexOf(10); end >= 0; end = whole.indexOf(10, start)) {
        const line = whole.subarray(start, end + 1);
        count(i, readPath(line, part));
        yield line;
        start = end + 1;
      }
      rest = whole.subarray(start);
    }
    if (rest.length > 0) throw notWhole(part, 'its last line has no end');
  }
}

/** The path alone: parsing a row whole would take longer than everything else. */
function readPath(line: Buffer, part: string): string {
  const [, path] =
    /^\{"path":("(?:[^"\\]|\\.)*")[,}]/.exec(line.toString('utf8', 0, Math.min(line.length, 16_384))) ?? [];
  if (path === undefined) throw notWhole(part, 'it has a line that is not a row of score');
  return JSON.parse(path);
}

async function* csvLines(parts: readonly string[], store: ObjectStore, count: Count): AsyncGenerator<Uint8Array> {
  let header: string | undefined;
  for (const [i, part] of parts.entries()) {
    const rows = (await open(part, store)).pipe(parse({ raw: true, relax_column_count: false }));
    let isFirst = true;
    try {
      for await (const { raw, record } of rows as AsyncIterable<{ raw: string; record: string[] }>) {
        if (!isFirst) count(i, record[0]);
        else if (header !== undefined && raw !== header)
          throw notWhole(part, `its columns are not those of "${parts[0]}"`);
        // The parser leaves out the last sign of the end of a line.
        if (!isFirst || header === undefined) yield Buffer.from(`${raw}\n`);
        header ??= raw;
        isFirst = false;
        if (!raw.endsWith('\r')) throw notWhole(part, 'its last line has no end');
      }
    } catch (cause) {
      if (cause instanceof StoplineError) throw cause;
      throw notWhole(part, `it is not CSV: ${(cause as Error).message}`);
    }
  }
}

async function mergeParquet(parts: readonly string[], path: string, store: ObjectStore, count: Count): Promise<void> {
  const table = (part: string) => (isObjectUrl(part) ? store.read(part, Number.MAX_SAFE_INTEGER) : part);
  let columns: TableColumn[] = [];
  for (const part of parts) {
    const own = (await openParquet(await table(part))).columns.map(({ name, type = 'STRING' }) => ({ name, type }));
    const names = own.map(({ name }) => name).join();
    if (columns.length > 0 && names !== columns.map(({ name }) => name).join()) {
      throw notWhole(part, `its columns are not those of "${parts[0]}"`);
    }
    // A column of the manifest may have looked like numbers in one part only.
    columns = own.map(({ name, type }, i) => ({ name, type: (columns[i]?.type ?? type) === type ? type : 'STRING' }));
  }
  async function* rows(): AsyncGenerator<TableCell[]> {
    for (const [i, part] of parts.entries()) {
      for await (const row of await openParquet(await table(part))) {
        count(i, String(row.path));
        yield columns.map(({ name, type }) => {
          const cell = row[name] as TableCell;
          return type === 'STRING' && cell !== null ? String(cell) : cell;
        });
      }
    }
  }
  await writeParquet(path, columns, rows());
}

function notWhole(part: string, why: string): StoplineError {
  return new StoplineError('PART_INVALID', `Expected "${part}" to be a whole output of score but ${why}.`);
}
