import { expect, it } from 'vitest';
import { cifarCorruptions, drawCifar, solveAffine, warp } from '../../../../scripts/evaluate/cifar/draw.ts';
import type { Severity } from '../../../../src/image/corruptions/corruptions.ts';
import type { Pixels } from '../../../../src/image/corruptions/filter.ts';

const side = 32;
const severities: readonly Severity[] = [1, 2, 3, 4, 5];
const paint = (colour: (x: number, y: number, c: number) => number): Pixels => ({
  data: Uint8Array.from({ length: 3 * side * side }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return colour(pixel % side, Math.floor(pixel / side), i % 3);
  }),
  width: side,
  height: side,
});
const flat = (...colour: [number, number, number]) => paint((_x, _y, c) => colour[c]);
const grid = paint((x, y, c) => (7 * x + 3 * y + 40 * c) % 200);
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values: ArrayLike<number>) => {
  const centre = mean(values);
  return Math.sqrt(mean(Array.from(values, (value) => (value - centre) ** 2)));
};

it('draws each of the nineteen the same for a seed, in the size of the picture', async () => {
  expect(Object.keys(cifarCorruptions)).toHaveLength(19);
  for (const name of Object.keys(cifarCorruptions)) {
    for (const severity of severities) {
      const drawn = await drawCifar(grid, name, severity, 3);
      expect(drawn, name).toHaveLength(grid.data.length);
      expect(drawn, name).toEqual(await drawCifar(grid, name, severity, 3));
      expect(drawn, `${name} ${severity}`).not.toEqual(grid.data);
    }
  }
});

it.each([
  ['gaussianNoise', [0.04, 0.06, 0.08, 0.09, 0.1].map((sigma) => 255 * sigma)],
  // Of value 128: the value times the deviation, and the root of value over photons.
  ['speckleNoise', [0.06, 0.1, 0.12, 0.16, 0.2].map((sigma) => 128 * sigma)],
  ['shotNoise', [500, 250, 100, 75, 50].map((photons) => 255 * Math.sqrt(128 / 255 / photons))],
])('%s has the deviation that was published', async (name, expected) => {
  for (const severity of severities) {
    const drawn = await drawCifar(flat(128, 128, 128), name, severity, 1);
    // 3,072 draws tell a deviation to 1.3 %; three of that.
    expect(deviation(drawn) / expected[severity - 1]).toBeCloseTo(1, 1);
    expect(Math.abs(mean(drawn) - 128)).toBeLessThan((4 * expected[severity - 1]) / Math.sqrt(drawn.length) + 0.1);
  }
});

it('impulseNoise makes as many pixels black as white, together the published share', async () => {
  const drawn = await drawCifar(flat(128, 128, 128), 'impulseNoise', 5, 1);
  const [black, white] = [0, 255].map((value) => drawn.filter((pixel) => pixel === value).length / drawn.length);
  expect(black).toBeCloseTo(0.035, 2);
  expect(white).toBeCloseTo(0.035, 2);
});

it('contrast draws every channel towards its own mean', async () => {
  const drawn = await drawCifar(grid, 'contrast', 5, 1);
  for (const c of [0, 1, 2]) {
    const [before, after] = [grid.data, drawn].map((data) => data.filter((_, i) => i % 3 === c));
    expect(mean(after)).toBeCloseTo(mean(before), 0);
    expect(deviation(after) / deviation(before)).toBeCloseTo(0.15, 2);
  }
});

it('brightness and saturation change value and chroma of HSV, and keep the hue', async () => {
  const brighter = await drawCifar(flat(100, 60, 20), 'brightness', 3, 1);
  // Value .15 higher: 138.25; the saturation stays .8 and the middle stays in the middle.
  expect([...brighter.slice(0, 3)]).toEqual([138, 83, 28]);
  const paler = await drawCifar(flat(100, 60, 20), 'saturate', 2, 1);
  // A tenth of the saturation of .8.
  expect([...paler.slice(0, 3)]).toEqual([100, 96, 92]);
  const richer = await drawCifar(flat(100, 80, 60), 'saturate', 5, 1);
  // Saturation .4 becomes 1.2, which is cut at 1.
  expect([...richer.slice(0, 3)]).toEqual([100, 50, 0]);
});

it.each(['gaussianBlur', 'defocusBlur', 'motionBlur', 'zoomBlur', 'glassBlur', 'pixelate', 'elastic'])(
  '%s leaves a picture of one colour as it is',
  async (name) => {
    for (const severity of severities) {
      const drawn = await drawCifar(flat(30, 120, 240), name, severity, 2);
      const most = drawn.reduce((most, value, i) => Math.max(most, Math.abs(value - [30, 120, 240][i % 3])), 0);
      // Glass is cut to whole numbers between its two blurs.
      expect(most, `${name} ${severity}`).toBeLessThanOrEqual(name === 'glassBlur' ? 1 : 0);
    }
  },
);

it('pixelate spreads the means of boxes: half a picture of each colour stays that', async () => {
  const halves = paint((x) => (x < side / 2 ? 0 : 200));
  const drawn = await drawCifar(halves, 'pixelate', 5, 1);
  expect(mean(drawn)).toBeCloseTo(100, 0);
  expect(drawn[0]).toBe(0);
  expect(drawn[3 * (side - 1)]).toBe(200);
  // 20 pixels across: the edge falls between two of them.
  expect(new Set(drawn.slice(0, 3 * side))).toEqual(new Set([0, 200]));
});

it('gaussianBlur spreads one bright pixel by its deviation', async () => {
  const spot = paint((x, y) => (x === 16 && y === 16 ? 255 : 0));
  const drawn = await drawCifar(spot, 'gaussianBlur', 5, 1);
  const at = (x: number, y: number) => drawn[3 * (y * side + x)];
  // exp(-1/2) of the middle, one pixel away.
  expect(at(17, 16) / at(16, 16)).toBeCloseTo(Math.exp(-0.5), 1);
  expect(at(16, 17)).toBe(at(17, 16));
});

it('solveAffine takes three points to three others, and warp follows it', () => {
  const map = solveAffine([0, 0, 1, 0, 0, 1], [5, 7, 8, 7, 5, 9]);
  expect(map).toEqual([3, 0, 5, 0, 2, 7]);
  const picture = { data: new Float32Array(grid.data), width: side, height: side };
  const moved = warp(picture, (x, y) => [x + 1, y]);
  expect(moved[0]).toBe(grid.data[3]);
  // Beyond the edge the picture is mirrored, without the edge itself.
  expect(moved[3 * (side - 1)]).toBe(grid.data[3 * (side - 2)]);
});
