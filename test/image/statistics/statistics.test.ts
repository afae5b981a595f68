import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import type { Container } from '../../../src/image/container/container.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { measureStatistics, statistics, toImageStatistics } from '../../../src/image/statistics/statistics.ts';
import { gaussian, grey, random } from '../../fixtures/frames.ts';

const core = loadCore();
const numbers = (frame: Frame, source?: Container): Record<string, number> =>
  Object.fromEntries(
    Array.from(measureStatistics(core, frame, source), (value, index) => [statistics[index].name, value]),
  );

function rgb(width: number, height: number, f: (x: number, y: number) => [number, number, number]): Frame {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(f(i % width, Math.floor(i / width)), 3 * i);
  return { data, width, height, channels: 3 };
}

/** A photograph-like frame without files: smooth shapes, a few edges, a little noise. */
function scene(width: number, height: number, seed: number): Frame {
  const [normal, uniform] = [gaussian(seed), random(seed)];
  const waves = Array.from({ length: 12 }, () => [uniform() * 0.3, uniform() * 0.3, uniform() * 6, uniform() * 14]);
  return grey(width, height, (x, y) => {
    const smooth = waves.reduce((sum, [a, b, c, size]) => sum + size * Math.sin(a * x + b * y + c), 0);
    const edge = (x * 3 + y * 2) % 173 < 60 ? 35 : 0;
    return 110 + smooth + edge + 1.5 * normal();
  });
}

describe('the table', () => {
  it('names every statistic once, with a unit, a meaning and phrases', () => {
    const names = statistics.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const row of statistics) {
      expect(row.name).toMatch(/^[a-z][A-Za-z0-9]*$/);
      for (const text of [row.unit, row.meaning, row.high, row.low, row.source]) expect(text).not.toBe('');
      expect(row.meaning, row.name).toMatch(/\.$/);
      if (row.logFloor !== undefined) expect(row.logFloor).toBeGreaterThan(0);
    }
  });

  it('has one number for each row, whatever the size of the frame', () => {
    for (const [width, height] of [
      [1, 1],
      [1, 9],
      [9, 1],
      [2, 2],
      [3, 3],
      [64, 48],
      [200, 120],
    ])
      expect(measureStatistics(core, scene(width, height, 1))).toHaveLength(statistics.length);
  });

  it('never logs a statistic that can be negative', () => {
    const frames = [scene(200, 130, 3), grey(200, 130, (x) => x), grey(70, 50, () => 0)];
    for (const frame of frames) {
      const vector = measureStatistics(core, frame);
      statistics.forEach((row, i) => {
        if (row.logFloor !== undefined && !Number.isNaN(vector[i]))
          expect(vector[i], row.name).toBeGreaterThanOrEqual(0);
      });
    }
  });

  it('gives null where a statistic does not apply: no container, frame too small', () => {
    const small = toImageStatistics(
      measureStatistics(
        core,
        grey(2, 2, (x) => 10 * x),
      ),
    );
    expect(small).toMatchObject({ jpegQuality: null, laplacianVariance: null, noiseSigma: null, tileEnergyMin: null });
    expect(small.lumaMean).toBe(5);
    expect(JSON.parse(JSON.stringify(small))).toEqual(small);
  });

  it('takes quality and size from the container', () => {
    const jpeg = { quality: 85, tables: [] as number[][] };
    const source = { bytesPerPixel: 0.25, codedBytes: 51, width: 16, height: 16, jpeg } as unknown as Container;
    expect(numbers(scene(16, 16, 1), source)).toMatchObject({
      jpegQuality: 85,
      bytesPerPixel: 0.25,
      codedBytesPerPixel: 51 / 256,
    });
  });
});

