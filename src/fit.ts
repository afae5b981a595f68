import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { decodeRule, decoderVersion } from './decode.ts';
import { asStoplineError, StoplineError } from './errors.ts';
import { countImages, type ListedImage, listImages } from './folder.ts';
import { categoricalProperties } from './measure.ts';
import { fitModel, folds, type Sample } from './model.ts';
import { mapOrdered } from './pipeline.ts';
import { createPool } from './pool.ts';
import { createProfile, type Profile } from './profile.ts';

export interface FitOptions {
  /** Files and folders (recursive). */
  paths: string[];
  /** Shown in every verdict; default 'reference'. */
  name?: string;
  /** Decides which groups are held out; default 1. */
  seed?: number;
  /** Share of the images held out to calibrate, by whole groups; default 0.3. */
  holdout?: number;
  /** 'folder' (the default), 'none', or a regular expression whose first group (or whole match) names the group of a path. */
  groupBy?: string;
  /** Worker threads; default: number of cores. The Profile does not depend on it. */
  threads?: number;
  /** Rates to promise; default 1 % and 0.1 %. */
  falseAlarmRate?: { warn: number; block: number };
  /** Written into the Profile; default: now. */
  createdAt?: Date;
  onProgress?: (progress: { done: number; total: number; failed: number }) => void;
  signal?: AbortSignal;
}

export interface FitResult {
  profile: Profile;
  skipped: { path: string; error: { code: string; message: string } }[];
  /** What the user should know: rates that cannot be promised, outliers, duplicates, few groups. */
  warnings: string[];
}

/** Fewer distinct images than this describe no population. */
export const minImages = 50;
/** More images than this sharpen nothing: a seeded sample of this size is kept, so memory stays flat. */
const maxSamples = 20_000;
const timeBlocks = 20;

const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

/**
 * Learns what the reference population looks like.
 *
 * Images are measured in worker threads; whole groups (folders, matches of `groupBy`, or blocks of neighbouring frames)
 * are held out to calibrate, because neighbouring frames of one recording leak. Deterministic for a seed, whatever the
 * number of threads.
 * @throws {StoplineError} INPUT_*, OPTION_INVALID, FIT_TOO_FEW_IMAGES, FIT_NO_VARIATION
 */
export async function fit(options: FitOptions): Promise<FitResult> {
  const { paths, seed = 1, holdout = 0.3, groupBy = 'folder', threads = availableParallelism() } = options;
  const asked = options.falseAlarmRate ?? { warn: 0.01, block: 0.001 };
  checkOptions({ seed, holdout, asked });
  const pattern = groupPattern(groupBy);
  const total = await countImages(paths);
  const pool = await createPool({ threads });
  const skipped: FitResult['skipped'] = [];
  const kept = new Map<string, { priority: string; sample: Sample & { listed: ListedImage } }>();
  const folders = new Map<string, number>();
  let measured = 0;
  let duplicates = 0;
  let done = 0;
  try {
    const measure = async (listed: ListedImage) => {
      options.signal?.throwIfAborted();
      try {
        return { listed, image: await pool.measureFile(listed.path) };
      } catch (error) {
        return { listed, error: asStoplineError(error) };
      }
    };
    for await (const { listed, image, error } of mapOrdered(listImages(paths), threads * 4, measure)) {
      options.onProgress?.({ done: ++done, total, failed: skipped.length + (error ? 1 : 0) });
      if (error) {
        skipped.push({ path: listed.path, error: error.toJSON() });
        continue;
      }
      if (kept.has(image.sha256)) {
        duplicates++;
        continue;
      }
      measured++;
      folders.set(listed.folder, (folders.get(listed.folder) ?? 0) + 1);
      const sample = {
        path: listed.path,
        group: '',
        fold: 0,
        statistics: image.statistics,
        properties: categoricalProperties(image),
        listed,
      };
      kept.set(image.sha256, { priority: hash(seed, image.sha256), sample });
      if (kept.size >= maxSamples * 2) keepLowest(kept, maxSamples);
    }
  } finally {
    await pool.close();
  }
  if (kept.size > maxSamples) keepLowest(kept, maxSamples);
  const needed = Math.max(minImages, Math.ceil((1 / asked.warn - 1) / holdout));
  if (kept.size < minImages) {
    const failed =
      skipped.length > 0 ? ` ${skipped.length} could not be read, the first: ${skipped[0].error.message}` : '';
    throw new StoplineError(
      'FIT_TOO_FEW_IMAGES',
      `Expected at least ${minImages} distinct images (${needed} to promise a false-alarm rate of ${asked.warn}) but received ${kept.size}` +
        `${duplicates > 0 ? ` and ${duplicates} exact copies of them` : ''}.${failed}`,
    );
  }

  const samples = [...kept.values()].map(({ sample: { listed, ...sample } }) => {
    return { ...sample, group: groupOf(listed, pattern, folders.size) };
  });
  const split = splitByGroup(samples, { seed, holdout, byImage: groupBy === 'none' });
  // Clean scores come from models that have not seen a group, so there must be another group to fit them on.
  const fittedGroups = split.groups - split.heldOut;
  if (fittedGroups < 2 || split.fitted.length < minImages / 2) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected at least three groups of similar size, but with ${split.heldOut} of ${split.groups} held out ${split.fitted.length} of ${samples.length} images in ${fittedGroups} are left to fit. Use another pattern for group-by, or none.`,
    );
  }
  const { description, tensors } = fitModel(split.fitted, split.calibrated);
  const smallest = 1 / (split.calibrated.length + 1);
  const promised = { warn: Math.max(asked.warn, smallest), block: Math.max(asked.block, smallest) };
  const warnings = warningsAbout({ asked, promised, holdout, duplicates, skipped: skipped.length, split });
  const profile = createProfile(
    {
      name: options.name ?? 'reference',
      createdAt: (options.createdAt ?? new Date()).toISOString(),
      stopline: version,
      decode: { rule: decodeRule, decoder: decoderVersion },
      reference: {
        images: measured,
        fitted: split.fitted.length,
        calibrated: split.calibrated.length,
        skipped: skipped.length,
        duplicates,
        split: { by: split.by, groups: split.groups, heldOut: split.heldOut, seed, holdout },
        folders: [...folders].slice(0, 4096).map(([folder, images]) => ({ folder, images })),
      },
      falseAlarmRate: { asked, promised },
      ...description,
      warnings,
    },
    tensors,
  );
  return { profile, skipped, warnings };
}

function checkOptions({
  seed,
  holdout,
  asked,
}: {
  seed: number;
  holdout: number;
  asked: { warn: number; block: number };
}) {
  const expect = (ok: boolean, text: string, value: number) => {
    if (!ok) throw new StoplineError('OPTION_INVALID', `Expected ${text} but received ${value}.`);
  };
  expect(Number.isSafeInteger(seed), 'an integer for seed', seed);
  expect(holdout >= 0.05 && holdout <= 0.8, 'a share from 0.05 to 0.8 for holdout', holdout);
  expect(
    asked.warn > 0 && asked.warn < 0.5,
    'a rate above 0 and below 0.5 for the false-alarm rate of warn',
    asked.warn,
  );
  expect(
    asked.block > 0 && asked.block <= asked.warn,
    `a rate above 0 and at most ${asked.warn} for the false-alarm rate of block`,
    asked.block,
  );
}

function groupPattern(groupBy: string): RegExp | undefined {
  if (groupBy === 'folder' || groupBy === 'none') return undefined;
  try {
    return new RegExp(groupBy);
  } catch (cause) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected 'folder', 'none' or a regular expression for group-by but received "${groupBy}": ${(cause as Error).message}`,
    );
  }
}

