import type { Core } from '../core/core.ts';
import type { Container } from './container/container.ts';
import { standardTable } from './container/quality.ts';
import type { Frame } from './frame.ts';
import { latticeThreshold } from './statistics/lattice.ts';
import { earlierThreshold, findEarlierPass, listSteps, phaseKinds } from './statistics/recompression.ts';

/** Indices of `enum stopline_history_field` in core.h. */
const phaseAt = 0;
const scoreAt = 1;
const qualityAt = 2;
const phasesAt = 4;
const qualitiesAt = phasesAt + 64;
const magnitudesAt = qualitiesAt + 64;
const bins = 1024;
/** Magnitudes are counted in quarters of a DN. */
const stepsPerDn = 4;
const frequencies = 20;
const leastSamples = 100;
/**
 * How far the lattice of another phase must stand out: its significance, and that against the next of its kind. After one
 * compression (28 pictures, qualities 20 to 95) no phase off the axes has both, and on the axes, where every eighth row or
 * column of the last grid still lies, the next is at most 11 times less.
 */
const otherGrid = { offAxes: { least: 15, ratio: 2.5 }, onAxes: { least: 60, ratio: 12 } };

/** What the pixels of a frame say about JPEG compression, whatever file they arrived in. */
export interface JpegHistory {
  isCompressed: boolean;
  /** Fit of the best lattice, 0 to 1; at most 0.25 is no history. NaN when there are too few textured 8x8 blocks. */
  score: number;
  /** Quality of the last compression that left a lattice, 5 to 98, or that of the file where it is known; NaN without one. */
  quality: number;
  /** Column and row, 0 to 7, at which its 8x8 grid starts: not 0 after a crop. NaN without a history. */
  offsetX: number;
  offsetY: number;
  /** Compressed at another quality, or on another grid, before that. */
  isDouble: boolean;
  /** Evidence of an earlier pass on the same grid in nats per coefficient (`earlierJpegScore`). NaN without a history. */
  evidence: number;
  /** Quality of the earlier compression (within 2 on another grid), and where its grid starts; NaN without one. */
  firstQuality: number;
  firstOffsetX: number;
  firstOffsetY: number;
}

const none: Omit<JpegHistory, 'score'> = {
  isCompressed: false,
  quality: Number.NaN,
  offsetX: Number.NaN,
  offsetY: Number.NaN,
  isDouble: false,
  evidence: Number.NaN,
  firstQuality: Number.NaN,
  firstOffsetX: Number.NaN,
  firstOffsetY: Number.NaN,
};

/** Steps of libjpeg's luma table at each quality. */
const ijgSteps = Array.from({ length: 99 }, (_, quality) =>
  quality === 0 ? [] : listSteps(standardTable('luma', quality)),
);

/** Counts in quarters of a DN of one frequency. */
function buildHistogram(out: Float64Array, frequency: number): Float64Array {
  const start = magnitudesAt + frequency * bins;
  return out.subarray(start, start + bins);
}

/** Sum of cos(2 pi c / step) over coefficients c above step / 2, and their number. */
function addCosines(counts: Float64Array, step: number, total: { sum: number; n: number }): void {
  for (let k = Math.floor((step / 2) * stepsPerDn) + 1; k < counts.length; k++) {
    if (counts[k] === 0) continue;
    total.sum += counts[k] * Math.cos((2 * Math.PI * k) / stepsPerDn / step);
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
    let fitting = 0;
    for (const [frequency, step] of ijgSteps[quality].entries()) {
      const turns = ijgSteps[coarse][frequency] / step;
      if (step < 2 || turns < 1.2 || Math.abs(turns - Math.round(turns)) < 0.2) continue;
      const before = total.n;
      addCosines(buildHistogram(out, frequency), step, total);
      if (total.n - before >= 20) fitting++;
    }
    const significance = total.sum / Math.sqrt(total.n);
    if (fitting >= 3 && total.n >= leastSamples && total.sum / total.n > 0.5 && significance > most) {
      best = quality;
      most = significance;
    }
  }
  return best;
}

/** Counts of |coefficient| in whole DN, as the statistics have them. */
function wholeCounts(out: Float64Array): Float64Array {
  const levels = 128;
  const counts = new Float64Array(frequencies * levels);
  for (let frequency = 0; frequency < frequencies; frequency++) {
    const histogram = buildHistogram(out, frequency);
    for (let bin = 0; bin < bins; bin++) {
      const level = Math.floor(bin / stepsPerDn + 0.5);
      if (level < levels) counts[frequency * levels + level] += histogram[bin];
    }
  }
  return counts;
}

