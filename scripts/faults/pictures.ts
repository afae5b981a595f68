import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { ask, type Outcome, post, type Stage } from './target.ts';

/** By how much the process that answers may have grown at its highest, in MB: 8 of these images decoded are 600 MB. */
const bound = 150;
const side = 5000;

/** Large images that are blocked: whoever looks at their pictures does not have them decoded where everybody is answered. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 8;
  const target = await stage.start({ args: ['--quarantine', join(stage.folder, 'kept'), '--max-wait-ms', '60000'] });
  await post(target.url, stage.frame, { 'x-stopline-source': 'front' });
  const before = readPeak(target.pid);
  const statuses: number[] = [];
  for (let i = 0; i < count; i++) {
    const background = { r: 20 * i, g: 255, b: 0 };
    // Interlaced, so that a decoder needs all of it at once.
    const image = await sharp({ create: { width: side, height: side, channels: 3, background } })
      .png({ progressive: true })
      .toBuffer();
    const reply = await post(target.url, image, { 'content-type': 'image/png', 'x-stopline-source': 'front' });
    statuses.push(reply.status);
    const id = /"sha256":"([0-9a-f]{64})"/.exec(reply.body)?.[1];
    for (const path of [`/quarantine/${id}/thumbnail`, `/quarantine/${id}/image`, '/drift/front', '/'])
      await ask(target.url, { method: 'GET', path });
    await post(target.url, image, { 'content-type': 'image/png' }, '/explain');
  }
  const grown = Math.round(readPeak(target.pid) - before);
  return {
    ok: statuses.every((status) => status === 200) && grown <= bound,
    figures: `${count} blocked PNGs of ${(side * side) / 1e6} megapixels, looked at: the process that answers grew by ${grown} MB at most`,
  };
}

/** Most memory that the process had at any time, in MB. */
const readPeak = (pid: number) =>
  Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
