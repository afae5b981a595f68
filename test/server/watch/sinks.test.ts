import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { HTTP } from 'cloudevents';
import { Webhook } from 'standardwebhooks';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import type { DriftReport } from '../../../src/drift/report.ts';
import { type Alert, type AttentionAlert, createSinks } from '../../../src/server/watch/sinks.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { closedPort } from '../../fixtures/upstream.ts';

const report = {
  causes: [{ cause: 'fog', probability: 0.8 }],
  moved: [],
  movedCount: { moved: 0, compared: 0 },
} as unknown as DriftReport;
const profile = { name: 'front camera', sha256: 'ab'.repeat(32) };
const drifted: Alert = {
  ...{ id: 'a1', source: 'front', from: 'ok', to: 'drifted', at: Date.now(), text: 'it drifted', report, profile },
} as Alert;
const blocked: AttentionAlert = {
  ...{ kind: 'attention', id: 'b1', source: 'front', from: 'calm', to: 'blocked', at: Date.now() },
  ...{ text: '9 of 10 images are blocked', profile },
} as AttentionAlert;

const open = (flags: object) => createSinks(loadConfig({ env: {}, flags: flags as never }).config);

describe('a webhook', () => {
  const secret = `whsec_${Buffer.from('a secret of 24 bytes ...').toString('base64')}`;
  const [sink] = open({ alertWebhook: 'http://127.0.0.1:1/hook', alertSecret: secret });

  it.each([drifted, blocked])('gets a CloudEvent that the package cloudevents reads: $id', (alert) => {
    const { body, headers = {} } = sink.request(alert);
    const event = HTTP.toEvent({ headers, body });
    expect(event).toMatchObject({ specversion: '1.0', id: alert.id, subject: 'front', data: { source: 'front' } });
    expect((event as unknown as { validate(): boolean }).validate()).toBe(true);
  });

  it('is signed so that the package standardwebhooks takes it, and nothing that was changed', () => {
    const { body, headers = {} } = sink.request(drifted);
    const webhook = new Webhook(secret);
    expect(webhook.verify(body, headers)).toMatchObject({ id: 'a1' });
    expect(() => webhook.verify(body.replace('front', 'rear'), headers)).toThrow();
  });
});

const folder = temporaryFolder();
const config = fileURLToPath(new URL('../../../deploy/alertmanager.yml', import.meta.url));
let running: ChildProcess | undefined;

afterAll(async () => {
  if (running?.exitCode !== null) return;
  running.kill('SIGKILL');
  await once(running, 'close');
});

/** Debian's, with the configuration of the deploy kit; undefined where it is not installed. */
async function startAlertmanager(): Promise<string | undefined> {
  const url = `127.0.0.1:${await closedPort()}`;
  const args = [
    `--config.file=${config}`,
    `--storage.path=${folder}`,
    `--web.listen-address=${url}`,
    '--cluster.listen-address=',
  ];
  const child = spawn('prometheus-alertmanager', args, { stdio: 'ignore' });
  const failed = await new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(true)).once('spawn', () => resolve(false));
  });
  if (failed) return undefined;
  running = child;
  await vi.waitFor(async () => expect((await fetch(`http://${url}/-/ready`)).ok).toBe(true), { timeout: 60_000 });
  return `http://${url}`;
}

interface Shown {
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

describe('a real Alertmanager', () => {
  it('shows alerts, groups those of one camera, and lets them resolve', async (test) => {
    const url = await startAlertmanager();
    if (url === undefined) {
      console.warn('skipped: no prometheus-alertmanager on this machine');
      return test.skip();
    }
    const [sink] = open({ alertmanager: url });
    const send = async (alert: Alert | AttentionAlert) => {
      const { body } = sink.request(alert);
      const response = await fetch(sink.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      expect(await response.text()).toBe('');
      expect(response.status).toBe(200);
    };
    const list = async (): Promise<Shown[]> => (await fetch(`${url}/api/v2/alerts`)).json() as never;
    await send(drifted);
    await send(blocked);
    await send({ ...drifted, id: 'a2', source: 'rear' });
    const shown = await list();
    expect(shown.map(({ labels }) => `${labels.alertname} ${labels.source}`).sort()).toEqual([
      'StoplineBlocked front',
      'StoplineDrift front',
      'StoplineDrift rear',
    ]);
    const [drift] = shown.filter(({ labels }) => labels.alertname === 'StoplineDrift' && labels.source === 'front');
    expect(drift).toMatchObject({
      labels: { severity: 'critical', state: 'drifted', profile: 'front camera' },
      annotations: { summary: 'front is drifted', cause: 'fog', onShift: expect.any(String) },
    });
    await vi.waitFor(async () => {
      const groups = (await (await fetch(`${url}/api/v2/alerts/groups`)).json()) as {
        labels: object;
        alerts: Shown[];
      }[];
      expect(groups.map(({ labels, alerts }) => [labels, alerts.length])).toEqual([
        [{ source: 'front' }, 2],
        [{ source: 'rear' }, 1],
      ]);
    });
    const later = Date.now();
    await send({ ...drifted, id: 'a3', from: 'drifted', to: 'ok', at: later } as Alert);
    await send({ ...blocked, id: 'b2', from: 'blocked', to: 'calm', at: later });
    await vi.waitFor(async () => expect((await list()).map(({ labels }) => labels.source)).toEqual(['rear']));
  });
});
