import { describe, expect, it } from 'vitest';
import type { Core } from '../../src/core/core.ts';
import { type Field, slice } from '../../src/core/layout.ts';
import { loadWasm } from '../../src/core/wasm.ts';
import { local } from '../../src/image/statistics/local.ts';
import { anyFrame, everyCore, gaussian, grey, oncePerFrame } from '../fixtures/frames.ts';

type Reference = Partial<Record<Field, number[]>>;

/** Every field of local.c by the plainest possible loops over a grey frame. */
const reference = oncePerFrame((luma, width, height): Reference => {
  const Y = (x: number, y: number): number => luma[y * width + x];
  let [bright, dark] = [0, 0];
  const rows = new Float64Array(height);
  const columns = new Float64Array(width);
  for (let y = 1; y < height - 1; y++)
    for (let x = 1; x < width - 1; x++) {
      const e = Y(x, y);
      const around = [-1, 0, 1].flatMap((j) => [-1, 0, 1].map((i) => Y(x + i, y + j)));
      around.splice(4, 1);
      const [most, least] = [Math.max(...around), Math.min(...around)];
      const margin = Math.max(most - least, 12);
      bright += Number(e - most > margin);
      dark += Number(least - e > margin);
      rows[y] += Math.sign(2 * e - Y(x, y - 1) - Y(x, y + 1));
      columns[x] += Math.sign(2 * e - Y(x - 1, y) - Y(x + 1, y));
    }
  const totalAndMost = (sums: Float64Array): number[] => [
    sums.reduce((total, sum) => total + Math.abs(sum), 0),
    sums.reduce((most, sum) => Math.max(most, Math.abs(sum)), 0),
  ];
  return {
    aloneBright: [bright],
    aloneDark: [dark],
    rowSigns: totalAndMost(rows),
    columnSigns: totalAndMost(columns),
    ...(width < 3 || height < 3 ? noBlocks : compareBlocks(Y, width, height)),
  };
});

const noBlocks: Reference = {
  blockHoles: [0, 0, 0],
  blockPeaks: [0, 0, 0],
  blockBright: [0, 0, 0],
  blockDark: [0, 0, 0],
  blocksCompared: [0],
};

function compareBlocks(Y: (x: number, y: number) => number, width: number, height: number): Reference {
  const [across, down] = [width >> 3, height >> 3];
  const blocks = Array.from({ length: down }, (_, by) =>
    Array.from({ length: across }, (_, bx) => {
      const block = { luma: 0, energy: 0 };
      for (let y = 8 * by; y < 8 * by + 8; y++)
        for (let x = 8 * bx; x < 8 * bx + 8; x++) {
          block.luma += Y(x, y);
          if (x + 1 < width) block.energy += Math.abs(Y(x, y) - Y(x + 1, y));
          if (y + 1 < height) block.energy += Math.abs(Y(x, y) - Y(x, y + 1));
        }
      return block;
    }),
  );
  const ref = { holes: [0, 0, 0], peaks: [0, 0, 0], bright: [0, 0, 0], dark: [0, 0, 0], compared: 0 };
  for (let y = 2; y < down - 2; y++)
    for (let x = 2; x < across - 2; x++) {
      const sides = (plane: 'luma' | 'energy'): number[] => {
        const five = [-2, -1, 0, 1, 2];
        const sum = (value: (i: number) => number): number => five.reduce((total, i) => total + value(i), 0);
        return [
          sum((i) => blocks[y - 2][x + i][plane]),
          sum((i) => blocks[y + 2][x + i][plane]),
          sum((i) => blocks[y + i][x - 2][plane]),
          sum((i) => blocks[y + i][x + 2][plane]),
        ];
      };
      // Means over the blocks of a side; one DN a pixel of energy is added to both.
      const energy = sides('energy').map((side) => side / 5 + 64);
      const luma = sides('luma').map((side) => side / 5 / 64);
      const own = { energy: blocks[y][x].energy + 64, luma: blocks[y][x].luma / 64 };
      for (let k = 0; k < 3; k++) {
        ref.holes[k] += Number(energy.every((side) => own.energy * 2 ** (k + 1) < side));
        ref.peaks[k] += Number(energy.every((side) => own.energy > side * 2 ** (k + 1)));
        ref.bright[k] += Number(luma.every((side) => own.luma - side > 12 * 2 ** k));
        ref.dark[k] += Number(luma.every((side) => side - own.luma > 12 * 2 ** k));
      }
      ref.compared++;
    }
  return {
    blockHoles: ref.holes,
    blockPeaks: ref.peaks,
    blockBright: ref.bright,
    blockDark: ref.dark,
    blocksCompared: [ref.compared],
  };
}

