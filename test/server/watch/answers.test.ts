import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import Value from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { driftReportSchema } from '../../../src/server/routes/drift.ts';
import { type Service, serve } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { jpegFrame } from '../../fixtures/camera.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';

let reference: Reference;
let folder: string;
beforeAll(async () => {
  reference = await fitReference();
  folder = await mkdtemp(join(tmpdir(), 'stopline-answers-'));
});
afterAll(async () => {
  await reference.remove();
  await rm(folder, { recursive: true });
});

function start(flags: Partial<Config> = {}): Promise<Service> {
  const own = { profile: reference.profilePath, port: 0, threads: 1, isolation: 'thread', logLevel: 'silent' as const };
  return serve(loadConfig({ env: {}, flags: { ...own, ...flags } }).config);
}

const size = { width: 320, height: 180 };

async function send({ url }: Service, source: string, image: Uint8Array): Promise<string> {
  const answer = await fetch(`${url}/inspect?source=${source}`, { method: 'POST', body: new Uint8Array(image) });
  return ((await answer.json()) as { verdict: string }).verdict;
}

interface Answered {
  trust: string & Record<string, number>;
  text: string;
  recent: object;
  sources: { source: string; text: string }[];
}

async function ask(url: string): Promise<Answered> {
  return (await fetch(url)).json() as Promise<Answered>;
}

describe('what is said of a camera', () => {
  it('that shows nothing but fog from its first image on: no, at once, everywhere', async () => {
    const received: { type: string; data: Record<string, string> }[] = [];
    const hook = createServer(async (request, response) => {
      received.push(JSON.parse((await request.toArray()).join('')));
      response.end();
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    const service = await start({ alertWebhook: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/` });
    try {
      for (let i = 0; i < 6; i++) {
        const frame = await jpegFrame(5000 + i, undefined, size);
        expect(await send(service, 'rear', await sharp(frame).blur(9).jpeg().toBuffer())).toBe('block');
      }
      await expect
        .poll(async () => (await ask(`${service.url}/drift/rear`)).recent)
        .toMatchObject({ images: 6, block: 6, level: 'blocked' });
      const report = await ask(`${service.url}/drift/rear`);
      expect([...Value.Errors(driftReportSchema, report)]).toEqual([]);
      expect(report).toMatchObject({ state: 'learning', trust: 'no', learning: { images: 6, needed: 20 } });
      expect(report.text).toMatch(/^6 of the last 6 images blocked/);
      const list = await ask(`${service.url}/drift`);
      expect(list.trust).toEqual({ yes: 0, doubtful: 0, no: 1, unknown: 0, old: 0 });
      expect(list.sources[0]).toMatchObject({ source: 'rear', trust: 'no', text: report.text });
      const metrics = await (await fetch(`${service.url}/metrics`)).text();
      for (const line of [
        'stopline_source_trust{source="rear",trust="no"} 1',
        'stopline_source_recent_blocked{source="rear"} 1',
        'stopline_sources_trusted{trust="no"} 1',
        'stopline_sources_trusted{trust="yes"} 0',
      ]) {
        expect(metrics).toContain(line);
      }
      await expect.poll(() => received.map(({ type }) => type)).toEqual(['stopline.recent.change']);
      expect(received[0].data).toMatchObject({ source: 'rear', from: 'calm', to: 'blocked' });
    } finally {
      await service.close();
      hook.close();
    }
  });

  it('in maintenance: that it is, until when, and to no receiver a word', async () => {
    const received: string[] = [];
    const hook = createServer(async (request, response) => {
      received.push(JSON.parse((await request.toArray()).join('')).subject);
      response.end();
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    const alertWebhook = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
    const maintenance = [{ sources: ['rear'], from: '2020-01-01T00:00Z', to: '2999-01-01T00:00Z', reason: 'new lens' }];
    const service = await start({ alertWebhook, maintenance, freezeAfter: 3 });
    try {
      const frame = await jpegFrame(6000, undefined, size);
      for (const source of ['rear', 'front']) for (let i = 0; i < 3; i++) await send(service, source, frame);
      await expect.poll(() => received).toEqual(['front']);
      const { sources } = await ask(`${service.url}/drift`);
      expect(sources).toMatchObject([
        { source: 'front', trust: 'no', told: { state: 'frozen' } },
        {
          source: 'rear',
          state: 'frozen',
          trust: 'no',
          told: { state: 'learning' },
          maintenance: { reason: 'new lens' },
        },
      ]);
      const report = await ask(`${service.url}/drift/rear`);
      expect([...Value.Errors(driftReportSchema, report)]).toEqual([]);
      expect(report.text).toMatch(
        /^In maintenance until 2999-.* \(new lens\): it is judged, and nobody is told\. The same/,
      );
    } finally {
      await service.close();
      hook.close();
    }
    expect(received).toEqual(['front']);
  });

  it('whose last image came before the service was away: old, from the first answer on', async () => {
    const stateDir = join(folder, 'state');
    const first = await start({ stateDir });
    for (let i = 0; i < 3; i++) await send(first, 'front', await jpegFrame(6000 + i, undefined, size));
    expect(await ask(`${first.url}/drift/front`)).toMatchObject({ trust: 'unknown', state: 'learning' });
    const sentAt = Date.now();
    await first.close();
    const staleAfterMs = 100;
    await expect.poll(() => Date.now() - sentAt).toBeGreaterThan(staleAfterMs);
    const second = await start({ stateDir, staleAfterMs });
    try {
      const { sources, trust } = await ask(`${second.url}/drift`);
      expect(sources[0]).toMatchObject({ source: 'front', trust: 'old' });
      expect(sources[0].text).toMatch(/^The last image came \d+ seconds ago; until then it was learning/);
      expect(trust).toMatchObject({ old: 1, yes: 0 });
    } finally {
      await second.close();
    }
  });
});
