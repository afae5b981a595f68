import { StoplineError } from '../../errors.ts';

const windowMs = 1000;

/** Counts what each address asks for within a second. */
export class PeerRate {
  readonly #most: number;
  /** Those of this second alone. */
  readonly #counts = new Map<string, number>();
  #since = Number.NEGATIVE_INFINITY;

  /** @param most requests of one address in a second; 0 for any number */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * @param now milliseconds that never go back
   * @throws {StoplineError} RATE_LIMITED
   */
  admit(address: string, now: number = performance.now()): void {
    if (this.#most === 0) return;
    if (now - this.#since >= windowMs) {
      this.#counts.clear();
      this.#since = now;
    }
    const count = (this.#counts.get(address) ?? 0) + 1;
    this.#counts.set(address, count);
    if (count > this.#most) throw tooMany(this.#most);
  }
}

/** One address has asked for too much. */
export function tooMany(most: number): StoplineError {
  return new StoplineError('RATE_LIMITED', `Expected at most ${most} requests in a second but received more.`);
}
