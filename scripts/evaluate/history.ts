import sharp from 'sharp';
import type { Core } from '../../src/core/index.ts';
import type { Frame } from '../../src/decode.ts';
import { type JpegHistory, jpegHistory } from '../../src/forensics.ts';

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

/** Every trial on one picture. Crops go through all 64 offsets, picture after picture. */
export async function tryHistory(core: Core, frame: Frame, picture: number): Promise<HistoryTrial[]> {
  const trials: HistoryTrial[] = [{ passes: [], crop: [0, 0], isFile: false, found: jpegHistory(core, frame) }];
  const offset = (i: number) => {
    const place = (picture * 29 + i * 11) % 64;
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
