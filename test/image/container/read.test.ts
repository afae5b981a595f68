import fc from 'fast-check';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, test } from 'vitest';
import { StoplineError } from '../../../src/errors.ts';
import { naturalOrder, standardTable } from '../../../src/image/container/quality.ts';
import { readContainer } from '../../../src/image/container/read.ts';
import {
  animationControl,
  exifSegment,
  findJpegMarker,
  jpegSegment,
  jpegSkeleton,
  noiseBytes,
  otherFiles,
  picture,
  png,
  pngChunk,
  tiffOrientation,
  webp,
  webpCanvas,
  webpChunk,
  withFrameHeader,
  withJpegSegments,
  withPngChunks,
} from '../../fixtures/images.ts';

function catchCode(bytes: Uint8Array): string {
  try {
    readContainer(bytes);
    return 'read';
  } catch (error) {
    if (!(error instanceof StoplineError)) throw error;
    return error.code.replace('STOPLINE_ERR_', '');
  }
}

const all = Array.from({ length: 100 }, (_, i) => i + 1);
const small = picture(40, 24);

/** An Adobe segment with this colour transform. */
const adobe = (transform: number) =>
  jpegSegment(0xee, Buffer.from(`Adobe\0\x64\0\0\0\0${String.fromCharCode(transform)}`, 'latin1'));

describe('JPEG quality', () => {
  test.each([
    ['4:2:0', false],
    ['4:4:4', false],
    ['4:2:0', true],
  ])(
    'every IJG quality is read exactly from luma and chroma, %s, progressive %s',
    async (chromaSubsampling, progressive) => {
      for (const quality of all) {
        const bytes = await small.clone().jpeg({ quality, chromaSubsampling, progressive }).toBuffer();
        const { jpeg, progressive: read } = readContainer(bytes);
        expect(jpeg).toMatchObject({ quality, standardTables: true, chromaSubsampling, arithmetic: false });
        expect(jpeg!.tables).toEqual([standardTable('luma', quality), standardTable('chroma', quality)]);
        expect(read).toBe(progressive);
      }
    },
  );

  // The sums that ImageMagick's coders/jpeg.c looks qualities up by: [quality, four entries, all entries].
  test.each([
    [1, 1020, 32640],
    [2, 1015, 32635],
    [3, 932, 32266],
    [4, 848, 31495],
    [5, 780, 30665],
    [10, 645, 27670],
    [25, 494, 18386],
    [50, 247, 9193],
    [75, 125, 4638],
    [90, 49, 1846],
    [95, 25, 927],
    [100, 4, 128],
  ])('the tables of quality %i have the sums that ImageMagick publishes', (quality, hash, sum) => {
    const luma = standardTable('luma', quality);
    const chroma = standardTable('chroma', quality);
    expect(luma[2]! + luma[53]! + chroma[0]! + chroma[63]!).toBe(hash);
    expect([...luma, ...chroma].reduce((a, b) => a + b)).toBe(sum);
  });

  test('16-bit tables of an extended JPEG are read exactly', () => {
    for (const quality of [1, 5, 12, 20]) {
      const table = standardTable('luma', quality, 32767);
      const data = Buffer.alloc(129);
      data[0] = 0x10;
      for (let i = 0; i < 64; i++) data.writeUInt16BE(table[naturalOrder[i]!]!, 1 + 2 * i);
      const skeleton = jpegSkeleton(64, 64, 1, 1, 0xc1);
      const old = findJpegMarker(skeleton, 0xdb);
      const bytes = Buffer.concat([skeleton.subarray(0, old), jpegSegment(0xdb, data), skeleton.subarray(old + 69)]);
      expect(Math.max(...table)).toBeGreaterThan(255);
      expect(readContainer(bytes).jpeg).toMatchObject({ quality, standardTables: true, tables: [table] });
    }
  });

  test('a quantisation step of 0 is refused, as no lattice has it', async () => {
    const bytes = await small.clone().jpeg({ quality: 80 }).toBuffer();
    const table = findJpegMarker(bytes, 0xdb) + 5; // behind the marker, the length and the id
    expect(readContainer(bytes).jpeg?.tables[0]).not.toContain(0);
    bytes[table + 20] = 0;
    expect(catchCode(bytes)).toBe('IMAGE_CORRUPT');
  });

  test('tables of another encoder get the nearest quality and say so', async () => {
    const bytes = await small.clone().jpeg({ quality: 80, quantisationTable: 3 }).toBuffer();
    const { quality, standardTables, tables } = readContainer(bytes).jpeg!;
    expect(standardTables).toBe(false);
    const distance = (q: number) =>
      standardTable('luma', q).reduce((sum, entry, i) => sum + (entry - tables[0]![i]!) ** 2, 0);
    for (const other of all) expect(distance(quality)).toBeLessThanOrEqual(distance(other));
  });

  test('luma and chroma of different qualities are not one standard setting', async () => {
    const [low, high] = await Promise.all([50, 90].map((quality) => small.clone().jpeg({ quality }).toBuffer()));
    const second = findJpegMarker(low!, 0xdb) + 69;
    const mixed = Buffer.concat([
      low!.subarray(0, second),
      high!.subarray(second, second + 69),
      low!.subarray(second + 69),
    ]);
    expect(readContainer(mixed).jpeg).toMatchObject({ quality: 50, standardTables: false });
  });
});

