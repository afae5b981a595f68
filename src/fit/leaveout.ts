import { resolve } from 'node:path';
import { StoplineError } from '../errors.ts';
import { chooseStatistics, nameStatistics } from './crossfit.ts';
import { listStrangers } from './outliers.ts';
import type { Sample } from './samples.ts';

/** Images that are to be no part of the reference: those that are unlike the rest, or the paths of some. */
export type LeaveOut = 'strangers' | readonly string[];

/**
 * Takes images out of a reference before it is fitted.
 * @param samples with the part of each, so that each is judged by others
 * @throws {StoplineError} OPTION_INVALID when a path is that of no image of the reference
 */
export function leaveOut(samples: readonly Sample[], wanted: LeaveOut): Sample[] {
  if (wanted === 'strangers') {
    const { used } = chooseStatistics([...samples]);
    const strangers = listStrangers(samples, { statistics: nameStatistics(used) });
    return samples.filter(({ id }) => !strangers.has(id));
  }
  const left = new Set(wanted.map((path) => resolve(path)));
  const known = new Set(samples.map(({ path }) => resolve(path)));
  const missing = [...left].find((path) => !known.has(path));
  if (missing !== undefined) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected paths of images of the reference to leave out but "${missing}" is none of them, or an exact copy of one.`,
    );
  }
  return samples.filter(({ path }) => !left.has(resolve(path)));
}

/**
 * What is promised after images were left out. Those that stayed were chosen, so the rate is about images like them; images like
 * those that were left out will come again, and will be stopped.
 */
export function restatePromise({ left, images }: { left: number; images: number }, { warn }: { warn: number }): string {
  const percent = (share: number) => `${Number((100 * share).toPrecision(2))} %`;
  return (
    `${left} of ${images} images were left out. The promise is about images like the ${images - left} that stayed; images like those ` +
    `left out will be stopped when they come again. Of all images like these ${images} expect up to ${percent(warn + left / images)} ` +
    `to be warned about or blocked, not ${percent(warn)}.`
  );
}
