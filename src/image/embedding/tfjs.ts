import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import util from 'node:util';
import type { io, Tensor } from '@tensorflow/tfjs-core';
import { StoplineError } from '../../errors.ts';
import { namedOutputs } from './card.ts';
import type { ModelCard } from './cardschema.ts';
import { computeEinsum } from './einsum.ts';
import { openEnded } from './graphoperators.ts';
import {
  type FailedProvider,
  firstLine,
  type Network,
  type NetworkCheck,
  openChecked,
  roundPixels,
} from './network.ts';
import { parseModelJson, pruneTopology } from './tensorflow.ts';

type TfjsCore = typeof import('@tensorflow/tfjs-core');

interface Backend {
  core: TfjsCore;
  provider: 'tensorflow' | 'wasm';
  failed: FailedProvider[];
}

/** tfjs-node, which is TensorFlow itself, where the user has it and this Node can load it; else WebAssembly. */
async function loadBackend(): Promise<Backend> {
  const failed: FailedProvider[] = [];
  try {
    const name: string = '@tensorflow/tfjs-node';
    import.meta.resolve(name);
    restoreUtilities();
    await import(name);
    const core = await import('@tensorflow/tfjs-core');
    if (!(await core.setBackend('tensorflow'))) throw new Error('its backend does not start');
    return { core, provider: 'tensorflow', failed };
  } catch (error) {
    failed.push({ provider: 'tensorflow', reason: `@tensorflow/tfjs-node: ${firstLine(error)}` });
  }
  try {
    const core = await import('@tensorflow/tfjs-core');
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    // Otherwise it would fetch its files from the network.
    const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(`${dirname(main)}/`);
    wasm.setThreadsCount(1);
    if (!(await core.setBackend('wasm'))) throw new Error('its WebAssembly backend does not start');
    await core.ready();
    boundTensors(core.backend() as unknown as WasmBackend);
    return { core, provider: 'wasm', failed };
  } catch (cause) {
    throw missing(cause);
  }
}

/** What is used of the WebAssembly backend: every tensor gets its memory here, before a kernel writes to it. */
interface WasmBackend {
  wasm: { _malloc(bytes: number): number; _free(address: number): void };
}

/** Most bytes of one tensor: as much as the trial of a model and a worker may hold beside it. */
const maxTensorBytes = 1024 ** 3;

/**
 * Refuses tensors that the memory of WebAssembly cannot hold. By itself the backend hands the number of bytes on modulo 2^32, and takes
 * the address 0, which says that nothing is left, for one like any other: kernels then write over what is not theirs, and what is
 * computed of that passes for an answer.
 */
function boundTensors({ wasm }: WasmBackend): void {
  // The first call puts the function of the module in the place of a stand-in.
  wasm._free(wasm._malloc(1));
  const { _malloc: allocate } = wasm;
  wasm._malloc = (bytes) => {
    if (!(bytes >= 0 && bytes <= maxTensorBytes))
      throw new RangeError(`a tensor of ${bytes} bytes is more than the ${maxTensorBytes} that one may have`);
    const address = allocate(bytes);
    if (address === 0) throw new RangeError(`no memory is left for a tensor of ${bytes} bytes`);
    return address;
  };
}

/**
 * tfjs-node 4.22 calls two functions of node:util that newer Nodes have removed; all else of it runs on any Node, because its
 * native part is made for Node-API.
 */
function restoreUtilities(): void {
  const known = util as { isNullOrUndefined?: unknown; isArray?: unknown };
  known.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  known.isArray = Array.isArray; // where it is still there, it warns
}

/** Which packages of TensorFlow.js are here, for `stopline doctor`; nothing is loaded. */
export function examineTensorflow(): { installed: string[]; missing: string[] } {
  const { resolve } = createRequire(import.meta.url);
  const installed: string[] = [];
  const absent: string[] = [];
  for (const part of ['core', 'converter', 'layers', 'backend-wasm', 'node']) {
    const name = `@tensorflow/tfjs-${part}`;
    try {
      resolve(name);
      installed.push(name);
    } catch {
      absent.push(name);
    }
  }
  return { installed, missing: absent };
}

function missing(cause: unknown): StoplineError {
  return new StoplineError(
    'MODEL_RUNTIME',
    `Expected the packages of TensorFlow.js, which run this model, but they do not load (${firstLine(cause)}). ` +
      'Type: npm install @tensorflow/tfjs-core @tensorflow/tfjs-converter @tensorflow/tfjs-layers @tensorflow/tfjs-backend-wasm',
    { cause },
  );
}

export interface TfjsOptions {
  /** model.json, then the weights. */
  files: readonly Uint8Array[];
  card: ModelCard;
  check?: NetworkCheck;
}

/**
 * Opens a graph or layers model of TensorFlow.js in this thread, or the graph that was made of a SavedModel.
 * @throws {StoplineError} MODEL_RUNTIME with the command to type, MODEL_INVALID, MODEL_FAILED
 */
