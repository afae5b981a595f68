import type { Constant, Constants } from './constants.ts';
import type { Graph, GraphNode } from './graph.ts';

/** One channel of a tensor as a function of one channel of the input: input[from] * scale + shift. */
export interface LeadingChannel {
  from: number;
  scale: number;
  shift: number;
}

/** What a network does to its input before its first layer. */
export interface Leading {
  /** The channels that the first layer reads. */
  channels: LeadingChannel[];
  /** The first layer with weights; absent where something else comes first. */
  layer?: GraphNode;
  /** Which axis of what it reads holds the channels. */
  axis: number;
  /** The numbers that a quantised input can hold: least and most. */
  range?: [number, number];
}

/** A tensor whose channels are known. `axis` is -1 where one channel was picked and its axis dropped. */
interface Form {
  rank: number;
  axis: number;
  channels: LeadingChannel[];
}

const passing = new Set(
  (
    'Cast Identity Dropout StopGradient EnsureShape CheckNumerics Snapshot Pad PadV2 MirrorPad ZeroPadding2D Resize ' +
    'Upsample QuantizeLinear DequantizeLinear FakeQuantWithMinMaxVars'
  ).split(' '),
);
/** Long enough for every preprocessing that exporters write into a graph. */
const maxSteps = 400;
/** Most channels in front of the first layer; images have four. */
const maxChannels = 4096;

/**
 * Follows the image from the input of a network to its first layer through what is linear in each channel: scaling,
 * offsets, batch normalisation, transposes, and channels that are picked, reversed and joined.
 */
export function readLeading(
  graph: Graph,
  constants: Constants,
  input: { name: string; layout: 'NCHW' | 'NHWC'; channels: number },
): Leading {
  const plain = Array.from({ length: input.channels }, (_, from) => ({ from, scale: 1, shift: 0 }));
  const forms = new Map<string, Form>([
    [input.name, { rank: 4, axis: input.layout === 'NCHW' ? 1 : 3, channels: plain }],
  ]);
  let last = forms.get(input.name) as Form;
  let range: Leading['range'];
  let steps = 0;
  // Files need not list nodes in the order in which they run.
  for (let isMoving = true; isMoving; ) {
    isMoving = false;
    for (const node of graph.nodes) {
      const known = node.inputs.some((name) => forms.has(name));
      if (!known || node.outputs.every((name) => forms.has(name))) continue;
      const form = forms.get(node.inputs[0]);
      if (form && isLayer(node))
        return { channels: form.channels, axis: form.axis, layer: node, ...(range && { range }) };
      if (++steps > maxSteps) return { channels: last.channels, axis: last.axis };
      if (node.operator === 'QuantizeLinear' && form && isPlain(form.channels)) range ??= readRange(node, constants);
      const outputs = apply(node, forms, constants);
      for (const [i, name] of node.outputs.entries()) {
        if (!outputs?.[i] || forms.has(name)) continue;
        forms.set(name, outputs[i]);
        last = outputs[i];
        isMoving = true;
      }
    }
  }
  return { channels: last.channels, axis: last.axis, ...(range && { range }) };
}

export const isPlain = (channels: readonly LeadingChannel[]) =>
  channels.every(({ from, scale, shift }, i) => from === i && scale === 1 && shift === 0);

function isLayer({ operator, inputs }: GraphNode): boolean {
  return /^(Conv|FusedConv|QLinearConv|ConvInteger|NhwcFusedConv)$/.test(operator) && inputs.length > 0;
}

/** (0 - zero point) * scale and (255 - zero point) * scale; a signed type is told by its zero point being there. */
function readRange({ inputs }: GraphNode, constants: Constants): Leading['range'] {
  const scale = constants.get(inputs[1])?.values[0];
  const zero = constants.get(inputs[2]);
  if (scale === undefined) return undefined;
  const [at, isSigned] = [zero?.values[0] ?? 0, zero?.isSigned === true];
  const [least, most] = isSigned ? [-128, 127] : [0, 255];
  return [(least - at) * scale, (most - at) * scale];
}

