import type { Profile } from '../profile.ts';
import type { DecideBy } from '../verdict.ts';
import { type Bet, powerBet, tiltBound, tiltLimit } from './bets.ts';

/** Small powers wait for images beyond all of the reference, large ones add up many that are a little strange. */
const powers = [0.15, 0.35, 0.6, 0.85] as const;
/** Sizes of shifts, in deviations, that the bets on one statistic are best at. */
const tilts = [0.2, 0.6] as const;
/** Bets on one statistic: each tilt upwards and downwards. */
export const betsPerStatistic = 2 * tilts.length;
/** Half of the alarms that are allowed go to the score, half to all statistics together. */
const share = 0.5;
/**
 * Share of calibration sets of which a single bet may be slightly too good. Bets on the score are few. Of the hundreds on
 * statistics some may err by a little: each has a threshold a few hundred times that of all, so that it still keeps its part of the
 * promise (see `docs/drift.md`), and twice that for safety.
 */
const delta = { score: 0.01, statistic: 0.006 } as const;
const safety = 2;

/** Evidence of one source: what the detectors have made of its images so far. */
export interface Evidence {
  /** One number for each power. */
  score: Float64Array;
  /** Four numbers a statistic. */
  statistics: Float32Array;
}

/** One look at an image in how many is taken: as many as are like one independent image. */
export interface Strides {
  score: number;
  /** In the order of the Profile. */
  statistics: ArrayLike<number>;
}

/** The sequential detectors of one Profile, shared by all sources. */
export interface Detectors {
  /** Images that calibrate, counted as if they were independent. */
  calibrating: number;
  /** Takes a look; only at what is due at this image. */
  update(evidence: Evidence, image: { score: number; z: Float32Array }, number: number, strides: Strides): void;
  /** Evidence as a share of what an alarm needs, and the statistic that has most; -1 stands for the score. */
  strongest(evidence: Evidence, strides: Strides): { share: number; statistic: number };
  /** ln of the bet that the score of an image makes: how much it adds to the evidence. */
  weight(score: number): number;
}

/**
 * Shiryaev-Roberts e-detectors R <- (R + 1) e (Shin, Ramdas and Rinaldo 2024): as long as nothing has changed R grows by at most
 * one a look on average, so the mean number of looks before R reaches A is at least A, however often one looks.
 * @param correlation images that are like one independent image in the reference: of the score and of every statistic
 */
export function createDetectors(
  profile: Profile,
  detector: DecideBy,
  falseAlarmEvery: number,
  correlation: { score: number; statistics: ArrayLike<number> },
): Detectors {
  const { data: calibration } = profile.tensors[`${detector}Scores`];
  const count = calibration.length;
  const effective = Math.max(10, Math.floor(count / correlation.score));
  const bets = powers.map((power): Bet => powerBet(effective, power, delta.score));
  const smallest = Math.min(...profile.regimes.map(({ images }) => images));
  const bounds = boundsOf(profile.statistics.map((_, i) => smallest / correlation.statistics[i]));
  const allowed = falseAlarmEvery / share;

  const rankOf = (score: number) => {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (calibration[middle] < score) low = middle + 1;
      else high = middle;
    }
    return Math.ceil(((count - low) * effective) / count);
  };
  const scoreThreshold = (stride: number) => Math.max(leastThreshold, allowed / stride);
  const statisticThreshold = (stride: number) =>
    Math.max(leastThreshold, (allowed * safety * betsPerStatistic * profile.statistics.length) / stride);

  return {
    calibrating: effective,
    update(evidence, { score, z }, number, strides) {
      if (number % strides.score === 0 && !Number.isNaN(score)) {
        const rank = rankOf(score);
        for (let i = 0; i < powers.length; i++) {
          evidence.score[i] = Math.min(most, (evidence.score[i] + 1) * bets[i].factors[rank]);
        }
      }
      const { statistics } = evidence;
      for (let i = 0; i < z.length; i++) {
        const stride = strides.statistics[i];
        if (stride > 1 && number % stride !== 0) continue;
        const limited = Math.max(-tiltLimit, Math.min(tiltLimit, z[i]));
        const small = Math.exp(tilts[0] * limited);
        const large = small * small * small;
        const at = betsPerStatistic * i;
        const [smallBound, largeBound] = [bounds[2 * i], bounds[2 * i + 1]];
        statistics[at] = Math.min(most, (statistics[at] + 1) * (small / smallBound));
        statistics[at + 1] = Math.min(most, (statistics[at + 1] + 1) / (small * smallBound));
        statistics[at + 2] = Math.min(most, (statistics[at + 2] + 1) * (large / largeBound));
        statistics[at + 3] = Math.min(most, (statistics[at + 3] + 1) / (large * largeBound));
      }
    },
    strongest({ score, statistics }, strides) {
      let most = score.reduce((sum, value) => sum + value, 0) / powers.length / scoreThreshold(strides.score);
      let statistic = -1;
      for (let i = 0; i < statistics.length; i += betsPerStatistic) {
        const largest = Math.max(statistics[i], statistics[i + 1], statistics[i + 2], statistics[i + 3]);
        const part = largest / statisticThreshold(strides.statistics[i / betsPerStatistic]);
        if (part <= most) continue;
        most = part;
        statistic = i / betsPerStatistic;
      }
      return { share: most, statistic };
    },
    weight(score) {
      return Number.isNaN(score) ? 0 : Math.log(bets[1].factors[rankOf(score)]);
    },
  };
}

/** A number that no evidence exceeds, whatever comes: 32-bit floats hold it. */
const most = 1e30;
/** Where looks are so rare that hardly any fit into the promise, an alarm still needs this: more than one image says. */
const leastThreshold = 20;

/** Bounds of both tilts, one pair a statistic. Neighbouring sizes share one: it changes with the root of the size. */
function boundsOf(sizes: readonly number[]): Float64Array {
  const known = new Map<number, number[]>();
  return Float64Array.from(
    sizes.flatMap((size) => {
      const rounded = Math.max(10, Math.round(1.1 ** Math.floor(Math.log(Math.min(size, 20_000)) / Math.log(1.1))));
      let pair = known.get(rounded);
      if (!pair) {
        pair = tilts.map((tilt) => tiltBound(rounded, tilt, delta.statistic));
        known.set(rounded, pair);
      }
      return pair;
    }),
  );
}

export const powerCount = powers.length;
