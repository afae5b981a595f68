import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { groupParts, type ItemStore, listedItem, type QuarantineItem, readKept, unknownItem } from './item.ts';
import { FolderLock } from './lock.ts';

/** How long a service waits for another one that is about to let go of the folder. */
const lockWaitMs = 15_000;

/**
 * A quarantine in a folder that belongs to one service.
 * @param options.isLocked whether no other service may open it meanwhile
 */
export function folderStore(folder: string, options: { isLocked?: boolean; lockWaitMs?: number } = {}): ItemStore {
  let lock: FolderLock | undefined;
  const path = (id: string, extension: string) => join(folder, `${id}.${extension}`);
  const forget = async (id: string, extensions: Iterable<string>) => {
    // The verdict first: an image without one is removed at the next start.
    for (const extension of ['json', ...extensions]) await rm(path(id, extension), { force: true });
  };
  const read = (id: string, extension: string): Promise<Uint8Array> =>
    readFile(path(id, extension)).catch((cause) => {
      throw cause.code === 'ENOENT' ? unknownItem(id) : unavailable('read', cause);
    });
  return {
    async open() {
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        if (options.isLocked) lock = await FolderLock.take(folder, options.lockWaitMs ?? lockWaitMs);
        const names = await readdir(folder);
        for (const name of names) if (/^[0-9a-f]{64}\.\w+\.tmp$/.test(name)) await rm(join(folder, name));
        for (const [id, parts] of groupParts(names)) if (!parts.has('json')) await forget(id, parts);
      } catch (cause) {
        if (cause instanceof StoplineError) throw cause;
        throw new StoplineError(
          'OUTPUT_UNWRITABLE',
          `Expected a folder for the quarantine at "${folder}" but ${(cause as Error).message}.`,
          { cause },
        );
      }
    },
    async list(known) {
      const items: QuarantineItem[] = [];
      for (const [id, parts] of groupParts(await readdir(folder))) {
        if (!parts.has('json')) continue; // on its way
        const item = known.get(id) ?? (await listedItem(id, () => read(id, 'json')));
        if (item && parts.has(item.format)) items.push(item);
        else await forget(id, parts);
      }
      return items;
    },
    async save(kept, image) {
      try {
        await writeWhole(path(kept.id, kept.format), image);
        await writeWhole(path(kept.id, 'json'), JSON.stringify(kept));
      } catch (cause) {
        throw unavailable('written', cause as Error);
      }
    },
    verdict: async ({ id }) => (await readKept(id, () => read(id, 'json'))).verdict,
    image: ({ id, format }) => read(id, format),
    remove: ({ id, format }) =>
      forget(id, [format]).catch((cause) => {
        throw unavailable('written', cause);
      }),
    async close() {
      lock?.release();
      lock = undefined;
    },
  };
}

function unavailable(how: 'read' | 'written', cause: Error): StoplineError {
  return new StoplineError('STORE_UNAVAILABLE', `The quarantine cannot be ${how}: ${cause.message}.`, { cause });
}

/** Either nothing or all of it. */
async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFile(temporary, content, { mode: 0o600 });
  await rename(temporary, path);
}
