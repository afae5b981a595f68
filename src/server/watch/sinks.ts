import { createHmac } from 'node:crypto';
import { listLeads, tellMoved } from '../../drift/report.ts';
import { adviseOn } from '../../profile/likelycause.ts';
import type { Config } from '../../settings.ts';
import type { SourceAttention, SourceSummary, SourceTransition } from './monitors.ts';
import { isAlarm } from './told.ts';

/** What a receiver is told; stored until it has taken it. */
export interface Alert extends SourceTransition {
  /** Stays the same however often it is sent. */
  id: string;
  profile: { name: string; sha256: string };
}

/** What a receiver is told of a source whose latest images begin to be blocked, or no longer are. */
export interface AttentionAlert extends SourceAttention {
  kind: 'attention';
  id: string;
  profile: { name: string; sha256: string };
}

/** One kind of receiver: how an alert looks to it. */
export interface Sink {
  name: string;
  url: URL;
  request(alert: Alert | AttentionAlert): { body: string; headers?: Record<string, string> };
}

/** Alertmanager takes an alert for resolved when it is not told again; Prometheus tells every minute, for four. */
export const refreshMs = 60_000;
const refreshesToResolve = 4;
/** Things that moved, of which a receiver is told. */
const maxMoved = 3;

/** The receivers that the configuration names. */
export function createSinks({ alertWebhook, alertSecret, alertSlack, alertmanager }: Config): Sink[] {
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
    const request = (alert: Alert | AttentionAlert) => ({ body: JSON.stringify({ text: slackText(alert) }) });
    sinks.push({ name: 'slack', url: new URL(alertSlack), request });
  }
  if (alertmanager !== undefined) {
    const request = (alert: Alert | AttentionAlert) => ({ body: JSON.stringify(alertmanagerChange(alert)) });
    sinks.push({ name: 'alertmanager', url: alertmanagerUrl(alertmanager), request });
  }
  return sinks;
}

function isAttention(alert: Alert | AttentionAlert): alert is AttentionAlert {
  return 'kind' in alert && alert.kind === 'attention';
}

/** CloudEvents 1.0 in structured JSON: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md */
function cloudEvent(alert: Alert | AttentionAlert) {
  const { id, source, profile, at, ...data } = alert;
  const cause = isAttention(alert) || !isAlarm(alert.to) ? undefined : alert.report.causes[0]?.cause;
  const advice = cause === undefined ? undefined : adviseOn(cause);
  return {
    specversion: '1.0',
    id,
    type: isAttention(alert) ? 'stopline.recent.change' : 'stopline.drift.transition',
    source: `/stopline/profiles/${profile.sha256}`,
    subject: source,
    time: new Date(at).toISOString(),
    datacontenttype: 'application/json',
    data: { source, profile, at, ...data, ...(advice && { advice }) },
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

export function alertmanagerUrl(base: string): URL {
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
export function alertmanagerAlert(told: Told, profile: string, at: number, isOver = false): AlertmanagerAlert {
  const { source, state, since, cause, moved } = told;
  const names = tellMoved(moved);
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
      ...(cause !== undefined && { cause, ...adviseOn(cause) }),
      ...(names.length > 0 && { moved: names.join(', ') }),
    },
    startsAt: new Date(since).toISOString(),
    endsAt: new Date(isOver ? at : at + refreshesToResolve * refreshMs).toISOString(),
  };
}

/** The alert of a source whose latest images are blocked. */
export function alertmanagerBlocked(
  told: { source: string; startsAt: number; text: string },
  profile: string,
  endsAt = Date.now() + refreshesToResolve * refreshMs,
): AlertmanagerAlert {
  const { source, startsAt, text } = told;
  return {
    labels: { alertname: 'StoplineBlocked', source, profile, severity: 'critical' },
    annotations: { summary: `${source}: ${text}` },
    startsAt: new Date(startsAt).toISOString(),
    endsAt: new Date(endsAt).toISOString(),
  };
}

/** The alarm that ends and the one that begins; either may be absent. */
function alertmanagerChange(alert: Alert | AttentionAlert): AlertmanagerAlert[] {
  if (isAttention(alert)) {
    const { source, to, at, text, profile } = alert;
    return [alertmanagerBlocked({ source, startsAt: at, text }, profile.name, to === 'blocked' ? undefined : at)];
  }
  const { source, from, to, at, report, profile } = alert;
  const told = { source, since: at, cause: report.causes[0]?.cause, moved: listLeads(report.moved).slice(0, maxMoved) };
  return [
    ...(isAlarm(from) ? [alertmanagerAlert({ ...told, state: from }, profile.name, at, true)] : []),
    ...(isAlarm(to) ? [alertmanagerAlert({ ...told, state: to }, profile.name, Date.now())] : []),
  ];
}

function slackText(alert: Alert | AttentionAlert): string {
  if (isAttention(alert)) {
    const { source, to, text, profile } = alert;
    const state = to === 'blocked' ? 'Most images are blocked' : 'Images are no longer mostly blocked';
    return escapeSlack(`*${source}*: ${state}: ${text}. Profile ${profile.name}.`);
  }
  const { source, from, to, text, report, profile } = alert;
  const [cause] = report.causes;
  const moved = tellMoved(report.moved).slice(0, maxMoved);
  const parts = [
    `*${source}* is *${to}* (was ${from}): ${text}.`,
    ...(isAlarm(to) && cause ? [`Probably ${cause.cause}.`, ...adviseBoth(cause.cause)] : []),
    ...(isAlarm(to) && moved.length > 0 ? [`Moved most: ${moved.join(', ')}.`] : []),
    `Profile ${profile.name}.`,
  ];
  return escapeSlack(parts.join(' '));
}

function adviseBoth(cause: string): string[] {
  const advice = adviseOn(cause);
  return advice ? [`On shift: ${advice.onShift}`, `Data scientist: ${advice.dataScientist}`] : [];
}

/** Escapes the three characters that Slack asks for. */
function escapeSlack(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
