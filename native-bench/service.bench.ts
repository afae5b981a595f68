/**
 * POST /inspect beside a bare server that only decodes: fastify and sharp, which answers with the mean of the first row. Requests
 * per second, the slowest hundredth, and what is refused, with as many requests at a time as connections.
 *
 *     npm run bench:service
 *
 * Each server is a process of its own; requests come over loopback, from this one, which takes its share of the processors from both.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastify from 'fastify';
import sharp from 'sharp';
import { Pool as Client } from 'undici';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { loadConfig } from '../src/config.ts';
import { fit } from '../src/fit/fit.ts';
import { release } from '../src/image/frame.ts';
import { saveProfile } from '../src/profile/file.ts';
import { serve } from '../src/server/serve.ts';
import { median, printTable } from './table.ts';

const self = fileURLToPath(import.meta.url);
const [role, profile] = process.argv.slice(2);
if (role === 'bare') await serveBare();
else if (role === 'inspect') await serveInspect(profile);
else await bench();

async function serveBare(): Promise<void> {
  sharp.cache(false);
  sharp.concurrency(1);
  const server = fastify({ bodyLimit: 32 * 1024 * 1024 });
  server.addContentTypeParser('image/jpeg', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  server.post<{ Body: Buffer }>('/inspect', async ({ body }) => {
    const { data, info } = await sharp(body).raw().toBuffer({ resolveWithObject: true });
    const row = data.subarray(0, info.width * info.channels);
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
    release(data);
    return { width: info.width, height: info.height, mean };
  });
  process.send?.(await server.listen({ port: 0, host: '127.0.0.1' }));
}

async function serveInspect(profile: string): Promise<void> {
  const service = await serve(loadConfig({ env: {}, flags: { profile, port: 0, logLevel: 'silent' } }).config);
  process.send?.(service.url);
}

/** What came of so many requests. */
interface Block {
  /** Answered with 200, a second. */
  rate: number;
  refused: number;
  /** Milliseconds of each. */
  times: number[];
}

async function ask(client: Client, images: readonly Buffer[], connections: number, count: number): Promise<Block> {
  const block: Block = { rate: 0, refused: 0, times: [] };
  let next = 0;
  const started = performance.now();
  const work = async () => {
    while (next < count) {
      const body = images[next++ % images.length];
      const asked = performance.now();
      const headers = { 'content-type': 'image/jpeg' };
      const answer = await client.request({ method: 'POST', path: '/inspect', body, headers });
      await answer.body.dump();
      block.times.push(performance.now() - asked);
      if (answer.statusCode !== 200) block.refused++;
    }
  };
  await Promise.all(Array.from({ length: connections }, work));
  block.rate = (1000 * (count - block.refused)) / (performance.now() - started);
  return block;
}

async function bench(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'stopline-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const size = { width: 1280, height: 720 };
  for (let i = 0; i < 120; i++) writeFileSync(join(folder, `${i}.jpg`), await encodeFrame(renderFrame(i, size)));
  const fitted = await fit({ paths: [folder], simulations: 0, power: 0, groupBy: 'none', model: 'none' });
  const path = join(folder, 'bench.stopline');
  await saveProfile(fitted.profile, path);
  const images: Buffer[] = [];
  for (let i = 0; i < 40; i++) images.push(Buffer.from(await encodeFrame(renderFrame(1000 + i, size))));
  const children: ChildProcess[] = [];
  const start = async (...args: string[]) => {
    const child = fork(self, args, { stdio: 'inherit' });
    children.push(child);
    const [url] = await once(child, 'message');
    return new Client(url as string, { connections: 16 });
  };
  const [bare, inspect] = [await start('bare'), await start('inspect', path)];
  const [warm, count, turns] = [300, 200, 5];
  for (const client of [bare, inspect]) await ask(client, images, 4, warm);
  const rows: (string | number)[][] = [];
  const last = (times: readonly number[]) => [...times].sort((a, b) => a - b)[Math.floor(times.length * 0.99)];
  for (const connections of [4, 16]) {
    const blocks: [bare: Block[], inspect: Block[]] = [[], []];
    for (let turn = 0; turn < turns; turn++) {
      blocks[0].push(await ask(bare, images, connections, count));
      blocks[1].push(await ask(inspect, images, connections, count));
    }
    const [floor, own] = blocks.map((list) => ({
      rate: median(list.map(({ rate }) => rate)),
      last: last(list.flatMap(({ times }) => times)),
      refused: list.reduce((sum, { refused }) => sum + refused, 0),
    }));
    const told = (name: string, { rate, last, refused }: typeof own) => [
      connections,
      name,
      rate.toFixed(1),
      (rate / floor.rate).toFixed(2),
      last.toFixed(0),
      (last / floor.last).toFixed(2),
      `${refused} of ${turns * count}`,
    ];
    rows.push(told('fastify and sharp, decoding alone', floor), told('POST /inspect', own));
  }
  console.log(
    `JPEGs of ${size.width}x${size.height}, ${(images[0].length / 1000).toFixed(0)} kB; medians of ${turns} blocks of ${count} after ${warm}\n`,
  );
  printTable(['connections', 'server', 'images/s', 'of decoding', '99 %, ms', 'of decoding', 'refused'], rows);
  for (const client of [bare, inspect]) await client.close();
  for (const child of children) child.kill();
}
