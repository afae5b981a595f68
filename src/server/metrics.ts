import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';
import type { CoreInfo } from '../core/core.ts';
import type { Report } from '../gate/admission.ts';
import type { EmbedderInfo } from '../image/embedding/embedder.ts';
import type { DecideBy, Verdict } from '../profile/verdict.ts';
import type { BufferBudget } from './http/body.ts';
import type { Judge } from './judge.ts';

/** Doubling steps from 1 ms to 8 s: one 1080p frame takes about 20 ms, a full queue a second. */
const durationBuckets = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 4, 8];
/** Under the reference a p-value is uniform, so each bucket's expected share is its width. */
const pValueBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1];
const scoreBuckets = [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/**
 * The metrics of one server, in a registry of its own. Labels come only from bounded sets: verdicts, statistics, detectors,
 * error codes, routes of ours.
 */
export class Metrics {
  /** For the metrics of other parts. */
  readonly registry = new Registry();
  readonly #judge: Judge;
  readonly #decidedBy: DecideBy;
  readonly #version: string;
  readonly #inspections = new Counter({
    name: 'stopline_inspections_total',
    help: 'Images judged, by the verdict of the deciding detector.',
    labelNames: ['verdict'],
    registers: [this.registry],
  });
  readonly #reasons = new Counter({
    name: 'stopline_reasons_total',
    help: 'Images with a verdict of warn or block, by their strongest reason.',
    labelNames: ['reason'],
    registers: [this.registry],
  });
  readonly #remarks = new Counter({
    name: 'stopline_remarks_total',
    help: 'Images judged that have an oddity which loses no pixel, by its kind.',
    labelNames: ['remark'],
    registers: [this.registry],
  });
  readonly #refusals = new Counter({
    name: 'stopline_refusals_total',
    help: 'Requests answered with an error, by its code.',
    labelNames: ['code'],
    registers: [this.registry],
  });
  readonly #stages = new Histogram({
    name: 'stopline_stage_duration_seconds',
    help: 'Time of one image in one stage, in a worker thread.',
    labelNames: ['stage'],
    buckets: durationBuckets,
    registers: [this.registry],
  });
  readonly #requests = new Histogram({
    name: 'stopline_request_duration_seconds',
    help: 'Time from the headers of a request to the end of its answer.',
    labelNames: ['route', 'status'],
    buckets: durationBuckets,
    registers: [this.registry],
  });
  readonly #pValues = new Histogram({
    name: 'stopline_p_value',
    help: 'p-values of judged images; uniform while the images are like the reference.',
    labelNames: ['detector'],
    buckets: pValueBuckets,
    registers: [this.registry],
  });
  readonly #scores = new Histogram({
    name: 'stopline_score',
    help: 'Scores of judged images; larger is stranger.',
    labelNames: ['detector'],
    buckets: scoreBuckets,
    registers: [this.registry],
  });
  readonly #gate = new Counter({
    name: 'stopline_gate_requests_total',
    help: 'Requests at the gate, by what became of them and why: a verdict, or the code of an error.',
    labelNames: ['outcome', 'reason'],
    registers: [this.registry],
  });
  readonly #upstream = new Histogram({
    name: 'stopline_upstream_duration_seconds',
    help: 'Time until the upstream began its answer, or failed to.',
    labelNames: ['outcome'],
    buckets: durationBuckets,
    registers: [this.registry],
  });
  readonly #build = new Gauge({
    name: 'stopline_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'core', 'simd', 'profile', 'decided_by'],
    registers: [this.registry],
  });
  readonly #model = new Gauge({
    name: 'stopline_model_info',
    help: 'Always 1 where the Profile has a model; the labels say what computes embeddings.',
    labelNames: ['model', 'sha256', 'runtime', 'provider'],
    registers: [this.registry],
  });
  readonly #failedProviders = new Gauge({
    name: 'stopline_model_failed_provider',
    help: 'Always 1; a provider that was to compute embeddings and could not.',
    labelNames: ['provider'],
    registers: [this.registry],
  });

  constructor(judge: Judge, budget: BufferBudget, options: { decidedBy: DecideBy; version: string }) {
    this.#judge = judge;
    this.#decidedBy = options.decidedBy;
    this.#version = options.version;
    collectDefaultMetrics({ register: this.registry });
    gauge(this.registry, 'stopline_buffered_bytes', 'Bytes of request bodies held in memory.', () => budget.used);
    this.#registerPool();
    for (const verdict of ['pass', 'warn', 'block']) this.#inspections.inc({ verdict }, 0);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** The Prometheus text format. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  /** One judged image. */
  observeVerdict(verdict: Verdict): void {
    this.#inspections.inc({ verdict: verdict.verdict });
    const [strongest] = verdict.reasons;
    if (verdict.verdict !== 'pass' && strongest) this.#reasons.inc({ reason: strongest.group });
    for (const { kind } of verdict.image.remarks) this.#remarks.inc({ remark: kind });
    for (const stage of ['decode', 'statistics', 'embedding', 'score'] as const) {
      const ms = verdict.timingMs[stage];
      if (ms !== undefined) this.#stages.observe({ stage }, ms / 1000);
    }
    for (const { name, pValue, score } of verdict.detectors) {
      this.#pValues.observe({ detector: name }, pValue);
      this.#scores.observe({ detector: name }, score);
    }
  }

  /** One refused image or request. */
  observeRefusal(code: string): void {
    this.#refusals.inc({ code });
  }

  observeRequest(route: string, status: number, seconds: number): void {
    this.#requests.observe({ route, status: String(status) }, seconds);
  }

  /** One request at the gate. */
  observeGate({ outcome, reason }: Report): void {
    this.#gate.inc({ outcome, reason });
  }

  /** One request to the upstream. */
  observeUpstream(outcome: string, seconds: number): void {
    this.#upstream.observe({ outcome }, seconds);
  }

  /** To be called when the workers have loaded their core, and again when others have. */
  announceBuild({ build: core, simd }: CoreInfo, embedder?: EmbedderInfo): void {
    for (const gauge of [this.#build, this.#model, this.#failedProviders]) gauge.reset();
    const profile = this.#judge.profile.sha256.slice(0, 12);
    this.#build.set({ version: this.#version, core, simd, profile, decided_by: this.#decidedBy }, 1);
    if (!embedder) return;
    const { model, sha256, runtime, provider, failed } = embedder;
    this.#model.set({ model, sha256: sha256.slice(0, 12), runtime, provider }, 1);
    for (const { provider } of failed) this.#failedProviders.set({ provider }, 1);
  }

  #registerPool(): void {
    const judge = this.#judge;
    const series = (what: string, help: string, read: () => number) =>
      gauge(this.registry, `stopline_pool_${what}`, help, read);
    series('queue_size', 'Images that wait for a worker.', () => judge.pool.queued);
    series('running', 'Images in workers.', () => judge.pool.running);
    series('threads', 'Workers.', () => judge.pool.info.threads);
    series('expected_wait_seconds', 'What an image that comes now would wait.', () => judge.pool.expectedWaitMs / 1000);
    counter(this.registry, 'stopline_pool_crashes_total', 'Worker processes that crashed.', () => judge.pool.crashes);
    counter(
      this.registry,
      'stopline_pool_slow_total',
      'Worker processes that were ended because an image took more processor time than maxImageMs.',
      () => judge.pool.slow,
    );
  }
}

/** Registers a gauge whose value is kept elsewhere. */
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

/** Registers a counter whose count is kept elsewhere. */
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
