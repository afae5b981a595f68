import { corruptions, findFamily, type Severity } from '../../src/image/corruptions/corruptions.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import type { EvaluateOptions, Evaluation, Judgement } from './evaluation.ts';
import { describeFault, faultNames, findSimulated } from './faults.ts';
import { auroc, calibrationError, mean, share, thresholdAt } from './measures.ts';

/** Rates at which detection is reported: warn and block of a Profile as it is fitted by default. */
const rates = [0.01, 0.001] as const;
/** Severity at which the diagnosis is judged. */
const diagnosed: Severity = 3;
/** A wrong family named with more than this is a confident wrong answer. */
const confident = 0.8;

type Cell = string | number;

/** A Markdown table; columns that hold nothing but numbers are aligned to the right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => String(cell).replaceAll('|', '\\|')));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column].length)));
  const isNumeric = head.map((_, column) => cells.slice(1).every((row) => /^(-|[-\d][\d.,].*|\d)$/.test(row[column])));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => (isNumeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (isNumeric[i] ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)));
  return [line(cells[0]), `| ${rule.join(' | ')} |`, ...cells.slice(1).map(line)].join('\n');
}

const three = (value: number) => (Number.isNaN(value) ? '-' : value.toFixed(3));
const percent = (value: number) => (Number.isNaN(value) ? '-' : `${(100 * value).toFixed(1)} %`);
const series = (values: readonly number[], format: (value: number) => string) =>
  values.map(format).join(' / ').replaceAll(' % /', ' /');
const matchKind = (kind: Judgement['role']['kind']) => (judgement: Judgement) => judgement.role.kind === kind;

/** The largest p-value at which a verdict can hold a promise of `rate`: what so few images can tell. */
function promise({ folds }: Evaluation, rate: number): number {
  return Math.max(rate, ...folds.map(({ fitted }) => 1 / (fitted + 1)));
}

/** Mean over folds of the AUROC of one detector. */
function meanAuroc(clean: readonly Judgement[], current: readonly Judgement[], detector: number): number {
  const folds = [...new Set(clean.map(({ fold }) => fold))];
  const scoresIn = (judgements: readonly Judgement[], wanted: number) =>
    judgements.filter(({ fold }) => fold === wanted).map(({ scores }) => scores[detector]);
  const each = folds.map((fold) => auroc(scoresIn(clean, fold), scoresIn(current, fold)));
  return mean(each.filter((value) => !Number.isNaN(value)));
}

/** Share above the threshold that the pooled clean scores give for a rate. */
function detection(clean: readonly Judgement[], current: readonly Judgement[], detector: number, rate: number): number {
  const threshold = thresholdAt(
    clean.map(({ scores }) => scores[detector]),
    rate,
  );
  return share(current, ({ scores }) => scores[detector] > threshold);
}

/** The whole report on one reference, without its heading. */
export function report(evaluation: Evaluation, options: EvaluateOptions): string {
  const sections = [facts(evaluation, options)];
  if (evaluation.judgements.length > 0) sections.push(falseAlarms(evaluation));
  if (evaluation.current.length > 0) sections.push(folders(evaluation));
  if (options.corruptions) sections.push(causes(evaluation, options.severities));
  if (options.leaveOut.length > 0) sections.push(leftOut(evaluation, options.severities));
  if (options.faults) sections.push(unknownFaults(evaluation, options.severities));
  return sections.join('\n\n');
}

function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

function facts({ reference, folds, current }: Evaluation, options: EvaluateOptions): string {
  const skipped = reference.skipped + current.reduce((sum, folder) => sum + folder.skipped, 0);
  const constants = [...new Set(folds.flatMap((fold) => fold.constants))];
  return [
    `${reference.images} reference images in ${reference.groups} groups (by ${reference.by}), ${folds.length} folds of whole groups. `,
    `Each model: ${range(folds.map(({ fitted }) => fitted))} images fitted, `,
    `${range(folds.map(({ simulated }) => simulated))} put through the causes. `,
    `Seed ${options.seed}. Statistics that never vary: ${constants.length}. Files skipped: ${skipped}.`,
  ].join('');
}

