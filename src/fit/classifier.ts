import { StoplineError } from '../errors.ts';
import type { Severity } from '../image/corruptions/corruptions.ts';
import type { ModelCard } from '../image/embedding/cardschema.ts';
import { type Answer, compareAnswers, decideAnswer } from '../image/embedding/classscores.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import { prepareModel } from '../image/embedding/prepare.ts';
import type { Limits } from '../image/frame.ts';
import type { SimulatedImage, Simulation } from '../image/simulation.ts';
import type { Looks } from '../profile/score.ts';
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
  limits?: Limits,
): Promise<{ model: PreparedModel; guesses: string[] } | undefined> {
  if (asked === undefined) return undefined;
  if (power < leastAsked) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected at least ${leastAsked} images for power, on which the classifier is asked, but received ${power}.`,
    );
  }
  const chosen = typeof asked === 'string' ? await prepareModel(asked, { limits }) : { model: asked, guesses: [] };
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
  image: Pick<SimulatedImage, 'statistics'> & Looks;
  isFlipped: boolean;
  /** How far the confidence in the clean answer fell. */
  fall: number;
}

/** One reference image, and what the classifier answered to it. */
export interface Asked {
  sample: Sample;
  /** The answer to the image encoded again without a cause; absent where only parts of it were looked at. */
  clean?: Answer | undefined;
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
    const { statistics, embedding, places } = simulated[i];
    return [{ cause, severity, image: { statistics, embedding, places }, ...compareAnswers(clean, answer) }];
  });
  return { sample, clean, simulations };
}

/** Share of clean images that may have no answer, or all classes, before the answers count for nothing. */
const mostUnusable = 0.9;
/** Certainty above that of chance, below which a classifier does not know what it sees. */
const leastConfidence = 0.02;

/** Share of clean images in which the classifier finds anything at all. */
export function shareAnswered(asked: readonly Asked[]): number {
  const clean = asked.flatMap(({ clean }) => clean ?? []);
  return Number((clean.filter(({ classes }) => classes.length > 0).length / Math.max(1, clean.length)).toFixed(4));
}

/** Why a flip rate of these answers would mislead: a code, and what to do. */
export function findUnusable(
  asked: readonly Asked[],
  { name, outputs: { threshold } }: ModelCard,
): { code: 'CLASSIFIER_SILENT' | 'CLASSIFIER_CONSTANT' | 'CLASSIFIER_ABSURD'; message: string } | undefined {
  const clean = asked.flatMap(({ clean }) => clean ?? []);
  if (clean.length === 0) return undefined;
  const advice = 'There is no flip rate. Is it fed as it was trained? stopline model inspect <model> --probe IMAGES';
  const share = (holds: (answer: Answer) => boolean) => clean.filter(holds).length / clean.length;
  const empty = share(({ classes }) => classes.length === 0);
  if (empty >= mostUnusable) {
    const found = `finds nothing in ${clean.filter(({ classes }) => classes.length === 0).length} of ${clean.length} clean images`;
    return { code: 'CLASSIFIER_SILENT', message: `The classifier "${name}" ${found}. ${advice}` };
  }
  const isMany = ({ classes, scores }: Answer) => scores.length >= 4 && classes.length > scores.length / 2;
  if (threshold !== undefined && share(isMany) >= mostUnusable)
    return {
      code: 'CLASSIFIER_ABSURD',
      message: `The classifier "${name}" finds more than half of all classes in nearly every clean image. ${advice}`,
    };
  const confidence = clean.reduce((sum, { scores }) => {
    const most = scores.reduce((kept, score) => Math.max(kept, score), 0);
    return sum + (most - 1 / scores.length) / (1 - 1 / scores.length) / clean.length;
  }, 0);
  if (threshold === undefined && confidence < leastConfidence)
    return {
      code: 'CLASSIFIER_ABSURD',
      message: `The classifier "${name}" is no surer of clean images than chance would be. ${advice}`,
    };
  // One class alone may be all that a camera sees; one that nothing changes, however strong, is no answer to the image.
  const isConstant = new Set(clean.map(({ classes }) => classes.join())).size === 1;
  if (isConstant && asked.every(({ simulations }) => simulations.every(({ isFlipped }) => !isFlipped)))
    return {
      code: 'CLASSIFIER_CONSTANT',
      message: `The classifier "${name}" gives one answer to every clean image, and no cause at any severity changes it. ${advice}`,
    };
  return undefined;
}
