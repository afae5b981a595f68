import type { IncomingMessage, ServerResponse } from 'node:http';
import swaggerUi from '@fastify/swagger-ui';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import { StoplineError } from '../errors.ts';
import { roundRetryAfter } from '../gate/admission.ts';
import { actionOn } from '../gate/policy.ts';
import type { Verdict } from '../profile/verdict.ts';
import { Masks } from '../run/masks.ts';
import { type Config, hasUpstream } from '../settings.ts';
import { version } from '../version.ts';
import { Cameras } from './cameras/cameras.ts';
import type { CallParts } from './grpc/call.ts';
import type { GrpcService } from './grpc/service.ts';
import { registerAccess } from './http/access.ts';
import type { BufferBudget } from './http/body.ts';
import { compressAnswers } from './http/compress.ts';
import { answerClientError, boundPipelining, chooseRequestId, readServerOptions } from './http/connections.ts';
import { Http2Door } from './http/http2.ts';
import { Methods } from './http/methods.ts';
import { registerOpenApi } from './http/openapi.ts';
import { ownPrefix } from './http/prefix.ts';
import { refuse } from './http/refusal.ts';
import { readinessSchema, refusalSchema, statisticSchema, verdictSchema } from './http/schemas.ts';
import { Validators } from './http/validators.ts';
import type { Judge } from './judge.ts';
import { createLogger, describeVerdict } from './log.ts';
import { Metrics } from './metrics.ts';
import { openQuarantine } from './quarantine/quarantine.ts';
import { Reloader, registerReload } from './reload.ts';
import { RequestGate } from './requestgate.ts';
import { registerCameras } from './routes/cameras.ts';
import { registerDashboard } from './routes/dashboard.ts';
import { driftReportSchema } from './routes/drift.ts';
import { registerExtAuthz } from './routes/extauthz.ts';
import { describeReadiness, type HealthParts, registerHealth, type ServerState } from './routes/health.ts';
import { registerHistory } from './routes/history.ts';
import { registerInspect } from './routes/inspect.ts';
import { journalRefusals, registerJournal } from './routes/journal.ts';
import { registerMetadata } from './routes/metadata.ts';
import { registerMetrics } from './routes/metrics.ts';
import { registerReference } from './routes/profile.ts';
import { registerProxy } from './routes/proxy.ts';
import { registerQuarantine } from './routes/quarantine.ts';
import { Telemetry } from './telemetry.ts';
import { registerUnjudged, Unjudged } from './unjudged.ts';
import { Upstream } from './upstream.ts';
import { Journal } from './watch/journal.ts';
import { registerWatch } from './watch/watch.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** For the log line and the metrics of this request. */
    verdict: Verdict | null;
    errorCode: string | null;
    /** The camera that its images are of; null where none are looked for. */
    source: string | null;
    /** The client waits for `100 Continue` before it sends the body. */
    awaitsContinue: boolean;
  }
  interface FastifyInstance {
    judge: Judge;
    reloader: Reloader;
    methods: Methods;
    /** Traces of the host; null where their package is not installed. */
    telemetry: Telemetry | null;
    /** Where clients that speak HTTP/2 come in. */
    http2: Http2Door;
    /** The gRPC side of a gate that has one. */
    grpc: GrpcService | null;
    validators: Validators;
    /** Not watched before they are started. */
    cameras: Cameras;
  }
  interface FastifyContextConfig {
    /** The answer has no end of its own. */
    isStream?: boolean;
  }
}

/** A socket on which nothing moves for this long after its request should have been answered is closed. */
const idleAllowanceMs = 10_000;

/** What the parts of one service share. */
interface AppParts {
  config: Config;
  judge: Judge;
  state: ServerState;
  budget: BufferBudget;
  metrics: Metrics;
}

/**
 * The HTTP service, not yet listening.
 *
 * @param judge its pool starts warming up at once; GET /health/ready says when it is ready
 * @example
 * const app = await buildApp(config, new Judge({ pool, profile }));
 * await app.listen({ host: config.host, port: config.port });
 */
export async function buildApp(config: Config, judge: Judge): Promise<FastifyInstance> {
  judge.masks = await Masks.open(config.masks);
  const budget: BufferBudget = { limit: config.bufferLimit, used: 0 };
  const metrics = new Metrics(judge, budget, { decidedBy: config.decideBy, version });
  const parts: AppParts = { config, judge, state: { phase: 'starting' }, budget, metrics };
  judge.watch(({ verdict }) => metrics.observeVerdict(verdict));

  const app = createApp(parts);
  registerBodies(app);
  noteExpectations(app);
  const telemetry = await Telemetry.open();
  // Ahead of what may refuse a request: a refusal belongs to the trace of its client, too.
  telemetry?.traceRequests(app);
  telemetry?.watchQueue(judge);
  judge.tracing = telemetry;
  app.decorate('telemetry', telemetry ?? null);
  await registerAccess(app, config);
  logRequests(app, metrics, telemetry);
  app.addHook('preClose', async () => {
    parts.state.phase = 'draining';
  });
  await registerOpenApi(app, config);
  await registerRoutes(app, parts);
  announceReadiness(app, parts);
  return app;
}

