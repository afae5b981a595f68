import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pickEnvironment } from '../../src/core/environment.ts';
import { createPool } from '../../src/run/pool.ts';

it('keeps what a process needs to run, and nothing that others must not know', () => {
  const secrets = {
    STOPLINE_API_KEYS: 'admin:00',
    STOPLINE_REDIS: 'redis://:password@cache',
    STOPLINE_ALERT_SECRET: 's',
    AWS_SECRET_ACCESS_KEY: 's',
    AWS_SESSION_TOKEN: 's',
    DATABASE_URL: 'postgres://u:p@db',
    GITHUB_TOKEN: 's',
    NODE_OPTIONS: '--import http://u:p@host/x.js',
    HTTPS_PROXY: 'http://u:p@proxy',
    LANG: 'http://u:p@proxy',
  };
  expect(pickEnvironment(secrets)).toEqual({});
  const harmless = {
    PATH: '/bin',
    TZ: 'UTC',
    MALLOC_ARENA_MAX: '2',
    NODE_OPTIONS: '--import=/hook.ts',
    VIPS_BLOCK_UNTRUSTED: '1',
    LC_ALL: 'C',
  };
  expect(pickEnvironment({ ...secrets, ...harmless, LANG: 'de' })).toEqual({ ...harmless, LANG: 'de' });
});

describe.skipIf(process.platform !== 'linux')('the processes that decode', () => {
  const name = 'STOPLINE_TEST_SECRET';
  beforeAll(() => {
    process.env[name] = 'a secret of the service';
  });
  afterAll(() => {
    delete process.env[name];
  });

  it('do not have the environment of the service', async () => {
    const isChild = (pid: string) => {
      try {
        return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1] === String(process.pid);
      } catch {
        return false;
      }
    };
    const pool = await createPool({ isolation: 'process', threads: 1 });
    try {
      await pool.ready();
      const workers = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isChild(pid));
      const environments = workers.map((pid) => readFileSync(`/proc/${pid}/environ`, 'utf8'));
      const ours = environments.filter((_, i) =>
        readFileSync(`/proc/${workers[i]}/cmdline`, 'utf8').includes('process.entry'),
      );
      expect(ours.length).toBeGreaterThanOrEqual(1);
      for (const environment of ours) {
        expect(environment).not.toContain('a secret of the service');
        expect(environment).toContain('MALLOC_ARENA_MAX');
      }
    } finally {
      await pool.destroy();
    }
  });
});
