import { Option } from 'commander';
import { StoplineError } from '../errors.ts';
import { noImages } from '../run/inputs/folder.ts';
import { parseShard } from '../run/inputs/item.ts';
import { openItems } from '../run/inputs/items.ts';
import type { LeftOut, LeftOutCount } from '../run/inputs/leftout.ts';
import { createObjectStore } from '../run/objects.ts';
import type { Config } from '../settings.ts';
import { numberOption, settingOption } from './options.ts';
import { count, note, printable } from './terminal.ts';

/** Which images a command takes, beside the paths it is given. */
export interface InputFlags {
  manifest?: string | undefined;
  pathColumn?: string | undefined;
  delimiter?: string | undefined;
  fps?: number | undefined;
  shard?: string | undefined;
  s3Endpoint?: string | undefined;
  /** False with --no-follow. */
  follow?: boolean | undefined;
  strict?: boolean;
}

/** What paths may be, for the help of the commands that take them. */
export const pathsHelp =
  'image files, folders (searched recursively), globs in quotes, tar archives, videos (with ffmpeg) and s3://bucket/prefix';

/** @param options.shard whether the command can do a part of its work */
export function inputOptions({ shard = true }: { shard?: boolean } = {}): Option[] {
  const part = new Option('--shard <I/N>', 'only part I (from 0) of N, decided by a hash of the name of each image');
  return [
    new Option(
      '--manifest <FILE>',
      'list of images: CSV, JSON lines, JSON (COCO as well) or Parquet, whose other columns are passed on to the rows, or a text of paths; - for paths on standard input',
    ),
    new Option('--path-column <NAME>', 'column of the manifest with the paths, or images (default: path)'),
    new Option('--delimiter <SIGN>', 'what parts the columns of a CSV manifest, such as ";" or tab (default: ,)'),
    numberOption('--fps <N>', 'frames taken of a second of video (default: 1)'),
    ...(shard ? [part] : []),
    followOption(),
    strictOption(),
    settingOption('s3Endpoint'),
  ];
}

export function followOption(): Option {
  return new Option('--no-follow', 'follow no symbolic links: each is an image that cannot be read');
}

export function strictOption(): Option {
  const help = 'end with an error where something was left out, such as a file that is no image by its name';
  return new Option('--strict', help);
}

/**
 * The images that the options ask for.
 * @throws {StoplineError} OPTION_INVALID, INPUT_*, MANIFEST_INVALID
 */
export async function openInputs(
  paths: readonly string[],
  flags: InputFlags,
  { s3Endpoint, bodyLimit: maxBytes }: Config,
  { asReferences }: { asReferences?: boolean } = {},
) {
  const { manifest, pathColumn, delimiter, follow, fps = 1, shard: part } = flags;
  if (paths.length === 0 && manifest === undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected paths or --manifest FILE but received neither.');
  }
  if (!(fps > 0 && fps <= 1000)) {
    throw new StoplineError('OPTION_INVALID', `Expected --fps above 0 and at most 1000 but received ${fps}.`);
  }
  const shard = part === undefined ? undefined : parseShard(part);
  const store = createObjectStore({ endpoint: s3Endpoint });
  const which = { manifest, pathColumn, delimiter, follow, fps, shard };
  const items = await openItems(paths, { ...which, store, maxBytes, asReferences });
  const total = await items.count();
  // One part of few images may well have none.
  if (total === 0 && !shard) throw noImages(paths);
  return { items, total, shard, store, fps };
}

/**
 * Says at the end of a run what it did not look at: how much for each reason, and the first names.
 * @throws {StoplineError} INPUT_LEFT_OUT with --strict
 */
export function tellLeftOut(
  { leftOut }: { leftOut: LeftOut | readonly LeftOutCount[] },
  { strict }: { strict?: boolean | undefined },
): void {
  const reasons = 'toJSON' in leftOut ? leftOut.toJSON() : leftOut;
  const total = reasons.reduce((sum, { count: times }) => sum + times, 0);
  const lines = describeLeftOut(reasons);
  for (const line of lines) note(line);
  if (!strict || lines.length === 0) return;
  throw new StoplineError(
    'INPUT_LEFT_OUT',
    `Expected with --strict that everything is looked at but ${count(total, 'thing was', 'things were')} left out.`,
  );
}

function describeLeftOut(reasons: readonly LeftOutCount[]): string[] {
  if (reasons.length === 0) return [];
  const rows = reasons.map(({ reason, count: times, examples }) => {
    const more = times > examples.length ? ', ...' : '';
    return `  ${times} ${printable(reason)} (${examples.map(printable).join(', ')}${more})`;
  });
  return ['Left out:', ...rows];
}