function createApp({ config, judge, state, metrics }: AppParts): FastifyInstance {
  const answerError = (request: FastifyRequest, reply: FastifyReply, error: unknown) =>
    refuse(request, reply, error, {
      retryAfterSeconds: roundRetryAfter(judge.pool.expectedWaitMs),
      isClosing: state.phase === 'draining',
    });
  const validators = new Validators();
  const idleMs = config.requestTimeoutMs + config.maxWaitMs + idleAllowanceMs;
  const app: FastifyInstance = Fastify({
    schemaController: validators.controller,
    loggerInstance: createLogger(config),
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: (request) => chooseRequestId(request as IncomingMessage, config.trustedRequestId),
    // The start waits for what it needs, such as the folder of the quarantine for 15 s, and says itself what is missing.
    pluginTimeout: 0,
    bodyLimit: config.bodyLimit,
    requestTimeout: config.requestTimeoutMs,
    connectionTimeout: idleMs,
    ...readServerOptions(config),
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
  const http2 = new Http2Door(app.server, { ...config, idleMs }, config.tlsCert !== undefined);
  app.decorate('http2', http2);
  app.addHook('preClose', async () => http2.close());
  app.decorate('judge', judge);
  app.decorate('reloader', new Reloader(config, judge, app.log));
  app.decorateRequest('verdict', null);
  app.decorateRequest('source', null);
  app.decorateRequest('errorCode', null);
  app.decorateRequest('awaitsContinue', false);
  // All schemas are added here: a scope that adds one gets a serializer of its own, which drops fields and rounds numbers.
  const schemas = [verdictSchema, refusalSchema, statisticSchema, readinessSchema, driftReportSchema];
  for (const schema of schemas) app.addSchema(schema);
  app.setErrorHandler((error, request, reply) => answerError(request, reply, error));
  app.decorate('methods', new Methods(app));
  app.decorate('grpc', null);
  app.decorate('validators', validators);
  app.setNotFoundHandler((request, reply) => {
    app.methods.check(request, reply);
    const received = `${request.method} ${request.url.slice(0, 200)}`;
    const listed = `${ownPrefix(config)}/docs`;
    const refusal = new StoplineError(
      'ROUTE_UNKNOWN',
      `Expected a route listed at ${listed} but received ${received}.`,
    );
    return answerError(request, reply, refusal);
  });
  return app;
}

/** Bodies are read by the route, which counts them while they arrive; Fastify's parsers would buffer them first. */
function registerBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
}

/** Finds out which clients wait for `100 Continue`, and refuses what Node would without a code; gives every answer the id of its request. */
function noteExpectations(app: FastifyInstance): void {
  const expecting = new WeakSet<IncomingMessage>();
  const strange = new WeakSet<IncomingMessage>();
  // Without a listener Node says "100 Continue" to every body, also to those about to be refused.
  app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    expecting.add(request);
    app.routing(request, response);
  });
  app.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    strange.add(request);
    app.routing(request, response);
  });
  app.addHook('onRequest', async (request, reply) => {
    // Nobody is there for the answer: the rest of what a client asked for that was cut off.
    if (request.raw.socket.destroyed) return reply.hijack();
    request.awaitsContinue = expecting.has(request.raw);
    reply.header('x-request-id', request.id);
    if (strange.has(request.raw)) {
      throw new StoplineError('REQUEST_INVALID', 'Expected 100-continue as what the request expects.');
    }
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1') {
      throw new StoplineError('REQUEST_INVALID', 'Expected a header "host", as HTTP/1.1 has it, but received none.');
    }
  });
}

/** One log line and one observation for each answer. */
function logRequests(app: FastifyInstance, metrics: Metrics, telemetry: Telemetry | undefined): void {
  app.addHook('onResponse', async (request, reply) => {
    const { verdict, errorCode, source } = request;
    const span = telemetry?.readSpan(request);
    const route = request.routeOptions.url;
    // How long a stream was read says nothing about how fast this service is.
    if (!request.routeOptions.config?.isStream) {
      metrics.observeRequest(route ?? 'unknown', reply.statusCode, reply.elapsedTime / 1000);
    }
    if (errorCode) metrics.observeRefusal(errorCode);
    const line = {
      method: request.method,
      route: route ?? null,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
      ...(errorCode && { code: errorCode }),
      ...(span && { trace_id: span.traceId, span_id: span.spanId }),
      ...(source !== null && { source }),
      ...(verdict && describeVerdict(verdict)),
    };
    if (request.routeOptions.config?.kind === 'probe') request.log.debug(line, 'request');
    else request.log.info(line, 'request');
  });
}

