import { join } from 'node:path';
import sharp from 'sharp';
import { ask, type Outcome, post, readPeak, type Stage } from './target.ts';

/** By how much the process that answers may have grown at its highest, in MB: one of these images decoded is 69 MB. */
const bound = 150;
const side = 4800;
/** As many as a page of the quarantine asks for at once. */
const thumbnails = 28;

/** Large images that are blocked: whoever looks at their pictures, many at a time, does not have them decoded where everybody is answered. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 8;
  const target = await stage.start({ args: ['--quarantine', join(stage.folder, 'kept'), '--max-wait-ms', '120000'] });
  await post(target.url, stage.frame, { 'x-stopline-source': 'front' });
  const images = await Promise.all(Array.from({ length: count }, (_, i) => encodeLarge(i)));
  const headers = (i: number) => ({ 'content-type': 'image/png', 'x-stopline-source': `camera-${i}` });
  const before = readPeak(target.pid);
  const replies = await Promise.all(images.map((image, i) => post(target.url, image, headers(i))));
  const judging = readPeak(target.pid) - before;
  const ids = replies.map(({ body }) => /"sha256":"([0-9a-f]{64})"/.exec(body)?.[1]);
  const looks = Array.from({ length: thumbnails }, (_, i) => `/quarantine/${ids[i % count]}/thumbnail`);
  const shown = await Promise.all(
    [...looks, '/drift/camera-0', '/'].map((path) => ask(target.url, { method: 'GET', path })),
  );
  const looking = readPeak(target.pid) - before;
  await Promise.all(images.map((image, i) => post(target.url, image, headers(i), '/explain')));
  const explaining = readPeak(target.pid) - before;
  target.kill('SIGKILL');
  const isAnswered = [...replies, ...shown].every(({ status }) => status === 200);
  const statuses = [...new Set([...replies, ...shown].map(({ status }) => status))].join();
  const [first, second, third] = [judging, looking, explaining].map(Math.round);
  return {
    ok: isAnswered && third <= bound,
    figures:
      `${count} PNGs of ${(side * side) / 1e6} megapixels at once, ${thumbnails} thumbnails at once, ${count} explained at once: the process ` +
      `that answers grew by at most ${first}, ${second} and ${third} MB, status ${statuses}`,
  };
}

/** Interlaced, so that a decoder needs all of it at once, and unlike the reference. */
function encodeLarge(index: number): Promise<Uint8Array> {
  const background = { r: 20 * index, g: 255, b: 0 };
  return sharp({ create: { width: side, height: side, channels: 3, background } })
    .png({ progressive: true })
    .toBuffer();
}
