import type { Statistic } from '../image/statistics/statistic.ts';
import { statistics } from '../image/statistics/statistics.ts';

/** What a person sees of an image that is unlike the reference: what reasons are grouped, counted and told by. */
export type ReasonGroup =
  | 'dark'
  | 'hazy'
  | 'bright'
  | 'blurred'
  | 'noisy'
  | 'blocked'
  | 'moved'
  | 'compressed'
  | 'tinted'
  | 'scene'
  | 'sharp'
  | 'file'
  | 'texture'
  | 'rule';

/** The kinds of it that have words and advice of their own. A group has the name of its first kind. */
export type SightKind = ReasonGroup | 'damaged' | 'flat' | 'pale' | 'vivid' | 'smooth' | 'coarse' | 'clear';

/** Properties of a file that tell what wrote it, as Profiles of any version call them. */
export const encoderProperties: readonly string[] = ['encoder', 'fingerprint', 'format'];

/** One kind of what is seen. */
export interface Sight {
  kind: SightKind;
  group: ReasonGroup;
  /** Comes before "the reference": `darker than`. */
  words: string;
  /** What many images of the group have in common, where its kinds differ. */
  groupWords?: string;
  /** What somebody does about it. */
  advice: string;
}

const addToReference = 'If it is normal here, add such images to the reference and fit again.';

/**
 * The kinds, in the order in which one explains another: darkness brings noise and hides edges, haze takes contrast and
 * colour. Kinds that are about equally strong are said in this order.
 */
export const sights: readonly Sight[] = [
  {
    kind: 'dark',
    group: 'dark',
    words: 'darker than',
    advice: `Check the time of day, the lighting, the exposure and the lens. ${addToReference}`,
  },
  {
    kind: 'hazy',
    group: 'hazy',
    words: 'hazier than',
    groupWords: 'hazier or lower in contrast than',
    advice: `Check for fog, smoke, condensation or dirt on the glass, or light that shines into the lens. ${addToReference}`,
  },
  {
    kind: 'bright',
    group: 'bright',
    words: 'brighter than',
    advice: `Check the exposure, and for sun or lamps that shine into the lens. ${addToReference}`,
  },
  {
    kind: 'blurred',
    group: 'blurred',
    words: 'blurrier than',
    groupWords: 'blurrier or smoother than',
    advice: `Check the focus, the glass, and whether the camera shakes or the image was enlarged. ${addToReference}`,
  },
  {
    kind: 'noisy',
    group: 'noisy',
    words: 'noisier than',
    groupWords: 'noisier or more disturbed than',
    advice: `Check the light and the gain of the camera, and for rain or snow. ${addToReference}`,
  },
  {
    kind: 'blocked',
    group: 'blocked',
    words: 'emptier in parts than',
    advice: `Look for something in front of the lens, drops or dirt on it, or a picture that came only in part. ${addToReference}`,
  },
  {
    kind: 'damaged',
    group: 'noisy',
    words: 'more disturbed by stray pixels or lines than',
    advice: `Look for rain, snow or twigs, then check the sensor, the cable and the transmission. ${addToReference}`,
  },
  {
    kind: 'moved',
    group: 'moved',
    words: 'laid out otherwise than',
    advice: `Check whether the camera was moved, turned or upside down. ${addToReference}`,
  },
  {
    kind: 'compressed',
    group: 'compressed',
    words: 'more compressed than',
    advice: `Find what compresses, shrinks or crops the image on its way. ${addToReference}`,
  },
  {
    kind: 'tinted',
    group: 'tinted',
    words: 'tinted otherwise than',
    groupWords: 'other in colour than',
    advice: `Check the white balance, the light, and the order of the colour channels. ${addToReference}`,
  },
  {
    kind: 'flat',
    group: 'hazy',
    words: 'lower in contrast than',
    advice: `Check the exposure, the tone curve and the range of levels. ${addToReference}`,
  },
  {
    kind: 'pale',
    group: 'tinted',
    words: 'paler than',
    advice: `Check the colour settings, and whether the camera switched to night mode. ${addToReference}`,
  },
  {
    kind: 'vivid',
    group: 'tinted',
    words: 'stronger in colour than',
    advice: `Check the colour settings. ${addToReference}`,
  },
  {
    kind: 'scene',
    group: 'scene',
    words: 'other in content than',
    advice: `Look at what it shows: another scene, another camera, or something new. ${addToReference}`,
  },
  {
    kind: 'sharp',
    group: 'sharp',
    words: 'sharper than',
    groupWords: 'sharper or higher in contrast than',
    advice: `Check whether something sharpens, enlarges or crops the image. ${addToReference}`,
  },
  {
    kind: 'smooth',
    group: 'blurred',
    words: 'smoother than',
    advice: `Check whether something denoises or smooths the image. ${addToReference}`,
  },
  {
    kind: 'coarse',
    group: 'blurred',
    words: 'less detailed, pixel for pixel, than',
    advice: `It has another size: check the resolution and whether it was enlarged, then the focus. ${addToReference}`,
  },
  {
    kind: 'clear',
    group: 'sharp',
    words: 'higher in contrast than',
    advice: `Check the exposure, the tone curve and the range of levels. ${addToReference}`,
  },
  {
    kind: 'file',
    group: 'file',
    words: 'from another kind of file than',
    advice: `Check which camera, program or setting wrote the file. ${addToReference}`,
  },
  {
    kind: 'texture',
    group: 'texture',
    words: 'other in fine texture than',
    advice: `Look at it beside images that passed: no single thing stands out. ${addToReference}`,
  },
  {
    kind: 'rule',
    group: 'rule',
    words: 'blocked by the rule for',
    advice: 'See the rule that the setting block-when gives.',
  },
];