describe('exposure', () => {
  it('a constant frame has no contrast, entropy or clipping', () => {
    expect(numbers(grey(50, 40, () => 77))).toMatchObject({
      lumaMean: 77,
      lumaStd: 0,
      lumaSkewness: 0,
      lumaP01: 77,
      lumaP99: 77,
      lumaRange: 0,
      entropy: 0,
      clippedLow: 0,
      clippedHigh: 0,
      histogramGaps: 0,
    });
  });

  it('a horizontal ramp over all 256 levels: closed forms', () => {
    const ramp = numbers(grey(256, 64, (x) => x));
    expect(ramp.lumaMean).toBeCloseTo(127.5, 10);
    expect(ramp.lumaStd).toBeCloseTo(Math.sqrt((256 ** 2 - 1) / 12), 10);
    expect(ramp.lumaSkewness).toBeCloseTo(0, 10);
    expect(ramp.entropy).toBe(8);
    expect(ramp.clippedLow).toBe(5 / 256);
    expect(ramp.clippedHigh).toBe(5 / 256);
    expect(ramp.histogramRoughness).toBe(0);
  });

  it('a two-level checkerboard: standard deviation half the step, one bit, most levels unused', () => {
    const board = numbers(grey(64, 64, (x, y) => ((x + y) & 1 ? 180 : 60)));
    expect(board.lumaMean).toBe(120);
    expect(board.lumaStd).toBeCloseTo(60, 10);
    expect(board.entropy).toBe(1);
    expect(board.lumaP05).toBe(60);
    expect(board.lumaP95).toBe(180);
    expect(board.histogramGaps).toBeCloseTo(119 / 121, 10);
  });

  it('quantiles follow rule R-7 between order statistics', () => {
    // Sorted: 10, 20, 30, 40. R-7 median 25; P25 at position 0.75: 17.5; P05 at position 0.15: 11.5.
    const four = numbers(grey(4, 1, (x) => 10 * (x + 1)));
    expect(four.lumaP50).toBe(25);
    expect(four.lumaP25).toBeCloseTo(17.5, 10);
    expect(four.lumaP05).toBeCloseTo(11.5, 10);
    expect(four.lumaP95).toBeCloseTo(38.5, 10);
  });

  it('a saturated single colour is clipping although its luma is not white', () => {
    expect(numbers(rgb(16, 16, () => [255, 20, 20])).clippedHigh).toBe(1);
    expect(numbers(rgb(16, 16, () => [4, 0, 3])).clippedLow).toBe(1);
  });

  it('a contrast stretch leaves a comb in the histogram', () => {
    const plain = scene(300, 200, 5);
    const curve = {
      ...plain,
      data: plain.data.map((v) => Math.min(255, Math.max(0, Math.round(128 + 1.4 * (v - 128))))),
    };
    expect(numbers(curve).histogramRoughness).toBeGreaterThan(3 * numbers(plain).histogramRoughness);
    expect(numbers(curve).histogramGaps).toBeGreaterThan(numbers(plain).histogramGaps + 0.05);
  });
});

describe('colour', () => {
  it('a grey frame is exactly 0 wherever colour is meant, in 1 and in 3 channels', () => {
    const one = scene(60, 40, 2);
    const three = rgb(60, 40, (x, y) => {
      const v = one.data[y * 60 + x];
      return [v, v, v];
    });
    const zero = [
      'rgMean',
      'rgStd',
      'ybMean',
      'ybStd',
      'colourfulness',
      'saturationMean',
      'castRedGreen',
      'castBlueGreen',
      'castAngle',
    ];
    for (const frame of [one, three]) {
      const found = numbers(frame);
      for (const name of zero) expect(found[name], name).toBe(0);
      expect(found.greyShare).toBe(1);
    }
    expect(measureStatistics(core, three)).toEqual(measureStatistics(core, one));
  });

  it('pure red: Hasler and Suesstrunk by hand', () => {
    const red = numbers(rgb(16, 16, () => [200, 0, 0]));
    expect(red.rgMean).toBe(200);
    expect(red.ybMean).toBe(100);
    expect(red.colourfulness).toBeCloseTo(0.3 * Math.hypot(200, 100), 10);
    expect(red.saturationMean).toBe(1);
    expect(red.castRedGreen).toBeCloseTo(Math.log(201), 10);
    expect(red.castAngle).toBeCloseTo((Math.acos(1 / Math.sqrt(3)) * 180) / Math.PI, 10);
  });

  it('half red and half cyan: standard deviations of the opponent axes', () => {
    const half = numbers(rgb(16, 16, (x) => (x < 8 ? [255, 0, 0] : [0, 255, 255])));
    expect(half.rgMean).toBe(0);
    expect(half.rgStd).toBeCloseTo(255, 9);
    // yb is 127.5 in one half and -127.5 in the other.
    expect(half.ybStd).toBeCloseTo(127.5, 9);
    expect(half.colourfulness).toBeCloseTo(Math.hypot(255, 127.5), 9);
  });

  it('the dark channel is the least value of each 8x8 block, and rises with haze', () => {
    const dotted = numbers(rgb(32, 32, (x, y) => (x % 8 === 3 && y % 8 === 5 ? [90, 7, 120] : [90, 100, 120])));
    expect(dotted.darkChannel).toBe(7);
    const clear = scene(160, 120, 4);
    const hazy = { ...clear, data: clear.data.map((v) => Math.round(0.5 * v + 0.5 * 220)) };
    expect(numbers(hazy).darkChannel).toBeGreaterThan(numbers(clear).darkChannel + 50);
  });
});

