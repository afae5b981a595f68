import { StoplineError } from '../../errors.ts';
import { decode } from '../../image/decode.ts';
import { shrink } from '../../image/thumbnail.ts';
import type { Profile } from '../../profile/description.ts';
import { scoredValue } from '../../profile/maths/gaussianise.ts';
import { findQuantile } from '../../profile/maths/ranks.ts';
import type { Verdict } from '../../profile/verdict.ts';
import type { Judge, Judgement } from '../judge.ts';

/** One of the strangest of the latest images, as people see it. */
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
  /** The statistics that lie farthest from the reference lately, farthest first, with their values. */
  statistics: { name: string; values: (number | null)[] }[];
  strange: StrangeImage[];
}

/** Images that are remembered of one camera, and cameras that are remembered. */
const keptImages = 300;
const keptSources = 128;
/** Strange images that are kept of a camera, and how many of them may have the same first reason. */
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

/** A statistic that is scored, and where it lies in the reference. */
interface Scored {
  name: string;
  position: number;
  logFloor?: number | undefined;
  p50: number;
  /** Width of the band from 1 to 99 %. */
  width: number;
}

/** What lists show of a camera. */
export interface RecentSource {
  source: string;
  images: number;
  at: number;
  pValue: number[];
  counts: Record<Verdict['verdict'], number>;
}

/** The latest images of each camera for people to look at: in memory, bounded, and gone with the process. */
export class Recent {
  readonly #limits: { maxPixels: number; maxSide: number };
  /** The camera that was seen last stands last. */
  readonly #cameras = new Map<string, Camera>();
  #scored: Scored[] = [];
  #waiting = 0;

  /** @param judge watched from now on */
  constructor(judge: Judge, limits: { maxPixels: number; maxSide: number }) {
    this.#limits = limits;
    if (judge.hasProfile) this.#learn(judge.profile);
    judge.onReplace((profile) => this.#learn(profile));
    judge.watch((judgement) => this.#take(judgement), { bytes: true });
  }

  sources(): RecentSource[] {
    return [...this.#cameras].map(([source, camera]) => ({ source, ...camera.summarize() }));
  }

  /** @param after images that the reader has already: only newer ones are in the columns */
  images(source: string, after = 0): RecentImages | undefined {
    const camera = this.#cameras.get(source);
    return camera && { source, ...camera.describe(after) };
  }

  /** A small WebP. */
  picture(source: string, id: string): Uint8Array | undefined {
    return this.#cameras.get(source)?.pictures.get(id);
  }

  #learn(profile: Profile): void {
    this.#cameras.clear();
    this.#scored = profile.statistics.map(({ name, logFloor }, position) => {
      const { shape, data } = profile.tensors.calibrationValues;
      const sorted = data.slice(position * shape[1], (position + 1) * shape[1]).sort();
      const at = (share: number) => scoredValue(findQuantile(sorted, share), logFloor);
      return { name, position, logFloor, p50: at(0.5), width: at(0.99) - at(0.01) || 1 };
    });
  }

