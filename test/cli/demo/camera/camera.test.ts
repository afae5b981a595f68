import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { encodeFrame, renderFrame } from '../../../../src/cli/demo/camera/camera.ts';
import type { Frame } from '../../../../src/image/frame.ts';

/** Rec. 601 luma, mean over the frame, in DN. */
function meanLuma({ data }: Frame): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
  return sum / (data.length / 3);
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values: number[]) => {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
};

const small = { width: 160, height: 90 };

describe('renderFrame', () => {
  it('is 640x360 RGB when nothing is asked', () => {
    const frame = renderFrame(0);
    expect([frame.width, frame.height, frame.channels]).toEqual([640, 360, 3]);
    expect(frame.data.length).toBe(640 * 360 * 3);
  });

  it('takes the size that is asked', () => {
    const frame = renderFrame(3, { width: 97, height: 61 });
    expect([frame.width, frame.height, frame.data.length]).toEqual([97, 61, 97 * 61 * 3]);
  });

  it('is a function of seed and index, whatever was rendered before and at whatever size', () => {
    const forwards = [0, 1, 2, 3, 4].map((index) => renderFrame(index, small).data);
    renderFrame(9, { width: 200, height: 120 });
    const backwards = [4, 3, 2, 1, 0].map((index) => renderFrame(index, small).data).toReversed();
    for (const [index, data] of forwards.entries()) expect(Buffer.compare(data, backwards[index])).toBe(0);
  });

  it('does not share the pixels of two frames', () => {
    const first = renderFrame(0, small);
    const kept = first.data.slice();
    renderFrame(1, small);
    expect(Buffer.compare(first.data, kept)).toBe(0);
  });

  it('shows another scene for another index and for another seed', () => {
    const difference = (a: Frame, b: Frame) => mean(Array.from(a.data, (value, i) => Math.abs(value - b.data[i])));
    const frame = renderFrame(5, small);
    // Two developments of one scene would differ by the sensor noise alone, below 3 DN.
    for (let index = 6; index < 16; index++) expect(difference(frame, renderFrame(index, small))).toBeGreaterThan(8);
    expect(difference(frame, renderFrame(5, { ...small, seed: 2 }))).toBeGreaterThan(8);
  });

  it('is a population: the exposure varies within daylight', () => {
    const lumas = Array.from({ length: 60 }, (_, index) => meanLuma(renderFrame(index, small)));
    expect(deviation(lumas)).toBeGreaterThan(5);
    expect(deviation(lumas)).toBeLessThan(35);
    expect(mean(lumas)).toBeGreaterThan(85);
    expect(mean(lumas)).toBeLessThan(150);
  });

  it('paints every pixel: no frame is black in part, blown out or without contrast', () => {
    for (let index = 0; index < 60; index++) {
      const { data } = renderFrame(index, small);
      const dark = data.filter((value) => value < 3).length / data.length;
      const blown = data.filter((value) => value > 252).length / data.length;
      expect(dark, `index ${index}`).toBeLessThan(0.02);
      expect(blown, `index ${index}`).toBeLessThan(0.05);
      expect(deviation(Array.from(data)), `index ${index}`).toBeGreaterThan(15);
    }
  });

  it('has the noise of a sensor: a second difference in the sky between 0.5 and 3.5 DN', () => {
    const sigmas = Array.from({ length: 12 }, (_, index) => {
      const { data } = renderFrame(index);
      // Median of |x[i-1] - 2 x[i] + x[i+1]| of red in the top rows; for white noise 0.6745 sqrt(6) sigma.
      const steps: number[] = [];
      for (let i = 3; i < 640 * 3 * 40 - 3; i += 3) steps.push(Math.abs(data[i - 3] - 2 * data[i] + data[i + 3]));
      steps.sort((a, b) => a - b);
      return steps[steps.length >> 1] / (0.6745 * Math.sqrt(6));
    });
    for (const sigma of sigmas) {
      expect(sigma).toBeGreaterThan(0.5);
      expect(sigma).toBeLessThan(3.5);
    }
    expect(new Set(sigmas).size).toBeGreaterThan(1);
  });

  it('refuses what is not an integer, negative or too small', () => {
    const refused = expect.objectContaining({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    expect(() => renderFrame(-1)).toThrow(refused);
    expect(() => renderFrame(0.5)).toThrow(refused);
    expect(() => renderFrame(0, { width: 8 })).toThrow(refused);
    expect(() => renderFrame(0, { seed: Number.NaN })).toThrow(refused);
  });
});

describe('encodeFrame', () => {
  it('is a 4:2:0 JPEG of the same size that decodes to nearly the same pixels', async () => {
    const frame = renderFrame(2);
    const bytes = await encodeFrame(frame);
    const metadata = await sharp(bytes).metadata();
    expect([metadata.format, metadata.width, metadata.height, metadata.chromaSubsampling]).toEqual([
      'jpeg',
      640,
      360,
      '4:2:0',
    ]);
    const decoded = await sharp(bytes).raw().toBuffer();
    expect(mean(Array.from(frame.data, (value, i) => Math.abs(value - decoded[i])))).toBeLessThan(4);
  });

  it('is smaller at a lower quality', async () => {
    const frame = renderFrame(2, small);
    const [low, high] = await Promise.all([encodeFrame(frame, { quality: 40 }), encodeFrame(frame)]);
    expect(low.length).toBeLessThan(0.6 * high.length);
  });
});
