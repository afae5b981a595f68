import { createHmac, randomUUID } from 'node:crypto';
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { FastifyBaseLogger } from 'fastify';
import type { Config } from '../../settings.ts';
import type { StoredAlert } from '../store/database.ts';
import type { Store } from '../store/store.ts';
import { isAlarm, type SourceSummary, type SourceTransition } from './monitors.ts';

/** What a receiver is told; stored until it has taken it. */
export interface Alert extends SourceTransition {
  /** Stays the same however often it is sent. */
  id: string;
  profile: { name: string; sha256: string };
}

/** One kind of receiver: how an alert looks to it. */
interface Sink {
  name: string;
  url: URL;
  request(alert: Alert): { body: string; headers?: Record<string, string> };
}

/** Alerts that wait for one receiver; beyond it the oldest go. */
const maxPending = 1000;
const timeoutMs = 10_000;
const retryMs = { first: 1000, longest: 5 * 60_000 };
/** News of yesterday helps nobody. */
const expiresAfterMs = 24 * 60 * 60_000;
/** Alertmanager takes an alert for resolved when it is not told again; Prometheus tells every minute, for four. */
const refreshMs = 60_000;
const refreshesToResolve = 4;
const maxPerPush = 200;

export interface Alerts {
  /** The alerts that a transition makes: none where no alarm begins or ends. They are sent once they are stored. */
  listAlerts(transition: SourceTransition): StoredAlert[];
  /** To call when what `of` returned was handed to the store. */
  send(alerts: readonly StoredAlert[]): void;
  close(): void;
}

/**
 * Tells others of drift. Every alert is stored in the same transaction as the state it is about, and only then sent, one after
 * the other, again and again until its receiver answers 2xx: so it arrives at least once, also over kill -9. Receivers tell
 * repetitions by the id.
 *
 * @param firing the sources that are in an alarming state now
 */
export async function createAlerts(
  config: Config,
  parts: {
    store: Store;
    log: FastifyBaseLogger;
    registry: Registry;
    profile: () => { name: string; sha256: string };
    firing: () => SourceSummary[];
  },
): Promise<Alerts> {
  const { store, log, registry, profile, firing } = parts;
  const sinks = createSinks(config);
  const closing = new AbortController();
  const outcomes = new Counter({
    name: 'stopline_alerts_total',
    help: 'Alerts by receiver and what became of them: delivered, failed (and tried again), rejected, expired, dropped.',
    labelNames: ['sink', 'outcome'],
    registers: [registry],
  });
  const pendings = new Gauge({
    name: 'stopline_alerts_pending',
    help: 'Alerts that wait for their receiver.',
    labelNames: ['sink'],
    registers: [registry],
  });

  const post = async (url: URL, body: string, headers: Record<string, string>) => {
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
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(timeoutMs)]),
    });
    await response.body?.cancel();
    return response.status;
  };

  function createQueue(sink: Sink) {
    const { name } = sink;
    const pending: StoredAlert[] = [];
    let isRunning = false;
    let failures = 0;

    const settle = (alert: StoredAlert, outcome: string) => {
      outcomes.inc({ sink: name, outcome });
      store.add({ settled: [alert.id] });
      const place = pending.indexOf(alert);
      if (place >= 0) pending.splice(place, 1);
      pendings.set({ sink: name }, pending.length);
    };

    /** @returns what became of it; undefined: try again */
    const attempt = async (stored: StoredAlert): Promise<string | undefined> => {
      if (Date.now() - stored.at > expiresAfterMs) return 'expired';
      const { body, headers = {} } = sink.request(JSON.parse(stored.body));
      let problem: string;
      try {
        const status = await post(sink.url, body, { 'content-type': 'application/json', ...headers });
        if (status >= 200 && status < 300) return 'delivered';
        problem = `status ${status}`;
        // It arrived and was understood to be wrong: the same again would be no better, and those behind it wait.
        if ([400, 410, 413, 415, 422].includes(status)) {
          log.error({ sink: name, alert: stored.id, problem }, 'an alert was rejected');
          return 'rejected';
        }
      } catch (error) {
        const { message, cause } = error as Error;
        problem = String((cause as Error | undefined)?.message ?? message);
      }
      if (closing.signal.aborted) return undefined;
      outcomes.inc({ sink: name, outcome: 'failed' });
      log.warn({ sink: name, alert: stored.id, problem }, 'an alert could not be delivered and will be sent again');
      return undefined;
    };

    const run = async () => {
      if (isRunning) return;
      isRunning = true;
      while (pending.length > 0 && !closing.signal.aborted) {
        const [next] = pending;
        const outcome = await attempt(next);
        if (outcome !== undefined) {
          failures = 0;
          settle(next, outcome);
          continue;
        }
        const delay = Math.min(retryMs.longest, retryMs.first * 2 ** Math.min(failures, 20));
        failures += 1;
        // Jitter, so that many replicas do not come back to a receiver at the same moment.
        await sleep(delay * (0.5 + Math.random() / 2), closing.signal);
      }
      isRunning = false;
    };

    return (alert: StoredAlert) => {
      pending.push(alert);
      if (pending.length > maxPending) settle(pending[0], 'dropped');
      pendings.set({ sink: name }, pending.length);
      void run();
    };
  }

  const queues = new Map(sinks.map((sink) => [sink.name, createQueue(sink)]));
  const left = await store.alerts().catch((error) => {
    log.error({ err: error }, 'alerts that were not delivered cannot be read');
    return [];
  });
  for (const alert of left) {
    const queue = queues.get(alert.sink);
    if (queue) queue(alert);
    else store.add({ settled: [alert.id] }); // its receiver is no longer configured
  }

  /** Resolves when all alerts so far are in their queues, in order. */
  let sending: Promise<unknown> = Promise.resolve();

  const { alertmanager } = config;
  const refresh = setInterval(async () => {
    if (alertmanager === undefined) return;
    const alerts = firing().map((summary) => alertmanagerAlert(summary, profile().name, Date.now()));
    for (let first = 0; first < alerts.length; first += maxPerPush) {
      const body = JSON.stringify(alerts.slice(first, first + maxPerPush));
      const headers = { 'content-type': 'application/json' };
      await post(alertmanagerUrl(alertmanager), body, headers).catch((error: Error) => {
        if (!closing.signal.aborted)
          log.warn({ sink: 'alertmanager', problem: error.message }, 'alerts could not be refreshed');
      });
    }
  }, refreshMs).unref();

  return {
    listAlerts(transition) {
      if (!isAlarm(transition.to) && !isAlarm(transition.from)) return [];
      return sinks.map(({ name }): StoredAlert => {
        const alert: Alert = { ...transition, id: randomUUID(), profile: profile() };
        return { id: alert.id, sink: name, at: Date.now(), body: JSON.stringify(alert) };
      });
    },
    send(alerts) {
      // Not before it is stored: a service that dies in between must not tell of something that it then forgets. Where
      // nothing can be stored, to tell is better than to wait.
      const stored = store.flush().catch(() => undefined);
      sending = Promise.all([sending, stored]).then(() => {
        for (const alert of alerts) queues.get(alert.sink)?.(alert);
      });
    },
    close() {
      clearInterval(refresh);
      closing.abort();
    },
  };
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

