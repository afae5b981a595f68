import { StoplineError } from '../errors.ts';
import { adam7 } from './container/adam7.ts';
import type { Container } from './container/container.ts';
import type { Frame } from './frame.ts';

/** What stands in the header and the chunks that pixels need. */
interface Picture {
  width: number;
  height: number;
  bitDepth: number;
  colourType: number;
  isInterlaced: boolean;
  palette: Uint8Array;
}

/** Samples a pixel has in each colour type: grey, RGB, palette, grey with alpha, RGB with alpha. */
const samples: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/**
 * The pixels of a PNG by `decodeRule`: grey is replicated, palettes are expanded, 16 bit becomes 8 by dropping the low byte, alpha is
 * dropped and not blended. A canvas of a browser cannot do that: it blends, and converts colours.
 * @param container what `readContainer` says of the bytes, which has walked the chunks
 * @throws {StoplineError} IMAGE_CORRUPT
 */
export async function readPngPixels(bytes: Uint8Array, container: Container): Promise<Frame> {
  const { picture, coded } = readChunks(bytes);
  const data = await inflate(coded);
  const { width, height, bitDepth, colourType, isInterlaced } = picture;
  const frame: Frame = { data: new Uint8Array(3 * width * height), width, height, channels: 3 };
  const bits = bitDepth * samples[colourType];
  let at = 0;
  for (const [left, top, across, down] of isInterlaced ? adam7 : [[0, 0, 1, 1] as const]) {
    const columns = Math.ceil((width - left) / across);
    const rows = Math.ceil((height - top) / down);
    if (columns <= 0 || rows <= 0) continue;
    const stride = Math.ceil((columns * bits) / 8);
    if (at + rows * (stride + 1) > data.length) throw corrupt('its picture data end too early');
    const lines = unfilter(data.subarray(at, at + rows * (stride + 1)), { stride, rows, step: Math.ceil(bits / 8) });
    at += rows * (stride + 1);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const to = 3 * ((top + y * down) * width + left + x * across);
        writePixel(lines.subarray(y * stride, (y + 1) * stride), x, picture, frame.data.subarray(to, to + 3));
      }
    }
  }
  if (container.width !== width || container.height !== height) throw corrupt('its header is of another picture');
  return frame;
}

const corrupt = (what: string) => new StoplineError('IMAGE_CORRUPT', `Expected an intact PNG but ${what}.`);

function readChunks(bytes: Uint8Array): { picture: Picture; coded: Uint8Array[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const coded: Uint8Array[] = [];
  let palette = new Uint8Array(0);
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + view.getUint32(at));
    if (type === 'PLTE') palette = data.slice();
    else if (type === 'IDAT') coded.push(data);
    else if (type === 'IEND') break;
  }
  const picture = {
    width: view.getUint32(16),
    height: view.getUint32(20),
    bitDepth: bytes[24],
    colourType: bytes[25],
    isInterlaced: bytes[28] === 1,
    palette,
  };
  return { picture, coded };
}

/** By the runtime's own zlib, which browsers, Deno, Bun and Node offer in the same way. */
async function inflate(parts: readonly Uint8Array[]): Promise<Uint8Array> {
  const stream = new Blob([...parts] as BlobPart[]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).arrayBuffer().then(
    (buffer) => new Uint8Array(buffer),
    () => {
      throw corrupt('its picture data cannot be inflated');
    },
  );
}

/** PNG specification, section 9: undoes the filter of each line. */
function unfilter(
  data: Uint8Array,
  { stride, rows, step }: { stride: number; rows: number; step: number },
): Uint8Array {
  const out = new Uint8Array(stride * rows);
  for (let y = 0; y < rows; y++) {
    const type = data[y * (stride + 1)];
    if (type > 4) throw corrupt(`a line has the filter ${type}`);
    const from = y * (stride + 1) + 1;
    const to = y * stride;
    for (let x = 0; x < stride; x++) {
      const left = x >= step ? out[to + x - step] : 0;
      const above = y > 0 ? out[to + x - stride] : 0;
      const corner = x >= step && y > 0 ? out[to + x - stride - step] : 0;
      out[to + x] = data[from + x] + predict(type, left, above, corner);
    }
  }
  return out;
}

function predict(type: number, left: number, above: number, corner: number): number {
  if (type === 0) return 0;
  if (type === 1) return left;
  if (type === 2) return above;
  if (type === 3) return (left + above) >> 1;
  const estimate = left + above - corner;
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - above), Math.abs(estimate - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

function writePixel(line: Uint8Array, x: number, { bitDepth, colourType, palette }: Picture, out: Uint8Array): void {
  const bytesEach = bitDepth === 16 ? 2 : 1;
  if (colourType === 2 || colourType === 6) {
    const at = x * samples[colourType] * bytesEach;
    for (let c = 0; c < 3; c++) out[c] = line[at + c * bytesEach];
    return;
  }
  const at = x * samples[colourType] * bitDepth;
  const whole = bitDepth >= 8;
  const value = whole ? line[at >> 3] : (line[at >> 3] >> (8 - bitDepth - (at & 7))) & ((1 << bitDepth) - 1);
  if (colourType === 3) out.set(palette.subarray(3 * value, 3 * value + 3));
  else out.fill(whole ? value : (value * 255) / ((1 << bitDepth) - 1));
}
