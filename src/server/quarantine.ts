import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import sharp from 'sharp';
import Type from 'typebox';
import type { Config } from '../config.ts';
import { decode, type Frame } from '../decode.ts';
import { StoplineError } from '../errors.ts';
import { shrink, thumbnailSide } from '../report/thumbnails.ts';
import type { Verdict } from '../verdict.ts';
import type { Judge, Judgement } from './judge.ts';
import { refusals } from './schemas.ts';

/** Images that wait to be written; more are dropped, and counted, because a disk may be slower than a gate. */
const maxPending = 64;
const dayMs = 86_400_000;

/** One image that is kept, without its verdict. */
export interface QuarantineItem {
  /** sha256 of the encoded image, or of its pixels where it came as pixels. */
  id: string;
  /** When it was judged, in milliseconds since 1970; no two are equal. */
  at: number;
  source: string;
  requestId: string;
  verdict: 'warn' | 'block';
  pValue: number;
  /** The strongest reason in words. */
  reason?: string;
  format: 'jpeg' | 'png' | 'webp';
  bytes: number;
}

interface Kept extends Omit<QuarantineItem, 'verdict' | 'pValue' | 'reason' | 'bytes'> {
  bytes: number;
  verdict: Verdict;
}

/** Where images that were warned of or blocked are kept for people to look at: bounded in number, bytes and age. */
export interface Quarantine {
  /** Newest first, those before `before`. */
  list(options: { limit: number; before?: number; source?: string }): QuarantineItem[];
  readonly count: number;
  readonly bytes: number;
  /** Images that were to be kept and were not. */
  readonly dropped: number;
  /** @throws {StoplineError} ITEM_UNKNOWN */
  read(id: string): Promise<{ item: QuarantineItem; verdict: Verdict }>;
  /** @throws {StoplineError} ITEM_UNKNOWN */
  image(id: string): Promise<{ item: QuarantineItem; bytes: Buffer }>;
  /** @throws {StoplineError} ITEM_UNKNOWN */
  remove(id: string): Promise<void>;
  /** Resolves when everything that was to be written is. */
  settled(): Promise<void>;
}

/**
 * Opens the folder of the configuration and keeps there what the judge warns of or blocks.
 * @throws {StoplineError} OUTPUT_UNWRITABLE, OPTION_INVALID
 */
