import { StoplineError } from '../../errors.ts';
import type { ModelCard } from './cardschema.ts';
import type { Graph, GraphValue } from './graph.ts';
import { findLayers } from './layers.ts';

/** A card made from a graph alone, and what in it is only a guess. */
export interface ProposedCard {
  card: ModelCard;
  /** Sentences for a person who knows how the model was trained. */
  guesses: string[];
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
  const candidates = graph.inputs.map((value) => ({ value, layout: detectLayout(value, about.layout) }));
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
      version: 1,
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
function detectLayout({ shape }: GraphValue, usual: 'NCHW' | 'NHWC' = 'NCHW'): 'NCHW' | 'NHWC' | undefined {
  if (shape === undefined) return usual;
  if (shape.length !== 4) return undefined;
  const isDepth = (dimension: number | string | null) => dimension === 1 || dimension === 3;
  if (isDepth(shape[1]) && !isDepth(shape[3])) return 'NCHW';
  if (isDepth(shape[3]) && !isDepth(shape[1])) return 'NHWC';
  const isOpen = (dimension: number | string | null) => typeof dimension !== 'number';
  return isDepth(shape[1]) || isOpen(shape[1]) || isOpen(shape[3]) ? usual : undefined;
}
