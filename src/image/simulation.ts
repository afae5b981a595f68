import type { Core } from '../core/core.ts';
import type { Container } from './container/container.ts';
import { corrupt, type Severity } from './corruptions/corruptions.ts';
import { Random } from './corruptions/random.ts';
import { decode } from './decode.ts';
import type { Embedder } from './embedding/embedder.ts';
import { passThroughEncoder, passThroughVideo } from './encode.ts';
import { cropFrame, type ExtractedFrame, type Frame, type Limits, release } from './frame.ts';
import { type Masking, withoutFileSize } from './mask.ts';
import { measureBytes } from './measure.ts';
import type { MeasuredImage } from './measured.ts';
import { hideParts } from './patches.ts';
import { changedShares, measurePlaces } from './places.ts';
import { measureStatistics, measureVideoFrame } from './statistics/statistics.ts';

/** One way to look at a reference image again: a part of it, a simulated cause, or both. */
export interface Simulation {
  /** A name in the table of corruptions; none leaves the picture clean. */
  cause?: string;
  severity: Severity;
  seed: number;
  /** Take a random part of the frame first: other content, same camera. */
  crop: boolean;
  /** Look at it as a frame of a video whose codec loses about as much as WebP of this quality. */
  videoQuality?: number;
  /** Hide parts of the frame at random, for where they are: nothing but the places is measured. */
  hides?: boolean;
}

/** An image as a simulation shows it. */
export interface SimulatedImage extends MeasuredImage {
  /** What the classifier answers to a whole frame; absent without one. */
  classScores?: Float32Array;
  /** Share of every tile that the simulation changed visibly; of causes that hide parts. */
  hidden?: Float32Array;
}

/** Causes that hide or blur parts of the picture and leave the others. */
const localCauses: ReadonlySet<string> = new Set(['lensDrops', 'spatter', 'dirt', 'occlusion']);

/**
 * Measures one image under simulations, each encoded again the way the image was: what a camera with the same encoder would
 * have delivered. The pixels are the simulated ones; whatever only the file says is the original's, because the simulated file
 * is our encoder's doing. However large the image, causes are simulated on the frame as it is inspected, which has at most
 * `inspectionPixels`.
 * @throws {StoplineError} IMAGE_*, OPTION_INVALID, MODEL_FAILED, MODEL_UNSUPPORTED
 */
export async function measureSimulations(
  core: Core,
  source: Uint8Array | ExtractedFrame,
  simulations: readonly Simulation[],
  limits?: Limits,
  {
    embedder,
    classifier,
    masking,
  }: { embedder?: Embedder | undefined; classifier?: Embedder | undefined; masking?: Masking | undefined } = {},
): Promise<SimulatedImage[]> {
  // Our own files: no time limit, which a busy machine would exceed at random.
  const unhurried = { ...limits, maxSeconds: 0 };
  const original = await measureBytes(core, source, unhurried, undefined, masking);
  const isFile = source instanceof Uint8Array;
  const { frame, container } = await decode(isFile ? source : source.bytes, unhurried);
  // A large image is shrunk before it is looked at, and the traces of its encoder with it: at the size at which causes are
  // simulated, a lossless file is what keeps the pixels like those of the reference.
  const isShrunk = frame.width * frame.height < container.width * container.height;
  const encoder: Container = isShrunk ? { ...container, format: 'png' } : container;
  const measured: SimulatedImage[] = [];
  for (const { cause, severity, seed, crop, videoQuality, hides } of simulations) {
    if (hides) {
      measured.push({ ...original, ...(await measureHidden(frame, seed, encoder, masking)) });
      continue;
    }
    // A part of a frame has no place for the mask any more: it is taken of the frame without what the mask hides.
    const part = crop ? cropFrame(masking ? masking.copy(frame) : frame, seed) : frame;
    const changed = cause === undefined ? part : await corrupt(part, cause, severity, seed);
    const encoded =
      videoQuality === undefined
        ? await passThroughEncoder(changed, encoder)
        : await passThroughVideo(changed, videoQuality);
    const seen = masking && !crop ? masking.copy(encoded) : encoded;
    const whole =
      isFile && videoQuality === undefined ? measureStatistics(core, seen, container) : measureVideoFrame(core, seen);
    const vector = masking ? withoutFileSize(whole) : whole;
    // A part of a frame is nothing that the networks are given.
    const answers = crop ? {} : await askNetworks(seen, embedder, classifier);
    const hidden = cause !== undefined && localCauses.has(cause) && { hidden: changedShares(part, changed) };
    const places = measurePlaces(seen);
    measured.push({ ...original, statistics: vector, places, ...answers, ...hidden });
    if (seen !== encoded) release(seen.data);
    if (encoded !== frame) release(encoded.data);
    if (changed !== frame && changed !== encoded) release(changed.data);
  }
  return measured;
}

/** The places of a frame of which parts are hidden, and how much of each. */
async function measureHidden(
  frame: Frame,
  seed: number,
  encoder: Container,
  masking: Masking | undefined,
): Promise<Pick<SimulatedImage, 'places' | 'hidden'>> {
  const { width, height } = frame;
  const data = new Uint8Array(frame.data.buffer, frame.data.byteOffset, frame.data.length);
  const changed: Frame = { ...frame, data: hideParts({ data, width, height }, new Random(seed)) };
  const encoded = await passThroughEncoder(changed, encoder);
  masking?.fill(encoded);
  const measured = { places: measurePlaces(encoded), hidden: changedShares(frame, changed) };
  release(encoded.data);
  return measured;
}

/** What networks say of a frame; one that is both the model and the classifier is run once. */
async function askNetworks(
  frame: Frame,
  embedder: Embedder | undefined,
  classifier: Embedder | undefined,
): Promise<Pick<SimulatedImage, 'embedding' | 'classScores'>> {
  if (embedder !== undefined && embedder === classifier) {
    const [both] = await embedder.answer([frame]);
    return both;
  }
  const [embedding] = (await embedder?.embed([frame])) ?? [];
  const [classScores] = (await classifier?.classify([frame])) ?? [];
  return { ...(embedding && { embedding }), ...(classScores && { classScores }) };
}
