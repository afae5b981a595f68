import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { type CauseFit, computeSoftmax } from '../profile/diagnosis.ts';
import { ledoitWolf } from '../profile/maths/covariance.ts';
import type { Network } from '../profile/maths/network.ts';
import { SecondMoment } from '../profile/maths/secondmoment.ts';
import { trainSoftmax } from '../profile/maths/softmax.ts';
import { trainNetwork } from './network.ts';

/**
 * Dimensions of the subspace in which causes act. Those that follow say less of causes than of the drive: with 16 an unseen drive of
 * the same camera lay half as far out as real dusk.
 */
const subspaceSize = 8;
/** Weight of parts of frames against whole frames: they vary the content, but they are not what will come in. */
const partWeight = 0.2;
/** How often, before looking, what is wrong is none of the simulated causes. */
const unknownShare = 0.1;
/** Networks whose answers are averaged, hidden units of each, and how often each looks at all rows. */
export const networks = { count: 4, units: 64 };
const epochs = 40;
/** Deviation of the noise on what networks are trained on, in deviations of clean images along every direction. */
const inputNoise = 0.5;
/** Variance that every direction has at least when it is brought to one: what hardly varies is not enlarged without end. */
const leastVariance = 0.1;
/** More clean rows than this sharpen nothing, and cost time. */
const maxClean = 4000;

/** A view under a cause or clean, standardised and capped. */
export interface View {
  x: Float64Array;
  /** Standardised within this regime. */
  regime: number;
  view: string;
  isPart: boolean;
  cause?: string | undefined;
}

/**
 * What causes are learnt from: clean rows of the reference, and views of some of its images, clean and under each cause. Fits of all
 * causes and of some share what is known of the clean ones.
 */
export class CauseRows {
  readonly #cleanViews: View[];
  readonly #causeViews: View[];
  readonly #features: number;
  /** Clean rows that networks are shown. */
  readonly #clean: number;
  readonly #mean: Float64Array;
  /** The inverse of the Cholesky factor of the clean covariance: it makes the rows white. */
  readonly #inverse: Matrix;
  readonly #whitening: Whitening;
  /** Rows as networks are shown them: clean ones, clean views, views under causes. */
  readonly #whitened: Float64Array;