/** A statistic that people can read. */
export interface Legible {
  /** Comes before the value: `median brightness`. */
  label: string;
  /** Digits after the point when people read it. */
  digits: number;
  /** A share, shown in percent. */
  isPercent?: boolean;
  /** Below it nobody sees anything, whatever the reference has. */
  from?: number;
  /** Replaces the words of the group where this one leads it. */
  words?: Partial<Record<'high' | 'low', string>>;
}

/** What a statistic is evidence of when it is high and when it is low. */
export interface Meaning {
  high: SightKind;
  low: SightKind;
  legible?: Legible;
}

const shadows = { high: 'lighter in its shadows than', low: 'darker in its shadows than' };

type Row = readonly [pattern: string, high: SightKind, low: SightKind, legible?: Legible];

/** Legible ones first within a group: the first that lies outside the reference leads its sentence. `*` stands for any end of a name. */
const rows: readonly Row[] = [
  ['lumaP50', 'bright', 'dark', { label: 'median brightness', digits: 0 }],
  ['lumaMean', 'bright', 'dark', { label: 'mean brightness', digits: 0 }],
  ['lumaP75', 'bright', 'dark', { label: 'brightness of the lighter parts', digits: 0 }],
  ['localContrast', 'clear', 'flat', { label: 'local contrast', digits: 1 }],
  ['lumaP05', 'hazy', 'dark', { label: 'shadows at', digits: 0, words: shadows }],
  ['lumaP01', 'hazy', 'dark', { label: 'blacks at', digits: 0, words: shadows }],
  ['darkChannel', 'hazy', 'dark', { label: 'darkest colours at', digits: 0, words: shadows }],
  ['lumaStd', 'clear', 'flat', { label: 'contrast', digits: 0 }],
  ['lumaRange', 'clear', 'flat', { label: 'range from dark to light', digits: 0 }],
  [
    'clippedHigh',
    'bright',
    'flat',
    {
      label: 'overexposed pixels',
      digits: 1,
      isPercent: true,
      words: { high: 'more overexposed than', low: 'duller in its lights than' },
    },
  ],
  [
    'clippedLow',
    'dark',
    'clear',
    {
      label: 'black pixels',
      digits: 1,
      isPercent: true,
      words: { high: 'darker in its shadows than', low: 'less black than' },
    },
  ],
  [
    'lumaP99',
    'bright',
    'flat',
    { label: 'lights at', digits: 0, words: { high: 'brighter in its lights than', low: 'duller in its lights than' } },
  ],
  [
    'lumaP95',
    'bright',
    'flat',
    { label: 'lights at', digits: 0, words: { high: 'brighter in its lights than', low: 'duller in its lights than' } },
  ],
  [
    'lumaP25',
    'bright',
    'dark',
    {
      label: 'brightness of the darker parts',
      digits: 0,
      words: { high: 'lighter in its dark parts than', low: 'darker in its dark parts than' },
    },
  ],
  [
    'brightSpots48',
    'bright',
    'texture',
    { label: 'bright spots', digits: 2, isPercent: true, words: { high: 'fuller of bright spots than' } },
  ],
  ['brightSpots*', 'bright', 'texture'],
  ['meanR', 'bright', 'dark'],
  ['meanG', 'bright', 'dark'],
  ['meanB', 'bright', 'dark'],

  ['entropy', 'clear', 'flat'],
  ['lumaSkewness', 'scene', 'scene'],
  ['histogram*', 'compressed', 'smooth'],

  ['blockSharpness', 'sharp', 'blurred', { label: 'sharpness', digits: 2 }],
  ['octaveRatioCompensated', 'sharp', 'blurred', { label: 'fine against coarse detail', digits: 2 }],
  [
    'octaveHorizontal',
    'sharp',
    'blurred',
    {
      label: 'fine detail from side to side',
      digits: 2,
      words: { high: 'sharper from side to side than', low: 'more smeared sideways than' },
    },
  ],
  [
    'octaveVertical',
    'sharp',
    'blurred',
    {
      label: 'fine detail from top to bottom',
      digits: 2,
      words: { high: 'sharper from top to bottom than', low: 'more smeared up and down than' },
    },
  ],
  ['laplacianRatio', 'sharp', 'blurred', { label: 'fine detail against edges', digits: 2 }],
  ['laplacianVariance', 'sharp', 'blurred'],
  ['tenengrad', 'sharp', 'blurred'],
  ['tileEnergyMedian', 'sharp', 'blurred'],
  ['pyramid*', 'sharp', 'blurred'],
  ['octaveRatio*', 'sharp', 'blurred'],

  ['noiseSigma', 'noisy', 'smooth', { label: 'noise', digits: 1 }],
  ['noiseFlat', 'noisy', 'smooth', { label: 'noise in even areas', digits: 1 }],
  ['noiseMedian', 'noisy', 'smooth', { label: 'noise and fine texture', digits: 1 }],
  ['noise*', 'noisy', 'smooth'],
  ['haarDiagonal1', 'noisy', 'smooth'],

  ['tileFlatShare', 'blocked', 'scene', { label: 'empty parts', digits: 0, isPercent: true }],
  [
    'tileEnergyMin',
    'scene',
    'blocked',
    {
      label: 'detail in the emptiest part',
      digits: 1,
      words: { high: 'fuller of detail in its emptiest part than', low: 'emptier in one part than' },
    },
  ],
  [
    'holes8',
    'blocked',
    'texture',
    { label: 'smooth spots', digits: 1, isPercent: true, words: { high: 'fuller of smooth spots than' } },
  ],
  [
    'holes4',
    'blocked',
    'texture',
    { label: 'smooth spots', digits: 1, isPercent: true, words: { high: 'fuller of smooth spots than' } },
  ],
  [
    'darkSpots48',
    'blocked',
    'texture',
    { label: 'dark spots', digits: 2, isPercent: true, words: { high: 'fuller of dark spots than' } },
  ],
  [
    'darkSpots24',
    'blocked',
    'texture',
    { label: 'dark spots', digits: 2, isPercent: true, words: { high: 'fuller of dark spots than' } },
  ],
  ['holes*', 'blocked', 'texture'],
  ['darkSpots*', 'blocked', 'texture'],

  [
    'deadRows',
    'damaged',
    'texture',
    {
      label: 'rows of one colour or like the next',
      digits: 1,
      isPercent: true,
      words: { high: 'fuller of even or repeated rows than' },
    },
  ],
  [
    'deadColumns',
    'damaged',
    'texture',
    {
      label: 'columns of one colour or like the next',
      digits: 1,
      isPercent: true,
      words: { high: 'fuller of even or repeated columns than' },
    },
  ],
  [
    'oddEvenRows',
    'damaged',
    'texture',
    // As the logarithm of a ratio: above it neighbouring rows are less alike than rows two apart.
    { label: 'difference of odd and even rows', digits: 2, from: 0, words: { high: 'more combed than' } },
  ],
  ['rowBanding', 'damaged', 'texture', { label: 'stripes across', digits: 2, words: { high: 'more striped than' } }],
  [
    'columnBanding',
    'damaged',
    'texture',
    { label: 'stripes from top to bottom', digits: 2, words: { high: 'more striped than' } },
  ],
  [
    'aloneBright',
    'damaged',
    'texture',
    {
      label: 'single bright pixels',
      digits: 3,
      isPercent: true,
      words: { high: 'fuller of single bright pixels than' },
    },
  ],
  [
    'aloneDark',
    'damaged',
    'texture',
    { label: 'single dark pixels', digits: 3, isPercent: true, words: { high: 'fuller of single dark pixels than' } },
  ],
  [
    'impulseShare',
    'damaged',
    'texture',
    { label: 'stray pixels', digits: 2, isPercent: true, words: { high: 'fuller of stray pixels than' } },
  ],
  ['rowOffset*', 'damaged', 'texture'],
  ['columnOffset*', 'damaged', 'texture'],
  ['peaks*', 'texture', 'texture'],

  ['jpegQuality', 'file', 'compressed', { label: 'JPEG quality', digits: 0, words: { high: 'less compressed than' } }],
  [
    'blockinessMax',
    'compressed',
    'texture',
    { label: 'edges of 8x8 blocks', digits: 2, from: 0.2, words: { high: 'blockier than' } },
  ],
  [
    'blockiness',
    'compressed',
    'texture',
    { label: 'edges of 8x8 blocks', digits: 2, from: 0.2, words: { high: 'blockier than' } },
  ],
  [
    'earlierJpegScore',
    'compressed',
    'texture',
    {
      label: 'traces of an earlier JPEG',
      digits: 2,
      from: 0.05,
      words: { high: 'more surely JPEG-compressed before than' },
    },
  ],
  [
    'otherGridScore',
    'compressed',
    'texture',
    { label: 'traces of a crop', digits: 2, from: 0.05, words: { high: 'more surely cropped after compression than' } },
  ],
  [
    'zeroDifferenceShare',
    'compressed',
    'texture',
    {
      label: 'pixels equal to their neighbour',
      digits: 1,
      isPercent: true,
      words: { high: 'flatter or more enlarged than' },
    },
  ],
  ['latticeScore', 'compressed', 'texture'],
  [
    'codedBytesPerPixel',
    'file',
    'file',
    {
      label: 'bytes for each pixel',
      digits: 2,
      words: { high: 'larger as a file than', low: 'smaller as a file than' },
    },
  ],
  [
    'bytesPerPixel',
    'file',
    'file',
    {
      label: 'bytes for each pixel',
      digits: 2,
      words: { high: 'larger as a file than', low: 'smaller as a file than' },
    },
  ],
  ['coefficientGaps', 'compressed', 'texture'],
  ['blockiness*', 'compressed', 'texture'],

  [
    'castBlueGreen',
    'tinted',
    'tinted',
    { label: 'blue against green', digits: 2, words: { high: 'bluer than', low: 'less blue than' } },
  ],
  [
    'castRedGreen',
    'tinted',
    'tinted',
    { label: 'red against green', digits: 2, words: { high: 'redder than', low: 'less red than' } },
  ],
  [
    'castAngle',
    'tinted',
    'texture',
    { label: 'strength of the tint in degrees', digits: 1, words: { high: 'more tinted than' } },
  ],
  ['rgMean', 'tinted', 'tinted'],
  ['ybMean', 'tinted', 'tinted'],
  ['saturationMean', 'vivid', 'pale', { label: 'saturation', digits: 0, isPercent: true }],
  ['colourfulness', 'vivid', 'pale', { label: 'colourfulness', digits: 0 }],
  [
    'greyShare',
    'pale',
    'vivid',
    { label: 'grey pixels', digits: 0, isPercent: true, words: { high: 'greyer than', low: 'less grey than' } },
  ],
  ['saturation*', 'vivid', 'pale'],
  ['saturatedShare', 'vivid', 'pale'],
  ['rgStd', 'vivid', 'pale'],
  ['ybStd', 'vivid', 'pale'],

  [
    'lumaTopBottom',
    'moved',
    'moved',
    {
      label: 'brightness of the upper less the lower half',
      digits: 0,
      words: { high: 'brighter above, or darker below, than', low: 'darker above, or brighter below, than' },
    },
  ],
  [
    'yellowBlueTopBottom',
    'moved',
    'moved',
    {
      label: 'yellow above less below',
      digits: 0,
      words: { high: 'yellower above, or bluer below, than', low: 'bluer above, or yellower below, than' },
    },
  ],
  [
    'redGreenTopBottom',
    'moved',
    'moved',
    {
      label: 'red above less below',
      digits: 0,
      words: { high: 'redder above, or greener below, than', low: 'greener above, or redder below, than' },
    },
  ],
  [
    'gradientAnisotropy',
    'moved',
    'moved',
    {
      label: 'vertical against horizontal edges',
      digits: 2,
      words: { high: 'fuller of vertical lines than', low: 'fuller of horizontal lines than' },
    },
  ],
  [
    'gradientDiagonal',
    'moved',
    'moved',
    {
      label: 'rising against falling edges',
      digits: 2,
      words: {
        high: 'fuller of lines that rise to the right than',
        low: 'fuller of lines that fall to the right than',
      },
    },
  ],
  ['gradient*', 'moved', 'moved'],

  [
    'tileMeanDispersion',
    'scene',
    'scene',
    {
      label: 'unevenness of the light',
      digits: 0,
      words: { high: 'more unevenly lit than', low: 'more evenly lit than' },
    },
  ],
  [
    'tileEnergyDispersion',
    'scene',
    'scene',
    {
      label: 'unevenness of the detail',
      digits: 2,
      words: { high: 'more uneven in detail than', low: 'more even in detail than' },
    },
  ],
  ['luma*', 'scene', 'scene'],
  ['redGreenYellowBlue', 'scene', 'scene'],
];

