import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Job as QueueJob } from 'bullmq';
import type { Redis } from 'ioredis';
import { asStoplineError, StoplineError } from '../errors.ts';
import { type InputOptions, type Item, makeVersion } from './inputs/item.ts';
import { type ItemAddress, openReference, referenceTo } from './inputs/items.ts';
import { createColumnTypes, judgeItems } from './judgeitems.ts';
import { loadPackage } from './optional.ts';
import type { Pool } from './pool.ts';
import { replaceFile, writeRows } from './rows/output.ts';
import { createTally, type TallyCounts } from './rows/tally.ts';

/** What all chunks of a run have in common, and what its rows depend on. */
export interface QueueOptions {
  /** sha256 of the Profile, which lies in Redis for the workers. */
  profile: string;
  decideBy: 'combined' | 'capture' | 'content';
  blockWhen?: string | undefined;
  maxPixels: number;
  maxSide: number;
  fps: number;
  /** Absolute path or s3:// URL of the folder that the parts are written to. */
  out: string;
  /** Names of the columns of the manifest. */
  columns: readonly string[];
}

/** Work for one worker. */
interface Chunk {
  run: string;
  key: string;
  options: QueueOptions;
  part: string;
  references: ItemAddress[];
}

/** What a finished chunk has. */
export interface ChunkResult {
  part: string;
  rows: number;
  sha256: string;
  counts: TallyCounts;
}

const queueName = 'stopline';
/** Tries of a chunk that fails with an error, such as a store that is down; the wait doubles from one to the next. */
const attempts = 6;
const backoffMs = 1000;
/** An image during which a worker died so often, each time alone, is given up. */
const maxDeaths = 3;
/** What a finished run leaves in Redis is gone after this. */
const keptSeconds = 7 * 24 * 3600;
const pollMs = 500;

const profileKey = (sha256: string) => `stopline:profile:${sha256}`;
const doneKey = (run: string) => `stopline:run:${run}:done`;
const failedKey = (run: string) => `stopline:run:${run}:failed`;
const startsKey = (run: string) => `stopline:run:${run}:starts`;
const deathsKey = (run: string) => `stopline:run:${run}:deaths`;

/** A client that waits out a Redis that is away. */
async function connect(url: string): Promise<Redis> {
  const { Redis: Client } = await loadPackage('ioredis', () => import('ioredis'));
  return new Client(url, { maxRetriesPerRequest: null });
}

/**
 * Puts a run on the queue and waits until workers have done it. Chunks that are done already, by an earlier call with the
 * same options and images, are not done again, so a call that was killed can just be repeated.
 * @param options.chunk images of one piece of work
 * @returns the parts in the order of the items
 * @throws {StoplineError} QUEUE_FAILED, PACKAGE_MISSING; the reason of the signal
 */
