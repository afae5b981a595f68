import { FastifyOtelInstrumentation } from '@fastify/otel';
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
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import stopline from '../src/fastify.ts';
import { createGate, type Gate } from '../src/gate/gate.ts';
import type { Service } from '../src/server/serve.ts';
import { fitReference, type Reference } from './fixtures/reference.ts';
import { startService } from './fixtures/service.ts';
import { startRecorder } from './fixtures/upstream.ts';

const spans = new InMemorySpanExporter();
const exported = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: exported, exportIntervalMillis: 3_600_000 });
const parent = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
const traceparent = `00-${parent.traceId}-${parent.spanId}-01`;

let reference: Reference;
beforeAll(async () => {
  new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).register();
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
  reference = await fitReference();
});
beforeEach(() => spans.reset());
afterAll(async () => {
  await reference.remove();
  trace.disable();
  metrics.disable();
  propagation.disable();
});

/** Once the span of the judged image has ended, and that of the request behind it. */
async function readSpans(count: number): Promise<ReadableSpan[]> {
  await vi.waitFor(() => expect(spans.getFinishedSpans().length).toBeGreaterThanOrEqual(count), { timeout: 60_000 });
  return spans.getFinishedSpans();
}

/** The names of the spans above one, the nearest first. */
function listAbove(all: ReadableSpan[], span: ReadableSpan): string[] {
  const above = all.find((one) => one.spanContext().spanId === span.parentSpanContext?.spanId);
  return above ? [above.name, ...listAbove(all, above)] : [];
}

const named = (all: ReadableSpan[], name: string) => all.find((span) => span.name === name) as ReadableSpan;

describe('a gate in a process that traces', () => {
  let gate: Gate;
  beforeAll(async () => {
    gate = await createGate({ profile: reference.profilePath, threads: 1, mode: 'enforce', onError: 'closed' });
  });
  afterAll(() => gate.close());

  it('has a span for each image below that of the caller, and counts it', async () => {
    const guarded = await trace.getTracer('caller').startActiveSpan('predict', async (span) => {
      const result = await gate.guard(reference.frame, () => 'green');
      span.end();
      return result;
    });
    const image = named(await readSpans(2), 'stopline.inspect');
    expect(listAbove(spans.getFinishedSpans(), image)).toEqual(['predict']);
    if (guarded.outcome !== 'forwarded') throw guarded;
    const { verdict, pValue } = guarded.verdict;
    expect(image.attributes).toMatchObject({ 'stopline.verdict': verdict, 'stopline.p_value': pValue });
    await reader.forceFlush();
    const [counted] = exported.getMetrics().at(-1)?.scopeMetrics[0].metrics ?? [];
    expect(counted).toMatchObject({ descriptor: { name: 'stopline.images' }, dataPoints: [{ value: 1 }] });
  });
});

describe('beside @fastify/otel', () => {
  let app: FastifyInstance;
  beforeAll(async () => {
    app = Fastify({ pluginTimeout: 0 });
    await app.register(new FastifyOtelInstrumentation().plugin());
    await app.register(stopline, {
      profile: reference.profilePath,
      threads: 1,
      isolation: 'thread',
      mode: 'enforce',
      onError: 'closed',
      verdictTimeoutMs: 60_000,
      routes: [
        { path: '/classify', protocol: 'image' },
        { path: '/watched', protocol: 'image', mode: 'observe' },
      ],
    });
    app.post('/classify', async () => ({ state: 'green' }));
    app.post('/watched', async (request) => ({ judged: (await request.stopline?.judged)?.action }));
    await app.ready();
  });
  afterAll(() => app.close());

  it.each(['/classify', '/watched'])('the span of an image lies below that of its request: %s', async (url) => {
    const headers = { 'content-type': 'image/jpeg', traceparent };
    const { statusCode } = await app.inject({ method: 'POST', url, headers, payload: Buffer.from(reference.frame) });
    expect(statusCode).toBe(200);
    const all = await readSpans(4);
    const image = named(all, 'stopline.inspect');
    expect(image.spanContext().traceId).toBe(parent.traceId);
    expect(listAbove(all, image)).toEqual([expect.stringMatching(/^preHandler .*stopline$/), 'request']);
  });
});

describe('a gate whose host instruments every Fastify', () => {
  let instrumentation: FastifyOtelInstrumentation;
  let gate: Service;
  let upstream: Awaited<ReturnType<typeof startRecorder>>;
  beforeAll(async () => {
    // Is there for every Fastify from now on.
    instrumentation = new FastifyOtelInstrumentation({ registerOnInitialization: true });
    upstream = await startRecorder();
    const force = { mode: 'enforce', onError: 'closed' } as const;
    gate = await startService({ profile: reference.profilePath, upstream: upstream.url, ...force });
  });
  afterAll(async () => {
    instrumentation.disable();
    await gate.close();
    await upstream.close();
  });

  it('takes the span of the request that is there, and hands that on to the upstream', async () => {
    const response = await fetch(`${gate.url}/classify`, {
      method: 'POST',
      headers: { 'content-type': 'image/jpeg', traceparent },
      body: new Uint8Array(reference.frame),
    });
    expect(response.status).toBe(200);
    await response.text();
    const all = await readSpans(4);
    const image = named(all, 'stopline.inspect');
    const request = named(all, 'request');
    expect(request.parentSpanContext?.spanId).toBe(parent.spanId);
    expect(listAbove(all, image).at(-1)).toBe('request');
    expect(upstream.received[0].headers.traceparent).toBe(`00-${parent.traceId}-${request.spanContext().spanId}-01`);
  });
});
