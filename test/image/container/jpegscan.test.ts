import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import type { StoplineError } from '../../../src/errors.ts';
import { readMarkers } from '../../../src/image/container/jpegmarkers.ts';
import { walkScans } from '../../../src/image/container/jpegscan.ts';
import { decode } from '../../../src/image/decode.ts';
import { arithmeticFiles } from '../../fixtures/arithmetic.ts';
import { findJpegMarker, jpegSegment, noiseBytes, picture, withJpegSegments } from '../../fixtures/images.ts';
import { withRestarts } from '../../fixtures/jpeg.ts';

const end = Buffer.from([0xff, 0xd9]);
const walk = (bytes: Uint8Array) => walkScans(bytes, readMarkers(bytes));

/** JPEGs of every process and sampling that sharp writes, and one with restart markers. */
const files: Record<string, Buffer> = {
  baseline: await picture(101, 53).jpeg().toBuffer(),
  '4:4:4': await picture(64, 48).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer(),
  'usual tables': await picture(64, 48).jpeg({ optimiseCoding: false }).toBuffer(),
  progressive: await picture(101, 53).jpeg({ progressive: true }).toBuffer(),
  mozjpeg: await picture(101, 53).jpeg({ mozjpeg: true }).toBuffer(),
  grey: await picture(50, 40).toColourspace('b-w').jpeg().toBuffer(),
  'grey progressive': await picture(50, 40).toColourspace('b-w').jpeg({ progressive: true }).toBuffer(),
  cmyk: await picture(40, 40).toColourspace('cmyk').jpeg().toBuffer(),
  restarts: withRestarts(await picture(96, 80).jpeg({ optimiseCoding: false }).toBuffer()),
};

/** Pixels and kinds of remarks, or the code of the refusal. */
async function tell(bytes: Uint8Array): Promise<{ pixels?: Buffer; remarks?: string[]; code?: string }> {
  try {
    const { frame, container } = await decode(bytes);
    return { pixels: Buffer.from(frame.data), remarks: container.remarks.map(({ kind }) => kind) };
  } catch (error) {
    return { code: (error as StoplineError).code.replace('STOPLINE_ERR_', '') };
  }
}

describe.each(Object.entries(files))('a JPEG without its end, %s', (_, file) => {
  const open = file.subarray(0, -2);

  test('whose blocks are all there gives the pixels of the whole file', async () => {
    const { pixels } = await tell(file);
    const variants: Record<string, Buffer> = {
      'no marker': open,
      'half a marker': file.subarray(0, -1),
      'fill bytes': Buffer.concat([open, Buffer.alloc(40, 0xff)]),
      zeros: Buffer.concat([open, Buffer.alloc(300)]),
      text: Buffer.concat([open, Buffer.from('<html>none</html>')]),
      'another image': Buffer.concat([open, file]),
      'the start of another': Buffer.concat([open, file.subarray(0, 200)]),
      'a segment that is cut': Buffer.concat([open, jpegSegment(0xe1, Buffer.alloc(50)).subarray(0, 20)]),
      'a comment': Buffer.concat([open, jpegSegment(0xfe, Buffer.from('x'))]),
    };
    for (const [name, bytes] of Object.entries(variants)) {
      const told = await tell(bytes);
      expect([name, told.code, told.remarks]).toEqual([name, undefined, ['endMissing']]);
      expect([name, told.pixels?.equals(pixels as Buffer)]).toEqual([name, true]);
    }
  });

  test('that is really cut is refused, wherever it is cut', async () => {
    const scan = findJpegMarker(file, 0xda) + 20;
    for (let length = scan; length < open.length - 1; length += 37) {
      expect([length, walk(file.subarray(0, length)).isWhole]).toEqual([length, false]);
      const closed = Buffer.concat([file.subarray(0, length), end]);
      const { remarks } = readMarkers(closed);
      // Cut exactly between two scans of a progressive file and given an end, it is what an encoder may write.
      if (remarks.some(({ kind }) => kind === 'scansMissing')) continue;
      expect([length, walk(closed).isWhole]).toEqual([length, false]);
    }
    const half = file.subarray(0, (scan + file.length) >> 1);
    expect(await tell(half)).toEqual({ code: 'IMAGE_TRUNCATED' });
    const filled = await tell(Buffer.concat([half, Buffer.alloc(file.length - half.length)]));
    expect(filled.code).toMatch(/^IMAGE_(TRUNCATED|CORRUPT)$/);
  });
});

