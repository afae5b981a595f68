import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import type { Frame } from '../../src/image/frame.ts';
import { joinMasks, Masks } from '../../src/run/masks.ts';
import { createPool, type Pool } from '../../src/run/pool.ts';
import { buildApp } from '../../src/server/app.ts';
import { Judge } from '../../src/server/judge.ts';
import { renderFrame } from '../fixtures/camera.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';

let reference: Reference;
let pool: Pool;
let folder: string;
let app: FastifyInstance;
const size = { width: 320, height: 180 };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stopline-masks-'));
  reference = await fitReference();
  pool = await createPool({ profile: reference.profilePath, threads: 1 });
  const white = { width: 8, height: 8, channels: 3, background: '#ffffff' } as const;
  const black = { create: { ...white, width: 4, height: 4, background: '#000000' } };
  await sharp({ create: white })
    .composite([{ input: black, left: 4, top: 4 }])
    .png()
    .toFile(join(folder, 'lower.png'));
  const masks = [
    { sources: ['front', 'yard-*'], mask: '0,0,0.5,0.5' },
    { sources: ['yard-2'], mask: join(folder, 'lower.png') },
  ];
  const flags = { logLevel: 'silent', quarantine: join(folder, 'kept'), masks };
  const { config } = loadConfig({ env: {}, flags: flags as never });
  app = await buildApp(config, new Judge({ pool, profile: reference.profile }));
});
afterAll(async () => {
  await app.close();
  await pool.close();
  await reference.remove();
  await rm(folder, { recursive: true });
});

/** A frame that is blocked, with the upper left quarter in a colour; as a PNG, in which no pixel changes another. */
function paint(red: number): Promise<Buffer> {
  const { data, width, height } = renderFrame(3, size);
  const out = data.map((value) => 255 - value);
  for (let y = 0; y < height / 2; y++) {
    for (let x = 0; x < width / 2; x++) out.set([red, 0, 255 - red], 3 * (y * width + x));
  }
  return sharp(out, { raw: { ...size, channels: 3 } })
    .png()
    .toBuffer();
}

async function send(image: Buffer, source: string, url = '/inspect') {
  const headers = { 'content-type': 'image/png', 'x-stopline-source': source };
  return (await app.inject({ method: 'POST', url, headers, payload: image })).json();
}
const ask = async (url: string) => (await app.inject(url)).json();
const read = async (bytes: Buffer): Promise<Frame> => {
  const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: 3 };
};
/** Whether the middle of a quarter is as red as it was painted. */
const isShown = ({ data, width, height }: Frame) =>
  data[3 * ((height >> 2) * width + (width >> 2))] > 200 && data[3 * ((height >> 2) * width + (width >> 2)) + 1] < 30;

it('counts nowhere what a source masks, and only of that source', async () => {
  const [red, blue] = [await paint(255), await paint(0)];
  for (const [source, isSame] of [
    ['front', true],
    ['yard-1', true],
    ['gate', false],
  ] as const) {
    const [one, other] = [await send(red, source), await send(blue, source)];
    expect(other.statistics.lumaMean === one.statistics.lumaMean, source).toBe(isSame);
    expect(other.score === one.score && other.image.hash === one.image.hash, source).toBe(isSame);
  }
  const [one, other] = [await send(red, 'front', '/explain'), await send(blue, 'front', '/explain')];
  expect(one.tiles).toEqual(other.tiles);
});

it('shows no picture of it, neither in quarantine nor on the page of the camera', async () => {
  const image = await paint(254);
  for (const source of ['yard-2', 'open']) {
    const verdict = await send(source === 'open' ? await paint(253) : image, source);
    expect(verdict.verdict).toBe('block');
    const id = verdict.image.sha256;
    await expect.poll(async () => (await app.inject(`/quarantine/${id}/image`)).statusCode).toBe(200);
    const kept = await app.inject(`/quarantine/${id}/image`);
    expect(kept.headers['content-type']).toBe('image/png');
    expect(isShown(await read(kept.rawPayload)), source).toBe(source === 'open');
    expect(isShown(await read((await app.inject(`/quarantine/${id}/thumbnail`)).rawPayload))).toBe(source === 'open');
    await expect.poll(async () => (await app.inject(`/recent/${source}/pictures/${id}`)).statusCode).toBe(200);
    expect(isShown(await read((await app.inject(`/recent/${source}/pictures/${id}`)).rawPayload))).toBe(
      source === 'open',
    );
  }
  expect((await ask('/quarantine?source=yard-2')).items).toHaveLength(1);
});

it('joins all masks that fit a source, and names none twice', async () => {
  const masks = await Masks.open([{ mask: '0,0,0.1,0.1' }, { sources: ['a', 'b'], mask: '0.5,0.5,1,0.5,0.75,1' }]);
  expect(masks.find('a')?.masks).toHaveLength(2);
  expect(masks.find('c')?.masks).toHaveLength(1);
  expect(masks.find('a')).toBe(masks.find('a'));
  expect(masks.find('a')?.key).toBe(masks.find('b')?.key);
  expect((await Masks.open()).find('a')).toBeUndefined();
  expect(joinMasks([])).toBeUndefined();
  await expect(Masks.open([{ mask: '0,0,2,1' }])).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
});
