import { logits, type Softmax } from './maths/logits.ts';
import { meanLogits, type Networks } from './maths/network.ts';

/** What is probably wrong with an image, if something is. */
export interface Cause {
  /** A name in the table of corruptions, or `unknown`. */
  cause: string;
  /** Given that the image was not taken as the reference was. */
  probability: number;
}

/** What was learnt from the reference images put through simulated causes. Rows of statistics are standardised and capped. */
export interface CauseFit {
  causes: readonly string[];
  /** Class 0 is clean, class i + 1 is cause i. One linear layer in Profiles of versions that had no networks. */
  classifier: Networks | Softmax;
  /** Sharpens or softens the probabilities of the causes so that they are calibrated on images not trained on. */
  temperature: number;
  /** Row-major, dimensions x statistics: the directions in which causes move an image most against clean variation. */
  projection: Float64Array;
  centre: Float64Array;
  /** Logistic model of "none of the causes trained on" over `unknownFeatures`; the last is the intercept. */
  unknown: Float64Array;
}

/** The deviations that causes are told by. Beyond 3 they count logarithmically: how far out a statistic is says little about the cause. */
export function pickCapped(z: Float64Array, members: readonly number[]): Float64Array {
  const out = new Float64Array(members.length);
  for (let i = 0; i < out.length; i++) {
    const value = z[members[i]];
    const size = Math.abs(value);
    out[i] = size <= 3 ? value : Math.sign(value) * (3 + Math.log1p(size - 3));
  }
  return out;
}

/** Evidence of one image on the two detectors that know causes. */
export interface CauseEvidence {
  /** ln odds of any simulated cause against clean. */
  logOdds: number;
  /** ln squared distance in the subspace in which causes act. */
  logDistance: number;
  /** Logits of the causes. */
  logits: Float64Array;
}

/** @param capped standardised and capped statistics */
export function causeEvidence(
  { causes: names, classifier, projection, centre }: CauseFit,
  capped: Float64Array,
): CauseEvidence {
  const out = new Float64Array(names.length + 1);
  const all = 'weights' in classifier ? logits(classifier, capped, out) : meanLogits(classifier, capped, out);
  const causes = all.subarray(1);
  return {
    logOdds: logSumExp(causes) - all[0],
    logDistance: projectedDistance(projection, centre, capped),
    logits: causes,
  };
}

/** ln of the squared distance of the projection to the centre; the projection whitens. */
export function projectedDistance(projection: Float64Array, centre: Float64Array, x: Float64Array): number {
  let distance = 0;
  for (let row = 0; row < centre.length; row++) {
    let sum = -centre[row];
    const base = row * x.length;
    for (let i = 0; i < x.length; i++) sum += projection[base + i] * x[i];
    distance += sum * sum;
  }
  return Math.log(Math.max(distance, 1e-9));
}

/** Ranked causes and `unknown`, their probabilities summing to 1. */
export function diagnose(model: CauseFit, evidence: CauseEvidence, logDistanceAll: number): Cause[] {
  const probabilities = computeSoftmax(evidence.logits, model.temperature);
  const features = unknownFeatures(evidence, logDistanceAll);
  let logit = model.unknown[features.length];
  for (let i = 0; i < features.length; i++) logit += model.unknown[i] * features[i];
  const unknown = 1 / (1 + Math.exp(-logit));
  return [
    { cause: 'unknown', probability: unknown },
    ...model.causes.map((cause, i) => ({ cause, probability: (1 - unknown) * probabilities[i] })),
  ].sort((a, b) => b.probability - a.probability);
}

/**
 * What tells a cause never trained on: no cause fits well (log odds of the best against the rest), and the image is
 * farther out than the causes explain.
 */
export function unknownFeatures(
  { logits: causes, logOdds, logDistance }: CauseEvidence,
  logDistanceAll: number,
): number[] {
  const at = causes.indexOf(Math.max(...causes));
  const best = causes[at];
  const rest = logSumExp(causes.filter((_, i) => i !== at));
  return [best - rest, logOdds, logDistance, logDistanceAll];
}

export function computeSoftmax(values: Float64Array, temperature: number): Float64Array {
  const scaled = values.map((value) => value / temperature);
  const total = logSumExp(scaled);
  return scaled.map((value) => Math.exp(value - total));
}

export function logSumExp(values: Float64Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) most = Math.max(most, value);
  if (most === Number.NEGATIVE_INFINITY) return most;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - most);
  return most + Math.log(sum);
}
