import { StoplineError } from '../../errors.ts';
import type { ModelCard } from './cardschema.ts';
import type { Constants } from './constants.ts';
import type { Graph, GraphValue } from './graph.ts';
import { findLayers, type Layers } from './layers.ts';
import { readLeading } from './leading.ts';
import { proposePixels, type Range } from './pixels.ts';

/** A card made from a graph alone, and what in it is only a guess. */
export interface ProposedCard {
  card: ModelCard;
  /** Sentences for a person who knows how the model was trained; the fields that they are about are `card.assumed`. */
  guesses: string[];
  /** Sentences about what was not obvious and is known all the same. */
  known: string[];
  /** Ranges of the pixels that nothing in the file speaks against. */
  ranges: readonly Range[];
}

/**
 * Checks that a card is about this graph: the input is there and takes what the card says, every tensor it names exists.
 * @throws {StoplineError} MODEL_CARD, MODEL_OPERATOR for a tensor that cannot be computed
 */
export function checkCardFits(card: ModelCard, graph: Graph): void {
  const { input, outputs } = card;
  const value = graph.inputs.find((candidate) => candidate.name === input.name);
  if (value === undefined)
    throw new StoplineError(
      'MODEL_CARD',
      `Expected one of ${graph.inputs.map((v) => JSON.stringify(v.name)).join(', ')} for input.name but received ${JSON.stringify(input.name)}.`,
    );
  const wanted =
    input.layout === 'NCHW' ? [input.channels, input.height, input.width] : [input.height, input.width, input.channels];
  const has = value.shape?.slice(1);
  if (has !== undefined && (has.length !== 3 || has.some((side, i) => typeof side === 'number' && side !== wanted[i])))
    throw new StoplineError(
      'MODEL_CARD',
      `Expected an input of ${shapeText(value)} in the card but received ${input.layout} ${wanted.join(' x ')}.`,
    );
  const written = new Set(graph.nodes.flatMap((node) => node.outputs));
  const lost = namedOutputs(card).filter((output) => graph.refused?.tensors.has(output));
  if (lost.length > 0) throw makeRefusal(graph, lost.map((output) => JSON.stringify(output)).join(', '));
  const absent = namedOutputs(card).filter((output) => !written.has(output));
  if (absent.length > 0)
    throw new StoplineError(
      'MODEL_CARD',
      `Expected tensors of the model in outputs but received ${absent.map((output) => JSON.stringify(output)).join(', ')}.`,
    );
  const type = inputTypes[value.type];
  if (type !== undefined && value.type !== 0 && type !== (input.type ?? 'float32'))
    throw new StoplineError(
      'MODEL_CARD',
      `Expected input.type ${type}, which the model takes, but received ${input.type ?? 'float32'}.`,
    );
  if (outputs.objectness && outputs.objectness.length !== classTensors(outputs).length)
    throw new StoplineError(
      'MODEL_CARD',
      `Expected as many tensors in outputs.objectness as in outputs.classes, ${classTensors(outputs).length}, but received ${outputs.objectness.length}.`,
    );
  if (outputs.early.includes(outputs.content))
    throw new StoplineError('MODEL_CARD', 'Expected outputs.early without outputs.content but it is among them.');
}

/** Names of operators that one message lists. */
const maxListed = 16;

function makeRefusal({ refused }: Graph, what: string): StoplineError {
  const { operators = [] } = refused ?? {};
  const listed = operators.slice(0, maxListed).map((name) => JSON.stringify(name.slice(0, 60)));
  const more = operators.length > maxListed ? ` and ${operators.length - maxListed} more` : '';
  return new StoplineError(
    'MODEL_OPERATOR',
    `Expected operators that TensorFlow.js runs without loops and chance but ${what} needs ${listed.join(', ')}${more}. ` +
      'Name tensors before those in a card, or convert the model to ONNX (docs/models.md).',
  );
}

