import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../src/image/corruptions/random.ts';
import { picture } from '../../test/fixtures/images.ts';

const hostile = join(import.meta.dirname, '../../../shared/data/hostile');
/** Larger ones take their time to decode and are not odder. */
const largestSeed = 20_000;

/** Whether a file starts as a JPEG, PNG or WebP does: mutations of others are refused by their magic bytes. */
function isKnown(bytes: Buffer): boolean {
  return /^(\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP)/s.test(bytes.toString('latin1', 0, 16));
}

/** Small images of every kind that is read, and the odd files beside the repository where there are any. */
export async function seedImages(): Promise<Buffer[]> {
  const small = picture(40, 32);
  const made = [
    small.clone().jpeg({ quality: 80 }),
    small.clone().jpeg({ quality: 60, progressive: true, chromaSubsampling: '4:4:4' }),
    small.clone().jpeg({ quality: 90, restartInterval: 2 } as object),
    small.clone().greyscale().jpeg(),
    small.clone().toColourspace('cmyk').jpeg(),
    small.clone().withMetadata({ orientation: 6 }).jpeg(),
    small.clone().png(),
    small.clone().png({ palette: true }),
    small.clone().png({ progressive: true }),
    small.clone().ensureAlpha(0.5).png(),
    small.clone().toColourspace('rgb16').png(),
    small.clone().webp({ quality: 70 }),
    small.clone().webp({ lossless: true }),
    small.clone().ensureAlpha(0.5).webp(),
  ];
  const seeds = await Promise.all(made.map((image) => image.toBuffer()));
  if (existsSync(hostile)) {
    const paths = readdirSync(hostile, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    const odd = paths
      .map((path) => readFileSync(path))
      .filter((bytes) => bytes.length <= largestSeed && isKnown(bytes));
    // Most odd files are refused by their first bytes: half of all start from a sound one.
    const made = [...seeds];
    while (seeds.length < odd.length) seeds.push(...made);
    seeds.push(...odd);
  }
  return seeds;
}

/** Numbers at which sizes and counts turn over. */
const edges = [0, 1, 0x7f, 0x80, 0xff];

/** File `index` of the fuzzing run `seed`: the same on every machine that has the same seed images. */
export function mutatedImage(seeds: readonly Buffer[], seed: number, index: number): Buffer {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ index);
  const words = random.words(64);
  let at = 0;
  const draw = (below: number) => words[at++ % words.length] % Math.max(1, below);
  let bytes = Buffer.from(seeds[draw(seeds.length)]);
  const changes = 1 + draw(4);
  for (let i = 0; i < changes && bytes.length > 0; i++) {
    // Half of the changes aim at the first 64 bytes, where sizes, tables and types stand.
    const position = draw(2) === 0 ? draw(Math.min(64, bytes.length)) : draw(bytes.length);
    const length = 1 + draw(16);
    switch (draw(8)) {
      case 0:
        bytes[position] ^= 1 << draw(8);
        break;
      case 1:
        bytes[position] = draw(256);
        break;
      case 2:
        bytes.fill(edges[draw(edges.length)], position, Math.min(position + length, bytes.length));
        break;
      case 3:
        bytes = bytes.subarray(0, position);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, position), bytes.subarray(position + length)]);
        break;
      case 5: {
        const again = bytes.subarray(position, position + 8 * length);
        bytes = Buffer.concat([bytes.subarray(0, position), again, bytes.subarray(position)]);
        break;
      }
      case 6: {
        const other = seeds[draw(seeds.length)];
        bytes = Buffer.concat([bytes.subarray(0, position), other.subarray(draw(other.length))]);
        break;
      }
      case 7:
        bytes = Buffer.concat([bytes, seeds[draw(seeds.length)].subarray(0, 64)]);
        break;
    }
  }
  return bytes;
}
