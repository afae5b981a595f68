import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { syncFolder } from '../../image/file.ts';
import { isObjectUrl, type ObjectStore } from '../objects.ts';
import { writeParquet } from './parquet.ts';
import {
  formatHeader,
  type Row,
  type RowFormat,
  type TableCell,
  type TableColumn,
  tableColumns,
  tableRow,
} from './row.ts';

/**
 * Makes a file or object out of what `write` writes to the path it is given: whoever sees it sees all of it, also after a
 * power cut.
 * @param isShared others may write the same file at the same time: each then writes beside it, and the last one stays
 * @throws {StoplineError} OUTPUT_UNWRITABLE, OBJECTS_UNAVAILABLE
 */
export async function replaceFile(
  target: string,
  store: ObjectStore,
  write: (path: string) => Promise<void>,
  isShared = false,
): Promise<void> {
  if (isObjectUrl(target)) {
    const folder = await mkdtemp(join(tmpdir(), 'stopline-'));
    const file = join(folder, 'output');
    try {
      await unwritable(target, () => write(file));
      await store.put(target, file);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    return;
  }
  const partial = `${target}${isShared ? `.${randomBytes(6).toString('hex')}` : ''}.partial`;
  try {
    await unwritable(target, async () => {
      // Made here and by nobody else: what lies there already may be a link to another file.
      await rm(partial, { force: true });
      await (await open(partial, 'wx')).close();
      await write(partial);
      await syncFile(partial);
      await rename(partial, target);
      await syncFolder(dirname(target));
    });
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** Windows flushes only what is open for writing. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.sync().finally(() => file.close());
}

async function unwritable<Result>(target: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof StoplineError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new StoplineError('OUTPUT_UNWRITABLE', `Expected to write "${target}" but ${message}.`, { cause });
  }
}

const chunkBytes = 1024 * 1024;

/**
 * Writes the lines of a run as the file that was asked for.
 * @param lines as `formatRow` makes them, without the header
 * @param manifest the columns that a manifest brought along
 */
export async function writeRows(
  path: string,
  lines: Iterable<Uint8Array>,
  { format, manifest }: { format: RowFormat; manifest: readonly TableColumn[] },
): Promise<void> {
  if (format === 'parquet') return writeParquet(path, tableColumns(manifest), tableRows(lines, manifest));
  const header = formatHeader(
    format,
    manifest.map(({ name }) => name),
  );
  await writeLines(path, lines, header);
}

/** Writes lines in large pieces. */
export async function writeLines(
  path: string,
  lines: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  header = '',
): Promise<void> {
  const file = await open(path, 'w');
  try {
    let held: Uint8Array[] = [Buffer.from(header)];
    let bytes = 0;
    for await (const line of lines) {
      held.push(line);
      bytes += line.length;
      if (bytes < chunkBytes) continue;
      await file.appendFile(Buffer.concat(held));
      held = [];
      bytes = 0;
    }
    await file.appendFile(Buffer.concat(held));
  } finally {
    await file.close();
  }
}

async function* tableRows(lines: Iterable<Uint8Array>, manifest: readonly TableColumn[]): AsyncGenerator<TableCell[]> {
  for (const line of lines) {
    const row = tableRow(JSON.parse(Buffer.from(line).toString()) as Row);
    for (const [i, { type }] of manifest.entries()) {
      const cell = row[i + 1];
      if (type === 'STRING' && cell !== null) row[i + 1] = String(cell);
    }
    yield row;
  }
}
