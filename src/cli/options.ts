import { InvalidArgumentError, Option } from 'commander';
import { openItems, parseShard } from '../batch/items.ts';
import { createObjectStore } from '../batch/s3.ts';
import { type Config, type ConfigKey, loadConfig, settings } from '../config.ts';
import { defaultLimits } from '../decode.ts';
import { StoplineError } from '../errors.ts';
import { noImages } from '../folder.ts';

const placeholders: Partial<Record<ConfigKey, string>> = {
  profile: 'FILE',
  model: 'FILE',
  blockWhen: 'RULE',
  s3Endpoint: 'URL',
  queue: 'URL',
};

/** The command-line option of a setting; where it is not given, the environment and the default decide. */
export function settingOption(key: ConfigKey): Option {
  const setting = settings.find((candidate) => candidate.key === key);
  if (!setting) throw new StoplineError('INTERNAL', `Expected a setting called ${key}.`);
  const placeholder = placeholders[key] ?? (setting.expects.startsWith('an integer') ? 'N' : 'VALUE');
  const value = setting.expects === 'true or false' ? '' : ` <${placeholder}>`;
  const shown = setting.default === undefined ? '' : ` (default: ${setting.default})`;
  return new Option(`${setting.flag}${value}`, `${setting.description}${shown}`);
}

/** A number on the command line; ranges are checked by whoever uses it. */
export function numberOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    const value = Number(text);
    if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('Expected a number.');
    return value;
  });
}

/**
 * The settings in force for a command that needs a Profile.
 * @throws {StoplineError} OPTION_INVALID
 */
export function configWithProfile(flags: Partial<Record<ConfigKey, unknown>>, file?: string) {
  const loaded = loadConfig({ flags, file });
  const { profile } = loaded.config;
  if (profile === undefined) {
    throw new StoplineError(
      'OPTION_INVALID',
      'Expected --profile FILE (or STOPLINE_PROFILE) but received none. Make one: stopline fit <folder> --out FILE',
    );
  }
  return { ...loaded, config: { ...loaded.config, profile } satisfies Config };
}

/** Which core build, limits, detector, rule, model and device the settings ask for, in the terms of the library. */
export function inspectionOptions({ core, maxPixels, maxSide, decideBy, blockWhen, model, device }: Config) {
  return {
    core: core === 'auto' ? undefined : core,
    limits: { maxPixels, maxSide },
    decideBy,
    blockWhen,
    model,
    device,
  };
}

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
