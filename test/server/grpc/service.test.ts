import { createHash } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { drawPictures, type Pictures } from '../../../scripts/faults/differentialrequest.ts';
import { grpcDifferentials } from '../../../scripts/faults/grpcdifferentials.ts';
import { decode } from '../../../src/image/decode.ts';
import type { Service } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { encodeFrame, renderFrame } from '../../fixtures/camera.ts';
import {
  checkMethod,
  type GrpcRecorder,
  healthMethod,
  inferMethod,
  predictMethod,
  RawClient,
  readResponse,
  startGrpcRecorder,
  strangeMethod,
  strangeStream,
  streamMethod,
  writeRequest,
} from '../../fixtures/grpc.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';
import { startService } from '../../fixtures/service.ts';

let reference: Reference;
let strange: Buffer;
let upstream: GrpcRecorder;
let client: RawClient;
const services: Service[] = [];
const clients: RawClient[] = [];

async function start(flags: Partial<Config>): Promise<{ service: Service; client: RawClient }> {
  const service = await startService({ profile: reference.profilePath, grpcPort: 0, ...flags });
  services.push(service);
  const client = new RawClient(service.grpcUrl as string);
  clients.push(client);
  return { service, client };
}

beforeAll(async () => {
  reference = await fitReference();
  strange = Buffer.from(await encodeFrame(renderFrame(1000, { width: 320, height: 180 }), { quality: 3 }));
  upstream = await startGrpcRecorder();
  ({ client } = await start({ grpcUpstream: upstream.url, mode: 'enforce', onError: 'closed' }));
});
beforeEach(() => {
  upstream.received.length = 0;
  upstream.state = {};
});
afterAll(async () => {
  for (const client of clients) client.close();
  for (const service of services) expect(await service.close()).toBe(true);
  upstream.close();
  await reference.remove();
});

function infer(image: Uint8Array, id = '7'): Buffer {
  const inputs = [{ name: 'image', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [image] } }];
  return writeRequest('ModelInfer', { model_name: 'lights', id, inputs });
}

describe('a call of the Open Inference Protocol', () => {
  it('reaches the upstream byte by byte and is answered by it', async () => {
    const message = infer(reference.frame);
    const { code, details, messages, headers, trailers } = await client.call(inferMethod, [message]);
    expect([code, details]).toEqual([0, 'OK']);
    expect(upstream.received.map(({ path }) => path)).toEqual([inferMethod]);
    expect(upstream.received[0].messages).toEqual([message]);
    expect(readResponse('ModelInfer', messages[0])).toMatchObject({ model_name: 'lights', id: String(message.length) });
    expect(headers.get('x-stopline-verdict')).toEqual(['pass']);
    expect(trailers.get('x-trailer')).toEqual(['behind']);
    expect(trailers.get('x-trailer-bin')).toEqual([Buffer.from([0, 255, 1])]);
  });

  it('is refused with a status, a message and details, and the upstream sees nothing of it', async () => {
    const { code, details, trailers, messages } = await client.call(inferMethod, [infer(strange)]);
    expect([code, messages]).toEqual([9, []]);
    expect(details).toMatch(/^STOPLINE_ERR_IMAGE_REFUSED: Expected an image like the reference but/);
    expect(trailers.get('x-stopline-verdict')).toEqual(['block']);
    expect(String(trailers.get('grpc-status-details-bin')[0])).toContain('IMAGE_REFUSED');
    expect(upstream.received).toEqual([]);
  });
});

describe('a closed gate lets no message through that only another reader would take for a bad image', () => {
  let pictures: Pictures;
  beforeAll(async () => {
    pictures = await drawPictures(Buffer.from(reference.frame));
  });

  it.each(grpcDifferentials.map((one) => [one.name, one] as const))('%s', async (_, { path, message }) => {
    const { code, details } = await client.call(path, [message(pictures)]);
    expect(upstream.received, details).toEqual([]);
    expect(code).toBeGreaterThan(0);
    expect(details).toMatch(/^STOPLINE_ERR_(REQUEST_INVALID|UNINSPECTED|IMAGE_REFUSED|REQUEST_TOO_LARGE)/);
  });
});

