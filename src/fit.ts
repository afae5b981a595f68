import type { Profile } from './profile.ts';

export interface FitOptions {
  /** Files and folders (recursive). */
  paths: string[];
  name?: string;
  seed?: number;
  /** Share of the groups held out for calibration. */
  holdout?: number;
  /** 'folder', 'none', or a regular expression whose first group (or whole match) names the group of a path. */
  groupBy?: string;
  /** Worker threads; default: number of cores. */
  threads?: number;
  /** Rates asked for. */
  falseAlarmRate?: { warn: number; block: number };
  onProgress?: (progress: { stage: string; done: number; total: number; failed: number }) => void;
  signal?: AbortSignal;
}

export interface FitResult {
  profile: Profile;
  skipped: { path: string; error: { code: string; message: string } }[];
  /** Things the user should know: promised rates that could not be reached, outliers, few groups. */
  warnings: string[];
}

export declare function fit(options: FitOptions): Promise<FitResult>;
