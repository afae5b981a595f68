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
import { readArguments } from './arguments.ts';
import { measureSlowness, type Outcome, type Peaks, type Stage, setStage } from './faults/target.ts';

interface Fault<Loaded> {
  /** What is done, in a sentence. */
  says: string;
  load(): Promise<Loaded>;
}

const faults: Record<string, Fault<{ run(stage: Stage): Promise<Outcome> }>> = {
  start: {
    says: 'A restart with the default model: how long until it is ready, and its memory then.',
    load: () => import('./faults/start.ts'),
  },
  overload: {
    says: 'Ten times more requests than can be judged, for --count seconds (60).',
    load: () => import('./faults/overload.ts'),
  },
  slow: {
    says: 'Sockets that send a byte now and then, or nothing.',
    load: () => import('./faults/slow.ts'),
  },
  readers: {
    says: 'Clients that ask for much and read nothing.',
    load: () => import('./faults/readers.ts'),
  },
  halfclosed: {
    says: 'Clients that end in the middle of a request.',
    load: () => import('./faults/halfclosed.ts'),
  },
  smuggling: {
    says: 'Requests whose end two servers see at different places.',
    load: () => import('./faults/smuggling.ts'),
  },
  types: {
    says: 'Content types that parsers stumble over.',
    load: () => import('./faults/types.ts'),
  },
  structure: {
    says: 'Bodies whose structure is made to cost: keys, brackets, parts, headers.',
    load: () => import('./faults/structure.ts'),
  },
  connections: {
    says: 'A thousand idle connections beside good traffic.',
    load: () => import('./faults/connections.ts'),
  },
  descriptors: {
    says: 'More connections than the process may have files.',
    load: () => import('./faults/descriptors.ts'),
  },
  cameras: {
    says: 'A flood of camera names, --count of them (100,000).',
    load: () => import('./faults/cameras.ts'),
  },
  soak: {
    says: 'Ordinary requests in both isolations, --count of them (100,000): memory stays as it is.',
    load: () => import('./faults/soak.ts'),
  },
  confine: {
    says: 'What a decoder that was taken over may do and knows.',
    load: () => import('./faults/confine.ts'),
  },
  clock: {
    says: 'The clock of the service jumps a day forwards and back.',
    load: () => import('./faults/clock.ts'),
  },
  stop: {
    says: 'The whole service stands still for a while.',
    load: () => import('./faults/stop.ts'),
  },
  sigterm: {
    says: 'SIGTERM under load, --count times (100): what was taken is answered.',
    load: () => import('./faults/sigterm.ts'),
  },
  crash: {
    says: 'Native code crashes on marked images.',
    load: () => import('./faults/crash.ts'),
  },
  disk: {
    says: 'A Profile is written while the disk is full and while fsync fails.',
    load: () => import('./faults/disk.ts'),
  },
  eio: {
    says: 'The disk fails under a batch, which goes on later to the same bytes.',
    load: () => import('./faults/eio.ts'),
  },
  readings: {
    says: 'Requests in which the upstream would see another image than the gate.',
    load: () => import('./faults/readings.ts'),
  },
  crosssite: {
    says: 'What pages of other sites ask of a service without keys.',
    load: () => import('./faults/crosssite.ts'),
  },
  limits: {
    says: 'Images of 24 megapixels and a model of 100 MB, in both isolations.',
    load: () => import('./faults/limits.ts'),
  },
  pictures: {
    says: 'Pictures of large blocked images, many at a time.',
    load: () => import('./faults/pictures.ts'),
  },
  slowimages: {
    says: 'Legal images that take longer than one may: no crash.',
    load: () => import('./faults/slowimages.ts'),
  },
  job: {
    says: 'Work on a queue that names other files, and a Profile that nobody has signed.',
    load: () => import('./faults/job.ts'),
  },
  links: {
    says: 'Links, playlists and pipes among images.',
    load: () => import('./faults/links.ts'),
  },
  secrets: {
    says: 'Answers that name places of the machine, settings that show passwords.',
    load: () => import('./faults/secrets.ts'),
  },
  degraded: {
    says: 'An open gate without its Profile says so.',
    load: () => import('./faults/degraded.ts'),
  },
  lock: {
    says: 'Two services on one folder of stopped images.',
    load: () => import('./faults/lock.ts'),
  },
  healthcheck: {
    says: 'A service that lives and is not ready, over HTTP and TLS.',
    load: () => import('./faults/healthcheck.ts'),
  },
  models: {
    says: 'Models that expand without bounds for one image.',
    load: () => import('./faults/models.ts'),
  },
  nan: {
    says: 'Profiles whose scores are no numbers.',
    load: () => import('./faults/nan.ts'),
  },
  savedmodel: {
    says: 'SavedModels with operators that no classifier needs.',
    load: () => import('./faults/savedmodel.ts'),
  },
  fuzzers: {
    says: 'The fuzzer of the kernels leaves no instruction set out.',
    load: () => import('./faults/fuzzers.ts'),
  },
  waiting: {
    says: 'Readers of /events that only wait.',
    load: () => import('./faults/waiting.ts'),
  },
  brokers: {
    says: 'Brokers that are killed and come back, --count times (10).',
    load: () => import('./faults/brokers.ts'),
  },
  oldnode: {
    says: 'A Node in which native packages crash is told what is wrong.',
    load: () => import('./faults/oldnode.ts'),
  },
  windows: {
    says: 'The file system of Windows, as far as it can be imitated.',
    load: () => import('./faults/windows.ts'),
  },
  upgrade: {
    says: 'Commit 63a478e and this version: stores, and replicas together.',
    load: () => import('./faults/upgrade.ts'),
  },
  leftover: {
    says: 'Runs that end before their first row.',
    load: () => import('./faults/leftover.ts'),
  },
};
const programs: Record<string, Fault<unknown>> = {
  gate: {
    says: 'Every fault of judging and of the upstream; alone, with options of its own.',
    load: () => import('./faults/gate.ts'),
  },
  reload: {
    says: 'A Profile replaced again and again under load; alone, with options of its own.',
    load: () => import('./faults/reload.ts'),
  },
};
/**
 * What a process may take, whatever is done to it, in MB: 512 where it only answers, and what a process that decodes may take, with
 * its largest image and its models, by itself or on top.
 */
