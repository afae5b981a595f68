import { describe, expect, it } from 'vitest';
import { chooseStatistics, crossFit, folds } from '../../src/fit/crossfit.ts';
import type { Sample } from '../../src/fit/samples.ts';
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

  it('is the same for the same images', () => {
    expect(fitSynthetic(60).sha256).toBe(fitSynthetic(60).sha256);
  });
});
