import { type Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../config.ts';
import { StoplineError } from '../errors.ts';
import { loadSignedProfile } from '../profile/signature.ts';
import { Masks } from '../run/masks.ts';
import { type Config, type ConfigKey, schemas, settings } from '../settings.ts';
import { parseShare } from '../share.ts';
import { complain } from './terminal.ts';

const placeholders: Partial<Record<ConfigKey, string>> = {
  profile: 'FILE',
  profileKey: 'FILE',
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
  const option = new Option(`${setting.flag}${value}`, `${setting.description}${shown}`);
  // Values are checked with those of the other sources; these are what a shell completes.
  if (Array.isArray(schemas[key].enum)) option.argChoices = schemas[key].enum.map(String);
  return option;
}

/** A number on the command line; ranges are checked by whoever uses it. */
export function numberOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    const value = Number(text);
    if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('Expected a number.');
    return value;
  });
}

/** Adds `--simulations`, and `--exposures`, as it was called before version 0.2: it does the same and says so. */
export function addSimulations(command: Command, description: string): void {
  command.addOption(numberOption('--simulations <N>', description));
  command.addOption(numberOption('--exposures <N>', 'as --simulations').hideHelp());
  command.on('option:exposures', () => {
    complain('stopline: warning: --exposures is called --simulations now, and will go with the next version.');
    command.setOptionValue('simulations', command.getOptionValue('exposures'));
    command.setOptionValue('exposures', undefined);
  });
}

/** A share or rate: 0.01 or 1%. */
export function shareOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    const share = parseShare(text);
    if (share === undefined || share < 0 || share > 1) {
      throw new InvalidArgumentError('Expected a share such as 1% or 0.01.');
    }
    return share;
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

/** Settings that decide a verdict: every command that judges has them all. */
const judgingKeys = ['profile', 'profileKey', 'model', 'device', 'decideBy', 'blockWhen', 'ignore', 'core'] as const;

/** What a command line gives for them. */
export type JudgingFlags = Partial<Record<(typeof judgingKeys)[number] | 'threads' | 'mask', string>>;

/** What counts nowhere in any image; the setting `masks` says the same by source. */
function maskOption(): Option {
  return new Option(
    '--mask <FILE|AREAS>',
    'hides a part of every image, beside what the Profile masks: a picture in which black does not count, or areas such as "0,0.9,0.4,1", as of fit; by source with STOPLINE_MASKS',
  );
}

/** The options of a command that judges images, one by one or, with `threads`, many at once. */
export function judgingFlags({ threads = true }: { threads?: boolean } = {}): Option[] {
  return [...[...judgingKeys, ...(threads ? (['threads'] as const) : [])].map(settingOption), maskOption()];
}

/** Those options of a command line that are settings. */
export function pickSettings(flags: object): Partial<Record<ConfigKey, unknown>> {
  const known = new Set<string>(settings.map(({ key }) => key));
  return Object.fromEntries(Object.entries(flags).filter(([key]) => known.has(key)));
}

/**
 * The settings of a command that judges, what is masked of which images, and the Profile, which must be signed where the settings name
 * a key.
 * @throws {StoplineError} OPTION_INVALID, PROFILE_*, and as `readMask`
 */
export async function openJudging({
  mask,
  ...flags
}: Partial<Record<ConfigKey, unknown>> & { mask?: string | undefined }) {
  const { config } = configWithProfile(flags);
  const profile = await loadSignedProfile(config.profile, config.profileKey);
  const masks = await Masks.open([...(config.masks ?? []), ...(mask === undefined ? [] : [{ mask }])]);
  return { config, profile, masks };
}
