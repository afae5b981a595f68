import { conformalPValue } from './ranks.ts';
import { fitTail, shareBeyond, type Tail } from './tail.ts';

/**
 * How a p-value is told. `rank`: the conformal rank among the scores of the reference, which promises its rate for images that are
 * exchangeable with them, and cannot tell less than one in so many. `tail`: beyond the top tenth an exponential fitted to it, which
 * is steadier with few images and reaches further, and is an estimate.
 */
export type ThresholdKind = 'rank' | 'tail';

/** No tail that so few images were seen of tells apart what is rarer than this. */
const least = 1e-9;

/** What scores mean, by those of a reference. */
export class PValues {
  readonly #sorted: Float64Array;
  readonly #tail: Tail | undefined;

  /** @param sorted scores of the reference, ascending; at least two for a tail */
  constructor(sorted: Float64Array, kind: ThresholdKind = 'rank') {
    this.#sorted = sorted;
    this.#tail = kind === 'tail' && sorted.length > 1 ? fitTail(sorted) : undefined;
  }

  /** A score that is not a number is beyond all others, because nothing is known of it. */
  of(score: number): number {
    if (!this.#tail) return conformalPValue(this.#sorted, score);
    if (Number.isNaN(score)) return least;
    if (!(score > this.#tail.from)) return conformalPValue(this.#sorted, score);
    return Math.max(least, shareBeyond(this.#tail, score));
  }

  /** The score above which p-values are at most `rate`. */
  limit(rate: number): number {
    if (this.#tail && rate < this.#tail.share) {
      return this.#tail.from - this.#tail.excess * Math.log(rate / this.#tail.share);
    }
    const { length } = this.#sorted;
    const above = Math.max(0, Math.floor(rate * (length + 1) + 1e-9) - 1);
    return this.#sorted[Math.max(0, length - 1 - above)];
  }
}
