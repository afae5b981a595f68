import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { HostList, readHostName } from '../../../src/server/http/origin.ts';
import { type Service, serve } from '../../../src/server/serve.ts';
import { browserPath, openBrowser, patience } from '../../fixtures/browser.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';

const host = '127.0.0.1';
const keys = [`admin:${'0'.repeat(64)}`];

describe('a host name', () => {
  it.each([
    ['localhost:8080', 'localhost'],
    ['LocalHost.', 'localhost'],
    ['[::1]:80', '::1'],
    ['127.0.0.1', '127.0.0.1'],
    ['a.example:99999999', undefined],
    ['a.example@127.0.0.1', undefined],
    ['127.0.0.1, a.example', undefined],
    ['', undefined],
  ])('is read from %j', (text, name) => {
    expect(readHostName(text)).toBe(name);
  });

  it.each<[string, object, boolean]>([
    ['127.0.0.1:8080', {}, true],
    ['10.1.2.3', {}, true],
    ['[::1]:8080', {}, true],
    ['localhost:8080', {}, true],
    ['stopline', {}, true],
    ['stopline.vision.svc', {}, true],
    ['attacker.example', {}, false],
    ['127.0.0.1.attacker.example', {}, false],
    ['localhost.attacker.example', {}, false],
    ['attacker.example:8080', { apiKeys: keys }, true],
    ['attacker.example', { apiKeys: keys, allowedHost: ['gate.example'] }, false],
    ['gate.example:8443', { allowedHost: ['gate.example'] }, true],
    ['other.gate.example', { allowedHost: ['gate.example'] }, false],
    ['attacker.example', { allowedHost: ['*'] }, true],
    ['no host at all', { allowedHost: ['gate.example'] }, false],
  ])('%s is answered for with %j: %s', (name, config, isAnswered) => {
    expect(new HostList({ host, ...config }).includes(name)).toBe(isAnswered);
  });
});

let reference: Reference;
let folder: string;
let service: Service;
let evil: Server;

beforeAll(async () => {
  reference = await fitReference();
  folder = await mkdtemp(join(tmpdir(), 'stopline-origin-'));
  const flags = {
    profile: reference.profilePath,
    quarantine: join(folder, 'kept'),
    port: 0,
    threads: 1,
    isolation: 'thread',
    logLevel: 'silent' as const,
    freezeAfter: 2,
  };
  service = await serve(loadConfig({ env: {}, flags }).config);
  evil = createServer((_request, response) => response.end('<!doctype html><title>page of another site</title>'));
  await new Promise<void>((resolve) => evil.listen(0, host, resolve));
});
afterAll(async () => {
  await service?.close();
  evil?.close();
  await reference.remove();
  await rm(folder, { recursive: true });
});

/** Something that a page could do harm to: a source and a stopped image. */
async function fill(): Promise<string> {
  const blurred = await sharp(reference.frame).blur(9).jpeg().toBuffer();
  const answer = await fetch(`${service.url}/inspect?source=front`, { method: 'POST', body: new Uint8Array(blurred) });
  const { image, verdict } = (await answer.json()) as { image: { sha256: string }; verdict: string };
  expect(verdict).not.toBe('pass');
  await expect.poll(async () => (await fetch(`${service.url}/quarantine/${image.sha256}`)).status).toBe(200);
  return image.sha256;
}

