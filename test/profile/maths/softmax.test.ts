import { expect, test } from 'vitest';
import { logits } from '../../../src/profile/maths/logits.ts';
import { trainSoftmax } from '../../../src/profile/maths/softmax.ts';

test('without features the intercepts are the log odds of the class weights', () => {
  const set = {
    x: new Float64Array(3),
    y: Uint16Array.of(0, 1, 1),
    w: Float64Array.of(1, 3, 3),
  };
  const model = trainSoftmax(set, { features: 1, classes: 2 }, { l2: 1, iterations: 200 });
  const [a, b] = logits(model, Float64Array.of(0), new Float64Array(2));
  expect(b - a).toBeCloseTo(Math.log(6), 3);
});

test('logistic regression on one feature reaches the optimum: the gradient vanishes', () => {
  // Overlapping classes, so that the maximum is finite; the penalised score equation is checked directly.
  const x = Float64Array.of(-2, -1, 0.5, -0.5, 1, 2);
  const y = Uint16Array.of(0, 0, 0, 1, 1, 1);
  const l2 = 0.5;
  const model = trainSoftmax(
    { x, y, w: new Float64Array(6).fill(1) },
    { features: 1, classes: 2 },
    { l2, iterations: 500 },
  );
  let slope = 0;
  let offset = 0;
  for (let i = 0; i < 6; i++) {
    const [a, b] = logits(model, x.subarray(i, i + 1), new Float64Array(2));
    const p = 1 / (1 + Math.exp(a - b));
    slope += (p - y[i]) * x[i];
    offset += p - y[i];
  }
  expect(slope + l2 * model.weights[1]).toBeCloseTo(0, 2);
  expect(offset).toBeCloseTo(0, 2);
});

test('a stronger penalty gives smaller weights, a start near the end gives the same end', () => {
  const x = Float64Array.from({ length: 40 }, (_, i) => ((i * 7) % 11) / 11 + (i % 2));
  const set = { x, y: Uint16Array.from({ length: 20 }, (_, i) => i % 3), w: new Float64Array(20).fill(1) };
  const shape = { features: 2, classes: 3 };
  const size = (weights: Float64Array) => Math.hypot(...weights.subarray(0, 6));
  const weak = trainSoftmax(set, shape, { l2: 0.1, iterations: 300 });
  const strong = trainSoftmax(set, shape, { l2: 10, iterations: 300 });
  expect(size(strong.weights)).toBeLessThan(size(weak.weights));
  const again = trainSoftmax(set, shape, { l2: 0.1, iterations: 300, start: weak.weights });
  for (const [i, weight] of again.weights.entries()) expect(weight).toBeCloseTo(weak.weights[i], 1);
});
