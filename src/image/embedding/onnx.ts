import type { InferenceSession } from 'onnxruntime-node';
import { StoplineError } from '../../errors.ts';
import type { Limits } from '../frame.ts';
import { checkCardFits, namedOutputs } from './card.ts';
import type { ModelCard } from './cardschema.ts';
import { addOutputs, castInput, castName, readGraph, readModelBounds } from './graph.ts';
import { readHalf } from './halves.ts';
import {
  type FailedProvider,
  firstLine,
  type Network,
  type NetworkCheck,
  type NetworkOutput,
  roundPixels,
} from './network.ts';
import { encodeField } from './protobuf.ts';

type Runtime = typeof import('onnxruntime-node');

/** Execution providers in the order in which they are tried. */
export const onnxProviders = { cpu: ['cpu'], gpu: ['cuda', 'tensorrt', 'webgpu', 'cpu'] } as const;

/** Frames in one run where the model leaves it open. */
const openBatch = 16;

/**
 * Loads onnxruntime-node, which is optional.
 * @throws {StoplineError} MODEL_RUNTIME with the command to type
 */
export async function loadOnnxRuntime(): Promise<Runtime> {
  try {
    const { default: runtime } = (await import('onnxruntime-node')) as unknown as { default: Runtime };
    // It writes what it throws to standard error as well.
    runtime.env.logLevel = 'fatal';
    return runtime;
  } catch (cause) {
    throw new StoplineError(
      'MODEL_RUNTIME',
      `Expected the package onnxruntime-node, which runs ONNX models, but it does not load (${firstLine(cause)}). ` +
        'Type: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node',
      { cause },
    );
  }
}

/** What runs ONNX models here, for `stopline doctor`. */
export type OnnxFindings = { version: string; providers: string[]; failed: FailedProvider[] } | { missing: string };

/**
 * Tries every provider of a device with a network of one node.
 * @returns those that work and the reasons of the others, or why the package is missing
 */
export async function examineOnnxRuntime(device: 'cpu' | 'gpu'): Promise<OnnxFindings> {
  let runtime: Runtime;
  try {
    runtime = await loadOnnxRuntime();
  } catch (error) {
    return { missing: (error as Error).message };
  }
  const providers: string[] = [];
  const failed: FailedProvider[] = [];
  for (const provider of onnxProviders[device])
    try {
      const session = await runtime.InferenceSession.create(smallestModel(), sessionOptions(provider));
      const x = new runtime.Tensor('float32', Float32Array.of(-1, 2), [2]);
      const { y } = await session.run({ x });
      if (String(y.data) !== '0,2') throw new Error(`it takes the positive parts of -1 and 2 for ${y.data}`);
      providers.push(provider);
      await session.release();
    } catch (error) {
      failed.push({ provider, reason: firstLine(error) });
    }
  return { version: String(runtime.env.versions.node), providers, failed };
}

/** y = Relu(x) for two floats. */
function smallestModel(): Uint8Array {
  const text = (field: number, value: string) => encodeField(field, Buffer.from(value));
  const number = (field: number, value: number) => Uint8Array.of(field * 8, value);
  const shape = encodeField(2, encodeField(1, number(1, 2)));
  const type = encodeField(2, encodeField(1, Buffer.concat([number(1, 1), shape])));
  const node = Buffer.concat([text(1, 'x'), text(2, 'y'), text(4, 'Relu')]);
  const value = (name: string) => Buffer.concat([text(1, name), type]);
  const graph = [encodeField(1, node), text(2, 'doctor'), encodeField(11, value('x')), encodeField(12, value('y'))];
  return Buffer.concat([number(1, 8), encodeField(7, Buffer.concat(graph)), encodeField(8, number(2, 13))]);
}

export interface OnnxOptions {
  /** The model file's bytes; checked here again, because they are what is loaded. */
  bytes: Uint8Array;
  card: ModelCard;
  /** `gpu` tries CUDA, TensorRT and WebGPU before the CPU. */
  device?: 'cpu' | 'gpu' | undefined;
  /** Looks at each provider's network; what it says makes the next one be tried. */
  check?: NetworkCheck;
  /** Of them `maxModelBytes` and `maxModelNodes`. */
  limits?: Limits | undefined;
}

/**
 * Opens an ONNX model in this thread, with one thread of its own and no spinning: parallelism is by worker threads.
 * A provider that is missing throws instead of falling back, so they are tried one by one.
 * @throws {StoplineError} what `readGraph` throws, MODEL_RUNTIME, MODEL_FAILED with every provider's reason
 */
