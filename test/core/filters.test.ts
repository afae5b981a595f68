import { describe, expect, it } from 'vitest';
import {
  addShiftedPlaced,
  averageDiskPlaced,
  blurBoxes,
  type FloatImage,
  resamplePlaced,
} from '../../src/core/filters.ts';
import { openWorkspace } from '../../src/core/workspace.ts';
import { Random } from '../../src/image/corruptions/random.ts';

/** Sizes that no vector divides, down to one pixel. */
const sizes = [
  [37, 23, 3],
  [41, 5, 1],
  [1, 9, 3],
  [9, 1, 1],
  [1, 1, 3],
] as const;

function drawImage(width: number, height: number, channels: number): FloatImage {
  const data = new Random(width * 31 + height).normals(width * height * channels, 128, 60);
  return { data, width, height, channels };
}

const clamp = (i: number, count: number) => Math.min(count - 1, Math.max(0, i));

/** The pixel at a place, or the nearest one of the edge. */
const readAt = ({ data, width, height, channels }: FloatImage, x: number, y: number, c: number) =>
  data[(clamp(y, height) * width + clamp(x, width)) * channels + c];

function expectPixels(data: Float32Array, like: FloatImage, expected: (x: number, y: number, c: number) => number) {
  expect(data).toHaveLength(like.width * like.height * like.channels);
  let worst = 0;
  for (let y = 0, i = 0; y < like.height; y++) {
    for (let x = 0; x < like.width; x++) {
      for (let c = 0; c < like.channels; c++) worst = Math.max(worst, Math.abs(data[i++] - expected(x, y, c)));
    }
  }
  expect(worst).toBeLessThan(1e-2);
}

describe('blurBoxes', () => {
  const box = { radius: 2, edge: 0.3, scale: 1 / 5.6 };

  it.each(sizes)('of %i x %i with %i channels are three boxes along each axis', (width, height, channels) => {
    const image = drawImage(width, height, channels);
    const pass = (from: FloatImage, dx: number, dy: number): FloatImage => {
      const data = new Float32Array(from.data.length);
      for (let i = 0; i < data.length; i++) {
        const [c, p] = [i % channels, Math.floor(i / channels)];
        const [x, y] = [p % width, Math.floor(p / width)];
        for (let k = -3; k <= 3; k++) {
          const weight = Math.abs(k) === 3 ? box.edge : 1;
          data[i] += box.scale * weight * readAt(from, x + k * dx, y + k * dy, c);
        }
      }
      return { ...from, data };
    };
    let expected = image;
    for (const [dx, dy] of [...Array(3).fill([1, 0]), ...Array(3).fill([0, 1])]) expected = pass(expected, dx, dy);
    expectPixels(blurBoxes(image, box), image, (x, y, c) => readAt(expected, x, y, c));
  });

  it('leave the image as it was', () => {
    const image = drawImage(8, 8, 3);
    const before = image.data.slice();
    blurBoxes(image, box);
    expect(image.data).toEqual(before);
  });
});

describe('addShiftedPlaced', () => {
  it.each(sizes)('of %i x %i with %i channels is the weighted sum of copies', (width, height, channels) => {
    // A margin of two pixels all around, that the taps reach into.
    const wide = drawImage(width + 4, height + 4, channels);
    const stride = wide.width * channels;
    const taps = [
      { weight: 0.5, offset: 0 },
      { weight: 0.3, offset: stride - channels },
      { weight: -0.2, offset: -2 * stride + 2 * channels },
    ];
    const rows = { at: 2 * (stride + channels), stride, samples: width * channels, height };
    const space = openWorkspace();
    expectPixels(
      space.readFloats(addShiftedPlaced(space, wide.data, rows, taps), width * height * channels),
      { ...wide, width, height },
      (x, y, c) =>
        0.5 * readAt(wide, x + 2, y + 2, c) + 0.3 * readAt(wide, x + 1, y + 3, c) - 0.2 * readAt(wide, x + 4, y, c),
    );
  });
});

describe('averageDiskPlaced', () => {
  it.each([
    [37, 23],
    [5, 3],
    [1, 1],
  ])('of %i x %i is the mean over the disk', (width, height) => {
    const radius = 3;
    const halves = Int32Array.from([3, 2, 2, 0]);
    const random = new Random(5);
    const image = { data: Float32Array.from(random.words(width * height * 3), (word) => word % 256), width, height };
    const plane = { ...image, channels: 3 };
    const space = openWorkspace();
    const at = averageDiskPlaced(space, space.write(Uint8Array.from(image.data)), image, halves);
    expectPixels(space.readFloats(at, image.data.length), plane, (x, y, c) => {
      let [sum, count] = [0, 0];
      for (let dy = -radius; dy <= radius; dy++) {
        const half = halves[Math.abs(dy)];
        for (let dx = -half; dx <= half; dx++, count++) sum += readAt(plane, x + dx, y + dy, c);
      }
      return sum / count;
    });
  });
});

describe('resamplePlaced', () => {
  it.each(sizes)('of %i x %i with %i channels reads between neighbours', (width, height, channels) => {
    const image = drawImage(width, height, channels);
    // The last place to read from is the last but one, whose neighbour is the last.
    const columns = { from: Int32Array.of(0, clamp(3, width - 1 || 1)), share: Float32Array.of(0.25, 0) };
    const rows = { from: Int32Array.of(clamp(1, height - 1 || 1), 0, 0), share: Float32Array.of(0.5, 0.75, 0) };
    const mix = (a: number, b: number, share: number) => a + share * (b - a);
    const space = openWorkspace();
    const { at } = resamplePlaced(space, { ...image, at: space.write(image.data) }, columns, rows);
    expectPixels(space.readFloats(at, 6 * channels), { ...image, width: 2, height: 3 }, (i, j, c) => {
      const [x, y] = [columns.from[i], rows.from[j]];
      const across = (row: number) => mix(readAt(image, x, row, c), readAt(image, x + 1, row, c), columns.share[i]);
      return mix(across(y), across(y + 1), rows.share[j]);
    });
  });
});
