import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Frame } from '../../src/image/frame.ts';
import { maskAreas } from '../../src/image/mask.ts';
import { createInspector, createPool } from '../../src/index.ts';
import { createFrameJudge } from '../../src/profile/framejudge.ts';
import { renderFrame } from '../fixtures/camera.ts';
import { fitOnce } from '../fixtures/fitted.ts';

/** A clock in the upper left corner. */
const mask = maskAreas([{ left: 0, top: 0, right: 0.4, bottom: 0.1 }]);
const size = { width: 320, height: 192 };

/** A frame of the camera with some time burnt in. */
function withClock(seconds: number) {
  const frame = renderFrame(7, size);
  const data = frame.data.slice();
  for (let y = 2; y < 17; y++) {
    for (let x = 4; x < 124; x++) data.fill((x * seconds) % 7 > 3 ? 255 : 0, 3 * (y * 320 + x), 3 * (y * 320 + x) + 3);
  }
  return { ...frame, data };
}
const encode = ({ data }: { data: Uint8Array }) =>
  sharp(data, { raw: { ...size, channels: 3 } })
    .png()
    .toBuffer();

describe('a Profile that was fitted with a mask', () => {
  let fitted: Awaited<ReturnType<typeof fitOnce>>;
  beforeAll(async () => {
    fitted = await fitOnce({ images: 60, size, simulations: 0, power: 0, model: 'none', example: false, mask });
  });

  it('keeps it in its file and applies it itself: what a clock shows changes nothing, wherever it is judged', async () => {
    const { profile, profilePath } = fitted;
    expect(profile.mask).toEqual(mask);
    const inspector = await createInspector({ profile: profilePath });
    const pool = await createPool({ profile: profilePath, threads: 1 });
    const judge = await createFrameJudge({ profile: await readFile(profilePath) });
    try {
      const told = async (frame: Frame) => {
        const bytes = await encode(frame);
        const verdicts = [
          await inspector.inspect(bytes),
          await inspector.inspectFrame(frame),
          (await inspector.explain(bytes)).verdict,
          await pool.inspect(bytes),
          await judge.inspect(frame),
        ];
        return verdicts.map(({ verdict, pValue, reasons }) => ({ verdict, pValue, reasons }));
      };
      const own = await told(withClock(1));
      for (const seconds of [2, 59]) expect(await told(withClock(seconds))).toEqual(own);
      expect(await told(renderFrame(7, size))).toEqual(own);
      const [first] = await readdir(fitted.reference);
      expect(await inspector.inspect(await readFile(join(fitted.reference, first)))).toMatchObject({ verdict: 'pass' });
    } finally {
      await pool.destroy();
    }
  });

  it('refuses an image of which the mask leaves nothing', async () => {
    const inspector = await createInspector({
      profile: { ...fitted.profile, mask: maskAreas([{ left: 0, top: 0, right: 0.95, bottom: 1 }]) },
    });
    await expect(inspector.inspect(await encode(withClock(1)))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_IMAGE_MASKED',
      status: 422,
    });
  });
});
