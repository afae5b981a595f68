import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startModelServer } from '../../../src/cli/demo/modelserver.ts';
import { decode } from '../../../src/image/decode.ts';
import type { Service } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { encodeFrame, renderFrame } from '../../fixtures/camera.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';
import { startService } from '../../fixtures/service.ts';
import { openConnection } from '../../fixtures/socket.ts';
import { closedPort, startRecorder } from '../../fixtures/upstream.ts';

const run = promisify(execFile);
let reference: Reference;
let strange: Buffer;
let upstream: Awaited<ReturnType<typeof startRecorder>>;
/** In front of the recorder; in front of real models. */
let gate: Service;
const services: Service[] = [];

async function start(flags: Partial<Config>): Promise<Service> {
  const service = await startService({ profile: reference.profilePath, ...flags });
  services.push(service);
  return service;
}

beforeAll(async () => {
  reference = await fitReference();
  strange = Buffer.from(await encodeFrame(renderFrame(1000, { width: 320, height: 180 }), { quality: 3 }));
  writeFileSync(join(reference.profilePath, '../strange.jpg'), strange);
  writeFileSync(join(reference.profilePath, '../frame.jpg'), reference.frame);
  upstream = await startRecorder();
  gate = await start({
    upstream: `${upstream.url}/base`,
    mode: 'enforce',
    onError: 'closed',
    routes: [
      { path: '/classify', protocol: 'image' },
      { path: '/watch', protocol: 'image', mode: 'observe' },
      { path: '/few', protocol: 'image', share: 0 },
      { path: '/load', protocol: 'pass' },
      { path: '/v2/models/some/infer', protocol: 'oip', partial: true },
    ],
  });
});
beforeEach(() => {
  upstream.received.length = 0;
});
const warnings: string[] = [];
process.on('warning', ({ name }) => warnings.push(name));
afterAll(() => expect(warnings).not.toContain('MaxListenersExceededWarning'));
afterAll(async () => {
  for (const service of services) expect(await service.close()).toBe(true);
  await upstream.close();
  await reference.remove();
});

async function send(path: string, body: Uint8Array | object, headers: Record<string, string> = {}, url = gate.url) {
  const isBytes = body instanceof Uint8Array;
  const response = await request(url + path, {
    method: 'POST',
    body: isBytes ? Buffer.from(body) : JSON.stringify(body),
    headers: { 'content-type': isBytes ? 'image/jpeg' : 'application/json', ...headers },
  });
  const text = await response.body.text();
  return { status: response.statusCode, headers: response.headers, text, json: () => JSON.parse(text) };
}

function makeInference(...images: Uint8Array[]) {
  const data = images.map((image) => Buffer.from(image).toString('base64'));
  return { id: '7', inputs: [{ name: 'image', datatype: 'BYTES', shape: [data.length], data }] };
}

describe('what goes through', () => {
  it('reaches the upstream byte by byte, under its prefix, with the query', async () => {
    const { status, headers } = await send('/classify?top=3', reference.frame);
    expect(status).toBe(200);
    expect(upstream.received).toMatchObject([{ method: 'POST', url: '/base/classify?top=3' }]);
    expect(upstream.received[0].body.equals(Buffer.from(reference.frame))).toBe(true);
    expect(headers).toMatchObject({
      'x-stopline-verdict': 'pass',
      'x-model': 'lights',
      'x-request-id': /^[\w-]{36}$/.test(String(headers['x-request-id'])) ? headers['x-request-id'] : 'a uuid',
    });
    expect(Number(headers['x-stopline-p-value'])).toBeGreaterThan(0.01);
  });

  it("keeps what is the client's to say, and drops what is not", async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await send('/classify', reference.frame, {
      traceparent,
      authorization: 'Bearer of-the-upstream',
      'x-own': 'kept',
      'x-stopline-verdict': 'pass',
      'x-stopline-anything': 'forged',
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-host': 'elsewhere',
      forwarded: 'for=10.0.0.1',
      'x-real-ip': '10.0.0.1',
      te: 'trailers',
      'proxy-authorization': 'Basic x',
    });
    const [{ headers }] = upstream.received;
    expect(headers).toMatchObject({
      traceparent,
      authorization: 'Bearer of-the-upstream',
      'x-own': 'kept',
      'content-type': 'image/jpeg',
      'content-length': String(reference.frame.length),
      'x-stopline-verdict': 'pass',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': new URL(gate.url).host,
      host: new URL(upstream.url).host,
    });
    for (const name of ['x-stopline-anything', 'forwarded', 'x-real-ip', 'te', 'proxy-authorization'])
      expect(headers).not.toHaveProperty(name);
  });

  it('a Connection header cannot take our own headers away', async () => {
    const connection = await openConnection(gate.url);
    const named = 'connection: x-stopline-verdict, x-secret, x-request-id';
    connection.send(
      `POST /classify HTTP/1.1\r\nhost: x\r\n${named}\r\nx-secret: 1\r\ncontent-length: ${reference.frame.length}\r\n\r\n`,
    );
    connection.send(reference.frame);
    expect((await connection.receive(/^HTTP\/1\.1 200 OK\r\n.*?\r\n\r\n/s))[0]).toMatch(/x-stopline-verdict: pass/);
    connection.socket.destroy();
    expect(upstream.received[0].headers).toMatchObject({ 'x-stopline-verdict': 'pass' });
    expect(upstream.received[0].headers).not.toHaveProperty('x-secret');
    expect(upstream.received[0].headers).not.toHaveProperty('content-type');
  });

  it('GET and what the configuration lets pass is forwarded without a look', async () => {
    const metadata = await request(`${gate.url}/v2/models/a`);
    expect(metadata.statusCode).toBe(200);
    await metadata.body.dump();
    expect((await send('/load', { model: 'a' })).status).toBe(200);
    expect(upstream.received.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET /base/v2/models/a',
      'POST /base/load',
    ]);
    expect(upstream.received[1].headers).not.toHaveProperty('x-stopline-verdict');
  });
});

