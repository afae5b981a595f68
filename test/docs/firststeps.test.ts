import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { jpegFrame, renderFolder } from '../fixtures/camera.ts';
import { CameraServer } from '../fixtures/cameraserver.ts';
import { RtspServer } from '../fixtures/rtsp.ts';
import { type Block, readBlocks, readCommands, type Typed, Typist } from '../fixtures/typist.ts';

const page = 'docs/first-steps.md';
const blocks = readBlocks(page);
const sections = [...new Set(blocks.map(({ section }) => section))];
const size = { width: 320, height: 180 };

const block = (section: string, language: string) =>
  blocks.find((one: Block) => one.section === section && one.language === language)?.text ?? '';
const listCommands = (section: string) => readCommands(block(section, 'sh'));

/** Whether what a section needs is there; with the reason printed where it is not. */
function isThere(what: string, ...command: [string, ...string[]]): boolean {
  const [program, ...args] = command;
  const { status } = spawnSync(program, args, { env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
  if (status !== 0) console.warn(`skipped: ${what} is not installed`);
  return status === 0;
}
const hasModules = (names: string) => isThere(`Python with ${names}`, '/usr/bin/python3', '-c', `import ${names}`);

let typist: Typist;
const stop: (() => unknown)[] = [];

beforeAll(async () => {
  typist = new Typist();
  for (let i = 0; i < 4; i++) await renderFolder(join(typist.folder, `drives/${i}`), 25, i * 25, size);
  const [first] = await renderFolder(join(typist.folder, 'dataset'), 12, 500, size);
  await renderFolder(join(typist.folder, 'incoming'), 30, 600, size);
  copyFileSync(first, join(typist.folder, 'frame.jpg'));
});
afterEach(async () => {
  await typist.leave();
  for (const end of stop.splice(0).reverse()) await end();
});
afterAll(() => typist.remove());

/** Types all commands of a section but a fit that stands in this folder already, and gives what each said. */
async function follow(section: string, { until = Number.POSITIVE_INFINITY } = {}): Promise<Typed[]> {
  const said: Typed[] = [];
  for (const command of listCommands(section).slice(0, until)) {
    const isFitted = typed.has(command) && command.includes(' fit ');
    said.push(isFitted ? { code: 0, output: '' } : await typist.type(command));
    typed.add(command);
  }
  return said;
}
const typed = new Set<string>();

describe('first steps', () => {
  it('are seven, of at most ten commands each', () => {
    expect(sections).toHaveLength(7);
    for (const section of sections) {
      expect(listCommands(section).length, section).toBeGreaterThan(2);
      expect(listCommands(section).length, section).toBeLessThanOrEqual(10);
    }
  });

  it.skipIf(!hasModules('fastapi, uvicorn, multipart'))(
    'with a FastAPI application end with an image refused',
    async () => {
      const section = 'A FastAPI application';
      await typist.write('main.py', block(section, 'python'));
      const said = await follow(section);
      const bytes = readFileSync(join(typist.folder, 'frame.jpg')).length;
      expect(said.at(-2)?.output).toContain(JSON.stringify({ state: 'green', bytes }).replaceAll(/([,:])/g, '$1'));
      expect(said.at(-1)?.output).toContain('STOPLINE_ERR_IMAGE_REFUSED');
    },
  );

  it.skipIf(!hasModules('requests'))(
    'with a model server end with a refusal in the shape of its protocol',
    async () => {
      const section = 'Triton, KServe, TensorFlow Serving, TorchServe';
      const seen: Buffer[] = [];
      const server = new CameraServer();
      server.handlers.set('/v2/models/lights/infer', async (request, response) => {
        const pieces: Buffer[] = [];
        for await (const piece of request) pieces.push(piece);
        const head = Number(request.headers['inference-header-content-length']);
        seen.push(Buffer.concat(pieces).subarray(head + 4));
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ model_name: 'lights', outputs: [{ name: 'state', data: ['green'] }] }));
      });
      await server.listen(await typist.port('8000'));
      stop.push(() => server.close());
      await typist.write('ask.py', block(section, 'python'));
      const [, , , passed, blocked] = await follow(section);
      expect(passed.output).toMatch(/^200 pass .*'data': \['green'\]/);
      expect(blocked.output).toMatch(/^422 block \{'error': '/);
      expect(seen).toEqual([readFileSync(join(typist.folder, 'frame.jpg'))]);
    },
  );

  it.skipIf(
    !isThere('prometheus', 'prometheus', '--version') ||
      !isThere('alertmanager', 'prometheus-alertmanager', '--version'),
  )('with Prometheus and Alertmanager end with an alert', async () => {
    const section = 'Prometheus, Alertmanager and Grafana';
    await typist.write('prometheus.yml', block(section, 'yaml').replace('5s', '1s'));
    const said = await follow(section);
    expect(said.map(({ code }) => code).filter((code) => code !== null && code !== 0)).toEqual([]);
    const [ask, alerts] = listCommands(section).slice(-2);
    const counted = async () => {
      const answer = JSON.parse((await typist.type(ask)).output.replace(/^[^{]*/, ''));
      return Number(answer.data.result[0]?.value[1] ?? 0);
    };
    // All that were posted; what the service was asked before counts, too.
    await expect.poll(counted).toBeGreaterThanOrEqual(30);
    await expect
      .poll(async () => (await typist.type(alerts)).output)
      .toMatch(/"alertname":"StoplineBlocked".*"source":"front"/);
    const { output } = await typist.type('curl -sS http://127.0.0.1:9090/api/v1/rules');
    expect(JSON.parse(output).data.groups[0].rules.map(({ health }: { health: string }) => health)).not.toContain(
      'err',
    );
  });

  it.skipIf(!hasModules('requests, pandas, nbclient, ipykernel'))(
    'in a notebook end with the strangest images',
    async () => {
      const section = 'A Python notebook';
      const copied = await follow(section, { until: 4 });
      expect(copied.at(-1)?.code).toBe(0);
      await typist.write('verdicts.ipynb', readFileSync(join(typist.folder, 'verdicts.ipynb'), 'utf8'));
      const { code, output } = await typist.type(listCommands(section)[4]);
      expect(output).toContain('pass');
      expect(output).toContain('incoming/');
      expect(code).toBe(0);
    },
  );

  it.skipIf(!isThere('ffmpeg', 'ffmpeg', '-version'))('with cameras end with what is known of each', async () => {
    const section = 'A fleet of cameras';
    const rtsp = new RtspServer();
    const address = `rtsp://127.0.0.1:${await rtsp.listen(await typist.port('8554'))}/in`;
    stop.push(() => rtsp.close());
    const film = [
      '-re',
      '-loop',
      '1',
      '-framerate',
      '5',
      '-i',
      join(typist.folder, 'frame.jpg'),
      '-c:v',
      'libx264',
      '-g',
      '5',
    ];
    const sent = ['-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-f', 'rtsp', '-rtsp_transport', 'tcp', address];
    const sender = spawn('ffmpeg', ['-nostdin', '-loglevel', 'error', ...film, ...sent]);
    stop.push(async () => {
      sender.kill('SIGKILL');
      await once(sender, 'close');
    });
    await expect.poll(() => rtsp.isSent).toBe(true);
    const snapshots = new CameraServer();
    const frame = await jpegFrame(700, undefined, size);
    snapshots.handlers.set('/snapshot.jpg', (_, response) =>
      response.setHeader('content-type', 'image/jpeg').end(frame),
    );
    await snapshots.listen(await typist.port('8555'));
    stop.push(() => snapshots.close());
    await typist.write('cameras.json', block(section, 'json'));
    await follow(section);
    const [cameras, drift] = listCommands(section).slice(-2);
    await expect.poll(async () => (await typist.type(cameras)).output.match(/"state":"live"/g)).toHaveLength(2);
    await expect
      .poll(async () => (await typist.type(drift)).output)
      .toMatch(/"source":"front".*"source":"rear"|"source":"rear".*"source":"front"/s);
  });

  it('in CI end with a data set that does not match', async () => {
    const [, clean, , compressed] = await follow('A data set in CI');
    expect(clean.code, clean.output).toBe(0);
    expect(compressed.code, compressed.output).toBe(1);
    expect(compressed.output).toMatch(/jpeg|compress/i);
  });
});
