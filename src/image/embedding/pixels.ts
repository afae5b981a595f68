import type { Constants } from './constants.ts';
import { type FirstLayer, measureFitness, type PixelRule, photographs, readFirstLayer } from './firstlayer.ts';
import type { Graph } from './graph.ts';
import { isPlain, type Leading, readLeading } from './leading.ts';

/** How images usually become numbers. */
export type Range = 'raw' | 'unit' | 'signed' | 'torchvision';

/** The rule of each range, for three channels in the order red, green, blue. */
const ranges: Record<Range, Omit<PixelRule, 'colour'>> = {
  raw: { scale: 1, mean: [0, 0, 0], std: [1, 1, 1] },
  unit: { scale: 1 / 255, mean: [0, 0, 0], std: [1, 1, 1] },
  signed: { scale: 1 / 127.5, mean: [1, 1, 1], std: [1, 1, 1] },
  torchvision: { scale: 1 / 255, mean: [...photographs.mean], std: [...photographs.std] },
};

/** What each is called in messages. */
export const rangeWords: Record<Range, string> = {
  raw: '0 to 255',
  unit: '0 to 1',
  signed: '-1 to 1',
  torchvision: "torchvision's normalisation (ImageNet)",
};

/** A rule for a number of channels, which are in the model's order. */
export function makePixelRule(range: Range, colour: 'RGB' | 'BGR', channels: 1 | 3): PixelRule {
  const { scale, mean, std } = ranges[range];
  const ordered = (values: readonly number[]) =>
    channels === 1 ? [values[0]] : colour === 'BGR' ? values.toReversed() : [...values];
  return { colour, scale, mean: ordered(mean), std: ordered(std) };
}

/** How pixels are proposed to become numbers, and how far that is known. */
export interface PixelProposal extends PixelRule {
  range: Range;
  /** All ranges that nothing speaks against. */
  possible: readonly Range[];
  /** Sentences that say where it comes from. */
  reasons: string[];
  /** Fields of the card's input that are only assumed. */
  assumed: ('scale' | 'mean' | 'std' | 'colour')[];
}

interface About {
  name: string;
  /** `TensorProto.DataType`. */
  type: number;
  layout: 'NCHW' | 'NHWC';
  channels: 1 | 3;
  /** An ordinary classifier: the kind that torchvision's normalisation is for. */
  isClassifier: boolean;
}

/** Types that hold pixels as they are. */
const wholeTypes: Record<number, string> = { 2: 'uint8', 3: 'int8', 6: 'int32' };

/**
 * Reads from a graph how pixels become numbers: from the type of its input, what it does to it first, what its first layer
 * was trained on; and where all that leaves it open, from who wrote the file.
 */
export function proposePixels(graph: Graph, constants: Constants, about: About): PixelProposal {
  const leading = readLeading(graph, constants, about);
  const first = readFirstLayer(graph, constants, leading);
  const colour = readColour(leading, about.channels);
  const range = readRange(graph, leading, first, about);
  const rule = makePixelRule(range.range, colour.colour, about.channels);
  const shifted = about.type === 3 ? { ...rule, mean: rule.mean.map(() => 128) } : rule;
  return {
    ...shifted,
    range: range.range,
    possible: range.possible ?? [range.range],
    reasons: [range.reason, ...(about.channels === 3 ? [colour.reason] : [])],
    assumed: [...range.assumed, ...(about.channels === 3 && !colour.isKnown ? (['colour'] as const) : [])],
  };
}

type Found = Pick<PixelProposal, 'range' | 'assumed'> & { reason: string; possible?: readonly Range[] };
const known = (range: Range, how: string): Found => ({
  range,
  assumed: [],
  reason: `input.scale, mean, std: ${rangeWords[range]}, ${how}`,
});
const guessed = (range: Range, how: string, possible: readonly Range[]): Found => ({
  range,
  possible,
  // Of pixels as they are a mean may still be taken away.
  assumed: possible.length > 1 ? ['scale', 'mean', 'std'] : ['mean', 'std'],
  reason: `input.scale, mean, std: ${rangeWords[range]}, ${how}`,
});

function readRange(graph: Graph, leading: Leading, first: FirstLayer | undefined, about: About): Found {
  if (wholeTypes[about.type]) return known('raw', `because the input is ${wholeTypes[about.type]}`);
  const quantised = leading.range && matchRange(leading.range);
  if (quantised) return known(quantised, 'the range that its first QuantizeLinear can hold');
  if (!isPlain(leading.channels)) {
    const fitting = findRange(leading);
    if (fitting) return known(fitting, 'because the graph itself scales its input');
  }
  if (/ultralytics/i.test(graph.description ?? ''))
    return known('unit', 'as Ultralytics, whose name is in the file, feeds its networks');
  return readTraining(graph, leading, first, about);
}

/** The usual range that a quantised input was calibrated for. */
function matchRange([least, most]: readonly [number, number]): Range | undefined {
  const expected: Record<Range, [number, number]> = {
    raw: [0, 255],
    unit: [0, 1],
    signed: [-1, 1],
    torchvision: [-2.12, 2.64],
  };
  return (Object.keys(expected) as Range[]).find((name) => {
    const [from, to] = expected[name];
    const reach = 0.08 * (to - from);
    return Math.abs(least - from) <= reach && Math.abs(most - to) <= reach;
  });
}

