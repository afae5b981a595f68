import { sampleRankCorrelation } from 'simple-statistics';
import { fit } from '../../src/fit/fit.ts';
import { assignFolds, deriveSeed, groupPattern, hash, withGroups } from '../../src/fit/groups.ts';
import { powerPlan } from '../../src/fit/power.ts';
import { corruptions, powerSeverities } from '../../src/image/corruptions/corruptions.ts';
import { findModel } from '../../src/image/embedding/choose.ts';
import { compareAnswers, decideAnswer } from '../../src/image/embedding/classscores.ts';
import type { PreparedModel } from '../../src/image/embedding/open.ts';
import { categoricalProperties } from '../../src/image/measured.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import type { Profile } from '../../src/profile/description.ts';
import type { FlipRate } from '../../src/profile/flips.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import { createScorer, type Scorer } from '../../src/profile/score.ts';
import { type ListedImage, listImages } from '../../src/run/inputs/folder.ts';
import { mapOrdered } from '../../src/run/mapordered.ts';
import { createPool } from '../../src/run/pool.ts';
import { mean, share } from './measures.ts';
import { table } from './tables.ts';

export interface HarmOptions {
  reference: string[];
  classifier: PreparedModel;
  /** One of so many parts of the reference is judged by a Profile of the others. */
  folds: number;
  /** Images of that part that are put through every cause. */
  images: number;
  /** As of `fit`. */
  simulations: number;
  seed: number;
  groupBy: string;
  threads: number;
  onProgress?: ((progress: { stage: HarmStage; done: number; total?: number | undefined }) => void) | undefined;
}

export type HarmStage = 'fit' | 'ask other images';

/** One image that no part of the Profile has seen, under one cause. */
export interface HarmTrial {
  /** Position in `powerPlan` without the clean image; -1 for that. */
  cell: number;
  score: number;
  expected: FlipRate;
  isFlipped: boolean;
  /** Whether its verdict is warn or block. */
  isStopped: boolean;
}

/** Images of one part of the reference under every cause, judged by a Profile of the other parts. */
export async function evaluateHarm(options: HarmOptions): Promise<{ trials: HarmTrial[]; images: number }> {
  const { reference, classifier, folds, seed, groupBy, threads, simulations } = options;
  const listed: ListedImage[] = [];
  for await (const image of listImages(reference)) listed.push(image);
  const about = { pattern: groupPattern(groupBy), folders: new Set(listed.map(({ folder }) => folder)).size, groupBy };
  const empty = { group: '', fold: 0, statistics: new Float64Array(), properties: {} };
  const { samples } = withGroups(
    listed.map((image) => ({ ...empty, id: image.path, path: image.path, listed: image })),
    about,
  );
  const foldByGroup = assignFolds(samples, { folds, seed });
  const foldByPath = new Map(samples.map(({ path, group }) => [path, foldByGroup.get(group)]));
  const { profile } = await fit({
    ...{
      paths: reference,
      only: ({ path }) => foldByPath.get(path) !== 0,
      seed,
      groupBy,
      threads,
      simulations,
      classifier,
    },
    onProgress: ({ done, total }) => options.onProgress?.({ stage: 'fit', done, total }),
  });
  const scorer = createScorer(
    profile,
    statistics.map(({ name }) => name),
  );
  const model = profile.model && (await findModel(profile.model));
  const others = listed
    .filter(({ path }) => foldByPath.get(path) === 0)
    .sort((a, b) => (hash(seed, a.path) < hash(seed, b.path) ? -1 : 1))
    .slice(0, options.images);
  const trials: HarmTrial[] = [];
  const pool = await createPool({ threads, isBatch: true, model, classifier });
  try {
    let done = 0;
    const ask = async ({ path }: ListedImage) => pool.simulate(path, powerPlan(deriveSeed(seed, path)), { asks: true });
    for await (const simulated of mapOrdered(others, threads * 2, ask)) {
      trials.push(...collectTrials(simulated, scorer, profile, classifier));
      options.onProgress?.({ stage: 'ask other images', done: ++done, total: others.length });
    }
  } finally {
    await pool.destroy();
  }
  return { trials, images: others.length };
}

function collectTrials(
  simulated: Awaited<ReturnType<Awaited<ReturnType<typeof createPool>>['simulate']>>,
  scorer: Scorer,
  { constants, falseAlarmRate }: Profile,
  { card }: PreparedModel,
): HarmTrial[] {
  const answers = simulated.map(({ classScores }) => decideAnswer(classScores as Float32Array, card));
  return simulated.map((image, i) => {
    const score = scorer.score(image.statistics, categoricalProperties(image, constants), image);
    return {
      cell: i - 1,
      score: score.detectors[0].score,
      isStopped: score.detectors[0].pValue <= falseAlarmRate.promised.warn,
      expected: score.flips as FlipRate,
      isFlipped: compareAnswers(answers[0], answers[i]).isFlipped,
    };
  });
}

const percent = (value: number) => (Number.isNaN(value) ? '-' : `${(100 * value).toFixed(1)} %`);
/** Bins of the expected rate in which it is compared with what happened. */
const bins = [0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1];

