import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Value from 'typebox/value';
import { afterAll, describe, expect, it } from 'vitest';
import { describeConfig, findSimilar, listConfig, loadConfig } from '../src/config.ts';
import { StoplineError } from '../src/errors.ts';
import { isShare, schemas, settingGroups, settings } from '../src/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, `${Math.random()}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function readMessage(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(StoplineError);
    expect((error as StoplineError).code).toBe('STOPLINE_ERR_OPTION_INVALID');
    return (error as StoplineError).message;
  }
  throw new Error('Expected an error');
}

describe('loadConfig', () => {
  it.each([
    ['alertWebhook', 'https://example.test/hook\r\nx-other: 1'],
    ['alertSlack', 'https://example.test:99999/'],
    ['alertmanager', 'http://user:50%zz@127.0.0.1:9093'],
    ['alertMqtt', 'mqtt://user@127.0.0.1:188300'],
    ['redis', 'redis://:secret@127.0.0.1:port'],
    ['upstream', 'http://127.0.0.1:80800'],
    ['grpcUpstream', 'grpcs://models:80001'],
  ])('takes no address that cannot be read for %s, and says it at the start', (key, address) => {
    const message = readMessage(() => loadConfig({ env: {}, flags: { [key]: address } }));
    expect(message).toMatch(/^Expected \S+ to be an address/);
    expect(message).not.toMatch(/secret|50%zz/);
  });

  it('gives defaults that keep their own bounds and fit together, and nothing that was not asked for', () => {
    const { config, sources } = loadConfig({ env: {} });
    for (const { key, default: value } of settings) expect(config[key], key).toEqual(value);
    expect(new Set(Object.values(sources))).toEqual(new Set(['default']));
    // What a new user gets without a word: reachable from this machine only, watching, never refusing.
    expect(config).toMatchObject({ host: '127.0.0.1', mode: 'observe', onError: 'open', allowAnonymous: false });
    expect(config.headersTimeoutMs).toBeLessThan(config.requestTimeoutMs);
    expect(config.bodyLimit).toBeLessThanOrEqual(config.bufferLimit);
    // Whoever waits for a verdict must outlast the wait for a worker, or each overload would be a timeout.
    expect(config.maxWaitMs).toBeLessThan(config.verdictTimeoutMs);
  });

  it('lets flags win over the environment, the environment over the file, the file over defaults', () => {
    const path = file({ port: 1, threads: 1, maxWaitMs: 1, core: 'wasm' });
    const { config, sources } = loadConfig({
      file: path,
      env: { STOPLINE_PORT: '2', STOPLINE_THREADS: '2', OTHER: 'x' },
      flags: { port: '3', host: undefined },
    });
    expect([config.port, config.threads, config.maxWaitMs, config.core, config.host]).toEqual([
      3,
      2,
      1,
      'wasm',
      '127.0.0.1',
    ]);
    expect([sources.port, sources.threads, sources.maxWaitMs, sources.host]).toEqual([
      'flag',
      'environment',
      'file',
      'default',
    ]);
  });

  /** A value of the setting that is not its default, as somebody would type it. */
  function writeOther(key: (typeof settings)[number]['key']): string {
    const schema = schemas[key];
    const value = schema.default;
    if (Array.isArray(schema.enum)) return schema.enum.find((word) => word !== value);
    if (schema.type === 'boolean') return String(!value);
    if (isShare(schema)) return '12.5%';
    if (schema.type === 'integer') {
      const least = schema.minimum as number;
      return String(value === least + 1 ? least + 2 : least + 1);
    }
    if (key === 'cameras')
      return JSON.stringify([{ name: 'front', address: 'rtsp://127.0.0.1/stream1', everyMs: 500 }]);
    if (key === 'routes') return JSON.stringify([{ path: '/classify', protocol: 'image', tensor: { mean: [0.5] } }]);
    if (key === 'maintenance') return JSON.stringify([{ cron: '0 2 * * *', minutes: 30 }]);
    if (key === 'masks') return JSON.stringify([{ sources: ['front'], mask: '0,0,0.4,0.1' }]);
    if (key === 'ignore') return 'size, encoder';
    if (key === 'allowedHost') return 'gate.example, 10.0.0.7';
    if (schema.type === 'array') return [`inspect+read:${'0a'.repeat(32)}`, `admin:${'1b'.repeat(32)}`].join(', ');
    // The example in the description or the expectation is one that works.
    return /\b\w+:\/\/[\w.:@-]+/.exec(`${schema.expects}`)?.[0] ?? 'a-text-of-16-letters';
  }
  /** Settings that want others beside them. */
  const beside: Record<string, Record<string, string>> = {
    STOPLINE_TLS_CERT: { STOPLINE_TLS_KEY: 'key.pem' },
    STOPLINE_TLS_KEY: { STOPLINE_TLS_CERT: 'cert.pem' },
    STOPLINE_REQUEST_TIMEOUT_MS: { STOPLINE_HEADERS_TIMEOUT_MS: '100' },
  };

  it.each(settings)('takes $key from the environment, as an option and from a file, and gives the same', (setting) => {
    const { key, env } = setting;
    const text = writeOther(key);
    const { config, sources } = loadConfig({ env: { [env]: text, ...beside[env] } });
    expect(config[key]).not.toEqual(setting.default);
    expect(Value.Check(schemas[key], config[key])).toBe(true);
    expect(sources[key]).toBe('environment');
    const others = beside[env] ?? {};
    expect(loadConfig({ env: others, flags: { [key]: text } }).config[key]).toEqual(config[key]);
    expect(loadConfig({ env: others, file: file({ [key]: config[key] }) }).config[key]).toEqual(config[key]);
  });

  it.each(settings.filter(({ key }) => ['integer', 'number'].includes(`${schemas[key].type}`)))(
    'takes the bounds of $key and nothing beyond',
    ({ key, env, expects }) => {
      const { minimum, maximum } = schemas[key] as unknown as { minimum: number; maximum: number };
      const others = key === 'headersTimeoutMs' ? { STOPLINE_REQUEST_TIMEOUT_MS: '600000' } : (beside[env] ?? {});
      const most = key === 'headersTimeoutMs' ? maximum - 1 : maximum;
      const least = key === 'requestTimeoutMs' ? minimum + 1 : minimum;
      for (const value of [least, most]) {
        expect(loadConfig({ env: { ...others, [env]: `${value}` } }).config[key]).toBe(value);
      }
      for (const value of [minimum - 1, maximum + 1]) {
        const message = readMessage(() => loadConfig({ env: { ...others, [env]: `${value}` } }));
        expect(message).toContain(`Expected ${env} to be ${expects} but received `);
        expect(message).toContain(`${value}`);
      }
    },
  );

  it('has every setting in one group, and names that cannot be mistaken for each other', () => {
    const keys = settings.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.sort()).toEqual(Object.keys(schemas).sort());
    expect(new Set(settings.map(({ env }) => env)).size).toBe(keys.length);
    expect(settings.find(({ key }) => key === 'maxWaitMs')).toMatchObject({
      env: 'STOPLINE_MAX_WAIT_MS',
      flag: '--max-wait-ms',
      expects: 'an integer from 0 to 600000',
      group: { name: 'limits' },
    });
    for (const { about } of settingGroups) expect(about).toMatch(/^[A-Z].*\.$/);
    for (const { description, expects } of settings) {
      expect(description).toMatch(/^[A-Z].*\.$/s);
      // A person cannot read a regular expression.
      expect(expects).not.toMatch(/[\^$\\|]/);
    }
  });

  it.each([
    [{ STOPLINE_PORT: 'http' }, 'Expected STOPLINE_PORT to be an integer from 0 to 65535 but received "http".'],
    [
      { STOPLINE_SHARE: '200%' },
      'Expected STOPLINE_SHARE to be a share from 0 to 1, or from 0% to 100% but received 2.',
    ],
    [
      { STOPLINE_UPSTREAM: 'model:8000' },
      'Expected STOPLINE_UPSTREAM to be an address such as http://127.0.0.1:8000, without a query but received "model:8000".',
    ],
    [{ STOPLINE_PORT: '' }, 'Expected STOPLINE_PORT to be an integer from 0 to 65535 but received "".'],
    [{ STOPLINE_PORT: '1.5' }, 'Expected STOPLINE_PORT to be an integer from 0 to 65535 but received "1.5".'],
    [{ STOPLINE_PORT: '65536' }, 'Expected STOPLINE_PORT to be an integer from 0 to 65535 but received 65536.'],
    [{ STOPLINE_CORE: 'gpu' }, 'Expected STOPLINE_CORE to be one of auto, native, wasm but received "gpu".'],
    [
      { STOPLINE_TRUSTED_REQUEST_ID: 'yes' },
      'Expected STOPLINE_TRUSTED_REQUEST_ID to be true or false but received "yes".',
    ],
    [{ STOPLINE_PROFILE: '' }, 'Expected STOPLINE_PROFILE to be a text that is not empty but received "".'],
    [
      { STOPLINE_REQUEST_TIMEOUT_MS: '5000' },
      'Expected headersTimeoutMs to be less than requestTimeoutMs but received 5000 and 5000.',
    ],
  ])('names the variable, the expectation and the value: %j', (env, message) => {
    expect(readMessage(() => loadConfig({ env }))).toBe(message);
  });

  it('refuses unknown keys wherever they stand, and says which was probably meant', () => {
    expect(readMessage(() => loadConfig({ env: {}, file: file({ prot: 1 }) }))).toMatch(
      /^Expected a known setting in the config file .* but received "prot". Did you mean port\? docs\/settings.md lists all\.$/,
    );
    expect(readMessage(() => loadConfig({ env: { STOPLINE_PROFLE: '1' } }))).toMatch(
      /in the environment .*"STOPLINE_PROFLE"\. Did you mean STOPLINE_PROFILE\?/,
    );
    expect(readMessage(() => loadConfig({ env: {}, flags: { prot: 1 } as never }))).toMatch(/as an option .*"prot"/);
    expect(readMessage(() => loadConfig({ env: {}, file: file('{"__proto__": {"port": 1}}') }))).toMatch(
      /"__proto__"\. docs\/settings\.md lists all\.$/,
    );
    expect(({} as Record<string, unknown>).port).toBeUndefined();
  });

  it.each(settings)('knows $key with a letter missing, doubled, or swapped', ({ key }) => {
    const keys = settings.map((setting) => setting.key);
    const middle = Math.ceil(key.length / 2);
    const wrong = [
      key.slice(0, middle) + key.slice(middle + 1),
      key.slice(0, middle) + key[middle - 1] + key.slice(middle),
      key.slice(0, middle - 1) + key[middle] + key[middle - 1] + key.slice(middle + 1),
    ];
    for (const name of wrong) if (!keys.includes(name as never)) expect(findSimilar(name, keys), name).toBe(key);
    expect(findSimilar('zzzzzzzzzz', keys)).toBeUndefined();
  });

  it('takes shares in percent from a file, too', () => {
    for (const share of ['1%', '1 %']) {
      expect(loadConfig({ env: {}, file: file({ quarantineShare: share }) }).config.quarantineShare).toBe(0.01);
    }
  });

  it('does not turn text in the config file into numbers', () => {
    expect(readMessage(() => loadConfig({ env: {}, file: file({ port: '80' }) }))).toMatch(
      /port in .* to be an integer from 0 to 65535 but received "80"\.$/,
    );
  });

  it('says what is wrong with a config file', () => {
    expect(readMessage(() => loadConfig({ env: {}, file: join(folder, 'absent.json') }))).toMatch(
      /readable file .*ENOENT/,
    );
    expect(readMessage(() => loadConfig({ env: {}, file: file('{"port": ') }))).toMatch(
      /^Expected JSON in the config file .* breaks off/,
    );
    // V8 quotes what stands where JSON breaks.
    const secret = '{\n  "alertSecret": "s3cret-s3cret-s3cret" oops }';
    const message = readMessage(() => loadConfig({ env: {}, file: file(secret) }));
    expect(message).toMatch(/in line 2, column 41\.$/);
    expect(message).not.toContain('s3cret');
    expect(readMessage(() => loadConfig({ env: {}, file: file([1]) }))).toMatch(
      /^Expected an object .* received a list\.$/,
    );
  });

  it('is not confused by the variables Kubernetes sets for a Service called stopline', () => {
    const env = {
      STOPLINE_SERVICE_HOST: '10.0.0.1',
      STOPLINE_SERVICE_PORT: '8080',
      STOPLINE_SERVICE_PORT_HTTP: '8080',
      STOPLINE_PORT: 'tcp://10.0.0.1:8080',
      STOPLINE_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
      STOPLINE_PORT_8080_TCP_PROTO: 'tcp',
      STOPLINE_PORT_8080_TCP_ADDR: '10.0.0.1',
    };
    expect(loadConfig({ env }).config.port).toBe(8080);
  });
});