describe('a service without keys', () => {
  it('tells programs and its own pages from those of other sites, by all that a browser may say', async () => {
    const id = await fill();
    const { port } = new URL(service.url);
    const ask = async (method: string, path: string, headers: Record<string, string>) => {
      const { request } = await import('node:http');
      return new Promise<string>((resolve, reject) => {
        const sent = request({ host, port, method, path, headers }, async (response) => {
          const text = (await response.toArray()).join('');
          const code = /STOPLINE_ERR_(\w+)/.exec(text)?.[1];
          resolve(`${response.statusCode}${code ? ` ${code}` : ''}`);
        });
        sent.on('error', reject).end();
      });
    };
    // A target with a host of its own, as for a proxy.
    expect(await ask('GET', 'http://attacker.example/drift', {})).toBe('421 HOST_UNKNOWN');
    expect(await ask('GET', 'http://localhost/drift', { host: 'attacker.example' })).toBe('421 HOST_UNKNOWN');
    const token = 'a-token-of-twenty-letters';
    const cookie = `stopline-token=${token}`;
    const changes = [
      ['POST', '/drift/front/reset'],
      ['POST', '/profile/reload'],
      ['PUT', `/quarantine/${id}/accepted`],
      ['DELETE', `/quarantine/${id}/accepted`],
    ] as const;
    for (const [method, path] of [...changes, ['POST', '/inspect'], ['POST', '/explain']] as const) {
      for (const headers of [
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
        { origin: 'http://attacker.example' },
        { origin: 'null' },
        { origin: `http://${host}:1` },
        { 'sec-fetch-site': 'cross-site', cookie, 'x-stopline-token': token },
      ]) {
        expect(await ask(method, path, headers as never), `${method} ${path} ${JSON.stringify(headers)}`).toBe(
          '403 SITE_FOREIGN',
        );
      }
      expect(await ask(method, path, { host: 'attacker.example' }), path).toBe('421 HOST_UNKNOWN');
    }
    const own = { 'sec-fetch-site': 'same-origin', origin: service.url };
    for (const [method, path] of changes) {
      expect(await ask(method, path, own), path).toBe('403 SITE_FOREIGN');
      expect(await ask(method, path, { ...own, 'x-stopline-token': token }), path).toBe('403 SITE_FOREIGN');
      expect(await ask(method, path, { ...own, cookie, 'x-stopline-token': `${token}x` }), path).toBe(
        '403 SITE_FOREIGN',
      );
      expect(await ask(method, path, { ...own, cookie, 'x-stopline-token': token }), path).toMatch(/^20\d$/);
      expect(await ask(method, path, {}), path).toMatch(/^20\d$/);
    }
    for (const path of ['/', '/drift', '/quarantine', `/quarantine/${id}/image`, '/events', '/docs/json']) {
      expect(await ask('GET', path, { host: 'attacker.example' }), path).toBe('421 HOST_UNKNOWN');
      expect(await ask('GET', path, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }), path).toBe(
        '403 SITE_FOREIGN',
      );
    }
    // A link may stand anywhere, and a load balancer asks by whatever name it knows.
    expect(await ask('GET', '/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).toBe('200');
    expect(await ask('GET', '/health/live', { host: 'attacker.example' })).toBe('200');
  });

  it.skipIf(!browserPath)(
    'is closed to a page of another site, and to one whose name points here, in a browser',
    async () => {
      const id = await fill();
      const { port: ours } = new URL(service.url);
      const { port: theirs } = evil.address() as AddressInfo;
      const attack = async (page: import('playwright-core').Page, to: string) => {
        const script = `(async () => {
        const ask = (method, path, mode) =>
          fetch(${JSON.stringify(to)} + path, { method, mode, body: method === 'POST' ? 'x' : undefined })
            .then(async (answer) => answer.status + ' ' + (await answer.text()).slice(0, 200), () => 'refused');
        return [
          await ask('GET', '/quarantine', 'cors'),
          await ask('GET', '/quarantine/${id}/image', 'cors'),
          await ask('POST', '/drift/front/reset', 'no-cors'),
          await ask('POST', '/inspect?source=planted', 'no-cors'),
          await ask('DELETE', '/quarantine/${id}', 'cors'),
          await new Promise((done) => {
            const image = new Image();
            image.onload = () => done('shown');
            image.onerror = () => done('refused');
            image.src = ${JSON.stringify(to)} + '/quarantine/${id}/thumbnail';
          }),
        ];
      })()`;
        return (await page.evaluate(script)) as string[];
      };
      const browser = await openBrowser();
      try {
        const page = await browser.newPage();
        page.setDefaultTimeout(patience);
        await page.goto(`http://${host}:${theirs}/`);
        const seen = await attack(page, service.url);
        expect(seen.join('\n')).not.toMatch(new RegExp(`^200|${id}|shown`, 'm'));
        // A page of ours does the same: the dashboard has its token.
        await page.goto(service.url);
        const answer = await page.evaluate(`fetch('/drift/front/reset', { method: 'POST',
        headers: { 'x-stopline-token': /stopline-token=([^;]+)/.exec(document.cookie)[1] } }).then(({ status }) => status)`);
        expect(answer).toBe(200);
      } finally {
        await browser.close();
      }
      // The name of the other site points here now, as with DNS rebinding: its page and this service are one origin.
      const rebound = await chromium.launch({
        executablePath: browserPath as string,
        args: ['--no-sandbox', `--host-resolver-rules=MAP attacker.example ${host}`],
      });
      try {
        // Its page would not have the policy of ours.
        const page = await (await rebound.newContext({ bypassCSP: true })).newPage();
        page.setDefaultTimeout(patience);
        await page.goto(`http://attacker.example:${ours}/`);
        const seen = await attack(page, '');
        expect(seen.slice(0, 5).map((text) => text.slice(0, 4))).toEqual(Array(5).fill('421 '));
        expect(seen[5]).toBe('refused');
      } finally {
        await rebound.close();
      }
      expect((await fetch(`${service.url}/quarantine/${id}`)).status).toBe(200);
      const { sources } = (await (await fetch(`${service.url}/drift`)).json()) as { sources: { source: string }[] };
      expect(sources.map(({ source }) => source)).toEqual(['front']);
    },
  );
});
