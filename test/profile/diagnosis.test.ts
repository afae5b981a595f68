import { expect, test } from 'vitest';
import {
  type CauseFit,
  causeEvidence,
  diagnose,
  logSumExp,
  pickCapped,
  projectedDistance,
} from '../../src/profile/diagnosis.ts';
import type { Softmax } from '../../src/profile/maths/logits.ts';

test('pickCapped: linear to 3 deviations, then logarithmic, odd', () => {
  const [a, b, c, d] = pickCapped(Float64Array.of(9, 2.5, -3, 3 + Math.E - 1, -(3 + Math.E - 1)), [1, 2, 3, 4]);
  expect([a, b]).toEqual([2.5, -3]);
  expect(c).toBeCloseTo(4, 12);
  expect(d).toBeCloseTo(-4, 12);
});

test('logSumExp does not overflow', () => {
  expect(logSumExp(Float64Array.of(1000, 1000))).toBeCloseTo(1000 + Math.LN2, 9);
  expect(logSumExp(Float64Array.of(Number.NEGATIVE_INFINITY))).toBe(Number.NEGATIVE_INFINITY);
});

test('projectedDistance is ln |P x - c|^2', () => {
  expect(projectedDistance(Float64Array.of(1, 0, 0, 2), Float64Array.of(1, 1), Float64Array.of(4, 2.5))).toBeCloseTo(
    Math.log(9 + 16),
    12,
  );
});

/** Two causes told by one statistic each; `unknown` when the best cause is not far ahead. */
const model: CauseFit = {
  causes: ['rain', 'fog'],
  classifier: { features: 2, classes: 3, weights: Float64Array.of(0, 2, 0, 0, 0, 2, 3, 0, 0) },
  temperature: 1,
  projection: Float64Array.of(1, 0),
  centre: Float64Array.of(0),
  unknown: Float64Array.of(-1, 0, 0, 0, 1),
};

test('log odds are those of any cause against clean', () => {
  const { logOdds } = causeEvidence(model, Float64Array.of(4, 0));
  expect(logOdds).toBeCloseTo(Math.log(Math.exp(8) + 1) - 3, 9);
});

test('a network is asked as one linear layer was', () => {
  // Hidden units x and y, which here are positive, then the layer of above.
  const hidden = Float64Array.of(1, 0, 0, 0, 1, 0);
  const network = { features: 2, units: 2, classes: 3, hidden, output: (model.classifier as Softmax).weights };
  for (const x of [Float64Array.of(4, 0), Float64Array.of(1, 2)]) {
    expect(causeEvidence({ ...model, classifier: [network] }, x)).toEqual(causeEvidence(model, x));
  }
});

test('probabilities sum to 1, the strongest cause first, unknown where none leads', () => {
  const sure = diagnose(model, causeEvidence(model, Float64Array.of(4, 0)), 0);
  expect(sure.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 12);
  expect(sure[0].cause).toBe('rain');
  const torn = diagnose(model, causeEvidence(model, Float64Array.of(4, 4)), 0);
  expect(torn[0].cause).toBe('unknown');
  expect(torn[0].probability).toBeCloseTo(1 / (1 + Math.exp(-1)), 9);
});
