import type { Core } from './core/index.ts';
import type { Frame } from './decode.ts';
import { latticeThreshold } from './statistics/lattice.ts';

/** Indices of `enum stopline_history_field` in core.h. */
const phaseAt = 0;
const scoreAt = 1;
const qualityAt = 2;
const magnitudesAt = 4;
const bins = 1024;
const referenceAt = magnitudesAt + 20 * bins;
/** Magnitudes are counted in quarters of a DN. */
const stepsPerDn = 4;

/** Steps of the IJG luma table at quality 50 for the first 20 AC frequencies, in zigzag order. */
const baseSteps = [11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24] as const;
/** Frequencies whose histograms are dense enough to show gaps. */
const holeFrequencies = 12;
/** One compression stays below 1.43 (40 photographs and renderings, qualities 10 to 98). */
const holesThreshold = 1.45;
const leastSamples = 100;

/** What the pixels of a frame say about earlier JPEG compression, whatever file they arrived in. */
export interface JpegHistory {
  isCompressed: boolean;
  /** Fit of the best lattice, 0 to 1; at most 0.25 is no history. NaN when there are too few textured 8x8 blocks. */
  score: number;
  /** Quality of the last compression that left a lattice, 5 to 98; NaN without one. */
  quality: number;
  /** Column and row, 0 to 7, at which the 8x8 grid starts: not 0 after a crop. NaN without a history. */
  offsetX: number;
  offsetY: number;
  /** Compressed at another quality before, on the same grid. */
  isDouble: boolean;
  /** Gaps in the coefficient histograms against those half a block away: about 1 after one compression. NaN without a history. */
  holes: number;
  /** Quality of the first of two compressions; NaN where it cannot be told. */
  firstQuality: number;
}

/** Quantiser step of libjpeg's luma table (jpeg_quality_scaling). */
function ijgStep(frequency: number, quality: number): number {
  const scale = quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality;
  return Math.min(255, Math.max(1, Math.floor((baseSteps[frequency] * scale + 50) / 100)));
}

/** Counts of |coefficient| in multiples of a step. */
function quantise(histogram: Float64Array, step: number): Float64Array {
  const counts = new Float64Array(Math.round((bins - 1) / stepsPerDn / step) + 1);
  for (let bin = 0; bin < bins; bin++) counts[Math.round(bin / stepsPerDn / step)] += histogram[bin];
  return counts;
}

/** Frequencies that have a step of their own at a quality, with their counts in multiples of it. */
function quantiseAll(out: Float64Array, from: number, quality: number): Float64Array[] {
  return baseSteps.map((_, frequency) => {
    const start = from + frequency * bins;
    return quantise(out.subarray(start, start + bins), ijgStep(frequency, quality));
  });
}

/** Mean squared departure of each count from its two neighbours, in units of its variance (Popescu and Farid's gaps). */
function measureHoles(counts: readonly Float64Array[]): number {
  let sum = 0;
  let cells = 0;
  for (const histogram of counts.slice(0, holeFrequencies)) {
    for (let k = 2; k <= 13 && k + 1 < histogram.length; k++) {
      const expected = (histogram[k - 1] + histogram[k + 1]) / 2;
      if (expected < 6) continue;
      sum += (histogram[k] - expected) ** 2 / (1.5 * expected + 1);
      cells++;
    }
  }
  return cells === 0 ? Number.NaN : sum / cells;
}

/** Sum of cos(2 pi c / step) over coefficients c = k * unit above step / 2, and their number. */
function addCosines(counts: Float64Array, unit: number, step: number, total: { sum: number; n: number }): void {
  for (let k = Math.floor(step / 2 / unit) + 1; k < counts.length; k++) {
    if (counts[k] === 0) continue;
    total.sum += counts[k] * Math.cos((2 * Math.PI * k * unit) / step);
    total.n += counts[k];
  }
}

/**
 * The finer of two compressions on one grid, where the lattice named the coarser: a finer quality that fits at three
 * frequencies at least, of those whose steps are far from dividing the coarse ones (else the coarse lattice fits as well).
 */
