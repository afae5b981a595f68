import type { Container } from './container.ts';
import type { Cause } from './diagnosis.ts';
import type { History } from './forensics.ts';
import type { FlipRate } from './harm.ts';
import { categoricalProperties, type MeasuredImage } from './measure.ts';
import type { Profile } from './profile.ts';
import type { Rule, RuleNumbers } from './rule.ts';
import { countBelow, type Score, type Scorer, twoSidedPValue } from './score.ts';
import { type Statistic, statistics, toImageStatistics } from './statistics.ts';

/** One statistic that makes an image strange, in plain words. */
export interface Reason {
  /**
   * Name in the statistics table, `embedding`, for categorical evidence the container property (`fingerprint`, `format`,
   * `size`) or `history`, or `blockWhen` for the rule that blocks.
   */
  statistic: string;
  value: number | string;
  unit: string;
  direction: 'high' | 'low' | 'new';
  pValue: number;
  /** Quantiles of the reference; absent for categorical evidence. */
  reference?: { p01: number; p50: number; p99: number };
  text: string;
}

/** One detector's opinion. `score` is real-valued, larger is stranger. */
export interface DetectorScore {
  name: string;
  pValue: number;
  score: number;
}

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
  falseAlarmRate: { warn: number; block: number };
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
    container?: Container;
    /**
     * JPEG compression before this file that the pixels remember: the file's own pass, and one before. Only where the
     * verdict is not pass, since it takes longer than all statistics, and only for pixels neither turned nor shrunk.
     */
    history?: History;
  };
  profile: { name: string; sha256: string };
  timingMs: { decode: number; statistics: number; embedding?: number; score: number; total: number };
}

/** More reasons than this are noise to a reader. */
const maxReasons = 8;
/** A statistic is named as a reason from this many deviations on; the p-value alone decides the verdict. */
const reasonDeviations = 2;

/**
 * Compares one measured image with a Profile and puts the answer in words.
 * @param by.decidedBy a detector that the Profile has; default: combined
 * @param by.rule decides what is blocked; default: the promised rate
 * @param by.history reads the history of the pixels; called only when the image does not pass
 */