/** Patches of their own brightness and busyness, so that blocks differ at every strength, and single specks. */
function patches(width: number, height: number, seed: number): Uint8Array {
  const normal = gaussian(seed);
  const looks = Array.from({ length: 4096 }, () => [128 + 45 * normal(), 40 * Math.abs(normal()) ** 3]);
  return grey(width, height, (x, y) => {
    const [level, sigma] = looks[((x >> 4) + 61 * (y >> 4)) % looks.length];
    return level + sigma * normal() + ((x * 7 + y * 13) % 389 === 0 ? 90 * Math.sign(normal()) : 0);
  }).data;
}

const sizes: [number, number][] = [
  [1, 1],
  [1, 37],
  [37, 1],
  [2, 9],
  [9, 2],
  [3, 3],
  [15, 15],
  [17, 33],
  [16, 64],
  [40, 40],
  [41, 47],
  [63, 65],
  [64, 64],
  [65, 66],
  [66, 130],
  [128, 41],
  [129, 300],
  [193, 55],
  [2100, 45],
  [640, 480],
];

const cores = everyCore();

describe.each(cores.map((core) => [core.info.simd, core] as [string, Core]))('local.c on %s', (_, core) => {
  it(`equals plain loops on ${sizes.length} sizes`, () => {
    sizes.forEach(([width, height], index) => {
      const frames = [patches(width, height, index + 1)];
      if (width * height < 20_000) frames.push(...[0, 1, 2, 3].map((kind) => anyFrame(width, height, 1, kind)));
      for (const [kind, luma] of frames.entries()) {
        const out = core.measure(luma, width, height, 1);
        for (const [field, expected] of Object.entries(reference(luma, width, height)))
          expect([...slice(out, field as Field)], `${width}x${height}, kind ${kind}, ${field}`).toEqual(expected);
      }
    });
  });

  it('colour and alpha count through luma alone', () => {
    const rgb = anyFrame(67, 51, 3, 0);
    const luma = Uint8Array.from({ length: 67 * 51 }, (_, i) => {
      const [r, g, b] = rgb.subarray(3 * i, 3 * i + 3);
      return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
    });
    const rgba = Uint8Array.from({ length: 67 * 51 * 4 }, (_, i) => (i % 4 === 3 ? i : rgb[(i >> 2) * 3 + (i % 4)]));
    for (const [data, channels] of [
      [rgb, 3],
      [rgba, 4],
    ] as const) {
      const out = core.measure(data, 67, 51, channels);
      for (const [field, expected] of Object.entries(reference(luma, 67, 51)))
        expect([...slice(out, field as Field)], `${channels} channels, ${field}`).toEqual(expected);
    }
  });

  it('counts signs of more rows and columns than 16 bits hold', () => {
    const [short, long] = [24, 70_000];
    const stripes = grey(long, short, (_, y) => 255 * (y % 2));
    expect([...slice(core.measure(stripes.data, long, short, 1), 'rowSigns')]).toEqual([
      (long - 2) * (short - 2),
      long - 2,
    ]);
    const bars = grey(short, long, (x) => 255 * (x % 2));
    expect([...slice(core.measure(bars.data, short, long, 1), 'columnSigns')]).toEqual([
      (long - 2) * (short - 2),
      long - 2,
    ]);
  });
});

