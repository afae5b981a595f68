import { finished, Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { decodeText, placeText, sniffText } from '../../gate/bodies/encodedtext.ts';
import { readFields, readJson } from '../../gate/bodies/json.ts';
import { looksLikeImage } from '../../gate/bodies/magic.ts';
import { readMediaType } from '../../gate/bodies/mediatype.ts';
import { type Part, readParts } from '../../gate/bodies/multipart.ts';
import { describeName } from '../../gate/bodies/names.ts';
import { tooLarge } from '../../gate/bodies/peek.ts';
import { release } from '../../image/frame.ts';

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

/** Why a body did not come whole: it took too long, or its connection broke. */
function readBreak(error: Error): StoplineError {
  if (error instanceof StoplineError) return error;
  return new StoplineError('REQUEST_INVALID', `Expected the whole body but received: ${error.message}.`);
}

/**
 * Most pieces of a body that may be as small as they like, and the bytes that more of them must have on average. Every chunk of a body is
 * a piece, and costs as much as a full one: a megabyte in chunks of one byte held the loop for two thirds of a second.
 */
const freePieces = 2048;
const leastAverage = 64;
/**
 * @param count pieces of one body or message so far
 * @param length bytes of all of them
 * @throws {StoplineError} REQUEST_INVALID where there are too many small ones
 */
export function checkPieces(count: number, length: number): void {
  if (count <= freePieces || length >= count * leastAverage) return;
  throw new StoplineError(
    'REQUEST_INVALID',
    `Expected pieces of at least ${leastAverage} bytes on average but received smaller chunks.`,
  );
}

/** Pieces of one body that are taken in one turn of the event loop. */
const piecesATurn = 256;

/**
 * Lets others have their turn while a body comes in many small pieces. Node reads two megabytes of a connection at once where they lie
 * ready, which can be hundreds of thousands of chunks.
 */
class Turns {
  readonly #stream: Readable;
  #count = 0;
  #isOver = false;

  constructor(stream: Readable) {
    this.#stream = stream;
  }

  readonly count = (): void => {
    if (++this.#count !== piecesATurn) return;
    this.#stream.pause();
    setImmediate(() => {
      this.#count = 0;
      if (!this.#isOver) this.#stream.resume();
    });
  };

  /** Somebody else reads on. */
  end(): void {
    this.#isOver = true;
  }
}

/** Pieces below the first size are put together in blocks of the second: each by itself takes 300 bytes beside its own. */
const smallPiece = 4096;
const blockBytes = 64 * 1024;

/**
 * The pieces of one body, which nobody else holds. Where its length was announced they are copied into one array as they come, and each
 * is given back at once: kept until the end they are as much memory as the body again, which the process does not give back.
 */
class Pieces {
  readonly #announced: number;
  /** As long as announced, made with the first piece: a header alone takes no memory. */
  #whole: Buffer | undefined;
  #filled = 0;
  /** Those that are not in it: all where no length was announced, and what comes beyond it. */
  #beside: Buffer[] = [];
  /** The small ones behind them. */
  #block: Buffer | undefined;
  #blockFilled = 0;
  #length = 0;
  #count = 0;

  /** @param announced bytes by Content-Length; 0 where it says nothing, or more than is taken */
  constructor(announced: number) {
    this.#announced = announced;
  }

  /** @throws {StoplineError} REQUEST_INVALID where there are too many small ones */
  add(piece: Buffer): void {
    checkPieces(++this.#count, this.#length + piece.length);
    // A body in one piece needs no copy.
    const isFirst = this.#length === 0 && !this.#whole;
    if (isFirst && piece.length < this.#announced) this.#whole = Buffer.allocUnsafeSlow(this.#announced);
    this.#length += piece.length;
    if (this.#whole && this.#length <= this.#whole.length) {
      this.#whole.set(piece, this.#filled);
      this.#filled = this.#length;
      release(piece);
    } else this.#keep(piece);
  }

  #keep(piece: Buffer): void {
    const isAlone = this.#beside.length === 0 && !this.#block;
    if (isAlone || piece.length >= smallPiece) {
      this.#sealBlock();
      this.#beside.push(piece);
      return;
    }
    if (!this.#block || blockBytes - this.#blockFilled < piece.length) {
      this.#sealBlock();
      this.#block = Buffer.allocUnsafeSlow(blockBytes);
    }
    this.#block.set(piece, this.#blockFilled);
    this.#blockFilled += piece.length;
  }

  #sealBlock(): void {
    if (this.#block) this.#beside.push(this.#block.subarray(0, this.#blockFilled));
    this.#block = undefined;
    this.#blockFilled = 0;
  }

  /** In order. */
  list(): Buffer[] {
    this.#sealBlock();
    return this.#whole ? [this.#whole.subarray(0, this.#filled), ...this.#beside] : this.#beside;
  }

  /** All of them as one array. */
  join(): Buffer {
    const pieces = this.list();
    if (pieces.length === 1) return pieces[0];
    const joined = Buffer.concat(pieces, this.#length);
    for (const piece of pieces) release(piece);
    return joined;
  }
}

/** Bytes by Content-Length; 0 where it says nothing, as of a body in chunks. */
export function readAnnounced({ headers }: Pick<FastifyRequest, 'headers'>): number {
  const announced = Number(headers['content-length'] ?? 0);
  return Number.isSafeInteger(announced) && announced > 0 ? announced : 0;
}

/**
 * A stream to one array, counting every byte against the limit and the budget while it arrives. Not `for await`, which
 * would destroy the stream, and with it the connection, when a limit is passed.
 */
function collect(stream: Readable, announced: number, limit: number, hold: (bytes: number) => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces = new Pieces(announced > limit ? 0 : announced);
    let length = 0;
    // Also of what comes after a refusal and is dropped.
    stream.on('data', new Turns(stream).count);
    const take = (chunk: Buffer) => {
      length += chunk.length;
      try {
        if (length > limit) throw tooLarge(limit, `more than ${limit}`);
        hold(chunk.length);
        pieces.add(chunk);
      } catch (error) {
        forget();
        stream.off('data', take);
        reject(error);
      }
    };
    // Also notices a stream that had failed before it was looked at.
    const forget = finished(stream, { writable: false }, (error) => {
      if (!error) resolve(pieces.join());
      else reject(readBreak(error));
    });
    stream.on('data', take);
  });
}

/** The type of a body without its parameters. */
function readType({ headers }: FastifyRequest): string {
  return (headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase();
}

/** The image of a form: the one part that is an image by its headers, its bytes or as base64. */
async function readFormImage(body: Buffer, contentType: string): Promise<Buffer> {
  const found: Part[] = [];
  for (const part of await readParts(body, readMediaType(contentType))) {
    const { isFile, isBase64, type, content } = part;
    const isBytes = isFile || type.name.startsWith('image/') || looksLikeImage(content);
    if (isBytes || isBase64) found.push(part);
    else if ((await sniffText(placeText(content))) === 'image') found.push({ ...part, isBase64: true });
  }
  if (found.length !== 1) {
    const received = found.length === 0 ? 'none' : found.length;
    throw new StoplineError('REQUEST_INVALID', `Expected one file in the multipart form but received ${received}.`);
  }
  const [{ content, isBase64 }] = found;
  if (!isBase64) return content;
  const bytes = await decodeText(placeText(content));
  if (!bytes) throw new StoplineError('REQUEST_INVALID', 'Expected a part in base64 but received other text.');
  return bytes;
}

const jsonForm = 'Expected JSON of the form {"image": "<base64>"}';

async function readJsonImage(body: Buffer): Promise<Buffer> {
  const refuse = (received: string) => new StoplineError('REQUEST_INVALID', `${jsonForm} but received ${received}.`);
  const document = await readJson(body);
  const fields = readFields(document.root);
  if (!fields) throw refuse('no object');
  if (document.ambiguity) throw document.ambiguity;
  const unknown = [...fields.keys()].find((name) => name !== 'image');
  if (unknown !== undefined) throw refuse(`${describeName('field', unknown)}, where "image" is the only one`);
  const image = fields.get('image');
  if (image?.kind !== 'text') throw refuse(image ? 'an "image" that is no text' : 'no field "image"');
  const place = { bytes: body, start: image.start + 1, end: image.end - 1, isEscaped: image.isEscaped };
  const bytes = await decodeText(place);
  if (!bytes) {
    throw new StoplineError('REQUEST_INVALID', `${jsonForm} but "image" holds characters that are not base64.`);
  }
  return bytes;
}

/** Types that say no more than that these are bytes; the second is what S3 and its clients send. */
const bytesTypes: ReadonlySet<string> = new Set([
  '',
  'application/octet-stream',
  'binary/octet-stream',
  'application/x-octet-stream',
  'application/binary',
]);

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
  const type = readType(request);
  const isForm = type === 'multipart/form-data';
  const isJson = /^application\/([\w.-]+\+)?json$/.test(type);
  if (!isForm && !isJson && !bytesTypes.has(type) && !type.startsWith('image/')) {
    // What curl sends unless told otherwise, so the most common first mistake.
    const hint = type === 'application/x-www-form-urlencoded' ? " With curl add: -H 'content-type: image/jpeg'" : '';
    throw new StoplineError(
      'REQUEST_TYPE',
      `Expected Content-Type image/*, application/octet-stream, multipart/form-data or application/json but received ${/^[\w.+-]{1,40}\/[\w.+-]{1,60}$/.test(type) ? type : 'another'}.${hint}`,
    );
  }
  let bytes = await collect(request.raw, readAnnounced(request), limit, hold);
  if (isForm) bytes = await readFormImage(bytes, request.headers['content-type'] as string);
  else if (isJson && bytes.length > 0) bytes = await readJsonImage(bytes);
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
    const pieces = new Pieces(announced);
    let length = 0;
    const turns = new Turns(stream);
    const take = (chunk: Buffer) => {
      turns.count();
      length += chunk.length;
      try {
        if (length > limit) throw tooLarge(limit, `more than ${limit}`);
        hold(chunk.length);
        pieces.add(chunk);
      } catch (error) {
        forget();
        stream.off('data', take);
        turns.end();
        stream.pause();
        const rest = async function* () {
          yield* pieces.list();
          yield chunk;
          yield* stream;
        };
        resolve({ error: asStoplineError(error), rest: () => Readable.from(rest()) });
      }
    };
    const forget = finished(stream, { writable: false }, (error) => {
      if (!error) resolve({ body: pieces.join() });
      else reject(readBreak(error));
    });
    stream.on('data', take);
  });
}
