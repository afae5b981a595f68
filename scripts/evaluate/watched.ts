import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame } from '../../src/cli/demo/camera/camera.ts';
import { createDrift, type Drift } from '../../src/drift/drift.ts';
import type { Monitor } from '../../src/drift/monitor.ts';
import type { Observation } from '../../src/drift/observation.ts';
import { SightWatch } from '../../src/drift/sight.ts';
import { assessTrust } from '../../src/drift/trust.ts';
import { fit } from '../../src/fit/fit.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import type { Frame } from '../../src/image/frame.ts';
import { drawSketch } from '../../src/image/sketch.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import {
  type CameraFault,
  cameraFaults,
  type RenderedCamera,
  rate,
  renderedCameras,
  takeImage,
} from './watchedscenes.ts';

/** Images within which a fault of each kind is to be noticed: 3 seconds, 50 images, a minute. */
const withinImages = { gross: 3 * rate, local: 50, pan: 60 * rate } as const;
/** Images that a camera sends before its fault begins, and images of its reference. */
const leadIn = 140;
const referenceImages = 150;
/** Of the simulated days, one image in so many hours is taken. */
const everyHours = 0.5;
const staleAfterMs = 30_000;
const imageMs = 1000 / rate;

interface WatchedOptions {
  cameras?: readonly string[] | undefined;
  faults?: readonly string[];
  /** Days without a fault of each camera. */
  days: number;
  seed: number;
  /** A folder that keeps what was found of each camera, so that they can be watched one by one. */
  cache?: string | undefined;
  onProgress?: ((done: number) => void) | undefined;
}

/** What became of one fault of one camera. */
interface Noticed {
  camera: string;
  fault: CameraFault;
  /** Images from the first that has the fault, 1 is that one; undefined where it was not noticed in time. */
  delay?: number;
  /** What was named first. */
  said?: string;
}

export interface Watched {
  noticed: Noticed[];
  /** Without a fault: images, images said to be bad or doubtful, and alarms that began. */
  calm: { camera: string; images: number; doubted: number; alarms: number; why: string[] }[];
  /** Questions that cannot be answered after the lead-in. */
  uncheckable: { camera: string; text: string }[];
  cost: { sketchMs: number; observeMs: number; bytes: number };
}

/** Renders cameras, puts them through faults, and watches them as the service does. */
export async function evaluateWatched(options: WatchedOptions): Promise<Watched> {
  const found: Watched = { noticed: [], calm: [], uncheckable: [], cost: measureCost() };
  for (const camera of renderedCameras) {
    if (options.cameras && !options.cameras.includes(camera.name)) continue;
    const { noticed, calm, uncheckable } = await recallCamera(camera, options);
    found.noticed.push(...noticed);
    found.calm.push(...calm);
    found.uncheckable.push(...uncheckable);
  }
  return found;
}

type CameraFindings = Omit<Watched, 'cost'>;

/** What was found of a camera before, or is now. Functions of faults are not kept, only their names. */
async function recallCamera(camera: RenderedCamera, options: WatchedOptions): Promise<CameraFindings> {
  if (options.cache === undefined) return watchCamera(camera, options);
  await mkdir(options.cache, { recursive: true });
  const file = join(options.cache, `watched-${camera.name}-${options.days}-${options.seed}.json`);
  if (!existsSync(file)) {
    const { noticed, ...others } = await watchCamera(camera, options);
    const named = noticed.map(({ fault, ...one }) => ({ ...one, fault: fault.name }));
    await writeFile(file, JSON.stringify({ ...others, noticed: named }));
  }
  const { noticed, ...others } = JSON.parse(await readFile(file, 'utf8'));
  const findFault = (name: string) => cameraFaults.find((fault) => fault.name === name) as CameraFault;
  return {
    ...others,
    noticed: noticed.map((one: { fault: string }) => ({ ...one, fault: findFault(one.fault) })),
  };
}