describe('calls', () => {
  it('are timed, and an address that asks for too many in a second is refused', async () => {
    const { service, client } = await start({ grpcUpstream: upstream.url, mode: 'enforce', peerRate: 3 });
    const calls = await Promise.all(Array.from({ length: 12 }, () => client.call(strangeMethod, [Buffer.from('x')])));
    const codes = calls.map(({ code }) => code);
    // They come at once, and four seconds would have to pass between them for none to be one too many.
    expect([codes.includes(0), codes.includes(8)]).toEqual([true, true]);
    expect(calls.find(({ code }) => code === 8)?.details).toMatch(/^STOPLINE_ERR_RATE_LIMITED: /);
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toMatch(/stopline_request_duration_seconds_count\{route="gRPC",status="200"\} [1-6]\n/);
    expect(metrics).toMatch(/stopline_request_duration_seconds_count\{route="gRPC",status="429"\} \d+\n/);
  });
});

describe('other ways to send an image', () => {
  it('raw contents, pixels as numbers, TensorFlow Serving: each is judged, good and strange', async () => {
    for (const [image, expected] of [
      [reference.frame, 0],
      [strange, 9],
    ] as const) {
      const { data, width, height } = (await decode(image)).frame;
      const input = { name: 'image', datatype: 'BYTES', shape: [1] };
      const length = Buffer.alloc(4);
      length.writeUInt32LE(image.length);
      const pixels = { name: 'image', datatype: 'UINT8', shape: [1, height, width, 3] };
      const shape = (...sides: number[]) => ({ dim: sides.map((size) => ({ size })) });
      const calls: [string, Buffer][] = [
        [
          inferMethod,
          writeRequest('ModelInfer', { inputs: [input], raw_input_contents: [Buffer.concat([length, image])] }),
        ],
        [inferMethod, writeRequest('ModelInfer', { inputs: [pixels], raw_input_contents: [data] })],
        [inferMethod, writeRequest('ModelInfer', { inputs: [{ ...pixels, contents: { uint_contents: [...data] } }] })],
        [
          predictMethod,
          writeRequest('Predict', { inputs: { a: { dtype: 7, tensor_shape: shape(1), string_val: [image] } } }),
        ],
        [
          predictMethod,
          writeRequest('Predict', {
            inputs: { a: { dtype: 4, tensor_shape: shape(height, width, 3), tensor_content: data } },
          }),
        ],
        [strangeMethod, image as Buffer].map((part, i) =>
          i === 0 ? part : writeRequest('ModelInfer', { raw_input_contents: [part] }),
        ) as [string, Buffer],
      ];
      for (const [method, message] of calls) {
        upstream.received.length = 0;
        const { code } = await client.call(method, [message]);
        expect([method, code]).toEqual([method, expected]);
        expect(upstream.received.map(({ messages }) => messages)).toEqual(expected === 0 ? [[message]] : []);
      }
    }
  });
});

describe('methods that carry no image', () => {
  it('pass, known or not, with what they carry', async () => {
    for (const method of ['ServerLive', 'ModelReady', 'ModelMetadata']) {
      const { code } = await client.call(`/inference.GRPCInferenceService/${method}`, [Buffer.alloc(0)]);
      expect([method, code]).toEqual([method, 0]);
    }
    const nothing = Buffer.from([8, 1]);
    expect((await client.call(strangeMethod, [nothing])).code).toBe(0);
    expect((await client.call('/my.lights.Classifier/Missing', [nothing])).code).toBe(12);
    expect(upstream.received.at(-1)).toMatchObject({ path: strangeMethod, messages: [nothing] });
  });

  it('are answered in the order of the messages where both sides send many', async () => {
    const messages = Array.from({ length: 50 }, (_, i) => writeRequest('ModelReady', { name: 'x'.repeat(i) }));
    const { code, messages: answers } = await client.call(strangeStream, messages);
    expect(code).toBe(0);
    expect(answers.map(String)).toEqual(messages.map(({ length }) => String(length)));
    expect(upstream.received[0].messages).toEqual(messages);
  });
});

