import { metrics, propagation, trace } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { type Service, serve } from '../../src/server/serve.ts';
import { jpegFrame } from '../fixtures/camera.ts';
import { fitOnce } from '../fixtures/fitted.ts';
import { startRecorder } from '../fixtures/upstream.ts';

const spans = new InMemorySpanExporter();
const exported = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: exported, exportIntervalMillis: 3_600_000 });
let upstream: Awaited<ReturnType<typeof startRecorder>>;
let gate: Service;
let service: Service;

const start = (profile: string, flags: object) =>
  serve(
    loadConfig({
      env: {},
      flags: {
        profile,
        port: 0,
        threads: 1,
        logLevel: 'silent',
        maxWaitMs: 60_000,
        verdictTimeoutMs: 60_000,
        ...flags,
      } as never,
    }).config,
  );

beforeAll(async () => {
  // What a host does before it starts the service: node --import ./telemetry.mjs
  new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).register();
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
  const { profilePath } = await fitOnce({ images: 60, simulations: 10, power: 0, model: 'none' });
  upstream = await startRecorder();
  service = await start(profilePath, {});
  const routes = [
    { path: '/classify', protocol: 'image' },
    { path: '/watch', protocol: 'image', mode: 'observe' },
  ];
  gate = await start(profilePath, { upstream: upstream.url, mode: 'enforce', onError: 'closed', routes });
});

beforeEach(() => {
  spans.reset();
  upstream.received.length = 0;
});

afterAll(async () => {
  await gate?.close();
  await service?.close();
  await upstream?.close();
  trace.disable();
  metrics.disable();
  propagation.disable();
});

const parent = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const traceparent = `00-${parent.traceId}-${parent.spanId}-01`;
const post = (url: string, body: Uint8Array, headers: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', body: new Uint8Array(body), headers: { 'content-type': 'image/jpeg', ...headers } });

/** The spans of one trace by their names, once so many have ended. */
async function finished(count: number): Promise<Map<string, ReadableSpan>> {
  await vi.waitFor(() => expect(spans.getFinishedSpans()).toHaveLength(count), { timeout: 60_000 });
  return new Map(spans.getFinishedSpans().map((span) => [span.name, span]));
}

it('gives a judged image a span below that of its request, on the trace of its client', async () => {
  const response = await post(`${service.url}/inspect?source=front`, await jpegFrame(900), { traceparent });
  const verdict = (await response.json()) as { verdict: string; pValue: number; timingMs: { decode: number } };
  const found = await finished(2);
  const [request, image] = [found.get('POST /inspect')!, found.get('stopline.inspect')!];
  expect(request.parentSpanContext).toMatchObject(parent);
  expect(request.attributes).toMatchObject({
    'http.request.method': 'POST',
    'http.route': '/inspect',
    'http.response.status_code': 200,
  });
  expect(image.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
  expect(image.spanContext().traceId).toBe(parent.traceId);
  expect(image.attributes).toMatchObject({
    'stopline.source': 'front',
    'stopline.verdict': verdict.verdict,
    'stopline.p_value': verdict.pValue,
    'stopline.timing.decode_ms': verdict.timingMs.decode,
    'stopline.image.format': 'jpeg',
    'stopline.request.id': response.headers.get('x-request-id'),
  });
});

it('names the cause of a strange image, and the error of one that cannot be judged', async () => {
  await post(`${service.url}/inspect`, await jpegFrame(901, 3));
  const strange = (await finished(2)).get('stopline.inspect')!;
  expect(strange.attributes).toMatchObject({
    'stopline.verdict': 'block',
    'stopline.cause.kind': expect.stringMatching(/camera|family|cause|unknown/),
    'stopline.reasons': expect.arrayContaining([expect.any(String)]),
  });
  spans.reset();
  await post(`${service.url}/inspect`, Buffer.from('no image'));
  const found = await finished(2);
  expect(found.get('stopline.inspect')).toMatchObject({ status: { code: 2 } });
  for (const span of found.values()) expect(span.attributes['error.type']).toBe('STOPLINE_ERR_IMAGE_UNSUPPORTED');
});

it.each(['/classify', '/watch'])('goes on the trace at the upstream of a gate: %s', async (path) => {
  const response = await post(`${gate.url}${path}`, await jpegFrame(902), { traceparent });
  const found = await finished(2);
  const image = found.get('stopline.inspect')!;
  const request = [...found.values()].find((span) => span !== image)!;
  expect(image.spanContext().traceId).toBe(parent.traceId);
  expect(image.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
  // A clean frame of another encoder may be refused where the gate enforces.
  if (response.status === 422) return;
  const [{ headers }] = upstream.received;
  expect(headers.traceparent).toBe(`00-${parent.traceId}-${request.spanContext().spanId}-01`);
});

it('begins a trace where the client has none, and asks nothing of probes', async () => {
  await fetch(`${service.url}/health/live`);
  await fetch(`${service.url}/profile`);
  const found = await finished(1);
  expect([...found.keys()]).toEqual(['GET /profile']);
  expect(found.get('GET /profile')!.parentSpanContext).toBeUndefined();
});

it('counts images by verdict and failures by code, and measures stages and the queue', async () => {
  await reader.forceFlush();
  const named = new Map(
    exported
      .getMetrics()
      .at(-1)!
      .scopeMetrics.flatMap(({ metrics: list }) => list)
      .map((metric) => [metric.descriptor.name, metric]),
  );
  expect([...named.keys()].sort()).toEqual([
    'stopline.failures',
    'stopline.images',
    'stopline.queue.length',
    'stopline.queue.wait',
    'stopline.stage.duration',
  ]);
  const verdicts = named.get('stopline.images')!.dataPoints.map(({ attributes }) => attributes['stopline.verdict']);
  expect(verdicts).toContain('block');
  const stages = named.get('stopline.stage.duration')!.dataPoints.map(({ attributes }) => attributes['stopline.stage']);
  expect(stages).toEqual(expect.arrayContaining(['decode', 'statistics', 'score', 'total']));
});
