import { kolmogorovSmirnov, wasserstein } from '../../src/profile/maths/twosample.ts';
import type { Population, StreamImage } from './populations.ts';

/** Images of a window, as the tests of peers look at them: one window after the other. */
const window = 50;

/** One column of a window beside the same of the reference. */
interface Compared {
  pValue: number;
  /** In reference standard deviations. */
  wasserstein: number;
  stabilityIndex: number;
  /** How far the mean has moved, in standard errors. */
  shift: number;
}

/** A rule that others ship as the default; the score is the first column. */
interface Rule {
  name: string;
  alarms(columns: readonly Compared[]): boolean;
}

/** Standard deviation of a sorted sample. */
function computeDeviation(x: Float64Array): number {
  let [sum, squares] = [0, 0];
  for (const value of x) {
    sum += value;
    squares += value * value;
  }
  return Math.sqrt(Math.max(squares / x.length - (sum / x.length) ** 2, 1e-12));
}

/** Population stability index over ten bins of equal reference mass; an empty bin counts as a ten-thousandth. */
function stabilityIndex(window: Float64Array, reference: Float64Array): number {
  let index = 0;
  for (let bin = 0; bin < 10; bin++) {
    const low = bin === 0 ? Number.NEGATIVE_INFINITY : reference[Math.floor((bin * reference.length) / 10)];
    const high = bin === 9 ? Number.POSITIVE_INFINITY : reference[Math.floor(((bin + 1) * reference.length) / 10)];
    const share = Math.max(1e-4, window.filter((value) => value >= low && value < high).length / window.length);
    index += (share - 0.1) * Math.log(share / 0.1);
  }
  return index;
}

function compare(column: Float64Array, reference: Float64Array): Compared {
  const deviation = computeDeviation(reference);
  const mean = (x: Float64Array) => x.reduce((sum, value) => sum + value, 0) / x.length;
  return {
    pValue: kolmogorovSmirnov(column, reference).pValue,
    wasserstein: wasserstein(column, reference) / deviation,
    stabilityIndex: stabilityIndex(column, reference),
    shift: (Math.abs(mean(column) - mean(reference)) * Math.sqrt(column.length)) / deviation,
  };
}

const rules: readonly Rule[] = [
  { name: 'two-sample KS, p < 0.05, any column', alarms: (columns) => columns.some(({ pValue }) => pValue < 0.05) },
  {
    name: 'two-sample KS, p < 0.05 / columns (Bonferroni)',
    alarms: (columns) => columns.some(({ pValue }) => pValue < 0.05 / columns.length),
  },
  {
    name: 'two-sample KS, p < 0.05, half of the columns',
    alarms: (columns) => columns.filter(({ pValue }) => pValue < 0.05).length >= columns.length / 2,
  },
  {
    name: 'Wasserstein >= 0.1 standard deviations, any column',
    alarms: (columns) => columns.some((column) => column.wasserstein >= 0.1),
  },
  { name: 'PSI >= 0.2, any column', alarms: (columns) => columns.some((column) => column.stabilityIndex >= 0.2) },
  { name: 'mean score beyond 3 standard errors (Shewhart chart)', alarms: ([score]) => score.shift > 3 },
];

/** False alarms of each rule in 10,000 images, and the share of calibration sets of which no stream alarmed. */
export interface PeerAlarms {
  rule: string;
  population: string;
  perTenThousand: number;
  silent: number;
}

const readColumns = (images: readonly StreamImage[]): Float64Array[] => [
  Float64Array.from(images, ({ score }) => score).sort(),
  ...Array.from(images[0].values, (_, i) => Float64Array.from(images, ({ values }) => values[i]).sort()),
];

/** Runs the rules of peers on the same streams, with calibration sets of the same size. */
export function runPeers(
  population: Population,
  { calibration, runs, length, seed }: { calibration: number; runs: number; length: number; seed: number },
): PeerAlarms[] {
  const alarms = new Array<number>(rules.length).fill(0);
  const silent = new Array<number>(rules.length).fill(0);
  for (let run = 0; run < runs; run++) {
    const own = seed + 1000 * run;
    const reference = readColumns(population.draw(own, calibration));
    const next = population.stream(own + 1);
    const before = [...alarms];
    for (let from = 0; from < length; from += window) {
      const columns = readColumns(Array.from({ length: window }, next)).map((column, i) =>
        compare(column, reference[i]),
      );
      for (const [i, rule] of rules.entries()) if (rule.alarms(columns)) alarms[i]++;
    }
    for (const i of rules.keys()) if (alarms[i] === before[i]) silent[i]++;
  }
  return rules.map(({ name }, i) => ({
    rule: name,
    population: population.name,
    perTenThousand: (alarms[i] * 10_000) / (runs * length),
    silent: silent[i] / runs,
  }));
}
