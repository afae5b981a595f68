import { readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StoplineError } from '../errors.ts';
import type { Profile } from '../profile/description.ts';
import { encodeProfile } from '../profile/file.ts';
import type { Masks } from '../run/masks.ts';
import { isObjectUrl } from '../run/objects.ts';
import { runOnQueue } from '../run/queue.ts';
import { createQueueSeal, maxChunk } from '../run/queuejob.ts';
import type { PartList } from '../run/rows/merge.ts';
import { replaceFile } from '../run/rows/output.ts';
import { createTally } from '../run/rows/tally.ts';
import type { Config } from '../settings.ts';
import { openInputs, tellLeftOut } from './inputs.ts';
import { interruptible } from './interrupt.ts';
import { makeFolder } from './output.ts';
import { startProgress } from './progress.ts';
import { type ScoreFlags, sumUp } from './scoresummary.ts';
import { commandLine, note } from './terminal.ts';

/** `score` by the workers of a queue: puts the work there, waits for it, and lists the parts. */
export async function scoreOnQueue(
  paths: string[],
  flags: ScoreFlags,
  { config, profile, masks }: { config: Config; profile: Profile; masks: Masks },
): Promise<void> {
  const { queue = '', queueSecret } = config;
  const seal = createQueueSeal(queue, queueSecret);
  if (flags.out === '-' || (flags.format ?? 'parquet') !== 'parquet' || /\.\w+$/.test(flags.out)) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected a folder for --out, into which workers write Parquet parts, but received ${flags.out}.`,
    );
  }
  const { chunk = 512 } = flags;
  if (!Number.isSafeInteger(chunk) || chunk < 1 || chunk > maxChunk) {
    throw new StoplineError('OPTION_INVALID', `Expected 1 to ${maxChunk} images for --chunk but received ${chunk}.`);
  }
  // Not the file again: it may have changed since it was checked.
  const profileBytes = encodeProfile(profile);
  const { items, total, shard, store, fps } = await openInputs(paths, flags, config, { asReferences: true });
  const isRemote = isObjectUrl(flags.out);
  const out = isRemote ? flags.out.replace(/\/$/, '') : resolve(flags.out);
  if (!isRemote) await makeFolder(out);
  const startedAt = performance.now();
  const progress = startProgress('score');
  const { maxPixels, maxSide, decideBy, blockWhen, ignore } = config;
  const options = {
    profile: profile.sha256,
    decideBy,
    ...(blockWhen !== undefined && { blockWhen }),
    ...(ignore !== undefined && { ignore }),
    ...(masks.entries.length > 0 && { masks: [...masks.entries] }),
    maxPixels,
    maxSide,
    fps,
    out,
    columns: [...items.columns],
    chunk,
    profileBytes,
  };
  const { run, results } = await interruptible((signal) =>
    runOnQueue(queue, items, options, {
      seal,
      signal,
      onProgress: (done, images) => progress.update({ done, total: Math.max(total ?? 0, images) }),
    }),
  ).finally(() => progress.stop());

  const tally = createTally();
  for (const { counts } of results) tally.addCounts(counts);
  const list: PartList = {
    run,
    profile: profile.sha256,
    images: tally.images,
    parts: results.map(({ part, rows, sha256 }) => ({ file: part, rows, sha256 })),
  };
  await replaceFile(`${out}/manifest.json`, store, (path) =>
    writeFile(path, `${JSON.stringify(list, undefined, 2)}\n`),
  );
  // What workers left that were killed while they wrote.
  if (!isRemote) {
    for (const name of await readdir(out))
      if (/^part-\d+\.parquet\.\w+\.partial$/.test(name)) await rm(join(out, name));
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const { leftOut } = items;
  await sumUp(flags, { tally, format: 'parquet', config, profile, seconds, shard, store, leftOut });
  note(
    `Join the parts: ${commandLine('merge', `${flags.out.replace(/\/$/, '')}/manifest.json`, '--out', 'verdicts.parquet')}`,
  );
  tellLeftOut(items, flags);
}
