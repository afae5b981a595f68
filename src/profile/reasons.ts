import type { Remark } from '../image/container/remark.ts';
import type { History } from '../image/jpeghistory.ts';
import { type MeasuredImage, remarkedProperties } from '../image/measured.ts';
import type { Statistic } from '../image/statistics/statistic.ts';
import { statistics } from '../image/statistics/statistics.ts';
import type { Rule, RuleNumbers } from './blockrule.ts';
import type { Profile } from './description.ts';
import { scoredValue } from './maths/gaussianise.ts';
import { countBelow, findQuantile, twoSidedPValue } from './maths/ranks.ts';
import { findParts, placeChances } from './places.ts';
import type { Score, Scorer } from './score.ts';
import {
  encoderProperties,
  findSight,
  type Legible,
  legibility,
  looksHazy,
  type ReasonGroup,
  readLegible,
  readMeaning,
  type SightKind,
  unitAfter,
  writeNumbers,
} from './sights.ts';
import { rankReasons, slightly, type Ranked as Told } from './told.ts';

/** One number that makes an image strange. */
export interface Evidence {
  /**
   * Name in the statistics table, `embedding`, `places`, `layout`, for categorical evidence the container property (`fingerprint`, `format`,
   * `size`) or `history`, `combination` where no number stands out by itself, or `blockWhen` for the rule that blocks.
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

/** One thing that a person sees, with the number that tells it best: the fields of `Evidence` are those of that number. */
export interface Reason extends Evidence {
  group: ReasonGroup;
  /** Which kind of the group. */
  kind: SightKind;
  /** One plain sentence. */
  text: string;
  /** What somebody does about it. */
  advice: string;
  /** The numbers behind it by their names, farthest first. */
  evidence: Evidence[];
}

/** More things than this are noise to a reader. */
const maxReasons = 6;
/** As many make numbers that nobody can name no news. */
const fewReasons = 2;
/** So many numbers of each are told. */
const maxEvidence = 4;
/** A statistic is named from this many deviations on; the p-value alone decides the verdict. */
const reasonDeviations = 2;
/** Deviations beyond this make a reason no stronger. */
const mostStrength = 8;
/** How strong a value is that no reference image had. */
const newStrength = 4;

const propertyWords: Record<string, string> = {
  size: 'size in pixels',
  format: 'file format',
  encoder: 'encoder setting',
  // Profiles that were fitted when metadata still counted as a setting of the encoder have this one.
  fingerprint: 'encoder setting',
  wrapping: 'metadata and markers',
  codec: 'video codec',
  colour: 'colour model',
  bitDepth: 'bit depth',
  orientation: 'EXIF orientation',
  history: 'JPEG compression before',
};

/** What is known of one image when its reasons are written. */
export interface Judged {
  profile: Profile;
  scorer: Scorer;
  image: MeasuredImage;
  score: Score;
  /** Categorical properties and constants. */
  properties: Readonly<Record<string, string>>;
  history: History | undefined;
  /** Then there is a reason, if only that nothing stands out. */
  isStopped: boolean;
}

type Ranked = Told<Reason>;

/** Evidence of one kind, before it is put in words. */
interface Finding extends Evidence {
  kind: SightKind;
  /** Deviations from the median, and the same up to `mostStrength`. */
  deviations: number;
  strength: number;
  /** How far outside the band of the reference it lies, in widths of the band, as it is scored or as it is told: what is less. */
  beyond: number;
}

/** What is told of an image, and the kinds of everything that was found, told or not. */
interface Explanation {
  reasons: Reason[];
  kinds: SightKind[];
}

/**
 * Why an image is strange: one sentence for each thing that a person sees, the one that explains most first. Every list of
 * reasons, on the page, in reports and in rows, is in this order.
 */
export function explainImage(judged: Judged): Explanation {
  const given = assignKinds([...findStatistics(judged), ...findConstants(judged)]);
  const isCoarse = isCoarselyCoded(given);
  const isDrawn = !isCoarse && looksDrawn(given);
  const isEmpty = looksEmpty(given);
  const isOther = isOfOtherSource(judged);
  const found = given.map((finding) => {
    if (isCoarse && repeats.has(finding.statistic)) return { ...finding, kind: 'texture' as const };
    if (isEmpty && restsOnContrast.has(finding.kind)) return { ...finding, kind: 'texture' as const };
    if (isOther) return readOtherSource(finding);
    return isDrawn ? withoutCompression(finding) : finding;
  });
  const kinds = sortFindings(found);
  const reasons = [...kinds].flatMap(([kind, findings]) => writeReason(kind, findings) ?? []);
  const shown = writeLayout(judged);
  const places = writePlaces(judged, [...shown, ...reasons]);
  const history = isDrawn ? [] : writeHistory(judged);
  const all = [...shown, ...history, ...writeEmbedding(judged), ...places, ...reasons];
  const file = writeFile(judged, kinds.get('file') ?? []);
  const isOtherFile = file.some(({ direction }) => direction === 'new');
  const ranked = rankReasons(all, { isOther, isOtherFile }).map(({ reason }) => reason);
  const seen = [...ranked, ...(ranked.length < fewReasons ? writeTexture(found, ranked, isOtherFile) : [])];
  // A dark, hazy or blurred picture makes a smaller file by itself, and a noisy one a larger file.
  const told = isOtherFile || seen.length === 0 ? [...seen.slice(0, maxReasons - file.length), ...file] : seen;
  return {
    reasons: told.length > 0 || !judged.isStopped ? told.slice(0, maxReasons) : [writeCombination(judged)],
    kinds: [...new Set([...all.map(({ reason }) => reason.kind), ...found.map(({ kind }) => kind)])],
  };
}

/** The rule that blocks, with the numbers it compared. */
export function explainRule({ text, numbers: compared }: Rule, numbers: RuleNumbers): Reason {
  const given = [...compared].map((name) => `${name} ${Number((numbers[name] as number).toPrecision(3))}`);
  const words = `blocked by the rule "${text}": ${given.join(', ')}`;
  return asReason('rule', words, [
    { statistic: 'blockWhen', value: text, unit: '', direction: 'new', pValue: numbers.pValue, text: words },
  ]);
}

function asReason(kind: SightKind, text: string, evidence: readonly Evidence[], lead = evidence[0]): Reason {
  const { statistic, value, unit, direction, pValue, reference } = lead;
  const { group, advice } = findSight(kind);
  return {
    group,
    kind,
    statistic,
    value,
    unit,
    direction,
    pValue,
    ...(reference && { reference }),
    text,
    advice,
    evidence: evidence.slice(0, maxEvidence).map(toEvidence),
  };
}

function toEvidence({ statistic, value, unit, direction, pValue, reference, text }: Evidence): Evidence {
  return { statistic, value, unit, direction, pValue, ...(reference && { reference }), text };
}

/** Scored statistics that lie outside the band of the reference by more than their resolution. */
function findStatistics({ profile, scorer, image, score }: Judged): Finding[] {
  return profile.statistics.flatMap(({ name, logFloor }, position): Finding[] => {
    const deviations = Math.abs(score.z[position]);
    if (!(deviations >= reasonDeviations)) return [];
    const row = findStatistic(name);
    const value = image.statistics[positions.get(name) as number];
    const sorted = scorer.calibration(position, score.regime);
    const [p01, p50, p99] = [0.01, 0.5, 0.99].map((share) => findQuantile(sorted, share));
    const outside = value > p99 ? value - p99 : p01 - value;
    if (!(outside > 0) || outside < row.resolution) return [];
    const direction = value > p99 ? 'high' : 'low';
    const edge = value > p99 ? p99 : p01;
    const reference = { p01, p50, p99 };
    const beyond = (scale: (x: number) => number) =>
      Math.abs(scale(value) - scale(edge)) / (scale(p99) - scale(p01) || 1);
    return [
      {
        kind: readMeaning(name)[direction],
        deviations,
        strength: Math.min(mostStrength, deviations),
        beyond: Math.min(
          beyond((x) => scoredValue(x, logFloor)),
          beyond((x) => x),
        ),
        statistic: name,
        value,
        unit: row.unit,
        direction,
        pValue: twoSidedPValue(sorted, value),
        reference,
        text: describeStatistic(row, { value, direction, sorted, reference }),
      },
    ];
  });
}

const positions: ReadonlyMap<string, number> = new Map(statistics.map(({ name }, position) => [name, position]));

function findStatistic(name: string): Statistic {
  return statistics[positions.get(name) as number];
}

/** A statistic by its name, for those who want to know. */
function describeStatistic(
  row: Statistic,
  found: { value: number; direction: 'high' | 'low'; sorted: Float64Array; reference: { p01: number; p99: number } },
): string {
  const { value, direction, sorted, reference } = found;
  const isHigh = direction === 'high';
  const beyond = isHigh ? countBelow(sorted, value, false) : sorted.length - countBelow(sorted, value, true);
  const others =
    beyond === sorted.length
      ? `all ${sorted.length} reference images`
      : `${percent(beyond / sorted.length)} of the reference`;
  const numbers = [value, reference.p01, reference.p99];
  const [own, low, high] = writeNumbers(numbers, row.digits, row.resolution);
  return `${isHigh ? row.high : row.low} the reference: ${row.name} ${own}${unitAfter(row)} is ${isHigh ? 'above' : 'below'} ${others} (${low} to ${high})`;
}

/** Statistics that had one value throughout the reference, and have another here. */
function findConstants({ profile, image, properties, score }: Judged): Finding[] {
  return Object.entries(profile.constants).flatMap(([name, constant]): Finding[] => {
    const counts = profile.categories[name];
    const row = findStatistic(name);
    const property = properties[name];
    if (!counts || !row || property === undefined || Object.hasOwn(counts, property)) return [];
    const value = image.statistics[positions.get(name) as number];
    if (Math.abs(value - constant) < row.resolution) return [];
    const direction = value > constant ? 'high' : 'low';
    const [own, usual] = writeNumbers([value, constant], row.digits, row.resolution);
    const { total, pValue } = judgeNovelty(counts, score.detectors[0].pValue);
    return [
      {
        kind: readMeaning(name)[direction],
        deviations: newStrength,
        strength: newStrength,
        beyond: 1,
        statistic: name,
        value,
        unit: row.unit,
        direction: 'new',
        pValue,
        reference: { p01: constant, p50: constant, p99: constant },
        text: `${direction === 'high' ? row.high : row.low} the reference: ${name} ${own}${unitAfter(row)} was never seen in ${total} reference images (always ${usual})`,
      },
    ];
  });
}

/** How surprising a value is that none of the reference had. */
function judgeNovelty(counts: Readonly<Record<string, number>>, pValue: number): { total: number; pValue: number } {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const singletons = Object.values(counts).filter((count) => count === 1).length;
  // Good-Turing: the chance of a value never seen is the share of values seen once.
  return { total, pValue: Math.max((singletons + 1) / (total + 1), pValue) };
}

/** Lost contrast is part of haze where the image looks hazy; lifted shadows are brightness where it does not. */
function assignKinds(found: readonly Finding[]): Finding[] {
  const isHazy = !hasLegible(found, 'dark') && looksHazy(found.map((one) => ({ ...one, name: one.statistic })));
  return found.map((finding): Finding => {
    if (finding.kind === 'hazy' && !isHazy) return { ...finding, kind: 'bright' };
    return finding.kind === 'flat' && isHazy ? { ...finding, kind: 'hazy' } : finding;
  });
}

/** Shares of rows and columns that repeat or are of one colour. */
const repeats: ReadonlySet<string> = new Set(['deadRows', 'deadColumns']);
/** Up to this quality a JPEG makes even areas one colour, rows of sky among them. */
const coarseQuality = 30;

function isCoarselyCoded(found: readonly Finding[]): boolean {
  return found.some(
    ({ statistic, value, kind }) =>
      statistic === 'jpegQuality' && kind === 'compressed' && (value as number) <= coarseQuality,
  );
}

/** From this share of rows or columns on that repeat or are of one colour. */
const drawnShare = 0.02;

/**
 * Whether some of the picture was drawn and not taken: a test picture, bars, what a decoder fills in. No camera delivers rows that
 * repeat.
 */
function looksDrawn(found: readonly Finding[]): boolean {
  return found.some(
    ({ statistic, value, kind }) => kind === 'damaged' && repeats.has(statistic) && (value as number) >= drawnShare,
  );
}

/** Below this share of the local contrast that nearly all of the reference has, nothing is left to see. */
const emptyContrast = 0.6;
/** What compares parts, directions or rows of a picture: where there is nothing to see it tells nothing. */
const restsOnContrast: ReadonlySet<SightKind> = new Set(['moved', 'damaged', 'compressed']);

/** Whether the picture shows hardly anything, as behind a cover or in the dark. */
function looksEmpty(found: readonly Finding[]): boolean {
  return found.some(
    ({ statistic, value, reference }) =>
      statistic === 'localContrast' && (value as number) < emptyContrast * (reference?.p01 ?? 0),
  );
}

/** Up to this quality blocks are seen. */
const visibleQuality = 50;
/** A picture of another size is called blurred from so many widths of the band on: three times as large, it still is less detailed. */
const surelyBlurred = 3;

/** Of a picture of another size from another encoder, sharpness may be a matter of size, and the quality one of its encoder. */
function readOtherSource(finding: Finding): Finding {
  const { kind, statistic, value, beyond } = finding;
  // Whatever is seen beside it explains more.
  const weak = { ...finding, strength: reasonDeviations };
  if (kind === 'blurred' && beyond < surelyBlurred) return { ...weak, kind: 'coarse' };
  if (kind === 'smooth') return { ...finding, kind: 'texture' };
  if (statistic === 'jpegQuality') return (value as number) > visibleQuality ? { ...finding, kind: 'file' } : finding;
  const isUncommon = kind === 'damaged' && repeats.has(statistic) && (value as number) < drawnShare;
  return kind === 'compressed' || isUncommon ? weak : finding;
}

/** What is drawn has straight edges and even areas without ever having been compressed. */
function withoutCompression(finding: Finding): Finding {
  return finding.kind === 'compressed' ? { ...finding, kind: 'texture' } : finding;
}

/** Puts findings to their kinds, farthest first. */
function sortFindings(found: readonly Finding[]): Map<SightKind, Finding[]> {
  const kinds = new Map<SightKind, Finding[]>();
  for (const finding of [...found].sort((a, b) => b.strength - a.strength)) {
    kinds.set(finding.kind, [...(kinds.get(finding.kind) ?? []), finding]);
  }
  return kinds;
}

function hasLegible(found: readonly Finding[], wanted: SightKind): boolean {
  return found.some((finding) => finding.kind === wanted && readLegible(finding));
}

/** One sentence for a kind; none where no number of it can be read by a person. */
function writeReason(kind: SightKind, findings: readonly Finding[]): Ranked | undefined {
  const legible = findings.filter(readLegible).sort((a, b) => legibility(a.statistic) - legibility(b.statistic));
  const [lead] = legible;
  if (!lead || kind === 'texture' || kind === 'file') return undefined;
  const strength = Math.max(...legible.map((finding) => finding.strength));
  const beyond = Math.max(...legible.map((finding) => finding.beyond));
  return { reason: asReason(kind, writeSentence(kind, lead), findings, lead), strength, isSlight: beyond < slightly };
}

/** `much darker than the reference: median brightness 31, usually 41 to 148` */
function writeSentence(kind: SightKind, lead: Finding): string {
  const { words } = readLegible(lead) as Legible;
  const { p50 } = lead.reference as NonNullable<Evidence['reference']>;
  const own = words?.[(lead.value as number) > p50 ? 'high' : 'low'];
  // Each number of haze has words of its own elsewhere.
  const said = (kind === 'hazy' ? undefined : own) ?? findSight(kind).words;
  const isComparative = /^(?!other )(more|less|\w+er) /.test(said);
  const degree = !isComparative ? '' : lead.beyond < slightly ? 'slightly ' : lead.beyond >= 0.08 ? 'much ' : '';
  return `${degree}${said} the reference: ${writeNumber(lead)}`;
}

/** `median brightness 31, usually 41 to 148` */
function writeNumber(lead: Finding): string {
  const { label, digits, isPercent } = readLegible(lead) as Legible;
  const { resolution } = findStatistic(lead.statistic);
  const { p01, p99 } = lead.reference as NonNullable<Evidence['reference']>;
  const scale = isPercent ? 100 : 1;
  const numbers = [lead.value as number, p01, p99].map((number) => number * scale);
  const [own, low, high] = writeNumbers(numbers, digits, resolution * scale);
  const sign = isPercent ? ' %' : '';
  const usual = p01 === p99 ? `always ${low}` : low === high ? `usually ${low}` : `usually ${low} to ${high}`;
  return `${label} ${own}${sign}, ${usual}${sign}`;
}

/** Whether size and encoder are both new: then where things stand, and what was done to the file before, are another camera's. */
function isOfOtherSource({ profile, properties }: Judged): boolean {
  const isNew = (name: string) => {
    const counts = profile.categories[name];
    return counts !== undefined && properties[name] !== undefined && !Object.hasOwn(counts, properties[name]);
  };
  return isNew('size') && encoderProperties.some(isNew);
}

/** Of all statistics one in fifty lies outside what 98 % of the reference have. */
const usuallyOutside = Math.ceil(0.02 * statistics.length);

/** Statistics that stand out and that no sentence above tells. */
function writeTexture(found: readonly Finding[], told: readonly Reason[], isOtherFile: boolean): Reason[] {
  const groups = new Set(told.map(({ group }) => group));
  const left = found
    // What can be read and is not told is slight, or the contrary of what is.
    .filter((one) => one.kind !== 'file' && !groups.has(findSight(one.kind).group) && !readLegible(one))
    .sort((a, b) => b.strength - a.strength);
  // Of another kind of file that is told, as many as lie outside in every reference image are no news.
  if (left.length <= (isOtherFile ? usuallyOutside : 0)) return [];
  const statisticsText = left.length === 1 ? '1 statistic lies' : `${left.length} statistics lie`;
  return [
    asReason(
      'texture',
      `other in fine texture than the reference: ${statisticsText} outside what 98 % of its images have`,
      left,
      // No name of a statistic stands in for what nobody can name.
      {
        statistic: 'combination',
        value: left.length,
        unit: '',
        direction: 'high',
        pValue: Math.min(...left.map(({ pValue }) => pValue)),
        text: '',
      },
    ),
  ];
}

/** What the file says: one sentence, however many properties are new. */
function writeFile({ profile, properties, score }: Judged, found: readonly Finding[]): Reason[] {
  const foreign = Object.entries(properties).flatMap(([property, value]): Evidence[] => {
    const counts = profile.categories[property];
    const label = propertyWords[property];
    if (!label || !counts || Object.hasOwn(counts, value) || remarkedProperties.has(property)) return [];
    const { total, pValue } = judgeNovelty(counts, score.detectors[0].pValue);
    const [usual, times] = Object.entries(counts).sort((a, b) => b[1] - a[1])[0];
    const text = `${label} ${value} was never seen in ${total} reference images (${usual} in ${percent(times / total)} of them)`;
    return [{ statistic: property, value, unit: '', direction: 'new', pValue, text }];
  });
  const evidence = [...foreign, ...found];
  if (evidence.length === 0) return [];
  // A checksum of encoder tables tells a reader nothing; that it is another one does.
  const facts = foreign.map(({ statistic, value }) =>
    statistic === 'encoder' || statistic === 'fingerprint' ? 'encoder setting' : `${propertyWords[statistic]} ${value}`,
  );
  const numbers = found.filter(readLegible);
  if (facts.length === 0 && numbers.length === 0) return [];
  // A blurred or dark picture makes a smaller file of the same kind.
  if (facts.length === 0) return [asReason('file', writeSentence('file', numbers[0]), evidence)];
  const told = [`${facts.join(', ')} never seen there`, ...numbers.map(writeNumber)];
  return [asReason('file', `from another kind of file than the reference: ${told.join('; ')}`, evidence)];
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
function writeHistory(judged: Judged): Ranked[] {
  const { profile, scorer, image, history, score } = judged;
  const { statistics: values, container } = image;
  const isJpeg = container?.format === 'jpeg';
  const pass = history && (history.earlier ?? (isJpeg ? undefined : history.last));
  if (!pass) return [];
  const traces = profile.statistics.flatMap(({ name }, position) => {
    if (!historyTraces.includes(name) || score.z[position] < reasonDeviations) return [];
    const value = values[statistics.findIndex((row) => row.name === name)];
    return [{ strength: score.z[position], pValue: twoSidedPValue(scorer.calibration(position, score.regime), value) }];
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
  const text = words.join(', ');
  const evidence: Evidence = {
    statistic: 'history',
    value: `quality ${quality}${isShifted ? ` at (${offsetX}, ${offsetY})` : ''}`,
    unit: '',
    direction: 'new',
    pValue: Math.min(...traces.map(({ pValue }) => pValue)),
    text,
  };
  const most = Math.min(mostStrength, Math.max(...traces.map((trace) => trace.strength)));
  const strength = isOfOtherSource(judged) ? 0 : most;
  return [{ reason: asReason('compressed', text, [evidence]), strength }];
}

/** From this p-value on, two deviations, an embedding is named, as a statistic is. */
const strangePValue = 0.025;

/** Says that the embedding lies far out. */
function writeEmbedding({ profile, score: { detectors } }: Judged): Ranked[] {
  const embedding = detectors.find(({ name }) => name === 'embedding');
  if (!embedding || embedding.pValue > strangePValue) return [];
  const count = profile.tensors.embeddingScores.data.length;
  const atLeast = Math.round(embedding.pValue * (count + 1)) - 1;
  const others =
    atLeast === 0 ? `all ${count} reference images` : `${percent(1 - atLeast / count)} of the reference images`;
  const text = `shows something that the reference does not: what a network sees in it lies farther out than in ${others}`;
  const evidence: Evidence = {
    statistic: 'embedding',
    value: embedding.score,
    unit: '',
    direction: 'high',
    pValue: embedding.pValue,
    text: `${text} (embedding)`,
  };
  // A score is 1 at the edge of the reference, which is between two and three deviations.
  return [{ reason: asReason('scene', text, [evidence]), strength: Math.min(mostStrength, 2.5 * embedding.score) }];
}

/** What hides or blurs everything, and is told by itself: then no part of the view is hidden. */
const hidesAll: ReadonlySet<ReasonGroup> = new Set(['dark', 'hazy', 'blurred']);

/** Parts that cover more than this may be a change of colour everywhere. */
const recolouredShare = 0.3;

/** Says where something is hidden or blurred. */
function writePlaces({ score: { detectors, odds } }: Judged, others: readonly Ranked[]): Ranked[] {
  const places = detectors.find(({ name }) => name === 'places');
  if (!places || !odds || places.pValue > strangePValue) return [];
  const parts = findParts(placeChances(odds));
  if (parts.length === 0) return [];
  const share = parts.reduce((sum, part) => sum + part.share, 0);
  const isMost = share > 0.5;
  const strongest = (wanted: SightKind) =>
    Math.max(0, ...others.map(({ reason, strength }) => (reason.kind === wanted ? strength : 0)));
  // What hides a third of the view takes its detail away as much as its colours; what stands on its head hides nothing.
  const isElsewhere = others.some(({ reason }) => reason.statistic === 'layout');
  if (share > recolouredShare && (isElsewhere || strongest('tinted') > strongest('blocked'))) return [];
  if (isMost && others.some(({ reason }) => hidesAll.has(reason.group))) return [];
  const told = parts.map((part) => part.text).join('; ');
  const text = isMost
    ? `something hides or blurs most of the view: ${told.replace('most of the view, ', '')}`
    : `something hides or blurs a part of the view: ${told}`;
  const evidence: Evidence = {
    statistic: 'places',
    value: share,
    unit: 'share',
    direction: 'high',
    pValue: places.pValue,
    text,
  };
  return [{ reason: asReason('blocked', text, [evidence]), strength: Math.min(mostStrength, 2.5 * places.score) }];
}

const layoutWords = {
  mirrored: 'mirrored: everything is more like the reference with left and right exchanged',
  upsideDown: 'upside down: everything is more like the reference the other way up',
} as const;

/** Says that it is shown another way round than any of the reference; of another camera, whose scene is another, nobody can tell. */
function writeLayout(judged: Judged): Ranked[] {
  const { profile, score } = judged;
  const { layout, detectors } = score;
  const counts = profile.categories.layout;
  if (isOfOtherSource(judged)) return [];
  if (!layout || layout === 'upright' || !counts || Object.hasOwn(counts, layout)) return [];
  const text = layoutWords[layout];
  const { pValue } = judgeNovelty(counts, detectors[0].pValue);
  const evidence: Evidence = { statistic: 'layout', value: layout, unit: '', direction: 'new', pValue, text };
  return [{ reason: asReason('moved', text, [evidence]), strength: mostStrength }];
}

/** Where no number stands out by itself. */
function writeCombination({ score: { detectors } }: Judged): Reason {
  const [{ pValue, score }] = detectors;
  const text =
    'unlike the reference only as a whole: no number lies outside what 98 % of its images have, but they do not go together';
  return asReason('texture', text, [
    { statistic: 'combination', value: score, unit: '', direction: 'high', pValue, text },
  ]);
}

/** The group of a reason. Rows that an earlier version wrote have none. */
export function readGroup(
  reason: Pick<Reason, 'statistic' | 'direction'> & Partial<Pick<Reason, 'group'>>,
): ReasonGroup {
  const { group, statistic, direction } = reason;
  // What is a kind now was a group once.
  if (group) return findSight(group)?.group ?? 'texture';
  if (statistic === 'embedding') return 'scene';
  if (statistic === 'history') return 'compressed';
  if (statistic === 'blockWhen') return 'rule';
  if (Object.hasOwn(propertyWords, statistic)) return 'file';
  return findSight(readMeaning(statistic)[direction === 'low' ? 'low' : 'high']).group;
}

/** A property or statistic in words: `encoder setting`, `dead columns`. */
export function propertyLabel(name: string): string {
  return propertyWords[name] ?? makeLabel(name);
}

function makeLabel(name: string): string {
  return name.replace(/[A-Z0-9]+/g, (part) => ` ${part.toLowerCase()}`);
}

function percent(share: number): string {
  return `${String(Number((100 * share).toFixed(1)))} %`;
}
