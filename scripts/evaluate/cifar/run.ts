import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { StoplineError } from '../../../src/errors.ts';
import { fit } from '../../../src/fit/fit.ts';
import type { Severity } from '../../../src/image/corruptions/corruptions.ts';
import type { Pixels } from '../../../src/image/corruptions/filter.ts';
import { Random } from '../../../src/image/corruptions/random.ts';
import type { Profile } from '../../../src/profile/description.ts';
import type { Verdict } from '../../../src/profile/verdict.ts';
import { mapOrdered } from '../../../src/run/mapordered.ts';
import { createPool, type Pool } from '../../../src/run/pool.ts';
import { cifarCorruptions, drawCifar } from './draw.ts';
import { judgeWindows, type WindowImage, type WindowRow, windowShifts } from './windows.ts';

export interface CifarOptions {
  /** Folder of the binary version of CIFAR-10: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`. */
  folder: string;
  /** Training images that the Profile is fitted on. */
  reference: number;
  /** Test images that stay clean, and as many others under every corruption at every severity. */
  clean: number;
  spoilt: number;
  /** Test images that windows are drawn from, the clean ones among them. */
  windowed: number;
  /** As of `fit`. */
  simulations: number;
  seed: number;
  threads: number;
  onProgress?: ((progress: { stage: CifarStage; done: number; total?: number | undefined }) => void) | undefined;
}

export type CifarStage = 'fit' | 'corrupt' | 'shift';

/** What the Profile says of one test image: a score and a p-value for each detector. */
export interface CifarJudgement {
  /** Absent of a clean one. */
  corruption?: { name: string; severity: Severity };
  scores: number[];
  pValues: number[];
}

export interface CifarEvaluation {
  detectors: string[];
  reference: number;
  judgements: CifarJudgement[];
  windowed: number;
  windows: WindowRow[];
}

export const cifarSeverities = [1, 2, 3, 4, 5] as const;
const side = 32;
/** A label, then the red, the green and the blue plane. */
const recordBytes = 1 + 3 * side * side;

export interface CifarPicture extends Pixels {
  label: number;
}

/**
 * Fits a Profile of training images of CIFAR-10 as `fit` does, and judges test images by it: one by one, clean and corrupted, and in
 * windows, clean and shifted.
 * @throws {StoplineError} INPUT_UNREADABLE where a batch is missing or is none, FIT_*
 */
export async function evaluateCifar(options: CifarOptions): Promise<CifarEvaluation> {
  const { folder, seed, threads } = options;
  const batches = [1, 2, 3, 4, 5].flatMap((batch) => readBatch(join(folder, `data_batch_${batch}.bin`)));
  const training = choosePictures(batches, options.reference, seed);
  const testing = choosePictures(readBatch(join(folder, 'test_batch.bin')), Number.POSITIVE_INFINITY, seed);
  const profile = await fitPictures(training, options);
  const pool = await createPool({ threads, isBatch: true, profile });
  try {
    const trials = planCorruptions(testing, options);
    const judgements = await judge(pool, trials, options, 'corrupt', ({ detectors }, { corruption }) => ({
      ...{ scores: detectors.map(({ score }) => score), pValues: detectors.map(({ pValue }) => pValue) },
      ...(corruption && { corruption }),
    }));
    const windowed = testing.slice(0, options.windowed);
    const keep = ({ timingMs: _, ...verdict }: Verdict, { label }: Trial): WindowImage => ({ verdict, label });
    const looks = windowShifts.flatMap(({ draw }) =>
      windowed.map(({ label, ...picture }, i) => ({ label, draw: () => draw(picture, new Random(seed + i)), picture })),
    );
    const plain = windowed.map(({ label, ...picture }) => ({ label, draw: () => picture.data, picture }));
    const seen = await judge(pool, [...plain, ...looks], options, 'shift', keep);
    const shifted = new Map(
      windowShifts.map(({ name }, i) => [name, seen.slice((i + 1) * plain.length, (i + 2) * plain.length)]),
    );
    return {
      detectors: profile.detectors.map(({ name }) => name),
      reference: training.length,
      judgements,
      windowed: windowed.length,
      windows: judgeWindows(profile, seen.slice(0, plain.length), shifted, { seed }),
    };
  } finally {
    await pool.destroy();
  }
}