describe('sharpness', () => {
  it('one bright pixel: Laplacian variance in closed form', () => {
    // The Laplacian is -4 h once and h four times: its sum is 0, its squares 20 h^2.
    const impulse = numbers(grey(42, 32, (x, y) => (x === 20 && y === 15 ? 100 : 0)));
    expect(impulse.laplacianVariance).toBeCloseTo((20 * 100 ** 2) / (40 * 30), 8);
    // Four neighbours see a central difference of h / 2.
    expect(impulse.tenengrad).toBeCloseTo((4 * 50 ** 2) / (40 * 30), 8);
  });

  it('is never clamped: a checkerboard of 0 and 255 has the largest Laplacian', () => {
    const board = numbers(grey(34, 34, (x, y) => ((x + y) & 1 ? 255 : 0)));
    expect(board.laplacianVariance).toBeCloseTo(1020 ** 2, 6);
    expect(board.tenengrad).toBe(0);
  });

  it('a ramp has a gradient of its slope, no Laplacian and one direction', () => {
    const ramp = numbers(grey(60, 40, (x) => 3 * x));
    expect(ramp.laplacianVariance).toBe(0);
    expect(ramp.tenengrad).toBe(9);
    expect(ramp.gradientAngle).toBe(0);
    expect(ramp.gradientAnisotropy).toBeCloseTo(9 / 9.1, 10);
  });

  it.each([-75, -60, -45, -30, 0, 15, 30, 45, 60, 90])(
    'gratings at %i degrees: the tensor finds the angle',
    (angle) => {
      const [c, s] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
      const found = numbers(grey(256, 256, (x, y) => 128 + 100 * Math.sin(0.3 * (c * x + s * y))));
      const off = ((found.gradientAngle - angle + 270) % 180) - 90;
      expect(Math.abs(off)).toBeLessThan(1.5);
      expect(found.gradientCoherence).toBeGreaterThan(0.98);
      const double = (2 * angle * Math.PI) / 180;
      // Sampled sines weigh the steeper axis a little less; 0.06 is that bias at 45 degrees with this period.
      expect(Math.abs(found.gradientAnisotropy - Math.cos(double))).toBeLessThan(0.06);
      expect(Math.abs(found.gradientDiagonal - Math.sin(double))).toBeLessThan(0.06);
    },
  );

  it('a horizontal flip changes the sign of the diagonal and nothing else of the tensor', () => {
    const plain = scene(120, 90, 6);
    const flipped = grey(120, 90, (x, y) => plain.data[y * 120 + 119 - x]);
    const [a, b] = [numbers(plain), numbers(flipped)];
    expect(b.gradientDiagonal).toBeCloseTo(-a.gradientDiagonal, 12);
    for (const name of ['laplacianVariance', 'tenengrad', 'gradientAnisotropy', 'gradientCoherence'])
      expect(b[name], name).toBeCloseTo(a[name], 10);
  });

  it('blur lowers block sharpness, with noise added as well as without', async () => {
    const plain = scene(400, 300, 8);
    const raw = { raw: { width: 400, height: 300, channels: 1 as const } };
    const blurred = await sharp(plain.data, raw).blur(1.2).toColourspace('b-w').raw().toBuffer();
    const normal = gaussian(9);
    const noisy = (data: Uint8Array): Frame => grey(400, 300, (x, y) => data[y * 400 + x] + 8 * normal());
    expect(numbers({ ...plain, data: blurred }).blockSharpness).toBeLessThan(numbers(plain).blockSharpness - 0.5);
    expect(numbers(noisy(blurred)).blockSharpness).toBeLessThan(numbers(noisy(plain.data)).blockSharpness - 0.3);
    // What blur takes from the Laplacian variance, noise gives back: the reason for block sharpness.
    expect(numbers(noisy(blurred)).laplacianVariance).toBeGreaterThan(numbers(plain).laplacianVariance);
  });
});

