import { StoplineError } from '../../errors.ts';
import { createObjectStore, parseObjectUrl } from '../../run/objects.ts';
import { groupParts, type ItemStore, listedItem, type QuarantineItem, readKept, unknownItem } from './item.ts';

/** Verdicts that are read at a time. */
const maxReads = 16;
const maxVerdictBytes = 4 * 1024 ** 2;
/** A service that writes or removes an item needs less than this for its two objects, also with the clock of another. */
const leftOverMs = 3_600_000;
/** A request in which nothing moves for that long has failed. */
const silenceMs = 5000;

/**
 * A quarantine in a bucket, under a prefix that several services may share.
 * @param url `s3://bucket/prefix`
 * @throws {StoplineError} OPTION_INVALID
 */
export function bucketStore(url: string, { endpoint }: { endpoint?: string | undefined }): ItemStore {
  const { bucket, key } = parseObjectUrl(url);
  const folder = `s3://${[bucket, key.replace(/\/+$/, '')].filter(Boolean).join('/')}/`;
  const store = createObjectStore({ endpoint, silenceMs });
  const makeUrl = (id: string, extension: string) => `${folder}${id}.${extension}`;
  const read = (id: string, extension: string, maxBytes: number) =>
    store.read(makeUrl(id, extension), maxBytes).catch((error) => {
      throw error instanceof StoplineError && error.code === 'STOPLINE_ERR_INPUT_NOT_FOUND' ? unknownItem(id) : error;
    });
  const readJson = (id: string) => () => read(id, 'json', maxVerdictBytes);

  return {
    open: () => store.open(),
    async list(known) {
      const changedAt = new Map<string, number>();
      for await (const { url, modifiedAt } of store.list(folder)) changedAt.set(url.slice(folder.length), modifiedAt);
      const items: QuarantineItem[] = [];
      const parts = groupParts(changedAt.keys());
      // What lacks a part is on its way, here or there, or was left behind.
      const isLeft = (id: string, extension: string) =>
        (changedAt.get(`${id}.${extension}`) as number) < Date.now() - leftOverMs;
      const entries = parts.entries();
      const lane = async () => {
        for (const [id, extensions] of entries) {
          const item = known.get(id) ?? (extensions.has('json') ? await listedItem(id, readJson(id)) : undefined);
          if (item && extensions.has(item.format) && extensions.has('json')) items.push(item);
          else if ([...extensions].every((extension) => isLeft(id, extension)))
            for (const extension of extensions) await store.remove(makeUrl(id, extension));
        }
      };
      await Promise.all(Array.from({ length: maxReads }, lane));
      return items;
    },
    async save(kept, image) {
      await store.write(makeUrl(kept.id, kept.format), image, `image/${kept.format}`);
      await store.write(makeUrl(kept.id, 'json'), Buffer.from(JSON.stringify(kept)), 'application/json');
    },
    verdict: async ({ id }) => (await readKept(id, readJson(id))).verdict,
    image: ({ id, format, bytes }) => read(id, format, bytes),
    async remove({ id, format }) {
      await store.remove(makeUrl(id, 'json'));
      await store.remove(makeUrl(id, format));
    },
  };
}
