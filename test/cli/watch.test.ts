import { execFileSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTime } from '../../src/cli/watch.ts';
import { jpegFrame } from '../fixtures/camera.ts';
import { CameraServer } from '../fixtures/cameraserver.ts';
import { runHere, startService } from '../fixtures/cli.ts';
import { fitOnce, plainProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const profile = join(folder, 'camera.stopline');
const server = new CameraServer();
let address: string;

beforeAll(async () => {
  const fitted = await fitOnce(plainProfile);
  copyFileSync(fitted.profilePath, profile);
  const frame = await jpegFrame(0);
  server.handlers.set('/snap.jpg', (_, response) => {
    response.writeHead(200, { 'content-type': 'image/jpeg' }).end(frame);
  });
  address = (await server.listen()).replace('//', '//viewer:geheim@');
});
afterAll(() => server.close());

describe('stopline watch', () => {
  it('watches cameras and clips by their names, and shows no password to whoever lists processes', async () => {
    const clip = join(folder, 'day.mjpg');
    writeFileSync(clip, Buffer.concat([await jpegFrame(1), await jpegFrame(2)]));
    const args = [`${address}/snap.jpg`, `${address}/snap.jpg`, clip, '--every', '200ms'];
    const service = await startService(['--profile', profile, ...args], { command: 'watch' });
    const read = async () => (await (await fetch(`${service.url}/cameras`)).json()).cameras;
    await expect
      .poll(async () => (await read()).map(({ source, state }: Record<string, string>) => `${source} ${state}`), {
        timeout: 60_000,
      })
      .toEqual(['127.0.0.1 live', '127.0.0.1-2 live', 'day ended']);
    expect(await read()).toMatchObject([{}, {}, { judged: 2, failed: 0 }]);
    const listed = execFileSync('ps', ['-o', 'args=', '-p', String(service.pid)], { encoding: 'utf8' });
    expect(listed.trim()).toBe('stopline');
    const { staleAfterMs } = await (await fetch(`${service.url}/drift`)).json();
    expect(staleAfterMs).toBe(30_000);
    const { code, stdout, stderr } = await service.stop('SIGTERM');
    expect([code, stderr]).toEqual([0, expect.stringContaining(`listening at ${service.url}`)]);
    expect(stdout + stderr).not.toMatch(/geheim|viewer/);
  });

  it.each([
    ['without cameras', [], /Expected cameras, as arguments or as `cameras`/],
    ['with names for others', ['http://x/a', '--name', 'a,b'], /--name to give 1 names.*received 2/],
    ['with a time that is none', ['http://x/a', '--every', 'often'], /--every as 500ms, 1s or 2m but received "often"/],
    ['faster than the settings allow', ['http://x/a', '--every', '1ms'], /integer from 20/],
    ['with an address that is none', ['rtmp://viewer:geheim@x/a'], /Expected a camera as rtsp:/],
    ['with a name that is none', ['http://x/a', '--name', 'a b'], /cameras/],
  ])('does not start %s', async (_, args, why) => {
    const { code, stdout, stderr } = await runHere(['watch', '--profile', profile, '--port', '0', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(why);
    expect(stderr).not.toContain('geheim');
  });
});

describe('parseTime', () => {
  it.each([
    ['500ms', 500],
    ['1s', 1000],
    ['1.5', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
  ])('%s is %i ms', (text, ms) => expect(parseTime(text)).toBe(ms));
});
