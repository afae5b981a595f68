import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import type { CameraStatus } from '../../../src/server/cameras/cameras.ts';
import { type Service, serve } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { jpegFrame } from '../../fixtures/camera.ts';
import { CameraServer, jpegPart, motionJpegType } from '../../fixtures/cameraserver.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';

let reference: Reference;
let server: CameraServer;
let url: string;
let service: Service | undefined;

beforeAll(async () => {
  reference = await fitReference();
});
beforeEach(async () => {
  server = new CameraServer();
  url = await server.listen();
});
afterEach(async () => {
  await service?.close();
  service = undefined;
  await server.close();
});
afterAll(() => reference.remove());

const size = { width: 320, height: 180 };
const makeFrame = (index: number) => jpegFrame(index, undefined, size);

async function start(cameras: { name: string; address: string }[], flags: Partial<Config> = {}): Promise<Service> {
  const common = { profile: reference.profilePath, port: 0, threads: 1, logLevel: 'silent', cameraEveryMs: 100 };
  const { config } = loadConfig({ env: {}, flags: { ...common, cameras, ...flags } });
  service = await serve(config);
  return service;
}

const get = async (path: string) => (await fetch(`${service?.url}${path}`)).text();
const readCameras = async (): Promise<CameraStatus[]> => JSON.parse(await get('/cameras')).cameras;
const wait = { timeout: 60_000, interval: 50 };

