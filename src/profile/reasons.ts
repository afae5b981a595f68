import type { Remark } from '../image/container/remark.ts';
import type { History } from '../image/jpeghistory.ts';
import { type MeasuredImage, remarkedProperties } from '../image/measure.ts';
import type { Statistic } from '../image/statistics/statistic.ts';
import { statistics } from '../image/statistics/statistics.ts';
import type { Rule, RuleNumbers } from './blockrule.ts';
import type { Profile } from './description.ts';
import { countBelow, twoSidedPValue } from './maths/ranks.ts';
import type { Score, Scorer } from './score.ts';

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

/** More reasons than this are noise to a reader. */
export const maxReasons = 8;
/** A statistic is named as a reason from this many deviations on; the p-value alone decides the verdict. */
const reasonDeviations = 2;

export const propertyWords: Record<string, string> = {
  size: 'size in pixels',
  format: 'file format',
  encoder: 'encoder setting',
  // Of Profiles that were fitted when metadata still counted as a setting of the encoder.
  fingerprint: 'encoder setting',
  wrapping: 'metadata and markers',
  codec: 'video codec',
  colour: 'colour model',
  bitDepth: 'bit depth',
  orientation: 'EXIF orientation',
  history: 'JPEG compression before',
};

/** The rule that blocks, with the numbers it compared. */
export function ruleReason({ text, numbers: compared }: Rule, numbers: RuleNumbers): Reason {
  const given = [...compared].map((name) => `${name} ${shortened(numbers[name] as number)}`);
  const words = `blocked by the rule "${text}": ${given.join(', ')}`;
  return { statistic: 'blockWhen', value: text, unit: '', direction: 'new', pValue: numbers.pValue, text: words };
}

/** Container properties and constant statistics with a value that no reference image had. */
export function newProperties(profile: Profile, properties: Record<string, string>, pValue: number): Reason[] {
  const reasons: Reason[] = [];
  for (const [property, value] of Object.entries(properties)) {
    const counts = profile.categories[property];
    if (!counts || Object.hasOwn(counts, value) || remarkedProperties.has(property)) continue;
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

/** Metadata, markers and tables that no reference image was wrapped in: they reach no pixel, so that is worth a remark. */
export function noteWrapping(profile: Profile, properties: Record<string, string>): Remark[] {
  const counts = profile.categories.wrapping;
  const { wrapping } = properties;
  if (!counts || wrapping === undefined || Object.hasOwn(counts, wrapping)) return [];
  const [usual] = Object.entries(counts).sort((a, b) => b[1] - a[1])[0];
  const [own, known] = [wrapping.split(', '), usual.split(', ')];
  const added = own.filter((part) => !known.includes(part)).map((part) => `has ${part}`);
  const missing = known.filter((part) => !own.includes(part)).map((part) => `lacks ${part}`);
  const words = [...added, ...missing].slice(0, 6).join(', ') || 'has its parts in another order';
  return [{ kind: 'otherWrapping', text: `against the reference it ${words}` }];
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
export function strangeHistory(
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
export function strangeStatistics(
  profile: Profile,
  scorer: Scorer,
  image: MeasuredImage,
  { z, regime }: Score,
): Reason[] {
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

/** Puts the embedding among the statistics that stand out: first where it stands out more than all of them together. */
export function withEmbedding(profile: Profile, { detectors, components }: Score, strange: Reason[]): Reason[] {
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

/** A property or statistic in words: `encoder setting`, `dead columns`. */
export function propertyLabel(name: string): string {
  return propertyWords[name] ?? makeLabel(name);
}

function makeLabel(name: string): string {
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
