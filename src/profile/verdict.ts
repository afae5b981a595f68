import type { Container } from '../image/container/container.ts';
import type { Remark } from '../image/container/remark.ts';
import type { History } from '../image/jpeghistory.ts';
import { categoricalProperties, type MeasuredImage } from '../image/measured.ts';
import { toImageStatistics } from '../image/statistics/statistics.ts';
import type { Rule, RuleNumbers } from './blockrule.ts';
import type { Profile, Rates } from './description.ts';
import type { Cause } from './diagnosis.ts';
import type { FlipRate } from './flips.ts';
import { findLikelyCause, type LikelyCause } from './likelycause.ts';
import { findParts, type PicturePart, packChances, placeChances } from './places.ts';
import { explainImage, explainRule, noteWrapping, type Reason } from './reasons.ts';
import type { DetectorScore, Score, Scorer } from './score.ts';

/** The detector whose p-value decides: was it taken as the reference was, does it show what that shows, or both. */
export type DecideBy = 'combined' | 'capture' | 'content';

/** The answer for one image; the same JSON in HTTP, command line, JSONL and library. */
export interface Verdict {
  verdict: 'pass' | 'warn' | 'block';
  /** The detector that `verdict`, `pValue` and `score` are those of. */
  decidedBy: DecideBy;
  /**
   * Conformal p-value of the deciding detector: the share of reference images at least this strange, or the share that is
   * expected by a tail fitted to them.
   */
  pValue: number;
  /** Score of the deciding detector; keeps ranking images after the p-value has reached its smallest possible value. */
  score: number;
  /**
   * The rates promised at `warn` and `block`; larger than asked where the reference is too small. With `threshold: 'tail'` they
   * are what is expected by an exponential tail fitted to the reference, and not promised.
   */
  falseAlarmRate: Rates & { threshold?: 'tail' };
  /** The rule that decides what is blocked, in place of `falseAlarmRate.block`; absent without one. */
  blockWhen?: string;
  /**
   * How often the classifier that the Profile was fitted with is expected to answer otherwise to such an image than it would
   * have to the same in good condition, with the ends of the 95 % interval; from the combined score and the probable causes,
   * whichever detector decides. Absent where the Profile has no harm map.
   */
  expectedFlipRate?: FlipRate;
  /** What a person sees of it that is unlike the reference, what explains most first; none on a pass. */
  reasons: Reason[];
  /** What is unlike most of the reference in an image that passes, at most three things: not enough to warn. */
  unusual?: Reason[];
  /** All detectors of the Profile, `combined` first, whichever decides. */
  detectors: DetectorScore[];
  /**
   * If the image was not taken as the reference was, what probably happened: the likeliest simulated causes and
   * `unknown`, with calibrated probabilities. Absent where the Profile was fitted without causes.
   */
  causes?: Cause[];
  /** What probably happened to an image that is stopped, said only as surely as it was shown to be right. */
  cause?: LikelyCause;
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
  /** Where in the picture something is hidden or blurred. Where the Profile tells places. */
  places?: PlaceVerdict;
  /** Value by statistic name; null where it does not apply to this image. */
  statistics: Record<string, number | null>;
  image: {
    format: Container['format'] | 'frame';
    width: number;
    height: number;
    bytes: number;
    /** The checksum of the encoded bytes, or of the pixels when a frame was given. */
    sha256: string;
    /** 64-bit difference hash of the pixels: the same for the same picture, whatever its encoding. */
    hash: string;
    /** The codec of the video that the frame was taken from. */
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

/** What one image shows by place. */
interface PlaceVerdict {
  /** Share of reference images with a place at least this strange. */
  pValue: number;
  /** What stands out, the largest first; none where the places are as strange as those of one reference image in twenty. */
  parts: PicturePart[];
  /** The chance for every one of 16 x 12 tiles, row by row, that it is hidden: a digit each, from 0 to 9 ninths. */
  map: string;
}

export interface JudgeOptions {
  /** A detector that the Profile has; default: combined. */
  decidedBy?: DecideBy;
  /** Decides what is blocked; default: the promised rate. */
  rule?: Rule | undefined;
  /** Further properties, that only some Profiles know. */
  properties?: Record<string, string>;
  /** Reads the history of the pixels; called only when the image does not pass. */
  history?: () => History | undefined;
}

/** Compares one measured image with a Profile and puts the answer in words. */
export function decideVerdict(
  profile: Profile,
  scorer: Scorer,
  image: MeasuredImage,
  options: JudgeOptions = {},
): Verdict {
  const { decidedBy = 'combined', rule } = options;
  const started = performance.now();
  const properties = { ...categoricalProperties(image, profile.constants), ...options.properties };
  const score = scorer.score(image.statistics, properties, image);
  const { detectors, flips, causes } = score;
  const deciding = detectors.find(({ name }) => name === decidedBy) ?? detectors[0];
  const { pValue } = deciding;
  const { promised, threshold } = profile.falseAlarmRate;
  const numbers = { pValue, score: deciding.score, expectedFlipRate: flips?.rate };
  const verdict = decide(numbers, promised, rule);
  const history = verdict === 'pass' ? undefined : options.history?.();
  const { reasons: explained, kinds } = explainImage({
    profile,
    scorer,
    image,
    score,
    properties,
    history,
    isStopped: verdict !== 'pass',
  });
  const reasons = [
    ...(rule?.holds(numbers) ? [explainRule(rule, numbers)] : []),
    ...(verdict === 'pass' ? [] : explained),
  ];
  const cause = verdict === 'pass' ? undefined : findLikelyCause(reasons, { ...score, kinds });
  // What nobody can see is not worth telling of an image that passes.
  const visible = explained.filter(({ group }) => group !== 'texture');
  const unusual = verdict === 'pass' ? visible.slice(0, maxUnusual) : [];
  const nearest = nearestImages(profile, score);
  const projection = score.embedded?.projection;
  const places = describePlaces(score);
  return {
    verdict,
    decidedBy,
    pValue,
    score: deciding.score,
    falseAlarmRate: { ...promised, ...(threshold && { threshold }) },
    ...(rule && { blockWhen: rule.text }),
    ...(flips && { expectedFlipRate: flips }),
    reasons,
    ...(unusual.length > 0 && { unusual }),
    detectors,
    ...(causes && { causes: causes.filter(({ probability }, i) => i < 3 || probability >= 0.05) }),
    ...(cause && { cause }),
    ...(nearest && { nearest }),
    ...(places && { places }),
    ...(projection && { projection: Array.from(projection, (value) => Number(value.toFixed(4))) }),
    statistics: toImageStatistics(image.statistics),
    image: describeImage(image, { profile, properties, history }),
    profile: { name: profile.name, sha256: profile.sha256 },
    timingMs: describeTiming(image, performance.now() - started),
  };
}

/** A number that is none is no reason to pass: comparisons are written so that it blocks. */
export function decide(
  numbers: RuleNumbers,
  promised: { warn: number; block: number },
  rule?: Rule,
): Verdict['verdict'] {
  const { pValue } = numbers;
  const isUnknown = [...(rule?.numbers ?? [])].some((name) => Number.isNaN(numbers[name]));
  if (Number.isNaN(pValue) || isUnknown) return 'block';
  if (rule ? rule.holds(numbers) : !(pValue > promised.block)) return 'block';
  return pValue > promised.warn ? 'pass' : 'warn';
}

function describeImage(
  image: MeasuredImage,
  found: { profile: Profile; properties: Record<string, string>; history: History | undefined },
): Verdict['image'] {
  const { profile, properties, history } = found;
  const { container, codec, width, height, bytes, sha256, hash } = image;
  return {
    format: container?.format ?? 'frame',
    width,
    height,
    bytes,
    sha256,
    hash,
    ...(codec !== undefined && { codec }),
    ...(container && { container: withoutRemarks(container) }),
    remarks: [...(container?.remarks ?? []), ...noteWrapping(profile, properties)],
    ...(history && { history }),
  };
}

/** They stand beside the container. */
function withoutRemarks({ remarks: _, ...container }: Container): Omit<Container, 'remarks'> {
  return container;
}

function describeTiming({ timingMs }: MeasuredImage, score: number): Verdict['timingMs'] {
  const { decode, statistics, embedding } = timingMs;
  return {
    decode,
    statistics,
    ...(embedding !== undefined && { embedding }),
    score,
    total: decode + statistics + (embedding ?? 0) + score,
  };
}

/** From this p-value on parts are told: one reference image in twenty has such a place, too. */
const tellingPValue = 0.05;

function describePlaces({ odds, detectors }: Score): PlaceVerdict | undefined {
  const pValue = detectors.find(({ name }) => name === 'places')?.pValue;
  if (!odds || pValue === undefined) return undefined;
  const chances = placeChances(odds);
  return { pValue, parts: pValue > tellingPValue ? [] : findParts(chances), map: packChances(chances) };
}

/** More is not worth telling of an image that passes. */
const maxUnusual = 3;
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