describe('JPEG headers', () => {
  test('size, colour and depth', async () => {
    const bytes = await picture(333, 77).jpeg().toBuffer();
    const container = readContainer(bytes);
    expect(container).toMatchObject({
      format: 'jpeg',
      width: 333,
      height: 77,
      bitDepth: 8,
      channels: 3,
      colour: 'ycbcr',
    });
    expect(container).toMatchObject({ hasAlpha: false, frames: 1, scans: 1, orientation: 1, trailingBytes: 0 });
    expect(container.bytesPerPixel).toBe(bytes.length / (333 * 77));
  });

  test('grey, CMYK, scans of a progressive file', async () => {
    const grey = readContainer(await small.clone().toColourspace('b-w').jpeg().toBuffer());
    expect(grey).toMatchObject({
      channels: 1,
      colour: 'grey',
      jpeg: { chromaSubsampling: 'grey', standardTables: true },
    });
    const cmyk = readContainer(await small.clone().toColourspace('cmyk').jpeg().toBuffer());
    expect(cmyk).toMatchObject({ channels: 4, colour: 'cmyk', jpeg: { chromaSubsampling: '4:4:4' } });
    // jcparam.c, jpeg_simple_progression: ten scans for YCbCr.
    expect(readContainer(await small.clone().jpeg({ progressive: true }).toBuffer()).scans).toBe(10);
  });

  test.each([
    [[0x22, 0x11, 0x11], '4:2:0'],
    [[0x21, 0x11, 0x11], '4:2:2'],
    [[0x12, 0x11, 0x11], '4:4:0'],
    [[0x41, 0x11, 0x11], '4:1:1'],
    [[0x22, 0x21, 0x21], '4:4:0'],
    [[0x22, 0x22, 0x22], '4:4:4'],
    [[0x42, 0x11, 0x11], '4x2,1x1,1x1'],
    [[0x22, 0x11, 0x21], '2x2,1x1,2x1'],
  ])('sampling factors %j are called %s', (factors, name) => {
    const bytes = jpegSkeleton(64, 64);
    const at = findJpegMarker(bytes, 0xc0) + 11;
    for (const [i, factor] of factors.entries()) bytes.writeUInt8(factor, at + 3 * i);
    expect(readContainer(bytes).jpeg!.chromaSubsampling).toBe(name);
  });

  test('the Adobe marker tells RGB from YCbCr and CMYK from YCCK', () => {
    const colour = (components: number, ...segments: Buffer[]) =>
      readContainer(withJpegSegments(jpegSkeleton(64, 64, components), ...segments)).colour;
    expect(colour(3)).toBe('ycbcr');
    expect(colour(3, adobe(0))).toBe('rgb');
    expect(colour(3, adobe(1))).toBe('ycbcr');
    expect(colour(4)).toBe('cmyk');
    expect(colour(4, adobe(0))).toBe('cmyk');
    expect(colour(4, adobe(2))).toBe('ycck');
    expect(catchCode(jpegSkeleton(64, 64, 2))).toBe('IMAGE_UNSUPPORTED');
    expect(catchCode(jpegSkeleton(64, 64, 5))).toBe('IMAGE_UNSUPPORTED');
  });

  test('what libjpeg warns of in a header is a remark', () => {
    const remarks = (bytes: Buffer) => readContainer(bytes).remarks.map(({ kind }) => kind);
    const spectral = jpegSkeleton(64, 64);
    const scan = findJpegMarker(spectral, 0xda);
    spectral[scan + 2 + spectral.readUInt16BE(scan + 2) - 2] = 0;
    expect([remarks(jpegSkeleton(64, 64)), remarks(spectral)]).toEqual([[], ['oddScanHeader']]);
    const transforms = (components: number) =>
      [0, 1, 2, 3].map((transform) => remarks(withJpegSegments(jpegSkeleton(64, 64, components), adobe(transform))));
    expect(transforms(3)).toEqual([[], [], ['oddAdobeTransform'], ['oddAdobeTransform']]);
    expect(transforms(4)).toEqual([[], ['oddAdobeTransform'], [], ['oddAdobeTransform']]);
    const jfif = (major: number) =>
      jpegSegment(0xe0, Buffer.from(`JFIF\0${String.fromCharCode(major)}\x02\0\0\x01\0\x01\0\0`, 'latin1'));
    const versions = [0, 1, 2, 255].map((major) => remarks(withJpegSegments(jpegSkeleton(64, 64), jfif(major))));
    expect(versions).toEqual([['oddJfifVersion'], [], ['oddJfifVersion'], ['oddJfifVersion']]);
    expect(remarks(withJpegSegments(jpegSkeleton(64, 64), jpegSegment(0xfe), Buffer.from([7, 7])))).toEqual([
      'extraneousBytes',
    ]);
    expect(remarks(jpegSkeleton(64, 64).subarray(0, -2))).toEqual(['endMissing']);
    expect(remarks(Buffer.concat([jpegSkeleton(64, 64), Buffer.from('x')]))).toEqual(['trailingBytes']);
  });

  test('12 bit and arithmetic coding are reported, lossless and hierarchical are not supported', () => {
    expect(readContainer(withFrameHeader(jpegSkeleton(64, 64, 3, 1, 0xc1), { precision: 12 })).bitDepth).toBe(12);
    expect(readContainer(jpegSkeleton(64, 64, 3, 1, 0xca))).toMatchObject({
      progressive: true,
      jpeg: { arithmetic: true },
    });
    for (const type of [0xc3, 0xc5, 0xc7, 0xcb, 0xcf])
      expect(catchCode(jpegSkeleton(64, 64, 3, 1, type))).toBe('IMAGE_UNSUPPORTED');
  });

  test('an EXIF thumbnail is not taken for the image', async () => {
    const thumbnail = await picture(16, 16).jpeg({ quality: 20 }).toBuffer();
    const bytes = withJpegSegments(await picture(200, 100).jpeg({ quality: 90 }).toBuffer(), exifSegment(thumbnail));
    expect(readContainer(bytes)).toMatchObject({ width: 200, height: 100, orientation: 1, jpeg: { quality: 90 } });
  });

  test('contradictions are corrupt, too many scans or segments too complex', async () => {
    const jpeg = await small.clone().jpeg().toBuffer();
    const header = jpeg.subarray(findJpegMarker(jpeg, 0xc0), findJpegMarker(jpeg, 0xc4));
    expect(catchCode(withJpegSegments(jpeg, header))).toBe('IMAGE_CORRUPT');
    expect(catchCode(withJpegSegments(jpeg, Buffer.from([0xff, 0xd8])))).toBe('IMAGE_CORRUPT');
    expect(catchCode(withJpegSegments(jpeg, Buffer.from([0xff, 0xe0, 0, 1])))).toBe('IMAGE_CORRUPT');
    expect(catchCode(withFrameHeader(jpeg, { width: 0 }))).toBe('IMAGE_CORRUPT');
    expect(catchCode(withFrameHeader(jpeg, { height: 0 }))).toBe('IMAGE_CORRUPT');
    expect(catchCode(Buffer.from('ffd8ffd9', 'hex'))).toBe('IMAGE_CORRUPT');
    expect(readContainer(jpegSkeleton(64, 64, 3, 64)).scans).toBe(64);
    expect(catchCode(jpegSkeleton(64, 64, 3, 65))).toBe('IMAGE_TOO_COMPLEX');
    const comments = Array<Buffer>(5000).fill(jpegSegment(0xfe));
    expect(catchCode(withJpegSegments(jpeg, ...comments))).toBe('IMAGE_TOO_COMPLEX');
    const restarts = Buffer.alloc(300_000, Buffer.from([0xff, 0xd0]));
    expect(catchCode(Buffer.concat([Buffer.from([0xff, 0xd8]), restarts]))).toBe('IMAGE_TOO_COMPLEX');
  });

  test('fill bytes, restart markers and bytes between segments are passed over', async () => {
    const jpeg = await small.clone().jpeg({ quality: 61 }).toBuffer();
    const filled = withJpegSegments(jpeg, Buffer.from([0xff, 0xff, 0xff]), jpegSegment(0xfe), Buffer.from([1, 2, 3]));
    expect(readContainer(filled).jpeg!.quality).toBe(61);
    const skeleton = jpegSkeleton(64, 64);
    const restarts = Buffer.concat([
      skeleton.subarray(0, -2),
      Buffer.from([0xff, 0xd0, 7, 0xff, 0xff, 0xd1, 0xff, 0xd9]),
    ]);
    expect(readContainer(restarts)).toMatchObject({ scans: 1, trailingBytes: 0 });
  });
});

