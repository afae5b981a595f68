import { expect, test } from 'vitest';
import { mapOrdered } from '../../src/run/mapordered.ts';

test('keeps the order of the items and the bound on concurrency, whatever finishes first', async () => {
  const finish: (() => void)[] = [];
  let running = 0;
  let most = 0;
  const work = (item: number) => {
    most = Math.max(most, ++running);
    return new Promise<number>((resolve) => {
      finish[item] = () => {
        running--;
        resolve(item * 10);
      };
    });
  };
  const results: number[] = [];
  const reading = (async () => {
    for await (const result of mapOrdered([0, 1, 2, 3, 4], 3, work)) results.push(result);
  })();
  for (const item of [2, 1, 0, 4, 3]) {
    while (!finish[item]) await Promise.resolve();
    finish[item]();
  }
  await reading;
  expect(results).toEqual([0, 10, 20, 30, 40]);
  expect(most).toBe(3);
});

test('an error surfaces at its turn', async () => {
  const seen: number[] = [];
  const run = async () => {
    for await (const item of mapOrdered([1, 2, 3], 2, async (item) => {
      if (item === 2) throw new Error('two');
      return item;
    })) {
      seen.push(item);
    }
  };
  await expect(run()).rejects.toThrow('two');
  expect(seen).toEqual([1]);
});