const readRow = (name: string): Row | undefined =>
  rows.find(([pattern]) => pattern === name) ??
  rows.find(([pattern]) => pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)));

const meanings = new Map(
  statistics.map(({ name }): [string, Meaning] => {
    const [, high, low, legible] = readRow(name) ?? ['', 'texture', 'texture'];
    return [name, { high, low, ...(legible && { legible }) }];
  }),
);
const places = new Map(rows.map(([pattern], place) => [pattern, place]));

/** What a statistic means to people. One that this version does not know is texture. */
export function readMeaning(name: string): Meaning {
  return meanings.get(name) ?? { high: 'texture', low: 'texture' };
}

/** How people read a statistic of this value; undefined where they do not. */
export function readLegible({ statistic, value }: { statistic: string; value: number | string }): Legible | undefined {
  const { legible } = readMeaning(statistic);
  return legible?.from !== undefined && (value as number) < legible.from ? undefined : legible;
}

/** Where a statistic stands among those that may lead a sentence: smaller is more legible. */
export function legibility(name: string): number {
  return meanings.get(name)?.legible ? (places.get(name) ?? rows.length) : rows.length;
}

/**
 * Kinds at least this strong, as a share of the strongest, are said in the order in which one explains the other. Darkness explains
 * others where it is weaker than they are: it hides edges and colours, while the gain of the sensor hides the darkness; haze does a
 * little.
 */