describe('noise', () => {
  it.each([5, 10, 20])('white noise of %i DN on 512x512 (oracle O4)', (sigma) => {
    const normal = gaussian(sigma);
    const found = numbers(grey(512, 512, () => 128 + sigma * normal()));
    const off = (name: string): number => Math.abs(found[name] / sigma - 1);
    // Rounding to whole levels adds 1/12 DN^2, 0.2 % at 5 DN.
    expect(off('noiseImmerkaer')).toBeLessThan(0.01);
    expect(off('noiseMedian')).toBeLessThan(0.015);
    expect(off('noiseMad')).toBeLessThan(0.03);
    expect(off('noiseSigma')).toBeLessThan(0.04);
    // The flattest blocks have less noise than the rest by chance.
    expect(found.noiseFlat).toBeLessThan(sigma);
    expect(off('noiseFlat')).toBeLessThan(0.08);
  });

  it('texture is not noise: the quiet tenth of the blocks is what counts', () => {
    const normal = gaussian(3);
    const found = numbers(grey(320, 320, (x, y) => 128 + (x > 80 && (x ^ y) & 2 ? 40 : 0) + 2 * normal()));
    // The estimate assumes that all blocks are quiet; where a quarter are, their 40th percentile reads 1.2 times more.
    expect(found.noiseSigma).toBeGreaterThan(2);
    expect(found.noiseSigma).toBeLessThan(2.6);
    expect(found.noiseImmerkaer).toBeGreaterThan(8);
  });

  it('a saturated sky does not hide the noise below it', () => {
    const normal = gaussian(4);
    const found = numbers(grey(320, 320, (_, y) => (y < 160 ? 255 : 100 + 6 * normal())));
    expect(Math.abs(found.noiseSigma / 6 - 1)).toBeLessThan(0.06);
    expect(Math.abs(found.noiseFlat / 6 - 1)).toBeLessThan(0.12);
  });

  it('counts exactly the pixels that stick out, and an edge is none', () => {
    const edge = (x: number): number => (x < 50 ? 40 : 200);
    const spiked = grey(102, 102, (x, y) => (x % 10 === 5 && y % 10 === 5 ? 255 - edge(x) : edge(x)));
    expect(numbers(spiked).impulseShare).toBeCloseTo(100 / 10_000, 12);
    expect(numbers(grey(102, 102, edge)).impulseShare).toBe(0);
  });
});

