/*
 * Road scenes for training: frames of the simulated traffic camera, whole and in part, at the size of the cache.
 * node models/train/render.ts CACHE [first frame] [frames]
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { Random } from '../../src/image/corruptions/random.ts';

const side = 144;
const [, , cache, first = '0', count = '1400'] = process.argv;
if (cache === undefined) throw new Error('Expected the folder of the cache.');
mkdirSync(cache, { recursive: true });

// Seeds 1 to 99 are the demo's and the tests': no frame of theirs is trained on.
const seed = 9_001;
/** Parts of one frame: what a crop of a light, a car or a house shows. */
const parts = 2;

for (let index = Number(first); index < Number(first) + Number(count); index++) {
  const random = new Random(index + 77);
  const isLarge = index % 2 === 0;
  const [width, height] = isLarge ? [480, 270] : [256, 192];
  const { data } = renderFrame(index, { seed, width, height });
  const raw = { raw: { width, height, channels: 3 as const } };
  const resize = { width: side, height: side, fit: 'fill' as const, kernel: 'linear' as const };
  const images = [await sharp(data, raw).resize(resize).raw().toBuffer()];
  for (let i = 0; isLarge && i < parts; i++) {
    const across = Math.round(72 + random.uniform() * 120);
    const down = Math.min(height, Math.round(across * (0.7 + random.uniform() * 0.8)));
    const left = Math.floor(random.uniform() * (width - across));
    const top = Math.floor(random.uniform() * (height - down));
    const part = sharp(data, raw).extract({ left, top, width: across, height: down });
    images.push(await part.resize(resize).raw().toBuffer());
  }
  images.forEach((image, i) => {
    appendFileSync(join(cache, i === 0 ? 'road.bin' : 'roadpart.bin'), image);
  });
}
