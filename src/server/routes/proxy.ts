import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Pool } from 'undici';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { admit, type Passage, passageHeaders, resolvePolicy, undescribed } from '../../gate/admission.ts';
import { protocolRoutes, protocols } from '../../gate/protocols/protocols.ts';
import { createMatcher, plainPath } from '../../gate/routes.ts';
import type { Config, Route } from '../../settings.ts';
import { type Breaker, createBreaker } from '../breaker.ts';
import { askForBody, type BufferBudget, heldBytes, takeBody } from '../http/body.ts';
import { refuse } from '../http/refusal.ts';
import { type Judge, readSource } from '../judge.ts';
import type { Metrics } from '../metrics.ts';

/** An upstream that does not take a connection within this long is not there. */
const connectTimeoutMs = 2000;
/** An observing gate judges when the answer is sent, because its processors are wanted for that; but so late at most. */
const besideWithinMs = 100;
/** Connections to the upstream; further requests wait for one. */
const connections = 256;

export interface GateParts {
  config: Config;
  judge: Judge;
  budget: BufferBudget;
  metrics: Metrics;
}

export interface Gate {
  breaker?: Breaker;
}

/**
 * The routes of a gate: with an upstream, every path that is not the service's own goes there, judged where it carries images;
 * and always `/ext-authz/*`, where Envoy asks whether a request may pass.
 */
