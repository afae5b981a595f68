import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { get } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { createPool, type Pool } from '../../../src/run/pool.ts';
import { buildApp } from '../../../src/server/app.ts';
import { checkOpenness } from '../../../src/server/http/access.ts';
import { Judge } from '../../../src/server/judge.ts';
import { serve } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { readError, runHere, startService } from '../../fixtures/cli.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';
import { head, openConnection } from '../../fixtures/socket.ts';

const secrets = { inspect: 'stopline_inspect-key', read: 'stopline_read-key', admin: 'stopline_admin-key' };
const makeSetting = (scopes: string, key: string) => `${scopes}:${createHash('sha256').update(key).digest('hex')}`;
const apiKeys = Object.entries(secrets).map(([scope, key]) => makeSetting(scope, key));

let reference: Reference;
let pool: Pool;
const folder = temporaryFolder();

function makeConfig(flags: Partial<Config> = {}): Config {
  return loadConfig({ env: {}, flags: { logLevel: 'silent', port: 0, threads: 1, ...flags } }).config;
}

beforeAll(async () => {
  reference = await fitReference();
  pool = await createPool({ profile: reference.profilePath, threads: 1 });
  await pool.ready();
});
afterAll(async () => {
  await pool.close();
  await reference.remove();
});

describe('checkOpenness', () => {
  it.each(['127.0.0.1', '127.8.9.10', '::1', 'localhost'])('lets anybody in on %s', (host) => {
    expect(() => checkOpenness(makeConfig({ host }))).not.toThrow();
  });

  it.each(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '::ffff:10.0.0.1', 'example.org', 'localhost.example.org'])(
    'refuses to be open on %s, and says what to do',
    (host) => {
      expect(() => checkOpenness(makeConfig({ host }))).toThrow(
        expect.objectContaining({
          code: 'STOPLINE_ERR_RUNTIME_UNSAFE',
          message: expect.stringContaining('stopline key'),
        }),
      );
      expect(() => checkOpenness(makeConfig({ host, apiKeys }))).not.toThrow();
      expect(() => checkOpenness(makeConfig({ host, allowAnonymous: true }))).not.toThrow();
    },
  );
});

