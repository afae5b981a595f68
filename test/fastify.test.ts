import multipart from '@fastify/multipart';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import stopline, { type Report } from '../src/fastify.ts';
import { encodeFrame, renderFrame } from './fixtures/camera.ts';
import { fitReference, type Reference } from './fixtures/reference.ts';

let reference: Reference;
let strange: Buffer;
let app: FastifyInstance;
const reports: Report[] = [];
/** A plugin that starts threads takes its time on a busy machine. */
const patient = { pluginTimeout: 0 };

beforeAll(async () => {
  reference = await fitReference();
  strange = Buffer.from(await encodeFrame(renderFrame(1000, { width: 320, height: 180 }), { quality: 3 }));
  app = Fastify({ bodyLimit: 4_000_000, ...patient });
  await app.register(multipart, { attachFieldsToBody: true });
  await app.register(stopline, {
    profile: reference.profilePath,
    threads: 1,
    mode: 'enforce',
    onError: 'closed',
    verdictTimeoutMs: 60_000,
    routes: [
      { path: '/classify/:camera', protocol: 'image' },
      { path: '/watched', protocol: 'image', mode: 'observe' },
    ],
    onReport: (report) => reports.push(report),
  });
  const classify = async () => ({ state: 'green' });
  app.post('/classify/:camera', async (request) => ({
    state: 'green',
    verdict: request.stopline?.decision?.verdict?.verdict,
  }));
  app.post('/v2/models/:model/infer', classify);
  app.post('/watched', async (request) => ({ action: request.stopline?.action, wait: await request.stopline?.judged }));
  app.post('/other', async (request) => ({ stopline: request.stopline }));
  await app.ready();
});
afterAll(async () => {
  await app.close();
  await reference.remove();
});

const jpeg = { 'content-type': 'image/jpeg' };

function makeInference(...images: Uint8Array[]) {
  const data = images.map((image) => Buffer.from(image).toString('base64'));
  return { id: '7', inputs: [{ name: 'image', datatype: 'BYTES', shape: [data.length], data }] };
}

