import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readContainer } from '../../../src/image/container/read.ts';
import { recognise } from '../../../src/image/container/recognise.ts';
import { decodeTensors, encodeTensors } from '../../../src/profile/safetensors.ts';
import { noiseBytes, otherFiles } from '../../fixtures/images.ts';

const text = (words: string) => Buffer.from(words, 'latin1');
const tar = Buffer.alloc(512);
tar.write('ustar', 257);
const dicom = Buffer.alloc(140);
dicom.write('DICM', 128);
const transport = Buffer.alloc(188 * 3, 1);
for (const at of [0, 188, 376]) transport[at] = 0x47;

const files: [name: string, bytes: Buffer][] = [
  ...Object.entries(otherFiles),
  ['GIF', text('GIF87a')],
  ['HEIF', text('\0\0\0\x18ftypmif1')],
  ['MP4 video', text('\0\0\0\x18ftypisom')],
  ['QuickTime video', text('\0\0\0\x14ftypqt  ')],
  ['Matroska or WebM video', text('\x1a\x45\xdf\xa3\x9f')],
  ['AVI video', text('RIFF\x10\0\0\0AVI LIST')],
  ['MPEG video', text('\0\0\x01\xba\x44')],
  ['MPEG transport stream', transport],
  ['WAV', text('RIFF\x10\0\0\0WAVEfmt ')],
  ['gzip archive', gzipSync('x')],
  ['tar archive', tar],
  ['7-Zip archive', text('7z\xbc\xaf\x27\x1c\0')],
  ['Zstandard archive', text('\x28\xb5\x2f\xfd\0')],
  ['DICOM', dicom],
  ['Stopline Profile: give it to --profile', Buffer.from(encodeTensors({ format: 'stopline-profile' }, {}))],
  ['safetensors', Buffer.from(encodeTensors({ format: 'other' }, {}))],
  ['NumPy array', text('\x93NUMPY\x01\0')],
  ['Parquet', text('PAR1\x15\0')],
  ['AppleDouble file, which a Mac puts beside the image', text('\0\x05\x16\x07\0\x02')],
  ['Office document', text('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1')],
  ['Git LFS pointer', text('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n')],
  ['git-annex pointer', text('/annex/objects/SHA256E-s31390--f50d7ac4\n')],
  ['git-annex pointer', text('../.git/annex/objects/xx/yy/SHA256E-s3')],
  ['DVC pointer', text('outs:\n- md5: a1b2\n  path: x.jpg\n')],
  ['XML', text('<?xml version="1.0"?><ListBucketResult/>')],
  ['XML', text('<Error><Code>AccessDenied</Code></Error>')],
  ['HTML', text('\n\n<HTML><head>404')],
  ['JSON', text('{"error":"not found"}')],
  ['URL', text('https://example.org/a.jpg\n')],
  ['image in base64', text('/9j/4AAQSkZJRgABAQAAAQ')],
  ['image in base64', text('iVBORw0KGgoAAAANSUhEUg')],
  ['data URL', text('data:image/png;base64,iVBORw0')],
  ['netpbm image', text('P6\n640 480\n255\n')],
  ['text', text('hello')],
  ['text', Buffer.from('path;label\ngrün.jpg;1\n')],
  ['text', Buffer.from('\ufeffhello', 'utf16le')],
  ['nothing but bytes of 0', Buffer.alloc(4096)],
  ['nothing but bytes of 255', Buffer.alloc(10, 255)],
  ['JPEG with a damaged start', text('\xff\xd8\0\0')],
  ['PNG with a damaged signature', text('\x09PNG\n\n')],
];

test.each(files)('%s is named', (name, bytes) => {
  expect(recognise(bytes).startsWith(name)).toBe(true);
  expect(() => readContainer(bytes)).toThrow(`Expected a JPEG, PNG or WebP but received ${name}`);
});

test('a file that is no Profile is named, with the command that makes one', () => {
  const jpeg = Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 74, 70]);
  const message = (what: string) =>
    `Expected a Stopline profile but received ${what}. Make one: stopline fit <folder> --out FILE`;
  expect(() => decodeTensors(jpeg)).toThrow(message('JPEG image (8 bytes)'));
  expect(() => decodeTensors(text('\x89PNG\r\n\x1a\n'))).toThrow(message('PNG image (8 bytes)'));
  expect(() => decodeTensors(text('path;label\n'))).toThrow(message('text (11 bytes)'));
  expect(() => decodeTensors(text('short'))).toThrow(message('a file of only 5 bytes'));
});

test('what has no name is told by its first bytes, and nothing of a text is repeated', () => {
  expect(recognise(noiseBytes(5000, 3))).toBe('5000 bytes of an unknown type');
  expect(recognise(text('a secret of somebody'))).toBe('text (20 bytes)');
});
