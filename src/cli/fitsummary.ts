import { type BurntIn, writeAreas } from '../fit/burntin.ts';
import type { FitResult } from '../fit/fit.ts';
import type { Outliers } from '../fit/outliers.ts';
import { blindTo } from '../fit/power.ts';
import type { Profile } from '../profile/description.ts';
import { spellCause } from '../profile/labels.ts';
import type { Shard } from '../run/inputs/item.ts';
import { commandLine, count, percent, printable, styled, table } from './terminal.ts';

/** More skipped files than this are counted, not listed. */
const listed = 5;

/** What is said when a Profile is written, and what to do next. */
export function describeFit(result: FitResult, file: string): string {
  const { profile, skipped, outliers, missingModel, warnings, burntIn } = result;
  const { reference, falseAlarmRate } = profile;
  const { split } = reference;
  const rows = [
    ['file', printable(file)],
    ['sha256', profile.sha256],
    ['name', printable(profile.name)],
    [
      'images',
      `${count(reference.images, 'distinct image')}, ${reference.fitted < reference.images ? reference.fitted : 'all'} of them fitted`,
    ],
    [
      'groups',
      `${split.groups} by ${split.by}, left out in ${count(split.folds, 'part')} in turn to calibrate (seed ${split.seed}, from ${count(reference.folders.length, 'folder')})`,
    ],
    ...(profile.correlation
      ? [
          [
            'remembers',
            `frames ${profile.correlation.detectors.combined.images.toPrecision(2)} apart count as independent (± ${profile.correlation.detectors.combined.error.toPrecision(1)}), from ${profile.correlation.images} in order`,
          ],
        ]
      : []),
    ...(profile.regimes.length > 1
      ? [
          [
            'regimes',
            `${profile.regimes.length} populations that lie apart, of ${profile.regimes.map(({ images }) => images).join(', ')} images`,
          ],
        ]
      : []),
    [
      'model',
      profile.model
        ? `${printable(profile.model.name)} ${profile.model.sha256.slice(0, 16)}, embeddings of ${profile.model.dimension} numbers`
        : `none, statistics alone${missingModel ? `: ${printable(missingModel)}` : ''}`,
    ],
    ['statistics', `${profile.statistics.length} scored, ${Object.keys(profile.constants).length} constant`],
    [
      'causes',
      profile.causes ? `${profile.causes.names.length} simulated causes learnt` : 'none learnt (--simulations 0)',
    ],
    ...(['warn', 'block'] as const).map((level) => {
      const { asked, promised, threshold } = falseAlarmRate;
      if (threshold === 'tail') {
        return [level, `${percent(promised[level])} false alarms expected by a fitted tail, none promised`];
      }
      const instead = promised[level] > asked[level] ? ` (asked: ${percent(asked[level])})` : '';
      return [level, `at most ${percent(promised[level])} false alarms promised${instead}`];
    }),
    ...(falseAlarmRate.achieved ? [['checked', checked(falseAlarmRate.achieved)]] : []),
    ...driveRows(profile),
    ...(reference.leftOut
      ? [['left out', `${count(reference.leftOut, 'image')}, which the promise is not about`]]
      : []),
  ];
  const lines = [styled('bold', 'Profile written'), indent(table(rows))];
  lines.push(...describeSkipped(skipped), ...outlierLines(outliers), ...powerTable(profile));
  for (const warning of warnings) lines.push(`${styled('yellow', 'warning:')} ${printable(warning)}`);
  if (burntIn) lines.push(...burntInLines(burntIn, file));
  lines.push('Next:', `  ${commandLine('inspect', '<image>', '--profile', file)}`);
  return lines.join('\n');
}

/** What is said of a part of a reference, which others have to join. */
export function describePart(
  { images, skipped }: { images: number; skipped: number },
  file: string,
  shard: Shard,
): string {
  const bad = skipped > 0 ? `, ${skipped} skipped` : '';
  return [
    `${styled('bold', 'Part measured')}: ${count(images, 'image')}${bad}, shard ${shard.index} of ${shard.count} -> ${printable(file)}`,
    'When all are there:',
    `  ${commandLine('merge', '<parts...>', '--out', 'camera.stopline')}`,
  ].join('\n');
}

/** A source in a line, its warnings below it. */
export function describeSource(
  source: string,
  { profile, skipped, outliers, warnings }: FitResult,
  file: string,
): string {
  const { reference, falseAlarmRate, power } = profile;
  const facts = [
    count(reference.images, 'image'),
    `warn ${percent(falseAlarmRate.promised.warn)}`,
    `block ${percent(falseAlarmRate.promised.block)}`,
    ...(skipped.length > 0 ? [`${skipped.length} skipped`] : []),
    ...(outliers.count > 0 ? [`${outliers.count} unlike the rest`] : []),
    ...(power ? [`blind to ${blindTo(power).length} of ${power.causes.length} causes`] : []),
  ];
  const notes = warnings.map((warning) => `  ${styled('yellow', 'warning:')} ${printable(warning)}`);
  return [`${styled('bold', printable(source))}: ${facts.join(', ')} -> ${printable(file)}`, ...notes].join('\n');
}

/** Where the mask of what looks burnt in lies: beside the Profile. */
export function nameMaskFile(file: string): string {
  return `${file.replace(/\.stopline$/, '')}.mask.png`;
}

