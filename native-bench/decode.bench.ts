/**
 * What sharp takes to decode a JPEG as `decode` asks it to, beside the loader of libvips called directly, and libjpeg-turbo of the system
 * writing into a buffer that is kept, which is the floor; and whether all give the same pixels. Decides whether each way pays.
 *
 *     npm run bench:decode -- [FOLDER]     FOLDER: JPEGs to compare the pixels of
 *
 * Needs gcc and jpeglib.h (`libjpeg62-turbo-dev` of Debian).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { readArguments } from '../scripts/arguments.ts';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { readContainer } from '../src/image/container/read.ts';
import { directJpeg } from '../src/image/directjpeg.ts';
import { release } from '../src/image/frame.ts';
import { cpuMs, median, printTable } from './table.ts';

const { names: given } = readArguments({
  command: 'npm run bench:decode --',
  about:
    'What sharp takes to decode a JPEG, beside libjpeg-turbo writing into a buffer that is kept. Needs gcc and jpeglib.h.',
  given: 'FOLDER of JPEGs to compare the pixels of',
});
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
if (built.status !== 0) {
  console.log('left out: gcc and jpeglib.h are needed (libjpeg62-turbo-dev of Debian)');
} else {
  sharp.concurrency(1);
  const scene = renderFrame(1001, { width: 1920, height: 1080 });
  const rows: (string | number)[][] = [];
  for (const quality of [40, 75, 85, 95]) {
    const bytes = await encodeFrame(scene, { quality });
    const path = join(folder, `${quality}.jpg`);
    writeFileSync(path, bytes);
    const container = readContainer(bytes);
    const times: Record<'sharp' | 'direct', number[]> = { sharp: [], direct: [] };
    // Gives its memory back at once, as inspect does.
    const ways = {
      sharp: async () => release(await askSharp(bytes)),
      direct: async () => release((await directJpeg.decode(bytes, container, 0))?.data ?? new Uint8Array(0)),
    };
    for (let round = -5; round < 25; round++) {
      for (const way of ['sharp', 'direct'] as const) {
        const ms = await cpuMs(ways[way]);
        if (round >= 0) times[way].push(ms);
      }
    }
    const bound = decodeBound(path, 30);
    const expected = await askSharp(bytes);
    const direct = await directJpeg.decode(bytes, container, 0);
    const isEqual = bound.pixels.equals(expected) && (!direct || Buffer.from(direct.data).equals(expected));
    rows.push([
      quality,
      median(times.sharp).toFixed(1),
      direct ? median(times.direct).toFixed(1) : 'not here',
      bound.ms.toFixed(1),
      isEqual ? 'yes' : 'no',
    ]);
  }
  console.log('decoding a 1920x1080 JPEG, one thread, medians\n');
  printTable(
    ['JPEG quality', 'sharp, CPU ms', 'loader of libvips, CPU ms', 'libjpeg into a kept buffer, CPU ms', 'same pixels'],
    rows,
  );
  const [corpus] = given;
  if (corpus !== undefined) {
    const files = readdirSync(corpus).filter((name) => /\.jpe?g$/i.test(name));
    let equal = 0;
    for (const name of files) {
      const path = join(corpus, name);
      if (decodeBound(path, 1).pixels.equals(await sharp(path).raw().toBuffer())) equal++;
      else console.log(`other pixels: ${name}`);
    }
    console.log(`\n${equal} of ${files.length} files of the folder have the same pixels`);
  }
}
