import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit.ts';
import { judgeFaults, startFaulty, writeBadProfiles } from './gate.faults.ts';
import { fitReference, type Reference } from './reference.ts';
import { closedPort, type Fault, startFaultProxy, startRecorder } from './upstream.ts';

let reference: Reference;
let upstream: Awaited<ReturnType<typeof startRecorder>>;
let proxy: Awaited<ReturnType<typeof startFaultProxy>>;
/** Few requests here; `npm run faults -- gate` sends twenty of each. */
const times = 2;

beforeAll(async () => {
  reference = await fitReference();
  const { profile } = await fit({
    paths: [join(reference.profilePath, '..')],
    groupBy: 'none',
    exposures: 0,
    power: 0,
    threads: 1,
    model: 'default',
  });
  await writeBadProfiles(reference, profile);
  upstream = await startRecorder();
  proxy = await startFaultProxy(upstream.port);
});
afterAll(async () => {
  await proxy.close();
  await upstream.close();
  await reference.remove();
});

const ways = ['closed', 'open'] as const;

async function classify(url: string, body: Uint8Array, headers: Record<string, string> = {}) {
  const response = await request(url, {
    method: 'POST',
    body: Buffer.from(body),
    headers: { 'content-type': 'image/jpeg', ...headers },
  });
  const text = await response.body.text();
  return { status: response.statusCode, headers: response.headers, text, json: () => JSON.parse(text) };
}

async function metric(url: string, line: string): Promise<number> {
  const text = await (await request(`${url}/metrics`)).body.text();
  const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
  return found ? Number(found.split(' ').at(-1)) : 0;
}

describe('what cannot be judged', () => {
  it.each(judgeFaults)('$name: closed, the upstream sees nothing; open, it is asked once', async (fault) => {
    const gate = await startFaulty(reference, fault, { upstream: upstream.url });
    const body = Buffer.from(fault.body?.(reference) ?? reference.frame);
    const { reason, status } = fault;
    try {
      for (const way of ways) {
        for (let i = 0; i < times; i++) {
          upstream.received.length = 0;
          const answer = await classify(`${gate.url}/${way}`, body);
          if (way === 'closed') {
            expect(answer.json().error?.code).toBe(`STOPLINE_ERR_${reason}`);
            expect(answer.status).toBe(status);
            expect(answer.headers['x-stopline-verdict']).toBe(`none; reason=${reason}`);
            expect(upstream.received).toEqual([]);
          } else {
            const header = `bypass; reason=${reason}`;
            expect(answer).toMatchObject({ status: 200, headers: { 'x-stopline-verdict': header } });
            expect(upstream.received).toMatchObject([{ headers: { 'x-stopline-verdict': header } }]);
            expect(upstream.received[0].body.equals(body)).toBe(true);
          }
        }
        const outcome = way === 'closed' ? 'refused' : 'bypassed';
        const line = `stopline_gate_requests_total{outcome="${outcome}",reason="${reason}"}`;
        expect(await metric(gate.url, line)).toBe(times);
      }
    } finally {
      await gate.close();
    }
  });
});

describe('an upstream that fails', () => {
  const faults: readonly { fault: Fault | 'refused'; status: number; code: string }[] = [
    { fault: 'refused', status: 502, code: 'UPSTREAM_UNREACHABLE' },
    { fault: 'black hole', status: 504, code: 'UPSTREAM_TIMEOUT' },
    { fault: 'reset', status: 502, code: 'UPSTREAM_BROKEN' },
    { fault: 'closes', status: 502, code: 'UPSTREAM_BROKEN' },
    { fault: 'garbage', status: 502, code: 'UPSTREAM_BROKEN' },
  ];
  const settings = { upstreamTimeoutMs: 1000, breakerFailures: 1000, breakerRetryMs: 10 };
  let gates: Record<'proxied' | 'refused', Awaited<ReturnType<typeof startFaulty>>>;
  beforeAll(async () => {
    gates = {
      proxied: await startFaulty(reference, { settings }, { upstream: proxy.url }),
      refused: await startFaulty(reference, { settings }, { upstream: `http://127.0.0.1:${await closedPort()}` }),
    };
  });
  afterAll(async () => {
    for (const gate of Object.values(gates)) await gate.close();
  });

  it.each(faults)('$fault: is told as it is, open or closed, and asked once', async ({ fault, status, code }) => {
    const { url } = gates[fault === 'refused' ? 'refused' : 'proxied'];
    for (const way of ways) {
      await expect.poll(async () => (await request(`${url}/health/ready`)).statusCode, { timeout: 10_000 }).toBe(200);
      Object.assign(proxy.state, { fault: fault === 'refused' ? 'none' : fault, requests: 0 });
      const answer = await classify(`${url}/${way}`, reference.frame);
      expect(answer.json().error?.code).toBe(`STOPLINE_ERR_${code}`);
      expect(answer.status).toBe(status);
      expect(answer.headers['x-stopline-verdict']).toBe('pass');
      expect(proxy.state.requests).toBe(fault === 'refused' ? 0 : 1);
    }
  });

  it('slow, 500, and cut off in the middle: passed on as they are', async () => {
    const { url } = gates.proxied;
    await expect.poll(async () => (await request(`${url}/health/ready`)).statusCode, { timeout: 10_000 }).toBe(200);
    Object.assign(proxy.state, { fault: 'slow', requests: 0 });
    expect(await classify(`${url}/closed`, reference.frame)).toMatchObject({ status: 200 });
    proxy.state.fault = 'none';
    const failed = await classify(`${url}/closed`, reference.frame, { 'x-test-status': '500' });
    expect(failed).toMatchObject({ status: 500, headers: { 'x-stopline-verdict': 'pass' } });
    expect(failed.json()).toHaveProperty('outputs');
    proxy.state.fault = 'cut off';
    await expect(classify(`${url}/closed`, reference.frame)).rejects.toThrow();
    expect(proxy.state.requests).toBe(3);
  });

  it('is not asked again and again: the breaker opens, answers at once, and closes when it is back', async () => {
    const settings = { breakerFailures: 3, breakerRetryMs: 200 };
    const gate = await startFaulty(reference, { settings }, { upstream: proxy.url });
    try {
      Object.assign(proxy.state, { fault: 'reset', requests: 0 });
      const codes: string[] = [];
      for (let i = 0; i < 6; i++) codes.push((await classify(`${gate.url}/closed`, reference.frame)).json().error.code);
      expect(codes.slice(0, 3)).toEqual(Array(3).fill('STOPLINE_ERR_UPSTREAM_BROKEN'));
      expect(codes.slice(3)).toContain('STOPLINE_ERR_UPSTREAM_DOWN');
      const ready = await request(`${gate.url}/health/ready`);
      if (ready.statusCode === 503) expect(await ready.body.json()).toEqual({ ready: false, reason: 'upstream' });
      proxy.state.fault = 'none';
      await expect
        .poll(async () => (await classify(`${gate.url}/closed`, reference.frame)).status, {
          interval: 50,
          timeout: 5000,
        })
        .toBe(200);
      expect((await classify(`${gate.url}/closed`, reference.frame)).status).toBe(200);
    } finally {
      await gate.close();
    }
  });
});
