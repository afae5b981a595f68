import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';
import { request as requestHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Service } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { encodeFrame, renderFrame } from '../../fixtures/camera.ts';
import { makeCertificate } from '../../fixtures/certificate.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';
import { startService } from '../../fixtures/service.ts';
import { type Connection, openConnection } from '../../fixtures/socket.ts';
import { startRecorder } from '../../fixtures/upstream.ts';

let reference: Reference;
let strange: Buffer;
let upstream: Awaited<ReturnType<typeof startRecorder>>;
let gate: Service;
const services: Service[] = [];
const sessions: ClientHttp2Session[] = [];
const warnings: string[] = [];
const folder = mkdtempSync(join(tmpdir(), 'stopline-h2-'));
process.on('warning', ({ name }) => warnings.push(name));

async function start(flags: Partial<Config> = {}): Promise<Service> {
  const gated = { upstream: upstream.url, mode: 'enforce', onError: 'closed' } as const;
  const service = await startService({ profile: reference.profilePath, ...gated, ...flags });
  services.push(service);
  return service;
}

beforeAll(async () => {
  reference = await fitReference();
  strange = Buffer.from(await encodeFrame(renderFrame(1000, { width: 320, height: 180 }), { quality: 3 }));
  upstream = await startRecorder();
  gate = await start();
});
beforeEach(() => {
  upstream.received.length = 0;
});
afterAll(async () => {
  for (const session of sessions) session.destroy();
  for (const service of services) expect(await service.close()).toBe(true);
  await upstream.close();
  await reference.remove();
  rmSync(folder, { recursive: true });
  // Neither of a leak, nor that HTTP/2 has no headers of a connection.
  expect(warnings).toEqual([]);
});

function open(url = gate.url, options: SecureClientSessionOptions = {}): ClientHttp2Session {
  const session = connect(url, options);
  session.on('error', () => undefined);
  sessions.push(session);
  return session;
}

interface Answer {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  text: string;
  /** How the stream ended: 0 where all was well. */
  code: number | undefined;
}

/** One request. @param body undefined: none; null: its end does not come */
async function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Uint8Array | null,
): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  let told: IncomingHttpHeaders = {};
  let text = '';
  stream.on('response', (headers) => {
    told = headers;
  });
  stream.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  });
  stream.on('error', () => undefined);
  if (body) stream.end(body);
  await once(stream, 'close').catch(() => undefined);
  return { status: Number(told[':status'] ?? 0) || undefined, headers: told, text, code: stream.rstCode };
}

const post = (path: string, headers: OutgoingHttpHeaders = {}) => ({
  ':method': 'POST',
  ':path': path,
  'content-type': 'image/jpeg',
  ...headers,
});

/** Debian's curl speaks HTTP/2 with nghttp2, which nobody here wrote. */
const curls = (spawnSync('curl', ['--version'], { encoding: 'utf8' }).stdout ?? '').includes('HTTP2');
if (!curls) console.log('skipped: no curl with HTTP/2 is installed');

