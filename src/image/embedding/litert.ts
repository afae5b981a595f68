import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import vm from 'node:vm';
import type { LiteRt } from '@litertjs/core';
import { StoplineError } from '../../errors.ts';
import type { Limits } from '../frame.ts';
import { checkCardFits, namedOutputs } from './card.ts';
import type { ModelCard } from './cardschema.ts';
import { readModelBounds } from './graph.ts';
import { firstLine, type Network, type NetworkCheck, type NetworkOutput, openChecked, roundPixels } from './network.ts';
import { type LiteTensor, readTflite, setOutputs } from './tflite.ts';

/** What LiteRT.js is made around: its WebAssembly, with what that gives out. */
type Runtime = LiteRt['liteRtWasm'];

interface LoadedRuntime {
  runtime: Runtime;
  version: string;
  log: ErrorLog;
}

/** What the runtime says has gone wrong. A run that fails gives back what lay in memory, and says so nowhere else. */
class ErrorLog {
  #first: string | undefined;

  readonly add = (line: string): void => {
    const [, said] = /^ERROR: (.*)/.exec(line) ?? [];
    this.#first ??= said;
  };

  /** The first since the last time, which is the cause of those behind it. */
  take(): string | undefined {
    const first = this.#first;
    this.#first = undefined;
    return first;
  }
}

const packageName = '@litertjs/core';

/**
 * Loads the WebAssembly of LiteRT.js. Its own loader is for pages: it would fetch the files and ask for a graphics card. Here
 * they are read from the package, and nothing else.
 * @throws {StoplineError} MODEL_RUNTIME with the command to type
 */
async function loadLiteRt(): Promise<LoadedRuntime> {
  try {
    const require = createRequire(import.meta.url);
    const folder = join(dirname(require.resolve(packageName)), '..');
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    const script = join(folder, 'wasm', 'litert_wasm_internal.js');
    const make = vm.compileFunction(
      `${readFileSync(script, 'utf8')}\nreturn ModuleFactory;`,
      ['require', '__dirname', '__filename'],
      { filename: script },
    ) as (...about: unknown[]) => (options: object) => Promise<Runtime>;
    const log = new ErrorLog();
    // It says on standard output what it does.
    const silent = { print: () => undefined, printErr: log.add };
    return { runtime: await make(createRequire(script), dirname(script), script)(silent), version, log };
  } catch (cause) {
    throw new StoplineError(
      'MODEL_RUNTIME',
      `Expected the package ${packageName}, which runs TFLite models, but it does not load (${firstLine(cause)}). Type: npm install ${packageName}`,
      { cause },
    );
  }
}

/** Whether LiteRT.js is here, for `stopline doctor`; nothing is loaded. */
export function examineLiteRt(): { installed: string[]; missing: string[] } {
  try {
    createRequire(import.meta.url).resolve(packageName);
    return { installed: [packageName], missing: [] };
  } catch {
    return { installed: [], missing: [packageName] };
  }
}

export interface LiteRtOptions {
  bytes: Uint8Array;
  card: ModelCard;
  check?: NetworkCheck;
  /** Of them `maxModelNodes`. */
  limits?: Limits | undefined;
}

/**
 * Opens a TFLite model in this thread, on one thread of the CPU.
 * @throws {StoplineError} what `readTflite` throws, MODEL_RUNTIME, MODEL_FAILED
 */
export async function openLiteRt({ bytes, card, check, limits }: LiteRtOptions): Promise<Network> {
  const model = readTflite(bytes, readModelBounds(limits));
  checkCardFits(card, model.graph);
  const names = namedOutputs(card);
  const tensors = names.map((name) => model.tensors.find((tensor) => tensor.name === name) as LiteTensor);
  const loaded = await loadLiteRt();
  const open = () =>
    LiteNetwork.open(loaded, setOutputs(bytes, model, names), card, tensors).catch((cause) => {
      throw new Error(loaded.log.take() ?? firstLine(cause), { cause });
    });
  return openChecked(open, {
    by: 'LiteRT',
    name: card.name,
    check,
  });
}

type Compiled = Awaited<ReturnType<Runtime['compileModel']>>;

/** Numbers of a tensor as they lie in memory, by `TensorType`. */
const arrays: Record<number, typeof Float32Array | typeof Int32Array | typeof Uint8Array | typeof Int8Array> = {
  0: Float32Array,
  2: Int32Array,
  3: Uint8Array,
  9: Int8Array,
};

class LiteNetwork implements Network {
  readonly runtime: string;
  readonly provider = 'wasm';
  readonly failed = [];
  readonly channelAxis = 3;
  /** A TFLite file has its batch in every shape. */
  readonly maxBatch = 1;
  readonly #runtime: Runtime;
  readonly #log: ErrorLog;
  readonly #environment: ReturnType<Runtime['LiteRtEnvironment']['create']>;
  readonly #model: ReturnType<Runtime['loadModel']>;
  readonly #compiled: Compiled;
  readonly #card: ModelCard;
  readonly #tensors: readonly LiteTensor[];

