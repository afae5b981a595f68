import { expect, test } from 'vitest';
import { meanLogits, type Network } from '../../../src/profile/maths/network.ts';

/** max(0, a + b - 1) and max(0, -a), the first for class 1, the second three times for class 0. */
const network: Network = {
  ...{ features: 2, units: 2, classes: 2 },
  hidden: Float64Array.of(1, 1, -1, -1, 0, 0),
  output: Float64Array.of(0, 1, 3, 0, 0.5, 0),
};
const answer = (networks: readonly Network[], ...x: number[]) => [
  ...meanLogits(networks, Float64Array.from(x), new Float64Array(2)),
];

test('logits are the output layer of the positive hidden units', () => {
  expect(answer([network], 2, 3)).toEqual([0.5, 4]);
  expect(answer([network], -2, 0)).toEqual([6.5, 0]);
  expect(answer([network], 0, 0)).toEqual([0.5, 0]);
});

test('several networks answer by their mean', () => {
  const other = { ...network, output: network.output.map((weight) => 3 * weight) };
  expect(answer([network, other], 2, 3)).toEqual([1, 8]);
});
