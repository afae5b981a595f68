import type { FastifyRequest } from 'fastify';
import { StoplineError } from '../errors.ts';
import type { Pool } from '../pool.ts';
import type { Profile } from '../profile.ts';
import type { Verdict } from '../verdict.ts';
import type { Metrics } from './metrics.ts';

/** One image that was judged, as those who watch a service see it. */
export interface Judgement {
  verdict: Verdict;
  /** The camera that it came from. */
  source: string;
  /** When it was judged, in milliseconds since 1970. */
  at: number;
  requestId: string;
  /** The encoded image; only for watchers that asked for it. */
  bytes?: Uint8Array;
}

export type Watcher = (judgement: Judgement) => void;

/**
 * The one place where a service judges images, however they came: POST /inspect, the gate, the proxy. Whoever keeps account
 * of verdicts (drift, quarantine, history, live events) watches here.
 */
export interface Judge {
  readonly profile: Profile;
  readonly pool: Pool;
  /**
   * @param bytes the encoded image; empty afterwards unless `keep` is set or a watcher wants it
   * @throws {StoplineError} IMAGE_*, OVERLOADED, CLOSED, INTERNAL; the signal's reason when aborted
   */
  inspect(
    bytes: Uint8Array,
    of: { source: string; requestId: string; signal?: AbortSignal; keep?: boolean },
  ): Promise<Verdict>;
  /** Calls the watcher after each verdict, in the order in which they were reached. It must not throw or block. */
  watch(watcher: Watcher, wants?: { bytes: boolean }): void;
}

export function createJudge(pool: Pool, profile: Profile, metrics: Metrics): Judge {
  const watchers: Watcher[] = [];
  let wantsBytes = false;
  return {
    profile,
    pool,
    async inspect(bytes, { source, requestId, signal, keep = false }) {
      const verdict = await pool.inspect(bytes, { signal, transfer: !keep && !wantsBytes });
      metrics.observeVerdict(verdict);
      const judgement: Judgement = { verdict, source, at: Date.now(), requestId, ...(wantsBytes && { bytes }) };
      for (const watcher of watchers) watcher(judgement);
      return verdict;
    },
    watch(watcher, wants) {
      watchers.push(watcher);
      if (wants?.bytes) wantsBytes = true;
    },
  };
}

/** Where images belong whose sender names no camera. */
export const defaultSource = 'default';
/** Names become rows, file names and labels, so they are kept short and plain. */
const sourcePattern = /^[\w.:-]{1,128}$/;

/**
 * The camera that a request names: `?source=` or the header that the configuration says.
 * @throws {StoplineError} REQUEST_INVALID
 */
export function sourceOf(request: FastifyRequest, header: string): string {
  const { source: asked } = request.query as { source?: unknown };
  const named = asked ?? request.headers[header];
  if (named === undefined) return defaultSource;
  if (typeof named === 'string' && sourcePattern.test(named)) return named;
  throw new StoplineError(
    'REQUEST_INVALID',
    `Expected a source of 1 to 128 letters, digits or . _ : - but received ${JSON.stringify(named).slice(0, 150)}.`,
  );
}
