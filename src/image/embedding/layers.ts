import type { Graph, GraphNode } from './graph.ts';

/** Tensors of a network that describe an image. */
export interface Layers {
  /** What an image shows: one vector, or a map whose channel means are taken. */
  content: string;
  /** How the content layer was found. */
  reason: string;
  /** Channel maps of early stages, which see how an image was taken where late layers are blind; coarser ones later. */
  early: string[];
  /** Class scores, where it is an ordinary classifier: before the softmax where there is one; or those of a detector. */
  classes?: string;
  /** Where a detector has the scores of a cell, as in a card. */
  cells?: { axis: number; objectness?: number; first: number };
}

/** What may stand between the classifying layer and the output. */
const afterHead = new Set(
  (
    'Softmax LogSoftmax Sigmoid HardSigmoid Identity Cast Flatten Reshape Squeeze Unsqueeze Clip Relu Add Sub Mul Div ' +
    'Dropout QuantizeLinear DequantizeLinear GlobalAveragePool AveragePool ReduceMean Transpose LpNormalization'
  ).split(' '),
);
const heads = new Set(['Gemm', 'MatMul', 'FusedGemm', 'FusedMatMul', 'QGemm', 'QLinearMatMul', 'MatMulIntegerToFloat']);
const convolutions = new Set(['Conv', 'FusedConv', 'NhwcFusedConv', 'QLinearConv', 'ConvInteger']);
const pools = new Set(['MaxPool', 'AveragePool', 'LpPool', 'QLinearAveragePool', 'NhwcMaxPool']);
/** After these there is no map any more, or not one of a known stride. */
const mapEnds = new Set(
  (
    'GlobalAveragePool GlobalMaxPool QLinearGlobalAveragePool ReduceMean ReduceMax ReduceSum Flatten Gemm FusedGemm ' +
    'MatMul FusedMatMul QGemm QLinearMatMul Resize Upsample ConvTranspose Shape ArgMax TopK DepthToSpace'
  ).split(' '),
);

/** What only rearranges or borders a map, often into one of another rank. */
const rearranging = new Set(
  'Reshape Transpose Gather Squeeze Unsqueeze Split Cast Identity Pad PadV2 MirrorPad ZeroPadding2D'.split(' '),
);

/** Strides at which the early maps are taken: the ends of the first stages of common networks. */
const earlyStrides = [4, 8, 16];

/** Names of tensors that do not depend on the input. */
function findConstants(graph: Graph): Set<string> {
  const constants = new Set(graph.initializers.keys());
  for (const { operator, inputs, outputs } of graph.nodes)
    if (operator === 'Constant' || (inputs.length > 0 && inputs.every((name) => name === '' || constants.has(name))))
      for (const output of outputs) constants.add(output);
  return constants;
}

/** Input pixels, along a side, for each place of a map; of tensors that still are maps of the image. */
function computeStrides(graph: Graph, constants: ReadonlySet<string>): Map<string, number> {
  const strides = new Map(graph.inputs.map(({ name }) => [name, 1]));
  for (const { operator, inputs, outputs, integers } of graph.nodes) {
    if (mapEnds.has(operator)) continue;
    const before = inputs.filter((name) => !constants.has(name)).map((name) => strides.get(name) ?? 0);
    const stride = Math.max(0, ...before);
    if (stride === 0) continue;
    const isSliding = convolutions.has(operator) || pools.has(operator);
    const step = isSliding ? Math.max(1, ...(integers.strides ?? [1])) : 1;
    // Slices of every other pixel (Focus) and the like are not followed: their stride would be read too small.
    if (operator === 'SpaceToDepth' || operator === 'Slice') continue;
    for (const output of outputs) strides.set(output, stride * step);
  }
  return strides;
}

/** The classifying layer of an ordinary classifier, from its output backwards. */
function findHead(graph: Graph, constants: ReadonlySet<string>): GraphNode | undefined {
  const writers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  let node = writers.get(graph.outputs[0]?.name);
  for (let steps = 0; node !== undefined && steps < 32; steps++) {
    const varying = node.inputs.filter((name) => name !== '' && !constants.has(name));
    if (varying.length !== 1) return undefined;
    if (heads.has(node.operator)) return node;
    if (convolutions.has(node.operator)) {
      const kernel = node.integers.kernel_shape ?? graph.initializers.get(node.inputs[1])?.slice(2) ?? [];
      return kernel.length > 0 && kernel.every((side) => side === 1) ? node : undefined;
    }
    if (!afterHead.has(node.operator)) return undefined;
    node = writers.get(varying[0]);
  }
  return undefined;
}

