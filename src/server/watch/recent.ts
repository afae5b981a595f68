import { StoplineError } from '../../errors.ts';
import { decode } from '../../image/decode.ts';
import { shrink } from '../../image/thumbnail.ts';
import type { Profile } from '../../profile/description.ts';
import { scoredValue } from '../../profile/maths/gaussianise.ts';
import type { Verdict } from '../../profile/verdict.ts';
import type { Judge, Judgement } from '../judge.ts';

/** One of the strangest images of late, as people see it. */
export interface StrangeImage extends Pick<Verdict, 'verdict' | 'pValue' | 'score' | 'causes' | 'nearest'> {
  /** sha256 of its bytes. */
  id: string;
  at: number;
  reasons: string[];
  /** Whether a small picture of it is kept. */
  hasPicture: boolean;
}

/** The latest images of one camera, column by column, oldest first. */
export interface RecentImages {
  source: string;
  /** Images so far. */
  images: number;
  at: number[];
  pValue: number[];
  verdict: Verdict['verdict'][];
  /** What an image shows: the first two coordinates of its projection. Empty without a model. */
  projection: [number, number][];
  /** The statistics that lie farthest from the reference of late, farthest first, with their values. */
  statistics: { name: string; values: (number | null)[] }[];
  strange: StrangeImage[];
}

/** Images that are remembered of a camera, and cameras of which any are. */
const keptImages = 300;
const keptSources = 128;
/** Strange images of a camera, and those of them that may have the same first reason. */
const keptStrange = 12;
const perReason = 4;
/** After this a strange image makes room for any newer one. */
const staleMs = 15 * 60_000;
/** Statistics that are shown, and images that decide which. */
const shownStatistics = 9;
const judgedImages = 40;
/** Longest side of a picture, and pictures that wait to be drawn: beyond, images stay without one. */
const pictureSide = 240;
const maxWaiting = 4;

const verdicts = ['pass', 'warn', 'block'] as const;

interface Camera {
  images: number;
  at: Float64Array;
  pValue: Float32Array;
  verdict: Uint8Array;
  projection: Float32Array;
  values: Float32Array;
  strange: StrangeImage[];
  pictures: Map<string, Uint8Array>;
}

/** What of late is kept of each camera for people to look at: in memory, bounded, and gone with the process. */
export interface Recent {
  sources(): {
    source: string;
    images: number;
    at: number;
    pValue: number[];
    counts: Record<Verdict['verdict'], number>;
  }[];
  /** @param after images that the reader has already: only newer ones are in the columns */
  images(source: string, after?: number): RecentImages | undefined;
  /** A small WebP. */
  picture(source: string, id: string): Uint8Array | undefined;
}

