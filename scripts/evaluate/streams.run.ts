import { fileURLToPath } from 'node:url';
import type { Severity } from '../../src/image/corruptions/corruptions.ts';
import { mapOrdered } from '../../src/run/mapordered.ts';
import { createWorkerLine } from '../../src/run/workers/line.ts';
import { type CauseDelays, cameraDelays, recordedFrames } from './cameras.ts';
import { simulatedStatistics } from './populations.ts';
import type { StreamsReport } from './streams.tables.ts';
import type { PopulationPlan, StreamAnswer, StreamTask } from './streams.task.ts';

const falseAlarmEvery = 10_000;
const calibrations = [100, 300, 1000] as const;
const causes = ['rain', 'fog', 'night', 'motionBlur', 'gaussianNoise', 'jpeg', 'dirt', 'colourCast'] as const;
const severities: readonly Severity[] = [1, 3, 5];

export interface StreamsOptions {
  /** Folders of recordings, whose frames make a stream; none for simulated streams only. */
  reference: string[];
  /** Runs of each kind. */
  runs: number;
  /** Images of each run in which nothing changes. */
  length: number;
  seed: number;
  threads: number;
  onProgress?: (done: number, total: number) => void;
}

/** What `docs/drift.md` tells of streams. Deterministic for a seed, whatever the number of threads. */
export async function evaluateStreams(options: StreamsOptions): Promise<StreamsReport> {
  const { reference, runs, length, seed, threads, onProgress } = options;
  const simulated: PopulationPlan[] = [
    { memory: 0 },
    { memory: 0.5 },
    { memory: 0.9 },
    { memory: 0.99 },
    { memory: 0.5, period: 1000 },
  ];
  const real = reference.length > 0 ? await recordedFrames(reference, threads) : [];
  const recorded = real.length > 0 ? [{ name: 'real frames, in stretches of 40', recordings: real }] : [];
  const tasks = planTasks([...simulated, ...recorded], { runs, length, seed });

  const report: StreamsReport = {
    falseAlarmEvery,
    statistics: simulatedStatistics,
    quiet: [],
    peers: [],
    delays: [],
    kept: [],
  };
  let done = 0;
  const filename = fileURLToPath(new URL('./streams.task.ts', import.meta.url));
  const line = createWorkerLine<StreamTask>({ filename, threads });
  try {
    const answers = mapOrdered(tasks, threads, async (task) => ({
      task,
      answer: await line.run<StreamAnswer>(task, {}),
    }));
    for await (const { task, answer } of answers) {
      take(report, task, answer);
      onProgress?.(++done, tasks.length);
    }
  } finally {
    await line.destroy();
  }
  return report;
}

/** Delays of the causes on the simulated camera of the demo. */
export function evaluateCamera({
  runs,
  seed,
  onProgress,
}: Pick<StreamsOptions, 'runs' | 'seed' | 'onProgress'>): Promise<CauseDelays[]> {
  return cameraDelays({ images: [300, 1000], causes, severities, runs, falseAlarmEvery, seed, onProgress });
}

function planTasks(
  populations: readonly PopulationPlan[],
  { runs, length, seed }: { runs: number; length: number; seed: number },
): StreamTask[] {
  const tasks: StreamTask[] = [];
  for (const population of populations) {
    const common = { falseAlarmEvery, runs, length, seed };
    for (const calibration of calibrations) {
      tasks.push({ kind: 'quiet', population, options: { ...common, calibration, isOrdered: true } });
    }
    tasks.push({ kind: 'quiet', population, options: { ...common, calibration: 300, isOrdered: false } });
    const few = { calibration: 300, runs: Math.ceil(runs / 20), length, seed };
    tasks.push({ kind: 'peers', population, options: few });
  }
  for (const images of calibrations) {
    const options = { statistics: simulatedStatistics, images, falseAlarmEvery };
    tasks.push({ kind: 'kept', options, sets: runs, seed });
  }
  const delay = (population: PopulationPlan, change: 'beyond' | number, calibration: number) => {
    const isSmall = change === 0.3;
    const options = {
      falseAlarmEvery,
      calibration,
      runs: Math.max(10, Math.ceil(runs / (isSmall ? 8 : 4))),
      isOrdered: true,
      seed: seed + 7,
      before: 200,
      limit: isSmall ? 3000 : 500,
    };
    tasks.push({ kind: 'delay', population, change, options });
  };
  for (const population of populations.slice(0, 4)) {
    for (const calibration of calibrations) delay(population, 'beyond', calibration);
  }
  for (const calibration of calibrations) for (const step of [0.3, 1]) delay(populations[0], step, calibration);
  return tasks;
}

function take(report: StreamsReport, task: StreamTask, answer: StreamAnswer): void {
  if (answer.kind === 'quiet') report.quiet.push(answer.quiet);
  else if (answer.kind === 'peers') report.peers.push(...answer.peers);
  else if (answer.kind === 'kept' && task.kind === 'kept') {
    report.kept.push({ calibration: task.options.images, sets: task.sets, kept: answer.kept });
  } else if (answer.kind === 'delay' && task.kind === 'delay') {
    const { population, delays, correlation } = answer;
    const change =
      task.change === 'beyond'
        ? 'every image beyond all of the reference'
        : `one statistic by ${task.change} standard deviations`;
    report.delays.push({ population, change, calibration: task.options.calibration, correlation, delays });
  }
}
