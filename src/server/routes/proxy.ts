import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../../errors.ts';
import { type Passage, passageHeaders, roundRetryAfter } from '../../gate/admission.ts';
import { guessProtocol, protocols } from '../../gate/protocols/protocols.ts';
import { plainPath } from '../../gate/routes.ts';
import type { TakenBody } from '../http/body.ts';
import { isWithoutBody } from '../http/headers.ts';
import { refuse } from '../http/refusal.ts';
import { type RequestGate, watchClient } from '../requestgate.ts';
import type { Unjudged } from '../unjudged.ts';
import type { Upstream } from '../upstream.ts';

/** Every path that is not the service's own goes to the upstream, judged where it carries images. */
export function registerProxy(app: FastifyInstance, parts: ProxyParts): void {
  const proxy = new UpstreamProxy(parts);
  const schema = { hide: true };
  // The headers that keep browsers from doing things with our own pages are not for the answers of another.
  app.all('/*', { schema, helmet: false, config: { scope: 'inspect', kind: 'forwarded' } }, (request, reply) =>
    proxy.handle(request, reply),
  );
}

interface ProxyParts {
  gate: RequestGate;
  upstream: Upstream;
  unjudged: Unjudged;
}

/** Answers requests to paths of the upstream. */
class UpstreamProxy {
  readonly #gate: RequestGate;
  readonly #upstream: Upstream;
  readonly #unjudged: Unjudged;

  constructor(parts: ProxyParts) {
    this.#gate = parts.gate;
    this.#upstream = parts.upstream;
    this.#unjudged = parts.unjudged;
  }

  async handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    let path = '';
    let passage: Passage | undefined;
    try {
      path = plainPath(request.raw.url ?? '');
      refuseUpgrade(request);
      this.#upstream.breaker.admit();
      if (await this.#gate.isBare(request)) return this.#forward(request, reply, { path });
      const signal = watchClient(reply);
      const taken = await this.#gate.read(request, reply);
      const route = this.#gate.match(path);
      if (route?.protocol === 'pass') {
        this.#unjudged.observePassed(route);
        return this.#forward(request, reply, { path, taken });
      }
      passage = await this.#gate.judge(request, reply, { path, taken, signal });
      signal.throwIfAborted();
      reply.headers(passageHeaders(passage));
      return this.#pass(request, reply, { path, taken, passage });
    } catch (error) {
      return this.#refuse(request, reply, { path, error, id: passage?.found?.id });
    }
  }

  /** Forwards what may pass, without the images that may not. @throws why nothing of it may */
  #pass(request: FastifyRequest, reply: FastifyReply, options: { path: string; taken: TakenBody; passage: Passage }) {
    const { path, passage } = options;
    // A request whose image stands in the query goes on without a body, as it came.
    const taken = isWithoutBody(request.method) ? undefined : options.taken;
    const { action, decision, found } = passage;
    if (action === 'refuse') throw decision?.error;
    const refused = new Set(decision?.refused);
    const headers = action === 'observe' ? {} : passageHeaders(passage);
    if (refused.size === 0) return this.#forward(request, reply, { path, ...(taken && { taken }), headers });
    if (!found?.without) {
      throw (
        decision?.error ?? new StoplineError('IMAGE_REFUSED', 'Expected images like the reference but received others.')
      );
    }
    const rest = found.without(refused);
    // What was unpacked to be looked at is sent on unpacked.
    const changed = { ...headers, ...rest.headers, 'content-encoding': undefined };
    return this.#forward(request, reply, { path, taken: { body: rest.body }, headers: changed });
  }

  #forward(
    request: FastifyRequest,
    reply: FastifyReply,
    options: { path: string; taken?: TakenBody; headers?: Record<string, string | undefined> },
  ) {
    const { path } = options;
    const tell = (error: StoplineError) => void this.#refuse(request, reply, { path, error });
    return this.#upstream.forward(request, reply, { ...options, refuse: tell });
  }

  #refuse(
    request: FastifyRequest,
    reply: FastifyReply,
    options: { path: string; error: unknown; id?: string | undefined },
  ) {
    const { path, error, id } = options;
    const { breaker } = this.#upstream;
    const route = this.#gate.match(path);
    const protocol = route && route.protocol !== 'pass' ? protocols[route.protocol] : guessProtocol(path);
    reply.header('x-content-type-options', 'nosniff');
    return refuse(request, reply, error, {
      retryAfterSeconds: breaker.isOpen ? roundRetryAfter(breaker.waitMs) : this.#gate.retryAfterSeconds,
      isClosing: false,
      body: (refusal) => protocol.refusal(refusal, id),
      type: protocol.refusalType,
    });
  }
}

/**
 * What is said after a change of protocol cannot be looked into. Who offers HTTP/2 is content with HTTP/1.1.
 * @throws {StoplineError} UPGRADE_UNKNOWN
 */
function refuseUpgrade({ headers: { upgrade } }: FastifyRequest): void {
  if (upgrade === undefined || /^\s*h2c?\s*$/i.test(upgrade)) return;
  throw new StoplineError(
    'UPGRADE_UNKNOWN',
    `Expected a request in HTTP but received an offer of ${JSON.stringify(upgrade.slice(0, 50))}, which this gate does not pass on.`,
  );
}
