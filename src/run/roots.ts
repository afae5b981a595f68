import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { StoplineError } from '../errors.ts';
import { quotePath } from '../image/file.ts';
import { isObjectUrl } from './objects.ts';

/**
 * The folders and `s3://` prefixes that places named by others must lie under: whoever may write to a broker or a queue may not
 * read and write our disk.
 */
export class Roots {
  readonly #folders: readonly string[];
  readonly #prefixes: readonly string[];

  /** @param places folders or s3:// prefixes; `s3://` alone stands for every bucket */
  constructor(places: readonly string[]) {
    this.#folders = places.filter((place) => !isObjectUrl(place)).map((place) => resolve(place));
    this.#prefixes = places.filter(isObjectUrl).map((place) => (place.endsWith('/') ? place : `${place}/`));
  }

  /**
   * The real place of a path, links followed; a relative one starts at the first root.
   * @throws {StoplineError} REQUEST_INVALID where it is not below a root; INPUT_NOT_FOUND, INPUT_UNREADABLE
   */
  locate(path: string): string {
    const [folder] = this.#folders;
    const [prefix] = this.#prefixes;
    if (isObjectUrl(path)) return this.#locateObject(path, path);
    if (folder === undefined && prefix !== undefined && !isAbsolute(path))
      return this.#locateObject(prefix + path, path);
    if (path.includes('\0')) {
      throw new StoplineError('INPUT_UNREADABLE', `Expected a path but ${quotePath(path)} holds a NUL character.`);
    }
    if (folder === undefined) throw this.#refuse(path);
    const place = isAbsolute(path) ? path : join(folder, path);
    const real = findReal(place);
    if (!this.#folders.some((root) => isInside(findReal(root).path, real.path))) throw this.#refuse(path);
    if (!real.exists) throw new StoplineError('INPUT_NOT_FOUND', `${quotePath(path)} does not exist.`);
    return real.path;
  }

  #locateObject(url: string, shown: string): string {
    if (this.#prefixes.some((prefix) => url.startsWith(prefix))) return url;
    throw this.#refuse(shown);
  }

  #refuse(path: string): StoplineError {
    // Whoever asks need not know where the roots are.
    return new StoplineError('REQUEST_INVALID', `${quotePath(path)} is not taken: it is not below what --root names.`);
  }
}

/** The real path of what is there, else that of the nearest folder above it that is, with the rest behind it. */
function findReal(path: string): { path: string; exists: boolean } {
  let at = resolve(path);
  const rest: string[] = [];
  for (;;) {
    try {
      return { path: join(realpathSync(at), ...rest), exists: rest.length === 0 };
    } catch {
      if (dirname(at) === at) return { path: resolve(path), exists: false };
      rest.unshift(at.slice(dirname(at).length).replace(sep, ''));
      at = dirname(at);
    }
  }
}

function isInside(folder: string, path: string): boolean {
  const inside = relative(folder, path);
  return inside !== '..' && !inside.startsWith(`..${sep}`) && !isAbsolute(inside);
}