  constructor(rows: { clean: Float64Array[]; views: View[] }) {
    this.#cleanViews = rows.views.filter(({ cause }) => cause === undefined);
    this.#causeViews = rows.views.filter(({ cause }) => cause !== undefined);
    this.#features = rows.clean[0].length;
    // Clean variation, with parts of frames for other content than the reference happens to show.
    const { mean, covariance } = ledoitWolf([...rows.clean, ...this.#cleanViews.map(({ x }) => x)]);
    const step = Math.max(1, rows.clean.length / maxClean);
    const clean = Array.from(
      { length: Math.floor(rows.clean.length / step) },
      (_, i) => rows.clean[Math.floor(i * step)],
    );
    this.#clean = clean.length;
    this.#mean = mean;
    this.#inverse = invertLower(new CholeskyDecomposition(covariance).lowerTriangularMatrix);
    this.#whitening = new Whitening(mean, covariance);
    this.#whitened = this.#whitening.apply([...clean, ...[...this.#cleanViews, ...this.#causeViews].map(({ x }) => x)]);
  }

  /**
   * Learns some of the causes.
   * @param options.networks how many are trained; default: as many as a Profile has
   */
  fit(causes: string[], options: { networks?: number } = {}): CauseFit {
    const [features, clean] = [this.#features, this.#clean];
    const cleanViews = this.#cleanViews;
    const parts = cleanViews.filter(({ isPart }) => isPart).length;
    const first = clean + cleanViews.length;
    const all = [
      ...Array.from({ length: clean }, (_, row) => ({ row, y: 0, w: 1 })),
      // Whole views weigh as much as the reference itself, so that being encoded again is no evidence.
      ...cleanViews.map(({ isPart }, i) => ({
        row: clean + i,
        y: 0,
        w: ((isPart ? partWeight : 1) * clean) / (isPart ? parts : cleanViews.length - parts),
      })),
      ...this.#causeViews.flatMap(({ cause, isPart }, i) => {
        const known = causes.indexOf(cause as string);
        return known < 0 ? [] : [{ row: first + i, y: 1 + known, w: isPart ? partWeight : 1 }];
      }),
    ];
    // Clean weighs as much as all causes together.
    const weigh = (isClean: boolean) => all.reduce((sum, { y, w }) => sum + ((y === 0) === isClean ? w : 0), 0);
    const total = { clean: weigh(true), causes: weigh(false) };
    const x = new Float64Array(all.length * features);
    for (const [i, { row }] of all.entries())
      x.set(this.#whitened.subarray(row * features, (row + 1) * features), i * features);
    const set = {
      x,
      y: Uint16Array.from(all, ({ y }) => y),
      w: Float64Array.from(all, ({ y, w }) => w / (y === 0 ? total.clean : total.causes)),
    };
    const shape = { features, classes: causes.length + 1 };
    const training = { units: networks.units, epochs, noise: inputNoise };
    const classifier = Array.from({ length: options.networks ?? networks.count }, (_, seed) =>
      this.#whitening.foldInto(trainNetwork(set, shape, { ...training, seed })),
    );
    return { causes, classifier, temperature: 1, ...this.#findSubspace(causes), unknown: new Float64Array(5) };
  }

  /**
   * Directions in which causes move an image most, measured in clean deviations: the leading eigenvectors of the second
   * moment of (simulated - clean of the same view) relative to the clean covariance. They whiten it.
   */
  #findSubspace(causes: readonly string[]): Pick<CauseFit, 'projection' | 'centre'> {
    const whiten = this.#inverse;
    const moment = new Moment(this.#features);
    const cleanViews = new Map(this.#cleanViews.map((view) => [view.view, view]));
    for (const { x, view, regime, cause } of this.#causeViews) {
      const clean = cleanViews.get(view);
      // What a cause does is told within one regime.
      if (clean?.regime === regime && causes.includes(cause as string)) moment.add(x, clean.x);
    }
    const whitened = whiten.mmul(moment.read()).mmul(whiten.transpose());
    const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(whitened, { assumeSymmetric: true });
    const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
    const vectors = order.slice(0, subspaceSize).map((column) => eigenvectorMatrix.getColumn(column));
    const projection = new Matrix(vectors).mmul(whiten);
    return {
      projection: Float64Array.from(projection.to1DArray()),
      centre: Float64Array.from(projection.mmul(Matrix.columnVector([...this.#mean])).to1DArray()),
    };
  }
}

/** Second moments of the shifts from clean to simulated rows. */
class Moment {
  readonly #size: number;
  readonly #shifts: SecondMoment;

  constructor(size: number) {
    this.#size = size;
    this.#shifts = new SecondMoment(size);
  }

  add(simulated: Float64Array, clean: Float64Array): void {
    const shift = this.#shifts.next;
    let length = 0;
    for (let i = 0; i < shift.length; i++) {
      shift[i] = simulated[i] - clean[i];
      length += shift[i] ** 2;
    }
    // A gross cause must not count for a hundred mild ones.
    const scale = Math.min(1, 8 / Math.sqrt(Math.max(length, 1e-12)));
    this.#shifts.add(scale ** 2);
  }

  read(): Matrix {
    const [size, sums] = [this.#size, this.#shifts.read()];
    const moment = Matrix.zeros(size, size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) moment.set(i, j, sums[i <= j ? i * size + j : j * size + i]);
    }
    return moment;
  }
}

/**
 * Takes apart what clean images vary in together, and brings every direction to one deviation. Statistics are many and alike: a
 * mild cause moves them along directions in which clean images hardly vary, and which noise on the statistics themselves drowns.
 * On one camera 68 % of causes at severity 1 are caught at the promised 1 % in place of 51 % (docs/detection.md).
 */
class Whitening {
  readonly #mean: Float64Array;
  /** Principal axes, each over its deviation. */
  readonly #rows: Float64Array[];

  constructor(mean: Float64Array, covariance: Matrix) {
    this.#mean = mean;
    const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(covariance, { assumeSymmetric: true });
    this.#rows = realEigenvalues.map((variance, k) => {
      const scale = 1 / Math.sqrt(Math.max(variance, 0) + leastVariance);
      return Float64Array.from(eigenvectorMatrix.getColumn(k), (value) => value * scale);
    });
  }

  /**
   * Four rows at a time: one sum has to wait for each of its additions, four sums beside one another do not. Each still adds its terms
   * in their order.
   * @returns row after row
   */
  apply(rows: readonly Float64Array[]): Float64Array {
    const size = this.#mean.length;
    const out = new Float64Array(rows.length * size);
    const [a, b, c, d] = Array.from({ length: 4 }, () => new Float64Array(size));
    for (let first = 0; first < rows.length; first += 4) {
      for (const [k, centred] of [a, b, c, d].entries()) {
        const row = rows[Math.min(first + k, rows.length - 1)];
        for (let i = 0; i < size; i++) centred[i] = row[i] - this.#mean[i];
      }
      for (let k = 0; k < size; k++) {
        const axis = this.#rows[k];
        let [sa, sb, sc, sd] = [0, 0, 0, 0];
        for (let i = 0; i < size; i++) {
          const weight = axis[i];
          sa += weight * a[i];
          sb += weight * b[i];
          sc += weight * c[i];
          sd += weight * d[i];
        }
        const at = first * size + k;
        out[at] = sa;
        if (first + 1 < rows.length) out[at + size] = sb;
        if (first + 2 < rows.length) out[at + 2 * size] = sc;
        if (first + 3 < rows.length) out[at + 3 * size] = sd;
      }
    }
    return out;
  }

  /** The network that answers to rows as they are what one answers to whitened rows: its first layer takes the step. */
  foldInto(network: Network): Network {
    const { features, units } = network;
    const hidden = new Float64Array(network.hidden.length);
    for (let unit = 0; unit < units; unit++) {
      const from = unit * (features + 1);
      const into = hidden.subarray(from, from + features + 1);
      for (let k = 0; k < features; k++) {
        const weight = network.hidden[from + k];
        for (let i = 0; i < features; i++) into[i] += weight * this.#rows[k][i];
      }
      into[features] = network.hidden[from + features];
      for (let i = 0; i < features; i++) into[features] -= into[i] * this.#mean[i];
    }
    return { ...network, hidden };
  }
}

/** The inverse of a lower triangular matrix, by forward substitution: a general one costs ten times as much. */
function invertLower(lower: Matrix): Matrix {
  const size = lower.rows;
  const rows = Array.from({ length: size }, (_, i) => Float64Array.from(lower.getRow(i)));
  const inverse = Array.from({ length: size }, () => new Float64Array(size));
  for (let i = 0; i < size; i++) {
    const row = inverse[i];
    for (let k = 0; k < i; k++) {
      const scale = rows[i][k];
      for (let j = 0; j <= k; j++) row[j] -= scale * inverse[k][j];
    }
    row[i] = 1;
    for (let j = 0; j <= i; j++) row[j] /= rows[i][i];
  }
  return new Matrix(inverse.map((row) => Array.from(row)));
}

/** Temperature and the odds of `unknown`, from images that neither was trained on. */
export function calibrateDiagnosis(diagnosed: { logits: Float64Array; truth: number; features: number[] }[]) {
  const known = diagnosed.filter(({ truth }) => truth >= 0);
  let temperature = 1;
  let least = Number.POSITIVE_INFINITY;
  for (let candidate = 0.4; candidate < 6; candidate *= 1.08) {
    let loss = 0;
    for (const { logits, truth } of known) loss -= Math.log(computeSoftmax(logits, candidate)[truth] + 1e-12);
    if (loss < least) [least, temperature] = [loss, candidate];
  }
  const features = diagnosed[0]?.features.length ?? 0;
  const { weights } = trainSoftmax(
    {
      x: Float64Array.from(diagnosed.flatMap((row) => row.features)),
      y: Uint16Array.from(diagnosed, ({ truth }) => (truth < 0 ? 1 : 0)),
      w: Float64Array.from(diagnosed, ({ truth }) =>
        truth < 0 ? (unknownShare / (1 - unknownShare)) * (known.length / (diagnosed.length - known.length)) : 1,
      ),
    },
    { features, classes: 2 },
    { l2: 0.01, iterations: 100 },
  );
  return {
    temperature,
    unknown: Float64Array.from({ length: features + 1 }, (_, i) => weights[2 * i + 1] - weights[2 * i]),
  };
}
