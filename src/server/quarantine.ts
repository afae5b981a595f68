import type { FastifyBaseLogger } from 'fastify';
import sharp from 'sharp';
import { isObjectUrl } from '../batch/s3.ts';
import type { Config } from '../config.ts';
import type { Frame } from '../decode.ts';
import { asStoplineError } from '../errors.ts';
import type { Verdict } from '../verdict.ts';
import type { Judge, Judgement } from './judge.ts';
import { bucketStore } from './quarantine/bucket.ts';
import { folderStore } from './quarantine/folder.ts';
import { itemOf, type Kept, type QuarantineItem, unknownItem } from './quarantine/item.ts';

/** Images that wait to be written, because a disk or bucket may be slower than a gate, or gone; beyond it the oldest go. */
const maxWaiting = { images: 64, bytes: 64 * 1024 ** 2 };
/** How long until what failed is tried again; doubled each time. */
const retryMs = { first: 1000, longest: 30_000 };
/** How often it is looked at what else happened to the place: images age, people clear up, another service writes, too. */
const refreshMs = 300_000;
const closeTimeoutMs = 5000;
const dayMs = 86_400_000;

/** Where images that were warned of or blocked are kept for people to look at: bounded in number, bytes and age. */
export interface Quarantine {
  /** Newest first, those before `before`. */
  list(options: { limit: number; before?: number; source?: string }): QuarantineItem[];
  readonly count: number;
  readonly bytes: number;
  /** Images that were to be kept and were not. */
  readonly dropped: number;
  /** Images in memory that wait to be written. */
  readonly waiting: number;
  /** Why nothing can be kept for now. */
  readonly degraded: string | undefined;
  /** @throws {StoplineError} ITEM_UNKNOWN; STORE_UNAVAILABLE, OBJECTS_UNAVAILABLE, INPUT_UNREADABLE */
  read(id: string): Promise<{ item: QuarantineItem; verdict: Verdict }>;
  /** @throws {StoplineError} as `read` */
  image(id: string): Promise<{ item: QuarantineItem; bytes: Uint8Array }>;
  /** @throws {StoplineError} ITEM_UNKNOWN; STORE_UNAVAILABLE, OBJECTS_UNAVAILABLE, OUTPUT_UNWRITABLE */
  remove(id: string): Promise<void>;
  /** Writes what waits, for at most 5 s, and keeps nothing more. */
  close(): Promise<void>;
}

interface Waiting {
  kept: Omit<Kept, 'bytes'>;
  /** Pixels are encoded when their turn comes. */
  image: Uint8Array | Frame;
}

/**
 * Opens the folder or bucket of the configuration and keeps there what the judge warns of or blocks. No request waits for it:
 * while it cannot be written, images wait in memory and are tried again.
 * @throws {StoplineError} OUTPUT_UNWRITABLE, OPTION_INVALID, PACKAGE_MISSING
 */