describe('EXIF orientation', () => {
  const orientations = [1, 2, 3, 4, 5, 6, 7, 8];

  test('1 to 8, both byte orders, in JPEG, PNG and WebP', async () => {
    const jpeg = await small.clone().jpeg().toBuffer();
    const file = await small.clone().png().toBuffer();
    const lossy = (await small.clone().webp().toBuffer()).subarray(12);
    for (const order of ['II', 'MM'] as const) {
      for (const orientation of orientations) {
        const tiff = tiffOrientation(orientation, order);
        expect(readContainer(withJpegSegments(jpeg, exifSegment(tiff))).orientation).toBe(orientation);
        expect(readContainer(withPngChunks(file, pngChunk('eXIf', tiff))).orientation).toBe(orientation);
        const exif = webpChunk('EXIF', tiff);
        expect(readContainer(webp(webpCanvas(40, 24, 8), lossy, exif)).orientation).toBe(orientation);
        const prefixed = webpChunk('EXIF', Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]));
        expect(readContainer(webp(webpCanvas(40, 24, 8), lossy, prefixed)).orientation).toBe(orientation);
      }
    }
  });

  test('as sharp writes it', async () => {
    for (const orientation of orientations) {
      for (const format of ['jpeg', 'png', 'webp'] as const) {
        const bytes = await small.clone().withMetadata({ orientation }).toFormat(format).toBuffer();
        expect(readContainer(bytes).orientation).toBe(orientation);
      }
    }
  });

  test('anything else is 1: values out of range, other types, offsets outside, cut blocks', async () => {
    const jpeg = await small.clone().jpeg().toBuffer();
    const read = (tiff: Uint8Array) => readContainer(withJpegSegments(jpeg, exifSegment(tiff))).orientation;
    const changed = (at: number, value: number) => {
      const tiff = tiffOrientation(6);
      tiff.writeUInt8(value, at);
      return tiff;
    };
    expect(read(tiffOrientation(6))).toBe(6);
    for (const value of [0, 9, 65535]) expect(read(tiffOrientation(value))).toBe(1);
    expect(read(changed(0, 0x58))).toBe(1);
    expect(read(changed(3, 43))).toBe(1);
    expect(read(changed(4, 0xff))).toBe(1);
    expect(read(changed(13, 4))).toBe(1);
    for (let length = 0; length < 22; length++) expect(read(tiffOrientation(6).subarray(0, length))).toBe(1);
    // 65535 entries announced in a block that holds one.
    const many = changed(8, 0xff);
    many.writeUInt8(0xff, 9);
    expect(read(many)).toBe(6);
  });

  test('random EXIF blocks never make an image unreadable', async () => {
    const jpeg = await small.clone().jpeg().toBuffer();
    const block = fc
      .uint8Array({ maxLength: 200 })
      .map((bytes) => Buffer.concat([Buffer.from('MM\0*\0\0\0\x08', 'latin1'), bytes]));
    fc.assert(
      fc.property(block, (tiff) => {
        const { orientation } = readContainer(withJpegSegments(jpeg, exifSegment(tiff)));
        expect(orientation).toBeGreaterThanOrEqual(1);
        expect(orientation).toBeLessThanOrEqual(8);
      }),
    );
  });
});

