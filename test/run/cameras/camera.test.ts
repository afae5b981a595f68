import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readCamera } from '../../../src/run/cameras/address.ts';
import { openCamera } from '../../../src/run/cameras/camera.ts';
import type { CameraImage, CameraOptions } from '../../../src/run/cameras/cameraimage.ts';
import { answerChallenge } from '../../../src/run/cameras/digest.ts';
import { jpegFrame } from '../../fixtures/camera.ts';
import { CameraServer, jpegPart, motionJpegType } from '../../fixtures/cameraserver.ts';
import { RtspServer } from '../../fixtures/rtsp.ts';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
if (!hasFfmpeg) console.warn('ffmpeg is not installed: streams of cameras are not tested');

let folder: string;
let server: CameraServer;
let url: string;
let frames: Uint8Array[];
const stop: (() => unknown)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stopline-camera-'));
  frames = await Promise.all([0, 1, 2].map((index) => jpegFrame(index)));
});
beforeEach(async () => {
  server = new CameraServer();
  url = await server.listen();
});
afterEach(async () => {
  for (const end of stop.splice(0).reverse()) await end();
  await server.close();
});
afterAll(() => rm(folder, { recursive: true }));

/** The images of a camera, which is left when the test is over. */
function open(address: string, options: Partial<CameraOptions> = {}): AsyncGenerator<CameraImage> {
  const closing = new AbortController();
  const all = { everyMs: 20, stallMs: 30_000, maxBytes: 1_000_000, signal: closing.signal, ...options };
  stop.push(() => closing.abort(new Error('the test is over')));
  return openCamera(readCamera(address), all);
}