/** @param judge watched from now on */
export function createRecent(judge: Judge, limits: { maxPixels: number; maxSide: number }): Recent {
  const cameras = new Map<string, Camera>();
  let waiting = 0;
  let scored: { name: string; position: number; logFloor?: number; p50: number; width: number }[] = [];
  const learn = (profile: Profile) => {
    cameras.clear();
    scored = profile.statistics.map(({ name, logFloor }, position) => {
      const { shape, data } = profile.tensors.calibrationValues;
      const sorted = data.slice(position * shape[1], (position + 1) * shape[1]).sort();
      const at = (share: number) => scoredValue(sorted[Math.floor(share * (sorted.length - 1))], logFloor);
      return { name, position, logFloor, p50: at(0.5), width: at(0.99) - at(0.01) || 1 };
    });
  };

  const openCamera = (source: string): Camera => {
    const found = cameras.get(source);
    // The one that was seen last stands last.
    if (found) cameras.delete(source);
    const camera = found ?? {
      images: 0,
      at: new Float64Array(keptImages),
      pValue: new Float32Array(keptImages),
      verdict: new Uint8Array(keptImages),
      projection: new Float32Array(2 * keptImages),
      values: new Float32Array(scored.length * keptImages),
      strange: [],
      pictures: new Map(),
    };
    cameras.set(source, camera);
    if (cameras.size > keptSources) cameras.delete(cameras.keys().next().value as string);
    return camera;
  };

  const keepStrange = (camera: Camera, judgement: Judgement) => {
    const { verdict: full, at } = judgement;
    const { verdict, pValue, score, causes, nearest, reasons, image } = full;
    if (verdict === 'pass' || camera.strange.some(({ id }) => id === image.sha256)) return;
    const fresh = camera.strange.filter((other) => at - other.at < staleMs);
    const entry: StrangeImage = {
      id: image.sha256,
      at,
      verdict,
      pValue,
      score,
      reasons: reasons.slice(0, 4).map(({ text }) => text),
      ...(causes && { causes: causes.slice(0, 3) }),
      ...(nearest && { nearest }),
      hasPicture: false,
    };
    const alike = new Map<string, number>();
    camera.strange = [...fresh, entry]
      .sort((a, b) => b.score - a.score)
      .filter(({ reasons: [first = ''] }) => {
        const key = first.split(':')[0];
        alike.set(key, (alike.get(key) ?? 0) + 1);
        return (alike.get(key) ?? 0) <= perReason;
      })
      .slice(0, keptStrange);
    for (const id of camera.pictures.keys()) {
      if (!camera.strange.some((other) => other.id === id)) camera.pictures.delete(id);
    }
    if (waiting >= maxWaiting || !camera.strange.includes(entry)) return;
    waiting++;
    draw(judgement, limits)
      .then((picture) => {
        if (!camera.strange.includes(entry)) return;
        camera.pictures.set(entry.id, picture);
        entry.hasPicture = true;
      })
      // It was judged, so it can be decoded; and nothing depends on the picture.
      .catch(() => undefined)
      .finally(() => {
        waiting--;
      });
  };

  judge.watch(
    (judgement) => {
      const { verdict, source, at } = judgement;
      const camera = openCamera(source);
      const place = camera.images++ % keptImages;
      camera.at[place] = at;
      camera.pValue[place] = verdict.pValue;
      camera.verdict[place] = verdicts.indexOf(verdict.verdict);
      const [x = Number.NaN, y = Number.NaN] = verdict.projection ?? [];
      camera.projection[2 * place] = x;
      camera.projection[2 * place + 1] = y;
      const first = place * scored.length;
      for (const { name, position } of scored) camera.values[first + position] = verdict.statistics[name] ?? Number.NaN;
      keepStrange(camera, judgement);
    },
    { bytes: true },
  );
  judge.onReplace(learn);
  // A service may start without a Profile that can be used.
  try {
    learn(judge.profile);
  } catch {
    scored = [];
  }

  /** The places of the newest images, oldest first. */
  const places = ({ images }: Camera, count: number) =>
    Array.from(
      { length: Math.min(images, keptImages, count) },
      (_, i, length = Math.min(images, keptImages, count)) => (images - length + i) % keptImages,
    );

  /** Distance of the mean of the newest images from the median of the reference, in widths of its 1-99 % band. */
  const farthest = (camera: Camera) => {
    const newest = places(camera, judgedImages);
    const distances = scored.map(({ position, logFloor, p50, width }) => {
      const values = newest.map((place) => camera.values[place * scored.length + position]).filter(Number.isFinite);
      const mean = values.reduce((sum, value) => sum + scoredValue(value, logFloor), 0) / values.length;
      return values.length === 0 ? 0 : Math.abs(mean - p50) / width;
    });
    return scored
      .map((_, position) => position)
      .sort((a, b) => distances[b] - distances[a])
      .slice(0, shownStatistics);
  };

  return {
    sources: () =>
      [...cameras].map(([source, camera]) => {
        const all = places(camera, keptImages);
        const counts = { pass: 0, warn: 0, block: 0 };
        for (const place of all) counts[verdicts[camera.verdict[place]]]++;
        const pValue = all.slice(-60).map((place) => tidy(camera.pValue[place]));
        return { source, images: camera.images, at: camera.at[all[all.length - 1]], pValue, counts };
      }),
    images(source, after = 0) {
      const camera = cameras.get(source);
      if (!camera) return undefined;
      const rows = places(camera, Math.max(0, camera.images - Math.max(0, after)));
      const projected = rows.filter((place) => Number.isFinite(camera.projection[2 * place]));
      return {
        source,
        images: camera.images,
        at: rows.map((place) => camera.at[place]),
        pValue: rows.map((place) => tidy(camera.pValue[place])),
        verdict: rows.map((place) => verdicts[camera.verdict[place]]),
        projection: projected.map((place) => [
          tidy(camera.projection[2 * place]),
          tidy(camera.projection[2 * place + 1]),
        ]),
        // Which are shown may change, so they always come whole.
        statistics: farthest(camera).map((position) => ({
          name: scored[position].name,
          values: places(camera, keptImages).map((place) => {
            const value = camera.values[place * scored.length + position];
            return Number.isFinite(value) ? tidy(value) : null;
          }),
        })),
        strange: camera.strange,
      };
    },
    picture: (source, id) => cameras.get(source)?.pictures.get(id),
  };
}

async function draw({ bytes, frame }: Judgement, limits: { maxPixels: number; maxSide: number }): Promise<Uint8Array> {
  const pixels = frame ?? (bytes && (await decode(bytes, limits)).frame);
  if (!pixels) throw new StoplineError('INTERNAL', 'Expected the bytes or the pixels of an image that was judged.');
  return (await shrink(pixels, pictureSide)).bytes;
}

function tidy(value: number): number {
  return Number(value.toPrecision(4));
}