async function watchCamera(camera: RenderedCamera, options: WatchedOptions): Promise<CameraFindings> {
  const found: CameraFindings = { noticed: [], calm: [], uncheckable: [] };
  const { profile } = await fitCamera(camera, options.seed);
  const inspector = await createInspector({ profile });
  const lens = new Lens(inspector, createDrift(profile, {}), options.onProgress);
  const lead: Observation[] = [];
  for (let i = 0; i < leadIn; i++) lead.push(await lens.see(takeImage(camera, camera.start + i), imageMs * i));
  const calm = new Calm(lens.drift.monitor());
  for (const observation of lead) calm.observe(observation);
  const { uncheckable = [] } = calm.monitor.report();
  for (const { question, why } of uncheckable)
    found.uncheckable.push({ camera: camera.name, text: `${question}: ${why}` });
  for (const fault of cameraFaults) {
    if (options.faults && !options.faults.includes(fault.name)) continue;
    if ((fault.needsView && !camera.isStanding) || (fault.needsClock && !camera.hasClock)) continue;
    const monitor = lens.drift.monitor();
    for (const observation of lead) monitor.observe(observation);
    found.noticed.push({ camera: camera.name, fault, ...(await awaitNotice(camera, fault, lens, monitor)) });
  }
  for (let hour = 0; hour < 24 * options.days; hour += everyHours) {
    const image = camera.start + leadIn + Math.round(hour * 3600 * rate);
    calm.observe(await lens.see(takeImage(camera, image), image * imageMs));
  }
  found.calm.push({ camera: camera.name, ...calm.result });
  return found;
}