describe('PNG', () => {
  test.each([
    [0, [1, 2, 4, 8, 16], 'grey', 1, false],
    [2, [8, 16], 'rgb', 3, false],
    [3, [1, 2, 4, 8], 'palette', 3, false],
    [4, [8, 16], 'grey', 2, true],
    [6, [8, 16], 'rgb', 4, true],
  ] as const)('colour type %i', (colourType, depths, colour, channels, hasAlpha) => {
    for (const bitDepth of [1, 2, 4, 8, 16]) {
      const bytes = png({ width: 30, height: 20, bitDepth, colourType }, Buffer.alloc(100));
      if (!(depths as readonly number[]).includes(bitDepth)) expect(catchCode(bytes)).toBe('IMAGE_CORRUPT');
      else expect(readContainer(bytes)).toMatchObject({ width: 30, height: 20, bitDepth, colour, channels, hasAlpha });
    }
  });

  test('interlace, transparency, animation, bytes behind the end', () => {
    const header = { width: 30, height: 20 };
    const rows = Buffer.alloc(91 * 20);
    expect(readContainer(png({ ...header, interlaced: true }, rows)).progressive).toBe(true);
    const transparent = readContainer(png(header, rows, [pngChunk('tRNS', Buffer.alloc(6))]));
    expect(transparent).toMatchObject({ progressive: false, channels: 4, hasAlpha: true, frames: 1 });
    expect(readContainer(png(header, rows, [animationControl(7)])).frames).toBe(7);
    expect(readContainer(Buffer.concat([png(header, rows), Buffer.from('<html>')])).trailingBytes).toBe(6);
  });

  test('wrong structure is corrupt, too many chunks too complex', () => {
    const file = png({ width: 30, height: 20 }, Buffer.alloc(91 * 20));
    const signature = file.subarray(0, 8);
    expect(catchCode(png({ width: 0, height: 20 }, Buffer.alloc(9)))).toBe('IMAGE_CORRUPT');
    expect(catchCode(Buffer.concat([signature, pngChunk('IEND')]))).toBe('IMAGE_CORRUPT');
    expect(catchCode(Buffer.concat([file.subarray(0, 33), pngChunk('IEND')]))).toBe('IMAGE_CORRUPT');
    expect(catchCode(withPngChunks(file, file.subarray(8, 33)))).toBe('IMAGE_CORRUPT');
    expect(catchCode(withPngChunks(file, pngChunk('t3Xt')))).toBe('IMAGE_CORRUPT');
    expect(readContainer(withPngChunks(file, ...Array<Buffer>(20_000).fill(pngChunk('tEXt')))).width).toBe(30);
    expect(catchCode(withPngChunks(file, ...Array<Buffer>(100_001).fill(pngChunk('tEXt'))))).toBe('IMAGE_TOO_COMPLEX');
  });
});

