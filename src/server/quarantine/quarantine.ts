import type { FastifyBaseLogger } from 'fastify';
import { asStoplineError } from '../../errors.ts';
import type { Frame } from '../../image/frame.ts';
import type { SourceMask } from '../../image/mask.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { isObjectUrl } from '../../run/objects.ts';
import type { Config } from '../../settings.ts';
import type { Judge, Judgement } from '../judge.ts';
import { bucketStore } from './bucket.ts';
import { folderStore } from './folder.ts';
import { type Kept, type QuarantineItem, unknownItem } from './item.ts';
import { type QuarantineQuery, Shelf } from './shelf.ts';

/** Images that wait to be written, because a disk or bucket may be slower than a gate, or gone; beyond it the oldest go. */
const maxWaiting = { images: 64, bytes: 64 * 1024 ** 2 };
/** How long until what failed is tried again; doubled each time. */
const retryMs = { first: 1000, longest: 30_000 };
/** How often the place is looked at again. */
const refreshMs = 300_000;
const closeTimeoutMs = 5000;
const dayMs = 86_400_000;

type QuarantineConfig = Pick<
  Config,
  'quarantine' | 'quarantineImages' | 'quarantineBytes' | 'quarantineDays' | 'quarantineShare' | 's3Endpoint'
>;

interface WaitingImage {
  kept: Omit<Kept, 'bytes'>;
  /** Pixels, and images of which a part is masked, are encoded when their turn comes. */
  image: Uint8Array | Frame;
  mask?: SourceMask | undefined;
}

/**
 * Opens the folder or bucket of the configuration and keeps there what the judge warns of or blocks. No request waits for it:
 * while it cannot be written, images wait in memory and are tried again.
 * @throws {StoplineError} OUTPUT_UNWRITABLE, OPTION_INVALID, PACKAGE_MISSING
 */
export async function openQuarantine(
  config: QuarantineConfig,
  judge: Judge,
  log: FastifyBaseLogger,
): Promise<Quarantine> {
  const quarantine = new Quarantine(config, judge, log);
  await quarantine.open();
  judge.watch((judgement) => quarantine.keep(judgement), { bytes: true });
  return quarantine;
}

/** Where images that were warned of or blocked are kept for people to look at: bounded in number, bytes and age. */
export class Quarantine {
  /** The folder or bucket. Accepted images are under `accepted` in it, until somebody takes them away. */
  readonly kind: 'folder' | 'bucket';
  readonly #place: string;
  readonly #config: QuarantineConfig;
  readonly #judge: Judge;
  readonly #log: FastifyBaseLogger;
  readonly #stopped: Shelf;
  readonly #accepted: Shelf;
  readonly #queue: WaitingImage[] = [];
  #lastAt = 0;
  #dropped = 0;
  #degraded: string | undefined;
  #refreshAt = 0;
  #isClosed = false;
  #working: Promise<void> | undefined;
  #retryIn = retryMs.first;
  #timer: NodeJS.Timeout | undefined;

