import type { FastifyBaseLogger } from 'fastify';
import sharp from 'sharp';
import { asStoplineError } from '../../errors.ts';
import type { Frame } from '../../image/frame.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { isObjectUrl } from '../../run/objects.ts';
import type { Config } from '../../settings.ts';
import type { Judge, Judgement } from '../judge.ts';
import { bucketStore } from './bucket.ts';
import { folderStore } from './folder.ts';
import { type ItemStore, type Kept, makeItem, type QuarantineItem, unknownItem } from './item.ts';

/** Images that wait to be written, because a disk or bucket may be slower than a gate, or gone; beyond it the oldest go. */
const maxWaiting = { images: 64, bytes: 64 * 1024 ** 2 };
/** How long until what failed is tried again; doubled each time. */
const retryMs = { first: 1000, longest: 30_000 };
/** How often it is looked at what else happened to the place: images age, people clear up, another service writes, too. */
const refreshMs = 300_000;
const closeTimeoutMs = 5000;
const dayMs = 86_400_000;

/** Which images of a quarantine are meant. */
export interface QuarantineQuery {
  /** Those that somebody found to be as they should be, in place of those to be looked at. */
  isAccepted?: boolean;
  verdict?: QuarantineItem['verdict'];
  source?: string;
  /** Judged before this time. */
  before?: number;
  limit: number;
}

/** Where images that were warned of or blocked are kept for people to look at: bounded in number, bytes and age. */
export interface Quarantine {
  /** The folder or bucket. Accepted images are under `accepted` in it, until somebody takes them away. */
  readonly place: string;
  /** Newest first. */
  list(query: QuarantineQuery): QuarantineItem[];
  /** The sources of all of them, sorted. */
  sources(options: { isAccepted?: boolean }): string[];
  /** Images to be looked at, and their bytes. */
  readonly count: number;
  readonly bytes: number;
  /** Images that were accepted; they are not counted among the others, and no bound removes them. */
  readonly accepted: number;
  /** Images that were to be kept and were not. */
  readonly dropped: number;
  /** Images in memory that wait to be written. */
  readonly waiting: number;
  /** Why nothing can be kept for now. */
  readonly degraded: string | undefined;
  /** @throws {StoplineError} ITEM_UNKNOWN; STORE_UNAVAILABLE, OBJECTS_UNAVAILABLE, INPUT_UNREADABLE */
  read(id: string): Promise<{ item: QuarantineItem; verdict: Verdict; isAccepted: boolean }>;
  /** @throws {StoplineError} as `read` */
  image(id: string): Promise<{ item: QuarantineItem; bytes: Uint8Array }>;
  /** @throws {StoplineError} as `read`, and OUTPUT_UNWRITABLE */
  remove(id: string): Promise<void>;
  /** Moves it to the accepted images, or back. @throws {StoplineError} as `remove` */
  setAccepted(id: string, isAccepted: boolean): Promise<void>;
  /** Writes what waits, for at most 5 s, and keeps nothing more. */
  close(): Promise<void>;
}

/** One of the two places, with what is known to be in it, oldest first. */
interface Shelf {
  store: ItemStore;
  items: Map<string, QuarantineItem>;
}

interface WaitingImage {
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
  const openShelf = (at: string): Shelf => ({
    store: isObjectUrl(place) ? bucketStore(at, { endpoint: config.s3Endpoint }) : folderStore(at),
    items: new Map(),
  });
  const stopped = openShelf(place);
  const accepted = openShelf(`${place.replace(/\/+$/, '')}/accepted`);
  const maxAgeMs = config.quarantineDays * dayMs;
  let bytes = 0;
  let lastAt = 0;
  let dropped = 0;
  let degraded: string | undefined;
  const queue: WaitingImage[] = [];
  let refreshAt = 0;
  let isClosed = false;
  let working: Promise<void> | undefined;
  let retryIn = retryMs.first;
  let timer: NodeJS.Timeout | undefined;

