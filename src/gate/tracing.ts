import type { Attributes, Counter, Histogram, Meter, Tracer } from '@opentelemetry/api';
import { asStoplineError } from '../errors.ts';
import type { Verdict } from '../profile/verdict.ts';
import { version } from '../version.ts';

export type OpenTelemetryApi = typeof import('@opentelemetry/api');

/** The interfaces of OpenTelemetry; undefined where the package is not installed. */
export function loadApi(): Promise<OpenTelemetryApi | undefined> {
  return import('@opentelemetry/api').catch(() => undefined);
}

/**
 * Spans and metrics of judged images by OpenTelemetry, for a host that has set up its SDK. The package is one of interfaces: without
 * an SDK behind it every call does nothing.
 */
export class ImageTracing {
  readonly #api: OpenTelemetryApi;
  readonly #images: Counter;
  readonly #failures: Counter;
  readonly #stages: Histogram;
  protected readonly tracer: Tracer;
  protected readonly meter: Meter;

  constructor(api: OpenTelemetryApi) {
    this.#api = api;
    this.tracer = api.trace.getTracer('stopline', version);
    this.meter = api.metrics.getMeter('stopline', version);
    this.#images = this.meter.createCounter('stopline.images', {
      description: 'Images judged, by verdict.',
      unit: '{image}',
    });
    this.#failures = this.meter.createCounter('stopline.failures', {
      description: 'Images that could not be judged, by code.',
      unit: '{image}',
    });
    this.#stages = this.meter.createHistogram('stopline.stage.duration', {
      description: 'Time of each stage of judging an image.',
      unit: 's',
    });
  }

  /** Judges one image within a span of its own, below the one that is active, that says what came of it. */
  async traceImage<Judged extends Verdict>(attributes: Attributes, judge: () => Promise<Judged>): Promise<Judged> {
    const { context, SpanStatusCode } = this.#api;
    const span = this.tracer.startSpan('stopline.inspect', { attributes }, context.active());
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
