import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../errors.ts';
import { admit, type Passage, resolvePolicy, roundRetryAfter } from '../gate/admission.ts';
import { findInQuery, holdsImage, lookBesideBody } from '../gate/protocols/beside.ts';
import { methodRoutes } from '../gate/protocols/grpc/grpc.ts';
import type { FoundImages, ReadRequest } from '../gate/protocols/protocol.ts';
import { protocolRoutes, protocols, undescribed } from '../gate/protocols/protocols.ts';
import { createMatcher } from '../gate/routes.ts';
import type { Config, Route } from '../settings.ts';
import { askForBody, type BufferBudget, heldBytes, readAnnounced, type TakenBody, takeBody } from './http/body.ts';
import { isWithoutBody } from './http/headers.ts';
import { type Judge, readSource } from './judge.ts';
import type { Metrics } from './metrics.ts';
import type { Telemetry } from './telemetry.ts';
import type { Unjudged } from './unjudged.ts';

/** An observing gate judges when the answer is sent, because its processors are wanted for that; but so late at most. */
export const besideWithinMs = 100;

export interface GateParts {
  config: Config;
  judge: Judge;
  budget: BufferBudget;
  metrics: Metrics;
  unjudged: Unjudged;
  telemetry?: Telemetry | undefined;
}

/** Something that is to be passed on, and what it takes to decide on it. */
export interface AskedPassage {
  path: string;
  /** The route that fits the path; undefined where nobody has described it. */
  route: Route | undefined;
  source: string;
  requestId: string;
  /** The client went away. */
  signal: AbortSignal;
  find(): Promise<FoundImages>;
  /** What judging beside waits for. */
  begin(): Promise<unknown>;
}

/** A request without its body. */
interface BareRequest {
  method: string;
  /** Path with the query. */
  url: string;
  headers: IncomingHttpHeaders;
}

/** Reads and judges requests that are to be passed on, by the rules of their paths. */
export class RequestGate {
  readonly #parts: GateParts;
  readonly #match: (path: string) => Route | undefined;
  readonly #matchCall: (path: string) => Route | undefined;
  readonly #beside = new Set<Promise<unknown>>();
  readonly #judging = new WeakMap<FastifyRequest, Promise<unknown>>();
  readonly #holds = new WeakMap<FastifyRequest, (bytes: number) => void>();

  constructor(parts: GateParts) {
    this.#parts = parts;
    const { routes = [] } = parts.config;
    this.#match = createMatcher([...routes, ...protocolRoutes]);
    this.#matchCall = createMatcher([...routes, ...methodRoutes]);
  }

  /** The route that fits a path; undefined where nobody has described it. */
  match(path: string): Route | undefined {
    return this.#match(path);
  }

  /** The same for the path of a gRPC method. */
  matchCall(path: string): Route | undefined {
    return this.#matchCall(path);
  }

  /** Traces of the host, where it has any. */
  get telemetry(): Telemetry | undefined {
    return this.#parts.telemetry;
  }

  get retryAfterSeconds(): number {
    return roundRetryAfter(this.#parts.judge.pool.expectedWaitMs);
  }

  /** Reads the body, and gives its room back when the answer has been sent. */
  async read(request: FastifyRequest, reply: FastifyReply): Promise<TakenBody> {
    const { config, budget } = this.#parts;
    const { hold, release } = heldBytes(budget);
    this.#holds.set(request, hold);
    askForBody(request, reply);
    // An image that is judged beside is in memory until it is judged, also when the answer has long been sent.
    reply.raw.once('close', () => void (this.#judging.get(request) ?? Promise.resolve()).then(release));
    return takeBody(request.raw, readAnnounced(request), config.bodyLimit, hold);
  }

  /** Judges a request whose body has been read. */
  async judge(
    request: FastifyRequest,
    reply: FastifyReply,
    options: { path: string; taken: TakenBody; signal: AbortSignal },
  ): Promise<Passage> {
    const { path, taken, signal } = options;
    const { config } = this.#parts;
    const route = this.#match(path);
    const source = nameSource(request, config, route);
    request.source = source;
    const passage = await this.decide({
      path,
      route,
      source,
      requestId: request.id,
      signal,
      find: async () => {
        if (taken.error) throw taken.error;
        const hold = (bytes: number) => this.#holds.get(request)?.(bytes);
        const isEmpty = isWithoutBody(request.method) && taken.body.length === 0;
        const inQuery = isEmpty ? await findInQuery(request.raw.url ?? '') : undefined;
        if (inQuery) return inQuery;
        return this.find({ body: taken.body, headers: request.headers, hold }, request.raw.url ?? '', route);
      },
      begin: () => waitForAnswer(reply.raw, besideWithinMs),
    });
    const { judged } = passage;
    if (judged) this.#judging.set(request, judged);
    request.verdict = passage.decision?.verdict ?? null;
    return passage;
  }

  /** Whether a request without a body is passed on without a look: one that holds no image in its address and its headers. */
  async isBare({ method, url, headers }: BareRequest): Promise<boolean> {
    return isWithoutBody(method) && !(await holdsImage(url, headers));
  }

  /** Finds the images of a request of HTTP. @throws {StoplineError} UNINSPECTED, REQUEST_* */
  async find(request: ReadRequest, url: string, route: Route | undefined): Promise<FoundImages> {
    const { bodyLimit } = this.#parts.config;
    const { protocol, ...where } = route ?? undescribed;
    return lookBesideBody(await protocols[protocol].find({ ...request, bodyLimit }, where), url, request.headers);
  }

  /** Decides on what is to be passed on, however it came. */
  async decide(asked: AskedPassage): Promise<Passage> {
    const { path, route, source, requestId, signal, find, begin } = asked;
    const { config, judge, metrics, unjudged } = this.#parts;
    const passage = await admit({
      policy: resolvePolicy(config, route),
      signal,
      find,
      // The bytes are forwarded afterwards, so they are copied for the worker.
      inspect: (image, signal) => judge.inspect(image, { source, requestId, signal, keep: true }),
      report(report) {
        metrics.observeGate(report);
        unjudged.observe(report, path, route);
      },
      begin,
    });
    const { judged } = passage;
    if (judged) {
      this.#beside.add(judged);
      void judged.then(() => this.#beside.delete(judged));
    }
    return passage;
  }

  /** Waits until the images that are judged beside are judged. */
  async finish(): Promise<void> {
    await Promise.all(this.#beside);
  }
}

/** Aborts when the client goes away. */
export function watchClient(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new StoplineError('CLOSED', 'The client closed the connection.'));
  });
  return gone.signal;
}

function nameSource(request: FastifyRequest, config: Config, route: Route | undefined): string {
  const isNamed = request.headers[config.sourceHeader] !== undefined;
  return !isNamed && route?.source ? route.source : readSource(request, config.sourceHeader);
}

/** Resolves when the answer has been sent, or cut off, or after some time. */
export function waitForAnswer(answer: NodeJS.EventEmitter, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      answer.off('close', end);
      resolve();
    };
    const timer = setTimeout(end, withinMs);
    answer.on('close', end);
  });
}
