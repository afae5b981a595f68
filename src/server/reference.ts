import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { describeProfile } from '../profile.ts';
import { statistics } from '../statistics.ts';
import type { Judge } from './judge.ts';
import { refusals } from './schemas.ts';

/** What images are judged against: the Profile without its numbers, and the table of statistics. */
export function registerReference(app: FastifyInstance, judge: Judge): void {
  app.get(
    '/profile',
    {
      schema: {
        operationId: 'profile',
        tags: ['reference'],
        summary: 'What the reference population was.',
        response: {
          200: Type.Object(
            { name: Type.String(), sha256: Type.String() },
            { description: 'The Profile without its tensors.', additionalProperties: true },
          ),
          ...refusals(500),
        },
      },
    },
    async () => {
      const { model, ...about } = describeProfile(judge.profile);
      const { runtime, provider, failed } = judge.pool.info.embedder ?? {};
      return model ? { ...about, model: { ...model, runtime, provider, failed } } : about;
    },
  );
  app.get(
    '/statistics',
    {
      schema: {
        operationId: 'statistics',
        tags: ['reference'],
        summary: 'Every measured number: name, unit and what it means.',
        response: {
          200: {
            description: 'In the order in which they are measured.',
            content: { 'application/json': { schema: Type.Array(Type.Ref('Statistic#')) } },
          },
          ...refusals(500),
        },
      },
    },
    async () => statistics,
  );
}