async function take(images: AsyncGenerator<CameraImage>, count: number): Promise<CameraImage[]> {
  const taken: CameraImage[] = [];
  while (taken.length < count) {
    const { value, done } = await images.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
}

/** Why a camera is lost, at the end of all its images. */
async function lose(
  images: AsyncGenerator<CameraImage>,
): Promise<{ code: string | undefined; message: string; images: number }> {
  let count = 0;
  try {
    for await (const _ of images) count++;
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    return { code, message, images: count };
  }
  throw new Error('the camera has ended');
}

async function readSize(image: CameraImage): Promise<string> {
  const { image: found } = image;
  const { width, height } = await sharp(found instanceof Uint8Array ? found : found?.bytes).metadata();
  return `${width}x${height}`;
}

const ffmpeg = (...args: string[]) =>
  promisify(execFile)('ffmpeg', ['-nostdin', '-loglevel', 'error', '-y', ...args], { cwd: folder });
const pattern = (size: string, seconds: number, rate = 10) => [
  '-f',
  'lavfi',
  '-i',
  `testsrc2=size=${size}:rate=${rate}:duration=${seconds}`,
  '-pix_fmt',
  'yuv420p',
];

describe('a snapshot', () => {
  it('is asked for again and again, as the camera sends it', async () => {
    server.handlers.set('/snap.jpg', (_, response) => {
      response.writeHead(200, { 'content-type': 'image/jpeg' }).end(frames[server.asked.length % 3]);
    });
    const taken = await take(open(`${url}/snap.jpg`), 3);
    expect(taken.every(({ image }) => frames.some((frame) => Buffer.from(frame).equals(image as Uint8Array)))).toBe(
      true,
    );
  });

  it('is asked for with Digest where the camera wants it, and the password is never sent', async () => {
    const challenge = 'Digest realm="camera", qop="auth", nonce="5f"';
    const seen: string[] = [];
    server.handlers.set('/snap.jpg', ({ headers, method = '', url: path = '' }, response) => {
      const { authorization = '' } = headers;
      seen.push(authorization);
      const [, nonce] = /cnonce="(\w+)"/.exec(authorization) ?? [];
      const count = Number.parseInt(/nc=(\w+)/.exec(authorization)?.[1] ?? '0', 16);
      const login = { user: 'viewer', password: 'geheim' };
      const isRight = nonce && answerChallenge(challenge, login, { method, path, count, nonce }) === authorization;
      if (isRight) response.writeHead(200, { 'content-type': 'image/jpeg' }).end(frames[0]);
      else response.writeHead(401, { 'www-authenticate': [challenge, 'Basic realm="camera"'] }).end();
    });
    const address = url.replace('//', '//viewer:geheim@');
    expect(await take(open(`${address}/snap.jpg?channel=1`), 3)).toHaveLength(3);
    expect(seen.slice(0, 3).map((text) => /nc=\d+/.exec(text)?.[0])).toEqual([undefined, 'nc=00000001', 'nc=00000002']);
    const wrong = await lose(open(`${address.replace('geheim', 'falsch')}/snap.jpg`));
    expect(wrong).toMatchObject({
      code: 'STOPLINE_ERR_CAMERA_UNREACHABLE',
      message: expect.stringContaining('refuses'),
    });
    const none = await lose(open(`${url}/snap.jpg`));
    expect(none.message).toMatch(/asks for a user and a password/);
    expect([wrong, none, ...seen].map((text) => JSON.stringify(text)).join('')).not.toMatch(/geheim|falsch|Z2VoZWlt/);
  });

  it('follows a redirect within the host and no other', async () => {
    server.handlers.set('/snap.jpg', (_, response) => {
      response.writeHead(200, { 'content-type': 'image/jpeg' }).end(frames[0]);
    });
    server.handlers.set('/old', (_, response) => response.writeHead(302, { location: '/snap.jpg' }).end());
    server.handlers.set('/away', (_, response) => response.writeHead(302, { location: 'http://localhost:1/' }).end());
    server.handlers.set('/round', (_, response) => response.writeHead(302, { location: '/round' }).end());
    expect(await take(open(`${url}/old`), 1)).toHaveLength(1);
    expect((await lose(open(`${url}/away`))).message).toMatch(/another host/);
    expect((await lose(open(`${url}/round`))).message).toMatch(/redirected 4 times/);
  });

  it('that is not there, too large, late or broken off is a camera that is lost', async () => {
    server.handlers.set('/large', (_, response) => {
      response.writeHead(200, { 'content-type': 'image/jpeg' }).end(frames[0]);
    });
    server.handlers.set('/late', () => undefined);
    server.handlers.set('/short', (_, response) => {
      response.writeHead(200, { 'content-type': 'image/jpeg', 'content-length': 9999 }).write(frames[0]);
      setImmediate(() => response.destroy());
    });
    expect((await lose(open(`${url}/none?token=geheim`))).message).toBe(
      `Expected images from ${url} but it answered with status 404.`,
    );
    server.handlers.set('/login', (_, response) => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>Who are you?</html>');
    });
    expect((await lose(open(`${url}/login`))).message).toBe(
      `Expected images from ${url} but it answers with text (text/html), such as a page to log in on.`,
    );
    expect(await lose(open(`${url}/large`, { maxBytes: 100 }))).toMatchObject({ code: 'STOPLINE_ERR_IMAGE_TOO_LARGE' });
    expect((await lose(open(`${url}/late`, { stallMs: 50 }))).message).toMatch(/sent no image|HEADERS_TIMEOUT/);
    expect((await lose(open(`${url}/short`))).message).toMatch(/the connection broke/);
    await server.close();
    expect((await lose(open(`${url}/snap.jpg`))).message).toMatch(/ECONNREFUSED/);
    server = new CameraServer();
  });
});

describe('a motion JPEG', () => {
  it('gives the frames between its headers and garbage, and says why it ended', async () => {
    server.handlers.set('/video', (_, response) => {
      response.writeHead(200, { 'content-type': motionJpegType });
      const parts = frames.map(jpegPart);
      response.end(Buffer.concat([Buffer.from('garbage'), parts[0], Buffer.alloc(500, 7), parts[1], parts[2]]));
    });
    const ended = await lose(open(`${url}/video`, { everyMs: 0 }));
    expect(ended).toMatchObject({ message: `Expected images from ${url} but the stream ended.` });
    expect(ended.images).toBeGreaterThan(0);
  });

  it('that stands still is given up, and the connection closed', async () => {
    const closed = new Promise((resolve) => {
      server.handlers.set('/video', (_, response) => {
        response.writeHead(200, { 'content-type': motionJpegType }).write(jpegPart(frames[0]));
        response.on('close', resolve);
      });
    });
    const lost = await lose(open(`${url}/video`, { stallMs: 100 }));
    expect(lost.message).toMatch(/sent no image for 0.1 s/);
    await closed;
  });
});

