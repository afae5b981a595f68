import { describe, expect, it } from 'vitest';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { describeGroup, findSight, legibility, readMeaning, sights, writeNumbers } from '../../src/profile/sights.ts';

describe('sights', () => {
  it('have words that go before "the reference", and say what to do', () => {
    for (const { group, words, advice } of sights) {
      expect(words, group).toMatch(/ (than|for)$/);
      expect(advice, group).toMatch(/^[A-Z].*\.$/);
      expect(findSight(group).group).toBe(group);
    }
    expect(describeGroup('dark')).toBe('darker than the reference');
    expect(describeGroup('rule')).toBe('blocked by the rule');
  });

  it('stand for every scored statistic, and only texture for those that nobody can read', () => {
    const groups = new Set(sights.map(({ group }) => group));
    for (const { name } of statistics) {
      const { high, low, legible } = readMeaning(name);
      expect(groups.has(high) && groups.has(low), name).toBe(true);
      if (legible) expect([high, low], name).not.toEqual(['texture', 'texture']);
    }
    expect(readMeaning('mscnHalfDiagonal1LeftVariance')).toEqual({ high: 'texture', low: 'texture' });
    expect(readMeaning('unknownToThisVersion')).toEqual({ high: 'texture', low: 'texture' });
    expect(legibility('lumaP50')).toBeLessThan(legibility('tenengrad'));
  });
});

describe('writeNumbers', () => {
  it.each([
    [[31.4, 41.2, 148.3], 0, 1, ['31', '41', '148']],
    // As many digits as it takes.
    [[0.4, 0.04, 0.2], 0, 0.01, ['0.4', '0', '0.2']],
    [[1.004, 1.001], 1, 0.001, ['1.004', '1.001']],
    // Below the resolution they are the same.
    [[1.0004, 1.0001], 1, 0.001, ['1', '1']],
    [[-0.2, 0.1], 0, 1, ['0', '0']],
    [[100, 95], 0, 1, ['100', '95']],
  ])('%j with %i digits at a resolution of %d', (values, digits, resolution, texts) => {
    expect(writeNumbers(values, digits, resolution)).toEqual(texts);
  });
});
