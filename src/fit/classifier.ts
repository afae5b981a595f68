import { StoplineError } from '../errors.ts';
import type { Severity } from '../image/corruptions/corruptions.ts';
import { compareAnswers, decideAnswer } from '../image/embedding/classscores.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import { prepareModel } from '../image/embedding/prepare.ts';
import type { SimulatedImage, Simulation } from '../image/simulation.ts';
import type { Sample } from './samples.ts';

/** Fewer images than this say nothing of a classifier. */
const leastAsked = 5;

/**
 * The classifier that `fit` is to ask, and what is only guessed about it.
 * @param power images of the power report, which are what it is asked about
 * @throws {StoplineError} OPTION_INVALID, MODEL_UNSUPPORTED for a network without class scores, and what `prepareModel` throws
 */
export async function chooseClassifier(
  asked: string | PreparedModel | undefined,
  power: number,
): Promise<{ model: PreparedModel; guesses: string[] } | undefined> {
  if (asked === undefined) return undefined;
  if (power < leastAsked) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected at least ${leastAsked} images for power, on which the classifier is asked, but received ${power}.`,
    );
  }
  const chosen = typeof asked === 'string' ? await prepareModel(asked) : { model: asked, guesses: [] };
  const { name, outputs } = chosen.model.card;
  if (outputs.classes === undefined) {
    throw new StoplineError(
      'MODEL_UNSUPPORTED',
      `Expected a classifier but no class scores are found in "${name}". Name them in outputs.classes of its card, for a detector with outputs.cells and outputs.threshold: stopline model inspect <model> --out <model>.card.json`,
    );
  }
  return chosen;
}

/** What a classifier answered to one image under one cause, beside its answer to the same image clean. */
export interface AskedSimulation {
  cause: string;
  severity: Severity;
  /** What was measured of it. */
  image: Pick<SimulatedImage, 'statistics' | 'embedding'>;
  isFlipped: boolean;
  /** How far the confidence in the clean answer fell. */
  fall: number;
}

/** One reference image, and what the classifier answered to it. */
export interface Asked {
  sample: Sample;
  simulations: AskedSimulation[];
}

/**
 * Compares the answers to an image under causes with that to the image encoded again without one. Parts of an image, which
 * are nothing that the classifier is given, have no answers.
 * @param simulated in the order of the plan
 * @throws {StoplineError} MODEL_UNSUPPORTED
 */
export function collectAsked(
  sample: Sample,
  plan: readonly Simulation[],
  simulated: readonly SimulatedImage[],
  { card }: PreparedModel,
): Asked {
  const answers = simulated.map(({ classScores }) => classScores && decideAnswer(classScores, card));
  const clean = answers[plan.findIndex(({ cause, crop }) => cause === undefined && !crop)];
  const simulations = plan.flatMap(({ cause, severity }, i): AskedSimulation[] => {
    const answer = answers[i];
    if (cause === undefined || !answer || !clean) return [];
    const { statistics, embedding } = simulated[i];
    return [{ cause, severity, image: { statistics, embedding }, ...compareAnswers(clean, answer) }];
  });
  return { sample, simulations };
}
