import { Command } from 'commander';
import { describeConfig, hideSecrets, listConfig, loadConfig } from '../config.ts';
import { StoplineError } from '../errors.ts';
import { ownPrefix } from '../server/http/prefix.ts';
import { closeOnSignal, type Service, serve } from '../server/serve.ts';
import { type Config, type ConfigKey, settings } from '../settings.ts';
import { configWithProfile, settingOption } from './options.ts';
import { printRoutesFrom } from './routesfrom.ts';
import { commandLine, note, print, printJson, table } from './terminal.ts';

/** The flags of `serve` are the settings of the schema. */
type ServeFlags = Partial<Record<ConfigKey, unknown>> & {
  config?: string;
  printConfig?: boolean;
  routesFrom?: string;
  json?: boolean;
};

export function serveCommand(): Command {
  const command = new Command('serve').description(
    'Starts the service: POST an image to /inspect and get its verdict. The API is described at /docs. SIGTERM or Ctrl-C ' +
      'finishes the requests in flight first.\nEvery option can also be set in a JSON file or in the environment as STOPLINE_<NAME>.',
  );
  for (const { key, group } of settings) command.addOption(settingOption(key).helpGroup(`${group.title}:`));
  return command
    .option('--config <FILE>', 'JSON file with settings; defaults < file < environment < options')
    .option('--print-config', 'print the settings in force and where each comes from, and exit')
    .option(
      '--routes-from <FILE>',
      'print routes for the paths that an OpenAPI document in JSON describes (a file or an address), for --config, and exit',
    )
    .option('--json', 'print where the service listens, or with --print-config the settings, as JSON')
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

async function runServe({ config: file, printConfig, routesFrom, json, ...flags }: ServeFlags): Promise<void> {
  if (routesFrom !== undefined) return printRoutesFrom(routesFrom);
  if (printConfig) {
    const loaded = loadConfig({ file, flags });
    return json ? printJson(listConfig(loaded)) : print(describeConfig(loaded));
  }
  const { config } = configWithProfile(flags, file);
  await runService(config, json);
}

/**
 * Starts the service, says where it is, and waits for its end.
 * @throws {StoplineError} CLOSED where requests were cut off, and what `serve` throws
 */
export async function runService(config: Config, json = false): Promise<void> {
  hideArguments(config);
  // Before its workers are ready it answers already, and may be told to end.
  let ended: Promise<boolean> | undefined;
  const service = await serve(config, (listening) => {
    ended = closeOnSignal(listening);
  });
  const { url, grpcUrl } = service;
  const own = url + ownPrefix(config);
  if (json)
    printJson({ url, ...(grpcUrl !== undefined && { grpc: grpcUrl }), dashboard: `${own}/`, docs: `${own}/docs` });
  note(describeService(service, config));
  if (!(await ended)) {
    throw new StoplineError(
      'CLOSED',
      `Expected the requests in flight to end within ${config.drainTimeoutMs} ms but some had to be cut off.`,
    );
  }
}

/** Addresses of cameras hold passwords: whoever lists processes sees no arguments of one that was given some. */
function hideArguments({ cameras }: Config): void {
  if (cameras !== undefined) process.title = 'stopline';
}

/** A log gets one line; a person at a terminal is told where to look. */
function describeService({ url, grpcUrl }: Service, config: Config): string {
  const { upstream, grpcUpstream, apiKeys, cameras } = config;
  const prefix = ownPrefix(config);
  const own = url + prefix;
  const first = `stopline: listening at ${url}${grpcUrl === undefined ? '' : ` and ${grpcUrl}`}`;
  if (!process.stderr.isTTY) return `${first} (POST ${prefix}/inspect, API at ${own}/docs); stop with Ctrl-C`;
  const key = apiKeys === undefined ? '' : " -H 'authorization: Bearer <key>'";
  const rows = [
    ...(upstream === undefined ? [] : [['gate', `${url}/ in front of ${hideSecrets(upstream)}`]]),
    ...(grpcUrl === undefined
      ? []
      : [['gRPC', `${grpcUrl}${grpcUpstream === undefined ? ', ext_authz' : `, gate in front of ${grpcUpstream}`}`]]),
    ...(cameras === undefined ? [] : [['cameras', cameras.map(({ name }) => name).join(', ')]]),
    ['dashboard', `${own}/`],
    ['API', `POST ${own}/inspect`],
    ['API docs', `${own}/docs`],
    ['metrics', `${own}/metrics`],
    ['try it', `curl --data-binary @frame.jpg -H 'content-type: image/jpeg'${key} ${own}/inspect`],
    ['stop', 'Ctrl-C'],
  ];
  return `${first}\n${table(rows.map(([name, text]) => [`  ${name}`, text]))}`;
}
