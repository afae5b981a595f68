import { randomUUID } from 'node:crypto';
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { FastifyBaseLogger } from 'fastify';
import type { Config } from '../../settings.ts';
import type { StoredAlert } from '../store/database.ts';
import type { Store } from '../store/store.ts';
import type { Journal, SentAlert } from './journal.ts';
import type { SourceAttention, SourceSummary, SourceTransition } from './monitors.ts';
import {
  type Alert,
  type AttentionAlert,
  alertmanagerAlert,
  alertmanagerBlocked,
  alertmanagerUrl,
  createSinks,
  refreshMs,
  type Sink,
} from './sinks.ts';
import { isAlarm } from './told.ts';

/** Alerts that wait for one receiver; beyond it the oldest go. */
const maxPending = 1000;
const timeoutMs = 10_000;
const retryMs = { first: 1000, longest: 5 * 60_000 };
/** News of yesterday helps nobody. */
const expiresAfterMs = 24 * 60 * 60_000;
const maxPerPush = 200;

export interface AlertsOptions {
  store: Store;
  log: FastifyBaseLogger;
  registry: Registry;
  /** What becomes of each alert is written there. */
  journal: Journal;
  profile: () => { name: string; sha256: string };
  /** The alarms that receivers were told of and that are not over. */
  firing: () => Firing[];
}

/** What receivers know of one source. */
export interface Firing extends Pick<SourceSummary, 'source' | 'state' | 'since' | 'cause' | 'moved'> {
  /** In words, where most of its latest images are blocked. */
  blocked?: string | undefined;
}

/** Opens the receivers that the configuration names, and goes on with the alerts that they have not taken yet. */
export async function createAlerts(config: Config, options: AlertsOptions): Promise<Alerts> {
  const { store, log } = options;
  const left = await store.alerts().catch((error) => {
    log.error({ err: error }, 'alerts that were not delivered cannot be read');
    return [];
  });
  return new Alerts(config, options, left);
}

/**
 * Tells others of drift. Every alert is stored in the same transaction as the state it is about, and only then sent, one after
 * the other, again and again until its receiver answers 2xx: so it arrives at least once, also over kill -9. Receivers tell
 * repetitions by the id.
 */
export class Alerts {
  readonly #options: AlertsOptions;
  readonly #alertmanager: URL | undefined;
  readonly #closing = new AbortController();
  readonly #queues: Map<string, AlertQueue>;
  readonly #refreshing: NodeJS.Timeout;
  /** Resolves when all alerts so far are in their queues, in order. */
  #sending: Promise<unknown> = Promise.resolve();

  /** Use `createAlerts`. */
  constructor(config: Config, options: AlertsOptions, left: readonly StoredAlert[]) {
    this.#options = options;
    this.#alertmanager = config.alertmanager === undefined ? undefined : alertmanagerUrl(config.alertmanager);
    const { store, log, journal } = options;
    const metrics = createAlertMetrics(options.registry);
    this.#queues = new Map(
      createSinks(config).map((sink) => [
        sink.name,
        new AlertQueue({ sink, store, log, metrics, journal, closing: this.#closing.signal }),
      ]),
    );
    for (const alert of left) {
      const queue = this.#queues.get(alert.sink);
      if (queue) queue.put(alert);
      else store.add({ settled: [alert.id] }); // its receiver is no longer configured
    }
    this.#refreshing = setInterval(() => void this.#refresh(), refreshMs).unref();
  }

  /** The alerts that a transition makes: none where no alarm begins or ends. They are sent once they are stored. */
  describe(transition: SourceTransition): StoredAlert[] {
    if (!isAlarm(transition.to) && !isAlarm(transition.from)) return [];
    return [...this.#queues.keys()].map((sink): StoredAlert => {
      const alert: Alert = { ...transition, id: randomUUID(), profile: this.#options.profile() };
      return { id: alert.id, sink, at: Date.now(), body: JSON.stringify(alert) };
    });
  }

  /** The alerts of a source whose latest images begin to be blocked, or no longer are. */
  describeAttention(attention: SourceAttention): StoredAlert[] {
    return [...this.#queues.keys()].map((sink): StoredAlert => {
      const alert: AttentionAlert = {
        ...attention,
        kind: 'attention',
        id: randomUUID(),
        profile: this.#options.profile(),
      };
      return { id: alert.id, sink, at: Date.now(), body: JSON.stringify(alert) };
    });
  }

  /** To be called when what `describe` returned was handed to the store. */
  send(alerts: readonly StoredAlert[]): void {
    // Not before it is stored: a service that dies in between must not tell of something that it then forgets. Where
    // nothing can be stored, to tell is better than to wait.
    const stored = this.#options.store.flush().catch(() => undefined);
    this.#sending = Promise.all([this.#sending, stored]).then(() => {
      for (const alert of alerts) this.#queues.get(alert.sink)?.put(alert);
    });
  }

  close(): void {
    clearInterval(this.#refreshing);
    this.#closing.abort();
  }

  /** Tells Alertmanager again of what it would otherwise take for resolved. */
  async #refresh(): Promise<void> {
    if (this.#alertmanager === undefined) return;
    const { firing, profile, log } = this.#options;
    const { name } = profile();
    const alerts = firing().flatMap((summary) => [
      ...(isAlarm(summary.state) ? [alertmanagerAlert(summary, name, Date.now())] : []),
      ...describeBlocked(summary, name),
    ]);
    for (let first = 0; first < alerts.length; first += maxPerPush) {
      const body = JSON.stringify(alerts.slice(first, first + maxPerPush));
      const headers = { 'content-type': 'application/json' };
      await post(this.#alertmanager, { body, headers, closing: this.#closing.signal }).catch((error: Error) => {
        if (this.#closing.signal.aborted) return;
        log.warn({ sink: 'alertmanager', problem: error.message }, 'alerts could not be refreshed');
      });
    }
  }
}

