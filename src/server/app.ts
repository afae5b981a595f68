import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import multipart from '@fastify/multipart';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import Type from 'typebox';
import { StoplineError } from '../errors.ts';
import { actionOn } from '../gate/policy.ts';
import type { Profile } from '../profile/description.ts';
import type { Verdict } from '../profile/verdict.ts';
import type { Pool } from '../run/pool.ts';
import type { Config } from '../settings.ts';
import { registerAccess } from './http/access.ts';
import { type BufferBudget, multipartLimits } from './http/body.ts';
import { refuse } from './http/refusal.ts';
import { readinessSchema, refusalSchema, refusals, statisticSchema, verdictSchema } from './http/schemas.ts';
import { createJudge, type Judge } from './judge.ts';
import { createMetrics } from './metrics.ts';
import { openQuarantine } from './quarantine/quarantine.ts';
import { createReloader, type Reloader, registerReload } from './reload.ts';
import { registerDashboard } from './routes/dashboard.ts';
import { registerHealth, type ServerState } from './routes/health.ts';
import { registerHistory } from './routes/history.ts';
import { registerInspect } from './routes/inspect.ts';
import { registerMetadata } from './routes/metadata.ts';
import { registerReference } from './routes/profile.ts';
import { registerGate } from './routes/proxy.ts';
import { registerQuarantine } from './routes/quarantine.ts';
import { registerWatch } from './watch/watch.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** For the log line and the metrics of this request. */
    verdict: Verdict | null;
    errorCode: string | null;
    /** The client waits for `100 Continue` before it sends the body. */
    awaitsContinue: boolean;
  }
  interface FastifyInstance {
    judge: Judge;
    reloader: Reloader;
  }
  interface FastifyContextConfig {
    /** The answer has no end of its own. */
    isStream?: boolean;
  }
}

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

/** Node looks for late connections this often; its default of 30 s makes every shorter timeout a promise not kept. */
const connectionsCheckingIntervalMs = 500;
/** A socket on which nothing moves for this long after its request should have been answered is closed. */
const idleAllowanceMs = 10_000;
/**
 * Requests on one connection that are not answered yet. Node reads ahead only as far as answers are taken, but begins with all
 * that lie in one piece of 64 KiB: more than a thousand, whose answers a client that reads nothing would leave in our memory.
 */
const maxUnanswered = 16;

/**
 * The HTTP service, not yet listening.
 *
 * @param pool starts warming up at once; GET /health/ready says when it is ready
 * @param profile the one the pool judges by, shown at GET /profile, or why there is none
 * @example
 * const app = await buildApp(config, pool, profile);
 * await app.listen({ host: config.host, port: config.port });
 */
