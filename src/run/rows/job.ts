import { existsSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import Database from 'better-sqlite3';
import { StoplineError } from '../../errors.ts';
import type { RowCount, WrittenRow } from './row.ts';

/** What is kept of an image whose row is finished. */
export interface JobRow extends WrittenRow {
  name: string;
  /** See `makeVersion`. */
  version: string;
}

/**
 * The rows of a run so far, in the order of its items, in one SQLite file beside the output. Each is in it whole or not at
 * all, whenever the process is killed, and the output is written from it at the end: a text file that is appended to could
 * be cut in the middle of a row.
 */
export interface Job {
  readonly file: string;
  /** Rows that would survive a crash now. */
  readonly rows: number;
  /** Commits every so many rows; `commit` does at once. @throws {StoplineError} JOB_UNWRITABLE */
  add(row: JobRow): void;
  commit(): void;
  /** What an earlier run finished, in order. Nothing may be added meanwhile. */
  finished(): Iterable<{ name: string; version: string; count: RowCount }>;
  lines(): Iterable<Uint8Array>;
  close(): void;
  /** Closes it and removes its files. */
  remove(): Promise<void>;
}

/** Rows of one commit: what a crash costs at most. */
const window = 64;
/** With slow images a crash costs at most this, in milliseconds. */
const windowMs = 1000;
const formatVersion = 1;

/**
 * @param identity what the rows depend on beside the images (Profile, options), by its name for people
 * @param resume go on with a job that is there
 * @throws {StoplineError} JOB_EXISTS without `resume`, JOB_CHANGED when it was begun with something else, JOB_BUSY,
 *   JOB_INVALID, OUTPUT_UNWRITABLE
 */
export function openJob(file: string, identity: Record<string, string>, resume: boolean): Job {
  const isNew = !existsSync(file);
  const failed = (cause: unknown): StoplineError => {
    if (cause instanceof StoplineError) return cause;
    const { code = '', message } = cause as { code?: string; message: string };
    if (/BUSY|LOCKED/.test(code)) {
      return new StoplineError('JOB_BUSY', `Another process works on "${file}". Wait for it, or give another --out.`, {
        cause,
      });
    }
    if (/CORRUPT|NOTADB/.test(code)) {
      return new StoplineError(
        'JOB_INVALID',
        `"${file}" is not a job that can be resumed (${message}). Begin anew: remove it and give the same command.`,
        { cause },
      );
    }
    if (isNew && !isOpen) {
      return new StoplineError('OUTPUT_UNWRITABLE', `Expected to write "${file}" but ${message}.`, { cause });
    }
    return new StoplineError(
      'JOB_UNWRITABLE',
      `The rows cannot be saved to "${file}" (${code || message}); those saved before are kept. Make room there, then give the same command with --resume`,
      { cause },
    );
  };
  let isOpen = false;
  const attempt = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (cause) {
      throw failed(cause);
    }
  };

  let database: Database.Database | undefined;
  let rows = 0;
  try {
    attempt(() => {
      database = new Database(file, { timeout: 0 });
      // One process at a time, which also spares the shared-memory file.
      database.pragma('locking_mode = EXCLUSIVE');
      database.pragma('journal_mode = WAL');
      // A power cut may take the newest commits, never part of one: those images are judged again.
      database.pragma('synchronous = NORMAL');
      rows = prepare(database);
    });
  } catch (error) {
    attempt(() => database?.close());
    if (isNew) for (const ending of ['', '-wal', '-shm']) rmSync(`${file}${ending}`, { force: true });
    throw error;
  }
  const open = database as unknown as Database.Database;
  isOpen = true;
  const insert = open.prepare('INSERT INTO result (seq, name, version, count, line) VALUES (?, ?, ?, ?, ?)');
  let pending: JobRow[] = [];
  let committedAt = performance.now();
  const insertAll = open.transaction((added: JobRow[]) => {
    for (const [i, { name, version, count, line }] of added.entries()) {
      insert.run(rows + i, name, version, JSON.stringify(count), line);
    }
  });

  function prepare(database: Database.Database): number {
    return database.transaction(() => {
      const version = database.pragma('user_version', { simple: true });
      if (version === 0) {
        database.exec(`
          CREATE TABLE job (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
          CREATE TABLE result (
            seq INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, count TEXT NOT NULL, line BLOB NOT NULL
          ) STRICT;
          PRAGMA user_version = ${formatVersion};`);
        const put = database.prepare('INSERT INTO job VALUES (?, ?)');
        for (const [name, value] of Object.entries(identity)) put.run(name, value);
        return 0;
      }
      if (version !== formatVersion) {
        throw new StoplineError(
          'JOB_INVALID',
          `"${file}" was written by another version of Stopline. Begin anew: remove it and give the same command.`,
        );
      }
      const found = database.prepare('SELECT count(*) AS rows FROM result').get() as { rows: number };
      if (!resume) {
        throw new StoplineError(
          'JOB_EXISTS',
          `"${file}" holds ${found.rows} rows of a run that did not end. Go on with it: the same command with --resume. Or begin anew: remove it.`,
        );
      }
      const then = new Map(
        (database.prepare('SELECT name, value FROM job').all() as { name: string; value: string }[]).map(
          ({ name, value }) => [name, value],
        ),
      );
      for (const name of new Set([...then.keys(), ...Object.keys(identity)])) {
        if (then.get(name) === identity[name]) continue;
        throw new StoplineError(
          'JOB_CHANGED',
          `Expected the ${name} that "${file}" was begun with (${then.get(name)}) but received ${identity[name]}. Give that one, or begin anew: remove the file and give the same command.`,
        );
      }
      return found.rows;
    })();
  }

  const job: Job = {
    file,
    get rows() {
      return rows;
    },
    add(row) {
      pending.push(row);
      if (pending.length >= window || performance.now() - committedAt > windowMs) job.commit();
    },
    commit() {
      attempt(() => insertAll(pending));
      rows += pending.length;
      pending = [];
      committedAt = performance.now();
    },
    *finished() {
      for (const row of open.prepare('SELECT name, version, count FROM result ORDER BY seq').iterate()) {
        const { name, version, count } = row as { name: string; version: string; count: string };
        yield { name, version, count: JSON.parse(count) };
      }
    },
    *lines() {
      for (const line of open.prepare('SELECT line FROM result ORDER BY seq').pluck().iterate()) {
        yield line as Uint8Array;
      }
    },
    close: () => attempt(() => open.close()),
    async remove() {
      job.close();
      for (const ending of ['-wal', '-shm', '']) await rm(`${file}${ending}`, { force: true });
    },
  };
  return job;
}
