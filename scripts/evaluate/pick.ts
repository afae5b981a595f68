/** Measures what `stopline pick` brings to light, beside images drawn by chance: `npm run evaluate:pick`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { print } from '../../src/cli/terminal.ts';
import { fit } from '../../src/fit/fit.ts';
import { measurePicking } from './picking.ts';
import { table } from './tables.ts';

const size = { width: 320, height: 180 };
const reference = 200;
const images = 1000;

const folder = await mkdtemp(join(tmpdir(), 'stopline-pick-'));
try {
  for (let i = 0; i < reference; i++)
    await writeFile(join(folder, `frame${i}.jpg`), await encodeFrame(renderFrame(i, size)));
  const { profile } = await fit({ paths: [folder], simulations: 20, power: 0, groupBy: 'none' });
  for (const count of [25, 50, 100]) {
    const results = await measurePicking({ profile, size, firstFrame: reference, images, count, seed: 1 });
    const rows = results.map(({ way, changed, causes }) => [
      way,
      `${Math.round(100 * changed)} %`,
      `${Number(causes.toFixed(1))}`,
    ]);
    print(`\n${count} of ${images} images:\n`);
    print(table(['chosen', 'something happened to', 'different causes among them'], rows));
  }
} finally {
  await rm(folder, { recursive: true });
}
