import { dirname, join } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { check, listErrors, Type } from '../../schema.ts';
import { refuseEinsum } from './einsum.ts';
import {
  checkNodeCount,
  type Graph,
  type GraphNode,
  type GraphValue,
  type ModelBounds,
  readModelBounds,
} from './graph.ts';
import { graphOperators } from './graphoperators.ts';

/** What is read of the model.json of TensorFlow.js; the topology is looked at node by node. */
const ModelJson = Type.Object({
  format: Type.Optional(Type.String()),
  generatedBy: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  modelTopology: Type.Object({}),
  weightsManifest: Type.Array(
    Type.Object({
      paths: Type.Array(Type.String({ maxLength: 255 }), { maxItems: 4096 }),
      weights: Type.Array(
        Type.Object({
          name: Type.String({ maxLength: 4096 }),
          shape: Type.Array(Type.Integer({ minimum: 0 }), { maxItems: 16 }),
          dtype: Type.String({ maxLength: 32 }),
          /** Stored as whole numbers, or halves: value * scale + min. */
          quantization: Type.Optional(
            Type.Object({
              dtype: Type.String({ maxLength: 32 }),
              scale: Type.Optional(Type.Number()),
              min: Type.Optional(Type.Number()),
            }),
          ),
        }),
        { maxItems: 100_000 },
      ),
    }),
    { maxItems: 4096 },
  ),
});

const maxJsonBytes = 64 * 1024 * 1024;

const invalid = (what: string) => new StoplineError('MODEL_INVALID', `Expected a TensorFlow.js model but ${what}.`);

/**
 * Parses a model.json.
 * @throws {StoplineError} MODEL_INVALID
 */
export function parseModelJson(bytes: Uint8Array) {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw invalid(`its JSON is broken: ${(cause as Error).message}`);
  }
  if (!check(ModelJson, json)) {
    const [, [first]] = listErrors(ModelJson, json);
    throw invalid(first ? `${first.instancePath || 'it'} ${first.message}` : 'it does not fit the schema');
  }
  const topology = json.modelTopology as Record<string, unknown>;
  const isGraph = Array.isArray(topology.node);
  if (!isGraph && listLayers(topology) === undefined) throw invalid('its topology has neither nodes nor layers');
  return { json, topology, kind: isGraph ? ('tfjs-graph' as const) : ('tfjs-layers' as const) };
}

/**
 * Reads model.json and its weights. These must lie in the same folder, under plain names: a path in the file must not
 * reach anything else.
 * @param read reads one regular file of bounded size
 * @throws {StoplineError} MODEL_INVALID, MODEL_EXTERNAL_DATA, MODEL_TOO_LARGE, and what `read` throws
 */
export function readTensorflowModel(
  path: string,
  read: (path: string, maxBytes: number) => Uint8Array,
  bounds: ModelBounds = readModelBounds(),
) {
  const first = read(path, maxJsonBytes);
  const { json, kind } = parseModelJson(first);
  const files = [first];
  let left: number = bounds.bytes - first.length;
  for (const shard of json.weightsManifest.flatMap(({ paths }) => paths)) {
    if (!/^[\w-][\w.-]*$/.test(shard))
      throw new StoplineError(
        'MODEL_EXTERNAL_DATA',
        `Expected weights beside the model but they are called ${JSON.stringify(shard.slice(0, 60))}.`,
      );
    const bytes = read(join(dirname(path), shard), left);
    left -= bytes.length;
    files.push(bytes);
  }
  return { kind, files };
}

/** Names of operators that mean the same in ONNX, for layers.ts; others keep theirs. */
const operators = new Map(
  Object.entries({
    Const: 'Constant',
    _FusedMatMul: 'MatMul',
    Einsum: 'MatMul',
    BiasAdd: 'Add',
    AddV2: 'Add',
    RealDiv: 'Div',
    Conv2D: 'Conv',
    _FusedConv2D: 'Conv',
    DepthwiseConv2dNative: 'Conv',
    FusedDepthwiseConv2dNative: 'Conv',
    AvgPool: 'AveragePool',
    Mean: 'ReduceMean',
    Max: 'ReduceMax',
    Sum: 'ReduceSum',
    ResizeBilinear: 'Resize',
    ResizeNearestNeighbor: 'Resize',
    // layers of Keras
    Dense: 'Gemm',
    DepthwiseConv2D: 'Conv',
    SeparableConv2D: 'Conv',
    MaxPooling2D: 'MaxPool',
    AveragePooling2D: 'AveragePool',
    GlobalAveragePooling2D: 'GlobalAveragePool',
    GlobalMaxPooling2D: 'GlobalMaxPool',
    UpSampling2D: 'Upsample',
    Conv2DTranspose: 'ConvTranspose',
  }),
);

