import type { Core } from '../core/core.ts';
import { loadCore } from '../core/index.ts';
import { StoplineError } from '../errors.ts';
import { findOldFingerprint } from '../image/container/oldfingerprint.ts';
import { decodeRule, decoderVersion } from '../image/decode.ts';
import type { Embedder } from '../image/embedding/embedder.ts';
import { openPrepared } from '../image/embedding/open.ts';
import { type ExtractedFrame, type Frame, type Limits, release } from '../image/frame.ts';
import { readHistory } from '../image/jpeghistory.ts';
import { type MeasuredImage, measureFrame, measurePixels } from '../image/measure.ts';
import { drawSketch } from '../image/sketch.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { measureTiles, type Tiles } from '../image/tiles.ts';
import { parseRule } from './blockrule.ts';
import type { Profile } from './description.ts';
import { createScorer } from './score.ts';
import { type DecideBy, decideVerdict, type Verdict } from './verdict.ts';

/** How an inspector judges; only `profile` is needed. */
export interface InspectorOptions {
  /** A loaded Profile, or the path of one. */
  profile: Profile | string;
  /** Bounds on what is decoded; see `defaultLimits`. */
  limits?: Limits;
  /** Which build of the core to load; default: the fastest that loads. */
  core?: 'auto' | 'native' | 'wasm' | undefined;
  /**
   * Which question the verdict answers: was the image taken as the reference was (`capture`), does it show what that
   * shows (`content`), or both (`combined`, the default). The other answers stay in `detectors`.
   */
  decideBy?: DecideBy | undefined;
  /**
   * When to block, in place of the promised rate: comparisons of `expectedFlipRate`, `pValue` and `score` with numbers,
   * joined by `and` and `or`, such as `expectedFlipRate > 0.1`; see `parseRule`. Warnings stay as they are.
   */
  blockWhen?: string | undefined;
  /**
   * Properties of the file that count for nothing, such as `size` and `encoder`. The promised rates hold: a clean image scores at
   * most what it would have scored.
   */
  ignore?: readonly string[] | undefined;
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
    options?: { wantsSketch?: boolean | undefined },
  ): Promise<SketchedVerdict>;
  /**
   * The verdict, and where in the image the evidence lies: takes about twice as long.
   * @throws {StoplineError} as `inspect`
   */
  explain(bytes: Uint8Array): Promise<Explanation>;
  /**
   * For callers who have already decoded: 8-bit sRGB at native size, orientation applied. What only the encoded bytes
   * tell (format, encoder, compression) is then not judged.
   * @throws {StoplineError} FRAME_INVALID, MODEL_FAILED
   */
  inspectFrame(frame: Frame, options?: { wantsSketch?: boolean | undefined }): Promise<SketchedVerdict>;
}

/** A verdict with what a monitor needs to see whether the picture stands still: see `drawSketch`. */
export interface SketchedVerdict extends Verdict {
  /** Only where it was asked for; it is no part of what is told. */
  sketch?: Uint8Array;
}

const oldProfileWarning =
  'The profile was fitted by a version for which metadata and Huffman tables counted as settings of the encoder: unusual ones may still make an image strange. Fit it again: stopline fit <folder> --out FILE';

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
  const profile = ignoreProperties(loaded, options.ignore ?? []);
  if (profile.decode.rule !== decodeRule) {
    throw new StoplineError(
      'PROFILE_RULE',
      `Expected a profile fitted under the decoding rule "${decodeRule}" but received one fitted under "${profile.decode.rule}". Fit it again: stopline fit <folder> --out FILE`,
    );
  }
  const { decideBy = 'combined' } = options;
  if (!profile.detectors.some(({ name }) => name === decideBy)) {
    const names = profile.detectors.map(({ name }) => name).join(', ');
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected decideBy to name a detector of the profile (${names}) but received "${decideBy}". The detectors capture and content need a profile fitted with causes, as stopline fit does unless it is told --simulations 0`,
    );
  }
  const rule = options.blockWhen === undefined ? undefined : parseRule(options.blockWhen);
  if (rule?.numbers.has('expectedFlipRate') && !profile.harm) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected a profile with a harm map for the rule "${rule.text}" but "${profile.name}" has none. Fit it with the classifier: stopline fit <folder> --classifier model.onnx --out FILE`,
    );
  }
  const warnings: string[] = [];
  if (profile.decode.decoder !== decoderVersion) {
    warnings.push(
      `The profile was fitted with ${profile.decode.decoder} and images are decoded with ${decoderVersion}: small differences in pixels are possible.`,
    );
  }
  const core = loadCore(options.core === 'auto' ? undefined : options.core);
  const scorer = createScorer(
    profile,
    statistics.map(({ name }) => name),
  );
  const embedder = profile.model && (options.embedder ?? (await openModel(profile.model)));
  async function openModel(fitted: NonNullable<Profile['model']>): Promise<Embedder> {
    const { findModel } = await import('../image/embedding/choose.ts');
    return openPrepared(await findModel(fitted, options.model, options.limits), { core, device: options.device });
  }
  const { fingerprint: known } = profile.categories;
  if (known) warnings.push(oldProfileWarning);
  const verdictOn = (image: MeasuredImage, frame: Frame, bytes?: Uint8Array) =>
    decideVerdict(profile, scorer, image, {
      decidedBy: decideBy,
      rule,
      ...(known && bytes && { properties: { fingerprint: findOldFingerprint(bytes, known) } }),
      // A frame of a video that was shrunk has lost its grid; of a file the container tells.
      history: () =>
        image.codec === undefined || image.width === frame.width
          ? readHistory(core, frame, image.container)
          : undefined,
    });
  return {
    profile,
    core,
    warnings,
    async inspect(source, { wantsSketch } = {}) {
      const { frame, ...image } = await measurePixels(core, source, options.limits, embedder);
      const verdict = verdictOn(image, frame, source instanceof Uint8Array ? source : undefined);
      const sketched = wantsSketch ? { ...verdict, sketch: drawSketch(frame) } : verdict;
      release(frame.data);
      return sketched;
    },
    async explain(bytes) {
      const { frame, ...image } = await measurePixels(core, bytes, options.limits, embedder);
      const explanation = { verdict: verdictOn(image, frame, bytes), tiles: measureTiles(core, frame) };
      release(frame.data);
      return explanation;
    },
    async inspectFrame(frame, { wantsSketch } = {}) {
      const verdict = verdictOn(await measureFrame(core, frame, embedder), frame);
      return wantsSketch ? { ...verdict, sketch: drawSketch(frame) } : verdict;
    },
  };
}

/** What older Profiles call a property, and newer ones. */
const aliases: Readonly<Record<string, string>> = { fingerprint: 'encoder', encoder: 'fingerprint' };

/** A Profile that has never looked at some properties. Its checksum stays that of the file. */
function ignoreProperties(profile: Profile, names: readonly string[]): Profile {
  if (names.length === 0) return profile;
  const known = Object.keys(profile.categories);
  const ignored = new Set(names.map((name) => (known.includes(name) ? name : (aliases[name] ?? name))));
  const unknown = [...ignored].find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected ignore to name properties that the profile looks at (${known.join(', ')}) but received "${unknown}".`,
    );
  }
  const categories = Object.fromEntries(Object.entries(profile.categories).filter(([name]) => !ignored.has(name)));
  return { ...profile, categories };
}
