import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:http2';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { createFileRegistry } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { compressionGzip, createGrpcTransport } from '@connectrpc/connect-node';
import { credentials, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Service } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { encodeFrame, renderFrame } from '../../fixtures/camera.ts';
import { makeCertificate } from '../../fixtures/certificate.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import {
  describeInference,
  type GrpcRecorder,
  inferMethod,
  RawClient,
  startGrpcRecorder,
  strangeMethod,
  streamMethod,
  writeRequest,
} from '../../fixtures/grpc.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';
import { startService } from '../../fixtures/service.ts';
import { startRecorder } from '../../fixtures/upstream.ts';

let reference: Reference;
let strange: Buffer;
let upstream: GrpcRecorder;
let web: Awaited<ReturnType<typeof startRecorder>>;
/** Closed, and open. */
const gates = {} as Record<'closed' | 'open', Service>;
const services: Service[] = [];

async function start(flags: Partial<Config>): Promise<Service> {
  const gated = { grpcPort: 0, mode: 'enforce', grpcUpstream: upstream.url } as const;
  const service = await startService({ profile: reference.profilePath, ...gated, ...flags });
  services.push(service);
  return service;
}

beforeAll(async () => {
  reference = await fitReference();
  strange = Buffer.from(await encodeFrame(renderFrame(1000, { width: 320, height: 180 }), { quality: 3 }));
  [upstream, web] = await Promise.all([startGrpcRecorder(), startRecorder()]);
  gates.closed = await start({ onError: 'closed', upstream: web.url });
  gates.open = await start({ onError: 'open', upstream: web.url });
});
beforeEach(() => {
  upstream.received.length = 0;
  web.received.length = 0;
});
afterAll(async () => {
  for (const service of services) expect(await service.close()).toBe(true);
  upstream.close();
  await web.close();
  await reference.remove();
});

function infer(image: Uint8Array, id = '7'): Buffer {
  const inputs = [{ name: 'image', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [image] } }];
  return writeRequest('ModelInfer', { model_name: 'lights', id, inputs });
}

/** Debian's packages belong to Debian's Python, which need not be the first one. */
const pythons = ['/usr/bin/python3', 'python3'];
const python = pythons.find((path) => spawnSync(path, ['-c', 'import grpc']).status === 0) ?? '';
if (python === '') console.log('skipped: grpcio of Python is not installed (python3-grpcio)');

interface PythonCall {
  kind: 'unary' | 'stream';
  method: string;
  messages: Buffer[];
  metadata?: [string, string][];
  gzip?: boolean;
  timeout?: number;
}
interface PythonResult {
  code: string;
  details: string;
  messages: string[];
  metadata: Record<string, string>;
}

async function runPython(service: Service, calls: PythonCall[], certificate?: string): Promise<PythonResult[]> {
  const client = fileURLToPath(new URL('../../fixtures/grpcclient.py', import.meta.url));
  const child = spawn(python, [client], { stdio: ['pipe', 'pipe', 'inherit'] });
  const address = (service.grpcUrl as string).replace(
    /^grpcs?:\/\/127\.0\.0\.1/,
    certificate ? 'localhost' : '127.0.0.1',
  );
  const asked = calls.map((call) => ({
    ...call,
    messages: call.messages.map((message) => message.toString('base64')),
  }));
  child.stdin.end(JSON.stringify({ address, calls: asked, ...(certificate && { certificate }) }));
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  await once(child, 'close');
  return JSON.parse(text);
}

