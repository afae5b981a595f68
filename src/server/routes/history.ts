import type { FastifyInstance } from 'fastify';
import { StoplineError } from '../../errors.ts';
import { Type } from '../../schema.ts';
import { sourcePattern } from '../../settings.ts';
import { refusals } from '../http/schemas.ts';
import type { Store } from '../store/store.ts';

const time = (description: string) =>
  Type.Integer({ minimum: 0, description: `${description}, milliseconds since 1970.` });
/** Changes of state in one answer. */
const maxTransitions = 50;

/** GET /history/{source}: what the store has of one camera, by stretches of time. */
export function registerHistory(app: FastifyInstance, store: Store): void {
  app.get<{ Params: { source: string }; Querystring: { from: number; to: number; points: number } }>(
    '/history/:source',
    {
      schema: {
        operationId: 'history',
        tags: ['drift'],
        summary: 'Verdicts of one source over time, and its changes of state.',
        description:
          'Of stretches that begin at round times. How far back it goes is a setting: historyDays, historyRows.',
        params: Type.Object({ source: Type.String({ pattern: sourcePattern.source }) }),
        querystring: Type.Object({
          from: time('Start, inclusive'),
          to: time('End, exclusive'),
          points: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 1000, default: 120, description: 'About as many stretches.' }),
          ),
        }),
        response: {
          200: Type.Object(
            {
              trend: Type.Array(
                Type.Object(
                  { at: Type.Number(), span: Type.Number(), images: Type.Integer() },
                  { additionalProperties: true },
                ),
                { description: 'Oldest first; stretches without an image are left out.' },
              ),
              transitions: Type.Array(Type.Object({ at: Type.Number(), from: Type.String(), to: Type.String() }), {
                description: `Changes of state, newest first; at most ${maxTransitions}.`,
              }),
            },
            { description: 'Counts and p-values of each stretch.' },
          ),
          ...refusals(400, 500, 503),
        },
      },
    },
    async ({ params: { source }, query: { from, to, points } }) => {
      if (from >= to) {
        throw new StoplineError('REQUEST_INVALID', `Expected from to come before to but received ${from} and ${to}.`);
      }
      const [trend, transitions] = await Promise.all([
        store.trend({ source, from, to, points }),
        store.transitions({ source, from, to, limit: maxTransitions }),
      ]);
      return {
        trend,
        transitions: transitions.map(({ at, from: before, to: after }) => ({ at, from: before, to: after })),
      };
    },
  );
}
