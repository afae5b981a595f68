import { readFileSync } from 'node:fs';
import type { TSchema } from 'typebox';
import Value from 'typebox/value';
import { StoplineError } from './errors.ts';
import { type Config, type ConfigKey, type Setting, schemas, settings } from './settings.ts';

export type ConfigSource = 'default' | 'file' | 'environment' | 'flag';

const byKey = new Map<string, Setting>(settings.map((setting) => [setting.key, setting]));
const byEnv = new Map<string, Setting>(settings.map((setting) => [setting.env, setting]));

/** Text from the environment or the command line to the type of the setting; text that does not fit is left for the check to name. */
function parseText(key: ConfigKey, text: string): unknown {
  const type = schemas[key].type;
  if (type === 'integer' && /^-?\d{1,15}$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === '1')) return true;
  if (type === 'boolean' && (text === 'false' || text === '0')) return false;
  if (type === 'number' && text.trim() !== '' && Number.isFinite(Number(text))) return Number(text);
  if (type === 'array' && (schemas[key].items as TSchema & { type?: string }).type === 'object') return parseJson(text);
  if (type === 'array') return text.split(',').map((part) => part.trim());
  return text;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

function unknownKey(received: string, where: string, known: Iterable<string>): StoplineError {
  return new StoplineError(
    'OPTION_INVALID',
    `Expected a known setting ${where} (${[...known].join(', ')}) but received ${shown(received)}`,
  );
}

function readConfigFile(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new StoplineError('OPTION_INVALID', `Expected --config to name a readable file but ${file} gave ${code}`, {
      cause,
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    const message = (cause as Error).message;
    throw new StoplineError('OPTION_INVALID', `Expected JSON in the config file ${file} but received ${message}`, {
      cause,
    });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected an object in the config file ${file} but received ${shown(json)}`,
    );
  }
  return json as Record<string, unknown>;
}

/**
 * Kubernetes puts the address of every Service into the environment of every pod: a Service called `stopline` sets
 * STOPLINE_SERVICE_HOST, STOPLINE_PORT=tcp://10.0.0.1:8080 and others. They are not settings of ours.
 */
function isServiceLink(name: string, value: string): boolean {
  return /^STOPLINE_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_\w+)$/.test(name) || /^(tcp|udp|sctp):\/\//.test(value);
}

export interface ConfigInput {
  /** JSON config file (`--config`). */
  file?: string | undefined;
  /** Default: the environment of the process. */
  env?: Record<string, string | undefined>;
  /** Command-line options by key of the schema; `undefined` where none was given. */
  flags?: Partial<Record<ConfigKey, unknown>>;
}

/** The settings in force, and where each came from. */
export interface LoadedConfig {
  config: Config;
  sources: Record<ConfigKey, ConfigSource>;
}

/**
 * Merges defaults < config file < environment < flags and checks the result. The only reader of `process.env`.
 *
 * @throws {StoplineError} OPTION_INVALID naming the key, what it expects, and the value that came
 * @example
 * const { config } = loadConfig({ file: 'stopline.json', flags: { port: '9000' } });
 */
export function loadConfig(input: ConfigInput = {}): LoadedConfig {
  const values: Partial<Record<ConfigKey, unknown>> = {};
  const sources = {} as Record<ConfigKey, ConfigSource>;
  const names = {} as Record<ConfigKey, string>;
  const put = (setting: Setting, value: unknown, source: ConfigSource, name: string) => {
    values[setting.key] = typeof value === 'string' && source !== 'file' ? parseText(setting.key, value) : value;
    sources[setting.key] = source;
    names[setting.key] = name;
  };

  for (const setting of settings) {
    sources[setting.key] = 'default';
    if (setting.default !== undefined) put(setting, setting.default, 'default', setting.key);
  }
  if (input.file !== undefined) {
    for (const [key, value] of Object.entries(readConfigFile(input.file))) {
      const setting = byKey.get(key);
      if (!setting) throw unknownKey(key, `in the config file ${input.file}`, byKey.keys());
      put(setting, value, 'file', `${key} in ${input.file}`);
    }
  }
  for (const [name, value] of Object.entries(input.env ?? process.env)) {
    if (value === undefined || !name.startsWith('STOPLINE_') || isServiceLink(name, value)) continue;
    const setting = byEnv.get(name);
    if (!setting) throw unknownKey(name, 'in the environment', byEnv.keys());
    put(setting, value, 'environment', name);
  }
  for (const [key, value] of Object.entries(input.flags ?? {})) {
    if (value === undefined) continue;
    const setting = byKey.get(key);
    if (!setting) throw unknownKey(key, 'as an option', byKey.keys());
    put(setting, value, 'flag', setting.flag);
  }

  for (const setting of settings) {
    const value = values[setting.key];
    if (value === undefined || Value.Check(schemas[setting.key], value)) continue;
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected ${names[setting.key]} to be ${setting.expects} but received ${isSecret(setting.key) ? 'another' : shown(value)}`,
    );
  }
  const config = values as Config;
  // Node swaps the two silently when they come the wrong way round, and then neither does what its name says.
  if (config.headersTimeoutMs >= config.requestTimeoutMs) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected headersTimeoutMs to be less than requestTimeoutMs but received ${config.headersTimeoutMs} and ${config.requestTimeoutMs}`,
    );
  }
  if ((config.tlsCert === undefined) !== (config.tlsKey === undefined)) {
    throw new StoplineError('OPTION_INVALID', 'Expected tlsCert and tlsKey, or neither, but received one of them.');
  }
  return { config, sources };
}

/** What is never shown, neither in errors nor by `--print-config`. */
function isSecret(key: ConfigKey): boolean {
  return schemas[key].writeOnly === true;
}

/** The effective settings as text, one a line with where it came from: what `--print-config` shows. */
export function describeConfig({ config, sources }: LoadedConfig): string {
  const rows = settings.map((setting) => {
    const value = config[setting.key];
    const text = value === undefined ? '(none)' : isSecret(setting.key) ? '(not shown)' : JSON.stringify(value);
    return [setting.key, text, `(${sources[setting.key]})`];
  });
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map(([key, value, source]) => `${key.padEnd(widths[0])}  ${value.padEnd(widths[1])}  ${source}`)
    .join('\n');
}

/** What the environment tells libuv and the C library: not settings of ours, but `stopline doctor` shows them. */
export function runtimeEnvironment(): {
  UV_THREADPOOL_SIZE?: string | undefined;
  MALLOC_ARENA_MAX?: string | undefined;
} {
  const { UV_THREADPOOL_SIZE, MALLOC_ARENA_MAX } = process.env;
  return { UV_THREADPOOL_SIZE, MALLOC_ARENA_MAX };
}
