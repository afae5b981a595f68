import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { createServer } from 'node:net';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { type Service, serve } from '../../src/server/serve.ts';
import type { Config } from '../../src/settings.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';
import { head, openConnection } from '../fixtures/socket.ts';

let reference: Reference;
const services: Service[] = [];
/** With the defaults but for a small body limit. */
let usual: Service;

beforeAll(async () => {
  reference = await fitReference();
  usual = await start({ bodyLimit: 65_536 });
});
afterAll(async () => {
  for (const service of services) expect(await service.close()).toBe(true);
  await reference.remove();
});

async function start(flags: Partial<Config> = {}): Promise<Service> {
  const profile = reference.profilePath;
  // A loaded machine must pass, too.
  const usual = { profile, port: 0, threads: 1, logLevel: 'silent', maxImageMs: 60_000 } as const;
  const { config } = loadConfig({ env: {}, flags: { ...usual, ...flags } });
  const service = await serve(config);
  services.push(service);
  return service;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  json: { error?: { code: string }; verdict?: string };
  isReused: boolean;
}

/** A POST that fails the test when the connection is reset before the answer. */
async function post(
  url: string,
  agent: Agent,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const message = request(`${url}/inspect`, {
    method: 'POST',
    agent,
    headers: { 'content-type': 'image/jpeg', ...headers },
  });
  message.end(body);
  const [response] = await once(message, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return {
    status: response.statusCode,
    headers: response.headers,
    json: JSON.parse(text),
    isReused: message.reusedSocket,
  };
}

const oneConnection = () => new Agent({ keepAlive: true, maxSockets: 1 });

describe('a body over the limit', () => {
  it.each([
    ['announced by its length', () => [head({ 'content-length': 4_000_000 }), new Uint8Array(4_000_000)]],
    [
      'sent in chunks',
      () => [head({ 'transfer-encoding': 'chunked' }), '3d0900\r\n', new Uint8Array(4_000_000), '\r\n0\r\n\r\n'],
    ],
  ])('%s gets 413, and the connection serves the next request', async (_, message) => {
    const { url } = usual;
    const connection = await openConnection(url);
    for (const piece of message()) connection.send(piece);
    await connection.receive(/^HTTP\/1\.1 413 .*STOPLINE_ERR_REQUEST_TOO_LARGE/s);
    connection.send(head({ 'content-length': reference.frame.length }));
    connection.send(reference.frame);
    await connection.receive(/HTTP\/1\.1 200 OK\r\n.*"verdict":"(pass|warn|block)"/s);
    connection.socket.destroy();
  });

  it('is cut off when it goes on far beyond it', async () => {
    const { url } = usual;
    const connection = await openConnection(url);
    connection.send(head({ 'transfer-encoding': 'chunked' }));
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), new Uint8Array(0x100000), Buffer.from('\r\n')]);
    const sendForEver = () => connection.socket.write(chunk, (error) => error || sendForEver());
    sendForEver();
    await connection.ended().catch((error) => expect(error.code).toMatch(/^(ECONNRESET|EPIPE)$/));
    expect(connection.socket.bytesWritten).toBeGreaterThan(60e6);
  });
});

describe('requests that do not wait for answers', () => {
  const ask = 'GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n';

  it.each([
    ['without a host', 'GET /statistics HTTP/1.1\r\n\r\n'],
    [
      'that expects something strange',
      'POST /inspect HTTP/1.1\r\nhost: x\r\nexpect: 200-ok\r\ncontent-length: 5\r\n\r\n',
    ],
  ])('a request %s is refused with a code, which Node would not give it', async (_, text) => {
    const connection = await openConnection(usual.url);
    connection.send(text);
    const [, status] = await connection.receive(/^HTTP\/1\.1 (\d+) .*STOPLINE_ERR_REQUEST_INVALID/s);
    expect(status).toBe('400');
    connection.socket.destroy();
  });

  it('are answered in turn, up to sixteen', async () => {
    const connection = await openConnection(usual.url);
    connection.send(ask.repeat(16));
    await connection.receive(/(HTTP\/1\.1 200 OK.*){16}/s);
    connection.send(ask);
    await connection.receive(/(HTTP\/1\.1 200 OK.*){17}/s);
    connection.socket.destroy();
  });

  it('cost the connection beyond that, and nobody else anything', async () => {
    const connection = await openConnection(usual.url);
    connection.send(ask.repeat(400));
    const received = await connection.ended().catch(() => connection.received);
    expect(received.match(/HTTP\/1\.1 200 OK/g) ?? []).not.toHaveLength(400);
    expect((await fetch(`${usual.url}/health/live`)).status).toBe(200);
  });
});