const alikeStrength: Readonly<Partial<Record<SightKind, number>>> & { others: number } = {
  dark: 0.4,
  hazy: 0.6,
  others: 0.7,
};

/**
 * The one ranking of what people see: kinds that are about as strong as the strongest in the order of the table, then the
 * weaker ones in that order; of one group only the first.
 * @param read `explainsLittle` where it has to be as strong as any other kind
 */
export function rankSights<Item>(
  items: readonly Item[],
  read: (item: Item) => { kind: SightKind; strength: number; place?: number; explainsLittle?: boolean },
): Item[] {
  const ranked = items.map((item) => {
    const { kind, strength, place = findPlace(kind), explainsLittle } = read(item);
    const alike = explainsLittle ? undefined : alikeStrength[kind];
    return { item, strength, place, alike: alike ?? alikeStrength.others, group: findSight(kind).group };
  });
  const most = Math.max(0, ...ranked.map(({ strength }) => strength));
  const isWeak = ({ alike, strength }: (typeof ranked)[number]) => Number(strength < alike * most);
  ranked.sort((a, b) => isWeak(a) - isWeak(b) || a.place - b.place || b.strength - a.strength);
  const told = new Set<ReasonGroup>();
  return ranked.flatMap(({ item, group }) => {
    if (told.has(group)) return [];
    told.add(group);
    return [item];
  });
}