export async function registerGate(app: FastifyInstance, parts: GateParts): Promise<Gate> {
  const { config, judge, budget, metrics } = parts;
  const match = createMatcher([...(config.routes ?? []), ...protocolRoutes]);
  const beside = new Set<Promise<unknown>>();
  const judging = new WeakMap<FastifyRequest, Promise<unknown>>();

  /** Judges a request whose body has been read, by the rules of its path. */
  const judgeRequest = async (
    request: FastifyRequest,
    reply: FastifyReply,
    options: { path: string; taken: Taken; signal: AbortSignal },
  ) => {
    const { path, taken, signal } = options;
    const route = match(path);
    const { requestId, source } = { requestId: request.id, source: sourceFor(request, config, route) };
    const passage = await admit({
      policy: resolvePolicy(config, route),
      signal,
      find() {
        if (taken.error) throw taken.error;
        if (!route) throw undescribed(path);
        return protocols[route.protocol].find({ body: taken.body, headers: request.headers }, route);
      },
      // The bytes are forwarded afterwards, so they are copied for the worker.
      inspect: (image, signal) => judge.inspect(image, { source, requestId, signal, keep: true }),
      report: (report) => metrics.observeGate(report),
      begin: () => sent(reply, besideWithinMs),
    });
    const { judged } = passage;
    if (judged) {
      judging.set(request, judged);
      beside.add(judged);
      void judged.then(() => beside.delete(judged));
    }
    request.verdict = passage.decision?.verdict ?? null;
    return passage;
  };
  // Images that are judged beside are finished before the service ends.
  app.addHook('onClose', async () => void (await Promise.all(beside)));

  /** Reads the body, and gives its room back when the answer has been sent. */
  const readBody = async (request: FastifyRequest, reply: FastifyReply): Promise<Taken> => {
    const { hold, release } = heldBytes(budget);
    askForBody(request, reply);
    // An image that is judged beside is in memory until it is judged, also when the answer has long been sent.
    const judged = (): Promise<unknown> => judging.get(request) ?? Promise.resolve();
    reply.raw.once('close', () => {
      void judged().then(release);
    });
    return takeBody(request.raw, Number(request.headers['content-length'] ?? 0), config.bodyLimit, hold);
  };

  const retryAfterSeconds = () => Math.max(1, Math.ceil(judge.pool.expectedWaitMs / 1000));

  registerExtAuthz();
  if (config.upstream === undefined) return {};
  // A service without an upstream starts a fifth of a second earlier without them.
  const [{ default: replyFrom }, undici] = await Promise.all([import('@fastify/reply-from'), import('undici')]);
  const upstream = new URL(config.upstream);
  const breaker = createBreaker({ failures: config.breakerFailures, retryMs: config.breakerRetryMs });
  const pool = new undici.Pool(upstream.origin, {
    connections,
    pipelining: 1,
    connectTimeout: Math.min(connectTimeoutMs, config.upstreamTimeoutMs),
    headersTimeout: config.upstreamTimeoutMs,
    bodyTimeout: config.upstreamTimeoutMs,
  });
  await app.register(replyFrom, {
    base: upstream.origin,
    undici: pool as unknown as { request: Pool['request'] },
    disableRequestLogging: true,
    destroyAgent: true,
  });
  const prefix = upstream.pathname.replace(/\/$/, '');

  app.all('/*', { schema: { hide: true }, config: { scope: 'inspect' } }, async (request, reply) => {
    const gone = goneSignal(reply);
    let route: Route | undefined;
    let id: string | undefined;
    try {
      const path = plainPath(request.raw.url ?? '');
      route = match(path);
      breaker.admit();
      if (request.method === 'GET' || request.method === 'HEAD') return forward(request, reply, { path });
      const taken = await readBody(request, reply);
      if (route?.protocol === 'pass') return forward(request, reply, { path, taken });
      const passage = await judgeRequest(request, reply, { path, taken, signal: gone });
      gone.throwIfAborted();
      const { action, decision, found } = passage;
      id = found?.id;
      reply.headers(passageHeaders(passage));
      if (action === 'refuse') throw decision?.error;
      const refused = new Set(decision?.refused);
      if (refused.size === 0) return forward(request, reply, { path, taken, passage });
      if (!found?.without)
        throw decision?.error ?? new StoplineError('IMAGE_REFUSED', 'Expected images like the reference.');
      const { body, headers } = found.without(refused);
      return forward(request, reply, { path, taken: { body }, passage, headers });
    } catch (error) {
      const shape = protocols[route?.protocol ?? 'image'].refusal;
      return refuse(request, reply, error, {
        retryAfterSeconds: breaker.isOpen ? Math.max(1, Math.ceil(breaker.waitMs / 1000)) : retryAfterSeconds(),
        isClosing: false,
        body: (refusal) => shape(refusal, id),
      });
    }
  });

  function forward(
    request: FastifyRequest,
    reply: FastifyReply,
    options: { path: string; taken?: Taken; passage?: Passage; headers?: Record<string, string> | undefined },
  ) {
    const { path, taken, passage, headers: changed } = options;
    const isStream = taken?.error !== undefined;
    if (isStream) request.body = taken.rest();
    const type = request.headers['content-type'];
    const shape = protocols[match(path)?.protocol ?? 'image'].refusal;
    const startedAt = performance.now();
    const answered = (outcome: string) => metrics.observeUpstream(outcome, (performance.now() - startedAt) / 1000);
    return reply.from(prefix + path, {
      ...(taken && !isStream && { body: taken.body, contentType: type ?? 'application/octet-stream' }),
      // Never again: the upstream may have acted on it.
      retryDelay: () => null,
      rewriteRequestHeaders: (_request, headers) => ({
        ...requestHeaders(headers, request, config),
        ...(taken && type === undefined && { 'content-type': undefined }),
        ...(passage && passage.action !== 'observe' && passageHeaders(passage)),
        ...changed,
      }),
      rewriteHeaders: (headers) => responseHeaders(headers),
      onResponse(_request, reply, response) {
        const { stream } = response as unknown as { stream: Readable };
        breaker.succeeded();
        answered('answered');
        stream.once('error', () => answered('cut off'));
        reply.send(stream);
      },
      onError(reply, { error }) {
        const failure = upstreamError(error);
        if (failure.code === 'STOPLINE_ERR_INTERNAL') answered('unsent');
        else {
          breaker.failed();
          answered(failure.code === 'STOPLINE_ERR_UPSTREAM_TIMEOUT' ? 'late' : 'failed');
        }
        void refuse(request, reply as FastifyReply, failure, {
          retryAfterSeconds: 1,
          isClosing: false,
          body: (refusal) => shape(refusal),
        });
      },
    });
  }

  function registerExtAuthz(): void {
    const prefix = '/ext-authz';
    const handle = async (request: FastifyRequest, reply: FastifyReply) => {
      const gone = goneSignal(reply);
      try {
        const path = plainPath(request.raw.url ?? '').slice(prefix.length) || '/';
        const taken = await readBody(request, reply);
        const isEmpty = !taken.error && taken.body.length === 0;
        if (isEmpty || match(path)?.protocol === 'pass') return reply.code(200).send();
        if (request.headers['x-envoy-auth-partial-body'] === 'true') {
          const tooLarge = 'Expected the whole body but Envoy sent a part of it: raise max_request_bytes.';
          Object.assign(taken, { error: new StoplineError('REQUEST_TOO_LARGE', tooLarge) });
        }
        const passage = await judgeRequest(request, reply, { path, taken, signal: gone });
        gone.throwIfAborted();
        const { action, decision } = passage;
        reply.headers(passageHeaders(passage));
        // Envoy forwards the body it has, so nothing can be taken out of it.
        if (action === 'refuse' || decision?.refused.length) throw decision?.error;
        return reply.code(200).send();
      } catch (error) {
        return refuse(request, reply, error, { retryAfterSeconds: retryAfterSeconds(), isClosing: false, status: 403 });
      }
    };
    const options = {
      config: { scope: 'inspect' as const },
      schema: {
        hide: true,
      },
    };
    app.all(prefix, options, handle);
    app.all(`${prefix}/*`, options, handle);
  }
  return { breaker };
}