describe('Expect: 100-continue', () => {
  it('is answered by the refusal alone when the headers are enough to refuse', async () => {
    const { url } = usual;
    const connection = await openConnection(url);
    connection.send(head({ 'content-length': 100_000, expect: '100-continue' }));
    const answer = await connection.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toMatch(/connection: close/i);
  });

  it('is answered by 100 when the body is wanted', async () => {
    const { url } = usual;
    const connection = await openConnection(url);
    connection.send(head({ 'content-length': reference.frame.length, expect: '100-continue' }));
    await connection.receive(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    connection.send(reference.frame);
    await connection.receive(/HTTP\/1\.1 200 OK\r\n.*"verdict":"(pass|warn|block)"/s);
    connection.socket.destroy();
  });
});

describe('slow clients', () => {
  let hasty: Service;
  beforeAll(async () => {
    hasty = await start({ headersTimeoutMs: 200, requestTimeoutMs: 400 });
  });

  it.each([
    ['headers that never end', () => 'POST /inspect HTTP/1.1\r\nhost: x\r\n'],
    ['a body that never ends', () => `${head({ 'content-length': 1000 })}abc`],
    ['a chunked body that never ends', () => `${head({ 'transfer-encoding': 'chunked' })}3\r\nabc\r\n`],
    ['nothing at all', () => ''],
  ])('get 408 and are cut off: %s', async (_, send) => {
    const connection = await openConnection(hasty.url);
    connection.send(send());
    const answer = await connection.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(answer).toMatch(/"code":"STOPLINE_ERR_REQUEST_TIMEOUT"/);
    // On a busy machine this request may come too late for so hasty a service, too.
    await expect
      .poll(async () => (await fetch(`${hasty.url}/metrics`)).text())
      .toMatch(/^stopline_refusals_total\{code="STOPLINE_ERR_REQUEST_TIMEOUT"\} [1-9]/m);
  });

  it('broken HTTP gets 400 in the usual shape', async () => {
    const { url } = usual;
    const connection = await openConnection(url);
    connection.send('THIS IS NOT HTTP\r\n\r\n');
    expect(await connection.ended()).toMatch(/^HTTP\/1\.1 400 .*"code":"STOPLINE_ERR_REQUEST_INVALID"/s);
  });
});

describe('overload', () => {
  /** A frame with bytes after its end, so that a small image fills a buffer. */
  function padded(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    bytes.set(reference.frame);
    return bytes;
  }

  /** Waits until the service holds that many bytes of bodies. */
  async function buffered(url: string, bytes: number): Promise<void> {
    const line = `stopline_buffered_bytes ${bytes}\n`;
    while (!(await (await fetch(`${url}/metrics`)).text()).includes(line));
  }

  it('of the memory for bodies gets 503 with Retry-After and no reset, until the memory is free again', async () => {
    const { url } = await start({ bufferLimit: 100_000 });
    const agent = oneConnection();
    const body = padded(40_000);

    const holding = await openConnection(url);
    holding.send(head({ 'content-length': 90_000 }));
    holding.send(padded(80_000));
    await buffered(url, 80_000);
    for (const isReused of [false, true]) {
      const refused = await post(url, agent, body);
      expect(refused).toMatchObject({ status: 503, json: { error: { code: 'STOPLINE_ERR_OVERLOADED' } }, isReused });
      expect(refused.headers['retry-after']).toBe('1');
    }
    holding.send(new Uint8Array(10_000));
    await holding.receive(/HTTP\/1\.1 200 OK\r\n/);
    await buffered(url, 0);
    expect((await post(url, agent, body)).status).toBe(200);

    const leaving = await openConnection(url);
    leaving.send(head({ 'content-length': 90_000 }));
    leaving.send(padded(80_000));
    await buffered(url, 80_000);
    leaving.socket.destroy();
    await buffered(url, 0);
    expect((await post(url, agent, body)).status).toBe(200);
    holding.socket.destroy();
    agent.destroy();
  });

  it('of the workers gets 503 with Retry-After and no reset, while some are served', async () => {
    const { url } = await start({ maxWaitMs: 0 });
    const agent = new Agent({ keepAlive: true });
    const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
    const large = await sharp({ create: { width: 1920, height: 1080, channels: 3, background: 'grey', noise } })
      .jpeg()
      .toBuffer();
    const answers = await Promise.all(Array.from({ length: 40 }, () => post(url, agent, large)));
    const refused = answers.filter(({ status }) => status === 503);
    const served = answers.filter(({ status }) => status === 200);
    expect(served.length).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(0);
    expect(served.length + refused.length).toBe(answers.length);
    for (const { headers, json } of refused) {
      expect(json.error?.code).toBe('STOPLINE_ERR_OVERLOADED');
      expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
    }
    // The one worker may still draw a picture for the dashboard.
    await expect.poll(async () => (await post(url, agent, reference.frame)).status).toBe(200);
    agent.destroy();
  });

  it('shows in the readiness probe', async () => {
    const { url, pool } = await start({ maxWaitMs: 0 });
    // A file that takes no time to send and long to decode keeps the one worker busy while the probe is answered.
    const large = await sharp({ create: { width: 4000, height: 4000, channels: 3, background: 'grey' } })
      .jpeg()
      .toBuffer();
    const busy = pool.inspect(large);
    const probe = await fetch(`${url}/health/ready`);
    expect([probe.status, await probe.json()]).toEqual([503, { ready: false, reason: 'overloaded' }]);
    await busy;
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  });
});

describe('serve', () => {
  const makeConfig = (flags: Partial<Config>) =>
    loadConfig({ env: {}, flags: { port: 0, threads: 1, logLevel: 'silent', ...flags } }).config;

  it('refuses to start without a profile, with a missing one and with a damaged one', async () => {
    await expect(serve(makeConfig({}))).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID', exit: 2 });
    await expect(serve(makeConfig({ profile: `${reference.profilePath}.absent` }))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_PROFILE_UNREADABLE',
      exit: 78,
    });
    await expect(serve(makeConfig({ profile: new URL(import.meta.url).pathname }))).rejects.toMatchObject({
      code: expect.stringMatching(/^STOPLINE_ERR_PROFILE_/),
      exit: 78,
    });
  });

  it('says so when the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    await expect(serve(makeConfig({ profile: reference.profilePath, port }))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: `Expected --host and --port to name a free address but 127.0.0.1:${port} gave EADDRINUSE.`,
    });
    other.close();
  });

  it('refuses images above the pixels and the side it was told, progressive ones too', async () => {
    const { url } = await start({ maxPixels: 100_000, maxSide: 400 });
    const sizes = { fits: [320, 180], tooMany: [400, 300], tooLong: [401, 100] };
    for (const [name, [width, height]] of Object.entries(sizes)) {
      for (const progressive of [false, true]) {
        const image = sharp({ create: { width, height, channels: 3, background: 'grey' } });
        const body = new Uint8Array(await image.jpeg({ progressive }).toBuffer());
        const response = await fetch(`${url}/inspect`, {
          method: 'POST',
          body,
          headers: { 'content-type': 'image/jpeg' },
        });
        const { error } = (await response.json()) as Answer['json'];
        const expected = name === 'fits' ? [200, undefined] : [422, 'STOPLINE_ERR_IMAGE_TOO_MANY_PIXELS'];
        expect([response.status, error?.code], `${name}, progressive ${progressive}`).toEqual(expected);
      }
    }
  });

  it('shows at /profile what it judges by', async () => {
    const { url } = usual;
    const { sha256 } = (await (await fetch(`${url}/profile`)).json()) as { sha256: string };
    expect(sha256).toBe(reference.profile.sha256);
    const agent = oneConnection();
    expect((await post(url, agent, reference.frame)).json).toMatchObject({ profile: { sha256 } });
    agent.destroy();
  });

  it('runs the core it was told to', async () => {
    const { url, pool } = await start({ core: 'wasm' });
    expect(pool.info.core?.build).toBe('wasm');
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/stopline_build_info\{[^}]*core="wasm"/);
  });
});
