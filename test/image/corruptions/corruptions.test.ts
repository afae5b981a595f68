import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { openWorkspace } from '../../../src/core/workspace.ts';
import { corrupt, corruptions, type Severity } from '../../../src/image/corruptions/corruptions.ts';
import { gaussianBlur, plane } from '../../../src/image/corruptions/filter.ts';
import { blackBody } from '../../../src/image/corruptions/light.ts';
import { Random } from '../../../src/image/corruptions/random.ts';
import { plasma } from '../../../src/image/corruptions/texture.ts';
import { decode } from '../../../src/image/decode.ts';
import type { Frame } from '../../../src/image/frame.ts';

const severities: readonly Severity[] = [1, 2, 3, 4, 5];
const names = corruptions.map(({ name }) => name);

function flat(width: number, height: number, ...colour: [number, number, number]): Frame {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3];
  return { data, width, height, channels: 3 };
}

/** Sky over ground with clouds of all sizes (a 1/f spectrum, as in nature), coloured boxes and a little noise. */
function scene(width: number, height: number): Frame {
  const frame = flat(width, height, 0, 0, 0);
  const random = new Random(11);
  const space = openWorkspace();
  const { at } = plasma(space, { width, height }, { decay: 1.9, random, firstCells: 3 });
  const clouds = space.readFloats(at, width * height);
  const noise = random.normals(width * height, 0, 2);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const p = y * width + x;
      const [u, v] = [x / width, y / height];
      const box = v > 0.3 && v < 0.75 && ((u > 0.08 && u < 0.3) || (u > 0.62 && u < 0.7) || u > 0.9);
      const colour = box ? [70 + 120 * u, 90, 150 - 110 * u] : v < 0.45 ? [135, 165, 205 - 60 * v] : [95, 92, 85];
      for (let c = 0; c < 3; c++) {
        frame.data[p * 3 + c] = Math.min(255, Math.max(0, colour[c] + noise[p] + 130 * (clouds[p] - 0.5)));
      }
    }
  }
  return frame;
}

function distance(a: Frame, b: Frame): number {
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += Math.abs(a.data[i] - b.data[i]);
  return sum / a.data.length;
}

function moments(values: ArrayLike<number>): { mean: number; deviation: number } {
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    sum += values[i];
    squares += values[i] ** 2;
  }
  const mean = sum / values.length;
  return { mean, deviation: Math.sqrt(squares / values.length - mean * mean) };
}

const channelMeans = ({ data }: Frame): number[] =>
  [0, 1, 2].map((c) => moments(data.filter((_, i) => i % 3 === c)).mean);

describe('every cause', () => {
  it('is declared once, with a family, a meaning and a source', () => {
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(59);
    for (const { name, meaning, source } of corruptions) {
      expect(name).toMatch(/^[a-z][a-zA-Z]+$/);
      expect(meaning).toMatch(/\.$/);
      expect(source).not.toBe('');
    }
  });

  it.each(names)('%s keeps the size, leaves its input alone and repeats itself for the same seed', async (name) => {
    const frame = scene(96, 64);
    // What sharp returns, and what has once been written through: Buffer.slice shares memory, Uint8Array.slice does not.
    const shared: Frame = { ...frame, data: Buffer.from(frame.data) };
    const first = await corrupt(shared, name, 3, 42);
    const second = await corrupt(frame, name, 3, 42);
    expect([first.width, first.height, first.channels, first.data.length]).toEqual([96, 64, 3, 96 * 64 * 3]);
    expect(Buffer.compare(first.data, second.data)).toBe(0);
    expect(Buffer.compare(shared.data, frame.data)).toBe(0);
    expect(distance(first, frame)).toBeGreaterThan(0);
  });

  const drawn = [
    'gaussianNoise shotNoise impulseNoise speckleNoise motionBlur glassBlur rain lensDrops snow frost fog spatter dirt',
    'sunGlare dusk night colourCast stuckRows deadPixels hotPixels verticalBanding occlusion rollingShutter elastic cropZoom',
    'bars partlyDecoded wrongLayout brokenBlocks overlay monochrome',
  ].join(' ');
  it.each(drawn.split(' '))('%s differs from seed to seed', async (name) => {
    const frame = scene(96, 64);
    const [a, b] = await Promise.all([1, 2].map((seed) => corrupt(frame, name, 3, seed)));
    expect(distance(a, b)).toBeGreaterThan(0);
  });

  it.each([
    [17, 33],
    [16, 200],
    [1, 1],
    [2, 5],
  ])('works on %i x %i', async (width, height) => {
    const frame = scene(width, height);
    for (const name of names) {
      for (const severity of severities) {
        const { data } = await corrupt(frame, name, severity, 7);
        expect(data.length, `${name} ${severity}`).toBe(width * height * 3);
      }
    }
  });

  it('works on 641 x 359', async () => {
    const frame = scene(641, 359);
    for (const name of names) {
      const { data } = await corrupt(frame, name, 3, 7);
      expect(data.length, name).toBe(641 * 359 * 3);
    }
  });

  it('refuses unknown causes, severities and frames', async () => {
    const frame = scene(32, 32);
    await expect(corrupt(frame, 'sandstorm', 3, 1)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringMatching(/gaussianNoise, .*channelSwap, .*monochrome but received sandstorm/),
    });
    await expect(corrupt(frame, 'fog', 6 as Severity, 1)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
    });
    await expect(corrupt({ ...frame, channels: 1 }, 'fog', 3, 1)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_FRAME_INVALID',
    });
    await expect(corrupt({ ...frame, width: 33 }, 'fog', 3, 1)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_FRAME_INVALID',
    });
  });
});

