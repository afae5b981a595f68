import sharp, { type Sharp } from 'sharp';
import { openWorkspace } from '../../core/workspace.ts';
import { cutFrame } from '../frame.ts';
import { loseAsJpeg } from '../jpegloss.ts';
import { blurInPlace, mapChannels, type Pixels, placePixels, readPixels, resizePixels, table } from './filter.ts';
import type { Random } from './random.ts';

/** ImageNet-C `jpeg_compression`: libjpeg quality. */
const jpegQuality = [25, 18, 15, 10, 7] as const;
/** What an upstream service that "saves some bandwidth" uses. */
const jpegMildQuality = [92, 85, 75, 60, 45] as const;
/** First and second quality. The first is the coarser one: the order that leaves gaps in the histograms. */
const jpegTwiceQuality = [
  [85, 92],
  [72, 85],
  [58, 78],
  [42, 68],
  [26, 55],
] as const;
const webpQuality = [75, 50, 28, 10, 1] as const;
/** Size of the small copy relative to the frame. */
const downFactor = [0.9, 0.7, 0.5, 0.35, 0.22] as const;
/** ImageNet-C `pixelate`: size of the small copy relative to the frame. */
const pixelateFactor = [0.6, 0.5, 0.4, 0.3, 0.25] as const;
/** Strength of the unsharp mask, whose radius is 1.5 pixels. */
const sharpenBy = [0.6, 1.2, 2, 3.2, 5] as const;
/** ImageNet-3DCC `color_quant`: bits that are left in each channel. */
const bitsLeft = [5, 4, 3, 2, 1] as const;

const image = ({ data, width, height }: Pixels): Sharp => sharp(data, { raw: { width, height, channels: 3 } });

async function raw(pipeline: Sharp): Promise<Uint8Array> {
  const { buffer, byteOffset, byteLength } = await pipeline.raw().toBuffer();
  return new Uint8Array(buffer, byteOffset, byteLength);
}

export const jpeg = (pixels: Pixels, severity: number): Uint8Array => loseAsJpeg(pixels, jpegQuality[severity - 1]);

export const jpegMild = (pixels: Pixels, severity: number): Uint8Array =>
  loseAsJpeg(pixels, jpegMildQuality[severity - 1]);

/** JPEG on a grid that is 1 to 7 pixels off, a crop back to the frame, and JPEG again on the frame's own grid. */
export function jpegTwice(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const [first, second] = jpegTwiceQuality[severity - 1];
  const left = 1 + random.integer(7);
  const top = 1 + random.integer(7);
  const { width, height } = pixels;
  const larger = extend(pixels, left, top);
  const data = cutFrame(
    { data: loseAsJpeg(larger, first), width: larger.width, height: larger.height, channels: 3 },
    { left, top, width, height },
  ).data;
  return loseAsJpeg({ data, width, height }, second);
}

/** Repeats the first column and row so many times. */
function extend({ data, width, height }: Pixels, left: number, top: number): Pixels {
  const larger = new Uint8Array((width + left) * (height + top) * 3);
  const stride = (width + left) * 3;
  for (let y = 0; y < height + top; y++) {
    const row = data.subarray(Math.max(0, y - top) * width * 3, (Math.max(0, y - top) + 1) * width * 3);
    for (let x = 0; x < left; x++) larger.set(row.subarray(0, 3), y * stride + x * 3);
    larger.set(row, y * stride + left * 3);
  }
  return { data: larger, width: width + left, height: height + top };
}

/** Lossy WebP (VP8 intra) at the fastest effort. */
export async function webp(pixels: Pixels, severity: number): Promise<Uint8Array> {
  return raw(
    sharp(
      await image(pixels)
        .webp({ quality: webpQuality[severity - 1], effort: 0 })
        .toBuffer(),
    ),
  );
}

/** Sent small and enlarged again: reduced with Lanczos, enlarged bilinearly (libvips' own enlargement is half a pixel off). */
export async function downUp(pixels: Pixels, severity: number): Promise<Uint8Array> {
  const { width, height } = pixels;
  const w = Math.max(1, Math.round(width * downFactor[severity - 1]));
  const h = Math.max(1, Math.round(height * downFactor[severity - 1]));
  const small = await raw(image(pixels).resize(w, h, { fit: 'fill' }));
  return resizePixels({ data: small, width: w, height: h }, width, height);
}

/** Pillow's BOX filter down (mean of whole pixels) and BOX up (copies), as ImageNet-C does. */
export function pixelate({ data, width, height }: Pixels, severity: number): Uint8Array {
  const factor = pixelateFactor[severity - 1];
  const columns = Math.max(1, Math.floor(width * factor));
  const rows = Math.max(1, Math.floor(height * factor));
  const edgesX = Int32Array.from({ length: columns + 1 }, (_, i) => (i * width) / columns + 0.5);
  const edgesY = Int32Array.from({ length: rows + 1 }, (_, i) => (i * height) / rows + 0.5);
  const small = new Uint8Array(columns * rows * 3);
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < columns; i++) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let y = edgesY[j]; y < edgesY[j + 1]; y++) {
        for (let x = edgesX[i]; x < edgesX[i + 1]; x++) {
          const from = (y * width + x) * 3;
          red += data[from];
          green += data[from + 1];
          blue += data[from + 2];
        }
      }
      const count = (edgesX[i + 1] - edgesX[i]) * (edgesY[j + 1] - edgesY[j]);
      const to = (j * columns + i) * 3;
      small[to] = red / count + 0.5;
      small[to + 1] = green / count + 0.5;
      small[to + 2] = blue / count + 0.5;
    }
  }
  const out = new Uint8Array(data.length);
  const cells = Int32Array.from({ length: width }, (_, x) => 3 * Math.floor(((x + 0.5) * columns) / width));
  for (let y = 0, to = 0; y < height; y++) {
    const row = 3 * columns * Math.floor(((y + 0.5) * rows) / height);
    for (let x = 0; x < width; x++, to += 3) {
      const from = row + cells[x];
      out[to] = small[from];
      out[to + 1] = small[from + 1];
      out[to + 2] = small[from + 2];
    }
  }
  return out;
}

/** Unsharp mask, x + a (x - blurred x): halos along edges, as an over-eager image processor leaves them. */
export function sharpening(pixels: Pixels, severity: number): Uint8Array {
  const amount = sharpenBy[severity - 1];
  const space = openWorkspace();
  const image = placePixels(space, pixels);
  const blurred = placePixels(space, pixels);
  blurInPlace(space, blurred, 1.5);
  space.kernels.stopline_sharpen(image.at, blurred.at, pixels.data.length, amount);
  return readPixels(space, blurred);
}

/** Rounds every channel to 2^bits even levels: smooth areas break into bands. */
export function banding({ data }: Pixels, severity: number): Uint8Array {
  const steps = 2 ** bitsLeft[severity - 1] - 1;
  const levels = table((v) => (Math.round((v * steps) / 255) * 255) / steps);
  return mapChannels(data, [levels, levels, levels]);
}
