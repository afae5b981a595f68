/**
 * What `stopline fit` costs with its defaults, the report on what the Profile sees included: whole processes, once each, nothing kept from
 * before.
 *
 *     npm run bench:fit
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { printTable } from './table.ts';

const main = fileURLToPath(new URL('../src/cli/bin.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'stopline-fit-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const counts = [240, 1000];
const images = join(folder, 'images');
mkdirSync(images);
const rows: (string | number)[][] = [];
let rendered = 0;
for (const count of counts) {
  for (; rendered < count; rendered++) {
    const file = await encodeFrame(renderFrame(rendered, { width: 480, height: 360 }));
    writeFileSync(join(images, `${String(rendered).padStart(4, '0')}.jpg`), file);
  }
  const started = performance.now();
  // The shell's `times` prints, in its second line, the time of the processes that it waited for.
  const script = '"$@" >/dev/null 2>&1 || exit 1; times';
  const args = [main, 'fit', images, '--group-by', 'none', '--no-cache', '--out', join(folder, `${count}.stopline`)];
  const { status, stdout } = spawnSync('bash', ['-c', script, 'bash', process.execPath, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`Expected the fit of ${count} images to succeed`);
  const wall = (performance.now() - started) / 1000;
  const parts = [...stdout.split('\n')[1].matchAll(/(\d+)m([\d.]+)s/g)];
  const cpu = parts.reduce((sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds), 0);
  rows.push([count, cpu.toFixed(0), wall.toFixed(0)]);
}
console.log('fit with its defaults, JPEGs of 480x360, one run each\n');
printTable(['images', 'CPU s', 's'], rows);
