import { Population } from '../../../src/drift/population.ts';
import { type Pixels, toBytes } from '../../../src/image/corruptions/filter.ts';
import { Random } from '../../../src/image/corruptions/random.ts';
import type { Profile } from '../../../src/profile/description.ts';
import type { RowVerdict } from '../../../src/run/rows/row.ts';
import { share } from '../measures.ts';
import { warp } from './draw.ts';

/** How many images are compared at once, and how often. */
export const windowSizes = [10, 20, 50, 100, 200, 500, 1000] as const;
export const windowRuns = 20;
/** Level of the test, over all statistics and detectors. */
export const level = 0.05;
/** Shares of a window that a shift touches. */
const touched = [0.1, 0.5, 1] as const;

/** What "Failing Loudly" (Rabanser et al. 2019) does to pictures, drawn here: noise in grey levels, and turned, moved, zoomed and mirrored. */
export const windowShifts: readonly { name: string; draw: (picture: Pixels, random: Random) => Uint8Array }[] = [
  ...([1, 10, 100] as const).map((sigma) => ({
    name: `noise, deviation ${sigma}`,
    draw: (picture: Pixels, random: Random) => addNoise(picture, sigma, random),
  })),
  ...(
    [
      { name: 'small', degrees: 10, move: 0.05, zoom: 0.1, mirrors: 0 },
      { name: 'medium', degrees: 40, move: 0.2, zoom: 0.2, mirrors: 1 },
      { name: 'large', degrees: 90, move: 0.4, zoom: 0.4, mirrors: 2 },
    ] as const
  ).map(({ name, ...by }) => ({
    name: `turned, moved, zoomed: ${name}`,
    draw: (picture: Pixels, random: Random) => turn(picture, by, random),
  })),
];

function addNoise({ data }: Pixels, sigma: number, random: Random): Uint8Array {
  const noise = random.normals(data.length, 0, sigma);
  return toBytes(Float32Array.from(data, (value, i) => value + noise[i]));
}

function turn(
  picture: Pixels,
  { degrees, move, zoom, mirrors }: { degrees: number; move: number; zoom: number; mirrors: 0 | 1 | 2 },
  random: Random,
): Uint8Array {
  const { data, width, height } = picture;
  const angle = (random.uniform(-degrees, degrees) * Math.PI) / 180;
  const [dx, dy] = [random.uniform(-move, move) * width, random.uniform(-move, move) * height];
  const [zx, zy] = [random.uniform(1 - zoom, 1 + zoom), random.uniform(1 - zoom, 1 + zoom)];
  const [mx, my] = [mirrors > 0 && random.integer(2) > 0 ? -1 : 1, mirrors > 1 && random.integer(2) > 0 ? -1 : 1];
  const [cx, cy] = [(width - 1) / 2, (height - 1) / 2];
  const clamp = (place: number, size: number) => Math.min(size - 1, Math.max(0, place));
  const image = { data: new Float32Array(data), width, height };
  const turned = warp(
    image,
    (x, y) => {
      const [px, py] = [mx * zx * (x - cx), my * zy * (y - cy)];
      return [
        cx + Math.cos(angle) * px - Math.sin(angle) * py + dx,
        cy + Math.sin(angle) * px + Math.cos(angle) * py + dy,
      ];
    },
    clamp,
  );
  return toBytes(turned);
}

/** A verdict on a picture of this class of CIFAR-10. */
export interface WindowImage {
  verdict: RowVerdict;
  label: number;
}

/** How often windows of each size were told to be unlike the reference. */
export interface WindowRow {
  shift: string;
  /** Share of the images that the shift touches. */
  share: number;
  found: number[];
}

/**
 * Windows of each size, drawn again and again without replacement, held against the reference as `check` does it: told where any
 * statistic or detector has moved at 5 %, adjusted for the number of them (Benjamini-Hochberg, which is Simes' test where nothing has moved).
 * @param shifted the same pictures under every shift, in the same order
 */
export function judgeWindows(
  profile: Profile,
  clean: readonly WindowImage[],
  shifted: ReadonlyMap<string, readonly WindowImage[]>,
  { seed, sizes = windowSizes, runs = windowRuns }: { seed: number; sizes?: readonly number[]; runs?: number },
): WindowRow[] {
  const detect = (shift: string, part: number, pick: (order: Uint32Array, size: number) => readonly WindowImage[]) => ({
    shift,
    share: part,
    found: sizes.map((size) =>
      share(
        Array.from({ length: runs }, (_, run) => {
          const order = shuffle(clean.length, new Random(1000 * seed + run));
          return isMoved(profile, pick(order, size));
        }),
        (moved) => moved,
      ),
    ),
  });
  const take = (images: readonly WindowImage[], order: Uint32Array, size: number) =>
    Array.from(order.subarray(0, size), (i) => images[i]);
  const rows = [detect('none', 0, (order, size) => take(clean, order, size))];
  for (const [name, images] of shifted) {
    for (const part of touched) {
      rows.push(
        detect(name, part, (order, size) =>
          Array.from(order.subarray(0, size), (at, i) => (i < part * size ? images : clean)[at]),
        ),
      );
    }
  }
  for (const part of touched) {
    rows.push(
      detect('one class of ten left out', part, (order, size) => {
        // The share of that class's images which is gone.
        const kept = Array.from(order).filter((at) => clean[at].label !== 0 || at % 10 >= 10 * part);
        return kept.slice(0, size).map((at) => clean[at]);
      }),
    );
  }
  return rows;
}

function isMoved(profile: Profile, images: readonly WindowImage[]): boolean {
  const population = new Population(profile);
  for (const { verdict } of images) population.add({ path: '', ...verdict });
  return population
    .shifts()
    .some(({ adjusted, kind, direction }) => adjusted <= level && (kind === 'statistic' || direction !== 'low'));
}

/** Fisher and Yates. */
function shuffle(count: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