describe('API keys', () => {
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  const basic = (key: string) => ({ authorization: `Basic ${Buffer.from(`anybody:${key}`).toString('base64')}` });
  const own = (key: string) => ({ 'x-stopline-key': key });

  it('let each scope to its routes, admin to all, and nobody else', async () => {
    const app = await buildApp(makeConfig({ apiKeys }), new Judge({ pool, profile: reference.profile }));
    // A route that changes something and says nothing of scopes.
    app.post('/change', { schema: { hide: true } }, async () => 'changed');
    const ask = (method: 'GET' | 'POST', url: string, headers: Record<string, string>) =>
      app.inject({
        method,
        url,
        headers: { 'content-type': 'image/jpeg', ...headers },
        ...(method === 'POST' && { payload: Buffer.from(reference.frame) }),
      });
    const expected = {
      'POST /inspect': { inspect: 200, read: 403, admin: 200 },
      'GET /profile': { inspect: 403, read: 200, admin: 200 },
      'GET /metrics': { inspect: 403, read: 200, admin: 200 },
      'GET /docs/json': { inspect: 403, read: 200, admin: 200 },
      'GET /nowhere': { inspect: 403, read: 404, admin: 404 },
      'POST /change': { inspect: 403, read: 403, admin: 200 },
    };
    for (const [route, answers] of Object.entries(expected)) {
      const [method, url] = route.split(' ') as ['GET' | 'POST', string];
      for (const [scope, status] of Object.entries(answers)) {
        for (const carry of [bearer, basic, own]) {
          const response = await ask(method, url, carry(secrets[scope as keyof typeof secrets]));
          expect(response.statusCode, `${route} as ${scope}`).toBe(status);
          if (status === 403) expect(response.json().error.code).toBe('STOPLINE_ERR_KEY_SCOPE');
        }
      }
      for (const headers of [
        {},
        bearer(`${secrets.admin}x`),
        bearer(secrets.admin.slice(0, -1)),
        bearer(apiKeys[2]),
        bearer('x'.repeat(10_000)),
        { authorization: secrets.admin },
        { authorization: 'Basic !!!' },
        { authorization: 'Digest username="a"' },
        own(''),
      ]) {
        const response = await ask(method, url, headers as Record<string, string>);
        expect(response.statusCode, `${route} ${JSON.stringify(headers).slice(0, 80)}`).toBe(401);
        expect(response.json().error.code).toBe('STOPLINE_ERR_KEY_MISSING');
        expect(response.headers['www-authenticate']).toContain('Basic');
      }
    }
    expect((await app.inject('/health/live')).statusCode).toBe(200);
    expect((await app.inject('/health/ready')).statusCode).toBe(200);
    // What a browser sends by itself when the page of another site tells it to.
    const forged = await ask('POST', '/change', { ...basic(secrets.admin), 'sec-fetch-site': 'cross-site' });
    expect(forged.statusCode).toBe(403);
    const token = 'a-token-of-twenty-letters';
    const page = { ...basic(secrets.admin), 'sec-fetch-site': 'same-origin', cookie: `stopline-token=${token}` };
    expect((await ask('POST', '/change', page)).statusCode).toBe(403);
    expect((await ask('POST', '/change', { ...page, 'x-stopline-token': token })).statusCode).toBe(200);
    await app.close();
  });

  it('are asked for before the body: a missing one is answered while 16 MiB are withheld', async () => {
    const service = await serve(makeConfig({ apiKeys, profile: reference.profilePath }));
    const connection = await openConnection(service.url);
    connection.send(head({ 'content-length': 16 * 1024 * 1024 }));
    await connection.receive(/^HTTP\/1\.1 401 .*STOPLINE_ERR_KEY_MISSING/s);
    connection.socket.destroy();
    const waiting = await openConnection(service.url);
    waiting.send(head({ 'content-length': 16 * 1024 * 1024, expect: '100-continue', 'x-stopline-key': secrets.read }));
    await waiting.receive(/^HTTP\/1\.1 403 .*STOPLINE_ERR_KEY_SCOPE/s);
    waiting.socket.destroy();
    await service.close();
  });

  it('never show in the log, the metrics, the settings or an error', async () => {
    const made = await runHere(['key', '--scopes', 'inspect,read', '--json']);
    const { key, setting } = JSON.parse(made.stdout);
    expect(setting).toBe(makeSetting('inspect+read', key));
    expect(key).toMatch(/^stopline_[\w-]{43}$/);

    const service = await startService([
      '--profile',
      reference.profilePath,
      '--threads',
      '1',
      '--log-level',
      'trace',
      '--api-keys',
      setting,
    ]);
    const seen: string[] = [];
    for (const [path, headers] of [
      ['/inspect', bearer(key)],
      ['/profile', basic(key)],
      ['/metrics', own(key)],
      [`/nowhere?key=${key}`, bearer(`${key}wrong`)],
      ['/health/ready', bearer(key)],
    ] as const) {
      const isPost = path === '/inspect';
      const response = await fetch(service.url + path, {
        method: isPost ? 'POST' : 'GET',
        headers: { 'content-type': 'image/jpeg', ...(headers as Record<string, string>) },
        ...(isPost && { body: new Uint8Array(reference.frame) }),
      });
      seen.push(`${response.status}`, await response.text());
    }
    expect(seen.filter((_, i) => i % 2 === 0)).toEqual(['200', '200', '200', '401', '200']);
    const { code, stdout, stderr } = await service.stop();
    expect(code).toBe(0);
    const config = await runHere(['serve', '--print-config', '--api-keys', setting]);
    const all = [...seen, stdout, stderr, config.stdout].join('\n');
    expect(all).toContain('/metrics');
    for (const secret of [key, setting.split(':')[1], Buffer.from(`anybody:${key}`).toString('base64')]) {
      expect(all).not.toContain(secret);
    }
  });

  it('have scopes that exist', async () => {
    const run = await runHere(['key', '--scopes', 'inspect,root', '--json']);
    expect([run.code, readError(run).message]).toEqual([
      2,
      'Expected --scopes to name inspect, read, admin but received "root".',
    ]);
  });
});

