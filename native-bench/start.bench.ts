/**
 * What a command costs before it does anything, whole processes in turn: processor time, and of a service the time until it says
 * where it listens. From the sources, and from `dist` where `npm run build` has made it.
 *
 *     npm run bench:start
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { fit } from '../src/fit/fit.ts';
import { saveProfile } from '../src/profile/file.ts';
import { median, printTable } from './table.ts';

const rounds = 9;
const folder = mkdtempSync(join(tmpdir(), 'stopline-start-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** A Profile as the demo fits it, without causes, and an image of its camera. */
async function prepare(): Promise<{ profile: string; image: string }> {
  const images = join(folder, 'images');
  mkdirSync(images);
  const paths: string[] = [];
  for (let i = 0; i < 120; i++) {
    const path = join(images, `${i}.jpg`);
    writeFileSync(path, await encodeFrame(renderFrame(i, { width: 320, height: 180 })));
    paths.push(path);
  }
  const fitted = await fit({ paths: [images], simulations: 0, power: 0, threads: 1, groupBy: 'none', model: 'none' });
  const profile = join(folder, 'bench.stopline');
  await saveProfile(fitted.profile, profile);
  return { profile, image: paths[0] };
}

/** Milliseconds of processor time of a process and its children. */
function timeCpu(args: string[]): number {
  // The shell's `times` prints, in its second line, the time of the processes that it waited for.
  const script = '"$@" >/dev/null 2>&1; times';
  const { stdout } = spawnSync('bash', ['-c', script, 'bash', process.execPath, ...args], { encoding: 'utf8' });
  const parts = [...stdout.split('\n')[1].matchAll(/(\d+)m([\d.]+)s/g)];
  return parts.reduce((sum, [, minutes, seconds]) => sum + 60_000 * Number(minutes) + 1000 * Number(seconds), 0);
}

/** Milliseconds until a service prints its address. */
async function timeService(args: string[]): Promise<number> {
  const started = performance.now();
  const service = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => service.once('exit', resolve));
  try {
    let printed = '';
    for await (const chunk of service.stdout) {
      printed += chunk;
      if (/http:\/\/127\.0\.0\.1:\d+/.test(printed)) return performance.now() - started;
    }
    throw new Error(`Expected the address of a service but it printed: ${printed}`);
  } finally {
    service.kill('SIGTERM');
    await ended;
  }
}

const { profile, image } = await prepare();
const programs = [
  { from: 'sources', bin: fileURLToPath(new URL('../src/cli/bin.js', import.meta.url)) },
  { from: 'dist', bin: fileURLToPath(new URL('../dist/cli/bin.js', import.meta.url)) },
].filter(({ bin }) => existsSync(bin));
const runs = programs.flatMap(({ from, bin }) => [
  { from, what: '--version', args: [bin, '--version'] },
  { from, what: '--help', args: [bin, '--help'] },
  { from, what: 'inspect, one image', args: [bin, 'inspect', image, '--profile', profile] },
]);
const bare = { from: 'Node', what: 'node -e 0', args: ['-e', '0'] };
const times = new Map([bare, ...runs].map((run) => [run, [] as number[]]));
const ready = new Map(programs.map((program) => [program, [] as number[]]));
// The first round fills the compile cache, which every later start finds.
for (let round = -1; round < rounds; round++) {
  for (const [run, list] of times) {
    const ms = timeCpu(run.args);
    if (round >= 0) list.push(ms);
  }
  for (const [{ bin }, list] of ready) {
    const ms = await timeService([bin, 'serve', '--profile', profile, '--port', '0']);
    if (round >= 0) list.push(ms);
  }
}
const rows = [...times].map(([{ from, what }, list]) => [from, what, median(list).toFixed(0), '']);
for (const [{ from }, list] of ready) rows.push([from, 'serve, until it listens', '', median(list).toFixed(0)]);
console.log(`medians of ${rounds}\n`);
printTable(['from', 'command', 'CPU ms', 'ms'], rows);
