import { lstat, realpath, stat } from 'node:fs/promises';
import { dirname, matchesGlob, posix, resolve } from 'node:path';
import { reviveError, StoplineError } from '../../errors.ts';
import { quotePath, unreadable } from '../../image/file.ts';
import { isObjectUrl } from '../objects.ts';
import type { Columns } from '../rows/row.ts';
import { readAddress } from './address.ts';
import { describeOther, isImageName, type ListedImage, listImages } from './folder.ts';
import { brokenItem, fileVersion, type InputOptions, type Item, type Items, isInShard } from './item.ts';
import { LeftOut } from './leftout.ts';
import { LinkFollower } from './links.ts';
import { listManifest, type Manifest, type ManifestRow, openManifest } from './manifest.ts';
import { isMotionJpegName, listJpegFrames } from './motionjpeg.ts';
import { isArchiveName, listArchive } from './tar.ts';
import { isVideoName, listFrames } from './video.ts';

type Kind = 'file' | 'folder' | 'glob' | 'archive' | 'video' | 'objects';

/** Something that the user named, and what it is. */
interface Place {
  path: string;
  kind: Kind;
}

/**
 * Lists images in a fixed order, holding one folder, one page of a bucket or one archive member at a time. A path may be an
 * image file, a folder (recursive), a glob, a tar archive, a video or `s3://bucket/prefix`; a row of a manifest is one image,
 * archive or video.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, OPTION_INVALID, MANIFEST_INVALID, VIDEO_UNAVAILABLE, OBJECTS_UNAVAILABLE
 */
export async function openItems(paths: readonly string[], options: InputOptions): Promise<Items> {
  const manifest = options.manifest === undefined ? undefined : await openManifest(options.manifest, options);
  const places = await Promise.all(paths.map(findPlace));
  return new ListedItems(places, manifest, options);
}

class ListedItems implements Items {
  readonly columns: readonly string[];
  readonly leftOut = new LeftOut();
  readonly #places: readonly Place[];
  readonly #manifest: Manifest | undefined;
  readonly #options: InputOptions;

  constructor(places: readonly Place[], manifest: Manifest | undefined, options: InputOptions) {
    this.columns = manifest?.columns ?? [];
    this.#places = places;
    this.#manifest = manifest;
    this.#options = options;
  }

