import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { StoplineError } from '../errors.ts';
import type { Graph, GraphValue } from './graph.ts';
import { findLayers } from './layers.ts';

/** Version of the card's layout and of the meaning of everything in it. */
export const cardVersion = 1;

const closed = { additionalProperties: false };
const name = Type.String({ minLength: 1, maxLength: 4096 });
const perChannel = Type.Array(Type.Number(), { minItems: 1, maxItems: 3 });
const side = Type.Integer({ minimum: 1, maximum: 4096 });

/** What must be known of a model, beside the model itself, to ask it about an image; a small JSON file. */
export const ModelCardSchema = Type.Object(
  {
    format: Type.Literal('stopline-model-card'),
    version: Type.Literal(cardVersion),
    name: Type.String({ minLength: 1, maxLength: 128 }),
    /** Who runs it: ONNX Runtime, TensorFlow.js (graph or layers model), or TensorFlow itself through tfjs-node. */
    kind: Type.Union([
      Type.Literal('onnx'),
      Type.Literal('tfjs-graph'),
      Type.Literal('tfjs-layers'),
      Type.Literal('saved-model'),
    ]),
    /** Of the model file; of several files, of all of them one after the other. */
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** An SPDX identifier, or `unknown`. */
    licence: Type.String({ minLength: 1, maxLength: 200 }),
    /** What it is, what it was trained on, how to repeat that. */
    description: Type.Optional(Type.String({ maxLength: 4000 })),
    /** `InputRule` of preprocess.ts, and what the input tensor is called. */
    input: Type.Object(
      {
        name,
        layout: Type.Union([Type.Literal('NCHW'), Type.Literal('NHWC')]),
        width: side,
        height: side,
        channels: Type.Union([Type.Literal(1), Type.Literal(3)]),
        kernel: Type.Union([
          Type.Literal('bilinear-antialias'),
          Type.Literal('bicubic-antialias'),
          Type.Literal('bilinear'),
          Type.Literal('area'),
        ]),
        fit: Type.Union([Type.Literal('stretch'), Type.Literal('crop')]),
        keep: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
        colour: Type.Union([Type.Literal('RGB'), Type.Literal('BGR')]),
        scale: Type.Number(),
        mean: perChannel,
        std: Type.Array(Type.Number({ exclusiveMinimum: 0 }), { minItems: 1, maxItems: 3 }),
      },
      closed,
    ),
    outputs: Type.Object(
      {
        /** The embedding: a vector, or a map whose channel means are taken. */
        content: name,
        /** Channel maps of early stages. */
        early: Type.Array(name, { maxItems: 8 }),
        /** Class scores, where it is a classifier or a detector. */
        classes: Type.Optional(name),
        /** Of a detector, whose `classes` has scores for each cell or box: where they stand among a cell's numbers. */
        cells: Type.Optional(
          Type.Object(
            {
              /** Of `classes`; the numbers of one cell lie along it. */
              axis: Type.Integer({ minimum: 1, maximum: 3 }),
              /** Number by which every class score is multiplied: whether there is anything at all. */
              objectness: Type.Optional(Type.Integer({ minimum: 0, maximum: 4095 })),
              /** The first class score; the rest follow. */
              first: Type.Integer({ minimum: 0, maximum: 4095 }),
            },
            closed,
          ),
        ),
        /** Classes of at least this score are all part of the answer; without it the one that scores most is the answer. */
        threshold: Type.Optional(Type.Number()),
      },
      closed,
    ),
    /** Numbers of the embedding of generated frames (knownframes.ts), evenly spaced over it, from the CPU. */
    answers: Type.Array(
      Type.Object(
        {
          frame: Type.Union([Type.Literal('ramps'), Type.Literal('noise'), Type.Literal('waves')]),
          dimension: Type.Integer({ minimum: 1 }),
          values: Type.Array(Type.Number(), { minItems: 1, maxItems: 256 }),
        },
        closed,
      ),
      { maxItems: 8 },
    ),
  },
  closed,
);

export type ModelCard = Static<typeof ModelCardSchema>;

/** A card made from a graph alone, and what in it is only a guess. */
export interface ProposedCard {
  card: ModelCard;
  /** Sentences for a person who knows how the model was trained. */
  guesses: string[];
}

/**
 * Checks a card as it was parsed.
 * @throws {StoplineError} MODEL_CARD
 */
export function checkCard(value: unknown): ModelCard {
  if (!Value.Check(ModelCardSchema, value)) {
    const [first] = Value.Errors(ModelCardSchema, value);
    const what = first ? `${first.instancePath || 'it'} ${first.message}` : 'it does not';
    throw new StoplineError('MODEL_CARD', `Expected a model card that fits the schema but ${what}.`);
  }
  const { channels, mean, std } = value.input;
  if (mean.length !== channels || std.length !== channels)
    throw new StoplineError(
      'MODEL_CARD',
      `Expected ${channels} numbers for input.mean and input.std but received ${mean.length} and ${std.length}.`,
    );
  return value;
}