  const count = () => {
    bytes = [...stopped.items.values()].reduce((sum, item) => sum + item.bytes, 0);
  };
  const forget = async (shelf: Shelf, item: QuarantineItem) => {
    await shelf.store.remove(item);
    if (shelf.items.delete(item.id) && shelf === stopped) bytes -= item.bytes;
  };
  /** Oldest first, until the rest is within its bounds. */
  const prune = async () => {
    const oldest = Date.now() - maxAgeMs;
    for (const item of stopped.items.values()) {
      const { size } = stopped.items;
      if (size <= config.quarantineImages && bytes <= config.quarantineBytes && item.at >= oldest) return;
      await forget(stopped, item);
    }
  };
  const refresh = async () => {
    for (const shelf of [stopped, accepted]) {
      const known = new Map(shelf.items);
      const found = new Map((await shelf.store.list(known)).map((item) => [item.id, item]));
      for (const id of known.keys()) if (!found.has(id)) shelf.items.delete(id);
      // One that was known and is no more was removed meanwhile.
      for (const [id, item] of found) if (!known.has(id)) shelf.items.set(id, item);
      shelf.items = byTime(shelf.items);
    }
    // On its way from one to the other, here or there.
    for (const id of accepted.items.keys()) stopped.items.delete(id);
    count();
    refreshAt = performance.now() + refreshMs;
  };
  const isKnown = (id: string) => stopped.items.has(id) || accepted.items.has(id);
  const save = async (about: WaitingImage['kept'], image: Uint8Array) => {
    if (isKnown(about.id)) return;
    const kept = { ...about, bytes: image.length };
    await stopped.store.save(kept, image);
    stopped.items.set(kept.id, makeItem(kept));
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
    let next: WaitingImage | undefined;
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
    let held = queue.reduce((sum, { image }) => sum + measureSize(image), 0);
    while (queue.length > maxWaiting.images || held > maxWaiting.bytes) {
      held -= measureSize((queue.shift() as WaitingImage).image);
      dropped += 1;
    }
  };
  const keep = ({ verdict, source, requestId, at, bytes, frame }: Judgement) => {
    const { sha256: id, format } = verdict.image;
    const image = bytes ?? frame;
    if (isClosed || verdict.verdict === 'pass' || isKnown(id) || !image) return;
    if (Math.random() >= config.quarantineShare) return;
    // Pages are cut by it, so two images of one millisecond are set apart; a clock that was set back is believed.
    lastAt = at > lastAt || at < lastAt - 1000 ? at : lastAt + 1;
    const kept = { id, at: lastAt, source, requestId, verdict, format: format === 'frame' ? ('png' as const) : format };
    queue.push({ kept, image: image instanceof Uint8Array ? own(image) : { ...image, data: own(image.data) } });
    limitQueue();
    if (degraded === undefined) void work();
  };

  for (const { store } of [stopped, accepted]) await store.open();
  // A folder is at hand; a service does not wait for a bucket, which may be down.
  const first = work();
  if (!isObjectUrl(place)) await first;
  judge.watch(keep, { bytes: true });

  const known = (id: string): { shelf: Shelf; item: QuarantineItem } => {
    for (const shelf of [stopped, accepted]) {
      const item = shelf.items.get(id);
      if (item) return { shelf, item };
    }
    throw unknownItem(id);
  };
  const chooseShelf = (isAccepted?: boolean) => (isAccepted ? accepted : stopped);
  return {
    place,
    list({ isAccepted, verdict, source, before = Number.POSITIVE_INFINITY, limit }) {
      const isAsked = (item: QuarantineItem) =>
        item.at < before &&
        (verdict === undefined || item.verdict === verdict) &&
        (source === undefined || item.source === source);
      return [...chooseShelf(isAccepted).items.values()].reverse().filter(isAsked).slice(0, limit);
    },
    sources: ({ isAccepted }) =>
      [...new Set([...chooseShelf(isAccepted).items.values()].map(({ source }) => source))].sort(),
    get count() {
      return stopped.items.size;
    },
    get bytes() {
      return bytes;
    },
    get accepted() {
      return accepted.items.size;
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
      const { shelf, item } = known(id);
      return { item, verdict: await shelf.store.verdict(item), isAccepted: shelf === accepted };
    },
    async image(id) {
      const { shelf, item } = known(id);
      return { item, bytes: await shelf.store.image(item) };
    },
    async remove(id) {
      const { shelf, item } = known(id);
      await forget(shelf, item);
    },
    async setAccepted(id, isAccepted) {
      const { shelf: from, item } = known(id);
      const to = chooseShelf(isAccepted);
      if (from === to) return;
      const [verdict, image] = await Promise.all([from.store.verdict(item), from.store.image(item)]);
      const { at, source, requestId, format, bytes: size } = item;
      // First there, then no longer here: nothing is lost in between.
      await to.store.save({ id, at, source, requestId, verdict, format, bytes: size }, image);
      await from.store.remove(item);
      from.items.delete(id);
      to.items = byTime(to.items.set(id, item));
      count();
    },
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

function byTime(items: Map<string, QuarantineItem>): Map<string, QuarantineItem> {
  return new Map([...items].sort(([, a], [, b]) => a.at - b.at));
}

const measureSize = (image: Uint8Array | Frame) => (image instanceof Uint8Array ? image : image.data).byteLength;

/** One image of many in a body must not keep all of the body in memory. */
function own(data: Uint8Array): Uint8Array {
  return data.buffer.byteLength > 2 * data.byteLength ? new Uint8Array(data) : data;
}
