import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { StoplineError } from './errors.ts';

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

/** The error of a path that cannot be looked at. */
export function unreadable(path: string, cause: NodeJS.ErrnoException): StoplineError {
  return new StoplineError(
    cause.code === 'ENOENT' || cause.code === 'ENOTDIR' ? 'INPUT_NOT_FOUND' : 'INPUT_UNREADABLE',
    `Expected a file or folder but "${path}" cannot be opened: ${reasonOf(cause)}.`,
    { cause },
  );
}

async function* walk(folder: string, depth: number, isWanted: (name: string) => boolean): AsyncGenerator<ListedImage> {
  if (depth > maxDepth) {
    throw new StoplineError(
      'INPUT_UNREADABLE',
      `Expected at most ${maxDepth} nested folders but "${folder}" is deeper.`,
    );
  }
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause) => {
    throw new StoplineError('INPUT_UNREADABLE', `Folder "${folder}" cannot be read: ${reasonOf(cause)}.`, { cause });
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

/**
 * Reads one regular file of bounded size. The path itself may not be a symbolic link, and pipes and devices are refused
 * without being waited for, so that a folder from elsewhere cannot make us read or hang on something outside it.
 *
 * Reads in one go on the calling thread: worker threads call it, and five round trips to another thread cost a tenth of
 * what a small image takes.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, IMAGE_TOO_LARGE
 */
export function readImage(path: string, maxBytes: number): Uint8Array {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StoplineError(
      code === 'ENOENT' ? 'INPUT_NOT_FOUND' : 'INPUT_UNREADABLE',
      `"${path}" cannot be opened: ${code === 'ELOOP' ? 'it is a symbolic link' : reasonOf(cause)}.`,
      { cause },
    );
  }
  try {
    const kind = fstatSync(file);
    if (!kind.isFile()) {
      throw new StoplineError('INPUT_UNREADABLE', `Expected a regular file but "${path}" is not one.`);
    }
    if (kind.size > maxBytes) {
      throw new StoplineError('IMAGE_TOO_LARGE', `Expected at most ${maxBytes} bytes but "${path}" has ${kind.size}.`);
    }
    const bytes = new Uint8Array(kind.size);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(file, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return length === bytes.length ? bytes : bytes.slice(0, length);
  } catch (cause) {
    if (cause instanceof StoplineError) throw cause;
    throw new StoplineError('INPUT_UNREADABLE', `"${path}" cannot be read: ${reasonOf(cause)}.`, { cause });
  } finally {
    closeSync(file);
  }
}

function reasonOf(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  const known: Record<string, string> = {
    ENOENT: 'it does not exist',
    ENOTDIR: 'a part of the path is not a folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EISDIR: 'it is a folder',
    ENXIO: 'it is a pipe or device',
  };
  return known[code ?? ''] ?? (cause instanceof Error ? cause.message : String(cause));
}
