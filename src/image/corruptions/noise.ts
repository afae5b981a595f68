import { openWorkspace } from '../../core/workspace.ts';
import type { Pixels } from './filter.ts';
import { normalQuantiles, type Random } from './random.ts';

/** ImageNet-C `gaussian_noise`: standard deviation as a share of full scale. */
const gaussianDeviation = [0.08, 0.12, 0.18, 0.26, 0.38] as const;
/** ImageNet-C `shot_noise`: photons that a white pixel collects. */
const shotPhotons = [60, 25, 12, 5, 3] as const;
/** ImageNet-C `impulse_noise`: share of samples (not pixels) set to black or white. */
const impulseShare = [0.03, 0.06, 0.09, 0.17, 0.27] as const;
/** ImageNet-C `speckle_noise`: standard deviation relative to the value. */
const speckleDeviation = [0.15, 0.2, 0.35, 0.45, 0.6] as const;

/** Adds `deviation[v] * N(0, 1)` to every sample of value v. */
export function addNoise(data: Uint8Array, deviation: Float32Array, random: Random): Uint8Array {
  const space = openWorkspace();
  const at = space.write(data);
  const deviations = space.write(deviation);
  const table = space.write(normalQuantiles());
  random.drawIn(space, (state) => space.kernels.stopline_noise(at, data.length, deviations, table, state));
  return space.readBytes(at, data.length);
}

/** x + sd * N(0, 1). */
export function gaussianNoise({ data }: Pixels, severity: number, random: Random): Uint8Array {
  return addNoise(data, new Float32Array(256).fill(255 * gaussianDeviation[severity - 1]), random);
}

/** x + x * sd * N(0, 1). */
export function speckleNoise({ data }: Pixels, severity: number, random: Random): Uint8Array {
  const sd = speckleDeviation[severity - 1];
  return addNoise(
    data,
    Float32Array.from({ length: 256 }, (_, v) => v * sd),
    random,
  );
}

const poissonBits = 12;
const poissonTables = new Map<number, Uint8Array>();

/** For each pixel value, 4096 quantiles of Poisson(x c) / c: a memo of a pure function, one megabyte for each c. */
function poissonTable(photons: number): Uint8Array {
  const known = poissonTables.get(photons);
  if (known) return known;
  const size = 1 << poissonBits;
  const out = new Uint8Array(256 * size);
  for (let v = 0; v < 256; v++) {
    const mean = (v / 255) * photons;
    let count = 0;
    let term = Math.exp(-mean);
    let cumulative = term;
    for (let i = 0; i < size; i++) {
      const p = (i + 0.5) / size;
      while (cumulative < p && count < 20 * photons) {
        count++;
        term *= mean / count;
        cumulative += term;
      }
      out[v * size + i] = Math.min(255, (255 * count) / photons + 0.5);
    }
  }
  poissonTables.set(photons, out);
  return out;
}

/** Poisson(x c) / c: what few photons look like. */
export function shotNoise({ data }: Pixels, severity: number, random: Random): Uint8Array {
  const space = openWorkspace();
  const at = space.write(data);
  const table = space.write(poissonTable(shotPhotons[severity - 1]));
  random.drawIn(space, (state) => space.kernels.stopline_shot(at, data.length, table, state));
  return space.readBytes(at, data.length);
}

/** Salt and pepper, half each, on single samples. */
export function impulseNoise({ data }: Pixels, severity: number, random: Random): Uint8Array {
  const space = openWorkspace();
  const at = space.write(data);
  const limit = Math.round(impulseShare[severity - 1] * 2147483648);
  random.drawIn(space, (state) => space.kernels.stopline_impulses(at, data.length, limit, state));
  return space.readBytes(at, data.length);
}