function falseAlarms(evaluation: Evaluation): string {
  const rows = (['clean', 'encodedAgain'] as const).flatMap((kind) => {
    const judgements = evaluation.judgements.filter(matchKind(kind));
    if (judgements.length === 0) return [];
    return evaluation.detectors.map((name, detector) => {
      const promised = promise(evaluation, rates[0]);
      const flagged = judgements.filter(({ pValues }) => pValues[detector] <= promised).length;
      const { low, high } = clopperPearson(flagged, judgements.length);
      return [
        kind === 'clean' ? name : `${name}, encoded again`,
        judgements.length,
        percent(promised),
        `${flagged} (${percent(flagged / judgements.length)})`,
        `${percent(low)} to ${percent(high)}`,
        low <= promised ? 'yes' : 'no',
      ];
    });
  });
  return `### False alarms\n\nHeld-out clean images that the verdict of their fold flags, with the 95 % Clopper-Pearson interval. ${rateNote(evaluation)}\n\n${table(
    ['detector', 'images', 'promised', 'flagged', 'interval', 'promise held'],
    rows,
  )}`;
}

function rateNote(evaluation: Evaluation): string {
  const notes = rates.flatMap((rate) => {
    const least = promise(evaluation, rate);
    return least > rate ? [`${percent(rate)} cannot be promised by so few images; ${percent(least)} can.`] : [];
  });
  return notes.join(' ');
}

function folders(evaluation: Evaluation): string {
  const { calibration, current, detectors } = evaluation;
  const inFolder = (folder: string) =>
    evaluation.judgements.filter(({ role }) => role.kind === 'current' && role.folder === folder);
  const least = 1 / (calibration[0].length + 1);
  const rows = current.flatMap(({ folder, images }) =>
    detectors.map((name, detector) => {
      const judged = inFolder(folder);
      const scores = judged.map((judgement) => judgement.scores[detector]);
      return [
        lastPart(folder),
        images,
        name,
        three(auroc(calibration[detector], scores)),
        ...rates.map((rate) =>
          least <= rate ? percent(share(judged, ({ pValues }) => pValues[detector] <= rate)) : '-',
        ),
      ];
    }),
  );
  const named = current.map(({ folder }) => [lastPart(folder), ...mostNamed(inFolder(folder), 4)]);
  return [
    '### Current folders',
    `Judged by the Profile of the whole reference. AUROC against the ${calibration[0].length} reference images, each scored without its group; share with a verdict at 1 % and 0.1 % false alarms (- where so few images cannot promise it).`,
    table(['folder', 'images', 'detector', 'AUROC', 'flagged at 1 %', 'at 0.1 %'], rows),
    'Causes named first:',
    table(['folder', 'most often', 'second', 'third', 'fourth'], named),
  ].join('\n\n');
}

function lastPart(folder: string): string {
  return folder.split('/').filter(Boolean).at(-1) ?? folder;
}

function mostNamed(judgements: readonly Judgement[], count: number): string[] {
  const counts = new Map<string, number>();
  for (const { causes } of judgements) counts.set(causes[0].cause, (counts.get(causes[0].cause) ?? 0) + 1);
  const ranked = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, count);
  const cells = ranked.map(([cause, hits]) => `${cause} ${percent(hits / judgements.length)}`);
  return Array.from({ length: count }, (_, i) => cells[i] ?? '-');
}

/** AUROC and detection of judgements under one cause, per severity, of the detectors that are reported. */
function perSeverity(
  judgements: readonly Judgement[],
  clean: readonly Judgement[],
  severities: readonly Severity[],
  detectors: readonly number[],
) {
  const at = severities.map((severity) =>
    judgements.filter(({ role }) => 'severity' in role && role.severity === severity),
  );
  return detectors.map((detector) => ({
    auroc: at.map((current) => meanAuroc(clean, current, detector)),
    detected: rates.map((rate) => at.map((current) => detection(clean, current, detector, rate))),
  }));
}

type Seen = ReturnType<typeof perSeverity>[number];

/** Means over causes: every cause counts the same. */
function computeMean(all: readonly Seen[]): Seen {
  const over = (pick: (seen: Seen) => number[]) =>
    all[0] && pick(all[0]).map((_, i) => mean(all.map((s) => pick(s)[i])));
  return { auroc: over((seen) => seen.auroc), detected: rates.map((_, rate) => over((seen) => seen.detected[rate])) };
}

const tested = ['combined', 'capture'] as const;
/** The causes that Hendrycks and Dietterich 2019 define, which other detectors are measured on. */
const imageNetC = [
  ...[
    'gaussianNoise',
    'shotNoise',
    'impulseNoise',
    'speckleNoise',
    'defocusBlur',
    'glassBlur',
    'motionBlur',
    'zoomBlur',
  ],
  ...[
    'gaussianBlur',
    'snow',
    'frost',
    'fog',
    'spatter',
    'brightness',
    'lowContrast',
    'saturation',
    'elastic',
    'pixelate',
  ],
  'jpeg',
];

function testedIn({ detectors }: Evaluation): number[] {
  return tested.map((name) => detectors.indexOf(name));
}

