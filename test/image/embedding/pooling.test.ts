import { describe, expect, it } from 'vitest';
import { poolContent, poolEarly, readChannels } from '../../../src/image/embedding/pooling.ts';
import { random } from '../../fixtures/frames.ts';

/** Two frames of 3 channels on 20 x 15 places, in both layouts. */
const uniform = random(5);
const value = Array.from({ length: 2 * 3 * 300 }, () => uniform() * 2 - 1);
const nchw = { dimensions: [2, 3, 15, 20], data: Float32Array.from(value) };
const nhwc = {
  dimensions: [2, 15, 20, 3],
  data: Float32Array.from(value, (_, i) => {
    const [frame, place, c] = [Math.floor(i / 900), Math.floor((i % 900) / 3), i % 3];
    return value[frame * 900 + c * 300 + place];
  }),
};

describe('pooling', () => {
  it('content is the mean of each channel, in either layout', () => {
    for (const frame of [0, 1]) {
      const expected = [0, 1, 2].map((c) => {
        const channel = value.slice(frame * 900 + c * 300, frame * 900 + (c + 1) * 300);
        return channel.reduce((a, b) => a + b) / 300;
      });
      for (const [output, axis] of [
        [nchw, 1],
        [nhwc, 3],
      ] as const) {
        const out = new Float32Array(3);
        poolContent(output, axis, frame, out);
        for (let c = 0; c < 3; c++) expect(out[c]).toBeCloseTo(expected[c], 6);
      }
    }
  });

  it('level is the mean of |x|, peak that of its largest hundredth (3 of 300), in either layout', () => {
    for (const frame of [0, 1])
      for (const [output, axis] of [
        [nchw, 1],
        [nhwc, 3],
      ] as const) {
        const [level, peak] = [new Float32Array(3), new Float32Array(3)];
        poolEarly(output, axis, frame, level, peak);
        for (let c = 0; c < 3; c++) {
          const sizes = value.slice(frame * 900 + c * 300, frame * 900 + (c + 1) * 300).map(Math.abs);
          sizes.sort((a, b) => b - a);
          expect(level[c]).toBeCloseTo(sizes.reduce((a, b) => a + b) / 300, 6);
          expect(peak[c]).toBeCloseTo((sizes[0] + sizes[1] + sizes[2]) / 3, 6);
        }
      }
  });

  it('takes vectors as they are, means over the tokens of a transformer, and at least one place as the peak', () => {
    const out = new Float32Array(2);
    poolContent({ dimensions: [2, 2], data: Float32Array.of(1, 2, 3, 4) }, 1, 1, out);
    expect([...out]).toEqual([3, 4]);
    poolContent({ dimensions: [1, 3, 2], data: Float32Array.of(1, 10, 2, 20, 3, 30) }, 1, 0, out);
    expect([...out]).toEqual([2, 20]);
    const [level, peak] = [new Float32Array(1), new Float32Array(1)];
    poolEarly({ dimensions: [1, 1, 2, 2], data: Float32Array.of(1, -7, 2, 2) }, 1, 0, level, peak);
    expect([level[0], peak[0]]).toEqual([3, 7]);
  });

  it('refuses what is no row of numbers for each frame', () => {
    for (const dimensions of [[], [4], [1, 2, 3, 4, 5]])
      expect(() => readChannels(dimensions, 1)).toThrow(
        expect.objectContaining({ code: 'STOPLINE_ERR_MODEL_UNSUPPORTED' }),
      );
  });
});
