import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { createPool, type Pool } from '../../../src/run/pool.ts';
import { buildApp } from '../../../src/server/app.ts';
import { Judge } from '../../../src/server/judge.ts';
import { openQuarantine } from '../../../src/server/quarantine/quarantine.ts';
import type { Config } from '../../../src/settings.ts';
import { encodeFrame, renderFrame } from '../../fixtures/camera.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';
import { startObjectStore } from '../../fixtures/s3.ts';

let reference: Reference;
let pool: Pool;
let folder: string;
let app: FastifyInstance | undefined;

beforeAll(async () => {
  reference = await fitReference();
  pool = await createPool({ profile: reference.profilePath, threads: 1 });
  await pool.ready();
});
afterAll(async () => {
  await pool.close();
  await reference.remove();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stopline-quarantine-'));
});
afterEach(async () => {
  await app?.close();
  await rm(folder, { recursive: true });
});

async function start(flags: Partial<Config> = {}): Promise<FastifyInstance> {
  await app?.close();
  const { config } = loadConfig({ env: {}, flags: { logLevel: 'silent', quarantine: folder, ...flags } as never });
  app = await buildApp(config, new Judge({ pool, profile: reference.profile }));
  return app;
}

/** A frame that is blocked, and is like no other. */
async function strange(index: number): Promise<Buffer> {
  return Buffer.from(await encodeFrame(renderFrame(index, { width: 320, height: 180 }), { quality: 3 }));
}

async function send(image: Uint8Array, source = 'front') {
  const headers = { 'content-type': 'image/jpeg', 'x-stopline-source': source };
  const response = await app?.inject({ method: 'POST', url: '/inspect', headers, payload: Buffer.from(image) });
  return response?.json().verdict;
}
const get = async (url: string) => (await (app as FastifyInstance).inject(url)).json();
const listed = async () => (await get('/quarantine')).items as { id: string; at: number; source: string }[];
const review = async (method: 'PUT' | 'DELETE', id: string) =>
  (await app?.inject({ method, url: `/quarantine/${id}/accepted` }))?.statusCode;
/** What lies in the folder, without the lock. */
const listFiles = async () => (await readdir(folder)).filter((name) => name !== '.stopline.lock');
const settle = (count: number) => expect.poll(async () => (await get('/quarantine')).count).toBe(count);

