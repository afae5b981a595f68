import { expect, it } from 'vitest';
import { Random } from '../../src/image/corruptions/random.ts';
import { hideParts } from '../../src/image/patches.ts';
import { changedShares } from '../../src/image/places.ts';
import { renderFrame, smallSize } from '../fixtures/camera.ts';

const { data, width, height } = renderFrame(1, smallSize);
const pixels = { data: new Uint8Array(data), width, height };

it('hides the same for a seed, something for most seeds, and the whole picture for none', () => {
  const shares = Array.from({ length: 12 }, (_, seed) => {
    const hidden = hideParts(pixels, new Random(seed));
    if (seed < 3) expect(hideParts(pixels, new Random(seed))).toEqual(hidden);
    const changed = changedShares({ ...pixels, channels: 3 }, { data: hidden, width, height, channels: 3 });
    return changed.reduce((sum, share) => sum + share, 0) / changed.length;
  });
  expect(pixels.data).toEqual(new Uint8Array(data));
  expect(shares.filter((share) => share > 0.01).length).toBeGreaterThan(8);
  expect(Math.max(...shares)).toBeLessThan(0.8);
});
