import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mutatedImage, seedImages } from '../../scripts/fuzz/mutate.ts';
import { comparePixels } from '../../scripts/fuzz/pixels.ts';
import { everyCore } from '../fixtures/frames.ts';
import { exifSegment, jpegSegment, picture, tiffOrientation, withJpegSegments } from '../fixtures/images.ts';
import { type RandomJpeg, randomJpeg, withRestarts } from '../fixtures/jpeg.ts';

const cores = everyCore();
const read = { isRead: true };
const left = { isRead: false };
const usual = (quality: number) => picture(16, 16).jpeg({ quality, optimiseCoding: false }).toBuffer();

const readable: Record<string, RandomJpeg['factors']> = {
  grey: [[1, 1]],
  'grey, with factors that mean nothing': [[2, 2]],
  '4:4:4': [
    [1, 1],
    [1, 1],
    [1, 1],
  ],
  '4:4:4, twice as many blocks': [
    [2, 1],
    [2, 1],
    [2, 1],
  ],
  '4:2:2': [
    [2, 1],
    [1, 1],
    [1, 1],
  ],
  '4:2:2, twice as many blocks': [
    [2, 2],
    [1, 2],
    [1, 2],
  ],
  '4:2:0': [
    [2, 2],
    [1, 1],
    [1, 1],
  ],
};

