import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { loadConfig } from '../../config.ts';
import { resolveEntry } from '../../core/entry.ts';
import { type ErrorJson, reviveError, StoplineError } from '../../errors.ts';
import type { Severity } from '../../image/corruptions/corruptions.ts';
import type { Profile } from '../../profile/description.ts';
import { saveProfile } from '../../profile/file.ts';
import { spellCause } from '../../profile/labels.ts';
import { clopperPearson, type Interval } from '../../profile/maths/binomial.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { mapOrdered } from '../../run/mapordered.ts';
import { createTally, type Tally } from '../../run/rows/tally.ts';
import { createWorkerLine, type WorkerLine } from '../../run/workers/line.ts';
import { serve } from '../../server/serve.ts';
import type { Config } from '../../settings.ts';
import { runFitTask } from '../fitthread.ts';
import { interruptible } from '../interrupt.ts';
import { numberOption } from '../options.ts';
import { startProgress } from '../progress.ts';
import {
  commandLine,
  duration,
  note,
  percent,
  print,
  printable,
  printJson,
  styled,
  table,
  verdictText,
} from '../terminal.ts';
import { type GalleryExample, writeGallery } from './gallery.ts';
import { throughGate } from './gate.ts';
import { showLiving } from './living.ts';
import type { Condition, RenderTask } from './render.entry.ts';

interface DemoFlags {
  out: string;
  frames: number;
  port: number;
  open?: boolean;
  json?: boolean;
}

const causes: readonly (readonly [cause: string, label: string])[] = [
  ['rain', 'rain'],
  ['jpeg', 'JPEG compression'],
  ['defocusBlur', 'blur'],
  ['night', 'night'],
  ['fog', 'fog'],
];
const severities: readonly Severity[] = [1, 3];
const conditions: readonly Condition[] = causes.flatMap(([cause]) =>
  severities.map((severity) => ({ cause, severity })),
);
/** Enough frames to learn from what the causes look like, few enough for a demo. */
const simulations = 24;
/** Rates that a few hundred frames can promise and a demo can check: of 200 clean frames 10 may be stopped, 2 blocked. */
const falseAlarmRate = { warn: 0.05, block: 0.01 };
/** For every so many frames of the reference one under each condition: 20 beside 400, of which the page shows three. */
const framesPerCondition = 20;
/** Frames of one condition on the page. */
const examplesPerCondition = 3;
const seed = 1;

export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'Renders its own small traffic camera, fits a Profile, starts the service on loopback, and sends it clean frames and ' +
        'frames with rain, JPEG compression, blur, night and fog. Prints what came of it and writes it as a page with pictures.',
    )
    .option('-o, --out <DIR>', 'folder for the Profile and the page', 'artifacts/demo')
    .addOption(numberOption('--frames <N>', 'reference frames to render and fit').default(400))
    .addOption(numberOption('--port <N>', 'port of the service; 0 takes a free one').default(0))
    .option('--open', 'then go on with a living page: three cameras, two of which drift, until Ctrl-C')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `\nExamples:\n  ${commandLine('demo')}\n  ${commandLine('demo', '--open')}\n  ${commandLine('demo', '--out', '/tmp/demo', '--frames', '1000')}`,
    )
    .action(runDemo);
}

async function runDemo(flags: DemoFlags): Promise<void> {
  const startedAt = performance.now();
  if (!Number.isInteger(flags.frames) || flags.frames < 1 || flags.frames > 100_000) {
    throw new StoplineError('OPTION_INVALID', `Expected --frames from 1 to 100000 but received ${flags.frames}.`);
  }
  const profilePath = join(flags.out, 'camera.stopline');
  await mkdir(flags.out, { recursive: true }).catch((cause) => {
    throw new StoplineError('OUTPUT_UNWRITABLE', `Expected a folder at "${flags.out}" but ${cause.message}.`, {
      cause,
    });
  });
  const { config } = loadConfig({
    flags: {
      profile: profilePath,
      host: '127.0.0.1',
      port: flags.port,
      logLevel: 'silent',
      maxWaitMs: 60_000,
      maxImageMs: 60_000,
    },
  });
  const renderers = startRenderers();
  const { profile, groups, answers } = await interruptible(async (signal) => {
    const challenge = new Challenge(renderers, flags.frames, signal);
    const profile = await fitCamera(flags.frames, { renderers, signal, onTraining: () => void challenge.drawAhead() });
    await saveProfile(profile, profilePath);
    const service = await serve(config);
    let groups: Group[];
    try {
      note(`service: listening at ${service.url}`);
      groups = await challenge.run(service.url);
    } finally {
      await service.close();
    }
    const shown = groups
      .filter(({ condition }) => condition.severity !== 1)
      .flatMap(({ examples }) => examples.slice(0, 1));
    return { profile, groups, answers: await throughGate(config, shown) };
  }).finally(() => renderers.destroy());
  const examples = groups.flatMap(({ examples }) => examples);
  const files = await writeGallery(flags.out, { profile, examples });
  const alarms = (['warn', 'block'] as const).map((level) => falseAlarms(level, groups[0].tally, profile));
  const seconds = (performance.now() - startedAt) / 1000;
  if (flags.json) {
    printJson({
      files: { profile: profilePath, ...files },
      profile: { name: profile.name, sha256: profile.sha256 },
      conditions: groups.map(({ condition, tally }) => ({ ...condition, ...tally.toJSON() })),
      falseAlarms: alarms,
      gate: answers,
      seconds,
    });
    return;
  }
  print(conditionTable(groups));
  print('\nFalse alarms on clean frames that were not used to fit:');
  print(table(alarms.map(falseAlarmRow)));
  if (answers.length > 0) {
    print('\nThrough a gate in front of a model server, enforcing:');
    print(table(answers.map(({ label, status, verdict, answer }) => [`  ${label}`, `${status}`, verdict, answer])));
  }
  print(`\nWritten to ${printable(flags.out)} in ${duration(seconds)}:`);
  print(
    table([
      ['  camera.stopline', 'the Profile'],
      ['  index.html', 'frames with their verdicts and reasons'],
    ]),
  );
  print('Try next:');
  for (const args of [
    ...(flags.open ? [] : [['demo', '--open']]),
    ['inspect', join(flags.out, 'frames', 'fog-3.jpg'), '--profile', profilePath],
    ['score', join(flags.out, 'frames'), '--profile', profilePath, '--out', '-', '--format', 'csv'],
    ['serve', '--profile', profilePath],
    ['fit', '<your frames>', '--out', 'camera.stopline'],
  ]) {
    print(`  ${commandLine(...args)}`);
  }
  if (flags.open) await showCameras(config, flags.frames);
}

