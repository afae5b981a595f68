/** What watching sources costs: time of one image, and memory of ten thousand monitors. `npm run bench:drift`. */

import { makeShared } from '../src/drift/drift.ts';
import { createMonitor } from '../src/drift/monitor.ts';
import type { Observation } from '../src/drift/observation.ts';
import { Random } from '../src/image/corruptions/random.ts';
import { sketchColumns, sketchRows } from '../src/image/sketch.ts';
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

/** Small pictures of one view, in which something changes everywhere from one to the next. */
const cells = sketchColumns * sketchRows;
const view = random.words(cells).map((word) => 20 + (word % 200));
const sketched = observations.slice(0, 100).map((observation) => {
  const changes = random.words(cells);
  return { ...observation, sketch: Uint8Array.from(view, (value, i) => value + (changes[i] % 20)) };
});

/** Bytes of the process for so many sources that have each seen so many images. */
function measureMemory(sources: number, images: number, seen: readonly Observation[]): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (!collect) throw new Error('Expected node --expose-gc, as npm run bench:drift has it.');
  const used = () => {
    collect();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + Math.max(external, arrayBuffers);
  };
  const shared = makeShared(reference, {});
  const before = used();
  const monitors = Array.from({ length: sources }, () => createMonitor(shared));
  for (const [i, monitor] of monitors.entries()) {
    for (let k = 0; k < images; k++) monitor.observe(seen[(i + 97 * k) % seen.length]);
  }
  const after = used();
  if (monitors.some(({ state }) => state === 'frozen')) throw new Error('Expected pictures that change.');
  return after - before;
}

const sources = 10_000;
const state = createMonitor(makeShared(reference, {})).save().length;
const all = measureMemory(sources, 8, observations);
// The first compiles.
measureMemory(1, sketched.length, sketched);
const learnt = measureMemory(100, sketched.length, sketched) / 100;
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
    [`${sources} sources in memory`, `${(all / 2 ** 20).toFixed(0)} MiB`, '256 MiB'],
    ['one source whose small pictures were learnt', `${(learnt / 1000).toFixed(1)} kB`, '64 kB'],
    ['one saved state', `${(state / 1000).toFixed(1)} kB`, '25 kB'],
  ],
);
