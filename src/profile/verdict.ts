import type { Container } from '../image/container/container.ts';
import type { Remark } from '../image/container/remark.ts';
import type { History } from '../image/jpeghistory.ts';
import { categoricalProperties, type MeasuredImage } from '../image/measure.ts';
import { toImageStatistics } from '../image/statistics/statistics.ts';
import type { Rule } from './blockrule.ts';
import type { Profile, Rates } from './description.ts';
import type { Cause } from './diagnosis.ts';
import type { FlipRate } from './flips.ts';
import {
  maxReasons,
  newProperties,
  noteWrapping,
  propertyWords,
  type Reason,
  ruleReason,
  strangeHistory,
  strangeStatistics,
  withEmbedding,
} from './reasons.ts';
import type { DetectorScore, Score, Scorer } from './score.ts';

/** The detector whose p-value decides: was it taken as the reference was, does it show what that shows, or both. */
export type DecideBy = 'combined' | 'capture' | 'content';

/** The answer for one image; the same JSON in HTTP, command line, JSONL and library. */
export interface Verdict {
  verdict: 'pass' | 'warn' | 'block';
  /** The detector that `verdict`, `pValue` and `score` are those of. */
  decidedBy: DecideBy;
  /** Conformal p-value of the deciding detector: the share of reference images at least this strange. */
  pValue: number;
  /** Score of the deciding detector; keeps ranking images after the p-value has reached its smallest possible value. */
  score: number;
  /** The rates promised at `warn` and `block`; larger than asked where the reference is too small. */
  falseAlarmRate: Rates;
  /** The rule that decides what is blocked, in place of `falseAlarmRate.block`; absent without one. */
  blockWhen?: string;
  /**
   * How often the classifier that the Profile was fitted with is expected to answer otherwise to such an image than it would
   * have to the same in good condition, with the ends of the 95 % interval; from the combined score and the probable causes,
   * whichever detector decides. Absent where the Profile has no harm map.
   */
  expectedFlipRate?: FlipRate;
  /** Strongest first. */
  reasons: Reason[];
  /** All detectors of the Profile, `combined` first, whichever decides. */
  detectors: DetectorScore[];
  /**
   * If the image was not taken as the reference was, what probably happened: the likeliest simulated causes and
   * `unknown`, with calibrated probabilities. Absent where the Profile was fitted without causes.
   */
  causes?: Cause[];
  /**
   * Reference images that show what is most like it, nearest first: their paths below the folders of the reference, and
   * the distance of their embeddings, 0 to 2. Where the Profile keeps paths.
   */
  nearest?: { path: string; distance: number }[];
  /**
   * What the image shows, as the first principal coordinates of its embedding in reference standard deviations: near images
   * show similar things. Where the Profile has a model.
   */
  projection?: number[];
  /** Value by statistic name; null where it does not apply to this image. */
  statistics: Record<string, number | null>;
  image: {
    format: Container['format'] | 'frame';
    width: number;
    height: number;
    bytes: number;
    /** Of the encoded bytes, or of the pixels when a frame was given. */
    sha256: string;
    /** 64-bit difference hash of the pixels: the same for the same picture, whatever its encoding. */
    hash: string;
    /** Of the video that the frame was taken from. */
    codec?: string;
    container?: Omit<Container, 'remarks'>;
    /** Oddities of the file that lose no pixel, and metadata that the reference did not have: never the cause of a verdict. */
    remarks: Remark[];
    /**
     * JPEG compression before this file that the pixels remember: the file's own pass, and one before. Only where the
     * verdict is not pass, since it takes longer than all statistics, and only for pixels neither turned nor shrunk.
     */
    history?: History;
  };
  profile: { name: string; sha256: string };
  timingMs: { decode: number; statistics: number; embedding?: number; score: number; total: number };
}

/**
 * Compares one measured image with a Profile and puts the answer in words.
 * @param by.decidedBy a detector that the Profile has; default: combined
 * @param by.rule decides what is blocked; default: the promised rate
 * @param by.properties further ones, that only some Profiles know
 * @param by.history reads the history of the pixels; called only when the image does not pass
 */
