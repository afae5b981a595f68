import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  challengeJudge,
  challengeUpstream,
  classify,
  judgeFaults,
  startFaulty,
  upstreamFaults,
  writeBadProfiles,
} from '../../scripts/faults/gatecases.ts';
import { challengeCall, challengeGrpcUpstream } from '../../scripts/faults/grpccases.ts';
import { type GrpcRecorder, startGrpcRecorder } from '../fixtures/grpc.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';
import { type FaultProxy, type Recorder, startFaultProxy, startRecorder } from '../fixtures/upstream.ts';

let reference: Reference;
let upstream: Recorder;
let proxy: FaultProxy;
let grpcUpstream: GrpcRecorder;
/** Few requests here; `npm run faults -- gate` sends twenty of each. */
const times = 2;

beforeAll(async () => {
  reference = await fitReference();
  await writeBadProfiles(reference);
  upstream = await startRecorder();
  proxy = await startFaultProxy(upstream);
  grpcUpstream = await startGrpcRecorder();
});
afterAll(async () => {
  await proxy.close();
  grpcUpstream.close();
  await upstream.close();
  await reference.remove();
});

describe('what cannot be judged', () => {
  it.each(judgeFaults)('$name: closed, the upstream sees nothing; open, it is asked once', async (fault) => {
    expect(await challengeJudge(fault, { reference, upstream, times })).toEqual([]);
  });
});

describe('what cannot be judged over gRPC', () => {
  it.each(judgeFaults)('$name: closed, the upstream sees nothing; open, it is asked once', async (fault) => {
    expect(await challengeCall(fault, { reference, upstream: grpcUpstream, times })).toEqual([]);
  });

  it.each(upstreamFaults)('an upstream that fails by $fault is told as it is', async (fault) => {
    expect(await challengeGrpcUpstream(fault, { reference, upstream: grpcUpstream, times: 1 })).toEqual([]);
  });
});

describe('an upstream that fails', () => {
  it.each(upstreamFaults)('$fault: is told as it is, open or closed, and asked once', async (fault) => {
    expect(await challengeUpstream(fault, { reference, proxy, times: 1 })).toEqual([]);
  });

  it('is not asked again and again: the breaker opens, answers at once, and closes when it is back', async () => {
    const settings = { breakerFailures: 3, breakerRetryMs: 200 };
    const gate = await startFaulty(reference, { settings }, { upstream: proxy.url });
    const ask = () => classify(`${gate.url}/closed`, reference.frame);
    try {
      Object.assign(proxy.state, { fault: 'reset', requests: 0 });
      const codes: string[] = [];
      for (let i = 0; i < 6; i++) codes.push((await ask()).json().error.code);
      expect(codes.slice(0, 3)).toEqual(Array(3).fill('STOPLINE_ERR_UPSTREAM_BROKEN'));
      expect(codes.slice(3)).toContain('STOPLINE_ERR_UPSTREAM_DOWN');
      const ready = await request(`${gate.url}/stopline/health/ready`);
      if (ready.statusCode === 503) expect(await ready.body.json()).toEqual({ ready: false, reason: 'upstream' });
      proxy.state.fault = 'none';
      await expect.poll(async () => (await ask()).status, { interval: 50 }).toBe(200);
      expect((await ask()).status).toBe(200);
    } finally {
      await gate.close();
    }
  });
});