describe.skipIf(python === '')('grpcio of Python', () => {
  it('sees answers, refusals, packed messages, streams and unknown methods as from a server of its own', async () => {
    const good = infer(reference.frame);
    const results = await runPython(gates.closed, [
      { kind: 'unary', method: inferMethod, messages: [good] },
      { kind: 'unary', method: inferMethod, messages: [infer(strange)] },
      { kind: 'unary', method: inferMethod, messages: [good], gzip: true },
      { kind: 'unary', method: inferMethod, messages: [infer(strange)], gzip: true },
      { kind: 'stream', method: streamMethod, messages: [good, infer(strange, 'b'), good] },
      { kind: 'unary', method: strangeMethod, messages: [Buffer.from([8, 1])] },
      { kind: 'unary', method: '/inference.GRPCInferenceService/ServerLive', messages: [Buffer.alloc(0)] },
      { kind: 'unary', method: '/my.lights.Classifier/Missing', messages: [Buffer.alloc(0)] },
    ]);
    expect(results.map(({ code }) => code)).toEqual([
      ...['OK', 'FAILED_PRECONDITION', 'OK', 'FAILED_PRECONDITION', 'OK', 'OK', 'OK', 'UNIMPLEMENTED'],
    ]);
    expect(results[0].metadata).toMatchObject({ 'x-stopline-verdict': 'pass', 'x-trailer': 'behind' });
    expect(results[1].details).toMatch(/^STOPLINE_ERR_IMAGE_REFUSED: /);
    expect(results[1].metadata).toMatchObject({ 'x-stopline-verdict': 'block' });
    expect(results[1].metadata['grpc-status-details-bin']).toContain('IMAGE_REFUSED');
    expect(results[4].messages.length).toBe(3);
    const received = upstream.received.map(({ messages }) => messages);
    expect(received.slice(0, 3)).toEqual([[good], [good], [good, good]]);
  });

  it('speaks TLS to the gate', async () => {
    const { certificate, tlsCert, tlsKey } = makeCertificate(temporaryFolder());
    const service = await start({ tlsCert, tlsKey, onError: 'closed' });
    expect(service.grpcUrl).toMatch(/^grpcs:/);
    const call: PythonCall = { kind: 'unary', method: inferMethod, messages: [infer(reference.frame)] };
    const results = await runPython(service, [call, { ...call, messages: [infer(strange)] }], certificate);
    expect(results.map(({ code }) => code)).toEqual(['OK', 'FAILED_PRECONDITION']);
    const client = new RawClient(service.grpcUrl as string, credentials.createSsl(Buffer.from(certificate)));
    expect((await client.call(inferMethod, [infer(reference.frame)])).code).toBe(0);
    client.close();
  });
});

describe('Connect for Node.js, which has a gRPC of its own', () => {
  it('sees answers, refusals and trailers, packed or not, of calls and of streams', async () => {
    const registry = createFileRegistry(describeInference(), () => undefined);
    const service = registry.getService('inference.GRPCInferenceService');
    if (!service) throw new Error('inference.proto has no service');
    const baseUrl = (gates.closed.grpcUrl as string).replace(/^grpc/, 'http');
    const [good, bad] = [reference.frame, strange].map((image) => ({
      modelName: 'lights',
      id: '7',
      inputs: [
        { name: 'image', datatype: 'BYTES', shape: [1n], contents: { bytesContents: [Uint8Array.from(image)] } },
      ],
    }));
    for (const packing of [{}, { sendCompression: compressionGzip }]) {
      const client = createClient(service as never, createGrpcTransport({ baseUrl, ...packing })) as unknown as {
        modelInfer(request: object, options?: object): Promise<Record<string, unknown>>;
        modelStreamInfer(requests: AsyncIterable<object>): AsyncIterable<Record<string, unknown>>;
      };
      let told = new Headers();
      const onTrailer = (trailers: Headers) => {
        told = trailers;
      };
      expect(await client.modelInfer(good, { onTrailer })).toMatchObject({ modelName: 'lights' });
      expect(told.get('x-trailer')).toBe('behind');
      const refused = await client.modelInfer(bad).catch((error: ConnectError) => error);
      expect(refused).toBeInstanceOf(ConnectError);
      expect(refused).toMatchObject({ code: Code.FailedPrecondition });
      expect((refused as ConnectError).rawMessage).toMatch(/^STOPLINE_ERR_IMAGE_REFUSED: /);
      const requests = async function* () {
        yield* [good, bad, good];
      };
      const answers = [];
      for await (const answer of client.modelStreamInfer(requests())) answers.push(answer.errorMessage !== '');
      expect(answers.toSorted()).toEqual([false, false, true]);
    }
    expect(upstream.received.map(({ messages }) => messages.length)).toEqual([1, 2, 1, 2]);
  });
});

// What NODE_EXTRA_CA_CERTS does for a process.
const canTrust = typeof setDefaultCACertificates === 'function';
if (!canTrust) console.log('skipped: this Node cannot be told to trust a certificate while it runs');

