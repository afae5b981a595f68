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

/** Rows of one commit: what a crash costs at most. */
const window = 64;
/** With slow images a crash costs at most this, in milliseconds. */
const windowMs = 1000;
const formatVersion = 1;
/** The files of an SQLite database. */
const endings = ['-wal', '-shm', ''];

/**
 * Opens the job of a run, or begins it. One that holds no rows yet is begun anew, whoever left it.
 * @param identity what the rows depend on beside the images (Profile, options), by its name for people
 * @param resume go on with a job that is there
 * @throws {StoplineError} JOB_EXISTS without `resume`, JOB_CHANGED when it was begun with something else, JOB_BUSY,
 *   JOB_INVALID, OUTPUT_UNWRITABLE
 */
export function openJob(file: string, identity: Record<string, string>, resume: boolean): Job {
  const isNew = !existsSync(file);
  let database: Database.Database | undefined;
  try {
    database = new Database(file, { timeout: 0 });
    // One process at a time, which also spares the shared-memory file.
    database.pragma('locking_mode = EXCLUSIVE');
    database.pragma('journal_mode = WAL');
    // A power cut may take the newest commits, never part of one: those images are judged again.
    database.pragma('synchronous = NORMAL');
    return new Job(file, database, prepareJob(database, { file, identity, resume }));
  } catch (cause) {
    database?.close();
    if (isNew) for (const ending of endings) rmSync(`${file}${ending}`, { force: true });
    throw describeFailure(cause, file, isNew);
  }
}

/**
 * The rows of a run so far, in the order of its items, in one SQLite file beside the output. Each is in it whole or not at
 * all, whenever the process is killed, and the output is written from it at the end: a text file that is appended to could
 * be cut in the middle of a row.
 */
export class Job {
  readonly file: string;
  readonly #database: Database.Database;
  readonly #insert: Database.Transaction<(rows: readonly JobRow[]) => void>;
  #rows: number;
  #pending: JobRow[] = [];
  #committedAt = performance.now();

  constructor(file: string, database: Database.Database, rows: number) {
    this.file = file;
    this.#database = database;
    this.#rows = rows;
    const insert = database.prepare('INSERT INTO result (seq, name, version, count, line) VALUES (?, ?, ?, ?, ?)');
    this.#insert = database.transaction((added: readonly JobRow[]) => {
      for (const [i, { name, version, count, line }] of added.entries()) {
        insert.run(this.#rows + i, name, version, JSON.stringify(count), line);
      }
    });
  }

  /** Rows that would survive a crash now. */
  get rows(): number {
    return this.#rows;
  }

  get isOpen(): boolean {
    return this.#database.open;
  }

  /** Commits every so many rows; `commit` does at once. @throws {StoplineError} JOB_UNWRITABLE */
  add(row: JobRow): void {
    this.#pending.push(row);
    if (this.#pending.length >= window || performance.now() - this.#committedAt > windowMs) this.commit();
  }

  /** @throws {StoplineError} JOB_UNWRITABLE */
  commit(): void {
    this.#attempt(() => this.#insert(this.#pending));
    this.#rows += this.#pending.length;
    this.#pending = [];
    this.#committedAt = performance.now();
  }

  /** What an earlier run finished, in order. Nothing may be added meanwhile. */
  *finished(): Iterable<{ name: string; version: string; count: RowCount }> {
    for (const row of this.#database.prepare('SELECT name, version, count FROM result ORDER BY seq').iterate()) {
      const { name, version, count } = row as { name: string; version: string; count: string };
      yield { name, version, count: JSON.parse(count) };
    }
  }

  *lines(): Iterable<Uint8Array> {
    for (const line of this.#database.prepare('SELECT line FROM result ORDER BY seq').pluck().iterate()) {
      yield line as Uint8Array;
    }
  }

  close(): void {
    this.#attempt(() => this.#database.close());
  }

  /** Closes it and removes its files. */
  async remove(): Promise<void> {
    this.close();
    for (const ending of endings) await rm(`${this.file}${ending}`, { force: true });
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (cause) {
      throw describeFailure(cause, this.file, false);
    }
  }
}

interface JobIdentity {
  file: string;
  identity: Record<string, string>;
  resume: boolean;
}

/** @returns how many rows it holds */
function prepareJob(database: Database.Database, job: JobIdentity): number {
  return database.transaction(() => {
    const version = database.pragma('user_version', { simple: true });
    if (version === 0) {
      database.exec(`
        CREATE TABLE job (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
        CREATE TABLE result (
          seq INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, count TEXT NOT NULL, line BLOB NOT NULL
        ) STRICT;
        PRAGMA user_version = ${formatVersion};`);
    } else if (version !== formatVersion) {
      throw new StoplineError(
        'JOB_INVALID',
        `"${job.file}" was written by another version of Stopline. Begin anew: remove it and give the same command.`,
      );
    }
    const { rows } = database.prepare('SELECT count(*) AS rows FROM result').get() as { rows: number };
    if (rows === 0) writeIdentity(database, job);
    else checkIdentity(database, job, rows);
    return rows;
  })();
}

function writeIdentity(database: Database.Database, { identity }: JobIdentity): void {
  database.exec('DELETE FROM job');
  const put = database.prepare('INSERT INTO job VALUES (?, ?)');
  for (const [name, value] of Object.entries(identity)) put.run(name, value);
}

/** @throws {StoplineError} JOB_EXISTS, JOB_CHANGED */
function checkIdentity(database: Database.Database, { file, identity, resume }: JobIdentity, rows: number): void {
  if (!resume) {
    throw new StoplineError(
      'JOB_EXISTS',
      `"${file}" holds ${rows} rows of a run that did not end. Go on with it: the same command with --resume. Or begin anew: remove it.`,
    );
  }
  const known = database.prepare('SELECT name, value FROM job').all() as { name: string; value: string }[];
  const then = new Map(known.map(({ name, value }) => [name, value]));
  for (const name of new Set([...then.keys(), ...Object.keys(identity)])) {
    if (then.get(name) === identity[name]) continue;
    throw new StoplineError(
      'JOB_CHANGED',
      `Expected the ${name} that "${file}" was begun with (${then.get(name)}) but received ${identity[name]}. Give that one, or begin anew: remove the file and give the same command.`,
    );
  }
}

function describeFailure(cause: unknown, file: string, isNew: boolean): StoplineError {
  if (cause instanceof StoplineError) return cause;
  const { code = '', message } = cause as { code?: string; message: string };
  if (/BUSY|LOCKED/.test(code)) {
    const text = `Another process works on "${file}". Wait for it, or give another --out.`;
    return new StoplineError('JOB_BUSY', text, { cause });
  }
  if (/CORRUPT|NOTADB/.test(code)) {
    return new StoplineError(
      'JOB_INVALID',
      `"${file}" is not a job that can be resumed (${message}). Begin anew: remove it and give the same command.`,
      { cause },
    );
  }
  if (isNew) return new StoplineError('OUTPUT_UNWRITABLE', `Expected to write "${file}" but ${message}.`, { cause });
  return new StoplineError(
    'JOB_UNWRITABLE',
    `The rows cannot be saved to "${file}" (${code || message}); those saved before are kept. Make room there, then give the same command with --resume.`,
    { cause },
  );
}