describe('what does not', () => {
  it('an image that is not like the reference: in the shape of the protocol, with the reasons', async () => {
    const { status, headers, json } = await send('/classify', strange);
    expect([status, json().error.code]).toEqual([422, 'STOPLINE_ERR_IMAGE_REFUSED']);
    expect(headers).toMatchObject({ 'x-stopline-verdict': 'block' });
    expect(headers['x-stopline-reasons']).toMatch(/^\w+(, \w+)*$/);
    const inference = await send('/v2/models/a/infer', makeInference(reference.frame, strange));
    expect(inference.status).toBe(422);
    expect(inference.json()).toEqual({ id: '7', error: expect.stringContaining('STOPLINE_ERR_IMAGE_REFUSED: ') });
    const serving = await send('/v1/models/a:predict', { instances: [{ b64: strange.toString('base64') }] });
    expect(serving.json()).toEqual({ error: expect.stringContaining('IMAGE_REFUSED') });
    expect(upstream.received).toEqual([]);
  });

  it('a path that an upstream might read in another way, or that nobody described', async () => {
    for (const path of [
      '/v2//models/a/infer',
      '/v2/models/a/%69nfer',
      '/x/../v2/models/a/infer',
      '/v2/models/a/infer;x',
    ]) {
      const connection = await openConnection(gate.url);
      connection.send(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}`);
      await connection.receive(/^HTTP\/1\.1 400 .*STOPLINE_ERR_REQUEST_INVALID/s);
      connection.socket.destroy();
    }
    const unknown = await send('/v2/models/a/generate', { text_input: 'what is this?' });
    expect(unknown.status).toBe(422);
    expect(unknown.json().error).toMatch(/^STOPLINE_ERR_UNINSPECTED: /);
    const found = await send('/v2/models/a/generate', makeInference(strange));
    expect(found.json().error).toMatch(/^STOPLINE_ERR_IMAGE_REFUSED: /);
    expect(upstream.received).toEqual([]);
  });

  const ambiguous: [string, string][] = [
    [
      'a length and chunks',
      'content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nPOST /smuggled HTTP/1.1\r\n\r\n',
    ],
    ['two lengths', 'content-length: 4\r\ncontent-length: 5\r\n\r\nabcde'],
    ['an odd chunk', 'transfer-encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n'],
    ['an odd encoding', 'transfer-encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['a length that is no number', 'content-length: +4\r\n\r\nabcd'],
    ['a body that is cut', 'content-length: 400\r\n\r\nabcd'],
  ];
  it.each(ambiguous)('a request with %s', async (_, rest) => {
    const connection = await openConnection(gate.url);
    connection.send(`POST /load HTTP/1.1\r\nhost: x\r\n${rest}`);
    connection.socket.end();
    await connection.ended().catch(() => undefined);
    expect(connection.received).not.toMatch(/^HTTP\/1\.1 200/);
    expect(upstream.received).toEqual([]);
  });
});

describe('what clients of each protocol can read', () => {
  it('is said in the form of the path, also where the upstream is dead', async () => {
    const dead = await start({
      upstream: `http://127.0.0.1:${await closedPort()}`,
      mode: 'enforce',
      onError: 'closed',
    });
    const ask = async (path: string, body: object) => {
      const { status, headers, json } = await send(path, body, {}, dead.url);
      return { status, type: headers['content-type'], body: json() };
    };
    const image = Buffer.from(reference.frame).toString('base64');
    // After a second of failures the breaker answers for the upstream.
    const gone = /^STOPLINE_ERR_UPSTREAM_(UNREACHABLE|DOWN)/;
    for (const path of ['/v2/models/a/generate', '/v2/repository/index', '/v1/models/a:predict']) {
      const { status, type, body } = await ask(path, path.startsWith('/v1') ? { instances: [image] } : { x: image });
      expect([502, 503], path).toContain(status);
      expect([type, body], path).toEqual(['application/json', { error: expect.stringMatching(gone) }]);
    }
    const { status, type, body } = await ask('/predictions/a/1.0', { data: image });
    expect(type).toBe('application/json');
    expect(body).toEqual({
      code: status,
      type: expect.stringMatching(gone),
      message: expect.stringMatching(/^Expected /),
    });
    const other = await ask('/elsewhere', { data: image });
    expect(other.type).toBe('application/json; charset=utf-8');
    expect(other.body).toEqual({ error: { code: expect.stringMatching(gone), message: expect.any(String) } });
  });

  it('is said in the form of the path where a request is not what its protocol says', async () => {
    const { status, headers, json } = await send('/v2/models/a/infer', { x: 1 });
    expect([status, headers['content-type']]).toEqual([400, 'application/json']);
    expect(json()).toEqual({ error: expect.stringMatching(/^STOPLINE_ERR_REQUEST_INVALID: /) });
  });
});

