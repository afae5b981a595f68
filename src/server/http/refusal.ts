import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorName, endSentence, StoplineError } from '../../errors.ts';
import { hidePaths } from './paths.ts';

/** Longest and largest body that is read and thrown away so that a refusal can reach a client that is still sending. */
const discardMs = 5000;
const discardBytes = 64 * 1024 * 1024;

/** Any thrown thing as a coded error: ours as they are, Fastify's by their status, the rest INTERNAL. */
function makeRefusal(error: unknown): StoplineError {
  if (error instanceof StoplineError) return error;
  const { statusCode, code, message } = error as { statusCode?: number; code?: string; message?: string };
  const options = { cause: error };
  if (statusCode === 415) {
    return new StoplineError('REQUEST_TYPE', `Expected a valid Content-Type header but received another.`, options);
  }
  if (statusCode === 413) return new StoplineError('REQUEST_TOO_LARGE', endSentence(String(message)), options);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new StoplineError('REQUEST_INVALID', `${message} (${code}).`, options);
  }
  return new StoplineError('INTERNAL', endSentence(message ?? String(error)), options);
}

/**
 * Reads the rest of a request body and drops it. Answering without reading makes the kernel reset the connection, and the
 * client then sees ECONNRESET instead of the answer. Bounded in bytes and time; beyond that the connection is cut.
 */
function discardBody(request: IncomingMessage): Promise<void> {
  if (request.complete || request.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    let received = 0;
    const timer = setTimeout(() => request.destroy(), discardMs).unref();
    request.unpipe();
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > discardBytes) request.destroy();
    });
    request.on('error', () => undefined); // the client went away: nobody is left to tell
    for (const end of ['end', 'close']) {
      request.once(end, () => {
        clearTimeout(timer);
        resolve();
      });
    }
    request.resume();
  });
}

/** Whether a refusal speaks of the request alone, so that paths in it are those that were asked for. */
function isAboutRequest({ code }: StoplineError): boolean {
  return /^STOPLINE_ERR_(?:REQUEST|ROUTE|METHOD|HOST|SITE|KEY|SOURCE|ITEM|UNINSPECTED)/.test(code);
}

function shortCode(refusal: StoplineError): ErrorName {
  return refusal.code.replace(/^STOPLINE_ERR_/, '') as ErrorName;
}

/** A refusal as others than the owner of this machine may see it. */
export function hideInternals(refusal: StoplineError, requestId: string): StoplineError {
  if (isAboutRequest(refusal)) return refusal;
  const isInternal = refusal.code === 'STOPLINE_ERR_INTERNAL';
  const message = isInternal
    ? `Something failed inside Stopline; the log has it under ${requestId}.`
    : hidePaths(refusal.message);
  return new StoplineError(shortCode(refusal), message);
}

export interface RefuseOptions {
  /** Seconds for Retry-After; only sent with 503. */
  retryAfterSeconds: number;
  /** The connection closes after the answer, so the body has to be read before it. */
  isClosing: boolean;
  /** Default: that of the error. */
  status?: number;
  /** The body, where clients know another shape than `{error: {code, message}}`. */
  body?: (refusal: StoplineError) => unknown;
  /** Content type of the answer; default: JSON with its charset. */
  type?: string | undefined;
}

/** Sends `{error: {code, message}}`, or another shape, with the status of the error. */
export async function refuse(request: FastifyRequest, reply: FastifyReply, error: unknown, options: RefuseOptions) {
  const refusal = makeRefusal(error);
  const isInternal = refusal.code === 'STOPLINE_ERR_INTERNAL';
  if (isInternal) request.log.error({ err: error }, 'internal error');
  request.errorCode = refusal.code;
  if (refusal.status === 503) reply.header('retry-after', options.retryAfterSeconds);

  if (request.awaitsContinue) {
    // The client may send the body or leave it out: the connection cannot be used for another request.
    if (request.raw.httpVersionMajor === 1) reply.header('connection', 'close');
  } else if (options.isClosing) {
    await discardBody(request.raw);
  } else {
    void discardBody(request.raw);
  }
  const { status = refusal.status, body, type } = options;
  const told = hideInternals(refusal, request.id);
  if (told.message !== refusal.message && !isInternal) request.log.warn({ err: refusal }, 'refused');
  const answer = body ? body(told) : { error: told.toJSON() };
  reply.code(status);
  // Fastify adds a charset to the type of JSON, unless it comes as bytes.
  return type === undefined ? reply.send(answer) : reply.type(type).send(Buffer.from(JSON.stringify(answer)));
}
