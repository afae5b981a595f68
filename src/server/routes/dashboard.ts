import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { StoplineError } from '../../errors.ts';
import { Type } from '../../schema.ts';
import { sourcePattern } from '../../settings.ts';
import { judgingPagePolicy } from '../http/access.ts';
import { refusals } from '../http/schemas.ts';
import type { Judge } from '../judge.ts';
import { Recent } from '../watch/recent.ts';
import { registerFrameModules } from './framemodules.ts';

/** The pages of the service: they load nothing from elsewhere, and run without a build. */
const pages = fileURLToPath(new URL('../dashboard/', import.meta.url));
/** Code of others that pages load as it is. */
const libraries = ['uplot', 'preact', 'htm'].map((name) => dirname(fileURLToPath(import.meta.resolve(name))));
/** The colours and measures of pages and reports. */
const tokens = fileURLToPath(new URL('../../report/design/', import.meta.url));

/** The documents that the service came with, for pages to link to. */
const manual = fileURLToPath(new URL('../../../docs/', import.meta.url));

const loose = { additionalProperties: true };

/** The dashboard, and what it shows of the latest images of each camera. */
export async function registerDashboard(app: FastifyInstance, judge: Judge): Promise<void> {
  const recent = new Recent(judge);
  await serveFiles(app);
  registerRecent(app, recent);
}

/** The pages, and the manual that they link to. */
async function serveFiles(app: FastifyInstance): Promise<void> {
  await app.register(fastifyStatic, { root: [pages, tokens, ...libraries], prefix: '/dashboard/', index: false });
  await app.register(fastifyStatic, {
    root: manual,
    prefix: '/dashboard/manual/',
    decorateReply: false,
    index: false,
    allowedPath: (path) => path.endsWith('.md'),
    // Browsers show text; Markdown they would save.
    setHeaders: (reply) => void reply.header('content-type', 'text/plain; charset=utf-8'),
  });
  registerFrameModules(app);
  const helmet = { contentSecurityPolicy: judgingPagePolicy };
  app.get('/', { schema: { hide: true }, helmet }, (request, reply) => {
    const [path] = request.url.split('?', 1);
    // The page names everything relative to itself.
    return path.endsWith('/') ? reply.sendFile('index.html') : reply.redirect(`${path}/`);
  });
}

/** What the pages ask for about the latest images. */
function registerRecent(app: FastifyInstance, recent: Recent): void {
  const tags = ['images'];
  app.get(
    '/recent',
    {
      schema: {
        operationId: 'recentSources',
        tags,
        summary: 'Cameras that sent images lately, with their latest p-values.',
        response: {
          200: Type.Array(Type.Object({ source: Type.String(), images: Type.Integer() }, loose), {
            description: 'At most 128, the one seen last at the end.',
          }),
          ...refusals(500),
        },
      },
    },
    async () => recent.sources(),
  );
  app.get<{ Params: { source: string }; Querystring: { after?: number; statistics?: string } }>(
    '/recent/:source',
    {
      schema: {
        params: Type.Object({ source: Type.String({ pattern: sourcePattern.source }) }),
        operationId: 'recentImages',
        tags,
        summary: 'The latest images of one camera, the statistics that moved most, and the images that did not pass.',
        querystring: Type.Object({
          after: Type.Optional(
            Type.Integer({ minimum: 0, description: 'Only images after so many: `images` of an earlier answer.' }),
          ),
          statistics: Type.Optional(
            Type.String({
              maxLength: 2000,
              description:
                'Names of the statistics whose values are wanted, with commas between them; else those that lie farthest out.',
            }),
          ),
        }),
        response: {
          200: Type.Object(
            { source: Type.String(), images: Type.Integer(), at: Type.Array(Type.Number()) },
            { description: 'Columns of at most 300 images, oldest first.', ...loose },
          ),
          ...refusals(400, 404, 500),
        },
      },
    },
    async ({ params: { source }, query }) => {
      const { after, statistics } = query;
      const images = recent.images(source, {
        ...(after !== undefined && { after }),
        ...(statistics !== undefined && { statistics: statistics.split(',') }),
      });
      if (!images)
        throw new StoplineError('SOURCE_UNKNOWN', `Expected a source that sent images lately but received ${source}.`);
      return images;
    },
  );
  app.get<{ Params: { source: string; id: string } }>(
    '/recent/:source/pictures/:id',
    {
      schema: {
        operationId: 'recentPicture',
        tags,
        summary: 'A small picture of the latest image, or of one that did not pass.',
        response: {
          200: { description: 'A WebP.', content: { 'image/webp': { schema: { type: 'string', format: 'binary' } } } },
          ...refusals(404, 500),
        },
      },
    },
    async ({ params }, reply) => picture(reply, recent.picture(params.source, params.id), 'image/webp'),
  );
}

/** Named by its checksum, so it never changes. */
function picture(reply: FastifyReply, bytes: Uint8Array | undefined, type: string): FastifyReply {
  if (!bytes) throw new StoplineError('ROUTE_UNKNOWN', 'Expected the id of an image whose picture is kept.');
  return reply.type(type).header('cache-control', 'private, max-age=86400, immutable').send(Buffer.from(bytes));
}