describe('the Fastify plugin', () => {
  it('lets through what is like the reference, and tells the handler and the client', async () => {
    const response = await app.inject({
      method: 'POST',
      url: '/classify/front',
      headers: jpeg,
      payload: Buffer.from(reference.frame),
    });
    expect(response.json()).toEqual({ state: 'green', verdict: 'pass' });
    expect(response.headers).toMatchObject({
      'x-stopline-verdict': 'pass',
      'x-stopline-profile': reference.profile.sha256.slice(0, 12),
    });
    expect(Number(response.headers['x-stopline-p-value'])).toBeGreaterThan(0.01);
  });

  it('refuses the other in the shape of its protocol, and what cannot be judged', async () => {
    const plain = await app.inject({ method: 'POST', url: '/classify/front', headers: jpeg, payload: strange });
    expect(plain.statusCode).toBe(422);
    expect(plain.json().error.code).toBe('STOPLINE_ERR_IMAGE_REFUSED');
    expect(plain.headers['x-stopline-reasons']).toMatch(/^\w+(, \w+)*$/);
    const inference = await app.inject({
      method: 'POST',
      url: '/v2/models/a/infer',
      payload: makeInference(reference.frame, strange),
    });
    expect(inference.statusCode).toBe(422);
    expect(inference.json()).toEqual({
      id: '7',
      error: expect.stringMatching(/^STOPLINE_ERR_IMAGE_REFUSED: Expected an image like/),
    });
    expect(inference.headers['x-stopline-refused']).toBe('1');
    expect(inference.headers['content-type']).toBe('application/json');
    const broken = await app.inject({
      method: 'POST',
      url: '/classify/front',
      headers: jpeg,
      payload: strange.subarray(0, 300),
    });
    expect(broken.json().error.code).toBe('STOPLINE_ERR_IMAGE_TRUNCATED');
    const text = await app.inject({
      method: 'POST',
      url: '/classify/front',
      headers: { 'content-type': 'text/plain' },
      payload: 'x',
    });
    expect(text.json().error.code).toBe('STOPLINE_ERR_UNINSPECTED');
  });

  it('finds the image in a form and in a tensor of a path that hides its letters', async () => {
    const form = new FormData();
    form.set('photo', new Blob([strange as never]), 'a.jpg');
    const request = new Request('http://x', { method: 'POST', body: form });
    const headers = { 'content-type': request.headers.get('content-type') as string };
    const payload = Buffer.from(await request.arrayBuffer());
    expect((await app.inject({ method: 'POST', url: '/classify/a', headers, payload })).statusCode).toBe(422);
    expect(
      (await app.inject({ method: 'POST', url: '/v2/%6dodels/a/infer', payload: makeInference(strange) })).statusCode,
    ).toBe(422);
  });

  it('observing, does not wait and does not refuse', async () => {
    reports.length = 0;
    const response = await app.inject({ method: 'POST', url: '/watched', headers: jpeg, payload: strange });
    expect(response.headers['x-stopline-verdict']).toBe('pending');
    expect(response.json()).toMatchObject({
      action: 'observe',
      wait: { action: 'forward', verdict: { verdict: 'block' } },
    });
    expect(reports).toEqual([{ outcome: 'observed', reason: 'block' }]);
  });

  it('leaves other routes alone', async () => {
    expect((await app.inject({ method: 'POST', url: '/other', payload: { a: 1 } })).json()).toEqual({ stopline: null });
  });

  it('judges forms whose parts are values, and texts', async () => {
    const other = Fastify(patient);
    await other.register(multipart, { attachFieldsToBody: 'keyValues' });
    const routes = [{ path: '/classify', protocol: 'image' as const }];
    const policy = { mode: 'enforce' as const, onError: 'closed' as const, verdictTimeoutMs: 60_000 };
    await other.register(stopline, { profile: reference.profilePath, threads: 1, ...policy, routes });
    other.post('/classify', async () => ({ state: 'green' }));
    const send = async (fill: (form: FormData) => void) => {
      const form = new FormData();
      fill(form);
      const request = new Request('http://x', { method: 'POST', body: form });
      const headers = { 'content-type': request.headers.get('content-type') as string };
      const payload = Buffer.from(await request.arrayBuffer());
      return (await other.inject({ method: 'POST', url: '/classify', headers, payload })).statusCode;
    };
    const good = new Blob([Buffer.from(reference.frame)]);
    expect(await send((form) => form.set('photo', good, 'a.jpg'))).toBe(200);
    expect(await send((form) => form.set('photo', new Blob([strange as never]), 'a.jpg'))).toBe(422);
    expect(await send((form) => form.set('photo', strange.toString('base64')))).toBe(422);
    const both = (form: FormData) => {
      form.set('photo', good, 'a.jpg');
      form.set('more', strange.toString('base64'));
    };
    expect(await send(both)).toBe(422);
    await other.close();
  });

  it('judges what the handler reads itself with request.file(), which then still has it', async () => {
    const other = Fastify(patient);
    await other.register(multipart);
    const policy = { mode: 'enforce' as const, onError: 'closed' as const, verdictTimeoutMs: 60_000 };
    const routes = [{ path: '/classify', protocol: 'image' as const }];
    await other.register(stopline, { profile: reference.profilePath, threads: 1, ...policy, routes });
    other.post('/classify', async (request) => {
      const file = await request.file();
      return { bytes: (await file?.toBuffer())?.length, verdict: request.stopline?.decision?.verdict?.verdict };
    });
    const url = await other.listen({ host: '127.0.0.1', port: 0 });
    const send = async (photo: Uint8Array) => {
      const body = new FormData();
      body.set('photo', new Blob([Buffer.from(photo)]), 'a.jpg');
      const answer = await fetch(`${url}/classify`, { method: 'POST', body });
      return { status: answer.status, ...((await answer.json()) as object) };
    };
    expect(await send(reference.frame)).toEqual({ status: 200, bytes: reference.frame.length, verdict: 'pass' });
    expect(await send(strange)).toMatchObject({ status: 422, error: { code: 'STOPLINE_ERR_IMAGE_REFUSED' } });
    expect(await send(strange.subarray(0, 300))).toMatchObject({ status: 422 });
    await other.close();
  });

  it('knows the routes of a scope with its prefix and without', async () => {
    const other = Fastify(patient);
    const policy = { mode: 'enforce' as const, onError: 'closed' as const, verdictTimeoutMs: 60_000 };
    const answer = async () => ({ state: 'green' });
    other.post('/classify', answer);
    await other.register(
      async (scope) => {
        const paths = ['/classify', '/api/named'];
        const routes = paths.map((path) => ({ path, protocol: 'image' as const }));
        await scope.register(stopline, { profile: reference.profilePath, threads: 1, ...policy, routes });
        scope.post('/classify', answer);
        scope.post('/named', answer);
        await scope.register(async (inner) => void inner.post('/v2/models/:model/infer', answer), {
          prefix: '/models',
        });
      },
      { prefix: '/api' },
    );
    const ask = async (url: string, payload: Buffer | object = strange) =>
      (await other.inject({ method: 'POST', url, payload, ...(Buffer.isBuffer(payload) && { headers: jpeg }) }))
        .statusCode;
    expect(await ask('/api/classify')).toBe(422);
    expect(await ask('/api/named')).toBe(422);
    expect(await ask('/api/models/v2/models/a/infer', makeInference(strange))).toBe(422);
    // Outside of the scope nothing is judged.
    expect(await ask('/classify')).toBe(415);
    await other.close();
  });

  const lost: [
    name: string,
    build: (app: FastifyInstance, gate: (scope: FastifyInstance, path: string) => Promise<unknown>) => Promise<unknown>,
    message: string,
  ][] = [
    [
      'a path with a typo',
      async (other, gate) => {
        await gate(other, '/clasify');
        await other.register(async (scope) => void scope.post('/classify', async () => ({})), { prefix: '/api' });
      },
      'Expected "routes" with paths that the application has but received "/clasify"; it has /api/classify.',
    ],
    [
      'a path outside of the scope that the gate is registered in',
      async (other, gate) => {
        other.post('/classify', async () => ({}));
        const register = async (scope: FastifyInstance) => {
          await gate(scope, '/classify');
          scope.post('/other', async () => ({}));
        };
        await other.register(register, { prefix: '/api' });
      },
      'Expected "routes" with paths that the scope /api has but received "/classify"; it has /api/other. ' +
        'That path is there, but was declared before the gate or outside of its scope.',
    ],
    [
      'any path where there is none',
      async (other, gate) => gate(other, '/classify/:camera'),
      'Expected "routes" with paths that the application has but received "/classify/:camera"; it has none.',
    ],
  ];
  it.each(lost)('does not start with %s, and names those that exist', async (_, build, message) => {
    const other = Fastify(patient);
    const gate = async (scope: FastifyInstance, path: string) => {
      const routes = [{ path, protocol: 'image' as const }];
      await scope.register(stopline, { profile: reference.profilePath, threads: 1, routes });
    };
    await build(other, gate);
    await expect(other.ready()).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID', message });
    await other.close();
  });

  it('refuses a mode that there is none, before anything is started', async () => {
    const mode = 'enforced' as 'enforce';
    await expect(Fastify(patient).register(stopline, { profile: reference.profilePath, mode })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: 'Expected mode to be observe or enforce but received "enforced".',
    });
  });
});
