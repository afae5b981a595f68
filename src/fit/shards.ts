import { existsSync, readFileSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { readingRule } from '../core/reading.ts';
import { StoplineError } from '../errors.ts';
import { decoderVersion } from '../image/decode.ts';
import { decodeRule } from '../image/decoderule.ts';
import { chooseModel } from '../image/embedding/choose.ts';
import { statistics } from '../image/statistics/statistics.ts';
import type { Shard } from '../run/inputs/item.ts';
import type { ObjectStore } from '../run/objects.ts';
import { createPool, isolateModels } from '../run/pool.ts';
import { replaceFile } from '../run/rows/output.ts';
import { type FitResult, fitReference } from './fit.ts';
import { type FitOptions, resolveSecondLook } from './options.ts';
import { Collection, measureReference, type Reference, type ReferenceSample } from './reference.ts';

/**
 * A part of a reference, measured: the samples, and the encoded bytes of those images that would be looked at again if no
 * other part had any. An SQLite file, so that parts of any number of images are joined in bounded memory.
 */
interface PartHead {
  version: number;
  decode: { rule: string; decoder: string; reading: string };
  statistics: string[];
  /** sha256 of the model; none for statistics alone. */
  model: string;
  shard: Shard;
  /** What the fit was asked for, by whoever measured the part. */
  options: StoredOptions;
  measured: number;
  duplicates: number;
  folders: [string, number][];
}

type StoredOptions = Pick<
  FitOptions,
  | 'paths'
  | 'name'
  | 'groupBy'
  | 'falseAlarmRate'
  | 'threshold'
  | 'leaveOut'
  | 'model'
  | 'mask'
  | 'keepPaths'
  | 'ordered'
  | 'example'
> & { seed: number; simulations: number; power: number };

const partVersion = 2;

/**
 * Measures one shard of a reference for `fitParts`.
 * @param options as of `fit`, with `items` of the shard; they are stored, so that joining needs none
 * @throws {StoplineError} INPUT_*, MODEL_*, OUTPUT_UNWRITABLE
 */
export async function measurePart(
  options: FitOptions & { items: NonNullable<FitOptions['items']>; shard: Shard },
  out: string,
  store: ObjectStore,
): Promise<{ images: number; skipped: number }> {
  const { shard, items, threads, signal } = options;
  const { paths, name, groupBy, falseAlarmRate, threshold, leaveOut, model, mask } = options;
  const { keepPaths, ordered, example } = options;
  const { seed = 1 } = options;
  const again = resolveSecondLook(options);
  const chosen = await chooseModel(model, options.limits);
  const workers = await createPool({
    ...isolateModels(model),
    threads,
    model: chosen.model,
    mask,
    limits: options.limits,
  });
  try {
    await workers.ready();
    const pool =
      options.measurements?.attach(workers, { model: chosen.model?.card, ...workers.info, ...(mask && { mask }) }) ??
      workers;
    const onProgress = (state: { done: number; total?: number | undefined; failed: number }) =>
      options.onProgress?.({ stage: 'measure', ...state });
    const reference = await measureReference(pool, { paths, items, seed, again, keepsFew: true, onProgress, signal });
    const { measured, duplicates, folders, kept, skipped } = reference;
    const head: PartHead = {
      version: partVersion,
      decode: { rule: decodeRule, decoder: decoderVersion, reading: readingRule },
      statistics: statistics.map(({ name }) => name),
      model: pool.info.embedder?.sha256 ?? 'none',
      shard,
      options: {
        paths,
        name,
        groupBy,
        falseAlarmRate,
        threshold,
        leaveOut,
        model,
        mask,
        keepPaths,
        ordered,
        example,
        seed,
        ...again,
      },
      measured,
      duplicates,
      folders: [...folders],
    };
    await replaceFile(out, store, async (path) => writePart(path, head, reference));
    return { images: kept.length, skipped: skipped.length };
  } finally {
    await workers.destroy();
  }
}

function writePart(path: string, head: PartHead, { kept, skipped, findSource }: Reference): void {
  rmSync(path, { force: true }); // of an attempt that was killed
  const database = new Database(path);
  try {
    database.pragma('journal_mode = OFF'); // a half-written one never gets its name
    database.exec(`
      CREATE TABLE head (json TEXT NOT NULL) STRICT;
      CREATE TABLE sample (
        position INTEGER PRIMARY KEY, id TEXT NOT NULL, path TEXT NOT NULL, folder TEXT NOT NULL, properties TEXT NOT NULL,
        statistics BLOB NOT NULL, places BLOB NOT NULL, embedding BLOB
      ) STRICT;
      CREATE TABLE image (id TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
      CREATE TABLE skipped (path TEXT NOT NULL, error TEXT NOT NULL) STRICT;`);
    database.transaction(() => {
      database.prepare('INSERT INTO head VALUES (?)').run(JSON.stringify(head));
      const sample = database.prepare('INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
      const image = database.prepare('INSERT INTO image VALUES (?, ?)');
      const skip = database.prepare('INSERT INTO skipped VALUES (?, ?)');
      for (const { id, path, listed, position, properties, statistics, places, embedding } of kept) {
        const vector = embedding ? viewBytes(embedding) : null;
        const numbers = [viewBytes(statistics), viewBytes(places as Float32Array), vector];
        sample.run(position, id, path, listed.folder, JSON.stringify(properties), ...numbers);
        const source = findSource(id);
        if (source) image.run(id, typeof source === 'string' ? readFileSync(source) : source);
      }
      for (const { path, error } of skipped) skip.run(path, JSON.stringify(error));
    })();
  } finally {
    database.close();
  }
}

function viewBytes({ buffer, byteOffset, byteLength }: Float64Array | Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * Fits a Profile from all shards of a reference, as one `fit` of all images would. Up to 20,000 distinct images the Profile is
 * that one, byte for byte. Beyond, the sample that is fitted is still the same, and only which images the power report shows may
 * differ, and copies of images that were no longer kept are counted as distinct.
 * @param parts files of `measurePart`, in any order
 * @throws {StoplineError} PART_INVALID when one is none, was measured otherwise, or a shard is missing; and as `fit`
 */
export async function fitParts(
  parts: readonly string[],
  options: Pick<FitOptions, 'threads' | 'onProgress' | 'signal' | 'createdAt'> = {},
): Promise<FitResult> {
  const opened = parts.map(openPart);
  try {
    const [first] = opened;
    for (const { file, head } of opened) {
      for (const what of ['decode', 'statistics', 'model', 'options'] as const) {
        if (JSON.stringify(head[what]) === JSON.stringify(first.head[what])) continue;
        throw invalid(file, `it was measured with other ${what} than "${first.file}"`);
      }
    }
    const { count } = first.head.shard;
    const shards = opened.map(({ head }) => head.shard.index).sort((a, b) => a - b);
    if (shards.join() !== Array.from({ length: count }, (_, i) => i).join()) {
      throw invalid(parts.join('", "'), `they are the shards ${shards.join(', ')} of ${count}`);
    }
    const { simulations, power, seed } = first.head.options;
    const reference = join(opened, seed, { simulations, power });
    return await fitReference({ ...first.head.options, ...options }, async (pool) => {
      const { embedder } = pool.info;
      if ((embedder?.sha256 ?? 'none') !== first.head.model) throw invalid(first.file, 'its model is not the one here');
      return reference;
    });
  } finally {
    for (const { database } of opened) database.close();
  }
}

interface OpenPart {
  file: string;
  head: PartHead;
  database: Database.Database;
}

function openPart(file: string): OpenPart {
  if (!existsSync(file)) throw new StoplineError('INPUT_NOT_FOUND', `"${file}" cannot be opened: it does not exist.`);
  const database = new Database(file, { readonly: true });
  try {
    const head: PartHead = JSON.parse(database.prepare('SELECT json FROM head').pluck().get() as string);
    if (head.version !== partVersion) throw new Error('it is of another version');
    return { file, head, database };
  } catch (cause) {
    database.close();
    throw invalid(file, (cause as Error).message);
  }
}

/** All samples in the order of the images, as if one had measured them. */
function join(parts: readonly OpenPart[], seed: number, again: { simulations: number; power: number }): Reference {
  const collection = new Collection(seed, again);
  const rows = parts.map((part) => {
    const source = part.database.prepare('SELECT bytes FROM image WHERE id = ?').pluck();
    return { iterator: readSamples(part), readBytes: (id: string) => source.get(id) as Uint8Array | undefined };
  });
  const heads = rows.map(({ iterator }) => iterator.next());
  for (;;) {
    const places = heads.map(({ value, done }) => (done ? Number.POSITIVE_INFINITY : value.position));
    const next = places.indexOf(Math.min(...places));
    if (next < 0 || heads[next].done) break;
    const sample = heads[next].value;
    collection.add(sample, rows[next].readBytes(sample.id));
    heads[next] = rows[next].iterator.next();
  }
  for (const { head, database } of parts) {
    const left = new Map(head.folders);
    let kept = 0;
    for (const folder of database.prepare('SELECT folder FROM sample').pluck().iterate() as Iterable<string>) {
      left.set(folder, (left.get(folder) ?? 0) - 1);
      kept++;
    }
    for (const [folder, images] of left) if (images === 0) left.delete(folder);
    collection.count({ measured: head.measured - kept, duplicates: head.duplicates, folders: left });
    for (const row of database.prepare('SELECT path, error FROM skipped').iterate()) {
      const { path, error } = row as { path: string; error: string };
      collection.skip({ path, error: JSON.parse(error) });
    }
  }
  return collection.finish();
}

/** Read in pages, because a connection with an open query answers no other. */
function* readSamples({ database }: OpenPart): Generator<ReferenceSample, undefined> {
  const page = database.prepare('SELECT * FROM sample WHERE position > ? ORDER BY position LIMIT 256');
  let position = -1;
  for (;;) {
    const rows = page.all(position) as SampleRow[];
    if (rows.length === 0) return undefined;
    for (const row of rows) {
      position = row.position;
      const { id, path, folder } = row;
      yield {
        id,
        path,
        position,
        group: '',
        fold: 0,
        listed: { folder },
        properties: JSON.parse(row.properties),
        statistics: new Float64Array(Uint8Array.from(row.statistics).buffer),
        places: new Float32Array(Uint8Array.from(row.places).buffer),
        ...(row.embedding && { embedding: new Float32Array(Uint8Array.from(row.embedding).buffer) }),
      };
    }
  }
}

interface SampleRow {
  position: number;
  id: string;
  path: string;
  folder: string;
  properties: string;
  statistics: Uint8Array;
  places: Uint8Array;
  embedding: Uint8Array | null;
}

function invalid(file: string, why: string): StoplineError {
  return new StoplineError(
    'PART_INVALID',
    `Expected "${file}" to be a part of a reference, of stopline fit --shard, but ${why}.`,
  );
}
