import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { StoplineError } from '../../errors.ts';
import type { Config } from '../../settings.ts';

/** Node looks for late connections this often; its default of 30 s makes every shorter timeout a promise not kept. */
const connectionsCheckingIntervalMs = 500;
/**
 * Requests on one connection that are not answered yet. Node reads ahead only as far as answers are taken, but begins with all
 * that lie in one piece of 64 KiB: more than a thousand, whose answers a client that reads nothing would leave in our memory.
 */
const maxUnanswered = 16;

/** Cuts off a client that asks on and on without taking the answers. */
export function boundPipelining(server: FastifyInstance['server']): void {
  const unanswered = new WeakMap<Socket, number>();
  const count = ({ socket, httpVersionMajor }: IncomingMessage, response: ServerResponse) => {
    // HTTP/2 has a bound of its own for that.
    if (httpVersionMajor === 2) return;
    const open = (unanswered.get(socket) ?? 0) + 1;
    unanswered.set(socket, open);
    // Not 'close', which an answer of a gate has ten listeners for: one more and Node warns of a leak, once an answer.
    response.once('finish', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    if (open > maxUnanswered) socket.destroy();
  };
  server.prependListener('request', count);
  server.prependListener('checkContinue', count);
}

/** Timeouts of connections, and with a certificate what HTTPS needs. */
export function readServerOptions({ headersTimeoutMs, tlsCert, tlsKey }: Config) {
  const common = {
    headersTimeout: headersTimeoutMs,
    connectionsCheckingInterval: connectionsCheckingIntervalMs,
    // What Node answers by itself has no code.
    requireHostHeader: false,
  };
  if (tlsCert === undefined || tlsKey === undefined) return { http: common };
  const [cert, key] = [readPem('tlsCert', tlsCert), readPem('tlsKey', tlsKey)];
  // Node refuses a pair that does not fit when the first client comes, unless it is asked before.
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    const { message } = cause as Error;
    throw new StoplineError('OPTION_INVALID', `Expected a PEM certificate and its key but received: ${message}.`, {
      cause,
    });
  }
  const tls = { cert, key, minVersion: 'TLSv1.2' as const, ALPNProtocols: ['h2', 'http/1.1'] };
  return { https: { ...common, ...tls, handshakeTimeout: headersTimeoutMs } };
}

function readPem(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StoplineError('OPTION_INVALID', `Expected ${name} to name a readable file but ${path} gave ${code}.`, {
      cause,
    });
  }
}

/** The id of a request: what the client calls it, where clients are trusted with that. */
export function chooseRequestId(request: IncomingMessage, isTrusted: boolean): string {
  const given = request.headers['x-request-id'];
  return isTrusted && typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** Answers what Node refuses before there is a request: late headers or bodies, broken HTTP. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): StoplineError | undefined {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  const isLate = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const refusal = isLate
    ? new StoplineError('REQUEST_TIMEOUT', 'Expected the whole request in time but it did not arrive.')
    : new StoplineError(
        'REQUEST_INVALID',
        `Expected a valid HTTP request but received ${error.code ?? error.message}.`,
      );
  const body = JSON.stringify({ error: refusal.toJSON() });
  const lines = [
    // Not the table of `node:http`: to import it loads all that it exports, a WebSocket client too, for 80 ms of every start.
    `HTTP/1.1 ${refusal.status} ${isLate ? 'Request Timeout' : 'Bad Request'}`,
    'connection: close',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  return refusal;
}
