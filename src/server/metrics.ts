import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { CoreInfo } from '../core/core.ts';
import type { Report } from '../gate/admission.ts';
import type { EmbedderInfo } from '../image/embedding/embedder.ts';
import type { DecideBy, Verdict } from '../profile/verdict.ts';
import type { BufferBudget } from './http/body.ts';
import type { Judge } from './judge.ts';

export interface Metrics {
  /** One judged image. */
  observeVerdict(verdict: Verdict): void;
  /** One refused image or request. */
  observeRefusal(code: string): void;
  observeRequest(route: string, status: number, seconds: number): void;
  /** One request at the gate. */
  observeGate(report: Report): void;
  /** One request to the upstream. */
  observeUpstream(outcome: string, seconds: number): void;
  /** Called when the workers have loaded their core, and again when others have. */
  announceBuild(core: CoreInfo, embedder?: EmbedderInfo): void;
  /** For the metrics of other parts. */
  readonly registry: Registry;
  readonly contentType: string;
  /** The Prometheus text format. */
  text(): Promise<string>;
}

/** Doubling steps from 1 ms to 8 s: one 1080p frame takes about 20 ms, a full queue a second. */
const durationBuckets = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 4, 8];
/** Under the reference a p-value is uniform, so each bucket's expected share is its width. */
const pValueBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1];
const scoreBuckets = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/**
 * The metrics of one server, in a registry of its own. Labels come only from bounded sets: verdicts, statistics, detectors,
 * error codes, routes of ours.
 */
export function createMetrics(
  judge: Judge,
  budget: BufferBudget,
  options: { decidedBy: DecideBy; version: string },
): Metrics {
  const { decidedBy, version } = options;
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const inspections = new Counter({
    name: 'stopline_inspections_total',
    help: 'Images judged, by the verdict of the deciding detector.',
    labelNames: ['verdict'],
    registers,
  });
  const reasons = new Counter({
    name: 'stopline_reasons_total',
    help: 'Images with a verdict of warn or block, by their strongest reason.',
    labelNames: ['reason'],
    registers,
  });
  const refusals = new Counter({
    name: 'stopline_refusals_total',
    help: 'Requests answered with an error, by its code.',
    labelNames: ['code'],
    registers,
  });
  const stages = new Histogram({
    name: 'stopline_stage_duration_seconds',
    help: 'Time of one image in one stage, in a worker thread.',
    labelNames: ['stage'],
    buckets: durationBuckets,
    registers,
  });
  const requests = new Histogram({
    name: 'stopline_request_duration_seconds',
    help: 'Time from the headers of a request to the end of its answer.',
    labelNames: ['route', 'status'],
    buckets: durationBuckets,
    registers,
  });
  const pValues = new Histogram({
    name: 'stopline_p_value',
    help: 'p-values of judged images; uniform while the images are like the reference.',
    labelNames: ['detector'],
    buckets: pValueBuckets,
    registers,
  });
  const scores = new Histogram({
    name: 'stopline_score',
    help: 'Scores of judged images; larger is stranger.',
    labelNames: ['detector'],
    buckets: scoreBuckets,
    registers,
  });
  const gate = new Counter({
    name: 'stopline_gate_requests_total',
    help: 'Requests at the gate, by what became of them and why: a verdict, or the code of an error.',
    labelNames: ['outcome', 'reason'],
    registers,
  });
  const upstream = new Histogram({
    name: 'stopline_upstream_duration_seconds',
    help: 'Time until the upstream began its answer, or failed to.',
    labelNames: ['outcome'],
    buckets: durationBuckets,
    registers,
  });
  const build = new Gauge({
    name: 'stopline_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'core', 'simd', 'profile', 'decided_by'],
    registers,
  });
  const model = new Gauge({
    name: 'stopline_model_info',
    help: 'Always 1 where the Profile has a model; the labels say what computes embeddings.',
    labelNames: ['model', 'sha256', 'runtime', 'provider'],
    registers,
  });
  const failedProviders = new Gauge({
    name: 'stopline_model_failed_provider',
    help: 'Always 1; a provider that was to compute embeddings and could not.',
    labelNames: ['provider'],
    registers,
  });
  const pool = (what: string, help: string, read: () => number) => gauge(registry, `stopline_pool_${what}`, help, read);
  gauge(registry, 'stopline_buffered_bytes', 'Bytes of request bodies held in memory.', () => budget.used);
  pool('queue_size', 'Images that wait for a worker thread.', () => judge.pool.queued);
  pool('running', 'Images in worker threads.', () => judge.pool.running);
  pool('threads', 'Worker threads.', () => judge.pool.info.threads);
  pool('expected_wait_seconds', 'What an image that comes now would wait.', () => judge.pool.expectedWaitMs / 1000);
  counter(
    registry,
    'stopline_pool_crashes_total',
    'Worker processes that crashed or were ended because an image took too long.',
    () => judge.pool.crashes,
  );

  for (const verdict of ['pass', 'warn', 'block']) inspections.inc({ verdict }, 0);

  return {
    observeVerdict(verdict) {
      inspections.inc({ verdict: verdict.verdict });
      const [strongest] = verdict.reasons;
      if (verdict.verdict !== 'pass' && strongest) reasons.inc({ reason: strongest.statistic });
      for (const stage of ['decode', 'statistics', 'embedding', 'score'] as const) {
        const ms = verdict.timingMs[stage];
        if (ms !== undefined) stages.observe({ stage }, ms / 1000);
      }
      for (const { name, pValue, score } of verdict.detectors) {
        pValues.observe({ detector: name }, pValue);
        scores.observe({ detector: name }, score);
      }
    },
    observeGate: (report) => gate.inc({ ...report }),
    observeUpstream: (outcome, seconds) => upstream.observe({ outcome }, seconds),
    observeRefusal: (code) => refusals.inc({ code }),
    observeRequest: (route, status, seconds) => requests.observe({ route, status: String(status) }, seconds),
    announceBuild({ build: core, simd }, embedder) {
      for (const gauge of [build, model, failedProviders]) gauge.reset();
      build.set({ version, core, simd, profile: judge.profile.sha256.slice(0, 12), decided_by: decidedBy }, 1);
      if (!embedder) return;
      const { model: name, sha256, runtime, provider, failed } = embedder;
      model.set({ model: name, sha256: sha256.slice(0, 12), runtime, provider }, 1);
      for (const { provider } of failed) failedProviders.set({ provider }, 1);
    },
    registry,
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}

/** A gauge whose value is kept elsewhere. */
export function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

/** A counter whose count is kept elsewhere. */
export function counter(registry: Registry, name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}
