import { type DetectorOutputs, findDetector } from './detectors.ts';
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
  classes?: string | string[];
  /** Where a detector has its scores, as in a card. */
  detector?: DetectorOutputs;
  /** Score from which on a class is part of the answer, where that is not the likeliest alone. */
  threshold?: number;
}

/** What may stand between the classifying layer and the output. */
const afterHead = new Set(
  (
    'Softmax LogSoftmax Sigmoid HardSigmoid Identity Cast Flatten Reshape Squeeze Unsqueeze Clip Relu Add Sub Mul Div ' +
    'Dropout QuantizeLinear DequantizeLinear GlobalAveragePool QLinearGlobalAveragePool QLinearSigmoid QLinearSoftmax ' +
    'QLinearAdd QLinearMul AveragePool ReduceMean Transpose LpNormalization'
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

/** Nodes in an order in which they can run: files need not have one, such as those that were made float16 afterwards. */
function sortNodes({ nodes }: Graph): GraphNode[] {
  const writers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const sorted: GraphNode[] = [];
  const state = new Map<GraphNode, 'open' | 'done'>();
  for (const first of nodes) {
    const stack = [first];
    for (let node = stack.at(-1); node !== undefined; node = stack.at(-1)) {
      // One that comes back while it is open is in a circle, or has what it waited for.
      const waiting =
        state.get(node) === undefined
          ? node.inputs.flatMap((name) => writers.get(name) ?? []).filter((writer) => !state.has(writer))
          : [];
      if (waiting.length > 0) {
        state.set(node, 'open');
        stack.push(...waiting);
        continue;
      }
      stack.pop();
      if (state.get(node) !== 'done') sorted.push(node);
      state.set(node, 'done');
    }
  }
  return sorted;
}

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

/** A classifying layer, and the output that it leads to. */
interface Head {
  node: GraphNode;
  output: string;
  /** Whether a mean over places, or a flattening, stands between. */
  isPooled: boolean;
  /** Whether a sigmoid stands between: classes that may all be there at once, or a single one. */
  isSigmoid: boolean;
  /** Whether a softmax does. */
  isSoftmax: boolean;
  /** Whole scores, quantised. */
  classes: number | undefined;
}

/** The classifying layer of an ordinary classifier, from an output backwards. */
function findHead(graph: Graph, constants: ReadonlySet<string>): Head | undefined {
  const writers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const candidates = graph.outputs.slice(0, 16).flatMap(({ name, shape }): Head[] => {
    const length = shape?.filter((side) => side !== 1).length ?? 0;
    // One row of scores for each image; an output of unknown shape may be one.
    if (length > 2) return [];
    const found = walkBack(graph, writers, constants, name);
    return found ? [{ ...found, output: name }] : [];
  });
  // Of several the one with the most classes: beside it may be an age, or whether there is a face at all.
  return candidates.reduce<Head | undefined>(
    (kept, head) => (kept === undefined || (head.classes ?? 0) > (kept.classes ?? 0) ? head : kept),
    undefined,
  );
}

function walkBack(
  graph: Graph,
  writers: ReadonlyMap<string, GraphNode>,
  constants: ReadonlySet<string>,
  output: string,
): Omit<Head, 'output'> | undefined {
  let node = writers.get(output);
  const seen = { isPooled: false, isSigmoid: false, isSoftmax: false };
  for (let steps = 0; node !== undefined && steps < 32; steps++) {
    const varying = node.inputs.filter((name) => name !== '' && !constants.has(name));
    if (varying.length !== 1) return undefined;
    const weights = node.inputs.slice(1).flatMap((name) => [graph.initializers.get(name) ?? []]);
    const [shape = []] = weights.filter(({ length }) => length > 1);
    if (heads.has(node.operator)) return { node, ...seen, classes: Math.min(...shape.slice(-2)) };
    if (convolutions.has(node.operator)) {
      const kernel = node.integers.kernel_shape ?? shape.slice(2);
      const isPoint = kernel.length > 0 && kernel.every((side) => side === 1);
      return isPoint || seen.isPooled ? { node, ...seen, classes: shape[graph.opset > 0 ? 0 : 3] } : undefined;
    }
    if (!afterHead.has(node.operator)) return undefined;
    seen.isPooled ||= /Pool|ReduceMean|Flatten/.test(node.operator);
    seen.isSigmoid ||= /Sigmoid$/.test(node.operator);
    seen.isSoftmax ||= /Softmax$/.test(node.operator);
    node = writers.get(varying[0]);
  }
  return undefined;
}

/** An embedding of fewer numbers than this says little: a wider one further back is taken, where there is one. */
const leastWidth = 32;
/** Layers between the head and the widest vector, at most. */
const maxHeadSteps = 48;

/**
 * What the head reads; or, where that is narrow because the head is of several layers, the nearest tensor before it that
 * is wide enough, or the widest.
 */
function findContent(
  graph: Graph,
  constants: ReadonlySet<string>,
  head: GraphNode,
): { content: string; by: GraphNode } | undefined {
  const writers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  let best: { content: string; by: GraphNode; width: number } | undefined;
  let node: GraphNode | undefined = head;
  for (let steps = 0; node !== undefined && steps < maxHeadSteps; steps++) {
    const varying: string[] = node.inputs.filter((name) => name !== '' && !constants.has(name));
    if (varying.length !== 1) break;
    const isWeighing = heads.has(node.operator) || convolutions.has(node.operator);
    if (isWeighing && writers.has(varying[0])) {
      const width = readWidth(graph, node);
      if (best === undefined || width > best.width) best = { content: varying[0], by: node, width };
      // Where the file does not say how wide it is, it is believed.
      if (!(best.width < leastWidth)) break;
    }
    node = writers.get(varying[0]);
  }
  return best;
}

/** Numbers, or channels, that a layer with weights reads; NaN where the file does not say. */
function readWidth(graph: Graph, { operator, inputs, integers }: GraphNode): number {
  const shape = inputs
    .slice(1)
    .map((name) => graph.initializers.get(name))
    .find((dims) => (dims?.length ?? 0) > 1);
  if (shape === undefined) return Number.NaN;
  if (convolutions.has(operator)) return graph.opset > 0 ? shape[1] * (integers.group?.[0] ?? 1) : shape[2];
  return shape.length === 2 ? shape[integers.transB?.[0] === 1 ? 1 : 0] : Number.NaN;
}

/**
 * Finds the layers of a network that are worth comparing, from its graph alone:
 *
 * - content: what goes into the last Gemm or MatMul (or 1x1 Conv) with constant weights, walking back from the first
 *   output through softmax, reshapes and the like; for a network without such a head, such as a detector, the last map
 *   of its coarsest stage, and where there is none of these, the output itself.
 * - early: for strides 4, 8 and 16 the map that enters the first layer of a larger stride, which is the end of a stage.
 */
export function findLayers(given: Graph): Layers {
  const graph = { ...given, nodes: sortNodes(given) };
  const constants = findConstants(graph);
  const strides = computeStrides(graph, constants);
  const early = earlyStrides.flatMap((stride) => stageEnd(graph, strides, constants, stride) ?? []);
  const detector = findDetector(graph);
  const head = detector ? undefined : findHead(graph, constants);
  const found = head && findContent(graph, constants, head.node);
  if (head && found)
    return {
      content: found.content,
      reason:
        found.by === head.node
          ? `what the last ${head.node.operator} reads`
          : `what a ${found.by.operator} before the last layer reads, which reads few numbers`,
      early: early.filter((name) => name !== found.content),
      ...describeClasses(graph, head),
    };
  const scores = detector && { classes: detector.classes, detector, threshold: usualThreshold };
  const trunk = findTrunk(graph, strides, constants);
  if (trunk !== undefined) return { ...trunk, early: early.filter((name) => name !== trunk.content), ...scores };
  const [{ name, shape }] = graph.outputs;
  return { content: name, reason: 'the output', early, ...(shape?.length === 2 && { classes: name }), ...scores };
}

/**
 * The last map of the coarsest stage that is wide enough, or the widest; never an output, whose few channels are answers.
 * Where the file does not say how wide maps are, the last.
 */
function findTrunk(
  graph: Graph,
  strides: ReadonlyMap<string, number>,
  constants: ReadonlySet<string>,
): Pick<Layers, 'content' | 'reason'> | undefined {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const widths = computeWidths(graph, constants);
  const inner = findInner(graph);
  const maps = graph.nodes.filter(({ operator, outputs: [name] }) => {
    return strides.has(name) && !outputs.has(name) && !rearranging.has(operator);
  });
  const width = ({ outputs: [name] }: GraphNode) => widths.get(name) ?? leastWidth;
  const coarsest = maps.reduce((most, { outputs: [name] }) => Math.max(most, strides.get(name) ?? 0), 0);
  if (coarsest <= 1) return undefined;
  const all = maps.filter(({ outputs: [name] }) => strides.get(name) === coarsest);
  const within = all.filter(({ outputs: [name] }) => inner.has(name));
  const stage = within.length > 0 ? within : all;
  const widest = stage.reduce((kept, node) => (width(node) >= width(kept) ? node : kept));
  const trunk = stage.findLast((node) => width(node) >= leastWidth) ?? widest;
  return { content: trunk.outputs[0], reason: `the last map at stride ${coarsest}` };
}

/** Tensors that a later layer with weights makes something of: all but the answers of the last layers. */
function findInner(graph: Graph): Set<string> {
  const inner = new Set<string>();
  for (const { operator, inputs, outputs } of graph.nodes.toReversed())
    if (convolutions.has(operator) || heads.has(operator) || outputs.some((name) => inner.has(name)))
      for (const name of inputs) inner.add(name);
  return inner;
}

/** Channels of maps, where the weights that made them say so. */
function computeWidths(graph: Graph, constants: ReadonlySet<string>): Map<string, number> {
  const widths = new Map<string, number>();
  for (const node of graph.nodes) {
    const { operator, inputs, outputs, integers } = node;
    const before = inputs.filter((name) => !constants.has(name)).map((name) => widths.get(name));
    let width: number | undefined;
    if (convolutions.has(operator)) {
      const shape = inputs
        .slice(1)
        .map((name) => graph.initializers.get(name))
        .find((dims) => dims?.length === 4);
      // TensorFlow's depthwise kernels have the input's channels third, and how many each becomes last.
      const isDepthwise = graph.opset === 0 && integers.depthwise !== undefined;
      width = shape && (graph.opset > 0 ? shape[0] : isDepthwise ? shape[2] * shape[3] : shape[3]);
    } else if (/^Concat/.test(operator)) {
      width = before.every((count) => count !== undefined)
        ? before.reduce<number>((sum, count) => sum + (count ?? 0), 0)
        : undefined;
    } else if (!rearranging.has(operator) && !mapEnds.has(operator)) {
      width =
        before.every((count) => count !== undefined) && before.length > 0
          ? Math.max(...(before as number[]))
          : undefined;
    }
    if (width === undefined) continue;
    for (const name of outputs) widths.set(name, width);
  }
  return widths;
}

/** Score from which on a class counts where several may be there. */
const usualThreshold = 0.5;

/** The output of a classifier, or what its softmax reads; and from which score on a class of it is there. */
function describeClasses(
  graph: Graph,
  { output, isSigmoid, isSoftmax, classes }: Head,
): Pick<Layers, 'classes' | 'threshold'> {
  const last = graph.nodes.find(({ outputs }) => outputs.includes(output));
  if (last !== undefined && /^(Log)?Softmax$/.test(last.operator)) return { classes: last.inputs[0] };
  if (isSoftmax) return { classes: output };
  if (isSigmoid) return { classes: output, threshold: usualThreshold };
  // The logit of a single class: from 0 on it is likelier there than not.
  return { classes: output, ...(classes === 1 && { threshold: 0 }) };
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
