import type { Severity } from '../image/corruptions/corruptions.ts';

/** What fitting keeps of one image. */
export interface Sample {
  /** sha256 of the file: decides by seed, wherever the file lies. */
  id: string;
  path: string;
  group: string;
  /** The recording that it is a frame of, where the reference has a few of them. */
  drive?: string | undefined;
  fold: number;
  statistics: Float64Array;
  /** As `measurePlaces` gives it; either every sample has them, or none has. */
  places?: Float32Array | undefined;
  /** Either every sample has one, or none has. */
  embedding?: Float32Array | undefined;
  properties: Record<string, string>;
}

/** One reference image looked at again: whole or in part, clean or under a simulated cause. */
export interface SimulatedSample {
  fold: number;
  drive?: string | undefined;
  /** Simulations of one view show the same pixels but for the cause. */
  view: string;
  isPart: boolean;
  /** Absent when clean. */
  cause?: string | undefined;
  statistics: Float64Array;
}

/** A reference image as a whole, encoded again and perhaps under a cause: what the power report counts. */
export interface Look {
  sample: Sample;
  /** Absent when clean. */
  cause?: string | undefined;
  severity: Severity;
  image: Pick<Sample, 'statistics' | 'embedding' | 'places'>;
}

/** One recording as seen by the fit of the others, and what those score by fits without their folds. */
export interface UnseenDrive {
  drive: string;
  /** Combined scores of its images. */
  scores: number[];
  /** Those of the images of all other recordings, ascending. */
  calibration: Float64Array;
}

/** One reference image as seen by the fit of its fold, which is without it. */
export interface UnseenSample {
  sample: Sample;
  /** Combined score, as a verdict's. */
  score: number;
  /** The combined score that it calibrates with: as that of an image of a drive that was not seen, where several drives tell of one. */
  calibration: number;
  /** Score of every detector, in their order. */
  scores: number[];
  /** Deviations of every scored statistic, in the order of the Profile. */
  z: Float32Array;
}
