import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit/fit.ts';
import { fitParts, measurePart } from '../../src/fit/shards.ts';
import { maskAreas } from '../../src/image/mask.ts';
import { encodeProfile } from '../../src/profile/file.ts';
import type { InputOptions } from '../../src/run/inputs/item.ts';
import { openItems } from '../../src/run/inputs/items.ts';
import { createObjectStore } from '../../src/run/objects.ts';
import { jpegFrame, renderFolder } from '../fixtures/camera.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const inputs: InputOptions = { store: createObjectStore(), maxBytes: 1e7 };
const createdAt = new Date('2026-01-01T00:00:00Z');
/** Causes show each at each severity on two images; a third is kept for the report of power alone. */
const mask = maskAreas([
  { left: 0, top: 0, right: 0.3, bottom: 0.1 },
  {
    points: [
      [0.5, 0.8],
      [0.9, 0.8],
      [0.7, 1],
    ],
  },
]);
const options = { simulations: 10, power: 3, model: 'none', seed: 3, threads: 2, mask };
const paths = [at('drives')];
const size = { width: 96, height: 54 };

async function measureShards(count: number, more: Partial<typeof options> = {}): Promise<string[]> {
  const parts: string[] = [];
  for (let index = 0; index < count; index++) {
    const shard = { index, count };
    const part = at(`${index}of${count}${more.seed ?? ''}.stopline-part`);
    const items = await openItems(paths, { ...inputs, shard });
    await measurePart({ ...options, ...more, paths, items, shard }, part, inputs.store);
    parts.push(part);
  }
  return parts;
}

beforeAll(async () => {
  const [first] = await renderFolder(at('drives', 'a'), 30, 0, size);
  await renderFolder(at('drives', 'b'), 25, 100, size);
  // Copies and a broken file, which different shards may meet.
  for (let i = 0; i < 6; i++) copyFileSync(first, at('drives', 'b', `copy${i}.jpg`));
  writeFileSync(at('drives', 'a', 'broken.jpg'), 'x');
});

describe('fitParts', () => {
  it('of shards gives the Profile of one fit in one thread, byte for byte, also when the images are gone', async () => {
    const whole = await fit({ ...options, paths, createdAt, threads: 1 });
    const parts = await measureShards(3);
    await rm(at('drives'), { recursive: true });
    const joined = await fitParts([parts[2], parts[0], parts[1]], { createdAt });
    expect(joined.profile.reference).toMatchObject({ images: 55, duplicates: 6, skipped: 1 });
    expect(joined.profile.power?.images).toBe(3);
    expect(joined.profile.mask).toEqual(mask);
    expect(Buffer.from(encodeProfile(joined.profile)).equals(encodeProfile(whole.profile))).toBe(true);

    const refused = (...some: string[]) => expect(fitParts(some)).rejects;
    await refused(parts[0], parts[2]).toMatchObject({
      code: 'STOPLINE_ERR_PART_INVALID',
      message: expect.stringContaining('they are the shards 0, 2 of 3'),
    });
    await refused(parts[0], parts[0], parts[1]).toMatchObject({ code: 'STOPLINE_ERR_PART_INVALID' });
    writeFileSync(at('none.stopline-part'), 'x'.repeat(1000));
    await refused(at('none.stopline-part')).toMatchObject({ code: 'STOPLINE_ERR_PART_INVALID' });
    mkdirSync(at('drives'));
    await renderFolder(at('drives'), 3);
    const [other] = await measureShards(1, { seed: 4 });
    await refused(parts[0], other).toMatchObject({ message: expect.stringContaining('other options') });
  });
});

describe('fit', () => {
  it('of an archive, which is read once, looks again at the images that it kept, and names them as members', async () => {
    const archive = pack();
    for (let i = 0; i < 60; i++) archive.entry({ name: `drive/${i}.jpg` }, Buffer.from(await jpegFrame(i)));
    archive.finalize();
    writeFileSync(at('drives.tar'), await buffer(archive));
    const items = await openItems([at('drives.tar')], inputs);
    const { profile } = await fit({ ...options, simulations: 0, power: 0, paths: [at('drives.tar')], items });
    expect(profile.reference.folders).toEqual([{ folder: 'drives.tar/drive', images: 60 }]);
    // The picture is of an image that has gone by.
    expect(profile.example?.jpeg.length).toBeGreaterThan(100);
  });
});
