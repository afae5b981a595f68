import { expect, it } from 'vitest';
import { decode } from '../../src/image/decode.ts';
import type { Frame } from '../../src/image/frame.ts';
import { differenceHash, hashDistance } from '../../src/image/hash.ts';
import { encodeFrame, renderFrame } from '../fixtures/camera.ts';

const ramp = (slope: number): Frame => {
  const [width, height] = [180, 64];
  const data = Uint8Array.from({ length: width * height }, (_, i) => 128 + slope * ((i % width) - width / 2));
  return { data, width, height, channels: 1 };
};

it('has a bit for every cell that is brighter than its right neighbour', () => {
  expect(differenceHash(ramp(-1))).toBe('f'.repeat(16));
  expect(differenceHash(ramp(1))).toBe('0'.repeat(16));
  expect(hashDistance('f'.repeat(16), '0'.repeat(16))).toBe(64);
  expect(hashDistance('00000000000000a0', '0000000000000000')).toBe(2);
});

it('is the same for grey, RGB and RGBA, and nearly the same after another compression', async () => {
  const frame = renderFrame(7, { width: 320, height: 180 });
  const { data, width, height } = frame;
  const alpha = new Uint8Array(width * height * 4).map((_, i) => (i % 4 === 3 ? 7 : data[3 * (i >> 2) + (i % 4)]));
  expect(differenceHash({ data: alpha, width, height, channels: 4 })).toBe(differenceHash(frame));
  const again = await decode(await encodeFrame(frame));
  expect(hashDistance(differenceHash(again.frame), differenceHash(frame))).toBeLessThanOrEqual(4);
  expect(
    hashDistance(differenceHash(renderFrame(900, { width: 320, height: 180 })), differenceHash(frame)),
  ).toBeGreaterThan(0);
});
