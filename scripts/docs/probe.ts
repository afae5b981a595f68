/**
 * Whether what a measured section of a document says is still what the code does. Such sections take minutes to hours to make, so each
 * keeps a probe: what the code did on a few rendered frames and drawn numbers when the section was made. Where the code does something
 * else today the section says so itself, and names the command that makes it again.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { loadCore } from '../../src/core/index.ts';
import { type DriftReference, makeShared } from '../../src/drift/drift.ts';
import { createMonitor } from '../../src/drift/monitor.ts';
import { SightWatch } from '../../src/drift/sight.ts';
import { CauseRows } from '../../src/fit/causes.ts';
import { fitPlaces } from '../../src/fit/places.ts';
import { corrupt, corruptions } from '../../src/image/corruptions/corruptions.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import type { Frame } from '../../src/image/frame.ts';
import { measureFrame } from '../../src/image/measure.ts';
import { placeCount, placeMeasures } from '../../src/image/places.ts';
import { drawSketch } from '../../src/image/sketch.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { causeEvidence } from '../../src/profile/diagnosis.ts';
import { conformalPValue } from '../../src/profile/maths/ranks.ts';
import { placeOdds, strongestPlace } from '../../src/profile/places.ts';
import { createScorer } from '../../src/profile/score.ts';
import { decideVerdict } from '../../src/profile/verdict.ts';
import { learnScene } from '../../test/fixtures/scene.ts';
import { fitSynthetic, makeImage } from '../../test/fixtures/synthetic.ts';

/** Numbers by what they are of. */
export type Probe = Readonly<Record<string, number | string>>;

/** Numbers that differ by a smaller share are the same: two builds of the core and of libjpeg round otherwise. */
const tolerance = 0.002;
const names = statistics.map(({ name }) => name);

/** What the code does now. */
export async function takeProbe(): Promise<Probe> {
  const network = readFileSync(fileURLToPath(new URL('../../models/default.onnx', import.meta.url)));
  return {
    statistics: names.length,
    ...(await probeImages()),
    ...probeScores(),
    ...probeCauses(),
    places: probePlaces(),
    drift: probeDrift(),
    network: createHash('sha256').update(network).digest('hex').slice(0, 8),
  };
}

/**
 * What decides how long things take, as far as a number of the repository tells it: the kernels, what is measured, and the packages and the
 * Node that the rest of the time goes to.
 */
export function takeSpeedProbe(): Probe {
  const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)));
  const { packages } = JSON.parse(read('package-lock.json').toString()) as {
    packages: Record<string, { version: string }>;
  };
  const versions = ['sharp', 'fastify', 'undici', 'onnxruntime-node'].map((name) => [
    name,
    packages[`node_modules/${name}`].version,
  ]);
  return {
    statistics: names.length,
    kernels: createHash('sha256').update(read('src/core/stopline.wasm')).digest('hex').slice(0, 8),
    node: read('.node-version').toString().trim().split('.')[0],
    ...Object.fromEntries(versions),
  };
}

/** Statistics of a rendered frame, and of the same under every cause: each squeezed to between -1 and 1, so that all of them count. */
async function probeImages(): Promise<Probe> {
  const core = loadCore();
  const frame = renderFrame(1, { width: 160, height: 90 });
  const measure = async (seen: typeof frame) => {
    const { statistics: values } = await measureFrame(core, seen);
    const squeezed = statistics.map(({ resolution }, i) => Math.tanh((values[i] || 0) / (100 * resolution)));
    return squeezed.reduce((sum, value) => sum + value, 0) / squeezed.length;
  };
  let under = 0;
  for (const { name } of corruptions) under += (await measure(await corrupt(frame, name, 3, 1))) / corruptions.length;
  return { measured: tidy(await measure(frame)), causes: corruptions.length, underCauses: tidy(under) };
}

/** Scores of drawn images, by a Profile that is fitted on drawn numbers. */
function probeScores(): Probe {
  const profile = fitSynthetic(100);
  const scorer = createScorer(profile, names);
  const computeScore = (values: Record<string, number>) =>
    tidy(decideVerdict(profile, scorer, makeImage(values)).score);
  return {
    darkScore: computeScore({ lumaP50: 1, lumaMean: 2, noiseSigma: 24 }),
    blurredScore: computeScore({ blockSharpness: -5, localContrast: 1 }),
    noisyScore: computeScore({ noiseSigma: 50, lumaP05: 120 }),
  };
}

/**
 * How surely a drawn row is under a cause, by networks that were trained on drawn rows, and how far it lies where causes act: what is
 * learnt from simulated causes.
 */
function probeCauses(): Probe {
  const random = new Random(7);
  const draw = (shift = 0) => Float64Array.from(random.normals(12), (value, i) => (i === 0 ? value + shift : value));
  const clean = Array.from({ length: 60 }, () => draw());
  const views = Array.from({ length: 60 }, (_, i) => ({
    ...{ x: draw(i % 2 ? 3 : 0), regime: 0, view: String(i), isPart: false },
    ...(i % 2 && { cause: 'shifted' }),
  }));
  const { logOdds, logDistance } = causeEvidence(new CauseRows({ clean, views }).fit(['shifted']), draw(1.5));
  return { odds: tidy(logOdds), causeSpace: tidy(logDistance) };
}