/**
 * The graph of a TensorFlow.js model in the terms of ONNX, so that layers are found by the same rules. What cannot be run is
 * left out, and with it what computes from it: `graph.refused` says what that was, and outputs that need it are none.
 * @throws {StoplineError} MODEL_INVALID, MODEL_TOO_LARGE
 */
export function readTensorflowGraph(bytes: Uint8Array, bounds: ModelBounds = readModelBounds()): Graph {
  const { json, topology, kind } = parseModelJson(bytes);
  const weights = json.weightsManifest.flatMap((group) => group.weights);
  const initializers = new Map(weights.map(({ name, shape }) => [name, shape]));
  const graph: Graph = {
    producer: json.generatedBy === tensorflowMark ? tensorflowMark : kind,
    irVersion: 0,
    opset: 0,
    nodes: [],
    inputs: [],
    outputs: [],
    initializers: kind === 'tfjs-graph' ? initializers : new Map(),
    parameters: weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
  };
  const list = (kind === 'tfjs-graph' ? topology.node : listLayers(topology)) as unknown[];
  checkNodeCount(list.length, bounds);
  const refused = kind === 'tfjs-graph' ? readNodes(list, initializers, graph) : readLayers(list, graph);
  if (graph.inputs.length === 0 || graph.nodes.length === 0) throw invalid('it has no input or no nodes');
  const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  const outputs = graph.nodes.filter(({ outputs: [name], operator }) => operator !== 'Constant' && !read.has(name));
  const lost = followReaders(graph.nodes, refused.keys());
  const seeing = followReaders(
    graph.nodes,
    graph.inputs.map(({ name }) => name),
  );
  graph.nodes = graph.nodes.filter(({ name }) => !lost.has(name));
  const shapes = readOutputShapes(json);
  graph.outputs = outputs.flatMap(({ outputs: [name] }) => {
    const shape = shapes.get(name);
    // What does not come of the image is no answer about it: places of boxes, for one.
    return lost.has(name) || !seeing.has(name) ? [] : [{ name, type: 1, ...(shape && { shape }) }];
  });
  if (lost.size > 0) graph.refused = { operators: [...new Set(refused.values())], tensors: lost };
  return graph;
}

/** Shapes of outputs by their names, where the file has a signature that says them, as the converter writes it. */
function readOutputShapes(json: object): ReadonlyMap<string, (number | null)[]> {
  const { signature } = json as { signature?: { outputs?: object } | null };
  const shapes = new Map<string, (number | null)[]>();
  for (const output of Object.values(signature?.outputs ?? {})) {
    const { name, tensorShape } = (output ?? {}) as { name?: unknown; tensorShape?: { dim?: unknown } };
    if (typeof name !== 'string' || !Array.isArray(tensorShape?.dim)) continue;
    shapes.set(
      plainName(name),
      tensorShape.dim.map((side: { size?: unknown } | null) => openIfNegative(Number(side?.size ?? -1))),
    );
  }
  return shapes;
}

/** What `generatedBy` says of a graph model that was made of a SavedModel or a frozen graph. */
export const tensorflowMark = 'TensorFlow';

/** Names of some nodes, and of all that compute from them. */
function followReaders(nodes: readonly GraphNode[], from: Iterable<string>): Set<string> {
  const reached = new Set(from);
  const readers = new Map<string, string[]>();
  for (const { name, inputs } of nodes)
    for (const input of inputs) {
      const known = readers.get(input);
      if (known) known.push(name);
      else readers.set(input, [name]);
    }
  // A set is visited in the order in which it grows.
  for (const name of reached) for (const reader of readers.get(name) ?? []) reached.add(reader);
  return reached;
}

/**
 * The nodes of a graph model that its outputs need, of those in its topology: TensorFlow.js looks at all that it is given.
 * @param outputs names of nodes, which `readTensorflowGraph` has let through
 */
export function pruneTopology(topology: Record<string, unknown>, outputs: readonly string[]): Record<string, unknown> {
  const nodes = topology.node as { name: string; input?: string[] }[];
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const needed = new Set(outputs);
  for (const name of needed)
    for (const input of byName.get(name)?.input ?? []) if (!input.startsWith('^')) needed.add(plainName(input));
  const kept = nodes.filter(({ name }) => needed.has(name));
  return {
    versions: {},
    ...topology,
    node: kept.map((node) => ({ ...node, input: (node.input ?? []).filter((input) => !input.startsWith('^')) })),
  };
}

/** "split:1" is an output of "split". */
const plainName = (input: string) => input.replace(/:\d+$/, '');

/** `TensorProto.DataType` of ONNX for types of TensorFlow's inputs, by name and by number. */
const inputTypes: Record<string, number> = {
  ...{ DT_FLOAT: 1, DT_UINT8: 2, DT_INT8: 3, DT_INT32: 6, DT_HALF: 10 },
  ...{ 1: 1, 4: 2, 6: 3, 3: 6, 19: 10 },
};

