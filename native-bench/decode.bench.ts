/**
 * What sharp takes to decode a JPEG as `decode` asks it to, beside the core, natively and as WebAssembly, and libjpeg-turbo of the
 * system writing into a buffer that is kept; and whether all give the same pixels. Decides whether each way pays.
 *
 *     npm run bench:decode -- [FOLDER]     FOLDER: JPEGs to compare the pixels of
 *
 * libjpeg-turbo is left out without gcc and jpeglib.h (`libjpeg62-turbo-dev` of Debian).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { readArguments } from '../scripts/arguments.ts';
import { comparePixels } from '../scripts/fuzz/pixels.ts';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import type { Core } from '../src/core/core.ts';
import { loadCore } from '../src/core/index.ts';
import { readContainer } from '../src/image/container/read.ts';
import { readPlainJpeg } from '../src/image/directjpeg.ts';
import { release } from '../src/image/frame.ts';
import { cpuMs, median, printTable } from './table.ts';

const { names: given } = readArguments({
  command: 'npm run bench:decode --',
  about: 'What sharp takes to decode a JPEG, beside the core, and libjpeg-turbo writing into a buffer that is kept.',
  given: 'FOLDER of JPEGs to compare the pixels of',
});
type Way = 'sharp' | 'native' | 'wasm';

const folder = mkdtempSync(join(tmpdir(), 'stopline-decode-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const program = join(folder, 'decode');

function askSharp(bytes: Uint8Array): Promise<Buffer> {
  return sharp(bytes, { failOn: 'warning', ignoreIcc: true })
    .timeout({ seconds: 10 })
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer();
}

/** The median of its rounds, and the pixels. */
function decodeBound(path: string, rounds: number): { ms: number; pixels: Buffer } {
  const output = execFileSync(program, [path, String(rounds)], {
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const end = output.indexOf(10);
  return { ms: Number(output.subarray(0, end)), pixels: output.subarray(end + 1) };
}

const source = fileURLToPath(new URL('./decode.c', import.meta.url));
const built = spawnSync('gcc', ['-O2', source, '-o', program, '-ljpeg'], { encoding: 'utf8' });
const hasLibjpeg = built.status === 0;
if (!hasLibjpeg) console.log('left out: libjpeg, for gcc and jpeglib.h are needed (libjpeg62-turbo-dev of Debian)\n');
sharp.concurrency(1);
const cores = { native: loadCore(), wasm: loadCore('wasm') };
const hasNative = cores.native.info.build === 'native';
const rows: (string | number)[][] = [];
for (const { width, height } of [
  { width: 1920, height: 1080 },
  { width: 480, height: 270 },
]) {
  const scene = renderFrame(1001, { width, height });
  for (const quality of [40, 75, 85, 95]) {
    const bytes = await encodeFrame(scene, { quality });
    const path = join(folder, `${quality}.jpg`);
    writeFileSync(path, bytes);
    const container = readContainer(bytes);
    const times: Record<Way, number[]> = { sharp: [], native: [], wasm: [] };
    const read = (core: Core) => readPlainJpeg(bytes, container, core)!.data;
    // Gives its memory back at once, as inspect does.
    const ways: Record<Way, () => Promise<void>> = {
      sharp: async () => release(await askSharp(bytes)),
      native: async () => release(read(cores.native)),
      wasm: async () => release(read(cores.wasm)),
    };
    for (let round = -5; round < 25; round++) {
      for (const way of ['sharp', 'native', 'wasm'] as const) {
        const ms = await cpuMs(ways[way]);
        if (round >= 0) times[way].push(ms);
      }
    }
    const bound = hasLibjpeg ? decodeBound(path, 30) : undefined;
    const expected = await askSharp(bytes);
    const others = [read(cores.native), read(cores.wasm), ...(bound ? [bound.pixels] : [])];
    const ms = (way: Way) => median(times[way]).toFixed(1);
    rows.push([
      `${width}x${height}`,
      quality,
      ms('sharp'),
      hasNative ? ms('native') : 'not here',
      ms('wasm'),
      bound ? bound.ms.toFixed(1) : 'not here',
      others.every((pixels) => expected.equals(pixels)) ? 'yes' : 'no',
    ]);
  }
}
console.log('decoding a JPEG, one thread, CPU ms, medians\n');
printTable(
  ['size', 'JPEG quality', 'sharp', 'core, native', 'core, WebAssembly', 'libjpeg into a kept buffer', 'same pixels'],
  rows,
);
const [corpus] = given;
if (corpus !== undefined) {
  const files = readdirSync(corpus, { recursive: true, encoding: 'utf8' }).filter((name) => /\.jpe?g$/i.test(name));
  let [equal, left] = [0, 0];
  for (const name of files) {
    const { isRead, fault } = await comparePixels(readFileSync(join(corpus, name)), [cores.native, cores.wasm]);
    if (fault !== undefined) console.log(`${fault}: ${name}`);
    else if (isRead) equal++;
    else left++;
  }
  console.log(
    `\n${equal} of ${files.length} files of the folder have the pixels of sharp by the core; ${left} are left to sharp`,
  );
}
