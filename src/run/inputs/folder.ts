import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { describeReason, quotePath, unreadable } from '../../image/file.ts';
import { LeftOut } from './leftout.ts';
import { LinkFollower } from './links.ts';

/** One file to look at, with its place in its folder, so that neighbouring frames of a recording can be kept together. */
export interface ListedImage {
  path: string;
  /** What the path leads to, where it is a symbolic link. */
  target?: string;
  folder: string;
  /** Position among the images of its folder, in natural order of the names. */
  index: number;
  /** Images in that folder. */
  count: number;
  /** Why it cannot be read, where that is known already: a link that is not followed. */
  error?: StoplineError;
}

export interface ListOptions {
  /** Which of them are wanted; default: all. */
  only?: ((image: ListedImage) => boolean) | undefined;
  /** Which names in a folder are looked at; default: those of images. */
  isWanted?: ((name: string) => boolean) | undefined;
  /** Where symbolic links may lead, beside the paths themselves; default: all links are followed within these. */
  links?: LinkFollower | undefined;
  /** Told of everything in a folder that is not looked at. */
  leftOut?: LeftOut | undefined;
}

/** Files with these endings are looked at; what Stopline cannot decode among them is reported, never silently left out. */
const imageEndings = new Set(
  '.jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .avif .heic .heif .jp2 .jxl .svg'.split(' '),
);
const maxDepth = 32;
const naturalOrder = new Intl.Collator('en', { numeric: true }).compare;

/** Whether a file in a folder is looked at. */
export function isImageName(name: string): boolean {
  return imageEndings.has(extname(name).toLowerCase());
}

/** What a file is that is not looked at, by its name, in words for the end of a run. */
export function describeOther(name: string): string {
  if (name.startsWith('.')) return 'hidden';
  const ending = extname(name).toLowerCase();
  if (/^\.(tar|tgz)$/.test(ending) || /\.tar\.gz$/i.test(name)) return 'archive in a folder: name it, or use a glob';
  if (/^\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|mjpe?g)$/.test(ending)) return 'video in a folder: name it, or use a glob';
  if (ending === '') return 'no image by its name: no ending';
  return `no image by its name: ${/^\.[a-z0-9_-]{1,16}$/.test(ending) ? ending : 'another ending'}`;
}

/**
 * Lists image files under files and folders, folder by folder, each in natural order (`frame9` before `frame10`).
 * Only the folder at hand is held in memory. Symbolic links are followed as `LinkFollower` says; one that is not is listed with
 * its error. Hidden entries are left out; a file named outright is listed whatever its ending.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE
 */
export async function* listImages(paths: readonly string[], options: ListOptions = {}): AsyncGenerator<ListedImage> {
  const { only = () => true, isWanted = isImageName, links = new LinkFollower(), leftOut = new LeftOut() } = options;
  const walker = new FolderWalker(isWanted, links, leftOut);
  // All of them first, so that links may lead from one to another.
  for (const path of paths) await links.addRoot(path).catch(() => undefined);
  for (const path of paths) for await (const image of walker.list(path)) if (only(image)) yield image;
}

/** A folder that is being walked. */
interface Place {
  /** As it is named in rows. */
  shown: string;
  real: string;
  /** Real paths of the folders that were entered to get here, itself included. */
  ancestors: readonly string[];
}

/** An entry of a folder that is looked at: an image, a folder, or a link that is not followed. */
interface Entry {
  name: string;
  isFolder: boolean;
  /** What a link leads to. */
  real?: string;
  error?: StoplineError;
}

class FolderWalker {
  readonly #isWanted: (name: string) => boolean;
  readonly #links: LinkFollower;
  readonly #leftOut: LeftOut;

  constructor(isWanted: (name: string) => boolean, links: LinkFollower, leftOut: LeftOut) {
    this.#isWanted = isWanted;
    this.#links = links;
    this.#leftOut = leftOut;
  }

  async *list(path: string): AsyncGenerator<ListedImage> {
    const kind = await stat(path).catch((cause) => {
      throw unreadable(path, cause);
    });
    if (kind.isDirectory()) {
      const real = await this.#links.addRoot(path);
      yield* this.#walk({ shown: normalize(path), real, ancestors: [real] });
    } else yield { path, folder: normalize(join(path, '..')), index: 0, count: 1 };
  }

  async *#walk(place: Place): AsyncGenerator<ListedImage> {
    const { shown, real, ancestors } = place;
    if (ancestors.length > maxDepth + 1) {
      throw new StoplineError(
        'INPUT_UNREADABLE',
        `Expected at most ${maxDepth} nested folders but ${quotePath(shown)} is deeper.`,
      );
    }
    const found = await readdir(real, { withFileTypes: true }).catch((cause) => {
      throw new StoplineError(
        'INPUT_UNREADABLE',
        `Folder ${quotePath(shown)} cannot be read: ${describeReason(cause)}.`,
        {
          cause,
        },
      );
    });
    found.sort((a, b) => naturalOrder(a.name, b.name));
    const images: Entry[] = [];
    const folders: Entry[] = [];
    for (const entry of found) {
      const read = await this.#readEntry(entry, place);
      if (read) (read.isFolder ? folders : images).push(read);
    }
    for (const [index, { name, real: target, error }] of images.entries()) {
      const place = { path: join(shown, name), folder: shown, index, count: images.length };
      yield { ...place, ...(target !== undefined && { target }), ...(error && { error }) };
    }
    for (const { name, real: target = join(real, name) } of folders) {
      yield* this.#walk({ shown: join(shown, name), real: target, ancestors: [...ancestors, target] });
    }
  }

  /** @returns undefined for what is left out */
  async #readEntry(entry: Dirent, { shown, real, ancestors }: Place): Promise<Entry | undefined> {
    const { name } = entry;
    const path = join(real, name);
    if (name.startsWith('.')) return this.#leaveOut(name, shown);
    if (entry.isDirectory()) return { name, isFolder: true };
    if (!entry.isSymbolicLink()) {
      return this.#isWanted(name) ? { name, isFolder: false } : this.#leaveOut(name, shown);
    }
    try {
      const target = await this.#links.follow(path, join(shown, name), ancestors);
      if (target.isFolder || this.#isWanted(name)) return { name, ...target };
    } catch (cause) {
      // A link that may have led to a folder, or to an image, is a row.
      const mayMatter = this.#isWanted(name) || extname(name) === '' || (await isFolderPath(path));
      if (mayMatter) return { name, isFolder: false, error: asStoplineError(cause) };
    }
    return this.#leaveOut(name, shown);
  }

  #leaveOut(name: string, folder: string): undefined {
    this.#leftOut.add(describeOther(name), join(folder, name));
  }
}

async function isFolderPath(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * Counts what `listImages` would list, so that progress has a total.
 * @throws {StoplineError} INPUT_NO_IMAGES when there is nothing
 */
export async function countImages(paths: readonly string[], options: ListOptions = {}): Promise<number> {
  let count = 0;
  for await (const _ of listImages(paths, options)) count++;
  if (count === 0) throw noImages(paths);
  return count;
}

/** The error of inputs without any image. */
export function noImages(paths: readonly string[]): StoplineError {
  return new StoplineError(
    'INPUT_NO_IMAGES',
    `Expected image files (JPEG, PNG or WebP) under ${paths.map((path) => quotePath(path)).join(', ')} but found none.`,
  );
}
