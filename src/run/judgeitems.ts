import { asStoplineError, StoplineError } from '../errors.ts';
import { chooseFile, type Item, type Items, makeVersion } from './inputs/item.ts';
import { mapOrdered } from './mapordered.ts';
import { readSource } from './masks.ts';
import type { Pool } from './pool.ts';
import type { Job, JobRow } from './rows/job.ts';
import { type Row, type RowCount, type RowFormat, rowFormats, type TableColumn } from './rows/row.ts';
import type { ScoredItem } from './task.ts';

/** Objects that are fetched ahead at a time, and the most bytes of them. */
const fetched = 32;
const fetchedBytes = 96 * 1024 * 1024;

interface ReadItem {
  item: Item;
  scored: ScoredItem;
}

/** Reads what is no file ahead of the worker threads, with bounded memory. */
async function* readAhead(
  items: AsyncIterable<Item> | Iterable<Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<ReadItem> {
  const read = async (item: Item): Promise<ReadItem> => {
    signal?.throwIfAborted();
    const { name, codec, columns } = item;
    if (!item.read) return { item, scored: { name, path: chooseFile(item), columns } };
    try {
      return { item, scored: { name, bytes: await item.read(), codec, columns } };
    } catch (cause) {
      const error = asStoplineError(cause);
      if (error.code === 'STOPLINE_ERR_OBJECTS_UNAVAILABLE') throw error;
      return { item, scored: { name, error: error.toJSON(), columns } };
    }
  };
  const weigh = ({ size = 0, read }: Item) => (read ? size : 0);
  yield* mapOrdered(items, fetched, read, { weigh, limit: fetchedBytes });
}

/**
 * Judges items with bounded memory and yields their rows in the order of the items. What is no file is read here, ahead of
 * the worker threads.
 * @throws {StoplineError} OBJECTS_UNAVAILABLE and what keeps the pool from judging at all; the reason of the signal
 */
export async function* judgeItems(
  pool: Pool,
  items: AsyncIterable<Item> | Iterable<Item>,
  { format, signal }: { format: RowFormat; signal?: AbortSignal },
): AsyncGenerator<JobRow> {
  const judge = async ({ item, scored }: ReadItem): Promise<JobRow> => {
    signal?.throwIfAborted();
    // Before it is read, so that a change while it is read is noticed.
    const version = makeVersion(item);
    return { ...(await pool.score(scored, format)), name: item.name, version };
  };
  yield* mapOrdered(readAhead(items, signal), pool.info.threads * 4, judge);
}

/**
 * As `judgeItems`, for who goes on with the verdicts and writes no rows.
 * @param choose which of the Profiles of the pool judges an item, by default the first, and of which source it is, for masks
 * @throws {StoplineError} what keeps the pool from judging at all; the reason of the signal
 */
export async function* judgeRows(
  pool: Pool,
  items: AsyncIterable<Item>,
  signal: AbortSignal,
  choose: { profile?: ((item: Item) => number) | undefined; source?: ((item: Item) => string) | undefined } = {},
): AsyncGenerator<{ item: Item; row: Row }> {
  const judge = async ({ item, scored }: ReadItem): Promise<{ item: Item; row: Row }> => {
    signal.throwIfAborted();
    const { name: path, bytes, error, columns } = scored;
    const known = { path, ...(columns && { columns }) };
    if (error) return { item, row: { ...known, error } };
    try {
      const asked = { profile: choose.profile?.(item), source: choose.source?.(item) ?? readSource(scored) };
      const judged = bytes
        ? pool.inspect(bytes, { transfer: true, ...asked })
        : pool.inspectFile(scored.path as string, asked);
      const { timingMs: _, ...verdict } = await judged;
      return { item, row: { ...known, ...verdict } };
    } catch (cause) {
      const coded = asStoplineError(cause);
      if (coded.status >= 500) throw cause;
      return { item, row: { ...known, error: coded.toJSON() } };
    }
  };
  yield* mapOrdered(readAhead(items, signal), pool.info.threads * 4, judge);
}

/**
 * The items that a job has no row for yet. Those it has are compared with what is there now.
 * @throws {StoplineError} JOB_CHANGED
 */
export async function* unfinishedItems(
  items: AsyncIterable<Item>,
  job: Job,
  onItem: (item: Item, finished?: RowCount) => void,
): AsyncGenerator<Item> {
  const source = items[Symbol.asyncIterator]();
  try {
    let position = 0;
    for (const { name, version, count } of job.finished()) {
      const { value: item, done } = await source.next();
      position++;
      const now = done ? 'nothing' : `"${item.name}"`;
      const how =
        done || item.name !== name
          ? `expected "${name}" as image ${position} but found ${now}`
          : makeVersion(item) === version
            ? undefined
            : `"${name}" has another size or time`;
      if (how !== undefined) {
        throw new StoplineError(
          'JOB_CHANGED',
          `The images are not those that "${job.file}" was begun with: ${how}. Judge what is there now: remove that file and give the same command.`,
        );
      }
      onItem(item, count);
    }
    for (;;) {
      const { value: item, done } = await source.next();
      if (done) return;
      onItem(item);
      yield item;
    }
  } finally {
    await source.return?.(undefined);
  }
}

/** Which type each column of a manifest has in a table, from all of its cells. */
export interface ColumnTypes {
  see(item: Pick<Item, 'columns'>): void;
  columns(): TableColumn[];
}

export function createColumnTypes(items: Pick<Items, 'columns'>): ColumnTypes {
  const seen = new Map(items.columns.map((name) => [name, new Set<string>()]));
  return {
    see({ columns }) {
      for (const name in columns) if (columns[name] !== null) seen.get(name)?.add(typeof columns[name]);
    },
    columns: () => [...seen].map(([name, types]) => ({ name, type: chooseType(types) })),
  };
}

function chooseType(types: ReadonlySet<string>): TableColumn['type'] {
  if (types.size !== 1) return 'STRING';
  return types.has('number') ? 'DOUBLE' : types.has('boolean') ? 'BOOLEAN' : 'STRING';
}

/** The format that a file is to have: as asked, by its ending, else JSON lines. */
export function chooseFormat(file: string, asked?: RowFormat): RowFormat {
  return asked ?? rowFormats.find((format) => file.toLowerCase().endsWith(`.${format}`)) ?? 'jsonl';
}