/** How surely a part of a drawn view is hidden, by a network that was trained on drawn views. */
function probePlaces(): number {
  const random = new Random(9);
  const { length: measures } = placeMeasures;
  /** Every measure of the first `parts` lies `shift` farther. */
  const draw = (parts: number, shift: number) =>
    Float32Array.from(random.normals(placeCount * measures), (value, i) => value + (i < parts * measures ? shift : 0));
  const rest = { path: '', group: '', fold: 0, statistics: new Float64Array(), properties: {} };
  const samples = Array.from({ length: 8 }, (_, i) => ({ ...rest, id: String(i), places: draw(0, 0) }));
  const hide = (parts: number) => Float32Array.from({ length: placeCount }, (_, part) => (part < parts ? 1 : 0));
  const views = Array.from({ length: 8 }, (_, i) => ({ fold: 0, places: draw(i, 3), hidden: hide(i) }));
  const fitted = fitPlaces(samples, views);
  if (!fitted) throw new Error('Expected drawn views to be learnt from.');
  return tidy(strongestPlace(placeOdds(fitted, draw(6, 1.5))));
}

/** After how many images a monitor tells of scores that lie one and a half deviations higher. */
function probeDrift(): number {
  const random = new Random(5);
  const scores = Float64Array.from(new Random(1).normals(1000)).sort();
  const count = 30;
  const reference: DriftReference = {
    profile: 'a'.repeat(64),
    names: statistics
      .filter(({ scored }) => scored)
      .slice(0, count)
      .map(({ name }) => name),
    scores,
    images: scores.length,
    correlation: { score: 1, statistics: new Float64Array(count).fill(1) },
    cloud: { across: 8, rows: Float64Array.from(new Random(2).normals(800)) },
  };
  const monitor = createMonitor(makeShared(reference, {}));
  const hex = (words: number) => [...random.words(words)].map((word) => word.toString(16).padStart(8, '0')).join('');
  const learnt = 300;
  for (let image = 1; image < 1000; image++) {
    const score = random.normals(1)[0] + (image > learnt ? 1.5 : 0);
    const pValue = conformalPValue(scores, score);
    monitor.observe({
      id: hex(8),
      at: 1_700_000_000_000 + 1000 * image,
      verdict: pValue <= 0.01 ? 'warn' : 'pass',
      decidedBy: 'combined',
      pValue,
      score,
      z: random.normals(count),
      projection: random.normals(8),
      hash: hex(2),
    });
    if (monitor.state === 'drifted') return image - learnt;
  }
  return 0;
}

/**
 * After how many images it is told of a rendered camera that stands, by its small pictures, that it was moved, turned over, frozen
 * under a clock, or keeps a block: what sections about cameras depend on beside the rest.
 */
export function takeSightProbe(): Probe {
  const { scene, sketches } = learnScene({ seed: 6 });
  const after = (change: (image: number) => Frame): string => {
    const watch = new SightWatch(10);
    for (const sketch of sketches) watch.observe(sketch);
    for (let image = 100; image < 130; image++) {
      watch.observe(drawSketch(change(image)));
      if (watch.sight) return `${watch.sight.kind} ${image - 99}`;
    }
    return 'nothing';
  };
  const kept = scene.take(100);
  const mix = (image: number, isNew: (at: number) => boolean): Frame => {
    const { data, ...rest } = scene.take(image);
    return { ...rest, data: data.map((value, at) => (isNew(at) ? value : kept.data[at])) };
  };
  const sights = [
    after((image) => scene.take(image, { right: 0.01 })),
    after((image) => ({ ...kept, data: scene.take(image).data.reverse() })),
    after((image) => mix(image, (at) => at % kept.width < 40 && at < 10 * kept.width)),
    after((image) => mix(image, (at) => at % kept.width < 200 || at < 100 * kept.width)),
  ];
  return { sights: sights.join(', ') };
}

const tidy = (value: number): number => Number(value.toPrecision(6));

/** The line that a section keeps; readers of the page do not see it. */
export function writeProbe(probe: Probe): string {
  return `<!-- probe ${JSON.stringify(probe)} -->`;
}

/** What differs between two probes, in words; empty where nothing that matters does. */
export function compareProbes(then: Probe, now: Probe): string[] {
  // A section that is not about cameras keeps nothing of their pictures.
  return Object.keys(then).flatMap((name) => {
    const [a, b] = [then[name], now[name]];
    const isSame =
      typeof a === 'number' && typeof b === 'number'
        ? Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b))
        : a === b;
    return isSame ? [] : [`${name} was ${a} and is ${b ?? 'not told'}`];
  });
}

const note = /\n\n\*\*Out of date\*\*[^\n]*/;

/** The page with every measured section saying whether it is out of date: `Made on` begins one, and its command stands before. */
export function markStale(page: string, now: Probe): string {
  const sections = page.split(/^(?=## )/m);
  return sections.map((section) => (/^Made on /m.test(section) ? markSection(section, now) : section)).join('');
}

function markSection(section: string, now: Probe): string {
  const clean = section.replace(note, '');
  const [, text] = /^<!-- probe (\{.*\}) -->$/m.exec(clean) ?? [];
  const [made] = /^Made on .*(?:\n<!-- probe .*-->)?$/m.exec(clean) ?? [''];
  const changed = text === undefined ? undefined : compareProbes(JSON.parse(text), now);
  if (changed?.length === 0) return clean;
  const why = changed
    ? `what it measures has changed since (${changed.join('; ')})`
    : 'it is of an earlier version, and does not say what the code did then';
  const told = `**Out of date**: ${why}. The command above makes it again.`;
  return clean.replace(made, `${made}\n\n${told}`);
}
