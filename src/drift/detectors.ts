import { powerBet, tiltBound, tiltLimit } from './bets.ts';

/** Small powers wait for images beyond all of the reference, large ones add up many that are a little strange. */
export const powers = [0.15, 0.35, 0.6, 0.85] as const;
/** Sizes of shifts, in deviations, that the bets on one statistic are best at; the second is three times the first. */
export const tilts = [0.2, 0.6] as const;
/** Half of the alarms that are allowed go to the score, half to all statistics together. */
export const mixtureShare = 0.5;
/**
 * Share of calibration sets for which a bet may be slightly too good: each bet on the score, and all bets on statistics of one
 * tilt and direction together. Those that err a little still keep their part of the promise, because each has a threshold
 * hundreds of times that of all (`docs/drift.md`); that is doubled, too.
 */
export const deltas = { score: 0.005, statistics: 0.04 } as const;
export const safety = 2;
/** Evidence before anything is known may grow without an alarm: up to here, which a 32-bit float holds. */
const most = 1e9;
/** Fewer calibration images than this, counted as independent, are taken for so many: bets are then next to nothing. */
const leastCalibrating = 10;

/** Each tilt upwards and downwards. */
export const betsPerStatistic = 2 * tilts.length;

/** What images of the reference are, as far as detectors need it. */
export interface Calibration {
  /** Sorted scores of the deciding detector. */
  scores: Float64Array;
  /** How many statistics there are, and how many images their deviations were learnt from. */
  statistics: number;
  images: number;
  /** Images that are like one independent image: of the score, and of every statistic. */
  correlation: { score: number; statistics: ArrayLike<number> };
}

/** Evidence of one source, as shares of what an alarm needs. */
export interface Evidence {
  /** One number for each power; their sum counts. */
  score: Float64Array;
  /** Four numbers a statistic; the largest counts. */
  statistics: Float32Array;
}

/** How much an image counts: one part in as many as are like one independent image. */
export interface Pace {
  /** Correlation times in images. */
  score: number;
  statistics: ArrayLike<number>;
  /** For every statistic: the smaller tilt, and what bets of both tilts are divided by, as factors. */
  tilt: Float64Array;
  small: Float64Array;
  large: Float64Array;
}

/** The sequential detectors of one reference, shared by all sources. */
export interface Detectors {
  /** Images that calibrate, counted as if they were independent. */
  calibrating: number;
  /** The pace for given correlation times: of the score, and of all statistics or each. Near ones share one. */
  pace(score: number, statistics: number | { timesReference: number }): Pace;
  update(evidence: Evidence, image: { score: number; z: ArrayLike<number> }, pace: Pace): void;
  /** Shares of what an alarm needs: of the score, and of the statistic that has most. */
  strongest(evidence: Evidence): { score: number; statistic: number; position: number };
  /** ln of the bet that a score makes: how much it adds to the evidence. */
  weight(score: number): number;
}

/**
 * Shiryaev-Roberts e-detectors R <- (R + 1) e (Shin, Ramdas and Rinaldo 2024): as long as nothing has changed R grows by at most
 * one an image on average, so the mean number of images before R reaches A is at least A, however often one looks. With d
 * statistics, alarms of the score and of each of the 4 d bets add up, so each gets its part of those that are allowed.
 *
 * In a stream that remembers, with correlation time tau, every image counts by the power 1 / tau of its bet: the geometric mean
 * of tau interleaved detectors, each of which sees one image in tau. Its mean is at most the largest of theirs (Hoelder), and a sum
 * of n images varies as one of n / tau independent ones. So promises are in images of real time.
 */