describe('what libjpeg only warns about', () => {
  test.each(Object.entries(files))('bytes before any marker ahead of the data change nothing, %s', async (_, file) => {
    const { pixels } = await tell(file);
    const scan = findJpegMarker(file, 0xda);
    const starts: number[] = [];
    for (let at = 2; at <= scan; at += 2 + file.readUInt16BE(at + 2)) starts.push(at);
    // Straight behind the start of the image a file is no JPEG to anybody.
    for (const at of starts.slice(1)) {
      for (const extra of ['00', '1234', 'ff00ab', 'deadbeef00112233']) {
        const bytes = Buffer.concat([file.subarray(0, at), Buffer.from(extra, 'hex'), file.subarray(at)]);
        const told = await tell(bytes);
        expect([at, extra, told.remarks]).toEqual([at, extra, ['extraneousBytes']]);
        expect(told.pixels?.equals(pixels as Buffer)).toBe(true);
      }
    }
  });

  test('bytes before restart markers are a remark, what damage leaves over is not', async () => {
    const file = files.restarts!;
    const { pixels } = await tell(file);
    const markers = [...file.keys()].filter(
      (at) => file[at] === 0xff && file[at + 1]! >= 0xd0 && file[at + 1]! <= 0xd7,
    );
    expect(markers.length).toBeGreaterThan(10);
    const put = (extra: Buffer, places: number[]) =>
      Buffer.concat(
        places.concat(file.length).map((at, i) => {
          const part = file.subarray(i === 0 ? 0 : places[i - 1], at);
          return at === file.length ? part : Buffer.concat([part, extra]);
        }),
      );
    const many = noiseBytes(300).toString('hex').replaceAll('ff', 'fe');
    for (const extra of ['00', '11', '111111', '1234', 'deadbeef', '00'.repeat(40), many.slice(0, 18), many]) {
      for (const places of [markers, markers.slice(3, 4)]) {
        const told = await tell(put(Buffer.from(extra, 'hex'), places));
        expect([extra, told.remarks]).toEqual([extra, ['extraneousBytes']]);
        expect(told.pixels?.equals(pixels as Buffer)).toBe(true);
      }
    }
    const lost = Buffer.concat([file.subarray(0, markers[4]), file.subarray(markers[5])]);
    expect(await tell(lost)).toEqual({ code: 'IMAGE_CORRUPT' });
    const isolated = Buffer.concat([file.subarray(0, markers[4]), file.subarray(markers[4]! + 2)]);
    expect(await tell(isolated)).toEqual({ code: 'IMAGE_CORRUPT' });
  });

  test.each([2, 3, 5])(
    '%i units where the header promises one are units left over, not bytes put in',
    async (every) => {
      const file = withRestarts(await picture(96, 80).jpeg({ optimiseCoding: false }).toBuffer(), every);
      expect(await tell(file)).toMatchObject({ remarks: [] });
      file[findJpegMarker(file, 0xdd) + 5] = 1;
      expect(await tell(file)).toEqual({ code: 'IMAGE_CORRUPT' });
    },
  );

  test('restart markers far from their number are taken, near ones mean a loss, as in libjpeg', async () => {
    const file = files.restarts!;
    const { pixels } = await tell(file);
    const renumber = (change: (n: number, i: number) => number) => {
      const bytes = Buffer.from(file);
      let i = 0;
      for (let at = 0; at < bytes.length; at++) {
        const n = bytes[at + 1]! - 0xd0;
        if (bytes[at] === 0xff && n >= 0 && n <= 7) bytes[at + 1] = 0xd0 + (change(n, i++) & 7);
      }
      return bytes;
    };
    for (const bytes of [renumber((n) => n + 4), renumber((n, i) => (i === 5 ? n + 3 : n))]) {
      const told = await tell(bytes);
      expect(told.remarks).toEqual(['oddRestartOrder']);
      expect(told.pixels?.equals(pixels as Buffer)).toBe(true);
    }
    expect(await tell(renumber((n) => n + 1))).toEqual({ code: 'IMAGE_CORRUPT' });
    expect(await tell(renumber((n, i) => (i === 5 ? n - 1 : n)))).toEqual({ code: 'IMAGE_CORRUPT' });
  });

  test('a JPEG without Huffman tables has the usual ones, one that lost some is damaged', async () => {
    const file = files['usual tables']!;
    const { pixels } = await tell(file);
    const first = findJpegMarker(file, 0xc4);
    const scan = findJpegMarker(file, 0xda);
    const told = await tell(Buffer.concat([file.subarray(0, first), file.subarray(scan)]));
    expect(told.pixels?.equals(pixels as Buffer)).toBe(true);
    const { isWhole, remarks } = walk(Buffer.concat([file.subarray(0, first), file.subarray(scan)])) as {
      isWhole: true;
      remarks: { kind: string }[];
    };
    expect([isWhole, remarks.map(({ kind }) => kind)]).toEqual([true, ['usualTables']]);
    const second = first + 2 + file.readUInt16BE(first + 2);
    expect(walk(Buffer.concat([file.subarray(0, first), file.subarray(second)])).isWhole).toBe(false);
  });

  test('odd headers do not hide damage', async () => {
    const file = files.baseline!;
    const damaged = Buffer.from(file);
    damaged.set([0, 0xff, 0xd5], (findJpegMarker(file, 0xda) + file.length) >> 1);
    const adobe = jpegSegment(0xee, Buffer.from('Adobe\0\x64\0\0\0\0\x4c', 'latin1'));
    expect((await tell(withJpegSegments(file, adobe))).remarks).toEqual(['oddAdobeTransform']);
    expect(await tell(withJpegSegments(damaged, adobe))).toEqual({ code: 'IMAGE_CORRUPT' });
  });
});

