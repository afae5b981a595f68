import { StoplineError } from '../errors.ts';

/** Failing for this long without one answer is enough, too, however few requests there were. */
const failingMs = 1000;

/**
 * Stops asking an upstream that does not answer. Any HTTP answer is an answer; refused connections, resets, time-outs and
 * what is no HTTP are failures.
 */
export interface Breaker {
  /** @throws {StoplineError} UPSTREAM_DOWN while it is open; one request in `retryMs` is let through to try again */
  admit(): void;
  succeeded(): void;
  failed(): void;
  readonly isOpen: boolean;
  /** Until the next try, in milliseconds; 0 where requests are let through. */
  readonly waitMs: number;
}

export function createBreaker(options: { failures: number; retryMs: number; now?: () => number }): Breaker {
  const { failures, retryMs, now = () => performance.now() } = options;
  let failed = 0;
  let firstFailureAt = 0;
  let nextTryAt: number | undefined;
  const waitMs = () => (nextTryAt === undefined ? 0 : Math.max(0, nextTryAt - now()));
  return {
    get isOpen() {
      return nextTryAt !== undefined;
    },
    get waitMs() {
      return waitMs();
    },
    admit() {
      if (nextTryAt === undefined) return;
      if (waitMs() > 0) {
        throw new StoplineError(
          'UPSTREAM_DOWN',
          `Expected an upstream that answers but it failed ${failed} times; it is asked again in ${Math.ceil(waitMs())} ms.`,
        );
      }
      nextTryAt = now() + retryMs; // this request is the try
    },
    succeeded() {
      failed = 0;
      nextTryAt = undefined;
    },
    failed() {
      if (failed === 0) firstFailureAt = now();
      failed += 1;
      const isEnough = failed >= failures || (failed > 1 && now() - firstFailureAt >= failingMs);
      if (isEnough) nextTryAt = now() + retryMs;
    },
  };
}
