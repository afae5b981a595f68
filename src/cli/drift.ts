import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Command } from 'commander';
import { createDrift } from '../drift/drift.ts';
import type { Monitor } from '../drift/monitor.ts';
import { type DriftReport, type DriftState, listLeads, type Transition } from '../drift/report.ts';
import { StoplineError } from '../errors.ts';
import { sourceRule } from '../fit/percamera.ts';
import { inSentence, labelStatistic, spellCause } from '../profile/labels.ts';
import { loadSignedProfile } from '../profile/signature.ts';
import type { Item, Items } from '../run/inputs/item.ts';
import { type Columns, columnName } from '../run/rows/row.ts';
import { type InputFlags, inputOptions, openInputs, pathsHelp, tellLeftOut } from './inputs.ts';
import { interruptible } from './interrupt.ts';
import { judgeAll } from './judge.ts';
import { type JudgingFlags, judgingFlags, numberOption, openJudging, pickSettings } from './options.ts';
import { type ReplayedRow, readRows } from './scored.ts';
import { commandLine, count, note, percent, print, printable, printJson, styled, table } from './terminal.ts';

interface DriftFlags extends JudgingFlags, InputFlags {
  sourcePattern?: string;
  sourceColumn?: string;
  every?: number;
  interval?: number;
  json?: boolean;
}

/** What the source of an image is told by. */
interface Named {
  path: string;
  folder: string;
  columns: Columns | undefined;
}

/** One source as it is replayed. */
interface Replay {
  source: string;
  monitor: Monitor;
  images: number;
  failed: number;
  /** Changes of state, at which image of the source, with what had moved at an alarm. */
  transitions: (Transition & { image: number; path: string; report?: DriftReport })[];
  /** State after each image. */
  states: DriftState[];
}

export function driftCommand(): Command {
  const command = new Command('drift')
    .description(
      'Goes through the images under the paths in the order of their names, or through the rows that score wrote (.jsonl) in ' +
        'their order, watches each source as a service does, and prints when it would have changed state, and why.',
    )
    .argument('[paths...]', `${pathsHelp}; or one .jsonl file of score`)
    .option('--source-pattern <WHAT>', 'names the source of a path: folder (the default), or a regular expression')
    .option(
      '--source-column <NAME>',
      'column of the manifest that names the source of an image, such as the class that the classifier saw in it',
    )
    .addOption(numberOption('--every <N>', 'one false alarm in so many images of a source (default: 10000)'))
    .addOption(numberOption('--interval <MS>', 'milliseconds between images (default: 1000)'))
    .option('--json', 'print everything as JSON');
  for (const option of [...judgingFlags(), ...inputOptions()]) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('drift', 'recordings/', '--profile', 'camera.stopline')}
  ${commandLine('drift', 'verdicts.jsonl', '--profile', 'camera.stopline', '--source-pattern', 'cameras/([^/]+)')}
  ${commandLine('drift', '--manifest', 'answers.csv', '--source-column', 'class', '--profile', 'camera.stopline')}
  ${commandLine('drift', '--manifest', 'crops/crops.csv', '--source-column', 'class', '--profile', 'profiles/')}

Where --profile names a folder, as fit --profile-per writes it, each source is held against the Profile that has its name.