/** From so many deviations on lost local contrast, lifted shadows and a narrower range speak for haze. */
const hazyDeviations = 3;
/** Contrast that is lost by so many times as much as fine detail is lost at every scale, which blur does not do. */
const evenLoss = 1.5;

/**
 * Haze lays light over everything: the shadows are lifted, or the range is narrower, and more contrast is lost than sharpness. Blur
 * takes contrast, too, but only with the fine detail. Lifted shadows alone are a bright image, lost contrast alone a flat one;
 * darkness takes contrast, too, and comes first: whoever asks knows whether it is dark.
 * @param found what lies elsewhere than in the reference, and by how many standard deviations of it
 */
export function looksHazy(found: readonly { name: string; direction: string; deviations: number }[]): boolean {
  const deviations = (direction: 'high' | 'low', ...names: string[]) =>
    found.reduce(
      (most, one) => (names.includes(one.name) && one.direction === direction ? Math.max(most, one.deviations) : most),
      0,
    );
  const lost = deviations('low', 'localContrast');
  if (lost < hazyDeviations) return false;
  const isLifted = deviations('high', 'lumaP01', 'lumaP05', 'darkChannel') >= hazyDeviations;
  const isNarrow = deviations('low', 'lumaRange', 'lumaStd') >= hazyDeviations;
  if (isLifted && isNarrow) return true;
  const isFlatter = lost > deviations('low', 'blockSharpness');
  return isFlatter && (isLifted || isNarrow || lost > evenLoss * deviations('low', 'blockSharpness', 'laplacianRatio'));
}

