import { StoplineError } from '../../errors.ts';
import type { ModelCard } from './cardschema.ts';
import type { NetworkOutput } from './network.ts';

/**
 * Class scores of each frame: those of a classifier as they are; of a detector for each class the largest over all cells
 * of its score, times objectness where there is one.
 * @throws {StoplineError} MODEL_UNSUPPORTED when the output has another shape than the card says
 */
export function classScores({ dimensions, data }: NetworkOutput, { name, outputs }: ModelCard): Float32Array[] {
  const { cells } = outputs;
  const [count, ...sides] = dimensions;
  const length = data.length / count;
  const frames = Array.from({ length: count }, (_, i) => data.subarray(i * length, (i + 1) * length));
  if (!cells) {
    if (sides.filter((side) => side > 1).length < 2) return frames.map((frame) => frame.slice());
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected one score a class from "${name}" but received ${sides.join(' x ')}: a detector needs outputs.cells in its card.`,
    );
  }
  const { axis, objectness, first } = cells;
  const numbers = sides[axis - 1] ?? 0;
  if (numbers <= Math.max(first, objectness ?? 0))
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected more than ${Math.max(first, objectness ?? 0)} numbers a cell along axis ${axis} of "${name}" but received ${dimensions.join(' x ')}.`,
    );
  const step = sides.slice(axis).reduce((product, side) => product * side, 1);
  return frames.map((frame) => {
    const most = new Float32Array(numbers - first).fill(Number.NEGATIVE_INFINITY);
    for (let block = 0; block < length; block += numbers * step) {
      for (let cell = block; cell < block + step; cell++) {
        const weight = objectness === undefined ? 1 : frame[cell + objectness * step];
        for (let i = 0; i < most.length; i++) {
          const score = weight * frame[cell + (first + i) * step];
          if (score > most[i]) most[i] = score;
        }
      }
    }
    return most;
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
    clean.classes.reduce((sum, i) => sum + scores[i], 0) / Math.max(1, clean.classes.length);
  return { isFlipped, fall: confidence(clean) - confidence(now) };
}
