import type { Core } from '../core/core.ts';
import { createWasmCore, instantiate } from '../core/instantiate.ts';
import { StoplineError } from '../errors.ts';
import type { Container } from '../image/container/container.ts';
import { readContainer } from '../image/container/read.ts';
import { checkFrame, type Frame, type Limits } from '../image/frame.ts';
import { differenceHash } from '../image/hash.ts';
import { Masking, withoutFileSize } from '../image/mask.ts';
import type { MeasuredImage } from '../image/measured.ts';
import { measurePlaces } from '../image/places.ts';
import { sha256 } from '../image/sha256.ts';
import { measureStatistics } from '../image/statistics/statistics.ts';
import { measureTiles, type Tiles } from '../image/tiles.ts';
import { decodeInBrowser } from '../image/webpixels.ts';
import type { Profile } from './description.ts';
import { type JudgingOptions, prepareJudging } from './judging.ts';
import { readProfile } from './readprofile.ts';
import type { Verdict } from './verdict.ts';

/** How a judge of decoded pixels judges; only `profile` is needed. */
export interface FrameJudgeOptions extends JudgingOptions {
  /** The bytes of a Profile file. Its checksum is checked; that its description fits the schema is believed of whoever wrote it. */
  profile: Uint8Array | ArrayBuffer;
  /** The bytes of `stopline.wasm`; default: that of this package, fetched from beside this module. */
  wasm?: Uint8Array | ArrayBuffer | undefined;
  /** Bounds on images that `inspectImage` takes. */
  limits?: Limits | undefined;
  /**
   * What the network of the Profile says of a frame, where the Profile has one: as many numbers as its `model.dimension`. Nothing here
   * runs networks; `stopline fit --model none` makes a Profile without.
   */
  embed?: ((frame: Frame) => Float32Array | Promise<Float32Array>) | undefined;
}

/** Pixels as a canvas gives them (`getImageData`), or any 8-bit interleaved ones; without `channels` four of them, alpha ignored. */
export interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  channels?: 1 | 3 | 4;
}

/** Judges decoded pixels against one Profile, wherever WebAssembly runs: no module of Node is loaded. */
export interface FrameJudge {
  readonly profile: Profile;
  /** Things that make verdicts less certain than promised. */
  readonly warnings: readonly string[];
  /**
   * Judges pixels at native size, orientation applied. With the bytes that they were decoded from, what only those tell (format,
   * encoder, compression) is judged, too, as the service does.
   * @throws {StoplineError} FRAME_INVALID, IMAGE_* for bytes that are no image
   */
  inspect(pixels: Pixels, bytes?: Uint8Array): Promise<Verdict>;
  /**
   * Decodes and judges a file, as `POST /inspect` does: a PNG in every runtime, JPEG and WebP in browsers and their workers.
   * @throws {StoplineError} IMAGE_*
   */
  inspectImage(image: Blob | Uint8Array | ArrayBuffer): Promise<Verdict>;
  /**
   * The same, with the tiles of the image where the evidence lies.
   * @throws {StoplineError} IMAGE_*
   */
  explainImage(image: Blob | Uint8Array | ArrayBuffer): Promise<{ verdict: Verdict; tiles: Tiles }>;
}

/**
 * A judge of pixels that have been decoded already, or that a browser decodes: of a canvas, in a page, a worker, Deno or Bun. It is the
 * code of the service, so it gives the verdict of the service for the same pixels and bytes.
 *
 * @example
 * const judge = await createFrameJudge({ profile: await (await fetch('camera.stopline')).arrayBuffer() });
 * const verdict = await judge.inspect(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height));
 * @throws {StoplineError} PROFILE_*, CORE_UNAVAILABLE; OPTION_INVALID when the Profile has a network and `embed` is not given, or lacks
 * what the options name
 */
