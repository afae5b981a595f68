import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { createWorkerLine } from '../../run/workers/line.ts';
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
  /** A damaged file was moved aside and a new one begun. */
  | { kind: 'quarantined'; path: string }
  /** What was committed earlier may be gone: whoever still has state in memory writes it again. */
  | { kind: 'renewed' };

export interface StoreOptions {
  /** Folder of the one file, made when it does not exist; absent: in memory, gone with the process. */
  folder?: string;
  /** Most verdicts kept. */
  historyRows: number;
  /** Nothing of the history is kept longer. */
  historyDays: number;
  notify?: (event: StoreEvent) => void;
  /** How long to wait for a process that is about to let go of the file; default 15 s. */
  lockTimeoutMs?: number;
}

/**
 * What a service remembers: monitors, verdicts, transitions, alerts not yet delivered. What is added is written within a
 * second, in a thread of its own, all of one moment in one transaction. Nobody waits for it who need not, and where the disk
 * is full or broken the service goes on from memory.
 */
export interface Store {
  readonly file: string | undefined;
  /** Why nothing can be written for now. */
  readonly degraded: string | undefined;
  /** Verdicts lost because nothing could be written for long. */
  readonly dropped: number;
  /** Damaged files moved aside since the start. */
  readonly quarantined: number;
  add(change: Partial<Batch>): void;
  /** Asks for what is new just before a write; `add({})` says that there is something. */
  onWrite(collect: () => StoredMonitor[]): void;
  /** Resolves when everything added before is on disk; rejects when that failed this time (it is tried again later). */
  flush(): Promise<void>;
  /** Also one that was added and is not written yet. */
  monitor(source: string): Promise<StoredMonitor | undefined>;
  summaries(): Promise<Omit<StoredMonitor, 'state'>[]>;
  alerts(): Promise<StoredAlert[]>;
  verdicts(query: ListQuery): Promise<PastVerdict[]>;
  transitions(query: ListQuery): Promise<PastTransition[]>;
  trend(query: TrendQuery): Promise<TrendPoint[]>;
  reasons(range: Range): Promise<{ reason: string; images: number }[]>;
  /** Writes what is left, for at most 5 s, and ends the thread. */
  close(): Promise<void>;
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

/** What is added and not yet written. */
class Waiting {
  /** Null: forgotten. */
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
  const { folder, historyRows, historyDays, notify = () => undefined, lockTimeoutMs = 15_000 } = options;
  const file = folder === undefined ? undefined : join(makeFolder(folder), 'stopline.db');
  const settings: DatabaseSettings = {
    file,
    historyRows: file === undefined ? Math.min(historyRows, maxRowsInMemory) : historyRows,
    historyDays,
    lockTimeoutMs,
  };
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const line = createWorkerLine<StoreTask>({
    filename: fileURLToPath(new URL(`./thread.entry.${extension}`, import.meta.url)),
    workerData: settings,
    threads: 1,
    graceMs: closeTimeoutMs,
  });

  let collect: () => StoredMonitor[] = () => [];
  let waiting = new Waiting();
  let writing: { batch: Waiting; since: number; done: Promise<void> } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let retryIn = retryMs.first;
  /** Whether something was added since the last write began. */
  let isAsked = false;
  let degraded: string | undefined;
  let dropped = 0;
  let quarantined = 0;
  let seen = { generation: 0, quarantined: 0 };

  const setDegraded = (reason: string | undefined) => {
    if (reason === degraded) return;
    const was = degraded;
    degraded = reason;
    if (reason === undefined) notify({ kind: 'recovered' });
    else if (was === undefined) notify({ kind: 'degraded', reason });
  };

