import { readdir, stat } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { describeReason, unreadable } from '../../image/file.ts';

/** One file to look at, with its place in its folder, so that neighbouring frames of a recording can be kept together. */
export interface ListedImage {
  path: string;
  folder: string;
  /** Position among the images of its folder, in natural order of the names. */
  index: number;
  /** Images in that folder. */
  count: number;
}

/** Files with these endings are looked at; what Stopline cannot decode among them is reported, never silently left out. */
const imageEndings = new Set(
  '.jpg .jpeg .jpe .jfif .png .webp .gif .bmp .tif .tiff .avif .heic .heif .jp2 .jxl .svg'.split(' '),
);
const maxDepth = 32;
const naturalOrder = new Intl.Collator('en', { numeric: true }).compare;

/**
 * Lists image files under files and folders, folder by folder, each in natural order (`frame9` before `frame10`).
 * Only the folder at hand is held in memory. Hidden entries and symbolic links to folders are not followed; a file named
 * outright is listed whatever its ending.
 * @param only which of them are wanted; default: all
 * @param isWanted which names in a folder are looked at; default: those of images
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE
 */
export async function* listImages(
  paths: readonly string[],
  only: (image: ListedImage) => boolean = () => true,
  isWanted: (name: string) => boolean = isImageName,
): AsyncGenerator<ListedImage> {
  for await (const image of listAll(paths, isWanted)) if (only(image)) yield image;
}

/** Whether a file in a folder is looked at. */
export function isImageName(name: string): boolean {
  return imageEndings.has(extname(name).toLowerCase());
}

async function* listAll(paths: readonly string[], isWanted: (name: string) => boolean): AsyncGenerator<ListedImage> {
  for (const path of paths) {
    const kind = await stat(path).catch((cause) => {
      throw unreadable(path, cause);
    });
    if (kind.isDirectory()) yield* walk(normalize(path), 0, isWanted);
    else yield { path, folder: normalize(join(path, '..')), index: 0, count: 1 };
  }
}

async function* walk(folder: string, depth: number, isWanted: (name: string) => boolean): AsyncGenerator<ListedImage> {
  if (depth > maxDepth) {
    throw new StoplineError(
      'INPUT_UNREADABLE',
      `Expected at most ${maxDepth} nested folders but "${folder}" is deeper.`,
    );
  }
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause) => {
    throw new StoplineError('INPUT_UNREADABLE', `Folder "${folder}" cannot be read: ${describeReason(cause)}.`, {
      cause,
    });
  });
  const visible = entries.filter((entry) => !entry.name.startsWith('.'));
  const images = visible
    .filter((entry) => !entry.isDirectory() && isWanted(entry.name))
    .map((entry) => entry.name)
    .sort(naturalOrder);
  for (const [index, name] of images.entries()) {
    yield { path: join(folder, name), folder, index, count: images.length };
  }
  const folders = visible.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  for (const name of folders.sort(naturalOrder)) yield* walk(join(folder, name), depth + 1, isWanted);
}

/**
 * Counts what `listImages` would list, so that progress has a total.
 * @throws {StoplineError} INPUT_NO_IMAGES when there is nothing
 */
export async function countImages(paths: readonly string[], only?: (image: ListedImage) => boolean): Promise<number> {
  let count = 0;
  for await (const _ of listImages(paths, only)) count++;
  if (count === 0) throw noImages(paths);
  return count;
}

/** The error of inputs without any image. */
export function noImages(paths: readonly string[]): StoplineError {
  return new StoplineError(
    'INPUT_NO_IMAGES',
    `Expected image files (JPEG, PNG or WebP) under ${paths.map((path) => `"${path}"`).join(', ')} but found none.`,
  );
}
