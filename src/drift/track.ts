import { correlationTime } from '../profile/maths/correlation.ts';

/** Numbers of each series that are kept. */
export const seriesLength = 256;
/** Before this many nothing is said of a correlation time. */
const leastSeries = 64;
/** A sequence that is shorter than this many correlation times does not tell what its correlation time is. */
const leastTimes = 20;
/** Numbers are kept as 8-bit integers in units of this. */
const unit = 3 / 127;
/** Further out they count as this, so that a few strange images do not pass for memory. */
const limit = 3;

/** A few series of one source, at spacing that grows with its correlation time, so that memory stays bounded. */
export interface Track {
  /** Series after series, `seriesLength` places each. */
  values: Int8Array;
  /** Places that are filled. */
  length: number;
  /** Every how many images one is kept. */
  spacing: number;
  /** The correlation time of every series in images; undefined until enough is known. */
  times?: number[] | undefined;
}

/** Takes the numbers of one image, all series at once, and now and then estimates anew. */
export function track(state: Track, numbers: ArrayLike<number>, image: number): void {
  if (image % state.spacing !== 0) return;
  const count = numbers.length;
  if (state.length === seriesLength) forget(state, count);
  for (let i = 0; i < count; i++) {
    const value = Math.max(-limit, Math.min(limit, numbers[i]));
    state.values[i * seriesLength + state.length] = Number.isNaN(value) ? 0 : Math.round(value / unit);
  }
  state.length++;
  if (state.length % leastSeries === 0) estimate(state, count);
}

/** Images until the correlation time is estimated again. */
export function countToEstimate({ length, spacing }: Pick<Track, 'length' | 'spacing'>): number {
  return (leastSeries - (length % leastSeries)) * spacing;
}

function forget(state: Track, count: number): void {
  const gone = leastSeries;
  for (let i = 0; i < count; i++) {
    const from = i * seriesLength;
    state.values.copyWithin(from, from + gone, from + seriesLength);
  }
  state.length -= gone;
}

function estimate(state: Track, count: number): void {
  const { values, length } = state;
  const isFull = length === seriesLength;
  const stretch = isFull ? length >> 1 : length;
  const times = Array.from({ length: count }, (_, i) => {
    const series = values.subarray(i * seriesLength, i * seriesLength + length);
    const { images } = correlationTime([series.subarray(0, stretch)]);
    // A change lies in one half at most: what it does to that one is not memory.
    return isFull ? Math.min(images, correlationTime([series.subarray(stretch)]).images) : images;
  });
  const longest = Math.max(...times);
  if (longest * leastTimes <= stretch) state.times = times.map((time) => Math.max(1, time * state.spacing));
  else if (longest * leastTimes > 2 * stretch) state.times = undefined;
  if (longest * leastTimes > stretch && isFull) widen(state, count);
}

/** Keeps every other number, so that twice the time fits. */
function widen(state: Track, count: number): void {
  const kept = state.length >> 1;
  for (let i = 0; i < count; i++) {
    const from = i * seriesLength;
    for (let place = 0; place < kept; place++) state.values[from + place] = state.values[from + 2 * place];
  }
  state.length = kept;
  state.spacing *= 2;
}
