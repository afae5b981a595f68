import type { FastifyInstance } from 'fastify';
import type { Pool } from '../../run/pool.ts';
import { Type } from '../../schema.ts';
import { hidePaths } from '../http/paths.ts';
import { refusals } from '../http/schemas.ts';
import type { Judge } from '../judge.ts';

const failedProvider = Type.Object({ provider: Type.String(), reason: Type.String() });

/**
 * Who answers here, in the terms of the Open Inference Protocol ("server metadata"), and under `stopline` what runs it:
 * the build of the core, the network, and every provider that failed with its reason.
 */
export function registerMetadata(app: FastifyInstance, judge: Judge, version: string): void {
  app.get(
    '/v2',
    {
      schema: {
        operationId: 'metadata',
        tags: ['operation'],
        summary: 'Name, version and extensions of this server, and what computes its answers.',
        response: {
          200: Type.Object(
            {
              name: Type.String(),
              version: Type.String(),
              extensions: Type.Array(Type.String()),
              stopline: Type.Object(
                {
                  profile: Type.Object({ name: Type.String(), sha256: Type.String() }),
                  threads: Type.Integer(),
                  confined: Type.Optional(
                    Type.Array(Type.String(), {
                      description: 'What was taken from the processes that judge, such as seccomp.',
                    }),
                  ),
                  core: Type.Optional(
                    Type.Object(
                      { build: Type.String(), simd: Type.String(), reason: Type.Optional(Type.String()) },
                      { description: 'Absent until the workers have loaded it.', additionalProperties: true },
                    ),
                  ),
                  model: Type.Optional(
                    Type.Object(
                      {
                        name: Type.String(),
                        sha256: Type.String(),
                        runtime: Type.String(),
                        provider: Type.String(),
                        device: Type.Enum(['cpu', 'gpu']),
                        failed: Type.Array(failedProvider, { description: 'Providers tried before it, and why not.' }),
                        assumed: Type.Array(Type.String(), {
                          description: 'Fields of its card that nobody has confirmed, such as input.colour.',
                        }),
                      },
                      { description: 'What computes embeddings; absent where the Profile has no model.' },
                    ),
                  ),
                },
                { additionalProperties: true },
              ),
            },
            { description: 'Server metadata of the Open Inference Protocol.', additionalProperties: true },
          ),
          ...refusals(500),
        },
      },
    },
    async () => describeServer(judge, version),
  );
}

/** What `GET /v2` answers; a gate that passes /v2 on to a model server can add it under `stopline`. */
function describeServer({ pool, profile: { name, sha256 } }: Pick<Judge, 'pool' | 'profile'>, version: string) {
  const { core, embedder, threads, confined } = pool.info;
  return {
    name: 'stopline',
    version,
    extensions: ['inspect'],
    stopline: {
      profile: { name, sha256 },
      threads,
      confined,
      core: core?.reason === undefined ? core : { ...core, reason: hidePaths(core.reason) },
      ...(embedder && { model: describeModel(embedder) }),
    },
  };
}

function describeModel(embedder: NonNullable<Pool['info']['embedder']>) {
  const { model, sha256, runtime, provider, device, failed, assumed } = embedder;
  return { name: model, sha256, runtime, provider, device, failed: hideInFailed(failed), assumed };
}

/** Why providers failed, without the paths of libraries on this machine. */
export function hideInFailed(failed: readonly { provider: string; reason: string }[]) {
  return failed.map(({ provider, reason }) => ({ provider, reason: hidePaths(reason) }));
}
