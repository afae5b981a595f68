import type { FastifyBaseLogger } from 'fastify';
import type { Drift } from '../../drift/drift.ts';
import type { Monitor } from '../../drift/monitor.ts';
import type { Observation } from '../../drift/observation.ts';
import type { DriftReport, DriftState, Transition } from '../../drift/report.ts';
import { StoplineError } from '../../errors.ts';
import type { StoredAlert, StoredMonitor } from '../store/database.ts';
import type { Store } from '../store/store.ts';

/** What lists show of a source. */
export interface SourceSummary {
  source: string;
  state: DriftState;
  /** Since when it is in this state; milliseconds since 1970. */
  since: number;
  /** When its last image came. */
  lastAt: number;
  /** Of the report at the last change of state: the likeliest cause, and the statistics that moved most. */
  cause?: string;
  moved: { statistic: string; direction: string; size: number }[];
}

/** One change of state of one source. */
export interface SourceTransition extends Transition {
  source: string;
  report: DriftReport;
}

/** States that somebody must be told of; leaving them, too. */
const alarming: readonly DriftState[] = ['drifted', 'frozen', 'stale'];
export const isAlarm = (state: DriftState): boolean => alarming.includes(state);

/** Number of sources by state. */
export function countStates(summaries: readonly SourceSummary[]): Map<DriftState, number> {
  const counts = new Map<DriftState, number>();
  for (const { state } of summaries) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

/** Where the sources are whose new names are no longer taken because there are too many. */
export const otherSource = 'other';

export interface MonitorsOptions {
  store: Store;
  log: FastifyBaseLogger;
  /** Undefined while there is no Profile. */
  drift: Drift | undefined;
  staleAfterMs: number;
  maxSources: number;
  /** Monitors in memory at once; default 1,000, of about 20 kB each. */
  capacity?: number;
  /** Told of every transition before it is written; what it returns is written with it, or not at all. */
  onTransition(transition: SourceTransition): StoredAlert[];
}

/**
 * The monitors of a service, one for each source: the ones of late in memory, all in the store. They go on after a restart
 * where the last write left them, at most a second before the end.
 */
export interface Monitors {
  /** Takes an image of a source. Returns at once; images of one source are taken in order. */
  observe(source: string, observation: Observation): void;
  summaries(): SourceSummary[];
  /** Undefined for a source that is not known. @throws {StoplineError} STORE_UNAVAILABLE */
  report(source: string): Promise<DriftReport | undefined>;
  /** Lets a source learn again; false when it is not known. */
  reset(source: string, why: string): boolean;
  /** Compares with another Profile from now on: all sources learn again. */
  replace(drift: Drift): void;
  summary(source: string): SourceSummary | undefined;
  /** All that is known of a source, when the images that it was given are counted. */
  state(source: string): Promise<StoredMonitor | undefined>;
  /** Goes on from a state that another service saved. */
  adopt(monitor: StoredMonitor): void;
  /** Forgets sources, because others watch them. */
  release(which: (source: string) => boolean): void;
  /** Images of sources that were counted as `other`. */
  readonly overflowed: number;
  /** Writes all that is in memory anew, because the store may have lost it. */
  save(): void;
  close(): void;
}

interface Entry {
  summary: SourceSummary;
  /** Of which Profile the summary and the stored state are. */
  profile: string;
  /** Absent while it is only in the store. */
  monitor?: Monitor;
  /** Images that wait until the monitor is read. */
  waiting?: Observation[];
  /** Resolves when it is read. */
  loading?: Promise<void>;
  isDirty: boolean;
  /** How often it was made to learn again. */
  resets: number;
  /** Monotonic milliseconds of the last image; the clock of the day may jump. */
  quietSince: number;
}

const defaultCapacity = 1000;
/** A source that is silent for this long gives its place to a new one when there are too many. */
const forgottenAfterMs = 24 * 60 * 60_000;
/** Read back in one round because they may be stale. */
const maxReadBack = 100;
/** Images of one source that wait for its monitor; a disk that takes this long to answer is one that is broken. */
const maxWaitingImages = 1000;
/** States written at once: some megabytes that exist several times while they are written. */
const maxPerWrite = 256;
const maxMoved = 3;

export async function createMonitors(options: MonitorsOptions): Promise<Monitors> {
  const { store, log, staleAfterMs, maxSources, capacity = defaultCapacity, onTransition } = options;
  let { drift } = options;
  /** The one that was silent for longest comes first. */
  const entries = new Map<string, Entry>();
  /** Those in memory, in the same order. */
  const loaded = new Map<string, Entry>();
  const dirty = new Set<Entry>();
  let overflowed = 0;

  const stored = await store.summaries().catch((error) => {
    log.error({ err: error }, 'monitors cannot be read: all sources learn again');
    return [];
  });
  for (const entry of stored.flatMap(parseEntry).sort((a, b) => a.summary.lastAt - b.summary.lastAt)) {
    entries.set(entry.summary.source, entry);
  }
  if (drift) replace(drift);

  function requireDrift(): Drift {
    if (!drift) throw new StoplineError('INTERNAL', 'Expected a Profile to watch by.');
    return drift;
  }

  function replace(next: Drift): void {
    drift = next;
    for (const entry of [...entries.values()]) {
      if (entry.profile !== next.profile) relearn(entry, 'the Profile is another one');
    }
  }

  function captureState(entry: Entry): StoredMonitor {
    const { source } = entry.summary;
    const state = entry.monitor?.save() ?? new Uint8Array();
    return { source, profile: entry.profile, state, summary: JSON.stringify(entry.summary) };
  }

  function markDirty(entry: Entry): void {
    if (!entry.isDirty) dirty.add(entry);
    entry.isDirty = true;
    store.add({});
  }

  store.onWrite(() => {
    const monitors: StoredMonitor[] = [];
    for (const entry of dirty) {
      if (monitors.length === maxPerWrite) break;
      monitors.push(captureState(entry));
      entry.isDirty = false;
      dirty.delete(entry);
    }
    if (dirty.size > 0) store.add({});
    return monitors;
  });

  /** Makes room in memory: the state of whoever was silent for longest is left to the store. */
  function shrink(): void {
    for (const [source, entry] of loaded) {
      if (loaded.size <= capacity) return;
      if (entry.isDirty) store.add({ monitors: [captureState(entry)] });
      entry.isDirty = false;
      dirty.delete(entry);
      entry.monitor = undefined;
      loaded.delete(source);
    }
  }

  function touch(entry: Entry): void {
    const { source } = entry.summary;
    entries.delete(source);
    entries.set(source, entry);
    if (!loaded.delete(source)) return;
    loaded.set(source, entry);
  }

  function change(entry: Entry, transition: Transition, report: DriftReport): void {
    const { source } = entry.summary;
    const [cause] = report.causes;
    entry.summary = {
      ...entry.summary,
      state: transition.to,
      since: transition.at,
      cause: cause?.cause,
      moved: report.moved.slice(0, maxMoved).map(({ statistic, direction, size }) => ({ statistic, direction, size })),
    };
    const alerts = onTransition({ ...transition, source, report });
    const { at, from, to } = transition;
    entry.isDirty = false;
    dirty.delete(entry);
    store.add({
      transitions: [{ source, at, from, to, report: JSON.stringify(report) }],
      alerts,
      monitors: [captureState(entry)],
    });
  }

  /** Throws away what is known of a source and says why. */
  function relearn(entry: Entry, text: string): void {
    const { source, state: from } = entry.summary;
    const drift = requireDrift();
    entry.profile = drift.profile;
    entry.monitor = undefined;
    entry.resets += 1;
    loaded.delete(source);
    const transition: Transition = { from, to: 'learning', at: Date.now(), images: 0, evidence: 0, text };
    if (from !== 'learning') change(entry, transition, drift.monitor().report());
    else store.add({ monitors: [captureState(entry)] });
  }

  function take(entry: Entry, monitor: Monitor, observation: Observation): void {
    const transition = monitor.observe(observation);
    entry.summary.lastAt = Math.max(entry.summary.lastAt, observation.at);
    if (transition) change(entry, transition, monitor.report());
    else markDirty(entry);
  }

  /** Reads the monitor of an entry back; images that come meanwhile wait. */
  async function load(entry: Entry): Promise<void> {
    const { source } = entry.summary;
    const { resets } = entry;
    const waiting: Observation[] = [];
    entry.waiting = waiting;
    const found = await store.monitor(source).catch((error) => {
      log.error({ err: error, source }, 'a monitor cannot be read: the source learns again');
      return undefined;
    });
    entry.waiting = undefined;
    if (entries.get(source) !== entry) return;
    const monitor = requireDrift().monitor(resets === entry.resets && found?.state.length ? found.state : undefined);
    entry.monitor = monitor;
    loaded.set(source, entry);
    const { state: from } = entry.summary;
    if (monitor.state !== from) {
      const text = 'what was known of the source is lost';
      const report = monitor.report();
      change(entry, { from, to: monitor.state, at: Date.now(), images: report.images, evidence: 0, text }, report);
    }
    for (const observation of waiting) take(entry, monitor, observation);
    shrink();
  }

  /** The entry of a source; of `other` where there are too many. */
  function openEntry(source: string): Entry {
    const drift = requireDrift();
    const known = entries.get(source);
    if (known) return known;
    if (source !== otherSource && entries.size >= maxSources) {
      const [oldest] = entries.values();
      if (Date.now() - oldest.summary.lastAt < forgottenAfterMs) {
        overflowed += 1;
        return openEntry(otherSource);
      }
      forget(oldest);
    }
    const entry: Entry = {
      summary: { source, state: 'learning', since: Date.now(), lastAt: 0, moved: [] },
      profile: drift.profile,
      monitor: drift.monitor(),
      isDirty: false,
      resets: 0,
      quietSince: performance.now(),
    };
    entries.set(source, entry);
    loaded.set(source, entry);
    return entry;
  }

  function forget(entry: Entry): void {
    const { source } = entry.summary;
    entries.delete(source);
    loaded.delete(source);
    dirty.delete(entry);
    store.add({ forgotten: [source] });
  }

  function tick(): void {
    const now = Date.now();
    for (const entry of loaded.values()) tickOne(entry, now);
    let read = 0;
    for (const entry of drift ? entries.values() : []) {
      if (read === maxReadBack || performance.now() - entry.quietSince < staleAfterMs) break;
      if (entry.monitor || entry.waiting || entry.summary.state === 'stale') continue;
      read += 1;
      // A monitor believes only in short steps of time: those that passed while it was on disk are made up for.
      entry.loading = load(entry).then(() => {
        for (let step = 5; step >= 0; step--) tickOne(entry, now - (step * staleAfterMs) / 4);
      });
    }
  }

  function tickOne(entry: Entry, now: number): void {
    const transition = entry.monitor?.tick(now);
    if (transition && entry.monitor) change(entry, transition, entry.monitor.report());
  }

  const ticking = setInterval(tick, Math.min(30_000, Math.max(100, staleAfterMs / 8))).unref();

  return {
    observe(source, observation) {
      if (!drift) return;
      const entry = openEntry(source);
      entry.quietSince = performance.now();
      touch(entry);
      if (entry.waiting) {
        if (entry.waiting.length < maxWaitingImages) entry.waiting.push(observation);
      } else if (entry.monitor) take(entry, entry.monitor, observation);
      else {
        entry.loading = load(entry);
        (entry.waiting as Observation[] | undefined)?.push(observation);
      }
      if (loaded.size > capacity) shrink();
    },
    summaries: () => [...entries.values()].map(({ summary }) => summary),
    async report(source) {
      const entry = entries.get(source);
      if (!entry || !drift) return undefined;
      const state = entry.monitor ? undefined : (await store.monitor(source))?.state;
      return (entry.monitor ?? drift.monitor(state?.length ? state : undefined)).report();
    },
    reset(source, why) {
      const entry = entries.get(source);
      if (!entry || !drift) return false;
      relearn(entry, why);
      return true;
    },
    replace,
    summary: (source) => entries.get(source)?.summary,
    async state(source) {
      const entry = entries.get(source);
      await entry?.loading;
      if (!entry) return undefined;
      return entry.monitor ? captureState(entry) : store.monitor(source);
    },
    adopt(stored) {
      for (const entry of parseEntry(stored)) {
        entries.delete(stored.source);
        loaded.delete(stored.source);
        entries.set(stored.source, entry);
        store.add({ monitors: [stored] });
      }
    },
    release(which) {
      for (const [source, entry] of [...entries]) if (which(source)) forget(entry);
    },
    get overflowed() {
      return overflowed;
    },
    save() {
      for (const entry of loaded.values()) if (entry.monitor) markDirty(entry);
    },
    close() {
      clearInterval(ticking);
    },
  };
}

function parseEntry({ source, profile, summary }: Omit<StoredMonitor, 'state'>): Entry[] {
  try {
    const parsed: SourceSummary = JSON.parse(summary);
    return [{ summary: { ...parsed, source }, profile, isDirty: false, resets: 0, quietSince: performance.now() }];
  } catch {
    return []; // a damaged row: the source learns again
  }
}
