import { cumulativeStdNormalProbability } from 'simple-statistics';
import { at, slice } from '../../core/layout.ts';
import type { Container } from '../container/container.ts';
import { naturalOrder, standardTable } from '../container/quality.ts';
import type { StatisticTable } from './statistic.ts';

/** The kernel's frequencies: the first 20 AC ones in zigzag order. */
const frequencies = 20;
/** Counts of |coefficient| in whole DN, 0 to 127, for each frequency. */
const bins = 128;
/** More multiples of a step than this are too rare to tell anything. */
const maxMultiple = 63;
/**
 * Deviation in DN of a coefficient from its lattice after decoding: pixels are rounded to whole levels (variance 1/12, and
 * the orthonormal transform keeps it).
 */
const roundingDeviation = 0.3;
/** Share of coefficients that the model does not explain, such as those of clipped pixels. */
const outliers = 0.2;
/** A pair of steps whose pattern varies less than this (variance about 1) tells nothing. */
const leastVariance = 0.05;
/**
 * A share of the multiples below this changes no bit of a sum: ratios are between `outliers` and 255, so that every sum of their
 * products is at least `outliers`, of which half a unit in the last place is 2^-56.
 */
const leastShare = 2 ** -66;
/** Coefficients by which the mean is drawn towards 0 (no evidence). */
const shrinkage = 100;
/** Gaps: frequencies whose histograms are dense enough, the multiples looked at, and cells that count as one. */
const gaps = { frequencies: 12, first: 2, last: 13, leastExpected: 6, shrinkage: 5 };

/** Mean log-likelihood ratio above which there was another pass. */
export const earlierThreshold = 0.05;

/** Steps of the kernel's frequencies in a luma table in natural order. */
export function listSteps(table: readonly number[]): number[] {
  return Array.from({ length: frequencies }, (_, i) => table[naturalOrder[i + 1]]);
}

const candidates = Array.from({ length: 94 }, (_, i) => ({
  quality: 5 + i,
  steps: listSteps(standardTable('luma', 5 + i)),
}));

interface Pattern {
  /** Expected count of each multiple of the last step against that without an earlier pass, and its ln. */
  ratio: Float64Array;
  logRatio: Float64Array;
  /** First multiple that is above half the earlier step: all below it were quantised to zero. */
  from: number;
  isInformative: boolean;
}

/** By earlier and last step; at most 255 x 127 short arrays, 1 MB. */
const patterns = new Map<number, Pattern>();

/**
 * What an earlier step leaves on the multiples k of the last step: where the density of coefficients is flat, multiple k
 * collects m_k = (s1 / s2) sum_j P(j s1 + e within s2 / 2 of k s2) with e normal, 1 on average (the double-quantisation
 * effect: Popescu and Farid 2004; Lukas and Fridrich 2003).
 */
function makePattern(earlier: number, last: number): Pattern {
  const key = earlier * 256 + last;
  const known = patterns.get(key);
  if (known) return known;
  const multiples = Math.min(maxMultiple, Math.floor((bins - 1) / last - 0.5));
  const ratio = new Float64Array(Math.max(0, multiples + 1));
  let variance = 0;
  for (let k = 1; k <= multiples; k++) {
    const [low, high] = [(k - 0.5) * last, (k + 0.5) * last];
    let share = 0;
    for (let j = Math.max(0, Math.floor(low / earlier) - 1); j <= Math.ceil(high / earlier) + 1; j++) {
      share +=
        cumulativeStdNormalProbability((high - j * earlier) / roundingDeviation) -
        cumulativeStdNormalProbability((low - j * earlier) / roundingDeviation);
    }
    const expected = (share * earlier) / last;
    variance += (expected - 1) ** 2 / multiples;
    ratio[k] = (1 - outliers) * expected + outliers;
  }
  const from = Math.max(2, Math.floor(earlier / 2 / last) + 1);
  const pattern = { ratio, logRatio: ratio.map(Math.log), from, isInformative: variance >= leastVariance };
  patterns.set(key, pattern);
  return pattern;
}

/** Counts of |coefficient| in whole DN to counts of multiples of a step. */
function countMultiples(counts: Float64Array, step: number): Float64Array {
  const multiples = new Float64Array(Math.floor((bins - 1) / step + 0.5) + 1);
  for (let level = 0; level < bins; level++) multiples[Math.floor(level / step + 0.5)] += counts[level];
  return multiples;
}

/** An earlier JPEG pass on the grid of the last one. */
export interface EarlierPass {
  /** Mean log-likelihood ratio per coefficient of the best quality against no earlier pass, in nats; drawn towards 0. */
  score: number;
  /** That quality, 5 to 98; NaN when there are too few coefficients for any. */
  quality: number;
}

/** Everything about a table of last steps that does not depend on the image. */
interface Plan {
  /** For each frequency, the patterns of all steps that an earlier pass may have had and that tell something. */
  patterns: Pattern[][];
  /** For each candidate and frequency, which of them; -1 for none. */
  choices: Int16Array;
}

/** By the steps: a camera has one table, or a few. */
const plans = new Map<string, Plan>();
const maxPlans = 16;

