import { expect, it } from 'vitest';
import { StateBudget } from '../../../src/server/store/statebudget.ts';

it('lets those go that were written longest ago, and no more than it must', () => {
  const budget = new StateBudget(100);
  for (const [source, bytes] of [
    ['a', 40],
    ['b', 40],
    ['a', 30],
    ['c', 30],
  ] as const) {
    budget.put(source, bytes);
  }
  expect(budget.bytes).toBe(100);
  expect(budget.takeExcess()).toEqual([]);
  budget.put('d', 1);
  expect(budget.takeExcess()).toEqual(['b']);
  expect(budget.bytes).toBe(61);
  budget.remove('a');
  budget.remove('never there');
  expect(budget.bytes).toBe(31);
  budget.put('e', 1000);
  expect(budget.takeExcess()).toEqual(['c', 'd', 'e']);
  expect(budget.bytes).toBe(0);
});