describe('describeConfig', () => {
  it('never shows an API key, also not one that was put where its hash belongs', () => {
    const key = 'stopline_a-key-that-nobody-must-see';
    expect(readMessage(() => loadConfig({ env: { STOPLINE_API_KEYS: key } }))).toMatch(
      /^Expected STOPLINE_API_KEYS to be /,
    );
    expect(readMessage(() => loadConfig({ env: { STOPLINE_API_KEYS: key } }))).not.toContain(key);
    const hash = 'c4'.repeat(32);
    const text = describeConfig(loadConfig({ env: { STOPLINE_API_KEYS: `inspect:${hash}` } }));
    expect(text).toMatch(/^apiKeys +\(not shown\) +\(environment\)$/m);
    expect(text).not.toContain(hash);
  });

  it('never shows where alerts go, nor what they are signed with', () => {
    const env = {
      STOPLINE_ALERT_WEBHOOK: 'https://ops.example/hook?token=t0ken',
      STOPLINE_ALERT_SLACK: 'https://chat.example/services/t0ken',
      STOPLINE_ALERTMANAGER: 'https://user:t0ken@alerts.example',
      STOPLINE_REDIS: 'redis://:t0ken@127.0.0.1:6379',
      STOPLINE_ALERT_SECRET: 'a secret with t0ken in it',
    };
    expect(describeConfig(loadConfig({ env }))).not.toContain('t0ken');
    for (const name of Object.keys(env)) {
      expect(readMessage(() => loadConfig({ env: { [name]: 't0ken' } }))).not.toContain('t0ken');
    }
  });

  it('wants the certificate and its key together', () => {
    expect(readMessage(() => loadConfig({ env: { STOPLINE_TLS_CERT: 'cert.pem' } }))).toContain('tlsCert and tlsKey');
  });

  it('hides user, password and tokens in every address that it shows, and in errors', () => {
    // The kind: every setting that takes an address.
    const addresses = settings.filter(({ expects }) => expects.startsWith('an address'));
    expect(addresses.map(({ key }) => key).sort()).toEqual(
      [
        'alertMqtt',
        'alertSlack',
        'alertWebhook',
        'alertmanager',
        'broker',
        'grpcUpstream',
        'queue',
        'redis',
        's3Endpoint',
        'upstream',
      ].sort(),
    );
    for (const { env, expects } of addresses) {
      const [, scheme] = /(\w+):\/\//.exec(expects) as RegExpExecArray;
      // What ends the name of the host too early makes no address, and the error must not show it either.
      expect(readMessage(() => loadConfig({ env: { [env]: `${scheme}://me:a b/s3cret@host` } }))).not.toContain(
        's3cret',
      );
      for (const user of ['me:s3cret', ':s3cret', 's3cret', 'me:s3cret@more', 'me:a b s3cret', 'me:"s3cret']) {
        const loaded = loadConfig({ env: { [env]: `${scheme}://${user}@host:1234/path` } });
        for (const text of [describeConfig(loaded), JSON.stringify(listConfig(loaded))]) {
          expect(text).not.toContain('s3cret');
        }
        const wrong = { [env]: `gopher://${user}@host` };
        expect(readMessage(() => loadConfig({ env: wrong }))).not.toContain('s3cret');
      }
    }
    const query = loadConfig({ env: { STOPLINE_S3_ENDPOINT: 'https://host/?region=eu&access_token=s3cret&x=1' } });
    expect(describeConfig(query)).toMatch(/"https:\/\/host\/\?region=eu&access_token=\*\*\*&x=1"/);
    // The address itself is what is looked for when something does not connect.
    expect(describeConfig(loadConfig({ env: { STOPLINE_BROKER: 'nats://me:s3cret@host:4222' } }))).toContain(
      '"nats://***@host:4222"',
    );
  });

  it('prints one line a setting with its value and source, under the heading of its concern', () => {
    const text = describeConfig(loadConfig({ env: { STOPLINE_CORE: 'wasm' }, flags: { port: '0' } }));
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('# '));
    expect(lines.map((line) => line.split(' ')[0])).toEqual(settings.map(({ key }) => key));
    expect(text.match(/^# .*$/gm)).toEqual(settingGroups.map(({ title }) => `# ${title}`));
    expect(lines.find((line) => line.startsWith('core'))).toMatch(/^core +"wasm" +\(environment\)$/);
    expect(lines.find((line) => line.startsWith('port'))).toMatch(/^port +0 +\(flag\)$/);
    expect(lines.find((line) => /^profile /.test(line))).toMatch(/^profile +\(none\) +\(default\)$/);
  });
});
