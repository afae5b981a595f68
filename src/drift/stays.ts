import { findParts, type PicturePart, packChances } from '../profile/places.ts';

/** What stays where it is while the scene moves on: the mean of late, for every tile, of the chance that it is hidden. */
export interface Stays {
  /** Images that count, up to `span`. */
  images: number;
  /** Tile after tile, in ten thousandths. */
  chances: number[];
}

/** What is hidden or blurred in the same place in image after image. */
export interface StayingParts {
  /** Images that this is the mean of. */
  images: number;
  /** What stays, the largest first; none where nothing does. */
  parts: PicturePart[];
  /** For every one of 16 x 12 tiles, row by row: how much more often it is hidden than in the reference, in ninths. */
  map: string;
}

/** Images that the mean goes back: what is always there is found within some thirty of them. */
const span = 30;
/** Fewer say nothing: a vehicle that waits at a light is no dirt. */
const leastImages = 20;
/** A tile stays hidden where the mean is above that of the reference by so much. */
const leastMean = 0.35;
const unit = 10_000;

/** Takes the chances of another image in. */
export function takeChances(before: Stays | undefined, chances: Float64Array): Stays {
  const images = Math.min(span, (before?.images ?? 0) + 1);
  return {
    images,
    chances: Array.from(chances, (chance, tile) => {
      const mean = before?.chances[tile] ?? 0;
      return Math.round(mean + (unit * chance - mean) / images);
    }),
  };
}

/** @param usual mean chance of every tile over the reference */
export function findStaying({ images, chances }: Stays, usual: ArrayLike<number>): StayingParts {
  const excess = Float64Array.from(chances, (chance, tile) => Math.max(0, chance / unit - usual[tile]));
  // The parts of one image are those of a chance of a half and more.
  const parts = images < leastImages ? [] : findParts(excess.map((value) => (value >= leastMean ? 1 : 0)));
  return { images, parts, map: packChances(excess.map((value) => Math.min(1, value))) };
}