function describeBlocked({ source, since, blocked }: Firing, profile: string) {
  return blocked === undefined ? [] : [alertmanagerBlocked({ source, startsAt: since, text: blocked }, profile)];
}

function createAlertMetrics(registry: Registry) {
  return {
    outcomes: new Counter({
      name: 'stopline_alerts_total',
      help: 'Alerts by receiver and what became of them: delivered, failed (and tried again), rejected, expired, dropped.',
      labelNames: ['sink', 'outcome'],
      registers: [registry],
    }),
    pending: new Gauge({
      name: 'stopline_alerts_pending',
      help: 'Alerts that wait for their receiver.',
      labelNames: ['sink'],
      registers: [registry],
    }),
  };
}

/** What ends an alert. */
type Settled = Exclude<SentAlert['outcome'], 'failed'>;

interface AlertQueueOptions {
  sink: Sink;
  store: Store;
  log: FastifyBaseLogger;
  metrics: ReturnType<typeof createAlertMetrics>;
  journal: Journal;
  closing: AbortSignal;
}

/** The alerts of one receiver, sent one after the other. */
class AlertQueue {
  readonly #options: AlertQueueOptions;
  readonly #pending: StoredAlert[] = [];
  #isRunning = false;
  #failures = 0;

  constructor(options: AlertQueueOptions) {
    this.#options = options;
  }

  put(alert: StoredAlert): void {
    this.#pending.push(alert);
    if (this.#pending.length > maxPending) this.#settle(this.#pending[0], 'dropped');
    this.#countPending();
    void this.#run();
  }

  #countPending(): void {
    const { metrics, sink } = this.#options;
    metrics.pending.set({ sink: sink.name }, this.#pending.length);
  }

  #settle(alert: StoredAlert, outcome: Settled, problem?: string): void {
    const { store } = this.#options;
    this.#tell(alert, outcome, problem);
    store.add({ settled: [alert.id] });
    const place = this.#pending.indexOf(alert);
    if (place >= 0) this.#pending.splice(place, 1);
    this.#countPending();
  }

  /** Counts what became of an alert, and writes it down. */
  #tell({ body }: StoredAlert, outcome: SentAlert['outcome'], problem?: string): void {
    const { metrics, sink, journal } = this.#options;
    metrics.outcomes.inc({ sink: sink.name, outcome });
    const { source, from, to, text }: Alert | AttentionAlert = JSON.parse(body);
    const told = to === 'calm' || to === 'warned' || to === 'blocked' ? text : `${from} \u2192 ${to}, ${text}`;
    journal.addAlert({ sink: sink.name, outcome, source, text: told, ...(problem !== undefined && { problem }) });
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    const { closing } = this.#options;
    while (this.#pending.length > 0 && !closing.aborted) {
      const [next] = this.#pending;
      const outcome = await this.#attempt(next);
      if (outcome !== undefined) {
        this.#failures = 0;
        this.#settle(next, outcome.settled, outcome.problem);
        continue;
      }
      const delay = Math.min(retryMs.longest, retryMs.first * 2 ** Math.min(this.#failures, 20));
      this.#failures += 1;
      // Jitter, so that many replicas do not come back to a receiver at the same moment.
      await sleep(delay * (0.5 + Math.random() / 2), closing);
    }
    this.#isRunning = false;
  }

  /** @returns what became of it; undefined where it is to be tried again */
  async #attempt(stored: StoredAlert): Promise<{ settled: Settled; problem?: string } | undefined> {
    if (Date.now() - stored.at > expiresAfterMs) return { settled: 'expired' };
    const { sink, log, closing } = this.#options;
    const { body, headers = {} } = sink.request(JSON.parse(stored.body));
    let problem: string;
    try {
      const status = await post(sink.url, {
        body,
        headers: { 'content-type': 'application/json', ...headers },
        closing,
      });
      if (status >= 200 && status < 300) return { settled: 'delivered' };
      problem = `status ${status}`;
      // It arrived and was understood to be wrong: the same again would be no better, and those behind it wait.
      if ([400, 410, 413, 415, 422].includes(status)) {
        log.error({ sink: sink.name, alert: stored.id, problem }, 'an alert was rejected');
        return { settled: 'rejected', problem };
      }
    } catch (error) {
      const { message, cause } = error as Error;
      problem = String((cause as Error | undefined)?.message ?? message);
    }
    if (closing.aborted) return undefined;
    this.#tell(stored, 'failed', problem);
    log.warn({ sink: sink.name, alert: stored.id, problem }, 'an alert could not be delivered and will be sent again');
    return undefined;
  }
}

/** @returns the status of the answer */
async function post(
  url: URL,
  options: { body: string; headers: Record<string, string>; closing: AbortSignal },
): Promise<number> {
  const { body, headers, closing } = options;
  const target = new URL(url);
  const { username, password } = target;
  target.username = '';
  target.password = '';
  const basic = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  const response = await fetch(target, {
    method: 'POST',
    body,
    headers: { ...headers, ...(username && { authorization: `Basic ${basic}` }) },
    redirect: 'manual',
    signal: AbortSignal.any([closing, AbortSignal.timeout(timeoutMs)]),
  });
  await response.body?.cancel();
  return response.status;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const stop = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', stop, { once: true });
  });
}
