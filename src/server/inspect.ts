import type { FastifyInstance, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Config } from '../config.ts';
import { StoplineError } from '../errors.ts';
import { type BufferBudget, readImageBody, tooLarge } from './body.ts';
import type { ServerState } from './health.ts';
import { type Judge, sourceOf } from './judge.ts';
import { jsonImageSchema, refusals } from './schemas.ts';

const binary = { type: 'string', format: 'binary' };

const inspectSchema = {
  operationId: 'inspect',
  tags: ['images'],
  summary: 'Judge one image.',
  description:
    'Takes the bytes of a JPEG, PNG or WebP as the body, as the one file of a multipart form, or in base64 in JSON. What the bytes are is decided by the bytes, not by the content type.',
  querystring: Type.Object({
    source: Type.Optional(
      Type.String({
        pattern: '^[\\w.:-]{1,128}$',
        description: 'Camera that the image comes from; also as a header, by default x-stopline-source.',
      }),
    ),
  }),
  body: {
    content: {
      'image/*': { schema: binary },
      'application/octet-stream': { schema: binary },
      'multipart/form-data': {
        schema: { type: 'object', properties: { image: binary }, required: ['image'] },
      },
      'application/json': { schema: jsonImageSchema },
    },
  },
  response: {
    200: {
      description: 'The image was judged, whatever the verdict.',
      headers: { 'x-stopline-verdict': { type: 'string', description: 'pass, warn or block' } },
      content: { 'application/json': { schema: Type.Ref('Verdict#') } },
    },
    ...refusals(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
  },
};

/** What can be refused by the headers alone, before a byte of the body is read. */
function admit(request: FastifyRequest, config: Config, judge: Judge, state: ServerState): void {
  const { 'content-encoding': encoding = 'identity', 'content-length': length } = request.headers;
  if (state.phase === 'draining') {
    throw new StoplineError('CLOSED', 'Expected a serving replica but this one is shutting down.');
  }
  if (encoding.toLowerCase() !== 'identity') {
    throw new StoplineError(
      'REQUEST_TYPE',
      `Expected a body without Content-Encoding but received ${encoding.slice(0, 50)}.`,
    );
  }
  if (Number(length) > config.bodyLimit) throw tooLarge(config.bodyLimit, String(length));
  judge.pool.admit();
}

/** POST /inspect: one image in, one Verdict out. */
export function registerInspect(
  app: FastifyInstance,
  parts: { config: Config; judge: Judge; state: ServerState; budget: BufferBudget },
): void {
  const { config, judge, state, budget } = parts;
  app.post(
    '/inspect',
    {
      config: { scope: 'inspect' },
      schema: inspectSchema,
      // The schema documents the body; `readImageBody` reads and checks it.
      validatorCompiler: () => () => true,
      onRequest: async (request) => admit(request, config, judge, state),
    },
    async (request, reply) => {
      const gone = new AbortController();
      reply.raw.once('close', () => {
        if (!reply.raw.writableFinished) gone.abort(new StoplineError('CLOSED', 'The client closed the connection.'));
      });
      if (request.awaitsContinue) {
        request.awaitsContinue = false;
        reply.raw.writeContinue();
      }

      let held = 0;
      const hold = (bytes: number) => {
        if (budget.used + bytes > budget.limit) {
          throw new StoplineError(
            'OVERLOADED',
            `Expected at most ${budget.limit} bytes of bodies at once but received more.`,
          );
        }
        budget.used += bytes;
        held += bytes;
      };
      try {
        const source = sourceOf(request, config.sourceHeader);
        const bytes = await readImageBody(request, config.bodyLimit, hold);
        const verdict = await judge.inspect(bytes, { source, requestId: request.id, signal: gone.signal });
        request.verdict = verdict;
        reply.header('x-stopline-verdict', verdict.verdict);
        return reply.send(verdict);
      } finally {
        budget.used -= held;
      }
    },
  );
}
