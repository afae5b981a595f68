import { describe, expect, it } from 'vitest';
import { crossFit, folds } from '../../src/fit/crossfit.ts';
import { measureRise, moveBetween, spreadBetween } from '../../src/fit/drives.ts';
import type { Sample } from '../../src/fit/samples.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { createProfile, type ProfileDescription } from '../../src/profile/description.ts';
import { createScorer } from '../../src/profile/score.ts';

describe('what drives tell of others', () => {
  const seen = (known: number[], unknown: number[]) => ({
    known: Float64Array.from(known),
    unknown: Float64Array.from(unknown),
  });

  it('is by how much the median image lies farther out where nothing of its drive is known', () => {
    const none = Number.NEGATIVE_INFINITY;
    const images = [
      seen([1, 0, none], [2, -1, none]),
      seen([1, 0, none], [4, -1, 3]),
      seen([1, 5, none], [9, 4, none]),
    ];
    expect([...measureRise(images)]).toEqual([3, -1, 0]);
  });

  it('is the mean over drives, a fifth of it with two and a third with three, and never less than nothing', () => {
    const rises = [Float64Array.of(2, 0, -3), Float64Array.of(4, 1, 1), Float64Array.of(0, 2, -1)];
    expect([...spreadBetween(rises.slice(0, 2))!]).toEqual([expect.closeTo(0.6), expect.closeTo(0.1), 0]);
    expect([...spreadBetween(rises)!]).toEqual([expect.closeTo(2 / 3), expect.closeTo(1 / 3), 0]);
    expect(spreadBetween(rises.slice(0, 1))).toBeUndefined();
    expect([...moveBetween(Float64Array.of(1, 2), Float64Array.of(0.5, 0))]).toEqual([1.5, 2]);
    expect([...moveBetween(Float64Array.of(1, 2), undefined)]).toEqual([1, 2]);
  });
});

describe('a reference of several drives', () => {
  const varied = ['lumaMean', 'lumaStd', 'entropy'];
  const [perDrive, drives] = [60, 4];

  /** Frames of drives of which each has means of its own, as far apart as told. */
  function drawDrives(count: number, apart: number, seed: number): (Sample & { drive: string })[] {
    const random = new Random(seed);
    return Array.from({ length: count }, (_, drive) => {
      const centre = random.normals(varied.length);
      return Array.from({ length: perDrive }, (_, i) => {
        const own = random.normals(varied.length);
        const values = Float64Array.from(statistics, ({ name }) => {
          const at = varied.indexOf(name);
          return at < 0 ? 10 : 100 + apart * centre[at] + own[at];
        });
        const id = `${drive}-${i}`;
        return { id, path: id, group: id, fold: i % folds, drive: `${drive}`, statistics: values, properties: {} };
      });
    }).flat();
  }

  const rate = { warn: 0.05, block: 0.01 };
  const nothing = { images: 0, fitted: 0, skipped: 0, duplicates: 0, folders: [] };
  const reference = { ...nothing, split: { by: 'time block' as const, groups: 0, folds, seed: 1 } };
  const rest = { name: '', createdAt: '', stopline: '', decode: { rule: '', decoder: '' }, warnings: [], reference };

  /** How many frames are stopped of drives that the reference does not have. */
  function countStopped(samples: Sample[], others: readonly Sample[]): number {
    const { description, tensors } = crossFit(samples, []);
    const told: ProfileDescription = { ...rest, falseAlarmRate: { asked: rate, promised: rate }, ...description };
    const names = statistics.map(({ name }) => name);
    const scorer = createScorer(createProfile(told, tensors), names);
    return others.filter((image) => scorer.score(image.statistics, {}).detectors[0].pValue <= rate.warn).length;
  }

  it('stops fewer frames of an unseen drive, the more its own drives differ', () => {
    const others = drawDrives(20, 1.5, 2);
    const apart = drawDrives(drives, 1.5, 1);
    const unaware = countStopped(
      apart.map(({ drive: _, ...sample }) => sample),
      others,
    );
    const aware = countStopped(apart, others);
    expect(unaware).toBeGreaterThan(1.5 * rate.warn * others.length);
    expect(aware).toBeLessThan(0.85 * unaware);
  });

  it('calibrates as without them where its drives are alike', () => {
    const { unseen } = crossFit(drawDrives(drives, 0, 3), []);
    const moved = unseen.map(({ score, calibration }) => calibration - score);
    // Scores are about 1 at the edge; what is left is how well medians of 60 images are known.
    for (const by of moved) expect(Math.abs(by)).toBeLessThan(0.1);
  });

  it('tells of no other drive where each is a population of its own', () => {
    // Far enough apart to be regimes, and each in all parts.
    const far = drawDrives(2, 40, 4);
    const { unseen, description, drives: left } = crossFit(far, []);
    expect(description.regimes).toHaveLength(2);
    for (const { score, calibration } of unseen) expect(calibration).toBe(score);
    // What an unseen one would meet is told all the same.
    expect(left).toHaveLength(2);
  });
});