/** With few folders, a folder is cut into blocks of neighbouring frames, so that a whole folder need not be given up. */
function groupOf(listed: ListedImage, pattern: RegExp | undefined, folders: number): string {
  if (pattern) {
    const match = pattern.exec(listed.path);
    return match?.[1] ?? match?.[0] ?? '';
  }
  if (folders >= timeBlocks / 2) return listed.folder;
  return `${listed.folder}#${Math.floor((listed.index * timeBlocks) / listed.count)}`;
}

interface Split {
  fitted: Sample[];
  calibrated: Sample[];
  by: string;
  groups: number;
  heldOut: number;
}

/** Holds out whole groups, in seeded order, until about `holdout` of the images are out. */
export function splitByGroup(
  samples: Sample[],
  { seed, holdout, byImage }: { seed: number; holdout: number; byImage: boolean },
): Split {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = byImage ? sample.path : sample.group;
    const members = groups.get(key);
    if (members) members.push(sample);
    else groups.set(key, [sample]);
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
  const by = byImage ? 'image' : 'group';
  return { fitted, calibrated, by, groups: order.length, heldOut: out.size };
}

function warningsAbout(facts: {
  asked: { warn: number; block: number };
  promised: { warn: number; block: number };
  holdout: number;
  duplicates: number;
  skipped: number;
  split: Split;
}): string[] {
  const { asked, promised, holdout, duplicates, skipped, split } = facts;
  const warnings: string[] = [];
  for (const level of ['warn', 'block'] as const) {
    if (promised[level] > asked[level]) {
      warnings.push(
        `A false-alarm rate of ${asked[level]} for ${level} needs ${Math.ceil((1 / asked[level] - 1) / holdout)} reference images; ` +
          `the ${split.calibrated.length} images held out can promise ${promised[level].toPrecision(2)}, which is used.`,
      );
    }
  }
  if (duplicates > 0) warnings.push(`${duplicates} images are exact copies of others and were counted once.`);
  if (skipped > 0) warnings.push(`${skipped} images could not be used and were skipped.`);
  if (split.by === 'image') {
    warnings.push(
      'Held out image by image: if these are frames of recordings, neighbouring frames leak and the promised rate is too low. Group them.',
    );
  }
  return warnings;
}

function keepLowest<Entry extends { priority: string }>(entries: Map<string, Entry>, count: number): void {
  const limit = [...entries.values()].map(({ priority }) => priority).sort()[count];
  for (const [key, { priority }] of entries) if (priority >= limit) entries.delete(key);
}

function hash(seed: number, text: string): string {
  return createHash('sha256').update(`${seed}\n${text}`).digest('hex');
}