function findFiner(out: Float64Array, coarse: number): number {
  let best = Number.NaN;
  let most = 0;
  for (let quality = coarse + 1; quality <= 98; quality++) {
    const total = { sum: 0, n: 0 };
    let frequencies = 0;
    for (let frequency = 0; frequency < baseSteps.length; frequency++) {
      const step = ijgStep(frequency, quality);
      const coarseStep = ijgStep(frequency, coarse);
      const turns = coarseStep / step;
      if (step < 2 || turns < 1.2 || Math.abs(turns - Math.round(turns)) < 0.2) continue;
      const start = magnitudesAt + frequency * bins;
      const before = total.n;
      addCosines(out.subarray(start, start + bins), 1 / stepsPerDn, step, total);
      if (total.n - before >= 20) frequencies++;
    }
    const significance = total.sum / Math.sqrt(total.n);
    if (frequencies >= 3 && total.n >= leastSamples && total.sum / total.n > 0.5 && significance > most) {
      best = quality;
      most = significance;
    }
  }
  return best;
}

/**
 * The coarser quality before `last`: its lattice on the multiples of the last steps, less what the same multiples show
 * half a block away, where nothing of it is left.
 */
function findCoarser(here: readonly Float64Array[], reference: readonly Float64Array[], last: number): number {
  let best = Number.NaN;
  let most = 0;
  for (let quality = 20; quality < last; quality++) {
    const found = { sum: 0, n: 0 };
    const chance = { sum: 0, n: 0 };
    for (let frequency = 0; frequency < baseSteps.length; frequency++) {
      const step = ijgStep(frequency, quality);
      const unit = ijgStep(frequency, last);
      if (step <= unit || step % unit === 0) continue;
      addCosines(here[frequency], unit, step, found);
      addCosines(reference[frequency], unit, step, chance);
    }
    if (found.n < leastSamples || chance.n < leastSamples) continue;
    const excess = found.sum / found.n - chance.sum / chance.n;
    const significance = excess * Math.sqrt(found.n);
    if (excess > 0.25 && significance > most) {
      best = quality;
      most = significance;
    }
  }
  return best;
}

/**
 * Reads earlier JPEG compression from pixels: the quality, where its grid lies, and whether there were two. It survives
 * lossless formats and crops, and ends with any resizing, rotation or tone change. Qualities of 99 and 100 leave no trace.
 * @param frame decoded pixels that were not resized
 * @param lastQuality quality of the file the frame came in, where it was a JPEG; else the finest lattice is taken for it
 * @throws `FRAME_INVALID` when the sizes of the frame do not fit together
 * @example
 * jpegHistory(core, await decodePixels(png)).quality; // 85: this PNG was a JPEG once
 */
export function jpegHistory(core: Core, frame: Frame, lastQuality?: number): JpegHistory {
  const out = core.history(frame.data, frame.width, frame.height, frame.channels);
  const score = out[scoreAt];
  const unknown = Number.NaN;
  if (!(score > latticeThreshold)) {
    return {
      isCompressed: false,
      score,
      quality: unknown,
      offsetX: unknown,
      offsetY: unknown,
      isDouble: false,
      holes: unknown,
      firstQuality: unknown,
    };
  }
  const strongest = out[qualityAt];
  const finer = lastQuality === undefined ? findFiner(out, strongest) : lastQuality > strongest ? lastQuality : unknown;
  const quality = Number.isNaN(finer) ? strongest : finer;
  const here = quantiseAll(out, magnitudesAt, quality);
  const reference = quantiseAll(out, referenceAt, quality);
  // Half a count of floor: the reference of a smooth frame can be free of gaps altogether.
  const holes = measureHoles(here) / (measureHoles(reference) + 0.5);
  const isDouble = holes > holesThreshold || !Number.isNaN(finer);
  const firstQuality = !isDouble ? unknown : Number.isNaN(finer) ? findCoarser(here, reference, quality) : strongest;
  return {
    isCompressed: true,
    score,
    quality,
    offsetX: out[phaseAt] % 8,
    offsetY: Math.floor(out[phaseAt] / 8),
    isDouble,
    holes,
    firstQuality,
  };
}
