import type { Core } from '../core/core.ts';
import { loadCore } from '../core/index.ts';
import type { Container } from './container/container.ts';
import { shrinkFactor } from './decoderule.ts';
import { type Frame, release, takeMemory } from './frame.ts';

/** What decodes here: a core, native or WebAssembly, which give the same pixels. */
export type JpegReader = Pick<Core, 'readJpeg'>;

let own: JpegReader | undefined;

/** The fastest core that there is, for callers without one. */
function loadOwn(): JpegReader {
  own ??= loadCore();
  return own;
}

/**
 * Plain JPEGs by the core, which gives the pixels of sharp, natively in less than half of the time. What is not plain, and what anything is
 * odd about, is left to sharp, whose answer counts. At most `inspectionPixels` are decoded, which takes a bounded time.
 * @param reader of the caller; without one, the fastest that there is
 * @returns undefined where sharp has to be asked
 */
export function readPlainJpeg(bytes: Uint8Array, container: Container, reader?: JpegReader): Frame | undefined {
  if (!isPlain(container)) return undefined;
  const { width, height } = container;
  const data = takeMemory(width * height * 3);
  if ((reader ?? loadOwn()).readJpeg(bytes, width, height, data)) return { data, width, height, channels: 3 };
  release(data);
  return undefined;
}

/** Values as they are stored, in one scan, neither to be turned nor to be shrunk. */
function isPlain(container: Container): boolean {
  const { format, colour, orientation, progressive, scans } = container;
  const isRead = format === 'jpeg' && (colour === 'ycbcr' || colour === 'grey') && !progressive && scans === 1;
  return isRead && orientation === 1 && shrinkFactor(container) === 1;
}
