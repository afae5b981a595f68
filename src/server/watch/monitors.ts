import type { FastifyBaseLogger } from 'fastify';
import type { Drift } from '../../drift/drift.ts';
import type { Monitor } from '../../drift/monitor.ts';
import type { Observation } from '../../drift/observation.ts';
import { describeRecent, type RecentLevel, type RecentVerdicts } from '../../drift/recent.ts';
import {
  type DriftReport,
  type DriftState,
  type Glance,
  listLeads,
  type Moved,
  type Transition,
} from '../../drift/report.ts';
import { StoplineError } from '../../errors.ts';
import type { StoredAlert, StoredMonitor } from '../store/database.ts';
import type { Store } from '../store/store.ts';
import { advance, createTold, isWaiting, type News, type Present, type TellingRules, type Told } from './told.ts';

/** What is kept of a source beside the state of its monitor, so that lists need not read every state. */
export interface SourceSummary extends Glance {
  source: string;
  /** When its last image came. */
  lastAt: number;
  /** The likeliest cause and the statistics that moved most, as the report said at the last change of state. */
  cause?: string;
  moved: (Omit<Moved, 'pValue' | 'group' | 'text'> & Partial<Pick<Moved, 'text'>>)[];
  /** Why it came into its state, in plain words. */
  why?: string;
  /** What receivers were told; an earlier version kept none. */
  told?: Told;
}

/** One change of state of one source. */
export interface SourceTransition extends Transition {
  source: string;
  report: DriftReport;
}

/** Most of the latest images of a source are blocked, or no longer. */
export interface SourceAttention {
  source: string;
  from: RecentLevel;
  to: RecentLevel;
  /** Milliseconds since 1970. */
  at: number;
  text: string;
}

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
  /** Monitors in memory at once; default 400, of about 55 kB each. */
  capacity?: number;
  /** Told of every transition at once. */
  onTransition(transition: SourceTransition): void;
  /** Told at once when most of the latest images begin to be blocked, and when that ends. */
  onAttention(attention: SourceAttention): void;
  /** Whom to tell, and when; default: nobody. */
  telling?: Telling;
  /** Milliseconds that never go back; default: those of this process. */
  monotonic?: () => number;
}

/** How others are told of alarms: when they have lasted, and not in maintenance. */
interface Telling extends TellingRules {
  isMaintained(source: string): boolean;
  /** Makes the alerts of one change, which are written with the state or not at all. */
  describe(change: SourceTransition | SourceAttention): StoredAlert[];
}

/** What is known of one source. */
interface Entry {
  summary: SourceSummary;
  /** The Profile that the summary and the stored state belong to. */
  profile: string;
  /** Absent while it is only in the store. */
  monitor?: Monitor | undefined;
  /** Images that wait until the monitor is read. */
  waiting?: Observation[] | undefined;
  /** Resolves when it is read. */
  loading?: Promise<void>;
  isDirty: boolean;
  /** How often it was made to learn again. */
  resets: number;
  /** Monotonic milliseconds of the last image; the clock of the day may jump. */
  quietSince: number;
  /** Monotonic milliseconds at which what is to be told was last looked at; absent where nothing waits. */
  waitsSince?: number | undefined;
}

const defaultCapacity = 400;
/** A source that is silent for this long gives its place to a new one when there are too many. */
const forgottenAfterMs = 24 * 60 * 60_000;
/** Read back in one round because they may be stale. */
const maxReadBack = 100;
/** Images of one source that wait for its monitor; a disk that takes this long to answer is one that is broken. */
const maxWaitingImages = 1000;
/** States written at once: some megabytes that exist several times while they are written. */
const maxPerWrite = 256;
const maxMoved = 3;
/** Alarms that wait to be told are looked at so often. */
const waitingTickMs = 1000;

/** Opens the monitors that the store has. */
export async function createMonitors(options: MonitorsOptions): Promise<Monitors> {
  const { store, log } = options;
  const stored = await store.summaries().catch((error) => {
    log.error({ err: error }, 'monitors cannot be read: all sources learn again');
    return [];
  });
  return new Monitors(options, stored);
}

/**
 * The monitors of a service, one for each source: the latest in memory, all of them in the store. After a restart they go on
 * where the last write left them, at most a second before the end.
 */
