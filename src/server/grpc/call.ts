import { once } from 'node:events';
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { type Passage, passageHeaders } from '../../gate/admission.ts';
import { unpackFrame, writeFrame } from '../../gate/bodies/grpcframes.ts';
import { writeContent } from '../../gate/bodies/protobuf.ts';
import { messageFinders } from '../../gate/protocols/grpc/grpc.ts';
import type { FoundImages } from '../../gate/protocols/protocol.ts';
import { undescribed } from '../../gate/protocols/protocols.ts';
import type { Verdict } from '../../profile/verdict.ts';
import type { Config, Route } from '../../settings.ts';
import type { BufferBudget } from '../http/body.ts';
import { hideInternals } from '../http/refusal.ts';
import { checkSource } from '../judge.ts';
import type { Metrics } from '../metrics.ts';
import { besideWithinMs, type RequestGate, waitForAnswer } from '../requestgate.ts';
import type { Unjudged } from '../unjudged.ts';
import { Answer, waitForRoom } from './answer.ts';
import type { FrameReader, TakenFrame } from './framereader.ts';
import { passAnswerHeaders, passCallHeaders, type RawHeaders } from './metadata.ts';
import { grpcCodes, readTimeout, writeTrailers } from './status.ts';
import { type GrpcUpstream, readCallFailure } from './upstream.ts';

/** A call in which the client says nothing for so long goes to the upstream all the same: it may be waiting for it to speak. */
const silentMs = 1000;
/** The method whose answers have a field for what is wrong with one request of many. */
const streamInfer = '/inference.GRPCInferenceService/ModelStreamInfer';

export interface CallParts {
  config: Config;
  gate: RequestGate;
  budget: BufferBudget;
  metrics: Metrics;
  unjudged: Unjudged;
}

export interface Call {
  stream: ServerHttp2Stream;
  headers: IncomingHttpHeaders;
  raw: RawHeaders;
  requestId: string;
}

/** What came of a call, for the log and its span. */
export interface CallOutcome {
  verdict?: Verdict | undefined;
  error?: StoplineError;
  /** The camera that its images are of; undefined where none were looked for. */
  source?: string;
  /** The code of gRPC that the client was told; undefined where it went away. */
  status?: number | undefined;
}

/** One call on its way to the upstream, judged message by message. */
export class ForwardedCall {
  readonly #parts: CallParts;
  readonly #call: Call;
  readonly #path: string;
  readonly #route: Route | undefined;
  readonly #answer: Answer;
  readonly #gone = new AbortController();
  readonly #startedAt = performance.now();
  readonly #source: string;
  readonly #to: GrpcUpstream;
  #upstream: ClientHttp2Stream | undefined;
  #late: NodeJS.Timeout | undefined;
  #outcome: CallOutcome = {};
  /** What the last message that was judged came to, for client and upstream. */
  #about: Record<string, string> = {};
  /** Requests of a stream that were refused by a message of ours. */
  #refused = 0;

  /** @throws {StoplineError} REQUEST_INVALID, UPSTREAM_DOWN */
  constructor(parts: CallParts, call: Call, to: GrpcUpstream) {
    const { config, gate } = parts;
    this.#parts = parts;
    this.#call = call;
    this.#path = String(call.headers[':path']);
    this.#route = gate.matchCall(this.#path);
    this.#to = to;
    this.#answer = new Answer(call.stream);
    const named = call.headers[config.sourceHeader];
    this.#source = named === undefined && this.#route?.source ? this.#route.source : checkSource(named);
  }