export async function createFrameJudge(options: FrameJudgeOptions): Promise<FrameJudge> {
  const { profile, warnings, judge } = prepareJudging(readProfile(asBytes(options.profile)), options);
  const { embed, limits } = options;
  if (profile.model && !embed) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected embed, which runs the network "${profile.model.name}" of the profile "${profile.name}", but received none. Fit a profile without one: stopline fit <folder> --model none --out FILE`,
    );
  }
  const core = await openCore(options.wasm);
  const masking = profile.mask && new Masking(profile.mask);
  const measure = async (frame: Frame, bytes?: Uint8Array, container?: Container): Promise<MeasuredImage> => {
    const started = performance.now();
    const whole = measureStatistics(core, frame, container);
    const vector = masking ? withoutFileSize(whole) : whole;
    const measured = performance.now();
    const embedding = profile.model && (await embed?.(frame));
    return {
      statistics: vector,
      places: measurePlaces(frame),
      ...(embedding && { embedding }),
      ...(container && { container }),
      ...readSize(frame, container),
      bytes: bytes?.length ?? frame.data.length,
      sha256: sha256(bytes ?? frame.data),
      hash: differenceHash(frame),
      timingMs: {
        decode: 0,
        statistics: measured - started,
        ...(embedding && { embedding: performance.now() - measured }),
      },
    };
  };
  const judgeImage = async (image: Blob | Uint8Array | ArrayBuffer) => {
    const bytes = image instanceof Blob ? asBytes(await image.arrayBuffer()) : asBytes(image);
    const started = performance.now();
    const { frame, container } = await decodeInBrowser(bytes, limits);
    masking?.fill(frame);
    const decode = performance.now() - started;
    const measured = await measure(frame, bytes, container);
    const timingMs = { ...measured.timingMs, decode };
    return { frame, verdict: judge(core, { ...measured, timingMs }, frame, bytes) };
  };
  return {
    profile,
    warnings,
    async inspect(pixels, bytes) {
      const given = asFrame(pixels);
      checkFrame(given, limits);
      const frame = masking ? masking.copy(given) : given;
      return judge(core, await measure(frame, bytes, bytes && readContainer(bytes)), frame, bytes);
    },
    inspectImage: async (image) => (await judgeImage(image)).verdict,
    async explainImage(image) {
      const { frame, verdict } = await judgeImage(image);
      return { verdict, tiles: measureTiles(core, frame) };
    },
  };
}

function asBytes(data: Uint8Array | ArrayBuffer): Uint8Array {
  return data instanceof Uint8Array ? data : new Uint8Array(data);
}

/** Samples of any length are taken as they are: `checkFrame` says what does not fit. */
function asFrame(pixels: Pixels): Frame {
  const { data, width, height, channels = 4 } = pixels ?? {};
  const bytes = data instanceof Uint8ClampedArray ? new Uint8Array(data.buffer, data.byteOffset, data.length) : data;
  return { data: bytes, width, height, channels };
}

/** Of the image as it is stored, orientation applied; of pixels alone, theirs. */
function readSize({ width, height }: Frame, container: Container | undefined): { width: number; height: number } {
  if (!container) return { width, height };
  const isTurned = container.orientation >= 5;
  return {
    width: isTurned ? container.height : container.width,
    height: isTurned ? container.width : container.height,
  };
}

async function openCore(wasm: Uint8Array | ArrayBuffer | undefined): Promise<Core> {
  const bytes = wasm === undefined ? await readWasm() : asBytes(wasm);
  return createWasmCore(instantiate(await WebAssembly.compile(bytes)));
}

/** Node fetches no files; there, its own module reads them. */
async function readWasm(): Promise<Uint8Array> {
  const url = new URL('../core/stopline.wasm', import.meta.url);
  const { getBuiltinModule } = (globalThis as { process?: Partial<NodeJS.Process> }).process ?? {};
  if (url.protocol === 'file:' && getBuiltinModule) return getBuiltinModule('node:fs').readFileSync(url);
  const response = await fetch(url).catch(() => undefined);
  if (response?.ok) return asBytes(await response.arrayBuffer());
  throw new StoplineError(
    'CORE_UNAVAILABLE',
    `Expected the WebAssembly core beside the module (${url.pathname.split('/').at(-1)}) but it cannot be fetched. Give its bytes as wasm, where a bundler has moved it.`,
  );
}
