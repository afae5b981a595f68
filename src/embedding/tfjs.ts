import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { io, Tensor } from '@tensorflow/tfjs-core';
import { StoplineError } from '../errors.ts';
import { type ModelCard, namedOutputs } from './card.ts';
import type { FailedProvider, Network, NetworkCheck } from './network.ts';
import { firstLine } from './onnx.ts';
import { parseModelJson } from './tensorflow.ts';

type Core = typeof import('@tensorflow/tfjs-core');

/** Node that tfjs-node 4.22 still runs on: it calls a function that Node 23 removed. */
const lastNodeOfTfjsNode = 22;

interface Backend {
  core: Core;
  provider: 'tensorflow' | 'wasm';
  failed: FailedProvider[];
}

/** tfjs-node where the user has it, else WebAssembly. */
async function loadBackend(): Promise<Backend> {
  const failed: FailedProvider[] = [];
  try {
    if (Number.parseInt(process.versions.node, 10) > lastNodeOfTfjsNode)
      throw new Error(`it needs Node ${lastNodeOfTfjsNode} or older`);
    // Not written out: nobody has to have it, not even to compile this.
    const name: string = '@tensorflow/tfjs-node';
    await import(name);
    return { core: await import('@tensorflow/tfjs-core'), provider: 'tensorflow', failed };
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

export interface TfjsOptions {
  /** model.json, then the weights. */
  files: readonly Uint8Array[];
  card: ModelCard;
  check?: NetworkCheck;
}

/**
 * Opens a graph or layers model of TensorFlow.js in this thread.
 * @throws {StoplineError} MODEL_RUNTIME with the command to type, MODEL_INVALID, MODEL_FAILED
 */
export async function openTfjs({ files, card, check }: TfjsOptions): Promise<Network> {
  const { json, topology } = parseModelJson(files[0]);
  const backend = await loadBackend();
  const names = namedOutputs(card);
  const artifacts: io.ModelArtifacts = {
    modelTopology: topology,
    weightSpecs: json.weightsManifest.flatMap(({ weights }) => weights) as io.WeightsManifestEntry[],
    weightData: Uint8Array.from(Buffer.concat(files.slice(1))).buffer,
    ...('signature' in json ? { signature: json.signature as object } : {}),
  };
  let network: Network | undefined;
  try {
    const run = await (card.kind === 'tfjs-graph' ? openGraph : openLayers)(backend.core, artifacts, card, names);
    network = createNetwork(backend, run, card, names);
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

const listOf = (value: Tensor | Tensor[]): Tensor[] => (Array.isArray(value) ? value : [value]);

async function openGraph(core: Core, artifacts: io.ModelArtifacts, card: ModelCard, names: string[]): Promise<Runner> {
  const { loadGraphModel } = await import('@tensorflow/tfjs-converter').catch((cause) => {
    throw missing(cause);
  });
  const model = await loadGraphModel(core.io.fromMemory(artifacts));
  return {
    execute: (input) => listOf(model.execute({ [card.input.name]: input }, names) as Tensor | Tensor[]),
    dispose: () => model.dispose(),
  };
}

async function openLayers(
  core: Core,
  artifacts: io.ModelArtifacts,
  _card: ModelCard,
  names: string[],
): Promise<Runner> {
  const layers = await import('@tensorflow/tfjs-layers').catch((cause) => {
    throw missing(cause);
  });
  const whole = await layers.loadLayersModel(core.io.fromMemory(artifacts));
  const outputs = names.flatMap((name) => whole.getLayer(name).output);
  const model = layers.model({ inputs: whole.inputs, outputs });
  return {
    execute: (input) => listOf(model.predict(input) as Tensor | Tensor[]),
    dispose: () => whole.dispose(),
  };
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
        outputs = core.tidy(() => runner.execute(core.tensor(input, [count, ...sides], 'float32')));
      } catch (cause) {
        throw new StoplineError('MODEL_FAILED', `"${card.name}" fails on an image: ${firstLine(cause)}.`, { cause });
      }
      try {
        return await Promise.all(
          outputs.map(async (output, i) => {
            if (output.dtype !== 'float32')
              throw new StoplineError(
                'MODEL_UNSUPPORTED',
                `Expected float32 from ${JSON.stringify(names[i])} but received ${output.dtype}.`,
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