describe('WebP', () => {
  test('lossy, lossless, alpha', async () => {
    const lossy = readContainer(await picture(101, 53).webp().toBuffer());
    expect(lossy).toMatchObject({ format: 'webp', width: 101, height: 53, channels: 3, colour: 'ycbcr', bitDepth: 8 });
    const lossless = readContainer(await picture(101, 53).webp({ lossless: true }).toBuffer());
    expect(lossless).toMatchObject({ width: 101, height: 53, colour: 'rgb', hasAlpha: false });
    for (const option of [{}, { lossless: true }]) {
      const alpha = readContainer(await picture(101, 53).ensureAlpha(0.5).webp(option).toBuffer());
      expect(alpha).toMatchObject({ width: 101, height: 53, channels: 4, hasAlpha: true });
    }
  });

  test('animation, bytes behind the end', async () => {
    const frames = await Promise.all([1, 2, 3].map((seed) => picture(40, 24, seed).png().toBuffer()));
    const animated = await sharp(frames, { join: { animated: true } })
      .webp()
      .toBuffer();
    expect(readContainer(animated)).toMatchObject({ width: 40, height: 24, frames: 3 });
    const still = await small.clone().webp().toBuffer();
    expect(readContainer(Buffer.concat([still, Buffer.alloc(9)]))).toMatchObject({ frames: 1, trailingBytes: 9 });
  });

  test('wrong structure is corrupt', () => {
    expect(catchCode(webp())).toBe('IMAGE_CORRUPT');
    expect(catchCode(webp(webpCanvas(40, 24, 0)))).toBe('IMAGE_CORRUPT');
    expect(catchCode(webp(webpChunk('VP8 ', Buffer.alloc(20))))).toBe('IMAGE_CORRUPT');
    expect(catchCode(webp(webpChunk('VP8L', Buffer.alloc(20))))).toBe('IMAGE_CORRUPT');
    expect(catchCode(webp(...Array<Buffer>(100_001).fill(webpChunk('JUNK', Buffer.alloc(0)))))).toBe(
      'IMAGE_TOO_COMPLEX',
    );
  });
});

