import { describe, expect, it } from 'vitest';
import type { Frame } from '../../src/image/frame.ts';
import { changedShares, measurePlaces, placeCount, placeGrid, placeMeasures } from '../../src/image/places.ts';

const [width, height] = [160, 120];

function draw(colour: (x: number, y: number) => readonly [number, number, number]): Frame {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.set(colour(x, y), (y * width + x) * 3);
  return { data, width, height, channels: 3 };
}

const read = (places: Float32Array, tile: number) =>
  Object.fromEntries(placeMeasures.map((name, k) => [name, places[tile * placeMeasures.length + k]]));

describe('measurePlaces', () => {
  it('tells a flat colour by its means, and by the floors of all the rest', () => {
    const places = measurePlaces(draw(() => [100, 60, 20]));
    expect(places).toHaveLength(placeCount * placeMeasures.length);
    for (let tile = 0; tile < placeCount; tile++) {
      expect(read(places, tile)).toEqual({
        brightness: 60,
        contrast: -1,
        detail: -3,
        noise: -3,
        saturation: 80,
        redness: 40,
        blueness: -40,
        slope: -3,
        peak: -3,
      });
    }
  });

  it.each<[string, (x: number, y: number) => readonly [number, number, number]]>([
    ['column', (x) => [x, x, x]],
    ['row', (_, y) => [y, y, y]],
  ])('measures a ramp of one DN a %s: neighbours differ by two, and second differences are none', (_, ramp) => {
    const { contrast, detail, noise, slope, peak } = read(measurePlaces(draw(ramp)), 5 * placeGrid.columns + 5);
    expect(peak).toBe(detail);
    // The difference across a pixel is 2 DN, which times four and over eight is 1.
    expect(detail).toBeCloseTo(Math.log2(1 + 0.125), 5);
    expect(noise).toBe(-3);
    // Two pixels to either side: 4 DN.
    expect(slope).toBeCloseTo(Math.log2(2 + 0.125), 5);
    expect(contrast).toBeGreaterThan(0);
  });

  it('counts stripes of one pixel as noise up to its limit, and not as detail across two pixels', () => {
    const { detail, noise } = read(measurePlaces(draw((x) => (x % 2 ? [90, 90, 90] : [10, 10, 10]))), 40);
    expect(detail).toBe(-3);
    expect(noise).toBeCloseTo(Math.log2(8 + 0.125), 5);
  });

  it('finds the same in grey as in three equal channels, and takes the smallest frame', () => {
    const three = draw((x, y) => [(x * y) % 251, (x * y) % 251, (x * y) % 251]);
    const grey: Frame = { ...three, channels: 1, data: three.data.filter((_, i) => i % 3 === 0) };
    expect(measurePlaces(grey)).toEqual(measurePlaces(three));
    const smallest = measurePlaces({ data: new Uint8Array(16 * 16), width: 16, height: 16, channels: 1 });
    expect(smallest.every(Number.isFinite)).toBe(true);
  });
});

describe('changedShares', () => {
  it('is the share of every tile that differs visibly', () => {
    const before = draw(() => [50, 50, 50]);
    // A tile is 10 by 10 pixels; the second of the first row is changed in its left half, the third too little to be seen.
    const after = draw((x, y) => (y < 10 && x >= 10 && x < 15 ? [50, 50, 80] : x < 30 ? [55, 50, 50] : [50, 50, 50]));
    const shares = changedShares(before, after);
    expect(shares[1]).toBe(0.5);
    expect([...shares].filter((share) => share > 0)).toEqual([0.5]);
  });
});
