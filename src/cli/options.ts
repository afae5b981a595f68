import { type Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../config.ts';
import { StoplineError } from '../errors.ts';
import { type Config, type ConfigKey, settings } from '../settings.ts';
import { note } from './terminal.ts';

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

/** Adds `--simulations`, and `--exposures`, as it was called before version 0.2: it does the same and says so. */
export function addSimulations(command: Command, description: string): void {
  command.addOption(numberOption('--simulations <N>', description));
  command.addOption(numberOption('--exposures <N>', 'as --simulations').hideHelp());
  command.on('option:exposures', () => {
    note('--exposures is called --simulations now, and will go with the next version.');
    command.setOptionValue('simulations', command.getOptionValue('exposures'));
    command.setOptionValue('exposures', undefined);
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