/** The forms of a node's outputs; nothing where they are not linear in each channel. */
function apply(
  node: GraphNode,
  forms: ReadonlyMap<string, Form>,
  constants: Constants,
): (Form | undefined)[] | undefined {
  const { operator, inputs, integers } = node;
  const [first] = inputs;
  const form = forms.get(first);
  if (operator === 'Concat' || operator === 'ConcatV2' || operator === 'Concatenate') {
    const parts = inputs.map((name) => forms.get(name)).filter((part) => part !== undefined);
    const isWhole = parts.length === inputs.length - (operator === 'ConcatV2' ? 1 : 0);
    const [{ rank, axis }] = parts;
    if (!isWhole || parts.some((part) => part.axis !== axis)) return undefined;
    // Of a few joints in a row each may double what came before.
    if (parts.reduce((sum, { channels }) => sum + channels.length, 0) > maxChannels) return undefined;
    return [{ rank, axis, channels: parts.flatMap(({ channels }) => channels) }];
  }
  if (/^(Add|Sub|Mul|Div)$/.test(operator)) return calculate(node, forms, constants);
  if (form === undefined) return undefined;
  if (passing.has(operator)) return [form];
  const list = (name: string, place: number) =>
    integers[name] ??
    (constants.has(inputs[place]) ? Array.from((constants.get(inputs[place]) as Constant).values) : undefined);
  if (operator === 'Rescaling') {
    const [scale, shift] = [node.numbers?.scale?.[0] ?? 1, node.numbers?.offset?.[0] ?? 0];
    return [
      {
        ...form,
        channels: form.channels.map((c) => ({ ...c, scale: c.scale * scale, shift: c.shift * scale + shift })),
      },
    ];
  }
  if (/^(BatchNormalization|FusedBatchNorm(V2|V3)?)$/.test(operator)) return normalise(form, node, constants);
  if (operator === 'Transpose' || operator === 'Permute') {
    const perm = list('perm', 1);
    return perm && perm.length === form.rank ? [{ ...form, axis: perm.indexOf(form.axis) }] : undefined;
  }
  if (/^(Unsqueeze|ExpandDims)$/.test(operator)) {
    const [at] = list('axes', 1) ?? [];
    if (at === undefined) return undefined;
    const place = at < 0 ? at + form.rank + 1 : at;
    return [{ ...form, rank: form.rank + 1, axis: form.axis < 0 ? place : form.axis + (place <= form.axis ? 1 : 0) }];
  }
  return pickChannels(node, form, constants, list);
}

/** Operators that take channels apart, or turn their order. */
function pickChannels(
  { operator, inputs, outputs, integers }: GraphNode,
  form: Form,
  constants: Constants,
  list: (name: string, place: number) => number[] | undefined,
): (Form | undefined)[] | undefined {
  const along = (axis: number | undefined) => axis !== undefined && (axis < 0 ? axis + form.rank : axis) === form.axis;
  const { channels } = form;
  const pick = (indices: readonly number[], isScalar = false): Form | undefined => {
    const chosen = indices.map((i) => channels[i < 0 ? i + channels.length : i]);
    if (chosen.some((channel) => channel === undefined)) return undefined;
    return isScalar ? { rank: form.rank - 1, axis: -1, channels: chosen } : { ...form, channels: chosen };
  };
  if (operator === 'Gather' || operator === 'GatherV2') {
    const indices = constants.get(inputs[1]);
    const axis = operator === 'GatherV2' ? list('axis', 2)?.[0] : (integers.axis?.[0] ?? 0);
    return indices && along(axis) ? [pick(Array.from(indices.values), indices.shape.length === 0)] : undefined;
  }
  if (operator === 'ReverseV2')
    return list('axis', 1)?.some(along) ? [{ ...form, channels: channels.toReversed() }] : [form];
  if (operator === 'Split' || operator === 'SplitV') {
    const isAlong = along(integers.axis?.[0] ?? 0) || (operator === 'SplitV' && along(list('axis', 2)?.[0]));
    return isAlong && outputs.length === channels.length
      ? channels.map((channel) => ({ ...form, channels: [channel] }))
      : undefined;
  }
  if (operator === 'StridedSlice') {
    const strides = constants.get(inputs[3])?.values;
    const isReversed = strides?.[strides.length - 1] === -1 && form.axis === form.rank - 1;
    return isReversed ? [{ ...form, channels: channels.toReversed() }] : undefined;
  }
  if (operator !== 'Slice') return undefined;
  const [starts, ends] = [list('starts', 1), list('ends', 2)];
  if (!starts || !ends) return undefined;
  const axes = list('axes', 3) ?? starts.map((_, i) => i);
  const steps = list('steps', 4) ?? starts.map(() => 1);
  const at = axes.findIndex(along);
  if (at < 0) return [form];
  const clamp = (value: number) => Math.max(-1, Math.min(channels.length, value < 0 ? value + channels.length : value));
  const indices: number[] = [];
  const [from, to, step] = [
    clamp(starts[at]),
    steps[at] < 0 && ends[at] < -channels.length ? -1 : clamp(ends[at]),
    steps[at],
  ];
  for (let i = Math.min(from, channels.length - 1); step !== 0 && (step > 0 ? i < to : i > to); i += step)
    indices.push(i);
  return [pick(indices)];
}