/** Every tensor that the card asks for, each once. */
export function namedOutputs({ outputs }: ModelCard): string[] {
  const { content, early, labels, objectness = [] } = outputs;
  const all = [content, ...early, ...classTensors(outputs), ...objectness, ...(labels === undefined ? [] : [labels])];
  return [...new Set(all)];
}

/** The tensors of class scores, of which there are several where a detector has one for each stride. */
export function classTensors({ classes }: ModelCard['outputs']): string[] {
  return classes === undefined ? [] : Array.isArray(classes) ? classes : [classes];
}

export function shapeText({ shape }: GraphValue): string {
  return shape === undefined ? 'an unknown shape' : shape.map((dimension) => dimension ?? '?').join(' x ');
}

/** Side of the input where the graph leaves it open. */
const usualSide = 224;

/** `TensorProto.DataType` of inputs that images can go into, and what a card calls them. */
const inputTypes: Record<number, NonNullable<ModelCard['input']['type']>> = {
  0: 'float32',
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  6: 'int32',
  10: 'float16',
};

/**
 * Proposes a card from the graph: what it says for sure, and for the rest what is most likely, which `card.assumed` lists
 * until a person or a probe confirms it.
 * @param constants small tensors of the model, which say how it was fed; none: only what the graph says
 * @throws {StoplineError} MODEL_UNSUPPORTED when no input is an image, MODEL_OPERATOR when no output can be computed
 */
export function proposeCard(
  graph: Graph,
  about: {
    sha256: string;
    name: string;
    kind: ModelCard['kind'];
    layout?: 'NCHW' | 'NHWC';
    constants?: Constants;
  },
): ProposedCard {
  const { constants = new Map() } = about;
  if (graph.outputs.length === 0 && graph.refused) throw makeRefusal(graph, 'every output');
  const found = findImage(graph, constants, about.layout);
  const { value, layout, height, width, channels } = found;
  const layers = findLayers(graph);
  const isClassifier = layers.classes !== undefined && layers.detector === undefined;
  const pixels = proposePixels(graph, constants, {
    name: value.name,
    type: value.type,
    layout,
    channels,
    isClassifier,
  });
  const type = inputTypes[value.type];
  const open = Object.entries({ width, height }).filter(([, side]) => side === undefined);
  const guesses = [
    ...open.map(([side]) => `input.${side}: the graph leaves it open, ${usualSide} is usual`),
    'input.kernel, input.fit: how the classifier is fed in production',
    ...pixels.reasons.filter((reason) => pixels.assumed.some((field) => reason.split(':')[0].includes(field))),
    'licence: not said in the file',
    `outputs.content: ${layers.reason}`,
    ...describeAnswers(layers),
  ];
  const assumed = [
    ...open.map(([side]) => `input.${side}`),
    ...['input.kernel', 'input.fit', ...pixels.assumed.map((field) => `input.${field}`), 'outputs.content'],
    ...(layers.classes === undefined ? [] : ['outputs.classes']),
    ...(layers.detector?.cells ? ['outputs.cells'] : []),
    ...(layers.threshold === undefined ? [] : ['outputs.threshold']),
  ];
  const { colour, scale, mean, std } = pixels;
  const { kind: _, ...scores } = layers.detector ?? { kind: '' };
  const card: ModelCard = {
    format: 'stopline-model-card',
    version: 1,
    name: about.name,
    kind: about.kind,
    sha256: about.sha256,
    licence: 'unknown',
    input: {
      ...{ name: value.name, layout, ...(type === 'float32' ? {} : { type }) },
      ...{ width: width ?? usualSide, height: height ?? usualSide, channels },
      ...{ kernel: 'bilinear-antialias', fit: 'stretch', colour, scale, mean, std },
    },
    outputs: {
      content: layers.content,
      early: layers.early,
      ...(layers.classes === undefined ? {} : { classes: layers.classes }),
      ...scores,
      ...(layers.threshold === undefined ? {} : { threshold: layers.threshold }),
    },
    assumed,
    answers: [],
  };
  return {
    card,
    guesses,
    known: pixels.reasons.filter((reason) => !guesses.includes(reason)),
    ranges: pixels.possible,
  };
}