/**
 * Reads JPEG compression from pixels: the quality, where its grid lies, and whether there was another one before. It survives
 * lossless formats and crops, and ends with any resizing, rotation or tone change. Qualities of 99 and 100 leave no trace.
 * @param frame decoded pixels that were neither resized nor turned
 * @param file of the JPEG the frame came in: its quality, or what its container says; else the finest lattice is taken for
 * the last pass
 * @throws `FRAME_INVALID` when the sizes of the frame do not fit together
 * @example
 * jpegHistory(core, await decodePixels(png)).quality; // 85: this PNG was a JPEG once
 */
export function jpegHistory(
  core: Core,
  frame: Frame,
  file?: number | Pick<NonNullable<Container['jpeg']>, 'quality' | 'tables'>,
): JpegHistory {
  const out = core.history(frame.data, frame.width, frame.height, frame.channels);
  const score = out[scoreAt];
  if (!(score > latticeThreshold)) return { ...none, score };
  const phase = out[phaseAt];
  const strongest = out[qualityAt];
  const fileQuality = typeof file === 'number' ? file : file?.quality;

  // A file's own grid starts at 0: a stronger lattice elsewhere is from before.
  if (fileQuality !== undefined && phase !== 0) {
    return {
      isCompressed: true,
      score,
      quality: fileQuality,
      offsetX: 0,
      offsetY: 0,
      isDouble: true,
      evidence: 0,
      ...firstPass(strongest, phase),
    };
  }
  const finer = fileQuality === undefined ? findFiner(out, strongest) : Number.NaN;
  const quality = fileQuality ?? (Number.isNaN(finer) ? strongest : finer);
  const steps = typeof file === 'object' ? listSteps(file.tables[0]) : ijgSteps[Math.min(98, quality)];
  const aligned = findEarlierPass(wholeCounts(out), steps);
  const last = {
    isCompressed: true,
    score,
    quality,
    offsetX: phase % 8,
    offsetY: Math.floor(phase / 8),
    evidence: aligned.score,
  };
  const isOnSameGrid = aligned.score > earlierThreshold || !Number.isNaN(finer);
  const sameGrid = Number.isNaN(finer) ? aligned.quality : strongest;
  const other = phase === 0 ? findOtherGrid(out) : undefined;
  // The coarser of two earlier passes did more harm.
  if (other && !(isOnSameGrid && sameGrid < other.quality)) {
    return { ...last, isDouble: true, ...firstPass(other.quality, other.phase) };
  }
  if (isOnSameGrid) return { ...last, isDouble: true, ...firstPass(sameGrid, phase) };
  return { ...none, ...last };
}

/** A grid beside the one at 0, whose lattice stands out from those of its kind. */
function findOtherGrid(out: Float64Array): { phase: number; quality: number } | undefined {
  for (const [kind, phases] of phaseKinds.entries()) {
    const [first, second] = phases.toSorted((a, b) => out[phasesAt + b] - out[phasesAt + a]);
    const significance = out[phasesAt + first];
    const { least, ratio } = kind === 0 ? otherGrid.offAxes : otherGrid.onAxes;
    if (significance >= least && significance >= ratio * (out[phasesAt + second] + 1)) {
      return { phase: first, quality: out[qualitiesAt + first] };
    }
  }
  return undefined;
}

/** One JPEG compression: its quality, and the column and row, 0 to 7, at which its grid starts. */
export interface JpegPass {
  quality: number;
  offsetX: number;
  offsetY: number;
}

/** JPEG compression that pixels remember. */
export interface History {
  /** The last pass that left a trace: of a JPEG its own. */
  last?: JpegPass;
  /** The one before; of two the coarser. */
  earlier?: JpegPass;
}

/**
 * `jpegHistory` of an image as it was decoded.
 * @param container absent when the caller decoded the image
 * @returns undefined for pixels that were turned or shrunk: they have lost their grid
 */
export function readHistory(core: Core, frame: Frame, container?: Container): History | undefined {
  if (container && (container.orientation !== 1 || container.width !== frame.width)) return undefined;
  const found = jpegHistory(core, frame, container?.jpeg);
  const { quality, offsetX, offsetY, isDouble, firstQuality, firstOffsetX, firstOffsetY } = found;
  return {
    ...(found.isCompressed && { last: { quality, offsetX, offsetY } }),
    ...(isDouble && { earlier: { quality: firstQuality, offsetX: firstOffsetX, offsetY: firstOffsetY } }),
  };
}

function firstPass(quality: number, phase: number) {
  return { firstQuality: quality, firstOffsetX: phase % 8, firstOffsetY: Math.floor(phase / 8) };
}
