import { expect, test } from 'vitest';
import { askSharp } from '../../scripts/fuzz/pixels.ts';
import { readContainer } from '../../src/image/container/read.ts';
import { decode } from '../../src/image/decode.ts';
import { readPlainJpeg } from '../../src/image/directjpeg.ts';
import { release, takeMemory } from '../../src/image/frame.ts';
import { everyCore } from '../fixtures/frames.ts';
import { picture } from '../fixtures/images.ts';

const readDirectly = (bytes: Uint8Array) => readPlainJpeg(bytes, readContainer(bytes));

test('plain JPEGs come by the core, with the pixels of sharp, whichever core is asked', async () => {
  const bytes = await picture(40, 32).jpeg().toBuffer();
  const expected = await askSharp(bytes);
  for (const core of [undefined, ...everyCore()]) {
    const frame = readPlainJpeg(bytes, readContainer(bytes), core);
    expect(frame).toMatchObject({ width: 40, height: 32, channels: 3 });
    expect(expected!.equals(frame!.data)).toBe(true);
  }
});

test('is not asked for what is turned, four channels, progressive, shrunk or no JPEG', async () => {
  const turned = await picture(40, 32).withMetadata({ orientation: 6 }).jpeg().toBuffer();
  const cmyk = await picture(40, 32).toColourspace('cmyk').jpeg().toBuffer();
  const progressive = await picture(40, 32).jpeg({ progressive: true }).toBuffer();
  const large = await picture(2000, 1100).jpeg().toBuffer();
  const other = await picture(40, 32).png().toBuffer();
  for (const bytes of [turned, cmyk, progressive, large, other]) expect(readDirectly(bytes)).toBeUndefined();
});

test('what the core refuses has the answer of sharp', async () => {
  const bytes = await picture(64, 48).jpeg().toBuffer();
  const flipped = Buffer.from(bytes).fill(0xff, bytes.length - 300, bytes.length - 290);
  expect(readDirectly(flipped)).toBeUndefined();
  await expect(decode(flipped)).rejects.toMatchObject({ code: expect.stringMatching(/^STOPLINE_ERR_IMAGE_/) });
  const odd = Buffer.concat([bytes.subarray(0, bytes.length - 2), Buffer.of(1, 2, 3, 0xff, 0xd9)]);
  expect(readDirectly(odd)).toBeUndefined();
  const [own, plain] = [await decode(odd), await decode(bytes)];
  expect(Buffer.compare(own.frame.data, plain.frame.data)).toBe(0);
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