/** What curl says of a POST: the version of HTTP, the status, and the answer. */
async function runCurl(url: string, body: Uint8Array, options: string[]) {
  const told = ['-sS', '-o', '-', '-w', '\n%{http_version} %{http_code}', '-H', 'content-type: image/jpeg'];
  const child = spawn('curl', [...told, ...options, '--data-binary', '@-', url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => undefined).end(body);
  const lines = (await text(child.stdout)).split('\n');
  return { version: lines.pop(), answer: lines.join('\n') };
}

describe.skipIf(!curls)('curl', () => {
  it('is judged over HTTP/2 in clear text, begun with it or offered, and over TLS', async () => {
    const { tlsCert, tlsKey } = makeCertificate(folder);
    const secure = await start({ tlsCert, tlsKey });
    const trusting = ['--cacert', tlsCert];
    const ways: [string, string[], string][] = [
      [gate.url, ['--http2-prior-knowledge'], '2'],
      // The offer is passed over: the body that comes with it belongs to HTTP/1.1.
      [gate.url, ['--http2'], '1.1'],
      [secure.url, ['--http2', ...trusting], '2'],
      [secure.url, ['--http1.1', ...trusting], '1.1'],
    ];
    for (const [url, options, version] of ways) {
      const good = await runCurl(`${url}/classify`, reference.frame, options);
      const bad = await runCurl(`${url}/classify`, strange, options);
      expect([good.version, bad.version], options.join(' ')).toEqual([`${version} 200`, `${version} 422`]);
      expect(JSON.parse(good.answer)).toMatchObject({ model_name: 'lights' });
      expect(JSON.parse(bad.answer)).toMatchObject({ error: { code: 'STOPLINE_ERR_IMAGE_REFUSED' } });
    }
    expect(upstream.received.map(({ body }) => body.equals(Buffer.from(reference.frame)))).toEqual(
      ways.map(() => true),
    );
  });
});

/** What a service says first: its settings. */
const settings = new RegExp(`^.{3}${String.fromCharCode(4)}`, 's');

describe('a client that begins with HTTP/2', () => {
  it('is judged and passed on as over HTTP/1.1', async () => {
    const session = open();
    const [good, bad, bare] = await Promise.all([
      ask(session, post('/classify?top=3', { 'x-own': 'kept', te: 'trailers' }), reference.frame),
      ask(session, post('/classify'), strange),
      ask(session, { ':path': '/models' }),
    ]);
    expect([good.status, bad.status, bare.status]).toEqual([200, 422, 200]);
    expect(good.headers).toMatchObject({ 'x-stopline-verdict': 'pass', 'x-model': 'lights' });
    expect(JSON.parse(good.text)).toMatchObject({ model_name: 'lights' });
    expect(JSON.parse(bad.text)).toMatchObject({ error: { code: 'STOPLINE_ERR_IMAGE_REFUSED' } });
    const got = upstream.received.find(({ method }) => method === 'POST');
    expect(got?.body.equals(Buffer.from(reference.frame))).toBe(true);
    expect(got?.url).toBe('/classify?top=3');
    expect(got?.headers).toMatchObject({ 'x-own': 'kept', 'x-forwarded-host': new URL(gate.url).host });
    // The upstream is spoken to over HTTP/1.1: what is HTTP/2 about a request stays here.
    expect(Object.keys(got?.headers ?? {}).filter((name) => /^:|^te$/.test(name))).toEqual([]);
  });

  it('is refused in the form of its protocol', async () => {
    const { headers, text } = await ask(
      open(),
      post('/v2/models/lights/infer', { 'content-type': 'application/json' }),
      Buffer.from('{"inputs": 7}'),
    );
    expect(headers).toMatchObject({ ':status': 400, 'content-type': 'application/json' });
    expect(JSON.parse(text).error).toContain('STOPLINE_ERR_');
  });

  it('shares the port with HTTP/1.1, however its first bytes come', async () => {
    const { statusCode } = await request(`${gate.url}/models`).then(async (response) => {
      await response.body.dump();
      return response;
    });
    expect(statusCode).toBe(200);
    const slow = await openConnection(gate.url);
    for (const letter of 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') {
      slow.send(letter);
      await new Promise((resolve) => setImmediate(resolve));
    }
    slow.send(frame({ type: 4 }));
    // Settings of the service come, so that it has understood.
    await slow.receive(settings);
    slow.socket.destroy();
    const other = await openConnection(gate.url);
    for (const letter of 'PROPFIND / HTTP/1.1\r\nhost: localhost\r\n\r\n') other.send(letter);
    await other.receive(/^HTTP\/1\.1 4\d\d/);
    other.socket.destroy();
  });

  it('waits for 100 where it asks for it, and reads events as they come', async () => {
    const session = open();
    const stream = session.request({ ...post('/classify', { expect: '100-continue' }) });
    await once(stream, 'continue');
    stream.end(reference.frame);
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(200);
    stream.resume();
    const events = session.request({ ':path': '/stopline/events' });
    const [piece] = await once(events, 'data');
    expect(String(piece)).toMatch(/^retry: /);
    events.close();
  });

  it('is told where calls of gRPC go', async () => {
    const { headers } = await ask(
      open(),
      post('/my.Service/Call', { 'content-type': 'application/grpc' }),
      Buffer.alloc(5),
    );
    expect(headers['grpc-status']).toBe('12');
    expect(decodeURIComponent(String(headers['grpc-message']))).toContain('--grpc-port');
  });
});

describe('over TLS', () => {
  it('the client chooses HTTP/2 or HTTP/1.1', async () => {
    const { certificate: ca, tlsCert, tlsKey } = makeCertificate(folder);
    const service = await start({ tlsCert, tlsKey });
    const session = open(service.url, { ca });
    const { status, headers } = await ask(session, post('/classify'), reference.frame);
    expect([status, headers['x-stopline-verdict'], session.alpnProtocol]).toEqual([200, 'pass', 'h2']);
    expect(upstream.received[0].headers['x-forwarded-proto']).toBe('https');
    const [answer] = await once(requestHttps(`${service.url}/models`, { ca }).end(), 'response');
    expect([answer.statusCode, answer.httpVersion]).toEqual([200, '1.1']);
    answer.resume();
  });
});

/** A frame of HTTP/2 (RFC 9113, 4.1). */
function frame(parts: { type: number; flags?: number; stream?: number; body?: Buffer }): Buffer {
  const { type, flags = 0, stream = 0, body = Buffer.alloc(0) } = parts;
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** Fields as literals that are not kept (RFC 7541, 6.2.2); lengths below 127. */
function block(fields: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')]);
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

const ordinary: [string, string][] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/models'],
  [':authority', 'localhost'],
];

const change = (name: string, value: string) =>
  ordinary.map(([one, usual]): [string, string] => [one, one === name ? value : usual]);
const fields = (count: number, length: number) =>
  Array.from({ length: count }, (_, i): [string, string] => [`x-own-${i}`, 'b'.repeat(length)]);

/** Resolves when there is an end of the first stream among the frames that came. */
async function waitForFirst(connection: Connection): Promise<void> {
  while (!isFirstEnded(Buffer.from(connection.received, 'latin1'))) {
    if (connection.socket.destroyed) throw new Error('the connection ended');
    await once(connection.socket, 'data');
  }
}

function isFirstEnded(bytes: Buffer): boolean {
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const [type, flags] = bytes.subarray(at + 3);
    if (bytes.readUInt32BE(at + 5) === 1 && (type === 3 || (type <= 1 && (flags & 1) !== 0))) return true;
  }
  return false;
}

/** What became of the first stream: a reset with its code, or the status and body of an answer. */
function readFrames(received: string): string {
  let status = '';
  for (let bytes = Buffer.from(received, 'latin1'); bytes.length >= 9; ) {
    const end = 9 + bytes.readUIntBE(0, 3);
    const [type, body] = [bytes[3], bytes.subarray(9, end)];
    if (type === 3) return `reset ${body.readUInt32BE(0)}`;
    if (type === 1) status = readStatus(body);
    if (type === 0 && body.length > 0) return `${status} ${body.toString('utf8')}`;
    if (type === 0 || (type === 1 && (bytes[4] & 1) !== 0)) return status;
    bytes = bytes.subarray(end);
  }
  return status;
}

/** The status of a block of headers, in which it comes first (RFC 7541, appendix A: 8 to 14, or a literal by that name). */
function readStatus(block: Buffer): string {
  // A change of the size of the table may stand before it.
  const at = [...block].findIndex((byte) => (byte & 0xe0) !== 0x20);
  const known = ['200', '204', '206', '304', '400', '404', '500'][(block[at] ?? 0) - 0x88];
  if (known) return known;
  const length = block[at + 1] & 0x7f;
  const text = block.subarray(at + 2, at + 2 + length);
  // Digits in Huffman's code of HPACK: 0, 1 and 2 in five bits, the others in six.
  if ((block[at + 1] & 0x80) === 0) return text.toString('latin1');
  let bits = [...text].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let digits = '';
  while (digits.length < 3) {
    const isShort = Number.parseInt(bits.slice(0, 5), 2) < 3;
    digits += isShort ? Number.parseInt(bits.slice(0, 5), 2) : Number.parseInt(bits.slice(0, 6), 2) - 0x19 + 3;
    bits = bits.slice(isShort ? 5 : 6);
  }
  return digits;
}

/** A connection on which the test writes the frames itself. */
async function begin(url = gate.url) {
  const connection = await openConnection(url);
  connection.send(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame({ type: 4 })]));
  await connection.receive(settings);
  return connection;
}

