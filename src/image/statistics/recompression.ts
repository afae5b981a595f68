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
  /** For each multiple of the last step, its expected count against that without an earlier pass, and the ln of that. */
  ratios: Float64Array;
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
  const ratios = new Float64Array(2 * Math.max(0, multiples + 1));
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
    ratios[2 * k] = (1 - outliers) * expected + outliers;
    ratios[2 * k + 1] = Math.log(ratios[2 * k]);
  }
  const from = Math.max(2, Math.floor(earlier / 2 / last) + 1);
  const pattern = { ratios, from, isInformative: variance >= leastVariance };
  patterns.set(key, pattern);
  return pattern;
}

/** Counts of |coefficient| in whole DN to counts of multiples of a step, from `first` on. What is returned is valid until the next call. */
function countMultiples(counts: Float64Array, first: number, step: number): Float64Array {
  const { multiples } = kept;
  multiples.fill(0);
  for (let level = 0; level < bins; level++) multiples[Math.floor(level / step + 0.5)] += counts[first + level];
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
  const { sums, numbers, evidence, coefficients, tails } = kept;
  sums.fill(0);
  numbers.fill(0);
  for (let f = 0; f < frequencies; f++) {
    const multiples = countMultiples(counts, f * bins, steps[f]);
    const known = patterns[f];
    if (known.length > 0) tails.read(multiples, known[0].ratios.length / 2);
    for (let i = 0; i < known.length; ) {
      const { from } = known[i];
      // Steps come in order, so that those with the same first multiple follow one another.
      const pair = known[i + 1]?.from === from ? 2 : 1;
      sumEvidence(tails, known[i], known[i + pair - 1], evidence, i);
      coefficients[i] = coefficients[i + pair - 1] = tails.n[from];
      i += pair;
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

/** The multiple above half of a step of 255, after a last step of 1. */
const farthest = 128;

/** The multiples of one frequency from each on: how many coefficients they have, and how far these reach. All are whole numbers. */
class Tails {
  multiples: Float64Array = new Float64Array(0);
  readonly n: Float64Array = new Float64Array(farthest + 1);
  /** Sum of their distances from the first. */
  readonly beyond: Float64Array = new Float64Array(farthest + 1);
  /** Multiples from here on have no place in a pattern, and from `counted` on no coefficient. */
  end = 0;
  counted = 0;

  read(multiples: Float64Array, end: number): void {
    const { n, beyond } = this;
    this.multiples = multiples;
    this.end = end;
    let counted = end;
    while (counted > 0 && multiples[counted - 1] === 0) counted--;
    this.counted = counted;
    n.fill(0, counted);
    beyond.fill(0, counted);
    for (let k = counted - 1; k >= 0; k--) {
      n[k] = n[k + 1] + multiples[k];
      beyond[k] = beyond[k + 1] + n[k + 1];
    }
  }
}

/** Kept, because arrays for every image cost as much as what is computed in them. */
const kept = {
  multiples: new Float64Array(bins),
  sums: new Float64Array(candidates.length),
  numbers: new Float64Array(candidates.length),
  evidence: new Float64Array(candidates.length + 1),
  coefficients: new Float64Array(candidates.length),
  tails: new Tails(),
};

/**
 * Log-likelihood ratios of the multiples above half of each of two earlier steps that have the same first one, given that they are
 * there. Without an earlier pass they fall off geometrically (a Laplacian density), by the rate that their mean gives. Two at a
 * time, because one sum waits for each of its additions, and sums beside one another do not.
 */
function sumEvidence(tails: Tails, first: Pattern, second: Pattern, evidence: Float64Array, at: number): void {
  const { multiples, counted, end } = tails;
  const { from } = first;
  const n = tails.n[from];
  evidence[at] = evidence[at + 1] = 0;
  if (n === 0) return;
  const [one, two] = [first.ratios, second.ratios];
  const decay = tails.beyond[from] / (tails.beyond[from] + n);
  let share = 1;
  let total = 0;
  let sum = 0;
  let expected = 0;
  let otherSum = 0;
  let otherExpected = 0;
  for (let k = from; k < end && (k < counted || share >= leastShare); k++) {
    const count = multiples[k];
    total += share;
    expected += share * one[2 * k];
    otherExpected += share * two[2 * k];
    sum += count * one[2 * k + 1];
    otherSum += count * two[2 * k + 1];
    share *= decay;
  }
  evidence[at] = sum - n * Math.log(expected / total);
  if (second !== first) evidence[at + 1] = otherSum - n * Math.log(otherExpected / total);
}

/**
 * Mean squared departure of each count from its two neighbours in units of its variance, about 1 after one pass: finds any
 * earlier quantiser, also one that is no IJG table.
 */
function measureGaps(counts: Float64Array, steps: readonly number[]): number {
  let sum = gaps.shrinkage;
  let cells = gaps.shrinkage;
  for (let f = 0; f < gaps.frequencies; f++) {
    const multiples = countMultiples(counts, f * bins, steps[f]);
    const most = Math.floor((bins - 1) / steps[f] + 0.5);
    for (let k = gaps.first; k <= gaps.last && k + 1 < most; k++) {
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