function ofCause(judgements: readonly Judgement[], cause: string): Judgement[] {
  return judgements.filter(({ role }) => role.kind === 'cause' && role.cause === cause);
}

const first = ({ causes }: Judgement) => causes[0];
const truth = ({ role }: Judgement) => (role.kind === 'cause' ? role.cause : undefined);

function causes(evaluation: Evaluation, severities: readonly Severity[]): string {
  const { judgements } = evaluation;
  const clean = judgements.filter(matchKind('encodedAgain'));
  const detectors = testedIn(evaluation);
  const promised = promise(evaluation, rates[0]);
  const rows = corruptions.map(({ name, family }) => {
    const under = ofCause(judgements, name);
    const worst = under.filter(({ role }) => role.kind === 'cause' && role.severity === diagnosed);
    const wrong = worst.filter((judgement) => first(judgement).cause !== name);
    return { name, family, seen: perSeverity(under, clean, severities, detectors), worst, wrong };
  });
  const means = detectors.map((_, i) => computeMean(rows.map(({ seen }) => seen[i])));
  const underCause = judgements.filter(matchKind('cause'));
  const verdicts = verdictShares(evaluation, underCause, severities);
  const published = rows.filter(({ name }) => imageNetC.includes(name));
  const publishedMeans = detectors.map((_, i) => computeMean(published.map(({ seen }) => seen[i])));
  const line = (name: string, seen: Seen, verdict: string) => [
    name,
    series(seen.auroc, three),
    ...seen.detected.map((values) => series(values, percent)),
    verdict,
  ];
  const summary = tested.flatMap((name, i) => [
    line(name, means[i], series(verdicts[i], percent)),
    line(`${name}, the ${published.length} of ImageNet-C`, publishedMeans[i], '-'),
  ]);
  const list = severities.join(' / ');
  const cells = rows.map(({ name, family, seen, worst, wrong }) => [
    name,
    family,
    ...seen.map((seen) => series(seen.auroc, three)),
    ...seen.map((seen) => series(seen.detected[0], percent)),
    percent(1 - wrong.length / worst.length),
    wrong.length > 0 ? mostNamed(wrong, 1)[0].split(' ')[0] : '-',
  ]);
  return [
    '### Simulated causes',
    `Held-out images under each of ${corruptions.length} causes (${underCause.length} images) against the ${clean.length} held-out images encoded again without one. Severities ${list}; means over causes:`,
    table(['detector', 'AUROC', 'at 1 %', 'at 0.1 %', `verdict at ${percent(promised)}`], summary),
    diagnosis(underCause),
    table(
      ['cause', 'family', 'AUROC combined', 'AUROC capture', '1 % combined', '1 % capture', 'named first', 'else'],
      cells,
    ),
  ].join('\n\n');
}

function diagnosis(underCause: readonly Judgement[]): string {
  const at = underCause.filter(({ role }) => role.kind === 'cause' && role.severity === diagnosed);
  if (at.length === 0) return '';
  const isRight = (judgement: Judgement) => first(judgement).cause === truth(judgement);
  const answers = at.map((judgement) => ({ confidence: first(judgement).probability, isRight: isRight(judgement) }));
  const amongTwo = share(at, (judgement) => judgement.causes.some(({ cause }) => cause === truth(judgement)));
  const family = share(
    at,
    (judgement) => findFamily(first(judgement).cause) === findFamily(truth(judgement) as string),
  );
  return (
    `Diagnosis at severity ${diagnosed}: first choice right for ${percent(share(at, isRight))}, among the first two for ${percent(amongTwo)}, ` +
    `right family for ${percent(family)}, \`unknown\` first for ${percent(share(at, (judgement) => first(judgement).cause === 'unknown'))}; ` +
    `expected calibration error of the first choice's probability ${three(calibrationError(answers))} (10 bins).`
  );
}

