import type { Core } from '../../core/core.ts';
import { corrupt } from '../corruptions/corruptions.ts';
import type { Frame } from '../frame.ts';
import type { ModelCard } from './cardschema.ts';
import { type Answer, compareAnswers, decideAnswer } from './classscores.ts';
import { openPrepared, type PreparedModel } from './open.ts';
import { makePixelRule, type Range } from './pixels.ts';

/** Changes that no sound network minds, at their mildest. */
const mildChanges = ['jpegMild', 'brightness', 'gaussianBlur'] as const;
/** Bootstrap samples of the images by which the best candidate is told from the next. */
const resamples = 1000;
/** Share of them in which it has to be the best. */
const clearShare = 0.95;

/** One way to feed a network, and what it answers then. All but `range` and `colour` are from 0 to 1. */
interface ProbedRule {
  range: Range;
  colour: 'RGB' | 'BGR';
  /** Mean certainty of the surest class, above that of chance. */
  confidence: number;
  /** Entropy of the answers, of that of as many different ones as there are images. */
  variety: number;
  /** Share of mildly changed images whose answer stays. */
  agreement: number;
  /** Share of images whose answer is, or holds, their label; absent without labels. */
  correct?: number;
  /** What ranges are ordered by. */
  score: number;
  /** What orders of colours of one range are ordered by. */
  colourScore: number;
}

export interface ProbeResult {
  images: number;
  /** Best first. */
  rules: ProbedRule[];
  /** Whether the best range, and the best order of colours, stay the best in 95 % of bootstrap samples of the images. */
  isClear: { range: boolean; colour: boolean };
}

export interface ProbedImage {
  frame: Frame;
  /** Position of its class. */
  label?: number | undefined;
}

/** What one candidate answered to one image. */
interface Reply {
  confidence: number;
  agreement: number;
  /** How alike the scores of mildly changed images are, 0 to 1: finer than whether the answer stays. */
  steadiness: number;
  answer: string;
  isCorrect: boolean | undefined;
}

/**
 * Compares ways to feed a classifier by what it answers: how sure it is, how much its answers vary, whether they stay under
 * changes that hardly show, and how many are right where labels are given.
 * @param ranges those that are possible; default: all
 * @throws {StoplineError} MODEL_UNSUPPORTED for a network without class scores, and what `openPrepared` throws
 */
export async function probePixels(
  model: PreparedModel,
  images: readonly ProbedImage[],
  {
    core,
    ranges = ['raw', 'unit', 'signed', 'torchvision'],
    onProgress,
  }: { core: Core; ranges?: readonly Range[]; onProgress?: ((done: number, total: number) => void) | undefined },
): Promise<ProbeResult> {
  const { channels } = model.card.input;
  const views: Frame[][] = [];
  for (const [i, { frame }] of images.entries())
    views.push([frame, ...(await Promise.all(mildChanges.map((cause) => corrupt(frame, cause, 1, i))))]);
  const colours = channels === 3 ? (['RGB', 'BGR'] as const) : (['RGB'] as const);
  const candidates = ranges.flatMap((range) => colours.map((colour) => ({ range, colour })));
  const replies: Reply[][] = [];
  for (const [done, { range, colour }] of candidates.entries()) {
    onProgress?.(done, candidates.length);
    const input = { ...model.card.input, ...makePixelRule(range, colour, channels) };
    replies.push(await askAll({ ...model, card: { ...model.card, input }, answers: [] }, views, images, core));
  }
  const order = images.map((_, i) => i);
  const rules = candidates.map((candidate, i): ProbedRule => ({ ...candidate, ...summarise(replies[i], order) }));
  rules.sort((a, b) => b.score - a.score);
  const best = rules
    .filter(({ range }) => range === rules[0].range)
    .reduce((kept, rule) => (rule.colourScore > kept.colourScore ? rule : kept));
  return {
    images: images.length,
    isClear: findClear(candidates, replies, best),
    rules: [best, ...rules.filter((rule) => rule !== best)],
  };
}

async function askAll(
  model: PreparedModel,
  views: readonly Frame[][],
  images: readonly ProbedImage[],
  core: Core,
): Promise<Reply[]> {
  const embedder = await openPrepared({ ...model, card: { ...model.card, answers: [] } }, { core });
  try {
    const replies: Reply[] = [];
    for (const [i, frames] of views.entries()) {
      const [clean, ...mild] = (await embedder.classify(frames)).map((scores) => decideAnswer(scores, model.card));
      const kept = mild.filter((answer) => !compareAnswers(clean, answer).isFlipped).length;
      const { label } = images[i];
      replies.push({
        confidence: measureConfidence(clean, model.card),
        agreement: kept / mild.length,
        steadiness: mild.reduce((sum, answer) => sum + measureLikeness(clean, answer), 0) / mild.length,
        answer: clean.classes.join(),
        isCorrect: label === undefined ? undefined : clean.classes.includes(label),
      });
    }
    return replies;
  } finally {
    await embedder.close();
  }
}

