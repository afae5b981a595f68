import type { Core } from '../core/core.ts';
import { decode } from './decode.ts';
import type { Embedder } from './embedding/embedder.ts';
import { checkFrame, type ExtractedFrame, type Frame, type Limits, release } from './frame.ts';
import { differenceHash } from './hash.ts';
import { type Masking, withoutFileSize } from './mask.ts';
import type { MeasuredImage } from './measured.ts';
import { measurePlaces } from './places.ts';
import { sha256 } from './sha256.ts';
import { measureStatistics, measureVideoFrame } from './statistics/statistics.ts';

/**
 * Encoded bytes to statistics, and to an embedding where there is an embedder.
 * @throws {StoplineError} IMAGE_*, MODEL_FAILED
 */
export async function measureBytes(
  core: Core,
  source: Uint8Array | ExtractedFrame,
  limits?: Limits,
  embedder?: Embedder,
  masking?: Masking,
): Promise<MeasuredImage> {
  const { frame, ...image } = await measurePixels(core, source, limits, embedder, masking);
  release(frame.data);
  return image;
}

/**
 * The same, with the pixels for whoever wants to look closer, and then releases them. Under a mask they are filled.
 * @throws {StoplineError} IMAGE_*, MODEL_FAILED
 */
export async function measurePixels(
  core: Core,
  source: Uint8Array | ExtractedFrame,
  limits?: Limits,
  embedder?: Embedder,
  masking?: Masking,
): Promise<MeasuredImage & { frame: Frame }> {
  const started = performance.now();
  const isFile = source instanceof Uint8Array;
  const { frame, container } = await decode(isFile ? source : source.bytes, limits, undefined, core);
  masking?.fill(frame);
  const decoded = performance.now();
  const whole = isFile ? measureStatistics(core, frame, container) : measureVideoFrame(core, frame);
  const vector = masking ? withoutFileSize(whole) : whole;
  const places = measurePlaces(frame);
  const measured = performance.now();
  const embedded = await embed(embedder, frame);
  const turned = container.orientation >= 5;
  return {
    frame,
    statistics: vector,
    places,
    ...embedded?.row,
    ...(isFile ? { container } : { codec: source.codec }),
    width: turned ? container.height : container.width,
    height: turned ? container.width : container.height,
    bytes: isFile ? source.length : frame.data.length,
    sha256: sha256(isFile ? source : frame.data),
    hash: differenceHash(frame),
    timingMs: { decode: decoded - started, statistics: measured - decoded, ...embedded?.time },
  };
}

async function embed(embedder: Embedder | undefined, frame: Frame) {
  if (!embedder) return undefined;
  const started = performance.now();
  const [embedding] = await embedder.embed([frame]);
  return { row: { embedding }, time: { embedding: performance.now() - started } };
}

/**
 * A frame that the caller has decoded, by the same rule as `decode`, to statistics.
 * @throws {StoplineError} FRAME_INVALID, IMAGE_MASKED, MODEL_FAILED
 */
export async function measureFrame(core: Core, frame: Frame, embedder?: Embedder): Promise<MeasuredImage> {
  checkFrame(frame);
  const started = performance.now();
  const vector = measureStatistics(core, frame);
  const places = measurePlaces(frame);
  const measured = performance.now();
  const embedded = await embed(embedder, frame);
  return {
    statistics: vector,
    places,
    ...embedded?.row,
    width: frame.width,
    height: frame.height,
    bytes: frame.data.length,
    sha256: sha256(frame.data),
    hash: differenceHash(frame),
    timingMs: { decode: 0, statistics: measured - started, ...embedded?.time },
  };
}
