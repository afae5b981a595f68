import { probit } from 'simple-statistics';
import { powerBet, tiltBound, tiltLimit } from '../../src/drift/bets.ts';
import { deltas, mixtureShare, powers, safety, tilts } from '../../src/drift/detectors.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { fitGaussianiser, type Gaussianiser, gaussianise } from '../../src/profile/maths/gaussianise.ts';

/** Points at which means over the population are taken. */
const points = 1000;
const grid = Float64Array.from({ length: points }, (_, i) => probit((i + 0.5) / points));

/**
 * How many of the allowed alarms one calibration set can use up at most, in a stream of independent images: below 1 the promise
 * holds for this set. A bet that is too good (its mean given the set is over 1) is one again when raised to a power below 1, and R
 * raised to it grows by at most one an image, as (R + 1)^power <= R^power + 1: so its alarms come at most every
 * threshold^power images.
 */
export function allowanceUsed(
  { statistics, images, falseAlarmEvery }: { statistics: number; images: number; falseAlarmEvery: number },
  seed: number,
): number {
  const random = new Random(seed);
  const allowed = falseAlarmEvery / mixtureShare;
  const threshold = allowed * safety * 2 * tilts.length * statistics;
  const bounds = tilts.map((tilt) => Math.log(tiltBound(images, tilt, deltas.statistics / statistics)));
  const even = new Float64Array(points).fill(1 / points);
  let used = 0;
  for (let i = 0; i < statistics; i++) {
    const map = fitGaussianiser(Float64Array.from(random.normals(images))) as Gaussianiser;
    const z = grid.map((x) => Math.max(-tiltLimit, Math.min(tiltLimit, gaussianise(map, x))));
    for (const [k, tilt] of tilts.entries()) {
      for (const direction of [1, -1]) {
        const bet = z.map((value) => direction * tilt * value - bounds[k]);
        used += falseAlarmEvery * threshold ** -computePower(bet, even);
      }
    }
  }
  const spacings = Float64Array.from({ length: images + 1 }, () => -Math.log(random.uniform(1e-12, 1)));
  const total = spacings.reduce((sum, value) => sum + value, 0);
  const chances = spacings.map((value) => value / total);
  for (const power of powers) {
    const bet = powerBet(images, power, deltas.score).factors.map(Math.log);
    used += falseAlarmEvery * (allowed * powers.length) ** -computePower(bet, chances);
  }
  return used;
}

/** The largest power up to 1 of a bet whose mean is at most 1. */
function computePower(logBet: Float64Array, chances: Float64Array): number {
  const mean = (power: number) => {
    let sum = 0;
    for (let i = 0; i < logBet.length; i++) sum += chances[i] * Math.exp(power * logBet[i]);
    return sum;
  };
  if (mean(1) <= 1) return 1;
  let [low, high] = [0, 1];
  for (let halving = 0; halving < 20; halving++) {
    const middle = (low + high) / 2;
    if (mean(middle) <= 1) low = middle;
    else high = middle;
  }
  return low;
}