describe('fingerprint', () => {
  // What each setting does to pixels is another process, depth, sampling or table; the rest is wrapping.
  const settings: Record<string, (image: Sharp) => Sharp> = {
    'jpeg 80': (image) => image.jpeg({ quality: 80 }),
    'jpeg 81': (image) => image.jpeg({ quality: 81 }),
    'jpeg 80 4:4:4': (image) => image.jpeg({ quality: 80, chromaSubsampling: '4:4:4' }),
    'jpeg 80 progressive': (image) => image.jpeg({ quality: 80, progressive: true }),
    'jpeg 80 mozjpeg': (image) => image.jpeg({ quality: 80, mozjpeg: true }),
    'jpeg 80 grey': (image) => image.toColourspace('b-w').jpeg({ quality: 80 }),
    png: (image) => image.png(),
    'png 16 bit': (image) => image.toColourspace('rgb16').png(),
    'webp lossy': (image) => image.webp(),
    'webp lossless': (image) => image.webp({ lossless: true }),
  };
  const contents = [picture(64, 48, 1), picture(640, 360, 2), picture(133, 411, 3)];
  const flat = sharp({ create: { width: 200, height: 100, channels: 3, background: '#808080' } });

  test('depends on encoder and setting, not on content or size', async () => {
    const seen = new Map<string, string>();
    for (const [name, encode] of Object.entries(settings)) {
      const files = await Promise.all([...contents, flat].map((image) => encode(image.clone()).toBuffer()));
      const fingerprints = new Set(files.map((bytes) => readContainer(bytes).fingerprint));
      expect([name, fingerprints.size]).toEqual([name, 1]);
      expect([name, new Set(files.map((bytes) => readContainer(bytes).wrapping.join())).size]).toEqual([name, 1]);
      const [fingerprint] = fingerprints;
      expect(fingerprint).toMatch(/^[0-9a-f]{16}$/);
      expect(seen.get(fingerprint!)).toBeUndefined();
      seen.set(fingerprint!, name);
    }
  });

  test('differs between all 100 qualities', async () => {
    const files = await Promise.all(all.map((quality) => small.clone().jpeg({ quality }).toBuffer()));
    expect(new Set(files.map((bytes) => readContainer(bytes).fingerprint)).size).toBe(100);
  });

  test('is that of the same picture, however it is wrapped', async () => {
    const jpeg = await small.clone().jpeg({ quality: 80 }).toBuffer();
    const at = findJpegMarker(jpeg, 0xdb);
    const frame = findJpegMarker(jpeg, 0xc0);
    const tables = findJpegMarker(jpeg, 0xc4);
    const scan = findJpegMarker(jpeg, 0xda);
    const part = (from: number, to?: number) => jpeg.subarray(from, to);
    const wrapped: Record<string, Buffer> = {
      EXIF: withJpegSegments(jpeg, exifSegment(tiffOrientation(1))),
      XMP: withJpegSegments(jpeg, jpegSegment(0xe1, Buffer.from('http://ns.adobe.com/xap/1.0/\0<x/>'))),
      ICC: withJpegSegments(jpeg, jpegSegment(0xe2, Buffer.from('ICC_PROFILE\0\x01\x01'))),
      comment: withJpegSegments(jpeg, jpegSegment(0xfe, Buffer.from('a comment'))),
      APP4: withJpegSegments(jpeg, jpegSegment(0xe4, Buffer.from('of a maker'))),
      JFIF: withJpegSegments(jpeg, jpegSegment(0xe0, Buffer.from('JFIF\0\x01\x02\0\0\x01\0\x01\0\0', 'latin1'))),
      'other order': Buffer.concat([part(0, at), part(frame, tables), part(at, frame), part(tables)]),
      'Huffman tables first': Buffer.concat([part(0, at), part(tables, scan), part(at, tables), part(scan)]),
      'usual Huffman tables': await small.clone().jpeg({ quality: 80, optimiseCoding: false }).toBuffer(),
      'no end': part(0, -2),
    };
    const own = readContainer(jpeg);
    for (const [name, bytes] of Object.entries(wrapped)) {
      const { fingerprint, wrapping, codedBytes } = readContainer(bytes);
      expect([name, fingerprint]).toEqual([name, own.fingerprint]);
      expect([name, wrapping.join()]).not.toEqual([name, own.wrapping.join()]);
      if (name !== 'usual Huffman tables') expect([name, codedBytes]).toEqual([name, own.codedBytes]);
    }
    const png = await small.clone().png().toBuffer();
    for (const bytes of [
      withPngChunks(png, pngChunk('tEXt', Buffer.from('a\0b'))),
      await small.clone().png({ compressionLevel: 1 }).toBuffer(),
      await small.clone().png({ progressive: true }).toBuffer(),
    ]) {
      expect(readContainer(bytes).fingerprint).toBe(readContainer(png).fingerprint);
      expect(readContainer(bytes).wrapping).not.toEqual(readContainer(png).wrapping);
    }
  });

  test('how it is wrapped does not depend on how much metadata there is', async () => {
    const jpeg = await small.clone().jpeg().toBuffer();
    const comment = (text: string) => jpegSegment(0xfe, Buffer.from(text));
    const one = readContainer(withJpegSegments(jpeg, comment('a')));
    const three = readContainer(withJpegSegments(jpeg, comment('b'), comment('cd'), comment('')));
    expect(three.wrapping).toEqual(one.wrapping);
    expect(readContainer(jpeg).wrapping).not.toEqual(one.wrapping);
  });
});