describe('severity', () => {
  // Published parameters that are not monotone in pixel distance: saturation first pales and then overdoes, elastic trades
  // warp for jitter, water turns to mud, snow 2 is denser than snow 3. And the orders of channels, layouts of memory, turns and kinds of placeholder have no degrees.
  const unordered = new Set([
    'saturation',
    'elastic',
    'spatter',
    'snow',
    'channelSwap',
    'wrongLayout',
    'orientation',
    'placeholder',
  ]);
  it.each(names.filter((name) => !unordered.has(name)))('%s moves pixels farther from step to step', async (name) => {
    const frame = scene(240, 180);
    const distances = await Promise.all(
      severities.map(async (severity) => {
        const each = await Promise.all([1, 2, 3, 4].map((seed) => corrupt(frame, name, severity, seed)));
        return each.reduce((sum, result) => sum + distance(result, frame), 0) / each.length;
      }),
    );
    for (let s = 1; s < 5; s++) expect(distances[s], distances.join(' ')).toBeGreaterThan(distances[s - 1]);
  });
});

/** Mean and deviation of N(mean, sd) clipped to 0..255, by numerical integration. */
function clippedNormal(mean: number, sd: number): { mean: number; deviation: number } {
  const steps = 20000;
  let weight = 0;
  let first = 0;
  let second = 0;
  for (let i = 0; i <= steps; i++) {
    const z = -8 + (16 * i) / steps;
    const w = Math.exp((-z * z) / 2);
    const v = Math.min(255, Math.max(0, mean + sd * z));
    weight += w;
    first += w * v;
    second += w * v * v;
  }
  const m = first / weight;
  return { mean: m, deviation: Math.sqrt(second / weight - m * m) };
}

describe('noise has the published strength', () => {
  const grey = flat(256, 256, 128, 128, 128);

  it.each([0.08, 0.12, 0.18, 0.26, 0.38].map((sd, i) => [i + 1, sd]))(
    'gaussianNoise severity %i: ImageNet-C sd %f, after clipping, within 2 %%',
    async (severity, sd) => {
      const expected = clippedNormal(128, 255 * sd);
      const { mean, deviation } = moments((await corrupt(grey, 'gaussianNoise', severity as Severity, 3)).data);
      expect(Math.abs(deviation / expected.deviation - 1)).toBeLessThan(0.02);
      expect(Math.abs(mean - expected.mean)).toBeLessThan(1);
    },
  );

  it('speckleNoise severity 1 is 15 % of the value', async () => {
    const { deviation } = moments((await corrupt(flat(256, 256, 100, 100, 100), 'speckleNoise', 1, 3)).data);
    expect(Math.abs(deviation / 15 - 1)).toBeLessThan(0.02);
  });

  it('shotNoise has the variance of photons: sd = 255 sqrt(x / c)', async () => {
    for (const [severity, photons] of [
      [1, 60],
      [2, 25],
    ] as const) {
      const { mean, deviation } = moments((await corrupt(flat(256, 256, 64, 64, 64), 'shotNoise', severity, 3)).data);
      expect(Math.abs(deviation / (255 * Math.sqrt(64 / 255 / photons)) - 1)).toBeLessThan(0.02);
      expect(Math.abs(mean - 64)).toBeLessThan(0.5);
    }
  });

  it('impulseNoise flips the stated share of samples, half to white', async () => {
    const { data } = await corrupt(grey, 'impulseNoise', 4, 3);
    const white = data.filter((v) => v === 255).length / data.length;
    const black = data.filter((v) => v === 0).length / data.length;
    // Binomial: four standard errors of p = .085 over 196 608 samples are .0025.
    expect(Math.abs(white - 0.085)).toBeLessThan(0.0025);
    expect(Math.abs(black - 0.085)).toBeLessThan(0.0025);
  });
});