function createSinks({ alertWebhook, alertSecret, alertSlack, alertmanager }: Config): Sink[] {
  const sinks: Sink[] = [];
  if (alertWebhook !== undefined) {
    sinks.push({
      name: 'webhook',
      url: new URL(alertWebhook),
      request(alert) {
        const body = JSON.stringify(cloudEvent(alert));
        return {
          body,
          headers: { 'content-type': 'application/cloudevents+json', ...signature(alert.id, body, alertSecret) },
        };
      },
    });
  }
  if (alertSlack !== undefined) {
    const request = (alert: Alert) => ({ body: JSON.stringify({ text: slackText(alert) }) });
    sinks.push({ name: 'slack', url: new URL(alertSlack), request });
  }
  if (alertmanager !== undefined) {
    const request = (alert: Alert) => ({ body: JSON.stringify(alertmanagerChange(alert)) });
    sinks.push({ name: 'alertmanager', url: alertmanagerUrl(alertmanager), request });
  }
  return sinks;
}

/** CloudEvents 1.0 in structured JSON: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md */
export function cloudEvent({ id, source, profile, at, ...data }: Alert) {
  return {
    specversion: '1.0',
    id,
    type: 'stopline.drift.transition',
    source: `/stopline/profiles/${profile.sha256}`,
    subject: source,
    time: new Date(at).toISOString(),
    datacontenttype: 'application/json',
    data: { source, profile, at, ...data },
  };
}

/**
 * Headers of the Standard Webhooks specification, for which there are libraries in most languages: `webhook-signature` is
 * `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. A secret `whsec_...` is base64, any other is taken as it is.
 */
export function signature(id: string, body: string, secret?: string, at: number = Date.now()): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp };
  if (secret === undefined) return headers;
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { ...headers, 'webhook-signature': `v1,${mac}` };
}

function alertmanagerUrl(base: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/api/v2/alerts`;
  return url;
}

interface AlertmanagerAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  startsAt: string;
  endsAt: string;
}

type Told = Pick<SourceSummary, 'source' | 'state' | 'since' | 'cause' | 'moved'>;

/** Labels name an alert for Alertmanager, so they hold nothing that changes while it fires. */
function alertmanagerAlert(told: Told, profile: string, at: number, isOver = false): AlertmanagerAlert {
  const { source, state, since, cause, moved } = told;
  const names = moved.map(({ statistic, direction }) => `${statistic} (${direction})`);
  return {
    labels: {
      alertname: 'StoplineDrift',
      source,
      state,
      profile,
      severity: state === 'stale' ? 'warning' : 'critical',
    },
    annotations: {
      summary: `${source} is ${state}`,
      ...(cause !== undefined && { cause }),
      ...(names.length > 0 && { moved: names.join(', ') }),
    },
    startsAt: new Date(since).toISOString(),
    endsAt: new Date(isOver ? at : at + refreshesToResolve * refreshMs).toISOString(),
  };
}

/** The alarm that ends and the one that begins; either may be absent. */
export function alertmanagerChange({ source, from, to, at, report, profile }: Alert): AlertmanagerAlert[] {
  const told = { source, since: at, cause: report.causes[0]?.cause, moved: report.moved.slice(0, 3) };
  return [
    ...(isAlarm(from) ? [alertmanagerAlert({ ...told, state: from }, profile.name, at, true)] : []),
    ...(isAlarm(to) ? [alertmanagerAlert({ ...told, state: to }, profile.name, Date.now())] : []),
  ];
}

function slackText({ source, from, to, text, report, profile }: Alert): string {
  const [cause] = report.causes;
  const moved = report.moved.slice(0, 3).map(({ statistic, direction }) => `${statistic} (${direction})`);
  const parts = [
    `*${source}* is *${to}* (was ${from}): ${text}.`,
    ...(isAlarm(to) && cause ? [`Probably ${cause.cause}.`] : []),
    ...(isAlarm(to) && moved.length > 0 ? [`Moved most: ${moved.join(', ')}.`] : []),
    `Profile ${profile.name}.`,
  ];
  // The three characters that Slack asks to be escaped.
  return parts.join(' ').replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