function makePlan(steps: readonly number[]): Plan {
  const key = steps.join();
  const known = plans.get(key);
  if (known) return known;
  const choices = new Int16Array(candidates.length * frequencies).fill(-1);
  const patterns = steps.map((last, f) => {
    const places = new Map<number, number>();
    const found: Pattern[] = [];
    for (const [candidate, { steps: earlier }] of candidates.entries()) {
      const step = earlier[f];
      if (last >= bins / 2 || step === last) continue;
      const pattern = makePattern(step, last);
      if (!pattern.isInformative) continue;
      const place = places.get(step) ?? found.push(pattern) - 1;
      places.set(step, place);
      choices[candidate * frequencies + f] = place;
    }
    return found;
  });
  const plan = { patterns, choices };
  if (plans.size >= maxPlans) plans.clear();
  plans.set(key, plan);
  return plan;
}

/**
 * The likeliest quality of a pass before the last, whose steps are known.
 * @param counts of |coefficient| in whole DN, 20 x 128
 * @param steps of the last pass (`listSteps`)
 */
export function findEarlierPass(counts: Float64Array, steps: readonly number[]): EarlierPass {
  const { patterns, choices } = makePlan(steps);
  const sums = new Float64Array(candidates.length);
  const numbers = new Float64Array(candidates.length);
  const evidence = new Float64Array(candidates.length);
  const coefficients = new Float64Array(candidates.length);
  const tail = new Tail();
  for (let f = 0; f < frequencies; f++) {
    const multiples = countMultiples(counts.subarray(f * bins, (f + 1) * bins), steps[f]);
    tail.from = -1;
    const known = patterns[f];
    for (let i = 0; i < known.length; i++) {
      const pattern = known[i];
      // Steps come in order, so that those with the same first multiple follow one another.
      if (pattern.from !== tail.from) tail.read(multiples, pattern.from, pattern.ratio.length);
      evidence[i] = sumEvidence(multiples, pattern, tail);
      coefficients[i] = tail.n;
    }
    for (let candidate = 0; candidate < candidates.length; candidate++) {
      const choice = choices[candidate * frequencies + f];
      if (choice < 0) continue;
      sums[candidate] += evidence[choice];
      numbers[candidate] += coefficients[choice];
    }
  }
  const best: EarlierPass = { score: Number.NEGATIVE_INFINITY, quality: Number.NaN };
  for (const [candidate, { quality }] of candidates.entries()) {
    const score = sums[candidate] / (numbers[candidate] + shrinkage);
    if (numbers[candidate] > 0 && score > best.score) {
      best.score = score;
      best.quality = quality;
    }
  }
  return Number.isNaN(best.quality) ? { score: 0, quality: Number.NaN } : best;
}

/**
 * The multiples from one on, for all earlier steps that have the same first one: how many coefficients there are, and the share of each
 * multiple that is expected without an earlier pass. Then they fall off geometrically (a Laplacian density), by the rate that their
 * mean gives.
 */
class Tail {
  from = -1;
  n = 0;
  /** Multiples from here on hold no coefficient. */
  counted = 0;
  /** Shares from here on are too small to change a sum. */
  end = 0;
  /** Against that of the first one. */
  readonly shares: Float64Array = new Float64Array(bins);
  total = 0;

  read(multiples: Float64Array, from: number, end: number): void {
    let n = 0;
    let beyond = 0;
    let counted = end;
    while (counted > from && multiples[counted - 1] === 0) counted--;
    for (let k = from; k < counted; k++) {
      n += multiples[k];
      beyond += multiples[k] * (k - from);
    }
    this.counted = counted;
    this.from = from;
    this.n = n;
    if (n === 0) return;
    const { shares } = this;
    const decay = beyond / (beyond + n);
    let share = 1;
    let total = 0;
    let k = from;
    for (; k < end && share >= leastShare; k++) {
      shares[k] = share;
      total += share;
      share *= decay;
    }
    this.end = k;
    this.total = total;
  }
}

/** Log-likelihood ratio of the multiples above half the earlier step, given that they are there. */
function sumEvidence(multiples: Float64Array, { ratio, logRatio, from }: Pattern, tail: Tail): number {
  const { n, shares, total, counted, end } = tail;
  if (n === 0) return 0;
  let sum = 0;
  let expected = 0;
  let k = from;
  for (const both = Math.min(counted, end); k < both; k++) {
    sum += multiples[k] * logRatio[k];
    expected += shares[k] * ratio[k];
  }
  for (let i = k; i < counted; i++) sum += multiples[i] * logRatio[i];
  for (; k < end; k++) expected += shares[k] * ratio[k];
  return sum - n * Math.log(expected / total);
}

/**
 * Mean squared departure of each count from its two neighbours in units of its variance, about 1 after one pass: finds any
 * earlier quantiser, also one that is no IJG table.
 */
