import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { resolveEntry } from '../../core/entry.ts';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { release } from '../../image/frame.ts';
import { createWorkerLine, type WorkerLine } from '../../run/workers/line.ts';
import type {
  Batch,
  DatabaseSettings,
  ListQuery,
  PastTransition,
  PastVerdict,
  Range,
  StoredAlert,
  StoredMonitor,
  TrendPoint,
  TrendQuery,
} from './database.ts';
import type { StoreAnswer, StoreTask } from './thread.entry.ts';

/** What may be said of a store as it goes. */
export type StoreEvent =
  /** Nothing can be written for now; what comes is kept in memory, up to a bound. */
  | { kind: 'degraded'; reason: string }
  | { kind: 'recovered' }
  /** A damaged file was set aside and a new one begun. */
  | { kind: 'setAside'; path: string }
  /** What was committed earlier may be gone: whoever still has state in memory writes it again. */
  | { kind: 'renewed' };

export interface StoreOptions {
  /** Folder of the one file, made when it does not exist; absent: in memory, gone with the process. */
  folder?: string | undefined;
  /** Most verdicts kept. */
  historyRows: number;
  /** Nothing of the history is kept longer. */
  historyDays: number;
  notify?: (event: StoreEvent) => void;
  /** How long to wait for a process that is about to let go of the file; default 15 s. */
  lockTimeoutMs?: number;
}

/** So that with the write itself no more than a second is lost to kill -9. */
const commitEveryMs = 100;
const retryMs = { first: 500, longest: 5000 };
/** A disk that takes longer than this counts as one that cannot be written. */
const slowMs = 5000;
/** Verdicts and transitions that wait in memory while nothing can be written; beyond it the oldest go. */
const maxWaiting = 10_000;
const closeTimeoutMs = 5000;
/** In memory there is no disk to spare. */
const maxRowsInMemory = 20_000;

/** What was added and is not written yet. */
class Waiting {
  /** Null stands for a source that is to be forgotten. */
  readonly monitors = new Map<string, StoredMonitor | null>();
  readonly #verdicts: PastVerdict[] = [];
  readonly #transitions: PastTransition[] = [];
  readonly #alerts: StoredAlert[] = [];
  readonly #settled: string[] = [];

  get isEmpty(): boolean {
    const lists = [this.#verdicts, this.#transitions, this.#alerts, this.#settled];
    return this.monitors.size === 0 && lists.every(({ length }) => length === 0);
  }

  /** @returns how many verdicts had to go */
  add(change: Partial<Batch>): number {
    for (const monitor of change.monitors ?? []) this.monitors.set(monitor.source, monitor);
    for (const source of change.forgotten ?? []) this.monitors.set(source, null);
    this.#verdicts.push(...(change.verdicts ?? []));
    this.#transitions.push(...(change.transitions ?? []));
    this.#alerts.push(...(change.alerts ?? []));
    this.#settled.push(...(change.settled ?? []));
    this.#transitions.splice(0, this.#transitions.length - maxWaiting);
    return this.#verdicts.splice(0, this.#verdicts.length - maxWaiting).length;
  }

  /** Gives back the memory of the states, which are written and which nobody else holds. */
  release(): void {
    for (const monitor of this.monitors.values()) if (monitor) release(monitor.state);
  }

  toBatch(): Batch {
    const monitors = [...this.monitors.values()].filter((monitor) => monitor !== null);
    const forgotten = [...this.monitors].flatMap(([source, monitor]) => (monitor === null ? [source] : []));
    const [verdicts, transitions, alerts, settled] = [this.#verdicts, this.#transitions, this.#alerts, this.#settled];
    return { monitors, forgotten, verdicts, transitions, alerts, settled };
  }
}

/**
 * @throws {StoplineError} STATE_UNUSABLE when the folder cannot be made or written, another process has the file, or a newer
 * version wrote it
 * @example
 * const store = await openStore({ folder: '/var/lib/stopline', historyRows: 200_000, historyDays: 30 });
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const store = new Store(options);
  await store.open();
  return store;
}

/**
 * What a service remembers: monitors, verdicts, transitions, alerts not yet delivered. What is added is written within a
 * second, in a thread of its own, all of one moment in one transaction. Nobody has to wait for it, and where the disk is full
 * or broken the service goes on from memory.
 */
export class Store {
  readonly file: string | undefined;
  readonly #line: WorkerLine<StoreTask>;
  readonly #notify: (event: StoreEvent) => void;
  #collect: () => StoredMonitor[] = () => [];
  #waiting = new Waiting();
  #writing: { batch: Waiting; since: number; done: Promise<void> } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retryIn = retryMs.first;
  /** Whether something was added since the last write began. */
  #isAsked = false;
  #degraded: string | undefined;
  #dropped = 0;
  #setAside = 0;
  /** Counters of the thread, as it told them last. */
  #seen = { generation: 0, setAside: 0 };

  /** Use `openStore`. */
  constructor({ folder, historyRows, historyDays, notify = () => undefined, lockTimeoutMs = 15_000 }: StoreOptions) {
    this.file = folder === undefined ? undefined : join(makeFolder(folder), 'stopline.db');
    this.#notify = notify;
    const settings: DatabaseSettings = {
      file: this.file,
      historyRows: this.file === undefined ? Math.min(historyRows, maxRowsInMemory) : historyRows,
      historyDays,
      lockTimeoutMs,
    };
    this.#line = createWorkerLine<StoreTask>({
      filename: resolveEntry('./thread.entry', import.meta.url),
      workerData: settings,
      threads: 1,
      graceMs: closeTimeoutMs,
    });
  }

