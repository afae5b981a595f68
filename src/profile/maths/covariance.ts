import { Matrix } from 'ml-matrix';
import { SecondMoment } from './secondmoment.ts';

/**
 * Mean and Ledoit-Wolf covariance (Ledoit and Wolf 2004; the estimator of scikit-learn): the sample covariance shrunk
 * towards a multiple of the identity, with the intensity in closed form. `readValues` is asked twice for each row, so that
 * what it computes need not be kept.
 */
export function ledoitWolf<Row = Float64Array>(
  rows: readonly Row[],
  readValues: (row: Row) => Float64Array = (row) => row as Float64Array,
): { mean: Float64Array; covariance: Matrix; shrinkage: number } {
  const n = rows.length;
  const p = readValues(rows[0]).length;
  const mean = new Float64Array(p);
  for (const row of rows) {
    const values = readValues(row);
    for (let i = 0; i < p; i++) mean[i] += values[i] / n;
  }
  const covariance = Matrix.zeros(p, p);
  const moment = new SecondMoment(p);
  let fourth = 0;
  for (const row of rows) {
    const values = readValues(row);
    const centred = moment.next;
    let square = 0;
    for (let i = 0; i < p; i++) {
      centred[i] = values[i] - mean[i];
      square += centred[i] ** 2;
    }
    fourth += square ** 2;
    moment.add();
  }
  const sums = moment.read();
  let norm = 0;
  let trace = 0;
  for (let i = 0; i < p; i++) {
    for (let j = i; j < p; j++) {
      const value = sums[i * p + j] / n;
      covariance.set(i, j, value);
      covariance.set(j, i, value);
      norm += (i === j ? 1 : 2) * value ** 2;
      if (i === j) trace += value;
    }
  }
  const mu = trace / p;
  const delta = norm / p - mu ** 2;
  const beta = Math.min((fourth / n - norm) / (n * p), delta);
  const shrinkage = delta <= 0 ? 1 : Math.max(0, beta / delta);
  covariance.mul(1 - shrinkage);
  // A floor keeps the matrix invertible where statistics are exact copies of each other.
  for (let i = 0; i < p; i++) covariance.set(i, i, covariance.get(i, i) + shrinkage * mu + 1e-9 * Math.max(mu, 1e-9));
  return { mean, covariance, shrinkage };
}
