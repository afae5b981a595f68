import { stat } from 'node:fs/promises';
import { dirname, matchesGlob, posix, resolve } from 'node:path';
import { unreadable } from '../../image/file.ts';
import { isObjectUrl } from '../objects.ts';
import type { Columns } from '../rows/row.ts';
import { isImageName, listImages } from './folder.ts';
import { fileVersion, type InputOptions, type Item, type Items, isInShard } from './item.ts';
import { listManifest, openManifest } from './manifest.ts';
import { isArchiveName, listArchive } from './tar.ts';
import { isVideoName, listFrames } from './video.ts';

/**
 * Lists images in a fixed order, holding one folder, one page of a bucket or one archive member at a time. A path may be an
 * image file, a folder (recursive), a glob, a tar archive, a video or `s3://bucket/prefix`.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, MANIFEST_INVALID, VIDEO_UNAVAILABLE, OBJECTS_UNAVAILABLE
 */
export async function openItems(paths: readonly string[], options: InputOptions): Promise<Items> {
  const manifest = options.manifest === undefined ? undefined : await openManifest(options.manifest, options);
  const kinds = await Promise.all(paths.map(readKind));
  // All rows of a table have the same cells, also those of images that the manifest does not name.
  const empty = manifest?.columns.length ? Object.fromEntries(manifest.columns.map((name) => [name, null])) : undefined;
  async function* all(): AsyncGenerator<Item> {
    for (const [i, path] of paths.entries()) {
      for await (const item of listPath(path, kinds[i], options)) yield empty ? { ...item, columns: empty } : item;
    }
    if (manifest) {
      for await (const { name, location, columns } of listManifest(manifest)) {
        const kind = await readKind(location).catch(() => 'file' as const); // a missing file is a row with its error
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
function renamed(
  item: Item,
  { name, location, columns }: { name: string; location: string; columns?: Columns | undefined },
): Item {
  return { ...item, name: `${name}${item.name.slice(location.length)}`, ...(columns && { columns }) };
}

/** Something to judge that can be sent to another machine: a file, an object, an archive or a video. */
export interface ItemAddress {
  name: string;
  /** An absolute path or a URL. */
  location: string;
  columns?: Columns;
}

export function referenceTo({ name, path, container, columns }: Item): ItemAddress {
  const place = container ?? path ?? name;
  return { name, location: isObjectUrl(place) ? place : resolve(place), ...(columns && { columns }) };
}

/** The items that a reference stands for: one, or all members of an archive or video. */
export async function* openReference(reference: ItemAddress, options: InputOptions): AsyncGenerator<Item> {
  const { location } = reference;
  const kind = await readKind(location).catch(() => 'file' as const); // a missing file is a row with its error
  for await (const item of listPath(location, kind, options)) yield renamed(item, reference);
}

type Kind = 'file' | 'folder' | 'glob' | 'archive' | 'video' | 'objects';

function isCounted(kind: Kind): boolean {
  return kind === 'file' || kind === 'folder' || kind === 'glob';
}

async function readKind(path: string): Promise<Kind> {
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