  async count(): Promise<number | undefined> {
    const isCounted = ({ kind }: Place) => kind === 'file' || kind === 'folder' || kind === 'glob';
    if (this.#manifest || !this.#places.every(isCounted)) return undefined;
    const { shard } = this.#options;
    let count = 0;
    for await (const { name } of this.#listAll(new LeftOut())) if (!shard || isInShard(name, shard)) count++;
    return count;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    const { shard } = this.#options;
    this.leftOut.clear();
    let position = 0;
    for await (const item of this.#listAll(this.leftOut)) {
      if (!shard || isInShard(item.name, shard)) yield { ...item, position };
      position++;
    }
  }

  async *#listAll(leftOut: LeftOut): AsyncGenerator<Item> {
    const lister = new PlaceLister(this.#options, leftOut);
    await lister.allowLinks(this.#places.filter(({ kind }) => kind === 'folder').map(({ path }) => path));
    // All rows of a table have the same cells, also those of images that the manifest does not name.
    const empty = this.columns.length > 0 && Object.fromEntries(this.columns.map((name) => [name, null]));
    for (const place of this.#places) {
      for await (const item of lister.list(place)) yield empty ? { ...item, columns: empty } : item;
    }
    if (!this.#manifest) return;
    for await (const row of listManifest(this.#manifest, leftOut)) yield* lister.listRow(row);
  }
}

/** Something to judge that can be sent to another machine: a file, an object, an archive or a video. */
export interface ItemAddress {
  name: string;
  /** An absolute path or a URL. */
  location: string;
  columns?: Columns;
  /** Why it cannot be read, where whoever listed it knows. */
  error?: { code: string; message: string };
}

/** @throws {StoplineError} MANIFEST_INVALID for an image that lies in no file of its own */
export function referenceTo({ name, path, container, columns, read, error }: Item): ItemAddress {
  const place = container ?? path ?? name;
  if (error) return { name, location: place, error: error.toJSON(), ...(columns && { columns }) };
  if (read && !isObjectUrl(place)) {
    throw new StoplineError(
      'MANIFEST_INVALID',
      `Expected images in files or objects, which workers can read, but ${quotePath(name)} is neither. Score it without --queue.`,
    );
  }
  return { name, location: isObjectUrl(place) ? place : resolve(place), ...(columns && { columns }) };
}

/** The items that a reference stands for: one, or all members of an archive or video. */
export async function* openReference(reference: ItemAddress, options: InputOptions): AsyncGenerator<Item> {
  const { error, ...row } = reference;
  yield* new PlaceLister(options, new LeftOut()).listRow({ ...row, ...(error && { error: reviveError(error) }) });
}

/** What a path on the command line is. @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE */
async function findPlace(text: string): Promise<Place> {
  const address = readAddress(text);
  if ('url' in address) return { path: address.url, kind: 'objects' };
  const { path } = address;
  const found = await stat(path).catch((cause) => {
    if (/[*?[{]/.test(path)) return undefined;
    throw unreadable(path, cause);
  });
  if (!found) return { path, kind: 'glob' };
  if (found.isFile() && isTableName(path)) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected images but ${quotePath(path)} is a table. If it lists images: --manifest ${quotePath(path)}`,
    );
  }
  return { path, kind: found.isDirectory() ? 'folder' : nameKind(path, found.isFile()) };
}

/** Whether a file that somebody named is a list of images by its name, which no decoder need be asked. */
function isTableName(path: string): boolean {
  return /\.(csv|tsv|jsonl|ndjson|parquet)$/i.test(path);
}

/** What a file is by its name; a pipe or device is never waited for. */
function nameKind(path: string, isRegular = true): 'file' | 'archive' | 'video' {
  if (!isRegular) return 'file';
  if (isArchiveName(path)) return 'archive';
  return isVideoName(path) || isMotionJpegName(path) ? 'video' : 'file';
}

/** Lists what a place holds. */
class PlaceLister {
  readonly #options: InputOptions;
  readonly #leftOut: LeftOut;
  readonly #links: LinkFollower;

  constructor(options: InputOptions, leftOut: LeftOut) {
    this.#options = options;
    this.#leftOut = leftOut;
    this.#links = new LinkFollower(options.follow);
  }

  /** Lets links lead from any of the folders to any other. */
  async allowLinks(folders: readonly string[]): Promise<void> {
    for (const folder of folders) await this.#links.addRoot(folder);
  }

  list({ path, kind }: Place): AsyncGenerator<Item> {
    switch (kind) {
      case 'objects':
        return this.#listObjects(path);
      case 'glob':
        return this.#listGlob(path);
      case 'folder':
        return this.#listFolder(path);
      default:
        return this.#listFile(path, path, kind);
    }
  }

  /** The images of one row, under the name that the row gives to its place, so that rows can be joined with it. */
  async *listRow({ name, location, bytes, error, columns }: ManifestRow): AsyncGenerator<Item> {
    const { manifest = '', maxBytes } = this.#options;
    const known = columns && { columns };
    if (error) yield { ...brokenItem(name, error, dirname(name)), ...known };
    else if (bytes) {
      const version = `${fileVersion(manifest)} ${bytes.length}`;
      const read = async () => takeBounded(bytes, name, maxBytes);
      yield { name, folder: dirname(name), size: bytes.length, version, read, ...known };
    } else if (location !== undefined) {
      for await (const item of this.#listPlace(location)) {
        yield { ...item, name: `${name}${item.name.slice(location.length)}`, ...known };
      }
    }
  }

  /** One image, archive or video: a row is never a pattern, and one that is not there is an item with its error. */
  async *#listPlace(location: string): AsyncGenerator<Item> {
    if (isObjectUrl(location)) return yield* this.#listObject(location);
    const found = await stat(location).catch(() => undefined);
    yield* this.#listFile(location, location, nameKind(location, found?.isFile() ?? true));
  }

  /** @param shown its name in rows @param named where the user or a folder names it, perhaps through a link */
  async *#listFile(shown: string, named: string, kind: 'file' | 'archive' | 'video'): AsyncGenerator<Item> {
    const { follow = true, asReferences } = this.#options;
    // Whoever names a link means what it leads to.
    const isLink = follow && (await lstat(named).catch(() => undefined))?.isSymbolicLink();
    const target = isLink ? await realpath(named).catch(() => undefined) : undefined;
    const place = { name: shown, folder: dirname(shown) };
    if (kind === 'file') return yield { ...place, path: named, ...(target !== undefined && { target }) };
    if (asReferences) return yield { ...place, container: named, version: fileVersion(named) };
    const path = target ?? named;
    if (kind === 'archive') return yield* listArchive(shown, this.#options, { path, leftOut: this.#leftOut });
    yield* (isMotionJpegName(shown) ? listJpegFrames : listFrames)(shown, path, this.#options);
  }

  async *#listFolder(path: string): AsyncGenerator<Item> {
    for await (const image of listImages([path], { links: this.#links, leftOut: this.#leftOut })) yield makeItem(image);
  }

  /** The files under the folder ahead of the first wildcard that match, in the order of `listImages`. */
  async *#listGlob(pattern: string): AsyncGenerator<Item> {
    const parts = posix.normalize(pattern).split('/');
    const fixed = parts.slice(
      0,
      parts.findIndex((part) => /[*?[{]/.test(part)),
    );
    const root = fixed.length === 0 ? '.' : fixed.join('/') || '/';
    const only = ({ path }: ListedImage) => matchesGlob(path, pattern);
    // Everything is looked at, so that what matches and is no image is counted.
    for await (const image of listImages([root], { only, isWanted: () => true, links: this.#links })) {
      const { path, target = path, error } = image;
      const kind = nameKind(path);
      if (kind === 'file' && !isImageName(path)) this.#leftOut.add(describeOther(posix.basename(path)), path);
      else if (kind === 'file' || error) yield makeItem(image);
      else yield* this.#listFile(path, target, kind);
    }
  }

  /** Image objects under a prefix, and the members of tar archives there. An object named in full is taken whatever its ending. */
  async *#listObjects(url: string): AsyncGenerator<Item> {
    for await (const object of this.#options.store.list(url)) {
      const { url: found } = object;
      if (isArchiveName(found) || isImageName(found) || found === url) yield* this.#openObject(object);
      else if (!found.endsWith('/')) this.#leftOut.add(describeOther(posix.basename(found)), found);
    }
  }

  /** The object of exactly this name. A list begins with it, where it is there. */
  async *#listObject(url: string): AsyncGenerator<Item> {
    for await (const object of this.#options.store.list(url)) {
      if (object.url === url) return yield* this.#openObject(object);
      break;
    }
    yield brokenItem(url, new StoplineError('INPUT_NOT_FOUND', `${quotePath(url)} does not exist.`), dirname(url));
  }

  async *#openObject({ url, size, version }: { url: string; size: number; version: string }): AsyncGenerator<Item> {
    const { store, maxBytes, asReferences } = this.#options;
    if (!isArchiveName(url)) {
      yield { name: url, folder: dirname(url), size, version, read: () => store.read(url, maxBytes) };
    } else if (asReferences) {
      yield { name: url, folder: url, container: url, version };
    } else {
      const stream = await store.stream(url);
      yield* listArchive(url, this.#options, { stream, version, leftOut: this.#leftOut });
    }
  }
}

/** What a folder lists, as an item of a run. */
export function makeItem({ path, target, folder, error }: ListedImage): Item {
  if (error) return brokenItem(path, error, folder);
  return { name: path, folder, path, ...(target !== undefined && { target }) };
}

function takeBounded(bytes: Uint8Array, name: string, maxBytes: number): Uint8Array {
  if (bytes.length <= maxBytes) return bytes;
  throw new StoplineError(
    'IMAGE_TOO_LARGE',
    `Expected at most ${maxBytes} bytes but ${quotePath(name)} has ${bytes.length}.`,
  );
}
