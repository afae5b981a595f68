import type { CorruptionFamily } from '../image/corruptions/causes.ts';
import { corruptions, findFamily } from '../image/corruptions/causes.ts';
import { type Advice, findAdvice } from './advice.ts';
import type { Cause } from './diagnosis.ts';
import { spellCause } from './labels.ts';
import type { Reason } from './reasons.ts';
import type { DetectorScore } from './score.ts';
import { encoderProperties, type SightKind } from './sights.ts';

/** What probably happened, said only as surely as it was shown to be right on real images. */
export interface LikelyCause {
  /**
   * `camera`: encoder, size and scene are all foreign, so nothing else can be told. `file`: nothing but the file is. `family`: what
   * kind of thing it is. `cause`: one simulated cause. `unknown`: none of them.
   */
  kind: 'camera' | 'file' | 'family' | 'cause' | 'unknown';
  family?: CorruptionFamily;
  /** A name in the table of simulated causes. */
  cause?: string;
  /** Calibrated on simulated causes; only where they name one. */
  probability?: number;
  text: string;
  /** What to do about it. */
  advice: Advice;
}

/**
 * One simulated cause is told from this probability on, as what an image looks most like. Of files that the reference knows it decides
 * between the families that anything seen speaks for; of others no probability makes it right (docs/detection.md, "Causes on real
 * shifts"), so there it has to be of the family that is seen first.
 */
export const namedFrom = 0.9;

const familyWords: Readonly<Record<CorruptionFamily, string>> = {
  noise: 'noise: too little light, or a disturbed signal',
  blur: 'blur: focus, movement or glass',
  weather: 'haze or weather, or something on the lens',
  light: 'light or exposure',
  colour: 'colour: white balance, the order of the channels, or a mode without colour',
  compression: 'compression',
  scaling: 'resizing or sharpening',
  sensor: 'the sensor, its cable, or something in front of the lens',
  geometry: 'the camera was moved, turned or cropped',
  stream: "the stream: decoded, converted or drawn on wrongly, or not the camera's picture at all",
};

const otherCamera = 'another camera';
const otherFile = 'another kind of file';
/** How a family is called where there is little room. */
const shortWords: Readonly<Record<CorruptionFamily, string>> = {
  noise: 'noise',
  blur: 'blur',
  weather: 'haze or weather',
  light: 'light or exposure',
  colour: 'colour',
  compression: 'compression',
  scaling: 'resizing or sharpening',
  sensor: 'sensor or obstacle',
  geometry: 'moved camera',
  stream: 'stream',
};

/** Causes whose names say too little by themselves. */
const plainCauses: Readonly<Record<string, string>> = {
  banding: 'too few levels',
  bars: 'bars around the picture',
  downUp: 'shrunk and enlarged again',
  elastic: 'warped',
  // A camera that stands still is called frozen.
  frozenFrame: 'lower part missing',
  jpegTwice: 'compressed twice',
  orientation: 'turned or mirrored',
};

const tellCause = (cause: string): string => plainCauses[cause] ?? spellCause(cause);

/** The families that what is seen speaks for, the likeliest first. What is not here speaks for none. */
const familiesBySight: Readonly<Partial<Record<SightKind, readonly CorruptionFamily[]>>> = {
  dark: ['light', 'weather'],
  hazy: ['weather'],
  bright: ['light', 'weather'],
  blurred: ['blur', 'scaling', 'weather'],
  noisy: ['noise', 'weather'],
  blocked: ['sensor', 'weather'],
  damaged: ['sensor', 'noise'],
  compressed: ['compression', 'scaling'],
  tinted: ['colour', 'light'],
  flat: ['light', 'weather'],
  pale: ['colour', 'light', 'weather'],
  vivid: ['colour', 'light'],
  moved: ['geometry'],
  sharp: ['scaling'],
};

/**
 * Families that what is seen agrees with, and that it never speaks for by itself: what a broken stream shows can look like anything,
 * and a picture that was turned shows its scene in other places. Darkness and blur have nearer causes.
 */
const agreeingBySight: Readonly<Partial<Record<SightKind, readonly CorruptionFamily[]>>> = {
  hazy: ['stream'],
  bright: ['stream'],
  noisy: ['stream'],
  blocked: ['stream'],
  damaged: ['stream'],
  moved: ['stream'],
  compressed: ['stream'],
  tinted: ['stream'],
  flat: ['stream', 'sensor'],
  pale: ['stream'],
  vivid: ['stream'],
  scene: ['stream', 'geometry'],
  sharp: ['stream'],
  clear: ['stream'],
  texture: ['stream', 'geometry'],
};

/** From this p-value on what an image shows is foreign. */
const foreignPValue = 0.025;

/** What else is known of the image. */
interface Known {
  causes?: readonly Cause[] | undefined;
  detectors: readonly DetectorScore[];
  /** Kinds of everything that was found in it; default: those of the reasons. */
  kinds?: readonly SightKind[];
}

/**
 * What probably happened to an image that is stopped. What a person sees decides the family, because on real images that is
 * right far more often than the simulated causes are; they tell one cause where they are sure and agree.
 */
