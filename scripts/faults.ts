/**
 * Does things to the service that happen to services, and says whether it stood them: one line each, pass or FAIL with its
 * figures. Bounded in number and time, on loopback, and ends only what it started.
 *
 *     npm run faults                              all of them, with the numbers of the reliability goals (an hour)
 *     npm run faults -- slow smuggling types      some; times count on a machine that does nothing else
 *     npm run faults -- sigterm --count 20        fewer repetitions (or seconds, of overload)
 *     npm run faults -- --careless                the control: a service that takes no care must fail
 *     npm run faults -- links --against FOLDER    the same to another version, a checkout with its packages installed
 *
 * Two are programs with options of their own, and are named alone (as are faults:batch and faults:queue):
 *
 *     npm run faults -- gate
 *     npm run faults -- reload --reloads 1000 --rate 50
 */
import { loadavg } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Outcome, type Stage, setStage } from './faults/target.ts';

const faults: Record<string, () => Promise<{ run(stage: Stage): Promise<Outcome> }>> = {
  start: () => import('./faults/start.ts'),
  overload: () => import('./faults/overload.ts'),
  slow: () => import('./faults/slow.ts'),
  readers: () => import('./faults/readers.ts'),
  halfclosed: () => import('./faults/halfclosed.ts'),
  smuggling: () => import('./faults/smuggling.ts'),
  types: () => import('./faults/types.ts'),
  structure: () => import('./faults/structure.ts'),
  connections: () => import('./faults/connections.ts'),
  descriptors: () => import('./faults/descriptors.ts'),
  cameras: () => import('./faults/cameras.ts'),
  soak: () => import('./faults/soak.ts'),
  confine: () => import('./faults/confine.ts'),
  clock: () => import('./faults/clock.ts'),
  stop: () => import('./faults/stop.ts'),
  sigterm: () => import('./faults/sigterm.ts'),
  crash: () => import('./faults/crash.ts'),
  disk: () => import('./faults/disk.ts'),
  eio: () => import('./faults/eio.ts'),
  readings: () => import('./faults/readings.ts'),
  crosssite: () => import('./faults/crosssite.ts'),
  limits: () => import('./faults/limits.ts'),
  pictures: () => import('./faults/pictures.ts'),
  slowimages: () => import('./faults/slowimages.ts'),
  job: () => import('./faults/job.ts'),
  links: () => import('./faults/links.ts'),
  secrets: () => import('./faults/secrets.ts'),
  degraded: () => import('./faults/degraded.ts'),
  lock: () => import('./faults/lock.ts'),
  healthcheck: () => import('./faults/healthcheck.ts'),
  models: () => import('./faults/models.ts'),
  nan: () => import('./faults/nan.ts'),
  savedmodel: () => import('./faults/savedmodel.ts'),
  fuzzers: () => import('./faults/fuzzers.ts'),
  waiting: () => import('./faults/waiting.ts'),
  brokers: () => import('./faults/brokers.ts'),
  oldnode: () => import('./faults/oldnode.ts'),
  windows: () => import('./faults/windows.ts'),
  upgrade: () => import('./faults/upgrade.ts'),
  leftover: () => import('./faults/leftover.ts'),
};
const programs: Record<string, () => Promise<unknown>> = {
  gate: () => import('./faults/gate.ts'),
  reload: () => import('./faults/reload.ts'),
};
/** What the process that answers may take, whatever is done to it, in MB. */
const mostMegabytes = 512;
/** Those that a careless service cannot stand. */
const controls = ['slow', 'smuggling', 'types', 'sigterm', 'overload'];

if (Object.hasOwn(programs, process.argv[2] ?? '')) {
  // As if it had been started by itself: it reads its own options.
  const [name] = process.argv.splice(2, 1);
  await programs[name]();
} else {
  await runFaults();
}

async function runFaults(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { count: { type: 'string' }, careless: { type: 'boolean', default: false }, against: { type: 'string' } },
  });
  const names = positionals.length > 0 ? positionals : values.careless ? controls : Object.keys(faults);
  const unknown = names.find((name) => !Object.hasOwn(faults, name));
  if (unknown !== undefined)
    throw new Error(`Expected one of ${Object.keys(faults).join(', ')} but received ${unknown}`);

  for (const name of names) {
    // What others do here at the same time makes times longer.
    const load = loadavg()[0].toFixed(1);
    const stage = await setStage({
      isCareless: values.careless,
      ...(values.count !== undefined && { count: Number(values.count) }),
      ...(values.against !== undefined && { checkout: resolve(values.against) }),
    });
    try {
      const { ok, figures, isSkipped } = await (await faults[name]()).run(stage);
      if (isSkipped) {
        console.log(`skip ${name}: ${figures}`);
        continue;
      }
      const isSmall = stage.peakMegabytes <= mostMegabytes;
      const isExpected = (ok && isSmall) !== values.careless;
      const label = `${name}${values.careless ? ' (control)' : ''}`;
      console.log(
        `${isExpected ? 'pass' : 'FAIL'} ${label}: ${figures} [load before: ${load}, the process that answers: at most ${stage.peakMegabytes} MB]`,
      );
      if (!isExpected) process.exitCode = 1;
    } finally {
      stage.close();
    }
  }
  // Connections that are kept alive would keep the process alive, too.
  process.exit();
}
