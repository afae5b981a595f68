import type { FastifyRequest } from 'fastify';
import { StoplineError } from '../errors.ts';
import type { Frame } from '../image/frame.ts';
import type { Profile } from '../profile/description.ts';
import type { Verdict } from '../profile/verdict.ts';
import type { Pool } from '../run/pool.ts';

/** One image that was judged, as those who watch a service see it. */
export interface Judgement {
  verdict: Verdict;
  /** The camera that it came from. */
  source: string;
  /** When it was judged, in milliseconds since 1970. */
  at: number;
  requestId: string;
  /** The encoded image; only for watchers that asked for it, and not of an image that came as pixels. */
  bytes?: Uint8Array;
  /** The pixels of an image that came as pixels; only for watchers that asked for bytes. */
  frame?: Frame;
}

export type Watcher = (judgement: Judgement) => void;

/**
 * The one place where a service judges images, however they came: POST /inspect, the gate, the proxy. Whoever keeps account
 * of verdicts (drift, quarantine, history, live events) watches here. Holds the Profile in force and the threads that judge
 * by it; both are replaced together.
 */
export interface Judge {
  /** The Profile in force. @throws {StoplineError} PROFILE_*, MODEL_* where there is none, because it cannot be used */
  readonly profile: Profile;
  readonly pool: Pool;
  /**
   * @param image the encoded image, or its pixels; the array is empty afterwards unless `keep` is set or a watcher wants it
   * @throws {StoplineError} IMAGE_*, FRAME_INVALID, OVERLOADED, CLOSED, INTERNAL; the signal's reason when aborted
   */
  inspect(
    image: Uint8Array | Frame,
    options: { source: string; requestId: string; signal?: AbortSignal; keep?: boolean },
  ): Promise<Verdict>;
  /** Calls the watcher after each verdict, in the order in which they were reached. It must not throw or block. */
  watch(watcher: Watcher, wants?: { bytes: boolean }): void;
  /** Judges by another Profile, or with another pool, from now on. A pool that is replaced finishes what it accepted and ends. */
  replace(pool: Pool, profile: Profile): void;
  /** Calls the watcher after each change of the Profile. It must not throw or block. */
  onReplace(watcher: (profile: Profile) => void): void;
}

/** @param profile the one that `pool` judges by, or why there is none: the pool then refuses with the same error */
export function createJudge(pool: Pool, profile: Profile | StoplineError): Judge {
  const watchers: Watcher[] = [];
  const replaceWatchers: ((profile: Profile) => void)[] = [];
  let wantsBytes = false;
  let current = { pool, profile };
  return {
    get profile() {
      if (current.profile instanceof StoplineError) throw current.profile;
      return current.profile;
    },
    get pool() {
      return current.pool;
    },
    async inspect(image, { source, requestId, signal, keep = false }) {
      const verdict = await current.pool.inspect(image, { signal, transfer: !keep && !wantsBytes });
      const kept = image instanceof Uint8Array ? { bytes: image } : { frame: image };
      const judgement: Judgement = { verdict, source, at: Date.now(), requestId, ...(wantsBytes && kept) };
      for (const watcher of watchers) watcher(judgement);
      return verdict;
    },
    watch(watcher, wants) {
      watchers.push(watcher);
      if (wants?.bytes) wantsBytes = true;
    },
    replace(pool, profile) {
      const { pool: previous } = current;
      current = { pool, profile };
      if (previous !== pool) void previous.close();
      for (const watcher of replaceWatchers) watcher(profile);
    },
    onReplace: (watcher) => void replaceWatchers.push(watcher),
  };
}

/** Where images belong whose sender names no camera. */
export const defaultSource = 'default';
/** Names become rows, file names and labels, so they are kept short and plain. */
export const sourcePattern = /^[\w.:-]{1,128}$/;

/**
 * The camera that a request names: `?source=` or the header that the configuration says.
 * @throws {StoplineError} REQUEST_INVALID
 */
export function readSource(request: FastifyRequest, header: string): string {
  const { source: asked } = request.query as { source?: unknown };
  const named = asked ?? request.headers[header];
  if (named === undefined) return defaultSource;
  if (typeof named === 'string' && sourcePattern.test(named)) return named;
  throw new StoplineError(
    'REQUEST_INVALID',
    `Expected a source of 1 to 128 letters, digits or . _ : - but received ${JSON.stringify(named).slice(0, 150)}.`,
  );
}