export async function runOnQueue(
  url: string,
  items: AsyncIterable<Item>,
  options: QueueOptions & { chunk: number; profileBytes: Uint8Array },
  { onProgress, signal }: { onProgress?: (done: number, total: number) => void; signal: AbortSignal },
): Promise<{ run: string; results: ChunkResult[] }> {
  const { chunk: size, profileBytes, ...shared } = options;
  const run = digest(JSON.stringify([shared, size]));
  const { Queue } = await loadPackage('bullmq', () => import('bullmq'));
  const redis = await connect(url);
  const queue = new Queue<Chunk>(queueName, { connection: redis });
  try {
    await redis.set(profileKey(shared.profile), Buffer.from(profileBytes), 'EX', keptSeconds);
    await redis.del(failedKey(run));
    const keys: string[] = [];
    let images = 0;
    for await (const { references, versions } of splitChunks(items, size)) {
      signal.throwIfAborted();
      const part = `part-${String(keys.length).padStart(6, '0')}.parquet`;
      // Other images make another chunk, whatever was done for its number before.
      const key = `${keys.length}-${digest(JSON.stringify([references, versions]))}`;
      keys.push(key);
      images += references.length;
      if (await redis.hexists(doneKey(run), key)) continue;
      const jobId = `${run}-${key}`;
      const before = await queue.getJob(jobId);
      if (await before?.isFailed()) await before?.remove();
      await queue.add(
        'chunk',
        { run, key, options: shared, part, references },
        {
          ...{ jobId, attempts, backoff: { type: 'exponential', delay: backoffMs } },
          removeOnComplete: true,
        },
      );
    }
    for (;;) {
      signal.throwIfAborted();
      const found = keys.length === 0 ? [] : await redis.hmget(doneKey(run), ...keys);
      const done = found.filter((result) => result !== null);
      onProgress?.(Math.round((images * done.length) / Math.max(1, keys.length)), images);
      if (done.length === keys.length) {
        for (const key of [doneKey, startsKey, deathsKey]) await redis.expire(key(run), keptSeconds);
        return { run, results: done.map((result) => JSON.parse(result as string)) };
      }
      const failed = Object.values(await redis.hgetall(failedKey(run)));
      if (failed.length > 0 && done.length + failed.length === keys.length) {
        throw new StoplineError(
          'QUEUE_FAILED',
          `Workers gave up on ${failed.length} of ${keys.length} chunks, the first: ${failed[0]} Give the same command to try them again.`,
        );
      }
      if (!(await redis.exists(profileKey(shared.profile)))) {
        throw new StoplineError('QUEUE_FAILED', 'Redis has lost the work that was on it. Give the same command again.');
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  } finally {
    await queue.close();
    redis.disconnect();
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

export interface WorkerOptions {
  stalledMs: number;
  inputs: Pick<InputOptions, 'store' | 'maxBytes'>;
  /** Called once for each Profile and set of options that turns up. */
  openPool(profileBytes: Uint8Array, options: QueueOptions): Promise<Pool>;
  onChunk?: (chunk: { run: string; part: string; rows: number }) => void;
  onError?: (error: Error) => void;
}

/**
 * Takes work from a queue until it is closed, one chunk at a time. A worker may be killed at any time: what it was at is
 * taken over by another, and a part is there whole or not at all.
 *
 * A chunk during which a worker died is judged image by image from then on, with a mark in Redis for the one at hand. An
 * image with which three more workers die becomes a row with the error IMAGE_FATAL.
 * @throws {StoplineError} PACKAGE_MISSING
 */
export async function startQueueWorker(url: string, options: WorkerOptions): Promise<{ close(): Promise<void> }> {
  const { stalledMs, openPool } = options;
  const { Worker } = await loadPackage('bullmq', () => import('bullmq'));
  const redis = await connect(url);
  let open: { key: string; pool: Pool } | undefined;
  const poolFor = async (run: QueueOptions): Promise<Pool> => {
    const key = JSON.stringify([run.profile, run.decideBy, run.blockWhen, run.maxPixels, run.maxSide]);
    if (open?.key === key) return open.pool;
    await open?.pool.close();
    open = undefined;
    const bytes = await redis.getBuffer(profileKey(run.profile));
    if (!bytes) throw new StoplineError('PROFILE_UNREADABLE', `The Profile ${run.profile} is no longer in the queue.`);
    const pool = await openPool(bytes, run);
    open = { key, pool };
    return pool;
  };
  const work = async ({ data }: QueueJob<Chunk>) => {
    const { run, key, options: shared, part } = data;
    const starts = await redis.hincrby(startsKey(run), key, 1);
    const pool = await poolFor(shared);
    const result = await judgeChunk(pool, data, { ...options.inputs, fps: shared.fps }, starts > 1 ? redis : undefined);
    await redis.hset(doneKey(run), key, JSON.stringify(result));
    options.onChunk?.({ run, part, rows: result.rows });
  };
  const worker = new Worker<Chunk>(queueName, work, {
    connection: redis,
    concurrency: 1,
    ...{ lockDuration: stalledMs, stalledInterval: stalledMs, maxStalledCount: Number.MAX_SAFE_INTEGER },
  });
  worker.on('error', (error) => options.onError?.(error));
  worker.on('failed', (job, error) => {
    options.onError?.(error);
    if (!job) return;
    // It did not die, so the next try need not go image by image.
    void redis.hdel(startsKey(job.data.run), job.data.key);
    if (job.attemptsMade < (job.opts.attempts ?? 1)) return;
    const { code, message } = asStoplineError(error);
    void redis.hset(failedKey(job.data.run), job.data.key, `${code}: ${message}`);
  });
  return {
    async close() {
      await worker.close();
      await open?.pool.close();
      redis.disconnect();
    },
  };
}

async function judgeChunk(
  pool: Pool,
  { run, key, options, part, references }: Chunk,
  inputs: InputOptions,
  deaths: Redis | undefined,
): Promise<ChunkResult> {
  const target = `${options.out.replace(/\/$/, '')}/${part}`;
  const types = createColumnTypes(options);
  async function* items(): AsyncGenerator<Item> {
    for (const reference of references) {
      for await (const item of openReference(reference, inputs)) {
        types.see(item);
        yield item;
      }
    }
  }
  const judged = deaths
    ? judgeOneByOne(pool, items(), { redis: deaths, run, key })
    : judgeItems(pool, items(), { format: 'parquet' });
  const tally = createTally();
  const rows: Uint8Array[] = [];
  for await (const { line, count } of judged) {
    rows.push(line);
    tally.add(count);
  }
  let sha256 = '';
  await replaceFile(
    target,
    inputs.store,
    async (path) => {
      await writeRows(path, rows, { format: 'parquet', manifest: types.columns() });
      sha256 = createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    },
    true,
  );
  return { part, rows: rows.length, sha256, counts: tally.toJSON() };
}

/** As `judgeItems`, but one image at a time, each marked while it is at work. */
async function* judgeOneByOne(
  pool: Pool,
  items: AsyncIterable<Item>,
  { redis, run, key }: { redis: Redis; run: string; key: string },
) {
  let position = 0;
  for await (const item of items) {
    const field = `${key}:${position++}`;
    const deaths = (await redis.hincrby(deathsKey(run), field, 1)) - 1;
    const fatal = new StoplineError('IMAGE_FATAL', `${deaths} workers died while they judged this image.`);
    const safe: Item =
      deaths < maxDeaths ? item : { ...item, path: undefined, version: '', read: () => Promise.reject(fatal) };
    yield* judgeItems(pool, [safe], { format: 'parquet' });
    // A given up one keeps its mark: should this worker die on another image, it must not be tried again.
    if (deaths < maxDeaths) await redis.hdel(deathsKey(run), field);
  }
}