export async function buildApp(config: Config, pool: Pool, profile: Profile | StoplineError): Promise<FastifyInstance> {
  const state: ServerState = { phase: 'starting' };
  const budget: BufferBudget = { limit: config.bufferLimit, used: 0 };
  const judge = createJudge(pool, profile);
  const metrics = createMetrics(judge, budget, { decidedBy: config.decideBy, version });
  judge.watch(({ verdict }) => metrics.observeVerdict(verdict));
  const expecting = new WeakSet<IncomingMessage>();

  const answerError = (request: FastifyRequest, reply: FastifyReply, error: unknown) =>
    refuse(request, reply, error, {
      retryAfterSeconds: Math.max(1, Math.ceil(judge.pool.expectedWaitMs / 1000)),
      isClosing: state.phase === 'draining',
    });

  const app: FastifyInstance = Fastify({
    logger: { level: config.logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: (request) => requestId(request as IncomingMessage, config.trustedRequestId),
    bodyLimit: config.bodyLimit,
    requestTimeout: config.requestTimeoutMs,
    connectionTimeout: config.requestTimeoutMs + config.maxWaitMs + idleAllowanceMs,
    ...serverOptions(config),
    // Ours has the shape and the code that clients know.
    return503OnClosing: false,
    clientErrorHandler: (error: Error & { code?: string }, socket) => {
      const refusal = answerClientError(error, socket);
      if (refusal) metrics.observeRefusal(refusal.code);
    },
    // No hook runs for these, so nobody else sets the headers that keep browsers from doing anything with the answer.
    frameworkErrors: (error, request, reply) => {
      reply.headers({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'SAMEORIGIN',
        'cross-origin-resource-policy': 'same-origin',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      });
      void answerError(request, reply as FastifyReply, error);
    },
  });

  boundPipelining(app.server);
  app.decorate('judge', judge);
  app.decorate('reloader', createReloader(config, judge, app.log));
  app.decorateRequest('verdict', null);
  app.decorateRequest('errorCode', null);
  app.decorateRequest('awaitsContinue', false);
  for (const schema of [verdictSchema, refusalSchema, statisticSchema, readinessSchema]) app.addSchema(schema);

  // One way to JSON for HTTP, command line and files: no schema may drop a field or round a number.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.setErrorHandler((error, request, reply) => answerError(request, reply, error));
  app.setNotFoundHandler((request, reply) => {
    const received = `${request.method} ${request.url.slice(0, 200)}`;
    return answerError(
      request,
      reply,
      new StoplineError('ROUTE_UNKNOWN', `Expected a route listed at /docs but received ${received}.`),
    );
  });

  // Bodies are read by the route, which counts them while they arrive; Fastify's parsers would buffer them first.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  await app.register(multipart, { limits: { ...multipartLimits, fileSize: config.bodyLimit } });

  app.addHook('onRequest', async (request, reply) => {
    // Nobody is there for the answer: the rest of what a client asked for that was cut off.
    if (request.raw.socket.destroyed) return reply.hijack();
    request.awaitsContinue = expecting.has(request.raw);
    reply.header('x-request-id', request.id);
  });
  await registerAccess(app, config);
  app.addHook('onResponse', async (request, reply) => {
    const { verdict, errorCode } = request;
    const durationMs = Math.round(reply.elapsedTime * 10) / 10;
    // How long a stream was read says nothing about how fast this service is.
    if (!request.routeOptions.config?.isStream) {
      metrics.observeRequest(request.routeOptions.url ?? 'unknown', reply.statusCode, reply.elapsedTime / 1000);
    }
    if (errorCode) metrics.observeRefusal(errorCode);
    const line = {
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: reply.statusCode,
      durationMs,
      ...(errorCode && { code: errorCode }),
      ...(verdict && {
        verdict: verdict.verdict,
        decidedBy: verdict.decidedBy,
        pValue: verdict.pValue,
        reason: verdict.reasons[0]?.statistic,
        sha256: verdict.image.sha256,
      }),
    };
    if (request.routeOptions.url?.startsWith('/health/')) request.log.debug(line, 'request');
    else request.log.info(line, 'request');
  });
  app.addHook('preClose', async () => {
    state.phase = 'draining';
  });
  // Without a listener Node says "100 Continue" to every body, also to those about to be refused.
  app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    expecting.add(request);
    app.routing(request, response);
  });

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Stopline',
        version,
        description: 'Is this image still like the ones the classifier was trained on?',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'images', description: 'Judging images' },
        { name: 'reference', description: 'What images are judged against' },
        { name: 'drift', description: 'Sources over time' },
        { name: 'quarantine', description: 'Images that were stopped, to be looked at' },
        { name: 'operation', description: 'Running the service' },
      ],
    },
    refResolver: { buildLocalReference: (schema, _baseUri, _fragment, i) => String(schema.$id ?? `schema-${i}`) },
  });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, theme: { title: 'Stopline' } });

  const known = profile instanceof StoplineError ? undefined : profile;
  const { store } = await registerWatch(app, { config, judge, profile: known, registry: metrics.registry });
  registerInspect(app, { config, judge, state, budget });
  registerHistory(app, store);
  await registerDashboard(app, config, judge);
  registerReference(app, judge);
  registerMetadata(app, judge, version);
  registerReload(app, config, app.reloader);
  if (config.quarantine !== undefined)
    registerQuarantine(app, await openQuarantine(config, judge, app.log), metrics.registry);
  const { breaker } = await registerGate(app, { config, judge, budget, metrics });
  registerHealth(app, {
    judge,
    state,
    breaker,
    isOpen: config.upstream !== undefined && actionOn(config, 'error') !== 'refuse',
  });
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        tags: ['operation'],
        summary: 'Metrics in the Prometheus text format.',
        response: {
          200: { description: 'Metrics.', content: { 'text/plain': { schema: Type.String() } } },
          ...refusals(500),
        },
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );

  const serving = () => {
    if (state.phase !== 'draining') state.phase = 'serving';
    const { core, threads, embedder } = judge.pool.info;
    if (core) metrics.announceBuild(core, embedder);
    const { model, runtime, provider, failed } = embedder ?? {};
    const network = embedder && { name: model, sha256: embedder.sha256, runtime, provider, failed };
    app.log.info({ core, threads, profile: judge.profile.sha256, ...(network && { model: network }) }, 'ready');
  };
  judge.onReplace(serving);
  pool.ready().then(
    () => {
      if (judge.pool === pool) serving();
    },
    (error) => {
      if (judge.pool !== pool) return;
      state.phase = 'failed';
      app.log.fatal({ err: error }, profile instanceof StoplineError ? 'no profile' : 'workers cannot start');
    },
  );
  return app;
}

/** Cuts off a client that asks on and on without taking the answers. */
function boundPipelining(server: FastifyInstance['server']): void {
  const unanswered = new WeakMap<Socket, number>();
  const count = ({ socket }: IncomingMessage, response: ServerResponse) => {
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
function serverOptions({ headersTimeoutMs, tlsCert, tlsKey }: Config) {
  const timeouts = { headersTimeout: headersTimeoutMs, connectionsCheckingInterval: connectionsCheckingIntervalMs };
  if (tlsCert === undefined || tlsKey === undefined) return { http: timeouts };
  const read = (name: string, path: string) => {
    try {
      return readFileSync(path);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new StoplineError('OPTION_INVALID', `Expected ${name} to name a readable file but ${path} gave ${code}.`, {
        cause,
      });
    }
  };
  const [cert, key] = [read('tlsCert', tlsCert), read('tlsKey', tlsKey)];
  // Node refuses a pair that does not fit when the first client comes, unless it is asked before.
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    const { message } = cause as Error;
    throw new StoplineError('OPTION_INVALID', `Expected a PEM certificate and its key but received: ${message}.`, {
      cause,
    });
  }
  return { https: { ...timeouts, cert, key, minVersion: 'TLSv1.2' as const, handshakeTimeout: headersTimeoutMs } };
}

function requestId(request: IncomingMessage, isTrusted: boolean): string {
  const given = request.headers['x-request-id'];
  return isTrusted && typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** Answers what Node refuses before there is a request: late headers or bodies, broken HTTP. */
function answerClientError(error: Error & { code?: string }, socket: Socket): StoplineError | undefined {
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
