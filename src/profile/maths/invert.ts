import type { Matrix } from 'ml-matrix';

/**
 * The inverse of a square matrix, row by row: what `inverse` of ml-matrix gives, by the same operations in the same order and so
 * to the bit, on rows of floats instead of through methods for each of them. A fit inverts dozens of a hundred rows each.
 * @throws {Error} where the matrix is singular
 */
export function invert(matrix: Matrix): Float64Array {
  const size = matrix.rows;
  const lu = Array.from({ length: size }, (_, i) => Float64Array.from(matrix.getRow(i)));
  const inverse = decompose(lu).map((place) => {
    const row = new Float64Array(size);
    row[place] = 1;
    return row;
  });
  // Two rows at a time, each in its turn: an element is read and written once for both.
  for (let k = 0; k < size; k += 2) {
    if (k + 1 === size) break;
    subtractRow(inverse[k + 1], inverse[k], lu[k + 1][k]);
    for (let i = k + 2; i < size; i++) subtractRows(inverse[i], inverse[k], lu[i][k], inverse[k + 1], lu[i][k + 1]);
  }
  const divide = (k: number) => {
    const pivot = lu[k][k];
    if (pivot === 0) throw new Error('Expected a matrix that can be inverted but it is singular.');
    for (let j = 0; j < size; j++) inverse[k][j] /= pivot;
  };
  for (let k = size - 1; k >= 0; k -= 2) {
    divide(k);
    if (k === 0) break;
    subtractRow(inverse[k - 1], inverse[k], lu[k - 1][k]);
    divide(k - 1);
    for (let i = 0; i < k - 1; i++) subtractRows(inverse[i], inverse[k], lu[i][k], inverse[k - 1], lu[i][k - 1]);
  }
  const flat = new Float64Array(size * size);
  for (const [i, row] of inverse.entries()) flat.set(row, i * size);
  return flat;
}

/** Puts L, below the diagonal, and U in the place of rows (Crout and Doolittle, left-looking); @returns where each row was */
function decompose(lu: Float64Array[]): number[] {
  const size = lu.length;
  const places = lu.map((_, i) => i);
  const column = new Float64Array(size);
  for (let j = 0; j < size; j++) {
    for (let i = 0; i < size; i++) column[i] = lu[i][j];
    for (let i = 0; i < size; i++) {
      const row = lu[i];
      const end = Math.min(i, j);
      let sum = 0;
      for (let k = 0; k < end; k++) sum += row[k] * column[k];
      column[i] -= sum;
      row[j] = column[i];
    }
    let largest = j;
    for (let i = j + 1; i < size; i++) if (Math.abs(column[i]) > Math.abs(column[largest])) largest = i;
    [lu[largest], lu[j]] = [lu[j], lu[largest]];
    [places[largest], places[j]] = [places[j], places[largest]];
    const pivot = lu[j][j];
    if (pivot !== 0) for (let i = j + 1; i < size; i++) lu[i][j] /= pivot;
  }
  return places;
}

function subtractRow(from: Float64Array, row: Float64Array, scale: number): void {
  for (let j = 0; j < from.length; j++) from[j] -= row[j] * scale;
}

function subtractRows(from: Float64Array, first: Float64Array, by: number, second: Float64Array, by2: number): void {
  for (let j = 0; j < from.length; j++) from[j] = from[j] - first[j] * by - second[j] * by2;
}