  #take(judgement: Judgement): void {
    const { source } = judgement;
    const camera = this.#cameras.get(source) ?? new Camera(this.#scored);
    this.#cameras.delete(source);
    this.#cameras.set(source, camera);
    if (this.#cameras.size > keptSources) this.#cameras.delete(this.#cameras.keys().next().value as string);
    const strange = camera.take(judgement);
    if (strange && this.#waiting < maxWaiting) void this.#draw(camera, strange, judgement);
  }

  async #draw(camera: Camera, strange: StrangeImage, judgement: Judgement): Promise<void> {
    this.#waiting++;
    try {
      camera.illustrate(strange, await draw(judgement, this.#limits));
    } catch {
      // It was judged, so it can be decoded; and nothing depends on the picture.
    } finally {
      this.#waiting--;
    }
  }
}

/** The latest images of one camera: a ring of columns, and the strangest of them. */
class Camera {
  readonly pictures = new Map<string, Uint8Array>();
  readonly #scored: readonly Scored[];
  readonly #at = new Float64Array(keptImages);
  readonly #pValue = new Float32Array(keptImages);
  readonly #verdict = new Uint8Array(keptImages);
  readonly #projection = new Float32Array(2 * keptImages);
  readonly #values: Float32Array;
  #images = 0;
  #strange: StrangeImage[] = [];

  constructor(scored: readonly Scored[]) {
    this.#scored = scored;
    this.#values = new Float32Array(scored.length * keptImages);
  }

  /** @returns the image where it is one of the strangest */
  take(judgement: Judgement): StrangeImage | undefined {
    const { verdict, at } = judgement;
    const place = this.#images++ % keptImages;
    this.#at[place] = at;
    this.#pValue[place] = verdict.pValue;
    this.#verdict[place] = verdicts.indexOf(verdict.verdict);
    const [x = Number.NaN, y = Number.NaN] = verdict.projection ?? [];
    this.#projection.set([x, y], 2 * place);
    const first = place * this.#scored.length;
    for (const { name, position } of this.#scored) {
      this.#values[first + position] = verdict.statistics[name] ?? Number.NaN;
    }
    return this.#keepStrange(verdict, at);
  }

  /** Adds the picture of one of the strangest images, unless it has given way to others meanwhile. */
  illustrate(strange: StrangeImage, picture: Uint8Array): void {
    if (!this.#strange.includes(strange)) return;
    this.pictures.set(strange.id, picture);
    strange.hasPicture = true;
  }

  summarize(): Omit<RecentSource, 'source'> {
    const places = this.#places(keptImages);
    const counts = { pass: 0, warn: 0, block: 0 };
    for (const place of places) counts[verdicts[this.#verdict[place]]]++;
    const pValue = places.slice(-60).map((place) => tidy(this.#pValue[place]));
    return { images: this.#images, at: this.#at[places[places.length - 1]], pValue, counts };
  }

  describe(after: number): Omit<RecentImages, 'source'> {
    const rows = this.#places(Math.max(0, this.#images - Math.max(0, after)));
    const projected = rows.filter((place) => Number.isFinite(this.#projection[2 * place]));
    return {
      images: this.#images,
      at: rows.map((place) => this.#at[place]),
      pValue: rows.map((place) => tidy(this.#pValue[place])),
      verdict: rows.map((place) => verdicts[this.#verdict[place]]),
      projection: projected.map((place) => [tidy(this.#projection[2 * place]), tidy(this.#projection[2 * place + 1])]),
      // Which are shown may change, so they always come whole.
      statistics: this.#farthest().map(({ name, position }) => ({
        name,
        values: this.#places(keptImages).map((place) => this.#value(place, position)),
      })),
      strange: this.#strange,
    };
  }

  #value(place: number, position: number): number | null {
    const value = this.#values[place * this.#scored.length + position];
    return Number.isFinite(value) ? tidy(value) : null;
  }

  #keepStrange(full: Verdict, at: number): StrangeImage | undefined {
    const { verdict, pValue, score, causes, nearest, reasons, image } = full;
    if (verdict === 'pass' || this.#strange.some(({ id }) => id === image.sha256)) return undefined;
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
    const fresh = this.#strange.filter((other) => at - other.at < staleMs);
    this.#strange = chooseStrangest([...fresh, entry]);
    for (const id of this.pictures.keys()) {
      if (!this.#strange.some((other) => other.id === id)) this.pictures.delete(id);
    }
    return this.#strange.includes(entry) ? entry : undefined;
  }

  /** The places of the newest images, oldest first. */
  #places(count: number): number[] {
    const length = Math.min(this.#images, keptImages, count);
    return Array.from({ length }, (_, i) => (this.#images - length + i) % keptImages);
  }

  /** The statistics whose mean over the newest images lies farthest from the median of the reference, in widths of its band. */
  #farthest(): Scored[] {
    const newest = this.#places(judgedImages);
    const distances = this.#scored.map(({ position, logFloor, p50, width }) => {
      const values = newest
        .map((place) => this.#values[place * this.#scored.length + position])
        .filter((value) => Number.isFinite(value));
      const mean = values.reduce((sum, value) => sum + scoredValue(value, logFloor), 0) / values.length;
      return values.length === 0 ? 0 : Math.abs(mean - p50) / width;
    });
    return [...this.#scored].sort((a, b) => distances[b.position] - distances[a.position]).slice(0, shownStatistics);
  }
}

/** The strangest images, of which only so many may have the same first reason. */
function chooseStrangest(images: StrangeImage[]): StrangeImage[] {
  const alike = new Map<string, number>();
  return images
    .sort((a, b) => b.score - a.score)
    .filter(({ reasons: [first = ''] }) => {
      const [key] = first.split(':');
      const count = (alike.get(key) ?? 0) + 1;
      alike.set(key, count);
      return count <= perReason;
    })
    .slice(0, keptStrange);
}

async function draw({ bytes, frame }: Judgement, limits: { maxPixels: number; maxSide: number }): Promise<Uint8Array> {
  const pixels = frame ?? (bytes && (await decode(bytes, limits)).frame);
  if (!pixels) throw new StoplineError('INTERNAL', 'Expected the bytes or the pixels of an image that was judged.');
  return (await shrink(pixels, pictureSide)).bytes;
}

function tidy(value: number): number {
  return Number(value.toPrecision(4));
}
