import type { Core } from '../core/core.ts';
import { loadCore } from '../core/index.ts';
import { decoderVersion } from '../image/decode.ts';
import type { Embedder } from '../image/embedding/embedder.ts';
import { checkFrame, type ExtractedFrame, type Frame, type Limits, release } from '../image/frame.ts';
import { Maskings, type SourceMask } from '../image/mask.ts';
import { measureFrame, measurePixels } from '../image/measure.ts';
import { drawSketch } from '../image/sketch.ts';
import { measureTiles, type Tiles } from '../image/tiles.ts';
import type { Profile } from './description.ts';
import { type JudgingOptions, prepareJudging } from './judging.ts';
import type { Verdict } from './verdict.ts';

/** How an inspector judges; only `profile` is needed. */
export interface InspectorOptions extends JudgingOptions {
  /** A loaded Profile, or the path of one. */
  profile: Profile | string;
  /** Bounds on what is decoded; see `defaultLimits`. */
  limits?: Limits;
  /** Which build of the core to load; default: the fastest that loads. */
  core?: 'auto' | 'native' | 'wasm' | undefined;
  /**
   * Path of the model that the Profile was fitted with; default: that of this package. Not looked at where the Profile has
   * no model.
   */
  model?: string | undefined;
  /** Where the model is run; `gpu` falls back to the CPU, with the reasons in its `info.failed`. Default: cpu. */
  device?: 'cpu' | 'gpu';
  /** The same model, already open in this thread. */
  embedder?: Embedder | undefined;
}

/** One image for people who look at it. */
export interface Explanation {
  verdict: Verdict;
  tiles: Tiles;
}

/** Judges images against one Profile. Holds no state between images, so one can serve many callers of its thread. */
export interface Inspector {
  readonly profile: Profile;
  readonly core: Core;
  /** Things that make verdicts less certain than promised, such as a Profile fitted with another decoder version. */
  readonly warnings: readonly string[];
  /**
   * Measures in the thread that calls it: where a server must go on answering, use a pool.
   * @throws {StoplineError} IMAGE_* when the bytes are not an image that can be judged, MODEL_FAILED
   */
  inspect(
    image: Uint8Array | ExtractedFrame,
    options?: { wantsSketch?: boolean | undefined; mask?: SourceMask | undefined },
  ): Promise<SketchedVerdict>;
  /**
   * The verdict, and where in the image the evidence lies: takes about twice as long.
   * @throws {StoplineError} as `inspect`
   */
  explain(bytes: Uint8Array, options?: { mask?: SourceMask | undefined }): Promise<Explanation>;
  /**
   * For callers who have already decoded: 8-bit sRGB at native size, orientation applied. What only the encoded bytes
   * tell (format, encoder, compression) is then not judged.
   * @throws {StoplineError} FRAME_INVALID, MODEL_FAILED
   */
  inspectFrame(
    frame: Frame,
    options?: { wantsSketch?: boolean | undefined; mask?: SourceMask | undefined },
  ): Promise<SketchedVerdict>;
}

/** A verdict with what a monitor needs to see whether the picture stands still: see `drawSketch`. */
export interface SketchedVerdict extends Verdict {
  /** Only where it was asked for; it is no part of what is told. */
  sketch?: Uint8Array;
}

/** What is to be said of a Profile that was fitted with another version of the decoder. */
export function warnOfDecoder({ decode: { decoder } }: Profile): string[] {
  if (decoder === decoderVersion) return [];
  return [
    `The profile was fitted with ${decoder} and images are decoded with ${decoderVersion}: small differences in pixels are possible.`,
  ];
}

/**
 * Loads a Profile with its model and judges images in this thread, one at a time; `createPool` does so in several.
 *
 * @example
 * const inspector = await createInspector({ profile: 'camera.stopline' });
 * const { verdict, reasons } = await inspector.inspect(await readFile('frame.jpg'));
 * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID when the Profile lacks what `decideBy` or
 * `blockWhen` names, or that is no rule
 */
export async function createInspector(options: InspectorOptions): Promise<Inspector> {
  // What reads and checks files is loaded where files are read: a worker gets both checked, and would start half as fast.
  const loaded =
    typeof options.profile === 'string'
      ? await (await import('./file.ts')).loadProfile(options.profile)
      : options.profile;
  const { profile, warnings, judge } = prepareJudging(loaded, options);
  warnings.unshift(...warnOfDecoder(profile));
  const maskings = new Maskings(...(profile.mask ? [profile.mask] : []));
  const core = loadCore(options.core === 'auto' ? undefined : options.core);
  const embedder = profile.model && (options.embedder ?? (await openModel(profile.model)));
  async function openModel(fitted: NonNullable<Profile['model']>): Promise<Embedder> {
    const { findModel } = await import('../image/embedding/choose.ts');
    const { openPrepared } = await import('../image/embedding/open.ts');
    return openPrepared(await findModel(fitted, options.model, options.limits), { core, device: options.device });
  }
  return {
    profile,
    core,
    warnings,
    async inspect(source, { wantsSketch, mask } = {}) {
      const masking = maskings.find(mask);
      const { frame, ...image } = await measurePixels(core, source, options.limits, embedder, masking);
      const verdict = judge(core, image, frame, source instanceof Uint8Array ? source : undefined);
      const sketched = wantsSketch ? { ...verdict, sketch: drawSketch(frame) } : verdict;
      release(frame.data);
      return sketched;
    },
    async explain(bytes, { mask } = {}) {
      const { frame, ...image } = await measurePixels(core, bytes, options.limits, embedder, maskings.find(mask));
      const explanation = { verdict: judge(core, image, frame, bytes), tiles: measureTiles(core, frame) };
      release(frame.data);
      return explanation;
    },
    async inspectFrame(given, { wantsSketch, mask } = {}) {
      checkFrame(given);
      const masking = maskings.find(mask);
      const frame = masking ? masking.copy(given) : given;
      const verdict = judge(core, await measureFrame(core, frame, embedder), frame);
      return wantsSketch ? { ...verdict, sketch: drawSketch(frame) } : verdict;
    },
  };
}
