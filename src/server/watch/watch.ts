import { Counter, type Registry } from '@prometheus-io/client';
import type { FastifyInstance } from 'fastify';
import { createDrift, type Drift } from '../../drift/drift.ts';
import type { DriftReport } from '../../drift/report.ts';
import { type Answer, assessTrust, type Known } from '../../drift/trust.ts';
import { StoplineError } from '../../errors.ts';
import type { Profile } from '../../profile/description.ts';
import type { Config } from '../../settings.ts';
import type { Cameras } from '../cameras/cameras.ts';
import type { Judge, Judgement } from '../judge.ts';
import { registerDrift, type SourceReport, type Sources } from '../routes/drift.ts';
import { type Events, registerEvents } from '../routes/events.ts';
import type { PastVerdict, StoredAlert } from '../store/database.ts';
import { openStore, type Store, type StoreEvent } from '../store/store.ts';
import { type Alerts, createAlerts, type Firing } from './alerts.ts';
import type { Journal } from './journal.ts';
import { describeMaintained, Maintenance } from './maintenance.ts';
import {
  createMonitors,
  type Monitors,
  type SourceAttention,
  type SourceSummary,
  type SourceTransition,
} from './monitors.ts';
import { type MqttStates, openMqttStates } from './mqttstates.ts';
import { Replicas, redisAt, resetText } from './replicas.ts';
import { describeEvent, describeVerdict } from './rows.ts';
import { registerReplicaSeries, registerSourceSeries, registerStoreSeries } from './series.ts';
import { isAlarm } from './told.ts';

interface WatchOptions {
  config: Config;
  judge: Judge;
  registry: Registry;
  /** What happened is written there. */
  journal: Journal;
  /** Watched by the service itself, so they are known before an image comes. */
  cameras: Pick<Cameras, 'names' | 'describeLost'>;
}

/**
 * Keeps account of everything that a service judges: history, a monitor for each source, live events, alerts. Works after
 * the answer was sent.
 * @throws {StoplineError} STATE_UNUSABLE; OPTION_INVALID where the Profile lacks the detector
 */
export async function registerWatch(
  app: FastifyInstance,
  options: WatchOptions,
): Promise<{ store: Store; monitors: Monitors }> {
  const watch = new Watch(app, options);
  return watch.open();
}

class Watch implements Sources {
  readonly #app: FastifyInstance;
  readonly #config: Config;
  readonly #judge: Judge;
  readonly #registry: Registry;
  readonly #journal: Journal;
  readonly #cameras: WatchOptions['cameras'];
  readonly #events: Events;
  readonly #transitions: Counter<'to'>;
  readonly #maintenance: Maintenance;
  #mqtt: MqttStates | undefined;
  #drift: Drift | undefined;
  #store!: Store;
  #alerts!: Alerts;
  #monitors!: Monitors;
  #series!: ReturnType<typeof registerSourceSeries>;
  #connect: Awaited<ReturnType<typeof redisAt>> | undefined;
  #replicas: Replicas | undefined;
  #judged: Judgement[] = [];

