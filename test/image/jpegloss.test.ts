import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/image/corruptions/random.ts';
import { loseAsJpeg } from '../../src/image/jpegloss.ts';

/** Flat ramps with a little noise, black and white at random, or any value: smooth pictures round otherwise than noise clips. */
function drawPixels(width: number, height: number, kind: 'smooth' | 'extreme' | 'noise'): Uint8Array {
  const random = new Random(width * 131 + height);
  const words = random.words(width * height * 3);
  return Uint8Array.from(words, (word, i) => {
    if (kind === 'noise') return word & 255;
    if (kind === 'extreme') return word & 1 ? 255 : 0;
    return 128 + 90 * Math.sin(i / (5 * width)) + 30 * Math.cos(i / 11) + (word & 7);
  });
}

async function throughFile(
  data: Uint8Array,
  { width, height }: { width: number; height: number },
  options: { quality: number; chromaSubsampling: '4:2:0' | '4:4:4' },
): Promise<Buffer> {
  const file = await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg(options)
    .toBuffer();
  return sharp(file).raw().toBuffer();
}

describe('loseAsJpeg', () => {
  // Sides around blocks (8), pairs of blocks (16) and what is coded at once (32, 64), down to one pixel.
  const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129];

  it.each(['4:2:0', '4:4:4'] as const)(
    'gives the pixels of a file that sharp wrote and read, of %s',
    async (chroma) => {
      const differ: string[] = [];
      for (const [i, width] of sizes.entries()) {
        const height = sizes[(i * 7 + 5) % sizes.length];
        for (const kind of ['smooth', 'extreme', 'noise'] as const) {
          const data = drawPixels(width, height, kind);
          const before = data.slice();
          for (const quality of [1 + ((i * 17) % 100), 90]) {
            const expected = await throughFile(data, { width, height }, { quality, chromaSubsampling: chroma });
            const seen = loseAsJpeg({ data, width, height }, quality, chroma);
            if (!expected.equals(seen)) differ.push(`${kind} ${width}x${height} quality ${quality}`);
          }
          expect(data).toEqual(before);
        }
      }
      expect(differ).toEqual([]);
    },
  );

  it('does so for every quality', async () => {
    const [width, height] = [48, 32];
    const data = drawPixels(width, height, 'smooth');
    const differ: number[] = [];
    for (let quality = 1; quality <= 100; quality++) {
      const expected = await throughFile(data, { width, height }, { quality, chromaSubsampling: '4:2:0' });
      if (!expected.equals(loseAsJpeg({ data, width, height }, quality))) differ.push(quality);
    }
    expect(differ).toEqual([]);
  });
});
