/**
 * Scores very many small images in one run, and watches its memory and speed: neither may depend on how many there are.
 *
 *     npm run faults:many -- --images 100000
 */
import { spawn } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from '../arguments.ts';
import { renderCamera } from './batch.ts';

const main = fileURLToPath(new URL('../../src/cli/bin.js', import.meta.url));
const { values } = readArguments({
  command: 'npm run faults:many --',
  about: 'One batch of very many images: its memory and its time do not grow with their number.',
  options: { images: { default: 100_000, says: 'in the batch' } },
});
const { images } = values;
const distinct = 1000;
const perFolder = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'stopline-many-'));
try {
  const { incoming, profile } = await renderCamera(folder, distinct);
  const originals = join(folder, 'originals');
  renameSync(incoming, originals);
  mkdirSync(incoming);
  for (let i = 0; i < images; i++) {
    const part = join(incoming, `${Math.floor(i / perFolder)}`);
    if (i % perFolder === 0) mkdirSync(part);
    linkSync(join(originals, `frame${i % distinct}.jpg`), join(part, `${i}.jpg`));
  }
  const out = join(folder, 'rows.csv');
  const child = spawn(process.execPath, [main, 'score', incoming, '--profile', profile, '--out', out], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  // A line for each tenth says how many and how fast on average since the start.
  const tenths: { seconds: number; done: number }[] = [];
  let text = '';
  let startedAt = 0;
  child.stderr.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    for (const [, done] of more.matchAll(/^score: (\d+)\//gm)) {
      tenths.push({ seconds: (performance.now() - startedAt) / 1000, done: Number(done) });
    }
  });
  startedAt = performance.now();
  let peakMiB = 0;
  const watch = setInterval(() => {
    try {
      const [, kB = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
      peakMiB = Math.max(peakMiB, Number(kB) / 1024);
    } catch {} // it has ended
  }, 250);
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(watch);
  if (code !== 0) throw new Error(text);
  const rate = (from: number, to: number) =>
    (tenths[to].done - tenths[from].done) / (tenths[to].seconds - tenths[from].seconds);
  const last = tenths.length - 1;
  const third = Math.max(1, Math.floor(last / 3));
  const report = {
    images,
    peakMiB: Math.round(peakMiB),
    seconds: Math.round(tenths[last].seconds),
    perSecondAtFirst: Math.round(rate(0, third)),
    perSecondAtLast: Math.round(rate(last - third, last)),
  };
  console.log(JSON.stringify(report));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