  async function ask<Value>(task: StoreTask): Promise<Value> {
    const answer = await line.run<StoreAnswer>(task).catch((error) => {
      // A thread that died took its counters with it, and perhaps a file that is fine.
      if (asStoplineError(error).code === 'STOPLINE_ERR_INTERNAL') seen = { generation: 0, quarantined: 0 };
      throw error;
    });
    const isRenewed = answer.generation > seen.generation;
    for (const path of answer.quarantined.slice(seen.quarantined)) {
      quarantined += 1;
      notify({ kind: 'quarantined', path });
    }
    seen = { generation: answer.generation, quarantined: answer.quarantined.length };
    if (isRenewed) notify({ kind: 'renewed' });
    const { failed } = answer;
    if (failed) throw new StoplineError('STORE_UNAVAILABLE', `The store answers ${failed.code}: ${failed.message}.`);
    return answer.value as Value;
  }

  const schedule = (inMs: number) => {
    timer ??= setTimeout(() => {
      timer = undefined;
      write().catch(() => undefined); // said by `degraded`, and tried again
    }, inMs);
  };

  /** One transaction at a time; what comes meanwhile is the next one's. */
  const write = (): Promise<void> => {
    if (writing) return writing.done;
    isAsked = false;
    waiting.add({ monitors: collect() });
    const batch = waiting;
    waiting = new Waiting();
    const since = performance.now();
    const done = ask<void>({ method: 'commit', values: [batch.toBatch()] }).then(
      () => {
        writing = undefined;
        retryIn = retryMs.first;
        setDegraded(undefined);
        // As if it had taken no time: what came meanwhile has waited for it already.
        if (isAsked) schedule(Math.max(0, commitEveryMs - (performance.now() - since)));
      },
      (error) => {
        writing = undefined;
        const later = waiting;
        waiting = batch;
        dropped += waiting.add(later.toBatch());
        setDegraded((error as Error).message);
        schedule(retryIn);
        retryIn = Math.min(2 * retryIn, retryMs.longest);
        throw error;
      },
    );
    writing = { batch, since, done };
    return done;
  };

  try {
    await ask({ method: 'open', values: [] });
  } catch (error) {
    const { code } = asStoplineError(error);
    if (code !== 'STOPLINE_ERR_STORE_UNAVAILABLE') {
      await line.destroy();
      throw error;
    }
    // A full or broken disk at the start is the same as one later.
    setDegraded((error as Error).message);
  }

  const flush = async () => {
    if (writing) await writing.done.catch(() => undefined);
    if (isAsked || !waiting.isEmpty) await write();
  };

  const latest = (source: string) => {
    for (const batch of [waiting, writing?.batch]) {
      const found = batch?.monitors.get(source);
      if (found !== undefined) return found;
    }
    return undefined;
  };

  return {
    file,
    get degraded() {
      const isSlow = writing !== undefined && performance.now() - writing.since > slowMs;
      return degraded ?? (isSlow ? 'The disk has not taken the last write for seconds.' : undefined);
    },
    get dropped() {
      return dropped;
    },
    get quarantined() {
      return quarantined;
    },
    add(change) {
      dropped += waiting.add(change);
      isAsked = true;
      if (!writing) schedule(commitEveryMs);
    },
    onWrite(ask) {
      collect = ask;
    },
    flush,
    async monitor(source) {
      const found = latest(source);
      if (found !== undefined) return found ?? undefined;
      return ask({ method: 'monitor', values: [source] });
    },
    summaries: () => ask({ method: 'summaries', values: [] }),
    alerts: () => ask({ method: 'alerts', values: [] }),
    verdicts: (query) => ask({ method: 'verdicts', values: [query] }),
    transitions: (query) => ask({ method: 'transitions', values: [query] }),
    trend: (query) => ask({ method: 'trend', values: [query] }),
    reasons: (range) => ask({ method: 'reasons', values: [range] }),
    async close() {
      const late = AbortSignal.timeout(closeTimeoutMs);
      const end = new Promise<void>((resolve) => late.addEventListener('abort', () => resolve()));
      const rest = async () => {
        while (isAsked || writing || !waiting.isEmpty) await flush();
      };
      await Promise.race([rest().catch(() => undefined), end]);
      clearTimeout(timer);
      timer = undefined;
      await line.destroy();
    },
  };
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