  constructor(app: FastifyInstance, { config, judge, registry, journal, cameras }: WatchOptions) {
    this.#app = app;
    this.#config = config;
    this.#judge = judge;
    this.#registry = registry;
    this.#journal = journal;
    this.#cameras = cameras;
    this.#maintenance = new Maintenance(config.maintenance);
    this.#drift = judge.hasProfile ? this.#createDrift(judge.profile) : undefined;
    this.#events = registerEvents(app, registry);
    this.#transitions = new Counter({
      name: 'stopline_drift_transitions_total',
      help: 'Changes of the state of a source, by the state that it came into.',
      labelNames: ['to'],
      registers: [registry],
    });
  }

  async open(): Promise<{ store: Store; monitors: Monitors }> {
    const { stateDir: folder, historyRows, historyDays, redis, staleAfterMs, maxSources } = this.#config;
    const app = this.#app;
    if (redis !== undefined) this.#connect = await redisAt(redis);
    const store = await openStore({ folder, historyRows, historyDays, notify: (event) => this.#onStore(event) });
    app.addHook('onClose', () => store.close());
    this.#store = store;
    this.#alerts = await createAlerts(this.#config, {
      store,
      log: app.log,
      registry: this.#registry,
      journal: this.#journal,
      profile: () => (this.#judge.hasProfile ? this.#judge.profile : { name: '', sha256: '' }),
      firing: () => this.#listFiring(),
    });
    this.#mqtt = await openMqttStates(this.#config, {
      log: app.log,
      registry: this.#registry,
      summaries: () => (this.#monitors?.summaries() ?? []).map((summary) => ({ ...summary, ...this.assess(summary) })),
    });
    const monitors = await createMonitors({
      store,
      log: app.log,
      drift: this.#drift,
      staleAfterMs,
      maxSources,
      onTransition: (transition) => this.#onTransition(transition),
      onAttention: (attention) => this.#onAttention(attention),
      telling: {
        alertAfterMs: this.#config.alertAfterMs,
        alertRecoverMs: this.#config.alertRecoverMs,
        isMaintained: (source) => this.#maintenance.find(source, Date.now()) !== undefined,
        describe: (change) => this.#describeAlerts(change),
      },
    });
    this.#monitors = monitors;
    monitors.expect(this.#cameras.names);
    this.#replicas = this.#joinReplicas();
    this.#registerSeries();
    this.#judge.onReplace((profile) => this.#replace(profile));
    this.#judge.watch((judgement) => {
      if (this.#judged.push(judgement) === 1) setImmediate(() => this.#take());
    });
    registerDrift(app, this);
    app.addHook('onClose', () => this.#close());
    return { store, monitors };
  }

  /** Whether the classifier can be trusted on the images of a source now. */
  assess(known: Known & { source: string }): Answer {
    if (!this.#drift) return { trust: 'unknown', text: 'There is no Profile that can be used, so nothing is watched.' };
    const answer = assessTrust(known, { now: Date.now(), staleAfterMs: this.#config.staleAfterMs });
    const lost = this.#cameras.describeLost(known.source);
    const told = lost === undefined ? answer : { ...answer, text: `${answer.text} ${lost}` };
    const maintenance = this.#maintenance.find(known.source, Date.now());
    return maintenance ? describeMaintained(told, maintenance) : told;
  }

  /** The alarms that receivers know of, which may wait for their end to last. */
  #listFiring(): Firing[] {
    return (this.#monitors?.summaries() ?? []).flatMap((summary) => {
      const { told } = summary;
      if (!told || (!isAlarm(told.state) && told.blocked === undefined)) return [];
      return [{ ...summary, state: told.state, since: told.at, blocked: told.blocked }];
    });
  }

  async summaries(): Promise<SourceSummary[]> {
    const own = this.#monitors.summaries();
    if (!this.#replicas || this.#replicas.isAlone) return own;
    const told = await this.#replicas.summaries().catch(refuseUnreachable);
    const known = new Set(own.map(({ source }) => source));
    return [...own, ...told.filter(({ source }) => !known.has(source))];
  }

  async report(source: string): Promise<SourceReport | undefined> {
    const own = await this.#monitors.report(source);
    const summary = this.#monitors.summary(source);
    if (own && summary) return this.#describe(source, own, summary.lastAt);
    if (!this.#replicas || this.#replicas.isAlone) return undefined;
    const state = await this.#replicas.state(source).catch(refuseUnreachable);
    const report = state && this.#drift?.monitor(state).report();
    return report && this.#describe(source, report, report.window.to);
  }

  #describe(source: string, report: DriftReport, lastAt: number): SourceReport {
    return { ...report, lastAt, ...this.assess({ ...report, source, lastAt }) };
  }

  async reset(source: string): Promise<boolean> {
    const replicas = this.#replicas;
    if (!replicas) return this.#monitors.reset(source, resetText);
    if (!replicas.watches(source) && !(await replicas.state(source).catch(refuseUnreachable))) return false;
    if (replicas.watches(source) && !this.#monitors.summary(source)) return false;
    replicas.reset(source);
    return true;
  }

  status(): Record<string, unknown> {
    const { degraded } = this.#store;
    return {
      now: Date.now(),
      staleAfterMs: this.#config.staleAfterMs,
      overflowed: this.#monitors.overflowed,
      ...(degraded !== undefined && { storeDegraded: degraded }),
      ...(this.#replicas && { alone: this.#replicas.isAlone }),
    };
  }

  #createDrift(profile: Profile): Drift {
    const { falseAlarmEvery, staleAfterMs, freezeAfter, decideBy } = this.#config;
    return createDrift(profile, { falseAlarmEvery, staleAfterMs, freezeAfter, decideBy });
  }

  #joinReplicas(): Replicas | undefined {
    if (!this.#connect || !this.#drift) return undefined;
    const { profile } = this.#drift;
    return new Replicas({ redis: this.#connect(), profile, monitors: this.#monitors, log: this.#app.log });
  }

  #registerSeries(): void {
    if (this.#connect) registerReplicaSeries(this.#registry, () => this.#replicas);
    this.#series = registerSourceSeries(this.#registry, this.#monitors, (summary) => this.assess(summary));
    registerStoreSeries(this.#registry, this.#store);
  }

  #replace(profile: Profile): void {
    this.#drift = this.#createDrift(profile);
    this.#monitors.replace(this.#drift);
    const before = this.#replicas;
    this.#replicas = this.#joinReplicas();
    void before?.close();
  }

  #onStore(event: StoreEvent): void {
    const { log } = this.#app;
    if (event.kind === 'degraded') log.error(event, 'nothing can be stored for now; images are judged still');
    else if (event.kind === 'recovered') log.info('what is new is stored again');
    else if (event.kind === 'setAside') log.error(event, 'a damaged store was set aside and a new one begun');
    else this.#monitors?.save();
  }

  #onTransition(transition: SourceTransition): void {
    const { report, ...told } = transition;
    this.#transitions.inc({ to: transition.to });
    this.#app.log[isAlarm(transition.to) ? 'warn' : 'info'](told, 'drift');
    this.#events.publish('transition', transition.source, { ...told, causes: report.causes, moved: report.moved });
  }

  #onAttention(attention: SourceAttention): void {
    this.#app.log[attention.to === 'blocked' ? 'warn' : 'info'](attention, 'recent images');
    this.#journal.addAttention(attention);
    this.#events.publish('attention', attention.source, attention);
  }

  /** @returns the alerts that are to be stored together with the state */
  #describeAlerts(change: SourceTransition | SourceAttention): StoredAlert[] {
    const made = 'report' in change ? this.#alerts.describe(change) : this.#alerts.describeAttention(change);
    // They are sent after the store was given them, together with the state that they are about.
    if (made.length > 0) setImmediate(() => this.#alerts.send(made));
    return made;
  }

  /** Takes all images that were judged since the last time. */
  #take(): void {
    const taken = this.#judged;
    this.#judged = [];
    const verdicts: PastVerdict[] = [];
    for (const judgement of taken) {
      const { verdict, source, at, sketch } = judgement;
      const row = describeVerdict(judgement);
      verdicts.push(row);
      this.#series.count(source);
      this.#events.publish('verdict', source, describeEvent(row, judgement));
      // An image that was judged by a Profile that has been replaced since says nothing about this one.
      if (this.#drift && verdict.profile.sha256 === this.#drift.profile) {
        (this.#replicas ?? this.#monitors).observe(source, {
          ...this.#drift.makeObservation(verdict, at),
          ...(sketch && { sketch }),
        });
      }
    }
    this.#store.add({ verdicts });
  }

  async #close(): Promise<void> {
    this.#take();
    await this.#replicas?.close();
    this.#alerts.close();
    this.#monitors.close();
    await this.#mqtt?.close();
  }
}

function refuseUnreachable(cause: unknown): never {
  throw new StoplineError(
    'STORE_UNAVAILABLE',
    'Redis, which knows of the sources of other replicas, does not answer.',
    { cause },
  );
}
