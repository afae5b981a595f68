import type { Profile } from '../../profile/description.ts';
import { hidePaths } from '../http/paths.ts';
import type { PastTransition } from '../store/database.ts';

/** One thing that happened, for people to read. */
export interface JournalEntry {
  /** Milliseconds since 1970; of the last time where it happened several times. */
  at: number;
  kind: 'state' | 'attention' | 'profile' | 'refusal';
  /** Whether somebody should look at it. */
  isTrouble: boolean;
  /** The camera that it is about. */
  source?: string;
  text: string;
  /** How often it happened within a minute. */
  times?: number;
}

/** Entries in memory, and how long the same refusal is one entry that counts. */
const maxEntries = 500;
const sameRefusalMs = 60_000;
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

  /** @param route as it was registered, so that paths that do not exist are one entry */
  addRefusal(route: string, code: string): void {
    const at = Date.now();
    const text = `${route} was refused: ${code}`;
    const same = this.#entries.findLast((entry) => entry.kind === 'refusal' && entry.text === text);
    if (same && at - same.at < sameRefusalMs) {
      same.at = at;
      same.times = (same.times ?? 1) + 1;
    } else this.#add({ at, kind: 'refusal', isTrouble: true, text, times: 1 });
  }

  /** @param transitions of the store @returns all of it, newest first */
  list(transitions: readonly PastTransition[], limit: number): JournalEntry[] {
    return [...this.#entries, ...transitions.map(describeTransition)].sort((a, b) => b.at - a.at).slice(0, limit);
  }

  #add(entry: JournalEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > maxEntries) this.#entries.shift();
  }
}

function describeTransition({ source, at, from, to }: PastTransition): JournalEntry {
  return { at, kind: 'state', isTrouble: troubled.includes(to), source, text: `${from} \u2192 ${to}` };
}
