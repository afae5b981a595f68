import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { serve } from '../../src/server/serve.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';
import { head, openConnection } from '../fixtures/socket.ts';

const program = fileURLToPath(new URL('../fixtures/serve.program.ts', import.meta.url));
let reference: Reference;
const children: ChildProcess[] = [];

beforeAll(async () => {
  reference = await fitReference();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => reference.remove());

describe('a service that is told to end before its workers are ready', () => {
  it('ends cleanly, and what waited for it to be ready goes on', async () => {
    const flags = { profile: reference.profilePath, port: 0, threads: 1, logLevel: 'silent' };
    let ended: Promise<boolean> | undefined;
    const service = await serve(loadConfig({ env: {}, flags: flags as never }).config, (listening) => {
      ended = listening.close();
    });
    expect(await ended).toBe(true);
    expect(await service.ended).toBe(true);
  });
});

async function start(env: Record<string, string> = {}) {
  const child = fork(program, {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: {
      PATH: process.env.PATH,
      STOPLINE_PROFILE: reference.profilePath,
      STOPLINE_PORT: '0',
      STOPLINE_THREADS: '1',
      ...env,
    },
  });
  children.push(child);
  let log = '';
  child.stdout?.on('data', (chunk) => {
    log += chunk;
  });
  const exit = once(child, 'close').then(([code, signal]) => ({ code, signal, log }));
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url, exit };
}

/** Resolves when the service accepts no more connections. */
async function stopsAccepting(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  for (;;) {
    const isRefused = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.once('connect', () => socket.destroy());
      socket.once('error', () => resolve(true));
      socket.once('close', () => resolve(false));
    });
    if (isRefused) return;
  }
}

describe('SIGTERM', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: finishes the request in flight, takes no new one, exits 0',
    async (signal) => {
      const { child, url, exit } = await start();
      const idle = await openConnection(url); // a load balancer's spare connection must not delay the end
      const { frame } = reference;
      const connection = await openConnection(url);
      connection.send(head({ 'content-length': frame.length, 'x-test': 'in flight' }));
      connection.send(frame.subarray(0, 1000));
      // Answered after the request in flight has been seen: the service reads its connections in turn.
      expect((await fetch(`${url}/health/ready`)).status).toBe(200);

      child.kill(signal);
      await stopsAccepting(url);
      connection.send(frame.subarray(1000));
      await connection.receive(/^HTTP\/1\.1 200 OK\r\n.*"verdict":"(pass|warn|block)"/s);
      const { code, log } = await exit;
      expect(code).toBe(0);
      await idle.ended();

      const lines = log
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const requests = lines.filter(({ msg, route }) => msg === 'request' && route === '/inspect');
      expect(requests).toHaveLength(1);
      expect(requests[0]).toMatchObject({
        reqId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        method: 'POST',
        status: 200,
        verdict: expect.stringMatching(/^(pass|warn|block)$/),
        pValue: expect.any(Number),
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      });
      expect(Math.max(...log.split('\n').map((line) => line.length))).toBeLessThan(1000); // no image bytes
    },
  );

  it('refuses a request that comes on an open connection while it drains', async () => {
    const { child, url, exit } = await start();
    const { frame } = reference;
    const connection = await openConnection(url);
    connection.send(head({ 'content-length': frame.length }));
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    child.kill('SIGTERM');
    await stopsAccepting(url);
    connection.send(frame);
    connection.send(head({ 'content-length': frame.length }));
    connection.send(frame);
    const answers = await connection.ended();
    expect(answers).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answers).toMatch(/HTTP\/1\.1 503 .*connection: close.*STOPLINE_ERR_CLOSED/is);
    expect((await exit).code).toBe(0);
  });

  it('answers a request that was on its way when the last one had been answered', async () => {
    const askTwice = async () => {
      const { child, url, exit } = await start();
      const connection = await openConnection(url);
      connection.send('GET /v2 HTTP/1.1\r\nhost: stopline\r\n\r\n');
      await connection.receive(/^HTTP\/1\.1 200 OK\r\n/);
      child.kill('SIGTERM');
      const isReady = async () => (await fetch(`${url}/health/ready`).catch(() => undefined))?.status === 200;
      while (await isReady());
      connection.send('GET /v2 HTTP/1.1\r\nhost: stopline\r\n\r\n');
      const answers = await connection.ended();
      expect((await exit).code).toBe(0);
      return answers;
    };
    // It lingers for a quarter of a second, which a busy machine may let pass before the second request: then once more.
    await expect
      .poll(askTwice, { timeout: 600_000 })
      .toMatch(/HTTP\/1\.1 200 OK\r\n.*HTTP\/1\.1 \d+ .*connection: close/is);
  });

  it('cuts off what has not finished at the end of the drain time', async () => {
    const { child, url, exit } = await start({ STOPLINE_DRAIN_TIMEOUT_MS: '100' });
    const connection = await openConnection(url);
    connection.send(`${head({ 'content-length': 1000 })}abc`);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    child.kill('SIGTERM');
    expect((await exit).code).toBe(75);
  });

  it('a second signal ends the process at once', async () => {
    const { child, url, exit } = await start({ STOPLINE_DRAIN_TIMEOUT_MS: '600000' });
    const connection = await openConnection(url);
    connection.send(`${head({ 'content-length': 1000 })}abc`);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    child.kill('SIGTERM');
    await stopsAccepting(url);
    child.kill('SIGTERM');
    expect((await exit).code).toBe(143);
  });
});
