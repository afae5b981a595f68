import type { StoplineError } from '../../errors.ts';
import type { ExtractedFrame } from '../../image/frame.ts';

export interface CameraOptions {
  /** One image in so many milliseconds: of the clock, of a clip of its own time. */
  everyMs: number;
  /** A live camera that is silent for longer is given up. */
  stallMs: number;
  /** Largest image. */
  maxBytes: number;
  /** Decode only the key frames of a video stream. */
  keyframes?: boolean | undefined;
  signal: AbortSignal;
  /** Told of each image that was taken and then replaced by a newer one. */
  onSkip?: () => void;
}

/** One image of a camera, or why it is none. */
export type CameraImage =
  | { image: Uint8Array | ExtractedFrame; error?: undefined }
  | { image?: undefined; error: StoplineError };
