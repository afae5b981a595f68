import { describe, expect, it } from 'vitest';
import { findRise, withVideoRise } from '../../src/fit/video.ts';

describe('how much higher images score as frames of a video', () => {
  it('is the most by which a value of the upper half lies above the one of its rank', () => {
    // Ranked: 1 2 3 4 and 9 9 3.5 4.25 -> 3.5 4.25 9 9; the lower half does not count.
    expect(findRise([4, 1, 3, 2], [9, 3.5, 4.25, 9])).toBe(6);
    expect(findRise([1, 2, 3, 4], [50, 2, 3, 4.5])).toBe(46);
    expect(findRise([1, 2, 3, 4], [1, 2, 3.25, 4.5])).toBe(0.5);
  });

  it('does not depend on the order, and is never below 0', () => {
    expect(findRise([3, 2, 1], [1, 2, 3])).toBe(0);
    expect(findRise([1, 2, 3], [0, 1, 2])).toBe(0);
  });

  it('stands with each detector, and with none where the reference is a video', () => {
    const detectors = [
      { name: 'combined', components: [0, 1] },
      { name: 'capture', components: [1] },
    ];
    expect(withVideoRise(detectors, [0.5, 0]).map(({ video }) => video)).toEqual([0.5, 0]);
    expect(withVideoRise(detectors, undefined)).toEqual(detectors);
  });
});
