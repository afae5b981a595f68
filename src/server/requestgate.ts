import type { FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../errors.ts';
import { admit, type Passage, resolvePolicy, roundRetryAfter } from '../gate/admission.ts';
import { sniffText } from '../gate/bodies/encodedtext.ts';
import { readPairs } from '../gate/bodies/urlencoded.ts';
import type { FoundImages } from '../gate/protocols/protocol.ts';
import { protocolRoutes, protocols } from '../gate/protocols/protocols.ts';
import { uninspected } from '../gate/protocols/tensor.ts';
import { createMatcher } from '../gate/routes.ts';
import type { Config, Route } from '../settings.ts';
import { askForBody, type BufferBudget, heldBytes, type TakenBody, takeBody } from './http/body.ts';
import { type Judge, readSource } from './judge.ts';
import type { Metrics } from './metrics.ts';
import type { Unjudged } from './unjudged.ts';

/** An observing gate judges when the answer is sent, because its processors are wanted for that; but so late at most. */
const besideWithinMs = 100;
/** What a path is taken for that nobody has described. */
const undescribed: Route = { path: '/**', protocol: 'find' };

export interface GateParts {
  config: Config;
  judge: Judge;
  budget: BufferBudget;
  metrics: Metrics;
  unjudged: Unjudged;
}

/** Reads and judges requests that are to be passed on, by the rules of their paths. */
export class RequestGate {
  readonly #parts: GateParts;
  readonly #match: (path: string) => Route | undefined;
  readonly #beside = new Set<Promise<unknown>>();
  readonly #judging = new WeakMap<FastifyRequest, Promise<unknown>>();
  readonly #holds = new WeakMap<FastifyRequest, (bytes: number) => void>();

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.#match = createMatcher([...(parts.config.routes ?? []), ...protocolRoutes]);
  }

  /** The route that fits a path; undefined where nobody has described it. */
  match(path: string): Route | undefined {
    return this.#match(path);
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
    return takeBody(request.raw, Number(request.headers['content-length'] ?? 0), config.bodyLimit, hold);
  }

  /** Judges a request whose body has been read. */
  async judge(
    request: FastifyRequest,
    reply: FastifyReply,
    options: { path: string; taken: TakenBody; signal: AbortSignal },
  ): Promise<Passage> {
    const { path, taken, signal } = options;
    const { config, judge, metrics, unjudged } = this.#parts;
    const route = this.#match(path);
    const source = nameSource(request, config, route);
    const passage = await admit({
      policy: resolvePolicy(config, route),
      signal,
      find: async () => {
        if (taken.error) throw taken.error;
        const { protocol, ...where } = route ?? undescribed;
        const { bodyLimit } = config;
        const hold = (bytes: number) => this.#holds.get(request)?.(bytes);
        const body = { body: taken.body, headers: request.headers, bodyLimit, hold };
        return lookBesideBody(await protocols[protocol].find(body, where), request);
      },
      // The bytes are forwarded afterwards, so they are copied for the worker.
      inspect: (image, signal) => judge.inspect(image, { source, requestId: request.id, signal, keep: true }),
      report(report) {
        metrics.observeGate(report);
        unjudged.observe(report, path, route);
      },
      begin: () => waitForAnswer(reply, besideWithinMs),
    });
    const { judged } = passage;
    if (judged) {
      this.#judging.set(request, judged);
      this.#beside.add(judged);
      void judged.then(() => this.#beside.delete(judged));
    }
    request.verdict = passage.decision?.verdict ?? null;
    return passage;
  }

  /** Waits until the images that are judged beside are judged. */
  async finish(): Promise<void> {
    await Promise.all(this.#beside);
  }
}

/** An upstream might take an image from the query, which is not looked into: then not all of the request is judged. */
async function lookBesideBody(found: FoundImages, request: FastifyRequest): Promise<FoundImages> {
  const [, query = ''] = (request.raw.url ?? '').split('?', 2);
  if (found.unjudged || query === '') return found;
  for (const { name, place } of readPairs(Buffer.from(query))) {
    if ((await sniffText(place)) === 'other') continue;
    return { ...found, unjudged: uninspected(`the query names or holds another in ${JSON.stringify(name)}`) };
  }
  return found;
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
function waitForAnswer(reply: FastifyReply, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, withinMs);
    reply.raw.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
