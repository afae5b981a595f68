import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { type Service, serve } from '../../src/server/serve.ts';
import type { Config } from '../../src/settings.ts';
import { startBroker, type TestBroker } from '../fixtures/broker.ts';
import { encodeFrame, renderFrame } from '../fixtures/camera.ts';

/** Written by `test/fixtures/savedservice.program.ts` with the code of that commit. */
const commit = '63a478e';
const saved = (name: string) => fileURLToPath(new URL(`../fixtures/saved/service-${commit}/${name}`, import.meta.url));
const profile = fileURLToPath(new URL(`../fixtures/profiles/${commit}.stopline`, import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stopline-upgrade-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function start(flags: Partial<Config>): Promise<Service> {
  const always = { profile, port: 0, threads: 1, logLevel: 'silent', maxWaitMs: 60_000, isolation: 'thread' };
  return serve(loadConfig({ env: {}, flags: { ...always, ...flags } as never }).config);
}

it('a quarantine of then is read, reviewed and added to', async () => {
  const quarantine = join(folder, 'kept');
  await cp(saved('quarantine'), quarantine, { recursive: true });
  const ids = (await readdir(quarantine)).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, 64));
  const [accepted] = await readdir(join(quarantine, 'accepted'));
  // Images of then are older than they would be kept.
  const service = await start({ quarantine, quarantineDays: 3650 } as never);
  const ask = (path: string, init?: RequestInit) => fetch(`${service.url}/quarantine${path}`, init);
  const read = async (path: string) => JSON.parse(await (await ask(path)).text());
  try {
    const list = await read('');
    expect(list).toMatchObject({ count: 2, accepted: 1, sources: ['front'] });
    expect(list.items.map(({ id }: { id: string }) => id).sort()).toEqual(ids.sort());
    for (const id of [...ids, accepted.slice(0, 64)]) {
      const { item, verdict } = await read(`/${id}`);
      expect(item).toMatchObject({ id, source: 'front', format: 'jpeg' });
      expect(verdict.image.sha256).toBe(id);
      expect(verdict.reasons.length).toBeGreaterThan(0);
      const image = new Uint8Array(await (await ask(`/${id}/image`)).arrayBuffer());
      expect(image.length).toBe(item.bytes);
      expect((await ask(`/${id}/thumbnail`)).headers.get('content-type')).toBe('image/webp');
    }
    expect((await ask(`/${ids[0]}/accepted`, { method: 'PUT' })).status).toBe(204);
    expect((await ask(`/${accepted.slice(0, 64)}`, { method: 'DELETE' })).status).toBe(204);
    expect(await read('')).toMatchObject({ count: 1, accepted: 1 });
  } finally {
    await service.close();
  }
});

describe('a Redis that replicas and a run of then have left', async () => {
  const dump = gunzipSync(await readFile(saved('redis.rdb.gz')));
  const redis: TestBroker | undefined = await startBroker('redis-server', { dump });
  afterAll(() => redis?.stop());
  const url = `redis://127.0.0.1:${redis?.port}`;

  it.skipIf(!redis)('has the states of the sources, which go on where they were', async () => {
    const service = await start({ redis: url });
    const read = async (source: string) => JSON.parse(await (await fetch(`${service.url}/drift/${source}`)).text());
    try {
      await expect.poll(async () => (await read('front')).images).toBe(32);
      expect(await read('side')).toMatchObject({ images: 3, state: 'learning' });
      const body = await encodeFrame(renderFrame(900, { width: 160, height: 90 }));
      const headers = { 'content-type': 'image/jpeg', 'x-stopline-source': 'side' };
      expect((await fetch(`${service.url}/inspect`, { method: 'POST', body: body as never, headers })).status).toBe(
        200,
      );
      await expect.poll(async () => (await read('side')).images).toBe(4);
    } finally {
      await service.close();
    }
  });
});
