import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { asStoplineError } from '../../errors.ts';
import type { Breaker } from '../breaker.ts';
import type { Judge } from '../judge.ts';

/** Where a server is in its life; only `serving` takes requests. */
export interface ServerState {
  phase: 'starting' | 'serving' | 'draining' | 'failed';
}

export interface HealthParts {
  judge: Judge;
  state: ServerState;
  /** Of the upstream of a gate. */
  breaker?: Breaker | undefined;
  /** A gate that lets through what it cannot judge is of use also while it cannot judge. */
  isOpen: boolean;
}

function reasonNotReady({ judge, state, breaker, isOpen }: HealthParts): string | undefined {
  if (breaker && breaker.waitMs > 0) return 'upstream';
  if (state.phase === 'failed' && isOpen) return undefined;
  if (state.phase !== 'serving') return state.phase;
  if (isOpen) return undefined;
  try {
    judge.pool.admit();
    return judge.pool.isFailing ? 'crashing' : undefined;
  } catch (error) {
    return asStoplineError(error).code === 'STOPLINE_ERR_OVERLOADED' ? 'overloaded' : 'failed';
  }
}

/** Probes: `live` says that the process answers, `ready` that it should get requests. */
export function registerHealth(app: FastifyInstance, parts: HealthParts): void {
  app.get(
    '/health/live',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'live',
        tags: ['operation'],
        summary: 'The process answers.',
        response: { 200: Type.Object({ live: Type.Boolean() }, { description: 'It does.' }) },
      },
    },
    async () => ({ live: true }),
  );

  const readiness = Type.Ref('Readiness#');
  app.get(
    '/health/ready',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'ready',
        tags: ['operation'],
        summary: 'The workers have loaded the core and the profile, and there is room for requests.',
        response: {
          200: { description: 'Send requests.', content: { 'application/json': { schema: readiness } } },
          503: {
            description: 'Send none, for the reason given.',
            content: { 'application/json': { schema: readiness } },
          },
        },
      },
    },
    async (_request, reply) => {
      const reason = reasonNotReady(parts);
      if (reason === undefined) return { ready: true };
      return reply.code(503).send({ ready: false, reason });
    },
  );
}
