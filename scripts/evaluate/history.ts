import sharp from 'sharp';
import type { Core } from '../../src/core/core.ts';
import { readImage } from '../../src/image/file.ts';
import { defaultLimits, type Frame } from '../../src/image/frame.ts';
import { type JpegHistory, jpegHistory } from '../../src/image/jpeghistory.ts';
import { listImages } from '../../src/run/inputs/folder.ts';
import { table } from './tables.ts';

/** What is asked of one source image: the qualities once, each with a crop, and pairs in one grid or two. */
export interface HistoryTrial {
  /** Qualities in the order of the passes; none for a picture that never was a JPEG. */
  passes: number[];
  /** Pixels cut off on the left and at the top after the first pass. */
  crop: readonly [number, number];
  /** The last pass is the file itself, whose quality is then known. */
  isFile: boolean;
  found: JpegHistory;
}

/**
 * Pixels without a history: a PNG as it is, anything else at half its size, which washes out what it had.
 * @param bytes an encoded image
 */
export async function pristine(bytes: Uint8Array): Promise<Frame> {
  const image = sharp(bytes).removeAlpha().toColourspace('srgb');
  const { format, width, height } = await sharp(bytes).metadata();
  if (format !== 'png') image.resize(Math.round(width / 2), Math.round(height / 2), { fit: 'fill' });
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(data), width: info.width, height: info.height, channels: 3 };
}

async function compress({ data, width, height }: Frame, quality: number): Promise<Frame> {
  const jpeg = await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality })
    .toBuffer();
  return { data: new Uint8Array(await sharp(jpeg).raw().toBuffer()), width, height, channels: 3 };
}

async function cut({ data, width, height }: Frame, left: number, top: number): Promise<Frame> {
  const size = { left, top, width: width - left, height: height - top };
  const pixels = await sharp(data, { raw: { width, height, channels: 3 } })
    .extract(size)
    .raw()
    .toBuffer();
  return { data: new Uint8Array(pixels), width: size.width, height: size.height, channels: 3 };
}

/** Qualities that one pass is tried at. */
export const once = [10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95] as const;
/** An earlier and the file's own quality. */
export const twice = [
  [60, 75],
  [60, 95],
  [75, 90],
  [85, 92],
  [92, 95],
  [95, 75],
] as const;

/** Every trial on one picture. Crops go through the 63 other offsets, picture after picture. */
export async function tryHistory(core: Core, frame: Frame, picture: number): Promise<HistoryTrial[]> {
  const trials: HistoryTrial[] = [{ passes: [], crop: [0, 0], isFile: false, found: jpegHistory(core, frame) }];
  const offset = (i: number) => {
    const place = 1 + ((picture * 29 + i * 11) % 63);
    return [place % 8, Math.floor(place / 8)] as const;
  };
  for (const [i, quality] of once.entries()) {
    const whole = await compress(frame, quality);
    trials.push({ passes: [quality], crop: [0, 0], isFile: true, found: jpegHistory(core, whole, quality) });
    const crop = offset(i);
    trials.push({ passes: [quality], crop, isFile: false, found: jpegHistory(core, await cut(whole, ...crop)) });
  }
  for (const [i, [first, last]] of twice.entries()) {
    const before = await compress(frame, first);
    for (const crop of [[0, 0] as const, offset(i)]) {
      const found = jpegHistory(core, await compress(await cut(before, ...crop), last), last);
      trials.push({ passes: [first, last], crop, isFile: true, found });
    }
  }
  return trials;
}

/** Pictures of a folder that are tried: enough for the second digit of a percentage over all qualities. */
const perFolder = 20;