describe.skipIf(!canTrust)('an upstream behind grpcs://', () => {
  const trusted = canTrust ? getCACertificates('default') : [];
  afterEach(() => setDefaultCACertificates(trusted));

  it('is called over TLS, and judged calls and their trailers go through', async () => {
    const { certificate, key } = makeCertificate(temporaryFolder());
    const pair = { private_key: key, cert_chain: Buffer.from(certificate) };
    const secure = await startGrpcRecorder({ secure: ServerCredentials.createSsl(null, [pair]) });
    expect(secure.url).toMatch(/^grpcs:/);
    const service = await start({ grpcUpstream: secure.url, onError: 'closed' });
    const client = new RawClient(service.grpcUrl as string);
    const good = infer(reference.frame);

    // Nobody vouches for it: the call does not go there.
    const untrusted = await client.call(inferMethod, [good]);
    expect([untrusted.code, untrusted.details, secure.received]).toEqual([
      14,
      expect.stringMatching(/^STOPLINE_ERR_UPSTREAM_BROKEN: .*SELF_SIGNED_CERT/),
      [],
    ]);
    setDefaultCACertificates([...trusted, certificate]);
    const [passed, refused] = [
      await client.call(inferMethod, [good]),
      await client.call(inferMethod, [infer(strange)]),
    ];
    expect([passed.code, refused.code]).toEqual([0, 9]);
    expect(passed.trailers.get('x-trailer')).toEqual(['behind']);
    expect(secure.received.map(({ messages }) => messages)).toEqual([[good]]);
    client.close();
    secure.close();
  });
});

/** Sends bytes as the body of a call, whatever they are. @returns status, message, and what the answer begins with */
async function sendBytes(service: Service, body: Buffer, method = inferMethod) {
  const session = connect((service.grpcUrl as string).replace('grpc', 'http'));
  const stream = session.request({
    ':method': 'POST',
    ':path': method,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  let told: Record<string, unknown> = {};
  for (const event of ['response', 'trailers'] as const) {
    stream.on(event, (headers: Record<string, unknown>) => {
      told = { ...told, ...headers };
    });
  }
  stream.on('error', () => undefined);
  stream.resume();
  stream.end(body);
  await once(stream, 'close');
  session.close();
  return { status: String(told['grpc-status']), message: decodeURIComponent(String(told['grpc-message'] ?? '')) };
}

function frame(message: Buffer, length = message.length, flag = 0): Buffer {
  const head = Buffer.alloc(5, flag);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

const deep = (depth: number) => {
  let message = Buffer.from([8, 1]);
  for (let i = 0; i < depth; i++) message = Buffer.concat([Buffer.from([0x0a, ...varint(message.length)]), message]);
  return message;
};
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)];
}

