/** How often something was left out for one reason, and the first names. */
export interface LeftOutCount {
  reason: string;
  count: number;
  examples: string[];
}

/** Names that are kept for each reason. */
const maxExamples = 3;
/** Reasons beyond are counted together: a folder may hold files of any number of endings. */
const maxReasons = 50;
const others = 'other things';

/** Counts what a run did not look at, by reason, so that it can be said at its end. */
export class LeftOut {
  readonly #reasons = new Map<string, LeftOutCount>();

  add(reason: string, name: string): void {
    const isNew = !this.#reasons.has(reason);
    const key = isNew && this.#reasons.size >= maxReasons ? others : reason;
    const entry = this.#reasons.get(key) ?? { reason: key, count: 0, examples: [] };
    this.#reasons.set(key, entry);
    entry.count += 1;
    if (entry.examples.length < maxExamples) entry.examples.push(name);
  }

  /** Forgets everything: a list that is gone through again counts again. */
  clear(): void {
    this.#reasons.clear();
  }

  get count(): number {
    return [...this.#reasons.values()].reduce((sum, { count }) => sum + count, 0);
  }

  /** The most frequent reason first. */
  toJSON(): LeftOutCount[] {
    const counts = [...this.#reasons.values()].map((entry) => ({ ...entry, examples: [...entry.examples] }));
    return counts.sort((a, b) => b.count - a.count);
  }
}