describe('blur', () => {
  it.each([0.5, 0.7, 1, 1.5, 2, 3, 4, 6])('the gaussian filter has variance sigma^2 for sigma %f', (sigma) => {
    const image = plane(81, 81);
    image.data[40 * 81 + 40] = 1;
    const { data } = gaussianBlur(image, sigma);
    const moment = { sum: 0, x: 0, y: 0 };
    data.forEach((v, p) => {
      moment.sum += v;
      moment.x += v * ((p % 81) - 40) ** 2;
      moment.y += v * (Math.floor(p / 81) - 40) ** 2;
    });
    expect(moment.sum).toBeCloseTo(1, 4);
    expect(moment.x).toBeCloseTo(sigma ** 2, 2);
    expect(moment.y).toBeCloseTo(sigma ** 2, 2);
  });

  it('a flat frame stays flat under every blur', async () => {
    const frame = flat(40, 30, 200, 90, 17);
    for (const { name } of corruptions.filter(({ family }) => family === 'blur')) {
      for (const severity of severities) {
        expect(distance(await corrupt(frame, name, severity, 5), frame), `${name} ${severity}`).toBe(0);
      }
    }
  });

  it('defocusBlur turns a point into a disk of the stated radius', async () => {
    const frame = flat(61, 61, 0, 0, 0);
    frame.data.fill(255, (30 * 61 + 30) * 3, (30 * 61 + 30) * 3 + 3);
    const { data } = await corrupt(frame, 'defocusBlur', 1, 1);
    // Radius 3 holds 29 pixels: 255 / 29 = 8.8.
    const lit = Array.from({ length: 61 * 61 }, (_, p) => p).filter((p) => data[p * 3] > 0);
    expect(lit).toHaveLength(29);
    for (const p of lit) {
      expect(Math.hypot((p % 61) - 30, Math.floor(p / 61) - 30)).toBeLessThanOrEqual(3);
      expect(data[p * 3]).toBe(9);
    }
  });

  it('motionBlur goes in every direction', async () => {
    const frame = flat(81, 81, 0, 0, 0);
    frame.data.fill(255, (40 * 81 + 40) * 3, (40 * 81 + 40) * 3 + 3);
    const quadrants = new Set<string>();
    for (let seed = 0; seed < 24; seed++) {
      const { data } = await corrupt(frame, 'motionBlur', 1, seed);
      let x = 0;
      let y = 0;
      for (let p = 0; p < 81 * 81; p++) {
        x += data[p * 3] * ((p % 81) - 40);
        y += data[p * 3] * (Math.floor(p / 81) - 40);
      }
      quadrants.add(`${x < 0} ${y < 0}`);
    }
    expect(quadrants).toEqual(new Set(['true true', 'true false', 'false true', 'false false']));
  });
});

describe('weather', () => {
  it('fog obeys x t + a (1 - t), and t falls towards the horizon and with severity', async () => {
    const rows = async (severity: Severity) => {
      const [white, black] = await Promise.all(
        [255, 0].map((v) => corrupt(flat(200, 150, v, v, v), 'fog', severity, 9)),
      );
      return [140, 100, 70].map((y) => {
        const row = (frame: Frame) =>
          moments(frame.data.subarray(y * 600, (y + 1) * 600).filter((_, i) => i % 3 === 0)).mean;
        return { t: (row(white) - row(black)) / 255, air: row(black) };
      });
    };
    const mild = await rows(1);
    const severe = await rows(5);
    for (const row of [mild, severe]) {
      expect(row[0].t).toBeGreaterThan(row[1].t + 0.05);
      expect(row[1].t).toBeGreaterThan(row[2].t + 0.02);
      for (const { t, air } of row) expect(Math.abs(air - 206 * (1 - t))).toBeLessThan(1.5);
    }
    mild.forEach(({ t }, i) => {
      expect(t).toBeGreaterThan(severe[i].t);
    });
  });

  it('rain leaves streaks that run down rather than across', async () => {
    const { data } = await corrupt(flat(240, 180, 90, 90, 90), 'rain', 3, 4);
    let down = 0;
    let across = 0;
    for (let y = 0; y + 1 < 180; y++) {
      for (let x = 0; x + 1 < 240; x++) {
        const i = (y * 240 + x) * 3;
        down += Math.abs(data[i] - data[i + 720]);
        across += Math.abs(data[i] - data[i + 3]);
      }
    }
    expect(across).toBeGreaterThan(1.5 * down);
  });

  it('frost sits at the border and leaves the middle clearer', async () => {
    const frame = flat(240, 180, 60, 60, 60);
    const { data } = await corrupt(frame, 'frost', 2, 4);
    const mean = (inside: (x: number, y: number) => boolean) => {
      const values: number[] = [];
      for (let p = 0; p < 240 * 180; p++) if (inside(p % 240, Math.floor(p / 240))) values.push(data[p * 3]);
      return moments(values).mean;
    };
    const border = mean((x, y) => Math.min(x, y, 239 - x, 179 - y) < 12);
    const middle = mean((x, y) => Math.abs(x - 120) < 40 && Math.abs(y - 90) < 30);
    expect(border).toBeGreaterThan(middle + 30);
  });

  it('sunGlare saturates the sun and only adds light', async () => {
    const frame = flat(240, 180, 60, 60, 60);
    const { data } = await corrupt(frame, 'sunGlare', 4, 4);
    expect(data.every((v) => v >= 60)).toBe(true);
    expect(data.some((v) => v === 255)).toBe(true);
  });

  it('dirt covers about the stated share', async () => {
    const { data } = await corrupt(flat(240, 180, 255, 255, 255), 'dirt', 3, 4);
    const covered = data.filter((v, i) => i % 3 === 0 && v < 180).length / (240 * 180);
    expect(Math.abs(covered - 0.13)).toBeLessThan(0.05);
  });
});

