/**
 * What each kernel costs on one decoded 1920x1080 RGB frame, natively and as WebAssembly, against `sharp(raw).stats()`
 * on the same pixels (the rival) and a memcpy of the frame (the floor). Thread CPU time, one thread, medians.
 *
 *     node native-bench/core.bench.ts [photograph]
 *
 * Needs gcc and clang-16, as the kernels are timed one by one, outside the builds that ship.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { readArguments } from '../scripts/arguments.ts';
import { coreFolder, kernels } from '../scripts/native/kernels.ts';
import { loadCore } from '../src/core/index.ts';
import { outSize } from '../src/core/layout.ts';
import { cpuMs, median, printTable } from './table.ts';

const [width, height] = [1920, 1080];
const folder = mkdtempSync(join(tmpdir(), 'stopline-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const sources = kernels.map((name) => join(coreFolder, name));
const names = ['colour', 'tint', 'gradient', 'scales', 'local', 'naturalness', 'lattice', 'residuals', 'all'] as const;
const { names: given } = readArguments({
  command: 'npm run bench:core --',
  about: 'What the kernels take for one image, native and in WebAssembly.',
  given: 'PHOTO',
});

type Times = Record<string, number>;

/** A photograph where one is given, else shapes with noise: cost hardly depends on what is shown. */
async function pixels(): Promise<Buffer> {
  const [photo] = given;
  if (photo !== undefined)
    return sharp(photo).removeAlpha().toColourspace('srgb').resize(width, height, { fit: 'fill' }).raw().toBuffer();
  const data = Buffer.alloc(width * height * 3);
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const pixel = Math.floor(i / 3);
    data[i] = 128 + 80 * Math.sin((pixel % width) / 90 + (i % 3)) * Math.cos(pixel / width / 70) + (state >>> 28);
  }
  return data;
}

const data = await pixels();
const file = join(folder, 'frame.rgb');
writeFileSync(file, data);

function native(name: string, flags: string[]): Times {
  const program = join(folder, name);
  const driver = fileURLToPath(new URL('./kernels.c', import.meta.url));
  const common = ['-std=gnu11', '-O3', '-ffp-contract=off', '-fno-math-errno', `-I${coreFolder}`];
  execFileSync('gcc', [...common, ...flags, ...sources, driver, '-lm', '-o', program]);
  const lines = execFileSync(program, [file, String(width), String(height)], { encoding: 'utf8' })
    .trim()
    .split('\n');
  return Object.fromEntries(lines.map((line) => line.split(' ')).map(([key, value]) => [key, Number(value)]));
}

/** The clock of a thread moves in steps of some milliseconds: many calls make one sample. */
function thread(work: () => void): number {
  const [samples, calls] = [7, 20];
  const times = Array.from({ length: samples }, () => {
    const before = process.threadCpuUsage();
    for (let call = 0; call < calls; call++) work();
    const used = process.threadCpuUsage(before);
    return (used.user + used.system) / 1000 / calls;
  });
  return median(times);
}

/** The same sources and flags as scripts/wasm.ts, with the kernels themselves exported. */
function wasm(): Times {
  const objects = sources.map((source, i) => {
    const object = join(folder, `${i}.o`);
    const flags = ['--target=wasm32', '-std=c11', '-O3', '-nostdlib', '-ffreestanding', '-fno-builtin'];
    const simd = ['-ffp-contract=off', '-fvisibility=hidden', '-msimd128', '-mbulk-memory', '-mnontrapping-fptoint'];
    execFileSync('clang-16', [...flags, ...simd, '-c', source, '-o', object]);
    return object;
  });
  const module = join(folder, 'kernels.wasm');
  const exported = names.map((name) => `--export=stopline_${name === 'all' ? 'measure' : name}`);
  const stack = ['--no-entry', '--stack-first', '-z', 'stack-size=131072', '--export=__heap_base'];
  execFileSync('wasm-ld-16', [...stack, ...exported, '--export=stopline_scratch_size', ...objects, '-o', module]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(module)));
  const code = exports as unknown as Record<string, (...args: number[]) => number>;
  const { memory, __heap_base } = exports as { memory: WebAssembly.Memory; __heap_base: WebAssembly.Global };
  const align = (value: number): number => Math.ceil(value / 64) * 64;
  const out = align(__heap_base.value);
  const scratch = align(out + outSize * 8);
  const frame = align(scratch + code.stopline_scratch_size(width, height));
  memory.grow(Math.ceil((frame + data.length) / 65536));
  new Uint8Array(memory.buffer).set(data, frame);
  const luma = scratch + 128;
  const rest = scratch + align(width * height + 256);
  const call: Record<(typeof names)[number], () => void> = {
    colour: () => code.stopline_colour(frame, width, height, 3, luma, out),
    tint: () => code.stopline_tint(frame, width, height, 3, luma, out),
    gradient: () => code.stopline_gradient(luma, width, height, rest, out),
    scales: () => code.stopline_scales(luma, width, height, rest, out),
    local: () => code.stopline_local(luma, width, height, rest, out),
    naturalness: () => code.stopline_naturalness(luma, width, height, rest, out),
    lattice: () => code.stopline_lattice(luma, width, height, rest, out),
    residuals: () => code.stopline_residuals(frame, width, height, 3, luma, rest, out),
    all: () => code.stopline_measure(frame, width, height, 3, scratch, out),
  };
  for (const name of names) call[name]();
  return Object.fromEntries(names.map((name) => [name, thread(call[name])]));
}

/** libvips works in its own threads: the time of the whole process. */
async function rival(): Promise<number> {
  sharp.concurrency(1);
  sharp.cache(false);
  const times: number[] = [];
  for (let run = 0; run < 11; run++) {
    times.push(await cpuMs(() => sharp(data, { raw: { width, height, channels: 3 } }).stats()));
  }
  return median(times);
}

const flags = readFileSync('/proc/cpuinfo', 'utf8');
const columns: [string, Times][] = [];
if (/\bavx512bw\b/.test(flags))
  columns.push([
    'avx512',
    native('avx512', [
      '-mavx512f',
      '-mavx512bw',
      '-mavx512dq',
      '-mavx512vl',
      '-mprefer-vector-width=512',
      '-mbmi',
      '-mbmi2',
    ]),
  ]);
if (/\bavx2\b/.test(flags)) columns.push(['avx2', native('avx2', ['-mavx2', '-mbmi', '-mbmi2', '-mpopcnt'])]);
columns.push(['baseline', native('baseline', [])]);
columns.push(['wasm', wasm()]);
const stats = await rival();
const shipped = (['native', 'wasm'] as const).map((build) => {
  const loaded = loadCore(build);
  for (let i = 0; i < 5; i++) loaded.measure(data, width, height, 3);
  const ms = thread(() => loaded.measure(data, width, height, 3));
  return [`${loaded.info.build} ${loaded.info.simd}`, ms.toFixed(2), (ms / stats).toFixed(3)];
});

console.log(
  `${cpus()[0].model}, Node ${process.version}, sharp ${sharp.versions.sharp}, ${width}x${height} RGB, CPU ms\n`,
);
const floor = columns[0][1].memcpy;
printTable(
  ['kernel', ...columns.map(([name]) => name)],
  names.map((name) => [name, ...columns.map(([, times]) => times[name].toFixed(2))]),
);
console.log(`\nsharp(raw).stats(): ${stats.toFixed(1)} ms; memcpy of the frame: ${floor.toFixed(2)} ms\n`);
printTable(['core, from JavaScript', 'ms', 'of sharp.stats()'], shipped);
