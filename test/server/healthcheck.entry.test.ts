import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../fixtures/cli.ts';

const entry = fileURLToPath(new URL('../../src/server/healthcheck.entry.ts', import.meta.url));
const folder = temporaryFolder();

async function check(env: Record<string, string>): Promise<number> {
  const { PATH = '' } = process.env;
  return promisify(execFile)(process.execPath, [entry], { env: { PATH, ...env } }).then(
    () => 0,
    (error) => error.code,
  );
}

it('asks whether the service lives, not whether it is ready, over TLS too', async () => {
  const [cert, key] = ['a.crt', 'a.key'].map((name) => join(folder, name));
  const subject = ['-nodes', '-days', '2', '-subj', '/CN=a.example', '-keyout', key, '-out', cert];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject], { stdio: 'ignore' });
  let status = 200;
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    response.statusCode = request.url === '/health/live' ? status : 503;
    response.end();
  };
  const servers = [
    createServer(answer),
    createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) }, answer),
  ];
  for (const [i, server] of servers.entries()) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const tls: Record<string, string> = i === 1 ? { STOPLINE_TLS_CERT: cert, STOPLINE_TLS_KEY: key } : {};
    const env = { STOPLINE_HOST: '0.0.0.0', STOPLINE_PORT: String(port), ...tls };
    status = 200;
    expect(await check(env)).toBe(0);
    status = 500;
    expect(await check(env)).toBe(1);
    await new Promise((resolve) => server.close(resolve));
    expect(await check(env)).toBe(1);
  }
});