describe('cameras of a service', () => {
  it('are judged as images that clients send: history, monitors, metrics, journal', async () => {
    const frames = await Promise.all([0, 1, 2, 3].map(makeFrame));
    let sent = 0;
    server.handlers.set('/snap.jpg', (_, response) => {
      response.writeHead(200, { 'content-type': 'image/jpeg' }).end(frames[sent++ % 4]);
    });
    server.handlers.set('/video', (_, response) => {
      response.writeHead(200, { 'content-type': motionJpegType });
      const timer = setInterval(() => response.write(jpegPart(frames[sent++ % 4])), 10);
      response.on('close', () => clearInterval(timer));
    });
    const address = url.replace('//', '//viewer:geheim@');
    await start([
      { name: 'front', address: `${address}/snap.jpg?token=abcdef` },
      { name: 'rear', address: `${address}/video` },
    ]);
    await expect.poll(async () => (await readCameras()).every(({ judged }) => judged >= 3), wait).toBe(true);
    expect(await readCameras()).toMatchObject([
      { source: 'front', address: url, state: 'live', failed: 0, lost: 0 },
      { source: 'rear', address: url, state: 'live', failed: 0, lost: 0 },
    ]);
    const drift = JSON.parse(await get('/drift'));
    expect(drift.sources.map(({ source }: { source: string }) => source)).toEqual(['front', 'rear']);
    const metrics = await get('/metrics');
    expect(metrics).toMatch(/stopline_camera_up\{source="front"\} 1/);
    expect(metrics).toMatch(/stopline_camera_images_total\{source="rear",outcome="judged"\} [1-9]/);
    const pages = [
      metrics,
      await get('/cameras'),
      await get('/drift/front'),
      await get('/journal'),
      await get('/history'),
    ];
    expect(pages.join('')).not.toMatch(/geheim|abcdef|viewer/);
  });

  it('that are lost are told of, tried again and come back, also when their size is another', async () => {
    const [small, large] = [await makeFrame(0), await jpegFrame(1, undefined, { width: 640, height: 360 })];
    let frame = small;
    server.handlers.set('/video', (_, response) => {
      response.writeHead(200, { 'content-type': motionJpegType });
      const timer = setInterval(() => response.write(jpegPart(frame)), 10);
      response.on('close', () => clearInterval(timer));
    });
    const port = Number(new URL(url).port);
    await start([{ name: 'front', address: `${url}/video?token=geheim` }], { staleAfterMs: 400 });
    await expect.poll(async () => (await readCameras())[0].judged, wait).toBeGreaterThan(1);
    await server.close();
    await expect.poll(async () => (await readCameras())[0].state, wait).toBe('waiting');
    await expect.poll(async () => JSON.parse(await get('/drift/front')).state, wait).toBe('stale');
    const { text } = JSON.parse(await get('/drift/front'));
    expect(text).toMatch(/ago; until then .* It is tried again: Expected images from http:\/\/127\.0\.0\.1:\d+ but /);
    expect(await get('/metrics')).toMatch(/stopline_camera_up\{source="front"\} 0/);
    frame = large;
    await server.listen(port);
    await expect.poll(async () => (await readCameras())[0].state, wait).toBe('live');
    await expect.poll(async () => JSON.parse(await get('/drift/front')).state, wait).not.toBe('stale');
    const { entries } = JSON.parse(await get('/journal'));
    const told = entries
      .filter(({ kind }: { kind: string }) => kind === 'camera')
      .map((entry: { text: string }) => entry.text);
    expect(told[0]).toBe('The camera is back.');
    expect(told.join()).not.toContain('geheim');
  });

  it('that never answer are stale, as those that send no images', async () => {
    server.handlers.set('/snap.jpg', (_, response) => {
      response.writeHead(200, { 'content-type': 'image/jpeg' }).end('no image');
    });
    const cameras = [
      { name: 'garbage', address: `${url}/snap.jpg` },
      { name: 'nowhere', address: `${url}/none` },
    ];
    await start(cameras, { staleAfterMs: 400 });
    const readStates = async () => JSON.parse(await get('/drift')).sources.map(({ state }: { state: string }) => state);
    await expect.poll(readStates, wait).toEqual(['stale', 'stale']);
    // A source can be stale before the first answer of its camera has been read.
    await expect.poll(async () => (await readCameras()).every(({ problem }) => problem), wait).toBe(true);
    const { sources } = JSON.parse(await get('/drift'));
    expect(sources.map(({ trust }: { trust: string }) => trust)).toEqual(['old', 'old']);
    expect(sources[1].text).toMatch(/^No image has ever come. It is tried again: .* status 404\.$/);
    const [garbage] = await readCameras();
    expect(garbage.failed).toBeGreaterThan(0);
    expect(garbage.problem?.code).toBe('STOPLINE_ERR_IMAGE_UNSUPPORTED');
  });

  it('by the dozen take turns, so that none is refused', async () => {
    const frame = await makeFrame(0);
    server.handlers.set('/snap.jpg', (_, response) => {
      response.writeHead(200, { 'content-type': 'image/jpeg' }).end(frame);
    });
    const cameras = Array.from({ length: 12 }, (_, i) => ({ name: `c${i}`, address: `${url}/snap.jpg` }));
    await start(cameras, { cameraEveryMs: 1000 });
    await expect.poll(async () => (await readCameras()).every(({ judged }) => judged >= 1), wait).toBe(true);
    expect((await readCameras()).every(({ failed, lost }) => failed + lost === 0)).toBe(true);
  });

  it('of this machine are told of without their folders, in every answer', async () => {
    const folder = join(dirname(reference.profilePath), 'secret-place');
    mkdirSync(folder);
    writeFileSync(join(folder, 'broken.jpg'), 'no image');
    writeFileSync(join(folder, 'day.mjpg'), await makeFrame(0));
    const clips = ['missing.mp4', 'broken.jpg', 'day.mjpg', 'missing/*.jpg', 'day.mjpg/under.jpg'];
    await start(clips.map((clip, i) => ({ name: `c${i}`, address: join(folder, clip) })));
    const isOver = ({ state }: CameraStatus) => state === 'stopped' || state === 'ended';
    await expect.poll(async () => (await readCameras()).every(isOver), wait).toBe(true);
    expect((await readCameras())[0]).toMatchObject({ address: 'missing.mp4', state: 'stopped' });
    const paths = [
      '/cameras',
      '/drift',
      '/drift/c0',
      '/drift/c1',
      '/journal',
      '/metrics',
      '/metadata',
      '/health/ready',
    ];
    const pages = await Promise.all(paths.map(get));
    expect(pages.join('')).not.toContain('secret-place');
  });

  it.each(['../up', 'a b', '', 'x'.repeat(200), 'a\nb', '<b>', 'a/b'])('are not called %j', async (name) => {
    const error = await start([{ name, address: 'http://x/1' }]).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
  });

  it.each([
    [[{ name: 'a', address: 'rtmp://viewer:geheim@x/live' }], /Expected a camera as rtsp:/],
    [
      [
        { name: 'a', address: 'http://x/1' },
        { name: 'a', address: 'http://x/2' },
      ],
      /different names but two are called a/,
    ],
  ])('that cannot be are refused at the start', async (cameras, why) => {
    const error = await start(cameras).catch((reason) => reason);
    expect(error.message).toMatch(why);
    expect(error.message).not.toContain('geheim');
  });
});
