import { StoplineError } from '../../errors.ts';
import type { ModelCard } from './cardschema.ts';
import type { NetworkOutput } from './network.ts';

/** The outputs of a run in which a card has class scores: `objectness` one for each of `classes`. */
export interface ScoreOutputs {
  classes: NetworkOutput[];
  objectness: NetworkOutput[];
  labels?: NetworkOutput | undefined;
}

/** Classes that a detector may number. */
const maxClasses = 65_536;

/**
 * Class scores of each frame: those of a classifier as they are; of a detector for each class the largest over all cells
 * of its score, times objectness where there is one. Of boxes that are sorted out already only the classes that have one
 * have scores; others are 0.
 * @throws {StoplineError} MODEL_UNSUPPORTED when an output has another shape than the card says
 */
export function classScores({ classes, objectness, labels }: ScoreOutputs, card: ModelCard): Float32Array[] {
  const { cells } = card.outputs;
  if (labels) return sortedScores(classes[0], labels, card);
  if (!cells) {
    const [{ dimensions, data }] = classes;
    const sides = dimensions.slice(1);
    if (sides.filter((side) => side > 1).length < 2)
      return splitFrames(data, dimensions[0]).map((frame) => frame.slice());
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected one score a class from "${card.name}" but received ${sides.join(' x ')}: a detector needs outputs.cells in its card.`,
    );
  }
  const perMap = classes.map((output, i) => cellScores(output, objectness[i], cells, card.name));
  return perMap[0].map((first, frame) => {
    const most = first.slice();
    for (const map of perMap.slice(1))
      map[frame].forEach((score, i) => {
        if (score > most[i]) most[i] = score;
      });
    return most;
  });
}

function splitFrames(data: Float32Array, count: number): Float32Array[] {
  const length = data.length / count;
  return Array.from({ length: count }, (_, i) => data.subarray(i * length, (i + 1) * length));
}

/** One map, or one list of boxes: for each class that of its surest cell. */
function cellScores(
  { dimensions, data }: NetworkOutput,
  weights: NetworkOutput | undefined,
  { axis, objectness, first, count, label }: NonNullable<ModelCard['outputs']['cells']>,
  name: string,
): Float32Array[] {
  const [frames, ...sides] = dimensions;
  const length = data.length / frames;
  const numbers = sides[axis - 1] ?? 0;
  const least = Math.max(first + (count ?? 1) - 1, objectness ?? 0, label ?? 0);
  if (numbers <= least)
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected more than ${least} numbers a cell along axis ${axis} of "${name}" but received ${dimensions.join(' x ')}.`,
    );
  const step = sides.slice(axis).reduce((product, side) => product * side, 1);
  if (weights && weights.data.length * numbers !== data.length)
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected one number of objectness for each of ${data.length / numbers} cells of "${name}" but received ${weights.data.length}.`,
    );
  const gates = weights && splitFrames(weights.data, frames);
  return splitFrames(data, frames).map((frame, at) => {
    const most = new Float32Array(count ?? numbers - first).fill(Number.NEGATIVE_INFINITY);
    const labelled: LabelledScores = new Map();
    let place = 0;
    for (let block = 0; block < length; block += numbers * step) {
      for (let cell = block; cell < block + step; cell++, place++) {
        const weight = gates ? gates[at][place] : objectness === undefined ? 1 : frame[cell + objectness * step];
        if (label !== undefined) keepMost(labelled, frame[cell + label * step], weight * frame[cell + first * step]);
        else
          for (let i = 0; i < most.length; i++) {
            const score = weight * frame[cell + (first + i) * step];
            if (score > most[i]) most[i] = score;
          }
      }
    }
    return label === undefined ? most : spreadLabels(labelled);
  });
}

type LabelledScores = Map<number, number>;

/** Rows that hold no box have a negative class, or none that is whole. */
function keepMost(scores: LabelledScores, label: number, score: number): void {
  const at = Math.round(label);
  if (at >= 0 && at < maxClasses && score > (scores.get(at) ?? 0)) scores.set(at, score);
}

function spreadLabels(scores: LabelledScores): Float32Array {
  const spread = new Float32Array(Math.max(0, ...scores.keys()) + 1);
  for (const [at, score] of scores) spread[at] = score;
  return spread;
}

/** Scores and classes of boxes in outputs of their own. */
function sortedScores(scores: NetworkOutput, labels: NetworkOutput, { name }: ModelCard): Float32Array[] {
  if (scores.data.length !== labels.data.length)
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected a class for each of ${scores.data.length} scores of "${name}" but received ${labels.data.length}.`,
    );
  // As many boxes as were found, in one row, is how torchvision answers to its one image.
  const frames = scores.dimensions.length > 1 ? scores.dimensions[0] : 1;
  const classes = splitFrames(labels.data, frames);
  return splitFrames(scores.data, frames).map((row, frame) => {
    const kept: LabelledScores = new Map();
    row.forEach((score, i) => {
      keepMost(kept, classes[frame][i], score);
    });
    return spreadLabels(kept);
  });
}

/** What a classifier answers: its likeliest class, or every class of at least the card's threshold. */
export interface Answer {
  classes: number[];
  /** Score of each class: probabilities where there is no threshold. */
  scores: Float32Array;
}

/**
 * @param scores of every class, as `classify` gives them: probabilities, or logits, of which the softmax is then taken
 * @throws {StoplineError} MODEL_UNSUPPORTED for a single score without a threshold, which could never change the answer
 */
export function decideAnswer(scores: Float32Array, { name, outputs: { threshold } }: ModelCard): Answer {
  if (threshold !== undefined) {
    const classes = Array.from(scores.keys()).filter((i) => scores[i] >= threshold);
    return { classes, scores };
  }
  if (scores.length < 2)
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected scores of several classes, or outputs.threshold in the card of "${name}", but its answer is one number.`,
    );
  const probabilities = computeProbabilities(scores);
  return { classes: [probabilities.indexOf(Math.max(...probabilities))], scores: probabilities };
}

function computeProbabilities(scores: Float32Array): Float32Array {
  const sum = scores.reduce((total, score) => total + score, 0);
  if (scores.every((score) => score >= 0) && Math.abs(sum - 1) < 1e-3) return scores;
  const most = Math.max(...scores);
  const odds = scores.map((score) => Math.exp(score - most));
  const total = odds.reduce((all, odd) => all + odd, 0);
  return odds.map((odd) => odd / total);
}

/**
 * How the answer to an image differs from that to the same image when it was clean: whether any class came or went, and
 * how far the mean score of the classes of the clean answer fell.
 */
export function compareAnswers(clean: Answer, now: Answer): { isFlipped: boolean; fall: number } {
  const isFlipped = clean.classes.join() !== now.classes.join();
  const confidence = ({ scores }: Answer) =>
    clean.classes.reduce((sum, i) => sum + (scores[i] ?? 0), 0) / Math.max(1, clean.classes.length);
  return { isFlipped, fall: confidence(clean) - confidence(now) };
}
