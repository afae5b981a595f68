/**
 * The same folder through `stopline score` and through what people use today, one thread each, whole processes.
 *
 *     npm run bench:peers -- [--python PYTHON]
 *
 * PYTHON (default: python3) is the interpreter whose packages are tried: OpenCV (`python3-opencv` of Debian), CleanVision
 * (`pip install cleanvision`) and DataEval (`pip install dataeval pillow`). What it lacks is left out, with the reason. The start of each program
 * is taken off: two folders are run, and the difference is what the images cost.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from '../scripts/arguments.ts';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { fit } from '../src/fit/fit.ts';
import { saveProfile } from '../src/profile/file.ts';
import { median, printTable } from './table.ts';

const { values } = readArguments({
  command: 'npm run bench:peers --',
  about: 'Stopline beside what others use for the same.',
  options: { python: { default: 'python3', says: 'interpreter that has their packages' } },
});
const resolve = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'stopline-peers-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

interface Peer {
  name: string;
  command: (images: string) => string[];
  /** Module that the interpreter must have. */
  module?: string;
}

/** Seconds of processor time and of the clock for a whole process with its children. */
function timeProcess(command: string[]): { cpu: number; wall: number } {
  const started = performance.now();
  // The shell's `times` prints, in its second line, the time of the processes that it waited for.
  const script = '"$@" >/dev/null 2>&1 || exit 1; times';
  const { status, stdout } = spawnSync('bash', ['-c', script, 'bash', ...command], { encoding: 'utf8' });
  const wall = (performance.now() - started) / 1000;
  if (status !== 0) throw new Error(`Expected ${command.join(' ')} to succeed`);
  const times = [...stdout.split('\n')[1].matchAll(/(\d+)m([\d.]+)s/g)];
  return { cpu: times.reduce((sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds), 0), wall };
}

async function renderImages(name: string, count: number, size: { width: number; height: number }): Promise<string> {
  const images = join(folder, name);
  mkdirSync(images, { recursive: true });
  for (let i = 0; i < count; i++) {
    writeFileSync(
      join(images, `${String(i).padStart(4, '0')}.jpg`),
      await encodeFrame(renderFrame(i, size), { quality: 90 }),
    );
  }
  return images;
}

const peers = (profile: string): Peer[] => [
  { name: 'bare sharp decode', command: (images) => [process.execPath, resolve('peers/decode.ts'), images] },
  {
    name: 'stopline score',
    command: (images) => {
      const out = ['--out', join(folder, 'rows.jsonl'), '--threads', '1'];
      return [process.execPath, resolve('../src/cli/bin.js'), 'score', images, '--profile', profile, ...out];
    },
  },
  {
    name: 'nine numbers by OpenCV',
    module: 'cv2',
    command: (images) => [values.python, resolve('peers/opencv_script.py'), images],
  },
  {
    name: 'CleanVision',
    module: 'cleanvision',
    command: (images) => [values.python, resolve('peers/cleanvision_run.py'), images],
  },
  {
    name: 'DataEval',
    module: 'dataeval',
    command: (images) => [values.python, resolve('peers/dataeval_run.py'), images],
  },
];

const absent = new Set<string>();
for (const [label, size, few, many] of [
  ['480x360', { width: 480, height: 360 }, 20, 220],
  ['1920x1080', { width: 1920, height: 1080 }, 10, 60],
] as const) {
  const [small, large] = [
    await renderImages(`few-${label}`, few, size),
    await renderImages(`many-${label}`, many, size),
  ];
  const { profile } = await fit({ paths: [large], simulations: 0, power: 0, groupBy: 'none', model: 'none' });
  const file = join(folder, `${label}.stopline`);
  await saveProfile(profile, file);

  const present = peers(file).filter(({ name, module }) => {
    if (module === undefined || spawnSync(values.python, ['-c', `import ${module}`]).status === 0) return true;
    absent.add(`${name}: ${values.python} has no module ${module}`);
    return false;
  });
  const costs = new Map(present.map(({ name }) => [name, { cpu: [] as number[], wall: [] as number[] }]));
  // In turn, so that a busy moment meets everybody.
  for (let round = 0; round < 3; round++) {
    for (const { name, command } of present) {
      const [short, long] = [timeProcess(command(small)), timeProcess(command(large))];
      const cost = costs.get(name) as { cpu: number[]; wall: number[] };
      cost.cpu.push((1000 * (long.cpu - short.cpu)) / (many - few));
      cost.wall.push((1000 * (long.wall - short.wall)) / (many - few));
    }
  }
  const ours = median(costs.get('stopline score')?.cpu as number[]);
  console.log(`\nJPEG of ${label}, quality 90, ${many - few} images, one thread; medians of 3\n`);
  printTable(
    ['', 'CPU ms an image', 'ms an image', 'CPU, of stopline score'],
    [...costs].map(([name, { cpu, wall }]) => {
      return [name, median(cpu).toFixed(1), median(wall).toFixed(1), (median(cpu) / ours).toFixed(2)];
    }),
  );
}
if (absent.size > 0) console.log(`\nLeft out. ${[...absent].join('. ')}.`);
