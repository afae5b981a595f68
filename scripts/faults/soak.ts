import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { SocketClient } from './socketclient.ts';
import { type Outcome, quickFit, readCpuMs, readMemory, type Stage } from './target.ts';

/** Requests until the service has all that it keeps, and how much more memory it may have at the end. */
const settling = 5000;
const maxGrowth = 0.05;
const cameras = 20;
/** After how many requests the memory is read, so that what grows is seen to grow. */
const step = 5000;
/** Small images: what a request leaves behind does not depend on its pixels, and 100,000 of them end within minutes. */
const size = { width: 32, height: 32 };
/** Frames that each camera shows one after the other, so that none of them stands still. */
const frames = 300;
/** One image in so many is black: blocked, told with its reasons, and drawn. */
const badEvery = 100;

/** Ordinary requests, on and on, in both isolations: memory that grows with their number ends every service one day. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 100_000;
  const profile = await fitSmall(stage);
  const shown = await Promise.all(Array.from({ length: frames }, (_, i) => encodeSmall(i)));
  const black = await sharp({ create: { ...size, channels: 3, background: 'black' } })
    .png()
    .toBuffer();
  const figures: string[] = [];
  let ok = true;
  for (const isolation of ['process', 'thread']) {
    const target = await stage.start({ args: ['--isolation', isolation, '--max-wait-ms', '60000'], profile });
    const client = new SocketClient(target.url);
    let next = 0;
    let bad = 0;
    const send = async (until: number) => {
      const lane = async () => {
        while (next < until) {
          const number = next++;
          const source = `camera-${number % cameras}`;
          const image = number % badEvery === badEvery - 1 ? black : shown[number % frames];
          const headers = { 'content-type': 'image/png', 'x-stopline-source': source };
          const { status } = await client.ask(client.encode('/inspect', image, headers));
          if (status !== 200) bad += 1;
        }
      };
      await Promise.all(Array.from({ length: 8 }, lane));
    };
    await send(Math.min(settling, Math.ceil(count / 2)));
    const settled = next;
    const before = readMemory(target.pid, 'Anonymous');
    const curve = [before];
    console.error(`${isolation}: ${Math.round(before)} MB after ${settled}`);
    for (let until = settled; until < count; ) {
      until = Math.min(count, until + step);
      await send(until);
      curve.push(readMemory(target.pid, 'Anonymous'));
      console.error(`${isolation}: ${Math.round(curve[curve.length - 1])} MB after ${until}`);
    }
    const after = curve[curve.length - 1];
    console.error(
      `${isolation}: ${(readCpuMs(target.pid) / count).toFixed(1)} ms of the process that answers for each`,
    );
    client.close();
    target.kill('SIGKILL');
    await target.exit;
    ok &&= bad === 0 && after <= before * (1 + maxGrowth);
    figures.push(
      `${isolation}: ${bad} of ${count} refused, ${(100 * (after / before - 1)).toFixed(1)} % more at the end, MB after ${settled} and every ` +
        `${step} more: ${curve.map(Math.round).join(', ')}`,
    );
  }
  return { ok, figures: figures.join('; ') };
}

/** PNG, because the pixels of a JPEG are also searched for traces of earlier compression. */
function encodeSmall(index: number): Promise<Uint8Array> {
  const { data, width, height, channels } = renderFrame(index, size);
  return sharp(data, { raw: { width, height, channels } }).png().toBuffer();
}

/** A Profile of images as small as those that are sent, fitted by the version that is tried. */
async function fitSmall(stage: Stage): Promise<string> {
  const images = join(stage.folder, 'small');
  mkdirSync(images);
  for (let i = 0; i < 60; i++) writeFileSync(join(images, `${i}.png`), await encodeSmall(i));
  const profile = join(stage.folder, 'small.stopline');
  const { code, stderr } = await stage.command(['fit', images, '--out', profile, ...quickFit]);
  if (code !== 0) throw new Error(`Expected a Profile of small images but received ${code}: ${stderr.slice(-500)}`);
  return profile;
}
