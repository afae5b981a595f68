import { posix } from 'node:path';
import { pipeline, Transform } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { StoplineError } from '../../errors.ts';
import { quotePath } from '../../image/file.ts';
import { describeOther, isImageName } from './folder.ts';
import { brokenItem, fileVersion, type InputOptions, type Item, nameMember } from './item.ts';
import type { LeftOut } from './leftout.ts';
import { openRegular } from './regular.ts';

export function isArchiveName(name: string): boolean {
  return /\.(tar|tar\.gz|tgz)$/i.test(name);
}

type ArchiveSource = { leftOut: LeftOut } & ({ path: string } | { stream: NodeJS.ReadableStream; version: string });

/** What members are that hold no content of their own, in the words of rows. */
const otherTypes: Record<string, string> = {
  symlink: 'a symbolic link',
  link: 'a hard link',
  fifo: 'a pipe',
  'character-device': 'a device',
  'block-device': 'a device',
};

/**
 * The image members of a tar archive in their order, as WebDataset stores them. It is read once from front to end, one member in
 * memory at a time, and treated as the folder it holds: hidden members and other files are counted as left out, and a link is an
 * item with its error. Where it ends too early, that is one item with the error INPUT_UNREADABLE: the member that is cut, or the
 * archive itself.
 * @param shown its name in rows
 * @param source where it lies, or its bytes and what changes with them
 */
export async function* listArchive(shown: string, options: InputOptions, source: ArchiveSource): AsyncGenerator<Item> {
  const reader = new ArchiveReader(shown, options.maxBytes, source.leftOut);
  try {
    if ('path' in source) {
      const version = fileVersion(source.path);
      yield* reader.read(await openRegular(source.path, shown), version);
    } else yield* reader.read(source.stream, source.version);
  } catch (cause) {
    // Whoever reads the image that is cut is told so.
    if (reader.isWithinImage) return;
    const error =
      cause instanceof StoplineError
        ? cause
        : new StoplineError(
            'INPUT_UNREADABLE',
            `The archive ${quotePath(shown)} cannot be read to its end: ${cause instanceof Error ? cause.message : cause}.`,
            { cause },
          );
    yield brokenItem(shown, error);
  }
}

type Member = AsyncIterable<Uint8Array> & {
  header: Header;
  resume(): void;
  on(event: 'end', listener: () => void): void;
};

class ArchiveReader {
  /** Whether an image was begun whose end has not come. */
  isWithinImage = false;
  readonly #shown: string;
  readonly #maxBytes: number;
  readonly #leftOut: LeftOut;

  constructor(shown: string, maxBytes: number, leftOut: LeftOut) {
    this.#shown = shown;
    this.#maxBytes = maxBytes;
    this.#leftOut = leftOut;
  }

  async *read(stream: NodeJS.ReadableStream, version: string): AsyncGenerator<Item> {
    const members = extract();
    const tail = new TailWatch();
    const done = () => undefined; // errors are those of the iteration below
    if (/gz$/i.test(this.#shown)) pipeline(stream, createGunzip(), tail, members, done);
    else pipeline(stream, tail, members, done);
    for await (const member of members as AsyncIterable<Member>) yield* this.#readMember(member, version);
    if (!tail.hasEndMark) this.#leftOut.add('archive without its end mark: more members may be missing', this.#shown);
  }

  async *#readMember(member: Member, version: string): AsyncGenerator<Item> {
    const { name, type, size = 0 } = member.header;
    if (type === 'directory' || this.#isLeftOut(name)) return member.resume();
    if (type !== 'file' && type !== 'contiguous-file') {
      member.resume();
      yield { ...nameMember(this.#shown, name), ...this.#refuseType(name, type ?? 'unknown') };
      return;
    }
    this.isWithinImage = true;
    member.on('end', () => {
      this.isWithinImage = false;
    });
    let reading: Promise<Uint8Array> | undefined;
    yield {
      ...nameMember(this.#shown, name),
      size: Math.min(size, this.#maxBytes),
      version: `${version} ${size}`,
      read: () => {
        reading = this.#takeBytes(member);
        return reading;
      },
    };
    if (reading) await reading.catch(() => undefined);
    member.resume();
  }

  /** Counts what a folder would leave out, too. */
  #isLeftOut(name: string): boolean {
    const hidden = name.split('/').some((part) => part.startsWith('.') && part !== '.' && part !== '..');
    if (!hidden && isImageName(name)) return false;
    this.#leftOut.add(hidden ? 'hidden' : describeOther(posix.basename(name)), `${this.#shown}/${name}`);
    return true;
  }

  #refuseType(name: string, type: string) {
    const path = `${this.#shown}/${name}`;
    const what = otherTypes[type] ?? 'of a kind that is not read';
    const error = new StoplineError('INPUT_UNREADABLE', `${quotePath(path)} is not read: it is ${what} in an archive.`);
    const { version, read } = brokenItem(path, error);
    return { version, read, error };
  }

  async #takeBytes(member: Member): Promise<Uint8Array> {
    const { name, size = 0 } = member.header;
    const shown = quotePath(`${this.#shown}/${name}`);
    if (size > this.#maxBytes) {
      throw new StoplineError('IMAGE_TOO_LARGE', `Expected at most ${this.#maxBytes} bytes but ${shown} has ${size}.`);
    }
    const bytes = new Uint8Array(size);
    let length = 0;
    try {
      for await (const chunk of member) {
        bytes.set(chunk, length);
        length += chunk.length;
      }
    } catch (cause) {
      throw new StoplineError(
        'INPUT_UNREADABLE',
        `${shown} cannot be read: its archive ends after ${length} of its ${size} bytes.`,
        { cause },
      );
    }
    return bytes;
  }
}

/** Notices whether an archive ends as one must: with two blocks of zeros. */
class TailWatch extends Transform {
  static readonly #endMark = 1024;
  #zeros = 0;

  get hasEndMark(): boolean {
    return this.#zeros >= TailWatch.#endMark;
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: null, chunk: Buffer) => void): void {
    let zeros = 0;
    while (zeros < chunk.length && zeros < TailWatch.#endMark && chunk[chunk.length - 1 - zeros] === 0) zeros++;
    this.#zeros = zeros === chunk.length ? this.#zeros + zeros : zeros;
    done(null, chunk);
  }
}
