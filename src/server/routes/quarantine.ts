import type { Registry } from '@prometheus-io/client';
import type { FastifyInstance } from 'fastify';
import { thumbnailSide } from '../../image/thumbnail.ts';
import { Type } from '../../schema.ts';
import { hidePaths } from '../http/paths.ts';
import { refusals } from '../http/schemas.ts';
import type { Judge } from '../judge.ts';
import { counter, gauge } from '../metrics.ts';
import type { Quarantine } from '../quarantine/quarantine.ts';
import type { QuarantineQuery } from '../quarantine/shelf.ts';

/** Sources that one answer names. */
const maxSources = 500;

const params = Type.Object({ id: Type.String({ pattern: '^[0-9a-f]{64}$' }) });
const item = Type.Object(
  { id: Type.String(), at: Type.Integer(), source: Type.String(), verdict: Type.String(), pValue: Type.Number() },
  { additionalProperties: true },
);
const tags = ['quarantine'];
const binary = { schema: { type: 'string', format: 'binary' } };

const listSchema = {
  operationId: 'listQuarantine',
  tags,
  summary: 'Images that were warned of or blocked, or those of them that were accepted; newest first.',
  querystring: Type.Object({
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
    before: Type.Optional(Type.Integer({ description: 'Only those judged before: `next` of the page before.' })),
    source: Type.Optional(Type.String({ maxLength: 128 })),
    verdict: Type.Optional(Type.Enum(['warn', 'block'])),
    accepted: Type.Optional(
      Type.Boolean({ default: false, description: 'Accepted images in place of those to be looked at.' }),
    ),
  }),
  response: {
    200: Type.Object(
      {
        items: Type.Array(item),
        count: Type.Integer({ description: 'Of all images to be looked at.' }),
        bytes: Type.Integer({ description: 'Of the same.' }),
        accepted: Type.Integer({ description: 'How many were accepted.' }),
        kind: Type.Enum(['folder', 'bucket'], {
          description: 'What the setting `quarantine` names; accepted images are under accepted in it.',
        }),
        sources: Type.Array(Type.String(), { description: `Of them all; at most ${maxSources}.` }),
        dropped: Type.Integer({
          description: 'Since the start: too many at once, or too many while nothing was writable.',
        }),
        waiting: Type.Integer({ description: 'In memory, on their way to the folder or bucket.' }),
        degraded: Type.Optional(
          Type.String({ description: 'Why the folder or bucket cannot be used for now; the log names it.' }),
        ),
        next: Type.Optional(Type.Integer({ description: 'Ask for the next page with it as `before`.' })),
      },
      { description: 'One page.' },
    ),
    ...refusals(400, 500),
  },
};
const itemSchema = {
  operationId: 'quarantined',
  tags,
  summary: 'One of them, with its whole verdict.',
  params,
  response: {
    200: Type.Object(
      { item, verdict: Type.Ref('Verdict#'), isAccepted: Type.Boolean() },
      { description: 'The image and why it is here.' },
    ),
    ...refusals(404, 500, 503),
  },
};
const imageSchema = {
  operationId: 'quarantinedImage',
  tags,
  summary: 'The image as it came; as PNG where it came as pixels.',
  params,
  response: { 200: { description: 'The image.', content: { 'image/*': binary } }, ...refusals(404, 500, 503) },
};
const thumbnailSchema = {
  operationId: 'quarantinedThumbnail',
  tags,
  summary: `A WebP of at most ${thumbnailSide} pixels a side.`,
  params,
  response: {
    200: { description: 'The thumbnail.', content: { 'image/webp': binary } },
    ...refusals(404, 500, 503),
  },
};
const removeSchema = {
  operationId: 'release',
  tags,
  summary: 'Keep it no longer.',
  params,
  response: { 204: Type.Null({ description: 'It is gone.' }), ...refusals(404, 500, 503) },
};

function registerSeries(registry: Registry, quarantine: Quarantine): void {
  const series = (what: string, help: string, read: () => number) =>
    gauge(registry, `stopline_quarantine_${what}`, help, read);
  series('images', 'Images in quarantine.', () => quarantine.count);
  series('accepted', 'Images that were accepted, for the next version of the Profile.', () => quarantine.accepted);
  series('bytes', 'Bytes of the images in quarantine.', () => quarantine.bytes);
  series('waiting', 'Images that wait to be written to the quarantine.', () => quarantine.waiting);
  series('degraded', '1 while the quarantine cannot be used; images are judged still.', () =>
    quarantine.degraded === undefined ? 0 : 1,
  );
  const dropped = 'Images that the quarantine lacks because it could not be written, or not fast enough.';
  counter(registry, 'stopline_quarantine_dropped_total', dropped, () => quarantine.dropped);
}