export function decideVerdict(
  profile: Profile,
  scorer: Scorer,
  image: MeasuredImage,
  options: {
    decidedBy?: DecideBy;
    rule?: Rule | undefined;
    properties?: Record<string, string>;
    history?: () => History | undefined;
  } = {},
): Verdict {
  const { decidedBy = 'combined', rule } = options;
  const started = performance.now();
  const properties = { ...categoricalProperties(image, profile.constants), ...options.properties };
  const score = scorer.score(image.statistics, properties, image.embedding);
  const { detectors } = score;
  const [combined] = detectors;
  const deciding = detectors.find(({ name }) => name === decidedBy) ?? combined;
  const { pValue } = deciding;
  const { promised } = profile.falseAlarmRate;
  const { flips } = score;
  const numbers = { pValue, score: deciding.score, expectedFlipRate: flips?.rate };
  const isBlocked = rule ? rule.holds(numbers) : pValue <= promised.block;
  const verdict = isBlocked ? 'block' : pValue <= promised.warn ? 'warn' : 'pass';
  const novelties = newProperties(profile, properties, combined.pValue);
  const history = verdict === 'pass' ? undefined : options.history?.();
  const isOfFile = ({ statistic }: Reason) => statistic in propertyWords;
  // What the file says comes first, a statistic that never varied before comes last: it tells little of how far.
  const reasons = [
    ...(rule && isBlocked ? [ruleReason(rule, numbers)] : []),
    ...novelties.filter(isOfFile),
    ...(history ? strangeHistory(profile, scorer, image, { history, score }) : []),
    ...withEmbedding(profile, score, strangeStatistics(profile, scorer, image, score)),
    ...novelties.filter((reason) => !isOfFile(reason)),
  ].slice(0, maxReasons);
  const nearest = nearestImages(profile, score);
  const projection = score.embedded?.projection;
  const { decode, statistics: measured, embedding } = image.timingMs;
  const remarks = [...(image.container?.remarks ?? []), ...noteWrapping(profile, properties)];
  const scored = performance.now() - started;
  return {
    verdict,
    decidedBy,
    pValue,
    score: deciding.score,
    falseAlarmRate: { ...promised },
    ...(rule && { blockWhen: rule.text }),
    ...(flips && { expectedFlipRate: flips }),
    reasons,
    detectors,
    ...(score.causes && { causes: score.causes.filter(({ probability }, i) => i < 3 || probability >= 0.05) }),
    ...(nearest && { nearest }),
    ...(projection && { projection: Array.from(projection, (value) => Number(value.toFixed(4))) }),
    statistics: toImageStatistics(image.statistics),
    image: {
      format: image.container?.format ?? 'frame',
      width: image.width,
      height: image.height,
      bytes: image.bytes,
      sha256: image.sha256,
      hash: image.hash,
      ...(image.codec !== undefined && { codec: image.codec }),
      ...(image.container && { container: withoutRemarks(image.container) }),
      remarks,
      ...(history && { history }),
    },
    profile: { name: profile.name, sha256: profile.sha256 },
    timingMs: {
      decode,
      statistics: measured,
      ...(embedding !== undefined && { embedding }),
      score: scored,
      total: decode + measured + (embedding ?? 0) + scored,
    },
  };
}

/** They stand beside the container. */
function withoutRemarks({ remarks: _, ...container }: Container): Omit<Container, 'remarks'> {
  return container;
}

/** Farther images say little. */
const maxNearest = 3;

/** The reference images whose content is most alike, where their paths are kept. */
function nearestImages({ model }: Profile, { embedded }: Score): Verdict['nearest'] {
  const paths = model?.paths;
  if (!paths || !embedded) return undefined;
  return embedded.nearest
    .slice(0, maxNearest)
    .map(({ row, distance }) => ({ path: paths[row], distance: Number(distance.toFixed(4)) }));
}
