import type { Verdict } from '../../profile/verdict.ts';
import { type ItemStore, type Kept, makeItem, type QuarantineItem } from './item.ts';

/** Which images of a quarantine are meant. */
export interface QuarantineQuery {
  /** Those that somebody found to be as they should be, in place of those to be looked at. */
  isAccepted?: boolean;
  verdict?: QuarantineItem['verdict'];
  source?: string;
  /** Judged before this time. */
  before?: number;
  limit: number;
}

/** One of the two places of a quarantine, with what is known to be in it, oldest first. */
export class Shelf {
  readonly store: ItemStore;
  #items = new Map<string, QuarantineItem>();
  #bytes = 0;

  constructor(store: ItemStore) {
    this.store = store;
  }

  get count(): number {
    return this.#items.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get ids(): Iterable<string> {
    return this.#items.keys();
  }

  /** The item that was judged first. */
  get oldest(): QuarantineItem | undefined {
    return this.#items.values().next().value;
  }

  find(id: string): QuarantineItem | undefined {
    return this.#items.get(id);
  }

  /** Newest first. */
  list({ verdict, source, before = Number.POSITIVE_INFINITY, limit }: QuarantineQuery): QuarantineItem[] {
    const isAsked = (item: QuarantineItem) =>
      item.at < before &&
      (verdict === undefined || item.verdict === verdict) &&
      (source === undefined || item.source === source);
    return [...this.#items.values()].reverse().filter(isAsked).slice(0, limit);
  }

  /** The sources of all items, sorted. */
  listSources(): string[] {
    return [...new Set([...this.#items.values()].map(({ source }) => source))].sort();
  }

  async save(kept: Kept, image: Uint8Array): Promise<void> {
    await this.store.save(kept, image);
    this.#items.set(kept.id, makeItem(kept));
    this.#bytes += kept.bytes;
  }

  readVerdict(item: QuarantineItem): Promise<Verdict> {
    return this.store.verdict(item);
  }

  readImage(item: QuarantineItem): Promise<Uint8Array> {
    return this.store.image(item);
  }

  async remove(item: QuarantineItem): Promise<void> {
    await this.store.remove(item);
    this.forget(item.id);
  }

  /** Takes an item that another shelf has saved here. */
  adopt(item: QuarantineItem): void {
    this.#replace(this.#items.set(item.id, item));
  }

  /** The item is in another place now. */
  forget(id: string): void {
    const item = this.#items.get(id);
    if (item && this.#items.delete(id)) this.#bytes -= item.bytes;
  }

  /** Looks at what else happened to the place: images age, people clear up, another service writes, too. */
  async refresh(): Promise<void> {
    const known = new Map(this.#items);
    const found = new Map((await this.store.list(known)).map((item) => [item.id, item]));
    for (const id of known.keys()) if (!found.has(id)) this.#items.delete(id);
    // An item that was known before and is missing now was removed meanwhile.
    for (const [id, item] of found) if (!known.has(id)) this.#items.set(id, item);
    this.#replace(this.#items);
  }

  #replace(items: Map<string, QuarantineItem>): void {
    this.#items = new Map([...items].sort(([, a], [, b]) => a.at - b.at));
    this.#bytes = [...this.#items.values()].reduce((sum, item) => sum + item.bytes, 0);
  }
}
