import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { TSchema } from 'typebox';
import { StoplineError } from './errors.ts';
import { check } from './schema.ts';
import { type Config, type ConfigKey, isShare, type Setting, schemas, settingGroups, settings } from './settings.ts';
import { parseShare } from './share.ts';

export type ConfigSource = 'default' | 'file' | 'environment' | 'flag';

const byKey = new Map<string, Setting>(settings.map((setting) => [setting.key, setting]));
const byEnv = new Map<string, Setting>(settings.map((setting) => [setting.env, setting]));

/** Text from the environment or the command line to the type of the setting; text that does not fit is left for the check to name. */
function parseText(key: ConfigKey, text: string): unknown {
  const { type } = schemas[key];
  if (type === 'integer' && /^-?\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === '1')) return true;
  if (type === 'boolean' && (text === 'false' || text === '0')) return false;
  if (isShare(schemas[key])) return parseShare(text) ?? text;
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

/** Hides what an address carries of secrets: the user and password before its host, and tokens in its query. */
export function hideSecrets(address: string): string {
  return address
    .replace(/([a-z][a-z0-9+.-]*:\/\/).*@/is, '$1***@')
    .replace(/([?&;][^=&;]*(?:token|key|pass|secret|sig|auth|cred)[^=&;]*=)[^&;#]+/gi, '$1***');
}

function hideAll(value: unknown): unknown {
  if (typeof value === 'string') return hideSecrets(value);
  if (Array.isArray(value)) return value.map(hideAll);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, hideAll(part)]));
}

function quote(value: unknown): string {
  const text = JSON.stringify(hideAll(value)) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

/** The known name that is most like a mistyped one, where one is like it at all. */
export function findSimilar(name: string, known: Iterable<string>): string | undefined {
  const plain = (text: string) => text.replace(/^(--|STOPLINE_)/, '').toLowerCase();
  const most = Math.max(1, Math.floor(plain(name).length * 0.4));
  const rated = [...known].map((other) => ({ other, edits: countEdits(plain(name), plain(other)) }));
  const [best] = rated.sort((a, b) => a.edits - b.edits);
  return best !== undefined && best.edits <= most ? best.other : undefined;
}

/** Characters to insert, delete, replace or swap with their neighbour to make one text the other (Damerau). */
function countEdits(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.length];
}

function unknownSetting(received: string, where: string, known: Iterable<string>): StoplineError {
  const similar = findSimilar(received, known);
  const hint =
    similar === undefined ? 'docs/settings.md lists all' : `Did you mean ${similar}? docs/settings.md lists all`;
  return new StoplineError(
    'OPTION_INVALID',
    `Expected a known setting ${where} but received ${quote(received)}. ${hint}.`,
  );
}

function readConfigFile(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StoplineError('OPTION_INVALID', `Expected --config to name a readable file but ${file} gave ${code}.`, {
      cause,
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected JSON in the config file ${file} but it ends or breaks off${findPlace(text, cause as Error)}.`,
      { cause },
    );
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected an object in the config file ${file} but received ${Array.isArray(json) ? 'a list' : String(typeof json)}.`,
    );
  }
  return json as Record<string, unknown>;
}

/** Where JSON broke, in lines and columns: the message of V8 would quote what stands there, which may be a key. */
function findPlace(text: string, error: Error): string {
  const [, position] = /at position (\d+)/.exec(error.message) ?? [];
  if (position === undefined) return ' too early';
  const before = text.slice(0, Number(position)).split('\n');
  return ` in line ${before.length}, column ${(before.at(-1) as string).length + 1}`;
}

/**
 * Kubernetes puts the address of every Service into the environment of every pod: a Service called `stopline` sets
 * STOPLINE_SERVICE_HOST, STOPLINE_PORT=tcp://10.0.0.1:8080 and others. They are no settings of Stopline.
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
  const given = collectValues(input);
  const config = Object.fromEntries([...given].map(([key, { value }]) => [key, value])) as Config;
  for (const [key, { value, name }] of given) {
    if (value === undefined || (check(schemas[key], value) && isSound(schemas[key], value))) continue;
    const received = isSecret(key) ? 'another' : quote(value);
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected ${name} to be ${byKey.get(key)?.expects} but received ${received}.`,
    );
  }
  checkTogether(config);
  const sources = Object.fromEntries(
    settings.map(({ key }) => [key, given.get(key)?.source ?? 'default']),
  ) as LoadedConfig['sources'];
  return { config, sources };
}

/**
 * Whether a setting that is an address can be read as one: a port beyond 65535, a line break or half an escape in a password would be
 * found when the first alarm is sent. Lists of addresses, which brokers take, are left to their clients.
 */
function isSound(schema: { pattern?: unknown }, value: unknown): boolean {
  const isAddress = typeof schema.pattern === 'string' && schema.pattern.includes('://');
  if (!isAddress || typeof value !== 'string' || value.includes(',')) return true;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\0-\x1f\x7f]/.test(value)) return false;
  try {
    const { username, password } = new URL(value);
    decodeURIComponent(username + password);
    return true;
  } catch {
    return false;
  }
}

interface GivenValue {
  value: unknown;
  source: ConfigSource;
  /** How the user wrote the setting. */
  name: string;
}

