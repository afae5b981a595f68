/**
 * What reading large frames in bands of rows costs in accuracy: every statistic of the same frames read whole, by a build
 * that leaves no row out, and as it ships.
 *
 *     npm run bench:bands
 *
 * Needs clang-16 for that build. Frames are drawn by the simulated camera, and each cause is simulated at its mildest.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { auroc } from '../scripts/evaluate/measures.ts';
import { buildWasm } from '../scripts/native/wasm.ts';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import type { Core } from '../src/core/core.ts';
import { createWasmCore, instantiate } from '../src/core/instantiate.ts';
import { loadWasm } from '../src/core/wasm.ts';
import { corrupt } from '../src/image/corruptions/corruptions.ts';
import type { Frame } from '../src/image/frame.ts';
import { measureStatistics, statistics } from '../src/image/statistics/statistics.ts';
import { printTable } from './table.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const sizes = [
  { width: 1280, height: 720 },
  { width: 1920, height: 1080 },
];
const references = 30;
const fresh = 12;
const causes = [
  'gaussianNoise',
  'defocusBlur',
  'motionBlur',
  'fog',
  'lowContrast',
  'colourCast',
  'jpegMild',
  'rain',
  'lensDrops',
  'deadPixels',
] as const;
/** How many statistics make the score of a frame: those that stand out most. */
const strongest = 10;

function openWhole(): Core {
  const target = join(folder, 'whole.wasm');
  buildWasm(target, ['-DBANDS_PIXELS=((size_t)-1)']);
  return createWasmCore(instantiate(new WebAssembly.Module(readFileSync(target))));
}

const cores = { whole: openWhole(), bands: loadWasm() };
const ways = ['whole', 'bands'] as const;
type Measured = Record<(typeof ways)[number], Float64Array>;
const scored = statistics.flatMap(({ name, scored: isScored }, index) => (isScored ? [{ name, index }] : []));

/** As a JPEG arrives: encoded, decoded, and measured both ways. */
async function measure(frame: Frame): Promise<Measured> {
  const data = await sharp(await encodeFrame(frame, { quality: 90 }))
    .raw()
    .toBuffer();
  return {
    whole: measureStatistics(cores.whole, { ...frame, data }),
    bands: measureStatistics(cores.bands, { ...frame, data }),
  };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values: readonly number[]): number => {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
};

/** How far bands lie from the whole frame, in standard deviations of the statistic over the frames. */
function listErrors(frames: readonly Measured[]): { name: string; error: number }[] {
  return scored
    .map(({ name, index }) => {
      const spread = deviation(frames.map(({ whole }) => whole[index]));
      const off = Math.sqrt(mean(frames.map(({ whole, bands }) => (whole[index] - bands[index]) ** 2)));
      return { name, error: off / spread };
    })
    .filter(({ error }) => Number.isFinite(error))
    .sort((a, b) => a.error - b.error);
}

/** How strange frames are against the references: root mean square of the deviations that stand out most. */
function scoreFrames(
  reference: readonly Measured[],
  frames: readonly Measured[],
  way: (typeof ways)[number],
): number[] {
  const usual = scored.flatMap(({ index }) => {
    const values = reference.map((frame) => frame[way][index]);
    const spread = deviation(values);
    return spread > 0 ? [{ index, middle: mean(values), spread }] : [];
  });
  return frames.map((frame) => {
    const sizes = usual.map(({ index, middle, spread }) => Math.min(20, Math.abs(frame[way][index] - middle) / spread));
    return Math.sqrt(
      mean(
        sizes
          .sort((a, b) => b - a)
          .slice(0, strongest)
          .map((size) => size ** 2),
      ),
    );
  });
}

/** Mean AUROC of the statistics that tell a cause best when the frame is read whole: alone, above or below. */
function compareStatistics(
  clean: readonly Measured[],
  current: readonly Measured[],
): Record<(typeof ways)[number], number> {
  const each = scored.map(({ index }) => {
    const [whole, bands] = ways.map((way) =>
      auroc(
        clean.map((frame) => frame[way][index]),
        current.map((frame) => frame[way][index]),
      ),
    );
    return whole < 0.5 ? { whole: 1 - whole, bands: 1 - bands } : { whole, bands };
  });
  const best = each.sort((a, b) => b.whole - a.whole).slice(0, strongest);
  return { whole: mean(best.map(({ whole }) => whole)), bands: mean(best.map(({ bands }) => bands)) };
}

const added: (string | number)[][] = [];
const told: (string | number)[][] = [];
for (const size of sizes) {
  const reference: Measured[] = [];
  const clean: Measured[] = [];
  const damaged = new Map<string, Measured[]>(causes.map((cause) => [cause, []]));
  for (let i = 0; i < references; i++) reference.push(await measure(renderFrame(i, size)));
  for (let i = 0; i < fresh; i++) {
    const frame = renderFrame(references + i, size);
    clean.push(await measure(frame));
    for (const cause of causes) damaged.get(cause)!.push(await measure(await corrupt(frame, cause, 1, i)));
  }
  const name = `${size.width}x${size.height}`;
  const errors = listErrors([...reference, ...clean]);
  const place = (share: number) => errors[Math.floor(share * (errors.length - 1))].error.toFixed(3);
  const largest = errors.slice(-3).reverse();
  added.push([
    name,
    place(0.5),
    place(0.9),
    largest.map(({ name, error }) => `${name} ${error.toFixed(2)}`).join(', '),
  ]);
  for (const cause of causes) {
    const frames = damaged.get(cause)!;
    const scores = ways.map((way) => auroc(scoreFrames(reference, clean, way), scoreFrames(reference, frames, way)));
    const alone = compareStatistics(clean, frames);
    told.push([name, cause, ...[...scores, alone.whole, alone.bands].map((value) => value.toFixed(3))]);
  }
}

console.log(
  `What bands add to a statistic, in its standard deviations over ${references + fresh} frames of the simulated camera\n`,
);
printTable(['frame', 'half of the statistics', 'nine tenths', 'the largest'], added);
console.log(
  `\nAUROC of ${fresh} frames with a cause at severity 1 against ${fresh} without: of a score (the ${strongest} statistics that stand out most from ${references} other frames), and the mean of the ${strongest} statistics that tell the cause best\n`,
);
printTable(['frame', 'cause', 'score, whole', 'in bands', 'statistics, whole', 'in bands'], told);