describe('what a client does wrong', () => {
  it.each<[string, [string, string][], RegExp]>([
    ['an address in full', change(':path', 'http://elsewhere/models'), /^reset 1$/],
    ['a path with a space', change(':path', '/mod els'), /^reset 1$/],
    ['no path', ordinary.filter(([name]) => name !== ':path'), /^reset 1$/],
    ['two paths', [...ordinary, [':path', '/other']], /^reset 1$/],
    ['a name of a host beside another', [...ordinary, ['host', 'elsewhere']], /^reset 1$/],
    ['a host of somebody else', change(':authority', 'elsewhere.example'), /^421 .*HOST_UNKNOWN/],
    ['a path that is read in two ways', change(':path', '/a/%2e%2e/models'), /^400 .*REQUEST_INVALID/],
    ['a length without a body', [...ordinary, ['content-length', '5']], /^reset 1$/],
    ['two lengths', [...ordinary, ['content-length', '0'], ['content-length', '0']], /^reset 1$/],
    ['a body in pieces of HTTP/1.1', [...ordinary, ['transfer-encoding', 'chunked']], /^reset 1$/],
    ['a header of a connection', [...ordinary, ['connection', 'x-own']], /^reset 1$/],
    ['a name in capitals', [...ordinary, ['X-Own', 'a']], /^reset 1$/],
    ['a line end in a header', [...ordinary, ['x-own', 'a\r\nx-stopline-verdict: pass']], /^200 (?!.*x-own)/],
    ['a zero byte in a header', [...ordinary, ['x-own', 'a\0b']], /^200 (?!.*x-own)/],
    ['another spelling of a header', [...ordinary, ['x_forwarded_for', '10.0.0.1']], /^200 (?!.*x_for)/],
    ['two hundred headers', [...ordinary, ...fields(200, 3)], /^reset 11$/],
    [
      'another change of protocol',
      [
        [':method', 'CONNECT'],
        [':authority', 'localhost:1'],
      ],
      /^405/,
    ],
  ])('%s', async (_name, sent, expected) => {
    const connection = await begin();
    connection.send(frame({ type: 1, flags: 5, stream: 1, body: block(sent) }));
    await waitForFirst(connection);
    const got = readFrames(connection.received);
    connection.socket.destroy();
    const heard = upstream.received.map(({ headers }) => Object.keys(headers).join(' ')).join();
    expect(`${got} ${heard}`.trim()).toMatch(expected);
    if (!/^200/.test(got)) expect(upstream.received).toEqual([]);
  });

  it('a header that names itself a hundred times is not unpacked further than 16 KiB', async () => {
    const connection = await begin();
    // Kept under the number 62 (RFC 7541, 6.2.1), and named by it from then on: 246 bytes for one.
    const kept = Buffer.concat([block([['x'.repeat(120), 'b'.repeat(126)]]), Buffer.alloc(100, 0xbe)]);
    kept[0] = 0x40;
    connection.send(frame({ type: 1, flags: 5, stream: 1, body: Buffer.concat([block(ordinary), kept]) }));
    await waitForFirst(connection);
    expect(readFrames(connection.received)).toBe('reset 11');
    connection.socket.destroy();
    expect(upstream.received).toEqual([]);
  });

  it('a body that does not end is refused in time', async () => {
    const service = await start({ requestTimeoutMs: 1000, headersTimeoutMs: 500 });
    const answers = await Promise.all([1, 2].map(() => ask(open(service.url), post('/classify'), null)));
    expect(answers.map(({ status }) => status)).toEqual([408, 408]);
    expect(answers[0].text).toContain('STOPLINE_ERR_REQUEST_TIMEOUT');
  });

  it('one that leaves ends its own requests alone', async () => {
    const session = open();
    const leaving = session.request(post('/classify'));
    leaving.on('error', () => undefined);
    leaving.write(reference.frame.subarray(0, 100));
    leaving.close(8);
    expect((await ask(session, post('/classify'), reference.frame)).status).toBe(200);
    expect(upstream.received.length).toBe(1);
  });
});

