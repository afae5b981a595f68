import type { StoplineError } from '../errors.ts';
import type { Frame } from '../image/frame.ts';
import type { Profile } from '../profile/description.ts';
import type { Verdict } from '../profile/verdict.ts';
import { createPool, type Pool, type PoolOptions } from '../run/pool.ts';
import { chooseTiming, decide, defaultPolicy, type Judged, judgeWithin, type Policy, policyFrom } from './policy.ts';
import { ImageTracing, loadApi } from './tracing.ts';

/** How a gate in your own process treats images; each field can also be given with one call. */
export type GatePolicy = Omit<Policy, 'partial'>;

/** How a gate in your own process judges and decides; only `profile` is needed. */
export interface GateOptions extends Partial<GatePolicy>, Omit<PoolOptions, 'profile' | 'isBatch'> {
  /** A loaded Profile, or the path of one. */
  profile: Profile | string;
  /** Told of every image that was judged, also of those judged beside the classifier. It must not throw. */
  onJudged?: (judged: Judged) => void;
}

/** What is different about one call. */
export interface GuardOptions extends Partial<GatePolicy> {
  /** Gives up judging; the classifier is then not called. */
  signal?: AbortSignal;
}

/** What a gate did, and what the classifier answered where it was asked. */
export type Guarded<Value> =
  /** The image was judged and let through. */
  | { outcome: 'forwarded'; value: Value; verdict: Verdict }
  /** The classifier was not called: the image is blocked (then there is a verdict), or could not be judged. */
  | { outcome: 'refused'; error: StoplineError; verdict?: Verdict }
  /** Let through although it could not be judged. */
  | { outcome: 'bypassed'; value: Value; error: StoplineError }
  /** Let through at once; it is judged beside the classifier. `judged` never rejects. */
  | { outcome: 'observed'; value: Value; judged: Promise<Judged> }
  /** Let through and not judged: outside the sampled share. */
  | { outcome: 'unsampled'; value: Value };

/** A gate in front of a classifier that is called from this process. */
export interface Gate {
  /**
   * Judges the encoded image, and calls `classify` if it may pass. What `classify` throws is thrown on.
   * @throws the reason of `signal` when it aborts
   */
  guard<Value>(
    bytes: Uint8Array,
    classify: () => Value | Promise<Value>,
    options?: GuardOptions,
  ): Promise<Guarded<Value>>;
  /** The same for an image that you have decoded: 8-bit grey, RGB or RGBA at native size. What only the file tells is not judged. */
  guardFrame<Value>(
    frame: Frame,
    classify: () => Value | Promise<Value>,
    options?: GuardOptions,
  ): Promise<Guarded<Value>>;
  readonly pool: Pool;
  /** Finishes what was accepted, then ends the worker threads. */
  close(): Promise<void>;
}

/**
 * Starts worker threads that judge images and waits until they are ready. The default is to observe: everything is let
 * through, and `onJudged` tells what would have been refused.
 *
 * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID: a gate without a Profile does not start
 * @example
 * const gate = await createGate({ profile: 'camera.stopline', mode: 'enforce', onError: 'closed' });
 * const result = await gate.guard(bytes, () => classifier.predict(bytes));
 * if (result.outcome === 'refused') console.warn(result.error.message);
 */
export async function createGate(options: GateOptions): Promise<Gate> {
  const { profile, mode, onError, share, verdictTimeoutMs, onJudged, ...poolOptions } = options;
  const policy = policyFrom(defaultPolicy, { mode, onError, share, verdictTimeoutMs });
  const pool = await openPool(profile, policy, poolOptions);
  const inspect = await openInspect(pool);

  async function guard<Value>(
    image: Uint8Array | Frame,
    classify: () => Value | Promise<Value>,
    { signal, ...changed }: GuardOptions = {},
  ): Promise<Guarded<Value>> {
    signal?.throwIfAborted();
    const force = policyFrom(policy, changed);
    const judge = async () => {
      const judged = await judgeWithin(force.verdictTimeoutMs, (signal) => inspect(image, signal), signal);
      if (!signal?.aborted) onJudged?.(judged);
      return judged;
    };
    const timing = chooseTiming(force, Math.random());
    if (timing === 'never') return { outcome: 'unsampled', value: await classify() };
    if (timing === 'beside') {
      const judged = judge();
      return { outcome: 'observed', value: await classify(), judged };
    }
    const judged = await judge();
    signal?.throwIfAborted();
    const { action, verdict, error } = decide(force, [judged]);
    if (action === 'refuse') return { outcome: 'refused', error: error as StoplineError, ...(verdict && { verdict }) };
    const value = await classify();
    return action === 'bypass'
      ? { outcome: 'bypassed', value, error: error as StoplineError }
      : { outcome: 'forwarded', value, verdict: verdict as Verdict };
  }
  return { guard, guardFrame: guard, pool, close: () => pool.close() };
}

/** Judges images by a pool, each within a span where the host traces. */
export async function openInspect(
  pool: Pool,
): Promise<(image: Uint8Array | Frame, signal: AbortSignal) => Promise<Verdict>> {
  const api = await loadApi();
  if (!api) return (image, signal) => pool.inspect(image, { signal });
  const tracing = new ImageTracing(api);
  return (image, signal) => tracing.traceImage({}, () => pool.inspect(image, { signal }));
}

/**
 * Worker threads that are ready to judge by a Profile, in which no image waits longer than its verdict may take.
 * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID
 */
export async function openPool(profile: Profile | string, policy: Policy, options: PoolOptions): Promise<Pool> {
  const pool = await createPool({
    maxWaitMs: policy.verdictTimeoutMs,
    ...options,
    profile,
  });
  try {
    await pool.ready();
  } catch (error) {
    await pool.destroy();
    throw error;
  }
  return pool;
}
