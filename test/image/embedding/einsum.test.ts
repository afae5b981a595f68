import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import * as core from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { computeEinsum, refuseEinsum } from '../../../src/image/embedding/einsum.ts';

beforeAll(async () => {
  const wasm = await import('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))}/`);
  wasm.setThreadsCount(1);
  await core.setBackend('wasm');
});

/** By its definition: the sum over all indices of the product of the operands. An ellipsis is written out in letters before. */
function sumByDefinition(equation: string, operands: { shape: number[]; values: number[] }[]): number[] {
  const [left, right] = equation.split('->');
  const terms = left.split(',');
  const sizes = new Map<string, number>();
  for (const [i, term] of terms.entries())
    for (const [j, letter] of [...term].entries())
      sizes.set(letter, Math.max(sizes.get(letter) ?? 1, operands[i].shape[j]));
  const letters = [...sizes.keys()];
  const result = new Array([...right].reduce((product, letter) => product * (sizes.get(letter) as number), 1)).fill(0);
  const index = new Map<string, number>();
  const visit = (depth: number) => {
    if (depth < letters.length) {
      for (let i = 0; i < (sizes.get(letters[depth]) as number); i++) {
        index.set(letters[depth], i);
        visit(depth + 1);
      }
      return;
    }
    const place = (term: string, shape: number[]) =>
      [...term].reduce((at, letter, i) => at * shape[i] + (shape[i] === 1 ? 0 : (index.get(letter) as number)), 0);
    const product = terms.reduce((all, term, i) => all * operands[i].values[place(term, operands[i].shape)], 1);
    result[
      place(
        right,
        [...right].map((letter) => sizes.get(letter) as number),
      )
    ] += product;
  };
  visit(0);
  return result;
}

/** Numbers of no pattern, as an Einsum that mixes up two axes would still find one. */
function makeOperand(shape: number[], seed: number) {
  const count = shape.reduce((a, b) => a * b, 1);
  return {
    shape,
    values: Array.from({ length: count }, (_, i) => Math.fround(Math.sin(1 + i * 12.9898 + seed * 78.2))),
  };
}

describe('Einstein summation', () => {
  it.each<[string, number[][], string?]>([
    // Attention of Keras: query, scores, values, and the way out.
    ['abc,cde->abde', [[2, 3, 4], [4, 2, 5]]], // biome-ignore format: one line a case
    ['aecd,abcd->acbe', [[2, 3, 2, 4], [2, 5, 2, 4]]], // biome-ignore format: one line a case
    ['acbe,aecd->abcd', [[2, 2, 5, 3], [2, 3, 2, 4]]], // biome-ignore format: one line a case
    ['abcd,cde->abe', [[2, 3, 2, 4], [2, 4, 5]]], // biome-ignore format: one line a case
    ['ij->ji', [[3, 4]]],
    ['ij->', [[3, 4]]],
    ['ij->i', [[3, 4]]],
    ['i,j->ij', [[3], [4]]],
    ['i,i->', [[3], [3]]],
    ['ij,ij->ij', [[3, 4], [3, 4]]], // biome-ignore format: one line a case
    // An axis that only one operand has and the result has not.
    ['ij,jk->i', [[3, 4], [4, 5]]], // biome-ignore format: one line a case
    ['ij,k->k', [[3, 4], [5]]],
    ['ij,jk,kl->il', [[2, 3], [3, 4], [4, 5]]], // biome-ignore format: one line a case
    ['...c,cd->...d', [[2, 3, 4], [4, 5]], 'abc,cd->abd'], // biome-ignore format: one line a case
    ['...ij,...jk->...ik', [[2, 1, 3, 4], [5, 4, 2]], 'abij,bjk->abik'], // biome-ignore format: one line a case
    ['b...->...b', [[2, 3, 4]], 'bac->acb'],
  ])('%s', async (equation, shapes, written = equation) => {
    expect(refuseEinsum(equation)).toBeUndefined();
    const operands = shapes.map(makeOperand);
    const tensors = operands.map(({ shape, values }) => core.tensor(values, shape));
    const before = core.memory().numTensors;
    const result = computeEinsum(core, equation, tensors);
    expect(core.memory().numTensors).toBe(before + 1);
    const expected = sumByDefinition(written, operands);
    const received = await result.data();
    expect(received).toHaveLength(expected.length);
    for (const [i, value] of expected.entries()) expect(received[i]).toBeCloseTo(value, 5);
    core.dispose([result, ...tensors]);
  });

  it('of operands that do not fit is an error', () => {
    const [three, four] = [core.zeros([3]), core.zeros([4])];
    expect(() => computeEinsum(core, 'i,i->', [three, four])).toThrow('Einsum of axes of 3 and 4');
    expect(() => computeEinsum(core, 'ij->i', [three])).toThrow('of a tensor of 1 axes');
    expect(() => computeEinsum(core, 'i,j->ij', [three])).toThrow('of 1 tensors');
  });

  it.each([
    [undefined, 'no equation'],
    ['ij', 'no result'],
    ['ii->i', 'a letter twice in one term'],
    ['ij->ik', 'a result from nothing'],
    ['i1->i', 'other signs than letters'],
    ['i->j->i', 'no result'],
  ])('%s is refused: %s', (equation, reason) => expect(refuseEinsum(equation)).toBe(reason));
});