  /** @throws {StoplineError} STATE_UNUSABLE */
  async open(): Promise<void> {
    try {
      await this.#ask({ method: 'open', values: [] });
    } catch (error) {
      if (asStoplineError(error).code !== 'STOPLINE_ERR_STORE_UNAVAILABLE') {
        await this.#line.destroy();
        throw error;
      }
      // A full or broken disk at the start is the same as one later.
      this.#setDegraded((error as Error).message);
    }
  }

  /** Why nothing can be written for now. */
  get degraded(): string | undefined {
    const isSlow = this.#writing !== undefined && performance.now() - this.#writing.since > slowMs;
    return this.#degraded ?? (isSlow ? 'The disk has not taken the last write for seconds.' : undefined);
  }

  /** Verdicts lost because nothing could be written for long. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Damaged files that were set aside since the start. */
  get setAside(): number {
    return this.#setAside;
  }

  add(change: Partial<Batch>): void {
    this.#dropped += this.#waiting.add(change);
    this.#isAsked = true;
    if (!this.#writing) this.#schedule(commitEveryMs);
  }

  /** Asks for what is new just before a write; `add({})` says that there is something. */
  onWrite(collect: () => StoredMonitor[]): void {
    this.#collect = collect;
  }

  /** Resolves when everything added before is on disk; rejects when that failed this time (it is tried again later). */
  async flush(): Promise<void> {
    if (this.#writing) await this.#writing.done.catch(() => undefined);
    if (this.#isAsked || !this.#waiting.isEmpty) await this.#write();
  }

  /** Finds also a monitor that was added and is not written yet. */
  async monitor(source: string): Promise<StoredMonitor | undefined> {
    const found = this.#latest(source);
    if (found !== undefined) return found ?? undefined;
    return this.#ask({ method: 'monitor', values: [source] });
  }

  summaries(): Promise<Omit<StoredMonitor, 'state'>[]> {
    return this.#ask({ method: 'summaries', values: [] });
  }

  alerts(): Promise<StoredAlert[]> {
    return this.#ask({ method: 'alerts', values: [] });
  }

  verdicts(query: ListQuery): Promise<PastVerdict[]> {
    return this.#ask({ method: 'verdicts', values: [query] });
  }

  transitions(query: ListQuery): Promise<PastTransition[]> {
    return this.#ask({ method: 'transitions', values: [query] });
  }

  trend(query: TrendQuery): Promise<TrendPoint[]> {
    return this.#ask({ method: 'trend', values: [query] });
  }

  reasons(range: Range): Promise<{ reason: string; images: number }[]> {
    return this.#ask({ method: 'reasons', values: [range] });
  }

  /** Writes what is left, for at most 5 s, and ends the thread. */
  async close(): Promise<void> {
    const late = AbortSignal.timeout(closeTimeoutMs);
    const end = new Promise<void>((resolve) => late.addEventListener('abort', () => resolve()));
    await Promise.race([this.#flushAll().catch(() => undefined), end]);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#line.destroy();
  }

  async #flushAll(): Promise<void> {
    while (this.#isAsked || this.#writing || !this.#waiting.isEmpty) await this.flush();
  }

  /** A copy of the monitor as it waits to be written; null where it is about to be forgotten. */
  #latest(source: string): StoredMonitor | null | undefined {
    for (const batch of [this.#waiting, this.#writing?.batch]) {
      const found = batch?.monitors.get(source);
      if (found !== undefined) return found && { ...found, state: found.state.slice() };
    }
    return undefined;
  }

  async #ask<Value>(task: StoreTask): Promise<Value> {
    const answer = await this.#line.run<StoreAnswer>(task).catch((error) => {
      // A thread that died took its counters with it, and perhaps a file that is fine.
      if (asStoplineError(error).code === 'STOPLINE_ERR_INTERNAL') this.#seen = { generation: 0, setAside: 0 };
      throw error;
    });
    this.#notice(answer);
    const { failed } = answer;
    if (failed) throw new StoplineError('STORE_UNAVAILABLE', `The store answers ${failed.code}: ${failed.message}.`);
    return answer.value as Value;
  }

  /** Tells what happened to the file since the answer before. */
  #notice({ generation, setAside }: StoreAnswer): void {
    const isRenewed = generation > this.#seen.generation;
    for (const path of setAside.slice(this.#seen.setAside)) {
      this.#setAside += 1;
      this.#notify({ kind: 'setAside', path });
    }
    this.#seen = { generation, setAside: setAside.length };
    if (isRenewed) this.#notify({ kind: 'renewed' });
  }

  #schedule(inMs: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write().catch(() => undefined); // `degraded` says so, and it is tried again
    }, inMs);
  }

  /** Writes one transaction at a time; what comes meanwhile is the next one's. */
  #write(): Promise<void> {
    if (this.#writing) return this.#writing.done;
    this.#isAsked = false;
    this.#waiting.add({ monitors: this.#collect() });
    const batch = this.#waiting;
    this.#waiting = new Waiting();
    const since = performance.now();
    const done = this.#ask<void>({ method: 'commit', values: [batch.toBatch()] }).then(
      () => {
        this.#finishWrite(since);
        batch.release();
      },
      (error) => {
        this.#keepUnwritten(batch, error);
        throw error;
      },
    );
    this.#writing = { batch, since, done };
    return done;
  }

  #finishWrite(since: number): void {
    this.#writing = undefined;
    this.#retryIn = retryMs.first;
    this.#setDegraded(undefined);
    // The time that the write took counts: what came meanwhile has waited for it already.
    if (this.#isAsked) this.#schedule(Math.max(0, commitEveryMs - (performance.now() - since)));
  }

  #keepUnwritten(batch: Waiting, error: unknown): void {
    this.#writing = undefined;
    const later = this.#waiting;
    this.#waiting = batch;
    this.#dropped += batch.add(later.toBatch());
    this.#setDegraded((error as Error).message);
    this.#schedule(this.#retryIn);
    this.#retryIn = Math.min(2 * this.#retryIn, retryMs.longest);
  }

  #setDegraded(reason: string | undefined): void {
    const was = this.#degraded;
    this.#degraded = reason;
    if (reason === was) return;
    if (reason === undefined) this.#notify({ kind: 'recovered' });
    else if (was === undefined) this.#notify({ kind: 'degraded', reason });
  }
}

function makeFolder(folder: string): string {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StoplineError(
      'STATE_UNUSABLE',
      `Expected --state-dir to name a folder that can be made and written but ${folder} gave ${code}.`,
      { cause },
    );
  }
  return folder;
}
