import { setTimeout } from 'node:timers/promises';
import { asStoplineError, StoplineError } from '../errors.ts';
import { decodeBase64 } from '../image/base64.ts';
import { quotePath } from '../image/file.ts';
import type { Broker, Message } from './brokers/broker.ts';
import { isObjectUrl, type ObjectStore } from './objects.ts';
import type { Pool } from './pool.ts';
import { Roots } from './roots.ts';
import type { Columns, RowCount } from './rows/row.ts';
import type { ScoredItem } from './task.ts';

export interface ConsumeOptions {
  /**
   * Folder or s3:// prefix that images named in messages must lie under. Without it only messages that carry their image are
   * judged: whoever may write messages may not read our disk.
   */
  root?: string | undefined;
  store: ObjectStore;
  maxBytes: number;
  /** Messages at work at a time. */
  atOnce: number;
  signal: AbortSignal;
  onVerdict?: (count: RowCount) => void;
  /** Told when the broker has gone away; it is asked again until it is back. */
  onLost?: (error: StoplineError) => void;
}

/** A message during which a consumer died so often is given up. */
const maxDeliveries = 4;
/** Wait before a broker that went away is asked again: at first, and at most. */
const firstWaitMs = 200;
const longestWaitMs = 5000;
/** Most bytes of a message that stand in its row, too: a row that the broker does not take would be made again for ever. */
const maxPassedOn = 64 * 1024;
/** Messages whose deliveries are remembered, of which this consumer survived some. */
const maxRemembered = 10_000;

/**
 * Judges messages until the signal aborts, and publishes one row for each, with the id of its message. A message is done with
 * when its row is published: one that a killed consumer had at work is judged again, and its row may then come twice, with the
 * same id. A broker that goes away is asked again and again until it is back.
 *
 * A message is an image, or JSON: `{"image": base64}` or `{"path": a path below the root, or an s3:// URL}`, in both cases
 * with `"id"` and whatever is to be passed on to the row as `columns`.
 * @throws {StoplineError} what `open` throws at the first try; what keeps the pool from judging at all
 */
export async function consume(open: () => Promise<Broker>, pool: Pool, options: ConsumeOptions): Promise<void> {
  const { signal, onLost } = options;
  const survived = new SurvivedDeliveries();
  let broker = await open();
  for (;;) {
    try {
      await consumeConnection(broker, pool, options, survived);
    } catch (error) {
      if (signal.aborted || !isBrokerError(error)) throw error;
      onLost?.(asStoplineError(error));
    } finally {
      await broker.close();
    }
    const next = signal.aborted ? undefined : await reopen(open, signal);
    if (!next) return;
    broker = next;
  }
}

/** Whatever a broker throws but a fault of its own message is a reason to ask it again. */
function isBrokerError(error: unknown): boolean {
  return !(error instanceof StoplineError) || error.code === 'STOPLINE_ERR_BROKER_UNAVAILABLE';
}

/** @returns undefined when the signal aborts */
async function reopen(open: () => Promise<Broker>, signal: AbortSignal): Promise<Broker | undefined> {
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(2 * waitMs, longestWaitMs)) {
    await setTimeout(waitMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return undefined;
    try {
      return await open();
    } catch (error) {
      if (!isBrokerError(error)) throw error;
    }
  }
}

/** Deliveries that did not kill this consumer: a message is not to blame for a broker that went away. */
class SurvivedDeliveries {
  readonly #counts = new Map<string, number>();

  add(id: string): void {
    const count = this.get(id) + 1;
    this.#counts.delete(id);
    this.#counts.set(id, count);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > maxRemembered && oldest !== undefined) this.#counts.delete(oldest);
  }

  get(id: string): number {
    return this.#counts.get(id) ?? 0;
  }

  forget(id: string): void {
    this.#counts.delete(id);
  }
}

/** Judges what one connection delivers, until the signal aborts or the connection is lost. */
async function consumeConnection(
  broker: Broker,
  pool: Pool,
  options: ConsumeOptions,
  survived: SurvivedDeliveries,
): Promise<void> {
  const { atOnce, signal } = options;
  const running = new Set<Promise<void>>();
  let failure: unknown;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  try {
    for await (const message of broker.messages(either)) {
      const work = judgeMessage(message, pool, options, survived)
        .catch((error) => {
          failure ??= error;
          stop.abort();
        })
        .finally(() => running.delete(work));
      running.add(work);
      if (running.size >= atOnce) await Promise.race(running);
      if (either.aborted) break;
    }
  } finally {
    await Promise.all(running);
  }
  if (failure) throw failure;
}

