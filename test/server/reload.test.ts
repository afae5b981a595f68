import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reloadUnderLoad } from '../../scripts/faults/reloads.ts';
import { loadConfig } from '../../src/config.ts';
import { createProfile, type Profile } from '../../src/profile/description.ts';
import { encodeProfile, saveProfile } from '../../src/profile/file.ts';
import { closeOnSignal, type Service, serve } from '../../src/server/serve.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';

describe('a Profile that is replaced', () => {
  let reference: Reference;
  let service: Service;
  beforeAll(async () => {
    reference = await fitReference();
    const flags = { profile: reference.profilePath, port: 0, threads: 1, logLevel: 'silent' };
    service = await serve(loadConfig({ env: {}, flags }).config);
  });
  afterAll(async () => {
    await service.close();
    await reference.remove();
  });

  function renamed(name: string): Profile {
    const { sha256: _, tensors, ...description } = reference.profile;
    return createProfile({ ...description, name }, tensors);
  }
  const inForce = async () => ((await (await request(`${service.url}/profile`)).body.json()) as { name: string }).name;

  it('is taken within moments of the file changing, by every route and metric', async () => {
    const next = renamed('night-camera');
    await saveProfile(next, reference.profilePath);
    await expect.poll(inForce).toBe('night-camera');
    const verdict = await request(`${service.url}/inspect`, { method: 'POST', body: Buffer.from(reference.frame) });
    expect(await verdict.body.json()).toMatchObject({ profile: { name: 'night-camera', sha256: next.sha256 } });
    const metrics = await (await request(`${service.url}/metrics`)).body.text();
    const builds = metrics.match(/^stopline_build_info\{.*\} 1$/gm) ?? [];
    expect(builds).toHaveLength(1);
    expect(builds[0]).toContain(`profile="${next.sha256.slice(0, 12)}"`);
  });

  it('stays as it is when the file is no Profile, and the answer says why', async () => {
    const bytes = Buffer.from(encodeProfile(renamed('broken-camera')));
    bytes[bytes.length - 1] ^= 1;
    const broken = join(reference.profilePath, '../broken');
    await writeFile(broken, bytes);
    await rename(broken, reference.profilePath);
    const response = await request(`${service.url}/profile/reload`, { method: 'POST' });
    expect(response.statusCode).toBe(500);
    expect(await response.body.json()).toMatchObject({ error: { code: 'STOPLINE_ERR_PROFILE_CHECKSUM' } });
    expect(await inForce()).toBe('night-camera');
    expect((await request(`${service.url}/health/ready`)).statusCode).toBe(200);
  });

  it('is reloaded on SIGHUP; the same one again changes nothing', async () => {
    const ended = closeOnSignal(service);
    await saveProfile(renamed('third-camera'), reference.profilePath);
    process.emit('SIGHUP');
    await expect.poll(inForce).toBe('third-camera');
    const { pool } = service;
    const again = await request(`${service.url}/profile/reload`, { method: 'POST' });
    expect(await again.body.json()).toMatchObject({ name: 'third-camera', changed: false });
    expect(service.pool).toBe(pool);
    await service.close();
    expect(await ended).toBe(true);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.removeAllListeners(signal);
  });
});

it('never mixes Profiles and loses no request while it is replaced under load', async () => {
  const report = await reloadUnderLoad({ reloads: 6, rate: 10, corruptEvery: 3, threads: 1 });
  expect(report).toMatchObject({ reloads: 6, corrupt: 2, wrongReloads: [], wrongAnswers: [] });
  // Each replacement met an image on its way.
  expect(report.requests).toBeGreaterThan(6);
});
