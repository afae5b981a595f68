import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import { type Answer, trusts } from '../../drift/trust.ts';
import { counter, gauge } from '../metrics.ts';
import type { Store } from '../store/store.ts';
import { countStates, type Monitors, otherSource, type SourceSummary } from './monitors.ts';
import type { Replicas } from './replicas.ts';

/** Sources with series of their own in the metrics; the images of further ones are those of `other`. */
const maxSourceSeries = 500;

export function registerReplicaSeries(registry: Registry, replicas: () => Replicas | undefined): void {
  const alone = '1 while Redis cannot be reached and this replica watches alone.';
  gauge(registry, 'stopline_redis_alone', alone, () => (replicas()?.isAlone ? 1 : 0));
  gauge(registry, 'stopline_redis_pending', 'Images that wait for Redis.', () => replicas()?.pending ?? 0);
  const help = 'Images that the other replicas never heard of, because Redis was away for too long.';
  counter(registry, 'stopline_redis_dropped_total', help, () => replicas()?.dropped ?? 0);
}

/** Registers metrics by source, of so many sources and no more. */
export function registerSourceSeries(
  registry: Registry,
  monitors: Monitors,
  assess: (summary: SourceSummary) => Answer,
) {
  const registers = [registry];
  const named = new Set<string>([otherSource]);
  const images = new Counter({
    name: 'stopline_source_images_total',
    help: `Images by source: of the first ${maxSourceSeries} sources, and all further ones as other.`,
    labelNames: ['source'],
    registers,
  });
  new Gauge({
    name: 'stopline_drift_state',
    help: 'Always 1; the labels say which state a source is in. For the same sources as stopline_source_images_total.',
    labelNames: ['source', 'state'],
    registers,
    collect() {
      this.reset();
      // Where replicas watch together, images of a source may all have come to another one.
      for (const { source } of monitors.summaries()) if (named.size <= maxSourceSeries) named.add(source);
      for (const source of named) {
        const summary = monitors.summary(source);
        if (summary) this.set({ source, state: summary.state }, 1);
      }
    },
  });
  const listNamed = () => [...named].flatMap((source) => monitors.summary(source) ?? []);
  new Gauge({
    name: 'stopline_source_trust',
    help: 'Always 1; the labels say whether a source can be trusted now: yes, doubtful, no, unknown (too little is known) or old (no image for staleAfterMs).',
    labelNames: ['source', 'trust'],
    registers,
    collect() {
      this.reset();
      for (const summary of listNamed()) this.set({ source: summary.source, trust: assess(summary).trust }, 1);
    },
  });
  new Gauge({
    name: 'stopline_source_recent_blocked',
    help: 'Share of the latest images of a source, at most 25, that were blocked.',
    labelNames: ['source'],
    registers,
    collect() {
      this.reset();
      for (const { source, recent } of listNamed()) this.set({ source }, recent.block / Math.max(1, recent.images));
    },
  });
  new Gauge({
    name: 'stopline_source_last_image_timestamp_seconds',
    help: 'When the last image of a source came, in seconds since 1970.',
    labelNames: ['source'],
    registers,
    collect() {
      this.reset();
      for (const { source, lastAt } of listNamed()) this.set({ source }, lastAt / 1000);
    },
  });
  registerCounts(registry, monitors, assess);
  return {
    count(source: string) {
      if (named.size <= maxSourceSeries) named.add(source);
      images.inc({ source: named.has(source) ? source : otherSource });
    },
  };
}

/** How many sources are in which state, of all of them. */
function registerCounts(registry: Registry, monitors: Monitors, assess: (summary: SourceSummary) => Answer): void {
  const registers = [registry];
  new Gauge({
    name: 'stopline_sources_trusted',
    help: 'Sources by whether they can be trusted now: all of them.',
    labelNames: ['trust'],
    registers,
    collect() {
      for (const trust of trusts) this.set({ trust }, 0);
      for (const summary of monitors.summaries()) this.inc({ trust: assess(summary).trust });
    },
  });
  new Gauge({
    name: 'stopline_drift_sources',
    help: 'Sources by state: all of them.',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset();
      for (const [state, count] of countStates(monitors.summaries())) this.set({ state }, count);
    },
  });
  counter(
    registry,
    'stopline_sources_overflowed_total',
    'Images of sources beyond maxSources, counted as other.',
    () => monitors.overflowed,
  );
}

export function registerStoreSeries(registry: Registry, store: Store): void {
  const degraded = '1 while nothing can be stored; images are judged still.';
  gauge(registry, 'stopline_store_degraded', degraded, () => (store.degraded === undefined ? 0 : 1));
  counter(
    registry,
    'stopline_store_dropped_total',
    'Verdicts that the history lacks because nothing could be stored.',
    () => store.dropped,
  );
  counter(registry, 'stopline_store_set_aside_total', 'Damaged stores that were set aside.', () => store.setAside);
}