export function judge(
  profile: Profile,
  scorer: Scorer,
  image: MeasuredImage,
  by: { decidedBy?: DecideBy; rule?: Rule; history?: () => History | undefined } = {},
): Verdict {
  const { decidedBy = 'combined', rule } = by;
  const started = performance.now();
  const properties = categoricalProperties(image, profile.constants);
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
  const history = verdict === 'pass' ? undefined : by.history?.();
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
      ...(image.container && { container: image.container }),
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

const propertyWords: Record<string, string> = {
  size: 'size in pixels',
  format: 'file format',
  fingerprint: 'encoder setting',
  colour: 'colour model',
  bitDepth: 'bit depth',
  orientation: 'EXIF orientation',
  history: 'JPEG compression before',
};

/** The rule that blocks, with the numbers it compared. */
function ruleReason({ text, numbers: compared }: Rule, numbers: RuleNumbers): Reason {
  const given = [...compared].map((name) => `${name} ${shortened(numbers[name] as number)}`);
  const words = `blocked by the rule "${text}": ${given.join(', ')}`;
  return { statistic: 'blockWhen', value: text, unit: '', direction: 'new', pValue: numbers.pValue, text: words };
}

/** Container properties and constant statistics with a value that no reference image had. */
function newProperties(profile: Profile, properties: Record<string, string>, pValue: number): Reason[] {
  const reasons: Reason[] = [];
  for (const [property, value] of Object.entries(properties)) {
    const counts = profile.categories[property];
    if (!counts || Object.hasOwn(counts, value)) continue;
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const [usual, times] = Object.entries(counts).sort((a, b) => b[1] - a[1])[0];
    const singletons = Object.values(counts).filter((count) => count === 1).length;
    const unit = statistics.find(({ name }) => name === property)?.unit ?? '';
    const shown = unit ? number(Number(value), 3) : value;
    const known = unit ? number(Number(usual), 3) : usual;
    reasons.push({
      statistic: property,
      value: unit ? Number(value) : value,
      unit,
      direction: 'new',
      // Good-Turing: the chance of a value never seen is the share of values seen once.
      pValue: Math.max((singletons + 1) / (total + 1), pValue),
      text: `${propertyLabel(property)} ${shown}${unit && unit !== 'ratio' ? ` ${unit}` : ''} was never seen in ${total} reference images (${known} in ${percent(times / total)} of them)`,
    });
  }
  return reasons;
}

/** Statistics in which an earlier compression shows. */
const historyTraces = [
  'earlierJpegScore',
  'coefficientGaps',
  'otherGridScore',
  'latticeScore',
  'blockinessX',
  'blockinessY',
  'blockinessMax',
];

/** An earlier compression in words, where its traces are stronger than in the reference. */
function strangeHistory(
  profile: Profile,
  scorer: Scorer,
  { statistics: values, container }: MeasuredImage,
  { history, score }: { history: History; score: Score },
): Reason[] {
  const isJpeg = container?.format === 'jpeg';
  const pass = history.earlier ?? (isJpeg ? undefined : history.last);
  if (!pass) return [];
  const traces = profile.statistics.flatMap(({ name }, position) => {
    if (!historyTraces.includes(name) || score.z[position] < reasonDeviations) return [];
    const value = values[statistics.findIndex((row) => row.name === name)];
    return [twoSidedPValue(scorer.calibration(position, score.regime), value)];
  });
  if (traces.length === 0) return [];
  const { quality, offsetX, offsetY } = pass;
  const isShifted = offsetX !== 0 || offsetY !== 0;
  const says = isJpeg ? `says ${container.jpeg?.quality}` : `is a ${container?.format.toUpperCase()}`;
  const words = [
    `the pixels were JPEG-compressed at about quality ${quality} before`,
    ...(isShifted ? [`on a grid shifted by (${offsetX}, ${offsetY})`] : []),
    ...(container ? [`although the file ${says}`] : []),
  ];
  return [
    {
      statistic: 'history',
      value: `quality ${quality}${isShifted ? ` at (${offsetX}, ${offsetY})` : ''}`,
      unit: '',
      direction: 'new',
      pValue: Math.min(...traces),
      text: words.join(', '),
    },
  ];
}

/** Statistics far from the reference, farthest first. */
function strangeStatistics(profile: Profile, scorer: Scorer, image: MeasuredImage, { z, regime }: Score): Reason[] {
  return profile.statistics
    .map(({ name }, position) => ({ name, position, deviations: Math.abs(z[position]) }))
    .filter(({ deviations }) => deviations >= reasonDeviations)
    .sort((a, b) => b.deviations - a.deviations)
    .slice(0, maxReasons)
    .map(({ name, position }): Reason => {
      const row = statistics.find((statistic) => statistic.name === name) as Statistic;
      const value = image.statistics[statistics.indexOf(row)];
      const sorted = scorer.calibration(position, regime);
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
      const reference = { p01: at(0.01), p50: at(0.5), p99: at(0.99) };
      const direction = value >= reference.p50 ? 'high' : 'low';
      const beyond =
        direction === 'high' ? countBelow(sorted, value, false) : sorted.length - countBelow(sorted, value, true);
      const unit = row.unit === 'ratio' || row.unit === 'share' ? '' : ` ${row.unit}`;
      const amount =
        beyond === sorted.length
          ? `all ${sorted.length} reference images`
          : `${percent(beyond / sorted.length)} of the reference`;
      return {
        statistic: name,
        value,
        unit: row.unit,
        direction,
        pValue: twoSidedPValue(sorted, value),
        reference,
        text: `${direction === 'high' ? row.high : row.low} the reference: ${name} ${number(value, row.digits)}${unit} is ${direction === 'high' ? 'above' : 'below'} ${amount} (${number(reference.p01, row.digits)} to ${number(reference.p99, row.digits)})`,
      };
    });
}

/** From here on, two deviations, an embedding is named, as a statistic is. */
const strangePValue = 0.025;
/** Farther images say little. */
const maxNearest = 3;

/** Puts the embedding among the statistics that stand out: first where it stands out more than all of them together. */
function withEmbedding(profile: Profile, { detectors, components }: Score, strange: Reason[]): Reason[] {
  const embedding = detectors.find(({ name }) => name === 'embedding');
  if (!embedding || embedding.pValue > strangePValue) return strange;
  const count = profile.tensors.embeddingScores.data.length;
  const atLeast = Math.round(embedding.pValue * (count + 1)) - 1;
  const others =
    atLeast === 0 ? `all ${count} reference images` : `${percent(1 - atLeast / count)} of the reference images`;
  const reason: Reason = {
    statistic: 'embedding',
    value: embedding.score,
    unit: '',
    direction: 'high',
    pValue: embedding.pValue,
    text: `shows something that the reference does not: its embedding lies farther out than that of ${others}`,
  };
  if (embedding.score > components[profile.components.indexOf('distance')]) return [reason, ...strange];
  return [...strange.slice(0, maxReasons - 1), reason];
}

/** The reference images whose content is most alike, where their paths are kept. */
function nearestImages({ model }: Profile, { embedded }: Score): Verdict['nearest'] {
  const paths = model?.paths;
  if (!paths || !embedded) return undefined;
  return embedded.nearest
    .slice(0, maxNearest)
    .map(({ row, distance }) => ({ path: paths[row], distance: Number(distance.toFixed(4)) }));
}

/** A property or statistic in words: `encoder setting`, `dead columns`. */
export function propertyLabel(name: string): string {
  return propertyWords[name] ?? labelOf(name);
}

function labelOf(name: string): string {
  return name.replace(/[A-Z0-9]+/g, (part) => ` ${part.toLowerCase()}`);
}

/** Enough digits to tell a value from the reference, without trailing zeros. */
function number(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

function shortened(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function percent(share: number): string {
  return `${String(Number((100 * share).toFixed(1)))} %`;
}