describe('bad calls', () => {
  const inputs = Array.from({ length: 10_000 }, (_, i) => ({ name: `i${i}`, datatype: 'FP32', shape: [1] }));
  const calls: [string, () => Buffer, string, RegExp][] = [
    ['a declared size of 2 GB', () => frame(Buffer.alloc(100), 2 ** 31), '8', /^STOPLINE_ERR_REQUEST_TOO_LARGE: /],
    ['a message that is cut', () => frame(infer(reference.frame), 2 ** 20), '3', /^STOPLINE_ERR_REQUEST_INVALID: /],
    ['a head that is cut', () => Buffer.from([0, 0, 0]), '3', /^STOPLINE_ERR_REQUEST_INVALID: /],
    ['a frame of no known kind', () => frame(infer(reference.frame), 5, 7), '3', /^STOPLINE_ERR_REQUEST_INVALID: /],
    ['a packed message without its encoding', () => frame(infer(reference.frame), undefined, 1), '3', /^STOPLINE_ERR_/],
    ['10,000 inputs', () => frame(writeRequest('ModelInfer', { inputs })), '8', /^STOPLINE_ERR_REQUEST_TOO_LARGE: /],
    [
      '1,000 inputs',
      () => frame(writeRequest('ModelInfer', { inputs: inputs.slice(0, 1000) })),
      '3',
      /^STOPLINE_ERR_REQUEST_INVALID: /,
    ],
    ['text', () => frame(Buffer.from('hello, this is no message')), '3', /^STOPLINE_ERR_REQUEST_INVALID: /],
    ['messages 1,000 deep', () => frame(deep(1000)), '3', /^STOPLINE_ERR_(REQUEST_INVALID|UNINSPECTED): /],
  ];

  it.each(calls)('%s: a status with a code, and the upstream sees nothing', async (_name, body, status, message) => {
    const answer = await sendBytes(gates.closed, body());
    expect(answer).toEqual({ status, message: expect.stringMatching(message) });
    expect(upstream.received.flatMap(({ messages }) => messages)).toEqual([]);
  });

  it.each(calls.filter(([name]) => /inputs|text|deep/.test(name)))(
    '%s pass an open gate as they are',
    async (_name, body) => {
      expect((await sendBytes(gates.open, body())).status).toBe('0');
      expect(upstream.received.map(({ messages }) => messages)).toEqual([[body().subarray(5)]]);
    },
  );

  it('what is larger than the limit passes an open gate piece by piece', async () => {
    const service = await start({ onError: 'open', bodyLimit: 100_000 });
    const message = Buffer.alloc(5_000_000, 7);
    expect((await sendBytes(service, frame(message), strangeMethod)).status).toBe('0');
    expect(upstream.received[0].messages[0].equals(message)).toBe(true);
  });

  it('what is no call of gRPC gets 415', async () => {
    const session = connect((gates.closed.grpcUrl as string).replace('grpc', 'http'));
    const stream = session.request({ ':method': 'POST', ':path': inferMethod, 'content-type': 'application/json' });
    const [headers] = await once(stream.end('{}'), 'response');
    expect(headers[':status']).toBe(415);
    session.close();
  });
});

/** Sends a body that says a length of its own. */
async function post(service: Service, body: Buffer, length: number) {
  const headers = { 'content-type': 'application/json', 'content-length': length };
  const message = request(`${service.url}/v2/models/m/infer`, { method: 'POST', headers });
  message.on('error', () => undefined);
  message.write(body);
  if (length === body.length) message.end();
  const [response] = await once(message, 'response');
  let text = '';
  for await (const piece of response) text += piece;
  message.destroy();
  return { status: response.statusCode as number, type: String(response.headers['content-type']), text };
}

describe('bad requests over HTTP', () => {
  const inputs = Array.from({ length: 10_000 }, (_, i) => ({ name: `i${i}`, datatype: 'FP32', shape: [1], data: [1] }));
  const bodies: [string, Buffer][] = [
    ['10,000 inputs', Buffer.from(JSON.stringify({ inputs }))],
    ['1,000 levels', Buffer.from(`{"inputs":${'['.repeat(1000)}${']'.repeat(1000)}}`)],
    ['text', Buffer.from('hello, this is no JSON')],
  ];

  it.each(bodies)('%s: an error that the clients of the protocol read, or passed as it is', async (_name, body) => {
    for (const [way, service] of Object.entries(gates)) {
      const { status, type, text } = await post(service, body, body.length);
      if (way === 'open') {
        expect([status, web.received.map((asked) => asked.body.equals(body))]).toEqual([200, [true]]);
      } else {
        expect([type, JSON.parse(text).error]).toEqual([
          'application/json',
          expect.stringMatching(/^STOPLINE_ERR_REQUEST_/),
        ]);
        expect([status >= 400 && status < 500, web.received]).toEqual([true, []]);
      }
    }
  });

  it('a declared size of 2 GB is refused before it comes', async () => {
    const { status, text } = await post(gates.closed, Buffer.alloc(100), 2 ** 31);
    expect([status, JSON.parse(text).error]).toEqual([413, expect.stringMatching(/^STOPLINE_ERR_REQUEST_TOO_LARGE: /)]);
    expect(web.received).toEqual([]);
  });

  it('an image in the query of a GET is judged', async () => {
    const query = `image=${encodeURIComponent(strange.toString('base64'))}&top=3`;
    expect((await fetch(`${gates.closed.url}/classify?${query}`)).status).toBe(422);
    expect(web.received).toEqual([]);
    expect((await fetch(`${gates.closed.url}/classify?q=a+b&next=https://10.0.0.1/`)).status).toBe(200);
  });
});
