import { createHash } from 'node:crypto';
import type { Queue as BullQueue } from 'bullmq';
import type { Redis } from 'ioredis';
import { StoplineError } from '../errors.ts';
import { type Item, makeVersion } from './inputs/item.ts';
import { type ItemAddress, referenceTo } from './inputs/items.ts';
import { loadPackage } from './optional.ts';
import type { ChunkResult, QueueSeal, RunOptions } from './queuejob.ts';

export const queueName = 'stopline';
/** Raised when what lies in Redis is of another form. */
const queueFormat = 2;
/** Tries of a chunk that fails with an error, such as a store that is down; the wait doubles from one to the next. */
const attempts = 6;
const backoffMs = 1000;
/** What a finished run leaves in Redis is gone after this. */
const keptSeconds = 7 * 24 * 3600;
const pollMs = 500;

/** Where in Redis what belongs to a run lies. */
export const redisKeys = {
  profile: (sha256: string) => `stopline:profile:${sha256}`,
  done: (run: string) => `stopline:run:${run}:done`,
  failed: (run: string) => `stopline:run:${run}:failed`,
  starts: (run: string) => `stopline:run:${run}:starts`,
  deaths: (run: string) => `stopline:run:${run}:deaths`,
} as const;

/** A client that waits out a Redis that is away. */
export async function connectRedis(url: string): Promise<Redis> {
  const { Redis: Client } = await loadPackage('ioredis', () => import('ioredis'));
  const redis = new Client(url, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined); // it connects again
  return redis;
}

export interface QueueRunOptions extends RunOptions {
  /** Images of one piece of work. */
  chunk: number;
  profileBytes: Uint8Array;
}

/**
 * Puts a run on the queue and waits until workers have done it. Chunks that are done already, by an earlier call with the
 * same options and images, are not done again, so a call that was killed can just be repeated.
 * @returns the parts in the order of the items
 * @throws {StoplineError} QUEUE_FAILED, PACKAGE_MISSING, MANIFEST_INVALID; the reason of the signal
 */
export async function runOnQueue(
  url: string,
  items: AsyncIterable<Item>,
  options: QueueRunOptions,
  context: { seal: QueueSeal; onProgress?: (done: number, total: number) => void; signal: AbortSignal },
): Promise<{ run: string; results: ChunkResult[] }> {
  const { chunk: size, profileBytes, ...shared } = options;
  const { Queue } = await loadPackage('bullmq', () => import('bullmq'));
  const redis = await connectRedis(url);
  const queue = new Queue<object>(queueName, { connection: redis });
  queue.on('error', () => undefined); // said by the client, which connects again
  const run = new QueueRun({ redis, queue, shared, size, ...context });
  try {
    await redis.set(redisKeys.profile(shared.profile), Buffer.from(profileBytes), 'EX', keptSeconds);
    await run.add(items);
    return { run: run.id, results: await run.wait() };
  } finally {
    await queue.close();
    redis.disconnect();
  }
}

interface QueueRunParts {
  redis: Redis;
  queue: BullQueue<object>;
  shared: RunOptions;
  size: number;
  seal: QueueSeal;
  onProgress?: (done: number, total: number) => void;
  signal: AbortSignal;
}

class QueueRun {
  readonly id: string;
  readonly #parts: QueueRunParts;
  readonly #keys: string[] = [];
  #images = 0;

  constructor(parts: QueueRunParts) {
    this.#parts = parts;
    // What another version left of the same run can be read by that version alone.
    this.id = digest(JSON.stringify([queueFormat, parts.shared, parts.size]));
  }

  async add(items: AsyncIterable<Item>): Promise<void> {
    const { redis, size, signal } = this.#parts;
    await redis.del(redisKeys.failed(this.id));
    for await (const { references, versions } of splitChunks(items, size)) {
      signal.throwIfAborted();
      const part = `part-${String(this.#keys.length).padStart(6, '0')}.parquet`;
      // Other images make another chunk, whatever was done for its number before.
      const key = `${this.#keys.length}-${digest(JSON.stringify([references, versions]))}`;
      this.#keys.push(key);
      this.#images += references.length;
      await this.#addChunk(key, part, references);
    }
  }

  async #addChunk(key: string, part: string, references: ItemAddress[]): Promise<void> {
    const { redis, queue, shared, seal } = this.#parts;
    if (await redis.hexists(redisKeys.done(this.id), key)) return;
    const jobId = `${this.id}-${key}`;
    const before = await queue.getJob(jobId);
    if (await before?.isFailed()) await before?.remove();
    const sealed = seal.sealChunk({ run: this.id, key, options: shared, part, references });
    const backoff = { type: 'exponential', delay: backoffMs };
    await queue.add('chunk', sealed, { jobId, attempts, backoff, removeOnComplete: true });
  }

  async wait(): Promise<ChunkResult[]> {
    const { redis, seal, onProgress, signal, shared } = this.#parts;
    const keys = this.#keys;
    for (;;) {
      signal.throwIfAborted();
      const found = keys.length === 0 ? [] : await redis.hmget(redisKeys.done(this.id), ...keys);
      const done = found.filter((result) => result !== null);
      onProgress?.(Math.round((this.#images * done.length) / Math.max(1, keys.length)), this.#images);
      if (done.length === keys.length) {
        for (const name of ['done', 'starts', 'deaths'] as const)
          await redis.expire(redisKeys[name](this.id), keptSeconds);
        return done.map((text) => seal.openResult(text));
      }
      await this.#checkFailures(done.length);
      if (!(await redis.exists(redisKeys.profile(shared.profile)))) {
        throw new StoplineError('QUEUE_FAILED', 'Redis has lost the work that was on it. Give the same command again.');
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  async #checkFailures(done: number): Promise<void> {
    const failed = Object.values(await this.#parts.redis.hgetall(redisKeys.failed(this.id)));
    if (failed.length === 0 || done + failed.length < this.#keys.length) return;
    throw new StoplineError(
      'QUEUE_FAILED',
      `Workers gave up on ${failed.length} of ${this.#keys.length} chunks, the first: ${failed[0]} Give the same command to try them again.`,
    );
  }
}

/** An archive or a video is a chunk of its own. */
async function* splitChunks(items: AsyncIterable<Item>, size: number) {
  let references: ItemAddress[] = [];
  let versions: string[] = [];
  const take = () => {
    const chunk = { references, versions };
    references = [];
    versions = [];
    return chunk;
  };
  for await (const item of items) {
    if (item.container !== undefined && references.length > 0) yield take();
    references.push(referenceTo(item));
    versions.push(makeVersion(item));
    if (item.container !== undefined || references.length >= size) yield take();
  }
  if (references.length > 0) yield take();
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
