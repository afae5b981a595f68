import { describe, expect, it } from 'vitest';
import { statistics } from '../../src/image/statistics/statistics.ts';
import {
  describeGroup,
  legibility,
  rankSights,
  readMeaning,
  type SightKind,
  sights,
  writeNumbers,
} from '../../src/profile/sights.ts';

describe('sights', () => {
  it('have words that go before "the reference", and say what to do', () => {
    for (const { kind, group, words, advice } of sights) {
      expect(words, kind).toMatch(/ (than|for)$/);
      expect(advice, kind).toMatch(/^[A-Z].*\.$/);
      // A group has the name of one of its kinds, which is the first of them.
      expect(sights.find((sight) => sight.group === group)?.kind, kind).toBe(group);
      expect(describeGroup(group), group).toMatch(/ the reference$|^blocked by the rule$/);
    }
    // About a dozen are as many as a person keeps apart.
    expect(new Set(sights.map(({ group }) => group)).size).toBeLessThanOrEqual(14);
    expect(describeGroup('dark')).toBe('darker than the reference');
    expect(describeGroup('rule')).toBe('blocked by the rule');
  });

  it('stand for every scored statistic, and only texture for those that nobody can read', () => {
    const kinds = new Set(sights.map(({ kind }) => kind));
    for (const { name } of statistics) {
      const { high, low, legible } = readMeaning(name);
      expect(kinds.has(high) && kinds.has(low), name).toBe(true);
      if (legible) expect([high, low], name).not.toEqual(['texture', 'texture']);
    }
    expect(readMeaning('mscnHalfDiagonal1LeftVariance')).toEqual({ high: 'texture', low: 'texture' });
    expect(readMeaning('unknownToThisVersion')).toEqual({ high: 'texture', low: 'texture' });
    expect(legibility('lumaP50')).toBeLessThan(legibility('tenengrad'));
  });
});

describe('rankSights', () => {
  const rank = (...kinds: [SightKind, number][]) =>
    rankSights(kinds, ([kind, strength]) => ({ kind, strength })).map(([kind]) => kind);

  it('puts what explains the rest first, what is weak last, and says each group once', () => {
    expect(rank(['noisy', 8], ['dark', 4])).toEqual(['dark', 'noisy']);
    expect(rank(['dark', 3], ['noisy', 8])).toEqual(['noisy', 'dark']);
    // Only darkness explains what is much stronger than itself.
    expect(rank(['hazy', 4], ['compressed', 8])).toEqual(['compressed', 'hazy']);
    expect(rank(['blurred', 5], ['moved', 8])).toEqual(['moved', 'blurred']);
    expect(rank(['flat', 8], ['hazy', 5], ['vivid', 6], ['pale', 6])).toEqual(['hazy', 'pale']);
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
