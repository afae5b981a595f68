import { createHash } from 'node:crypto';
import { StoplineError } from './errors.ts';
import { folds, type Sample } from './model.ts';

const timeBlocks = 20;

/** @throws {StoplineError} OPTION_INVALID */
export function groupPattern(groupBy: string, setting = 'group-by'): RegExp | undefined {
  if (groupBy === 'folder' || groupBy === 'none') return undefined;
  try {
    return new RegExp(groupBy);
  } catch (cause) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected 'folder', 'none' or a regular expression for ${setting} but received "${groupBy}": ${(cause as Error).message}`,
    );
  }
}

/**
 * Names the group of every sample: what a pattern finds in the path, the folder, or, with few folders, one of twenty
 * blocks of neighbouring frames of a folder, so that a whole folder need not be given up.
 */
export function withGroups(
  kept: readonly (Sample & { listed: { folder: string } })[],
  { pattern, folders, groupBy }: { pattern?: RegExp; folders: number; groupBy: string },
): { samples: Sample[]; by: Split['by'] } {
  const strip = ({ listed: _, ...sample }: Sample & { listed: { folder: string } }, group: string) => ({
    ...sample,
    group,
  });
  if (groupBy === 'none') return { samples: kept.map((sample) => strip(sample, sample.id)), by: 'image' };
  if (pattern) {
    const groupOf = (path: string) => {
      const match = pattern.exec(path);
      return match?.[1] ?? match?.[0] ?? '';
    };
    return { samples: kept.map((sample) => strip(sample, groupOf(sample.path))), by: 'pattern' };
  }
  if (folders >= timeBlocks / 2) {
    return { samples: kept.map((sample) => strip(sample, sample.listed.folder)), by: 'folder' };
  }
  const counts = new Map<string, number>();
  for (const { listed } of kept) counts.set(listed.folder, (counts.get(listed.folder) ?? 0) + 1);
  const seen = new Map<string, number>();
  const samples = kept.map((sample) => {
    const { folder } = sample.listed;
    const index = seen.get(folder) ?? 0;
    seen.set(folder, index + 1);
    return strip(sample, `${folder}#${Math.floor((index * timeBlocks) / (counts.get(folder) as number))}`);
  });
  return { samples, by: 'time block' };
}

/** Disjoint parts of the reference. */
export interface Split {
  fitted: Sample[];
  calibrated: Sample[];
  by: 'image' | 'pattern' | 'folder' | 'time block';
  groups: number;
  heldOut: number;
}

/** Holds out whole groups, in seeded order, until about `holdout` of the images are out. */
export function splitByGroup(
  samples: Sample[],
  { seed, holdout, by }: { seed: number; holdout: number; by: Split['by'] },
): Split {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const members = groups.get(sample.group);
    if (members) members.push(sample);
    else groups.set(sample.group, [sample]);
  }
  const order = [...groups.keys()].sort((a, b) => (hash(seed, a) < hash(seed, b) ? -1 : 1));
  if (order.length < 2) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected at least two groups of images to hold one out but found ${order.length}. Use --group-by none or another pattern.`,
    );
  }
  const target = holdout * samples.length;
  const out = new Set<string>();
  let count = 0;
  for (const key of order) {
    const size = groups.get(key)?.length ?? 0;
    // Taking this group must bring the share nearer to the target than leaving it.
    if (count + size / 2 > target && out.size > 0) continue;
    if (out.size === order.length - 1) break;
    out.add(key);
    count += size;
  }
  const calibrated: Sample[] = [];
  const fitted: Sample[] = [];
  let fold = 0;
  const foldOf = new Map<string, number>();
  for (const key of order) if (!out.has(key)) foldOf.set(key, fold++ % folds);
  for (const [key, members] of groups) {
    if (out.has(key)) calibrated.push(...members);
    else for (const sample of members) fitted.push({ ...sample, fold: foldOf.get(key) ?? 0 });
  }
  return { fitted, calibrated, by, groups: order.length, heldOut: out.size };
}

/** Decides without state: the same for a seed and a text on every machine and in any order. */
export function hash(seed: number, text: string): string {
  return createHash('sha256').update(`${seed}\n${text}`).digest('hex');
}
