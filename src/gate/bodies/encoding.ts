import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { StoplineError } from '../../errors.ts';
import { quoteWord } from './names.ts';

/** Most bytes that one byte may unpack to: pixels in JSON do by a factor of ten, and only bombs by a hundred. */
const maxFactor = 100;

type Unpack = (bytes: Buffer, options: { maxOutputLength: number; info: true }) => Promise<unknown>;
const unpackers: Readonly<Record<string, Unpack>> = {
  gzip: promisify(zlib.gunzip) as never,
  'x-gzip': promisify(zlib.gunzip) as never,
  deflate: promisify(zlib.inflate) as never,
  br: promisify(zlib.brotliDecompress) as never,
  // Not in the oldest versions of Node that are supported.
  ...(zlib.zstdDecompress && { zstd: promisify(zlib.zstdDecompress) as never }),
};

/** Bodies are unpacked one after the other, because their length is not known before. */
let last: Promise<unknown> = Promise.resolve();

/**
 * A body without its Content-Encoding, unpacked beside the event loop and within a bound.
 *
 * @param most bytes that it may have
 * @throws {StoplineError} REQUEST_TYPE for a coding that is not read, REQUEST_INVALID, REQUEST_TOO_LARGE
 */
export async function unpackBody(body: Buffer, header: string | undefined, most: number): Promise<Buffer> {
  const coding = (header ?? 'identity').trim().toLowerCase();
  if (coding === 'identity' || coding === '') return body;
  const unpack = Object.hasOwn(unpackers, coding) ? unpackers[coding] : undefined;
  if (!unpack) {
    throw new StoplineError(
      'REQUEST_TYPE',
      `Expected a Content-Encoding of gzip, deflate, br or zstd but received ${quoteWord(coding)}.`,
    );
  }
  const limit = Math.min(most, Math.max(1024 * 1024, maxFactor * body.length));
  const unpacking = last.then(() => unpack(body, { maxOutputLength: limit, info: true }));
  last = unpacking.catch(() => undefined);
  let unpacked: { buffer: Buffer; engine: { bytesWritten: number } };
  try {
    unpacked = (await unpacking) as typeof unpacked;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE') {
      throw new StoplineError('REQUEST_TOO_LARGE', `Expected at most ${limit} bytes when unpacked but received more.`);
    }
    throw new StoplineError('REQUEST_INVALID', `Expected a body in ${coding} but received: ${message}.`, { cause });
  }
  const { buffer, engine } = unpacked;
  // Some readers stop at the end of the first stream, others go on with what stands behind it.
  const isOne = coding.endsWith('gzip') ? body.readUInt32LE(body.length - 4) === buffer.length % 2 ** 32 : true;
  if (engine.bytesWritten !== body.length || !isOne) {
    throw new StoplineError('REQUEST_INVALID', `Expected one stream of ${coding} but received more behind it.`);
  }
  return buffer;
}
