import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2Server, Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { StoplineError } from '../../errors.ts';
import type { Config } from '../../settings.ts';
import { writeTrailers } from '../grpc/status.ts';

/** What every connection of HTTP/2 begins with (RFC 9113, 3.4); no method of HTTP/1.1 begins so. */
const preface = 'PRI';
/** Requests at once on one connection, as many as browsers and proxies expect. */
const maxStreams = 100;
/** Bytes that may come before they have been read: of one request, and of all requests of a connection. */
const windows = { stream: 1024 * 1024, connection: 4 * 1024 * 1024 };
/** As many bytes of headers as Node takes over HTTP/1.1, and fields. */
const headerLimits = { bytes: 16 * 1024, fields: 128 };
/** The first resets of a connection, and how many more in a second, until the connection is ended ("rapid reset"). */
const resets = { burst: 500, perSecond: 33 };
/** A service that ends waits so long for the first request on a connection that has just been opened. */
const lastIdleMs = 250;
const codes = { none: 0, protocol: 1, cancel: 8, calm: 11 };

export interface Http2Options extends Pick<Config, 'requestTimeoutMs' | 'headersTimeoutMs'> {
  /** Nothing moves for so long on a request that should have been answered. */
  idleMs: number;
}

/**
 * Lets clients speak HTTP/2 to a server of HTTP/1.1, on the same port: over TLS where they agree on it (ALPN), else where they begin
 * with it ("prior knowledge"). Their requests become requests of that server, so that one set of rules holds for both.
 */
export class Http2Door {
  readonly #server: FastifyInstance['server'];
  readonly #options: Http2Options;
  readonly #takeHttp1: (socket: Socket) => void;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Connections that have not said yet what they speak. */
  readonly #undecided = new Map<Socket, () => void>();
  #http2: Promise<Http2Server> | undefined;
  #isClosing = false;

  /** @param server not yet listening */
  constructor(server: FastifyInstance['server'], options: Http2Options, isSecure: boolean) {
    this.#server = server;
    this.#options = options;
    const event = isSecure ? 'secureConnection' : 'connection';
    const [takeHttp1] = server.listeners(event) as [(socket: Socket) => void];
    this.#takeHttp1 = takeHttp1.bind(server);
    server.removeListener(event, takeHttp1);
    server.on(event, (socket: Socket) => {
      if (!isSecure) this.#listen(socket);
      else if ((socket as TLSSocket).alpnProtocol === 'h2') void this.#takeHttp2(socket);
      else this.#takeHttp1(socket);
    });
  }

