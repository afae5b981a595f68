import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { FastifyInstance } from 'fastify';
import { createDrift, type Drift } from '../../drift/drift.ts';
import { StoplineError } from '../../errors.ts';
import type { Profile } from '../../profile/description.ts';
import type { Config } from '../../settings.ts';
import type { Judge, Judgement } from '../judge.ts';
import { counter, gauge } from '../metrics.ts';
import { registerDrift } from '../routes/drift.ts';
import { registerEvents } from '../routes/events.ts';
import type { PastVerdict } from '../store/database.ts';
import { openStore, type Store } from '../store/store.ts';
import { createAlerts } from './alerts.ts';
import { countStates, createMonitors, isAlarm, type Monitors, otherSource, type SourceTransition } from './monitors.ts';
import { createReplicas, type Replicas, redisAt, resetText } from './replicas.ts';

/** Sources with series of their own in the metrics; the images of further ones are those of `other`. */
const maxSourceSeries = 500;

/**
 * Keeps account of everything that a service judges: history, a monitor for each source, live events, alerts. Works after
 * the answer was sent.
 * @throws {StoplineError} STATE_UNUSABLE; OPTION_INVALID where the Profile lacks the detector
 */
export async function registerWatch(
  app: FastifyInstance,
  parts: { config: Config; judge: Judge; profile: Profile | undefined; registry: Registry },
): Promise<{ store: Store; monitors: Monitors }> {
  const { config, judge, registry } = parts;
  const { falseAlarmEvery, staleAfterMs, freezeAfter, decideBy, maxSources } = config;
  const openDrift = (profile: Profile): Drift =>
    createDrift(profile, { falseAlarmEvery, staleAfterMs, freezeAfter, decideBy });
  const connect = config.redis === undefined ? undefined : await redisAt(config.redis);
  let { profile } = parts;
  let drift = profile && openDrift(profile);

  let monitors: Monitors | undefined;
  const store = await openStore({
    folder: config.stateDir,
    historyRows: config.historyRows,
    historyDays: config.historyDays,
    notify(event) {
      if (event.kind === 'degraded') app.log.error(event, 'nothing can be stored for now; images are judged still');
      else if (event.kind === 'recovered') app.log.info('what is new is stored again');
      else if (event.kind === 'quarantined')
        app.log.error(event, 'a damaged store was moved aside and a new one begun');
      else monitors?.save();
    },
  });
  app.addHook('onClose', () => store.close());

  const events = registerEvents(app, registry);
  const transitions = new Counter({
    name: 'stopline_drift_transitions_total',
    help: 'Changes of the state of a source, by the state that it came into.',
    labelNames: ['to'],
    registers: [registry],
  });
  const alerts = await createAlerts(config, {
    store,
    log: app.log,
    registry,
    profile: () => ({ name: profile?.name ?? '', sha256: profile?.sha256 ?? '' }),
    firing: () => (monitors?.summaries() ?? []).filter(({ state }) => isAlarm(state)),
  });

  function onTransition(transition: SourceTransition) {
    const { report, ...told } = transition;
    transitions.inc({ to: transition.to });
    const level = isAlarm(transition.to) ? 'warn' : 'info';
    app.log[level](told, 'drift');
    events.publish('transition', transition.source, { ...told, causes: report.causes, moved: report.moved });
    const made = alerts.listAlerts(transition);
    // After the store was given them, together with the state that they are about.
    if (made.length > 0) setImmediate(() => alerts.send(made));
    return made;
  }

  monitors = await createMonitors({ store, log: app.log, drift, staleAfterMs, maxSources, onTransition });
  const watched = monitors;
  const joinReplicas = () =>
    connect &&
    profile &&
    createReplicas({ redis: connect(), profile: profile.sha256, monitors: watched, log: app.log });
  let replicas = joinReplicas();
  if (connect) replicaSeries(registry, () => replicas);
  judge.onReplace((next) => {
    profile = next;
    drift = openDrift(next);
    watched.replace(drift);
    const before = replicas;
    replicas = joinReplicas();
    void before?.close();
  });
  const series = sourceSeries(registry, watched);
  storeSeries(registry, store);

  let judged: Judgement[] = [];
  const take = () => {
    const taken = judged;
    judged = [];
    const verdicts: PastVerdict[] = [];
    for (const judgement of taken) {
      const { verdict, source, at } = judgement;
      const row = historyRow(judgement);
      verdicts.push(row);
      series.count(source);
      events.publish('verdict', source, makeEvent(row, judgement));
      // One that was judged by a Profile that has been replaced since says nothing about this one.
      if (drift && verdict.profile.sha256 === drift.profile) {
        (replicas ?? watched).observe(source, drift.makeObservation(verdict, at));
      }
    }
    store.add({ verdicts });
  };
  judge.watch((judgement) => {
    if (judged.push(judgement) === 1) setImmediate(take);
  });

  registerDrift(app, {
    async summaries() {
      const own = watched.summaries();
      if (!replicas || replicas.isAlone) return own;
      const told = await replicas.summaries().catch(unreachable);
      const known = new Set(own.map(({ source }) => source));
      return [...own, ...told.filter(({ source }) => !known.has(source))];
    },
    async report(source) {
      const own = await watched.report(source);
      if (own || !replicas || replicas.isAlone) return own;
      const state = await replicas.state(source).catch(unreachable);
      return state && drift?.monitor(state).report();
    },
    async reset(source) {
      if (!replicas) return watched.reset(source, resetText);
      if (!replicas.watches(source) && !(await replicas.state(source).catch(unreachable))) return false;
      if (replicas.watches(source) && !watched.summary(source)) return false;
      replicas.reset(source);
      return true;
    },
    status: () => ({
      overflowed: watched.overflowed,
      ...(store.degraded !== undefined && { storeDegraded: store.degraded }),
      ...(replicas && { alone: replicas.isAlone }),
    }),
  });
  app.addHook('onClose', async () => {
    take();
    await replicas?.close();
    alerts.close();
    watched.close();
  });
  return { store, monitors: watched };
}

