import { basename, dirname, relative, sep } from 'node:path';
import { asStoplineError, StoplineError } from '../errors.ts';
import { listImages } from '../run/inputs/folder.ts';
import { LeftOut, type LeftOutCount } from '../run/inputs/leftout.ts';
import { LinkFollower } from '../run/inputs/links.ts';
import { type FitResult, fit } from './fit.ts';
import { groupPattern } from './groups.ts';
import type { FitOptions } from './options.ts';

/** One camera: its images, and the file name of its Profile. */
export interface CameraFolder {
  /** What the rule finds in the paths of its images. */
  name: string;
  /** `name`, made safe as a file name, with `.stopline`. */
  file: string;
  images: number;
}

/** Names the source of an image; undefined when the rule finds none. */
export type SourceRule = (image: { path: string; folder: string }) => string | undefined;

/** The longest name that a Profile may have. */
const maxName = 128;
/** Many file systems take 255 bytes, and a letter may be four; the ending and a temporary name need some, too. */
const maxFileName = 48;

/**
 * The rule of `--profile-per` and `--source-pattern`: 'folder' (the folder of an image, from the given path on), or a regular expression whose first
 * group (or whole match) in the path names the source.
 * @throws {StoplineError} OPTION_INVALID
 */
export function sourceRule(per: string, paths: readonly string[], setting = 'profile-per'): SourceRule {
  if (per === 'none') {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected 'folder' or a regular expression for ${setting} but received "none".`,
    );
  }
  const pattern = groupPattern(per, setting);
  if (pattern) {
    return ({ path }) => {
      const match = pattern.exec(path);
      return match ? (match[1] ?? match[0]) || undefined : undefined;
    };
  }
  // Several paths may have folders of the same name, so their own name is told, too.
  const from = (path: string) => (paths.length === 1 ? path : dirname(path));
  return ({ folder }) => {
    const inside = paths.map((path) => relative(from(path), folder)).find((name) => !name.startsWith('..'));
    return inside ? inside.split(sep).join('/') : basename(folder);
  };
}

/**
 * The sources under the paths, in order of their names, how many images belong to none, and what else is not looked at.
 * @throws {StoplineError} INPUT_*, OPTION_INVALID when no image has a source, or two sources the same file name
 */
export async function listSources(
  paths: readonly string[],
  rule: SourceRule,
  { follow }: Pick<FitOptions, 'follow'> = {},
): Promise<{ sources: CameraFolder[]; unmatched: number; leftOut: LeftOutCount[] }> {
  const counts = new Map<string, number>();
  const leftOut = new LeftOut();
  let unmatched = 0;
  for await (const image of listImages(paths, { links: new LinkFollower(follow), leftOut })) {
    const name = rule(image);
    if (name === undefined) {
      unmatched++;
      leftOut.add('image of no source: --profile-per does not match its path', image.path);
    } else counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  if (counts.size === 0) {
    throw unmatched === 0
      ? new StoplineError('INPUT_NO_IMAGES', `Expected image files under ${paths.join(', ')} but found none.`)
      : new StoplineError(
          'OPTION_INVALID',
          `Expected profile-per to match the paths of images but it matches none of ${unmatched}.`,
        );
  }
  const sources = [...counts].map(([name, images]): CameraFolder => ({ name, file: profileFile(name), images }));
  sources.sort((a, b) => (a.name < b.name ? -1 : 1));
  const taken = new Map<string, string>();
  for (const { name, file } of sources) {
    // Not every file system tells upper from lower case.
    const key = file.toLowerCase();
    const other = taken.get(key);
    if (other !== undefined) {
      throw new StoplineError(
        'OPTION_INVALID',
        `Expected sources with file names of their own but "${other}" and "${name}" would both be written to ${file}.`,
      );
    }
    taken.set(key, name);
  }
  return { sources, unmatched, leftOut: leftOut.toJSON() };
}

/** Letters, digits, dot, dash and underscore stay; runs of others become one dash; a name never starts with a dot. */
export function profileFile(source: string): string {
  const safe = source.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[.-]+|[.-]+$/g, '');
  return `${[...safe].slice(0, maxFileName).join('') || 'source'}.stopline`;
}

/** A source with its Profile, or why it has none. */
export type SourceFit = { source: CameraFolder } & ({ result: FitResult } | { error: StoplineError });

/**
 * Fits one Profile for each source, one after the other, so that memory is that of one fit. A source that cannot be fitted
 * (too few images, say) is an answer with its error, and the others go on.
 * @param options as of `fit`; the name of a Profile is that of its source, after `name` where there is one
 * @throws {StoplineError} what `listSources` throws, and whatever is not the fault of one source's images; the signal's reason
 * @example
 * const rule = sourceRule('folder', ['drives/']);
 * const { sources } = await listSources(['drives/'], rule);
 * for await (const one of fitPer({ paths: ['drives/'] }, sources, rule)) {
 *   if ('result' in one) await saveProfile(one.result.profile, one.source.file);
 * }
 */
export async function* fitPer(
  options: FitOptions,
  sources: readonly CameraFolder[],
  rule: SourceRule,
): AsyncGenerator<SourceFit> {
  for (const source of sources) {
    const only: FitOptions['only'] = (image) => rule(image) === source.name && (options.only?.(image) ?? true);
    const name = (options.name === undefined ? source.name : `${options.name} ${source.name}`).slice(0, maxName);
    try {
      yield { source, result: await fit({ ...options, name, only }) };
    } catch (error) {
      options.signal?.throwIfAborted();
      const coded = asStoplineError(error);
      if (coded.status >= 500) throw error;
      yield { source, error: coded };
    }
  }
}