  private constructor(
    { runtime, version, log }: LoadedRuntime,
    opened: {
      environment: ReturnType<Runtime['LiteRtEnvironment']['create']>;
      model: ReturnType<Runtime['loadModel']>;
      compiled: Compiled;
    },
    card: ModelCard,
    tensors: readonly LiteTensor[],
  ) {
    this.runtime = `${packageName} ${version}`;
    this.#runtime = runtime;
    this.#log = log;
    this.#environment = opened.environment;
    this.#model = opened.model;
    this.#compiled = opened.compiled;
    this.#card = card;
    this.#tensors = tensors;
  }

  static async open(
    loaded: LoadedRuntime,
    bytes: Uint8Array,
    card: ModelCard,
    tensors: readonly LiteTensor[],
  ): Promise<LiteNetwork> {
    const { runtime } = loaded;
    const environment = runtime.LiteRtEnvironment.create(null);
    const at = runtime._malloc(bytes.length);
    runtime.HEAPU8.set(bytes, at);
    const model = runtime.loadModel(environment, at, bytes.length);
    const asked = {
      environment,
      accelerator: 'wasm',
      cpuOptions: { numThreads: 1 },
      gpuOptions: {},
      webNNOptions: {},
    } as unknown as Parameters<Runtime['compileModel']>[2];
    const compiled = await runtime.compileModel(environment, model, asked);
    return new LiteNetwork(loaded, { environment, model, compiled }, card, tensors);
  }

  async run(input: Float32Array): Promise<NetworkOutput[]> {
    const { name, input: asked } = this.#card;
    try {
      const given = this.#fill(input, asked.type ?? 'float32');
      this.#log.take();
      const outputs = await this.#compiled.run(0, [given]);
      const wrong = this.#log.take();
      if (wrong !== undefined) throw new Error(wrong);
      given.delete();
      return outputs.map((output, i) => {
        const at = output.lock(this.#runtime.LiteRtTensorBufferLockMode.READ);
        const bytes = Uint8Array.from(this.#runtime.HEAPU8.subarray(at, at + output.packedSize()));
        output.unlock();
        output.delete();
        return { dimensions: this.#tensors[i].shape, data: readOutput(this.#tensors[i], bytes) };
      });
    } catch (cause) {
      if (cause instanceof StoplineError) throw cause;
      throw new StoplineError('MODEL_FAILED', `"${name}" fails on an image: ${firstLine(cause)}.`, { cause });
    }
  }

  /** The image in memory of the runtime. */
  #fill(input: Float32Array, type: NonNullable<ModelCard['input']['type']>) {
    const runtime = this.#runtime;
    const numbers = type === 'float32' || type === 'float16' ? input : packWhole(type, input);
    const shape = this.#model.getInputTensorType(0, 0);
    if (shape.bytes() !== numbers.byteLength)
      throw new Error(`it takes ${shape.bytes()} bytes of an image and was given ${numbers.byteLength}`);
    const { HOST_MEMORY } = runtime.LiteRtTensorBufferType;
    const buffer = runtime.LiteRtTensorBuffer.createManaged(this.#environment, HOST_MEMORY, shape, numbers.byteLength);
    shape.delete();
    const at = buffer.lock(runtime.LiteRtTensorBufferLockMode.WRITE);
    runtime.HEAPU8.set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength), at);
    buffer.unlock();
    return buffer;
  }

  async close(): Promise<void> {
    try {
      this.#compiled.delete();
      this.#model.delete();
      this.#environment.delete();
    } catch {
      // Where a run went beyond the memory of WebAssembly, nothing can be given back in it.
    }
  }
}

function packWhole(type: 'uint8' | 'int8' | 'int32', input: Float32Array) {
  const whole = roundPixels(type, input);
  return type === 'uint8' ? Uint8Array.from(whole) : type === 'int8' ? Int8Array.from(whole) : Int32Array.from(whole);
}

/** Numbers of an output, what whole numbers stand for in place of them. */
function readOutput({ name, type, quantised }: LiteTensor, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const Numbers = arrays[type];
  if (Numbers === undefined)
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected numbers from ${JSON.stringify(name.slice(0, 60))} but received type ${type} of TFLite.`,
    );
  const numbers = new Numbers(bytes.buffer, bytes.byteOffset, bytes.byteLength / Numbers.BYTES_PER_ELEMENT);
  if (numbers instanceof Float32Array) return numbers;
  const { scale = 1, zero = 0 } = quantised ?? {};
  return Float32Array.from(numbers, (value) => (value - zero) * scale);
}
