import { describe, expect, it } from 'vitest';
import type { Core } from '../../src/core/core.ts';
import { type Field, slice } from '../../src/core/layout.ts';
import { anyFrame, everyCore, oncePerFrame } from '../fixtures/frames.ts';

type Plane = number[][];
type Direction = readonly [down: number, right: number];

const along: Direction = [0, 1];
const down: Direction = [1, 0];

/** The classes of pairs, by one member each. */
const members = [
  [0, 0],
  [1, 0],
  [1, 1],
  [1, -1],
  [2, 0],
  [2, 1],
  [2, -1],
  [2, 2],
  [2, -2],
] as const;

/** A pair is of the class of its reverse and of its negative. */
function classOf(a: number, b: number): number {
  return members.findIndex(([p, q]) =>
    [
      [p, q],
      [q, p],
      [-p, -q],
      [-q, -p],
    ].some(([x, y]) => a === x && b === y),
  );
}

const makePlane = (rows: number, columns: number, value: (y: number, x: number) => number): Plane =>
  Array.from({ length: rows }, (_, y) => Array.from({ length: columns }, (_, x) => value(y, x)));

/** Number 0 where a neighbour lies outside: such residuals are not counted. */
function inside(plane: Plane, y: number, x: number): number {
  return plane[y]?.[x] ?? 0;
}

function differ(plane: Plane, [dy, dx]: Direction): Plane {
  return makePlane(
    plane.length,
    plane[0].length,
    (y, x) => inside(plane, y - dy, x - dx) + inside(plane, y + dy, x + dx) - 2 * plane[y][x],
  );
}

function surround(plane: Plane): Plane {
  return makePlane(plane.length, plane[0].length, (y, x) => {
    const at = (dy: number, dx: number) => inside(plane, y + dy, x + dx);
    const next = at(-1, 0) + at(1, 0) + at(0, -1) + at(0, 1);
    return 2 * next - at(-1, -1) - at(-1, 1) - at(1, -1) - at(1, 1) - 4 * at(0, 0);
  });
}

/** Where the windows of an axis begin: at most four of 64 pixels, in the middle of as many equal parts, at multiples of 8. */
function placeWindows(pixels: number): number[] {
  const count = Math.max(1, Math.min(4, Math.floor(pixels / 64)));
  if (pixels < 64) return [0];
  return Array.from({ length: count }, (_, i) => {
    const place = Math.floor(((2 * i + 1) * (pixels - 64)) / (2 * count));
    return place - (place % 8);
  });
}

/** Every field of residuals.c by the plainest possible loops. */
const reference = oncePerFrame((data, width, height, channels) => {
  const pairs = new Array<number>(36).fill(0);
  const products = new Array<number>(16).fill(0);
  const colours = [0, 0, 0];
  const add = (family: number, plane: Plane, unit: number, [dy, dx]: Direction) => {
    const round = (v: number) => Math.sign(v) * (Math.abs(v) >= 3 * unit ? 2 : Math.abs(v) >= unit ? 1 : 0);
    for (let y = 1; y + 3 < plane.length; y++)
      for (let x = 1; x + 3 < plane[0].length; x++) {
        const a = plane[y][x];
        const next = plane[y + dy][x + dx];
        pairs[9 * family + classOf(round(a), round(next))]++;
        products[4 * family] += a * a;
        products[4 * family + 1] += a * next;
        products[4 * family + 2] += a * plane[y + 2 * dy][x + 2 * dx];
        products[4 * family + 3] += a * plane[y + dx][x + dy];
      }
  };
  const [columns, rows] = [Math.min(64, width), Math.min(64, height)];
  for (const top of placeWindows(height))
    for (const left of placeWindows(width)) {
      const pixel = (y: number, x: number, channel: number) =>
        data[((top + y) * width + left + x) * channels + (channels === 1 ? 0 : channel)];
      const luma = makePlane(
        rows,
        columns,
        (y, x) => (19595 * pixel(y, x, 0) + 38470 * pixel(y, x, 1) + 7471 * pixel(y, x, 2) + 32768) >> 16,
      );
      const [red, blue] = [0, 2].map((channel) =>
        makePlane(rows, columns, (y, x) => pixel(y, x, channel) - luma[y][x]),
      );
      const half = makePlane(rows >> 1, columns >> 1, (y, x) => {
        const at = (dy: number, dx: number) => luma[2 * y + dy][2 * x + dx];
        return at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1);
      });
      for (const direction of [along, down]) {
        add(0, differ(luma, direction), 1, direction);
        add(1, surround(luma), 4, direction);
        if (rows > 1 && columns > 1) add(2, differ(half, direction), 4, direction);
        add(3, differ(red, direction), 1, direction);
        add(3, differ(blue, direction), 1, direction);
      }
      const [a, r, b] = [luma, red, blue].map((plane) => differ(plane, along));
      for (let y = 1; y + 3 < rows; y++)
        for (let x = 1; x + 3 < columns; x++) {
          const t = r[y][x] - b[y][x];
          colours[0] += Math.abs(a[y][x] * t);
          colours[1] += a[y][x] ** 2;
          colours[2] += t ** 2;
        }
    }
  return { residualPairs: pairs, residualProducts: products, residualColours: colours };
});

const sizes: [number, number][] = [
  [1, 1],
  [1, 37],
  [4, 90],
  [5, 5],
  [9, 7],
  [32, 32],
  [63, 65],
  [64, 64],
  [127, 130],
  [200, 70],
  [300, 290],
];

describe.each(everyCore().map((core) => [core.info.simd, core] as [string, Core]))('residuals.c on %s', (_, core) => {
  const expectEqual = (data: Uint8Array, width: number, height: number, channels: 1 | 3 | 4, what: string): void => {
    const out = core.measure(data, width, height, channels);
    for (const [field, expected] of Object.entries(reference(data, width, height, channels)))
      expect([...slice(out, field as Field)], `${what}, ${field}`).toEqual(expected);
  };

  it.each([1, 3, 4] as const)(`%i channels: equals plain loops on ${sizes.length} sizes`, (channels) => {
    sizes.forEach(([width, height], index) => {
      const kinds = width * height < 5_000 ? [0, 1, 2, 3] : [index % 4];
      for (const kind of kinds)
        expectEqual(
          anyFrame(width, height, channels, kind),
          width,
          height,
          channels,
          `${width}x${height}, kind ${kind}`,
        );
    });
  });

  it('the largest residuals there are do not overflow', () => {
    const width = 64;
    const height = 64;
    const data = new Uint8Array(width * height * 3);
    // Pure red and pure blue by turns have the largest differences of colour; white and black those of brightness.
    for (const [bright, dark] of [
      [
        [255, 255, 255],
        [0, 0, 0],
      ],
      [
        [255, 0, 0],
        [0, 0, 255],
      ],
    ]) {
      for (let i = 0; i < width * height; i++) {
        const isBright = ((i % width) + Math.floor(i / width)) % 2 === 0;
        data.set(isBright ? bright : dark, 3 * i);
      }
      expectEqual(data, width, height, 3, `${bright}`);
      // Pairs of 2x2 as well, whose sums alternate.
      for (let i = 0; i < width * height; i++) {
        const isBright = (((i % width) >> 1) + (Math.floor(i / width) >> 1)) % 2 === 0;
        data.set(isBright ? bright : dark, 3 * i);
      }
      expectEqual(data, width, height, 3, `${bright} in squares of four`);
    }
  });
});
