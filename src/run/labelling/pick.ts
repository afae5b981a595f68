import { statistics } from '../../image/statistics/statistics.ts';
import type { LabelRow } from './labelrow.ts';

/** One image that is worth labelling, and what speaks for it. */
export interface Pick<Row extends LabelRow = LabelRow> {
  row: Row;
  /** `-log10` of its p-value, so 2 is one image in a hundred. */
  strangeness: number;
  /** How often the classifier is expected to answer otherwise; absent without a harm map. */
  harm?: number;
  /** Distance from the nearest image chosen before it, 1 being that of two ordinary candidates; absent for the first. */
  novelty?: number;
}

export interface PickOptions {
  /** How many are wanted. */
  count: number;
  /** Leaves out one of the three things an image is chosen for, to see what it is good for. */
  without?: 'strangeness' | 'novelty' | 'harm' | undefined;
}

/** So many times as many candidates as are wanted, and at least so many, are compared with each other. */
const candidates = { perPick: 50, least: 5000 };
/** Deviations beyond this make two images no more different: one broken number would be all that counts. */
const mostDeviation = 6;
/** An image of p-value 1 is still worth a look when it is like nothing else. */
const leastStrangeness = 0.05;
/** An image whose answer surely flips counts so many times as much as one whose answer surely does not. */
const harmGain = 4;

/**
 * Chooses the images whose labels teach most: strange to the Profile, unlike each other, and such that the classifier is probably
 * wrong on them. The first is the one of the highest worth, and every further one that of the highest product of its worth and its
 * distance from all chosen so far: the greedy core-set of Sener and Savarese (2018), weighted by worth, over the
 * statistics in robust deviations and, where there is a model, the coordinates of the content.
 *
 * Memory is bounded by `count`, not by the number of rows: of very many, only the worthiest are compared with each other.
 * @returns at most `count`, in the order in which they were chosen
 */
export async function pickImages<Row extends LabelRow>(
  rows: AsyncIterable<Row> | Iterable<Row>,
  { count, without }: PickOptions,
): Promise<Pick<Row>[]> {
  const kept = await keepWorthiest(rows, Math.max(candidates.perPick * count, candidates.least), without);
  if (kept.length === 0) return [];
  const space = makeSpace(kept.map(({ row }) => row));
  const nearest = new Float64Array(kept.length).fill(Number.POSITIVE_INFINITY);
  const picks: Pick<Row>[] = [];
  while (picks.length < Math.min(count, kept.length)) {
    const chosen = chooseNext(kept, nearest, without);
    const { row, strangeness, harm } = kept[chosen];
    const novelty = picks.length === 0 ? undefined : nearest[chosen];
    picks.push({ row, strangeness, ...(harm !== undefined && { harm }), ...(novelty !== undefined && { novelty }) });
    for (let i = 0; i < kept.length; i++) {
      const distance = isSameFile(kept[i].row, row) ? 0 : space.distance(i, chosen);
      if (distance < nearest[i]) nearest[i] = distance;
    }
    nearest[chosen] = -1;
  }
  return picks;
}

interface Candidate<Row> {
  row: Row;
  strangeness: number;
  harm?: number | undefined;
  worth: number;
}

function weigh<Row extends LabelRow>(row: Row, without: PickOptions['without']): Candidate<Row> {
  const strangeness = -Math.log10(Math.max(row.pValue, Number.MIN_VALUE));
  const harm = row.expectedFlipRate?.rate;
  const strange = without === 'strangeness' ? 1 : leastStrangeness + strangeness;
  const harmful = without === 'harm' || harm === undefined ? 1 : 1 + (harmGain - 1) * harm;
  return { row, strangeness, harm, worth: strange * harmful };
}

/** All rows where they are few; of many those of the highest worth, by a partial sort each time that twice as many are held. */
async function keepWorthiest<Row extends LabelRow>(
  rows: AsyncIterable<Row> | Iterable<Row>,
  most: number,
  without: PickOptions['without'],
): Promise<Candidate<Row>[]> {
  // The order of the rows decides between equals, so that the same rows give the same choice.
  const cut = (list: Candidate<Row>[]) => list.sort((a, b) => b.worth - a.worth).slice(0, most);
  let held: Candidate<Row>[] = [];
  for await (const row of rows) if (held.push(weigh(row, without)) >= 2 * most) held = cut(held);
  return cut(held);
}

function chooseNext<Row>(
  kept: readonly Candidate<Row>[],
  nearest: Float64Array,
  without: PickOptions['without'],
): number {
  let best = -1;
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < kept.length; i++) {
    if (nearest[i] < 0) continue;
    const far = without === 'novelty' || nearest[i] === Number.POSITIVE_INFINITY ? 1 : nearest[i];
    const value = kept[i].worth * far;
    if (value > most) [best, most] = [i, value];
  }
  return best;
}

/** Hashes of the picture are not asked: a still camera shows the same scene on every frame, whatever happened to it. */
function isSameFile({ image: a }: LabelRow, { image: b }: LabelRow): boolean {
  return a.sha256 !== undefined && a.sha256 === b.sha256;
}

/** What images are compared in: robust deviations of their numbers over all of them. */
function makeSpace(rows: readonly LabelRow[]) {
  const content = Math.min(...rows.map(({ projection }) => projection?.length ?? 0));
  const columns = [
    ...statistics
      .filter(({ scored }) => scored)
      .map(
        ({ name }) =>
          (row: LabelRow) =>
            row.statistics[name] ?? Number.NaN,
      ),
    ...Array.from({ length: content }, (_, i) => (row: LabelRow) => row.projection?.[i] ?? Number.NaN),
  ];
  const points: Float32Array[] = [];
  for (const read of columns) {
    const scaled = scaleColumn(Float64Array.from(rows, read));
    if (scaled) points.push(scaled);
  }
  const size = points.length;
  // One image after the other, as distances are taken.
  const table = new Float32Array(rows.length * size);
  for (let j = 0; j < size; j++) for (let i = 0; i < rows.length; i++) table[i * size + j] = points[j][i];
  return {
    /** Root mean square difference, over that of two independent ordinary images. */
    distance(a: number, b: number): number {
      let sum = 0;
      for (let j = 0; j < size; j++) sum += (table[a * size + j] - table[b * size + j]) ** 2;
      return Math.sqrt(sum / Math.max(1, 2 * size));
    },
  };
}

/** A column in robust deviations from its median, bounded; what does not apply lies at the median. Undefined where all are alike. */
function scaleColumn(values: Float64Array): Float32Array | undefined {
  const known = values.filter(Number.isFinite).sort();
  const middle = known[known.length >> 1];
  // 1.349 standard deviations lie between the quartiles of a normal distribution.
  const spread = (known[Math.floor(0.75 * (known.length - 1))] - known[Math.floor(0.25 * (known.length - 1))]) / 1.349;
  const scale = spread > 0 ? spread : (known[known.length - 1] - known[0]) / mostDeviation;
  if (!(scale > 0)) return undefined;
  return Float32Array.from(values, (value) =>
    Number.isFinite(value) ? Math.max(-mostDeviation, Math.min(mostDeviation, (value - middle) / scale)) : 0,
  );
}