describe('one address', () => {
  it('gets 429 beyond its requests in a second', async () => {
    const app = await buildApp(makeConfig({ peerRate: 5 }), new Judge({ pool, profile: reference.profile }));
    const from = async (remoteAddress: string) => (await app.inject({ url: '/profile', remoteAddress })).statusCode;
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++) statuses.push(await from('10.0.0.1'));
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
    expect(await from('10.0.0.2')).toBe(200);
    const refused = await app.inject({ url: '/profile', remoteAddress: '10.0.0.1' });
    expect(refused.json().error.code).toBe('STOPLINE_ERR_RATE_LIMITED');
    expect(refused.headers['retry-after']).toBe('1');
    await app.close();
  });
});

describe('response headers', () => {
  it('let a browser load nothing from elsewhere, on every route and every refusal', async () => {
    const app = await buildApp(makeConfig(), new Judge({ pool, profile: reference.profile }));
    for (const url of [
      '/',
      '/health/live',
      '/profile',
      '/metrics',
      '/nowhere',
      '/%zz',
      '/docs/json',
      '/docs/',
      '/inspect',
    ]) {
      const { headers } = await app.inject(url);
      expect(headers['x-content-type-options'], url).toBe('nosniff');
      expect(headers['x-frame-options'], url).toBe('SAMEORIGIN');
      expect(headers['cross-origin-resource-policy'], url).toBe('same-origin');
      expect(headers['strict-transport-security'], url).toBeUndefined();
      const policy = String(headers['content-security-policy']);
      expect(policy, url).toMatch(/default-src '(none|self)'/);
      expect(policy, url).toMatch(/frame-ancestors '(none|self)'/);
      // The page alone may compile the WebAssembly that judges in it, which comes from this service, and run no other text.
      const judges = url === '/';
      expect(policy.includes("'wasm-unsafe-eval'"), url).toBe(judges);
      expect(policy.replace("'wasm-unsafe-eval'", ''), url).not.toContain('unsafe');
    }
    await app.close();
  });
});

describe('TLS', () => {
  const path = (name: string) => join(folder, name);

  it('serves HTTPS alone with a certificate, and refuses one that does not fit its key', async () => {
    for (const name of ['a', 'b']) {
      execFileSync(
        'openssl',
        [
          ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
          ...['-subj', '/CN=localhost', '-keyout', path(`${name}.key`), '-out', path(`${name}.crt`)],
        ],
        { stdio: 'ignore' },
      );
    }
    const profile = reference.profilePath;
    const service = await serve(makeConfig({ profile, tlsCert: path('a.crt'), tlsKey: path('a.key') }));
    expect(service.url).toMatch(/^https:/);
    const response = await new Promise<{ status?: number | undefined; hsts?: string | undefined }>(
      (resolve, reject) => {
        get(`${service.url}/health/ready`, { rejectUnauthorized: false }, (answer) => {
          answer.resume();
          resolve({ status: answer.statusCode, hsts: answer.headers['strict-transport-security'] });
        }).on('error', reject);
      },
    );
    expect(response).toEqual({ status: 200, hsts: expect.stringContaining('max-age=') });
    await expect(fetch(service.url.replace('https', 'http'))).rejects.toThrow();
    await service.close();

    for (const tlsKey of [path('b.key'), path('a.crt'), path('absent.key')]) {
      await expect(serve(makeConfig({ profile, tlsCert: path('a.crt'), tlsKey }))).rejects.toMatchObject({
        code: 'STOPLINE_ERR_OPTION_INVALID',
      });
    }
  });
});
