/**
 * What the gate costs: latency that it adds in front of an upstream, and how much of the throughput of the library is left.
 *
 *     npm run bench:gate
 *
 * The upstream answers at once and runs in a process of its own, as does the gate; requests come over loopback.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Pool as Client } from 'undici';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { loadConfig } from '../src/config.ts';
import { fit } from '../src/fit/fit.ts';
import { saveProfile } from '../src/profile/file.ts';
import { mapOrdered } from '../src/run/mapordered.ts';
import { createPool } from '../src/run/pool.ts';
import { serve } from '../src/server/serve.ts';
import { median, printTable } from './table.ts';

type Isolation = 'process' | 'thread';

const self = fileURLToPath(import.meta.url);
const [role, ...rest] = process.argv.slice(2);
if (role === 'upstream') await upstream();
else if (role === 'gate') await gate(rest[0], rest[1], rest[2] as 'observe' | 'enforce', rest[3] as Isolation);
else await bench();

/** Reads the request and answers. */
async function upstream(): Promise<void> {
  const answer = JSON.stringify({ outputs: [{ name: 'state', datatype: 'BYTES', shape: [1], data: ['green'] }] });
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end(answer));
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

async function gate(
  profile: string,
  upstream: string,
  mode: 'observe' | 'enforce',
  isolation: Isolation,
): Promise<void> {
  const routes = [
    { path: '/classify', protocol: 'image' as const },
    { path: '/pass', protocol: 'pass' as const },
  ];
  const flags = {
    profile,
    upstream,
    mode,
    isolation,
    routes,
    port: 0,
    logLevel: 'silent',
    maxWaitMs: 60_000,
    verdictTimeoutMs: 60_000,
  };
  const service = await serve(loadConfig({ env: {}, flags: flags as never }).config);
  process.send?.(service.url);
}

async function start(...args: string[]): Promise<{ url: string; child: ChildProcess }> {
  const child = fork(self, args, { stdio: 'inherit' });
  const [url] = await once(child, 'message');
  return { url, child };
}

async function bench(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'stopline-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const children: ChildProcess[] = [];
  const size = { width: 1280, height: 720 };
  for (let i = 0; i < 120; i++) writeFileSync(join(folder, `${i}.jpg`), await encodeFrame(renderFrame(i, size)));
  const { profile } = await fit({ paths: [folder], simulations: 0, power: 0, groupBy: 'none', model: 'none' });
  const path = join(folder, 'bench.stopline');
  await saveProfile(profile, path);
  // Fresh frames of the camera, so that nearly all pass and reach the upstream.
  const images: Buffer[] = [];
  for (let i = 0; i < 40; i++) images.push(Buffer.from(await encodeFrame(renderFrame(1000 + i, size))));
  const threads = availableParallelism();

  const direct = await start('upstream');
  const observing = await start('gate', path, direct.url, 'observe', 'process');
  const enforcing = await start('gate', path, direct.url, 'enforce', 'process');
  const inThreads = await start('gate', path, direct.url, 'enforce', 'thread');
  children.push(direct.child, observing.child, enforcing.child, inThreads.child);
  const pool = await createPool({ profile: path, threads });
  await pool.ready();
  const clients = new Map(
    [direct, observing, enforcing, inThreads].map(({ url }) => [url, new Client(url, { connections: 64 })]),
  );
  const ask = async (url: string, i: number, path = '/classify') => {
    const body = images[i % images.length];
    const headers = { 'content-type': 'image/jpeg' };
    const answer = await clients.get(url)!.request({ method: 'POST', path, body, headers });
    await answer.body.dump();
  };
  const pass = (i: number) => ask(enforcing.url, i, '/pass');
  const inspect = (i: number) => pool.inspect(images[i % images.length]);

  // One after the other, in turn: what each costs when nothing waits. A pause, so that images judged beside are done.
  const ways: [string, (i: number) => Promise<unknown>][] = [
    ['upstream alone', (i) => ask(direct.url, i)],
    ['library, in process', inspect],
    ['proxy, not judged', pass],
    ['proxy, enforce', (i) => ask(enforcing.url, i)],
    ['proxy, enforce, in threads', (i) => ask(inThreads.url, i)],
    ['proxy, observe', (i) => ask(observing.url, i)],
  ];
  const times = ways.map((): number[] => []);
  // A service has compiled what it runs often.
  const [warm, rounds] = [300, 300];
  for (let i = -warm; i < rounds; i++) {
    for (const [way, [name, call]] of ways.entries()) {
      const started = performance.now();
      await call(i + warm);
      if (i >= 0) times[way].push(performance.now() - started);
      if (name === 'proxy, observe') await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }
  const [alone, library] = times.map(median);
  const p99 = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.99)];
  console.log(
    `One JPEG of ${size.width}x${size.height}, ${(images[0].length / 1000).toFixed(0)} kB, after the other, ${rounds} each after ${warm}; ms\n`,
  );
  printTable(
    ['way', 'median', '99 %', 'added at the median', 'added at 99 %', 'of it beyond the library'],
    ways.map(([name], way) => {
      const added = median(times[way]) - alone;
      const isGate = name.startsWith('proxy');
      return [
        name,
        median(times[way]).toFixed(2),
        p99(times[way]).toFixed(2),
        isGate ? added.toFixed(2) : '',
        isGate ? (p99(times[way]) - p99(times[0])).toFixed(2) : '',
        name.startsWith('proxy, enforce') ? (added - library).toFixed(2) : '',
      ];
    }),
  );

  // As many as there is room for, in blocks, in turn.
  const throughput = async (call: (i: number) => Promise<unknown>, count: number) => {
    const started = performance.now();
    const all = Array.from({ length: count }, (_, i) => i);
    for await (const _ of mapOrdered(all, threads * 4, call)) void _;
    return (1000 * count) / (performance.now() - started);
  };
  const rates: [library: number[], proxy: number[], passing: number[]] = [[], [], []];
  for (let turn = 0; turn < 5; turn++) {
    rates[0].push(await throughput(inspect, 200));
    rates[1].push(await throughput((i) => ask(enforcing.url, i), 200));
    rates[2].push(await throughput(pass, 200));
  }
  const [own, proxied, passing] = rates.map(median);
  // Client, proxy and upstream share the processors with the judging: what passing on takes is missing there.
  const floor = 1 / (1 / own + 1 / passing);
  console.log(`\nThroughput with ${threads} threads, ${threads * 4} requests at a time; medians of 5 blocks of 200\n`);
  printTable(
    ['way', 'images/s', 'of the library'],
    [
      ['library, in process', own.toFixed(1), '1.00'],
      ['proxy, not judged', passing.toFixed(1), (passing / own).toFixed(2)],
      ['library and passing on, one after the other', floor.toFixed(1), (floor / own).toFixed(2)],
      ['proxy, enforce', proxied.toFixed(1), (proxied / own).toFixed(2)],
    ],
  );
  for (const client of clients.values()) await client.close();
  await pool.close();
  for (const child of children) child.kill();
}