export async function openQuarantine(config: Config, judge: Judge, log: FastifyBaseLogger): Promise<Quarantine> {
  const folder = config.quarantine as string;
  if (/^[a-z0-9]+:\/\//.test(folder)) {
    throw new StoplineError('OPTION_INVALID', `Expected a folder for the quarantine but received ${folder}.`);
  }
  const limits = {
    images: config.quarantineImages,
    bytes: config.quarantineBytes,
    ageMs: config.quarantineDays * dayMs,
  };
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause) => {
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `Expected a folder for the quarantine at "${folder}" but ${cause.message}.`,
      {
        cause,
      },
    );
  });
  const items = new Map((await readItems(folder)).map((item) => [item.id, item]));
  let bytes = [...items.values()].reduce((sum, item) => sum + item.bytes, 0);
  let lastAt = Math.max(0, ...[...items.values()].map(({ at }) => at));
  let dropped = 0;
  let pending = 0;
  let writing: Promise<unknown> = Promise.resolve();

  const imagePath = ({ id, format }: Pick<QuarantineItem, 'id' | 'format'>) => join(folder, `${id}.${format}`);
  const known = (id: string): QuarantineItem => {
    const item = items.get(id);
    if (!item)
      throw new StoplineError('ITEM_UNKNOWN', `Expected an image of the quarantine but received ${id.slice(0, 64)}.`);
    return item;
  };
  const forget = async (item: QuarantineItem) => {
    if (!items.delete(item.id)) return;
    bytes -= item.bytes;
    await rm(join(folder, `${item.id}.json`), { force: true });
    await rm(imagePath(item), { force: true });
  };
  /** Oldest first, until the rest is within its bounds. */
  const prune = async () => {
    for (const item of items.values()) {
      const isOver = items.size > limits.images || bytes > limits.bytes || item.at < Date.now() - limits.ageMs;
      if (!isOver) return;
      await forget(item);
    }
  };
  const keep = async ({ verdict, source, requestId }: Judgement, image: Uint8Array, at: number) => {
    const { sha256: id, format } = verdict.image;
    const kept: Kept = {
      ...{ id, at, source, requestId, verdict },
      format: format === 'frame' ? 'png' : format,
      bytes: image.length,
    };
    // The image first: a verdict without its image is forgotten at the next start, an image without a verdict, too.
    await writeWhole(imagePath(kept), image);
    await writeWhole(join(folder, `${id}.json`), JSON.stringify(kept));
    items.set(id, itemOf(kept));
    bytes += kept.bytes;
    await prune();
  };
  const write = (judgement: Judgement) => {
    const { verdict, bytes: encoded, frame } = judgement;
    if (verdict.verdict === 'pass' || items.has(verdict.image.sha256)) return;
    if (Math.random() >= config.quarantineShare) return;
    if (pending >= maxPending || (!encoded && !frame)) {
      dropped += 1;
      return;
    }
    pending += 1;
    lastAt = Math.max(judgement.at, lastAt + 1);
    const at = lastAt;
    writing = writing
      .then(async () => {
        if (items.has(verdict.image.sha256)) return;
        await keep(judgement, encoded ?? (await encodePixels(frame as Frame)), at);
      })
      .catch((error) => {
        dropped += 1;
        log.error({ err: error }, 'an image was not kept in quarantine');
      })
      .finally(() => {
        pending -= 1;
      });
  };
  await prune();
  judge.watch(write, { bytes: true });

  return {
    list({ limit, before = Number.POSITIVE_INFINITY, source }) {
      const newest = [...items.values()].sort((a, b) => b.at - a.at);
      return newest
        .filter((item) => item.at < before && (source === undefined || item.source === source))
        .slice(0, limit);
    },
    get count() {
      return items.size;
    },
    get bytes() {
      return bytes;
    },
    get dropped() {
      return dropped;
    },
    async read(id) {
      const item = known(id);
      const { verdict } = JSON.parse(await readFile(join(folder, `${id}.json`), 'utf8')) as Kept;
      return { item, verdict };
    },
    async image(id) {
      const item = known(id);
      return { item, bytes: await readFile(imagePath(item)) };
    },
    remove: async (id) => forget(known(id)),
    settled: async () => void (await writing),
  };
}

function itemOf({ verdict, ...kept }: Kept): QuarantineItem {
  const [reason] = verdict.reasons;
  return {
    ...kept,
    verdict: verdict.verdict as QuarantineItem['verdict'],
    pValue: verdict.pValue,
    ...(reason && { reason: reason.text }),
  };
}

/** Either nothing or all of it. */
async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFile(temporary, content, { mode: 0o600 });
  await rename(temporary, path);
}

/** What a folder holds, oldest first; what an earlier run left half is removed. */
async function readItems(folder: string): Promise<QuarantineItem[]> {
  const items: QuarantineItem[] = [];
  const names = new Set(await readdir(folder));
  for (const name of names) {
    const [, id, extension] = /^([0-9a-f]{64})\.(json|jpeg|png|webp)(?:\.tmp)?$/.exec(name) ?? [];
    if (!id) continue;
    const path = join(folder, name);
    if (name.endsWith('.tmp') || (extension !== 'json' && !names.has(`${id}.json`))) {
      await rm(path, { force: true });
    } else if (extension === 'json') {
      try {
        const item = itemOf(JSON.parse(await readFile(path, 'utf8')) as Kept);
        await stat(join(folder, `${id}.${item.format}`));
        items.push(item);
      } catch {
        for (const extension of ['json', 'jpeg', 'png', 'webp'])
          await rm(join(folder, `${id}.${extension}`), { force: true });
      }
    }
  }
  return items.sort((a, b) => a.at - b.at);
}

