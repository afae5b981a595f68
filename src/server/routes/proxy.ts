import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../../errors.ts';
import { type Passage, passageHeaders, roundRetryAfter } from '../../gate/admission.ts';
import { guessProtocol, protocols } from '../../gate/protocols/protocols.ts';
import { plainPath } from '../../gate/routes.ts';
import type { Breaker } from '../breaker.ts';
import type { CallParts } from '../grpc/call.ts';
import type { TakenBody } from '../http/body.ts';
import { isWithoutBody } from '../http/headers.ts';
import type { Methods } from '../http/methods.ts';
import { refuse } from '../http/refusal.ts';
import { type GateParts, RequestGate, watchClient } from '../requestgate.ts';
import { registerUnjudged, Unjudged } from '../unjudged.ts';
import { Upstream } from '../upstream.ts';
import { registerExtAuthz } from './extauthz.ts';

/**
 * The routes of a gate: with an upstream, every path that is not the service's own goes there, judged where it carries images;
 * and always `/ext-authz/*`, where Envoy asks whether a request may pass.
 */
export async function registerGate(
  app: FastifyInstance,
  parts: Omit<GateParts, 'unjudged'>,
): Promise<{ breakers: readonly Breaker[]; calls: CallParts }> {
  const { config, metrics } = parts;
  const unjudged = new Unjudged(metrics.registry, app.log);
  const gate = new RequestGate({ ...parts, unjudged });
  // Images that are judged beside are finished before the service ends.
  app.addHook('onClose', () => gate.finish());
  registerUnjudged(app, unjudged);
  registerExtAuthz(app, gate, unjudged);
  const calls = { ...parts, gate, unjudged };
  if (config.upstream === undefined) return { breakers: [], calls };
  const upstream = await Upstream.open(app, config, metrics);
  const proxy = new UpstreamProxy({ gate, upstream, unjudged, methods: app.methods });
  const schema = { hide: true };
  // The headers that keep browsers from doing things with our own pages are not for the answers of another.
  app.all('/*', { schema, helmet: false, config: { scope: 'inspect', kind: 'forwarded' } }, (request, reply) =>
    proxy.handle(request, reply),
  );
  return { breakers: [upstream.breaker], calls };
}

/** Answers requests to paths of the upstream. */
class UpstreamProxy {
  readonly #gate: RequestGate;
  readonly #upstream: Upstream;
  readonly #unjudged: Unjudged;
  readonly #methods: Methods;

  constructor(parts: { gate: RequestGate; upstream: Upstream; unjudged: Unjudged; methods: Methods }) {
    this.#gate = parts.gate;
    this.#upstream = parts.upstream;
    this.#unjudged = parts.unjudged;
    this.#methods = parts.methods;
  }

  async handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    let path = '';
    let passage: Passage | undefined;
    try {
      path = plainPath(request.raw.url ?? '');
      // The page of the service stands at `/`, where a model server may take images.
      if (path !== '/') this.#methods.check(request, reply);
      this.#upstream.breaker.admit();
      if (isWithoutBody(request.method)) return this.#forward(request, reply, { path });
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
    const { path, taken, passage } = options;
    const { action, decision, found } = passage;
    if (action === 'refuse') throw decision?.error;
    const refused = new Set(decision?.refused);
    const headers = action === 'observe' ? {} : passageHeaders(passage);
    if (refused.size === 0) return this.#forward(request, reply, { path, taken, headers });
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
    const protocol = route ? protocols[route.protocol] : guessProtocol(path);
    reply.header('x-content-type-options', 'nosniff');
    return refuse(request, reply, error, {
      retryAfterSeconds: breaker.isOpen ? roundRetryAfter(breaker.waitMs) : this.#gate.retryAfterSeconds,
      isClosing: false,
      body: (refusal) => protocol.refusal(refusal, id),
      type: protocol.refusalType,
    });
  }
}
