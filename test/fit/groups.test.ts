import { describe, expect, it } from 'vitest';
import { assignFolds } from '../../src/fit/groups.ts';

describe('folds', () => {
  const samples = Array.from({ length: 100 }, (_, i) => ({ group: `g${Math.floor(i / (i < 40 ? 10 : 4))}` }));

  it('take whole groups and are as large as each other but for one group', () => {
    const foldByGroup = assignFolds(samples, { folds: 5, seed: 1 });
    const sizes = [0, 0, 0, 0, 0];
    for (const { group } of samples) sizes[foldByGroup.get(group) as number]++;
    expect(sizes.reduce((sum, size) => sum + size)).toBe(100);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(10);
  });

  it('depend on the seed alone', () => {
    const shuffled = [...samples].reverse();
    expect(assignFolds(shuffled, { folds: 5, seed: 1 })).toEqual(assignFolds(samples, { folds: 5, seed: 1 }));
    expect(assignFolds(samples, { folds: 5, seed: 2 })).not.toEqual(assignFolds(samples, { folds: 5, seed: 1 }));
  });

  it('are fewer where there are fewer groups', () => {
    const foldByGroup = assignFolds([{ group: 'a' }, { group: 'b' }, { group: 'a' }], { folds: 5, seed: 1 });
    expect([...foldByGroup.values()].sort()).toEqual([0, 1]);
  });
});