describe('light', () => {
  it('overExposure and underExposure are factors of two in linear light', async () => {
    const linear = (v: number) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const [over] = (await corrupt(flat(4, 4, 90, 90, 90), 'overExposure', 3, 1)).data;
    const [under] = (await corrupt(flat(4, 4, 200, 200, 200), 'underExposure', 2, 1)).data;
    // Half a digital number of rounding is 1 % here.
    expect(Math.log2(linear(over) / linear(90))).toBeCloseTo(1.2, 1);
    expect(Math.log2(linear(under) / linear(200))).toBeCloseTo(-1.1, 1);
  });

  it('colourCast gains are 1 + a cos(hue - 120 c), which average to one', async () => {
    const frame = flat(16, 16, 100, 100, 100);
    for (let seed = 0; seed < 8; seed++) {
      const gains = channelMeans(await corrupt(frame, 'colourCast', 4, seed)).map((mean) => mean / 100 - 1);
      expect(Math.abs(gains[0] + gains[1] + gains[2])).toBeLessThan(0.02);
      // sum of cos^2 at three angles 120 degrees apart is 3/2
      expect(Math.sqrt(gains.reduce((sum, g) => sum + g * g, 0) / 1.5)).toBeCloseTo(0.24, 1);
    }
  });

  it('whiteBalance is warm or cool by the seed', async () => {
    const frame = flat(8, 8, 128, 128, 128);
    const kinds = new Set<string>();
    for (let seed = 0; seed < 12; seed++) {
      const [red, , blue] = channelMeans(await corrupt(frame, 'whiteBalance', 3, seed));
      kinds.add(red > 128 && blue < 128 ? 'warm' : red < 128 && blue > 128 ? 'cool' : 'neither');
    }
    expect(kinds).toEqual(new Set(['warm', 'cool']));
  });

  it('the black body agrees with published chromaticities', () => {
    const chromaticity = (kelvin: number) => {
      const [r, g, b] = blackBody(kelvin);
      const X = 0.4124564 * r + 0.3575761 * g + 0.1804375 * b;
      const Y = 0.2126729 * r + 0.7151522 * g + 0.072175 * b;
      const Z = 0.0193339 * r + 0.119192 * g + 0.9503041 * b;
      return [X / (X + Y + Z), Y / (X + Y + Z)];
    };
    // CIE illuminant A is a black body at 2856 K: (0.4476, 0.4074). At 6500 K the locus is at (0.3135, 0.3237).
    expect(chromaticity(2856)[0]).toBeCloseTo(0.4476, 2);
    expect(chromaticity(2856)[1]).toBeCloseTo(0.4074, 2);
    expect(chromaticity(6500)[0]).toBeCloseTo(0.3135, 2);
    expect(chromaticity(6500)[1]).toBeCloseTo(0.3237, 2);
  });

  it('lowContrast scales about the channel means', async () => {
    const frame = scene(80, 60);
    const [before, after] = [frame, await corrupt(frame, 'lowContrast', 1, 1)].map(channelMeans);
    for (let c = 0; c < 3; c++) {
      expect(Math.abs(before[c] - after[c])).toBeLessThan(0.5);
      const measureDeviation = (f: Frame) => moments(f.data.filter((_, i) => i % 3 === c)).deviation;
      expect(measureDeviation(await corrupt(frame, 'lowContrast', 1, 1)) / measureDeviation(frame)).toBeCloseTo(0.4, 1);
    }
  });

  it('desaturation ends in grey, saturation keeps V of HSV', async () => {
    const frame = scene(80, 60);
    const grey = (await corrupt(frame, 'desaturation', 5, 1)).data;
    const strong = (await corrupt(frame, 'saturation', 4, 1)).data;
    for (let i = 0; i < grey.length; i += 3) {
      const value = Math.max(frame.data[i], frame.data[i + 1], frame.data[i + 2]);
      const isRight =
        grey[i] === grey[i + 1] &&
        grey[i] === grey[i + 2] &&
        Math.max(strong[i], strong[i + 1], strong[i + 2]) === value;
      if (!isRight) expect.fail(`sample ${i}`);
    }
  });

  it('dusk is a power of linear light, tinted blue or red, and leaves the sky brighter than the ground', async () => {
    const linear = (v: number) => ((v / 255 + 0.055) / 1.055) ** 2.4;
    const tints = new Set<string>();
    for (let seed = 0; seed < 12; seed++) {
      const [sky, ground] = await Promise.all(
        [230, 90].map(async (v) => channelMeans(await corrupt(flat(64, 64, v, v, v), 'dusk', 3, seed))),
      );
      // Paler colours keep the luma: green loses a little of its distance to it.
      const luma = ([red, green, blue]: number[]) => 0.299 * red + 0.587 * green + 0.114 * blue;
      const left = [sky, ground].map((colour, i) => linear(luma(colour)) / linear([230, 90][i]));
      expect(left[0]).toBeGreaterThan(1.5 * left[1]);
      // Green alone: .45 of the light to the power 1.25, with what was burnt out, drawn to the grey by .24 of its distance.
      const grey = luma(sky);
      const expected = 0.45 * linear(230) ** 1.25 * (1 + 0.9 * linear(230) ** 4);
      expect(linear(grey + (sky[1] - grey) / 0.76)).toBeCloseTo(expected, 2);
      tints.add(sky[2] > sky[0] ? 'blue' : 'red');
    }
    expect(tints).toEqual(new Set(['blue', 'red']));
  });

  it('night is dark, bluish and noisy', async () => {
    const result = await corrupt(flat(128, 128, 150, 150, 150), 'night', 3, 1);
    const [red, green, blue] = channelMeans(result);
    expect(blue).toBeGreaterThan(green);
    expect(green).toBeGreaterThan(red);
    expect(blue).toBeLessThan(75);
    expect(moments(result.data.filter((_, i) => i % 3 === 1)).deviation).toBeGreaterThan(6);
  });
});

