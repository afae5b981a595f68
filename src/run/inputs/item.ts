import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { basename, dirname, posix } from 'node:path';
import { StoplineError } from '../../errors.ts';
import type { ObjectStore } from '../objects.ts';
import type { Columns } from '../rows/row.ts';
import type { LeftOut } from './leftout.ts';

/** One image of a run, wherever it lies. */
export interface Item {
  /** What its row is called: a path, a URL, or `archive.tar/member.jpg`. Decides the shard. */
  name: string;
  /** Images with the same one may be neighbours in time. */
  folder: string;
  /** A file, which worker threads read themselves. */
  path?: string | undefined;
  /** What the path leads to, where it is a symbolic link: workers open no links. */
  target?: string | undefined;
  /**
   * Anything else is read by the caller, before it asks for the next item.
   * @throws {StoplineError} INPUT_*, IMAGE_TOO_LARGE: this image has no verdict; OBJECTS_UNAVAILABLE: nothing more can be read
   */
  read?: (() => Promise<Uint8Array>) | undefined;
  /** The codec of the video that it was taken out of: what is read is then a file of ours (see `ExtractedFrame`). */
  codec?: string | undefined;
  /** Encoded bytes, where they are known before it is read. */
  size?: number | undefined;
  /** Changes when the content may have changed; for a file see `fileVersion`. */
  version?: string | undefined;
  /** What a manifest says of it. */
  columns?: Columns | undefined;
  /** Place among all items, also those of other shards. */
  position?: number;
  /** Where it lies, if it is an archive or video listed whole. */
  container?: string | undefined;
  /** Why it cannot be read, where that is known already. */
  error?: StoplineError | undefined;
}

export interface Items extends AsyncIterable<Item> {
  /** Names of the columns that a manifest brings along. */
  readonly columns: readonly string[];
  /** How many there are; undefined where only reading everything would tell. */
  count(): Promise<number | undefined>;
  /** What was not looked at when they were last gone through. */
  readonly leftOut: LeftOut;
}

/** Part `index` (from 0) of `count`. */
export interface Shard {
  index: number;
  count: number;
}

export interface InputOptions {
  /** File with one image a row, or `-` for paths on standard input; taken after the paths. */
  manifest?: string | undefined;
  /** Column of the manifest that has the path; default `path`, or the one column of images. */
  pathColumn?: string | undefined;
  /** What parts the columns of a CSV manifest; default a comma, in a .tsv a tab. */
  delimiter?: string | undefined;
  /** Whether symbolic links are followed; default true. */
  follow?: boolean | undefined;
  /** Only the items of this part. */
  shard?: Shard | undefined;
  /** Frames taken of a second of video; default 1. */
  fps?: number | undefined;
  store: ObjectStore;
  /** Files larger than this are not read. */
  maxBytes: number;
  /** List archives and videos whole, for others to open: see `openReference`. */
  asReferences?: boolean | undefined;
}

/** Whether an item belongs to a part: by a hash of its name alone, so the same on every machine. */
export function isInShard(name: string, { index, count }: Shard): boolean {
  return createHash('sha256').update(name).digest().readUInt32BE() % count === index;
}

/**
 * Size and time of last change of a file, as a text; `absent` where there is none.
 */
export function fileVersion(path: string): string {
  try {
    const { size, mtimeMs } = statSync(path);
    return `${size} ${mtimeMs}`;
  } catch {
    // Missing, or a name that no file can have.
    return 'absent';
  }
}

/** The file that is opened for an item; undefined for what is no file. */
export function chooseFile({ path, target }: Item): string | undefined {
  return target ?? path;
}

/** What changes when the content of an item may have. */
export function makeVersion(item: Item): string {
  return item.version ?? fileVersion(item.path as string);
}

/** A member of something that is read as a whole, such as an archive. */
export function nameMember(container: string, member: string): Pick<Item, 'name' | 'folder'> {
  return { name: `${container}/${member}`, folder: posix.join(container, dirname(member)) };
}

/** An item that stands for something that broke: it becomes a row with the error, and the run goes on. */
export function brokenItem(name: string, error: StoplineError, folder = basename(name)): Item {
  return { name, folder, version: 'broken', error, read: () => Promise.reject(error) };
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
