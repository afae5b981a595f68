import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { createPool } from '../../src/run/pool.ts';

/** A picture of one colour: what a decoder holds depends on its size alone. */
const flat = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 4, background: { r: 200, g: 30, b: 60, alpha: 0.5 } } });

describe('the memory of a worker', () => {
  // No time limit: what is tested is memory, on a machine that may be busy.
  it('is enough for the largest images of every format, so that both isolations give the same answer', async () => {
    const images = await Promise.all([
      flat(8000, 5000).webp({ quality: 50, effort: 0 }).toBuffer(),
      flat(8000, 5000).webp({ lossless: true, effort: 0 }).toBuffer(),
      flat(6000, 4000).png({ compressionLevel: 1, progressive: true }).toBuffer(),
      flat(6000, 4000).removeAlpha().jpeg({ progressive: true }).toBuffer(),
    ]);
    const answers: string[][] = [];
    for (const isolation of ['process', 'thread'] as const) {
      const pool = await createPool({ threads: 1, isolation, maxImageMs: 120_000, limits: { maxSeconds: 0 } });
      try {
        const sizes: string[] = [];
        for (const bytes of images) {
          const { width, height } = await pool.measure(new Uint8Array(bytes));
          sizes.push(`${width}x${height}`);
        }
        answers.push(sizes);
      } finally {
        await pool.destroy();
      }
    }
    expect(answers[0]).toEqual(['8000x5000', '8000x5000', '6000x4000', '6000x4000']);
    expect(answers[1]).toEqual(answers[0]);
  });

  it('is enough to start where images are small', async () => {
    const pool = await createPool({ threads: 1, isolation: 'process', limits: { maxPixels: 1000, maxBytes: 1024 } });
    try {
      await expect(pool.ready()).resolves.toBeUndefined();
    } finally {
      await pool.destroy();
    }
  });
});