describe('compression', () => {
  const cells = random(12);
  const levels = Array.from({ length: 4096 }, () => 90 + 70 * cells());
  const blocks = (dx: number, dy: number): Frame =>
    grey(256, 256, (x, y) => levels[((x + dx) >> 3) * 64 + ((y + dy) >> 3)] + ((x * 7 + y * 3) % 5));

  it.each([
    [0, 0],
    [3, 0],
    [0, 5],
    [6, 2],
  ])('finds the phase of a grid that was cropped by %i and %i', (dx, dy) => {
    const found = numbers(blocks(dx, dy));
    expect(found.blockPhaseX).toBe((8 - dx) % 8);
    expect(found.blockPhaseY).toBe((8 - dy) % 8);
    expect(found.blockinessX).toBeGreaterThan(1);
    expect(found.blockinessMax).toBeGreaterThan(1);
    if (dx === 0 && dy === 0) expect(found.blockiness).toBeGreaterThan(1);
    else expect(found.blockiness).toBeLessThan(found.blockinessMax);
  });

  it('is about 0 before JPEG, and grows as the quality falls', async () => {
    const plain = scene(480, 360, 15);
    const raw = { raw: { width: 480, height: 360, channels: 1 as const } };
    const at = async (quality: number): Promise<Record<string, number>> => {
      const jpeg = await sharp(plain.data, raw).jpeg({ quality }).toBuffer();
      const { data } = await sharp(jpeg).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
      return numbers({ ...plain, data });
    };
    const none = numbers(plain);
    const [q80, q40, q10] = [await at(80), await at(40), await at(10)];
    expect(Math.abs(none.blockiness)).toBeLessThan(0.02);
    expect(none.blockinessX).toBeLessThan(0.1);
    expect(q80.blockiness).toBeGreaterThan(none.blockiness);
    expect(q40.blockiness).toBeGreaterThan(q80.blockiness);
    expect(q10.blockiness).toBeGreaterThan(q40.blockiness);
    expect(q10.blockinessX).toBeGreaterThan(0.4);
    expect(q10.blockPhaseX).toBe(0);
    expect(q10.blockPhaseY).toBe(0);
  });

  it('nearest-neighbour upscaling by two leaves half the differences zero', () => {
    const small = scene(130, 130, 16);
    const found = numbers(grey(260, 260, (x, y) => small.data[(y >> 1) * 130 + (x >> 1)]));
    expect(found.zeroDifferenceShare).toBeGreaterThan(0.5);
    expect(found.deadRows).toBeCloseTo(0.5, 2);
  });
});

describe('structure', () => {
  const normal = gaussian(21);
  const plain = grey(200, 150, (x, y) => 120 + 40 * Math.sin(x / 20) * Math.cos(y / 15) + 2 * normal());
  const value = (x: number, y: number): number => plain.data[y * 200 + x];

  it('counts dead rows and columns', () => {
    const dead = numbers(grey(200, 150, (x, y) => (y === 40 || y === 90 ? 0 : x === 77 ? 255 : value(x, y))));
    // A dead row that column 77 crosses is not constant; nor does it equal the next.
    expect(dead.deadColumns).toBe(0);
    const rows = numbers(grey(200, 150, (x, y) => (y === 40 || y === 90 ? 0 : value(x, y))));
    expect(rows.deadRows).toBeCloseTo(2 / 148, 12);
    const columns = numbers(grey(200, 150, (x, y) => (x >= 70 && x < 73 ? 9 : value(x, y))));
    expect(columns.deadColumns).toBeCloseTo(3 / 198, 12);
    expect(columns.deadRows).toBe(0);
    expect(numbers(plain)).toMatchObject({ deadRows: 0, deadColumns: 0 });
  });

  it('alternate rows brighter by h: banding is exactly h, and the frame looks combed', () => {
    const striped = numbers(grey(100, 80, (_, y) => 100 + (y & 1) * 12));
    expect(striped.rowBanding).toBeCloseTo(12, 10);
    expect(striped.columnBanding).toBe(0);
    expect(striped.oddEvenRows).toBeCloseTo(Math.log(12.5 / 0.5), 10);
    expect(numbers(plain).oddEvenRows).toBeLessThan(0.1);
  });

  it('a covered corner lowers the weakest tile, not the middle one', () => {
    const covered = numbers(grey(200, 150, (x, y) => (x < 50 && y < 50 ? 60 : value(x, y))));
    const open = numbers(plain);
    expect(covered.tileEnergyMin).toBe(0);
    expect(covered.tileEnergyMedian).toBeGreaterThan(0.7 * open.tileEnergyMedian);
    expect(covered.tileEnergyDispersion).toBeGreaterThan(2 * open.tileEnergyDispersion);
    expect(covered.tileFlatShare).toBeGreaterThan(0);
    expect(open.tileFlatShare).toBe(0);
  });

  it('tile means of a ramp: standard deviation of 8 evenly spaced steps', () => {
    // Interior of 256 columns starting at 1; each tile is 32 wide, so means lie 32 apart: sd 32 sqrt((64 - 1) / 12).
    const ramp = numbers(grey(258, 98, (x) => x - 1));
    expect(ramp.tileMeanDispersion).toBeCloseTo(32 * Math.sqrt(63 / 12), 1);
  });
});

