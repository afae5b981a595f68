import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  buildDifferential,
  differentialRoutes,
  drawPictures,
  type Pictures,
} from '../../../scripts/faults/differentialrequest.ts';
import { differentials } from '../../../scripts/faults/differentials.ts';
import type { Service } from '../../../src/server/serve.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';
import { startService } from '../../fixtures/service.ts';
import { type Recorder, startRecorder } from '../../fixtures/upstream.ts';

let reference: Reference;
let upstream: Recorder;
let gate: Service;
let pictures: Pictures;

beforeAll(async () => {
  reference = await fitReference();
  upstream = await startRecorder();
  pictures = await drawPictures(Buffer.from(reference.frame));
  gate = await startService({
    profile: reference.profilePath,
    upstream: upstream.url,
    mode: 'enforce',
    onError: 'closed',
    routes: differentialRoutes,
  });
});
afterAll(async () => {
  await gate.close();
  await upstream.close();
  await reference.remove();
});
beforeEach(() => {
  upstream.received.length = 0;
});

async function send(path: string, body: Buffer, headers: Record<string, string>) {
  const response = await request(gate.url + path, { method: 'POST', body, headers });
  return { status: response.statusCode, text: await response.body.text(), headers: response.headers };
}

describe('a closed gate lets no image through that only another reader would see', () => {
  it.each(differentials.map((differential) => [differential.name, differential] as const))(
    '%s',
    async (_, differential) => {
      const { path, headers, body } = buildDifferential(differential, pictures);
      const answer = await send(path, body, headers);
      expect(upstream.received.length, answer.text.slice(0, 200)).toBe(0);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
    },
  );
});

describe('headers in another spelling', () => {
  it('that an upstream could read as ours, as those of a proxy or as what the body is, do not reach it', async () => {
    const forged = {
      x_stopline_verdict: 'pass',
      'X_Forwarded-For': '10.0.0.1',
      'x.forwarded.host': 'elsewhere',
      x_real_ip: '10.0.0.1',
      content_type: 'text/plain',
      content_length: '3',
      inference_header_content_length: '10',
      transfer_encoding: 'chunked',
      x_own: 'kept',
    };
    const answer = await send('/classify', pictures.good, { 'content-type': 'image/jpeg', ...forged });
    expect(answer.status).toBe(200);
    const [{ headers }] = upstream.received;
    expect(Object.keys(headers).filter((name) => /[_.]/.test(name))).toEqual(['x_own']);
    expect(headers).toMatchObject({ 'content-type': 'image/jpeg', 'x-stopline-verdict': 'pass' });
  });

  it('a GET has no body for the upstream, whatever it came with', async () => {
    const response = await request(`${gate.url}/classify`, {
      method: 'GET',
      body: pictures.bad,
      headers: { 'content-type': 'image/jpeg' },
    });
    await response.body.dump();
    expect(upstream.received.map(({ body }) => body.length)).toEqual([0]);
  });
});

describe('Envoy', () => {
  it('that does not send bodies is told so, and a GET with a body is judged', async () => {
    const empty = await send('/stopline/ext-authz/classify', Buffer.alloc(0), {});
    expect([empty.status, JSON.parse(empty.text).error.code]).toEqual([403, 'STOPLINE_ERR_IMAGE_EMPTY']);
    const unknown = await send('/stopline/ext-authz/elsewhere', Buffer.alloc(0), {});
    expect([unknown.status, JSON.parse(unknown.text).error.code]).toEqual([403, 'STOPLINE_ERR_UNINSPECTED']);
    const ask = async (body: Buffer | null) => {
      const response = await request(`${gate.url}/stopline/ext-authz/classify`, { method: 'GET', body });
      await response.body.dump();
      return response.statusCode;
    };
    expect(await ask(pictures.bad)).toBe(403);
    // Envoy passes the headers on as they came.
    for (const headers of [
      { 'content-type': ['image/jpeg', 'text/plain'] },
      { content_type: 'text/plain' },
      { x_stopline_verdict: 'pass' },
    ]) {
      const { statusCode, body } = await request(`${gate.url}/stopline/ext-authz/classify`, {
        method: 'POST',
        body: pictures.good,
        headers,
      });
      await body.dump();
      expect(statusCode, JSON.stringify(headers)).toBe(403);
    }
    expect((await send('/stopline/ext-authz/classify', pictures.good, { 'content-type': 'image/jpeg' })).status).toBe(
      200,
    );
    expect(await ask(null)).toBe(200);
  });
});