  /**
   * Resolves when the call has ended.
   * @param taken a message that has been read already
   */
  async run(reader: FrameReader, taken?: TakenFrame): Promise<CallOutcome> {
    const { stream, headers } = this.#call;
    const ended = stream.closed || stream.destroyed ? Promise.resolve() : once(stream, 'close').catch(() => undefined);
    stream.once('close', () => this.#end());
    try {
      const timeoutMs = readTimeout(headers['grpc-timeout'] as string | undefined);
      // A client that has set a time gives up by itself then; this is for one that does not.
      if (timeoutMs !== undefined)
        this.#late = setTimeout(() => this.#giveUp(timeoutMs), Math.min(timeoutMs, 2 ** 31 - 1));
      this.#to.breaker.admit();
      await this.#passMessages(reader, taken);
    } catch (error) {
      this.#refuse(asStoplineError(error));
    }
    reader.leave();
    await ended;
    return { ...this.#outcome, status: this.#answer.status };
  }

  async #passMessages(reader: FrameReader, taken: TakenFrame | undefined): Promise<void> {
    const silent = setTimeout(() => {
      if (!reader.hasBegun) this.#open({});
    }, silentMs);
    try {
      if (this.#route?.protocol === 'pass') this.#parts.unjudged.observePassed(this.#route);
      for (let next = taken ?? (await reader.next()); next; next = await reader.next()) {
        await this.#passMessage(next, reader);
        if (this.#answer.isEnded) return;
      }
    } finally {
      clearTimeout(silent);
    }
    // All that this stream asked for was refused, and nobody else knows of it.
    if (this.#refused > 0 && !this.#upstream) return this.#answer.end({ 'grpc-status': String(grpcCodes.OK) });
    const upstream = this.#open({});
    upstream.end();
    this.#expectAnswer(upstream);
  }

  async #passMessage(taken: TakenFrame, reader: FrameReader): Promise<void> {
    let passage: Passage | undefined;
    try {
      if (this.#route?.protocol !== 'pass') {
        passage = await this.#judge(taken);
        this.#gone.signal.throwIfAborted();
        // The time of the call may have passed meanwhile.
        if (this.#answer.isEnded) return;
        const { action, decision, found } = passage;
        this.#about = passageHeaders(passage);
        if (decision?.verdict) this.#outcome.verdict = decision.verdict;
        // A message goes on as it came, so nothing can be taken out of it.
        if (decision && (action === 'refuse' || decision.refused.length > 0)) {
          return this.#refuseMessage(decision.error ?? refusedPart(), taken, found);
        }
      }
      const upstream = this.#open(passage?.action === 'observe' ? {} : this.#about);
      await this.#write(upstream, taken.bytes);
      if (taken.error) for await (const bytes of reader.rest()) await this.#write(upstream, bytes);
    } finally {
      // What is judged beside is in memory until it is judged.
      void (passage?.judged ?? Promise.resolve()).then(taken.held.release);
    }
  }

  #judge(taken: TakenFrame): Promise<Passage> {
    const { gate, config } = this.#parts;
    const { stream, headers, requestId } = this.#call;
    this.#outcome.source = this.#source;
    return gate.decide({
      path: this.#path,
      route: this.#route,
      source: this.#source,
      requestId,
      signal: this.#gone.signal,
      find: async () => {
        if (taken.error) throw taken.error;
        const { bodyLimit } = config;
        const message = await unpackFrame(taken.frame, headers['grpc-encoding'] as string | undefined, bodyLimit);
        if (message !== taken.frame.content) taken.held.hold(message.length);
        const { protocol, ...where } = this.#route ?? undescribed;
        return messageFinders[protocol](message, where);
      },
      begin: () => waitForAnswer(stream, besideWithinMs),
    });
  }

  /** Begins the call to the upstream, unless it has begun. */
  #open(told: Record<string, string>): ClientHttp2Stream {
    if (this.#upstream) return this.#upstream;
    const { stream, headers, raw, requestId } = this.#call;
    const { config } = this.#parts;
    const peer = stream.session?.socket?.remoteAddress ?? '';
    const timeoutMs = readTimeout(headers['grpc-timeout'] as string | undefined);
    const leftMs = timeoutMs === undefined ? undefined : Math.max(1, timeoutMs - (performance.now() - this.#startedAt));
    const upstream = this.#to.request({
      ...passCallHeaders(raw, { headers, config, requestId, peer }),
      // What this service says between answers is not packed, so the others must not be either.
      ...(this.#path === streamInfer && { 'grpc-accept-encoding': 'identity' }),
      ...(leftMs !== undefined && {
        'grpc-timeout': leftMs < 1e8 ? `${Math.floor(leftMs)}m` : headers['grpc-timeout'],
      }),
      ...this.#parts.gate.telemetry?.activeHeaders(),
      ...told,
    });
    this.#upstream = upstream;
    this.#passAnswer(upstream);
    return upstream;
  }

  #passAnswer(upstream: ClientHttp2Stream): void {
    const answer = this.#answer;
    const { breaker } = this.#to;
    let trailers: RawHeaders = [];
    const about = { ...this.#about, 'x-request-id': this.#call.requestId };
    upstream.on('response', (headers, flags, raw) => {
      breaker.succeeded();
      this.#observeUpstream('answered');
      const kept = { ...passAnswerHeaders(raw as unknown as RawHeaders), ...about };
      if (flags & constants.NGHTTP2_FLAG_END_STREAM) answer.end(kept, headers[':status']);
      else answer.begin({ ':status': headers[':status'], ...kept });
    });
    upstream.on('trailers', (_headers, _flags, raw) => {
      trailers = raw as unknown as RawHeaders;
    });
    upstream.on('data', (piece: Buffer) => {
      const wait = answer.pass(piece);
      if (!wait) return;
      upstream.pause();
      void wait.then(() => upstream.resume());
    });
    upstream.on('end', () => {
      if (upstream.rstCode === constants.NGHTTP2_NO_ERROR && answer.hasBegun) answer.end(passAnswerHeaders(trailers));
    });
    upstream.on('error', (error) => this.#failUpstream(upstream, readCallFailure(error)));
    upstream.on('close', () => {
      if (answer.isEnded) return;
      const { rstCode } = upstream;
      if (rstCode === constants.NGHTTP2_REFUSED_STREAM && !answer.hasBegun) answer.cut(rstCode);
      else this.#failUpstream(upstream, readCallFailure(new Error(`the end of the call with code ${rstCode}`)));
    });
  }

  /** An upstream that has all of a call has to begin its answer in time. */
  #expectAnswer(upstream: ClientHttp2Stream): void {
    const { upstreamTimeoutMs } = this.#parts.config;
    const timer = setTimeout(() => {
      const late = 'Expected the upstream to answer in time but it did not.';
      this.#failUpstream(upstream, new StoplineError('UPSTREAM_TIMEOUT', late));
    }, upstreamTimeoutMs);
    for (const event of ['response', 'close']) upstream.once(event, () => clearTimeout(timer));
  }

  #failUpstream(upstream: ClientHttp2Stream, failure: StoplineError): void {
    if (this.#answer.isEnded || this.#gone.signal.aborted) return;
    this.#to.breaker.failed();
    this.#observeUpstream(failure.code === 'STOPLINE_ERR_UPSTREAM_TIMEOUT' ? 'late' : 'failed');
    upstream.close(constants.NGHTTP2_CANCEL);
    this.#refuse(failure);
  }

  async #write(upstream: ClientHttp2Stream, bytes: Buffer): Promise<void> {
    if (upstream.destroyed || upstream.closed) return;
    if (!upstream.write(bytes)) await waitForRoom(upstream);
  }

  /** One message may not go on: in a stream of requests the others may. */
  #refuseMessage(error: StoplineError, taken: TakenFrame, found: FoundImages | undefined): void {
    const isOne = this.#path !== streamInfer || this.#call.headers.triton_grpc_error === 'true';
    // What is behind a message that was not taken whole is not worth reading.
    if (isOne || taken.error) {
      this.#refuse(error);
      return;
    }
    const { requestId } = this.#call;
    this.#outcome.error = error;
    this.#parts.metrics.observeRefusal(error.code);
    this.#refused += 1;
    this.#answer.begin({ ':status': 200, 'content-type': 'application/grpc', 'x-request-id': requestId });
    const response = found?.id === undefined ? [] : [writeContent(2, writeContent(3, found.id))];
    this.#answer.insert(
      writeFrame(
        Buffer.concat([writeContent(1, `${error.code}: ${hideInternals(error, requestId).message}`), ...response]),
      ),
    );
  }

  #refuse(error: StoplineError): void {
    if (this.#answer.isEnded || this.#gone.signal.aborted) return;
    this.#outcome.error = error;
    this.#parts.metrics.observeRefusal(error.code);
    const { breaker } = this.#to;
    const seconds = breaker.isOpen ? Math.max(1, Math.ceil(breaker.waitMs / 1000)) : this.#parts.gate.retryAfterSeconds;
    this.#upstream?.close(constants.NGHTTP2_CANCEL);
    const told = hideInternals(error, this.#call.requestId);
    this.#answer.end({ ...writeTrailers(told, seconds), ...this.#about, 'x-request-id': this.#call.requestId });
  }

  #giveUp(timeoutMs: number): void {
    this.#refuse(
      new StoplineError('REQUEST_TIMEOUT', `Expected the call to end within ${timeoutMs} ms but it did not.`),
    );
  }

  #observeUpstream(outcome: string): void {
    this.#parts.metrics.observeUpstream(outcome, (performance.now() - this.#startedAt) / 1000);
  }

  /** The client went away, or has its answer. */
  #end(): void {
    clearTimeout(this.#late);
    // What is judged beside is judged to its end where the client has its answer.
    if (!this.#answer.isEnded) this.#gone.abort(new StoplineError('CLOSED', 'The client ended the call.'));
    if (this.#upstream && !this.#upstream.closed) this.#upstream.close(constants.NGHTTP2_CANCEL);
  }
}

function refusedPart(): StoplineError {
  return new StoplineError('IMAGE_REFUSED', 'Expected images like the reference but received others.');
}