/** Runs in the browser: "Try it out" sends the token, as pages of the dashboard do. */
const uiConfig = {
  // An arrow, because its text is what the browser gets.
  requestInterceptor: (request: unknown) => {
    const cookies = (globalThis as unknown as { document: { cookie: string } }).document.cookie;
    const [, token] = /(?:^|; )stopline-token=([^;]+)/.exec(cookies) ?? [];
    if (token) (request as { headers: Record<string, string> }).headers['x-stopline-token'] = token;
    return request as Request;
  },
};

/** The routes of the service itself, under a prefix where there is an upstream, to which every other path goes. */
async function registerRoutes(app: FastifyInstance, parts: AppParts): Promise<void> {
  const { config, judge, state, budget, metrics } = parts;
  const journal = new Journal();
  journalRefusals(app, journal);
  const unjudged = new Unjudged({ registry: metrics.registry, log: app.log, journal });
  const gate = new RequestGate({ config, judge, budget, metrics, unjudged, telemetry: app.telemetry ?? undefined });
  const upstream = config.upstream === undefined ? undefined : await Upstream.open(app, config, metrics);
  const calls = { config, gate, budget, metrics, unjudged };
  const grpc = await openGrpc(app, calls, () => describeReadiness(health).ready);
  const breakers = [upstream, grpc?.upstream].flatMap((one) => one?.breaker ?? []);
  const isOpen = hasUpstream(config) && actionOn(config, 'error') !== 'refuse';
  const health = { judge, state, breakers, isOpen, needsProfile: config.needsProfile };
  const prefix = ownPrefix(config);
  const cameras = new Cameras({ config, judge, log: app.log, registry: metrics.registry, journal });
  app.decorate('cameras', cameras);
  app.addHook('preClose', () => cameras.close());
  await app.register((own) => registerOwnRoutes(own, { ...parts, journal, unjudged, gate, health, cameras }), {
    prefix,
  });
  // Images that are judged beside are finished before the service, and what keeps account of them, ends.
  app.addHook('onClose', () => gate.finish());
  if (upstream) registerProxy(app, { gate, upstream, unjudged });
}

interface OwnParts extends AppParts {
  journal: Journal;
  unjudged: Unjudged;
  gate: RequestGate;
  health: HealthParts;
  cameras: Cameras;
}

async function registerOwnRoutes(own: FastifyInstance, parts: OwnParts): Promise<void> {
  const { config, judge, state, budget, metrics, journal, unjudged, gate, health, cameras } = parts;
  await own.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, theme: { title: 'Stopline' }, uiConfig });
  const { store } = await registerWatch(own, { config, judge, registry: metrics.registry, journal, cameras });
  registerInspect(own, { config, judge, state, budget });
  registerHistory(own, store);
  await own.register(async (scope) => {
    compressAnswers(scope);
    await registerDashboard(scope, judge);
    registerReference(scope, judge, config);
  });
  registerMetadata(own, judge, version);
  registerReload(own, config, own.reloader);
  registerJournal(own, { journal, store, judge, reloader: own.reloader });
  if (config.quarantine !== undefined) {
    const quarantine = await openQuarantine(config, judge, own.log);
    registerQuarantine(own, { quarantine, judge, registry: metrics.registry });
  }
  registerUnjudged(own, unjudged);
  registerCameras(own, cameras);
  registerExtAuthz(own, gate, unjudged);
  registerHealth(own, metrics.registry, health);
  registerMetrics(own, metrics);
  // Nothing below the prefix is the upstream's, also what is not there.
  if (own.prefix !== '') own.all('/*', { schema: { hide: true } }, (_request, reply) => reply.callNotFound());
}

/** The gRPC side, not yet listening, where the settings want one. */
async function openGrpc(
  app: FastifyInstance,
  calls: CallParts,
  isReady: () => boolean,
): Promise<GrpcService | undefined> {
  const { grpcUpstream, grpcPort } = calls.config;
  if (grpcUpstream === undefined && grpcPort === undefined) return undefined;
  // HTTP/2 is loaded only by those who want it.
  const { GrpcService } = await import('./grpc/service.ts');
  const grpc = new GrpcService({ ...calls, log: app.log, isReady });
  app.grpc = grpc;
  return grpc;
}

/** Says when the workers are ready, and again when others have taken over. */
function announceReadiness(app: FastifyInstance, { judge, state, metrics }: AppParts): void {
  const { pool } = judge;
  const announce = () => {
    if (state.phase !== 'draining') state.phase = 'serving';
    const { core, threads, embedder, confined } = judge.pool.info;
    if (core) metrics.announceBuild(core, embedder);
    const { model, runtime, provider, failed } = embedder ?? {};
    const network = embedder && { name: model, sha256: embedder.sha256, runtime, provider, failed };
    const about = { core, threads, confined, profile: judge.profile.sha256, ...(network && { model: network }) };
    app.log.info(about, 'ready');
  };
  judge.onReplace(announce);
  pool.ready().then(
    () => {
      if (judge.pool === pool) announce();
    },
    (error) => {
      if (judge.pool !== pool) return;
      state.phase = 'failed';
      app.log.fatal({ err: error }, judge.hasProfile ? 'workers cannot start' : 'no profile');
    },
  );
}
