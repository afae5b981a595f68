/** How long a sequence remembers. */
export interface CorrelationTime {
  /**
   * Integrated correlation time in images, at least 1: n images tell as much of a mean as n / images independent ones.
   */
  images: number;
  /** Standard error of it. */
  error: number;
}

/**
 * Integrated correlation time 1 + 2 sum of autocorrelations, by the initial monotone sequence (Geyer 1992, section 3.3): sums of
 * two neighbouring autocorrelations of a reversible chain are positive, falling and convex, so the sum ends with the first that
 * is not positive, and each counts at most as much as the one before. Standard error after Sokal (1997): images * sqrt(2 (2 M + 1) / n)
 * with M lags used.
 * @param recordings numbers in order; between recordings nothing is remembered. Each is compared with its own mean.
 */
export function correlationTime(recordings: readonly ArrayLike<number>[]): CorrelationTime {
  const centred = recordings.filter(({ length }) => length > 1).map(centre);
  const count = centred.reduce((sum, { length }) => sum + length, 0);
  const longest = Math.max(0, ...centred.map(({ length }) => length));
  const covariance = (lag: number) => {
    let sum = 0;
    for (const x of centred) for (let i = lag; i < x.length; i++) sum += x[i] * x[i - lag];
    return sum;
  };
  const variance = covariance(0);
  if (!(variance > 0)) return { images: 1, error: 0 };
  let sum = 0;
  let lag = 0;
  let before = Number.POSITIVE_INFINITY;
  for (; lag + 1 < longest; lag += 2) {
    const pair = (covariance(lag) + covariance(lag + 1)) / variance;
    if (pair <= 0) break;
    before = Math.min(before, pair);
    sum += before;
  }
  const images = Math.max(1, 2 * sum - 1);
  return { images, error: images * Math.sqrt((2 * (2 * lag + 1)) / count) };
}

function centre(x: ArrayLike<number>): Float64Array {
  let mean = 0;
  for (let i = 0; i < x.length; i++) mean += x[i] / x.length;
  return Float64Array.from(x, (value) => value - mean);
}

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
  /** Of every series, in images; undefined until enough is known. */
  times?: number[];
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