async function showCameras(config: Config, frames: number): Promise<void> {
  const renderers = startRenderers();
  try {
    await showLiving(config, { renderers, seed, first: 2 * frames });
  } finally {
    await renderers.destroy();
  }
}

function startRenderers(): WorkerLine<RenderTask> {
  const filename = resolveEntry('./render.entry', import.meta.url);
  return createWorkerLine<RenderTask>({ filename, threads: availableParallelism() });
}

/** The reference: `frames` frames of the simulated camera, rendered into a folder that is gone afterwards. */
async function fitCamera(
  frames: number,
  { renderers, signal, onTraining }: { renderers: WorkerLine<RenderTask>; signal: AbortSignal; onTraining(): void },
): Promise<Profile> {
  const folder = await mkdtemp(join(tmpdir(), 'stopline-demo-'));
  try {
    const rendering = startProgress('render', 'frames');
    try {
      const indices = Array.from({ length: frames }, (_, index) => index);
      const render = (index: number) => {
        const path = join(folder, `frame-${String(index).padStart(6, '0')}.jpg`);
        return renderers.run<Uint8Array[]>({ index, seed, path }, { signal });
      };
      let done = 0;
      for await (const _ of mapOrdered(indices, 16, render)) rendering.update({ done: ++done, total: frames });
    } finally {
      rendering.stop();
    }
    signal.throwIfAborted();
    const { config } = loadConfig();
    const options = {
      paths: [folder],
      name: 'demo-camera',
      // Frames are drawn independently, so each is a group of its own; named by its number and not by the temporary folder,
      // which makes the demo the same every time.
      groupBy: 'frame-\\d+',
      seed,
      falseAlarmRate,
      simulations,
      power: 0,
      threads: config.threads,
    };
    const { profile } = await runFitTask(
      { kind: 'fit', options, inputs: {}, config },
      options,
      ({ stage, done }) => stage === 'train' && done === 0 && onTraining(),
    );
    return profile;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Group {
  condition: { label: string; cause?: string; severity?: number };
  tally: Tally;
  /** How often each cause was the likeliest of a frame that was stopped. */
  named: Map<string, number>;
  examples: GalleryExample[];
}

/**
 * Frames that were not fitted, sent to the running service: half as many clean ones as the reference has, and a few under every
 * condition.
 */
class Challenge {
  readonly #renderers: WorkerLine<RenderTask>;
  readonly #frames: number;
  readonly #clean: number;
  readonly #perCondition: number;
  readonly #signal: AbortSignal;
  /** Those that were drawn before they are asked for, by position. */
  readonly #drawn = new Map<number, Promise<Uint8Array[]>>();
  #isAhead = false;

  constructor(renderers: WorkerLine<RenderTask>, frames: number, signal: AbortSignal) {
    this.#renderers = renderers;
    this.#frames = frames;
    this.#clean = Math.ceil(frames / 2);
    this.#perCondition = Math.ceil(frames / framesPerCondition);
    this.#signal = signal;
  }

  /** Draws one frame after the other until it is run: training takes one core, and leaves the others idle. */
  async drawAhead(): Promise<void> {
    this.#isAhead = true;
    for (let position = 0; position < this.#clean && this.#isAhead; position++) {
      const drawing = this.#draw(position);
      this.#drawn.set(position, drawing);
      // Told to whoever asks for the frame.
      await drawing.catch(() => undefined);
    }
  }

  /** @returns what came of them; the first group is the clean one */
  async run(url: string): Promise<Group[]> {
    this.#isAhead = false;
    const groups = listGroups();
    const progress = startProgress('inspect');
    const total = this.#clean + this.#perCondition * conditions.length;
    let done = 0;
    try {
      const judge = async (position: number) => {
        const images = await (this.#drawn.get(position) ?? this.#draw(position));
        this.#drawn.delete(position);
        const verdicts: Verdict[] = [];
        for (const bytes of images) {
          verdicts.push(await post(url, bytes, this.#signal));
          progress.update({ done: ++done, total });
        }
        return { images, verdicts };
      };
      const positions = Array.from({ length: this.#clean }, (_, position) => position);
      for await (const { images, verdicts } of mapOrdered(positions, 8, judge)) {
        for (const [i, verdict] of verdicts.entries()) addVerdict(groups[i], images[i], verdict);
      }
      return groups;
    } finally {
      progress.stop();
    }
  }

  #draw(position: number): Promise<Uint8Array[]> {
    const task = {
      index: this.#frames + position,
      seed,
      conditions: position < this.#perCondition ? conditions : [],
    };
    return this.#renderers.run<Uint8Array[]>(task, { signal: this.#signal });
  }
}

/** The clean frames, and those of every condition, none of them judged yet. */
function listGroups(): Group[] {
  return [
    { label: 'clean' },
    ...conditions.map(({ cause, severity }) => ({
      label: `${causes.find(([name]) => name === cause)?.[1]} ${severity}`,
      cause,
      severity,
    })),
  ].map((condition) => ({ condition, tally: createTally(), named: new Map<string, number>(), examples: [] }));
}

function addVerdict({ condition, tally, named, examples }: Group, bytes: Uint8Array, verdict: Verdict): void {
  const { label, cause, severity } = condition;
  if (examples.length < (cause ? 1 : 2) * examplesPerCondition) {
    examples.push({ name: cause ? `${cause}-${severity}` : 'clean', label, bytes, verdict });
  }
  tally.add({ path: label, ...verdict });
  const likeliest = verdict.causes?.[0]?.cause;
  if (verdict.verdict !== 'pass' && likeliest) named.set(likeliest, (named.get(likeliest) ?? 0) + 1);
}

async function post(url: string, bytes: Uint8Array, signal: AbortSignal): Promise<Verdict> {
  const response = await fetch(`${url}/inspect`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg' },
    body: new Uint8Array(bytes),
    signal,
  });
  const answer = (await response.json()) as Verdict & { error?: ErrorJson };
  if (!response.ok) throw reviveError(answer.error ?? { code: 'INTERNAL', message: `HTTP ${response.status}` });
  return answer;
}

interface FalseAlarms {
  level: 'warn' | 'block';
  images: number;
  alarms: number;
  share: number;
  /** 95 %, Clopper-Pearson. */
  interval: Interval;
  promised: number;
  isKept: boolean;
}

/** Whether what was promised is compatible with what clean frames got. A blocked frame counts as warned, too. */
function falseAlarms(level: 'warn' | 'block', tally: Tally, profile: Profile): FalseAlarms {
  const { images, verdicts } = tally.toJSON();
  const alarms = verdicts.block + (level === 'warn' ? verdicts.warn : 0);
  const interval = clopperPearson(alarms, images);
  const promised = profile.falseAlarmRate.promised[level];
  return { level, images, alarms, share: alarms / images, interval, promised, isKept: interval.low <= promised };
}

function falseAlarmRow({ level, images, alarms, share, interval, promised, isKept }: FalseAlarms): string[] {
  return [
    level === 'warn' ? '  warned or blocked' : '  blocked',
    `${alarms} of ${images}, ${percent(share)}`,
    `95 % interval ${percent(interval.low)} to ${percent(interval.high)}`,
    `promised at most ${percent(promised)}:`,
    isKept ? styled('green', 'kept') : styled('red', 'not kept, the interval lies above it'),
  ];
}

function conditionTable(groups: readonly Group[]): string {
  const rows = groups.map(({ condition, tally, named }) => {
    const { images, verdicts, reasons } = tally.toJSON();
    const share = (verdict: Verdict['verdict']) => percent(verdicts[verdict] / images);
    const main = reasons[0] ? reasons[0].text : '';
    const stopped = verdicts.warn + verdicts.block;
    const [cause] = [...named].sort((a, b) => b[1] - a[1]);
    const causeText = cause ? `${spellCause(cause[0])} ${percent(cause[1] / stopped)}` : '';
    return [condition.label, `${images}`, share('pass'), share('warn'), share('block'), causeText, main];
  });
  const header = [
    'frames',
    '',
    verdictText('pass'),
    verdictText('warn'),
    verdictText('block'),
    'likeliest cause',
    'most frequent first reason',
  ];
  return `\n${table([header, ...rows], [1, 2, 3, 4])}\n(1 is mild, 3 is clear)`;
}