/**
 * Checks that a card is about this graph: the input is there and takes what the card says, every tensor it names exists.
 * @throws {StoplineError} MODEL_CARD
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
  for (const output of namedOutputs(card))
    if (!written.has(output))
      throw new StoplineError(
        'MODEL_CARD',
        `Expected tensors of the model in outputs but received ${JSON.stringify(output)}.`,
      );
  if (outputs.early.includes(outputs.content))
    throw new StoplineError('MODEL_CARD', 'Expected outputs.early without outputs.content but it is among them.');
}

/** Every tensor that the card asks for, each once. */
export function namedOutputs({ outputs }: ModelCard): string[] {
  return [...new Set([outputs.content, ...outputs.early, ...(outputs.classes === undefined ? [] : [outputs.classes])])];
}

export function shapeText({ shape }: GraphValue): string {
  return shape === undefined ? 'an unknown shape' : shape.map((dimension) => dimension ?? '?').join(' x ');
}

/** What torchvision's weights are trained with: means and deviations of ImageNet, pixels 0 to 1. */
const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/** Score from which on a detector's class counts. */
const usualThreshold = 0.5;
/** Side of the input where the graph leaves it open. */
const usualSide = 224;

/**
 * Proposes a card from the graph: what it says for sure, and for the rest what most image models use.
 * @throws {StoplineError} MODEL_UNSUPPORTED when no input is a float32 image
 */
export function proposeCard(
  graph: Graph,
  about: { sha256: string; name: string; kind: ModelCard['kind']; layout?: 'NCHW' | 'NHWC' },
): ProposedCard {
  const guesses: string[] = [];
  const candidates = graph.inputs.map((value) => ({ value, layout: layoutOf(value, about.layout) }));
  const found = candidates.find(({ value, layout }) => layout !== undefined && (value.type === 1 || value.type === 0));
  if (found === undefined)
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected an input of float32 images (N x C x H x W or N x H x W x C) but received ${graph.inputs
        .map((value) => `${JSON.stringify(value.name)} of ${shapeText(value)}, type ${value.type}`)
        .join('; ')}.`,
    );
  const { value } = found;
  const layout = found.layout as 'NCHW' | 'NHWC';
  const [, a, b, c] = value.shape ?? [null, null, null, null];
  const [channels, height, width] = layout === 'NCHW' ? [a, b, c] : [c, a, b];
  for (const [what, size] of Object.entries({ width, height }))
    if (typeof size !== 'number') guesses.push(`input.${what}: the graph leaves it open, ${usualSide} is usual`);
  const depth = channels === 1 ? 1 : 3;
  guesses.push(
    'input.kernel, input.fit: how the classifier is fed in production',
    `input.scale, input.mean, input.std: ${depth === 3 ? 'those of torchvision (ImageNet)' : 'pixels 0 to 1'}`,
  );
  if (depth === 3) guesses.push('input.colour: RGB');
  guesses.push('licence: not said in the file');
  const layers = findLayers(graph);
  guesses.push(`outputs.content: ${layers.reason}`);
  if (layers.cells)
    guesses.push(`outputs.cells, threshold: a detector, whose answer is the classes it is ${usualThreshold} sure of`);
  return {
    card: {
      format: 'stopline-model-card',
      version: cardVersion,
      name: about.name,
      kind: about.kind,
      sha256: about.sha256,
      licence: 'unknown',
      input: {
        name: value.name,
        layout,
        width: typeof width === 'number' ? width : usualSide,
        height: typeof height === 'number' ? height : usualSide,
        channels: depth,
        kernel: 'bilinear-antialias',
        fit: 'stretch',
        colour: 'RGB',
        scale: 1 / 255,
        mean: depth === 3 ? imagenet.mean : [0],
        std: depth === 3 ? imagenet.std : [1],
      },
      outputs: {
        content: layers.content,
        early: layers.early,
        ...(layers.classes === undefined ? {} : { classes: layers.classes }),
        ...(layers.cells && { cells: layers.cells, threshold: usualThreshold }),
      },
      answers: [],
    },
    guesses,
  };
}

/** Where the colours are; where the file does not say, what the framework does. */
function layoutOf({ shape }: GraphValue, usual: 'NCHW' | 'NHWC' = 'NCHW'): 'NCHW' | 'NHWC' | undefined {
  if (shape === undefined) return usual;
  if (shape.length !== 4) return undefined;
  const isDepth = (dimension: number | string | null) => dimension === 1 || dimension === 3;
  if (isDepth(shape[1]) && !isDepth(shape[3])) return 'NCHW';
  if (isDepth(shape[3]) && !isDepth(shape[1])) return 'NHWC';
  const isOpen = (dimension: number | string | null) => typeof dimension !== 'number';
  return isDepth(shape[1]) || isOpen(shape[1]) || isOpen(shape[3]) ? usual : undefined;
}