function leftOut(evaluation: Evaluation, severities: readonly Severity[]): string {
  const detectors = testedIn(evaluation);
  const promised = promise(evaluation, rates[0]);
  const rows = evaluation.leftOut.map(({ family, judgements }) => {
    const again = judgements.filter(matchKind('encodedAgain'));
    const names = corruptions.filter((cause) => cause.family === family).map(({ name }) => name);
    const seen = names.map((name) => perSeverity(ofCause(judgements, name), again, severities, detectors));
    const stopped = names.map((name) => verdictShares(evaluation, ofCause(judgements, name), severities));
    const underCause = judgements.filter(matchKind('cause'));
    const wrongFamily = (judgement: Judgement) =>
      first(judgement).cause !== 'unknown' && findFamily(first(judgement).cause) !== family;
    return {
      family,
      names,
      seen,
      stopped,
      clean: judgements.filter(matchKind('clean')),
      // With the whole family left out nothing of it can be named, so this is the share of `unknown`.
      fair: share(underCause, (judgement) => !wrongFamily(judgement)),
      wrong: share(underCause, (judgement) => wrongFamily(judgement) && first(judgement).probability > confident),
    };
  });
  const overSeen = (seen: Seen[][]) => detectors.map((_, i) => computeMean(seen.map((cause) => cause[i])));
  const overStopped = (stopped: number[][][]) =>
    detectors.map((_, i) => severities.map((_, at) => mean(stopped.map((cause) => cause[i][at]))));
  const line = (name: string, some: typeof rows) => {
    const weighted = (pick: (row: (typeof rows)[number]) => number) =>
      mean(some.flatMap((row) => row.names.map(() => pick(row))));
    const clean = some.flatMap((row) => row.clean);
    return [
      name,
      some.reduce((sum, { names }) => sum + names.length, 0),
      ...overSeen(some.flatMap(({ seen }) => seen)).map((seen) => series(seen.auroc, three)),
      ...overStopped(some.flatMap(({ stopped }) => stopped)).map((shares) => series(shares, percent)),
      percent(share(clean, ({ pValues }) => pValues[detectors[0]] <= promised)),
      percent(weighted(({ fair }) => fair)),
      percent(weighted(({ wrong }) => wrong)),
    ];
  };
  return [
    '### Families left out of training',
    `Each cause is tested by models that were shown no cause of its family, nor the part of the reference that the image is from. Severities ${severities.join(' / ')}; means over causes. Stopped is the share with a verdict of warn or block at ${percent(promised)}; clean is that of clean images that combined stops.`,
    table(
      [
        ...['family', 'causes', 'AUROC combined', 'AUROC capture', 'stopped combined', 'stopped capture', 'clean'],
        ...['unknown or family', `wrong family > ${confident}`],
      ],
      [...rows.map((row) => line(row.family, [row])), line('all', rows)],
    ),
  ].join('\n\n');
}

/** What the evaluation alone knows. What no simulated cause shows was never used to choose anything. */
function unknownFaults(evaluation: Evaluation, severities: readonly Severity[]): string {
  const { judgements } = evaluation;
  const clean = judgements.filter(matchKind('encodedAgain'));
  const detectors = testedIn(evaluation);
  const rows = faultNames.map((name) => {
    const under = judgements.filter(({ role }) => role.kind === 'fault' && role.fault === name);
    return {
      name,
      under,
      seen: perSeverity(under, clean, severities, detectors),
      stopped: verdictShares(evaluation, under, severities),
    };
  });
  const unseen = rows.filter(({ name }) => !findSimulated(name));
  const means = detectors.map((_, i) => computeMean(unseen.map(({ seen }) => seen[i])));
  const overall = verdictShares(
    evaluation,
    unseen.flatMap(({ under }) => under),
    severities,
  );
  const line = (name: string, words: readonly string[], seen: readonly Seen[], stopped: readonly number[][]) => [
    name,
    ...words,
    ...seen.map(({ auroc }) => series(auroc, three)),
    ...stopped.map((shares) => series(shares, percent)),
  ];
  const describe = (name: string) => [describeFault(name), findSimulated(name) ?? '-'];
  return [
    '### Unknown faults',
    `Held-out images under ${unseen.length} faults that no simulated cause shows, and ${rows.length - unseen.length} that became causes since and are drawn otherwise here; the evaluation alone knows them. Severities ${severities.join(' / ')}; stopped is the share with a verdict of warn or block; the mean is that of the unseen.`,
    table(
      [
        ...['fault', 'what it is', 'simulated as', 'AUROC combined', 'AUROC capture'],
        ...['stopped combined', 'stopped capture'],
      ],
      [
        ...rows.map(({ name, seen, stopped }) => line(name, describe(name), seen, stopped)),
        line('all unseen', ['mean', '-'], means, overall),
      ],
    ),
  ].join('\n\n');
}

/** Per tested detector and severity, the share with a verdict of warn or block. */
function verdictShares(evaluation: Evaluation, judgements: readonly Judgement[], severities: readonly Severity[]) {
  const promised = promise(evaluation, rates[0]);
  return testedIn(evaluation).map((detector) =>
    severities.map((severity) =>
      share(
        judgements.filter(({ role }) => 'severity' in role && role.severity === severity),
        ({ pValues }) => pValues[detector] <= promised,
      ),
    ),
  );
}
