import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, matchesGlob, posix, resolve } from 'node:path';
import { StoplineError } from '../errors.ts';
import { isImageName, listImages, unreadable } from '../folder.ts';
import type { Columns } from '../row.ts';
import { listManifest, openManifest } from './manifest.ts';
import { isObjectUrl, type ObjectStore } from './s3.ts';
import { isArchiveName, listArchive } from './tar.ts';
import { isVideoName, listFrames } from './video.ts';

/** One image of a run, wherever it lies. */
export interface Item {
  /** What its row is called: a path, a URL, or `archive.tar/member.jpg`. Decides the shard. */
  name: string;
  /** Images with the same one may be neighbours in time. */
  folder: string;
  /** A file, which worker threads read themselves. */
  path?: string;
  /**
   * Anything else is read by the caller, before it asks for the next item.
   * @throws {StoplineError} INPUT_*, IMAGE_TOO_LARGE: this image has no verdict; OBJECTS_UNAVAILABLE: nothing more can be read
   */
  read?(): Promise<Uint8Array>;
  /** Encoded bytes, where they are known before it is read. */
  size?: number;
  /** Changes when the content may have changed; for a file see `fileVersion`. */
  version?: string;
  /** What a manifest says of it. */
  columns?: Columns;
  /** Place among all items, also those of other shards. */
  position?: number;
  /** Where it lies, if it is an archive or video listed whole. */
  container?: string;
}

export interface Items extends AsyncIterable<Item> {
  /** Names of the columns that a manifest brings along. */
  readonly columns: readonly string[];
  /** How many there are; undefined where only reading everything would tell. */
  count(): Promise<number | undefined>;
}

/** Part `index` (from 0) of `count`. */
export interface Shard {
  index: number;
  count: number;
}

export interface InputOptions {
  /** File with one image a row, or `-` for paths on standard input; taken after the paths. */
  manifest?: string;
  /** Column of the manifest that has the path; default `path`. */
  pathColumn?: string;
  /** Only the items of this part. */
  shard?: Shard;
  /** Frames taken of a second of video; default 1. */
  fps?: number;
  store: ObjectStore;
  /** Files larger than this are not read. */
  maxBytes: number;
  /** List archives and videos whole, for others to open: see `openReference`. */
  asReferences?: boolean;
}

/**
 * Lists images in a fixed order, holding one folder, one page of a bucket or one archive member at a time. A path may be an
 * image file, a folder (recursive), a glob, a tar archive, a video or `s3://bucket/prefix`.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, MANIFEST_INVALID, VIDEO_UNAVAILABLE, OBJECTS_UNAVAILABLE
 */
export async function openItems(paths: readonly string[], options: InputOptions): Promise<Items> {
  const manifest = options.manifest === undefined ? undefined : await openManifest(options.manifest, options);
  const kinds = await Promise.all(paths.map(kindOf));
  // All rows of a table have the same cells, also those of images that the manifest does not name.
  const empty = manifest?.columns.length ? Object.fromEntries(manifest.columns.map((name) => [name, null])) : undefined;
  async function* all(): AsyncGenerator<Item> {
    for (const [i, path] of paths.entries()) {
      for await (const item of listPath(path, kinds[i], options)) yield empty ? { ...item, columns: empty } : item;
    }
    if (manifest) {
      for await (const { name, location, columns } of listManifest(manifest)) {
        const kind = await kindOf(location).catch(() => 'file' as const); // a missing file is a row with its error
        for await (const item of listPath(location, kind === 'folder' ? 'file' : kind, options)) {
          yield renamed(item, { name, location, columns });
        }
      }
    }
  }
  const { shard } = options;
  return {
    columns: manifest?.columns ?? [],
    async count() {
      if (manifest || kinds.some((kind) => !isCounted(kind))) return undefined;
      let count = 0;
      for await (const { name } of all()) if (!shard || isInShard(name, shard)) count++;
      return count;
    },
    async *[Symbol.asyncIterator]() {
      let position = 0;
      for await (const item of all()) {
        if (!shard || isInShard(item.name, shard)) yield { ...item, position };
        position++;
      }
    },
  };
}

/** An item under the name that a manifest or a queue gives to its place, so that rows can be joined with it. */
function renamed(item: Item, { name, location, columns }: { name: string; location: string; columns?: Columns }): Item {
  return { ...item, name: `${name}${item.name.slice(location.length)}`, ...(columns && { columns }) };
}

/** Something to judge that can be sent to another machine: a file, an object, an archive or a video. */
export interface Reference {
  name: string;
  /** An absolute path or a URL. */
  location: string;
  columns?: Columns;
}

