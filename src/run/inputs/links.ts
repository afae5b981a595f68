import { existsSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { dirname, relative, sep } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { quotePath } from '../../image/file.ts';

/** A real folder is entered through links at most so often: links that branch could lead to it in any number of ways. */
const maxVisits = 16;

/** What a symbolic link leads to. */
export type LinkTarget = { real: string; isFolder: boolean };

/**
 * Follows the symbolic links of a walk, and keeps them inside: where a link may lead is the folders that were named, and the
 * repositories that they lie in, because DVC, git-annex and the caches of Hugging Face keep the content beside the folder that
 * shows it.
 */
export class LinkFollower {
  readonly #homes: string[] = [];
  readonly #visits = new Map<string, number>();
  readonly #follows: boolean;

  /** @param follows false to follow none */
  constructor(follows = true) {
    this.#follows = follows;
  }

  /**
   * Lets links lead into a folder that the user named, and what belongs to it; a file lets them lead nowhere.
   * @returns its real path
   */
  async addRoot(folder: string): Promise<string> {
    const real = await realpath(folder);
    if (!(await stat(real)).isDirectory()) return real;
    const home = findHome(real);
    if (!this.#homes.includes(home)) this.#homes.push(home);
    return real;
  }

  /**
   * @param link where the link lies, its own folder being real
   * @param name what it is called in rows and messages
   * @param ancestors real paths of the folders above it
   * @throws {StoplineError} INPUT_UNREADABLE, INPUT_NOT_FOUND where it is not followed
   */
  async follow(link: string, name: string, ancestors: readonly string[]): Promise<LinkTarget> {
    const refuse = (why: string) => new StoplineError('INPUT_UNREADABLE', `${quotePath(name)} is not read: ${why}.`);
    if (!this.#follows) throw refuse('it is a symbolic link, and --no-follow was given');
    const real = await realpath(link).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ELOOP') throw refuse('it is a symbolic link that leads in a circle');
      throw new StoplineError(
        'INPUT_NOT_FOUND',
        `${quotePath(name)} is a symbolic link to something that is not there. Where git-annex, DVC or a cache keeps the content, fetch it first.`,
        { cause },
      );
    });
    if (!this.#homes.some((home) => isInside(real, home))) {
      throw refuse(`it is a symbolic link that leads outside, to ${quotePath(real)}; name that file or folder instead`);
    }
    const isFolder = (await stat(real)).isDirectory();
    if (isFolder) this.#enter(real, ancestors, refuse);
    return { real, isFolder };
  }

  #enter(real: string, ancestors: readonly string[], refuse: (why: string) => StoplineError): void {
    if (ancestors.includes(real)) throw refuse('it is a symbolic link to a folder that holds it');
    const visits = (this.#visits.get(real) ?? 0) + 1;
    if (visits > maxVisits) throw refuse(`more than ${maxVisits} symbolic links lead to its folder`);
    this.#visits.set(real, visits);
  }
}

/**
 * The folder that everything which belongs to a folder lies in: the repository of git or DVC around it, or the entry of a cache of
 * Hugging Face; itself where there is none.
 */
function findHome(folder: string): string {
  for (let at = folder; dirname(at) !== at; at = dirname(at)) {
    const has = (name: string) => existsSync(`${at}${sep}${name}`);
    if (has('.git') || has('.dvc') || (has('blobs') && has('snapshots'))) return at;
  }
  return folder;
}

function isInside(path: string, folder: string): boolean {
  const inside = relative(folder, path);
  return inside !== '..' && !inside.startsWith(`..${sep}`);
}