/** `GET /quarantine`, its images and thumbnails; accepting and dropping one. */
export function registerQuarantine(
  app: FastifyInstance,
  parts: { quarantine: Quarantine; judge: Judge; registry: Registry },
): void {
  const { quarantine, judge, registry } = parts;
  registerSeries(registry, quarantine);
  registerReading(app, quarantine, judge);
  registerReview(app, quarantine);
  app.addHook('onClose', () => quarantine.close());
}

type WithId = { Params: { id: string } };

function registerReading(app: FastifyInstance, quarantine: Quarantine, judge: Judge): void {
  app.get<{ Querystring: QuarantineQuery & { accepted: boolean } }>(
    '/quarantine',
    { schema: listSchema },
    async ({ query: { accepted: isAccepted, ...asked } }) => {
      const query = { ...asked, isAccepted };
      const items = quarantine.list(query);
      return {
        items,
        count: quarantine.count,
        bytes: quarantine.bytes,
        accepted: quarantine.accepted,
        kind: quarantine.kind,
        dropped: quarantine.dropped,
        waiting: quarantine.waiting,
        degraded: quarantine.degraded && hidePaths(quarantine.degraded),
        sources: quarantine.sources(query).slice(0, maxSources),
        ...(items.length === query.limit && { next: items.at(-1)?.at }),
      };
    },
  );
  app.get<WithId>('/quarantine/:id', { schema: itemSchema }, async ({ params }) => quarantine.read(params.id));
  app.get<WithId>('/quarantine/:id/image', { schema: imageSchema }, async ({ params }, reply) => {
    const { item, bytes } = await quarantine.image(params.id);
    return reply.type(`image/${item.format}`).header('cache-control', 'private, max-age=3600').send(bytes);
  });
  const thumbnails = new Thumbnails(judge, quarantine);
  app.get<WithId>('/quarantine/:id/thumbnail', { schema: thumbnailSchema }, async ({ params }, reply) => {
    const thumbnail = await thumbnails.draw(params.id);
    return reply.type('image/webp').header('cache-control', 'private, max-age=3600').send(Buffer.from(thumbnail));
  });
}

/**
 * Draws one thumbnail after the other. A page asks for dozens at once, which is more than the line before the workers lets
 * wait, and images that are to be judged come first.
 */
class Thumbnails {
  readonly #judge: Judge;
  readonly #quarantine: Quarantine;
  #last: Promise<unknown> = Promise.resolve();

  constructor(judge: Judge, quarantine: Quarantine) {
    this.#judge = judge;
    this.#quarantine = quarantine;
  }

  /** @throws {StoplineError} ITEM_UNKNOWN, STORE_UNAVAILABLE, OBJECTS_UNAVAILABLE, INPUT_UNREADABLE, IMAGE_*, OVERLOADED */
  draw(id: string): Promise<Uint8Array> {
    const drawn = this.#last.then(async () => {
      const { bytes } = await this.#quarantine.image(id);
      return this.#judge.pool.draw(bytes, thumbnailSide);
    });
    this.#last = drawn.catch(() => undefined);
    return drawn;
  }
}

function registerReview(app: FastifyInstance, quarantine: Quarantine): void {
  app.delete<WithId>('/quarantine/:id', { schema: removeSchema }, async ({ params }, reply) => {
    await quarantine.remove(params.id);
    return reply.code(204).send();
  });
  const review = (method: 'PUT' | 'DELETE', isAccepted: boolean, about: { operationId: string; summary: string }) =>
    app.route({
      method,
      url: '/quarantine/:id/accepted',
      schema: {
        ...about,
        tags,
        params,
        response: { 204: Type.Null({ description: 'So it is now.' }), ...refusals(404, 500, 503) },
      },
      async handler(request, reply) {
        await quarantine.setAccepted((request.params as { id: string }).id, isAccepted);
        return reply.code(204).send();
      },
    });
  review('PUT', true, {
    operationId: 'accept',
    summary: 'It is as it should be: moves it to the accepted images, for `stopline profile accept`.',
  });
  review('DELETE', false, { operationId: 'unaccept', summary: 'Puts it back among the images to be looked at.' });
}
