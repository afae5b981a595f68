import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2';
import { StoplineError } from '../../errors.ts';
import type { Config } from '../../settings.ts';
import { type Breaker, createBreaker } from '../breaker.ts';

/** An upstream that does not take a connection within this long is not there. */
const connectTimeoutMs = 2000;
/** Bytes that the upstream may send before they have been passed on: of one call, and of all calls of a connection. */
export const windows = { stream: 1024 * 1024, connection: 16 * 1024 * 1024 };

/** The gRPC server behind a gate: every call is sent to it once and never again. */
export class GrpcUpstream {
  readonly breaker: Breaker;
  readonly #address: URL;
  readonly #timeoutMs: number;
  readonly #sessions = new Set<ClientHttp2Session>();
  readonly #open = new WeakMap<ClientHttp2Session, number>();

  constructor({ grpcUpstream, upstreamTimeoutMs, breakerFailures, breakerRetryMs }: Config) {
    this.#address = new URL((grpcUpstream as string).replace(/^grpc/, 'http'));
    this.#timeoutMs = upstreamTimeoutMs;
    this.breaker = createBreaker({ failures: breakerFailures, retryMs: breakerRetryMs });
  }

  /** Begins a call. Whoever asks listens for what comes of it. */
  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const session = this.#choose();
    this.#open.set(session, (this.#open.get(session) ?? 0) + 1);
    const { protocol, host, pathname } = this.#address;
    const stream = session.request(
      {
        ...headers,
        ':authority': host,
        ':scheme': protocol.slice(0, -1),
        ':path': pathname.replace(/\/$/, '') + headers[':path'],
      },
      { endStream: false },
    );
    stream.once('close', () => this.#open.set(session, (this.#open.get(session) ?? 1) - 1));
    return stream;
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  /** A connection with room for one more call. */
  #choose(): ClientHttp2Session {
    for (const session of this.#sessions) {
      const most = session.remoteSettings?.maxConcurrentStreams ?? 100;
      if (!session.closed && !session.destroyed && (this.#open.get(session) ?? 0) < most) return session;
    }
    return this.#connect();
  }

  #connect(): ClientHttp2Session {
    const session = connect(this.#address.origin, {
      settings: { enablePush: false, initialWindowSize: windows.stream },
      maxSessionMemory: 256,
    });
    this.#sessions.add(session);
    const waitMs = Math.min(connectTimeoutMs, this.#timeoutMs);
    const late = setTimeout(() => session.destroy(makeLate('CONNECT_TIMEOUT', waitMs)), waitMs);
    session.once('connect', () => {
      clearTimeout(late);
      session.setLocalWindowSize(windows.connection);
      this.#watchLife(session);
    });
    // Every call hears of it by itself.
    session.on('error', () => undefined);
    session.once('close', () => {
      clearTimeout(late);
      this.#sessions.delete(session);
    });
    return session;
  }

  /** A peer that is gone without a word is found out by asking, because a call may be silent for hours. */
  #watchLife(session: ClientHttp2Session): void {
    let isAnswered = true;
    const timer = setInterval(() => {
      if ((this.#open.get(session) ?? 0) === 0) return;
      if (!isAnswered) return session.destroy(makeLate('ETIMEDOUT', this.#timeoutMs));
      isAnswered = false;
      session.ping((error) => {
        isAnswered = !error;
      });
    }, this.#timeoutMs).unref();
    session.once('close', () => clearInterval(timer));
  }
}

function makeLate(code: string, ms: number): Error {
  return Object.assign(new Error(`no answer within ${ms} ms`), { code });
}

const unreachable = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|CONNECT_TIMEOUT)$/;

/** Why a call to the upstream failed, as an error of ours. */
export function readCallFailure(error: Error): StoplineError {
  const cause = (error.cause instanceof Error ? error.cause : error) as NodeJS.ErrnoException;
  const code = cause.code ?? '';
  const options = { cause };
  if (unreachable.test(code)) {
    const expected = 'Expected the upstream to take a connection';
    return new StoplineError('UPSTREAM_UNREACHABLE', `${expected} but received ${code}.`, options);
  }
  if (code === 'ETIMEDOUT') {
    return new StoplineError('UPSTREAM_TIMEOUT', 'Expected the upstream to answer in time but it did not.', options);
  }
  return new StoplineError(
    'UPSTREAM_BROKEN',
    `Expected a gRPC answer of the upstream but received ${code || cause.message}.`,
    options,
  );
}