describe('the quarantine', () => {
  it('keeps what is stopped, once, with its verdict, and gives it back byte by byte', async () => {
    await start();
    const image = await strange(1);
    expect([await send(reference.frame), await send(image), await send(image)]).toEqual(['pass', 'block', 'block']);
    await settle(1);
    const [item] = await listed();
    expect(item).toMatchObject({
      source: 'front',
      verdict: 'block',
      format: 'jpeg',
      bytes: image.length,
      reason: expect.any(String),
    });
    expect((await get(`/quarantine/${item.id}`)).verdict).toMatchObject({
      verdict: 'block',
      image: { sha256: item.id },
    });
    const raw = await app?.inject(`/quarantine/${item.id}/image`);
    expect(raw?.headers['content-type']).toBe('image/jpeg');
    expect(raw?.rawPayload.equals(image)).toBe(true);
    const small = await app?.inject(`/quarantine/${item.id}/thumbnail`);
    expect(await sharp(small?.rawPayload).metadata()).toMatchObject({ format: 'webp', width: 320, height: 180 });
    expect((await app?.inject({ method: 'DELETE', url: `/quarantine/${item.id}` }))?.statusCode).toBe(204);
    expect(await listed()).toEqual([]);
    expect(await listFiles()).toEqual(['accepted']);
    const gone = await app?.inject(`/quarantine/${item.id}/image`);
    expect([gone?.statusCode, gone?.json().error.code]).toEqual([404, 'STOPLINE_ERR_ITEM_UNKNOWN']);
    expect((await app?.inject('/quarantine/..%2f..%2fetc%2fpasswd'))?.statusCode).toBe(400);
  });

  it('keeps no more than it may, the newest, and lists them in pages', async () => {
    await start({ quarantineImages: 3 });
    for (const index of [1, 2, 3, 4, 5]) await send(await strange(index), `camera-${index}`);
    const newest = ['camera-5', 'camera-4', 'camera-3'];
    await expect.poll(async () => (await listed()).map(({ source }) => source)).toEqual(newest);
    const first = await get('/quarantine?limit=2');
    expect(first.items).toHaveLength(2);
    const second = await get(`/quarantine?limit=2&before=${first.next}`);
    expect(second.items.map(({ source }: { source: string }) => source)).toEqual(['camera-3']);
    expect((await get('/quarantine?source=camera-4')).items).toHaveLength(1);
    await expect.poll(async () => (await listFiles()).length).toBe(7);
    const { bytes } = await get('/quarantine');

    await start({ quarantineBytes: Math.max(1024, bytes - 1) });
    expect((await get('/quarantine')).count).toBe(2);
  });

  it('finds at the next start what it kept, and clears away what is half or damaged', async () => {
    await start();
    for (const index of [1, 2, 3]) await send(await strange(index));
    await settle(3);
    const items = await listed();
    await app?.close();
    const [first, second] = items;
    await writeFile(join(folder, `${first.id}.json`), '{"id": ');
    await rm(join(folder, `${second.id}.jpeg`));
    await writeFile(join(folder, `${'a'.repeat(64)}.jpeg`), 'no verdict');
    await writeFile(join(folder, `${'b'.repeat(64)}.json.tmp`), 'half');
    await writeFile(join(folder, 'notes.txt'), 'not ours');
    await start();
    expect((await listed()).map(({ id }) => id)).toEqual([items[2].id]);
    const left = await listFiles();
    expect(left).toContain('notes.txt');
    expect(left.sort()).toEqual([`${items[2].id}.jpeg`, `${items[2].id}.json`, 'accepted', 'notes.txt'].sort());
  });

  it('sets accepted images apart, beyond its bounds and over restarts, and takes them back', async () => {
    await start();
    for (const index of [1, 2, 3]) await send(await strange(index), index === 1 ? 'rear' : 'front');
    await settle(3);
    const [newest, , oldest] = await listed();
    expect(await review('PUT', oldest.id)).toBe(204);
    expect(await review('PUT', oldest.id)).toBe(204);
    expect(await get('/quarantine')).toMatchObject({ count: 2, accepted: 1, kind: 'folder', sources: ['front'] });
    expect((await listed()).map(({ id }) => id)).not.toContain(oldest.id);
    // Sent again it is known, and not to be looked at again.
    expect(await send(await strange(1), 'rear')).toBe('block');

    await start({ quarantineImages: 1 });
    expect((await listed()).map(({ id }) => id)).toEqual([newest.id]);
    const accepted = await get('/quarantine?accepted=true');
    expect(accepted).toMatchObject({ items: [{ id: oldest.id }], count: 1, accepted: 1, sources: ['rear'] });
    expect(await get(`/quarantine/${oldest.id}`)).toMatchObject({ isAccepted: true, verdict: { verdict: 'block' } });
    const left = await readFile(join(folder, 'accepted', `${oldest.id}.jpeg`));
    expect(left.equals(await strange(1))).toBe(true);

    expect(await review('DELETE', oldest.id)).toBe(204);
    expect((await listed()).map(({ id }) => id)).toEqual([newest.id, oldest.id]);
    expect(await readdir(join(folder, 'accepted'))).toEqual([]);
    expect(await review('PUT', 'a'.repeat(64))).toBe(404);
    expect((await get('/quarantine?verdict=warn')).items).toEqual([]);
    expect((await get('/quarantine?verdict=block&source=rear')).items).toHaveLength(1);
  });

  it('takes only its share, and does not start where it cannot write', async () => {
    await start({ quarantineShare: 0 });
    expect(await send(await strange(1))).toBe('block');
    expect((await get('/quarantine')).count).toBe(0);
    await writeFile(join(folder, 'file'), '');
    await expect(start({ quarantine: join(folder, 'file') })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OUTPUT_UNWRITABLE',
    });
    app = undefined;
  });
});

