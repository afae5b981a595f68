import type { Profile } from '../profile/description.ts';
import type { Item, Items } from '../run/inputs/item.ts';
import { judgeRows } from '../run/judgeitems.ts';
import type { Masks } from '../run/masks.ts';
import { createPool, poolOptions, spreadBatch } from '../run/pool.ts';
import type { Row } from '../run/rows/row.ts';
import type { Config } from '../settings.ts';
import { interruptible } from './interrupt.ts';
import { startProgress } from './progress.ts';

/** One Profile for all images, or the one of several that an image asks for. */
type JudgedBy =
  | { profile: Profile; chooseProfile?: undefined }
  | { profiles: readonly Profile[]; chooseProfile: (item: Item) => number };

/**
 * Judges every image of a command in order, with a progress bar and so that it can be interrupted.
 * @param label what the progress bar is called
 * @param take called with each row and the item it is of
 * @throws {StoplineError} what keeps images from being judged at all
 */
export async function judgeAll(
  label: string,
  run: {
    config: Config;
    masks: Masks;
    items: Items;
    total: number | undefined;
    /** Whose image an item is, where that is not what a column called `source` says. */
    nameSource?: ((item: Item) => string) | undefined;
  } & JudgedBy,
  take: (judged: { item: Item; row: Row }) => void,
): Promise<void> {
  const { config, masks, items, total, chooseProfile: profile, nameSource: source, ...judgedBy } = run;
  await interruptible(async (signal) => {
    const pool = await createPool({ ...spreadBatch(poolOptions(config, 'batch'), total), ...judgedBy, masks });
    const progress = startProgress(label);
    let done = 0;
    let failed = 0;
    try {
      await pool.ready();
      for await (const judged of judgeRows(pool, items, signal, { profile, source })) {
        signal.throwIfAborted();
        take(judged);
        done++;
        if ('error' in judged.row) failed++;
        // Files may come and go while the folder is walked, so the total may be overtaken.
        progress.update({ done, total: total === undefined ? undefined : Math.max(total, done), failed });
      }
    } finally {
      progress.stop();
      await pool.destroy();
    }
  });
}
