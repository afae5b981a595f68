import type { IncomingHttpHeaders } from 'node:http';
import type { Context, Span, SpanContext } from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StoplineError } from '../errors.ts';
import { ImageTracing, loadApi, type OpenTelemetryApi } from '../gate/tracing.ts';
import type { Pool } from '../run/pool.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Where what happens for this request belongs in a trace; null where nobody traces. */
    traceContext: Context | null;
  }
}

/** How a call of gRPC ended, for its span. */
interface CallEnd {
  error?: StoplineError | undefined;
  /** The code that the client was told; undefined where it went away. */
  status?: number | undefined;
}

/** Codes of gRPC that say that a server did not do what it is there for; the others are the client's affair. */
const serverFaults = new Set([2, 4, 12, 13, 14, 15]);

/**
 * Traces and metrics of a service, for a host that has set up its SDK before this program (`node --import ./telemetry.mjs`): requests,
 * calls of gRPC and the queue beside the images.
 */
export class Telemetry extends ImageTracing {
  readonly #api: OpenTelemetryApi;

  private constructor(api: OpenTelemetryApi) {
    super(api);
    this.#api = api;
  }

  /** Undefined where the package is not installed. */
  static async open(): Promise<Telemetry | undefined> {
    const api = await loadApi();
    return api && new Telemetry(api);
  }

  /** Tells how long images wait and how many, each time the host reads its metrics. */
  watchQueue(judge: { readonly pool: Pick<Pool, 'expectedWaitMs' | 'queued'> }): void {
    this.meter
      .createObservableGauge('stopline.queue.wait', {
        description: 'Time an image would wait for a worker.',
        unit: 's',
      })
      .addCallback((result) => result.observe(judge.pool.expectedWaitMs / 1000));
    this.meter
      .createObservableGauge('stopline.queue.length', {
        description: 'Images that wait for a worker.',
        unit: '{image}',
      })
      .addCallback((result) => result.observe(judge.pool.queued));
  }

  /**
   * Gives every request a span, as the semantic conventions of HTTP have it, that goes on the trace of its `traceparent`. Where the host
   * instruments its HTTP server or Fastify already, that span is taken.
   */
  traceRequests(app: FastifyInstance): void {
    const { context, propagation, trace, SpanKind, SpanStatusCode } = this.#api;
    const own = new WeakMap<FastifyRequest, Span>();
    app.decorateRequest('traceContext', null);
    app.addHook('onRequest', (request: FastifyRequest, _reply: FastifyReply, done: () => void) => {
      const { kind } = request.routeOptions.config ?? {};
      if (kind === 'probe') return done();
      let active = readRequestContext(request) ?? context.active();
      if (!trace.getSpan(active)) {
        const parent = propagation.extract(active, request.headers);
        const route = request.routeOptions.url;
        const span = this.tracer.startSpan(
          route === undefined ? request.method : `${request.method} ${route}`,
          {
            kind: SpanKind.SERVER,
            attributes: {
              'http.request.method': request.method,
              'url.path': request.url.split('?', 1)[0],
              'url.scheme': request.protocol,
              ...(route !== undefined && { 'http.route': route }),
              'stopline.request.id': String(request.id),
            },
          },
          parent,
        );
        own.set(request, span);
        active = trace.setSpan(parent, span);
      }
      request.traceContext = active;
      context.with(active, done);
    });
    app.addHook('onResponse', async (request, reply) => {
      const span = own.get(request);
      if (!span) return;
      span.setAttribute('http.response.status_code', reply.statusCode);
      if (request.errorCode) span.setAttribute('error.type', request.errorCode);
      if (reply.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
  }

  /** The ids of the span that is active, for a line of the log; undefined without one. */
  readSpan(request: FastifyRequest): SpanContext | undefined {
    const span = request.traceContext && this.#api.trace.getSpan(request.traceContext);
    const found = span?.spanContext();
    return found && this.#api.isSpanContextValid(found) ? found : undefined;
  }

  /** The same of what runs now. */
  activeSpan(): SpanContext | undefined {
    const found = this.#api.trace.getSpan(this.#api.context.active())?.spanContext();
    return found && this.#api.isSpanContextValid(found) ? found : undefined;
  }

  /** A call of gRPC within a span of its own, that goes on the trace of its metadata. */
  async traceCall<Ended extends CallEnd>(
    call: { path: string; headers: IncomingHttpHeaders; requestId: string },
    run: () => Promise<Ended>,
  ): Promise<Ended> {
    const { context, propagation, trace, SpanKind, SpanStatusCode } = this.#api;
    const { path, headers, requestId } = call;
    const parent = propagation.extract(context.active(), headers);
    const [, service = '', method = ''] = path.split('/');
    const attributes = {
      'rpc.system': 'grpc',
      'rpc.service': service,
      'rpc.method': method,
      'stopline.request.id': requestId,
    };
    const span = this.tracer.startSpan(path.slice(1), { kind: SpanKind.SERVER, attributes }, parent);
    try {
      const ended = await context.with(trace.setSpan(parent, span), run);
      const { error, status } = ended;
      if (error) span.setAttribute('error.type', error.code);
      if (status !== undefined) span.setAttribute('rpc.grpc.status_code', status);
      if (status !== undefined && serverFaults.has(status)) span.setStatus({ code: SpanStatusCode.ERROR });
      return ended;
    } finally {
      span.end();
    }
  }

  /** Headers that go on the trace of a request at the upstream; none where nobody traces, so that those of the client stay. */
  headersFor(request: FastifyRequest): Record<string, string> {
    return this.readSpan(request) ? this.#inject(request.traceContext as Context) : {};
  }

  /** The same of the call that runs. */
  activeHeaders(): Record<string, string> {
    return this.activeSpan() ? this.#inject(this.#api.context.active()) : {};
  }

  #inject(traced: Context): Record<string, string> {
    const carrier: Record<string, string> = {};
    this.#api.propagation.inject(traced, carrier);
    return carrier;
  }
}

/** The context that @fastify/otel keeps for a request; what is active within one of its hooks is the span of that hook alone. */
function readRequestContext(request: FastifyRequest): Context | null {
  const { opentelemetry } = request as { opentelemetry?(): { context: Context | null } };
  return opentelemetry?.call(request).context ?? null;
}
