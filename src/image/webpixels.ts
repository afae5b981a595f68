import { StoplineError } from '../errors.ts';
import type { Container } from './container/container.ts';
import { readContainer } from './container/read.ts';
import { checkContainer, shrinkFactor, turns, walkJpeg } from './decoderule.ts';
import { boundsFrom, checkLength, type Frame, type Limits } from './frame.ts';
import { readPngPixels } from './pngpixels.ts';
import { shrinkFrame, turnFrame } from './shrink.ts';

/*
 * What browsers have and Node has not, as far as it is used here: the compiler knows no DOM, because all other code is for Node.
 */
interface Bitmap {
  width: number;
  height: number;
  close(): void;
}
interface Canvas {
  getContext(kind: '2d', options: object): Context2d | null;
  getContext(kind: 'webgl2'): ContextGl | null;
}
interface Context2d {
  drawImage(image: Bitmap, x: number, y: number): void;
  getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
}
type ContextGl = Record<string, number> & Record<string, (...args: unknown[]) => unknown>;
interface Browser {
  createImageBitmap?: (source: Blob, options: object) => Promise<Bitmap>;
  OffscreenCanvas?: new (width: number, height: number) => Canvas;
}

/**
 * Bytes to pixels with what a browser has, by the rule of `decode`: the stored orientation is applied, colour profiles are ignored, alpha
 * is dropped and not blended, and what is larger than is inspected is shrunk in the same way. A PNG is read by our own code, in every
 * runtime; JPEG and WebP by the browser.
 *
 * @throws {StoplineError} what `decode` throws; IMAGE_UNSUPPORTED where the runtime decodes no images, as Node, Deno and Bun
 */
export async function decodeInBrowser(
  bytes: Uint8Array,
  limits: Limits = {},
): Promise<{ frame: Frame; container: Container }> {
  const bounds = boundsFrom(limits);
  checkLength(bytes, bounds);
  const stored = readContainer(bytes);
  checkContainer(stored, bounds);
  // A browser shows of a damaged JPEG what there is; a verdict on it would be about what is missing.
  const { container } =
    stored.format === 'jpeg' ? walkJpeg(bytes, stored, Number.POSITIVE_INFINITY) : { container: stored };
  const pixels =
    container.format === 'png' ? await readPngPixels(bytes, container) : await readWithBrowser(bytes, container);
  return { frame: turnFrame(shrinkFrame(pixels, shrinkFactor(container)), turns[container.orientation]), container };
}

async function readWithBrowser(bytes: Uint8Array, { format, width, height, hasAlpha }: Container): Promise<Frame> {
  const { createImageBitmap, OffscreenCanvas } = globalThis as Browser;
  if (!createImageBitmap || !OffscreenCanvas) {
    throw new StoplineError(
      'IMAGE_UNSUPPORTED',
      `Expected a PNG, or decoded pixels, because this runtime decodes no images, but received a ${format}.`,
    );
  }
  const blob = new Blob([hideOrientation(bytes) as BlobPart], { type: `image/${format}` });
  const options = { colorSpaceConversion: 'none', premultiplyAlpha: hasAlpha ? 'none' : 'default' };
  const bitmap = await createImageBitmap(blob, options).catch((cause) => {
    throw new StoplineError('IMAGE_CORRUPT', `Expected an intact ${format} but the browser refuses it.`, { cause });
  });
  try {
    if (bitmap.width !== width || bitmap.height !== height) {
      throw new StoplineError(
        'IMAGE_CORRUPT',
        `Expected ${width}x${height}, as the header says, but the data decode to ${bitmap.width}x${bitmap.height}.`,
      );
    }
    const canvas = new OffscreenCanvas(hasAlpha ? 1 : width, hasAlpha ? 1 : height);
    const data = hasAlpha ? readUnblended(canvas, bitmap) : readOpaque(canvas, bitmap);
    return dropAlpha(data, width, height);
  } finally {
    bitmap.close();
  }
}

function readOpaque(canvas: Canvas, bitmap: Bitmap): Uint8ClampedArray {
  const context = canvas.getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' });
  if (!context) throw noCanvas();
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

/** A canvas that is drawn on holds colours times alpha, in which those of transparent pixels are lost. A texture does not. */
function readUnblended(canvas: Canvas, bitmap: Bitmap): Uint8Array {
  const gl = canvas.getContext('webgl2');
  if (!gl) throw noCanvas();
  const { width, height } = bitmap;
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  // The rest of the call is the texture that was just bound, at its full size.
  gl.framebufferTexture2D(
    gl.FRAMEBUFFER,
    gl.COLOR_ATTACHMENT0,
    gl.TEXTURE_2D,
    gl.getParameter(gl.TEXTURE_BINDING_2D),
    0,
  );
  const data = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  return data;
}

const noCanvas = () =>
  new StoplineError('IMAGE_UNSUPPORTED', 'Expected a canvas to read pixels from but the browser gives none.');

function dropAlpha(rgba: Uint8Array | Uint8ClampedArray, width: number, height: number): Frame {
  const data = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < data.length; from += 4) {
    data[to++] = rgba[from];
    data[to++] = rgba[from + 1];
    data[to++] = rgba[from + 2];
  }
  return { data, width, height, channels: 3 };
}

/**
 * The bytes with the name of every EXIF block changed, so that no decoder finds an orientation there: whether browsers apply it when told
 * not to has changed with their versions, and the one that is applied has to be that of the container.
 */
function hideOrientation(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const isAt = (at: number, text: string) => [...text].every((sign, i) => copy[at + i] === sign.charCodeAt(0));
  if (isAt(0, 'RIFF')) {
    const view = new DataView(copy.buffer);
    for (
      let at = 12;
      at + 8 <= copy.length;
      at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) & 1)
    ) {
      if (isAt(at, 'EXIF')) copy[at] = 'X'.charCodeAt(0);
    }
    return copy;
  }
  for (let at = 2; at + 4 <= copy.length && copy[at] === 0xff && copy[at + 1] !== 0xda; ) {
    if (copy[at + 1] === 0xe1 && isAt(at + 4, 'Exif')) copy[at + 4] = 'X'.charCodeAt(0);
    at += 2 + (copy[at + 2] << 8) + copy[at + 3];
  }
  return copy;
}
