/** How fast frames are taken, and when a silent source is given up. */
export interface Pace {
  /** At most one frame in so many milliseconds. */
  everyMs: number;
  /** Without a frame for so many milliseconds, or thrice as many without the first, `silence` is thrown. */
  silentMs: number;
  silence(): Error;
  signal: AbortSignal;
  /** Told of each frame that was taken and then replaced by a newer one. */
  onSkip?: (() => void) | undefined;
}

/** To connect and to find out what a stream is may take so many times longer than any frame of it. */
const firstTimes = 3;
/** A frame that comes by this share of the time too early, because a network shakes it, is taken all the same. */
const early = 0.1;

/**
 * Reads a live source as fast as it comes, and hands on the newest frame whenever one is asked for: whoever is slower than the
 * source misses frames, and never sees old ones. Holds one frame.
 *
 * @returns ends where the source does
 * @throws what the source throws, `silence()`, the reason of the signal
 */
export async function* takeNewest<T>(source: AsyncIterable<T>, pace: Pace): AsyncGenerator<T> {
  const slot = new Slot<T>(pace);
  const frames = source[Symbol.asyncIterator]();
  void slot.fill(frames);
  try {
    for (;;) {
      const next = await slot.take();
      if (next === undefined) return;
      yield next.frame;
    }
  } finally {
    slot.close();
    void frames.return?.().catch(() => undefined);
  }
}

/** Place for one frame between one who fills it and one who empties it. */
class Slot<T> {
  readonly #pace: Pace;
  #held: { frame: T } | undefined;
  #ended: { error?: unknown } | undefined;
  #wake: () => void = () => undefined;
  #silence: NodeJS.Timeout | undefined;

  constructor(pace: Pace) {
    this.#pace = pace;
    pace.signal.addEventListener('abort', this.#abort, { once: true });
    this.#listen(firstTimes);
  }

  async fill(frames: AsyncIterator<T>): Promise<void> {
    const { everyMs, onSkip } = this.#pace;
    let dueAt = Number.NEGATIVE_INFINITY;
    try {
      for (;;) {
        const { value, done } = await frames.next();
        if (done || this.#ended) break;
        this.#listen();
        const now = performance.now();
        if (now < dueAt - early * everyMs) continue;
        dueAt = Math.max(dueAt + everyMs, now + everyMs / 2);
        if (this.#held) onSkip?.();
        this.#held = { frame: value };
        this.#wake();
      }
      this.#end({});
    } catch (error) {
      this.#end({ error });
    }
  }

  /** The newest frame, when there is one; undefined at the end. */
  async take(): Promise<{ frame: T } | undefined> {
    while (!this.#held && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    const held = this.#held;
    this.#held = undefined;
    if (held) return held;
    if (this.#ended && 'error' in this.#ended) throw this.#ended.error;
    return undefined;
  }

  close(): void {
    this.#end({});
  }

  #listen(times = 1): void {
    const { silentMs, silence } = this.#pace;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#end({ error: silence() }), times * silentMs);
  }

  #end(how: { error?: unknown }): void {
    clearTimeout(this.#silence);
    this.#pace.signal.removeEventListener('abort', this.#abort);
    this.#ended ??= how;
    this.#wake();
  }

  readonly #abort = (): void => {
    this.#held = undefined;
    this.#end({ error: this.#pace.signal.reason });
  };
}