describe('compression and scaling', () => {
  it.each([25, 18, 15, 10, 7].map((quality, i) => [i + 1, quality]))(
    "jpeg severity %i is sharp's own at quality %i",
    async (severity, quality) => {
      const frame = scene(83, 61);
      const raw = { width: 83, height: 61, channels: 3 } as const;
      const expected = await sharp(await sharp(frame.data, { raw }).jpeg({ quality }).toBuffer())
        .raw()
        .toBuffer();
      expect(Buffer.compare((await corrupt(frame, 'jpeg', severity as Severity, 1)).data, expected)).toBe(0);
    },
  );

  it('pixelate makes constant blocks that carry the mean of their pixels', async () => {
    const frame = scene(64, 48);
    const { data } = await corrupt(frame, 'pixelate', 2, 1);
    for (let y = 0; y < 48; y += 2) {
      for (let x = 0; x < 64; x += 2) {
        const corners = [0, 1, 64, 65].map((step) => (y * 64 + x + step) * 3);
        const mean = corners.reduce((sum, i) => sum + frame.data[i], 0) / 4;
        for (const i of corners) expect(data[i]).toBe(Math.floor(mean + 0.5));
      }
    }
  });

  it('downUp keeps things where they are', async () => {
    // A smooth ramp: half a pixel of shift would be 1.
    const ramp = flat(120, 90, 0, 0, 0);
    ramp.data.forEach((_, i) => {
      ramp.data[i] = 2 * (Math.floor(i / 3) % 120);
    });
    for (const severity of severities) {
      const { data } = await corrupt(ramp, 'downUp', severity, 1);
      const inner = Array.from({ length: 80 }, (_, x) => data[(45 * 120 + x + 20) * 3] - 2 * (x + 20));
      expect(Math.abs(moments(inner).mean), `severity ${severity}`).toBeLessThan(0.35);
    }
  });

  it('banding leaves 2^bits values', async () => {
    for (const [severity, levels] of [
      [3, 8],
      [5, 2],
    ] as const) {
      const gradient = flat(256, 4, 0, 0, 0);
      gradient.data.forEach((_, i) => {
        gradient.data[i] = Math.floor(i / 3) % 256;
      });
      expect(new Set((await corrupt(gradient, 'banding', severity, 1)).data).size).toBe(levels);
    }
  });

  it('sharpening overshoots at an edge by the amount of the unsharp mask', async () => {
    const frame = flat(64, 32, 100, 100, 100);
    for (let p = 0; p < 64 * 32; p++) if (p % 64 >= 32) frame.data.fill(150, p * 3, p * 3 + 3);
    const { data } = await corrupt(frame, 'sharpening', 1, 1);
    const row = Array.from({ length: 64 }, (_, x) => data[(16 * 64 + x) * 3]);
    // Next to the edge the blurred step is Phi(0.5 / 1.5) = .63 of the way: 0.6 * 50 * (1 - .63) = 11.
    expect(Math.abs(row[32] - 161)).toBeLessThanOrEqual(2);
    expect(Math.abs(row[31] - 89)).toBeLessThanOrEqual(2);
    expect(row[5]).toBe(100);
  });
});

