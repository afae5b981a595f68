import { realpathSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { asStoplineError, StoplineError } from '../errors.ts';
import type { Broker, Message } from './brokers.ts';
import { isObjectUrl, type ObjectStore } from './objects.ts';
import type { Pool } from './pool.ts';
import type { RowCount } from './rows/row.ts';
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
}

/** A message during which a consumer died so often is given up. */
const maxDeliveries = 4;

/**
 * Judges messages until the signal aborts, and publishes one row for each, with the id of its message. A message is done with
 * when its row is published: one that a killed consumer had at work is judged again, and its row may then come twice, with the
 * same id.
 *
 * A message is an image, or JSON: `{"image": base64}` or `{"path": a path below the root, or an s3:// URL}`, in both cases
 * with `"id"` and whatever is to be passed on to the row as `columns`.
 * @throws what the broker throws when it cannot publish; messages at work are then delivered again
 */
export async function consume(broker: Broker, pool: Pool, options: ConsumeOptions): Promise<void> {
  const { atOnce, signal } = options;
  const running = new Set<Promise<void>>();
  let failure: unknown;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  for await (const message of broker.messages(either)) {
    const work = judgeMessage(message, pool, options)
      .catch((error) => {
        failure ??= error;
        stop.abort();
      })
      .finally(() => running.delete(work));
    running.add(work);
    if (running.size >= atOnce) await Promise.race(running);
    if (either.aborted) break;
  }
  await Promise.all(running);
  if (failure) throw failure;
}

async function judgeMessage(message: Message, pool: Pool, options: ConsumeOptions): Promise<void> {
  const { id, deliveries = 1 } = message;
  let item: ScoredItem;
  try {
    if (deliveries > maxDeliveries) {
      throw new StoplineError('IMAGE_FATAL', `The message was delivered ${deliveries} times and never finished.`);
    }
    item = await readItem(message, options);
  } catch (error) {
    item = { name: id, error: asStoplineError(error).toJSON() };
  }
  const { line, count } = await pool.score(item, 'jsonl');
  const row = Buffer.from(line).toString().trimEnd();
  await message.settle(`{"id":${JSON.stringify(readId(item, id))},${row.slice(1)}`);
  options.onVerdict?.(count);
}

/** An id that the sender gave goes before that of the broker. */
function readId({ columns }: ScoredItem, id: string): string {
  return typeof columns?.id === 'string' ? columns.id : id;
}

async function readItem({ id, data }: Message, { root, store, maxBytes }: ConsumeOptions): Promise<ScoredItem> {
  if (data[0] !== 0x7b) return { name: id, bytes: Uint8Array.from(data) }; // no image starts with a brace
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(Buffer.from(data).toString());
  } catch (cause) {
    throw new StoplineError('REQUEST_INVALID', 'Expected an image or JSON in the message.', { cause });
  }
  const { path, image, ...rest } = fields;
  const columns = Object.fromEntries(
    Object.entries(rest).map(([name, value]) => [
      name,
      ['string', 'number', 'boolean'].includes(typeof value) ? (value as string) : JSON.stringify(value ?? null),
    ]),
  );
  if (typeof image === 'string') {
    return { name: typeof path === 'string' ? path : id, bytes: new Uint8Array(Buffer.from(image, 'base64')), columns };
  }
  if (typeof path !== 'string') {
    throw new StoplineError('REQUEST_INVALID', 'Expected "image" or "path" in the message but received neither.');
  }
  const place = resolvePlace(path, root);
  if (isObjectUrl(place)) return { name: path, bytes: await store.read(place, maxBytes), columns };
  return { name: path, path: place, columns };
}

/** @throws {StoplineError} REQUEST_INVALID for a place that is not below the root, links followed */
function resolvePlace(path: string, root: string | undefined): string {
  const refuse = (why: string) => new StoplineError('REQUEST_INVALID', `"${path}" is not read: ${why}.`);
  if (root === undefined) throw refuse('images named in messages need --root');
  if (isObjectUrl(root)) {
    const prefix = root.endsWith('/') ? root : `${root}/`;
    const url = isObjectUrl(path) ? path : `${prefix}${path}`;
    if (!url.startsWith(prefix)) throw refuse(`it is not below ${root}`);
    return url;
  }
  let place: string;
  try {
    place = realpathSync(isAbsolute(path) ? path : join(root, path));
  } catch {
    throw new StoplineError('INPUT_NOT_FOUND', `"${path}" does not exist.`);
  }
  const inside = relative(realpathSync(root), place);
  if (inside.startsWith('..') || isAbsolute(inside)) throw refuse(`it is not below ${root}`);
  return place;
}