describe.skipIf(!hasFfmpeg)('a video', () => {
  beforeAll(async () => {
    await ffmpeg(...pattern('160x90', 2), '-c:v', 'libx264', '-g', '5', '-f', 'mpegts', 'small.ts');
    await ffmpeg(...pattern('320x180', 2), '-c:v', 'libx264', '-g', '5', '-f', 'mpegts', 'large.ts');
  });

  it('over HTTP is decoded, with its codec, and left where its size changes', async () => {
    const streams = await Promise.all(['small.ts', 'large.ts'].map((name) => readFile(join(folder, name))));
    server.handlers.set('/live', (_, response) => {
      response.writeHead(200, { 'content-type': 'video/mp2t' }).end(Buffer.concat(streams));
    });
    const images = open(`${url}/live`, { everyMs: 100 });
    const [first] = await take(images, 1);
    expect(first).toMatchObject({ image: { codec: 'h264' } });
    expect(await readSize(first)).toBe('160x90');
    const sizes: Promise<string>[] = [];
    await expect(
      (async () => {
        for await (const image of images) sizes.push(readSize(image));
      })(),
    ).rejects.toThrow(/the stream ended/);
    expect(new Set(await Promise.all(sizes))).not.toContain('320x180');
  });

  it('that is garbage says so, and nothing of it', async () => {
    server.handlers.set('/live', (_, response) => {
      response.writeHead(200, { 'content-type': 'video/mp2t' }).end(Buffer.alloc(100_000, 'geheim'));
    });
    const lost = await lose(open(`${url}/live`));
    expect(lost).toMatchObject({ code: 'STOPLINE_ERR_CAMERA_UNREACHABLE', images: 0 });
    expect(lost.message).toMatch(/ffmpeg says: .*Invalid data/);
  });

  it('cannot make ffmpeg open anything else', async () => {
    const list = `ffconcat version 1.0\nfile 'file:${join(folder, 'small.ts')}'\n`;
    server.handlers.set('/live', (_, response) => {
      response.writeHead(200, { 'content-type': 'video/mp2t' }).end(list);
    });
    expect((await lose(open(`${url}/live`))).images).toBe(0);
  });

  it.each([
    ['mpjpeg', 'multipart/x-mixed-replace', ['-c:v', 'mjpeg', '-f', 'mpjpeg']],
    ['mpegts', 'video', ['-c:v', 'libx264', '-g', '5', '-tune', 'zerolatency', '-f', 'mpegts']],
  ])('that ffmpeg itself serves as %s is watched', async (_, __, output) => {
    const relay = new CameraServer();
    stop.push(() => relay.close());
    const port = Number(new URL(await relay.listen()).port);
    await relay.close();
    const address = `http://127.0.0.1:${port}/live`;
    const sender = spawn('ffmpeg', [
      ...['-nostdin', '-loglevel', 'error', '-re', ...pattern('160x90', 60), ...output, '-listen', '1', address],
    ]);
    stop.push(() => sender.kill('SIGKILL'));
    let taken: CameraImage[] = [];
    // It listens when it is ready, and serves one connection.
    await expect.poll(async () => (taken = await take(open(address), 2).catch(() => []))).toHaveLength(2);
    expect(await Promise.all(taken.map(readSize))).toEqual(['160x90', '160x90']);
  });

  it('as an HTTP live stream is fetched segment by segment', async () => {
    const hls = [
      '-c:v',
      'libx264',
      '-g',
      '5',
      '-tune',
      'zerolatency',
      '-f',
      'hls',
      '-hls_time',
      '0.5',
      '-hls_list_size',
      '0',
    ];
    await ffmpeg(...pattern('160x90', 4), ...hls, 'live.m3u8');
    for (const name of await readdir(folder)) {
      const bytes = await readFile(join(folder, name));
      server.handlers.set(`/${name}`, (_, response) => response.end(bytes));
    }
    const [head, ...segments] = (await readFile(join(folder, 'live.m3u8'), 'utf8'))
      .replace(/#EXT-X-ENDLIST\s*/, '')
      .split(/(?=#EXTINF)/);
    let shown = 1;
    server.handlers.set('/live.m3u8', (_, response) => response.end([head, ...segments.slice(0, shown++)].join('')));
    const text = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8\n';
    server.handlers.set('/main.m3u8', (_, response) => response.end(text));
    const images = await take(open(`${url}/main.m3u8`), 2);
    expect(await Promise.all(images.map(readSize))).toEqual(['160x90', '160x90']);
  });

  it('in a file is taken frame by frame, every one, and has an end', async () => {
    await ffmpeg('-i', 'small.ts', '-c', 'copy', 'clip.mp4');
    const images = await take(open(join(folder, 'clip.mp4'), { everyMs: 250 }), 100);
    expect(images).toHaveLength(8);
    await expect(open(join(folder, 'none.mp4')).next()).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_NOT_FOUND' });
  });
});

describe.skipIf(!hasFfmpeg)('RTSP', () => {
  const login = { user: 'viewer', password: 'geheim' };

  async function serveRtsp(): Promise<{ rtsp: RtspServer; port: number }> {
    const rtsp = new RtspServer(login);
    const port = await rtsp.listen();
    stop.push(() => rtsp.close());
    const output = ['-c:v', 'libx264', '-g', '5', '-tune', 'zerolatency', '-f', 'rtsp', '-rtsp_transport', 'tcp'];
    const sender = spawn('ffmpeg', [
      ...['-nostdin', '-loglevel', 'error', '-re', ...pattern('160x90', 60), ...output, `rtsp://127.0.0.1:${port}/in`],
    ]);
    stop.push(async () => {
      sender.kill('SIGKILL');
      await once(sender, 'close');
    });
    await expect.poll(() => rtsp.isSent).toBe(true);
    return { rtsp, port };
  }

  it('is watched with its password, which nobody sees who lists processes', async () => {
    const { rtsp, port } = await serveRtsp();
    const images = open(`rtsp://viewer:geheim@127.0.0.1:${port}/stream1?token=abcdef`);
    const taken = await take(images, 3);
    expect(taken[0]).toMatchObject({ image: { codec: 'h264' } });
    expect(await readSize(taken[2])).toBe('160x90');
    const listed = await listChildren();
    expect(listed.filter((line) => line.includes('concat'))).toHaveLength(1);
    expect(listed.join('\n')).not.toMatch(/geheim|abcdef|stream1/);
    rtsp.cut();
    expect((await lose(images)).message).toMatch(/^Expected .*(stream ended|ffmpeg says)/);
  });

  it('with a wrong password, and one that stands still, is lost', async () => {
    const { rtsp, port } = await serveRtsp();
    const refused = await lose(open(`rtsp://viewer:falsches@127.0.0.1:${port}/stream1`));
    expect(refused).toMatchObject({ code: 'STOPLINE_ERR_CAMERA_UNREACHABLE', images: 0 });
    expect(refused.message).toMatch(/401/);
    expect(refused.message).not.toMatch(/falsches|viewer|stream1/);
    const images = open(`rtsp://viewer:geheim@127.0.0.1:${port}/stream1`, { stallMs: 4000 });
    await take(images, 1);
    rtsp.isFlowing = false;
    expect((await lose(images)).message).toMatch(/sent no image|ffmpeg says|stream ended/);
    const gone = async () => (await listChildren()).filter((line) => line.includes('concat'));
    await expect.poll(gone).toEqual([]);
  });

  /** The command lines of the programs that this process has started, as `ps` shows them, and their environments. */
  async function listChildren(): Promise<string[]> {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'args=', '--ppid', String(process.pid)]);
    return stdout.split('\n').filter((line) => line.startsWith('ffmpeg') && !line.includes('lavfi'));
  }
});
