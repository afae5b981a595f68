/** Entry of a worker thread: fits on one part of the reference and scores what that part has not seen. */

import { crossFit } from '../../src/fit/crossfit.ts';
import type { PlacedView } from '../../src/fit/places.ts';
import type { Sample, SimulatedSample } from '../../src/fit/samples.ts';
import { type ScoreUnseen, unseenScores } from '../../src/fit/secondlook.ts';
import { constantProperties } from '../../src/image/measured.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { createProfile, type Profile, type ProfileDescription } from '../../src/profile/description.ts';
import type { Cause } from '../../src/profile/diagnosis.ts';
import { createScorer } from '../../src/profile/score.ts';
import { answerWith } from '../../src/run/workers/answer.ts';

/** One image to score. */
export interface Subject {
  statistics: Float64Array;
  embedding?: Float32Array | undefined;
  places?: Float32Array | undefined;
  /** What the file as it came says: encoding it again after a simulated cause must not count as evidence. What the pixels say does. */
  properties: Record<string, string>;
}

export interface FoldTask {
  samples: Sample[];
  simulated: SimulatedSample[];
  placed: PlacedView[];
  /** With the part of the reference that each is from. */
  subjects: (Subject & { fold: number })[];
  /** Whether a subject is judged by the model without its part, and not by that of all; default false. */
  isCrossed?: boolean | undefined;
  /** The network that the embeddings come from; none without one. */
  model?: ProfileDescription['model'];
}

export interface FoldAnswer {
  /** Names, in the order of the scores. */
  detectors: string[];
  /** Statistics that never varied in this part of the reference. */
  constants: string[];
  scored: { scores: number[]; pValues: number[]; causes: Cause[] }[];
  /** Per detector, what the images of the reference score on models fitted without them. */
  calibration: number[][];
}

/** The two causes named first are enough to judge a diagnosis. */
const named = 2;

function perform({ samples, simulated, placed, subjects, isCrossed, model }: FoldTask): FoldAnswer {
  const fitted = crossFit(samples, simulated, model, placed);
  const split = { by: 'image', groups: 0, folds: 0, seed: 0 };
  const rate = { warn: 1, block: 1 };
  const description: ProfileDescription = {
    // Scoring reads none of these.
    name: 'evaluation',
    createdAt: '',
    stopline: '',
    decode: { rule: '', decoder: '' },
    reference: { images: 0, fitted: 0, skipped: 0, duplicates: 0, split, folders: [] },
    falseAlarmRate: { asked: rate, promised: rate },
    warnings: [],
    ...(model && { model }),
    ...fitted.description,
  };
  const profile = createProfile(description, fitted.tensors);
  const score = isCrossed ? unseenScores(description, fitted) : scoreByAll(profile);
  return {
    detectors: profile.detectors.map(({ name }) => name),
    constants: Object.keys(profile.constants),
    calibration: profile.detectors.map(({ name }) => [...profile.tensors[`${name}Scores`].data]),
    scored: subjects.map((subject) => {
      const { detectors, causes = [] } = score(subject, subject);
      return {
        scores: detectors.map(({ score }) => score),
        pValues: detectors.map(({ pValue }) => pValue),
        causes: causes.slice(0, named),
      };
    }),
  };
}

/** What images score by the fit of all. */
function scoreByAll(profile: Profile): ScoreUnseen {
  const scorer = createScorer(
    profile,
    statistics.map(({ name }) => name),
  );
  return ({ properties }, image) => {
    const all = { ...properties, ...constantProperties(image.statistics, profile.constants) };
    return scorer.score(image.statistics, all, image);
  };
}

/** Entry of a worker. */
export function openWorker() {
  return (task: FoldTask) => answerWith(() => perform(task));
}
