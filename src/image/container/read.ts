import { StoplineError } from '../../errors.ts';
import type { Container } from './container.ts';
import { readJpeg } from './jpeg.ts';
import { readPng } from './png.ts';
import { hasMagic, recognise } from './recognise.ts';
import { readWebp } from './webp.ts';

/**
 * Reads what the encoded bytes say about themselves, without decoding: format by magic bytes, size, depth, quantisation
 * tables, orientation, frames. Linear in `bytes.length`, reads nothing outside the buffer, and allocates next to nothing.
 * Limits on size are not checked here but by `decode`.
 *
 * @example
 * const container = readContainer(await readFile('frame.jpg'));
 * console.log(container.jpeg?.quality, container.fingerprint);
 *
 * @throws {StoplineError} IMAGE_EMPTY; IMAGE_UNSUPPORTED (not a JPEG, PNG or WebP, or a kind of them that libjpeg does
 *   not decode); IMAGE_TRUNCATED (the end is missing); IMAGE_CORRUPT (the structure contradicts itself);
 *   IMAGE_TOO_COMPLEX (more scans, segments or chunks than any encoder writes)
 */
export function readContainer(bytes: Uint8Array): Container {
  if (bytes.length === 0) throw new StoplineError('IMAGE_EMPTY', 'Expected an image but received 0 bytes.');
  if (hasMagic(bytes, 0, '\xff\xd8\xff')) return readJpeg(bytes);
  if (hasMagic(bytes, 0, '\x89PNG\r\n\x1a\n')) return readPng(bytes);
  if (hasMagic(bytes, 0, 'RIFF') && hasMagic(bytes, 8, 'WEBP')) return readWebp(bytes);
  throw new StoplineError('IMAGE_UNSUPPORTED', `Expected a JPEG, PNG or WebP but received ${recognise(bytes)}.`);
}