type Attributes = Record<
  string,
  { s?: unknown; type?: unknown; shape?: { dim?: { size?: unknown }[] }; list?: { i?: unknown[] } }
>;

/** @returns the operators that are not run, by the names of their nodes */
function readNodes(
  list: unknown[],
  initializers: ReadonlyMap<string, number[]>,
  graph: Graph,
): ReadonlyMap<string, string> {
  const refused = new Map<string, string>();
  for (const entry of list) {
    const { name, op, input = [], attr = {} } = (entry ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || typeof op !== 'string' || !Array.isArray(input))
      throw invalid('one of its nodes has no name, operator or inputs');
    const attributes = attr as Attributes;
    if (op === 'Placeholder') {
      const shape = attributes.shape?.shape?.dim?.map(({ size }) => openIfNegative(Number(size ?? -1)));
      const type = attributes.dtype?.type;
      graph.inputs.push({
        name,
        type: inputTypes[String(type)] ?? -1,
        ...(shape?.length ? { shape } : {}),
      });
      continue;
    }
    // "^name" is only an order.
    const inputs = input.map((text) => plainName(String(text))).filter((text) => !text.startsWith('^'));
    const unfit = op === 'Einsum' ? refuseEinsum(readText(attributes.equation?.s)) : undefined;
    if (!graphOperators.has(op)) refused.set(name, op);
    else if (unfit) refused.set(name, `${op} of ${unfit}`);
    const strides = attributes.strides?.list?.i?.map(Number);
    const kernel = initializers.get(inputs[1])?.slice(0, 2);
    const operator = operators.get(op) ?? op;
    const integers = {
      ...(strides ? { strides } : {}),
      ...(operator === 'Conv' && kernel ? { kernel_shape: kernel } : {}),
      ...(/^(Fused)?Depthwise/.test(op) ? { depthwise: [1] } : {}),
    };
    graph.nodes.push({ operator, domain: '', name, inputs, outputs: [name], integers });
  }
  return refused;
}

/** Text is base64 in the JSON of a graph. */
const readText = (s: unknown) => (typeof s === 'string' ? Buffer.from(s, 'base64').toString() : undefined);

const openIfNegative = (size: number) => (Number.isInteger(size) && size >= 0 ? size : null);

function listLayers(topology: Record<string, unknown>): unknown[] | undefined {
  const config = (topology.model_config ?? topology) as { config?: { layers?: unknown } | unknown[] };
  const layers = Array.isArray(config.config) ? config.config : config.config?.layers;
  return Array.isArray(layers) ? layers : undefined;
}

/** @returns as `readNodes`: TensorFlow.js has no layers that loop, and those of chance act in training alone */
function readLayers(layers: unknown[], graph: Graph): ReadonlyMap<string, string> {
  let before: string | undefined;
  for (const layer of layers) {
    const { class_name: kind, config = {}, inbound_nodes: inbound } = (layer ?? {}) as Record<string, unknown>;
    const { name, batch_input_shape: shape, dtype, ...settings } = config as Record<string, unknown>;
    if (typeof kind !== 'string' || typeof name !== 'string') throw invalid('one of its layers has no class or name');
    const open = Array.isArray(shape) ? shape.map((size) => openIfNegative(size ?? -1)) : undefined;
    const value: GraphValue = { name, type: dtype === undefined || dtype === 'float32' ? 1 : -1, shape: open };
    if (kind === 'InputLayer') {
      graph.inputs.push(value);
      before = name;
      continue;
    }
    // The first layer of a Sequential brings the input along.
    if (before === undefined && open !== undefined) {
      before = `${name}_input`;
      graph.inputs.push({ ...value, name: before });
    }
    const inputs = namesIn(inbound) ?? (before === undefined ? [] : [before]);
    graph.nodes.push({ ...makeNode(kind, settings), name, inputs, outputs: [name], domain: '' });
    before = name;
  }
  return new Map();
}

function makeNode(kind: string, settings: Record<string, unknown>): Pick<GraphNode, 'operator' | 'integers'> {
  const operator = kind === 'Activation' ? titled(String(settings.activation)) : (operators.get(kind) ?? kind);
  const list = (value: unknown) =>
    Array.isArray(value) ? value.map(Number) : value === undefined ? [] : [Number(value)];
  const strides = list(settings.strides ?? settings.pool_size);
  const kernel = list(settings.kernel_size);
  return {
    operator,
    integers: { ...(strides.length ? { strides } : {}), ...(kernel.length ? { kernel_shape: kernel } : {}) },
  };
}

const titled = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** inbound_nodes is [[[name, node index, tensor index, {...}], ...]]. */
function namesIn(inbound: unknown): string[] | undefined {
  if (!Array.isArray(inbound) || inbound.length === 0) return undefined;
  const [calls] = inbound as unknown[][];
  return Array.isArray(calls) ? calls.map((call) => String(Array.isArray(call) ? call[0] : call)) : undefined;
}