/** Means and deviations of a channel that a first layer is usually given. */
const usual = { deviation: [0.12, 2], mean: 1.3 } as const;

/** The range of the input that becomes what networks are usually given, if there is one alone. */
function findRange({ channels }: Leading): Range | undefined {
  const fitting = (['raw', 'unit', 'signed'] as const).filter((name) => {
    const rule = makePixelRule(name, 'RGB', 3);
    return channels.every(({ from, scale, shift }) => {
      const mean = (255 * rule.scale * photographs.mean[from] - rule.mean[from]) * scale + shift;
      const deviation = Math.abs(255 * rule.scale * photographs.std[from] * scale);
      const isCentred = name === 'raw' && Math.abs(scale) === 1 && Math.abs(mean) < 40;
      return (
        isCentred || (deviation > usual.deviation[0] && deviation < usual.deviation[1] && Math.abs(mean) < usual.mean)
      );
    });
  });
  // A subtraction alone fits several: 0 to 1 less 0.5, and -1 to 1 less 0.5.
  return fitting.length === 1 || (fitting.includes('unit') && !fitting.includes('raw')) ? fitting[0] : undefined;
}

/** Deviation of the filters, for pixels from 0 to 255, below which these are what they were trained on. */
const rawDeviation = 5;
/** How much worse than the best a range may fit the training and still be possible. */
const misfitMargin = 0.25;

function readTraining(
  graph: Graph,
  leading: Leading,
  first: FirstLayer | undefined,
  { isClassifier, channels }: About,
): Found {
  const isPyTorch = /pytorch/i.test(graph.producer);
  const prior: Range = isPyTorch && isClassifier && channels === 3 ? 'torchvision' : 'unit';
  const why = isPyTorch
    ? isClassifier
      ? 'which is usual where PyTorch wrote the file'
      : 'which is usual for what is no classifier'
    : 'which is usual where PyTorch did not write the file';
  const names = Object.keys(ranges) as Range[];
  if (first === undefined) return guessed(prior, why, names);
  const fitness = new Map(
    names.map((name) => [name, measureFitness(first, leading, makePixelRule(name, 'RGB', channels))]),
  );
  const misfits = names.flatMap((name) => {
    const misfit = fitness.get(name)?.misfit;
    return misfit === undefined ? [] : [{ name, misfit }];
  });
  if (misfits.length > 0) {
    misfits.sort((a, b) => a.misfit - b.misfit);
    const [best] = misfits;
    const possible = misfits.filter(({ misfit }) => misfit <= best.misfit + misfitMargin).map(({ name }) => name);
    if (best.misfit < 2 && possible.length === 1)
      return known(best.name, 'which is what the first batch normalisation saw in training');
    if (best.misfit < 2) {
      const chosen = possible.includes(prior)
        ? prior
        : possible.filter((name) => isClassifier || name !== 'torchvision')[0];
      const words = possible.map((name) => rangeWords[name]).join(' or ');
      return guessed(chosen, `because the first batch normalisation saw ${words} in training`, possible);
    }
  }
  const deviation = fitness.get('raw')?.deviation ?? 0;
  if (deviation > 0 && deviation < rawDeviation)
    return guessed('raw', 'because the weights of the first layer are small', ['raw']);
  const possible = deviation > 0 ? names.filter((name) => name !== 'raw') : names;
  return guessed(prior, why, possible);
}

/** The order of colours, where the graph treats them unequally as only photographs do. */
function readColour({ channels }: Leading, count: 1 | 3): { colour: 'RGB' | 'BGR'; isKnown: boolean; reason: string } {
  const guess = { colour: 'RGB' as const, isKnown: false, reason: 'input.colour: RGB, which is usual' };
  if (count === 1 || channels.length !== 3) return guess;
  // What is taken away from each channel of the input, as a share of what is taken from green: red is the brightest.
  const centres = [0, 1, 2].map((from) => {
    const channel = channels.find((candidate) => candidate.from === from);
    return channel ? -channel.shift / channel.scale : Number.NaN;
  });
  const [first, second, third] = centres.map((centre) => centre / centres[1]);
  const reason = (colour: string) => `input.colour: ${colour}, by the means that the graph takes away`;
  const { mean } = photographs;
  const like = (a: number, b: number) => Math.abs(a - b) < 0.03;
  const [red, blue] = [mean[0] / mean[1], mean[2] / mean[1]];
  // Caffe's means are 123.68, 116.779 and 103.939.
  const isRed = (value: number) => like(value, red) || like(value, 123.68 / 116.779);
  const isBlue = (value: number) => like(value, blue) || like(value, 103.939 / 116.779);
  if (second === 1 && isRed(first) && isBlue(third)) return { colour: 'RGB', isKnown: true, reason: reason('RGB') };
  if (second === 1 && isBlue(first) && isRed(third)) return { colour: 'BGR', isKnown: true, reason: reason('BGR') };
  return guess;
}
