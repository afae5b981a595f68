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

test('units beside one another give what each gives by itself, bit for bit', () => {
  const [features, units, classes] = [5, 7, 3];
  const fill = (length: number, from: number) => Float64Array.from({ length }, (_, i) => Math.sin(1.7 * i + from));
  const [hidden, output, x] = [fill(units * (features + 1), 0), fill((units + 1) * classes, 1), fill(features, 2)];
  const expected = output.slice(units * classes);
  for (let unit = 0; unit < units; unit++) {
    const row = hidden.subarray(unit * (features + 1), (unit + 1) * (features + 1));
    const sum = x.reduce((total, value, j) => total + row[j] * value, row[features]);
    for (let k = 0; k < classes; k++) expected[k] += Math.max(0, sum) * output[unit * classes + k];
  }
  const networks = [{ features, units, classes, hidden, output }];
  expect(meanLogits(networks, x, new Float64Array(classes))).toEqual(expected);
});

test('several networks answer by their mean', () => {
  const other = { ...network, output: network.output.map((weight) => 3 * weight) };
  expect(answer([network, other], 2, 3)).toEqual([1, 8]);
});