export async function openQuarantine(config: Config, judge: Judge, log: FastifyBaseLogger): Promise<Quarantine> {
  const place = config.quarantine as string;
  const store = isObjectUrl(place) ? bucketStore(place, { endpoint: config.s3Endpoint }) : folderStore(place);
  const maxAgeMs = config.quarantineDays * dayMs;
  /** Oldest first. */
  let items = new Map<string, QuarantineItem>();
  let bytes = 0;
  let lastAt = 0;
  let dropped = 0;
  let degraded: string | undefined;
  const queue: Waiting[] = [];
  let refreshAt = 0;
  let isClosed = false;
  let working: Promise<void> | undefined;
  let retryIn = retryMs.first;
  let timer: NodeJS.Timeout | undefined;

  const forget = async (item: QuarantineItem) => {
    await store.remove(item);
    if (items.delete(item.id)) bytes -= item.bytes;
  };
  /** Oldest first, until the rest is within its bounds. */
  const prune = async () => {
    for (const item of items.values()) {
      const isOver =
        items.size > config.quarantineImages || bytes > config.quarantineBytes || item.at < Date.now() - maxAgeMs;
      if (!isOver) return;
      await forget(item);
    }
  };
  const refresh = async () => {
    const known = new Map(items);
    const found = new Map((await store.list(known)).map((item) => [item.id, item]));
    for (const id of known.keys()) if (!found.has(id)) items.delete(id);
    // One that was known and is no more was removed meanwhile.
    for (const [id, item] of found) if (!known.has(id)) items.set(id, item);
    items = new Map([...items].sort(([, a], [, b]) => a.at - b.at));
    bytes = [...items.values()].reduce((sum, item) => sum + item.bytes, 0);
    refreshAt = performance.now() + refreshMs;
  };
  const save = async (of: Waiting['kept'], image: Uint8Array) => {
    if (items.has(of.id)) return;
    const kept = { ...of, bytes: image.length };
    await store.save(kept, image);
    items.set(kept.id, itemOf(kept));
    bytes += kept.bytes;
  };

  const setDegraded = (error?: unknown) => {
    const reason = error === undefined ? undefined : asStoplineError(error).message;
    if (reason !== undefined && degraded === undefined)
      log.error({ err: error }, 'the quarantine cannot be used for now; images are judged still');
    if (reason === undefined && degraded !== undefined) log.info({ dropped }, 'the quarantine can be used again');
    degraded = reason;
  };
  const wake = (inMs: number) => {
    clearTimeout(timer);
    if (!isClosed) timer = setTimeout(() => void work(), inMs).unref();
  };
  /** One thing after the other; after a failure all waits for the next try. */
  const work = (): Promise<void> => {
    working ??= workThrough();
    return working;
  };
  async function workThrough(): Promise<void> {
    let next: Waiting | undefined;
    try {
      if (performance.now() >= refreshAt) await refresh();
      await prune();
      for (next = queue.shift(); next; next = queue.shift()) {
        next.image = await encoded(next.image);
        await save(next.kept, next.image);
        next = undefined;
        await prune();
      }
      setDegraded();
      retryIn = retryMs.first;
      wake(refreshMs);
    } catch (error) {
      if (next) queue.unshift(next);
      limitQueue();
      setDegraded(error);
      wake(retryIn);
      retryIn = Math.min(2 * retryIn, retryMs.longest);
    } finally {
      working = undefined;
    }
  }
  const limitQueue = () => {
    let held = queue.reduce((sum, { image }) => sum + sizeOf(image), 0);
    while (queue.length > maxWaiting.images || held > maxWaiting.bytes) {
      held -= sizeOf((queue.shift() as Waiting).image);
      dropped += 1;
    }
  };
  const keep = ({ verdict, source, requestId, at, bytes, frame }: Judgement) => {
    const { sha256: id, format } = verdict.image;
    const image = bytes ?? frame;
    if (isClosed || verdict.verdict === 'pass' || items.has(id) || !image) return;
    if (Math.random() >= config.quarantineShare) return;
    // Pages are cut by it, so two images of one millisecond are set apart; a clock that was set back is believed.
    lastAt = at > lastAt || at < lastAt - 1000 ? at : lastAt + 1;
    const kept = { id, at: lastAt, source, requestId, verdict, format: format === 'frame' ? ('png' as const) : format };
    queue.push({ kept, image: image instanceof Uint8Array ? own(image) : { ...image, data: own(image.data) } });
    limitQueue();
    if (degraded === undefined) void work();
  };

  await store.open();
  // A folder is at hand; a service does not wait for a bucket, which may be down.
  const first = work();
  if (!isObjectUrl(place)) await first;
  judge.watch(keep, { bytes: true });

  const known = (id: string): QuarantineItem => {
    const item = items.get(id);
    if (!item) throw unknownItem(id);
    return item;
  };
  return {
    list({ limit, before = Number.POSITIVE_INFINITY, source }) {
      const isAsked = (item: QuarantineItem) => item.at < before && (source === undefined || item.source === source);
      return [...items.values()].reverse().filter(isAsked).slice(0, limit);
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
    get waiting() {
      return queue.length;
    },
    get degraded() {
      return degraded;
    },
    async read(id) {
      const item = known(id);
      return { item, verdict: await store.verdict(item) };
    },
    async image(id) {
      const item = known(id);
      return { item, bytes: await store.image(item) };
    },
    remove: async (id) => forget(known(id)),
    async close() {
      isClosed = true;
      clearTimeout(timer);
      const late = new Promise((resolve) => setTimeout(resolve, closeTimeoutMs).unref());
      await Promise.race([degraded === undefined ? working : undefined, late]);
      dropped += queue.length;
      if (queue.length > 0) log.error({ dropped: queue.length }, 'images that waited for the quarantine were lost');
    },
  };
}

async function encoded(image: Uint8Array | Frame): Promise<Uint8Array> {
  if (image instanceof Uint8Array) return image;
  const { data, width, height, channels } = image;
  return sharp(data, { raw: { width, height, channels } }).png({ compressionLevel: 3 }).toBuffer();
}

const sizeOf = (image: Uint8Array | Frame) => (image instanceof Uint8Array ? image : image.data).byteLength;

/** One image of many in a body must not keep all of the body in memory. */
function own(data: Uint8Array): Uint8Array {
  return data.buffer.byteLength > 2 * data.byteLength ? new Uint8Array(data) : data;
}