export async function openTfjs({ files, card, check }: TfjsOptions): Promise<Network> {
  const backend = await loadBackend();
  const names = namedOutputs(card);
  const opened = {
    'tfjs-graph': openGraph,
    'tfjs-layers': openLayers,
    'saved-model': openGraph,
    'frozen-graph': openGraph,
  };
  const open = async () => {
    const runner = await opened[card.kind as keyof typeof opened](backend, files, card, names);
    return createNetwork(backend, runner, card, names);
  };
  return openChecked(open, { by: 'TensorFlow.js', name: card.name, check });
}

/** A loaded model: frames to the outputs asked for. */
interface Runner {
  execute(input: Tensor): Promise<Tensor[]>;
  dispose(): void;
}

const wrapList = (value: Tensor | Tensor[]): Tensor[] => (Array.isArray(value) ? value : [value]);

type OpenRunner = (backend: Backend, files: readonly Uint8Array[], card: ModelCard, names: string[]) => Promise<Runner>;

function readArtifacts(files: readonly Uint8Array[]): io.ModelArtifacts {
  const { json, topology } = parseModelJson(files[0]);
  return {
    modelTopology: topology,
    weightSpecs: json.weightsManifest.flatMap(({ weights }) => weights) as io.WeightsManifestEntry[],
    weightData: Uint8Array.from(Buffer.concat(files.slice(1))).buffer,
  };
}

const openGraph: OpenRunner = async ({ core }, files, card, names) => {
  const { loadGraphModel, registerOp } = await import('@tensorflow/tfjs-converter').catch((cause) => {
    throw missing(cause);
  });
  registerOp('Einsum', ({ inputs, attrs }) => computeEinsum(core, String(attrs.equation), inputs));
  const artifacts = readArtifacts(files);
  const topology = pruneTopology(artifacts.modelTopology as Record<string, unknown>, names);
  const model = await loadGraphModel(core.io.fromMemory({ ...artifacts, modelTopology: topology }));
  const isOpenEnded = (topology.node as { op: string }[]).some(({ op }) => openEnded.test(op));
  return {
    async execute(input) {
      const inputs = { [card.input.name]: input };
      return wrapList(isOpenEnded ? await model.executeAsync(inputs, names) : model.execute(inputs, names));
    },
    dispose: () => model.dispose(),
  };
};

const openLayers: OpenRunner = async ({ core }, files, _card, names) => {
  const layers = await import('@tensorflow/tfjs-layers').catch((cause) => {
    throw missing(cause);
  });
  const whole = await layers.loadLayersModel(core.io.fromMemory(readArtifacts(files)));
  const outputs = names.flatMap((name) => whole.getLayer(name).output);
  const model = layers.model({ inputs: whole.inputs, outputs });
  return {
    execute: async (input) => wrapList(model.predict(input) as Tensor | Tensor[]),
    dispose: () => whole.dispose(),
  };
};

/** Whole numbers of any size are int32 to TensorFlow.js. */
function makeInput(
  core: TfjsCore,
  input: Float32Array,
  shape: number[],
  { input: { type = 'float32' } }: ModelCard,
): Tensor {
  if (type === 'float32' || type === 'float16') return core.tensor(input, shape, 'float32');
  return core.tensor(Int32Array.from(roundPixels(type, input)), shape, 'int32');
}

function createNetwork({ core, provider, failed }: Backend, runner: Runner, card: ModelCard, names: string[]): Network {
  const { width, height, channels, layout } = card.input;
  const sides = layout === 'NCHW' ? [channels, height, width] : [height, width, channels];
  return {
    runtime: `@tensorflow/tfjs-core ${core.version_core}`,
    provider,
    failed,
    channelAxis: 3,
    maxBatch: Number.MAX_SAFE_INTEGER,
    async run(input, count) {
      let outputs: Tensor[];
      try {
        const tensor = makeInput(core, input, [count, ...sides], card);
        outputs = await runner.execute(tensor).finally(() => tensor.dispose());
      } catch (cause) {
        throw new StoplineError('MODEL_FAILED', `"${card.name}" fails on an image: ${firstLine(cause)}.`, { cause });
      }
      try {
        return await Promise.all(
          outputs.map(async (output, i) => {
            if (output.dtype !== 'float32' && output.dtype !== 'int32' && output.dtype !== 'bool')
              throw new StoplineError(
                'MODEL_UNSUPPORTED',
                `Expected numbers from ${JSON.stringify(names[i])} but received ${output.dtype}.`,
              );
            // What `data` gives may be a view of the backend's memory.
            return { dimensions: output.shape, data: Float32Array.from(await output.data()) };
          }),
        );
      } catch (cause) {
        if (cause instanceof StoplineError) throw cause;
        throw new StoplineError('MODEL_FAILED', `"${card.name}" fails on an image: ${firstLine(cause)}.`, { cause });
      } finally {
        for (const output of outputs) output.dispose();
      }
    },
    async close() {
      try {
        runner.dispose();
      } catch {
        // Where a run went beyond the memory of WebAssembly, nothing can be given back in it.
      }
    },
  };
}