describe('floods', () => {
  const many = (count: number, piece: (i: number) => Buffer) =>
    Buffer.concat(Array.from({ length: count }, (_, i) => piece(i)));
  const get = (i: number, fields = ordinary) => frame({ type: 1, flags: 5, stream: 2 * i + 1, body: block(fields) });

  const posted = change(':method', 'POST');
  const open1 = frame({ type: 1, flags: 4, stream: 1, body: block(posted) });

  it.each<[string, boolean, () => Buffer]>([
    [
      'streams that are reset as soon as they begin',
      true,
      () =>
        many(800, (i) =>
          Buffer.concat([get(i), frame({ type: 3, stream: 2 * i + 1, body: Buffer.from([0, 0, 0, 8]) })]),
        ),
    ],
    [
      'more streams at once than are allowed',
      true,
      () => many(3000, (i) => frame({ type: 1, flags: 4, stream: 2 * i + 1, body: block(posted) })),
    ],
    ['pings', false, () => many(50_000, () => frame({ type: 6, body: Buffer.alloc(8) }))],
    ['settings', false, () => many(50_000, () => frame({ type: 4 }))],
    [
      'headers without an end',
      true,
      () =>
        Buffer.concat([
          frame({ type: 1, stream: 1, body: block(ordinary) }),
          many(3000, () => frame({ type: 9, stream: 1, body: block(fields(1, 100)) })),
        ]),
    ],
    ['empty pieces of a body', false, () => Buffer.concat([open1, many(50_000, () => frame({ type: 0, stream: 1 }))])],
    [
      'windows that grow without an end',
      true,
      () => many(3, () => frame({ type: 8, body: Buffer.from([127, 255, 255, 255]) })),
    ],
    ['garbage', true, () => Buffer.alloc(100_000, 0xa5)],
  ])('of %s end that connection at most', async (_name, isEnded, bytes) => {
    const connection = await begin();
    connection.send(bytes());
    if (isEnded) await connection.ended().catch(() => undefined);
    expect((await ask(open(), post('/classify'), reference.frame)).status).toBe(200);
    connection.socket.destroy();
  });

  it('of pings of which nobody reads the answers end that connection', async () => {
    const connection = await begin();
    connection.socket.pause();
    connection.send(many(600_000, () => frame({ type: 6, body: Buffer.alloc(8) })));
    expect((await ask(open(), post('/classify'), reference.frame)).status).toBe(200);
    connection.socket.resume();
    await connection.ended().catch(() => undefined);
  });
});

describe('a service that ends', () => {
  it('answers what it has been asked, says goodbye and closes', async () => {
    const service = await start();
    const session = open(service.url);
    const waiting = session.request(post('/classify'));
    const goodbye = once(session, 'goaway');
    waiting.write(reference.frame.subarray(0, 100));
    await once(session, 'remoteSettings');
    const ended = service.close();
    const [code] = await goodbye;
    expect(code).toBe(0);
    waiting.end(reference.frame.subarray(100));
    const [headers] = await once(waiting, 'response');
    expect(headers[':status']).toBe(200);
    waiting.resume();
    expect(await ended).toBe(true);
  });
});