/** What needs enough textured blocks, or the tables of the file. */
const isOfBlocks = (name: string) => /^(lattice|earlierJpeg|coefficientGaps|otherGrid)/.test(name);

describe('added brightness without clipping', () => {
  it('changes only the exposure (oracle O28)', () => {
    const plain = scene(200, 160, 31);
    const darker = { ...plain, data: plain.data.map((v) => Math.min(200, Math.max(20, v))) };
    const brighter = { ...plain, data: darker.data.map((v) => v + 10) };
    const [a, b] = [numbers(darker), numbers(brighter)];
    for (const { name, group } of statistics)
      if (['sharpness', 'noise', 'compression', 'structure'].includes(group) && !isOfBlocks(name))
        expect(b[name], name).toBeCloseTo(a[name], 9);
    expect(b.lumaMean).toBeCloseTo(a.lumaMean + 10, 9);
    expect(b.lumaStd).toBeCloseTo(a.lumaStd, 9);
  });
});

const photographs = fileURLToPath(new URL('../../../../shared/data/generic_photos/', import.meta.url));
const names = ((): string[] => {
  try {
    return readdirSync(photographs)
      .filter((name) => /\.jpe?g$/i.test(name))
      .slice(0, 24);
  } catch {
    console.warn('photographs are skipped: ../shared/data/generic_photos is not here');
    return [];
  }
})();

describe.skipIf(names.length === 0)('photographs', () => {
  const decode = async (name: string): Promise<Frame> => {
    const { data, info } = await sharp(readFileSync(`${photographs}${name}`))
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height, channels: info.channels as 3 };
  };

  it('every number is finite, whichever photograph', async () => {
    for (const name of names) {
      const found = numbers(await decode(name));
      for (const row of statistics)
        if (row.group !== 'container' && !isOfBlocks(row.name))
          expect(Number.isFinite(found[row.name]), `${row.name} of ${name}`).toBe(true);
    }
  });

  it('blur of 0.8 pixels lowers block sharpness under noise of 8 DN, which hides it from the Laplacian (oracle O18)', async () => {
    const fallen: Record<string, number> = { blockSharpness: 0, laplacianVariance: 0 };
    for (const name of names) {
      const plain = await decode(name);
      const { width, height, channels } = plain;
      const data = await sharp(plain.data, { raw: { width, height, channels } }).blur(0.8).raw().toBuffer();
      const normal = gaussian(51);
      const sharper = numbers(plain);
      const softer = numbers({
        ...plain,
        data: data.map((v) => Math.min(255, Math.max(0, Math.round(v + 8 * normal())))),
      });
      for (const key of Object.keys(fallen)) if (softer[key] < sharper[key]) fallen[key]++;
    }
    expect(fallen.blockSharpness).toBe(names.length);
    expect(fallen.laplacianVariance).toBeLessThan(names.length);
  });

  it('noise of 10 DN is found within 20 % by every estimator on most photographs', async () => {
    const normal = gaussian(41);
    const estimates: Record<string, number[]> = { noiseSigma: [], noiseImmerkaer: [], noiseMedian: [], noiseMad: [] };
    for (const name of names) {
      const frame = await decode(name);
      // One draw for the three channels, so that luma carries all of it.
      const data = new Uint8Array(frame.data.length);
      for (let i = 0; i < data.length; i += 3) {
        const noise = 10 * normal();
        for (let k = 0; k < 3; k++) data[i + k] = Math.min(255, Math.max(0, Math.round(frame.data[i + k] + noise)));
      }
      const found = numbers({ ...frame, data });
      for (const key of Object.keys(estimates)) estimates[key].push(found[key]);
    }
    for (const [key, values] of Object.entries(estimates)) {
      const middle = values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
      expect(Math.abs(middle / 10 - 1), `${key}: median ${middle}`).toBeLessThan(0.2);
    }
  });
});