const mostMegabytes: Readonly<Peaks> = { answering: 512, threaded: 512 + 1024, worker: 1024 };
/** Those that a careless service cannot stand. */
const controls = ['slow', 'smuggling', 'types', 'sigterm', 'overload'];

if (Object.hasOwn(programs, process.argv[2] ?? '')) {
  // As if it had been started by itself: it reads its own options.
  const [name] = process.argv.splice(2, 1);
  await programs[name].load();
} else {
  await runFaults();
}

async function runFaults(): Promise<void> {
  const { values, names: named } = readArguments({
    command: 'npm run faults --',
    about:
      'Does things to the service that happen to services, and says whether it stood them; all of them, or those named.',
    options: {
      count: { default: 0, says: 'repetitions or seconds, where it is not the usual number' },
      careless: { default: false, says: 'the control: a service that takes no care must fail' },
      against: { default: '', says: 'folder of another version with its packages, to do it to that one' },
    },
    names: Object.fromEntries(Object.entries({ ...faults, ...programs }).map(([name, { says }]) => [name, says])),
  });
  const alone = named.find((name) => Object.hasOwn(programs, name));
  if (alone !== undefined) {
    console.error(`Expected ${alone} in front, by itself, because it has options of its own.`);
    process.exit(2);
  }
  const names = named.length > 0 ? named : values.careless ? controls : Object.keys(faults);

  for (const name of names) {
    const slowness = measureSlowness().toFixed(1);
    // What others do here at the same time makes times longer.
    const load = loadavg()[0].toFixed(1);
    const stage = await setStage({
      isCareless: values.careless,
      ...(values.count > 0 && { count: values.count }),
      ...(values.against !== '' && { checkout: resolve(values.against) }),
    });
    try {
      const { ok, figures, isSkipped } = await (await faults[name].load()).run(stage);
      if (isSkipped) {
        console.log(`skip ${name}: ${figures}`);
        continue;
      }
      const { answering, threaded, worker } = stage.peaks;
      const isSmall =
        answering <= mostMegabytes.answering && threaded <= mostMegabytes.threaded && worker <= mostMegabytes.worker;
      const decoding = `${threaded > 0 ? `, that which also decodes ${threaded} MB` : ''}, one that decodes ${worker} MB`;
      const isExpected = (ok && isSmall) !== values.careless;
      const label = `${name}${values.careless ? ' (control)' : ''}`;
      console.log(
        `${isExpected ? 'pass' : 'FAIL'} ${label}: ${figures} [load before: ${load}, work took ${slowness} times as long, the process that answers: at most ${answering} MB${decoding}]`,
      );
      if (!isExpected) process.exitCode = 1;
    } finally {
      stage.close();
    }
  }
  // Connections that are kept alive would keep the process alive, too.
  process.exit();
}