async function fitPictures(pictures: readonly Pixels[], options: CifarOptions): Promise<Profile> {
  const { simulations, seed, threads, onProgress } = options;
  const place = mkdtempSync(join(tmpdir(), 'stopline-cifar-'));
  try {
    for (const [i, picture] of pictures.entries()) writeFileSync(join(place, `${i}.png`), await encode(picture));
    const { profile } = await fit({
      ...{ paths: [place], groupBy: 'none', simulations, seed, threads, power: 0 },
      onProgress: ({ done, total }) => onProgress?.({ stage: 'fit', done, total }),
    });
    return profile;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** One test image, and what happens to it before it is judged. */
interface Trial {
  picture: Pixels;
  label: number;
  draw: () => Uint8Array | Promise<Uint8Array>;
  corruption?: CifarJudgement['corruption'];
}

function planCorruptions(testing: readonly CifarPicture[], { clean, spoilt, seed }: CifarOptions): Trial[] {
  const trials: Trial[] = testing
    .slice(0, clean)
    .map(({ label, ...picture }) => ({ picture, label, draw: () => picture.data }));
  for (const name of Object.keys(cifarCorruptions)) {
    for (const severity of cifarSeverities) {
      for (const [i, { label, ...picture }] of testing.slice(clean, clean + spoilt).entries()) {
        const draw = () => drawCifar(picture, name, severity, 1000 * seed + i);
        trials.push({ picture, label, draw, corruption: { name, severity } });
      }
    }
  }
  return trials;
}

/** Every trial judged, in order. */
async function judge<Kept>(
  pool: Pool,
  trials: readonly Trial[],
  { threads, onProgress }: CifarOptions,
  stage: CifarStage,
  keep: (verdict: Verdict, trial: Trial) => Kept,
): Promise<Kept[]> {
  const kept: Kept[] = [];
  const one = async (trial: Trial) => {
    const verdict = await pool.inspect(await encode({ ...trial.picture, data: await trial.draw() }));
    return keep(verdict, trial);
  };
  for await (const judged of mapOrdered(trials, threads * 4, one)) {
    kept.push(judged);
    onProgress?.({ stage, done: kept.length, total: trials.length });
  }
  return kept;
}

/** Pictures of a batch of the binary version. @throws {StoplineError} INPUT_UNREADABLE */
export function readBatch(path: string): CifarPicture[] {
  const bytes = existsSync(path) ? readFileSync(path) : undefined;
  if (!bytes || bytes.length === 0 || bytes.length % recordBytes !== 0) {
    throw new StoplineError(
      'INPUT_UNREADABLE',
      `Expected ${path} to be a batch of the binary version of CIFAR-10, ${recordBytes} bytes a picture, but ${bytes ? `it has ${bytes.length} bytes` : 'there is none'}.`,
    );
  }
  return Array.from({ length: bytes.length / recordBytes }, (_, picture) => {
    const label = bytes[picture * recordBytes];
    const data = new Uint8Array(recordBytes - 1);
    const planes = bytes.subarray(picture * recordBytes + 1, (picture + 1) * recordBytes);
    for (let i = 0; i < data.length; i++) data[i] = planes[(i % 3) * side * side + Math.floor(i / 3)];
    return { label, data, width: side, height: side };
  });
}

function choosePictures(pictures: readonly CifarPicture[], count: number, seed: number): CifarPicture[] {
  const luck = new Random(seed).words(pictures.length);
  return pictures
    .map((picture, i) => ({ picture, luck: luck[i] }))
    .sort((a, b) => a.luck - b.luck)
    .slice(0, count)
    .map(({ picture }) => picture);
}

async function encode({ data, width, height }: Pixels): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