/** Where a kind stands in the table. */
export function findPlace(wanted: SightKind): number {
  return sights.findIndex(({ kind }) => kind === wanted);
}

/** What many images with reasons of one group have in common. */
export function describeGroup(group: ReasonGroup): string {
  if (group === 'rule') return 'blocked by the rule';
  const { groupWords, words } = findSight(group);
  return `${groupWords ?? words} the reference`;
}

const byKind: ReadonlyMap<SightKind, Sight> = new Map(sights.map((sight) => [sight.kind, sight]));

export function findSight(wanted: SightKind): Sight {
  return byKind.get(wanted) as Sight;
}

/**
 * Numbers as texts: with as few digits as are wanted, and with more where two that differ would look alike.
 * @param resolution numbers that differ by less are the same
 */
export function writeNumbers(values: readonly number[], digits: number, resolution = 0): string[] {
  const isApart = (texts: readonly string[]) =>
    values.every((a, i) => values.every((b, j) => a === b || Math.abs(a - b) < resolution || texts[i] !== texts[j]));
  for (let more = Math.max(0, digits); more <= 12; more++) {
    const texts = values.map((value) => trimZeros(value.toFixed(more)));
    if (isApart(texts)) return texts;
  }
  return values.map(String);
}

function trimZeros(fixed: string): string {
  const short = fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed;
  return short === '-0' ? '0' : short;
}

/** A unit as it stands after a number; shares and ratios have none. */
export function unitAfter({ unit }: Pick<Statistic, 'unit'>): string {
  return unit === 'ratio' || unit === 'share' || /^\d/.test(unit) ? '' : ` ${unit}`;
}