describe('a progressive JPEG', () => {
  test('of which scans are missing is cut where it has no end, and a remark where it has one', () => {
    const { scans } = readMarkers(files.progressive!);
    for (const { end: at } of scans.slice(0, -1)) {
      const part = files.progressive!.subarray(0, at);
      const closed = Buffer.concat([part, end]);
      expect(walk(closed).isWhole).toBe(true);
      expect(readMarkers(closed).remarks.map(({ kind }) => kind)).toEqual(['scansMissing']);
      expect(walk(part)).toMatchObject({ isWhole: false, isCut: true });
    }
  });
});

describe.each(Object.entries(arithmeticFiles))('a JPEG of arithmetic coding, %s', (_, file) => {
  const open = file.subarray(0, -2);

  test('without its end gives the pixels of the whole file', async () => {
    const { pixels, remarks } = await tell(file);
    expect(remarks).toEqual([]);
    const variants = [
      open,
      file.subarray(0, -1),
      Buffer.concat([open, Buffer.alloc(40, 0xff)]),
      Buffer.concat([open, Buffer.alloc(300)]),
      Buffer.concat([open, file]),
    ];
    for (const bytes of variants) {
      const told = await tell(bytes);
      expect([told.code, told.remarks, told.pixels?.equals(pixels as Buffer)]).toEqual([
        undefined,
        ['endMissing'],
        true,
      ]);
    }
  });

  test('that is cut is refused, also with an end, where decoders read zeros without a word', async () => {
    const scan = findJpegMarker(file, 0xda) + 14;
    for (let length = scan; length < open.length - 20; length += 7) {
      expect([length, (await tell(file.subarray(0, length))).code]).toEqual([
        length,
        expect.stringMatching(/^IMAGE_(TRUNCATED|CORRUPT)$/),
      ]);
      // Cut exactly between two scans and given an end, it is what an encoder may write.
      const closed = await tell(Buffer.concat([file.subarray(0, length), end]));
      if (closed.remarks?.includes('scansMissing')) continue;
      expect([length, closed.code]).toEqual([length, expect.stringMatching(/^IMAGE_(TRUNCATED|CORRUPT)$/)]);
    }
  });

  test('bits that flip leave bits over or want more than there are', async () => {
    const { pixels } = await tell(file);
    let told = 0;
    const places = Array.from({ length: 40 }, (_, i) => open.length - 16 - 3 * i);
    for (const at of places) {
      const bytes = Buffer.from(file);
      bytes[at]! ^= 8;
      const { code, pixels: own } = await tell(bytes);
      if (code !== undefined || own?.equals(pixels as Buffer)) told++;
    }
    // Behind a restart marker few bits are left to go wrong.
    expect(told / places.length).toBeGreaterThanOrEqual(0.4);
  });
});

test('a deadline ends the walk', () => {
  expect(() => walkScans(files.baseline!, readMarkers(files.baseline!), performance.now() - 1)).toThrow(
    'Expected a JPEG whose blocks are counted in time',
  );
});

const data = fileURLToPath(new URL('../../../../shared/data/generic_photos', import.meta.url));
if (!existsSync(data)) process.stderr.write('skipped: photographs, ../shared/data is absent\n');

test.skipIf(!existsSync(data))('agrees with libjpeg about photographs: whole ones have no warning', async () => {
  const paths = readdirSync(data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.jpe?g$/i.test(entry.name))
    .map((entry) => `${entry.parentPath}/${entry.name}`);
  for (const path of paths.slice(0, 60)) {
    const bytes = readFileSync(path);
    await sharp(bytes, { failOn: 'warning' }).raw().toBuffer();
    expect([path, walk(bytes)]).toEqual([path, { isWhole: true, remarks: [] }]);
    expect(walk(bytes.subarray(0, bytes.length - 40)).isWhole).toBe(false);
  }
});