/** Arithmetic with one constant that is the same everywhere, or one for each channel. */
function calculate(
  { operator, inputs: [left, right] }: GraphNode,
  forms: ReadonlyMap<string, Form>,
  constants: Constants,
): [Form] | undefined {
  const form = forms.get(left) ?? forms.get(right);
  const isTurned = !forms.has(left);
  const constant = constants.get(isTurned ? left : right);
  if (!form || !constant) return undefined;
  const values = spread(constant, form);
  if (values === undefined) return undefined;
  const channels = form.channels.map(({ from, scale, shift }, i): LeadingChannel => {
    const value = values[i];
    if (operator === 'Mul') return { from, scale: scale * value, shift: shift * value };
    if (operator === 'Div' && !isTurned) return { from, scale: scale / value, shift: shift / value };
    if (operator === 'Add') return { from, scale, shift: shift + value };
    if (operator === 'Sub')
      return isTurned ? { from, scale: -scale, shift: value - shift } : { from, scale, shift: shift - value };
    return { from, scale: Number.NaN, shift: 0 };
  });
  return channels.every(({ scale, shift }) => Number.isFinite(scale) && Number.isFinite(shift))
    ? [{ ...form, channels }]
    : undefined;
}

/** One number for each channel, by the rules of broadcasting. */
function spread({ shape, values }: Constant, { rank, axis, channels }: Form): number[] | undefined {
  if (values.length === 1) return channels.map(() => values[0]);
  const place = axis - rank + shape.length;
  return axis >= 0 && values.length === channels.length && shape[place] === values.length
    ? Array.from(values)
    : undefined;
}

/** Scale, offset, mean and variance in that order, in ONNX as in TensorFlow. */
export function readNormalisation({ inputs, name }: GraphNode, constants: Constants) {
  const [gain, offset, mean, variance] =
    inputs.length >= 5
      ? inputs.slice(1, 5).map((input) => constants.get(input)?.values)
      : ['gamma', 'beta', 'moving_mean', 'moving_variance'].map((part) => constants.get(`${name}/${part}`)?.values);
  if (!mean || !variance) return undefined;
  const at = (values: ArrayLike<number> | undefined, i: number, usual: number) => values?.[i] ?? usual;
  return Array.from(mean, (centre, i) => {
    const scale = at(gain, i, 1) / Math.sqrt(variance[i] + 1e-5);
    return { mean: centre, variance: variance[i], scale, shift: at(offset, i, 0) - centre * scale };
  });
}

function normalise(form: Form, node: GraphNode, constants: Constants): [Form] | undefined {
  const rows = readNormalisation(node, constants);
  if (rows?.length !== form.channels.length) return undefined;
  const channels = form.channels.map(({ from, scale, shift }, i) => ({
    from,
    scale: scale * rows[i].scale,
    shift: shift * rows[i].scale + rows[i].shift,
  }));
  return [{ ...form, channels }];
}
