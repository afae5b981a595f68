/** The faults of `gatecases.ts` over gRPC; for the tests and for `npm run faults -- gate`. */
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import type { Config } from '../../src/settings.ts';
import type { GrpcRecorder } from '../../test/fixtures/grpc.ts';
import { RawClient, writeRequest } from '../../test/fixtures/grpc.ts';
import type { Reference } from '../../test/fixtures/reference.ts';
import { closedPort, startFaultProxy } from '../../test/fixtures/upstream.ts';
import { drawPictures } from './differentialrequest.ts';
import {
  countPassages,
  createCheck,
  type JudgeFault,
  startFaulty,
  type upstreamFaults,
  verdictFor,
  wayMethods,
  ways,
} from './gatecases.ts';
import { grpcDifferentials } from './grpcdifferentials.ts';

/** Status codes of gRPC for those of HTTP. */
const codes: Readonly<Record<number, number>> = { 400: 3, 413: 8, 415: 3, 422: 3, 500: 13, 502: 14, 503: 14, 504: 4 };

function infer(image: Uint8Array): Buffer {
  const inputs = [{ name: 'image', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [image] } }];
  return writeRequest('ModelInfer', { model_name: 'lights', inputs });
}

/**
 * Sends images to a gate that cannot judge them, as `challengeJudge` does over HTTP.
 * @returns what was not so
 */
export async function challengeCall(
  fault: JudgeFault,
  { reference, upstream, times }: { reference: Reference; upstream: GrpcRecorder; times: number },
): Promise<string[]> {
  const gate = await startFaulty(reference, fault, { grpcUpstream: upstream.url, grpcPort: 0 });
  const client = new RawClient(gate.grpcUrl);
  const message = infer(fault.body?.(reference) ?? reference.frame);
  const wrong: string[] = [];
  const { name, reason, status } = fault;
  try {
    for (const way of ways) {
      const check = createCheck(wrong, `${name}, ${way}`);
      for (let i = 0; i < times; i++) {
        upstream.received.length = 0;
        const { code, details, headers, trailers } = await client.call(wayMethods[way], [message]);
        const verdict = verdictFor(way, reason);
        const [told] = [...headers.get('x-stopline-verdict'), ...trailers.get('x-stopline-verdict')];
        check('x-stopline-verdict', told, verdict);
        check('the status', code, way === 'closed' ? codes[status] : 0);
        check('the number of calls to the upstream', upstream.received.length, way === 'closed' ? 0 : 1);
        if (way === 'closed') check('the code', details.split(':', 1)[0], `STOPLINE_ERR_${reason}`);
        else check('the message at the upstream', upstream.received[0]?.messages[0]?.equals(message), true);
        const [asked] = upstream.received[0]?.metadata.get('x-stopline-verdict') ?? [];
        if (way === 'open') check('what the upstream was told', asked, verdict);
      }
      check('the count', await countPassages(gate.url, way, reason, times), times);
    }
    return wrong;
  } finally {
    client.close();
    await gate.close();
  }
}

/**
 * Sends messages that two readers could take differently to a gate that enforces and is closed: the upstream must see nothing of them.
 * @returns what was not so
 */
export async function challengeGrpcDifferentials(options: {
  reference: Reference;
  upstream: GrpcRecorder;
}): Promise<string[]> {
  const { reference, upstream } = options;
  const settings: Partial<Config> = { mode: 'enforce', onError: 'closed', routes: [] };
  const gate = await startFaulty(reference, { settings }, { grpcUpstream: upstream.url, grpcPort: 0 });
  const client = new RawClient(gate.grpcUrl);
  const pictures = await drawPictures(Buffer.from(reference.frame));
  const wrong: string[] = [];
  try {
    for (const { name, path, message } of grpcDifferentials) {
      upstream.received.length = 0;
      const { code } = await client.call(path, [message(pictures)]);
      if (code === 0 || upstream.received.length > 0) wrong.push(`${name}: ${code}, ${upstream.received.length} asked`);
    }
    return wrong;
  } finally {
    client.close();
    await gate.close();
  }
}

/**
 * Sends good images through a gate to an upstream that fails, as `challengeUpstream` does over HTTP.
 * @returns what was not so
 */
export async function challengeGrpcUpstream(
  { fault }: (typeof upstreamFaults)[number],
  { reference, upstream, times }: { reference: Reference; upstream: GrpcRecorder; times: number },
): Promise<string[]> {
  const port = Number(new URL(upstream.url.replace('grpc', 'http')).port);
  const proxy = await startFaultProxy({ port, state: { isFailing: false } });
  const address = fault === 'refused' ? `grpc://127.0.0.1:${await closedPort()}` : `grpc://127.0.0.1:${proxy.port}`;
  const settings = { upstreamTimeoutMs: 1000, breakerFailures: 1000, breakerRetryMs: 10 };
  const gate = await startFaulty(reference, { settings }, { grpcUpstream: address, grpcPort: 0 });
  const client = new RawClient(gate.grpcUrl);
  const wrong: string[] = [];
  const expected = { slow: [0, 'OK'], fails: [13, 'of the upstream'] }[fault as string];
  try {
    for (const way of ways) {
      for (let i = 0; i < times; i++) {
        // A second of failures opens the breaker for a moment.
        while ((await request(`${gate.url}/health/ready`)).statusCode !== 200) await delay(10);
        if (fault !== 'refused') proxy.state.fault = fault === 'fails' ? 'none' : fault;
        upstream.received.length = 0;
        upstream.state = fault === 'fails' ? { fails: { code: 13, details: 'of the upstream' } } : {};
        const { code, details } = await client.call(wayMethods[way], [infer(reference.frame)]);
        const isRight = expected
          ? code === expected[0] && details === expected[1]
          : (code === 14 || code === 4) && /^STOPLINE_ERR_UPSTREAM_(UNREACHABLE|BROKEN|TIMEOUT): /.test(details);
        if (!isRight) wrong.push(`${fault}, ${way}: ${code} ${details}`);
        if (upstream.received.length > 1) wrong.push(`${fault}, ${way}: asked ${upstream.received.length} times`);
      }
    }
    return wrong;
  } finally {
    upstream.state = {};
    client.close();
    await gate.close();
    await proxy.close();
  }
}
