import type { Container } from './container.ts';

/** One statistic that makes an image strange, in plain words. */
export interface Reason {
  /** Name in the statistics table, or the container property (`fingerprint`, `format`, `size`) for categorical evidence. */
  statistic: string;
  value: number | string;
  unit: string;
  direction: 'high' | 'low' | 'new';
  pValue: number;
  /** Quantiles of the reference; absent for categorical evidence. */
  reference?: { p01: number; p50: number; p99: number };
  text: string;
}

/** One detector's opinion. `score` is real-valued, larger is stranger. */
export interface DetectorScore {
  name: string;
  pValue: number;
  score: number;
}

/** The answer for one image; the same JSON in HTTP, command line, JSONL and library. */
export interface Verdict {
  verdict: 'pass' | 'warn' | 'block';
  /** Conformal p-value of the combined score: the share of reference images at least this strange. */
  pValue: number;
  /** Combined score; keeps ranking images after the p-value has reached its smallest possible value. */
  score: number;
  /** The rates promised at `warn` and `block`; larger than asked where the calibration set is too small. */
  falseAlarmRate: { warn: number; block: number };
  /** Strongest first. */
  reasons: Reason[];
  detectors: DetectorScore[];
  /** Value by statistic name; null where it does not apply to this image. */
  statistics: Record<string, number | null>;
  image: {
    format: Container['format'] | 'frame';
    width: number;
    height: number;
    bytes: number;
    /** Of the encoded bytes, or of the pixels when a frame was given. */
    sha256: string;
    container?: Container;
  };
  profile: { name: string; sha256: string };
  timingMs: { decode: number; statistics: number; score: number; total: number };
}
