import type { Profile } from '../../profile/description.ts';
import { hidePaths } from '../http/paths.ts';
import type { PastTransition } from '../store/database.ts';

/** One thing that happened, for people to read. */
export interface JournalEntry {
  /** Milliseconds since 1970; of the last time where it happened several times. */
  at: number;
  kind: 'state' | 'attention' | 'alert' | 'profile' | 'unjudged' | 'refusal' | 'camera';
  /** Whether somebody should look at it. */
  isTrouble: boolean;
  /** The camera that it is about. */
  source?: string;
  text: string;
  /** How often it happened, where the same again is counted and not told anew. */
  times?: number;
}

/** What became of telling a receiver of one alert. */
export interface SentAlert {
  sink: string;
  /** `failed` will be tried again. */
  outcome: 'delivered' | 'failed' | 'rejected' | 'expired' | 'dropped';
  source: string;
  /** What the receiver was to be told. */
  text: string;
  /** Why it did not work. */
  problem?: string;
}

/** Entries in memory, and how long the same again is one entry that counts. */
const maxEntries = 500;
const sameMs = 60_000;
/** Tries of the same alert lie up to five minutes apart, and what a gate lets through comes again and again. */
const sameLongMs = 10 * 60_000;
const outcomeWords: Readonly<Record<SentAlert['outcome'], string>> = {
  delivered: 'was told',
  failed: 'could not be told, and will be again',
  rejected: 'refused to be told',
  expired: 'could not be told for a day, and no longer will be',
  dropped: 'was not told, because too many alerts wait',
};
const troubled = ['drifted', 'frozen', 'stale', 'suspect'];

/** What happened to a service since its start: bounded, in memory, newest last. Changes of state are in the store. */
export class Journal {
  readonly #entries: JournalEntry[] = [];

  /** Most of the latest images of a source are blocked, or no longer. */
  addAttention({ source, to, text, at }: { source: string; to: string; text: string; at: number }): void {
    this.#add({ at, kind: 'attention', isTrouble: to === 'blocked', source, text });
  }

  addProfile({ name, sha256 }: Pick<Profile, 'name' | 'sha256'>): void {
    const text = `The Profile "${name}" (${sha256.slice(0, 12)}) is in force.`;
    this.#add({ at: Date.now(), kind: 'profile', isTrouble: false, text });
  }

  addReloadFailure(error: { code: string; message: string }): void {
    const text = `The Profile was not reloaded, and the one in force stays: ${error.code}: ${hidePaths(error.message)}`;
    this.#add({ at: Date.now(), kind: 'profile', isTrouble: true, text });
  }

  addAlert({ sink, outcome, source, text, problem }: SentAlert): void {
    const why = problem === undefined ? '' : ` (${problem})`;
    const told = `The receiver ${sink} ${outcomeWords[outcome]}${why}: ${text}`;
    this.#count({ kind: 'alert', isTrouble: outcome !== 'delivered', source, text: told }, sameLongMs);
  }

  /** A gate has let a request through without a judgement. */
  addUnjudged({ path, reason, mend }: { path: string; reason: string; mend: string }): void {
    const isTrouble = reason !== 'pass' && reason !== 'share';
    const text = `${path} was let through unjudged: ${reason}. What mends it: ${mend}`;
    this.#count({ kind: 'unjudged', isTrouble, text }, sameLongMs);
  }

  /** A camera that the service watches by itself came, was lost, or sent what is no image. */
  addCamera(told: { source: string; text: string; isTrouble: boolean }): void {
    this.#count({ kind: 'camera', ...told }, sameLongMs);
  }

  /** @param route as it was registered, so that paths that do not exist are one entry */
  addRefusal(route: string, code: string): void {
    this.#count({ kind: 'refusal', isTrouble: true, text: `${route} was refused: ${code}` }, sameMs);
  }

  /** @param transitions of the store @returns all of it, newest first */
  list(transitions: readonly PastTransition[], limit: number): JournalEntry[] {
    return [...this.#entries, ...transitions.map(describeTransition)].sort((a, b) => b.at - a.at).slice(0, limit);
  }

  #count(entry: Omit<JournalEntry, 'at' | 'times'>, withinMs: number): void {
    const at = Date.now();
    const { kind, source, text } = entry;
    const same = this.#entries.findLast((old) => old.text === text && old.kind === kind && old.source === source);
    if (same && at - same.at < withinMs) {
      same.at = at;
      same.times = (same.times ?? 1) + 1;
    } else this.#add({ ...entry, at, times: 1 });
  }

  #add(entry: JournalEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > maxEntries) this.#entries.shift();
  }
}

function describeTransition({ source, at, from, to }: PastTransition): JournalEntry {
  return { at, kind: 'state', isTrouble: troubled.includes(to), source, text: `${from} \u2192 ${to}` };
}
