import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { mutatedImage } from '../../scripts/fuzz/mutate.ts';
import { openJpegDecoder } from '../../src/core/jpegdecoder.ts';
import { readContainer } from '../../src/image/container/read.ts';
import { decode } from '../../src/image/decode.ts';
import { directJpeg } from '../../src/image/directjpeg.ts';
import type { Frame } from '../../src/image/frame.ts';
import { release, takeMemory } from '../../src/image/frame.ts';
import { exifSegment, picture, tiffOrientation, withJpegSegments } from '../fixtures/images.ts';

const { reason } = directJpeg;
if (reason !== undefined) console.log(`Not tried here: ${reason}`);

/** What sharp gives, or that it refuses the file: it is as strict as `decode` has it. */
async function askSharp(bytes: Uint8Array): Promise<Buffer | 'refused'> {
  const image = sharp(bytes, { failOn: 'warning', ignoreIcc: true });
  return image
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer()
    .catch(() => 'refused' as const);
}

async function decodeDirectly(bytes: Uint8Array): Promise<Frame | undefined> {
  return directJpeg.decode(bytes, readContainer(bytes), 10);
}

async function expectSame(bytes: Uint8Array, frame: Frame | undefined): Promise<void> {
  expect(frame).toBeDefined();
  const expected = await askSharp(bytes);
  expect(expected).not.toBe('refused');
  expect(Buffer.compare(Buffer.from(frame!.data), expected as Buffer)).toBe(0);
}

describe.skipIf(reason !== undefined)('the loader of libvips itself', () => {
  test('gives the pixels of sharp for every size, sampling, process and quality', async () => {
    const sizes = [
      [1, 1],
      [7, 3],
      [8, 8],
      [17, 9],
      [16, 40],
      [131, 77],
    ] as const; // prettier-ignore
    for (const [i, [width, height]] of sizes.entries()) {
      for (const chromaSubsampling of ['4:2:0', '4:4:4']) {
        for (const progressive of [false, true]) {
          const options = { quality: [20, 75, 95, 100][i % 4], progressive, chromaSubsampling };
          const bytes = await picture(width, height, i).jpeg(options).toBuffer();
          await expectSame(bytes, await decodeDirectly(bytes));
        }
      }
    }
  });

  test('gives them in spite of density, Exif, a colour profile and bytes behind the end', async () => {
    const plain = await picture(40, 32).jpeg().withMetadata({ density: 300, icc: 'p3' }).toBuffer();
    const kinds = [
      plain,
      withJpegSegments(plain, exifSegment(tiffOrientation(1))),
      Buffer.concat([plain, Buffer.alloc(99)]),
    ];
    for (const bytes of kinds) await expectSame(bytes, await decodeDirectly(bytes));
  });

  test('is not asked for what is turned, grey, four channels, shrunk or no JPEG', async () => {
    const turned = await picture(40, 32).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const grey = await picture(40, 32).toColourspace('b-w').jpeg().toBuffer();
    const cmyk = await picture(40, 32).toColourspace('cmyk').jpeg().toBuffer();
    const large = await picture(2000, 1100).jpeg().toBuffer();
    const other = await picture(40, 32).png().toBuffer();
    for (const bytes of [turned, grey, cmyk, large, other])
      expect((await decodeDirectly(bytes))?.width).toBeUndefined();
  });

  test('leaves to sharp what libvips warns of', async () => {
    const bytes = await picture(64, 48).jpeg().toBuffer();
    expect(await decodeDirectly(bytes.subarray(0, bytes.length - 200))).toBeUndefined();
    const flipped = Buffer.from(bytes);
    flipped.fill(0xff, bytes.length - 300, bytes.length - 290);
    expect(await decodeDirectly(flipped)).toBeUndefined();
    await expect(decode(flipped)).rejects.toMatchObject({ code: expect.stringMatching(/^STOPLINE_ERR_IMAGE_/) });
  });

  test('of damaged files, gives nothing or what sharp gives', async () => {
    const seeds = await Promise.all(
      [
        picture(40, 32).jpeg({ quality: 80 }),
        picture(40, 32).jpeg({ quality: 60, progressive: true, chromaSubsampling: '4:4:4' }),
        picture(33, 17).jpeg({ quality: 95, optimiseCoding: false }),
      ].map((image) => image.toBuffer()),
    );
    let given = 0;
    for (let i = 0; i < 150; i++) {
      const bytes = mutatedImage(seeds, 23, i);
      const frame = await decodeDirectly(bytes).catch(() => undefined); // its header is not even a JPEG's
      if (!frame) continue;
      given++;
      await expectSame(bytes, frame);
    }
    expect(given).toBeGreaterThan(10);
  });

  test('many at a time do not disturb one another', async () => {
    const files = await Promise.all(
      Array.from({ length: 6 }, (_, i) =>
        picture(90 + i, 70, i)
          .jpeg()
          .toBuffer(),
      ),
    );
    const frames = await Promise.all(files.map(decodeDirectly));
    for (const [i, bytes] of files.entries()) await expectSame(bytes, frames[i]);
  });

  test('a limit of time that has passed ends it', async () => {
    const bytes = await picture(64, 48).jpeg().toBuffer();
    expect(await directJpeg.decode(bytes, readContainer(bytes), 1e-9)).toBeUndefined();
  });

  test('refuses memory that does not fit, and a libvips that is not loaded', () => {
    const decoder = openJpegDecoder(sharp.versions.vips);
    expect(() => decoder(new Uint8Array(9), new Uint8Array(5), 2, 1, 0)).toThrow(/width \* height \* 3/);
    expect(() => decoder('x' as never, new Uint8Array(6), 2, 1, 0)).toThrow(/Uint8Array/);
    expect(() => openJpegDecoder('7.0.0')).toThrow(/has not loaded libvips 7\.0\.0/);
  });
});

const photographs = join(import.meta.dirname, '../../../shared/data/generic_photos');
const present = existsSync(photographs);
if (!present) console.log(`Not tried here: there is no folder ${photographs}`);

test.skipIf(!present || reason !== undefined)('photographs of other encoders come out as by sharp', async () => {
  const names = readdirSync(photographs, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.jpe?g$/i.test(name),
  );
  for (const name of names.slice(0, 12)) {
    const bytes = readFileSync(join(photographs, name));
    const frame = await decodeDirectly(bytes);
    if (frame) await expectSame(bytes, frame);
  }
});

test('released memory is given to the next frame of its size, and taken from whoever still holds it', () => {
  const first = takeMemory(300);
  first.fill(7);
  release(first);
  expect(first.length).toBe(0);
  const second = takeMemory(300);
  expect(second).toEqual(new Uint8Array(300).fill(7));
  expect(takeMemory(300)).toEqual(new Uint8Array(300));
  release(second);
  expect(takeMemory(200)).toEqual(new Uint8Array(200));
});
