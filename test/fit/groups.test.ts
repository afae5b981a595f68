import { describe, expect, it } from 'vitest';
import { assignFolds, withGroups } from '../../src/fit/groups.ts';

describe('groups', () => {
  const kept = (folders: readonly string[]) =>
    folders.map((folder, i) => ({
      ...{ id: `${i}`, path: `${folder}/${i}.jpg`, group: '', fold: 0, statistics: new Float64Array(), properties: {} },
      listed: { folder },
    }));
  const few = kept(Array.from({ length: 80 }, (_, i) => (i < 40 ? 'a' : 'b')));

  it('of a few folders are blocks of time, and each folder is a drive', () => {
    const { by, samples } = withGroups(few, { folders: 2, groupBy: 'folder' });
    expect(by).toBe('time block');
    expect(new Set(samples.map(({ group }) => group)).size).toBe(40);
    expect(samples[0]).toMatchObject({ group: 'a#0', drive: 'a' });
    expect(samples[79]).toMatchObject({ group: 'b#19', drive: 'b' });
  });

  it('of many folders are the folders, and of no order the images: no drive is told', () => {
    const many = kept(Array.from({ length: 80 }, (_, i) => `f${i % 12}`));
    const { by, samples } = withGroups(many, { folders: 12, groupBy: 'folder' });
    expect(by).toBe('folder');
    expect(samples[13].group).toBe('f1');
    expect(samples[13]).not.toHaveProperty('drive');
    expect(withGroups(few, { folders: 2, groupBy: 'none' }).samples[3]).not.toHaveProperty('drive');
  });
});

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
