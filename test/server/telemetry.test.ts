import { Metadata } from '@grpc/grpc-js';
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
import { causesProfile, fitOnce } from '../fixtures/fitted.ts';
import {
  checkMethod,
  type GrpcRecorder,
  healthMethod,
  inferMethod,
  RawClient,
  startGrpcRecorder,
  writeRequest,
} from '../fixtures/grpc.ts';
import { startRecorder } from '../fixtures/upstream.ts';

const spans = new InMemorySpanExporter();
const exported = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: exported, exportIntervalMillis: 3_600_000 });
let upstream: Awaited<ReturnType<typeof startRecorder>>;
let grpcUpstream: GrpcRecorder;
let client: RawClient;
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
        isolation: 'thread',
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
  const { profilePath } = await fitOnce(causesProfile);
  upstream = await startRecorder();
  grpcUpstream = await startGrpcRecorder();
  service = await start(profilePath, {});
  const routes = [
    { path: '/classify', protocol: 'image' },
    { path: '/watch', protocol: 'image', mode: 'observe' },
  ];
  const both = { upstream: upstream.url, grpcUpstream: grpcUpstream.url, grpcPort: 0 };
  gate = await start(profilePath, { ...both, mode: 'enforce', onError: 'closed', routes });
  client = new RawClient(gate.grpcUrl as string);
});

beforeEach(() => {
  spans.reset();
  upstream.received.length = 0;
  grpcUpstream.received.length = 0;
  grpcUpstream.state = {};
});

afterAll(async () => {
  client?.close();
  await gate?.close();
  grpcUpstream?.close();
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

/** Calls with the trace of the client in the metadata, and the camera that the image is of. */
function call(method: string, message: Buffer) {
  const metadata = new Metadata();
  metadata.set('traceparent', traceparent);
  metadata.set('x-stopline-source', 'front');
  return client.call(method, [message], { metadata });
}
const infer = (image: Uint8Array) =>
  writeRequest('ModelInfer', {
    inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [image] } }],
  });

it('traces a call of gRPC as a request of HTTP: its image below it, and the upstream on the same trace', async () => {
  const { code, headers } = await call(inferMethod, infer(await jpegFrame(902)));
  const found = await finished(2);
  const [request, image] = [found.get(inferMethod.slice(1))!, found.get('stopline.inspect')!];
  expect(request.parentSpanContext).toMatchObject(parent);
  expect(request.kind).toBe(1);
  expect(request.attributes).toMatchObject({
    'rpc.system': 'grpc',
    'rpc.service': 'inference.GRPCInferenceService',
    'rpc.method': 'ModelInfer',
    'rpc.grpc.status_code': code,
    'stopline.request.id': headers.get('x-request-id')[0],
  });
  expect(image.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
  expect(image.attributes).toMatchObject({
    'stopline.source': 'front',
    'stopline.verdict': headers.get('x-stopline-verdict')[0],
    'stopline.p_value': expect.any(Number),
    'stopline.timing.total_ms': expect.any(Number),
    'stopline.request.id': headers.get('x-request-id')[0],
  });
  const [received] = grpcUpstream.received;
  expect(received.metadata.get('traceparent')).toEqual([`00-${parent.traceId}-${request.spanContext().spanId}-01`]);
});

it('says of a call how it ended: refused by the gate, and failed by the upstream', async () => {
  const refused = await call(inferMethod, infer(await jpegFrame(901, 3)));
  let found = await finished(2);
  expect(found.get('stopline.inspect')!.attributes).toMatchObject({
    'stopline.verdict': 'block',
    'stopline.cause.text': expect.any(String),
  });
  // What the client is told of its image is no fault of this server.
  expect(found.get(inferMethod.slice(1))).toMatchObject({
    attributes: { 'error.type': 'STOPLINE_ERR_IMAGE_REFUSED', 'rpc.grpc.status_code': refused.code },
    status: { code: 0 },
  });
  spans.reset();
  grpcUpstream.state = { fails: { code: 14, details: 'gone' } };
  await call('/inference.GRPCInferenceService/ServerLive', Buffer.alloc(0));
  found = await finished(1);
  expect(found.get('inference.GRPCInferenceService/ServerLive')).toMatchObject({
    attributes: { 'rpc.grpc.status_code': 14 },
    status: { code: 2 },
  });
});

it('traces the question of a proxy whether a call may pass, and no probe', async () => {
  await client.call(healthMethod, [Buffer.alloc(0)]);
  const http = { method: 'POST', path: '/classify', headers: { 'content-type': 'image/jpeg' } };
  await call(
    checkMethod,
    writeRequest('Check', { attributes: { request: { http: { ...http, raw_body: await jpegFrame(901, 3) } } } }),
  );
  const found = await finished(2);
  const [request, image] = [found.get(checkMethod.slice(1))!, found.get('stopline.inspect')!];
  expect(request.parentSpanContext).toMatchObject(parent);
  expect(request.attributes).toMatchObject({ 'rpc.grpc.status_code': 0 });
  expect(image.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
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
