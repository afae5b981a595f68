import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { unreadable } from '../../image/file.ts';
import { isObjectUrl, type ObjectStore } from '../../run/objects.ts';
import { groupParts, type Kept, readKept } from './item.ts';

const maxVerdictBytes = 4 * 1024 ** 2;

/**
 * What a quarantine holds, in the order of its names, for whoever only reads: a service may have it open, and nothing is tidied.
 * @param place a folder or `s3://bucket/prefix`; what was accepted lies below it, in `accepted`
 * @returns each item with the path or URL of its image; what lacks a part is left out
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, OBJECTS_UNAVAILABLE
 */
export async function* readQuarantine(
  place: string,
  store: ObjectStore,
): AsyncGenerator<{ kept: Kept; location: string }> {
  const folder = place.replace(/\/+$/, '');
  const isBucket = isObjectUrl(place);
  const locate = (name: string) => (isBucket ? `${folder}/${name}` : join(folder, name));
  const read = (name: string) => (isBucket ? store.read(locate(name), maxVerdictBytes) : readFile(locate(name)));
  const names = isBucket ? await listNames(folder, store) : await readdir(folder).catch(refuse(folder));
  for (const [id, parts] of groupParts(names.sort())) {
    if (!parts.has('json')) continue;
    const kept = await readKept(id, () => read(`${id}.json`)).catch(skipUnknown);
    if (kept && parts.has(kept.format)) yield { kept, location: locate(`${id}.${kept.format}`) };
  }
}

async function listNames(folder: string, store: ObjectStore): Promise<string[]> {
  const names: string[] = [];
  for await (const { url } of store.list(`${folder}/`)) names.push(url.slice(folder.length + 1));
  return names;
}

function refuse(folder: string): (cause: NodeJS.ErrnoException) => never {
  return (cause) => {
    throw unreadable(folder, cause);
  };
}

/** A file that is no verdict of ours, or went while the others were read. */
function skipUnknown(error: unknown): undefined {
  const { code } = error as { code?: string };
  if (code === 'ENOENT' || (error instanceof StoplineError && error.status === 404)) return undefined;
  throw error;
}
