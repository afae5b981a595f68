import { dirname, relative } from 'node:path';
import { asStoplineError, type ErrorJson, endSentence, StoplineError } from '../errors.ts';
import { categoricalProperties, type MeasuredImage } from '../image/measured.ts';
import { countImages, listImages } from '../run/inputs/folder.ts';
import type { Item, Items } from '../run/inputs/item.ts';
import { makeItem } from '../run/inputs/items.ts';
import { LeftOut } from '../run/inputs/leftout.ts';
import { LinkFollower } from '../run/inputs/links.ts';
import { mapOrdered } from '../run/mapordered.ts';
import type { Pool } from '../run/pool.ts';
import type { EncodedImage } from '../run/task.ts';
import { hash } from './groups.ts';
import type { Sample } from './samples.ts';

/** A reference image as it was measured, before it is known what it is left out with. */
export interface ReferenceSample extends Sample {
  listed: { folder: string };
  /** Place among all images of the reference, also those of other shards. */
  position: number;
}

export interface SkippedImage {
  path: string;
  error: ErrorJson;
}

/** What fitting keeps of the images of a reference. */
export interface Reference {
  /** The samples in the order of their images; where there are very many, a seeded choice of them. */
  kept: ReferenceSample[];
  skipped: SkippedImage[];
  /** Distinct images that could be measured, and further copies of them. */
  measured: number;
  duplicates: number;
  /** Images by folder. */
  folders: Map<string, number>;
  /** What an image can be looked at again by; undefined for most that are no files. */
  findSource(id: string): EncodedImage | undefined;
}

/** Fewer distinct images than this describe no population. */
export const minImages = 50;
/** More images than this sharpen nothing: a seeded sample of this size is kept, so memory stays flat. */
const maxSamples = 20_000;

/** Among so many images, chosen by the seed, the example is looked for. */
export const exampleCandidates = 50;

export interface MeasureOptions {
  /** Files and folders, where there are no `items`. */
  paths: readonly string[];
  items?: Items | undefined;
  only?: ((image: { path: string; folder: string }) => boolean) | undefined;
  /** Whether symbolic links are followed; default true. */
  follow?: boolean | undefined;
  seed: number;
  /** How many images will be looked at again. So many of those that are no files are kept as bytes. */
  again: { simulations: number; power: number };
  /** Names of files are kept only for the images that will be looked at again. */
  keepsFew?: boolean;
  onProgress?: (state: { done: number; total?: number | undefined; failed: number }) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Measures every image once, in order; keeps one of equal ones, and of very many a seeded sample.
 * @throws {StoplineError} INPUT_*, OBJECTS_UNAVAILABLE
 */
export async function measureReference(pool: Pool, options: MeasureOptions): Promise<Reference> {
  const { paths, seed, again, keepsFew, signal, onProgress } = options;
  const items = options.items ?? folderItems(paths, options);
  const total = await items.count();
  const collection = new Collection(seed, again, keepsFew);
  let done = 0;
  let failed = 0;
  const measure = async ({ name, folder, path, target = path, codec, read, position = 0 }: Item) => {
    signal?.throwIfAborted();
    const known = { path: path ?? name, folder: shortened(folder, paths), position };
    try {
      const bytes = await read?.();
      const source = bytes && codec !== undefined ? { bytes, codec } : (bytes ?? (target as string));
      return { known, source, image: await pool.measure(source) };
    } catch (cause) {
      const error = asStoplineError(cause);
      if (error.code === 'STOPLINE_ERR_OBJECTS_UNAVAILABLE') throw error;
      return { known, error };
    }
  };
  for await (const { known, image, source, error } of mapOrdered(items, pool.info.threads * 4, measure)) {
    if (error) collection.skip({ path: known.path, error: error.toJSON() });
    else collection.add(makeSample(image, known), source);
    if (error) failed++;
    onProgress?.({ done: ++done, total, failed });
  }
  return collection.finish();
}

/** What is kept of a reference. It depends on the seed and the images, and not on who measured them. */
export class Collection {
  readonly #kept = new Map<string, { priority: string; sample: ReferenceSample }>();
  readonly #files = new Map<string, string>();
  readonly #skipped: SkippedImage[] = [];
  readonly #folders = new Map<string, number>();
  readonly #seed: number;
  readonly #keepsFew: boolean;
  /** Images to be looked at again, of which the bytes are kept. */
  readonly #lowest: readonly Lowest[];
  #measured = 0;
  #duplicates = 0;

  constructor(seed: number, again: MeasureOptions['again'], keepsFew = false) {
    this.#seed = seed;
    this.#keepsFew = keepsFew;
    this.#lowest = [
      new Lowest(seed, again.simulations),
      new Lowest(seed + 1, again.power),
      new Lowest(seed + 2, exampleCandidates),
    ];
  }

