import { finished, Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Value from 'typebox/value';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { decodeBase64 } from '../../gate/protocols/json.ts';
import { release } from '../../image/frame.ts';
import { jsonImageSchema } from './schemas.ts';

/** Bytes of request bodies in memory, over all requests of one server. */
export interface BufferBudget {
  readonly limit: number;
  used: number;
}

/**
 * The share of one request in the budget.
 * @returns `hold`, called with the size of each piece before it is kept, which throws OVERLOADED when too much is held by
 * all requests together, and `release`, which gives all of it back
 */
export function heldBytes(budget: BufferBudget): { hold: (bytes: number) => void; release: () => void } {
  let held = 0;
  return {
    hold(bytes) {
      if (budget.used + bytes > budget.limit) {
        throw new StoplineError(
          'OVERLOADED',
          `Expected at most ${budget.limit} bytes of bodies at once but received more.`,
        );
      }
      budget.used += bytes;
      held += bytes;
    },
    release() {
      budget.used -= held;
      held = 0;
    },
  };
}

/** Lets a client send its body that waits to be told so. */
export function askForBody(request: FastifyRequest, reply: FastifyReply): void {
  if (!request.awaitsContinue) return;
  request.awaitsContinue = false;
  reply.raw.writeContinue();
}

/** Bounds of one multipart request; the file itself is bounded by the body limit (GHSA-3pm6-wjfr-3v47). */
export const multipartLimits = { files: 1, fields: 8, parts: 9, fieldSize: 4096, fieldNameSize: 100, headerPairs: 32 };

/** Pieces that nobody else holds to one array. */
function join(chunks: readonly Buffer[], length: number): Buffer {
  if (chunks.length === 1) return chunks[0];
  const whole = Buffer.concat(chunks, length);
  for (const chunk of chunks) release(chunk);
  return whole;
}

/**
 * A stream to one array, counting every byte against the limit and the budget while it arrives. Not `for await`, which
 * would destroy the stream, and with it the connection, when a limit is passed.
 */
function collect(stream: Readable, limit: number, hold: (bytes: number) => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const take = (chunk: Buffer) => {
      length += chunk.length;
      try {
        if (length > limit) throw tooLarge(limit, `more than ${limit}`);
        hold(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        forget();
        stream.off('data', take);
        reject(error);
      }
    };
    // Also notices a stream that had failed before it was looked at.
    const forget = finished(stream, { writable: false }, (error) => {
      if (!error) resolve(join(chunks, length));
      else reject(new StoplineError('REQUEST_INVALID', `Expected the whole body but received: ${error.message}.`));
    });
    stream.on('data', take);
  });
}

export function tooLarge(limit: number, received: string): StoplineError {
  return new StoplineError('REQUEST_TOO_LARGE', `Expected at most ${limit} bytes but received ${received}.`);
}

function mediaType(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase();
}

async function readMultipart(request: FastifyRequest, limit: number, hold: (bytes: number) => void): Promise<Buffer> {
  let image: Buffer | undefined;
  try {
    for await (const part of request.parts()) {
      if (part.type === 'file') image = await collect(part.file, limit, hold);
    }
  } catch (error) {
    if (error instanceof StoplineError) throw error;
    const { code, message } = error as { code?: string; message: string };
    if (code === 'FST_REQ_FILE_TOO_LARGE') throw tooLarge(limit, `more than ${limit}`);
    throw new StoplineError('REQUEST_INVALID', `Expected multipart form data with one file but received: ${message}.`, {
      cause: error,
    });
  }
  if (!image) {
    throw new StoplineError('REQUEST_INVALID', 'Expected one file in the multipart form but received none.');
  }
  return image;
}

function parseJsonImage(body: Buffer): Buffer {
  const expected = 'Expected JSON of the form {"image": "<base64>"}';
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new StoplineError('REQUEST_INVALID', `${expected} but received ${(cause as Error).message}.`, { cause });
  }
  if (!Value.Check(jsonImageSchema, json)) {
    const [first] = Value.Errors(jsonImageSchema, json);
    throw new StoplineError(
      'REQUEST_INVALID',
      `${expected} but received ${first.instancePath || 'a body that'} ${first.message}.`,
    );
  }
  const bytes = decodeBase64(json.image.replace(/^data:[\w.+/-]*;base64,/, ''));
  if (!bytes) {
    throw new StoplineError('REQUEST_INVALID', `${expected} but "image" holds characters that are not base64.`);
  }
  return bytes;
}

/**
 * The encoded image of a request, whichever way it came. What the bytes are is decided later by the bytes themselves; the
 * Content-Type only says how they are wrapped.
 *
 * @param hold called with the size of each piece before it is kept; throws when too much is held
 * @throws {StoplineError} REQUEST_TYPE, REQUEST_INVALID, REQUEST_TOO_LARGE, IMAGE_EMPTY, and what `hold` throws
 */
export async function readImageBody(
  request: FastifyRequest,
  limit: number,
  hold: (bytes: number) => void,
): Promise<Uint8Array> {
  const type = mediaType(request);
  let bytes: Buffer;
  if (type === '' || type.startsWith('image/') || type === 'application/octet-stream') {
    bytes = await collect(request.raw, limit, hold);
  } else if (type === 'multipart/form-data') {
    bytes = await readMultipart(request, limit, hold);
  } else if (type === 'application/json') {
    const body = await collect(request.raw, limit, hold);
    if (body.length > 0) bytes = parseJsonImage(body);
    else bytes = body;
  } else {
    // What curl sends unless told otherwise, so the most common first mistake.
    const hint = type === 'application/x-www-form-urlencoded' ? " With curl add: -H 'content-type: image/jpeg'" : '';
    throw new StoplineError(
      'REQUEST_TYPE',
      `Expected Content-Type image/*, application/octet-stream, multipart/form-data or application/json but received ${type.slice(0, 100)}.${hint}`,
    );
  }
  if (bytes.length === 0) throw new StoplineError('IMAGE_EMPTY', 'Expected the bytes of an image but received none.');
  return bytes;
}

/** A whole body, or why it is not kept, with a way to have it all the same: what has come of it, then the rest. */
export type TakenBody =
  | { body: Buffer; error?: undefined }
  | { body?: undefined; error: StoplineError; rest(): Readable };

/**
 * Reads a body that is to be forwarded, whatever becomes of it: one that is too large, or for which there is no room, is
 * left in the stream for whoever wants to pass it on.
 * @param announced bytes by Content-Length; 0 where it says nothing
 */
export function takeBody(
  stream: Readable,
  announced: number,
  limit: number,
  hold: (bytes: number) => void,
): Promise<TakenBody> {
  if (announced > limit) {
    return Promise.resolve({ error: tooLarge(limit, String(announced)), rest: () => stream });
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const take = (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      try {
        if (length > limit) throw tooLarge(limit, `more than ${limit}`);
        hold(chunk.length);
      } catch (error) {
        forget();
        stream.off('data', take);
        stream.pause();
        const rest = async function* () {
          yield* chunks;
          yield* stream;
        };
        resolve({ error: asStoplineError(error), rest: () => Readable.from(rest()) });
      }
    };
    const forget = finished(stream, { writable: false }, (error) => {
      if (!error) resolve({ body: join(chunks, length) });
      else reject(new StoplineError('REQUEST_INVALID', `Expected the whole body but received: ${error.message}.`));
    });
    stream.on('data', take);
  });
}
