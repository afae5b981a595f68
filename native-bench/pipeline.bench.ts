/**
 * What one image and many images cost, against the floor: a bare sharp decode of the same bytes.
 *
 *     npm run bench:pipeline
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { loadCore } from '../src/core/index.ts';
import { fit } from '../src/fit/fit.ts';
import { chooseModel } from '../src/image/embedding/choose.ts';
import { openPrepared, type PreparedModel } from '../src/image/embedding/open.ts';
import { release } from '../src/image/frame.ts';
import { createInspector } from '../src/profile/inspector.ts';
import { mapOrdered } from '../src/run/mapordered.ts';
import { cpuMs, median, printTable } from './table.ts';

const main = fileURLToPath(new URL('../src/cli/bin.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'stopline-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const frames = join(folder, 'frames');
mkdirSync(frames);
const distinct = 300;
const copies = 4;
for (let i = 0; i < distinct; i++) {
  const frame = renderFrame(i, { width: 480, height: 270 });
  for (let copy = 0; copy < copies; copy++) {
    // Copies differ in quality, so that no two files are equal: memory is what is measured here, not detection.
    const name = `${copy === 0 ? 'a' : 'b'}/${String(copy).padStart(2, '0')}-${String(i).padStart(5, '0')}.jpg`;
    mkdirSync(join(frames, name, '..'), { recursive: true });
    writeFileSync(join(frames, name), await encodeFrame(frame, { quality: 95 - copy }));
  }
}

// One image: inspect against a bare decode of the same 1920x1080 JPEG, one thread, in turn. The reference has the size and
// the three qualities, so that fresh frames pass; quality 40 is new, and what does not pass is looked at more closely.
const large = { width: 1920, height: 1080 };
const wide = join(folder, 'wide');
mkdirSync(wide);
for (let i = 0; i < 120; i++) {
  writeFileSync(join(wide, `${i}.jpg`), await encodeFrame(renderFrame(i, large), { quality: [75, 85, 95][i % 3] }));
}
const models = ['none', 'default'] as const;
const fitWide = async (model: (typeof models)[number]) =>
  (await fit({ simulations: 0, power: 0, paths: [wide], threads: 2, groupBy: 'none', model })).profile;
const profiles = { none: await fitWide('none'), default: await fitWide('default') };
const scene = renderFrame(1001, large);
const one: (string | number)[][] = [];
const turns = 5;
const kinds = (['native', 'wasm'] as const).flatMap((core) => models.map((model) => ({ core, model })));
for (const { core, model } of kinds) {
  const inspector = await createInspector({ profile: profiles[model], core });
  if (inspector.core.info.build !== core) continue;
  // The core takes the same time whatever the file; the decoder takes longer for a larger one.
  for (const quality of [75, 85, 95, 40]) {
    const file = await encodeFrame(scene, { quality });
    // In blocks, in turn: right after an inspection a bare decode finds cold caches and pays for its garbage.
    const bare: number[] = [];
    const inspect: number[] = [];
    const ratios: number[] = [];
    const block = async (times: number[], work: () => Promise<unknown>) => {
      const own: number[] = [];
      for (let round = -1; round < 5; round++) {
        const time = await cpuMs(work);
        if (round >= 0) own.push(time);
      }
      times.push(...own);
      return median(own);
    };
    // A service has compiled what it runs often.
    for (let warm = one.length % 4 === 0 ? 60 : 5; warm > 0; warm--) await inspector.inspect(file);
    for (let turn = 0; turn < turns; turn++) {
      // Gives its memory back at once, as inspect does; else it would be timed with the page faults of fresh memory.
      const floor = await block(bare, async () => release(await sharp(file).raw().toBuffer()));
      ratios.push((await block(inspect, () => inspector.inspect(file))) / floor);
    }
    const { verdict } = await inspector.inspect(file);
    const ratio = (median(inspect) / median(bare)).toFixed(2);
    one.push([
      core,
      model,
      quality,
      verdict,
      (file.length / 1000).toFixed(0),
      median(bare).toFixed(1),
      median(inspect).toFixed(1),
      ratio,
      `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`,
    ]);
  }
}
console.log(
  `inspect on a 1920x1080 JPEG against a bare sharp decode of it, one thread, medians of ${5 * turns} in ${turns} turns\n`,
);
printTable(
  [
    'core',
    'model',
    'JPEG quality',
    'verdict',
    'kB',
    'bare sharp decode, CPU ms',
    'inspect, CPU ms',
    'ratio',
    'of single turns',
  ],
  one,
);

// Whether several frames in one run of the network would pay: processor time on one thread.
const embedder = await openPrepared((await chooseModel('default')).model as PreparedModel, { core: loadCore() });
const small = Array.from({ length: 16 }, (_, i) => renderFrame(i, { width: 480, height: 270 }));
const batches: (string | number)[][] = [];
for (const size of [1, 2, 4, 8, 16]) {
  const times: number[] = [];
  for (let round = -3; round < 15; round++) {
    const time = await cpuMs(async () => {
      for (let i = 0; i < small.length; i += size) await embedder.embed(small.slice(i, i + size));
    });
    if (round >= 0) times.push(time / small.length);
  }
  batches.push([size, median(times).toFixed(2)]);
}
console.log('\nEmbedding of a 480x270 frame by the default model, frames in one run, one thread, medians of 15\n');
printTable(['frames', 'CPU ms a frame'], batches);
await embedder.close();

// Many images: fit and score with two workers and with one on one core, and the peak resident memory over four times as many.
const memoryReport = `data:text/javascript,${encodeURIComponent(`
import { isMainThread } from 'node:worker_threads';
if (isMainThread) process.on('exit', () => process.stderr.write('peak memory ' + process.resourceUsage().maxRSS + ' kB\\n'));
`)}`;
/** The first processor alone, where the system can be asked for that. */
const oneCore = process.platform === 'linux' ? ['taskset', '-c', '0'] : [];
const run = (before: readonly string[], ...args: string[]) => {
  const started = performance.now();
  const [command, ...rest] = [...before, process.execPath, '--import', memoryReport, main, ...args];
  const result = spawnSync(command, rest, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(result.stderr);
  const memory = Number(/^peak memory (\d+) kB$/m.exec(result.stderr)![1]) / 1024;
  return { seconds: (performance.now() - started) / 1000, memory };
};
const profilePath = join(folder, 'bench.stopline');
const many: (string | number)[][] = [];
const count = distinct * copies;
const rates = { none: 0, default: 0 };
for (const { command, model } of models.flatMap((model) => [
  { command: 'fit', model },
  { command: 'score', model },
])) {
  const fast = ['--simulations', '0', '--power', '0', '--model', model];
  const outcome = (threads: number, path: string, before: readonly string[] = []) =>
    command === 'fit'
      ? run(before, 'fit', path, ...fast, '--out', profilePath, '--threads', String(threads))
      : run(
          before,
          ...['score', path, '--profile', profilePath, '--out', join(folder, 'rows.jsonl')],
          ...['--threads', String(threads)],
        );
  // Two lengths, so that the start of the process, which no number of cores makes shorter, is told from the images.
  const measureRate = (threads: number, before: readonly string[] = []) => {
    const few = outcome(threads, join(frames, 'a'), before);
    const all = outcome(threads, frames, before);
    const rate = (count - distinct) / (all.seconds - few.seconds);
    return { rate, start: few.seconds - distinct / rate, few, all };
  };
  const two = measureRate(2);
  const alone = measureRate(1, oneCore);
  if (command === 'score') rates[model] = two.rate;
  many.push([
    command,
    model,
    two.start.toFixed(1),
    alone.rate.toFixed(0),
    two.rate.toFixed(0),
    (two.rate / alone.rate).toFixed(2),
    two.few.memory.toFixed(0),
    two.all.memory.toFixed(0),
    (two.all.memory / two.few.memory).toFixed(2),
  ]);
}
console.log(`\nfit and score of ${distinct * copies} JPEGs of 480x270, whole processes; images/s without the start\n`);
printTable(
  [
    'command',
    'model',
    'start, s',
    'images/s, 1 worker on 1 core',
    '2 workers',
    'ratio',
    `MB, ${distinct} images`,
    `MB, ${distinct * copies}`,
    'MB, ratio',
  ],
  many,
);

// What is lost between the single image and the whole run: a loop that reads and decodes the same files, two at a time, does
// as much as there are cores; judging costs so many times a decode.
const files = readdirSync(frames, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
const started = performance.now();
for await (const { data } of mapOrdered(files, 2, async (path) => ({
  data: await sharp(await readFile(path))
    .raw()
    .toBuffer(),
}))) {
  if (data.length !== 480 * 270 * 3) throw new Error('Expected frames of 480x270.');
}
const bareRate = files.length / ((performance.now() - started) / 1000);
const sample = await Promise.all(files.slice(0, 200).map((path) => readFile(path)));
const lost: (string | number)[][] = [];
for (const model of models) {
  const { profile } = await fit({ simulations: 0, power: 0, paths: [join(frames, 'a')], threads: 2, model });
  const inspector = await createInspector({ profile });
  const costs = { bare: [] as number[], inspect: [] as number[] };
  const cost = async (times: number[], work: (bytes: Uint8Array) => Promise<unknown>) => {
    const time = await cpuMs(async () => {
      for (const bytes of sample) await work(bytes);
    });
    times.push(time / sample.length);
  };
  for (let round = 0; round < 4; round++) {
    await cost(costs.bare, (bytes) => sharp(bytes).raw().toBuffer());
    await cost(costs.inspect, (bytes) => inspector.inspect(bytes));
  }
  // The first round compiles.
  const [bare, inspect] = [costs.bare, costs.inspect].map((times) => median(times.slice(1)));
  const could = bareRate / (inspect / bare);
  lost.push([
    model,
    bare.toFixed(2),
    inspect.toFixed(2),
    (inspect / bare).toFixed(2),
    bareRate.toFixed(0),
    could.toFixed(0),
    rates[model].toFixed(0),
    (rates[model] / could).toFixed(2),
  ]);
}
console.log(
  `\nWhat is lost on the way: score of the ${files.length} files against a loop that only decodes them, 2 cores\n`,
);
printTable(
  [
    'model',
    'bare decode, CPU ms',
    'inspect, CPU ms',
    'ratio',
    'decoding loop, images/s',
    'by the ratio',
    'score, images/s',
    'of that',
  ],
  lost,
);
