import { answerWith } from '../../src/run/workers/answer.ts';
import { allowanceUsed } from './guarantee.ts';
import { type PeerAlarms, runPeers } from './peers.ts';
import { autoregressive, type Population, recorded, type StreamImage } from './populations.ts';
import { type DelayOptions, type Quiet, type QuietOptions, runDelays, runQuiet } from './streams.ts';

/** What a population is made of: an AR(1) process and perhaps a cycle, or recordings. */
export type PopulationPlan = { memory: number; period?: number } | { name: string; recordings: StreamImage[][] };

/** One kind of runs: a task of a worker thread. */
export type StreamTask =
  | { kind: 'quiet'; population: PopulationPlan; options: QuietOptions }
  | {
      kind: 'peers';
      population: PopulationPlan;
      options: { calibration: number; runs: number; length: number; seed: number };
    }
  /** Every image becomes stranger than all of the reference, or one statistic moves by so many deviations. */
  | { kind: 'delay'; population: PopulationPlan; change: 'beyond' | number; options: DelayOptions }
  | {
      kind: 'kept';
      options: { statistics: number; images: number; falseAlarmEvery: number };
      sets: number;
      seed: number;
    };

export type StreamAnswer =
  | { kind: 'quiet'; quiet: Quiet }
  | { kind: 'peers'; peers: PeerAlarms[] }
  | { kind: 'delay'; population: string; delays: number[]; correlation: number }
  | { kind: 'kept'; kept: number };

function buildPopulation(plan: PopulationPlan): Population {
  return 'memory' in plan ? autoregressive(plan.memory, plan.period) : recorded(plan.name, plan.recordings);
}

function change(shift: 'beyond' | number, { score, values }: StreamImage): StreamImage {
  if (shift === 'beyond') return { score: score + 6, values };
  return { score, values: values.map((value, i) => (i === 5 ? value + shift : value)) };
}

function perform(task: StreamTask): StreamAnswer {
  if (task.kind === 'kept') {
    const sets = Array.from({ length: task.sets }, (_, set) => allowanceUsed(task.options, task.seed + set));
    return { kind: 'kept', kept: sets.filter((used) => used <= 1).length };
  }
  const population = buildPopulation(task.population);
  switch (task.kind) {
    case 'quiet':
      return { kind: 'quiet', quiet: runQuiet(population, task.options) };
    case 'peers':
      return { kind: 'peers', peers: runPeers(population, task.options) };
    case 'delay':
      return {
        kind: 'delay',
        population: population.name,
        ...runDelays(population, (image) => change(task.change, image), task.options),
      };
  }
}

/** Entry of a worker. */
export function openWorker() {
  return (task: StreamTask) => answerWith(() => perform(task));
}