describe('sensor and geometry', () => {
  it('blankFrame is constant and starts at the mean', async () => {
    const frame = scene(60, 40);
    const mean = channelMeans(frame);
    for (const severity of severities) {
      const { data } = await corrupt(frame, 'blankFrame', severity, 2);
      expect(data.every((v, i) => v === data[i % 3])).toBe(true);
      if (severity === 1) for (let c = 0; c < 3; c++) expect(Math.abs(data[c] - mean[c])).toBeLessThanOrEqual(0.5);
    }
  });

  it('channelSwap is a permutation of the channels, no two severities alike; 3 swaps red and blue', async () => {
    const frame = flat(4, 4, 10, 20, 30);
    const orders = await Promise.all(
      severities.map(async (severity) => [...(await corrupt(frame, 'channelSwap', severity, 1)).data.subarray(0, 3)]),
    );
    expect(orders[2]).toEqual([30, 20, 10]);
    expect(new Set([...orders, [10, 20, 30]].map(String)).size).toBe(6);
    for (const order of orders) expect(order.toSorted()).toEqual([10, 20, 30]);
  });

  it('frozenFrame repeats the last row that came', async () => {
    const frame = scene(60, 100);
    const { data } = await corrupt(frame, 'frozenFrame', 2, 1);
    const row = (d: Uint8Array, y: number) => Buffer.from(d.subarray(y * 180, (y + 1) * 180));
    for (let y = 0; y < 78; y++) expect(row(data, y).equals(row(frame.data, y))).toBe(true);
    for (let y = 78; y < 100; y++) expect(row(data, y).equals(row(frame.data, 77))).toBe(true);
  });

  it('interlaceTearing leaves even rows and shifts odd ones', async () => {
    const frame = scene(200, 20);
    const { data } = await corrupt(frame, 'interlaceTearing', 5, 1);
    const shift = [-7, 7].find((s) => data[(200 + 100) * 3] === frame.data[(200 + 100 + s) * 3]) as number;
    for (let x = 20; x < 180; x++) {
      expect(data[x * 3]).toBe(frame.data[x * 3]);
      expect(data[(200 + x) * 3]).toBe(frame.data[(200 + x + shift) * 3]);
    }
  });

  it('occlusion hides about the stated share, from the border', async () => {
    for (let seed = 0; seed < 8; seed++) {
      const { data } = await corrupt(flat(200, 150, 255, 255, 255), 'occlusion', 4, seed);
      const hidden = data.filter((v, i) => i % 3 === 1 && v < 150).length / (200 * 150);
      // The half ellipse may be cut by a corner.
      expect(hidden).toBeGreaterThan(0.13);
      expect(hidden).toBeLessThan(0.26);
    }
  });

  it('cropZoom enlarges by the stated factor', async () => {
    const ramp = flat(201, 21, 0, 0, 0);
    ramp.data.forEach((_, i) => {
      ramp.data[i] = Math.floor(i / 3) % 201;
    });
    const { data } = await corrupt(ramp, 'cropZoom', 5, 1);
    expect((data[(10 * 201 + 180) * 3] - data[(10 * 201 + 20) * 3]) / 160).toBeCloseTo(1 / 2, 1);
  });

  it('rotation turns by the stated angle about the centre', async () => {
    // A horizon: its slope after severity 5 is tan(20 degrees).
    const frame = flat(201, 201, 0, 0, 0);
    frame.data.fill(255, 100 * 201 * 3);
    const { data } = await corrupt(frame, 'rotation', 5, 1);
    const horizon = (x: number) =>
      Array.from({ length: 201 }, (_, y) => data[(y * 201 + x) * 3]).findIndex((v) => v > 127);
    expect(Math.abs((horizon(150) - horizon(50)) / 100)).toBeCloseTo(Math.tan((20 * Math.PI) / 180), 1);
  });

  it('orientation undoes itself by the turn that EXIF names', async () => {
    const frame = scene(64, 64);
    const image = (data: Uint8Array) => sharp(data, { raw: { width: 64, height: 64, channels: 3 } });
    const raw = async (picture: Sharp) => new Uint8Array(await picture.raw().toBuffer());
    const turned = async (severity: Severity, seed = 1) => (await corrupt(frame, 'orientation', severity, seed)).data;
    expect(await raw(image(await turned(1)).flop())).toEqual(frame.data);
    expect(await raw(image(await turned(2)).flip())).toEqual(frame.data);
    expect(await raw(image(await turned(3)).rotate(180))).toEqual(frame.data);
    // A quarter turn about a pixel of a frame of an even side is off by one: the inside of it is compared.
    const inside = (data: Uint8Array) => raw(image(data).extract({ left: 8, top: 8, width: 40, height: 40 }));
    const around = [-1, 0, 1].flatMap((x) =>
      [-1, 0, 1].map((y) => ({ left: 8 + x, top: 8 + y, width: 40, height: 40 })),
    );
    const matches = await Promise.all(
      [90, 270].flatMap((angle) =>
        around.map(async (part) => {
          const back = await raw(image(await turned(4)).rotate(angle));
          return Buffer.compare(await inside(frame.data), await raw(image(back).extract(part))) === 0;
        }),
      ),
    );
    expect(matches.filter(Boolean)).toHaveLength(1);
  });

  it('deadPixels and hotPixels touch few pixels, in the right direction', async () => {
    const frame = flat(200, 150, 100, 100, 100);
    const dead = (await corrupt(frame, 'deadPixels', 3, 1)).data;
    const hot = (await corrupt(frame, 'hotPixels', 3, 1)).data;
    expect(dead.every((v) => v <= 100) && hot.every((v) => v >= 100)).toBe(true);
    const share = (data: Uint8Array, value: number) => data.filter((v) => v === value).length / data.length;
    expect(share(dead, 0)).toBeCloseTo(0.0025, 3);
    expect(share(hot, 255)).toBeCloseTo(0.0025 / 3, 3);
  });
});

