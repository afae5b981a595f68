import { StoplineError } from '../errors.ts';
import type { Evidence } from './detectors.ts';
import { seriesLength } from './track.ts';

/** Version of the layout of a saved state. */
const stateVersion = 1;

/** How much one monitor holds. */
export interface Sizes {
  statistics: number;
  powers: number;
  betsPerStatistic: number;
  /** Numbers of a projection. */
  across: number;
  /** Images of the window. */
  window: number;
  /** Images whose repetition is noticed. */
  recent: number;
  series: number;
}

/** The numbers of one monitor: views of one block of bytes, which is what is saved. */
export interface Memory extends Evidence {
  bytes: Uint8Array;
  /** When each row of the window was taken. The window is a ring of rows. */
  at: Float64Array;
  /** The p-value of each row. */
  pValue: Float32Array;
  /** Deviations as `packDeviation` makes them, row by row. */
  z: Int8Array;
  /** Projections, row by row; NaN where there is none. */
  projection: Float32Array;
  /** The sha256 of each row, 32 bytes. */
  id: Buffer;
  /** Deviations of the image before, to see whether the next is the same picture. */
  lastZ: Float32Array;
  /** First 64 bits of the sha256 of recent images, and when each was taken. */
  recentId: Uint32Array;
  recentAt: Float64Array;
  /** See `Track`. */
  series: Int8Array;
}

export function createMemory(sizes: Sizes, bytes?: Uint8Array): Memory {
  const { statistics: d, powers, betsPerStatistic, across, window, recent, series } = sizes;
  // Wide numbers first, so that all are aligned.
  const lengths = [
    powers * 8,
    window * 8,
    recent * 8,
    d * betsPerStatistic * 4,
    window * 4,
    window * across * 4,
    d * 4,
    recent * 8,
    series * seriesLength,
    window * d,
    window * 32,
  ];
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (bytes && bytes.length !== total) {
    throw new StoplineError('INTERNAL', `Expected ${total} bytes of state but received ${bytes.length}.`);
  }
  const { buffer } = bytes ? new Uint8Array(bytes) : new Uint8Array(total);
  let at = 0;
  const next = () => {
    const [start, length] = [at, lengths.shift() as number];
    at += length;
    return [start, length] as const;
  };
  const wide = (): Float64Array => {
    const [start, length] = next();
    return new Float64Array(buffer, start, length / 8);
  };
  const single = (): Float32Array => {
    const [start, length] = next();
    return new Float32Array(buffer, start, length / 4);
  };
  const score = wide();
  const times = wide();
  const recentAt = wide();
  const statistics = single();
  const pValue = single();
  const projection = single();
  const lastZ = single();
  const [recentStart, recentLength] = next();
  const [seriesStart, seriesBytes] = next();
  const [zStart, zLength] = next();
  const [idStart, idLength] = next();
  return {
    bytes: new Uint8Array(buffer),
    score,
    at: times,
    recentAt,
    statistics,
    pValue,
    projection,
    lastZ,
    recentId: new Uint32Array(buffer, recentStart, recentLength / 4),
    series: new Int8Array(buffer, seriesStart, seriesBytes),
    z: new Int8Array(buffer, zStart, zLength),
    id: Buffer.from(buffer, idStart, idLength),
  };
}

/** One byte for -30 to 30 deviations: steps of 0.02 in the middle and of a tenth at 3. */
export function packDeviation(z: number): number {
  const size = packed[Math.min(packed.length - 1, Math.round(Math.abs(z) * 128))];
  return z < 0 ? -size : size;
}

const packed = Int8Array.from({ length: 30 * 128 + 1 }, (_, i) => Math.round(27.3 * Math.asinh((1.6 * i) / 128)));

const unpacked = Float32Array.from({ length: 256 }, (_, byte) => Math.sinh(((byte << 24) >> 24) / 27.3) / 1.6);

export function unpackDeviation(byte: number): number {
  return unpacked[byte & 255];
}

/** A saved state: length of the header, header in JSON, block of numbers. */
export function packState(header: object, bytes: Uint8Array): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify({ version: stateVersion, ...header }));
  const state = new Uint8Array(4 + json.length + bytes.length);
  new DataView(state.buffer).setUint32(0, json.length, true);
  state.set(json, 4);
  state.set(bytes, 4 + json.length);
  return state;
}

/** @returns undefined for a state of another version, or bytes that are none */
export function unpackState(state: Uint8Array): { header: Record<string, unknown>; bytes: Uint8Array } | undefined {
  if (state.length < 4) return undefined;
  const length = new DataView(state.buffer, state.byteOffset).getUint32(0, true);
  if (length > state.length - 4) return undefined;
  try {
    const header = JSON.parse(new TextDecoder().decode(state.subarray(4, 4 + length)));
    if (header?.version !== stateVersion) return undefined;
    return { header, bytes: state.subarray(4 + length) };
  } catch {
    return undefined;
  }
}
