import type { FastifyInstance } from 'fastify';
import { Type } from '../../schema.ts';
import type { Cameras } from '../cameras/cameras.ts';
import { refusals } from '../http/schemas.ts';

const count = (description: string) => Type.Integer({ description });

const statusSchema = Type.Object({
  source: Type.String(),
  address: Type.String({
    description: 'Protocol and host, or the name of a clip or device; never a password or a folder.',
  }),
  state: Type.Enum(['connecting', 'live', 'waiting', 'ended', 'stopped'], {
    description:
      '`connecting`: no image has come yet. `live`: images come. `waiting`: it was lost, and is tried again at `retryAt`. `ended`: its clip is over. `stopped`: its clip cannot be read.',
  }),
  since: Type.Number({ description: 'Since when; milliseconds since 1970.' }),
  judged: count('Images that were judged, since the start.'),
  skipped: count('Images that came faster than they could be judged.'),
  failed: count('Images that could not be judged.'),
  lost: count('Times that it was lost or could not be reached.'),
  problem: Type.Optional(
    Type.Object(
      { code: Type.String(), message: Type.String() },
      { description: 'Why it was lost, or why its last image could not be judged.' },
    ),
  ),
  retryAt: Type.Optional(Type.Number({ description: 'When it is tried again; milliseconds since 1970.' })),
});

/** GET /cameras: the cameras that the service watches by itself, and whether images come. */
export function registerCameras(app: FastifyInstance, cameras: Cameras): void {
  app.get(
    '/cameras',
    {
      schema: {
        operationId: 'cameras',
        tags: ['operation'],
        summary: 'The cameras that the service watches by itself, and whether images come.',
        description: 'What is known of what they show is at GET /drift. Empty without the setting `cameras`.',
        response: {
          200: {
            description: 'Cameras, in the order of the settings.',
            content: { 'application/json': { schema: Type.Object({ cameras: Type.Array(statusSchema) }) } },
          },
          ...refusals(401, 403, 429),
        },
      },
    },
    async () => ({ cameras: cameras.list() }),
  );
}
