/**
 * The monitors and the store of a service, fed with images that were judged already: as many as it can be told to take.
 * Arguments: Profile, state folder, sources, images a second (0: as fast as it can, `rounds` images of each, then it measures
 * itself and ends), rounds.
 */
import { fastify } from 'fastify';
import { createDrift } from '../../src/drift/drift.ts';
import type { Observation } from '../../src/drift/observation.ts';
import { loadProfile } from '../../src/profile/file.ts';
import { openStore } from '../../src/server/store/store.ts';
import { createMonitors } from '../../src/server/watch/monitors.ts';

const [, , profilePath, folder, sources, perSecond, rounds = 0] = process.argv.map((text, i) =>
  i < 4 ? text : Number(text),
) as [string, string, string, string, number, number, number];

const profile = await loadProfile(profilePath);
const store = await openStore({ folder, historyRows: 200_000, historyDays: 30 });
const monitors = await createMonitors({
  store,
  log: fastify().log,
  drift: createDrift(profile),
  staleAfterMs: 300_000,
  maxSources: sources,
  onTransition: () => [],
  onAttention: () => [],
});
const makeName = (index: number) => `camera-${index}`;

/** An image like those of the reference, and like no other. */
let serial = 0;
function observation(): Observation {
  serial += 1;
  const z = Float32Array.from({ length: profile.statistics.length }, () => 2 * Math.random() - 1);
  const id = `${process.pid.toString(16).padStart(8, '0')}${serial.toString(16).padStart(8, '0')}`.padEnd(64, '0');
  const pValue = Math.random();
  const hash = id.slice(0, 16);
  return { id, at: Date.now(), verdict: 'pass', decidedBy: 'combined', pValue, score: 1 / pValue, z, hash };
}

async function countImages(): Promise<number[]> {
  const reports = Array.from({ length: sources }, (_, i) => monitors.report(makeName(i)));
  return (await Promise.all(reports)).map((report) => report?.images ?? 0);
}

if (perSecond > 0) {
  process.send?.({ restored: await countImages() });
  let observed = 0;
  const started = performance.now();
  setInterval(() => {
    for (const due = ((performance.now() - started) / 1000) * perSecond; observed < due; observed++) {
      monitors.observe(makeName(observed % sources), observation());
    }
    process.send?.({ observed, at: Date.now() });
  }, 10);
} else {
  const before = process.memoryUsage().rss;
  // The time of this thread alone, not that in which others had the processor.
  const busyBefore = process.threadCpuUsage();
  const images = Array.from({ length: 100 }, observation);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < sources; i++) {
      serial += 1;
      const id = serial.toString(16).padStart(16, '0').padEnd(64, '0');
      const image = { ...images[serial % images.length], id, hash: id.slice(0, 16), at: Date.now() };
      monitors.observe(makeName(i), image);
      // What a service does between two images.
      if (i % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
      if (i % 500 === 499) await store.flush();
    }
  }
  const busy = process.threadCpuUsage(busyBefore);
  monitors.close();
  await store.flush();
  const usedMiB = (bytes: number) => Math.round(bytes / 1024 / 1024);
  const { rss } = process.memoryUsage();
  process.send?.({
    rssMiB: usedMiB(rss),
    grownMiB: usedMiB(rss - before),
    observeMicroseconds: Math.round((busy.user + busy.system) / (rounds * sources)),
  });
  await store.close();
  process.disconnect?.();
}
