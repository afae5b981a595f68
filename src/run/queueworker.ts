import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Job as BullJob, Worker as BullWorker } from 'bullmq';
import type { Redis } from 'ioredis';
import { asStoplineError, StoplineError } from '../errors.ts';
import { brokenItem, type InputOptions, type Item } from './inputs/item.ts';
import { type ItemAddress, openReference } from './inputs/items.ts';
import { createColumnTypes, judgeItems } from './judgeitems.ts';
import { loadPackage } from './optional.ts';
import type { Pool } from './pool.ts';
import { connectRedis, queueName, redisKeys } from './queue.ts';
import type { Chunk, ChunkResult, QueueSeal, RunOptions } from './queuejob.ts';
import type { Roots } from './roots.ts';
import { replaceFile, writeRows } from './rows/output.ts';
import { createTally } from './rows/tally.ts';

/** An image during which a worker died so often, each time alone, is given up. */
const maxDeaths = 3;

export interface WorkerOptions {
  stalledMs: number;
  inputs: Pick<InputOptions, 'store' | 'maxBytes'>;
  seal: QueueSeal;
  /** Where the images of a job, and the parts it writes, must lie. */
  roots: Roots;
  /** Called once for each Profile and set of options that turns up. */
  openPool(profileBytes: Uint8Array, options: RunOptions): Promise<Pool>;
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
  const { stalledMs } = options;
  const { Worker, UnrecoverableError } = await loadPackage('bullmq', () => import('bullmq'));
  const worker = new QueueWorker(await connectRedis(url), options);
  const bull = new Worker<unknown>(
    queueName,
    async ({ data }) => {
      // Work that is not ours does not become so by trying again.
      const chunk = worker.open(data, (message) => new UnrecoverableError(message));
      await worker.judge(chunk);
    },
    {
      connection: worker.redis,
      concurrency: 1,
      lockDuration: stalledMs,
      stalledInterval: stalledMs,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    },
  );
  bull.on('error', (error) => options.onError?.(error));
  bull.on('failed', (job, error) => worker.noteFailure(job, error));
  return { close: () => worker.close(bull) };
}

class QueueWorker {
  readonly redis: Redis;
  readonly #options: WorkerOptions;
  #open: { key: string; pool: Pool } | undefined;

  constructor(redis: Redis, options: WorkerOptions) {
    this.redis = redis;
    this.#options = options;
  }

  /** @throws what `refuse` makes of why the data is no work for this worker */
  open(data: unknown, refuse: (message: string) => Error): Chunk {
    try {
      const chunk = this.#options.seal.openChunk(data);
      this.#options.roots.locate(chunk.options.out);
      return chunk;
    } catch (cause) {
      const { code, message } = asStoplineError(cause);
      throw refuse(`${code}: ${message}`);
    }
  }