  add(sample: ReferenceSample, source?: EncodedImage): void {
    const { id } = sample;
    if (this.#kept.has(id)) {
      this.#duplicates++;
      return;
    }
    this.#measured++;
    this.#countFolder(sample.listed.folder, 1);
    this.#kept.set(id, { priority: hash(this.#seed, id), sample });
    if (typeof source === 'string' && !this.#keepsFew) this.#files.set(id, source);
    else if (source) for (const lowest of this.#lowest) lowest.add(id, source);
    if (this.#kept.size >= maxSamples * 2) keepLowest(this.#kept, maxSamples);
  }

  /** Adds images that are counted but no longer kept. */
  count(more: { measured: number; duplicates: number; folders: Map<string, number> }): void {
    this.#measured += more.measured;
    this.#duplicates += more.duplicates;
    for (const [folder, images] of more.folders) this.#countFolder(folder, images);
  }

  skip(image: SkippedImage): void {
    this.#skipped.push(image);
  }

  finish(): Reference {
    if (this.#kept.size > maxSamples) keepLowest(this.#kept, maxSamples);
    return {
      kept: [...this.#kept.values()].map(({ sample }) => sample),
      skipped: this.#skipped,
      measured: this.#measured,
      duplicates: this.#duplicates,
      folders: this.#folders,
      findSource: (id) => this.#files.get(id) ?? this.#lowest.map((lowest) => lowest.get(id)).find((source) => source),
    };
  }

  #countFolder(folder: string, images: number): void {
    this.#folders.set(folder, (this.#folders.get(folder) ?? 0) + images);
  }
}

/** Keeps the images that come first by a seed, at most twice as many as asked for at any time. */
class Lowest {
  readonly #entries = new Map<string, { priority: string; source: EncodedImage }>();
  readonly #seed: number;
  readonly #count: number;

  constructor(seed: number, count: number) {
    this.#seed = seed;
    this.#count = count;
  }

  add(id: string, source: EncodedImage): void {
    if (this.#count === 0) return;
    this.#entries.set(id, { priority: hash(this.#seed, id), source });
    if (this.#entries.size >= this.#count * 2) keepLowest(this.#entries, this.#count);
  }

  get(id: string): EncodedImage | undefined {
    return this.#entries.get(id)?.source;
  }
}

function keepLowest<Entry extends { priority: string }>(entries: Map<string, Entry>, count: number): void {
  const limit = [...entries.values()].map(({ priority }) => priority).sort()[count];
  for (const [key, { priority }] of entries) if (priority >= limit) entries.delete(key);
}

function makeSample(
  image: MeasuredImage,
  { path, folder, position }: { path: string; folder: string; position: number },
): ReferenceSample {
  return {
    id: image.sha256,
    path,
    group: '',
    fold: 0,
    position,
    listed: { folder },
    statistics: image.statistics,
    embedding: image.embedding,
    places: image.places,
    properties: categoricalProperties(image),
  };
}

function folderItems(paths: readonly string[], { only, follow }: Pick<MeasureOptions, 'only' | 'follow'>): Items {
  const leftOut = new LeftOut();
  const which = () => ({ only, links: new LinkFollower(follow) });
  return {
    columns: [],
    leftOut,
    count: () => countImages(paths, which()),
    async *[Symbol.asyncIterator]() {
      leftOut.clear();
      let position = 0;
      for await (const image of listImages(paths, { ...which(), leftOut }))
        yield { ...makeItem(image), position: position++ };
    },
  };
}

/** A path from the folder of the root that it lies under: a Profile must not tell, or depend on, where the reference lies. */
export function shortened(path: string, roots: readonly string[]): string {
  return roots.map((root) => relative(dirname(root), path)).find((name) => !name.startsWith('..')) ?? path;
}

/**
 * Says before anything is measured what no measurement could change.
 * @throws {StoplineError} FIT_TOO_FEW_IMAGES
 */
export function checkCount(images: number, warn = 0.01): void {
  if (images >= minImages) return;
  throw new StoplineError(
    'FIT_TOO_FEW_IMAGES',
    `Expected at least ${minImages} distinct images (${countNeeded(warn)} to promise a false-alarm rate of ${warn}) but there are ${images} files. Nothing was measured.`,
  );
}

/** With n clean scores no p-value is below 1 / (n + 1). */
function countNeeded(warn: number): number {
  return Math.max(minImages, Math.ceil(1 / warn - 1));
}

/** @throws {StoplineError} FIT_TOO_FEW_IMAGES */
export function checkSize(
  { kept, skipped, duplicates }: Pick<Reference, 'skipped' | 'duplicates'> & { kept: readonly Sample[] },
  warn: number,
): void {
  if (kept.length >= minImages) return;
  const failed =
    skipped.length > 0
      ? ` ${skipped.length} could not be read, the first: ${endSentence(skipped[0].error.message)}`
      : '';
  throw new StoplineError(
    'FIT_TOO_FEW_IMAGES',
    `Expected at least ${minImages} distinct images (${countNeeded(warn)} to promise a false-alarm rate of ${warn}) but received ${kept.length}` +
      `${duplicates > 0 ? ` and ${duplicates} exact copies of them` : ''}.${failed}`,
  );
}
