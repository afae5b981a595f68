import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { trainNetwork } from '../../src/fit/network.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { meanLogits, type Network } from '../../src/profile/maths/network.ts';

const options = { units: 8, epochs: 40, seed: 1 };
const shape = { features: 2, classes: 2 };

/** The share of rows whose class is the likeliest. */
function countRight(network: Network, x: Float64Array, y: Uint16Array): number {
  const out = new Float64Array(network.classes);
  const right = y.filter((truth, i) => {
    const logits = meanLogits([network], x.subarray(i * network.features, (i + 1) * network.features), out);
    return logits.indexOf(Math.max(...logits)) === truth;
  });
  return right.length / y.length;
}

/** Four clouds at the corners of a square, opposite corners of one class: no line tells them. */
function drawCorners(seed: number, rows = 400) {
  const normal = new Random(seed).normals(2 * rows);
  const x = new Float64Array(2 * rows);
  const y = Uint16Array.from({ length: rows }, (_, i) => ((i & 1) ^ ((i >> 1) & 1) ? 1 : 0));
  for (let i = 0; i < rows; i++) {
    x[2 * i] = (i & 1 ? 2 : -2) + 0.5 * normal[2 * i];
    x[2 * i + 1] = (i & 2 ? 2 : -2) + 0.5 * normal[2 * i + 1];
  }
  return { x, y, w: new Float64Array(rows).fill(1) };
}

describe('trainNetwork', () => {
  it('tells what no linear model can, on rows that it has not seen', () => {
    const network = trainNetwork(drawCorners(1), shape, options);
    const unseen = drawCorners(2);
    // Two deviations of 0.5 from the border each: an error of 2 Phi(-4) at best.
    expect(countRight(network, unseen.x, unseen.y)).toBeGreaterThan(0.97);
  });

  it('learns class weights: without evidence the logits are the log odds', () => {
    const set = { x: new Float64Array(200), y: new Uint16Array(200), w: new Float64Array(200).fill(1) };
    for (let i = 0; i < 50; i++) set.y[i] = 1;
    for (let i = 0; i < 50; i++) set.w[i] = 9;
    const network = trainNetwork(set, { features: 1, classes: 2 }, { ...options, epochs: 400 });
    const [a, b] = meanLogits([network], new Float64Array(1), new Float64Array(2));
    expect(b - a).toBeGreaterThan(Math.log(3) - 0.3);
    expect(b - a).toBeLessThan(Math.log(3) + 0.3);
  });

  it('is the same to the bit for a seed, and another for another one', () => {
    const train = (seed: number) => trainNetwork(drawCorners(1, 41), shape, { ...options, epochs: 4, seed });
    const digest = ({ hidden, output }: Network) =>
      createHash('sha256').update(new Uint8Array(hidden.buffer)).update(new Uint8Array(output.buffer)).digest('hex');
    expect(digest(train(1))).toBe(digest(train(1)));
    expect(digest(train(1))).not.toBe(digest(train(2)));
    // What training has to give wherever it runs: only arithmetic that IEEE 754 defines to the bit goes into it.
    expect(digest(train(1)).slice(0, 16)).toBe('55be882844767316');
  });

  it('takes few rows, also an odd number', () => {
    for (const units of [4, 12]) {
      const network = trainNetwork(drawCorners(3, 7), shape, { units, epochs: 2, seed: 1 });
      expect(network.hidden).toHaveLength(units * 3);
      expect([...network.hidden, ...network.output].every(Number.isFinite)).toBe(true);
    }
  });
});
