import type { CoreInfo } from '../core/core.ts';
import type { ErrorJson } from '../errors.ts';
import type { EmbedderInfo } from '../image/embedding/embedder.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import type { ExtractedFrame, Frame, Limits } from '../image/frame.ts';
import type { Mask, SourceMask } from '../image/mask.ts';
import type { Simulation } from '../image/simulation.ts';
import type { Profile } from '../profile/description.ts';
import type { DecideBy } from '../profile/verdict.ts';
import type { Columns, RowFormat } from './rows/row.ts';

/** A Profile, and the model that it was fitted with where it was fitted with one. */
export interface JudgedBy {
  profile: Profile;
  model: PreparedModel | undefined;
}

/** What every worker of a pool is started with. */
export interface WorkerSettings {
  /** None in a pool that only measures. */
  profiles: readonly JudgedBy[];
  core: 'auto' | 'native' | 'wasm';
  /** That of the first Profile, or the one to measure with. */
  model?: PreparedModel | undefined;
  /** The user's, asked for its answers to simulations. */
  classifier?: PreparedModel | undefined;
  /** Whether a thread that is given its next image meanwhile decodes it meanwhile. */
  decodesAhead?: boolean | undefined;
  /** What of every image counts where images are measured; a Profile has its own. */
  mask?: Mask | undefined;
  decideBy?: DecideBy | undefined;
  blockWhen?: string | undefined;
  ignore?: readonly string[] | undefined;
  device?: 'cpu' | 'gpu' | undefined;
  limits: Limits;
}

/** An image to be judged for a row: a file, which is read here, or bytes, or what kept it from being read. */
export interface ScoredItem {
  name: string;
  path?: string | undefined;
  bytes?: Uint8Array;
  /** The codec of the video that the bytes were taken from: see `ExtractedFrame`. */
  codec?: string | undefined;
  error?: ErrorJson;
  columns?: Columns | undefined;
}

/** The path of an image file, its bytes, or a frame of a video. */
export type EncodedImage = string | Uint8Array | ExtractedFrame;

export type WorkerTask =
  | { kind: 'warm' }
  | {
      kind: 'inspect';
      image: Uint8Array | ExtractedFrame | Frame;
      wantsSketch?: boolean | undefined;
      mask?: SourceMask | undefined;
      /** Which of the Profiles of the pool; default: the first. */
      profile?: number | undefined;
    }
  | { kind: 'explain'; bytes: Uint8Array; mask?: SourceMask | undefined }
  | { kind: 'draw'; image: Uint8Array | Frame; side: number; mask?: SourceMask | undefined }
  | { kind: 'encode'; image: Uint8Array | Frame; mask?: SourceMask | undefined }
  | { kind: 'inspectFile'; path: string; profile?: number | undefined; mask?: SourceMask | undefined }
  | { kind: 'score'; item: ScoredItem; format: RowFormat; mask?: SourceMask | undefined }
  | { kind: 'measure'; image: EncodedImage }
  | { kind: 'simulate'; image: EncodedImage; simulations: readonly Simulation[]; asks: boolean };

/** What a thread has loaded. */
export interface Loaded {
  core: CoreInfo;
  embedder?: EmbedderInfo | undefined;
  /** Rights that were taken from the process; nothing in a thread. */
  confined: readonly string[];
}
