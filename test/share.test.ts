import { expect, it } from 'vitest';
import { parseShare } from '../src/share.ts';

it('reads shares with and without a percent sign, to the digit', () => {
  const read = ['0.07', '7%', '0.07 %', '.5', '5.%', '1e-3', '100%', '0', '1 %', '1\u00a0%', ' 1% '].map(parseShare);
  expect(read).toEqual([0.07, 0.07, 0.0007, 0.5, 0.05, 0.001, 1, 0, 0.01, 0.01, 0.01]);
  expect(['', '%', 'x', '1%%', '0x1', 'Infinity', '1 0%'].map(parseShare)).toEqual(new Array(7).fill(undefined));
});