function describeAnswers({ detector, threshold, classes }: Layers): string[] {
  const sure = `whose answer is the classes of at least ${threshold}`;
  if (detector) return [`outputs.classes, cells, threshold: a detector (${detector.kind}), ${sure}`];
  if (classes === undefined) return [];
  return [
    threshold === undefined
      ? 'outputs.classes: whose answer is the likeliest class'
      : `outputs.classes, threshold: a classifier ${sure}`,
  ];
}

/** The input that takes images, where its colours are, and its sides as far as the file says them. */
function findImage(graph: Graph, constants: Constants, usual?: 'NCHW' | 'NHWC') {
  const candidates = graph.inputs.flatMap((value) => {
    const layout = detectLayout(value, usual);
    return layout !== undefined && inputTypes[value.type] !== undefined ? [{ value, layout }] : [];
  });
  // A number that is given beside the image may have no shape in the file.
  const found = candidates.find(({ value }) => value.shape !== undefined) ?? candidates[0];
  if (found === undefined)
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected an input of images (N x C x H x W or N x H x W x C, of float32, float16, uint8, int8 or int32) but received ${graph.inputs
        .map((value) => `${JSON.stringify(value.name)} of ${shapeText(value)}, type ${value.type}`)
        .join('; ')}.`,
    );
  const { value } = found;
  const sides = value.shape ?? [null, null, null, null];
  // Where the file leaves all open, the first layer says where it looks for colours.
  const isOpen = typeof sides[1] !== 'number' && typeof sides[3] !== 'number';
  const layout = isOpen ? followLayout(graph, constants, value.name, found.layout) : found.layout;
  const [depth, height, width] = layout === 'NCHW' ? [sides[1], sides[2], sides[3]] : [sides[3], sides[1], sides[2]];
  const whole = (side: number | string | null) => (typeof side === 'number' ? side : undefined);
  const channels =
    (whole(depth) ?? countColours(graph, constants, { name: value.name, layout })) === 1 ? (1 as const) : (3 as const);
  return { value, layout, channels, height: whole(height), width: whole(width) };
}

/** The layout under which the first layer finds the channels where its kind of runtime has them. */
function followLayout(graph: Graph, constants: Constants, name: string, usual: 'NCHW' | 'NHWC'): 'NCHW' | 'NHWC' {
  const wanted = graph.opset > 0 ? 1 : 3;
  const fits = (layout: 'NCHW' | 'NHWC') => {
    const { layer, axis } = readLeading(graph, constants, { name, layout, channels: 3 });
    return layer !== undefined && axis === wanted;
  };
  const other = usual === 'NCHW' ? 'NHWC' : 'NCHW';
  return !fits(usual) && fits(other) ? other : usual;
}

/** Channels that the first layer reads, where its weights say so. */
function countColours(
  graph: Graph,
  constants: Constants,
  input: { name: string; layout: 'NCHW' | 'NHWC' },
): number | undefined {
  const { layer } = readLeading(graph, constants, { ...input, channels: 3 });
  const shape = layer && graph.initializers.get(layer.inputs[1]);
  return shape?.length === 4 ? shape[graph.opset > 0 ? 1 : 2] : undefined;
}

/** Where the colours are; where the file does not say, what the framework does. */
function detectLayout({ shape }: GraphValue, usual: 'NCHW' | 'NHWC' = 'NCHW'): 'NCHW' | 'NHWC' | undefined {
  if (shape === undefined) return usual;
  if (shape.length !== 4) return undefined;
  const isDepth = (dimension: number | string | null) => dimension === 1 || dimension === 3;
  if (isDepth(shape[1]) && !isDepth(shape[3])) return 'NCHW';
  if (isDepth(shape[3]) && !isDepth(shape[1])) return 'NHWC';
  const isOpen = (dimension: number | string | null) => typeof dimension !== 'number';
  return isDepth(shape[1]) || isOpen(shape[1]) || isOpen(shape[3]) ? usual : undefined;
}
