import { clopperPearson } from '../../../src/profile/maths/binomial.ts';
import { auroc, mean, share } from '../measures.ts';
import { table } from '../tables.ts';
import { cifarCorruptions } from './draw.ts';
import { type CifarEvaluation, type CifarJudgement, cifarSeverities } from './run.ts';
import { level, windowRuns, windowSizes } from './windows.ts';

/** CovariateFlow: Viviers et al., "Can Your Generative Model Detect Out-of-Distribution Covariate Shift?", ECCV workshops 2024, by severity. */
const published = [0.659, 0.729, 0.755, 0.786, 0.817] as const;
const rate = 0.01;
const three = (value: number) => value.toFixed(3);
const percent = (value: number) => `${(100 * value).toFixed(1)} %`;

/** The section, without its heading. */
export function cifarReport(found: CifarEvaluation): string {
  const { detectors, reference, judgements } = found;
  const clean = judgements.filter(({ corruption }) => corruption === undefined);
  const names = Object.keys(cifarCorruptions);
  const cell = (name: string, severity: number) =>
    judgements.filter(({ corruption }) => corruption?.name === name && corruption.severity === severity);
  const cells = new Map(names.map((name) => [name, cifarSeverities.map((severity) => cell(name, severity))]));
  const separate = (spoilt: readonly CifarJudgement[], detector: number) =>
    auroc(
      clean.map(({ scores }) => scores[detector]),
      spoilt.map(({ scores }) => scores[detector]),
    );
  const bySeverity = (name: string, detector: number) =>
    (cells.get(name) as CifarJudgement[][]).map((spoilt) => separate(spoilt, detector));
  const isFlagged =
    (detector: number) =>
    ({ pValues }: CifarJudgement) =>
      pValues[detector] <= rate;
  const means = detectors.map((name, detector) => {
    const all = names.map((corruption) => bySeverity(corruption, detector));
    const each = cifarSeverities.map((_, i) => mean(all.map((values) => values[i])));
    return [name, ...each.map(three), three(mean(each))];
  });
  const stopped = detectors.map((name, detector) => {
    const flagged = clean.filter(isFlagged(detector)).length;
    const { low, high } = clopperPearson(flagged, clean.length);
    const each = cifarSeverities.map((_, i) =>
      mean(names.map((corruption) => share((cells.get(corruption) as CifarJudgement[][])[i], isFlagged(detector)))),
    );
    return [name, `${percent(flagged / clean.length)} (${percent(low)} to ${percent(high)})`, ...each.map(percent)];
  });
  const rows = names.map((name) => [name, ...bySeverity(name, 0).map(three), three(mean(bySeverity(name, 0)))]);
  const head = cifarSeverities.map((severity) => `severity ${severity}`);
  const spoilt = (judgements.length - clean.length) / (names.length * cifarSeverities.length);
  return [
    `A Profile of ${reference} training images of CIFAR-10, as \`fit --group-by none\` makes it, judges ${clean.length} test images as they are and ${spoilt} others under each of the ${names.length} corruptions of CIFAR-10-C (Hendrycks and Dietterich 2019), drawn with their published parameters for 32 x 32 pixels; frost is a texture here and photographs there, and drops of water are shaded otherwise. What \`fit\` simulates has the parameters of ImageNet-C. AUROC, means over the corruptions; below them what CovariateFlow reaches on CIFAR-10-C, as published (ECCV workshops 2024).`,
    table(
      ['detector', ...head, 'mean'],
      [...means, ['CovariateFlow, published', ...published.map(three), three(mean([...published]))]],
    ),
    `Share flagged at ${percent(rate)}, of the clean with the exact 95 % interval:`,
    table(['detector', 'clean', ...head], stopped),
    'AUROC of `combined` by corruption:',
    table(['corruption', ...head, 'mean'], rows),
    windowsReport(found),
  ].join('\n\n');
}

/** How many images it takes until a shift of many is seen. */
function windowsReport({ windows, windowed }: CifarEvaluation): string {
  return [
    '### Windows',
    `How many of ${windowRuns} windows of so many of ${windowed} test images are told to be unlike the reference, at ${percent(level)} over all statistics and detectors together: the question, the shifts and the level of "Failing Loudly" (Rabanser, Günnemann and Lipton, NeurIPS 2019), whose windows are compared with as many held-out images, and these with the whole reference.`,
    table(
      ['shift', 'of the images', ...windowSizes.map((size) => `${size} images`)],
      windows.map(({ shift, share: part, found }) => [
        shift,
        part === 0 ? 'none' : percent(part),
        ...found.map((value) => `${(100 * value).toFixed(0)} %`),
      ]),
    ),
  ].join('\n\n');
}