describe('a stream of requests', () => {
  it('goes on behind one that is refused, which is told in an answer of its own', async () => {
    const messages = [infer(reference.frame, 'a'), infer(strange, 'b'), infer(reference.frame, 'c')];
    const { code, messages: answers } = await client.call(streamMethod, messages);
    expect(code).toBe(0);
    const read = answers.map((answer) =>
      readResponse<{ error_message: string; infer_response: { id: string } }>('ModelStreamInfer', answer),
    );
    const refused = read.filter(({ error_message }) => error_message !== '');
    expect(refused).toMatchObject([
      { error_message: expect.stringMatching(/^STOPLINE_ERR_IMAGE_REFUSED: /), infer_response: { id: 'b' } },
    ]);
    expect(read.length).toBe(3);
    expect(upstream.received[0].messages).toEqual([messages[0], messages[2]]);
  });

  it('in which all are refused ends well, and the upstream hears nothing of it', async () => {
    const { code, messages } = await client.call(streamMethod, [infer(strange)]);
    expect([code, messages.length, upstream.received.length]).toEqual([0, 1, 0]);
  });

  it('ends with a status where the client asked for one', async () => {
    const metadata = new Metadata();
    metadata.set('triton_grpc_error', 'true');
    const { code } = await client.call(streamMethod, [infer(strange)], { metadata });
    expect(code).toBe(9);
  });
});

describe('what belongs to a call', () => {
  it('metadata goes on, also in bytes and twice, and what is forged does not', async () => {
    const metadata = new Metadata();
    metadata.add('x-own', 'one');
    metadata.add('x-own', 'two');
    metadata.set('x-own-bin', Buffer.from([0, 1, 254, 255]));
    metadata.set('x-stopline-verdict', 'pass');
    metadata.set('authorization', 'Bearer of-the-upstream');
    await client.call(inferMethod, [infer(reference.frame)], { metadata });
    const [{ metadata: got }] = upstream.received;
    expect(got.get('x-own').join()).toMatch(/^one, ?two$/);
    expect(got.get('x-own-bin')).toEqual([Buffer.from([0, 1, 254, 255])]);
    expect(got.get('x-stopline-verdict')).toEqual(['pass']);
    expect(got.get('authorization')).toEqual(['Bearer of-the-upstream']);
    expect(got.get('x-forwarded-for')).toEqual(['127.0.0.1']);
  });

  it('packed messages are unpacked to be judged and go on packed', async () => {
    const message = infer(reference.frame);
    expect((await client.call(inferMethod, [message], { isGzip: true })).code).toBe(0);
    expect(upstream.received[0].messages).toEqual([message]);
    expect((await client.call(inferMethod, [infer(strange)], { isGzip: true })).code).toBe(9);
    expect(upstream.received.length).toBe(1);
  });

  it('the deadline goes on, and ends the call', async () => {
    await client.call(inferMethod, [infer(reference.frame)], { deadlineMs: 300_000 });
    const leftMs = upstream.received[0].deadline - Date.now();
    expect(leftMs).toBeGreaterThan(100_000);
    expect(leftMs).toBeLessThan(300_001);
    upstream.state = { isSilent: true };
    const { code } = await client.call(inferMethod, [infer(reference.frame)], { deadlineMs: 1000 });
    expect(code).toBe(4);
  });

  it('a client that leaves is left by the upstream', async () => {
    upstream.state = { isSilent: true };
    const asked = new Promise<void>((resolve) => {
      const look = () => (upstream.received[0]?.messages.length ? resolve() : void setImmediate(look));
      look();
    });
    const { code } = await client.call(inferMethod, [infer(reference.frame)], { cancelWhen: asked });
    expect(code).toBe(1);
    await new Promise<void>((resolve) => {
      const look = () => (upstream.received[0].isCancelled ? resolve() : void setImmediate(look));
      look();
    });
  });

  it('a status of the upstream comes with its message, metadata and details', async () => {
    const metadata = new Metadata();
    metadata.set('grpc-status-details-bin', Buffer.from([8, 5]));
    metadata.set('x-why', 'gone');
    upstream.state = { fails: { code: 5, details: 'no such model: Größe 100 %', metadata } };
    const { code, details, trailers } = await client.call(inferMethod, [infer(reference.frame)]);
    expect([code, details]).toEqual([5, 'no such model: Größe 100 %']);
    expect(trailers.get('x-why')).toEqual(['gone']);
    expect(trailers.get('grpc-status-details-bin')).toEqual([Buffer.from([8, 5])]);
  });

  it('messages of many megabytes pass in both modes', async () => {
    const image = Buffer.concat([reference.frame, Buffer.alloc(0)]);
    const inputs = [{ name: 'image', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [image] } }];
    // A name of the model of eight megabytes: text, which is no image.
    const message = writeRequest('ModelInfer', { model_name: 'the name of a model '.repeat(400_000), inputs });
    const { code } = await client.call(inferMethod, [message]);
    expect(code).toBe(0);
    expect(upstream.received[0].messages[0].equals(message)).toBe(true);
  });
});