export function createDetectors(calibration: Calibration, falseAlarmEvery: number): Detectors {
  const { scores, statistics: count, images, correlation } = calibration;
  const effective = Math.max(leastCalibrating, Math.floor(scores.length / correlation.score));
  const logFactors = powers.map((power) => powerBet(effective, power, deltas.score).factors.map(Math.log));
  const bounds = logBounds(
    Float64Array.from(correlation.statistics, (time) => images / time),
    deltas.statistics / count,
  );
  const allowed = falseAlarmEvery / mixtureShare;
  const ofScore = 1 / powers.length / allowed;
  const ofStatistic = 1 / (allowed * safety * betsPerStatistic * count);

  const findRank = (score: number) => {
    let [low, high] = [0, scores.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (scores[middle] < score) low = middle + 1;
      else high = middle;
    }
    return Math.ceil(((scores.length - low) * effective) / scores.length);
  };

  return {
    calibrating: effective,
    pace: keepPaces(count, correlation.statistics, bounds),
    update(evidence, { score, z }, pace) {
      if (!Number.isNaN(score)) {
        const rank = findRank(score);
        for (let i = 0; i < powers.length; i++) {
          const factor = Math.exp(logFactors[i][rank] / pace.score);
          evidence.score[i] = Math.min(most, (evidence.score[i] + ofScore) * factor);
        }
      }
      const { statistics } = evidence;
      const { tilt, small: perSmall, large: perLarge } = pace;
      for (let i = 0; i < count; i++) {
        const value = z[i];
        // A number that is missing says nothing.
        const small = Math.exp(
          tilt[i] * (value > tiltLimit ? tiltLimit : value < -tiltLimit ? -tiltLimit : value || 0),
        );
        const large = small * small * small;
        const at = betsPerStatistic * i;
        statistics[at] = Math.min(most, (statistics[at] + ofStatistic) * small * perSmall[i]);
        statistics[at + 1] = Math.min(most, ((statistics[at + 1] + ofStatistic) / small) * perSmall[i]);
        statistics[at + 2] = Math.min(most, (statistics[at + 2] + ofStatistic) * large * perLarge[i]);
        statistics[at + 3] = Math.min(most, ((statistics[at + 3] + ofStatistic) / large) * perLarge[i]);
      }
    },
    strongest({ score, statistics }) {
      let sum = 0;
      for (let i = 0; i < score.length; i++) sum += score[i];
      let [largest, place] = [0, 0];
      for (let i = 0; i < statistics.length; i++) {
        if (statistics[i] <= largest) continue;
        largest = statistics[i];
        place = i;
      }
      return { score: sum, statistic: largest, position: Math.floor(place / betsPerStatistic) };
    },
    weight: (score) => (Number.isNaN(score) ? 0 : logFactors[1][findRank(score)]),
  };
}

/** Paces by correlation times, each made once: they hold as many numbers as there are statistics. */
function keepPaces(count: number, reference: ArrayLike<number>, bounds: Float64Array): Detectors['pace'] {
  const paces = new Map<string, Pace>();
  return (score, statistics) => {
    const rounded = roundTime(score);
    const isEach = typeof statistics !== 'number';
    const other = roundTime(isEach ? statistics.timesReference : statistics);
    const key = `${rounded} ${isEach} ${other}`;
    let pace = paces.get(key);
    if (!pace) {
      const times = Float64Array.from({ length: count }, (_, i) => (isEach ? reference[i] * other : other));
      pace = {
        score: rounded,
        statistics: times,
        tilt: times.map((time) => tilts[0] / time),
        small: times.map((time, i) => Math.exp(-bounds[2 * i] / time)),
        large: times.map((time, i) => Math.exp(-bounds[2 * i + 1] / time)),
      };
      paces.set(key, pace);
    }
    return pace;
  };
}

/** To a twentieth, upwards, so that sources share tables; what is hardly more than 1 is 1. */
function roundTime(time: number): number {
  return time <= 1.1 ? 1 : 1.05 ** Math.ceil(Math.log(time) / Math.log(1.05));
}

/** ln of the bounds of both tilts, one pair a statistic. Neighbouring sizes share one: it changes with the root of the size. */
function logBounds(sizes: Float64Array, chance: number): Float64Array {
  const known = new Map<number, number[]>();
  const pairs = Array.from(sizes, (size) => {
    const step = Math.floor(Math.log(Math.max(leastCalibrating, Math.min(size, 20_000))) / Math.log(1.1));
    const pair = known.get(step) ?? tilts.map((tilt) => Math.log(tiltBound(Math.round(1.1 ** step), tilt, chance)));
    known.set(step, pair);
    return pair;
  });
  return Float64Array.from(pairs.flat());
}
