import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import util from 'node:util';
import type { io, NamedTensorMap, Tensor } from '@tensorflow/tfjs-core';
import { StoplineError } from '../../errors.ts';
import { namedOutputs } from './card.ts';
import type { ModelCard } from './cardschema.ts';
import { type FailedProvider, type Network, type NetworkCheck, roundPixels } from './network.ts';
import { firstLine } from './onnx.ts';
import { served, writeSavedModel } from './savedmodel.ts';
import { parseModelJson } from './tensorflow.ts';

type TfjsCore = typeof import('@tensorflow/tfjs-core');

/** What is used of tfjs-node, which nobody has to have, not even to compile this. */
interface TfjsNode {
  node: { loadSavedModel(path: string, tags: string[], signature: string): Promise<SavedModel> };
}
interface SavedModel {
  predict(inputs: NamedTensorMap): NamedTensorMap;
  dispose(): void;
}

interface Backend {
  core: TfjsCore;
  provider: 'tensorflow' | 'wasm';
  failed: FailedProvider[];
  /** Where that is the provider. */
  tfjsNode?: TfjsNode;
}

/** tfjs-node where the user has it, else WebAssembly, which runs no SavedModels. */
async function loadBackend(kind: ModelCard['kind']): Promise<Backend> {
  const failed: FailedProvider[] = [];
  try {
    // tfjs-node 4.22 calls it for every tensor, and Node 23 has removed it.
    if (!('isNullOrUndefined' in util)) throw new Error('it needs Node 22 or older');
    const name: string = '@tensorflow/tfjs-node';
    const { default: tfjsNode } = (await import(name)) as { default: TfjsNode };
    return { core: await import('@tensorflow/tfjs-core'), provider: 'tensorflow', failed, tfjsNode };
  } catch (error) {
    failed.push({ provider: 'tensorflow', reason: `@tensorflow/tfjs-node: ${firstLine(error)}` });
  }
  if (kind === 'saved-model') throw missingTfjsNode(failed[0].reason);
  try {
    const core = await import('@tensorflow/tfjs-core');
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    // Otherwise it would fetch its files from the network.
    const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(`${dirname(main)}/`);
    wasm.setThreadsCount(1);
    if (!(await core.setBackend('wasm'))) throw new Error('its WebAssembly backend does not start');
    await core.ready();
    return { core, provider: 'wasm', failed };
  } catch (cause) {
    throw missing(cause);
  }
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

function missingTfjsNode(reason: string): StoplineError {
  return new StoplineError(
    'MODEL_RUNTIME',
    `Expected @tensorflow/tfjs-node, which alone runs a TensorFlow SavedModel, but it does not load (${reason}). ` +
      'Under Node 22 type: npm install @tensorflow/tfjs-node. Or convert the model with tf2onnx, or with tensorflowjs_converter --input_format=tf_saved_model.',
  );
}

export interface TfjsOptions {
  /** model.json, then the weights; or the files of a SavedModel. */
  files: readonly Uint8Array[];
  card: ModelCard;
  check?: NetworkCheck;
}

/**
 * Opens a graph or layers model of TensorFlow.js, or a SavedModel, in this thread.
 * @throws {StoplineError} MODEL_RUNTIME with the command to type, MODEL_INVALID, MODEL_FAILED
 */
export async function openTfjs({ files, card, check }: TfjsOptions): Promise<Network> {
  const backend = await loadBackend(card.kind);
  const names = namedOutputs(card);
  const opened = { 'tfjs-graph': openGraph, 'tfjs-layers': openLayers, 'saved-model': openSavedModel };
  let network: Network | undefined;
  try {
    const runner = await opened[card.kind as keyof typeof opened](backend, files, card, names);
    network = createNetwork(backend, runner, card, names);
    const wrong = await check?.(network);
    if (wrong === undefined) return network;
    throw new Error(wrong);
  } catch (cause) {
    await network?.close();
    if (cause instanceof StoplineError) throw cause;
    throw new StoplineError('MODEL_FAILED', `Expected TensorFlow.js to run "${card.name}" but ${firstLine(cause)}.`, {
      cause,
    });
  }
}

/** A loaded model: frames to the outputs asked for. */
interface Runner {
  execute(input: Tensor): Tensor[];
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
    ...('signature' in json ? { signature: json.signature as object } : {}),
  };
}

const openGraph: OpenRunner = async ({ core }, files, card, names) => {
  const { loadGraphModel } = await import('@tensorflow/tfjs-converter').catch((cause) => {
    throw missing(cause);
  });
  const model = await loadGraphModel(core.io.fromMemory(readArtifacts(files)));
  return {
    execute: (input) => wrapList(model.execute({ [card.input.name]: input }, names) as Tensor | Tensor[]),
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
    execute: (input) => wrapList(model.predict(input) as Tensor | Tensor[]),
    dispose: () => whole.dispose(),
  };
};

/** TensorFlow reads everything while it loads, from a folder of ours: the bytes that were hashed and checked. */
const openSavedModel: OpenRunner = async ({ tfjsNode }, files, card, names) => {
  const { folder, remove } = writeSavedModel(files);
  try {
    const model = await (tfjsNode as TfjsNode).node.loadSavedModel(folder, [served.tag], served.signature);
    return {
      execute(input) {
        const outputs = model.predict({ [card.input.name]: input });
        return names.map((name) => outputs[name]);
      },
      dispose: () => model.dispose(),
    };
  } finally {
    remove();
  }
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
        outputs = core.tidy(() => runner.execute(makeInput(core, input, [count, ...sides], card)));
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
      } finally {
        for (const output of outputs) output.dispose();
      }
    },
    async close() {
      runner.dispose();
    },
  };
}
