import { Random } from '../../src/image/corruptions/random.ts';

/** One image as detectors see it, before it is compared with a reference. */
export interface StreamImage {
  score: number;
  /** Raw values of the statistics. */
  values: Float64Array;
}

/** A stream in which nothing changes, and independent images of the same population to calibrate with. */
export interface Population {
  name: string;
  statistics: number;
  /** An endless sequence of images in order; the same for a seed. */
  stream(seed: number): () => StreamImage;
  /** Images that have nothing to do with each other; the same for a seed. */
  draw(seed: number, count: number): StreamImage[];
}

/** Share of the variance that all statistics have in common. */
const common = 0.3;
export const simulatedStatistics = 24;

/**
 * Normal statistics with a common factor, each an AR(1) process; the score is the logarithm of the sum of squares, as a distance
 * is. With a period they also follow a cycle, as day and night do.
 */
export function autoregressive(memory: number, period = 0): Population {
  const name = period > 0 ? `day and night, ${period} images a day` : memory === 0 ? 'independent' : `AR(1) ${memory}`;
  const cycle = period > 0 ? 0.5 : 0;
  const makeImage = (noise: Float64Array, angle: number): StreamImage => {
    const values = new Float64Array(simulatedStatistics);
    let square = 0;
    for (let i = 0; i < simulatedStatistics; i++) {
      // A third of the statistics follow the light.
      const turn = cycle > 0 && i % 3 === 0 ? Math.SQRT2 * Math.sin(angle) : 0;
      const own = Math.sqrt(common) * noise[0] + Math.sqrt(1 - common) * noise[i + 1];
      values[i] = turn === 0 ? own : Math.sqrt(1 - cycle) * own + Math.sqrt(cycle) * turn;
      square += values[i] ** 2;
    }
    return { score: Math.log(square), values };
  };
  const step = Math.sqrt(1 - memory * memory);
  return {
    name,
    statistics: simulatedStatistics,
    stream(seed) {
      const random = new Random(seed);
      const noise = Float64Array.from(random.normals(simulatedStatistics + 1));
      let time = period > 0 ? random.integer(period) : 0;
      return () => {
        const fresh = random.normals(noise.length);
        for (let i = 0; i < noise.length; i++) noise[i] = memory * noise[i] + step * fresh[i];
        time++;
        return makeImage(noise, period > 0 ? (2 * Math.PI * time) / period : 0);
      };
    },
    draw(seed, count) {
      const random = new Random(seed);
      return Array.from({ length: count }, () =>
        makeImage(Float64Array.from(random.normals(simulatedStatistics + 1)), random.uniform(0, 2 * Math.PI)),
      );
    },
  };
}

/** Frames of a recording that follow each other stay together for so long. */
const block = 40;

/** A stream of real frames: stretches of recordings in their order, drawn again and again. */
export function recorded(name: string, recordings: readonly (readonly StreamImage[])[]): Population {
  const all = recordings.flat();
  return {
    name,
    statistics: all[0].values.length,
    stream(seed) {
      const random = new Random(seed);
      let rest: readonly StreamImage[] = [];
      return () => {
        if (rest.length === 0) {
          const at = random.integer(all.length);
          let [recording, from] = [0, at];
          while (from >= recordings[recording].length) from -= recordings[recording++].length;
          rest = recordings[recording].slice(from, from + block);
        }
        const [next, ...later] = rest;
        rest = later;
        return next;
      };
    },
    draw(seed, count) {
      const random = new Random(seed);
      return Array.from({ length: count }, () => all[random.integer(all.length)]);
    },
  };
}
