import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { turns } from '../../src/image/decoderule.ts';
import { shrinkFrame, turnFrame } from '../../src/image/shrink.ts';
import { noiseBytes } from '../fixtures/images.ts';

const noise = (width: number, height: number) => ({
  data: new Uint8Array(noiseBytes(3 * width * height)),
  ...{ width, height, channels: 3 as const },
});

describe('shrinkFrame', () => {
  it.each([
    [64, 48, 2],
    [128, 96, 4],
    [160, 128, 8],
  ])('gives the pixels of libvips: %i x %i by %i', async (width, height, factor) => {
    const frame = noise(width, height);
    const expected = await sharp(frame.data, { raw: { width, height, channels: 3 } })
      .resize({ width: width / factor, height: height / factor, fit: 'fill', kernel: 'linear' })
      .raw()
      .toBuffer();
    const shrunk = shrinkFrame(frame, factor);
    expect([shrunk.width, shrunk.height]).toEqual([width / factor, height / factor]);
    expect(Buffer.compare(shrunk.data, expected)).toBe(0);
  });

  it('leaves a frame as it is at factor 1, and loses what is left over', () => {
    const frame = noise(17, 19);
    expect(shrinkFrame(frame, 1)).toBe(frame);
    expect(shrinkFrame(frame, 2)).toMatchObject({ width: 8, height: 9 });
  });
});

describe('turnFrame', () => {
  it.each([...turns.entries()].slice(1))('undoes orientation %i as libvips does', async (_, turn) => {
    const frame = noise(20, 16);
    let image = sharp(frame.data, { raw: { width: 20, height: 16, channels: 3 } });
    if (turn.mirror)
      image = sharp(await image.flop().raw().toBuffer(), { raw: { width: 20, height: 16, channels: 3 } });
    const { data, info } = await image.rotate(turn.degrees).raw().toBuffer({ resolveWithObject: true });
    const turned = turnFrame(frame, turn);
    expect([turned.width, turned.height]).toEqual([info.width, info.height]);
    expect(Buffer.compare(turned.data, data)).toBe(0);
  });
});