  /** Tells clients to go elsewhere with what they ask from now on; what they have asked is answered. */
  close(): void {
    this.#isClosing = true;
    for (const session of this.#sessions) session.close();
    for (const decide of this.#undecided.values()) decide();
  }

  /** Ends every connection at once. */
  cut(): void {
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#undecided.keys()) socket.destroy();
  }

  /** Finds out by the first bytes what a connection speaks, and gives it to whoever speaks that, as if nobody had read them. */
  #listen(socket: Socket): void {
    const pieces: Buffer[] = [];
    const forgive = () => undefined;
    const forget = () => {
      clearTimeout(timer);
      this.#undecided.delete(socket);
      socket.off('readable', look).off('end', decide).off('close', forget);
    };
    const decide = () => {
      forget();
      socket.off('error', forgive);
      if (socket.destroyed) return;
      const begin = Buffer.concat(pieces);
      if (begin.length > 0) socket.unshift(begin);
      if (begin.toString('latin1', 0, preface.length) === preface) void this.#takeHttp2(socket);
      else this.#takeHttp1(socket);
    };
    const look = () => {
      const piece = socket.read() as Buffer | null;
      if (piece === null) return;
      pieces.push(piece);
      const begin = Buffer.concat(pieces).toString('latin1', 0, preface.length);
      if (begin.length === preface.length || !preface.startsWith(begin)) decide();
    };
    // Who says nothing gets the answer of HTTP/1.1 to that.
    const timer = setTimeout(decide, this.#isClosing ? lastIdleMs : this.#options.headersTimeoutMs);
    this.#undecided.set(socket, decide);
    socket.on('error', forgive).on('readable', look).once('end', decide).once('close', forget);
  }

  async #takeHttp2(socket: Socket): Promise<void> {
    const forgive = () => undefined;
    socket.on('error', forgive);
    this.#http2 ??= this.#open();
    const http2 = await this.#http2;
    socket.off('error', forgive);
    if (!socket.destroyed) http2.emit('connection', socket);
  }

  /** HTTP/2 is loaded only when the first client wants it. */
  async #open(): Promise<Http2Server> {
    const { createServer } = await import('node:http2');
    const http2 = createServer({
      settings: {
        maxConcurrentStreams: maxStreams,
        initialWindowSize: windows.stream,
        maxHeaderListSize: headerLimits.bytes,
      },
      maxHeaderListPairs: headerLimits.fields,
      streamResetBurst: resets.burst,
      streamResetRate: resets.perSecond,
      maxSessionInvalidFrames: 100,
      maxSessionMemory: 32,
    });
    http2.on('session', (session: ServerHttp2Session) => this.#welcome(session));
    // A connection that breaks ends its requests, each of which tells of it.
    http2.on('sessionError', () => undefined);
    for (const event of ['request', 'checkContinue'] as const) {
      http2.on(event, (request: Http2ServerRequest, response: Http2ServerResponse) =>
        this.#take(event, request, response),
      );
    }
    return http2;
  }

  #welcome(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.setLocalWindowSize(windows.connection);
    session.on('error', () => undefined);
    let open = 0;
    let idle: NodeJS.Timeout | undefined;
    // Pings and settings keep no connection open on which nothing is asked.
    const wait = () => {
      const ms = this.#isClosing ? lastIdleMs : this.#server.keepAliveTimeout;
      idle = setTimeout(() => session.close(), ms);
    };
    wait();
    session.on('stream', (stream) => {
      clearTimeout(idle);
      open += 1;
      stream.once('close', () => {
        open -= 1;
        if (open === 0 && !session.destroyed) wait();
      });
      if (this.#isClosing && !session.closed) session.close();
    });
    session.once('close', () => {
      clearTimeout(idle);
      this.#sessions.delete(session);
    });
  }

  #take(event: 'request' | 'checkContinue', request: Http2ServerRequest, response: Http2ServerResponse): void {
    const { stream, headers } = request;
    const { ':authority': authority, host } = headers;
    stream.on('error', () => undefined);
    // Two names for one thing are malformed (RFC 9113, 8.3.1): two readers could take different ones.
    if (authority !== undefined && host !== undefined && authority !== host) stream.close(codes.protocol);
    else if (countBytes(request.rawHeaders) > headerLimits.bytes) stream.close(codes.calm);
    else if (/^application\/grpc(\+|;|$)/.test(headers['content-type'] ?? '')) refuseCall(request);
    else {
      if (authority !== undefined) headers.host = authority;
      this.#watchTime(request);
      this.#server.emit(event, request as unknown as IncomingMessage, response as unknown as ServerResponse);
    }
  }

  /** What the server of HTTP/1.1 looks after by connection: a body that does not end, and an answer that nobody takes. */
  #watchTime(request: Http2ServerRequest): void {
    const { stream } = request;
    const { requestTimeoutMs, idleMs } = this.#options;
    stream.setTimeout(idleMs, () => stream.close(codes.cancel));
    request.on('error', () => undefined);
    if (!stream.endAfterHeaders) {
      const late = () => {
        request.destroy(
          new StoplineError('REQUEST_TIMEOUT', 'Expected the whole request in time but it did not arrive.'),
        );
      };
      const timer = setTimeout(late, requestTimeoutMs);
      for (const end of ['end', 'close']) stream.once(end, () => clearTimeout(timer));
    }
    // A client that is still sending need not send the rest.
    stream.once('finish', () => {
      if (!stream.readableEnded && !stream.closed) stream.close(codes.none);
    });
  }
}

/** Node bounds the number of headers and not their bytes. */
function countBytes(rawHeaders: readonly string[]): number {
  return rawHeaders.reduce((sum, text) => sum + text.length, 0);
}

/** Calls of gRPC have a port of their own, since their trailers and messages are not those of HTTP. */
function refuseCall({ stream }: Http2ServerRequest): void {
  const where = new StoplineError(
    'ROUTE_UNKNOWN',
    'Expected calls of gRPC at the port of --grpc-port but received one at that of HTTP.',
  );
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', ...writeTrailers(where, 1) },
    { endStream: true },
  );
  stream.resume();
  stream.once('finish', () => stream.close());
}
