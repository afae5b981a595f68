import { existsSync, renameSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import Database from 'better-sqlite3';
import { StoplineError } from '../../errors.ts';
import { MemoryStates } from './memorystates.ts';
import { applicationId, pruneSlice, schema, schemaVersion } from './schema.ts';

/** One verdict as the history keeps it. */
export interface PastVerdict {
  /** Rises with every verdict of a store; absent before it is stored. */
  id?: number;
  source: string;
  /** Milliseconds since 1970. */
  at: number;
  verdict: 'pass' | 'warn' | 'block';
  pValue: number;
  score: number;
  /** Statistic of the strongest reason; null where there is none. */
  reason: string | null;
  /** The likeliest cause, and its probability given that something is wrong; null where the Profile names none. */
  cause: string | null;
  causeProbability: number | null;
  requestId: string;
  sha256: string;
  bytes: number;
  width: number;
  height: number;
  /** Time that the image took in its worker thread, in milliseconds. */
  ms: number;
  /** p-value by detector. */
  detectors: Record<string, number>;
}

/** A change of the state of a source. */
export interface PastTransition {
  id?: number;
  source: string;
  at: number;
  from: string;
  to: string;
  /** The DriftReport of that moment, as JSON. */
  report: string;
}

/** What a monitor must not forget. */
export interface StoredMonitor {
  source: string;
  /** sha256 of the Profile that it compares with. */
  profile: string;
  state: Uint8Array;
  /** What lists show of it, as JSON, so that a list need not read every state. */
  summary: string;
}

/** A message that waits until its receiver has taken it. */
export interface StoredAlert {
  /** Stays the same however often it is sent. */
  id: string;
  sink: string;
  at: number;
  body: string;
}

/** Everything that is written together: all of it lasts, or nothing of it. */
export interface Batch {
  verdicts: PastVerdict[];
  monitors: StoredMonitor[];
  /** Sources of which no monitor is kept any longer. */
  forgotten: string[];
  transitions: PastTransition[];
  alerts: StoredAlert[];
  /** Ids of alerts that need not be sent any more. */
  settled: string[];
}

export interface Range {
  /** All sources when absent. */
  source?: string;
  /** Milliseconds since 1970, `from` inclusive, `to` exclusive. */
  from?: number;
  to?: number;
}
export interface ListQuery extends Range {
  /** Only those with a smaller id: the next page. */
  before?: number | undefined;
  limit: number;
}
export interface TrendQuery extends Range {
  from: number;
  to: number;
  /** About as many points: stretches begin at round times, so there may be one more. One spans at least a second. */
  points: number;
}

/** The verdicts of one stretch of time. */
export interface TrendPoint {
  /** Start, in milliseconds since 1970. */
  at: number;
  /** Length in milliseconds. */
  span: number;
  images: number;
  warn: number;
  block: number;
  pValueMean: number;
  pValueMin: number;
  scoreMean: number;
  scoreMax: number;
  msMean: number;
}

export interface DatabaseSettings {
  /** Absent: in memory. */
  file?: string | undefined;
  /** Most verdicts kept. */
  historyRows: number;
  /** Nothing of the history is kept longer. */
  historyDays: number;
  /** How long to wait for another process that still has the file. */
  lockTimeoutMs: number;
}

const minuteMs = 60_000;
/** Stands in the file for a state that is not there. */
const none = new Uint8Array();
/** Aggregates are small, so they may be this many times as many as verdicts. */
const minutesPerVerdict = 2;
const maxTransitions = 10_000;
/** Packed states of monitors in memory; beyond it those written longest ago go, and their sources learn again. */
const maxStateBytes = 16 * 1024 * 1024;
/** Errors after which the file is not the one that was written. */
const isDamage = (code: string) => code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';

/**
 * The one SQLite file of a service. Synchronous, so it belongs in a thread of its own. WAL with `synchronous=FULL`: what
 * `commit` has returned from outlasts the process and the power; the lock is exclusive, so there is one writer.
 */
export class StoreDatabase {
  readonly #settings: DatabaseSettings;
  #db: Database.Database | undefined;
  /**
   * Every statement is prepared once for as long as the file is open: what SQLite keeps for one is freed only when V8 collects
   * its wrapper, of whose size V8 knows nothing, so that statements made for every write are hundreds of megabytes in an hour.
   */
  readonly #statements = new Map<string, Database.Statement>();
  #verdicts = 0;
  #minutes = 0;
  #prunedAt = 0;
  /** The states of monitors, where they are in memory. */
  readonly #states: MemoryStates | undefined;
  /** Where damaged files were set aside since this object was made. */
  readonly setAside: string[] = [];
  /** Rises when what was committed earlier may be gone: then everything that is still in memory is to be written again. */
  generation = 0;

  constructor(settings: DatabaseSettings) {
    this.#settings = settings;
    if (settings.file === undefined) this.#states = new MemoryStates(maxStateBytes);
  }

  /**
   * Opens the file; a damaged one is set aside and a new one begun.
   * @throws {StoplineError} STATE_UNUSABLE when the file cannot be opened, is in use, or was written by a newer version
   */
  open(): void {
    if (this.#db) return;
    const { file } = this.#settings;
    try {
      this.#open();
    } catch (error) {
      this.close();
      const code = readCode(error);
      if (file !== undefined && isDamage(code)) {
        this.#putAside(file);
        this.#open();
      } else if (code === 'SQLITE_BUSY') {
        throw new StoplineError(
          'STATE_UNUSABLE',
          `Expected ${file} to be used by one service at a time but another process has it. Give each its own --state-dir.`,
          { cause: error },
        );
      } else throw error;
    }
  }

  #open(): void {
    const { file = ':memory:', lockTimeoutMs } = this.#settings;
    const db = new Database(file, { timeout: lockTimeoutMs });
    this.#db = db;
    db.pragma('locking_mode = EXCLUSIVE');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma(`journal_size_limit = ${16 * 1024 * 1024}`);
    const id = db.pragma('application_id', { simple: true });
    const version = db.pragma('user_version', { simple: true }) as number;
    if ((id !== 0 && id !== applicationId) || version > schemaVersion) {
      throw new StoplineError(
        'STATE_UNUSABLE',
        `Expected ${file} to be a store of version ${schemaVersion} or older but received ${id === applicationId ? `version ${version}` : 'another database'}.`,
      );
    }
    const [check] = db.pragma('quick_check(1)') as { quick_check: string }[];
    if (check.quick_check !== 'ok') throw new Database.SqliteError(check.quick_check, 'SQLITE_CORRUPT');
    // Nothing else has the file, and a write now tells at once whether it can be written.
    db.transaction(() => {
      if (version < 1) db.exec(schema);
      db.pragma(`application_id = ${applicationId}`);
      db.pragma(`user_version = ${schemaVersion}`);
    }).immediate();
    const count = (name: string) => this.#prepare(`SELECT count(*) FROM ${name}`).pluck().get() as number;
    this.#verdicts = count('verdict');
    this.#minutes = count('minute');
  }

  /** The texts are a fixed few: values are bound, never written into them. */
  #prepare(sql: string): Database.Statement {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = (this.#db as Database.Database).prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #putAside(file: string): void {
    const aside = `${file}.corrupt-${new Date().toISOString().replace(/[:.]/g, '-')}`;
    for (const ending of ['', '-wal', '-shm', '-journal']) {
      if (existsSync(file + ending)) renameSync(file + ending, aside + ending);
    }
    this.setAside.push(aside);
    this.generation += 1;
  }

  /** Runs with the open database; after an error that leaves the file in doubt the next call opens it anew. */
  #with<T>(run: (db: Database.Database) => T): T {
    this.open();
    try {
      return run(this.#db as Database.Database);
    } catch (error) {
      const code = readCode(error);
      if (isDamage(code) || code.startsWith('SQLITE_IOERR')) {
        this.close();
        this.generation += 1;
        if (isDamage(code) && this.#settings.file !== undefined) this.#putAside(this.#settings.file);
      }
      throw error;
    }
  }

  /** Writes a batch in one transaction and waits until the disk has it. */
  commit(batch: Batch): void {
    this.#with((db) => {
      const before = [this.#verdicts, this.#minutes, this.#prunedAt];
      const write = db.transaction(() => {
        this.#writeVerdicts(batch.verdicts);
        const monitor = this.#prepare(
          'INSERT INTO monitor (source, profile, state, summary, checksum) VALUES (:source, :profile, :state, :summary, :checksum) ' +
            'ON CONFLICT (source) DO UPDATE SET profile = :profile, state = :state, summary = :summary, checksum = :checksum',
        );
        for (const row of batch.monitors) {
          this.#states?.put(row.source, row.state);
          monitor.run({ ...row, state: this.#states ? none : row.state, checksum: computeChecksum(row) });
        }
        const forget = this.#prepare('DELETE FROM monitor WHERE source = ?');
        for (const source of batch.forgotten) {
          forget.run(source);
          this.#states?.remove(source);
        }
        const transition = this.#prepare(
          'INSERT INTO transition (source, at, "from", "to", report) VALUES (:source, :at, :from, :to, :report)',
        );
        for (const row of batch.transitions) transition.run(row);
        const alert = this.#prepare('INSERT OR IGNORE INTO alert (id, sink, at, body) VALUES (:id, :sink, :at, :body)');
        for (const row of batch.alerts) alert.run(row);
        const settle = this.#prepare('DELETE FROM alert WHERE id = ?');
        for (const id of batch.settled) settle.run(id);
        this.#prune();
      });
      try {
        write.immediate();
      } catch (error) {
        [this.#verdicts, this.#minutes, this.#prunedAt] = before;
        throw error;
      }
    });
  }

  #writeVerdicts(verdicts: readonly PastVerdict[]): void {
    const verdict = this.#prepare(
      'INSERT INTO verdict (source, at, verdict, pValue, score, reason, cause, causeProbability, requestId, sha256, bytes, width, height, ms, detectors) ' +
        'VALUES (:source, :at, :verdict, :pValue, :score, :reason, :cause, :causeProbability, :requestId, :sha256, :bytes, :width, :height, :ms, :detectors)',
    );
    const known = this.#prepare('SELECT 1 FROM minute WHERE source = ? AND at = ?').pluck();
    const minute = this.#prepare(
      'INSERT INTO minute (source, at, images, warn, block, pValueSum, pValueMin, scoreSum, scoreMax, msSum) ' +
        'VALUES (:source, :at, 1, :warn, :block, :pValue, :pValue, :score, :score, :ms) ON CONFLICT (source, at) DO UPDATE SET ' +
        'images = images + 1, warn = warn + :warn, block = block + :block, pValueSum = pValueSum + :pValue, ' +
        'pValueMin = min(pValueMin, :pValue), scoreSum = scoreSum + :score, scoreMax = max(scoreMax, :score), msSum = msSum + :ms',
    );
    this.#verdicts += verdicts.length;
    for (const row of verdicts) {
      verdict.run({ ...row, detectors: JSON.stringify(row.detectors) });
      const at = row.at - (row.at % minuteMs);
      if (known.get(row.source, at) === undefined) this.#minutes += 1;
      minute.run({
        source: row.source,
        at,
        warn: row.verdict === 'warn' ? 1 : 0,
        block: row.verdict === 'block' ? 1 : 0,
        pValue: row.pValue,
        score: row.score,
        ms: row.ms,
      });
    }
  }

  /** Takes away a slice of what is too much or too old: never so much that a commit would take long. */
  #prune(): void {
    const { historyRows, historyDays } = this.#settings;
    const drop = (table: string, order: string, count: number) =>
      this.#prepare(`DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} ORDER BY ${order} LIMIT ?)`).run(
        Math.min(count, pruneSlice),
      ).changes;
    const tooManyVerdicts = this.#verdicts - historyRows;
    if (tooManyVerdicts > 0) this.#verdicts -= drop('verdict', 'id', tooManyVerdicts);
    const tooManyMinutes = this.#minutes - minutesPerVerdict * historyRows;
    if (tooManyMinutes > 0) this.#minutes -= drop('minute', 'at', tooManyMinutes);
    const now = Date.now();
    if (Math.abs(now - this.#prunedAt) < minuteMs) return;
    this.#prunedAt = now;
    const oldest = now - historyDays * 24 * 60 * minuteMs;
    const age = (table: string) =>
      this.#prepare(
        `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE at < ? ORDER BY at LIMIT ${pruneSlice})`,
      ).run(oldest).changes;
    this.#verdicts -= age('verdict');
    this.#minutes -= age('minute');
    this.#prepare(
      `DELETE FROM transition WHERE id <= (SELECT coalesce(max(id), 0) - ${maxTransitions} FROM transition)`,
    ).run();
  }

  /** Undefined also where its bytes are no longer those that were written: SQLite itself does not look. */
  monitor(source: string): StoredMonitor | undefined {
    const row = this.#with(() => this.#prepare('SELECT * FROM monitor WHERE source = ?').get(source)) as
      | (StoredMonitor & { checksum: number })
      | undefined;
    if (!row) return undefined;
    const { checksum, ...stored } = row;
    const monitor = this.#states ? { ...stored, state: this.#states.get(source) ?? none } : stored;
    return checksum === computeChecksum(monitor) ? monitor : undefined;
  }

  /** All monitors without their states. */
  summaries(): Omit<StoredMonitor, 'state'>[] {
    return this.#with(() => this.#prepare('SELECT source, profile, summary FROM monitor').all()) as StoredMonitor[];
  }

  /** Alerts not yet settled, oldest first. */
  alerts(): StoredAlert[] {
    return this.#with(() =>
      this.#prepare('SELECT id, sink, at, body FROM alert ORDER BY rowid').all(),
    ) as StoredAlert[];
  }

  /** Newest first. */
  verdicts(query: ListQuery): PastVerdict[] {
    const rows = this.#list('verdict', query) as (PastVerdict & { detectors: string })[];
    return rows.map((row) => ({ ...row, detectors: parseDetectors(row.detectors) }));
  }

  /** Newest first. */
  transitions(query: ListQuery): PastTransition[] {
    return this.#list('transition', query) as PastTransition[];
  }

  #list(table: 'verdict' | 'transition', { before, limit, ...range }: ListQuery): unknown[] {
    const { where, values } = conditions(range, before === undefined ? [] : ['id < :before']);
    return this.#with(() =>
      this.#prepare(`SELECT * FROM ${table} ${where} ORDER BY id DESC LIMIT :limit`).all({ ...values, before, limit }),
    );
  }

  /** Stretches of equal length that held verdicts, oldest first. From single verdicts below a minute, else from aggregates. */
  trend({ points, ...range }: TrendQuery): TrendPoint[] {
    const wanted = Math.max(1000, (range.to - range.from) / points);
    const span = wanted < minuteMs ? Math.ceil(wanted / 1000) * 1000 : Math.ceil(wanted / minuteMs) * minuteMs;
    const { where, values } = conditions(range);
    const columns =
      span < minuteMs
        ? "count(*) AS images, sum(verdict = 'warn') AS warn, sum(verdict = 'block') AS block, avg(pValue) AS pValueMean, " +
          'min(pValue) AS pValueMin, avg(score) AS scoreMean, max(score) AS scoreMax, avg(ms) AS msMean FROM verdict'
        : 'sum(images) AS images, sum(warn) AS warn, sum(block) AS block, sum(pValueSum) / sum(images) AS pValueMean, ' +
          'min(pValueMin) AS pValueMin, sum(scoreSum) / sum(images) AS scoreMean, max(scoreMax) AS scoreMax, ' +
          'sum(msSum) / sum(images) AS msMean FROM minute';
    return this.#with(() =>
      this.#prepare(`SELECT at - at % :span AS at, :span AS span, ${columns} ${where} GROUP BY 1 ORDER BY 1`).all({
        ...values,
        span,
      }),
    ) as TrendPoint[];
  }

  /** How often each statistic was the strongest reason of a verdict that was not pass, most often first. */
  reasons(range: Range): { reason: string; images: number }[] {
    const { where, values } = conditions(range, ["verdict <> 'pass'", 'reason IS NOT NULL']);
    return this.#with(() =>
      this.#prepare(
        `SELECT reason, count(*) AS images FROM verdict ${where} GROUP BY reason ORDER BY images DESC, reason`,
      ).all(values),
    ) as { reason: string; images: number }[];
  }

  close(): void {
    const db = this.#db;
    this.#db = undefined;
    this.#statements.clear();
    try {
      db?.close();
    } catch {
      // A file that cannot even be closed is opened anew, or set aside, by whoever needs it next.
    }
  }
}

function computeChecksum({ source, profile, summary, state }: StoredMonitor): number {
  return crc32(state, crc32(`${source}\n${profile}\n${summary}`));
}

/** One damaged row must not hide the others. */
function parseDetectors(json: string): Record<string, number> {
  try {
    return JSON.parse(json);
  } catch {
    return {};
  }
}

function conditions(range: Range, further: string[] = []): { where: string; values: Range } {
  const parts = [
    ...(range.source === undefined ? [] : ['source = :source']),
    ...(range.from === undefined ? [] : ['at >= :from']),
    ...(range.to === undefined ? [] : ['at < :to']),
    ...further,
  ];
  return { where: parts.length > 0 ? `WHERE ${parts.join(' AND ')}` : '', values: range };
}

export function readCode(error: unknown): string {
  return String((error as { code?: unknown }).code ?? '');
}
