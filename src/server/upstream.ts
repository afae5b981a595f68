import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Pool } from 'undici';
import { asStoplineError, StoplineError } from '../errors.ts';
import type { Config } from '../settings.ts';
import { type Breaker, createBreaker } from './breaker.ts';
import type { TakenBody } from './http/body.ts';
import { passRequestHeaders, passResponseHeaders } from './http/headers.ts';
import type { Metrics } from './metrics.ts';

/** An upstream that does not take a connection within this long is not there. */
const connectTimeoutMs = 2000;
/** Connections to the upstream; further requests wait for one. */
const connections = 256;

export interface ForwardOptions {
  path: string;
  /** Absent where the request goes on without a body. */
  taken?: TakenBody;
  /** Headers that are set; undefined ones are taken away. */
  headers?: Record<string, string | undefined>;
  /** Answers for the upstream when it does not. */
  refuse(failure: StoplineError): void;
}

/** The model server behind a gate: every request is sent to it once and never again. */
export class Upstream {
  readonly breaker: Breaker;
  readonly #config: Config;
  readonly #metrics: Metrics;
  readonly #prefix: string;

  private constructor(config: Config, metrics: Metrics, prefix: string) {
    this.#config = config;
    this.#metrics = metrics;
    this.#prefix = prefix;
    this.breaker = createBreaker({ failures: config.breakerFailures, retryMs: config.breakerRetryMs });
  }

  static async open(app: FastifyInstance, config: Config, metrics: Metrics): Promise<Upstream> {
    // A service without an upstream starts a fifth of a second earlier without them.
    const [{ default: replyFrom }, undici] = await Promise.all([import('@fastify/reply-from'), import('undici')]);
    const address = new URL(config.upstream as string);
    const pool = new undici.Pool(address.origin, {
      connections,
      pipelining: 1,
      connectTimeout: Math.min(connectTimeoutMs, config.upstreamTimeoutMs),
      headersTimeout: config.upstreamTimeoutMs,
      bodyTimeout: config.upstreamTimeoutMs,
    });
    await app.register(replyFrom, {
      base: address.origin,
      undici: pool as unknown as { request: Pool['request'] },
      disableRequestLogging: true,
      destroyAgent: true,
    });
    return new Upstream(config, metrics, address.pathname.replace(/\/$/, ''));
  }

  forward(request: FastifyRequest, reply: FastifyReply, options: ForwardOptions) {
    const { path, taken, headers: changed, refuse } = options;
    const isStream = taken?.error !== undefined;
    if (isStream) request.body = taken.rest();
    const type = request.headers['content-type'];
    const startedAt = performance.now();
    const answered = (outcome: string) =>
      this.#metrics.observeUpstream(outcome, (performance.now() - startedAt) / 1000);
    return reply.from(this.#prefix + path, {
      ...(taken && !isStream && { body: taken.body, contentType: type ?? 'application/octet-stream' }),
      // Never again: the upstream may have acted on it.
      retryDelay: () => null,
      rewriteRequestHeaders: (_request, headers) =>
        ({
          ...passRequestHeaders(headers, request, this.#config),
          // The upstream's span is a child of ours; without one the client's header has been passed on as it came.
          ...request.server.telemetry?.headersFor(request),
          ...(taken && type === undefined && { 'content-type': undefined }),
          ...changed,
        }) as IncomingHttpHeaders,
      rewriteHeaders: (headers) => passResponseHeaders(headers),
      onResponse: (_request, reply, response) => {
        const { stream } = response as unknown as { stream: Readable };
        this.breaker.succeeded();
        answered('answered');
        stream.once('error', () => answered('cut off'));
        reply.send(stream);
      },
      onError: (_reply, { error }) => {
        const failure = readFailure(error);
        if (failure.code === 'STOPLINE_ERR_INTERNAL') answered('unsent');
        else {
          this.breaker.failed();
          answered(failure.code === 'STOPLINE_ERR_UPSTREAM_TIMEOUT' ? 'late' : 'failed');
        }
        refuse(failure);
      },
    });
  }
}

const unreachable = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;

/** What reply-from and undici say, as an error of ours. */
function readFailure(error: Error): StoplineError {
  const cause = (error.cause ?? error) as NodeJS.ErrnoException;
  const code = cause.code ?? '';
  const options = { cause };
  if (unreachable.test(code)) {
    return new StoplineError(
      'UPSTREAM_UNREACHABLE',
      `Expected the upstream to take a connection but received ${code}.`,
      options,
    );
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return new StoplineError('UPSTREAM_TIMEOUT', 'Expected the upstream to answer in time but it did not.', options);
  }
  // What undici would not even send.
  if (/^UND_ERR_(INVALID_ARG|NOT_SUPPORTED|REQ_)/.test(code)) return asStoplineError(error);
  return new StoplineError(
    'UPSTREAM_BROKEN',
    `Expected an HTTP answer of the upstream but received ${code || cause.message}.`,
    options,
  );
}