describe('stream', () => {
  const grey = (...values: number[]): Frame => ({
    data: Uint8Array.from(values.flatMap((value) => [value, value, value])),
    width: values.length,
    height: 1,
    channels: 3,
  });
  /** Both directions, whichever seed draws them. */
  const both = async (cause: string, frame: Frame, severity: Severity) => {
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => corrupt(frame, cause, severity, seed)));
    return new Set(all.map(({ data }) => data.filter((_, i) => i % 3 === 0).join(' ')));
  };

  it('colourRange 3 is BT.601: 0 to 255 on 16 to 235, or back, clipped; 5 is the same twice', async () => {
    expect(await both('colourRange', grey(0, 128, 255), 3)).toEqual(new Set(['16 126 235', '0 130 255']));
    expect(await both('colourRange', grey(0, 255), 5)).toEqual(new Set(['30 218', '0 255']));
    // Colour differences keep 224 / 255: of pure blue, (255 - 29.07) * 224 / 255 above its luma.
    const blue = await corrupt(flat(1, 1, 0, 0, 255), 'colourRange', 3, 1);
    expect([41 + 198, 255]).toContain(blue.data[2]);
  });

  it('bars are of one colour, take the stated share, and leave a picture', async () => {
    for (let seed = 0; seed < 12; seed++) {
      const frame = scene(160, 160);
      const { data } = await corrupt(frame, 'bars', 4, seed);
      const corner = data.subarray(data.length - 3);
      const isBar = (p: number) => corner.every((value, c) => data[3 * p + c] === value);
      const share = Array.from({ length: 160 * 160 }, (_, p) => p).filter(isBar).length / (160 * 160);
      // All around, what two bars take is taken twice, less the corners.
      expect(share).toBeGreaterThan(0.2);
      expect(share).toBeLessThan(0.35);
    }
  });

  it('partlyDecoded leaves what came and repeats, or has one colour, from a row of blocks on', async () => {
    const frame = scene(96, 128);
    const kinds = new Set<string>();
    for (let seed = 0; seed < 12; seed++) {
      const { data } = await corrupt(frame, 'partlyDecoded', 3, seed);
      const row = (y: number, from = data) => Buffer.from(from.subarray(y * 288, (y + 1) * 288));
      // 38 % of 128 rows are lost, from the row of blocks on in which they begin.
      for (let y = 0; y < 64; y++) expect(row(y).equals(row(y, frame.data))).toBe(true);
      const isRepeated = row(127).equals(row(111)) && !row(127).equals(row(126));
      kinds.add(isRepeated ? 'repeated' : [...data.subarray(data.length - 3)].join(' '));
    }
    expect(kinds).toEqual(new Set(['repeated', '128 128 128', '0 135 0', '0 0 0']));
  });

  it('wrongLayout moves no brightness where planes are mixed, and loses no byte elsewhere', async () => {
    const frame = scene(96, 64);
    const luma = ({ data }: Frame) =>
      channelMeans({ ...frame, data }).reduce((sum, v, c) => sum + v * [0.299, 0.587, 0.114][c], 0);
    for (const severity of [1, 2] as const) {
      expect(Math.abs(luma(await corrupt(frame, 'wrongLayout', severity, 1)) - luma(frame))).toBeLessThan(0.5);
    }
    const planes = await corrupt(frame, 'wrongLayout', 5, 1);
    expect(planes.data.toSorted()).toEqual(frame.data.toSorted());
    const { data } = await corrupt(frame, 'wrongLayout', 3, 1);
    const row = (d: Uint8Array, y: number, from: number) => [...d.subarray(288 * y + from, 288 * y + from + 60)].join();
    expect(row(data, 0, 0)).toBe(row(frame.data, 0, 0));
    const shifts = Array.from({ length: 17 }, (_, i) => 3 * (i - 8));
    const shift = shifts.find((by) => row(data, 1, 60) === row(frame.data, 1, 60 + by));
    expect(shift).not.toBe(0);
    expect(row(data, 2, 60)).toBe(row(frame.data, 2, 60 + 2 * (shift as number)));
  });

  it('brokenBlocks changes at most the stated share, in whole blocks of 16 pixels', async () => {
    const frame = scene(320, 160);
    const { data } = await corrupt(frame, 'brokenBlocks', 3, 1);
    const changed = new Set<number>();
    for (let i = 0; i < data.length; i++) {
      const p = Math.floor(i / 3);
      if (data[i] !== frame.data[i]) changed.add(20 * Math.floor(p / 320 / 16) + Math.floor((p % 320) / 16));
    }
    expect(changed.size).toBeGreaterThan(5);
    expect(changed.size).toBeLessThanOrEqual(20);
  });

  it('placeholder shows nothing of the picture', async () => {
    const [day, other] = [scene(160, 120), flat(160, 120, 9, 99, 199)];
    for (const severity of severities) {
      const [a, b] = await Promise.all([day, other].map((frame) => corrupt(frame, 'placeholder', severity, 5)));
      expect(Buffer.compare(a.data, b.data), `${severity}`).toBe(0);
    }
    // The bars of 75 %: from white to black.
    const { data } = await corrupt(day, 'placeholder', 3, 5);
    const bar = (i: number) => [...data.subarray(3 * (20 * i + 10), 3 * (20 * i + 10) + 3)];
    expect([bar(0), bar(1), bar(7)]).toEqual([
      [191, 191, 191],
      [191, 191, 0],
      [0, 0, 0],
    ]);
  });

  it('overlay leaves most of the picture, monochrome leaves no colour', async () => {
    const frame = scene(320, 240);
    for (let seed = 0; seed < 6; seed++) {
      const { data } = await corrupt(frame, 'overlay', 2, seed);
      const kept = data.filter((value, i) => value === frame.data[i]).length / data.length;
      expect(kept).toBeGreaterThan(0.7);
      expect(kept).toBeLessThan(0.9999);
    }
    const { data } = await corrupt(frame, 'monochrome', 3, 1);
    expect(data.every((value, i) => value === data[i - (i % 3)])).toBe(true);
  });
});

const folder = join(import.meta.dirname, '../../../../shared/data/reference/camvid_0016E5_day');
const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.jpg'));

describe.skipIf(files.length === 0)(
  `on a camera's frame${files.length === 0 ? ' (skipped: shared/data is absent)' : ''}`,
  () => {
    let frame: Frame;
    beforeAll(async () => {
      frame = (await decode(await readFile(join(folder, files[0])))).frame;
    });

    it('every cause is visible at severity 3, and none is black unless it is meant to be', async () => {
      for (const name of names) {
        const changed = await corrupt(frame, name, 3, 1);
        // The rarest are single pixels: 0.25 % of them.
        expect(distance(changed, frame), name).toBeGreaterThan(0.1);
        if (name !== 'blankFrame') expect(moments(changed.data).deviation, name).toBeGreaterThan(5);
      }
    });
  },
);
