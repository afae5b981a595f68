import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Item } from '../../src/run/inputs/item.ts';
import { openItems } from '../../src/run/inputs/items.ts';
import { judgeItems } from '../../src/run/judgeitems.ts';
import { createObjectStore } from '../../src/run/objects.ts';
import type { Pool } from '../../src/run/pool.ts';
import { replaceFile } from '../../src/run/rows/output.ts';
import { startObjectStore } from '../fixtures/s3.ts';

const objects = new Map<string, Uint8Array>();
let server: Awaited<ReturnType<typeof startObjectStore>>;
let store: ReturnType<typeof createObjectStore>;

beforeAll(async () => {
  server = await startObjectStore(objects, { pageSize: 3 });
  for (const [name, value] of Object.entries(server.env)) vi.stubEnv(name, value);
  store = createObjectStore({ endpoint: server.endpoint });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server.stop();
});
beforeEach(() => {
  objects.clear();
  server.asked.length = 0;
});

async function read(url: string) {
  const items = await openItems([url], { store, maxBytes: 1000 });
  const all: Pick<Item, 'name' | 'version' | 'size' | 'folder'>[] = [];
  const texts: (string | undefined)[] = [];
  for await (const { name, version, size, folder, read } of items) {
    all.push({ name, version, size, folder });
    texts.push(
      await read?.().then(
        (bytes) => Buffer.from(bytes).toString(),
        ({ code }) => code,
      ),
    );
  }
  return { all, texts, count: await items.count() };
}

describe('s3://', () => {
  it('lists every page under a prefix in the order of the keys, images and archives only', async () => {
    for (let i = 9; i >= 0; i--) objects.set(`footage/2026/f${i}.jpg`, Buffer.from(`image ${i}`));
    objects.set('footage/2026/notes.txt', Buffer.from('no'));
    objects.set('footage/2026/g & <1>.png', Buffer.from('x'.repeat(1001)));
    objects.set('footage/2025/old.jpg', Buffer.from('old'));
    const archive = pack();
    archive.entry({ name: 'in.jpg' }, 'member');
    archive.finalize();
    objects.set('footage/2026/shard.tar', await buffer(archive));

    const { all, texts, count } = await read('s3://footage/2026/');
    expect(count).toBeUndefined();
    expect(all.map(({ name }) => name.replace('s3://footage/2026/', ''))).toEqual([
      ...Array.from({ length: 10 }, (_, i) => `f${i}.jpg`),
      'g & <1>.png',
      'shard.tar/in.jpg',
    ]);
    expect(texts).toEqual([
      ...Array.from({ length: 10 }, (_, i) => `image ${i}`),
      'STOPLINE_ERR_IMAGE_TOO_LARGE',
      'member',
    ]);
    expect(all[0]).toMatchObject({
      size: 7,
      folder: 's3://footage/2026',
      version: expect.stringMatching(/^7 "\w{32}"$/),
    });
    expect(server.asked.filter((request) => request.includes('prefix='))).toHaveLength(5);
  });

  it('reads many objects at a time, but not more than it may hold, and keeps their order', async () => {
    const far = await startObjectStore(objects, { latencyMs: 50 });
    for (let i = 100; i < 200; i++) objects.set(`footage/${i}.jpg`, Buffer.from(`${i}`));
    const distant = createObjectStore({ endpoint: far.endpoint });
    const items = await openItems(['s3://footage/'], { store: distant, maxBytes: 1000 });
    const pool = {
      info: { threads: 2 },
      score: async ({ name, bytes = Buffer.of() }: Parameters<Pool['score']>[0]) => ({
        line: bytes,
        count: { path: name, verdict: 'pass', reasons: [] },
      }),
    } as unknown as Pool;
    const lines: string[] = [];
    for await (const { line } of judgeItems(pool, items, { format: 'jsonl' })) lines.push(Buffer.from(line).toString());
    await far.stop();
    expect(lines).toEqual(Array.from({ length: 100 }, (_, i) => `${100 + i}`));
    expect(far.mostAtOnce).toBeGreaterThan(8);
    expect(far.mostAtOnce).toBeLessThanOrEqual(32);
  });

  it('tries again when the store is busy, and says so when it stays down', async () => {
    objects.set('footage/a.jpg', Buffer.from('image'));
    server.faults.left = 2;
    expect((await read('s3://footage/a.jpg')).texts).toEqual(['image']);
    Object.assign(server.faults, { left: Number.POSITIVE_INFINITY, code: 'InternalError' });
    await expect(store.read('s3://footage/a.jpg', 1000)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OBJECTS_UNAVAILABLE',
    });
    server.faults.left = 0;
  });

  it('tells what is missing from what cannot be reached', async () => {
    await expect(store.read('s3://footage/none.jpg', 1000)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_INPUT_NOT_FOUND',
    });
    const gone = createObjectStore({ endpoint: 'http://127.0.0.1:1' });
    await expect(gone.read('s3://footage/a.jpg', 1000)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OBJECTS_UNAVAILABLE',
      message: expect.stringContaining('--s3-endpoint'),
    });
    await expect(read('s3://')).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
  });

  it('takes a small output as one object and a large one in parts', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'stopline-s3-')), 'large');
    const large = Buffer.alloc(9 * 1024 * 1024, 'stopline');
    writeFileSync(file, large);
    await replaceFile('s3://out/rows.jsonl', store, async (path) => writeFileSync(path, 'rows\n'));
    await store.put('s3://out/large.bin', file);
    expect(Buffer.from(objects.get('out/rows.jsonl') as Uint8Array).toString()).toBe('rows\n');
    expect(large.equals(objects.get('out/large.bin') as Uint8Array)).toBe(true);
  });
});
