import type { Pace } from './detectors.ts';
import type { Learning } from './report.ts';
import type { Head, Shared } from './state.ts';
import { countToEstimate } from './track.ts';

/** A stream is taken to remember longer than the reference only where it does so by this factor. */
const slower = 1.5;

/** How much an image counts, by what the reference and the stream say. */
export class Dependence {
  readonly #shared: Pick<Shared, 'correlation' | 'detectors' | 'learnFor'>;
  readonly #head: Head;
  #pace: Pace | undefined;

  constructor(shared: Pick<Shared, 'correlation' | 'detectors' | 'learnFor'>, head: Head) {
    this.#shared = shared;
    this.#head = head;
  }

  pace(): Pace {
    const { correlation, detectors } = this.#shared;
    const { score, statistics } = this.#head.pace ?? { score: 1, statistics: 1 };
    this.#pace ??= detectors.pace(score, correlation ? { timesReference: score / correlation.score } : statistics);
    return this.#pace;
  }

  /** Correlation time of the score in images. */
  time(): number {
    const { correlation } = this.#shared;
    const [stream] = this.#head.times ?? [1];
    if (!correlation) return stream;
    return stream >= slower * correlation.score ? stream : correlation.score;
  }

  from(): 'reference' | 'stream' {
    const { correlation } = this.#shared;
    return correlation && this.time() === correlation.score ? 'reference' : 'stream';
  }

  known(): boolean {
    return this.#shared.correlation !== undefined || this.#head.times !== undefined;
  }

  why(): string {
    return this.known()
      ? `fewer than ${this.#shared.learnFor} images, counted as if they were independent, have come`
      : 'how long the stream remembers is not known yet';
  }

  /** How far a source is that learns. */
  learning(): Learning {
    const { images, seriesLength, spacing } = this.#head;
    const { learnFor } = this.#shared;
    if (!this.known()) {
      const more = countToEstimate({ length: seriesLength, spacing });
      const text = `${images === 1 ? '1 image' : `${images} images`} so far, and at least ${more} more until it is known how alike neighbouring ones are`;
      return { images, needed: learnFor, more, text };
    }
    const independent = Math.floor(images / this.time());
    const more = Math.max(0, Math.ceil(learnFor * this.time() - images));
    const text = `${Math.min(independent, learnFor)} of ${learnFor} independent images, about ${more} images more`;
    return { images, independent, needed: learnFor, more, text };
  }

  /** Takes up new correlation times; says whether evidence that was gathered with others is void. */
  refresh(): boolean {
    const head = this.#head;
    const { correlation } = this.#shared;
    const score = this.time();
    const statistics = Math.max(...(head.times ?? [1]));
    const before = head.pace;
    const isNew = !before || differs(score, before.score) || (!correlation && differs(statistics, before.statistics));
    if (!isNew) return false;
    head.pace = { score, statistics };
    this.#pace = undefined;
    return before !== null;
  }
}

/** Estimates waver: they are taken up only when they differ by half. */
function differs(a: number, b: number): boolean {
  return a > slower * b || b > slower * a;
}