describe('the busiest and brightest blocks there can be', () => {
  it.each([
    // The blocks on its left and above hold the differences to its border, 1020 and so more than 8 * 64.
    ['a checkerboard in flat grey is a peak', 3, (x: number, y: number) => 255 * ((x + y) % 2), 128],
    ['a white block in black is a bright spot', 1, () => 255, 0],
  ])('%s', (_, expected, inside, outside) => {
    const frame = grey(88, 88, (x, y) => (x >> 3 === 5 && y >> 3 === 5 ? inside(x, y) : outside));
    for (const core of cores) {
      const out = core.measure(frame.data, 88, 88, 1);
      expect(slice(out, outside === 128 ? 'blockPeaks' : 'blockBright')[2]).toBe(expected);
    }
  });

  it('a checkerboard everywhere has no spot', () => {
    const frame = grey(96, 96, (x, y) => 255 * ((x + y) % 2));
    for (const core of cores) {
      const out = core.measure(frame.data, 96, 96, 1);
      for (const field of ['blockHoles', 'blockBright', 'blockDark'] as const)
        expect([...slice(out, field)], field).toEqual([0, 0, 0]);
    }
  });
});

describe('what the statistics say', () => {
  const core = loadWasm();
  const measure = (frame: ReturnType<typeof grey>): Record<string, number> => {
    const numbers = local.derive(core.measure(frame.data, frame.width, frame.height, 1), undefined);
    return Object.fromEntries(local.rows.map(({ name }, i) => [name, numbers[i]]));
  };

  it('one hot and one dead pixel on flat grey count once each, from 13 DN on', () => {
    const interior = 65 * 49;
    const speck = (step: number) => measure(grey(67, 51, (x, y) => 100 + (x === 30 && y === 20 ? step : 0)));
    expect(speck(13)).toMatchObject({ aloneBright: 1 / interior, aloneDark: 0 });
    expect(speck(-13)).toMatchObject({ aloneBright: 0, aloneDark: 1 / interior });
    expect(speck(12)).toMatchObject({ aloneBright: 0, aloneDark: 0 });
    expect(speck(-12)).toMatchObject({ aloneBright: 0, aloneDark: 0 });
  });

  it('a hot pixel has to leave the range of its neighbours by more than that range', () => {
    // Neighbours 100 and 120: above 140 it stands alone.
    const speck = (value: number) =>
      measure(grey(40, 40, (x, y) => (x === 20 && y === 20 ? value : 100 + 20 * (x % 2))));
    expect(speck(140).aloneBright).toBe(0);
    expect(speck(141).aloneBright).toBe(1 / (38 * 38));
  });

  it('pixels of the border, which lack neighbours, are not counted', () => {
    const corner = measure(grey(40, 40, (x, y) => (x === 0 && y === 17 ? 255 : 90)));
    expect([corner.aloneBright, corner.aloneDark]).toEqual([0, 0]);
  });

  it('a row or column offset by 3 DN in noise of 1 DN is one-sided', () => {
    // Second differences have mean 6 and variance 6: their mean sign is erf(6 / sqrt(12)) = 0.9857.
    const scene = (row: number, column: number) => {
      const normal = gaussian(5);
      return measure(grey(600, 600, (x, y) => 128 + normal() + 3 * Number(y === row) + 3 * Number(x === column)));
    };
    const [clean, row, column] = [scene(-1, -1), scene(300, -1), scene(-1, 200)];
    expect(Math.abs(row.rowOffsetMax - 0.9857)).toBeLessThan(0.02);
    expect(Math.abs(column.columnOffsetMax - 0.9857)).toBeLessThan(0.02);
    // Means of 598 signs have a standard deviation of at most 0.041; the largest of 598 is below 4.5 of them.
    expect(clean.rowOffsetMax).toBeLessThan(0.19);
    expect(clean.columnOffsetMax).toBeLessThan(0.19);
    expect(row.columnOffsetMax).toBeLessThan(0.19);
    expect(row.rowOffset).toBeGreaterThan(clean.rowOffset);
  });

  it('rows that alternate are offset all along; a flat frame is not', () => {
    expect(measure(grey(50, 60, (_, y) => 100 + (y % 2)))).toMatchObject({
      rowOffset: 1,
      rowOffsetMax: 1,
      columnOffset: 0,
      columnOffsetMax: 0,
    });
    expect(measure(grey(50, 60, () => 100))).toMatchObject({ rowOffset: 0, rowOffsetMax: 0, columnOffset: 0 });
  });

  const noise = (seed: number, inDisc: (noise: number) => number) => {
    const normal = gaussian(seed);
    return grey(160, 120, (x, y) => {
      const value = 25 * normal();
      // Radius 12 around the middle of a block.
      return 128 + ((x - 83.5) ** 2 + (y - 59.5) ** 2 < 144 ? inDisc(value) : value);
    });
  };
  const compared = (20 - 4) * (15 - 4);

  it('a disc without noise in white noise is a hole; white noise alone has none', () => {
    const clean = measure(noise(1, (value) => value));
    expect([clean.holes2, clean.peaks2, clean.brightSpots12, clean.darkSpots12]).toEqual([0, 0, 0, 0]);
    const blurred = measure(noise(1, () => 0));
    expect(blurred.holes8).toBeGreaterThanOrEqual(1 / compared);
    expect(blurred.holes8).toBeLessThanOrEqual(9 / compared);
    expect(blurred.peaks2).toBe(0);
  });

  it('a disc of noise in flat grey is a peak', () => {
    const normal = gaussian(2);
    const frame = grey(160, 120, (x, y) => ((x - 83.5) ** 2 + (y - 59.5) ** 2 < 144 ? 128 + 25 * normal() : 128));
    const numbers = measure(frame);
    expect(numbers.peaks8).toBeGreaterThanOrEqual(1 / compared);
    expect(numbers.peaks8).toBeLessThanOrEqual(9 / compared);
    expect(numbers.holes2).toBe(0);
  });

  it('a bright disc is a bright spot, a dark one a dark spot', () => {
    const bright = measure(noise(3, (value) => value + 80));
    expect(bright.brightSpots48).toBeGreaterThanOrEqual(1 / compared);
    expect(bright.darkSpots12).toBe(0);
    const dark = measure(noise(3, (value) => value - 80));
    expect(dark.darkSpots48).toBeGreaterThanOrEqual(1 / compared);
    expect(dark.brightSpots12).toBe(0);
  });

  it('a block has to be brighter or darker by more than 12, 24, 48 DN', () => {
    const spot = (step: number) => measure(grey(88, 88, (x, y) => 100 + (x >> 3 === 5 && y >> 3 === 5 ? step : 0)));
    const one = 1 / 49;
    expect(spot(12)).toMatchObject({ brightSpots12: 0 });
    expect(spot(13)).toMatchObject({ brightSpots12: one, brightSpots24: 0 });
    expect(spot(24)).toMatchObject({ brightSpots24: 0 });
    expect(spot(25)).toMatchObject({ brightSpots12: one, brightSpots24: one, brightSpots48: 0 });
    expect(spot(48)).toMatchObject({ brightSpots48: 0 });
    expect(spot(49)).toMatchObject({ brightSpots12: one, brightSpots24: one, brightSpots48: one, darkSpots12: 0 });
    expect(spot(-12)).toMatchObject({ darkSpots12: 0 });
    expect(spot(-49)).toMatchObject({ darkSpots12: one, darkSpots24: one, darkSpots48: one, brightSpots12: 0 });
  });

  it('frames too small have no statistics', () => {
    expect(measure(grey(2, 40, () => 7)).aloneBright).toBeNaN();
    expect(measure(grey(40, 2, () => 7)).rowOffsetMax).toBeNaN();
    const small = measure(grey(56, 63, () => 7));
    expect(small.aloneBright).toBe(0);
    expect(small.holes2).toBeNaN();
    expect(measure(grey(64, 64, () => 7)).holes2).toBe(0);
  });
});
