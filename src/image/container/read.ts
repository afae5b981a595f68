import { StoplineError } from '../../errors.ts';
import type { Container } from './container.ts';
import { readJpeg } from './jpeg.ts';
import { readPng } from './png.ts';
import { readWebp } from './webp.ts';

/** What starts a file of a type that is known but not accepted: `[name, offset, text]`. */
const otherTypes: ReadonlyArray<readonly [name: string, offset: number, magic: string]> = [
  ['GIF', 0, 'GIF8'],
  ['TIFF', 0, 'II*\0'],
  ['TIFF', 0, 'MM\0*'],
  ['BigTIFF', 0, 'II+\0'],
  ['BMP', 0, 'BM'],
  ['PDF', 0, '%PDF'],
  ['PostScript', 0, '%!PS'],
  ['AVIF', 4, 'ftypavi'],
  ['HEIC', 4, 'ftyphei'],
  ['HEIC', 4, 'ftyphev'],
  ['HEIF', 4, 'ftypmif1'],
  ['HEIF', 4, 'ftypmsf1'],
  ['MP4', 4, 'ftyp'],
  ['JPEG XL', 0, '\xff\x0a'],
  ['JPEG XL', 4, 'JXL '],
  ['JPEG 2000', 4, 'jP  '],
  ['JPEG 2000', 0, '\xff\x4f\xff\x51'],
  ['Photoshop', 0, '8BPS'],
  ['icon', 0, '\0\0\x01\0'],
  ['OpenEXR', 0, '\x76\x2f\x31\x01'],
  ['Radiance HDR', 0, '#?RADIANCE'],
  ['ZIP archive', 0, 'PK\x03\x04'],
  ['gzip archive', 0, '\x1f\x8b'],
  ['WAV or AVI', 0, 'RIFF'],
  ['PNG with a damaged signature', 1, 'PNG'],
  ['JPEG with a damaged start', 0, '\xff\xd8'],
];

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

function recognise(bytes: Uint8Array): string {
  const other = otherTypes.find(([, offset, magic]) => hasMagic(bytes, offset, magic));
  if (other !== undefined) return `${other[0]} (${bytes.length} bytes)`;
  // Bounded and anchored: the first bytes decide between the kinds of text that get renamed to .jpg.
  const start = Buffer.from(bytes.subarray(0, 1024)).toString('latin1').toLowerCase();
  if (start.includes('<svg')) return `SVG (${bytes.length} bytes)`;
  if (start.includes('<html') || start.includes('<!doctype html')) return `HTML (${bytes.length} bytes)`;
  if (start.trimStart().startsWith('<?xml')) return `XML (${bytes.length} bytes)`;
  const hex = Buffer.from(bytes.subarray(0, 8)).toString('hex');
  return `${bytes.length} bytes of an unknown type that start with ${hex}`;
}

function hasMagic(bytes: Uint8Array, offset: number, magic: string): boolean {
  if (bytes.length < offset + magic.length) return false;
  for (let i = 0; i < magic.length; i++) if (bytes[offset + i] !== magic.charCodeAt(i)) return false;
  return true;
}