/** Certainty of the surest class; among classes that exclude each other, above that of chance. */
function measureConfidence({ scores }: Answer, { outputs: { threshold } }: Pick<ModelCard, 'outputs'>): number {
  const most = scores.reduce((kept, score) => Math.max(kept, score), 0);
  if (threshold !== undefined) return Math.min(1, most);
  return (most - 1 / scores.length) / (1 - 1 / scores.length);
}

/** 1 less the dissimilarity of Bray and Curtis (1957) of the scores of all classes. */
function measureLikeness(clean: Answer, now: Answer): number {
  let apart = 0;
  let total = 0;
  for (let i = 0; i < Math.max(clean.scores.length, now.scores.length); i++) {
    const [a, b] = [Math.max(0, clean.scores[i] ?? 0), Math.max(0, now.scores[i] ?? 0)];
    apart += Math.abs(a - b);
    total += a + b;
  }
  return total > 0 ? 1 - apart / total : 1;
}

function summarise(replies: readonly Reply[], order: readonly number[]): Omit<ProbedRule, 'range' | 'colour'> {
  const counts = new Map<string, number>();
  const sums = { confidence: 0, agreement: 0, kept: 0, steady: 0, correct: 0, labelled: 0 };
  for (const i of order) {
    const { confidence, agreement, steadiness, answer, isCorrect } = replies[i];
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
    sums.confidence += confidence;
    sums.agreement += agreement;
    sums.kept += confidence * agreement;
    sums.steady += confidence * steadiness;
    if (isCorrect !== undefined) sums.labelled++;
    if (isCorrect) sums.correct++;
  }
  const { length } = order;
  let entropy = 0;
  for (const count of counts.values()) entropy -= (count / length) * Math.log(count / length);
  const variety = length > 1 ? entropy / Math.log(length) : 0;
  const correct = sums.labelled > 0 ? sums.correct / sums.labelled : undefined;
  // Sure answers that stay; those that are all alike count half, because a camera may see one thing alone.
  const unlabelled = ((sums.kept / length) * (1 + variety)) / 2;
  return {
    confidence: sums.confidence / length,
    variety,
    agreement: sums.agreement / length,
    ...(correct !== undefined && { correct }),
    // Labels decide; the rest only where they do not.
    score: correct === undefined ? unlabelled : correct + unlabelled / 100,
    // Colours change answers far less than ranges do: whether one just passes a threshold would only be noise.
    colourScore: (correct ?? 0) + sums.steady / length / (correct === undefined ? 1 : 100),
  };
}

function findClear(
  candidates: readonly { range: Range; colour: string }[],
  replies: readonly (readonly Reply[])[],
  best: ProbedRule,
): ProbeResult['isClear'] {
  const { length } = replies[0];
  const won = { range: 0, colour: 0 };
  let state = 1;
  const draw = () => {
    // Numerical Recipes' generator: the same images give the same answer.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * length);
  };
  for (let sample = 0; sample < resamples; sample++) {
    const order = Array.from({ length }, draw);
    const sums = candidates.map((_, i) => summarise(replies[i], order));
    const most = (of: 'score' | 'colourScore', fits: (candidate: (typeof candidates)[number]) => boolean) =>
      Math.max(...sums.filter((_, i) => fits(candidates[i])).map((sum) => sum[of]));
    const own = ({ range }: (typeof candidates)[number]) => range === best.range;
    if (most('score', own) > most('score', (other) => !own(other))) won.range++;
    const isSame = (candidate: (typeof candidates)[number]) => candidate.colour === best.colour;
    const sameColour = most('colourScore', (candidate) => own(candidate) && isSame(candidate));
    if (sameColour > most('colourScore', (candidate) => own(candidate) && !isSame(candidate))) won.colour++;
  }
  return { range: won.range >= clearShare * resamples, colour: won.colour >= clearShare * resamples };
}

/**
 * The card of the best candidate, in which what is clear is assumed no longer.
 */
export function applyProbe(card: ModelCard, { rules: [best], isClear }: ProbeResult): ModelCard {
  const settled = new Set([
    ...(isClear.range ? ['input.scale', 'input.mean', 'input.std'] : []),
    ...(isClear.colour ? ['input.colour'] : []),
  ]);
  const input = { ...card.input, ...makePixelRule(best.range, best.colour, card.input.channels) };
  // Known answers are those to numbers that were made otherwise.
  return { ...card, input, answers: [], assumed: (card.assumed ?? []).filter((field) => !settled.has(field)) };
}
