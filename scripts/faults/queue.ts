/**
 * Workers share the work of one run on a real Redis, some are killed with SIGKILL at random times and others take over; every
 * image must be in the joined output exactly once, with the row that an undisturbed run gives it.
 *
 *     npm run faults:queue -- --workers 10 --kills 3 --runs 10
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../../src/image/corruptions/random.ts';
import { openParquet } from '../../src/run/rows/parquet.ts';
import { startBroker } from '../../test/fixtures/broker.ts';
import { readArguments } from '../arguments.ts';
import { renderCamera } from './batch.ts';

const main = fileURLToPath(new URL('../../src/cli/bin.js', import.meta.url));

export interface QueueReport {
  runs: number;
  images: number;
  kills: number;
  /** What all runs together came to. */
  missing: number;
  twice: number;
  different: number;
}

/** @returns undefined where redis-server is not installed */
export async function killWorkers(options: {
  workers: number;
  kills: number;
  runs: number;
  images: number;
  seed: number;
}): Promise<QueueReport | undefined> {
  const { workers, kills, runs, images, seed } = options;
  const redis = await startBroker('redis-server');
  if (!redis) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'stopline-queue-'));
  const started = new Set<ChildProcess>();
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    const random = new Random(seed);
    const { incoming, profile } = await renderCamera(folder, images);
    const single = join(folder, 'single.parquet');
    run('score', incoming, '--profile', profile, '--out', single);
    const expected = await readRows(single);
    const url = `redis://127.0.0.1:${redis.port}`;
    const startWorker = () => {
      const args = ['worker', '--queue', url, '--threads', '1', '--queue-stalled-ms', '2000', '--root', folder];
      const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
      started.add(child);
      return child;
    };
    const isAtWork = (child: ChildProcess) =>
      new Promise<void>((resolve) => child.stderr?.on('data', (text) => /rows/.test(`${text}`) && resolve()));
    const report: QueueReport = { runs, images, kills: 0, missing: 0, twice: 0, different: 0 };
    for (let i = 0; i < runs; i++) {
      const out = join(folder, `run${i}`);
      const children = Array.from({ length: workers }, startWorker);
      const scored = spawn(
        process.execPath,
        [main, 'score', incoming, '--profile', profile, '--queue', url, '--out', out, '--chunk', '16'],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      started.add(scored);
      let complaint = '';
      scored.stderr?.on('data', (text) => {
        complaint += text;
      });
      const ended = new Promise((resolve) => scored.on('close', resolve));
      const victims = children.slice(0, kills).map(async (child) => {
        await Promise.race([isAtWork(child), ended]);
        await new Promise((resolve) => setTimeout(resolve, random.uniform(0, 1000)));
        if (scored.exitCode === null && child.kill('SIGKILL')) report.kills++;
      });
      if ((await ended) !== 0) throw new Error(complaint);
      await Promise.all(victims);
      for (const child of children) child.kill('SIGKILL');
      const joined = join(folder, `joined${i}.parquet`);
      run('merge', join(out, 'manifest.json'), '--out', joined);
      const found = await readRows(joined);
      for (const [path, rows] of expected) {
        const [first, ...more] = found.get(path) ?? [];
        if (first === undefined) report.missing++;
        else if (first !== rows[0]) report.different++;
        report.twice += more.length;
      }
    }
    return report;
  } finally {
    for (const child of started) child.kill('SIGKILL');
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function readRows(file: string): Promise<Map<string, string[]>> {
  const rows = new Map<string, string[]>();
  for await (const row of await openParquet(file)) {
    const path = String(row.path);
    rows.set(path, [...(rows.get(path) ?? []), JSON.stringify(row)]);
  }
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = readArguments({
    command: 'npm run faults:queue --',
    about: 'Kills workers of a queue: every image gets one row, as if none had died. Needs a Redis server.',
    options: {
      workers: { default: 10, says: 'at work' },
      kills: { default: 3, says: 'of them in a run' },
      runs: { default: 10, says: 'one after the other' },
      images: { default: 1000, says: 'in a run' },
      seed: { default: 1, says: 'of when they are killed' },
    },
  });
  const report = await killWorkers(values);
  console.log(JSON.stringify(report));
  if (!report || report.missing + report.twice + report.different > 0) process.exitCode = 1;
}