export async function openOnnx({ bytes, card, device = 'cpu', check, limits }: OnnxOptions): Promise<Network> {
  const graph = readGraph(bytes, readModelBounds(limits));
  checkCardFits(card, graph);
  const names = namedOutputs(card);
  const isHalf = card.input.type === 'float16';
  const model = addOutputs(isHalf ? castInput(bytes, card.input.name) : bytes, graph, names);
  const runtime = await loadOnnxRuntime();
  const input = graph.inputs.find(({ name }) => name === card.input.name);
  const batch = input?.shape?.[0];
  if (typeof batch === 'number' && batch > 1)
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected a batch of 1, or an open one, but "${card.name}" takes ${batch} images at once: export it again.`,
    );
  const failed: FailedProvider[] = [];
  for (const provider of onnxProviders[device]) {
    let network: Network | undefined;
    try {
      const session = await runtime.InferenceSession.create(model, sessionOptions(provider));
      network = createNetwork(runtime, session, card, names, {
        provider,
        failed: [...failed],
        maxBatch: typeof batch === 'number' ? Math.max(1, batch) : openBatch,
      });
      const wrong = await check?.(network);
      if (wrong === undefined) return network;
      failed.push({ provider, reason: wrong });
    } catch (error) {
      failed.push({ provider, reason: firstLine(error) });
    }
    await network?.close();
  }
  throw new StoplineError(
    'MODEL_FAILED',
    `Expected ONNX Runtime to run "${card.name}" but ${failed.map(({ provider, reason }) => `${provider}: ${reason}`).join('; ')}.`,
  );
}

function sessionOptions(provider: string): InferenceSession.SessionOptions {
  return {
    executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    // Never the ORT format, whatever the bytes look like.
    extra: { session: { intra_op: { allow_spinning: '0' }, load_model_format: 'ONNX' } },
  };
}

function createNetwork(
  { Tensor, env }: Runtime,
  session: InferenceSession,
  card: ModelCard,
  names: readonly string[],
  about: Pick<Network, 'provider' | 'failed' | 'maxBatch'>,
): Network {
  const { width, height, channels, layout } = card.input;
  const { type: asked = 'float32' } = card.input;
  // Halves are made within the graph: not every Node has arrays of them.
  const feed = asked === 'float16' ? castName(card.input.name) : card.input.name;
  const type = (asked === 'float16' ? 'float32' : asked) as 'float32';
  const sides = layout === 'NCHW' ? [channels, height, width] : [height, width, channels];
  return {
    runtime: `onnxruntime-node ${env.versions.node}`,
    ...about,
    channelAxis: 1,
    async run(input, count): Promise<NetworkOutput[]> {
      let results: InferenceSession.OnnxValueMapType;
      try {
        const tensor = new Tensor(type, encodeInput(type, input) as Float32Array, [count, ...sides]);
        results = await session.run({ [feed]: tensor }, names);
      } catch (cause) {
        throw new StoplineError('MODEL_FAILED', `"${card.name}" fails on an image: ${firstLine(cause)}.`, { cause });
      }
      return names.map((name) => {
        const { type, dims, data } = results[name] as InferenceSession.OnnxValueMapType[string] & {
          type: string;
          dims: readonly number[];
          data: unknown;
        };
        const numbers = decodeOutput(type, data);
        if (numbers === undefined)
          throw new StoplineError(
            'MODEL_UNSUPPORTED',
            `Expected numbers from ${JSON.stringify(name)} but received ${type}.`,
          );
        return { dimensions: dims, data: numbers };
      });
    },
    close: () => session.release(),
  };
}

/** Pixels as the tensor wants them: whole numbers rounded and kept within their range. */
function encodeInput(type: 'float32' | 'uint8' | 'int8' | 'int32', input: Float32Array) {
  if (type === 'float32') return input;
  const whole = roundPixels(type, input);
  return type === 'uint8' ? Uint8Array.from(whole) : type === 'int8' ? Int8Array.from(whole) : Int32Array.from(whole);
}

/** Numbers of any type as float32; undefined for what holds none. */
function decodeOutput(type: string, data: unknown): Float32Array | undefined {
  if (data instanceof Float32Array) return data;
  // Of halves, where there are no arrays of them.
  if (type === 'float16' && data instanceof Uint16Array) return Float32Array.from(data, readHalf);
  if (data instanceof BigInt64Array) return Float32Array.from(data, Number);
  return ArrayBuffer.isView(data) && !(data instanceof DataView) ? Float32Array.from(data as Int8Array) : undefined;
}
