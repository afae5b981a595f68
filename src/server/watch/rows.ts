import { nameCause } from '../../profile/likelycause.ts';
import type { Judgement } from '../judge.ts';
import type { PastVerdict } from '../store/database.ts';

/** One verdict as the history keeps it. */
export function describeVerdict({ verdict, source, at, requestId }: Judgement): PastVerdict {
  const { sha256, bytes, width, height } = verdict.image;
  return {
    source,
    at,
    verdict: verdict.verdict,
    pValue: verdict.pValue,
    score: verdict.score,
    reason: verdict.reasons[0]?.group ?? null,
    cause: nameCause(verdict) ?? null,
    causeProbability: verdict.cause?.probability ?? null,
    requestId,
    sha256,
    bytes,
    width,
    height,
    ms: verdict.timingMs.total,
    detectors: Object.fromEntries(verdict.detectors.map(({ name, pValue }) => [name, pValue])),
  };
}

/** A verdict as /events shows it: who wants more asks for it. */
export function describeEvent(
  { source, at, verdict, pValue, score, cause, requestId, sha256, ms }: PastVerdict,
  judgement: Judgement,
) {
  const text = verdict === 'pass' ? undefined : judgement.verdict.reasons[0]?.text;
  return {
    source,
    at,
    verdict,
    pValue,
    score,
    ...(text && { reason: text }),
    ...(cause && { cause }),
    requestId,
    sha256,
    ms,
    profile: judgement.verdict.profile.sha256,
  };
}