export function findLikelyCause(reasons: readonly Reason[], known: Known): LikelyCause | undefined {
  const found = readCause(reasons, known);
  return found && { ...found, advice: findAdvice(found) };
}

function readCause(
  reasons: readonly Reason[],
  { causes, detectors, kinds = reasons.map(({ kind }) => kind) }: Known,
): Omit<LikelyCause, 'advice'> | undefined {
  if (isOtherCamera(reasons, detectors)) {
    return {
      kind: 'camera',
      text: 'another camera: encoder, size and scene are all foreign, so no cause can be told',
    };
  }
  if (isOtherSource(reasons) && ownWays.has(reasons[0].kind)) {
    return {
      kind: 'camera',
      text: 'another camera or program: encoder and size are foreign, and what else is seen may be its own',
    };
  }
  if (isForeignFile(reasons) && reasons.every(({ group }) => group === 'file')) {
    return {
      kind: 'file',
      text: 'another camera, program or setting wrote the file; in the picture nothing stands out',
    };
  }
  if (reasons[0]?.statistic === 'layout') {
    return { kind: 'cause', family: 'geometry', cause: 'orientation', text: reasons[0].text };
  }
  const seen = findSeenFamilies(reasons);
  const [first] = causes ?? [];
  const named = first && first.probability >= namedFrom ? findFamily(first.cause) : undefined;
  const agrees = (wanted: CorruptionFamily) =>
    kinds.some((kind) => familiesBySight[kind]?.includes(wanted) || agreeingBySight[kind]?.includes(wanted));
  const isTold = named !== undefined && (isForeignFile(reasons) ? seen[0] === named : agrees(named));
  const family = isTold ? named : seen[0];
  if (family && first && isTold) {
    const { cause, probability } = first;
    const share = Math.min(99, Math.round(100 * probability));
    const text = `${familyWords[family]}; of the simulated causes most like ${tellCause(cause)} (${share} %)`;
    return { kind: 'cause', family, cause, probability, text };
  }
  if (family) return { kind: 'family', family, text: familyWords[family] };
  return causes ? { kind: 'unknown', text: 'unknown: none of the simulated causes explains it' } : undefined;
}

/** The families that what is seen speaks for, that of the first thing seen first. */
export function findSeenFamilies(reasons: readonly Pick<Reason, 'kind'>[]): CorruptionFamily[] {
  return [...new Set(reasons.flatMap(({ kind }) => familiesBySight[kind] ?? []))];
}

/**
 * What probably happened to an image in a word or two; undefined for one that passes.
 * @param verdict rows that an earlier version wrote have only the simulated causes
 */
export function nameCause(verdict: {
  verdict: string;
  cause?: Omit<LikelyCause, 'advice'> | undefined;
  causes?: readonly Cause[] | undefined;
}): string | undefined {
  if (verdict.verdict === 'pass') return undefined;
  const { cause } = verdict;
  const spelled = (name: string | undefined) => name && tellCause(name);
  if (!cause) return spelled(verdict.causes?.[0]?.cause);
  if (cause.kind === 'camera') return otherCamera;
  if (cause.kind === 'file') return otherFile;
  return spelled(cause.cause) ?? (cause.family ? shortWords[cause.family] : 'unknown');
}

/** Advice on what `nameCause` says; undefined for what has no cause. */
export function adviseOn(name: string): Advice | undefined {
  if (name === otherCamera) return findAdvice({ kind: 'camera' });
  if (name === otherFile) return findAdvice({ kind: 'file' });
  const [family] = Object.entries(shortWords).find(([, words]) => words === name) ?? [];
  if (family) return findAdvice({ kind: 'family', family: family as CorruptionFamily });
  // Names of causes are spelled or not, by the version that wrote them.
  const cause = corruptions.find((row) => [row.name, spellCause(row.name), tellCause(row.name)].includes(name))?.name;
  return name === 'unknown' || cause ? findAdvice({ kind: 'cause', cause: cause ?? name }) : undefined;
}

function isForeign(reasons: readonly Reason[], ...names: string[]): boolean {
  const file = reasons.find(({ group }) => group === 'file');
  return file?.evidence.some(({ statistic, direction }) => direction === 'new' && names.includes(statistic)) ?? false;
}

/** Whether something else wrote the file than what wrote the reference. */
function isForeignFile(reasons: readonly Reason[]): boolean {
  return isForeign(reasons, 'size', ...encoderProperties);
}

/** What every camera has of its own: colours, contrast, sharpness, compression, and the place where it hangs. */
const ownWays: ReadonlySet<SightKind> = new Set<SightKind>([
  'tinted',
  'pale',
  'vivid',
  'flat',
  'clear',
  'sharp',
  'coarse',
  'compressed',
  'moved',
  'file',
  'texture',
]);

function isOtherSource(reasons: readonly Reason[]): boolean {
  return isForeign(reasons, 'size') && isForeign(reasons, ...encoderProperties);
}

function isOtherCamera(reasons: readonly Reason[], detectors: readonly DetectorScore[]): boolean {
  if (!isOtherSource(reasons)) return false;
  const scene = detectors.find(({ name }) => name === 'embedding') ?? detectors[0];
  return scene.pValue <= foreignPValue;
}
