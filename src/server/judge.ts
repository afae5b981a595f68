import type { FastifyRequest } from 'fastify';
import { StoplineError } from '../errors.ts';
import type { ImageTracing } from '../gate/tracing.ts';
import type { ExtractedFrame, Frame } from '../image/frame.ts';
import type { SourceMask } from '../image/mask.ts';
import type { Profile } from '../profile/description.ts';
import type { Verdict } from '../profile/verdict.ts';
import { joinMasks, type Masks } from '../run/masks.ts';
import type { Pool } from '../run/pool.ts';
import { sourcePattern } from '../settings.ts';

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
  /** See `drawSketch`. */
  sketch?: Uint8Array;
  /** What no picture of it may show, because it counts nowhere. */
  mask?: SourceMask;
  /** The pixels of an image that came as pixels; only for watchers that asked for bytes. */
  frame?: Frame;
}

export type Watcher = (judgement: Judgement) => void;

/** What a judge judges by: a Profile and a pool that judges by it, or why there is none. */
export type JudgeState = { profile: Profile; pool: Pool } | { refusal: StoplineError };

export interface JudgeOptions {
  source: string;
  requestId: string;
  signal?: AbortSignal;
  /** The array is read afterwards, so the worker gets a copy. */
  keep?: boolean;
}

/**
 * The one place where a service judges images, however they came: POST /inspect, the gate, the proxy. Whoever keeps account
 * of verdicts (drift, quarantine, history, live events) watches here. Holds the Profile in force and the workers that judge
 * by it; both are replaced together.
 */
export class Judge {
  readonly #watchers: Watcher[] = [];
  readonly #replaceWatchers: ((profile: Profile) => void)[] = [];
  #wantsBytes = false;
  #pool: Pool;
  #profile: Profile | undefined;
  #refusal: StoplineError | undefined;
  /** Set where the host traces. */
  tracing: ImageTracing | undefined;
  /** What counts nowhere in the images of which source. */
  masks: Masks | undefined;

  constructor(state: JudgeState) {
    if ('refusal' in state) {
      this.#refusal = state.refusal;
      this.#pool = createRefusingPool(state.refusal);
    } else {
      this.#profile = state.profile;
      this.#pool = state.pool;
    }
  }

  get hasProfile(): boolean {
    return this.#profile !== undefined;
  }

  /** Why there is no Profile. */
  get refusal(): StoplineError | undefined {
    return this.#refusal;
  }

  /** The Profile in force. @throws {StoplineError} PROFILE_*, MODEL_* where there is none, because it cannot be used */
  get profile(): Profile {
    if (!this.#profile) throw this.#refusal;
    return this.#profile;
  }

  get pool(): Pool {
    return this.#pool;
  }

  /**
   * @param image the encoded image, or its pixels, or a frame of a video; the array is empty afterwards unless `keep` is set or a watcher wants it
   * @throws {StoplineError} IMAGE_*, FRAME_INVALID, OVERLOADED, CLOSED, INTERNAL; the signal's reason when aborted
   */
  async inspect(image: Uint8Array | ExtractedFrame | Frame, options: JudgeOptions): Promise<Verdict> {
    const { source, requestId, signal, keep = false } = options;
    const transfer = !keep && !this.#wantsBytes;
    const mask = this.masks?.find(source);
    const inspect = () => this.#pool.inspect(image, { signal, transfer, wantsSketch: true, mask });
    const about = { 'stopline.source': source, 'stopline.request.id': requestId };
    const judged = this.tracing?.traceImage(about, inspect) ?? inspect();
    const { sketch, ...verdict } = await judged;
    const kept =
      image instanceof Uint8Array ? { bytes: image } : 'bytes' in image ? { bytes: image.bytes } : { frame: image };
    const judgement: Judgement = {
      verdict,
      source,
      at: Date.now(),
      requestId,
      ...(sketch && { sketch }),
      ...(this.#wantsBytes && { ...kept, ...this.#readHidden(mask) }),
    };
    for (const watcher of this.#watchers) watcher(judgement);
    return verdict;
  }

  /** What pictures of a source must not show: what it masks, and what the Profile does. */
  #readHidden(mask: SourceMask | undefined): Pick<Judgement, 'mask'> {
    const { mask: always, sha256 } = this.#profile ?? {};
    const hidden = joinMasks([
      ...(always ? [{ key: `profile ${sha256}`, masks: [always] }] : []),
      ...(mask ? [mask] : []),
    ]);
    return hidden ? { mask: hidden } : {};
  }

  /** Calls the watcher after each verdict, in the order in which they were reached. It must not throw or block. */
  watch(watcher: Watcher, wants?: { bytes: boolean }): void {
    this.#watchers.push(watcher);
    if (wants?.bytes) this.#wantsBytes = true;
  }

  /** Judges by another Profile, or with another pool, from now on. A pool that is replaced finishes what it accepted and ends. */
  replace(pool: Pool, profile: Profile): void {
    const previous = this.#pool;
    this.#pool = pool;
    this.#profile = profile;
    this.#refusal = undefined;
    if (previous !== pool) void previous.close();
    for (const watcher of this.#replaceWatchers) watcher(profile);
  }

  /** Calls the watcher after each change of the Profile. It must not throw or block. */
  onReplace(watcher: (profile: Profile) => void): void {
    this.#replaceWatchers.push(watcher);
  }
}

/** In place of a pool where there is no Profile to judge by: refuses everything with what is wrong. */
export function createRefusingPool(refusal: StoplineError): Pool {
  const refuse = () => Promise.reject(refusal);
  return {
    info: { threads: 0 },
    crashes: 0,
    slow: 0,
    isFailing: false,
    queued: 0,
    running: 0,
    expectedWaitMs: 0,
    admit() {
      throw refusal;
    },
    ready: refuse,
    inspect: refuse,
    explain: refuse,
    draw: refuse,
    encode: refuse,
    inspectFile: refuse,
    score: refuse,
    measure: refuse,
    simulate: refuse,
    close: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
  };
}

/** Where images belong whose sender names no camera. */
const defaultSource = 'default';

/**
 * The camera that a request names: `?source=` or the header that the configuration says.
 * @throws {StoplineError} REQUEST_INVALID
 */
export function readSource(request: FastifyRequest, header: string): string {
  const { source: asked } = request.query as { source?: unknown };
  return checkSource(asked ?? request.headers[header]);
}

/** The name of a camera, or that of those without one. @throws {StoplineError} REQUEST_INVALID */
export function checkSource(named: unknown): string {
  if (named === undefined) return defaultSource;
  if (typeof named === 'string' && sourcePattern.test(named)) return named;
  throw new StoplineError(
    'REQUEST_INVALID',
    `Expected a source of 1 to 128 letters, digits or . _ : - but received ${JSON.stringify(named).slice(0, 150)}.`,
  );
}
