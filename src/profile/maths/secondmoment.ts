/**
 * The sum of weighted outer products of rows. Four are added at a time, each in its turn: an element is read and written once for all,
 * and has the bits of one row after the other.
 */
export class SecondMoment {
  readonly #size: number;
  readonly #sums: Float64Array;
  readonly #rows: Float64Array[];
  readonly #weights: number[] = [];

  constructor(size: number) {
    this.#size = size;
    this.#sums = new Float64Array(size * size);
    this.#rows = Array.from({ length: 4 }, () => new Float64Array(size));
  }

  /** To be filled with the next row. */
  get next(): Float64Array {
    return this.#rows[this.#weights.length];
  }

  /** Adds what `next` was filled with. */
  add(weight = 1): void {
    this.#weights.push(weight);
    if (this.#weights.length === this.#rows.length) this.#flush();
  }

  /** @returns the upper half of the symmetric matrix, row by row of `size` numbers; below the diagonal there is 0 */
  read(): Float64Array {
    this.#flush();
    return this.#sums;
  }

  #flush(): void {
    const [size, sums] = [this.#size, this.#sums];
    const [a, b, c, d] = this.#rows;
    const [wa, wb, wc, wd] = this.#weights;
    if (this.#weights.length === 4) {
      for (let i = 0; i < size; i++) {
        const row = i * size;
        const [ai, bi, ci, di] = [a[i], b[i], c[i], d[i]];
        for (let j = i; j < size; j++)
          sums[row + j] = sums[row + j] + ai * a[j] * wa + bi * b[j] * wb + ci * c[j] * wc + di * d[j] * wd;
      }
    } else {
      for (const [k, weight] of this.#weights.entries()) {
        const values = this.#rows[k];
        for (let i = 0; i < size; i++)
          for (let j = i; j < size; j++) sums[i * size + j] += values[i] * values[j] * weight;
      }
    }
    this.#weights.length = 0;
  }
}
