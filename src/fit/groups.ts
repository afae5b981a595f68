import { createHash } from 'node:crypto';
import { endSentence, StoplineError } from '../errors.ts';
import type { Sample } from './samples.ts';

const timeBlocks = 20;

/** @throws {StoplineError} OPTION_INVALID */
export function groupPattern(groupBy: string, setting = 'group-by'): RegExp | undefined {
  if (groupBy === 'folder' || groupBy === 'none') return undefined;
  try {
    return new RegExp(groupBy);
  } catch (cause) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected 'folder', 'none' or a regular expression for ${setting} but received "${groupBy}": ${endSentence((cause as Error).message)}`,
    );
  }
}

/**
 * Names the group of every sample: what a pattern finds in the path, the folder, or, with few folders, one of twenty
 * blocks of neighbouring frames of a folder, so that a whole folder need not be given up.
 */
export function withGroups(
  kept: readonly (Sample & { listed: { folder: string } })[],
  { pattern, folders, groupBy }: { pattern?: RegExp | undefined; folders: number; groupBy: string },
): { samples: Sample[]; by: GroupedBy } {
  const strip = ({ listed: _, ...sample }: Sample & { listed: { folder: string } }, group: string) => ({
    ...sample,
    group,
  });
  if (groupBy === 'none') return { samples: kept.map((sample) => strip(sample, sample.id)), by: 'image' };
  if (pattern) {
    const readGroup = (path: string) => {
      const match = pattern.exec(path);
      return match?.[1] ?? match?.[0] ?? '';
    };
    return { samples: kept.map((sample) => strip(sample, readGroup(sample.path))), by: 'pattern' };
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
    const group = `${folder}#${Math.floor((index * timeBlocks) / (counts.get(folder) as number))}`;
    return { ...strip(sample, group), drive: folder };
  });
  return { samples, by: 'time block' };
}

/** How the reference is cut into parts. */
export type GroupedBy = 'image' | 'pattern' | 'folder' | 'time block';

/**
 * The part of each group: groups in seeded order, each to the part that has the fewest images. With fewer groups than
 * parts some parts stay empty.
 */
export function assignFolds(
  samples: readonly Pick<Sample, 'group'>[],
  { folds: count, seed }: { folds: number; seed: number },
): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { group } of samples) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const filled = new Array<number>(count).fill(0);
  const foldByGroup = new Map<string, number>();
  const key = new Map([...sizes.keys()].map((group) => [group, hash(seed, `fold ${group}`)]));
  for (const group of [...sizes.keys()].sort((a, b) => ((key.get(a) as string) < (key.get(b) as string) ? -1 : 1))) {
    const fold = filled.indexOf(Math.min(...filled));
    foldByGroup.set(group, fold);
    filled[fold] += sizes.get(group) as number;
  }
  return foldByGroup;
}

/** Decides without state: the same for a seed and a text on every machine and in any order. */
export function hash(seed: number, text: string): string {
  return createHash('sha256').update(`${seed}\n${text}`).digest('hex');
}

/** A seed for what is drawn for one image. */
export function deriveSeed(seed: number, text: string): number {
  return Number.parseInt(hash(seed, text).slice(0, 7), 16);
}
