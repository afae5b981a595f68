/**
 * Builds the native core into `prebuilds/`, which is published and not committed.
 *
 *     npm run build:native                 for this machine
 *     npm run build:native -- --all        for every machine that the package brings a core for: needs the cross compiler
 *                                          gcc-aarch64-linux-gnu (gcc-x86-64-linux-gnu on ARM)
 *     npm run build:native -- --check      loads what lies there into a host on glibc and on musl, foreign processors emulated,
 *                                          and compares with WebAssembly: needs musl-tools and qemu-user
 *
 * One file serves glibc and musl: it asks for nothing but `libc.so.6`, a name that musl takes for its own, and for no function
 * that musl lacks.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadWasm } from '../src/core/wasm.ts';
import { readArguments } from './arguments.ts';
import { compilerFlags, coreFolder, kernels, listInstructionSets } from './native/kernels.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const headers = join(root, 'node_modules/node-api-headers/include');
const here = `${process.platform}-${process.arch}`;

/** What the package brings; the names are those of Node: `process.platform` and `process.arch`. */
const published = ['linux-x64', 'linux-arm64'];
const triples: Record<string, string> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** The compiler for a machine: that of this one, or Debian's cross compiler. */
function findCompiler(machine: string): string {
  if (machine === here) return process.env.CC ?? 'cc';
  return `${triples[machine.split('-')[1]]}-gcc`;
}

function hasCompiler(machine: string): boolean {
  return spawnSync(findCompiler(machine), ['--version']).status === 0;
}

/** Whether what was built is younger than all that it is made of. */
function isUpToDate(machine: string): boolean {
  const built = join(root, 'prebuilds', machine, 'confine.node');
  if (!existsSync(built)) return false;
  const sources = [
    ...readdirSync(coreFolder).map((name) => join(coreFolder, name)),
    fileURLToPath(import.meta.url),
    fileURLToPath(new URL('./native/kernels.ts', import.meta.url)),
  ].filter((path) => /\.[ch]$|\bnative\b/.test(path));
  return sources.every((path) => statSync(path).mtimeMs < statSync(built).mtimeMs);
}

/** Compiles `stopline.node` and `confine.node` of one machine. */
function build(machine: string): void {
  const [platform, architecture] = machine.split('-');
  const cc = findCompiler(machine);
  const folder = join(root, 'prebuilds', machine);
  const temporary = mkdtempSync(join(tmpdir(), 'stopline-native-'));
  const compile = (source: string, object: string, ...flags: string[]): string => {
    const to = join(temporary, object);
    // From inside the folder, so that no path of this machine can enter the file.
    const args = [...compilerFlags, '-fPIC', '-Wall', '-Wextra', ...flags, '-c', source, '-o', to];
    execFileSync(cc, args, { cwd: coreFolder, stdio: 'inherit' });
    return to;
  };
  const link =
    platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-s', '-Wl,-z,relro,-z,now'];
  try {
    // Nothing of an older build stays.
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const objects = listInstructionSets(architecture).flatMap(({ name, flags }) =>
      kernels.map((source) => compile(source, `${name}-${source}.o`, `-DSTOPLINE_VARIANT=${name}`, ...flags)),
    );
    objects.push(compile('addon.c', 'addon.o', '-DNAPI_VERSION=8', `-I${headers}`));
    execFileSync(cc, [...link, ...objects, '-o', join(folder, 'stopline.node')], { stdio: 'inherit' });
    const confine = compile('confine.c', 'confine.o');
    execFileSync(cc, [...link, confine, '-o', join(folder, 'confine.node')], { stdio: 'inherit' });
  } finally {
    rmSync(temporary, { recursive: true });
  }
  console.log(`built: prebuilds/${machine}`);
}

interface Host {
  machine: string;
  libc: 'glibc' | 'musl';
  compiler: string;
  /** What the host is started with, where it is not of this processor. */
  emulator: string[];
}

