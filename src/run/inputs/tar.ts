import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { StoplineError } from '../../errors.ts';
import { isImageName } from './folder.ts';
import { brokenItem, fileVersion, type InputOptions, type Item, nameMember } from './item.ts';

export function isArchiveName(name: string): boolean {
  return /\.(tar|tar\.gz|tgz)$/i.test(name);
}

/**
 * The image members of a tar archive in their order, as WebDataset stores them; other members (labels, JSON) are left out.
 * The archive is read once from front to end, one member in memory at a time.
 * @param source its bytes and what changes with them; default: the file `path`
 */
export async function* listArchive(
  path: string,
  { maxBytes }: InputOptions,
  source: { stream: NodeJS.ReadableStream; version: string } = {
    stream: createReadStream(path),
    version: fileVersion(path),
  },
): AsyncGenerator<Item> {
  const members = extract();
  const done = () => undefined; // errors are those of the iteration below
  if (/gz$/i.test(path)) pipeline(source.stream, createGunzip(), members, done);
  else pipeline(source.stream, members, done);
  try {
    for await (const member of members) {
      const { name, type, size = 0 } = member.header;
      if ((type !== 'file' && type !== 'contiguous-file') || !isImageName(name)) {
        member.resume();
        continue;
      }
      let reading: Promise<Uint8Array> | undefined;
      yield {
        ...nameMember(path, name),
        size: Math.min(size, maxBytes),
        version: `${source.version} ${size}`,
        read() {
          reading = readMember(member, path, maxBytes);
          return reading;
        },
      };
      if (reading) await reading.catch(() => undefined);
      member.resume();
    }
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    yield brokenItem(
      path,
      new StoplineError('INPUT_UNREADABLE', `The archive "${path}" cannot be read to its end: ${message}.`, { cause }),
    );
  }
}

async function readMember(
  member: AsyncIterable<unknown> & { header: { name: string; size?: number } },
  path: string,
  maxBytes: number,
): Promise<Uint8Array> {
  const { name, size = 0 } = member.header;
  if (size > maxBytes) {
    throw new StoplineError('IMAGE_TOO_LARGE', `Expected at most ${maxBytes} bytes but "${path}/${name}" has ${size}.`);
  }
  const bytes = new Uint8Array(size);
  let length = 0;
  for await (const chunk of member as AsyncIterable<Uint8Array>) {
    bytes.set(chunk, length);
    length += chunk.length;
  }
  return bytes;
}
