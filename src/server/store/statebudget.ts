/** Which states may stay in memory: the ones that were written last, up to so many bytes. */
export class StateBudget {
  readonly #limit: number;
  /** Bytes by source; what was written longest ago comes first. */
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(source: string, bytes: number): void {
    this.remove(source);
    this.#sizes.set(source, bytes);
    this.#bytes += bytes;
  }

  remove(source: string): void {
    this.#bytes -= this.#sizes.get(source) ?? 0;
    this.#sizes.delete(source);
  }

  /** The sources whose states have to go. They count no longer. */
  takeExcess(): string[] {
    const gone: string[] = [];
    for (const source of this.#sizes.keys()) {
      if (this.#bytes <= this.#limit) break;
      gone.push(source);
      this.remove(source);
    }
    return gone;
  }
}
