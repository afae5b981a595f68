/** One output tensor of a run. */
export interface NetworkOutput {
  /** The first is the number of frames. */
  dimensions: readonly number[];
  data: Float32Array;
}

/** A provider that did not get to run the network, and why. */
export interface FailedProvider {
  provider: string;
  reason: string;
}

/** A loaded network, whoever runs it. */
export interface Network {
  /** Package and version, such as `onnxruntime-node 1.30.0`. */
  readonly runtime: string;
  /** Execution provider or backend in use, such as `cpu`, `cuda` or `wasm`. */
  readonly provider: string;
  /** Those that were tried before it. */
  readonly failed: readonly FailedProvider[];
  /** Which axis of a map of four holds the channels. */
  readonly channelAxis: 1 | 3;
  /** Most frames in one run. */
  readonly maxBatch: number;
  /**
   * @param input `count` preprocessed frames, one after the other
   * @returns the outputs in the order in which they were asked for when the network was opened
   * @throws {StoplineError} MODEL_FAILED
   */
  run(input: Float32Array, count: number): Promise<NetworkOutput[]>;
  close(): Promise<void>;
}

/**
 * Looks at a network that has just been opened and says what is wrong with it, so that the next provider is tried.
 * Nothing wrong: undefined.
 */
export type NetworkCheck = (network: Network) => Promise<string | undefined>;

/** The whole numbers that an input of such a type can hold. */
const wholeRanges = { uint8: [0, 255], int8: [-128, 127], int32: [-(2 ** 31), 2 ** 31 - 1] } as const;

/** Preprocessed pixels as whole numbers of a type: rounded, and kept within its range. */
export function roundPixels(type: keyof typeof wholeRanges, input: Float32Array): Float64Array {
  const [least, most] = wholeRanges[type];
  return Float64Array.from(input, (value) => Math.max(least, Math.min(most, Math.round(value))));
}