/**
 * Finds the layers of a network that are worth comparing, from its graph alone:
 *
 * - content: what goes into the last Gemm or MatMul (or 1x1 Conv) with constant weights, walking back from the first
 *   output through softmax, reshapes and the like; for a network without such a head, such as a detector, the last map
 *   of its coarsest stage, and where there is none of these, the output itself.
 * - early: for strides 4, 8 and 16 the map that enters the first layer of a larger stride, which is the end of a stage.
 */
export function findLayers(graph: Graph): Layers {
  const constants = findConstants(graph);
  const strides = computeStrides(graph, constants);
  const written = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  const early = earlyStrides.flatMap((stride) => stageEnd(graph, strides, constants, stride) ?? []);
  const head = findHead(graph, constants);
  const input = head?.inputs.find((name) => name !== '' && !constants.has(name));
  if (head !== undefined && input !== undefined && written.has(input))
    return {
      content: input,
      reason: `what the last ${head.operator} reads`,
      early: early.filter((name) => name !== input),
      classes: describeClasses(graph),
    };
  const detector = findCells(graph);
  const coarsest = Math.max(...strides.values());
  const trunk = graph.nodes.findLast(({ outputs, operator }) => {
    return strides.get(outputs[0]) === coarsest && !rearranging.has(operator);
  });
  if (coarsest > 1 && trunk !== undefined) {
    const [content] = trunk.outputs;
    const reason = `the last map at stride ${coarsest}`;
    return { content, reason, early: early.filter((name) => name !== content), ...detector };
  }
  const [{ name, shape }] = graph.outputs;
  return { content: name, reason: 'the output', early, ...(shape?.length === 2 && { classes: name }) };
}

const scoring = /^(Sigmoid|Softmax)$/;
const passing = new Set('Sigmoid Softmax Transpose Identity Cast Relu'.split(' '));

/**
 * The scores of a detector whose output is one map that joins, cell by cell, boxes, classes and perhaps objectness: the
 * widest part behind a sigmoid or softmax, and one of a single number behind a sigmoid.
 */
function findCells(graph: Graph): Pick<Layers, 'classes' | 'cells'> | undefined {
  const [{ name, shape }] = graph.outputs;
  const writers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const join = writers.get(name);
  if (join?.operator !== 'Concat' || shape?.length !== 4) return undefined;
  let first = 0;
  const parts: { first: number; channels: number; isScore: boolean }[] = [];
  for (const input of join.inputs) {
    let node = writers.get(input);
    let isScore = false;
    while (node !== undefined && passing.has(node.operator)) {
      isScore ||= scoring.test(node.operator);
      node = writers.get(node.inputs[0]);
    }
    const channels = node && convolutions.has(node.operator) ? graph.initializers.get(node.inputs[1])?.[0] : undefined;
    if (channels === undefined) return undefined;
    parts.push({ first, channels, isScore });
    first += channels;
  }
  const last = parts[parts.length - 1];
  const objectness = parts.find(({ channels, isScore }) => isScore && channels === 1)?.first;
  // The scores are what is left of a cell's numbers from their first on.
  if (!last.isScore || last.channels < 2) return undefined;
  return { classes: name, cells: { axis: 1, ...(objectness !== undefined && { objectness }), first: last.first } };
}

/** The first output, or what its softmax reads. */
function describeClasses(graph: Graph): string {
  const [{ name }] = graph.outputs;
  const last = graph.nodes.find(({ outputs }) => outputs.includes(name));
  return last !== undefined && /^(Log)?Softmax$/.test(last.operator) ? last.inputs[0] : name;
}

/** The map at a stride that enters a layer of a larger one; the coarsest stage is what the content layer sums up. */
function stageEnd(
  graph: Graph,
  strides: ReadonlyMap<string, number>,
  constants: ReadonlySet<string>,
  stride: number,
): string | undefined {
  for (const { inputs, outputs } of graph.nodes) {
    if ((strides.get(outputs[0]) ?? 0) <= stride) continue;
    const end = inputs.find((name) => !constants.has(name) && strides.get(name) === stride);
    if (end !== undefined) return behindPadding(graph, end);
  }
  return undefined;
}

/** The map itself, where a border was added to it for the next layer. */
function behindPadding(graph: Graph, name: string): string {
  const writer = graph.nodes.find(({ outputs }) => outputs.includes(name));
  return writer !== undefined && /Pad/.test(writer.operator) ? writer.inputs[0] : name;
}
