import { describe, expect, it } from 'vitest';
import { folds } from '../../src/fit/crossfit.ts';
import { leaveOut, restatePromise } from '../../src/fit/leaveout.ts';
import type { Sample } from '../../src/fit/samples.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';

const random = new Random(2);

/** 120 images whose numbers vary a little, the last three of which lie far away. */
const samples = Array.from({ length: 120 }, (_, i): Sample => {
  const normal = random.normals(statistics.length);
  const vector = Float64Array.from(statistics, ({ resolution }, j) => {
    const shift = i >= 117 ? 12 + i : 0;
    return 10 + (normal[j] + shift) * 100 * resolution;
  });
  return {
    id: `${i}`.padStart(4, '0'),
    path: `/r/${i}.jpg`,
    group: `${i}`,
    fold: i % folds,
    statistics: vector,
    properties: {},
  };
});

describe('images that are left out', () => {
  it('are the strangers, and hardly any other', () => {
    const stayed = new Set(leaveOut(samples, 'strangers').map(({ id }) => Number(id)));
    for (const stranger of [117, 118, 119]) expect(stayed).not.toContain(stranger);
    expect(stayed.size).toBeGreaterThanOrEqual(115);
  });

  it('are those whose paths are named, and a path of no image is refused', () => {
    const stayed = leaveOut(samples, ['/r/3.jpg', '/r/../r/4.jpg']);
    expect(stayed).toHaveLength(118);
    expect(stayed.map(({ path }) => path)).not.toContain('/r/4.jpg');
    expect(() => leaveOut(samples, ['/r/none.jpg'])).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_OPTION_INVALID', message: expect.stringContaining('/r/none.jpg') }),
    );
  });

  it('restate the promise: what was left out will be stopped when it comes again', () => {
    const text = restatePromise({ left: 2, images: 243 }, { warn: 0.01 });
    expect(text).toContain('2 of 243 images were left out. The promise is about images like the 241 that stayed');
    // 1 % and 2 of 243.
    expect(text).toContain('expect up to 1.8 % to be warned about or blocked, not 1 %');
  });
});
