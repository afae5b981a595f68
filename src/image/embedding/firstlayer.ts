import type { Constants } from './constants.ts';
import type { Graph } from './graph.ts';
import { type Leading, readNormalisation } from './leading.ts';

/** Pixels of photographs as shares of 255: means and deviations of ImageNet, red first. */
export const photographs = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
/** How alike the colours of one pixel, and the same colour of neighbouring pixels, are in photographs. */
const alike = { colours: 0.95, neighbours: 0.96 } as const;

/** How a pixel from 0 to 255 becomes a number: (pixel * scale - mean) / std, channels in the model's order. */
export interface PixelRule {
  colour: 'RGB' | 'BGR';
  scale: number;
  mean: number[];
  std: number[];
}

/** A filter of the first layer: a weight for each channel at each place of its window. */
interface Filter {
  taps: { channel: number; x: number; y: number; weight: number }[];
  bias: number;
}

/** The filters of the first layer, and what a batch normalisation behind it saw of them in training. */
export interface FirstLayer {
  filters: Filter[];
  trained?: { mean: number; variance: number }[];
}

/** Filters that are looked at, at most. */
const maxFilters = 64;

/** Reads the first layer, where its weights are known. */
export function readFirstLayer(graph: Graph, constants: Constants, leading: Leading): FirstLayer | undefined {
  const { layer, channels } = leading;
  if (layer === undefined || !/^(Conv|FusedConv)$/.test(layer.operator)) return undefined;
  const weights = constants.get(layer.inputs[1]) ?? findWeights(constants, layer.name, 'kernel');
  if (weights?.shape.length !== 4) return undefined;
  const { shape, values } = weights;
  // ONNX: output, input, height, width. TensorFlow: height, width, input, output.
  const isOnnx = graph.opset > 0;
  const [outputs, depth, height, width] = isOnnx ? shape : [shape[3], shape[2], shape[0], shape[1]];
  const isDepthwise = isOnnx ? depth === 1 && channels.length > 1 : false;
  if (depth !== channels.length && !isDepthwise) return undefined;
  const biases = constants.get(layer.inputs[2]) ?? findWeights(constants, layer.name, 'bias');
  const follower = (name: string) => graph.nodes.find(({ inputs }) => inputs[0] === name);
  let next = follower(layer.outputs[0]);
  let added: ArrayLike<number> | undefined = biases?.values;
  if (next?.operator === 'Add' && added === undefined) {
    added = constants.get(next.inputs[1])?.values;
    next = follower(next.outputs[0]);
  }
  const chosen = Array.from({ length: Math.min(outputs, maxFilters) }, (_, i) => i);
  const filters = chosen.map((output): Filter => {
    const taps: Filter['taps'] = [];
    for (let c = 0; c < depth; c++)
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const at = isOnnx
            ? ((output * depth + c) * height + y) * width + x
            : ((y * width + x) * depth + c) * outputs + output;
          const channel = isDepthwise ? Math.floor((output * channels.length) / outputs) : c;
          taps.push({ channel, x, y, weight: values[at] });
        }
    return { taps, bias: added && added.length === outputs ? added[output] : 0 };
  });
  const isNormalised = next !== undefined && /^(BatchNormalization|FusedBatchNorm(V2|V3)?)$/.test(next.operator);
  const rows = isNormalised && next ? readNormalisation(next, constants) : undefined;
  // What it was before training says nothing.
  const isTrained =
    rows?.length === outputs && rows.some(({ mean, variance }) => mean !== 0 || Math.abs(variance - 1) > 1e-3);
  return { filters, ...(isTrained && { trained: chosen.map((i) => rows[i]) }) };
}

/** Weights of a Keras layer, whose names may have folders in front. */
function findWeights(constants: Constants, layer: string, part: string) {
  const exact = constants.get(`${layer}/${part}`);
  if (exact || layer === '') return exact;
  for (const [name, constant] of constants) if (name.endsWith(`/${layer}/${part}`)) return constant;
  return undefined;
}

/** What the first layer would answer to photographs that are preprocessed by a rule. */
export interface Fitness {
  /**
   * How far means and deviations are from those that a batch normalisation behind the layer saw in training, in its
   * deviations; 0 is perfect. Absent where there is none.
   */
  misfit?: number;
  /** The median deviation of its filters. Networks are trained towards 1. */
  deviation: number;
}

/** Compares a first layer with photographs: see `Fitness`. */
export function measureFitness({ filters, trained }: FirstLayer, { channels }: Leading, rule: PixelRule): Fitness {
  let sum = 0;
  const deviations: number[] = [];
  for (const [i, filter] of filters.entries()) {
    const { mean, deviation } = answerPhotographs(filter, channels, rule);
    if (!(deviation > 0)) continue;
    deviations.push(deviation);
    if (!trained) continue;
    const spread = Math.sqrt(Math.max(trained[i].variance, 1e-12));
    // One odd filter must not decide.
    sum += Math.min(9, ((mean - trained[i].mean) / spread) ** 2) + Math.min(9, Math.log(deviation / spread) ** 2);
  }
  const deviation = deviations.sort((a, b) => a - b)[deviations.length >> 1] ?? 0;
  return { deviation, ...(trained && { misfit: sum / filters.length }) };
}

function answerPhotographs({ taps, bias }: Filter, channels: Leading['channels'], rule: PixelRule) {
  const source = channels.map(({ from, scale, shift }) => {
    const colour = rule.colour === 'BGR' && rule.mean.length === 3 ? 2 - from : from;
    const [gain, centre] = [(255 * rule.scale) / rule.std[from], photographs.mean[colour]];
    const mean = gain * centre - rule.mean[from] / rule.std[from];
    return { mean: mean * scale + shift, deviation: gain * photographs.std[colour] * scale };
  });
  let mean = bias;
  let variance = 0;
  for (const one of taps) {
    mean += one.weight * source[one.channel].mean;
    const weighted = one.weight * source[one.channel].deviation;
    for (const other of taps) {
      const distance = Math.hypot(one.x - other.x, one.y - other.y);
      const likeness = alike.neighbours ** distance * (one.channel === other.channel ? 1 : alike.colours);
      variance += weighted * other.weight * source[other.channel].deviation * likeness;
    }
  }
  return { mean, deviation: Math.sqrt(Math.max(0, variance)) };
}
