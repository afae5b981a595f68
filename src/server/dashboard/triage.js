// @ts-check
import { discard, readQuarantine, setAccepted } from './api.js';
import { count } from './words.js';

/** @import { QuarantineItem, QuarantineList } from './types.js' */

const pageSize = 60;
/** Requests on the way at once. */
const atOnce = 6;
/** So long a deletion can be taken back. */
export const undoMs = 10_000;

/** @typedef {'accepted' | 'put back' | 'discarded'} Done */
/** @typedef {{ text: string, undo: () => Promise<void> }} Step what was done last, and how it is undone */

/**
 * Going through the images that were stopped. It is kept while other pages are open, so that whoever comes back goes on where
 * they were. Images that are dealt with keep their place until the list is read again, so that nothing moves under the hand.
 */
export class Triage {
  /** Which images are asked for. */
  filter = { accepted: false, verdict: '', source: '' };
  /** Newest first. @type {QuarantineItem[]} */
  items = [];
  /** The rest of what the service said of them. @type {QuarantineList | undefined} */
  about;
  /** What was done with images that still have their place. @type {Map<string, Done>} */
  done = new Map();
  /** @type {Set<string>} */
  selected = new Set();
  /** The image that keys are about. @type {string | undefined} */
  current;
  /** Said once about what was done. */
  message = '';
  /** Whether images came that are not shown. */
  hasNewer = false;
  /** @type {Step | undefined} */
  step;
  /** Deletions that can still be taken back. @type {Map<string, ReturnType<typeof setTimeout>>} */
  #deletions = new Map();

  constructor() {
    // Whoever leaves has had time enough.
    globalThis.addEventListener?.('pagehide', () => void this.flush());
  }

  /** @param {Record<string, string>} more */
  #ask(more = {}) {
    const { accepted, verdict, source } = this.filter;
    return readQuarantine({
      limit: String(pageSize),
      accepted: String(accepted),
      ...(verdict && { verdict }),
      ...(source && { source }),
      ...more,
    });
  }

  /** Reads the newest; what was dealt with is gone. Undefined where the service keeps none. */
  async load() {
    await this.flush();
    this.about = await this.#ask();
    if (!this.about) return undefined;
    this.items = this.about.items;
    this.done.clear();
    this.selected.clear();
    this.hasNewer = false;
    if (!this.items.some(({ id }) => id === this.current)) this.current = this.items[0]?.id;
    return this.about;
  }

  async loadOlder() {
    const { next } = this.about ?? {};
    const more = next === undefined ? undefined : await this.#ask({ before: String(next) });
    if (!more) return;
    this.about = more;
    this.items = [...this.items, ...more.items];
  }

  /** Looks for new images and counts again, without moving anything. */
  async look() {
    const found = await this.#ask({ limit: '1' });
    if (!found || !this.about) return;
    const [newest] = found.items;
    const isKnown = !newest || this.items.some(({ id }) => id === newest.id);
    this.hasNewer = !isKnown && newest.at > (this.items[0]?.at ?? 0);
    this.about = { ...found, items: [], ...(this.about.next !== undefined && { next: this.about.next }) };
  }

  /** @param {string} id */
  toggle(id) {
    if (!this.selected.delete(id) && !this.done.has(id)) this.selected.add(id);
  }

  /** Selects all of them, or none where all were. @param {readonly QuarantineItem[]} items */
  toggleAll(items) {
    const open = items.filter(({ id }) => !this.done.has(id));
    const areAll = open.every(({ id }) => this.selected.has(id));
    for (const { id } of open) {
      if (areAll) this.selected.delete(id);
      else this.selected.add(id);
    }
  }

  /** Goes to the next image, or the one before. @param {1 | -1} step */
  move(step) {
    const place = this.items.findIndex(({ id }) => id === this.current);
    const next = this.items[Math.max(0, Math.min(this.items.length - 1, place + step))];
    this.current = next?.id;
  }

  /** The images that an action is about: those selected, else the current one. */
  targets() {
    const chosen = this.selected.size > 0 ? [...this.selected] : this.current === undefined ? [] : [this.current];
    return chosen.filter((id) => !this.done.has(id));
  }

  /** They are as they should be, for the next version of the Profile; or not, after all. @param {string[]} ids @param {boolean} isAccepted */
  async accept(ids, isAccepted) {
    const done = isAccepted ? 'accepted' : 'put back';
    const changed = await this.#forEach(ids, (id) => setAccepted(id, isAccepted), done);
    if (changed.length === 0) return;
    const text = isAccepted
      ? `${count(changed.length, 'image')} accepted, for the next version of the Profile.`
      : `${count(changed.length, 'image')} put back.`;
    this.#finish(changed, text, async () => {
      await this.#forEach(changed, (id) => setAccepted(id, !isAccepted));
    });
  }

  /** Deletes them for good, a while later: until then it can be undone. @param {string[]} ids */
  discard(ids) {
    if (ids.length === 0) return;
    for (const id of ids) {
      this.done.set(id, 'discarded');
      this.#deletions.set(
        id,
        setTimeout(() => void this.#delete(id), undoMs),
      );
    }
    this.#finish(ids, `${count(ids.length, 'image')} discarded: deleted for good in ${undoMs / 1000} s.`, async () => {
      for (const id of ids) {
        clearTimeout(this.#deletions.get(id));
        this.#deletions.delete(id);
        this.done.delete(id);
      }
    });
  }

  /** Takes back what was done last. */
  async undo() {
    const { step } = this;
    if (!step) return;
    this.step = undefined;
    await step.undo();
    this.message = 'Taken back.';
  }

  /** Deletes at once what waits to be deleted. */
  async flush() {
    const ids = [...this.#deletions.keys()];
    if (ids.length > 0) this.step = undefined;
    await Promise.all(ids.map((id) => this.#delete(id)));
  }

  /** @param {string} id */
  async #delete(id) {
    clearTimeout(this.#deletions.get(id));
    this.#deletions.delete(id);
    // It can be taken back no longer.
    if (this.#deletions.size === 0 && this.done.get(id) === 'discarded') this.step = undefined;
    await discard(id).catch((error) => {
      this.done.delete(id);
      this.message = `Not deleted: ${error.message}`;
    });
  }

  /** @param {string[]} ids @param {string} text @param {() => Promise<void>} undo */
  #finish(ids, text, undo) {
    for (const id of ids) this.selected.delete(id);
    this.message = text;
    this.step = { text, undo };
    // On to the next one that nothing was done with.
    const place = this.items.findIndex(({ id }) => id === this.current);
    const open = this.items.slice(Math.max(0, place)).find(({ id }) => !this.done.has(id));
    this.current = (open ?? this.items.find(({ id }) => !this.done.has(id)))?.id ?? this.current;
  }

  /**
   * @param {readonly string[]} ids
   * @param {(id: string) => Promise<unknown>} act
   * @param {Done} [done] without it, nothing counts as done
   * @returns {Promise<string[]>} those with which it went well
   */
  async #forEach(ids, act, done) {
    /** @type {string[]} */
    const well = [];
    for (let first = 0; first < ids.length; first += atOnce) {
      const part = ids.slice(first, first + atOnce);
      const outcomes = await Promise.allSettled(part.map(act));
      for (const [i, outcome] of outcomes.entries()) {
        if (outcome.status === 'rejected') this.message = outcome.reason.message;
        else {
          well.push(part[i]);
          if (done) this.done.set(part[i], done);
          else this.done.delete(part[i]);
        }
      }
    }
    return well;
  }
}