describe('what is not an accepted image', () => {
  test.each(Object.entries(otherFiles))('%s is named and refused', (name, bytes) => {
    const message = `Expected a JPEG, PNG or WebP but received ${name}`;
    expect(() => readContainer(bytes)).toThrow(message);
    expect(catchCode(bytes)).toBe('IMAGE_UNSUPPORTED');
  });

  test('nothing, text, zeros, three bytes of a JPEG', () => {
    expect(catchCode(new Uint8Array(0))).toBe('IMAGE_EMPTY');
    expect(catchCode(Buffer.from('hello'))).toBe('IMAGE_UNSUPPORTED');
    expect(catchCode(new Uint8Array(1000))).toBe('IMAGE_UNSUPPORTED');
    expect(catchCode(Buffer.from('ffd8ff', 'hex'))).toBe('IMAGE_TRUNCATED');
    expect(catchCode(Buffer.from('89504e470d0a1a0a', 'hex'))).toBe('IMAGE_TRUNCATED');
    expect(catchCode(Buffer.from('RIFF\x10\0\0\0WEBP', 'latin1'))).toBe('IMAGE_TRUNCATED');
  });
});

describe('any bytes', () => {
  const files = Promise.all([
    small.clone().jpeg().toBuffer(),
    small.clone().jpeg({ progressive: true }).withMetadata({ orientation: 6 }).toBuffer(),
    small.clone().png().toBuffer(),
    small.clone().webp({ lossless: true }).toBuffer(),
    small.clone().ensureAlpha(0.5).webp().toBuffer(),
  ]);

  test('no prefix of a file passes for the file, nor does it read on behind its end', async () => {
    for (const file of await files) {
      for (let length = 0; length < file.length; length++) {
        // The view ends early, the memory behind it goes on with the right bytes.
        const part = file.subarray(0, length);
        if (catchCode(part) === 'read') expect(readContainer(part).remarks).toMatchObject([{ kind: 'endMissing' }]);
      }
      expect(catchCode(file)).toBe('read');
    }
  });

  test('a view into a larger buffer reads as the file itself', async () => {
    for (const file of await files) {
      const inside = Buffer.concat([noiseBytes(37), file, noiseBytes(37)]).subarray(37, 37 + file.length);
      expect(readContainer(inside)).toEqual(readContainer(new Uint8Array(file)));
    }
  });

  test('random bytes behind a right magic end in a coded error or a container', () => {
    const magics = ['ffd8ff', '89504e470d0a1a0a', '52494646ffff000057454250'].map((hex) => Buffer.from(hex, 'hex'));
    const bytes = fc.tuple(fc.constantFrom(Buffer.alloc(0), ...magics), fc.uint8Array({ maxLength: 400 }));
    fc.assert(
      fc.property(bytes, ([magic, rest]) => void catchCode(Buffer.concat([magic, rest]))),
      { numRuns: 2000 },
    );
  });

  test('mutated files end in a coded error or a container with numbers in range', async () => {
    const mutation = fc.array(fc.tuple(fc.nat(65_535), fc.nat(255)), {
      minLength: 1,
      maxLength: 12,
    });
    const originals = await files;
    fc.assert(
      fc.property(fc.nat(originals.length - 1), mutation, (index, changes) => {
        const bytes = Buffer.from(originals[index]!);
        // Squaring the position aims at the headers.
        for (const [n, value] of changes) bytes[Math.floor((n / 65_536) ** 2 * bytes.length)] = value;
        if (catchCode(bytes) !== 'read') return;
        const { width, height, orientation, scans, frames, trailingBytes, fingerprint } = readContainer(bytes);
        expect(Math.min(width, height, scans, frames, orientation)).toBeGreaterThanOrEqual(1);
        expect(orientation).toBeLessThanOrEqual(8);
        expect(trailingBytes).toBeGreaterThanOrEqual(0);
        expect(trailingBytes).toBeLessThan(bytes.length);
        expect(fingerprint).toMatch(/^[0-9a-f]{16}$/);
      }),
      { numRuns: 3000 },
    );
  });
});