/** What was read of a body: all of it, or why not, and how to get at it all the same. */
type Taken = Awaited<ReturnType<typeof takeBody>>;

function sourceFor(request: FastifyRequest, config: Config, route: Route | undefined): string {
  const isNamed = request.headers[config.sourceHeader] !== undefined;
  return !isNamed && route?.source ? route.source : readSource(request, config.sourceHeader);
}

function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new StoplineError('CLOSED', 'The client closed the connection.'));
  });
  return gone.signal;
}

/** Resolves when the answer has been sent, or cut off, or after some time. */
function sent(reply: FastifyReply, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, withinMs);
    reply.raw.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Between two neighbours only (RFC 9110, 7.6.1), and what would let a client speak in our name or in that of a proxy. */
const hopByHop = /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|http2-settings|expect)$/;
const forged = /^(x-stopline-.*|x-forwarded-.*|forwarded|x-real-ip)$/;

function requestHeaders(headers: IncomingHttpHeaders, request: FastifyRequest, config: Config): IncomingHttpHeaders {
  const kept = Object.entries(headers).filter(([name]) => !hopByHop.test(name) && !forged.test(name));
  const result: IncomingHttpHeaders = Object.fromEntries(kept);
  // Where the key of this service came in the header that is meant for it, this one is the upstream's.
  if (config.apiKeys && request.headers['x-stopline-key'] === undefined) delete result.authorization;
  if (request.method === 'GET' || request.method === 'HEAD') delete result['content-length'];
  result['x-request-id'] = request.id;
  result['x-forwarded-for'] = request.ip;
  result['x-forwarded-proto'] = request.protocol;
  if (request.headers.host !== undefined) result['x-forwarded-host'] = request.headers.host;
  return result;
}

function responseHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set(
    String(headers.connection ?? '')
      .toLowerCase()
      .split(/\s*,\s*/),
  );
  const kept = Object.entries(headers).filter(
    ([name]) => !hopByHop.test(name) && !named.has(name) && !/^x-stopline-|^x-request-id$/.test(name),
  );
  return Object.fromEntries(kept);
}

const unreachable = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;

/** What reply-from and undici say, as an error of ours. */
function upstreamError(error: Error): StoplineError {
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