Exit status: 0 no source drifted or froze, 1 one did, 2 usage, else as docs/errors.md says.`,
    )
    .action(runDrift);
}

async function runDrift(paths: string[], flags: DriftFlags): Promise<void> {
  setFlagsFromString('--semi-space-growth-factor=1');
  const { sourcePattern = 'folder', sourceColumn, every: falseAlarmEvery, interval = 1000, json } = flags;
  if (sourceColumn !== undefined && flags.sourcePattern !== undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected --source-column or --source-pattern but received both.');
  }
  if (!(interval > 0)) {
    throw new StoplineError('OPTION_INVALID', `Expected a positive interval but received ${interval}.`);
  }
  const rule = sourceRule(sourcePattern, paths, 'source-pattern');
  const files = await listProfiles(pickSettings(flags).profile);
  if (files) {
    const nameSource = ({ path, folder, columns }: Named) =>
      sourceColumn === undefined ? (rule({ path, folder }) ?? 'none') : readColumn(columns, sourceColumn);
    const { replayed, items } = await replayEach(paths, flags, { files, falseAlarmEvery, interval, nameSource });
    tellDrift(replayed, json);
    return tellLeftOut(items, flags);
  }
  const { config, profile, masks } = await openJudging({ ...pickSettings(flags), mask: flags.mask });
  const { decideBy } = config;
  const drift = createDrift(profile, { falseAlarmEvery, decideBy });
  const isRows = paths.length === 1 && flags.manifest === undefined && paths[0].toLowerCase().endsWith('.jsonl');
  const nameSource = ({ path, folder, columns }: Named) => {
    if (sourceColumn !== undefined) return readColumn(columns, sourceColumn);
    // Paths in rows are as they were given to score: all folders count.
    return isRows && sourcePattern === 'folder' ? folder : (rule({ path, folder }) ?? 'none');
  };
  const replays = new Replays(drift, interval, nameSource);
  if (isRows) {
    await interruptible(async (signal) => {
      for await (const step of readRows(paths[0], profile, decideBy)) {
        signal.throwIfAborted();
        replays.take(step, dirname(step.path));
      }
    });
    return tellDrift(replays.finish(paths), json);
  }
  const { items, total } = await openInputs(paths, flags, config);
  const ofItem = ({ name, folder, columns }: Item) => nameSource({ path: name, folder, columns });
  await judgeAll('drift', { config, masks, profile, items, total, nameSource: ofItem }, ({ item, row }) =>
    replays.take(row, item.folder),
  );
  tellDrift(replays.finish(paths), json);
  tellLeftOut(items, flags);
}

/** The Profiles of a folder, where that is what `--profile` names; one for each source, as `fit --profile-per` writes them. */
async function listProfiles(place: unknown): Promise<string[] | undefined> {
  if (typeof place !== 'string' || !(await stat(place).catch(() => undefined))?.isDirectory()) return undefined;
  const files = (await readdir(place)).filter((name) => name.endsWith('.stopline')).sort();
  if (files.length > 0) return files.map((name) => join(place, name));
  throw new StoplineError(
    'PROFILE_UNREADABLE',
    `Expected Profiles (.stopline) in the folder "${place}" but found none.`,
  );
}

/**
 * Watches each source against the Profile that has its name, in one pass over the images. Sources without one are told at the end.
 * @throws {StoplineError} OPTION_INVALID where two Profiles have one name, INPUT_NO_IMAGES where no image belongs to any
 */
async function replayEach(
  paths: string[],
  flags: DriftFlags,
  run: {
    files: string[];
    falseAlarmEvery: number | undefined;
    interval: number;
    nameSource: (image: Named) => string;
  },
): Promise<{ replayed: Replay[]; items: Items }> {
  const { files, falseAlarmEvery, interval, nameSource } = run;
  const { config, masks, profiles } = await openProfiles(files, flags);
  const known = new Map(profiles.map(({ name }, number) => [name, number]));
  const replays = profiles.map(
    (profile) =>
      new Replays(createDrift(profile, { falseAlarmEvery, decideBy: config.decideBy }), interval, () => profile.name),
  );
  const { items } = await openInputs(paths, flags, config);
  const nameItem = ({ name, folder, columns }: Item) => nameSource({ path: name, folder, columns });
  const chooseProfile = (item: Item) => known.get(nameItem(item)) as number;
  const left = new Set<string>();
  const own = {
    columns: items.columns,
    leftOut: items.leftOut,
    count: async () => undefined,
    async *[Symbol.asyncIterator]() {
      for await (const item of items) {
        const source = nameItem(item);
        if (known.has(source)) yield item;
        else left.add(source);
      }
    },
  };
  const judged = { config, masks, profiles, chooseProfile, items: own, total: undefined, nameSource: nameItem };
  await judgeAll('drift', judged, ({ item, row }) => replays[chooseProfile(item)].take(row, item.folder));
  if (left.size > 0) note(`No Profile for ${[...left].map(printable).join(', ')}: not watched.`);
  const replayed = replays.flatMap((replay) => replay.list());
  if (replayed.length > 0) return { replayed, items };
  throw new StoplineError(
    'INPUT_NO_IMAGES',
    `Expected images of ${[...known.keys()].join(', ')}, as the Profiles are called, but found those of ${[...left].join(', ') || 'none'}.`,
  );
}

/** Each Profile of the files, checked as one that is named, and what the settings say of all. */
async function openProfiles(files: readonly string[], flags: DriftFlags) {
  const [file, ...others] = files;
  // Settings and masks are the same for all, and are read once.
  const { profile, ...shared } = await openJudging({ ...pickSettings(flags), profile: file, mask: flags.mask });
  const { profileKey } = shared.config;
  const profiles = [profile, ...(await Promise.all(others.map((other) => loadSignedProfile(other, profileKey))))];
  const again = profiles.findIndex(({ name }, number) => profiles.findIndex((other) => other.name === name) < number);
  if (again < 0) return { ...shared, profiles };
  const first = profiles.findIndex(({ name }) => name === profiles[again].name);
  throw new StoplineError(
    'OPTION_INVALID',
    `Expected one Profile for each source but "${files[first]}" and "${files[again]}" are both of "${profiles[again].name}". Leave one of them in the folder.`,
  );
}

/** What an image is counted with: the value of a column, or `none` where it has none. @throws {StoplineError} OPTION_INVALID */
function readColumn(columns: Columns | undefined, name: string): string {
  const key = columnName(name);
  if (!columns || !(key in columns)) {
    const known = Object.keys(columns ?? {}).join(', ') || 'no columns';
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected a column "${name}" for --source-column but the images have ${known}. Columns come from --manifest.`,
    );
  }
  const value = columns[key];
  return value === null || value === '' ? 'none' : String(value);
}

