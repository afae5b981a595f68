import type { FastifyInstance } from 'fastify';
import { Type } from '../../schema.ts';
import { refusals } from '../http/schemas.ts';
import type { Metrics } from '../metrics.ts';

/** `GET /metrics`. */
export function registerMetrics(app: FastifyInstance, metrics: Metrics): void {
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        tags: ['operation'],
        summary: 'Metrics in the Prometheus text format.',
        response: {
          200: { description: 'Metrics.', content: { 'text/plain': { schema: Type.String() } } },
          ...refusals(500),
        },
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
}
