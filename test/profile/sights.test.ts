import { describe, expect, it } from 'vitest';
import { loadCore } from '../../src/core/index.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { measureStatistics, statistics } from '../../src/image/statistics/statistics.ts';
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

describe('what is said of a direction', () => {
  const side = 96;
  const random = new Random(1);
  const grain = Float64Array.from({ length: side * side }, () => 60 * (random.uniform() - 0.5));
  const at = (x: number, y: number) => 128 + grain[((y + side) % side) * side + ((x + side) % side)];
  const isAbove = (y: number) => (y < side / 2 ? 1 : -1);
  const measure = (name: string, paint: (x: number, y: number, channel: number) => number) => {
    const data = Uint8Array.from({ length: 3 * side * side }, (_, i) => {
      const pixel = Math.floor(i / 3);
      return Math.max(0, Math.min(255, paint(pixel % side, Math.floor(pixel / side), i % 3)));
    });
    const measured = measureStatistics(loadCore(), { data, width: side, height: side, channels: 3 });
    return measured[statistics.findIndex((row) => row.name === name)];
  };

  it.each<[words: string, name: string, paint: (x: number, y: number, channel: number) => number]>([
    ['brighter above, or darker below, than', 'lumaTopBottom', (x, y) => at(x, y) + 20 * isAbove(y)],
    ['darker above, or brighter below, than', 'lumaTopBottom', (x, y) => at(x, y) - 20 * isAbove(y)],
    [
      'yellower above, or bluer below, than',
      'yellowBlueTopBottom',
      (x, y, channel) => at(x, y) - (channel === 2 ? 20 : 0) * isAbove(y),
    ],
    [
      'redder above, or greener below, than',
      'redGreenTopBottom',
      (x, y, channel) => at(x, y) + (channel === 0 ? 20 : 0) * isAbove(y),
    ],
    ['fuller of vertical lines than', 'gradientAnisotropy', (x) => 128 + 60 * Math.sin(x / 3)],
    ['fuller of horizontal lines than', 'gradientAnisotropy', (_, y) => 128 + 60 * Math.sin(y / 3)],
    ['fuller of lines that rise to the right than', 'gradientDiagonal', (x, y) => 128 + 60 * Math.sin((x + y) / 3)],
    ['fuller of lines that fall to the right than', 'gradientDiagonal', (x, y) => 128 + 60 * Math.sin((x - y) / 3)],
    ['bluer than', 'castBlueGreen', (x, y, channel) => at(x, y) + (channel === 2 ? 20 : 0)],
    ['redder than', 'castRedGreen', (x, y, channel) => at(x, y) + (channel === 0 ? 20 : 0)],
    ['more smeared sideways than', 'octaveHorizontal', (x, y) => (at(x, y) + at(x + 1, y) + at(x + 2, y)) / 3],
    ['more smeared up and down than', 'octaveVertical', (x, y) => (at(x, y) + at(x, y + 1) + at(x, y + 2)) / 3],
    ['more unevenly lit than', 'tileMeanDispersion', (x, y) => at(x, y) + (x < side / 2 ? 40 : -40)],
    ['less blue than', 'castBlueGreen', (x, y, channel) => at(x, y) - (channel === 2 ? 20 : 0)],
    // Dusk is short of red, and greener and bluer by that alike.
    ['less red than', 'castRedGreen', (x, y, channel) => at(x, y) - (channel === 0 ? 20 : 0)],
    ['less grey than', 'greyShare', (x, y, channel) => at(x, y) + (channel === 0 ? 60 : 0)],
  ])('%s the reference is true of a picture that is', (words, name, paint) => {
    const direction = measure(name, paint) > measure(name, at) ? 'high' : 'low';
    expect(readMeaning(name).legible?.words?.[direction]).toBe(words);
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
