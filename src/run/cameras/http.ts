import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type JpegFrame, splitJpeg } from '../inputs/motionjpeg.ts';
import type { CameraAddress } from './address.ts';
import type { CameraImage, CameraOptions } from './cameraimage.ts';
import { type Answer, HttpCamera, readWhole } from './client.ts';
import { decodeStream, readStream } from './decoder.ts';
import { readSegments } from './hls.ts';

/**
 * The images of a camera behind HTTP, whatever it is by what it answers: a snapshot that is asked for again and again, a motion
 * JPEG, HTTP live streaming, or a video that never ends. Ends where a stream does.
 */
export async function* watchHttp(address: CameraAddress, options: CameraOptions): AsyncGenerator<CameraImage> {
  const camera = new HttpCamera(address, options);
  try {
    for (;;) {
      const startedAt = performance.now();
      const answer = await camera.get();
      const { first, body } = await peek(answer.body);
      const kind = findKind(answer, first);
      // ffmpeg would say no more than that its input is invalid.
      if (kind === 'video' && isText(answer.type, first)) {
        throw camera.refuse(`it answers with text (${answer.type.split(';')[0]}), such as a page to log in on`);
      }
      if (kind !== 'still') return yield* openStream(camera, { ...answer, kind, body }, options);
      yield { image: await readWhole(body, options.maxBytes) };
      const restMs = options.everyMs - (performance.now() - startedAt);
      if (restMs > 0) await delay(restMs, undefined, { signal: options.signal });
    }
  } finally {
    await camera.close();
  }
}

type StreamKind = 'jpeg' | 'playlist' | 'video';

async function* openStream(
  camera: HttpCamera,
  { url, kind, body }: { url: string; kind: StreamKind; body: AsyncIterable<Buffer> },
  options: CameraOptions,
): AsyncGenerator<CameraImage> {
  if (kind === 'jpeg') {
    for await (const frame of splitJpeg(body, options.maxBytes)) yield readFrame(frame);
    return;
  }
  const bytes = kind === 'playlist' ? readSegments(camera, { url, body }, options) : body;
  const input = Readable.from(bytes, { objectMode: false });
  try {
    for await (const image of decodeStream(readStream(input, { isPaced: kind === 'playlist' }), options))
      yield { image };
    if (input.errored) throw input.errored;
  } catch (error) {
    // ffmpeg only knows that its input broke off.
    throw input.errored ?? error;
  } finally {
    input.destroy();
  }
}

function readFrame({ bytes, error }: JpegFrame): CameraImage {
  return error ? { error } : { image: bytes };
}

function findKind({ type, length }: Answer, first: Buffer): StreamKind | 'still' {
  if (first.toString('latin1', 0, 7) === '#EXTM3U') return 'playlist';
  if (type.startsWith('multipart/') || /mjpe?g/.test(type)) return 'jpeg';
  const isImage = /^(\xff\xd8\xff|\x89PNG|RIFF....WEBP)/s.test(first.toString('latin1', 0, 12));
  if (type.startsWith('image/') || (isImage && length !== undefined)) return 'still';
  return isImage ? 'jpeg' : 'video';
}

/** Whether it is called a text and looks like one: servers call streams of unknown names texts, too. */
function isText(type: string, first: Buffer): boolean {
  const isCalled = /^(text\/|application\/(\S+\+)?(json|xml|xhtml))/.test(type);
  return isCalled && first.every((byte) => byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d));
}

/** The first bytes of a body, and the body with them. */
async function peek(body: AsyncIterable<Buffer>): Promise<{ first: Buffer; body: AsyncIterable<Buffer> }> {
  const chunks = body[Symbol.asyncIterator]();
  let first: Buffer = Buffer.alloc(0);
  while (first.length < 12) {
    const { value, done } = await chunks.next();
    if (done) break;
    first = Buffer.concat([first, value]);
  }
  return {
    first,
    body: (async function* () {
      try {
        yield first;
        for (;;) {
          const { value, done } = await chunks.next();
          if (done) return;
          yield value;
        }
      } finally {
        await chunks.return?.();
      }
    })(),
  };
}