  async judge(chunk: Chunk): Promise<void> {
    const { run, key, part, options } = chunk;
    const starts = await this.redis.hincrby(redisKeys.starts(run), key, 1);
    const pool = await this.#findPool(options);
    const result = await this.#judgeChunk(pool, chunk, starts > 1);
    await this.redis.hset(redisKeys.done(run), key, this.#options.seal.sealResult(result));
    this.#options.onChunk?.({ run, part, rows: result.rows });
  }

  noteFailure(job: BullJob<unknown> | undefined, error: Error): void {
    this.#options.onError?.(error);
    const { run, key } = readIds(job?.data);
    if (!job || run === undefined || key === undefined) return;
    // It did not die, so the next try need not go image by image.
    void this.redis.hdel(redisKeys.starts(run), key);
    const isLast = error.name === 'UnrecoverableError' || job.attemptsMade >= (job.opts.attempts ?? 1);
    if (!isLast) return;
    const { code, message } = asStoplineError(error);
    const text = error.name === 'UnrecoverableError' ? error.message : `${code}: ${message}`;
    void this.redis.hset(redisKeys.failed(run), key, text);
  }

  async close(bull: BullWorker): Promise<void> {
    await bull.close();
    await this.#open?.pool.close();
    this.redis.disconnect();
  }

  async #findPool(run: RunOptions): Promise<Pool> {
    const { profile, decideBy, blockWhen, ignore, masks, maxPixels, maxSide } = run;
    const key = JSON.stringify([profile, decideBy, blockWhen, ignore, masks, maxPixels, maxSide]);
    if (this.#open?.key === key) return this.#open.pool;
    await this.#open?.pool.close();
    this.#open = undefined;
    const bytes = await this.redis.getBuffer(redisKeys.profile(run.profile));
    if (!bytes) throw new StoplineError('PROFILE_UNREADABLE', `The Profile ${run.profile} is no longer in the queue.`);
    const pool = await this.#options.openPool(bytes, run);
    this.#open = { key, pool };
    return pool;
  }

  async #judgeChunk(pool: Pool, chunk: Chunk, isAlone: boolean): Promise<ChunkResult> {
    const { run, key, options, part, references } = chunk;
    const { store, maxBytes } = this.#options.inputs;
    const types = createColumnTypes(options);
    const items = this.#listItems(references, { store, maxBytes, fps: options.fps }, types);
    const judged = isAlone
      ? judgeOneByOne(pool, items, { redis: this.redis, run, key })
      : judgeItems(pool, items, { format: 'parquet' });
    const tally = createTally();
    const rows: Uint8Array[] = [];
    for await (const { line, count } of judged) {
      rows.push(line);
      tally.add(count);
    }
    let sha256 = '';
    const write = async (path: string) => {
      await writeRows(path, rows, { format: 'parquet', manifest: types.columns() });
      sha256 = createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    };
    await replaceFile(`${options.out.replace(/\/$/, '')}/${part}`, store, write, true);
    return { part, rows: rows.length, sha256, counts: tally.toJSON() };
  }

  /** A place outside the roots is a row with its error, as one that is not there. */
  async *#listItems(
    references: readonly ItemAddress[],
    inputs: InputOptions,
    types: ReturnType<typeof createColumnTypes>,
  ): AsyncGenerator<Item> {
    for (const reference of references) {
      for await (const item of this.#openReference(reference, inputs)) {
        types.see(item);
        yield item;
      }
    }
  }

  async *#openReference(reference: ItemAddress, inputs: InputOptions): AsyncGenerator<Item> {
    const { name, location, columns, error } = reference;
    try {
      if (!error) this.#options.roots.locate(location);
    } catch (cause) {
      const coded = asStoplineError(cause);
      if (coded.code !== 'STOPLINE_ERR_INPUT_NOT_FOUND') {
        yield { ...brokenItem(name, coded), ...(columns && { columns }) };
        return;
      }
    }
    yield* openReference(reference, inputs);
  }
}

/** Which piece of work failed, by data that may be anything. */
function readIds(data: unknown): { run?: string; key?: string } {
  try {
    const { run, key } = JSON.parse((data as { text: string }).text);
    const isOurs = /^[0-9a-f]{16}$/.test(run) && /^[0-9]{1,9}-[0-9a-f]{16}$/.test(key);
    return isOurs ? { run, key } : {};
  } catch {
    return {};
  }
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
    const deaths = (await redis.hincrby(redisKeys.deaths(run), field, 1)) - 1;
    const fatal = new StoplineError('IMAGE_FATAL', `${deaths} workers died while they judged this image.`);
    const safe: Item =
      deaths < maxDeaths
        ? item
        : { ...item, path: undefined, target: undefined, version: '', read: () => Promise.reject(fatal) };
    yield* judgeItems(pool, [safe], { format: 'parquet' });
    // A given up one keeps its mark: should this worker die on another image, it must not be tried again.
    if (deaths < maxDeaths) await redis.hdel(redisKeys.deaths(run), field);
  }
}