/** The section of a reference, without its heading. */
export function harmReport({ trials, images }: { trials: readonly HarmTrial[]; images: number }): string {
  const cells = corruptions.flatMap(({ name }, i) =>
    powerSeverities.map((severity, j) => {
      const inside = trials.filter(({ cell }) => cell === i * powerSeverities.length + j);
      return {
        name,
        severity,
        expected: mean(inside.map(({ expected }) => expected.rate)),
        score: mean(inside.map(({ score }) => score)),
        flipped: share(inside, ({ isFlipped }) => isFlipped),
      };
    }),
  );
  const correlation = (pick: (cell: (typeof cells)[number]) => number, chosen = cells) =>
    sampleRankCorrelation(
      chosen.map(pick),
      chosen.map(({ flipped }) => flipped),
    ).toFixed(3);
  const good = trials.filter(({ cell }) => cell < 0);
  const clean = good.map(({ expected }) => expected.rate);
  const simulated = trials.filter(({ cell }) => cell >= 0);
  const rows = bins.slice(0, -1).map((from, i) => {
    const to = bins[i + 1];
    const isInside = ({ expected: { rate } }: HarmTrial) => rate >= from && (rate < to || to === 1);
    const inside = simulated.filter(isInside);
    const flipped = inside.filter(({ isFlipped }) => isFlipped).length;
    // As the regression takes the world to be: good images are as many as those of one severity.
    const unharmed = (good.filter(isInside).length * simulated.length) / (good.length * powerSeverities.length);
    return [
      `${percent(from)} to ${percent(to)}`,
      inside.length,
      percent(mean(inside.map(({ expected }) => expected.rate))),
      percent(flipped / inside.length),
      percent(flipped / (inside.length + unharmed)),
      percent(mean(inside.map(({ expected }) => expected.low))),
      percent(mean(inside.map(({ expected }) => expected.high))),
    ];
  });
  const causes = corruptions.map(({ name, family }) => {
    const own = cells.filter((cell) => cell.name === name);
    const series = (pick: (cell: (typeof cells)[number]) => number) =>
      `${own.map((cell) => (100 * pick(cell)).toFixed(0)).join(' / ')} %`;
    return [name, family, series(({ expected }) => expected), series(({ flipped }) => flipped)];
  });
  return [
    `${images} images that the Profile judging them has not seen, under every cause at every severity. Rank correlation (Spearman) over the ${cells.length} causes and severities between the flip rate expected from the verdicts and the flip rate measured on the same images, of which the Profile knows nothing: **${correlation(({ expected }) => expected)}**; of the mean anomaly score alone ${correlation(({ score }) => score)}. By severity: ${powerSeverities
      .map(
        (severity) =>
          `${severity}: ${correlation(
            ({ expected }) => expected,
            cells.filter((cell) => cell.severity === severity),
          )}`,
      )
      .join(', ')}.`,
    `Clean but encoded again, an answer is expected to flip at a rate of ${percent(mean(clean))} on average; of ${clean.length} such images ${share(clean, (rate) => rate > 0.1) * clean.length} are expected to flip at more than 10 %.`,
    'Is the expected rate met? Images under causes, by what their verdict says: how often their answers flipped, and how often those of all images that are told this rate, if good images are as many as those of one severity, as the harm map takes it to be.',
    table(['expected rate', 'images', 'mean', 'flipped', 'with good images', 'low', 'high'], rows),
    'Severities 1 to 5:',
    table(['cause', 'family', 'expected', 'measured'], causes),
  ].join('\n\n');
}

/**
 * Of the answers that causes changed, how many came with a verdict of warn or block, by severity: what a gate is for. Its section
 * stands beside what is detected.
 */
export function changedReport({ trials, images }: { trials: readonly HarmTrial[]; images: number }): string {
  const clean = trials.filter(({ cell }) => cell < 0);
  const rows = powerSeverities.map((severity, j) => {
    const inside = trials.filter(({ cell }) => cell >= 0 && cell % powerSeverities.length === j);
    const changed = inside.filter(({ isFlipped }) => isFlipped);
    const stopped = changed.filter(({ isStopped }) => isStopped).length;
    const { low, high } = clopperPearson(stopped, changed.length);
    return [
      severity,
      inside.length,
      percent(changed.length / inside.length),
      `${percent(stopped / changed.length)} (${percent(low)} to ${percent(high)})`,
      percent(
        share(
          inside.filter(({ isFlipped }) => !isFlipped),
          ({ isStopped }) => isStopped,
        ),
      ),
    ];
  });
  return [
    `${images} images that the Profile judging them has not seen, under every cause, with the answers of the classifier that it was fitted with. Of the same images clean, ${clean.filter(({ isStopped }) => isStopped).length} of ${clean.length} are stopped. Exact 95 % intervals, as if images were independent.`,
    table(['severity', 'images', 'answer changed', 'of these stopped', 'of the unchanged stopped'], rows),
  ].join('\n\n');
}
