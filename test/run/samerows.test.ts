import { beforeAll, describe, expect, it } from 'vitest';
import type { Profile } from '../../src/profile/description.ts';
import { createPool } from '../../src/run/pool.ts';
import { fitOnce } from '../fixtures/fitted.ts';
import {
  findJpegMarker,
  jpegSegment,
  noiseBytes,
  picture,
  png,
  webp,
  webpCanvas,
  withFrameHeader,
  withJpegSegments,
} from '../fixtures/images.ts';

/** Files that fail, each in its own way, and some that do not. */
async function breakFiles(): Promise<Record<string, Buffer>> {
  const jpeg = await picture(160, 90).jpeg().toBuffer();
  const progressive = await picture(160, 90).jpeg({ progressive: true }).toBuffer();
  const image = await picture(160, 90).png().toBuffer();
  const lossy = await picture(160, 90).webp().toBuffer();
  const change = (file: Buffer, at: number, ...bytes: number[]) => {
    const changed = Buffer.from(file);
    changed.set(bytes, at);
    return changed;
  };
  const middle = (findJpegMarker(jpeg, 0xda) + jpeg.length) >> 1;
  return {
    'marker.jpg': change(jpeg, middle, 0, 0xff, 0xd5),
    'bits.jpg': change(jpeg, middle, ...noiseBytes(60).map((byte) => byte & 0x7f)),
    'tables.jpg': change(jpeg, findJpegMarker(jpeg, 0xc4) + 5, 255, 255),
    'cut.jpg': jpeg.subarray(0, middle),
    'hidden.jpg': Buffer.concat([jpeg.subarray(0, middle), jpeg.subarray(-2)]),
    'cutprogressive.jpg': progressive.subarray(0, progressive.length >> 1),
    'taller.jpg': withFrameHeader(jpeg, { height: 400 }),
    'flipped.png': change(image, image.length >> 1, image[image.length >> 1]! ^ 16),
    'short.png': png({ width: 160, height: 90 }, Buffer.alloc(481 * 40)),
    'cut.png': image.subarray(0, image.length >> 1),
    'damaged.webp': Buffer.concat([lossy.subarray(0, 40), Buffer.alloc(lossy.length - 40, 0xff)]),
    'canvas.webp': webp(webpCanvas(200, 90, 0), lossy.subarray(12)),
    'pointer.jpg': Buffer.from('version https://git-lfs.github.com/spec/v1\n'),
    'empty.jpg': Buffer.alloc(0),
    'sound.jpg': jpeg,
    'odd.jpg': withJpegSegments(jpeg, jpegSegment(0xee, Buffer.from('Adobe\0\x64\0\0\0\0\x4c', 'latin1'))),
  };
}

let profile: Profile;
beforeAll(async () => {
  const falseAlarmRate = { warn: 0.05, block: 0.02 };
  const options = { name: 'front-camera', falseAlarmRate, simulations: 10, power: 0, model: 'none' };
  ({ profile } = await fitOnce({ images: 200, groupBy: '\\d+(?=\\.jpg)', ...options }));
});

describe('the same bytes', () => {
  it('give the same row in twenty runs, with one, two and four threads and with two processes, byte for byte', async () => {
    const files = await breakFiles();
    let first: string[] | undefined;
    for (const workers of [
      { threads: 1 },
      { threads: 2 },
      { threads: 4 },
      { threads: 2, isolation: 'process' as const },
    ]) {
      const pool = await createPool({ profile, ...workers, isBatch: true });
      try {
        await pool.ready();
        for (let run = 0; run < 20; run++) {
          const written = await Promise.all(
            Object.entries(files).map(([name, bytes]) =>
              pool
                .score({ name, bytes: new Uint8Array(bytes) }, 'jsonl')
                .then(({ line }) => Buffer.from(line).toString()),
            ),
          );
          first ??= written;
          expect([workers, run, written]).toEqual([workers, run, first]);
        }
      } finally {
        await pool.destroy();
      }
    }
    const rows = (first as string[]).map((line) => JSON.parse(line));
    const judged = rows.filter(({ error }) => error === undefined).map(({ path }) => path);
    // Bits that were changed into other valid codes are no loss that any decoder can see: such an image is judged.
    expect(judged).toEqual(['bits.jpg', 'sound.jpg', 'odd.jpg']);
    for (const { error } of rows) {
      // In our own words: none of a decoder, and no address in memory.
      if (error) expect(error.message).not.toMatch(/vips|libpng|libspng|0x[0-9a-f]{6}|Input buffer/i);
    }
  });
});