function unreachable(cause: unknown): never {
  throw new StoplineError(
    'STORE_UNAVAILABLE',
    'Redis, which knows of the sources of other replicas, does not answer.',
    {
      cause,
    },
  );
}

function replicaSeries(registry: Registry, replicas: () => Replicas | undefined): void {
  const alone = '1 while Redis cannot be reached and this replica watches alone.';
  gauge(registry, 'stopline_redis_alone', alone, () => (replicas()?.isAlone ? 1 : 0));
  gauge(registry, 'stopline_redis_pending', 'Images that wait for Redis.', () => replicas()?.pending ?? 0);
  const help = 'Images that the other replicas never heard of, because Redis was away for too long.';
  counter(registry, 'stopline_redis_dropped_total', help, () => replicas()?.dropped ?? 0);
}

function historyRow({ verdict, source, at, requestId }: Judgement): PastVerdict {
  const [cause] = verdict.verdict === 'pass' ? [] : (verdict.causes ?? []);
  const { sha256, bytes, width, height } = verdict.image;
  return {
    source,
    at,
    verdict: verdict.verdict,
    pValue: verdict.pValue,
    score: verdict.score,
    reason: verdict.reasons[0]?.statistic ?? null,
    cause: cause?.cause ?? null,
    causeProbability: cause?.probability ?? null,
    requestId,
    sha256,
    bytes,
    width,
    height,
    ms: verdict.timingMs.total,
    detectors: Object.fromEntries(verdict.detectors.map(({ name, pValue }) => [name, pValue])),
  };
}

/** A verdict as /events shows it: who wants more asks for it. */
function makeEvent(
  { source, at, verdict, pValue, score, cause, requestId, sha256, ms }: PastVerdict,
  judgement: Judgement,
) {
  const text = verdict === 'pass' ? undefined : judgement.verdict.reasons[0]?.text;
  return {
    source,
    at,
    verdict,
    pValue,
    score,
    ...(text && { reason: text }),
    ...(cause && { cause }),
    requestId,
    sha256,
    ms,
    profile: judgement.verdict.profile.sha256,
  };
}

/** Metrics by source, of so many sources and no more. */
function sourceSeries(registry: Registry, monitors: Monitors) {
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
    help: 'Always 1; the labels say which state a source is in. Of the same sources as stopline_source_images_total.',
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
  return {
    count(source: string) {
      if (named.size <= maxSourceSeries) named.add(source);
      images.inc({ source: named.has(source) ? source : otherSource });
    },
  };
}

function storeSeries(registry: Registry, store: Store): void {
  const degraded = '1 while nothing can be stored; images are judged still.';
  gauge(registry, 'stopline_store_degraded', degraded, () => (store.degraded === undefined ? 0 : 1));
  counter(
    registry,
    'stopline_store_dropped_total',
    'Verdicts that the history lacks because nothing could be stored.',
    () => store.dropped,
  );
  counter(
    registry,
    'stopline_store_quarantined_total',
    'Damaged stores that were moved aside.',
    () => store.quarantined,
  );
}
