import { describe, expect, it } from 'vitest';
import { describeMedians, groupMoved } from '../../src/drift/moved.ts';

const move = (name: string, direction: 'high' | 'low' | 'spread', size: number) => ({ name, direction, size });

describe('groupMoved', () => {
  it('puts together what says the same to a person, the number that says it best first, then the largest', () => {
    const groups = groupMoved([
      move('meanR', 'low', 6),
      move('lumaMean', 'low', 5),
      move('lumaP50', 'low', 3),
      move('meanB', 'low', 7),
    ]);
    expect(groups.map(({ group, words, lead }) => [group, words, lead.name])).toEqual([
      ['dark', 'darker than the reference', 'lumaP50'],
    ]);
    expect(groups[0].members.map(({ name }) => name)).toEqual(['lumaP50', 'meanB', 'meanR', 'lumaMean']);
  });

  it('orders by what explains most, and puts what is far weaker, and what nobody reads, behind', () => {
    const order = (...moves: ReturnType<typeof move>[]) => groupMoved(moves).map(({ group }) => group);
    expect(order(move('noiseSigma', 'high', 3), move('lumaP50', 'low', 2))).toEqual(['dark', 'noisy']);
    expect(order(move('noiseSigma', 'high', 5), move('lumaP50', 'low', 1))).toEqual(['noisy', 'dark']);
    expect(order(move('mscnVariance', 'high', 90), move('lumaP50', 'low', 1))).toEqual(['dark', 'texture']);
    expect(order()).toEqual([]);
  });

  it('calls haze what takes contrast and lifts the shadows, as the reasons of an image do', () => {
    const fog = [move('localContrast', 'low', 6), move('lumaP05', 'high', 7), move('noiseSigma', 'low', 8)];
    expect(groupMoved(fog)[0]).toMatchObject({ group: 'hazy', words: 'hazier than the reference' });
    const flat = [move('localContrast', 'low', 2)];
    expect(groupMoved(flat)[0]).toMatchObject({ group: 'hazy', words: 'lower in contrast than the reference' });
    expect(groupMoved([...fog, move('lumaP50', 'low', 4)])[0].group).toBe('dark');
  });

  it('leads no group with a number that nobody reads', () => {
    const groups = groupMoved([move('pyramidEnergy1', 'high', 9), move('lumaP50', 'low', 1)]);
    expect(groups.map(({ group, words }) => [group, words])).toEqual([
      ['dark', 'darker than the reference'],
      ['texture', 'other in fine texture than the reference'],
    ]);
  });

  it('leads no group with a number that is too small for anybody to see', () => {
    const rows = { name: 'oddEvenRows', direction: 'high', size: 6 } as const;
    const [combed] = groupMoved([{ ...rows, value: 0.3 }]);
    expect(combed.words).toBe('more combed than the reference');
    const [texture] = groupMoved([{ ...rows, value: -0.4 }]);
    expect(texture.group).toBe('texture');
    // The monitor knows how far it moved, and not where it is.
    expect(groupMoved([rows])[0].words).toBe('more combed than the reference');
  });

  it('calls a change of spread one of content', () => {
    const [{ group, words }] = groupMoved([move('lumaP50', 'spread', 1)]);
    expect([group, words]).toEqual(['scene', 'spread otherwise than in the reference']);
  });
});

describe('describeMedians', () => {
  it.each([
    [
      'lumaP50',
      { p01: 12, p50: 31.4, p99: 60 },
      { p01: 41, p50: 95, p99: 148 },
      'median brightness, median 31 (12 to 60), in the reference 95 (41 to 148)',
    ],
    [
      'saturationMean',
      { p01: 0.01, p50: 0.02, p99: 0.05 },
      { p01: 0.06, p50: 0.15, p99: 0.26 },
      'saturation, median 2 % (1 to 5), in the reference 15 % (6 to 26)',
    ],
  ])('tells where %s lies, in the unit and with the digits that people read', (name, current, reference, text) => {
    expect(describeMedians({ name, current, reference })).toBe(text);
  });
});
