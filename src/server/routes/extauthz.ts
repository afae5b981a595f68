import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../../errors.ts';
import { passageHeaders } from '../../gate/admission.ts';
import { plainPath } from '../../gate/routes.ts';
import { findUnclearHeader, isPartial } from '../http/headers.ts';
import { refuse } from '../http/refusal.ts';
import { type RequestGate, watchClient } from '../requestgate.ts';
import type { Unjudged } from '../unjudged.ts';

/** `/ext-authz/*`, where Envoy asks whether a request may pass: 200 or 403, by the same rules as the proxy. */
export function registerExtAuthz(app: FastifyInstance, gate: RequestGate, unjudged: Unjudged): void {
  const prefix = '/ext-authz';
  const asked = app.prefix.length + prefix.length;
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    const gone = watchClient(reply);
    const path = plainPath(request.raw.url ?? '').slice(asked) || '/';
    const taken = await gate.read(request, reply);
    // A body that Envoy does not send is not an empty one: it has to be told to send it.
    const isEmpty = !taken.error && taken.body.length === 0;
    if (isEmpty && (await gate.isBare(request))) return reply.code(200).send();
    const route = gate.match(path);
    if (route?.protocol === 'pass') {
      unjudged.observePassed(route);
      return reply.code(200).send();
    }
    if (isPartial(request.headers)) {
      const tooLarge = 'Expected the whole body but Envoy sent a part of it: raise max_request_bytes.';
      Object.assign(taken, { error: new StoplineError('REQUEST_TOO_LARGE', tooLarge) });
    }
    const unclear = findUnclearHeader(request.raw.rawHeaders);
    if (unclear !== undefined) {
      const twice = `Expected each header about the body once and in its plain form but received ${JSON.stringify(unclear.slice(0, 100))}.`;
      Object.assign(taken, { error: new StoplineError('REQUEST_INVALID', twice) });
    }
    const passage = await gate.judge(request, reply, { path, taken, signal: gone });
    gone.throwIfAborted();
    const { action, decision } = passage;
    reply.headers(passageHeaders(passage));
    // Envoy forwards the body it has, so nothing can be taken out of it.
    if (action === 'refuse' || decision?.refused.length) throw decision?.error;
    return reply.code(200).send();
  };
  const handle = async (request: FastifyRequest, reply: FastifyReply) => {
    try {
      return await answer(request, reply);
    } catch (error) {
      const { retryAfterSeconds } = gate;
      return refuse(request, reply, error, { retryAfterSeconds, isClosing: false, status: 403 });
    }
  };
  const options = { config: { scope: 'inspect' as const, kind: 'authorization' as const }, schema: { hide: true } };
  app.all(prefix, options, handle);
  app.all(`${prefix}/*`, options, handle);
}