function listHosts(): Host[] {
  const hosts: Host[] = [{ machine: here, libc: 'glibc', compiler: 'cc', emulator: [] }];
  hosts.push({ machine: here, libc: 'musl', compiler: 'musl-gcc', emulator: [] });
  for (const machine of published.filter((machine) => machine !== here)) {
    const triple = triples[machine.split('-')[1]];
    const emulator = [`qemu-${triple.split('-')[0]}`, '-L', `/usr/${triple}`];
    hosts.push({ machine, libc: 'glibc', compiler: `${triple}-gcc`, emulator });
  }
  return hosts;
}

/** A frame that no vector width divides, the same as in host.c. */
function drawFrame(): Uint8Array {
  const data = new Uint8Array(131 * 77 * 3);
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = (((i * 5) >> 3) & 127) + (state >>> 26);
  }
  return data;
}

/** Loads one core into a host that stands in for Node, and compares every number that it measures, and what it reads, with WebAssembly. */
function checkHost({ machine, libc, compiler, emulator }: Host, jpeg: Uint8Array, expected: Float64Array): void {
  const name = `${machine}, ${libc}`;
  const temporary = mkdtempSync(join(tmpdir(), 'stopline-host-'));
  try {
    const program = join(temporary, 'host');
    const source = fileURLToPath(new URL('./native/host.c', import.meta.url));
    execFileSync(compiler, ['-O1', '-rdynamic', `-I${headers}`, source, '-o', program, '-ldl'], { stdio: 'inherit' });
    const addon = join(root, 'prebuilds', machine, 'stopline.node');
    const file = join(temporary, 'frame.jpg');
    writeFileSync(file, jpeg);
    const [command, ...args] = [...emulator, program, addon, file];
    const printed = execFileSync(command, args, { encoding: 'utf8' }).trim().split('\n');
    for (const line of printed) {
      const [simd, ...values] = line.split(' ');
      const off = values.findIndex((text, i) => !isNear(Number(text), expected[i]));
      if (values.length !== expected.length || off >= 0)
        throw new Error(`${name}, ${simd}: expected number ${off} to be ${expected[off]} but received ${values[off]}`);
      console.log(`ok: ${name}, ${simd} measures ${values.length} numbers as WebAssembly does`);
    }
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** Roots may differ in the last bits. */
function isNear(a: number, b: number): boolean {
  return Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));
}

const { values } = readArguments({
  command: 'npm run build:native --',
  about: 'Builds the native core for this machine.',
  options: {
    all: { default: false, says: 'for every machine that the package has one for' },
    check: { default: false, says: 'build nothing: what is built gives the numbers of WebAssembly' },
  },
});
if (values.check) {
  const { default: sharp } = await import('sharp');
  const frame = drawFrame();
  const jpeg = await sharp(frame, { raw: { width: 131, height: 77, channels: 3 } })
    .jpeg()
    .toBuffer();
  const core = loadWasm();
  const pixels = new Uint8Array(frame.length);
  if (!core.readJpeg(jpeg, 131, 77, pixels)) throw new Error('Expected a JPEG that the core reads');
  const hash = pixels.reduce((sum, value) => (Math.imul(sum, 31) + value) >>> 0, 0);
  const expected = Float64Array.of(...core.measure(frame, 131, 77, 3), hash);
  for (const host of listHosts()) {
    const needed = [host.compiler, ...host.emulator.slice(0, 1)];
    const missing = needed.find((command) => spawnSync(command, ['--version']).error !== undefined);
    if (missing !== undefined) console.log(`not tried: ${host.machine}, ${host.libc}: no ${missing} here`);
    else if (!existsSync(join(root, 'prebuilds', host.machine))) console.log(`not tried: ${host.machine}: not built`);
    else checkHost(host, jpeg, expected);
  }
} else {
  const wanted = values.all ? [...new Set([here, ...published])] : [here];
  const missing = wanted.filter((machine) => !hasCompiler(machine));
  for (const machine of wanted.filter((machine) => !missing.includes(machine))) {
    if (isUpToDate(machine)) console.log(`up to date: prebuilds/${machine}`);
    else build(machine);
  }
  for (const machine of missing) console.error(`not built: ${machine}: there is no ${findCompiler(machine)} here`);
  if (missing.length > 0) process.exitCode = 1;
}
