import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { plainPath } from '../../gate/routes.ts';
import { createKeyCheck } from '../http/access.ts';
import { readServerOptions } from '../http/connections.ts';
import { PeerRate } from '../http/peerrate.ts';
import { hideInternals } from '../http/refusal.ts';
import { describeVerdict } from '../log.ts';
import { answerCheck, checkMethod } from './authorization.ts';
import { type Call, type CallOutcome, type CallParts, ForwardedCall } from './call.ts';
import { FrameReader } from './framereader.ts';
import { answerHealth, healthMethod, isAboutUs } from './health.ts';
import type { RawHeaders } from './metadata.ts';
import { readGrpcCode, writeTrailers } from './status.ts';
import { GrpcUpstream, windows } from './upstream.ts';

/** Where gRPC is listened for unless the settings say otherwise. */
const defaultPort = 8081;
/** Calls at once on one connection. */
const maxCalls = 256;

export interface ServiceParts extends CallParts {
  log: FastifyBaseLogger;
  isReady(): boolean;
}

/**
 * The gRPC side of a gate. Speaks HTTP/2 as it is and not through a gRPC library: frames, packed messages, metadata and
 * trailers go on as they came, also of methods that nobody has described, and only what is judged is read.
 */
export class GrpcService {
  readonly upstream: GrpcUpstream | undefined;
  readonly #parts: ServiceParts;
  readonly #server: Http2Server | Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #checkKey: ReturnType<typeof createKeyCheck>;
  readonly #peerRate: PeerRate;
  #inFlight = 0;

  /** @throws {StoplineError} OPTION_INVALID */
  constructor(parts: ServiceParts) {
    const { config } = parts;
    this.#parts = parts;
    this.#checkKey = createKeyCheck(config);
    this.#peerRate = new PeerRate(config.peerRate);
    this.upstream = config.grpcUpstream === undefined ? undefined : new GrpcUpstream(config);
    const { https } = readServerOptions(config);
    const settings = { maxConcurrentStreams: maxCalls, initialWindowSize: windows.stream };
    const options = { settings, maxSessionMemory: 256 };
    this.#server = https ? createSecureServer({ ...https, ...options }) : createServer(options);
    this.#server.on('session', (session: ServerHttp2Session) => this.#welcome(session));
    // A connection that breaks ends its calls, each of which tells of it.
    this.#server.on('sessionError', () => undefined);
  }

  /** @throws {StoplineError} OPTION_INVALID where the address cannot be bound */
  async listen(): Promise<string> {
    const { host, grpcPort: port = defaultPort, tlsCert } = this.#parts.config;
    this.#server.listen(port, host);
    try {
      await once(this.#server, 'listening');
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new StoplineError(
        'OPTION_INVALID',
        `Expected --host and --grpc-port to name a free address but ${host}:${port} gave ${code ?? message}.`,
        { cause },
      );
    }
    const { address, port: bound } = this.#server.address() as AddressInfo;
    const name = address.includes(':') ? `[${address}]` : address;
    const url = `${tlsCert === undefined ? 'grpc' : 'grpcs'}://${name}:${bound}`;
    this.#parts.log.info(`Server listening at ${url}`);
    return url;
  }

  /** Takes no more calls and waits for those in flight until the deadline. @returns whether all of them ended */
  async close(deadline: AbortSignal): Promise<boolean> {
    this.#server.close();
    for (const session of this.#sessions) session.close();
    while (this.#inFlight > 0 && !deadline.aborted) {
      await once(this.#server, 'answered', { signal: deadline }).catch(() => undefined);
    }
    const isClean = this.#inFlight === 0;
    for (const session of this.#sessions) session.destroy();
    this.upstream?.close();
    return isClean;
  }

  #welcome(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    session.on('error', () => undefined);
    session.setLocalWindowSize(windows.connection);
    session.on('stream', (stream, headers, _flags, raw) => {
      const { trustedRequestId } = this.#parts.config;
      const given = headers['x-request-id'];
      const isGiven = trustedRequestId && typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given);
      const requestId = isGiven ? given : randomUUID();
      stream.on('error', () => undefined);
      // Each message that is judged beside waits for the end of the call, or for a moment.
      stream.setMaxListeners(0);
      void this.#handle({ stream, headers, raw: raw as unknown as RawHeaders, requestId });
    });
  }

  async #handle(call: Call): Promise<void> {
    const { telemetry } = this.#parts.gate;
    const { headers, requestId } = call;
    const path = String(headers[':path']).slice(0, 200);
    const run = () => this.#run(call, path);
    // Probes have no span, as those of HTTP.
    if (!telemetry || path === healthMethod) await run();
    else await telemetry.traceCall({ path, headers, requestId }, run);
  }

  /** Answers a call, counts it and logs it. */
  async #run(call: Call, path: string): Promise<CallOutcome> {
    const startedAt = performance.now();
    this.#inFlight += 1;
    let outcome: CallOutcome;
    try {
      outcome = await this.#answer(call);
    } catch (error) {
      const refusal = this.#refuse(call, asStoplineError(error));
      outcome = { error: refusal, status: readGrpcCode(refusal) };
    } finally {
      this.#inFlight -= 1;
      this.#server.emit('answered');
    }
    const tookMs = performance.now() - startedAt;
    // The names of methods are up to the client, so they are no label.
    this.#parts.metrics.observeRequest('gRPC', outcome.error?.status ?? 200, tookMs / 1000);
    this.#logCall({ requestId: call.requestId, path, tookMs }, outcome);
    return outcome;
  }