/** The value of every setting that has one, in the order of the settings, with where it was found last. */
function collectValues({ file, env = process.env, flags = {} }: ConfigInput): Map<ConfigKey, GivenValue> {
  const found = new Map<ConfigKey, GivenValue>();
  const put = ({ key }: Setting, value: unknown, source: ConfigSource, name: string) => {
    // A file has numbers of its own, but no percent sign.
    const isText = typeof value === 'string' && (source !== 'file' || (isShare(schemas[key]) && value.endsWith('%')));
    found.set(key, { value: isText ? parseText(key, value) : value, source, name });
  };
  for (const setting of settings) {
    if (setting.default !== undefined) put(setting, setting.default, 'default', setting.key);
  }
  for (const [key, value] of Object.entries(file === undefined ? {} : readConfigFile(file))) {
    const setting = byKey.get(key);
    if (!setting) throw unknownSetting(key, `in the config file ${file}`, byKey.keys());
    put(setting, value, 'file', `${key} in ${file}`);
  }
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || !name.startsWith('STOPLINE_') || isServiceLink(name, value)) continue;
    const setting = byEnv.get(name);
    if (!setting) throw unknownSetting(name, 'in the environment', byEnv.keys());
    put(setting, value, 'environment', name);
  }
  for (const [key, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    const setting = byKey.get(key);
    if (!setting) throw unknownSetting(key, 'as an option', byKey.keys());
    put(setting, value, 'flag', setting.flag);
  }
  return new Map(settings.flatMap(({ key }) => (found.has(key) ? [[key, found.get(key) as GivenValue]] : [])));
}

/** Settings that only make sense together. */
function checkTogether({ headersTimeoutMs, requestTimeoutMs, tlsCert, tlsKey }: Config): void {
  // Node swaps the two silently when they come the wrong way round, and then neither does what its name says.
  if (headersTimeoutMs >= requestTimeoutMs) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected headersTimeoutMs to be less than requestTimeoutMs but received ${headersTimeoutMs} and ${requestTimeoutMs}.`,
    );
  }
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new StoplineError('OPTION_INVALID', 'Expected tlsCert and tlsKey, or neither, but received one of them.');
  }
}

/** Whether a setting is never shown, neither in errors nor by `--print-config`. */
function isSecret(key: ConfigKey): boolean {
  return schemas[key].writeOnly === true;
}

/** A value as it may be shown: of secrets only that they are there, and addresses without their passwords. */
function showValue(key: ConfigKey, value: unknown): unknown {
  if (value === undefined) return undefined;
  return isSecret(key) ? '(not shown)' : hideAll(value);
}

/** The effective settings as text, by concern, one a line with where it came from: what `--print-config` shows. */
export function describeConfig({ config, sources }: LoadedConfig): string {
  const rows = settings.map(({ key, group }) => {
    const value = showValue(key, config[key]);
    const text = value === undefined ? '(none)' : isSecret(key) ? String(value) : JSON.stringify(value);
    return { key, group, text, source: `(${sources[key]})` };
  });
  // One long value, such as that of routes, must not move all sources out of sight.
  const widths = [Math.max(...rows.map(({ key }) => key.length)), 24];
  const sections = settingGroups.map((group) => [
    `# ${group.title}`,
    ...rows
      .filter((row) => row.group === group)
      .map(({ key, text, source }) => `${key.padEnd(widths[0])}  ${text.padEnd(widths[1])}  ${source}`),
  ]);
  return sections.map((lines) => lines.join('\n')).join('\n\n');
}

/** The same for programs: the value of each setting, `null` where it has none, and its source. */
export function listConfig({
  config,
  sources,
}: LoadedConfig): Record<string, { value: unknown; source: ConfigSource }> {
  return Object.fromEntries(
    settings.map(({ key }) => [key, { value: showValue(key, config[key]) ?? null, source: sources[key] }]),
  );
}

/**
 * The folder in which measurements are kept: the one that is asked for, or where the system keeps such things for a user.
 * @returns undefined where none is wanted
 */
export function readCacheFolder(asked: string | false | undefined): string | undefined {
  if (asked === false) return undefined;
  if (asked !== undefined) return asked;
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, 'stopline');
  if (process.platform === 'win32' && LOCALAPPDATA) return join(LOCALAPPDATA, 'stopline', 'cache');
  return join(homedir(), ...(process.platform === 'darwin' ? ['Library', 'Caches'] : ['.cache']), 'stopline');
}

/** What the environment tells libuv and the C library. These are no settings of Stopline, but `stopline doctor` shows them. */
export function runtimeEnvironment(): {
  UV_THREADPOOL_SIZE?: string | undefined;
  MALLOC_ARENA_MAX?: string | undefined;
} {
  const { UV_THREADPOOL_SIZE, MALLOC_ARENA_MAX } = process.env;
  return { UV_THREADPOOL_SIZE, MALLOC_ARENA_MAX };
}

/** What decides a verdict, as the settings say it: the same for every command and the service. */
export function judgingOptions(config: Config) {
  const { core, decideBy, blockWhen, ignore, model, device, bodyLimit: maxBytes, maxPixels, maxSide } = config;
  const { maxModelBytes, maxModelNodes } = config;
  return {
    core,
    decideBy,
    blockWhen,
    ignore,
    model,
    device,
    limits: { maxBytes, maxPixels, maxSide, maxModelBytes, maxModelNodes },
  };
}
