import { Command } from 'commander';
import { describeConfig, loadConfig } from '../config.ts';
import { StoplineError } from '../errors.ts';
import { closeOnSignal, serve } from '../server/serve.ts';
import { type ConfigKey, settings } from '../settings.ts';
import { configWithProfile, settingOption } from './options.ts';
import { commandLine, note, print } from './terminal.ts';

/** The flags of `serve` are the settings of the schema. */
type ServeFlags = Partial<Record<ConfigKey, unknown>> & { config?: string; printConfig?: boolean };

export function serveCommand(): Command {
  const command = new Command('serve').description(
    'Starts the service: POST an image to /inspect and get its verdict. The API is described at /docs. SIGTERM or Ctrl-C ' +
      'finishes the requests in flight first.\nEvery option can also be set in a JSON file or in the environment as STOPLINE_<NAME>.',
  );
  for (const { key, group } of settings) command.addOption(settingOption(key).helpGroup(`${group.title}:`));
  return command
    .option('--config <FILE>', 'JSON file with settings; defaults < file < environment < options')
    .option('--print-config', 'print the settings in force and where each comes from, and exit')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('serve', '--profile', 'camera.stopline')}
  curl --data-binary @frame.jpg -H 'content-type: image/jpeg' http://127.0.0.1:8080/inspect

Exit status: 0 when it was stopped and every request was answered, 75 when requests had to be cut off.`,
    )
    .action(runServe);
}

async function runServe({ config: file, printConfig, ...flags }: ServeFlags): Promise<void> {
  if (printConfig) return print(describeConfig(loadConfig({ file, flags })));
  const { config } = configWithProfile(flags, file);
  const service = await serve(config);
  note(`stopline: listening at ${service.url} (POST /inspect, API at ${service.url}/docs); stop with Ctrl-C`);
  if (!(await closeOnSignal(service))) {
    throw new StoplineError(
      'CLOSED',
      `Expected the requests in flight to end within ${config.drainTimeoutMs} ms but some had to be cut off.`,
    );
  }
}
