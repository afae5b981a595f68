import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../../errors.ts';
import { tooLarge } from '../../gate/bodies/peek.ts';
import { Type } from '../../schema.ts';
import { type Config, sourcePattern } from '../../settings.ts';
import { askForBody, type BufferBudget, heldBytes, readImageBody } from '../http/body.ts';
import { jsonImageSchema, refusals } from '../http/schemas.ts';
import { type Judge, readSource } from '../judge.ts';
import type { ServerState } from './health.ts';

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
        pattern: sourcePattern.source,
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

const tileMapSchema = Type.Object(
  {
    kind: Type.Enum(['blur', 'noise', 'clipping', 'occlusion']),
    unit: Type.String(),
    meaning: Type.String(),
    bad: Type.Enum(['high', 'low']),
    values: Type.Array(Type.Number(), { description: 'Row by row.' }),
  },
  { additionalProperties: true },
);

const { querystring: _, ...imageSchema } = inspectSchema;
const explainSchema = {
  ...imageSchema,
  operationId: 'explain',
  summary: 'Judge one image for a person: its verdict, and where in it the evidence lies.',
  description:
    'Takes an image as POST /inspect does. What is asked here counts for no camera: not in drift, history or metrics. It takes about twice as long.',
  response: {
    ...inspectSchema.response,
    200: {
      description: 'The verdict, and maps over at most 8 x 6 tiles of the image.',
      content: {
        'application/json': {
          schema: Type.Object({
            verdict: Type.Ref('Verdict#'),
            tiles: Type.Object({ columns: Type.Integer(), rows: Type.Integer(), maps: Type.Array(tileMapSchema) }),
          }),
        },
      },
    },
  },
};

/** POST /inspect: one image in, one Verdict out; POST /explain: the same for a person who looks at one image. */
export function registerInspect(
  app: FastifyInstance,
  parts: { config: Config; judge: Judge; state: ServerState; budget: BufferBudget },
): void {
  const { config, judge, state, budget } = parts;
  const options = {
    config: { scope: 'inspect' as const },
    // The schema documents the body; `readImageBody` reads and checks it.
    validatorCompiler: () => () => true,
    onRequest: async (request: FastifyRequest) => admit(request, config, judge, state),
  };

  /** Reads the image of a request, counting its bytes while they are held, and gives up when the client does. */
  const withImage = async <Answer>(
    request: FastifyRequest,
    reply: FastifyReply,
    work: (bytes: Uint8Array, signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> => {
    const gone = new AbortController();
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) gone.abort(new StoplineError('CLOSED', 'The client closed the connection.'));
    });
    askForBody(request, reply);
    const { hold, release } = heldBytes(budget);
    try {
      return await work(await readImageBody(request, config.bodyLimit, hold), gone.signal);
    } finally {
      release();
    }
  };

  app.post('/inspect', { ...options, schema: inspectSchema }, async (request, reply) => {
    const source = readSource(request, config.sourceHeader);
    request.source = source;
    const verdict = await withImage(request, reply, (bytes, signal) =>
      judge.inspect(bytes, { source, requestId: request.id, signal }),
    );
    request.verdict = verdict;
    reply.header('x-stopline-verdict', verdict.verdict);
    return reply.send(verdict);
  });
  app.post('/explain', { ...options, schema: explainSchema }, (request, reply) =>
    withImage(request, reply, (bytes, signal) => {
      const mask = judge.masks?.find(readSource(request, config.sourceHeader));
      return judge.pool.explain(bytes, { signal, mask });
    }),
  );
}