describe('health', () => {
  it("of the upstream is the upstream's, and that of the gate has a name", async () => {
    const { code, messages } = await client.call(healthMethod, [Buffer.alloc(0)]);
    expect([code, messages.map(String)]).toEqual([0, ['0']]);
    const own = await client.call(healthMethod, [Buffer.from('\n\x08stopline')]);
    expect([own.code, own.messages]).toEqual([0, [Buffer.from([8, 1])]]);
    expect(upstream.received.length).toBe(1);
  });
});

describe('an upstream that is not there', () => {
  it('is told as UNAVAILABLE, and the breaker opens', async () => {
    const { client } = await start({ grpcUpstream: 'grpc://127.0.0.1:1', breakerFailures: 2, breakerRetryMs: 600_000 });
    const results = [];
    for (let i = 0; i < 3; i++) results.push(await client.call(inferMethod, [infer(reference.frame)]));
    expect(results.map(({ code }) => code)).toEqual([14, 14, 14]);
    expect(results[0].details).toMatch(/^STOPLINE_ERR_UPSTREAM_UNREACHABLE: /);
    expect(results[2].details).toMatch(/^STOPLINE_ERR_UPSTREAM_DOWN: /);
  });
});

describe('who may call', () => {
  it('without a key nobody, and the key of the service does not go on', async () => {
    const secret = 'a-key-of-the-service';
    const hash = createHash('sha256').update(secret).digest('hex');
    const { client } = await start({ grpcUpstream: upstream.url, apiKeys: [`inspect:${hash}`] });
    const none = await client.call(inferMethod, [infer(reference.frame)]);
    expect([none.code, none.details]).toEqual([16, expect.stringMatching(/^STOPLINE_ERR_KEY_MISSING: /)]);
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${secret}`);
    expect((await client.call(inferMethod, [infer(reference.frame)], { metadata })).code).toBe(0);
    expect(upstream.received.map(({ metadata }) => metadata.get('authorization'))).toEqual([[]]);
  });
});

describe('an observing gate', () => {
  it('passes many messages of one call without a warning', async () => {
    const warnings: string[] = [];
    const note = ({ name }: Error) => void warnings.push(name);
    process.on('warning', note);
    const { client } = await start({ grpcUpstream: upstream.url, mode: 'observe' });
    const messages = Array.from({ length: 30 }, () => infer(reference.frame));
    const { code, messages: answers } = await client.call(streamMethod, messages);
    expect([code, answers.length]).toEqual([0, 30]);
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });

  it('lets everything through and judges beside', async () => {
    const { service, client } = await start({ grpcUpstream: upstream.url, mode: 'observe' });
    const { code, headers } = await client.call(inferMethod, [infer(strange)]);
    expect([code, headers.get('x-stopline-verdict')]).toEqual([0, ['pending']]);
    await service.close();
    services.splice(services.indexOf(service), 1);
    expect(upstream.received.length).toBe(1);
  });
});

describe('Envoy that asks over gRPC', () => {
  const ask = (http: object) => writeRequest('Check', { attributes: { request: { http } } });
  const headers = { 'content-type': 'image/jpeg', 'x-stopline-source': 'front' };

  it('is told to let pass, or what to answer in the form of the path, and needs no upstream', async () => {
    const { client } = await start({ mode: 'enforce', onError: 'closed' });
    const decide = async (http: object) => {
      const { code, messages } = await client.call(checkMethod, [ask(http)]);
      expect(code).toBe(0);
      return readResponse<{
        status: { code: number };
        ok_response?: { headers: { header: { key: string; value: string } }[] };
        denied_response?: { status: { code: number }; body: string };
      }>('Check', messages[0]);
    };
    const good = await decide({ method: 'POST', path: '/classify', headers, raw_body: reference.frame });
    expect(good.status.code).toBe(0);
    expect(good.ok_response?.headers[0].header).toMatchObject({ key: 'x-stopline-verdict', value: 'pass' });
    const bad = await decide({ method: 'POST', path: '/classify', headers, raw_body: strange });
    expect([bad.status.code, bad.denied_response?.status.code]).toEqual([7, 422]);
    expect(JSON.parse(bad.denied_response?.body ?? '')).toMatchObject({
      error: { code: 'STOPLINE_ERR_IMAGE_REFUSED' },
    });
    const body = { inputs: [{ name: 'i', datatype: 'BYTES', shape: [1], data: [strange.toString('base64')] }] };
    const json = { 'content-type': 'application/json' };
    const http = { method: 'POST', path: '/v2/models/m/infer', headers: json, body: JSON.stringify(body) };
    expect(JSON.parse((await decide(http)).denied_response?.body ?? '').error).toMatch(/^STOPLINE_ERR_IMAGE_REFUSED: /);
    expect((await decide({ method: 'GET', path: '/v2', headers: {} })).ok_response).toBeDefined();
    // An image in the query of a request without a body.
    for (const image of [strange, Buffer.from('GIF89a and more of it, and more of it')]) {
      const path = `/classify?image=${encodeURIComponent(image.toString('base64'))}`.slice(0, 16_000);
      expect((await decide({ method: 'GET', path, headers: {} })).ok_response).toBeUndefined();
    }
    const partial = { ...headers, 'x-envoy-auth-partial-body': 'false, true' };
    const cut = await decide({ method: 'POST', path: '/classify', headers: partial, raw_body: reference.frame });
    expect(cut.denied_response?.status.code).toBe(413);
    const none = await decide({ method: 'POST', path: '/classify', headers });
    expect(none.denied_response?.status.code).toBe(400);
    const twice = { headers: ['image/jpeg', 'text/plain'].map((value) => ({ key: 'content-type', value })) };
    const unclear = await decide({ method: 'POST', path: '/classify', header_map: twice, raw_body: reference.frame });
    expect(unclear.denied_response?.status.code).toBe(400);
    // A call of gRPC that goes through Envoy: a message in its frame.
    const grpc = { 'content-type': 'application/grpc+proto' };
    for (const [image, code] of [
      [reference.frame, 0],
      [strange, 7],
    ] as const) {
      const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, 0]), infer(image)]);
      frame.writeUInt32BE(frame.length - 5, 1);
      const { status } = await decide({ method: 'POST', path: inferMethod, headers: grpc, raw_body: frame });
      expect(status.code).toBe(code);
    }
    const own = await client.call(healthMethod, [Buffer.alloc(0)]);
    expect(own.messages).toEqual([Buffer.from([8, 1])]);
    expect((await client.call(inferMethod, [infer(reference.frame)])).code).toBe(12);
  });
});