export function referenceTo({ name, path, container, columns }: Item): Reference {
  const place = container ?? path ?? name;
  return { name, location: isObjectUrl(place) ? place : resolve(place), ...(columns && { columns }) };
}

/** The items that a reference stands for: one, or all members of an archive or video. */
export async function* openReference(reference: Reference, options: InputOptions): AsyncGenerator<Item> {
  const { location } = reference;
  const kind = await kindOf(location).catch(() => 'file' as const); // a missing file is a row with its error
  for await (const item of listPath(location, kind, options)) yield renamed(item, reference);
}

type Kind = 'file' | 'folder' | 'glob' | 'archive' | 'video' | 'objects';

function isCounted(kind: Kind): boolean {
  return kind === 'file' || kind === 'folder' || kind === 'glob';
}

async function kindOf(path: string): Promise<Kind> {
  if (isObjectUrl(path)) return 'objects';
  const found = await stat(path).catch((cause) => {
    if (/[*?[{]/.test(path)) return undefined;
    throw unreadable(path, cause);
  });
  if (!found) return 'glob';
  if (found.isDirectory()) return 'folder';
  if (isArchiveName(path)) return 'archive';
  return isVideoName(path) ? 'video' : 'file';
}

async function* listPath(path: string, kind: Kind, options: InputOptions): AsyncGenerator<Item> {
  switch (kind) {
    case 'objects':
      return yield* listObjects(path, options);
    case 'glob':
      return yield* listGlob(path, options);
    case 'archive':
    case 'video':
      if (options.asReferences)
        yield { name: path, folder: dirname(path), container: path, version: fileVersion(path) };
      else yield* kind === 'archive' ? listArchive(path, options) : listFrames(path, options);
      return;
    case 'folder':
      for await (const { path: file, folder } of listImages([path])) yield { name: file, folder, path: file };
      return;
    case 'file':
      yield { name: path, folder: dirname(path), path };
  }
}

/** The files under the folder ahead of the first wildcard that match, in the order of `listImages`. */
async function* listGlob(pattern: string, options: InputOptions): AsyncGenerator<Item> {
  const parts = posix.normalize(pattern).split('/');
  const fixed = parts.slice(
    0,
    parts.findIndex((part) => /[*?[{]/.test(part)),
  );
  const root = fixed.length === 0 ? '.' : fixed.join('/') || '/';
  const isWanted = (name: string) => isImageName(name) || isArchiveName(name) || isVideoName(name);
  for await (const { path } of listImages([root], ({ path }) => matchesGlob(path, pattern), isWanted)) {
    const kind = isArchiveName(path) ? 'archive' : isVideoName(path) ? 'video' : 'file';
    yield* listPath(path, kind, options);
  }
}

/** Whether an item belongs to a part: by a hash of its name alone, so the same on every machine. */
export function isInShard(name: string, { index, count }: Shard): boolean {
  return createHash('sha256').update(name).digest().readUInt32BE() % count === index;
}

/**
 * Size and time of last change of a file, as a text; `absent` where there is none.
 */
export function fileVersion(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? `${found.size} ${found.mtimeMs}` : 'absent';
}

/** What changes when the content of an item may have. */
export function versionOf(item: Item): string {
  return item.version ?? fileVersion(item.path as string);
}

/** A member of something that is read as a whole, such as an archive. */
export function memberOf(container: string, member: string): Pick<Item, 'name' | 'folder'> {
  return { name: `${container}/${member}`, folder: posix.join(container, dirname(member)) };
}

/** An item that stands for something that broke: it becomes a row with the error, and the run goes on. */
export function brokenItem(name: string, error: StoplineError): Item {
  return { name, folder: basename(name), version: 'broken', read: () => Promise.reject(error) };
}

/** @throws {StoplineError} OPTION_INVALID */
export function parseShard(text: string): Shard {
  const [, index, count] = /^(\d{1,7})\/(\d{1,7})$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (count === undefined || shard.index >= shard.count) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected --shard i/n with i from 0 to n - 1, such as 0/8, but received "${text}".`,
    );
  }
  return shard;
}

/** Image objects under a prefix, and the members of tar archives there. An object named in full is taken whatever its ending. */
async function* listObjects(url: string, options: InputOptions): AsyncGenerator<Item> {
  const { store, maxBytes } = options;
  for await (const { url: found, size, version } of store.list(url)) {
    if (isArchiveName(found) && options.asReferences) {
      yield { name: found, folder: found, container: found, version };
    } else if (isArchiveName(found)) {
      yield* listArchive(found, options, { stream: await store.stream(found), version });
    } else if (isImageName(found) || found === url) {
      const folder = found.slice(0, found.lastIndexOf('/'));
      yield { name: found, folder, size, version, read: () => store.read(found, maxBytes) };
    }
  }
}
