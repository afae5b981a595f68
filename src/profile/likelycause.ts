import type { CorruptionFamily } from '../image/corruptions/corruptions.ts';
import { findFamily } from '../image/corruptions/corruptions.ts';
import type { Cause } from './diagnosis.ts';
import type { Reason } from './reasons.ts';
import type { DetectorScore } from './score.ts';
import type { SightKind } from './sights.ts';

/** What probably happened, said only as surely as it was shown to be right on real images. */
export interface LikelyCause {
  /**
   * `camera`: encoder, size and scene are all foreign, so nothing else can be told. `family`: what kind of thing it is.
   * `cause`: one simulated cause. `unknown`: none of them.
   */
  kind: 'camera' | 'family' | 'cause' | 'unknown';
  family?: CorruptionFamily;
  /** A name in the table of simulated causes. */
  cause?: string;
  /** Calibrated on simulated causes; only where one cause is named. */
  probability?: number;
  text: string;
  /** What somebody does about it, where that is not what the first reason advises. */
  advice?: string;
}

/** One simulated cause is named from this probability on, and only where what is seen speaks for its family. */
export const namedFrom = 0.9;
/** From this probability on the simulated causes decide between the families that anything seen speaks for. */
const familyFrom = 0.7;

const familyWords: Readonly<Record<CorruptionFamily, string>> = {
  noise: 'noise: too little light, or a disturbed signal',
  blur: 'blur: focus, movement or glass',
  weather: 'haze or weather, or something on the lens',
  light: 'light or exposure',
  compression: 'compression',
  scaling: 'resizing or sharpening',
  sensor: 'the sensor, its cable, or something in front of the lens',
  geometry: 'the camera was moved, turned or cropped',
};

/** How a family is called where there is little room. */
const shortWords: Readonly<Record<CorruptionFamily, string>> = {
  noise: 'noise',
  blur: 'blur',
  weather: 'haze or weather',
  light: 'light or exposure',
  compression: 'compression',
  scaling: 'resizing or sharpening',
  sensor: 'sensor or obstacle',
  geometry: 'moved camera',
};

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
  tinted: ['light'],
  flat: ['light', 'weather'],
  pale: ['light', 'weather'],
  vivid: ['light'],
  moved: ['geometry'],
  sharp: ['scaling'],
};

/** From this p-value on what an image shows is foreign. */
const foreignPValue = 0.025;

/**
 * What probably happened to an image that is stopped. What a person sees decides the family, because on real images that is
 * right far more often than the simulated causes are; they name one cause where they are sure and agree.
 */
export function findLikelyCause(
  reasons: readonly Reason[],
  { causes, detectors }: { causes?: readonly Cause[] | undefined; detectors: readonly DetectorScore[] },
): LikelyCause | undefined {
  if (isOtherCamera(reasons, detectors)) {
    return {
      kind: 'camera',
      text: 'another camera: encoder, size and scene are all foreign, so no cause can be told',
      advice:
        'Check where the image comes from. Another camera needs a Profile of its own, or a reference that holds its images.',
    };
  }
  const families = reasons.flatMap(({ kind }) => familiesBySight[kind] ?? []);
  const [first] = causes ?? [];
  const family = first && findFamily(first.cause);
  const isSeen = family !== undefined && families.includes(family);
  if (isSeen && first.probability >= namedFrom) {
    const { cause, probability } = first;
    const share = Math.min(99, Math.round(100 * probability));
    return {
      kind: 'cause',
      family,
      cause,
      probability,
      text: `${spell(cause)} (${share} % among the simulated causes)`,
    };
  }
  const likeliest = isSeen && first.probability >= familyFrom ? family : families[0];
  if (likeliest) return { kind: 'family', family: likeliest, text: familyWords[likeliest] };
  return causes ? { kind: 'unknown', text: 'unknown: none of the simulated causes explains it' } : undefined;
}

/**
 * What probably happened to an image in a word or two; undefined for one that passes.
 * @param verdict rows that an earlier version wrote have only the simulated causes
 */
export function nameCause(verdict: {
  verdict: string;
  cause?: LikelyCause | undefined;
  causes?: readonly Cause[] | undefined;
}): string | undefined {
  if (verdict.verdict === 'pass') return undefined;
  const { cause } = verdict;
  if (!cause) return verdict.causes?.[0]?.cause;
  if (cause.kind === 'camera') return 'another camera';
  return cause.cause ?? (cause.family ? shortWords[cause.family] : 'unknown');
}

function isOtherCamera(reasons: readonly Reason[], detectors: readonly DetectorScore[]): boolean {
  const file = reasons.find(({ group }) => group === 'file');
  const isForeign = (...names: string[]) =>
    file?.evidence.some(({ statistic, direction }) => direction === 'new' && names.includes(statistic)) ?? false;
  if (!isForeign('size') || !isForeign('encoder', 'fingerprint', 'format')) return false;
  const scene = detectors.find(({ name }) => name === 'embedding') ?? detectors[0];
  return scene.pValue <= foreignPValue;
}

function spell(cause: string): string {
  return cause.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