function measureGaps(counts: Float64Array, steps: readonly number[]): number {
  let sum = gaps.shrinkage;
  let cells = gaps.shrinkage;
  for (let f = 0; f < gaps.frequencies; f++) {
    const multiples = countMultiples(counts.subarray(f * bins, (f + 1) * bins), steps[f]);
    for (let k = gaps.first; k <= gaps.last && k + 2 < multiples.length; k++) {
      const expected = (multiples[k - 1] + multiples[k + 1]) / 2;
      if (expected < gaps.leastExpected) continue;
      sum += (multiples[k] - expected) ** 2 / (1.5 * expected + 1);
      cells++;
    }
  }
  return sum / cells;
}

/** Phases other than 0, compared with their own kind: off the axes, shifted down only, shifted to the right only. */
export const phaseKinds: readonly (readonly number[])[] = [
  Array.from({ length: 64 }, (_, phase) => phase).filter((phase) => phase % 8 !== 0 && phase > 7),
  Array.from({ length: 7 }, (_, i) => 8 * (i + 1)),
  Array.from({ length: 7 }, (_, i) => i + 1),
];
/** Added to a significance, which is of this size by chance. */
const phaseFloor = 4;
/** One compression, or none, stays below this on 99 % of pictures. */
const otherGridThreshold = 0.8;

/** How far the lattice of one grid beside the one at 0 stands out of its kind: ln of the largest to the next. */
function findOtherGrid(phases: Float64Array): { score: number; phase: number } {
  let best = { score: Number.NEGATIVE_INFINITY, phase: 0 };
  for (const kind of phaseKinds) {
    const [first, second] = kind.toSorted((a, b) => phases[b] - phases[a]);
    const score = Math.log((phases[first] + phaseFloor) / (phases[second] + phaseFloor));
    if (score > best.score) best = { score, phase: first };
  }
  return best;
}

/** What the coefficients tell of passes before the last. */
export const earlier: StatisticTable = {
  rows: [
    {
      name: 'earlierJpegScore',
      unit: 'nats',
      group: 'compression',
      meaning:
        'Evidence, per coefficient, that the pixels of a JPEG went through JPEG at another quality before: below 0 they did not.',
      high: 'more surely JPEG-compressed before than',
      low: 'less surely JPEG-compressed before than',
      bad: 'high',
      scored: true,
      digits: 3,
      source: 'likelihood ratio of double quantisation, after Lukas and Fridrich 2003',
    },
    {
      name: 'earlierJpegQuality',
      unit: 'quality',
      group: 'compression',
      meaning: 'The JPEG quality (5 to 98) of a pass before the one that made the file, where the pixels show one.',
      high: 'compressed less before than',
      low: 'compressed more before than',
      bad: 'low',
      scored: false,
      digits: 0,
      source: 'IJG quality with the largest likelihood ratio',
    },
    {
      name: 'coefficientGaps',
      unit: 'ratio',
      group: 'compression',
      meaning: 'Gaps and peaks in the coefficient histograms of a JPEG: about 1 when it was compressed once.',
      high: 'more often compressed than',
      low: 'less often compressed than',
      bad: 'high',
      logFloor: 0.05,
      scored: true,
      digits: 2,
      source: 'after Popescu and Farid 2004',
    },
    {
      name: 'otherGridScore',
      unit: 'ln ratio',
      group: 'compression',
      meaning:
        'How far the JPEG lattice on one 8x8 grid that does not start at pixel 0 stands out of those on the others: compressed, then cropped.',
      high: 'more surely cropped after JPEG compression than',
      low: 'less surely cropped after JPEG compression than',
      bad: 'high',
      scored: true,
      digits: 2,
      source: 'Stopline: most to next significant lattice over the phases of a kind',
    },
    {
      name: 'otherGridX',
      unit: 'pixels',
      group: 'compression',
      meaning: 'Column at which that grid starts, where there is one.',
      high: 'grid shifted from',
      low: 'grid shifted from',
      bad: 'both',
      scored: false,
      digits: 0,
      source: 'phase of the largest score',
    },
    {
      name: 'otherGridY',
      unit: 'pixels',
      group: 'compression',
      meaning: 'Row at which that grid starts, where there is one.',
      high: 'grid shifted from',
      low: 'grid shifted from',
      bad: 'both',
      scored: false,
      digits: 0,
      source: 'phase of the largest score',
    },
  ],
  derive(out, source) {
    const other = findOtherGrid(slice(out, 'latticePhases'));
    const isOther = other.score > otherGridThreshold;
    const grid = [
      other.score,
      isOther ? other.phase % 8 : Number.NaN,
      isOther ? Math.floor(other.phase / 8) : Number.NaN,
    ];
    const table = lumaTable(source);
    // Turned or shrunk pixels do not lie on the lattice of the file.
    if (!table || source?.orientation !== 1 || out[at.width] !== source.width || out[at.height] !== source.height) {
      return [Number.NaN, Number.NaN, Number.NaN, ...grid];
    }
    const counts = slice(out, 'latticeCounts');
    const steps = listSteps(table);
    const { score, quality } = findEarlierPass(counts, steps);
    return [score, score > earlierThreshold ? quality : Number.NaN, measureGaps(counts, steps), ...grid];
  },
};

function lumaTable(source: Container | undefined): readonly number[] | undefined {
  const table = source?.jpeg?.tables[0];
  return table?.length === 64 ? table : undefined;
}