describe('pixels of plain JPEGs, beside sharp', () => {
  test.each(Object.entries(readable))(
    '%s: every size up to three units, with and without restarts',
    async (_, factors) => {
      const tables = await usual(70);
      for (let width = 8; width <= 49; width += 1 + (width % 5)) {
        for (let height = 1; height <= 49; height += 1 + (width % 7)) {
          const every = (width + height) % 4;
          const bytes = randomJpeg(tables, { width, height, factors, seed: 64 * width + height, every });
          expect(await comparePixels(bytes, cores), `${width}x${height}, ${every}`).toEqual(read);
        }
      }
    },
  );

  test.each(Object.entries(readable))(
    '%s: wide ones, and coefficients as large as files have them',
    async (_, factors) => {
      for (const [i, width] of [129, 255, 640, 1030].entries()) {
        const bytes = randomJpeg(await usual([50, 90, 100, 100][i]!), {
          width,
          height: 20,
          factors,
          seed: i,
          most: 30,
        });
        expect(await comparePixels(bytes, cores), `${width}`).toEqual(read);
      }
    },
  );

  test('whatever the quality and the tables', async () => {
    for (let quality = 1; quality <= 100; quality += 3) {
      for (const chromaSubsampling of ['4:2:0', '4:4:4']) {
        const options = { quality, chromaSubsampling, optimiseCoding: quality % 2 === 0, mozjpeg: false };
        const bytes = await picture(61, 43, quality).jpeg(options).toBuffer();
        expect(await comparePixels(bytes, cores), `${quality}`).toEqual(read);
      }
    }
    const trellis = { trellisQuantisation: true, overshootDeringing: true, quantisationTable: 3 };
    expect(await comparePixels(await picture(61, 43).jpeg(trellis).toBuffer(), cores)).toEqual(read);
  });

  test('in spite of density, Exif, a colour profile, a comment and bytes behind the end', async () => {
    const plain = await picture(40, 32).jpeg().withMetadata({ density: 300, icc: 'p3' }).toBuffer();
    const comment = jpegSegment(0xfe, Buffer.from('nothing'));
    const files = [
      plain,
      withJpegSegments(plain, exifSegment(tiffOrientation(1)), comment),
      Buffer.concat([plain, Buffer.alloc(99)]),
      withRestarts(await usual(80), 1),
    ];
    for (const bytes of files) expect(await comparePixels(bytes, cores)).toEqual(read);
  });

  test('what is not plain is left to sharp', async () => {
    const tables = await usual(70);
    const size = { width: 40, height: 32, seed: 1 };
    const files = {
      progressive: await picture(40, 32).jpeg({ progressive: true }).toBuffer(),
      narrow: await picture(7, 32).jpeg().toBuffer(),
      '4:4:0': randomJpeg(tables, {
        ...size,
        factors: [
          [1, 2],
          [1, 1],
          [1, 1],
        ],
      }),
      '4:1:1': randomJpeg(tables, {
        ...size,
        factors: [
          [4, 1],
          [1, 1],
          [1, 1],
        ],
      }),
      'twelve blocks': randomJpeg(tables, {
        ...size,
        factors: [
          [2, 2],
          [2, 2],
          [2, 2],
        ],
      }),
      'unlike colours': randomJpeg(tables, {
        ...size,
        factors: [
          [2, 2],
          [2, 1],
          [1, 1],
        ],
      }),
      'one id twice': randomJpeg(tables, { ...size, factors: readable['4:4:4']!, ids: [1, 2, 2] }),
    }; // prettier-ignore
    for (const [name, bytes] of Object.entries(files)) expect(await comparePixels(bytes, cores), name).toEqual(left);
  });

  test('so is what libjpeg warns of, and coefficients that its vectors have no room for', async () => {
    const bytes = await picture(64, 48).jpeg().toBuffer();
    const jfif = (major: number) =>
      jpegSegment(0xe0, Buffer.from([...Buffer.from('JFIF\0'), major, 1, 0, 0, 1, 0, 1, 0, 0]));
    const adobe = (transform: number) =>
      jpegSegment(0xee, Buffer.from([...Buffer.from('Adobe'), 0, 100, 0, 0, 0, 0, transform]));
    const files = {
      'cut off': bytes.subarray(0, bytes.length - 40),
      'without its end marker': bytes.subarray(0, bytes.length - 2),
      'data left over': Buffer.concat([bytes.subarray(0, bytes.length - 2), Buffer.of(1, 2, 3, 0xff, 0xd9)]),
      'another JFIF': withJpegSegments(bytes, jfif(2)),
      'a foreign transform': withJpegSegments(bytes, adobe(7)),
      'no transform': withJpegSegments(bytes, adobe(0)),
      'too large': randomJpeg(await usual(1), {
        width: 40,
        height: 32,
        factors: readable['4:4:4']!,
        seed: 1,
        most: 900,
      }),
    };
    for (const [name, file] of Object.entries(files)) expect(await comparePixels(file, cores), name).toEqual(left);
    for (const file of [withJpegSegments(bytes, jfif(1), adobe(0)), withJpegSegments(bytes, adobe(1))])
      expect(await comparePixels(file, cores)).toEqual(read);
  });

  test('of mutated files, nothing or the same pixels', async () => {
    const tables = await usual(70);
    const made = Object.values(readable).map((factors, i) =>
      randomJpeg(tables, { width: 33, height: 21, factors, seed: i, every: i % 3 }),
    );
    const seeds = [...(await seedImages()).slice(0, 4), ...made];
    let given = 0;
    for (let i = 0; i < 1500; i++) {
      const { isRead, fault } = await comparePixels(mutatedImage(seeds, 29, i), cores);
      expect(fault, `file ${i}`).toBeUndefined();
      if (isRead) given++;
    }
    expect(given).toBeGreaterThan(100);
  });

  test('refuses memory that does not fit', () => {
    for (const core of cores) {
      expect(() => core.readJpeg(new Uint8Array(9), 2, 1, new Uint8Array(5))).toThrow(/2 \* 1 \* 3/);
      expect(() => core.readJpeg('x' as never, 2, 1, new Uint8Array(6))).toThrow(/Uint8Array/);
      expect(core.readJpeg(new Uint8Array(0), 16, 16, new Uint8Array(768))).toBe(false);
    }
  });
});

const photographs = join(import.meta.dirname, '../../../shared/data/generic_photos');
const present = existsSync(photographs);
if (!present) console.log(`Not tried here: there is no folder ${photographs}`);

test.skipIf(!present)('photographs of other encoders come out as by sharp', async () => {
  const names = readdirSync(photographs, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.jpe?g$/i.test(name),
  );
  let given = 0;
  for (const name of names.slice(0, 24)) {
    const { isRead, fault } = await comparePixels(readFileSync(join(photographs, name)), cores);
    expect(fault, name).toBeUndefined();
    if (isRead) given++;
  }
  expect(given).toBeGreaterThan(12);
});
