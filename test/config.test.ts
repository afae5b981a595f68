import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeConfig, loadConfig } from '../src/config.ts';
import { StoplineError } from '../src/errors.ts';
import { settings } from '../src/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, `${Math.random()}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function catchMessage(run: () => unknown): string {
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
  it('gives the documented defaults', () => {
    const { config, sources } = loadConfig({ env: {} });
    expect(config).toEqual({
      watchProfile: true,
      decideBy: 'combined',
      mode: 'observe',
      onError: 'open',
      share: 1,
      partial: false,
      verdictTimeoutMs: 2000,
      upstreamTimeoutMs: 30000,
      breakerFailures: 5,
      breakerRetryMs: 1000,
      quarantineShare: 1,
      quarantineImages: 10000,
      quarantineBytes: 1073741824,
      quarantineDays: 30,
      host: '127.0.0.1',
      port: 8080,
      threads: availableParallelism(),
      maxWaitMs: 500,
      headersTimeoutMs: 5000,
      requestTimeoutMs: 15000,
      bodyLimit: 33554432,
      bufferLimit: 100663296,
      maxPixels: 40000000,
      maxSide: 16384,
      drainTimeoutMs: 10000,
      core: 'auto',
      queueStalledMs: 30_000,
      device: 'cpu',
      logLevel: 'info',
      sourceHeader: 'x-stopline-source',
      trustedRequestId: false,
      allowAnonymous: false,
      historyRows: 200_000,
      historyDays: 30,
      maxSources: 10_000,
      falseAlarmEvery: 10_000,
      staleAfterMs: 300_000,
      freezeAfter: 10,
      peerRate: 0,
      isolation: 'process',
      maxImageMs: 2000,
    });
    expect(new Set(Object.values(sources))).toEqual(new Set(['default']));
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

  it('reads every setting from its environment variable and from its flag', () => {
    const other: Record<string, unknown> = {
      profile: 'camera.stopline',
      decideBy: 'content',
      blockWhen: 'pValue < 0.01',
      host: '0.0.0.0',
      port: 9,
      threads: 3,
      maxWaitMs: 7,
      headersTimeoutMs: 200,
      requestTimeoutMs: 300,
      bodyLimit: 2048,
      bufferLimit: 4096,
      maxPixels: 5,
      maxSide: 6,
      drainTimeoutMs: 0,
      core: 'native',
      device: 'gpu',
      logLevel: 'silent',
      trustedRequestId: true,
      apiKeys: [`inspect+read:${'0a'.repeat(32)}`, `admin:${'1b'.repeat(32)}`],
      allowAnonymous: true,
      peerRate: 50,
      isolation: 'thread',
      maxImageMs: 200,
      profileKey: 'release.pub',
      tlsCert: 'cert.pem',
      tlsKey: 'key.pem',
      stateDir: 'state',
      historyRows: 7,
      historyDays: 8,
      maxSources: 9,
      falseAlarmEvery: 500,
      staleAfterMs: 1000,
      freezeAfter: 3,
      alertWebhook: 'https://ops.example/hook?token=t0ken',
      alertSecret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      alertSlack: 'https://chat.example/services/t0ken',
      alertmanager: 'http://127.0.0.1:9093',
      redis: 'redis://:t0ken@127.0.0.1:6379',
      sourceHeader: 'x-camera',
      model: 'classifier.onnx',
      watchProfile: false,
      upstream: 'http://model:8000/prefix',
      mode: 'enforce',
      onError: 'closed',
      share: 0.25,
      partial: true,
      verdictTimeoutMs: 300,
      upstreamTimeoutMs: 400,
      breakerFailures: 2,
      breakerRetryMs: 500,
      quarantine: 'kept/',
      quarantineShare: 0.5,
      quarantineImages: 100,
      quarantineBytes: 4096,
      quarantineDays: 7,
      routes: [{ path: '/classify', protocol: 'image', mode: 'observe', tensor: { mean: [0.5] } }],
      s3Endpoint: 'http://127.0.0.1:9000',
      queue: 'rediss://queue:6380',
      queueStalledMs: 2000,
      broker: 'mqtts://broker',
    };
    const formatSetting = (key: string) => (key === 'routes' ? JSON.stringify(other[key]) : String(other[key]));
    expect(settings.map((setting) => setting.key).sort()).toEqual(Object.keys(other).sort());
    const env = Object.fromEntries(settings.map((setting) => [setting.env, formatSetting(setting.key)]));
    expect(loadConfig({ env }).config).toEqual(other);
    const flags = Object.fromEntries(settings.map((setting) => [setting.key, formatSetting(setting.key)]));
    expect(loadConfig({ env: {}, flags }).config).toEqual(other);
    expect(settings.find((setting) => setting.key === 'maxWaitMs')).toMatchObject({
      env: 'STOPLINE_MAX_WAIT_MS',
      flag: '--max-wait-ms',
      expects: 'an integer from 0 to 600000',
    });
  });

  it.each([
    [{ STOPLINE_PORT: 'http' }, 'Expected STOPLINE_PORT to be an integer from 0 to 65535 but received "http"'],
    [{ STOPLINE_SHARE: '2' }, 'Expected STOPLINE_SHARE to be a number from 0 to 1 but received 2'],
    [
      { STOPLINE_UPSTREAM: 'model:8000' },
      'Expected STOPLINE_UPSTREAM to be a text that fits ^https?://[^/?#]+(/[^?#]*)?$ but received "model:8000"',
    ],
    [{ STOPLINE_PORT: '' }, 'Expected STOPLINE_PORT to be an integer from 0 to 65535 but received ""'],
    [{ STOPLINE_PORT: '1.5' }, 'Expected STOPLINE_PORT to be an integer from 0 to 65535 but received "1.5"'],
    [{ STOPLINE_PORT: '65536' }, 'Expected STOPLINE_PORT to be an integer from 0 to 65535 but received 65536'],
    [{ STOPLINE_CORE: 'gpu' }, 'Expected STOPLINE_CORE to be one of auto, native, wasm but received "gpu"'],
    [
      { STOPLINE_TRUSTED_REQUEST_ID: 'yes' },
      'Expected STOPLINE_TRUSTED_REQUEST_ID to be true or false but received "yes"',
    ],
    [{ STOPLINE_PROFILE: '' }, 'Expected STOPLINE_PROFILE to be a text that is not empty but received ""'],
    [
      { STOPLINE_REQUEST_TIMEOUT_MS: '5000' },
      'Expected headersTimeoutMs to be less than requestTimeoutMs but received 5000 and 5000',
    ],
  ])('names the variable, the expectation and the value: %j', (env, message) => {
    expect(catchMessage(() => loadConfig({ env }))).toBe(message);
  });

  it('refuses unknown keys wherever they stand', () => {
    const path = file({ prot: 1 });
    expect(catchMessage(() => loadConfig({ env: {}, file: path }))).toMatch(
      /^Expected a known setting in the config file .*\(profile, decideBy, blockWhen, host, port, .*\) but received "prot"$/,
    );
    expect(catchMessage(() => loadConfig({ env: { STOPLINE_PROT: '1' } }))).toMatch(/environment .*"STOPLINE_PROT"$/);
    expect(catchMessage(() => loadConfig({ env: {}, flags: { prot: 1 } as never }))).toMatch(/as an option .*"prot"$/);
    expect(catchMessage(() => loadConfig({ env: {}, file: file('{"__proto__": {"port": 1}}') }))).toMatch(
      /"__proto__"$/,
    );
    expect(({} as Record<string, unknown>).port).toBeUndefined();
  });

  it('does not turn text in the config file into numbers', () => {
    expect(catchMessage(() => loadConfig({ env: {}, file: file({ port: '80' }) }))).toMatch(
      /port in .* to be an integer from 0 to 65535 but received "80"$/,
    );
  });

  it('says what is wrong with a config file', () => {
    expect(catchMessage(() => loadConfig({ env: {}, file: join(folder, 'absent.json') }))).toMatch(
      /readable file .*ENOENT/,
    );
    expect(catchMessage(() => loadConfig({ env: {}, file: file('{"port": ') }))).toMatch(
      /^Expected JSON in the config file/,
    );
    expect(catchMessage(() => loadConfig({ env: {}, file: file([1]) }))).toMatch(
      /^Expected an object .* received \[1\]$/,
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
    expect(catchMessage(() => loadConfig({ env: { STOPLINE_API_KEYS: key } }))).toMatch(
      /^Expected STOPLINE_API_KEYS to be /,
    );
    expect(catchMessage(() => loadConfig({ env: { STOPLINE_API_KEYS: key } }))).not.toContain(key);
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
      expect(catchMessage(() => loadConfig({ env: { [name]: 't0ken' } }))).not.toContain('t0ken');
    }
  });

  it('wants the certificate and its key together', () => {
    expect(catchMessage(() => loadConfig({ env: { STOPLINE_TLS_CERT: 'cert.pem' } }))).toContain('tlsCert and tlsKey');
  });

  it('prints one line a setting with its value and source', () => {
    const text = describeConfig(loadConfig({ env: { STOPLINE_CORE: 'wasm' }, flags: { port: '0' } }));
    const lines = text.split('\n');
    expect(lines).toHaveLength(settings.length);
    expect(lines.find((line) => line.startsWith('core'))).toMatch(/^core +"wasm" +\(environment\)$/);
    expect(lines.find((line) => line.startsWith('port'))).toMatch(/^port +0 +\(flag\)$/);
    expect(lines.find((line) => line.startsWith('profile'))).toMatch(/^profile +\(none\) +\(default\)$/);
  });
});
