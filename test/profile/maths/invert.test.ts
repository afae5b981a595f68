import { inverse, Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/image/corruptions/random.ts';
import { ledoitWolf } from '../../../src/profile/maths/covariance.ts';
import { invert } from '../../../src/profile/maths/invert.ts';

function drawRows(rows: number, columns: number, seed: number): Float64Array[] {
  const random = new Random(seed);
  return Array.from({ length: rows }, () => Float64Array.from(random.normals(columns, 0, 1)));
}

describe('the inverse', () => {
  it('is known in closed form of two rows, with the larger pivot second', () => {
    expect([
      ...invert(
        new Matrix([
          [1, 2],
          [4, 6],
        ]),
      ),
    ]).toEqual([-3, 1, 2, -0.5]);
  });

  it.each([1, 7, 40])('has the bits of the one of ml-matrix: %d rows, general and covariances', (size) => {
    const general = new Matrix(drawRows(size, size, size));
    const { covariance } = ledoitWolf(drawRows(30, size, 100 + size));
    for (const matrix of [general, covariance]) {
      expect(invert(matrix)).toEqual(Float64Array.from(inverse(matrix).to1DArray()));
    }
  });

  it('of a singular matrix is refused', () => {
    expect(() =>
      invert(
        new Matrix([
          [1, 2],
          [2, 4],
        ]),
      ),
    ).toThrow('singular');
  });
});
