import { StoplineError } from '../../errors.ts';
import type { NetworkOutput } from './network.ts';

/** Share of the places of a map whose largest values are its peak. */
const peakShare = 0.01;

/** Channels and places of one frame's map, and how far apart in memory they are. */
interface MapShape {
  channels: number;
  places: number;
  channelStep: number;
  placeStep: number;
}

function readShape(dimensions: readonly number[], channelAxis: 1 | 3): MapShape {
  if (dimensions.length === 4) {
    const [, a, b, c] = dimensions;
    return channelAxis === 1
      ? { channels: a, places: b * c, channelStep: b * c, placeStep: 1 }
      : { channels: c, places: a * b, channelStep: 1, placeStep: c };
  }
  // Tokens of a transformer: N x tokens x channels.
  if (dimensions.length === 3)
    return { channels: dimensions[2], places: dimensions[1], channelStep: 1, placeStep: dimensions[2] };
  if (dimensions.length === 2) return { channels: dimensions[1], places: 1, channelStep: 1, placeStep: 1 };
  throw new StoplineError(
    'MODEL_UNSUPPORTED',
    `Expected a vector, tokens or a map for each frame but received an output of ${dimensions.join(' x ')}.`,
  );
}

/** Numbers that a tensor becomes for each frame. */
export function readChannels(dimensions: readonly number[], channelAxis: 1 | 3): number {
  return readShape(dimensions, channelAxis).channels;
}

/** Mean of each channel of frame `index`; a vector as it is. */
export function poolContent(output: NetworkOutput, channelAxis: 1 | 3, index: number, out: Float32Array): void {
  const { channels, places, channelStep, placeStep } = readShape(output.dimensions, channelAxis);
  const first = index * channels * places;
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    for (let p = 0, at = first + c * channelStep; p < places; p++, at += placeStep) sum += output.data[at];
    out[c] = sum / places;
  }
}

/**
 * Level and peak of each channel of frame `index`: the mean of |x|, and the mean of the largest hundredth of |x|. Between
 * them a corruption that flattens a map and one that adds to it are told apart.
 */
export function poolEarly(
  output: NetworkOutput,
  channelAxis: 1 | 3,
  index: number,
  level: Float32Array,
  peak: Float32Array,
): void {
  const { channels, places, channelStep, placeStep } = readShape(output.dimensions, channelAxis);
  const top = new Float32Array(Math.max(1, Math.round(places * peakShare)));
  const first = index * channels * places;
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    let held = 0;
    // `top` is kept in rising order; few values get past its first.
    for (let p = 0, at = first + c * channelStep; p < places; p++, at += placeStep) {
      const value = Math.abs(output.data[at]);
      sum += value;
      if (held < top.length) insert(top, held++, value);
      else if (value > top[0]) replaceLeast(top, value);
    }
    level[c] = sum / places;
    let peaks = 0;
    for (const value of top) peaks += value;
    peak[c] = peaks / top.length;
  }
}

function insert(sorted: Float32Array, held: number, value: number): void {
  let i = held;
  for (; i > 0 && sorted[i - 1] > value; i--) sorted[i] = sorted[i - 1];
  sorted[i] = value;
}

function replaceLeast(sorted: Float32Array, value: number): void {
  let i = 0;
  for (; i + 1 < sorted.length && sorted[i + 1] < value; i++) sorted[i] = sorted[i + 1];
  sorted[i] = value;
}