  #logCall(about: { requestId: string; path: string; tookMs: number }, outcome: CallOutcome): void {
    const { log, gate } = this.#parts;
    const { requestId, path, tookMs } = about;
    const { verdict, error, source } = outcome;
    const span = gate.telemetry?.activeSpan();
    if (error && error.status >= 500) log.warn({ err: error, reqId: requestId }, 'refused');
    const line = {
      method: 'gRPC',
      route: path,
      reqId: requestId,
      durationMs: Math.round(tookMs * 10) / 10,
      ...(error && { code: error.code }),
      ...(span && { trace_id: span.traceId, span_id: span.spanId }),
      ...(source !== undefined && { source }),
      ...(verdict && describeVerdict(verdict)),
    };
    log.info(line, 'request');
  }

  async #answer(call: Call): Promise<CallOutcome> {
    const { stream, headers } = call;
    const { config, budget } = this.#parts;
    if (headers[':method'] !== 'POST' || !/^application\/grpc(\+|;|$)/.test(headers['content-type'] ?? '')) {
      stream.respond({ ':status': 415 }, { endStream: true });
      stream.resume();
      return {};
    }
    this.#peerRate.admit(stream.session?.socket?.remoteAddress ?? '');
    const path = plainPath(String(headers[':path']));
    const isHealth = path === healthMethod;
    if (!isHealth) this.#checkKey(headers, 'inspect');
    const { bodyLimit: limit, requestTimeoutMs: timeoutMs } = config;
    const reader = new FrameReader(stream, { limit, timeoutMs, budget });
    const taken = isHealth || path === checkMethod ? await reader.next() : undefined;
    const isOurs = path === checkMethod || (isHealth && (!this.upstream || isAboutUs(taken)));
    if (isOurs) reader.leave();
    if (isOurs && isHealth) return answerHealth(call, this.#parts.isReady());
    if (isOurs) return answerCheck(this.#parts, call, taken);
    if (isHealth) this.#checkKey(headers, 'inspect');
    if (!this.upstream) {
      throw new StoplineError(
        'ROUTE_UNKNOWN',
        `Expected ${checkMethod} or --grpc-upstream but received a call of ${path.slice(0, 200)}.`,
      );
    }
    return new ForwardedCall(this.#parts, call, this.upstream).run(reader, taken);
  }

  #refuse({ stream, requestId }: Call, error: StoplineError): StoplineError {
    const { metrics, gate } = this.#parts;
    metrics.observeRefusal(error.code);
    if (stream.destroyed || stream.headersSent) return error;
    const trailers = writeTrailers(hideInternals(error, requestId), gate.retryAfterSeconds);
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', ...trailers, 'x-request-id': requestId },
      { endStream: true },
    );
    stream.once('finish', () => stream.close());
    stream.resume();
    return error;
  }
}
