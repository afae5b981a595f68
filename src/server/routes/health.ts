import type { Registry } from '@prometheus-io/client';
import type { FastifyInstance } from 'fastify';
import { asStoplineError } from '../../errors.ts';
import { Type } from '../../schema.ts';
import type { Breaker } from '../breaker.ts';
import type { Judge } from '../judge.ts';
import { gauge } from '../metrics.ts';

type Reason = ServerState['phase'] | 'overloaded' | 'crashing' | 'upstream';

/** Where a server is in its life; only `serving` takes requests. */
export interface ServerState {
  phase: 'starting' | 'serving' | 'draining' | 'failed';
}

export interface HealthParts {
  judge: Judge;
  state: ServerState;
  /** The breakers of the upstreams of a gate. */
  breakers: readonly Breaker[];
  /** A gate that lets through what it cannot judge is of use also while it cannot judge. */
  isOpen: boolean;
  /** Whether such a gate is to get no requests where it has no Profile to judge by. */
  needsProfile: boolean;
}

/** Why a server should get no requests. */
function findReason({ judge, state, breakers }: HealthParts): Reason | undefined {
  if (breakers.some(({ waitMs }) => waitMs > 0)) return 'upstream';
  if (state.phase !== 'serving') return state.phase;
  try {
    judge.pool.admit();
    return judge.pool.isFailing ? 'crashing' : undefined;
  } catch (error) {
    return asStoplineError(error).code === 'STOPLINE_ERR_OVERLOADED' ? 'overloaded' : 'failed';
  }
}

/** What keeps images from being judged, where a gate lets them through all the same. */
const passing: readonly Reason[] = ['failed', 'overloaded', 'crashing'];

/** What a probe is told. */
export function describeReadiness(parts: HealthParts): { ready: boolean; reason?: Reason; degraded?: Reason } {
  const reason = findReason(parts);
  if (reason === undefined) return { ready: true };
  if (!parts.isOpen || !passing.includes(reason)) return { ready: false, reason };
  const isLost = reason === 'failed' && parts.needsProfile;
  return isLost ? { ready: false, reason } : { ready: true, degraded: reason };
}

/** Probes: `live` says that the process answers, `ready` that it should get requests. */
export function registerHealth(app: FastifyInstance, registry: Registry, parts: HealthParts): void {
  const help =
    '1 while an open gate lets images through unjudged, because it has no Profile, crashes or is overloaded.';
  gauge(registry, 'stopline_gate_degraded', help, () => (describeReadiness(parts).degraded ? 1 : 0));
  app.get(
    '/health/live',
    {
      config: { scope: 'public', kind: 'probe' },
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
      config: { scope: 'public', kind: 'probe' },
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
      const readiness = describeReadiness(parts);
      return readiness.ready ? readiness : reply.code(503).send(readiness);
    },
  );
}
