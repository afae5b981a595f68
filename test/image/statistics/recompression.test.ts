import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import { standardTable } from '../../../src/image/container/quality.ts';
import { readContainer } from '../../../src/image/container/read.ts';
import { decode } from '../../../src/image/decode.ts';
import { earlierThreshold, findEarlierPass, listSteps } from '../../../src/image/statistics/recompression.ts';
import { measureStatistics, statistics, toImageStatistics } from '../../../src/image/statistics/statistics.ts';
import { renderFrame } from '../../fixtures/camera.ts';
import { random } from '../../fixtures/frames.ts';

const core = loadCore();
const levels = 128;

/** Counts of |coefficient| of a Laplacian of mean 20 that was quantised by each quality in turn. */
function quantised(...qualities: number[]): Float64Array {
  const counts = new Float64Array(20 * levels);
  const uniform = random(1);
  const steps = qualities.map((quality) => listSteps(standardTable('luma', quality)));
  for (let frequency = 0; frequency < 20; frequency++)
    for (let draw = 0; draw < 400; draw++) {
      let value = -20 * Math.log(1 - uniform());
      for (const { [frequency]: step } of steps) value = step * Math.round(value / step);
      if (value < levels - 1) counts[frequency * levels + Math.round(value)]++;
    }
  return counts;
}

describe('an earlier pass', () => {
  it.each([
    [60, 95],
    [75, 90],
    [85, 92],
    [60, 75],
  ])('of quality %i is named below one of %i', (first, last) => {
    const found = findEarlierPass(quantised(first, last), listSteps(standardTable('luma', last)));
    expect(found.score).toBeGreaterThan(earlierThreshold);
    expect(Math.abs(found.quality - first)).toBeLessThanOrEqual(1);
  });

  it.each([30, 50, 60, 75, 85, 90, 95])('is not found in one pass of quality %i', (last) => {
    const found = findEarlierPass(quantised(last), listSteps(standardTable('luma', last)));
    expect(found.score).toBeLessThan(earlierThreshold);
  });

  it('of the same quality leaves nothing', () => {
    const steps = listSteps(standardTable('luma', 90));
    expect(findEarlierPass(quantised(90, 90), steps)).toEqual(findEarlierPass(quantised(90), steps));
  });

  it('is not told by one multiple, which is all that any pattern is then expected to leave', () => {
    const steps = listSteps(standardTable('luma', 90));
    const counts = new Float64Array(20 * levels);
    for (const [frequency, step] of steps.entries()) counts[frequency * levels + 2 * step] = 100;
    expect(findEarlierPass(counts, steps).score).toBe(0);
  });

  it('has no evidence where there are no coefficients', () => {
    const empty = findEarlierPass(new Float64Array(20 * levels), listSteps(standardTable('luma', 90)));
    expect(empty).toEqual({ score: 0, quality: Number.NaN });
  });
});

describe('the statistics of an earlier pass', () => {
  const frame = renderFrame(7, { width: 480, height: 270 });
  const raw = { raw: { width: frame.width, height: frame.height, channels: 3 as const } };
  const measured = async (...qualities: number[]) => {
    let pixels: Uint8Array = frame.data;
    let file = new Uint8Array();
    for (const quality of qualities) {
      file = await sharp(pixels, raw).jpeg({ quality }).toBuffer();
      pixels = await sharp(file).raw().toBuffer();
    }
    const decoded = await decode(file);
    return toImageStatistics(measureStatistics(core, decoded.frame, decoded.container));
  };

  it('tell a file compressed before from one that was not, and at which quality', async () => {
    const once = await measured(92);
    expect(once.earlierJpegScore).toBeLessThan(earlierThreshold);
    expect(once.earlierJpegQuality).toBeNull();
    expect(once.coefficientGaps).toBeLessThan(2);
    const twice = await measured(75, 92);
    expect(twice.earlierJpegScore).toBeGreaterThan(earlierThreshold);
    expect(twice.earlierJpegQuality).toBe(75);
    expect(twice.coefficientGaps).toBeGreaterThan(4);
  });

  it.each([
    [60, 5, 3],
    [75, 1, 7],
    [60, 0, 4],
    [85, 2, 0],
  ])('tell where the grid of quality %i lies after %i columns and %i rows were cut off', async (quality, left, top) => {
    const before = await sharp(frame.data, raw).jpeg({ quality }).toBuffer();
    const size = { left, top, width: frame.width - left, height: frame.height - top };
    const decoded = await decode(await sharp(before).extract(size).jpeg({ quality: 95 }).toBuffer());
    const found = toImageStatistics(measureStatistics(core, decoded.frame, decoded.container));
    expect(found).toMatchObject({ otherGridX: (8 - left) % 8, otherGridY: (8 - top) % 8 });
    const once = await measured(95);
    expect(once).toMatchObject({ otherGridX: null, otherGridY: null });
    expect(found.otherGridScore).toBeGreaterThan((once.otherGridScore as number) + 1);
  });

  it('know no other grid in pixels without texture', () => {
    const flat = { data: new Uint8Array(64 * 64).fill(90), width: 64, height: 64, channels: 1 as const };
    expect(toImageStatistics(measureStatistics(core, flat))).toMatchObject({ otherGridScore: 0, otherGridX: null });
  });

  it('do not apply without a JPEG, nor to pixels that were turned or shrunk', async () => {
    const file = await sharp(frame.data, raw).jpeg({ quality: 92 }).toBuffer();
    const { frame: pixels } = await decode(file);
    const container = readContainer(file);
    const names = ['earlierJpegScore', 'earlierJpegQuality', 'coefficientGaps'];
    const select = (vector: Float64Array) =>
      names.map((name) => vector[statistics.findIndex((row) => row.name === name)]);
    const none = [Number.NaN, Number.NaN, Number.NaN];
    expect(select(measureStatistics(core, pixels, container))[0]).toBeLessThan(earlierThreshold);
    expect(select(measureStatistics(core, pixels))).toEqual(none);
    expect(select(measureStatistics(core, pixels, { ...container, orientation: 3 }))).toEqual(none);
    expect(select(measureStatistics(core, pixels, { ...container, width: 960, height: 540 }))).toEqual(none);
  });
});
