import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from '@prometheus-io/client';
import { fastify } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import type { DriftReport } from '../../../src/drift/report.ts';
import { englishAdvice } from '../../../src/profile/advice.ts';
import { openStore, type Store } from '../../../src/server/store/store.ts';
import { type Alerts, createAlerts } from '../../../src/server/watch/alerts.ts';
import { Journal } from '../../../src/server/watch/journal.ts';
import type { SourceTransition } from '../../../src/server/watch/monitors.ts';
import { signature } from '../../../src/server/watch/sinks.ts';
import type { Config } from '../../../src/settings.ts';

interface Received {
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
  at: number;
}

/** A receiver on the loopback address that answers as it is told to; `hang`: never. */
async function receiver(answers: (number | 'hang' | 'reset')[]) {
  const received: Received[] = [];
  const server: Server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    received.push({ url: String(request.url), headers: request.headers, body, at: Date.now() });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer === 'reset') request.socket.destroy();
    else if (typeof answer === 'number') response.writeHead(answer).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

const servers: Server[] = [];
const open: { store: Store; alerts: Alerts }[] = [];
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'stopline-alerts-'));
});
afterEach(async () => {
  for (const { store, alerts } of open.splice(0)) {
    alerts.close();
    await store.close();
  }
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
afterAll(() => rm(root, { recursive: true }));

async function start(flags: Partial<Config>, folder?: string) {
  const store = await openStore({ folder, historyRows: 10, historyDays: 1 });
  const { config } = loadConfig({ env: {}, flags });
  const registry = new Registry();
  const journal = new Journal();
  const alerts = await createAlerts(config, {
    store,
    journal,
    log: fastify().log,
    registry,
    profile: () => ({ name: 'front camera', sha256: 'f00d' }),
    firing: () => [
      {
        source: 'rear',
        state: 'stale',
        since: at,
        moved: [],
      },
      {
        source: 'side',
        state: 'learning',
        since: at,
        moved: [],
        blocked: '25 of the last 25 images blocked, likely fog',
      },
    ],
  });
  const parts = { store, alerts };
  open.push(parts);
  return {
    ...parts,
    journal,
    /** What a monitor does when its state changes. */
    async tell(transition: SourceTransition) {
      const made = alerts.describe(transition);
      store.add({ alerts: made });
      alerts.send(made);
      return made;
    },
    async outcomes(sink: string): Promise<Record<string, number>> {
      const text = await registry.metrics();
      const found = text.matchAll(
        new RegExp(`^stopline_alerts_total\\{sink="${sink}",outcome="(\\w+)"\\} (\\d+)`, 'gm'),
      );
      return Object.fromEntries([...found].map(([, outcome, count]) => [outcome, Number(count)]));
    },
  };
}

const at = Date.UTC(2026, 10, 25, 12);

function makeTransition(from: SourceTransition['from'], to: SourceTransition['to']): SourceTransition {
  const move = { direction: 'low', size: 2.5, pValue: 0.001 };
  const moved = [
    { statistic: 'blockSharpness', group: 'blurred', text: 'blurrier than the reference', ...move },
    { statistic: 'tenengrad', group: 'blurred', text: 'blurrier than the reference', ...move },
  ];
  const report = { state: to, moved, causes: [{ cause: 'fog', probability: 0.9 }] } as unknown as DriftReport;
  return { source: 'front', from, to, at, images: 120, evidence: 1.5, text: 'images are <stranger>', report };
}

describe('alerts', () => {
  it('are made when an alarm begins or ends, and not in between', async () => {
    const { url } = await receiver([200]);
    const { alerts } = await start({ alertWebhook: url, alertSlack: url, alertmanager: url });
    for (const [from, to, count] of [
      ['learning', 'ok', 0],
      ['ok', 'suspect', 0],
      ['suspect', 'drifted', 3],
      ['drifted', 'frozen', 3],
      ['frozen', 'drifted', 3],
      ['drifted', 'recovered', 3],
      ['recovered', 'ok', 0],
      ['ok', 'stale', 3],
      ['stale', 'ok', 3],
    ] as const) {
      expect(alerts.describe(makeTransition(from, to)), `${from} to ${to}`).toHaveLength(count);
    }
  });

  it('reach a webhook as signed CloudEvents', async () => {
    const { url, received } = await receiver([204]);
    const secret = `whsec_${Buffer.from('a secret of 24 bytes ....').toString('base64')}`;
    const service = await start({
      alertWebhook: `${url.replace('//', '//user:p%40ss@')}/hook?to=ops`,
      alertSecret: secret,
    });
    const startedAt = Date.now();
    const [made] = await service.tell(makeTransition('suspect', 'drifted'));
    await expect.poll(() => received.length).toBe(1);
    const [{ headers, body, url: path }] = received;
    expect(path).toBe('/hook?to=ops');
    expect(headers.authorization).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
    expect(headers['content-type']).toBe('application/cloudevents+json');
    const event = JSON.parse(body);
    expect(event).toMatchObject({
      specversion: '1.0',
      id: made.id,
      type: 'stopline.drift.transition',
      source: '/stopline/profiles/f00d',
      subject: 'front',
      time: '2026-11-25T12:00:00.000Z',
      datacontenttype: 'application/json',
      data: { from: 'suspect', to: 'drifted', evidence: 1.5, report: { moved: [{ statistic: 'blockSharpness' }, {}] } },
    });
    expect(headers['webhook-id']).toBe(made.id);
    const signed = `${made.id}.${headers['webhook-timestamp']}.${body}`;
    const mac = createHmac('sha256', 'a secret of 24 bytes ....').update(signed).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${mac}`);
    expect(Number(headers['webhook-timestamp'])).toBeGreaterThanOrEqual(Math.floor(startedAt / 1000));
    expect(Number(headers['webhook-timestamp'])).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000));
    await expect.poll(() => service.outcomes('webhook')).toEqual({ delivered: 1 });
  });

  it('are signed as the example of the Standard Webhooks libraries is', () => {
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    const headers = signature('msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}', secret, 1_614_265_330_000);
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('reach an Alertmanager in its own form: the one that begins fires, the one that ends is resolved', async () => {
    const { url, received } = await receiver([200]);
    const service = await start({ alertmanager: `${url}/prefix/` });
    const startedAt = Date.now();
    await service.tell(makeTransition('suspect', 'drifted'));
    await service.tell(makeTransition('drifted', 'recovered'));
    await expect.poll(() => received.length).toBe(2);
    expect(received.map(({ url: path }) => path)).toEqual(Array(2).fill('/prefix/api/v2/alerts'));
    const [[fires], [ends]] = received.map(({ body }) => JSON.parse(body));
    expect(fires.labels).toEqual({
      alertname: 'StoplineDrift',
      source: 'front',
      state: 'drifted',
      profile: 'front camera',
      severity: 'critical',
    });
    expect(ends.labels).toEqual(fires.labels); // else Alertmanager takes it for another one
    expect(fires.annotations).toEqual({
      summary: 'front is drifted',
      cause: 'fog',
      ...englishAdvice.fog,
      moved: 'blurrier than the reference (blockSharpness)',
    });
    expect(Date.parse(fires.endsAt)).toBeGreaterThan(startedAt + 3 * 60_000);
    expect(ends.endsAt).toBe('2026-11-25T12:00:00.000Z');
  });

  it('are told to an Alertmanager every minute for as long as they fire', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const { url, received } = await receiver([200]);
      await start({ alertmanager: url });
      for (let minute = 1; minute <= 2; minute++) {
        vi.advanceTimersByTime(60_000);
        await vi.waitFor(() => expect(received).toHaveLength(minute), { timeout: 120_000 });
      }
      const [[first], [second]] = received.map(({ body }) => JSON.parse(body));
      expect(first).toMatchObject({ labels: { source: 'rear', state: 'stale' }, startsAt: '2026-11-25T12:00:00.000Z' });
      expect(second.labels).toEqual(first.labels);
      expect(second.startsAt).toBe(first.startsAt);
    } finally {
      vi.useRealTimers();
    }
  });

  it('reach Slack as text in which nothing is markup by accident', async () => {
    const { url, received } = await receiver([200]);
    const service = await start({ alertSlack: url });
    await service.tell(makeTransition('suspect', 'drifted'));
    await expect.poll(() => received.length).toBe(1);
    expect(JSON.parse(received[0].body)).toEqual({
      text:
        '*front* is *drifted* (was suspect): images are &lt;stranger&gt;. Probably fog. ' +
        `On shift: ${englishAdvice.fog.onShift} Data scientist: ${englishAdvice.fog.dataScientist} ` +
        'Moved most: blurrier than the reference (blockSharpness). ' +
        'Profile front camera.',
    });
  });

  it('are sent again, with the same id, until they are taken; one that is rejected holds up nobody', async () => {
    const { url, received } = await receiver([503, 'reset', 200, 422, 200]);
    const service = await start({ alertWebhook: url });
    const made = [];
    for (let i = 0; i < 3; i++) made.push(...(await service.tell(makeTransition('ok', 'stale'))));
    await expect.poll(() => received.length).toBe(5);
    const [first, second, third] = made.map(({ id }) => id);
    expect(received.map(({ headers }) => headers['webhook-id'])).toEqual([first, first, first, second, third]);
    expect(received[1].at - received[0].at).toBeGreaterThanOrEqual(490);
    expect(received[2].at - received[1].at).toBeGreaterThanOrEqual(990);
    await expect.poll(() => service.outcomes('webhook')).toEqual({ delivered: 2, failed: 2, rejected: 1 });
    await service.store.flush();
    expect(await service.store.alerts()).toEqual([]);
  });

  it('outlast the service while their receiver hangs, and those of a receiver that is gone do not', async () => {
    const folder = join(root, 'hang');
    const { url, received } = await receiver(['hang']);
    const first = await start({ alertWebhook: url, alertSlack: url }, folder);
    const made = await first.tell(makeTransition('suspect', 'drifted'));
    await expect.poll(() => received.length).toBe(2);
    first.alerts.close();
    await first.store.close();
    const { url: other, received: taken } = await receiver([200]);
    const second = await start({ alertWebhook: other }, folder);
    await expect.poll(() => taken.length).toBe(1);
    expect(JSON.parse(taken[0].body).id).toBe(made[0].id);
    await expect.poll(() => second.store.alerts()).toEqual([]);
  });
});