function tellDrift(all: readonly Replay[], json: boolean | undefined): void {
  if (json) printJson({ sources: all.map(asJson) });
  else print([...all.map(formatText), ...(all.length > 1 ? [formatTable(all)] : [])].join('\n\n'));
  const alarmed = all.filter(({ transitions }) => transitions.some(({ to }) => to === 'drifted' || to === 'frozen'));
  if (alarmed.length > 0) process.exitCode = 1;
}

/** The sources of a replay, each watched as a service would. */
class Replays {
  readonly #drift: ReturnType<typeof createDrift>;
  readonly #intervalMs: number;
  readonly #nameSource: (image: Named) => string;
  readonly #replays = new Map<string, Replay>();

  constructor(drift: ReturnType<typeof createDrift>, intervalMs: number, nameSource: (image: Named) => string) {
    this.#drift = drift;
    this.#intervalMs = intervalMs;
    this.#nameSource = nameSource;
  }

  take(step: ReplayedRow, folder: string): void {
    const { path, columns } = step;
    const replay = this.#find(this.#nameSource({ path, folder, columns }));
    if ('error' in step) {
      replay.failed++;
      return;
    }
    const { monitor } = replay;
    const transition = monitor.observe(this.#drift.makeObservation(step, replay.images++ * this.#intervalMs));
    replay.states.push(monitor.state);
    if (!transition) return;
    const isAlarm = transition.to === 'drifted' || transition.to === 'suspect';
    replay.transitions.push({
      ...transition,
      image: replay.images,
      path,
      ...(isAlarm && { report: monitor.report() }),
    });
  }

  /** @throws {StoplineError} INPUT_NO_IMAGES */
  finish(paths: readonly string[]): Replay[] {
    if (this.#replays.size > 0) return this.list();
    throw new StoplineError('INPUT_NO_IMAGES', `Expected images or rows in "${paths.join('", "')}" but found none.`);
  }

  list(): Replay[] {
    return [...this.#replays.values()];
  }

  #find(source: string): Replay {
    const known = this.#replays.get(source);
    if (known) return known;
    const replay = { source, monitor: this.#drift.monitor(), images: 0, failed: 0, transitions: [], states: [] };
    this.#replays.set(source, replay);
    return replay;
  }
}

/** Which of many sources drifted, at a glance. */
function formatTable(all: readonly Replay[]): string {
  const rows = all.map(({ source, images, monitor, transitions }) => {
    const { state } = monitor.report();
    const alarm = transitions.find(({ to }) => to === 'drifted' || to === 'frozen');
    const cause = alarm?.report?.causes[0];
    return [
      printable(source),
      `${images}`,
      stateText(state),
      alarm ? `image ${alarm.image}` : '-',
      cause ? `${spellCause(cause.cause)} ${percent(cause.probability)}` : '-',
    ];
  });
  return table([['source', 'images', 'now', 'first alarm', 'probable cause'], ...rows], [1]);
}

function asJson({ source, monitor, images, failed, transitions }: Replay) {
  return { source, images, failed, transitions, report: monitor.report() };
}

const marks: Record<DriftState, string> = {
  learning: '.',
  ok: '-',
  suspect: '?',
  drifted: '#',
  recovered: '+',
  stale: ' ',
  frozen: '=',
};
const worst: readonly DriftState[] = ['drifted', 'frozen', 'suspect', 'recovered', 'learning', 'stale', 'ok'];
/** Marks of a timeline at most; a narrow terminal shows fewer. */
const mostMarks = 72;
const indent = '  ';
/** Things that moved, of which the text tells. */
const maxMoved = 5;

/** One mark for a stretch of images: the worst state in it. */
function timeline(states: readonly DriftState[]): string {
  const { isTTY, columns } = process.stdout;
  // Broken lines would tell nothing of when.
  const width = isTTY && columns > 0 ? Math.max(1, columns - indent.length) : mostMarks;
  const cells = Math.min(mostMarks, width, states.length);
  return Array.from({ length: cells }, (_, cell) => {
    const from = Math.floor((cell * states.length) / cells);
    const part = states.slice(from, Math.max(from + 1, Math.floor(((cell + 1) * states.length) / cells)));
    return marks[worst.find((state) => part.includes(state)) ?? 'ok'];
  }).join('');
}

function formatText({ source, monitor, images, failed, transitions, states }: Replay): string {
  const report = monitor.report();
  const time = report.correlationTime;
  const lines = [
    `${styled('bold', printable(source))}  ${count(images, 'image')}${failed > 0 ? `, ${failed} could not be judged` : ''}, now ${stateText(report.state)}${report.reason ? `: ${report.reason}` : ''}`,
    `${indent}${timeline(states)}`,
    `  ${time ? `correlation time ${Number(time.images.toPrecision(3))} images (${time.from}), ` : ''}${count(report.effectiveImages, 'effective image')}${report.repeats > 0 ? `, ${report.repeats} repeats` : ''}`,
  ];
  for (const { image, path, from, to, text, report: then } of transitions) {
    lines.push(`  image ${image}  ${from} -> ${stateText(to)}  ${text}  ${styled('dim', printable(path))}`);
    if (to !== 'drifted' || !then) continue;
    if (then.causes.length > 0) {
      lines.push(
        `    probable cause  ${then.causes.map((c) => `${spellCause(c.cause)} ${percent(c.probability)}`).join(', ')}`,
      );
    }
    if (then.expectedFlipRate !== undefined) lines.push(`    expected flip rate  ${percent(then.expectedFlipRate)}`);
    lines.push(...movedText(then));
    if (then.content) {
      lines.push(`    content  MMD^2 ${then.content.distance.toFixed(3)}, p ${then.content.pValue.toPrecision(2)}`);
    }
  }
  lines.push(`  ${report.promise}`);
  return lines.join('\n');
}

/** What moved, in the order of every list of it: by what a person sees, the number that tells it best. */
function movedText({ moved, movedCount }: DriftReport): string[] {
  if (moved.length === 0) return [];
  const rows = listLeads(moved)
    .slice(0, maxMoved)
    .map(({ statistic, text, size, pValue }) => [
      `      ${text}`,
      inSentence(labelStatistic(statistic)),
      `${size.toFixed(2)} sd`,
      `p ${pValue.toPrecision(2)}`,
    ]);
  return [`    ${movedCount.moved} of ${movedCount.compared} statistics have moved`, table(rows, [2])];
}

function stateText(state: DriftState): string {
  const isBad = state === 'drifted' || state === 'frozen';
  return styled(isBad ? 'red' : state === 'ok' ? 'green' : 'yellow', state);
}