/** A Profile of images of thirty days, by day and by night. */
async function fitCamera(camera: RenderedCamera, seed: number) {
  const folder = await mkdtemp(join(tmpdir(), 'stopline-cameras-'));
  try {
    const random = new Random(seed);
    for (let i = 0; i < referenceImages; i++) {
      const image = random.integer(30 * 24 * 3600 * rate);
      await writeFile(join(folder, `${String(i).padStart(4, '0')}.jpg`), await encodeFrame(takeImage(camera, image)));
    }
    return await fit({
      ...{ paths: [folder], groupBy: 'none', model: 'none', simulations: 60, power: 0, example: false },
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Judges images as the service does. */
class Lens {
  readonly drift: Drift;
  readonly #inspector: Inspector;
  readonly #onProgress: WatchedOptions['onProgress'];
  #seen = 0;

  constructor(inspector: Inspector, drift: Drift, onProgress: WatchedOptions['onProgress']) {
    this.#inspector = inspector;
    this.drift = drift;
    this.#onProgress = onProgress;
  }

  async see(frame: Frame, at: number): Promise<Observation> {
    const { sketch, ...verdict } = await this.#inspector.inspect(await encodeFrame(frame), { wantsSketch: true });
    this.#onProgress?.(++this.#seen);
    return { ...this.drift.makeObservation(verdict, at), ...(sketch && { sketch }) };
  }
}

async function awaitNotice(
  camera: RenderedCamera,
  fault: CameraFault,
  lens: Lens,
  monitor: Monitor,
): Promise<Pick<Noticed, 'delay' | 'said'>> {
  const first = camera.start + leadIn;
  for (let i = 0; i < withinImages[fault.kind]; i++) {
    const at = imageMs * (leadIn + i);
    monitor.observe(await lens.see(await fault.draw(camera, first + i, first), at));
    if (isNoticed(monitor, at)) return { delay: i + 1, said: nameNotice(monitor) };
  }
  return {};
}

/** Whether the page, the alerts and `GET /drift` say that something is wrong. */
function isNoticed(monitor: Monitor, at: number): boolean {
  const { trust } = assessTrust({ ...monitor.glance(), lastAt: at }, { now: at, staleAfterMs });
  return trust === 'no' || trust === 'doubtful';
}

function nameNotice(monitor: Monitor): string {
  const { state, sight, recent, causes, places } = monitor.report();
  if (sight) return sight.kind;
  if (state === 'frozen') return state;
  // Of a cause that is unknown nothing is said.
  if (recent.cause && recent.cause !== 'unknown') return recent.cause;
  if (places && places.parts.length > 0) return 'hidden part';
  return causes[0]?.cause ?? state;
}

/** A camera to which nothing happens. */
class Calm {
  readonly monitor: Monitor;
  readonly result = { images: 0, doubted: 0, alarms: 0, why: [] as string[] };
  #isBad = false;

  constructor(monitor: Monitor) {
    this.monitor = monitor;
  }

  observe(observation: Observation): void {
    const transition = this.monitor.observe(observation);
    this.result.images++;
    const { trust } = assessTrust(
      { ...this.monitor.glance(), lastAt: observation.at },
      { now: observation.at, staleAfterMs },
    );
    if (trust === 'no' || trust === 'doubtful') this.result.doubted++;
    if (trust === 'no' && !this.#isBad) {
      this.result.alarms++;
      this.result.why.push(transition?.text ?? nameNotice(this.monitor));
    }
    this.#isBad = trust === 'no';
  }
}

/** Processor time that the small picture of a 1080p frame and watching it take, and what is kept of a source. */
function measureCost(): Watched['cost'] {
  const [width, height, rounds] = [1920, 1080, 60];
  const random = new Random(1);
  const frame: Frame = { data: new Uint8Array(3 * width * height), width, height, channels: 3 };
  for (let i = 0; i < frame.data.length; i++) frame.data[i] = random.integer(256);
  const time = (work: (i: number) => void) => {
    const before = process.cpuUsage();
    for (let i = 0; i < rounds; i++) work(i);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / rounds;
  };
  // What is compiled first runs slower than what runs for weeks.
  for (let i = 0; i < rounds; i++) drawSketch(frame);
  const sketchMs = time(() => drawSketch(frame));
  const [camera] = renderedCameras;
  const sketches = Array.from({ length: rounds }, (_, i) => drawSketch(takeImage(camera, camera.start + i)));
  const watch = new SightWatch(10);
  for (let round = 0; round < 3; round++) for (const sketch of sketches) watch.observe(sketch);
  return { sketchMs, observeMs: time((i) => watch.observe(sketches[i])), bytes: JSON.stringify(watch.save()).length };
}

const percent = (share: number) => `${Math.round(100 * share)} %`;

/** The tables of docs/watch.md. */
export function watchedReport({ noticed, calm, uncheckable, cost }: Watched): string {
  const faults = [...new Set(noticed.map(({ fault }) => fault))];
  const rows = faults.map((fault) => {
    const all = noticed.filter((one) => one.fault === fault);
    const inTime = all.filter(({ delay }) => delay !== undefined);
    const delays = inTime.map(({ delay }) => delay as number).sort((a, b) => a - b);
    const right = inTime.filter(({ said }) => fault.right.test(said ?? ''));
    const missed = all.filter(({ delay }) => delay === undefined).map(({ camera }) => camera);
    const said = [...new Set(inTime.map((one) => one.said))].join(', ');
    const times = delays.length === 0 ? '-' : `${delays[0]} to ${delays.at(-1)}`;
    return `| ${fault.name} | ${withinImages[fault.kind]} | ${inTime.length} of ${all.length} | ${missed.join(', ') || '-'} | ${times} | ${right.length} of ${inTime.length} | ${said || '-'} |`;
  });
  const summary = (['gross', 'local', 'pan'] as const).flatMap((kind) => {
    const all = noticed.filter(({ fault }) => fault.kind === kind);
    const inTime = all.filter(({ delay }) => delay !== undefined);
    const right = inTime.filter(({ fault, said }) => fault.right.test(said ?? ''));
    if (all.length === 0) return [];
    const share = inTime.length === 0 ? 0 : right.length / inTime.length;
    return [
      `- ${kind}: noticed in time ${percent(inTime.length / all.length)} of ${all.length}, named right ${percent(share)}`,
    ];
  });
  const watched = renderedCameras.filter(({ name }) => calm.some(({ camera }) => camera === name));
  return [
    `Cameras: ${watched.map(({ name, about }) => `${name} (${about})`).join('; ')}. ${rate} images in a second, ${leadIn} before the fault, Profile of ${referenceImages} images of thirty days. Noticed: the answer is \`no\` or \`doubtful\`.`,
    '',
    '| fault | within images | noticed | missed by | after images | named right | said first |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    ...summary,
    '',
    `Without a fault, one image in ${everyHours * 60} minutes after the lead-in:`,
    '',
    '| camera | images | alarms | why | doubted |',
    '| --- | --- | --- | --- | --- |',
    ...calm.map(
      (one) =>
        `| ${one.camera} | ${one.images} | ${one.alarms} | ${one.why.join('; ') || '-'} | ${percent(one.doubted / one.images)} |`,
    ),
    '',
    `Not checkable after the lead-in: ${uncheckable.map(({ camera, text }) => `${camera}, ${text}`).join('; ') || 'nothing'}.`,
    '',
    `Cost: the small picture of a 1080p frame ${cost.sketchMs.toFixed(2)} ms, watching it ${cost.observeMs.toFixed(2)} ms of processor time; ${Math.round(cost.bytes / 1000)} kB are kept of what is seen of a source, beside its monitor.`,
  ].join('\n');
}