/** What a message says of its image: all of it stands in the answer, whatever becomes of the image. */
interface Request {
  /** What the sender calls it, a text or a number; else what the broker does. */
  id: string | number;
  name: string;
  columns?: Columns;
  image?: unknown;
  path?: unknown;
  bytes?: Uint8Array;
  error?: StoplineError;
}

async function judgeMessage(
  message: Message,
  pool: Pool,
  options: ConsumeOptions,
  survived: SurvivedDeliveries,
): Promise<void> {
  const request = readRequest(message);
  const { id, name, columns } = request;
  const known = { name, ...(columns && { columns }) };
  const deaths = (message.deliveries ?? 1) - 1 - survived.get(message.id);
  let item: ScoredItem;
  try {
    if (deaths >= maxDeliveries) {
      throw new StoplineError('IMAGE_FATAL', `The message was delivered ${deaths} times and never finished.`);
    }
    item = { ...known, ...(await openImage(request, options)) };
  } catch (error) {
    item = { ...known, error: asStoplineError(error).toJSON() };
  }
  const { line, count } = await pool.score(item, 'jsonl');
  survived.add(message.id);
  const row = Buffer.from(line).toString().trimEnd();
  await message.settle(`{"id":${JSON.stringify(id)},${row.slice(1)}`);
  survived.forget(message.id);
  options.onVerdict?.(count);
}

/** A message is an image, or JSON: no image starts with a brace. Whatever stands in it, it is answered: else it came for ever. */
function readRequest({ id, data }: Message): Request {
  const start = Buffer.from(data.subarray(0, 100))
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '');
  if (!start.trimStart().startsWith('{')) return { id, name: id, bytes: Uint8Array.from(data) };
  try {
    return readFields(id, JSON.parse(new TextDecoder().decode(data)));
  } catch (cause) {
    if (cause instanceof StoplineError) return { id, name: id, error: cause };
    const error = new StoplineError('REQUEST_INVALID', 'Expected an image or JSON in the message.', { cause });
    return { id, name: id, error };
  }
}

/** @throws {StoplineError} REQUEST_INVALID where more is to be passed on than a broker may take */
function readFields(id: string, { path, image, ...rest }: Record<string, unknown>): Request {
  const columns = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, readColumn(value)]));
  const name = typeof path === 'string' ? path : id;
  if (Buffer.byteLength(name) + Buffer.byteLength(JSON.stringify(columns)) > maxPassedOn) {
    throw new StoplineError(
      'REQUEST_INVALID',
      `Expected at most ${maxPassedOn} bytes beside the image in a message, which are passed on to its row, but received more.`,
    );
  }
  const isNamed = typeof rest.id === 'string' || (typeof rest.id === 'number' && Number.isFinite(rest.id));
  return { id: isNamed ? (rest.id as string | number) : id, name, columns, image, path };
}

function readColumn(value: unknown): Columns[string] {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return value;
  return JSON.stringify(value);
}

/** @throws {StoplineError} REQUEST_INVALID, INPUT_*, IMAGE_TOO_LARGE, OBJECTS_UNAVAILABLE */
async function openImage(
  { image, path, bytes, error }: Request,
  { root, store, maxBytes }: ConsumeOptions,
): Promise<Pick<ScoredItem, 'bytes' | 'path'>> {
  if (error) throw error;
  if (bytes) return { bytes };
  if (typeof image === 'string') {
    const decoded = decodeBase64(image);
    if (decoded) return { bytes: new Uint8Array(decoded) };
    throw new StoplineError('REQUEST_INVALID', 'Expected base64 in "image" but it holds other characters.');
  }
  if (typeof path !== 'string') {
    throw new StoplineError(
      'REQUEST_INVALID',
      'Expected a text in "image" or "path" of the message but received neither.',
    );
  }
  if (root === undefined) {
    throw new StoplineError('REQUEST_INVALID', `${quotePath(path)} is not read: images named in messages need --root.`);
  }
  const place = new Roots([root]).locate(path);
  return isObjectUrl(place) ? { bytes: await store.read(place, maxBytes) } : { path: place };
}
