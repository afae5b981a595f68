import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { StoplineError } from '../errors.ts';

/** Characters of a path that messages show at its start and at its end. */
const shownEnds = 100;

/** A path in quotes as messages show it: of bounded length, and without characters that cannot be seen. */
export function quotePath(path: string): string {
  const shown = path.length > 2 * shownEnds + 10 ? `${path.slice(0, shownEnds)}[...]${path.slice(-shownEnds)}` : path;
  return `"${shown.replace(/\p{Cc}/gu, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`;
}

/** The error of a path that cannot be looked at. */
export function unreadable(path: string, cause: NodeJS.ErrnoException): StoplineError {
  return new StoplineError(
    cause.code === 'ENOENT' || cause.code === 'ENOTDIR' ? 'INPUT_NOT_FOUND' : 'INPUT_UNREADABLE',
    `Expected a file or folder but ${quotePath(path)} cannot be opened: ${describeReason(cause)}.`,
    { cause },
  );
}

/**
 * Reads one regular file of bounded size. The path itself may not be a symbolic link, and pipes and devices are refused
 * without being waited for, so that a folder from elsewhere cannot make us read or hang on something outside it.
 *
 * Reads in one go on the calling thread: worker threads call it, and five round trips to another thread cost a tenth of
 * what a small image takes.
 * @param shown what errors call it
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, IMAGE_TOO_LARGE
 */
export function readImage(path: string, maxBytes: number, shown = path): Uint8Array {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StoplineError(
      code === 'ENOENT' ? 'INPUT_NOT_FOUND' : 'INPUT_UNREADABLE',
      `${quotePath(shown)} cannot be opened: ${code === 'ELOOP' ? 'it is a symbolic link' : describeReason(cause)}.`,
      { cause },
    );
  }
  try {
    const kind = fstatSync(file);
    if (!kind.isFile()) {
      throw new StoplineError('INPUT_UNREADABLE', `Expected a regular file but ${quotePath(shown)} is not one.`);
    }
    if (kind.size > maxBytes) {
      throw new StoplineError(
        'IMAGE_TOO_LARGE',
        `Expected at most ${maxBytes} bytes but ${quotePath(shown)} has ${kind.size}.`,
      );
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
    throw new StoplineError('INPUT_UNREADABLE', `${quotePath(shown)} cannot be read: ${describeReason(cause)}.`, {
      cause,
    });
  } finally {
    closeSync(file);
  }
}

export function describeReason(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  const known: Record<string, string> = {
    ENOENT: 'it does not exist',
    ENOTDIR: 'a part of the path is not a folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EISDIR: 'it is a folder',
    ENXIO: 'it is a pipe or device',
    ELOOP: 'symbolic links lead in a circle',
    ENAMETOOLONG: 'the name is too long',
    ERR_INVALID_ARG_VALUE: 'it holds a NUL character',
  };
  return known[code ?? ''] ?? (cause instanceof Error ? cause.message : String(cause));
}

/** What systems say that cannot flush a folder, or not one that may be written but not read. */
const unsyncable = new Set(['EPERM', 'EACCES', 'EISDIR', 'EINVAL', 'ENOTSUP', 'EBADF']);

/**
 * Makes a new name in a folder outlast a power cut, where the system can do that: Windows opens no folder, and some network
 * file systems flush none. The file is there all the same, so that is no reason to fail. A disk that fails is.
 */
export async function syncFolder(folder: string, openFolder: typeof open = open): Promise<void> {
  try {
    const opened = await openFolder(folder, 'r');
    await opened.sync().finally(() => opened.close());
  } catch (error) {
    if (!unsyncable.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
