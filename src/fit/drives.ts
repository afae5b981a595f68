import { quantileSorted } from 'simple-statistics';

/**
 * Drives are taken to be alike until they show otherwise: what a few of them say weighs by their degrees of freedom against so many.
 * Two drives say a fifth of what they show, three a third.
 */
const priorDegrees = 4;

/** Components of one image before they are brought to one scale, by two fits. */
export interface SeenTwice {
  /** By a fit without its part of the reference, which knows other parts of the same drive. */
  known: Float64Array;
  /** By a fit that knows nothing of the drive. */
  unknown: Float64Array;
}

/** How much farther out images of one drive lie where nothing of the drive is known: the median of each component. */
export function measureRise(images: readonly SeenTwice[]): Float64Array {
  return images[0].known.map((_, i) => {
    const rises = images.map(({ known, unknown }) => unknown[i] - known[i]).filter(Number.isFinite);
    return rises.length === 0
      ? 0
      : quantileSorted(
          rises.sort((a, b) => a - b),
          0.5,
        );
  });
}

/**
 * What calibrates lies so much farther out, component by component, than images of drives that are known: the mean rise of drives
 * that were left out whole, shrunk towards none. What rises most from drive to drive so counts for less.
 * @param rises one a drive, each with a number a component
 * @returns none where fewer than two drives tell of others
 */
export function spreadBetween(rises: readonly Float64Array[]): Float64Array | undefined {
  const degrees = rises.length - 1;
  if (degrees < 1) return undefined;
  const kept = degrees / (degrees + priorDegrees);
  return rises[0].map((_, i) => {
    const mean = rises.reduce((sum, rise) => sum + rise[i], 0) / rises.length;
    return kept * Math.max(0, mean);
  });
}

/** Components as those of an image of a drive that was not seen. */
export function moveBetween(values: Float64Array, spread: Float64Array | undefined): Float64Array {
  return spread ? values.map((value, i) => value + spread[i]) : values.slice();
}