describe('the quarantine in a bucket', () => {
  const objects = new Map<string, Uint8Array>();
  let bucket: Awaited<ReturnType<typeof startObjectStore>>;
  beforeAll(async () => {
    bucket = await startObjectStore(objects, { pageSize: 3 });
    for (const [name, value] of Object.entries(bucket.env)) vi.stubEnv(name, value);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await bucket.stop();
  });
  beforeEach(() => objects.clear());
  const place = 's3://kept/front/gate/';
  const startBucket = (flags: Partial<Config> = {}) =>
    start({ quarantine: place, s3Endpoint: bucket.endpoint, ...flags });
  const key = (id: string, extension = 'jpeg') => `kept/front/gate/${id}.${extension}`;
  const metric = async (name: string) => {
    const { body } = await (app as FastifyInstance).inject('/metrics');
    return Number(new RegExp(`^stopline_quarantine_${name} (\\S+)$`, 'm').exec(body)?.[1]);
  };

  it('keeps, lists, shows and drops as the folder does, and finds it all at the next start', async () => {
    await startBucket({ quarantineImages: 3 });
    const images = await Promise.all([1, 2, 3, 4, 5].map(strange));
    for (const [i, image] of images.entries()) await send(image, `camera-${i + 1}`);
    const newest = ['camera-5', 'camera-4', 'camera-3'];
    await expect.poll(async () => (await listed()).map(({ source }) => source)).toEqual(newest);
    await expect.poll(() => objects.size).toBe(6);
    const before = await listed();

    await startBucket();
    await settle(3);
    expect(await listed()).toEqual(before);
    const [{ id }] = before;
    expect((await get(`/quarantine/${id}`)).verdict).toMatchObject({ verdict: 'block', image: { sha256: id } });
    const raw = await app?.inject(`/quarantine/${id}/image`);
    expect(raw?.rawPayload.equals(images[4])).toBe(true);
    const small = await app?.inject(`/quarantine/${id}/thumbnail`);
    expect(await sharp(small?.rawPayload).metadata()).toMatchObject({ format: 'webp', width: 320 });
    const [, { id: normal }] = before;
    expect(await review('PUT', normal)).toBe(204);
    expect([...objects.keys()].filter((name) => name.includes('/accepted/')).sort()).toEqual([
      key(`accepted/${normal}`),
      key(`accepted/${normal}`, 'json'),
    ]);
    expect(objects.has(key(normal))).toBe(false);
    expect((await app?.inject({ method: 'DELETE', url: `/quarantine/${id}` }))?.statusCode).toBe(204);
    expect(objects.has(key(id)) || objects.has(key(id, 'json'))).toBe(false);
    expect([await metric('images'), await metric('accepted')]).toEqual([1, 1]);
  });

  it('clears away what was left half long ago, and nothing that is on its way or not its own', async () => {
    const [old, fresh, damaged] = ['a', 'b', 'c'].map((letter) => letter.repeat(64));
    objects.set(key(old), Buffer.from('no verdict'));
    objects.set(key(fresh), Buffer.from('no verdict yet'));
    objects.set(key(damaged, 'json'), Buffer.from('{"id": '));
    objects.set('kept/front/gate/notes.txt', Buffer.from('not ours'));
    for (const left of [key(old), key(damaged, 'json'), 'kept/front/gate/notes.txt']) bucket.modifiedAt.set(left, 0);
    await startBucket();
    await expect.poll(() => [...objects.keys()].sort()).toEqual([key(fresh), 'kept/front/gate/notes.txt'].sort());
    expect(await get('/quarantine')).toMatchObject({ count: 0 });
  });

  it('judges on while the bucket is down, holds the newest, says so once, and writes them when it is back', async () => {
    Object.assign(bucket.faults, { left: Number.POSITIVE_INFINITY, code: 'InternalError' });
    const { config } = loadConfig({ env: {}, flags: { quarantine: place, s3Endpoint: bucket.endpoint } });
    const judge = new Judge({ pool, profile: reference.profile });
    const said: string[] = [];
    const say = (_: unknown, text: string) => void said.push(text);
    const quarantine = await openQuarantine(config, judge, { error: say, info: say } as unknown as FastifyBaseLogger);
    for (let index = 0; index < 70; index++) {
      const { verdict } = await judge.inspect(await strange(index), { source: 'front', requestId: `${index}` });
      expect(verdict).toBe('block');
    }
    await expect.poll(() => quarantine.degraded).toContain('does not answer');
    await expect.poll(() => quarantine.waiting).toBe(64);
    expect(quarantine).toMatchObject({ count: 0, dropped: 6 });
    bucket.faults.left = 0;
    await expect.poll(() => quarantine.count).toBe(64);
    expect(quarantine).toMatchObject({ waiting: 0, dropped: 6, degraded: undefined });
    expect(objects.size).toBe(128);
    expect(said).toEqual([expect.stringContaining('cannot be used for now'), expect.stringContaining('again')]);
    // What somebody else removed is no fault of the service.
    const [{ id }] = quarantine.list({ limit: 1 });
    objects.delete(key(id));
    await expect(quarantine.image(id)).rejects.toMatchObject({ code: 'STOPLINE_ERR_ITEM_UNKNOWN' });
    await quarantine.close();
  });

  it('does not start with an address that names no bucket', async () => {
    await expect(start({ quarantine: 's3://' })).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    app = undefined;
  });
});