export class Monitors {
  readonly #options: MonitorsOptions;
  readonly #capacity: number;
  #drift: Drift | undefined;
  /** The source that was silent for longest comes first. */
  readonly #entries = new Map<string, Entry>();
  /** Those in memory, in the same order. */
  readonly #loaded = new Map<string, Entry>();
  readonly #dirty = new Set<Entry>();
  readonly #ticking: NodeJS.Timeout;
  /** Sources that are known before an image has come. */
  readonly #expected = new Set<string>();
  /** Those of which something is to be told that must last first. */
  readonly #waiting = new Set<Entry>();
  readonly #telling: NodeJS.Timeout;
  readonly #monotonic: () => number;
  #overflowed = 0;

  /** Use `createMonitors`. */
  constructor(options: MonitorsOptions, stored: readonly Omit<StoredMonitor, 'state'>[]) {
    this.#options = options;
    this.#capacity = options.capacity ?? defaultCapacity;
    this.#monotonic = options.monotonic ?? (() => performance.now());
    for (const entry of stored.flatMap(parseEntry).sort((a, b) => a.summary.lastAt - b.summary.lastAt)) {
      this.#entries.set(entry.summary.source, entry);
      this.#expectNews(entry);
    }
    if (options.drift) this.replace(options.drift);
    options.store.onWrite(() => this.#collect());
    this.#ticking = setInterval(() => this.#tick(), Math.min(30_000, Math.max(100, options.staleAfterMs / 8))).unref();
    this.#telling = setInterval(() => this.tellWaiting(), waitingTickMs).unref();
  }

  /** Images of sources that were counted as `other`. */
  get overflowed(): number {
    return this.#overflowed;
  }

  /** Makes sources known of which images will come: they are stale where none does. */
  expect(sources: readonly string[]): void {
    for (const source of sources) {
      this.#expected.add(source);
      if (this.#drift) this.#openEntry(source);
    }
  }

  /** Takes an image of a source. Returns at once; images of one source are taken in order. */
  observe(source: string, observation: Observation): void {
    if (!this.#drift) return;
    const entry = this.#openEntry(source);
    entry.quietSince = performance.now();
    this.#touch(entry);
    if (entry.waiting) {
      if (entry.waiting.length < maxWaitingImages) entry.waiting.push(observation);
    } else if (entry.monitor) this.#take(entry, entry.monitor, observation);
    else {
      entry.loading = this.#load(entry);
      (entry.waiting as Observation[] | undefined)?.push(observation);
    }
    if (this.#loaded.size > this.#capacity) this.#shrink();
  }

  summaries(): SourceSummary[] {
    return [...this.#entries.values()].map(summarize);
  }

  summary(source: string): SourceSummary | undefined {
    const entry = this.#entries.get(source);
    return entry && summarize(entry);
  }

  /** Undefined for a source that is not known. @throws {StoplineError} STORE_UNAVAILABLE */
  async report(source: string): Promise<DriftReport | undefined> {
    const entry = this.#entries.get(source);
    if (!entry || !this.#drift) return undefined;
    const state = entry.monitor ? undefined : (await this.#options.store.monitor(source))?.state;
    return (entry.monitor ?? this.#drift.monitor(state?.length ? state : undefined)).report();
  }

  /** Lets a source learn again; false when it is not known. */
  reset(source: string, why: string): boolean {
    const entry = this.#entries.get(source);
    if (!entry || !this.#drift) return false;
    this.#relearn(entry, why);
    return true;
  }

  /** Compares with another Profile from now on: all sources learn again. */
  replace(next: Drift): void {
    this.#drift = next;
    for (const entry of [...this.#entries.values()]) {
      if (entry.profile !== next.profile) this.#relearn(entry, 'the Profile is another one');
    }
    this.expect([...this.#expected]);
  }

  /** All that is known of a source, when the images that it was given are counted. */
  async state(source: string): Promise<StoredMonitor | undefined> {
    const entry = this.#entries.get(source);
    await entry?.loading;
    if (!entry) return undefined;
    return entry.monitor ? describeMonitor(entry) : this.#options.store.monitor(source);
  }

  /** Goes on from a state that another service saved. */
  adopt(stored: StoredMonitor): void {
    for (const entry of parseEntry(stored)) {
      const before = this.#entries.get(stored.source);
      if (before) this.#waiting.delete(before);
      this.#entries.delete(stored.source);
      this.#loaded.delete(stored.source);
      this.#entries.set(stored.source, entry);
      this.#expectNews(entry);
      this.#options.store.add({ monitors: [stored] });
    }
  }

  /** Forgets sources, because others watch them. */
  release(which: (source: string) => boolean): void {
    for (const [source, entry] of [...this.#entries]) if (which(source)) this.#forget(entry);
  }

  /** Writes all that is in memory anew, because the store may have lost it. */
  save(): void {
    for (const entry of this.#loaded.values()) if (entry.monitor) this.#markDirty(entry);
  }

  /** Tells what has lasted long enough by now. Called every second. */
  tellWaiting(): void {
    for (const entry of [...this.#waiting]) {
      if (entry.monitor) {
        const alerts = this.#settle(entry);
        if (alerts.length > 0) this.#options.store.add({ alerts, monitors: [describeMonitor(entry)] });
      } else if (!entry.waiting && this.#isDue(entry)) entry.loading = this.#load(entry);
    }
  }

  /** Whether a source is to be told of whose monitor is only in the store: it is read back for what is told. */
  #isDue(entry: Entry): boolean {
    const { telling } = this.#options;
    const { told, source } = entry.summary;
    if (!telling || !told || !this.#drift || telling.isMaintained(source)) return false;
    const elapsedMs = this.#monotonic() - (entry.waitsSince ?? this.#monotonic());
    const news = advance({ ...told, causes: [...told.causes] }, describePresent(entry), elapsedMs, telling);
    return Object.keys(news).length > 0;
  }

  close(): void {
    clearInterval(this.#ticking);
    clearInterval(this.#telling);
  }

  #requireDrift(): Drift {
    if (!this.#drift) throw new StoplineError('INTERNAL', 'Expected a Profile to watch by.');
    return this.#drift;
  }

  #markDirty(entry: Entry): void {
    if (!entry.isDirty) this.#dirty.add(entry);
    entry.isDirty = true;
    this.#options.store.add({});
  }

  #markClean(entry: Entry): void {
    entry.isDirty = false;
    this.#dirty.delete(entry);
  }

  /** What the store is to write now: so many states and no more at once. */
  #collect(): StoredMonitor[] {
    const monitors: StoredMonitor[] = [];
    for (const entry of this.#dirty) {
      if (monitors.length === maxPerWrite) break;
      monitors.push(describeMonitor(entry));
      this.#markClean(entry);
    }
    if (this.#dirty.size > 0) this.#options.store.add({});
    return monitors;
  }

  /** Makes room in memory: the state of the source that was silent for longest is left to the store. */
  #shrink(): void {
    for (const entry of this.#loaded.values()) {
      if (this.#loaded.size <= this.#capacity) return;
      if (entry.isDirty) this.#options.store.add({ monitors: [describeMonitor(entry)] });
      this.#markClean(entry);
      entry.summary = summarize(entry);
      this.#unload(entry);
    }
  }

  /** Takes a monitor out of memory, which is given back at once: with many sources much would else wait to be collected. */
  #unload(entry: Entry): void {
    entry.monitor?.release();
    entry.monitor = undefined;
    this.#loaded.delete(entry.summary.source);
  }

  /** Moves a source to the end of those that were silent. */
  #touch(entry: Entry): void {
    const { source } = entry.summary;
    this.#entries.delete(source);
    this.#entries.set(source, entry);
    if (!this.#loaded.delete(source)) return;
    this.#loaded.set(source, entry);
  }

  #change(entry: Entry, transition: Transition, report: DriftReport): void {
    const { source } = entry.summary;
    const [cause] = report.causes;
    entry.summary = {
      ...summarize(entry),
      state: transition.to,
      since: transition.at,
      why: transition.text,
      cause: cause?.cause,
      moved: listLeads(report.moved)
        .slice(0, maxMoved)
        .map(({ statistic, text, direction, size }) => ({ statistic, text, direction, size })),
    };
    this.#options.onTransition({ ...transition, source, report });
    const alerts = this.#settle(entry, { ...transition, source, report });
    const { at, from, to } = transition;
    this.#markClean(entry);
    this.#options.store.add({
      transitions: [{ source, at, from, to, report: JSON.stringify(report) }],
      alerts,
      monitors: [describeMonitor(entry)],
    });
  }

  /** Throws away what is known of a source and says why. */
  #relearn(entry: Entry, text: string): void {
    const { state: from } = entry.summary;
    const { level } = summarize(entry).recent;
    const drift = this.#requireDrift();
    const fresh = drift.monitor();
    const now = Date.now();
    entry.profile = drift.profile;
    entry.resets += 1;
    this.#unload(entry);
    const { since, cause: _, ...kept } = entry.summary;
    entry.summary = { ...kept, ...unknown, ...fresh.glance(), moved: [], since: from === 'learning' ? since : now };
    const transition: Transition = { from, to: 'learning', at: now, images: 0, evidence: 0, text };
    if (from !== 'learning') this.#change(entry, transition, fresh.report());
    else this.#options.store.add({ monitors: [describeMonitor(entry)] });
    this.#attend(entry, level, entry.summary.recent);
  }

  #take(entry: Entry, monitor: Monitor, observation: Observation): void {
    const level = monitor.recentLevel;
    const transition = monitor.observe(observation);
    entry.summary.lastAt = Math.max(entry.summary.lastAt, observation.at);
    if (transition) this.#change(entry, transition, monitor.report());
    else this.#markDirty(entry);
    if (monitor.recentLevel !== level) this.#attend(entry, level, monitor.glance().recent);
  }

  /** Tells when most of the latest images begin to be blocked, and when that ends. */
  #attend(entry: Entry, from: RecentLevel, recent: RecentVerdicts): void {
    const to = recent.level;
    if (to === from || (to !== 'blocked' && from !== 'blocked')) return;
    const { source } = entry.summary;
    const at = Math.max(entry.summary.since, entry.summary.lastAt);
    const text = describeRecent(recent) ?? `${recent.block} of the last ${recent.images} images blocked`;
    this.#options.onAttention({ source, from, to, at, text });
    const alerts = this.#settle(entry);
    this.#options.store.add({ alerts });
  }

  /** Alerts of what has lasted long enough; what has not is looked at again. */
  #settle(entry: Entry, transition?: SourceTransition): StoredAlert[] {
    const { telling } = this.#options;
    if (!telling) return [];
    const { summary } = entry;
    const { source } = summary;
    summary.told ??= createTold(transition?.from ?? summary.state, summary.since);
    const { told } = summary;
    const now = this.#monotonic();
    const elapsedMs = entry.waitsSince === undefined ? 0 : now - entry.waitsSince;
    const present = describePresent(entry);
    const isMaintained = telling.isMaintained(source);
    // What happens in maintenance has not lasted when it ends: it counts from then.
    if (isMaintained) Object.assign(told, { stateMs: 0, blockedMs: 0 });
    const news = isMaintained ? {} : advance(told, present, elapsedMs, telling);
    if (isWaiting(told, present)) {
      entry.waitsSince = now;
      this.#waiting.add(entry);
    } else {
      entry.waitsSince = undefined;
      this.#waiting.delete(entry);
    }
    return this.#describeNews(entry, news, transition).flatMap((change) => telling.describe(change));
  }

  #describeNews(entry: Entry, news: News, transition: SourceTransition | undefined) {
    const { source, since, told, why = '' } = entry.summary;
    const changes: (SourceTransition | SourceAttention)[] = [];
    if (!told) return changes;
    const { state, recent } = summarize(entry);
    if (news.from !== undefined) {
      told.at = since;
      if (transition?.to === state) changes.push({ ...transition, from: news.from });
      else {
        const report = entry.monitor?.report() ?? this.#requireDrift().monitor().report();
        const { images, evidence } = report;
        const rest = { at: since, images, evidence: evidence.share, text: why, report };
        changes.push({ source, from: news.from, to: state, ...rest });
      }
    }
    if (news.isBlocked !== undefined) {
      const text = describeRecent(recent) ?? `${recent.block} of the last ${recent.images} images blocked`;
      const at = Math.max(since, entry.summary.lastAt);
      if (news.isBlocked) told.blocked = text;
      else delete told.blocked;
      changes.push({ source, at, text, from: news.isBlocked ? 'calm' : 'blocked', to: recent.level });
    }
    return changes;
  }

  /** Watches the time of an entry that was read back, where something is still to be told of it. */
  #expectNews(entry: Entry): void {
    if (!this.#options.telling) return;
    // What an earlier version kept says nothing of it: it told everything at once.
    entry.summary.told ??= { ...createTold(entry.summary.state, entry.summary.since), ...toldAtOnce(entry.summary) };
    if (!isWaiting(entry.summary.told, describePresent(entry))) return;
    entry.waitsSince = this.#monotonic();
    this.#waiting.add(entry);
  }

  /** Reads the monitor of an entry back; images that come meanwhile wait. */
  async #load(entry: Entry): Promise<void> {
    const { source } = entry.summary;
    const { resets } = entry;
    const { store, log } = this.#options;
    const waiting: Observation[] = [];
    entry.waiting = waiting;
    const found = await store.monitor(source).catch((error) => {
      log.error({ err: error, source }, 'a monitor cannot be read: the source learns again');
      return undefined;
    });
    entry.waiting = undefined;
    if (this.#entries.get(source) !== entry) return;
    const state = resets === entry.resets && found?.state.length ? found.state : undefined;
    const monitor = this.#requireDrift().monitor(state);
    entry.monitor = monitor;
    this.#loaded.set(source, entry);
    const { state: from } = entry.summary;
    if (monitor.state !== from) {
      const text = 'what was known of the source is lost';
      const report = monitor.report();
      this.#change(
        entry,
        { from, to: monitor.state, at: Date.now(), images: report.images, evidence: 0, text },
        report,
      );
    }
    this.#attend(entry, entry.summary.recent.level, monitor.glance().recent);
    for (const observation of waiting) this.#take(entry, monitor, observation);
    this.#shrink();
  }

  /** The entry of a source; that of `other` where there are too many. */
  #openEntry(source: string): Entry {
    const known = this.#entries.get(source);
    if (known) return known;
    if (source !== otherSource && this.#entries.size >= this.#options.maxSources) {
      const [oldest] = this.#entries.values();
      if (Date.now() - oldest.summary.lastAt < forgottenAfterMs) {
        this.#overflowed += 1;
        return this.#openEntry(otherSource);
      }
      this.#forget(oldest);
    }
    return this.#createEntry(source);
  }

  #createEntry(source: string): Entry {
    const drift = this.#requireDrift();
    const entry: Entry = {
      summary: { source, ...unknown, since: Date.now(), lastAt: 0, moved: [] },
      profile: drift.profile,
      monitor: drift.monitor(),
      isDirty: false,
      resets: 0,
      quietSince: performance.now(),
    };
    this.#entries.set(source, entry);
    this.#loaded.set(source, entry);
    return entry;
  }

  #forget(entry: Entry): void {
    const { source } = entry.summary;
    this.#entries.delete(source);
    this.#unload(entry);
    this.#dirty.delete(entry);
    this.#waiting.delete(entry);
    this.#options.store.add({ forgotten: [source] });
  }

  #tick(): void {
    const now = Date.now();
    for (const entry of this.#loaded.values()) this.#tickOne(entry, now);
    if (this.#drift) this.#readBackSilent(now);
  }

  /** Reads back monitors that are only in the store and may be stale by now. */
  #readBackSilent(now: number): void {
    const { staleAfterMs } = this.#options;
    let read = 0;
    for (const entry of this.#entries.values()) {
      if (read === maxReadBack || performance.now() - entry.quietSince < staleAfterMs) break;
      if (entry.monitor || entry.waiting || entry.summary.state === 'stale') continue;
      read += 1;
      // A monitor believes only in short steps of time: those that passed while it was on disk are made up for.
      entry.loading = this.#load(entry).then(() => {
        for (let step = 5; step >= 0; step--) this.#tickOne(entry, now - (step * staleAfterMs) / 4);
      });
    }
  }

  #tickOne(entry: Entry, now: number): void {
    const transition = entry.monitor?.tick(now, this.#expected.has(entry.summary.source));
    if (transition && entry.monitor) this.#change(entry, transition, entry.monitor.report());
  }
}

/** What is said of a source of which nothing is known. */
const unknown = {
  state: 'learning',
  since: 0,
  before: undefined,
  learning: undefined,
  alarm: undefined,
  frozen: undefined,
  recent: { images: 0, warn: 0, block: 0, level: 'calm' },
} as const;

/** The summary of a source as it is now: that of an entry is as old as its last change of state. */
function summarize({ summary, monitor }: Entry): SourceSummary {
  if (!monitor) return summary;
  const { since: _, ...glance } = monitor.glance();
  return { ...summary, ...unknown, since: summary.since, ...glance };
}

function describePresent(entry: Entry): Present {
  const { state, cause, recent } = summarize(entry);
  return { state, cause, isBlocked: recent.level === 'blocked', recentCause: recent.cause };
}

function toldAtOnce({ state, recent }: SourceSummary): Partial<Told> {
  const blocked = recent.level === 'blocked' ? describeRecent(recent) : undefined;
  return { state, ...(blocked !== undefined && { blocked }) };
}

function describeMonitor(entry: Entry): StoredMonitor {
  const { source } = entry.summary;
  const state = entry.monitor?.save() ?? new Uint8Array();
  return { source, profile: entry.profile, state, summary: JSON.stringify(summarize(entry)) };
}

function parseEntry({ source, profile, summary }: Omit<StoredMonitor, 'state'>): Entry[] {
  try {
    const parsed: SourceSummary = JSON.parse(summary);
    // One that an earlier version wrote lacks what has been added since.
    return [
      { summary: { ...unknown, ...parsed, source }, profile, isDirty: false, resets: 0, quietSince: performance.now() },
    ];
  } catch {
    return []; // a damaged row: the source learns again
  }
}
