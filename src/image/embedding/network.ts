import { StoplineError } from '../../errors.ts';

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

/**
 * Opens a network of which there is one way to run it, and looks at it; one that is not as it should be is closed again.
 * @param by whoever runs it, such as `LiteRT`
 * @throws {StoplineError} MODEL_FAILED with what the runtime or the check says; what `open` throws
 */
export async function openChecked<Opened extends Network>(
  open: () => Promise<Opened>,
  { by, name, check }: { by: string; name: string; check: NetworkCheck | undefined },
): Promise<Opened> {
  let network: Opened | undefined;
  try {
    network = await open();
    const wrong = await check?.(network);
    if (wrong === undefined) return network;
    throw new Error(wrong);
  } catch (cause) {
    await network?.close();
    if (cause instanceof StoplineError) throw cause;
    throw new StoplineError('MODEL_FAILED', `Expected ${by} to run "${name}" but ${firstLine(cause)}.`, { cause });
  }
}

/** The first line of what a runtime says, without the assertion that failed and the paths of whoever built it. */
export function firstLine(error: unknown): string {
  const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
  return line
    .replace(/(?:\/[\w.-]+){3,}\/([\w.-]+)/g, '$1')
    .replace(/\.$/, '')
    .trim()
    .slice(0, 300);
}

/** The whole numbers that an input of such a type can hold. */
const wholeRanges = { uint8: [0, 255], int8: [-128, 127], int32: [-(2 ** 31), 2 ** 31 - 1] } as const;

/** Preprocessed pixels as whole numbers of a type: rounded, and kept within its range. */
export function roundPixels(type: keyof typeof wholeRanges, input: Float32Array): Float64Array {
  const [least, most] = wholeRanges[type];
  return Float64Array.from(input, (value) => Math.max(least, Math.min(most, Math.round(value))));
}
