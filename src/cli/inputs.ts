import { Option } from 'commander';
import { StoplineError } from '../errors.ts';
import { defaultLimits } from '../image/frame.ts';
import { noImages } from '../run/inputs/folder.ts';
import { parseShard } from '../run/inputs/item.ts';
import { openItems } from '../run/inputs/items.ts';
import { createObjectStore } from '../run/objects.ts';
import type { Config } from '../settings.ts';
import { numberOption, settingOption } from './options.ts';

/** Which images a command takes, beside the paths it is given. */
export interface InputFlags {
  manifest?: string;
  pathColumn?: string;
  fps?: number;
  shard?: string;
  s3Endpoint?: string;
}

/** What paths may be, for the help of the commands that take them. */
export const pathsHelp =
  'image files, folders (searched recursively), globs in quotes, tar archives, videos (with ffmpeg) and s3://bucket/prefix';

export function inputOptions(): Option[] {
  return [
    new Option(
      '--manifest <FILE>',
      'list of images: CSV, JSON lines or Parquet, whose other columns are passed on to the rows, or a text of paths; - for paths on standard input',
    ),
    new Option('--path-column <NAME>', 'column of the manifest with the paths (default: path)'),
    numberOption('--fps <N>', 'frames taken of a second of video (default: 1)'),
    new Option('--shard <I/N>', 'only part I (from 0) of N, decided by a hash of the name of each image'),
    settingOption('s3Endpoint'),
  ];
}

/**
 * The images that the options ask for.
 * @throws {StoplineError} OPTION_INVALID, INPUT_*, MANIFEST_INVALID
 */
export async function openInputs(
  paths: readonly string[],
  flags: InputFlags,
  { s3Endpoint }: Config,
  { asReferences }: { asReferences?: boolean } = {},
) {
  const { manifest, pathColumn, fps = 1, shard: part } = flags;
  if (paths.length === 0 && manifest === undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected paths or --manifest FILE but received neither.');
  }
  if (!(fps > 0 && fps <= 1000)) {
    throw new StoplineError('OPTION_INVALID', `Expected --fps above 0 and at most 1000 but received ${fps}.`);
  }
  const shard = part === undefined ? undefined : parseShard(part);
  const store = createObjectStore({ endpoint: s3Endpoint });
  const { maxBytes } = defaultLimits;
  const items = await openItems(paths, { manifest, pathColumn, fps, shard, store, maxBytes, asReferences });
  const total = await items.count();
  // One part of few images may well have none.
  if (total === 0 && !shard) throw noImages(paths);
  return { items, total, shard, store, fps };
}