/** A line a cause: the share seen at severities 1 to 5, darker for more, so that what is missed stands out. */
function powerTable({ power, harm }: Profile): string[] {
  if (!power) return [];
  // The last is reached at 95 %, the share from which a cause counts as detected.
  const shade = (share: number) => ' .:oO#'[Math.floor((share / 0.95) * 5)] ?? '#';
  const rows = [...power.causes].sort((a, b) => sum(a.warn) - sum(b.warn));
  const cells = rows.map(({ cause, warn, detectedFrom }) => [
    spellCause(cause),
    warn.map(shade).join(' '),
    detectedFrom === undefined ? 'not reliably' : `from severity ${detectedFrom}`,
    ...(harm ? [formatFlips(harm, cause)] : []),
  ]);
  const missed = blindTo(power).map(spellCause);
  return [
    styled('bold', `What it sees: share of ${power.images} images each stopped at severities 1 to 5 (# at least 95 %)`),
    indent(table(cells)),
    `Clean but encoded again like the others: ${power.clean.flagged} of ${power.clean.images} stopped (95 %: ${percent(power.clean.low)} to ${percent(power.clean.high)})`,
    ...(harm
      ? [
          `Flips: share of answers of ${printable(harm.classifier.name)} that are not those to the clean image, at severities 1 to 5; ${harm.images} images were asked`,
          ...stoppedText(harm),
        ]
      : []),
    missed.length > 0
      ? styled('yellow', `Blind to: ${missed.join(', ')}`)
      : 'Blind to none of the simulated causes at their strongest.',
  ];
}

/** How many of all answers changed by a cause are stopped. */
function stoppedText({ stopped }: NonNullable<Profile['harm']>): string[] {
  if (!stopped) return [];
  const shares = stopped.warn.map((share) => (share === null ? '-' : String(Math.round(share * 100))));
  return [`Of all answers that a cause changes, stopped at severities 1 to 5: ${shares.join(' / ')} %`];
}

function formatFlips({ causes }: NonNullable<Profile['harm']>, name: string): string {
  const row = causes.find(({ cause }) => cause === name);
  return row ? `flips ${row.flips.map((share) => `${Math.round(share * 100)}`.padStart(3)).join(' ')} %` : '';
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** What looks burnt in, and how it is left out: nothing is until somebody says so. */
function burntInLines(areas: readonly BurntIn[], file: string): string[] {
  const words = { still: 'never changes while the rest does', flipping: 'jumps between two values, as a clock does' };
  const rows = areas.map((box) => `  ${writeAreas([box])}   ${words[box.kind]}`);
  return [
    styled('yellow', `${count(areas.length, 'part')} of the view may be burnt in, and counts like the rest of it:`),
    ...rows,
    `If that is a clock or logo, fit again with --mask '${writeAreas(areas)}', or with ${printable(nameMaskFile(file))}, drawn there to look at.`,
  ];
}

/** How many images could not be read, and the first of them with what is wrong. */
export function describeSkipped(skipped: FitResult['skipped']): string[] {
  if (skipped.length === 0) return [];
  const first = skipped
    .slice(0, listed)
    .map(({ path, error }) => `  ${printable(path)}\n    ${error.code}: ${printable(error.message)}`);
  const more = skipped.length > listed ? [`  and ${skipped.length - listed} more (--json lists all)`] : [];
  return [styled('yellow', `${count(skipped.length, 'file')} skipped`), ...first, ...more];
}

/** What images met by thresholds that they had no part in, with how well so few can tell. */
function checked({ warn, block }: NonNullable<Profile['falseAlarmRate']['achieved']>): string {
  const share = ({ flagged, images, low, high }: typeof warn) =>
    `${percent(flagged / images)} (95 %: ${percent(low)} to ${percent(high)})`;
  return `of ${warn.images} images, against thresholds of the other parts, ${share(warn)} warned or blocked, ${share(block)} blocked`;
}

/** Whether the promise is about one drive, and what a drive that was not seen met. */
function driveRows({ reference: { split, folders }, falseAlarmRate: { unseenDrive } }: Profile): string[][] {
  const say = (text: string) => [['new drive', text]];
  if (unseenDrive) {
    const { drives, images, flagged, low, high } = unseenDrive;
    return say(
      `${flagged} of ${images} images (${percent(flagged / images)}; 95 %: ${percent(low)} to ${percent(high)}) warned or blocked when ${drives} folders were left out whole in turn: expect that of a drive that is not here`,
    );
  }
  // Image by image is warned about.
  if (split.by === 'image') return [];
  if (split.by !== 'time block') {
    return say(
      `as checked, because whole ${split.by === 'folder' ? 'folders' : 'groups'} were left out, if each holds a drive`,
    );
  }
  if (folders.length > 1) {
    return say(
      'not known: leaving out any folder whole leaves too few images, or leaves too few out. Add images of each drive',
    );
  }
  return say(
    'not known: all images are of one folder. If they are frames of one drive, this promise is about this drive; add others, each in a folder of its own',
  );
}

function outlierLines({ count: total, images }: Outliers): string[] {
  if (total === 0) return [];
  const rows = images.slice(0, listed).map(({ path, why }) => `  ${printable(path)}\n    ${printable(why.join('; '))}`);
  if (total > listed) {
    const all = total > images.length ? `the first ${images.length}` : 'all';
    rows.push(`  and ${total - listed} more (--json lists ${all}, as .outliers.images[].path)`);
  }
  return [styled('yellow', `${count(total, 'image')} unlike the rest; look whether they belong here`), ...rows];
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}