function encodePixels({ data, width, height, channels }: Frame): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels } }).png({ compressionLevel: 3 }).toBuffer();
}

/** `GET /quarantine`, its images and thumbnails, and DELETE. */
export function registerQuarantine(app: FastifyInstance, quarantine: Quarantine): void {
  const params = Type.Object({ id: Type.String({ pattern: '^[0-9a-f]{64}$' }) });
  const item = Type.Object(
    { id: Type.String(), at: Type.Integer(), source: Type.String(), verdict: Type.String(), pValue: Type.Number() },
    { additionalProperties: true },
  );
  const tags = ['quarantine'];
  const binary = { schema: { type: 'string', format: 'binary' } };

  app.get(
    '/quarantine',
    {
      schema: {
        operationId: 'listQuarantine',
        tags,
        summary: 'Images that were warned of or blocked, newest first.',
        querystring: Type.Object({
          limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
          before: Type.Optional(Type.Integer({ description: 'Only those judged before: `next` of the page before.' })),
          source: Type.Optional(Type.String({ maxLength: 128 })),
        }),
        response: {
          200: Type.Object(
            {
              items: Type.Array(item),
              count: Type.Integer({ description: 'Of all images that are kept.' }),
              bytes: Type.Integer(),
              dropped: Type.Integer({ description: 'Since the start: too many at once, or not writable.' }),
              next: Type.Optional(Type.Integer({ description: 'Ask for the next page with it as `before`.' })),
            },
            { description: 'One page.' },
          ),
          ...refusals(400, 500),
        },
      },
    },
    async (request) => {
      const query = request.query as { limit: number; before?: number; source?: string };
      const items = quarantine.list(query);
      const { count, bytes, dropped } = quarantine;
      return { items, count, bytes, dropped, ...(items.length === query.limit && { next: items.at(-1)?.at }) };
    },
  );
  app.get(
    '/quarantine/:id',
    {
      schema: {
        operationId: 'quarantined',
        tags,
        summary: 'One of them, with its whole verdict.',
        params,
        response: {
          200: Type.Object({ item, verdict: Type.Ref('Verdict#') }, { description: 'The image and why it is here.' }),
          ...refusals(404, 500),
        },
      },
    },
    async (request) => quarantine.read((request.params as { id: string }).id),
  );
  app.get(
    '/quarantine/:id/image',
    {
      schema: {
        operationId: 'quarantinedImage',
        tags,
        summary: 'The image as it came; as PNG where it came as pixels.',
        params,
        response: { 200: { description: 'The image.', content: { 'image/*': binary } }, ...refusals(404, 500) },
      },
    },
    async (request, reply) => {
      const { item, bytes } = await quarantine.image((request.params as { id: string }).id);
      return reply.type(`image/${item.format}`).header('cache-control', 'private, max-age=3600').send(bytes);
    },
  );
  app.get(
    '/quarantine/:id/thumbnail',
    {
      schema: {
        operationId: 'quarantinedThumbnail',
        tags,
        summary: `A WebP of at most ${thumbnailSide} pixels a side.`,
        params,
        response: { 200: { description: 'The thumbnail.', content: { 'image/webp': binary } }, ...refusals(404, 500) },
      },
    },
    async (request, reply) => {
      const { bytes } = await quarantine.image((request.params as { id: string }).id);
      const { frame } = await decode(bytes);
      const { bytes: thumbnail } = await shrink(frame);
      return reply.type('image/webp').header('cache-control', 'private, max-age=3600').send(thumbnail);
    },
  );
  app.delete(
    '/quarantine/:id',
    {
      schema: {
        operationId: 'release',
        tags,
        summary: 'Keep it no longer.',
        params,
        response: { 204: Type.Null({ description: 'It is gone.' }), ...refusals(404, 500) },
      },
    },
    async (request, reply) => {
      await quarantine.remove((request.params as { id: string }).id);
      return reply.code(204).send();
    },
  );
  app.addHook('onClose', () => quarantine.settled());
}
