import { probit } from 'simple-statistics';
import type { Workspace } from '../../core/workspace.ts';

/** Reading a quantile table at 16 random bits is about five times as fast as Box-Muller, and half a megapixel needs 0.5 M draws. */
let normalTable: Float32Array | undefined;

export function normalQuantiles(): Float32Array {
  if (normalTable) return normalTable;
  const table = new Float32Array(65536);
  let squares = 0;
  for (let i = 0; i < 32768; i++) {
    const z = probit((i + 0.5) / 65536);
    table[i] = z;
    table[65535 - i] = -z;
    squares += 2 * z * z;
  }
  // The table is cut at 1/131072 and probit is good to 2e-3: make its standard deviation exactly one.
  const scale = 1 / Math.sqrt(squares / 65536);
  for (let i = 0; i < 65536; i++) table[i] *= scale;
  normalTable = table;
  return table;
}

/** xoshiro128** (Blackman and Vigna 2018), seeded through splitmix32: the same seed gives the same pixels on every machine. */
export class Random {
  /** The four words of the generator: whoever draws from them elsewhere (src/core/train.c) moves them on. */
  readonly state: Uint32Array = new Uint32Array(4);

  constructor(seed: number) {
    let x = seed | 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) | 0;
      let z = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.state[i] = z ^ (z >>> 16);
    }
  }

  /** `count` words of 32 random bits. */
  words(count: number): Uint32Array {
    const out = new Uint32Array(count);
    let [a, b, c, d] = this.state as unknown as [number, number, number, number];
    for (let i = 0; i < count; i++) {
      const m = Math.imul(b, 5);
      out[i] = Math.imul((m << 7) | (m >>> 25), 9);
      const t = b << 9;
      c ^= a;
      d ^= b;
      b ^= c;
      a ^= d;
      c ^= t;
      d = (d << 11) | (d >>> 21);
    }
    this.state.set([a, b, c, d]);
    return out;
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + ((high - low) * this.words(1)[0]) / 4294967296;
  }

  /** Integer in [0, count). */
  integer(count: number): number {
    return Math.floor(this.uniform(0, count));
  }

  /** -1 or 1. */
  sign(): number {
    return this.uniform() < 0.5 ? -1 : 1;
  }

  /** `count` draws from N(mean, deviation), two from each word. */
  normals(count: number, mean = 0, deviation = 1): Float32Array {
    const table = normalQuantiles();
    const words = this.words((count + 1) >> 1);
    const out = new Float32Array(count);
    for (let i = 0; i + 1 < count; i += 2) {
      const word = words[i >> 1];
      out[i] = mean + deviation * table[word & 0xffff];
      out[i + 1] = mean + deviation * table[word >>> 16];
    }
    if (count & 1) out[count - 1] = mean + deviation * table[words[count >> 1] & 0xffff];
    return out;
  }

  /** Lets a kernel draw from the generator, whose state lies at `state` meanwhile. */
  drawIn(space: Workspace, draw: (state: number) => void): void {
    const at = space.write(this.state);
    draw(at);
    this.state.set(space.words(at, 4));
  }

  /** `words` in a workspace. */
  placeWords(space: Workspace, count: number): number {
    const out = space.reserve(4 * count);
    this.drawIn(space, (state) => space.kernels.stopline_words(state, count, out));
    return out;
  }

  /** `normals` in a workspace. */
  placeNormals(space: Workspace, count: number, mean: number, deviation: number): number {
    const table = space.write(normalQuantiles());
    const out = space.reserve(4 * count);
    this.drawIn(space, (state) => space.kernels.stopline_normals(state, table, count, mean, deviation, out));
    return out;
  }
}