  /** Use `openQuarantine`. */
  constructor(config: QuarantineConfig, judge: Judge, log: FastifyBaseLogger) {
    this.#place = config.quarantine as string;
    this.kind = isObjectUrl(this.#place) ? 'bucket' : 'folder';
    this.#config = config;
    this.#judge = judge;
    this.#log = log;
    this.#stopped = this.#createShelf(this.#place, { isLocked: true });
    this.#accepted = this.#createShelf(`${this.#place.replace(/\/+$/, '')}/accepted`);
  }

  #createShelf(place: string, options: { isLocked?: boolean } = {}): Shelf {
    return new Shelf(
      this.kind === 'bucket' ? bucketStore(place, { endpoint: this.#config.s3Endpoint }) : folderStore(place, options),
    );
  }

  /** Images to be looked at. */
  get count(): number {
    return this.#stopped.count;
  }

  /** Bytes of the images to be looked at. */
  get bytes(): number {
    return this.#stopped.bytes;
  }

  /** Images that were accepted; they are not counted among the others, and no bound removes them. */
  get accepted(): number {
    return this.#accepted.count;
  }

  /** Images that were to be kept and were not. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Images in memory that wait to be written. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Why nothing can be kept for now. */
  get degraded(): string | undefined {
    return this.#degraded;
  }

  /** Newest first. */
  list(query: QuarantineQuery): QuarantineItem[] {
    return this.#shelf(query.isAccepted).list(query);
  }

  /** The sources of all of them, sorted. */
  sources({ isAccepted }: { isAccepted?: boolean }): string[] {
    return this.#shelf(isAccepted).listSources();
  }

  /** @throws {StoplineError} ITEM_UNKNOWN; STORE_UNAVAILABLE, OBJECTS_UNAVAILABLE, INPUT_UNREADABLE */
  async read(id: string): Promise<{ item: QuarantineItem; verdict: Verdict; isAccepted: boolean }> {
    const { shelf, item } = this.#find(id);
    return { item, verdict: await shelf.readVerdict(item), isAccepted: shelf === this.#accepted };
  }

  /** @throws {StoplineError} as `read` */
  async image(id: string): Promise<{ item: QuarantineItem; bytes: Uint8Array }> {
    const { shelf, item } = this.#find(id);
    return { item, bytes: await shelf.readImage(item) };
  }

  /** @throws {StoplineError} as `read`, and OUTPUT_UNWRITABLE */
  async remove(id: string): Promise<void> {
    const { shelf, item } = this.#find(id);
    await shelf.remove(item);
  }

  /** Moves it to the accepted images, or back. @throws {StoplineError} as `remove` */
  async setAccepted(id: string, isAccepted: boolean): Promise<void> {
    const { shelf: from, item } = this.#find(id);
    const to = this.#shelf(isAccepted);
    if (from === to) return;
    const [verdict, image] = await Promise.all([from.readVerdict(item), from.readImage(item)]);
    const { at, source, requestId, format, bytes } = item;
    // It is saved there before it is removed here, so that nothing is lost in between.
    await to.store.save({ id, at, source, requestId, verdict, format, bytes }, image);
    await from.remove(item);
    to.adopt(item);
  }

  /** @throws {StoplineError} OUTPUT_UNWRITABLE, OPTION_INVALID, PACKAGE_MISSING */
  async open(): Promise<void> {
    for (const { store } of [this.#stopped, this.#accepted]) await store.open();
    // A folder is at hand; a service does not wait for a bucket, which may be down.
    const first = this.#work();
    if (this.kind === 'folder') await first;
  }

  /** Takes an image that was judged; it is written later. */
  keep({ verdict, source, requestId, at, bytes, frame, mask }: Judgement): void {
    const { sha256: id, format } = verdict.image;
    const image = bytes ?? frame;
    if (this.#isClosed || verdict.verdict === 'pass' || this.#isKnown(id) || !image) return;
    if (Math.random() >= this.#config.quarantineShare) return;
    // Pages are cut by the time, so two images of one millisecond are set apart; a clock that was set back is believed.
    this.#lastAt = at > this.#lastAt || at < this.#lastAt - 1000 ? at : this.#lastAt + 1;
    this.#queue.push({
      kept: { id, at: this.#lastAt, source, requestId, verdict, format: format === 'frame' || mask ? 'png' : format },
      image: image instanceof Uint8Array ? copyPart(image) : { ...image, data: copyPart(image.data) },
      mask,
    });
    this.#limitQueue();
    if (this.#degraded === undefined) void this.#work();
  }

  /** Writes what waits, for at most 5 s, and keeps nothing more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const late = new Promise((resolve) => setTimeout(resolve, closeTimeoutMs).unref());
    await Promise.race([this.#degraded === undefined ? this.#working : undefined, late]);
    for (const { store } of [this.#stopped, this.#accepted]) await store.close?.();
    const lost = this.#queue.length;
    this.#dropped += lost;
    if (lost > 0) this.#log.error({ dropped: lost }, 'images that waited for the quarantine were lost');
  }

  #shelf(isAccepted?: boolean): Shelf {
    return isAccepted ? this.#accepted : this.#stopped;
  }

  #find(id: string): { shelf: Shelf; item: QuarantineItem } {
    for (const shelf of [this.#stopped, this.#accepted]) {
      const item = shelf.find(id);
      if (item) return { shelf, item };
    }
    throw unknownItem(id);
  }

  #isKnown(id: string): boolean {
    return this.#stopped.find(id) !== undefined || this.#accepted.find(id) !== undefined;
  }

  /** Does one thing after the other; after a failure all wait for the next try. */
  #work(): Promise<void> {
    this.#working ??= this.#workThrough();
    return this.#working;
  }

  async #workThrough(): Promise<void> {
    let next: WaitingImage | undefined;
    try {
      if (performance.now() >= this.#refreshAt) await this.#refresh();
      await this.#prune();
      for (next = this.#queue.shift(); next; next = this.#queue.shift()) {
        if (next.mask || !(next.image instanceof Uint8Array)) {
          next.image = await this.#judge.pool.encode(next.image, next.mask);
          next.mask = undefined;
        }
        if (!this.#isKnown(next.kept.id)) {
          await this.#stopped.save({ ...next.kept, bytes: next.image.length }, next.image);
        }
        next = undefined;
        await this.#prune();
      }
      this.#setDegraded();
      this.#retryIn = retryMs.first;
      this.#wake(refreshMs);
    } catch (error) {
      if (next) this.#queue.unshift(next);
      this.#limitQueue();
      // Pixels wait for a worker that has time for them; everything else is a fault of the place.
      if (asStoplineError(error).code !== 'STOPLINE_ERR_OVERLOADED') this.#setDegraded(error);
      this.#wake(this.#retryIn);
      this.#retryIn = Math.min(2 * this.#retryIn, retryMs.longest);
    } finally {
      this.#working = undefined;
    }
  }

  #wake(inMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#work(), inMs).unref();
  }

  async #refresh(): Promise<void> {
    for (const shelf of [this.#stopped, this.#accepted]) await shelf.refresh();
    // An image that is on both shelves is on its way from one to the other.
    for (const id of this.#accepted.ids) this.#stopped.forget(id);
    this.#refreshAt = performance.now() + refreshMs;
  }

  /** Removes the oldest until the rest is within its bounds. */
  async #prune(): Promise<void> {
    const { quarantineImages, quarantineBytes, quarantineDays } = this.#config;
    const oldestAt = Date.now() - quarantineDays * dayMs;
    const stopped = this.#stopped;
    for (let item = stopped.oldest; item; item = stopped.oldest) {
      if (stopped.count <= quarantineImages && stopped.bytes <= quarantineBytes && item.at >= oldestAt) return;
      await stopped.remove(item);
    }
  }

  #limitQueue(): void {
    let held = this.#queue.reduce((sum, { image }) => sum + countBytes(image), 0);
    while (this.#queue.length > maxWaiting.images || held > maxWaiting.bytes) {
      held -= countBytes((this.#queue.shift() as WaitingImage).image);
      this.#dropped += 1;
    }
  }

  #setDegraded(error?: unknown): void {
    const reason = error === undefined ? undefined : asStoplineError(error).message;
    const was = this.#degraded;
    this.#degraded = reason;
    if (reason !== undefined && was === undefined)
      this.#log.error({ err: error }, 'the quarantine cannot be used for now; images are judged still');
    if (reason === undefined && was !== undefined)
      this.#log.info({ dropped: this.#dropped }, 'the quarantine can be used again');
  }
}

function countBytes(image: Uint8Array | Frame): number {
  return (image instanceof Uint8Array ? image : image.data).byteLength;
}

/** One image of many in a body must not keep all of the body in memory. */
function copyPart(data: Uint8Array): Uint8Array {
  return data.buffer.byteLength > 2 * data.byteLength ? new Uint8Array(data) : data;
}
