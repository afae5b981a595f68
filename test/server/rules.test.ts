import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createPool } from '../../src/run/pool.ts';
import { buildApp } from '../../src/server/app.ts';
import { Judge } from '../../src/server/judge.ts';
import { fitReference } from '../fixtures/reference.ts';

const folder = fileURLToPath(new URL('../../docs/alerts/', import.meta.url));
const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
if (!hasPromtool) console.log('skipped: the command promtool is not installed');

it.skipIf(!hasPromtool)('the alert rules are valid and fire when they should', () => {
  execFileSync('promtool', ['check', 'rules', 'rules.yml'], { cwd: folder });
  execFileSync('promtool', ['test', 'rules', 'rules.test.yml'], { cwd: folder });
});

it('the alert rules and the dashboard ask only for metrics that there are', async () => {
  const reference = await fitReference();
  const pool = await createPool({ profile: reference.profilePath, threads: 1 });
  const quarantine = `${reference.profilePath}.kept`;
  const nowhere = { redis: 'redis://127.0.0.1:1', alertWebhook: 'http://127.0.0.1:1' };
  const { config } = loadConfig({ env: {}, flags: { logLevel: 'silent', quarantine, ...nowhere } });
  const app = await buildApp(config, new Judge({ pool, profile: reference.profile }));
  try {
    await pool.ready();
    const metrics = (await app.inject('/metrics')).body;
    const served = new Set(Array.from(metrics.matchAll(/^# TYPE (\w+)/gm), ([, name]) => name));
    for (const file of ['rules.yml', 'grafana.json']) {
      const text = readFileSync(folder + file, 'utf8');
      const asked = new Set(
        Array.from(text.matchAll(/\bstopline_\w+/g), ([name]) => name.replace(/_(bucket|count)$/, '')),
      );
      expect(asked.size).toBeGreaterThan(5);
      for (const name of asked) expect(served, `${name} in ${file}`).toContain(name);
    }
    expect((await app.inject('/drift')).json()).toMatchObject({ alone: true });
  } finally {
    await app.close();
    await pool.close();
    await reference.remove();
  }
});
