import type { IncomingHttpHeaders } from 'node:http';
import type { Attributes, Context, Counter, Histogram, Span, SpanContext, Tracer } from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { asStoplineError } from '../errors.ts';
import type { Verdict } from '../profile/verdict.ts';
import type { Pool } from '../run/pool.ts';
import type { ImageTracer } from './judge.ts';

type Api = typeof import('@opentelemetry/api');

declare module 'fastify' {
  interface FastifyRequest {
    /** Where what happens for this request belongs in a trace; null where nobody traces. */
    traceContext: Context | null;
  }
}

/**
 * Traces and metrics by OpenTelemetry, for a host that has set up its SDK before this program (`node --import ./telemetry.mjs`). The
 * package is one of interfaces: without an SDK behind it every call does nothing, and without the package there is no Telemetry.
 */
export class Telemetry implements ImageTracer {
  readonly #api: Api;
  readonly #tracer: Tracer;
  readonly #images: Counter;
  readonly #failures: Counter;
  readonly #stages: Histogram;

  private constructor(api: Api, version: string) {
    this.#api = api;
    this.#tracer = api.trace.getTracer('stopline', version);
    const meter = api.metrics.getMeter('stopline', version);
    this.#images = meter.createCounter('stopline.images', {
      description: 'Images judged, by verdict.',
      unit: '{image}',
    });
    this.#failures = meter.createCounter('stopline.failures', {
      description: 'Images that could not be judged, by code.',
      unit: '{image}',
    });
    this.#stages = meter.createHistogram('stopline.stage.duration', {
      description: 'Time of each stage of judging an image.',
      unit: 's',
    });
  }

  /** Undefined where the package is not installed. */
  static async open(version: string): Promise<Telemetry | undefined> {
    const api = await import('@opentelemetry/api').catch(() => undefined);
    return api && new Telemetry(api, version);
  }

  /** Tells how long images wait and how many, each time the host reads its metrics. */
  watchQueue(judge: { readonly pool: Pick<Pool, 'expectedWaitMs' | 'queued'> }): void {
    const meter = this.#api.metrics.getMeter('stopline');
    meter
      .createObservableGauge('stopline.queue.wait', {
        description: 'Time an image would wait for a worker.',
        unit: 's',
      })
      .addCallback((result) => result.observe(judge.pool.expectedWaitMs / 1000));
    meter
      .createObservableGauge('stopline.queue.length', {
        description: 'Images that wait for a worker.',
        unit: '{image}',
      })
      .addCallback((result) => result.observe(judge.pool.queued));
  }

  /**
   * Gives every request a span, as the semantic conventions of HTTP have it, that goes on the trace of its `traceparent`. Where the host
   * instruments its HTTP server already, that span is taken.
   */
  traceRequests(app: FastifyInstance): void {
    const { context, propagation, trace, SpanKind, SpanStatusCode } = this.#api;
    const own = new WeakMap<FastifyRequest, Span>();
    app.decorateRequest('traceContext', null);
    app.addHook('onRequest', (request: FastifyRequest, _reply: FastifyReply, done: () => void) => {
      const { kind } = request.routeOptions.config ?? {};
      if (kind === 'probe') return done();
      let active = context.active();
      if (!trace.getSpan(active)) {
        const parent = propagation.extract(active, request.headers);
        const route = request.routeOptions.url;
        const span = this.#tracer.startSpan(
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

  /** Judges one image within a span of its own, that says what came of it. */
  async traceImage<Judged extends Verdict>(
    image: { source: string; requestId: string },
    judge: () => Promise<Judged>,
  ): Promise<Judged> {
    const { SpanStatusCode } = this.#api;
    const attributes = { 'stopline.source': image.source, 'stopline.request.id': image.requestId };
    const span = this.#tracer.startSpan('stopline.inspect', { attributes }, this.#api.context.active());
    try {
      const verdict = await judge();
      span.setAttributes(describeVerdict(verdict));
      this.#observe(verdict);
      return verdict;
    } catch (error) {
      const { code, message } = asStoplineError(error);
      span.setAttribute('error.type', code);
      span.setStatus({ code: SpanStatusCode.ERROR, message });
      this.#failures.add(1, { 'error.type': code });
      throw error;
    } finally {
      span.end();
    }
  }

  /** The ids of the span that is active, for a line of the log; undefined without one. */
  spanOf(request: FastifyRequest): SpanContext | undefined {
    const span = request.traceContext && this.#api.trace.getSpan(request.traceContext);
    const found = span?.spanContext();
    return found && this.#api.isSpanContextValid(found) ? found : undefined;
  }

  /** A call of gRPC within a span of its own, that goes on the trace of its metadata. */
  async traceCall<Outcome>(path: string, headers: IncomingHttpHeaders, run: () => Promise<Outcome>): Promise<Outcome> {
    const { context, propagation, trace, SpanKind } = this.#api;
    const parent = propagation.extract(context.active(), headers);
    const [, service = '', method = ''] = path.split('/');
    const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
    const span = this.#tracer.startSpan(path.slice(1), { kind: SpanKind.SERVER, attributes }, parent);
    try {
      return await context.with(trace.setSpan(parent, span), run);
    } finally {
      span.end();
    }
  }

  /** Headers that go on the trace of a request at the upstream; none where nobody traces, so that those of the client stay. */
  headersFor(request: FastifyRequest): Record<string, string> {
    return this.spanOf(request) ? this.#inject(request.traceContext as Context) : {};
  }

  /** The same of the call that runs. */
  activeHeaders(): Record<string, string> {
    const active = this.#api.context.active();
    const span = this.#api.trace.getSpan(active);
    return span && this.#api.isSpanContextValid(span.spanContext()) ? this.#inject(active) : {};
  }

  #inject(traced: Context): Record<string, string> {
    const carrier: Record<string, string> = {};
    this.#api.propagation.inject(traced, carrier);
    return carrier;
  }

  #observe({ verdict, decidedBy, timingMs }: Verdict): void {
    this.#images.add(1, { 'stopline.verdict': verdict, 'stopline.decided_by': decidedBy });
    for (const [stage, ms] of Object.entries(timingMs)) this.#stages.record(ms / 1000, { 'stopline.stage': stage });
  }
}

/** The attributes of a span: numbers and words that a trace is searched by, and never the image. */
function describeVerdict(verdict: Verdict): Attributes {
  const { pValue, score, decidedBy, expectedFlipRate, cause, reasons, image, profile, timingMs } = verdict;
  return {
    'stopline.verdict': verdict.verdict,
    'stopline.p_value': pValue,
    'stopline.score': score,
    'stopline.decided_by': decidedBy,
    ...(expectedFlipRate && { 'stopline.expected_flip_rate': expectedFlipRate.rate }),
    ...(cause && { 'stopline.cause.kind': cause.kind, 'stopline.cause.text': cause.text }),
    ...(cause?.family !== undefined && { 'stopline.cause.family': cause.family }),
    ...(cause?.cause !== undefined && { 'stopline.cause': cause.cause }),
    ...(reasons.length > 0 && { 'stopline.reasons': reasons.map(({ group }) => group) }),
    'stopline.profile.sha256': profile.sha256,
    'stopline.image.format': image.format,
    'stopline.image.width': image.width,
    'stopline.image.height': image.height,
    'stopline.image.bytes': image.bytes,
    'stopline.image.sha256': image.sha256,
    ...Object.fromEntries(Object.entries(timingMs).map(([stage, ms]) => [`stopline.timing.${stage}_ms`, ms])),
  };
}
