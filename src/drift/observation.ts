import { nameCause } from '../profile/likelycause.ts';
import { unpackChances } from '../profile/places.ts';
import type { Scorer } from '../profile/score.ts';
import type { DecideBy, Verdict } from '../profile/verdict.ts';

/** What a monitor needs of one Verdict: a few hundred bytes, made where the state of a source is kept. */
export interface Observation {
  /** sha256 of the image. */
  id: string;
  /** When the image was taken or came, milliseconds since 1970. */
  at: number;
  verdict: Verdict['verdict'];
  decidedBy: DecideBy;
  pValue: number;
  /** Score of the deciding detector. */
  score: number;
  /** Deviations of the scored statistics of the Profile, in its order. */
  z: Float32Array;
  /** What the image shows; where the Profile has a model. */
  projection?: Float32Array;
  /** Likeliest first. */
  causes?: { cause: string; probability: number }[];
  /** How often the classifier's prediction flips under what is seen, 0 to 1; where the Profile knows. */
  expectedFlipRate?: number;
  /** Chance of every tile that it is hidden; where the Profile tells places. */
  chances?: Float64Array;
  /** Whether it has no colour, as in infrared. */
  isGrey?: boolean;
  /** Difference hash of the pixels, 16 hexadecimal digits. */
  hash: string;
  /** The picture, small and grey, where it is known: see `drawSketch`. */
  sketch?: Uint8Array;
}

/** The fields of a Verdict that drift needs. A row of `score` has them all, so recorded verdicts can be replayed without images. */
export type Observable = Pick<
  Verdict,
  | 'verdict'
  | 'decidedBy'
  | 'pValue'
  | 'score'
  | 'cause'
  | 'causes'
  | 'expectedFlipRate'
  | 'projection'
  | 'places'
  | 'statistics'
> & { image: Pick<Verdict['image'], 'sha256' | 'hash'>; profile: Pick<Verdict['profile'], 'sha256'> };

/** A picture whose colours are weaker than this (Hasler and Suesstrunk 2003) has none: infrared, but for the rounding of a codec. */
const leastColour = 2;
/** How many causes of an image are remembered. */
const maxCauses = 3;

/** What the verdict says for sure enough; the simulated causes only for rows that an earlier version wrote. */
function readCauses(verdict: Observable): Pick<Observation, 'causes'> {
  const name = nameCause(verdict);
  if (verdict.cause && name) return { causes: [{ cause: name, probability: 1 }] };
  const { causes } = verdict;
  if (!causes) return {};
  return { causes: causes.slice(0, maxCauses).map(({ cause, probability }) => ({ cause, probability })) };
}

function isGrey({ statistics: { colourfulness } }: Observable): boolean {
  return typeof colourfulness === 'number' && colourfulness < leastColour;
}

/** @param at milliseconds since 1970 */
export function makeObservation(scorer: Pick<Scorer, 'deviations'>, verdict: Observable, at: number): Observation {
  const { projection, expectedFlipRate, places } = verdict;
  const chances = places && unpackChances(places.map);
  return {
    id: verdict.image.sha256,
    at,
    verdict: verdict.verdict,
    decidedBy: verdict.decidedBy,
    pValue: verdict.pValue,
    score: verdict.score,
    z: Float32Array.from(scorer.deviations(verdict.statistics)),
    ...(projection && { projection: Float32Array.from(projection) }),
    ...(chances && { chances }),
    ...(isGrey(verdict) && { isGrey: true }),
    ...readCauses(verdict),
    ...(expectedFlipRate && { expectedFlipRate: expectedFlipRate.rate }),
    hash: verdict.image.hash,
  };
}