describe('a proxy that does not stand in the way', () => {
  const names = (headers: object) =>
    Object.keys(headers).filter((name) => !/^(date|connection|keep-alive)$/.test(name));

  it('passes every path that is not below /stopline/, and adds no headers to the answers', async () => {
    const paths = ['/', '/v2', '/metrics', '/health/live', '/docs', '/inspect', '/stoplines', '/dashboard/app.js'];
    for (const path of paths) {
      const response = await request(gate.url + path);
      await response.body.dump();
      expect(names(response.headers).sort(), path).toEqual([
        'content-type',
        'transfer-encoding',
        'x-model',
        'x-request-id',
      ]);
    }
    expect(upstream.received.map(({ url }) => url)).toEqual(paths.map((path) => `/base${path}`));
    expect((await send('/', reference.frame)).status).toBe(200);
  });

  it('keeps its own pages below /stopline/, also those that are not there', async () => {
    const page = await fetch(`${gate.url}/stopline`);
    const text = await page.text();
    expect(page.url).toBe(`${gate.url}/stopline/`);
    expect(page.headers.get('set-cookie')).toMatch(/; Path=\/stopline\/; SameSite=Strict$/);
    const linked = [...text.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path]) => new URL(path, page.url));
    expect(linked.length).toBeGreaterThan(5);
    for (const url of linked) expect((await fetch(url)).status, url.pathname).toBe(200);
    for (const path of ['health/live', 'health/ready', 'metrics', 'v2', 'docs/', 'drift', 'unjudged', 'docs/json']) {
      const answer = await fetch(`${gate.url}/stopline/${path}`);
      expect([answer.status, answer.headers.get('x-content-type-options')], path).toEqual([200, 'nosniff']);
    }
    const inspected = await send('/stopline/inspect', reference.frame);
    expect([inspected.status, inspected.json().verdict]).toEqual([200, 'pass']);
    const wrong = await request(`${gate.url}/stopline/inspect`, { method: 'PUT', body: Buffer.from(reference.frame) });
    await wrong.body.dump();
    expect([wrong.statusCode, wrong.headers.allow]).toEqual([405, 'POST']);
    const unknown = await request(`${gate.url}/stopline/nothing`);
    expect([unknown.statusCode, ((await unknown.body.json()) as { error: { code: string } }).error.code]).toEqual([
      404,
      'STOPLINE_ERR_ROUTE_UNKNOWN',
    ]);
    expect(upstream.received).toEqual([]);
  });

  it('lets the pages of other sites ask what the upstream lets them ask (CORS), also with API keys', async () => {
    const key = 'a-key-of-twenty-letters';
    const hash = createHash('sha256').update(key).digest('hex');
    const closed = await start({ upstream: upstream.url, mode: 'enforce', apiKeys: [`inspect:${hash}`] });
    const page = { origin: 'https://app.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' };
    for (const url of [gate.url, closed.url]) {
      const asked = await request(`${url}/v2/models/a/infer`, {
        method: 'OPTIONS',
        headers: { ...page, 'access-control-request-method': 'POST' },
      });
      await asked.body.dump();
      expect([asked.statusCode, upstream.received.at(-1)?.headers.origin]).toEqual([200, page.origin]);
      expect((await send('/classify', reference.frame, { ...page, 'x-stopline-key': key }, url)).status).toBe(200);
    }
    expect((await send('/classify', reference.frame, page, closed.url)).status).toBe(401);
    // A key that the browser adds by itself is not the page's to use.
    const basic = `Basic ${Buffer.from(`x:${key}`).toString('base64')}`;
    expect((await send('/classify', reference.frame, { ...page, authorization: basic }, closed.url)).status).toBe(403);
    expect((await send('/classify', reference.frame, { authorization: basic }, closed.url)).status).toBe(200);
  });

  it('lets calls pass that load models and ask about them', async () => {
    const calls = [
      '/v2/repository/index',
      '/v2/repository/models/m/load',
      '/v2/repository/models/m/unload',
      '/v2/models/m/load',
      '/v2/models/m/trace/setting',
      '/v2/logging',
      '/v2/systemsharedmemory/region/x/register',
      '/v1/config/reload',
    ];
    for (const path of calls) expect((await send(path, {})).status, path).toBe(200);
    expect(upstream.received.map(({ url }) => url)).toEqual(calls.map((path) => `/base${path}`));
    upstream.received.length = 0;
    for (const path of ['/predictions/m/1.0', '/predictions/m', '/v2/models/m/versions/1.0/infer']) {
      expect((await send(path, strange)).status, path).toBeGreaterThanOrEqual(400);
    }
    expect(upstream.received).toEqual([]);
  });

  it('says that it passes on no WebSockets', async () => {
    const headers = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    const connection = await openConnection(gate.url);
    const lines = Object.entries({ host: 'x', ...headers, 'sec-websocket-version': '13' }).map((pair) =>
      pair.join(': '),
    );
    connection.send(`GET /ws HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    await connection.receive(/^HTTP\/1\.1 501 .*STOPLINE_ERR_UPGRADE_UNKNOWN/s);
    connection.socket.destroy();
    expect(upstream.received).toEqual([]);
  });
});

describe('observing', () => {
  it('forwards at once and judges beside', async () => {
    const answer = await send('/watch', strange);
    expect(answer).toMatchObject({ status: 200, headers: { 'x-stopline-verdict': 'pending' } });
    expect(upstream.received[0].headers).not.toHaveProperty('x-stopline-verdict');
    const counted = async () =>
      (await (await request(`${gate.url}/stopline/metrics`)).body.text()).includes(
        'stopline_gate_requests_total{outcome="observed",reason="block"} 1',
      );
    await expect.poll(counted).toBe(true);
  });

  it('leaves out what is not sampled', async () => {
    expect(await send('/few', strange)).toMatchObject({ status: 200, headers: { 'x-stopline-verdict': 'skipped' } });
  });
});

it('a partial batch goes on without the refused images', async () => {
  const answer = await send('/v2/models/some/infer', makeInference(strange, reference.frame, strange));
  expect(answer).toMatchObject({
    status: 200,
    headers: { 'x-stopline-refused': '0, 2', 'x-stopline-verdict': 'block' },
  });
  const [{ body }] = upstream.received;
  expect(JSON.parse(String(body))).toEqual(makeInference(reference.frame));
  expect((await send('/v2/models/some/infer', makeInference(strange, strange))).status).toBe(422);
});

describe('Envoy ext_authz', () => {
  it('gets 200 or 403 for the body that it forwards, by the path that it asks about', async () => {
    expect(await send('/stopline/ext-authz/classify', reference.frame)).toMatchObject({
      status: 200,
      headers: { 'x-stopline-verdict': 'pass' },
    });
    const denied = await send('/stopline/ext-authz/v2/models/a/infer', makeInference(strange));
    expect([denied.status, denied.json().error.code]).toEqual([403, 'STOPLINE_ERR_IMAGE_REFUSED']);
    const part = await send('/stopline/ext-authz/classify', reference.frame, { 'x-envoy-auth-partial-body': 'true' });
    expect([part.status, part.json().error.code]).toEqual([403, 'STOPLINE_ERR_REQUEST_TOO_LARGE']);
    const metadata = await request(`${gate.url}/stopline/ext-authz/v2/models/a`);
    expect(metadata.statusCode).toBe(200);
    expect(upstream.received).toEqual([]);
  });
});

describe('a real model behind the gate', () => {
  const detector = fileURLToPath(new URL('../../../../shared/data/model/FastestDet.onnx', import.meta.url));
  const hasDetector = existsSync(detector);
  if (!hasDetector) console.log('skipped: ../shared/data/model/FastestDet.onnx is not there');
  const hasPython = spawnSync('python3', ['-c', 'import requests']).status === 0;
  if (!hasPython) console.log('skipped: python3 with requests is not there');
  const hasCurl = spawnSync('curl', ['--version']).status === 0;
  if (!hasCurl) console.log('skipped: curl is not there');
  let model: Awaited<ReturnType<typeof startModelServer>>;
  let front: Service;

  beforeAll(async () => {
    model = await startModelServer();
    front = await start({ upstream: model.url, mode: 'enforce', onError: 'closed' });
  });
  afterAll(() => model.close());
  const path = () => `/v2/models/${model.name}/infer`;

  it('answers a tensor of pixels as it answers without a gate', async () => {
    const { frame } = await decode(reference.frame);
    const tensor = {
      name: 'image',
      datatype: 'UINT8',
      shape: [1, frame.height, frame.width, 3],
      data: Array.from(frame.data),
    };
    const direct = await send(path(), { inputs: [tensor] }, {}, model.url);
    const through = await send(path(), { inputs: [tensor] }, {}, front.url);
    expect(through.headers['x-stopline-verdict']).toBe('pass');
    expect(through.json().outputs[0].shape).toEqual([1, model.dimension]);
    expect(through.text).toBe(direct.text);
    const metadata = await request(`${front.url}/v2/models/${model.name}`);
    expect(await metadata.body.json()).toMatchObject({ name: model.name, platform: 'onnx_onnxv1' });
    expect((await send('/v2/models/another/infer', makeInference(reference.frame), {}, front.url)).status).toBe(404);
  });

  it.skipIf(!hasCurl)('curl: the answer of the model, or 422', async () => {
    const post = async (image: Uint8Array) => {
      const file = join(reference.profilePath, '../request.json');
      writeFileSync(file, JSON.stringify(makeInference(image)));
      const { stdout } = await run('curl', [
        '-s',
        '-w',
        '\n%{http_code}',
        '--data-binary',
        `@${file}`,
        front.url + path(),
      ]);
      const [body, status] = stdout.split('\n');
      return { status, body: JSON.parse(body) };
    };
    expect(await post(reference.frame)).toMatchObject({
      status: '200',
      body: { id: '7', outputs: [{ name: 'embedding' }] },
    });
    expect(await post(strange)).toMatchObject({
      status: '422',
      body: { id: '7', error: expect.stringContaining('REFUSED') },
    });
  });

  it.skipIf(!hasPython)('Python: JSON and the binary extension', async () => {
    const client = fileURLToPath(new URL('../../fixtures/client.py', import.meta.url));
    const ask = async (name: string) => {
      const { stdout } = await run('python3', [client, front.url + path(), join(reference.profilePath, '..', name)]);
      return JSON.parse(stdout);
    };
    const answers = await ask('frame.jpg');
    for (const answer of answers)
      expect(answer).toMatchObject({
        status: 200,
        verdict: 'pass',
        body: { outputs: [{ shape: [1, model.dimension] }] },
      });
    expect(answers[1].body.outputs).toEqual(answers[0].body.outputs);
    const refused = { status: 422, verdict: 'block', body: { error: expect.stringContaining('REFUSED') } };
    expect(await ask('strange.jpg')).toMatchObject([refused, refused]);
  });

  it.skipIf(!hasDetector)('a detector that knows traffic lights', async () => {
    const server = await startModelServer({ model: detector });
    const detecting = await start({ upstream: server.url, mode: 'enforce' });
    const answer = await send(`/v2/models/${server.name}/infer`, makeInference(reference.frame), {}, detecting.url);
    expect(answer.json().outputs[0].shape).toEqual([1, server.dimension]);
    expect(answer.headers['x-stopline-verdict']).toBe('pass');
    await server.close();
  });
});
