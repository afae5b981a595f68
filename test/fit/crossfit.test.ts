import { describe, expect, it } from 'vitest';
import { chooseStatistics, crossFit, folds } from '../../src/fit/crossfit.ts';
import { achievedFalseAlarms, unseenDriveRate } from '../../src/fit/power.ts';
import type { Sample } from '../../src/fit/samples.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { fitSynthetic } from '../fixtures/synthetic.ts';

/** Samples at 10 everywhere, but for the statistics that are given by image. */
function samples(count: number, given: Record<string, (image: number) => number>): Sample[] {
  return Array.from({ length: count }, (_, i): Sample => {
    const vector = Float64Array.from(statistics, ({ name }) => given[name]?.(i) ?? 10);
    return {
      id: `${i}`,
      path: `${i}`,
      group: `${i}`,
      fold: i % folds,
      statistics: vector,
      properties: { size: '1x1' },
    };
  });
}

describe('chooseStatistics', () => {
  const varied = { lumaMean: (i: number) => i, lumaStd: (i: number) => i % 7, entropy: (i: number) => i % 5 };

  it('scores what varies, and keeps what does not as constants', () => {
    const { used, constants } = chooseStatistics(samples(20, varied));
    expect(used.map((position) => statistics[position].name).sort()).toEqual(['entropy', 'lumaMean', 'lumaStd']);
    expect(constants.noiseSigma).toBe(10);
  });

  it('takes a spread below the resolution for a constant', () => {
    const { resolution } = statistics.find(({ name }) => name === 'noiseSigma')!;
    const spread = (width: number) =>
      chooseStatistics(samples(20, { ...varied, noiseSigma: (i) => 10 + (width * i) / 19 })).constants;
    expect(spread(0.99 * resolution)).toHaveProperty('noiseSigma');
    expect(spread(1.01 * resolution)).not.toHaveProperty('noiseSigma');
  });

  it('leaves out what only some images have, and needs three that vary', () => {
    const some = chooseStatistics(samples(20, { ...varied, jpegQuality: (i) => (i === 3 ? Number.NaN : 95) }));
    expect(some.constants).not.toHaveProperty('jpegQuality');
    const { lumaMean, lumaStd } = varied;
    expect(() => chooseStatistics(samples(20, { lumaMean, lumaStd }))).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_FIT_NO_VARIATION' }),
    );
  });
});

describe('crossFit', () => {
  it('judges every image by a model that was fitted without its fold', () => {
    const given = {
      lumaMean: (i: number) => Math.sin(i),
      lumaStd: (i: number) => Math.cos(2 * i),
      entropy: (i: number) => Math.sin(3 * i),
    };
    const all = samples(60, given);
    const { unseen, folds: parts, tensors, description } = crossFit(all, []);
    expect(unseen.map(({ sample }) => sample.id).sort()).toEqual(all.map(({ id }) => id).sort());
    expect(parts).toHaveLength(folds);
    expect(parts.every((part) => part !== undefined)).toBe(true);
    expect(description.detectors.map(({ name }) => name)).toEqual(['combined', 'statistics', 'container']);
    // The scores that calibrate are those of the unseen images.
    expect([...tensors.combinedScores.data]).toEqual(unseen.map(({ score }) => score).sort((a, b) => a - b));
    // An image that changes does not change how its own fold is judged by the others.
    const changed = all.map((sample) => {
      const varies = (name: string) => Object.hasOwn(given, name);
      const vector = sample.statistics.map((value, i) => (varies(statistics[i].name) ? value + 50 : value));
      return sample.id === '0' ? { ...sample, statistics: vector } : sample;
    });
    const own = (fitted: typeof unseen) => fitted.find(({ sample }) => sample.id === '5')?.z;
    expect(own(crossFit(changed, []).unseen)).toEqual(own(unseen));
  });

  it('judges every drive by what was fitted on the others', () => {
    const random = new Random(1);
    const normal = new Map(['lumaMean', 'lumaStd', 'entropy'].map((name) => [name, random.normals(200)]));
    const drawn = (shift: number) =>
      samples(200, {
        lumaMean: (i) => (normal.get('lumaMean') as Float32Array)[i] + (i < 100 ? 0 : shift),
        lumaStd: (i) => (normal.get('lumaStd') as Float32Array)[i],
        entropy: (i) => (normal.get('entropy') as Float32Array)[i],
      }).map((sample, i) => ({ ...sample, drive: i < 100 ? 'first' : 'second' }));
    const rates = { warn: 0.05 };
    const alike = unseenDriveRate(crossFit(drawn(0), []).drives, rates);
    expect(alike).toMatchObject({ drives: 2, images: 200 });
    expect(alike?.low).toBeLessThan(0.05);
    expect(alike?.high).toBeGreaterThan(0.05);
    // Six deviations apart: nearly all of either drive are beyond all of the other one, though blocks of both meet the rate.
    const apart = crossFit(drawn(6), []);
    expect(unseenDriveRate(apart.drives, rates)?.flagged).toBeGreaterThan(190);
    expect(achievedFalseAlarms(apart.unseen, { warn: 0.05, block: 0.01 }).warn.low).toBeLessThan(0.05);
    // One drive alone, or one of a few images, tells nothing.
    expect(crossFit(samples(60, { lumaMean: Math.sin, lumaStd: Math.cos, entropy: (i) => i }), []).drives).toEqual([]);
    expect(unseenDriveRate([], rates)).toBeUndefined();
  });

  it('is the same for the same images', () => {
    expect(fitSynthetic(60).sha256).toBe(fitSynthetic(60).sha256);
  });
});