/** Pictures spread over the folders, each through every trial. */
export async function evaluateHistory(
  core: Core,
  folders: readonly string[],
  onProgress: (update: { done: number; total: number }) => void,
) {
  const chosen: string[] = [];
  for (const folder of folders) {
    const paths: string[] = [];
    for await (const { path } of listImages([folder])) paths.push(path);
    const step = Math.ceil(paths.length / perFolder);
    chosen.push(...paths.filter((_, i) => i % step === 0));
  }
  const pictures: HistoryTrial[][] = [];
  for (const path of chosen) {
    const bytes = readImage(path, defaultLimits.maxBytes);
    pictures.push(await tryHistory(core, await pristine(bytes), pictures.length));
    onProgress({ done: pictures.length, total: chosen.length });
  }
  return pictures;
}

/** What was found, as Markdown. */
export function historyReport(pictures: readonly HistoryTrial[][]): string {
  const trials = pictures.flat();
  const isGrid = (x: number, y: number, [left, top]: HistoryTrial['crop']) =>
    x === (8 - left) % 8 && y === (8 - top) % 8;
  const percent = (some: readonly HistoryTrial[], holds: (trial: HistoryTrial) => boolean) =>
    some.length === 0 ? '-' : `${((100 * some.filter(holds).length) / some.length).toFixed(1)} %`;
  const near = (quality: number, truth: number, tolerance: number) => Math.abs(quality - truth) <= tolerance;
  const never = trials.filter(({ passes }) => passes.length === 0).map(({ found }) => found.score);
  const largest = Math.max(...never.filter((score) => !Number.isNaN(score)));

  const onceRow = (name: string, some: readonly HistoryTrial[], files: readonly HistoryTrial[]) => [
    name,
    some.length,
    Math.min(...some.map(({ found }) => (Number.isNaN(found.score) ? 0 : found.score))).toFixed(3),
    percent(some, ({ found }) => Number.isNaN(found.score) || found.score <= largest),
    percent(some, ({ found, passes }) => near(found.quality, passes[0], 1)),
    percent(some, ({ found, crop }) => isGrid(found.offsetX, found.offsetY, crop)),
    percent(files, ({ found }) => found.isDouble),
  ];
  const single = trials.filter(({ passes, isFile }) => passes.length === 1 && !isFile);
  const files = trials.filter(({ passes, isFile }) => passes.length === 1 && isFile);
  const matching = (some: readonly HistoryTrial[], quality: number) =>
    some.filter(({ passes }) => passes[0] === quality);
  const onceTable = table(
    ['quality', 'images', 'least score', 'not above never', 'quality within 1', 'grid right', 'called double'],
    [
      ...once.map((quality) => onceRow(`${quality}`, matching(single, quality), matching(files, quality))),
      onceRow('all', single, files),
    ],
  );

  const twiceRows = twice.flatMap(([first, last]) =>
    [false, true].map((isShifted) => {
      const some = trials.filter(
        ({ passes, crop }) =>
          passes.length === 2 && passes[0] === first && passes[1] === last && crop[0] + crop[1] > 0 === isShifted,
      );
      return [
        `${first}, then ${last}`,
        isShifted ? 'another' : 'the same',
        some.length,
        percent(some, ({ found }) => found.isDouble),
        percent(some, ({ found }) => near(found.firstQuality, first, 2)),
        percent(some, ({ found, crop }) => isGrid(found.firstOffsetX, found.firstOffsetY, crop)),
      ];
    }),
  );
  return [
    `${pictures.length} pictures that carry no history: PNGs as they are, anything else at half its size. What is read from the`,
    'pixels of each: never compressed, compressed once, and compressed twice.',
    '',
    `Compressed once, cropped by up to 7 pixels and kept without loss. The largest score of a picture that was never compressed is ${largest.toFixed(3)}; *called double*: the file itself, whose quality is known, is taken for compressed before.`,
    '',
    onceTable,
    '',
    'A file whose pixels were compressed before, with and without a crop in between. Of a finer pass on the same grid before a coarser one next to nothing is left.',
    '',
    table(['quality', 'grid', 'images', 'noticed', 'earlier quality within 2', 'earlier grid right'], twiceRows),
  ].join('\n');
}
