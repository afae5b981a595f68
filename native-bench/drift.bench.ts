/** What watching sources costs: time of one image, and memory of ten thousand monitors. `npm run bench:drift`. */

import { makeShared } from '../src/drift/drift.ts';
import { createMonitor } from '../src/drift/monitor.ts';
import type { Observation } from '../src/drift/observation.ts';
import { Random } from '../src/image/corruptions/random.ts';
import { statistics } from '../src/image/statistics/statistics.ts';
import { conformalPValue } from '../src/profile/maths/ranks.ts';
import { cpuMs, median, printTable } from './table.ts';

const names = statistics.filter(({ scored }) => scored).map(({ name }) => name);
const images = 1000;
const across = 8;
const random = new Random(1);
const scores = Float64Array.from(random.normals(images)).sort();
const reference = {
  profile: 'a'.repeat(64),
  names,
  scores,
  images,
  cloud: { across, rows: Float64Array.from(random.normals(300 * across)) },
};
const ordered = { score: 1, statistics: new Float64Array(names.length).fill(1) };

const hex = (words: number) => [...random.words(words)].map((word) => word.toString(16).padStart(8, '0')).join('');
const observations = Array.from({ length: 2000 }, (_, i): Observation => {
  const [score] = random.normals(1);
  const causes = [{ cause: 'fog', probability: 0.6 }];
  const pValue = conformalPValue(scores, score);
  const z = random.normals(names.length);
  const projection = random.normals(across);
  const verdict = pValue <= 0.01 ? 'warn' : 'pass';
  return {
    id: hex(8),
    at: 1000 * i,
    verdict,
    decidedBy: 'combined',
    pValue,
    score,
    z,
    projection,
    causes,
    hash: hex(2),
  };
});

/** Microseconds of processor time of one image, in the second half of the stream: the first compiles. */
async function measureCost(correlation: typeof ordered | undefined): Promise<number> {
  const shared = makeShared({ ...reference, correlation }, {});
  const half = observations.length / 2;
  const rounds: number[] = [];
  for (let round = 0; round < 7; round++) {
    const monitor = createMonitor(shared);
    for (const observation of observations.slice(0, half)) monitor.observe(observation);
    const time = await cpuMs(() => {
      for (const observation of observations.slice(half)) monitor.observe(observation);
    });
    rounds.push((1000 * time) / half);
  }
  return median(rounds);
}

/** Milliseconds of processor time. */
async function reportMs(): Promise<number> {
  const monitor = createMonitor(makeShared({ ...reference, correlation: ordered }, {}));
  for (const observation of observations.slice(0, 200)) monitor.observe(observation);
  monitor.report();
  const time = await cpuMs(() => {
    for (let i = 0; i < 5; i++) monitor.report();
  });
  return time / 5;
}

/** MiB of the process for so many sources that have each seen some images. */
function measureMemory(sources: number): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (!collect) throw new Error('Expected node --simulate-gc, as npm run bench:drift has it.');
  const used = () => {
    collect();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + Math.max(external, arrayBuffers);
  };
  const shared = makeShared(reference, {});
  const before = used();
  const monitors = Array.from({ length: sources }, () => createMonitor(shared));
  for (const [i, monitor] of monitors.entries()) {
    for (let k = 0; k < 8; k++) monitor.observe(observations[(i + 97 * k) % observations.length]);
  }
  const after = used();
  if (monitors.some(({ state }) => state !== 'learning')) throw new Error('Expected sources that learn.');
  return (after - before) / 2 ** 20;
}

const sources = 10_000;
const state = createMonitor(makeShared(reference, {})).save().length;
printTable(
  ['watching', 'measured', 'bound'],
  [
    [
      `one image, ${names.length} statistics, correlation time of the reference`,
      `${(await measureCost(ordered)).toFixed(1)} us`,
      '50 us',
    ],
    ['one image, correlation time learnt from the stream', `${(await measureCost(undefined)).toFixed(1)} us`, '50 us'],
    ['a report with its window tests', `${(await reportMs()).toFixed(0)} ms`, ''],
    [`${sources} sources in memory`, `${measureMemory(sources).toFixed(0)} MiB`, '256 MiB'],
    ['one saved state', `${(state / 1000).toFixed(1)} kB`, '25 kB'],
  ],
);
