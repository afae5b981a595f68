import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { loadCore } from '../../src/core/index.ts';
import type { Frame } from '../../src/image/frame.ts';
import { encodeMask, Masking, Maskings, maskAreas } from '../../src/image/mask.ts';
import { measureBytes } from '../../src/image/measure.ts';
import { readMask } from '../../src/image/readmask.ts';
import { measureSimulations } from '../../src/image/simulation.ts';
import { renderFrame } from '../fixtures/camera.ts';
import { random } from '../fixtures/frames.ts';

const core = loadCore();
const corner = { left: 0, top: 0, right: 0.3, bottom: 0.2 };
const size = { width: 320, height: 192 };
/** The frame with the corner painted over. */
function paint(frame: Frame, colour: (x: number, y: number) => number): Frame {
  const data = frame.data.slice();
  for (let y = 0; y < 0.2 * frame.height - 1; y++) {
    for (let x = 0; x < 0.3 * frame.width - 1; x++) {
      for (let c = 0; c < 3; c++) data[3 * (y * frame.width + x) + c] = colour(x, y);
    }
  }
  return { ...frame, data };
}
const encode = ({ data, width, height }: Frame, format: 'png' | 'jpeg') =>
  sharp(data, { raw: { width, height, channels: 3 } })
    .toFormat(format, format === 'jpeg' ? { quality: 90, chromaSubsampling: '4:2:0' } : {})
    .toBuffer();

describe('a mask', () => {
  it('lets nothing under it change a number, in PNG and in JPEG, whole, in part and under a cause', async () => {
    const frame = renderFrame(5, size);
    const others = [() => 255, (x: number, y: number) => (37 * x * y) % 256, () => 0];
    for (const format of ['png', 'jpeg'] as const) {
      const masking = new Masking(maskAreas([corner]));
      const numbers = async (shown: Frame) => {
        const bytes = await encode(shown, format);
        const { statistics, places, hash } = await measureBytes(core, bytes, undefined, undefined, masking);
        const simulated = await measureSimulations(
          core,
          bytes,
          [
            { severity: 1, seed: 3, crop: true },
            { severity: 3, seed: 3, crop: false, cause: 'bars' },
          ],
          undefined,
          { masking },
        );
        return { statistics, places, hash, parts: format === 'png' ? simulated.map((one) => one.statistics) : [] };
      };
      const own = await numbers(frame);
      for (const colour of others) expect(await numbers(paint(frame, colour)), format).toEqual(own);
      const bare = await measureBytes(core, await encode(frame, format));
      const painted = await measureBytes(core, await encode(paint(frame, others[1]), format));
      expect(painted.statistics).not.toEqual(bare.statistics);
    }
  });

  it('leaves what counts as it is, and mirrors it at its border', () => {
    const frame = renderFrame(5, size);
    const masked = new Masking(maskAreas([corner])).copy(frame);
    const at = ({ data }: Frame, x: number, y: number) => [...data.subarray(3 * (y * 320 + x), 3 * (y * 320 + x) + 3)];
    // 0.3 of 320 pixels is a border of blocks, and the mask goes 2 beyond; 0.2 of 192 is within the block that ends at 48.
    for (let y = 0; y < 192; y++) {
      for (let x = 0; x < 320; x++) {
        const isMasked = x < 98 && y < 50;
        if (!isMasked) expect(at(masked, x, y)).toEqual(at(frame, x, y));
        else expect(at(masked, x, y)).toEqual(at(frame, 195 - x, y));
      }
    }
  });

  it('fills rows that are masked as a whole from the rows beside them', () => {
    const frame = renderFrame(5, size);
    const { data } = new Masking(maskAreas([{ left: 0, top: 0.75, right: 1, bottom: 1 }])).copy(frame);
    const row = (d: Uint8Array, y: number) => d.subarray(960 * y, 960 * (y + 1));
    for (let y = 142; y < 192; y++) expect(row(data, y)).toEqual(row(frame.data, 283 - y));
    expect(data.subarray(0, 960 * 142)).toEqual(frame.data.subarray(0, 960 * 142));
  });

  it('is that of the image, whatever its size and number of channels', () => {
    const masking = new Masking(maskAreas([corner]));
    for (const [width, height, channels] of [
      [64, 48, 1],
      [640, 384, 4],
      [33, 500, 3],
    ] as const) {
      const data = new Uint8Array(width * height * channels).fill(9);
      for (let y = 0; y < height * 0.2; y++) data.fill(77, y * width * channels, (y * width + 1) * channels);
      const { data: filled } = masking.copy({ data, width, height, channels });
      expect(filled.every((value) => value === 9)).toBe(true);
    }
  });

  it('that leaves too little makes an image one that cannot be checked', () => {
    const masking = new Masking(maskAreas([{ left: 0, top: 0, right: 0.97, bottom: 1 }]));
    expect(() => masking.copy(renderFrame(5, size))).toThrow(
      expect.objectContaining({
        code: 'STOPLINE_ERR_IMAGE_MASKED',
        message: expect.stringMatching(/at least 10 % .* outside the mask but 0 % of 320x192 is: it cannot be checked/),
      }),
    );
  });
});

describe('what is given as a mask', () => {
  it('is an image, white for what counts, or areas that do not', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mask-'));
    const path = join(folder, 'mask.png');
    const cells = Uint8Array.from({ length: 20 * 10 }, (_, p) => (p % 20 < 6 && p < 40 ? 0 : 255));
    await writeFile(
      path,
      await sharp(cells, { raw: { width: 20, height: 10, channels: 1 } })
        .resize(200, 100, { kernel: 'nearest' })
        .png()
        .toBuffer(),
    );
    const frame = renderFrame(5, size);
    const drawn = new Masking(await readMask(path)).copy(frame);
    const given = new Masking(await readMask('0,0,.3,.2')).copy(frame);
    expect(drawn).toEqual(given);
    expect(await readMask('0,0,0.3,0.2; 0.5,0.5,1,1')).toEqual(
      maskAreas([corner, { left: 0.5, top: 0.5, right: 1, bottom: 1 }]),
    );
  });

  it('is refused where it is neither, or hides all', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mask-'));
    const path = join(folder, 'black.png');
    await writeFile(
      path,
      await sharp({ create: { width: 32, height: 32, channels: 3, background: 'black' } })
        .png()
        .toBuffer(),
    );
    await expect(readMask(path)).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    await expect(readMask(join(folder, 'none.png'))).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_NOT_FOUND' });
    await expect(readMask('0.5,0,0.2,1')).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    await expect(readMask('0,0,2,1')).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
  });

  it('is kept as runs that give the same cells', () => {
    expect(encodeMask(Uint8Array.of(1, 1, 0, 0, 0, 1), 3, 2)).toEqual({ width: 3, height: 2, runs: [0, 2, 3, 1] });
    expect(encodeMask(Uint8Array.of(0, 0, 0, 1), 2, 2)).toEqual({ width: 2, height: 2, runs: [3, 1] });
  });
});

describe('a polygon', () => {
  const count = (mask: { width: number; runs: number[] }) =>
    mask.runs.reduce((sum, run, i) => sum + (i & 1 ? run : 0), 0);

  it('hides as much as it covers, and the cells that its edges touch', async () => {
    const triangle = await readMask('0.2,0.2,0.8,0.2,0.5,0.8');
    const { width, height } = triangle;
    expect(count(triangle) / (width * height)).toBeGreaterThan(0.18);
    expect(count(triangle) / (width * height)).toBeLessThan(0.18 + 0.008);
    // The same as a rectangle, as two areas, and with its corners the other way round.
    const square = await readMask('0.25,0.25,0.75,0.25,0.75,0.75,0.25,0.75');
    expect(count(square) - count(await readMask('0.25,0.25,0.75,0.75'))).toBeLessThan(1100);
    expect(await readMask('0.25,0.75,0.75,0.75,0.75,0.25,0.25,0.25')).toEqual(square);
    expect(count(await readMask('0,0,0.1,0.1;0.2,0.2,0.8,0.2,0.5,0.8'))).toBe(count(triangle) + 2500);
  });

  it('lets nothing within it change a pixel that counts', async () => {
    const masking = new Masking(await readMask('0.1,0.1,0.9,0.1,0.5,0.6'), maskAreas([corner]));
    const isInside = (x: number, y: number) => y > 0.1 && y < 0.6 && Math.abs(x - 0.5) < (0.4 * (0.6 - y)) / 0.5;
    const frame = renderFrame(5, size);
    const other = frame.data.map((value, i) => {
      const [x, y] = [
        ((Math.floor(i / 3) % size.width) + 0.5) / size.width,
        (Math.floor(i / 3 / size.width) + 0.5) / size.height,
      ];
      return isInside(x, y) || (x < 0.3 && y < 0.2) ? 255 - value : value;
    });
    expect(Buffer.compare(masking.copy({ ...frame, data: other }).data, masking.copy(frame).data)).toBe(0);
  });

  it.each(['0.1,0.1,0.9,0.1,0.5', '0.1,0.1,0.9,0.1,0.5,1.6'])('%s is refused', async (text) => {
    await expect(readMask(text)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringContaining('three corners'),
    });
  });
});

describe('masks that somebody made to cost much', () => {
  const folder = mkdtemp(join(tmpdir(), 'stopline-mask-'));
  const write = async (name: string, data: Uint8Array, width: number) => {
    const path = join(await folder, name);
    await writeFile(
      path,
      await sharp(data, { raw: { width, height: data.length / width, channels: 1 } })
        .png()
        .toBuffer(),
    );
    return path;
  };

  it('of noise are hidden in larger cells, so that a Profile with one can be read again', async () => {
    const uniform = random(5);
    const rare = Uint8Array.from({ length: 1000 * 1000 }, () => (uniform() < 0.05 ? 0 : 255));
    const { runs, width, height } = await readMask(await write('noise.png', rare, 1000));
    expect(runs.length).toBeLessThanOrEqual(50_000);
    expect(runs.reduce((sum, length) => sum + length, 0)).toBe(width * height);
    // Every other pixel: nothing is left at any coarser size.
    const dots = Uint8Array.from({ length: 1000 * 1000 }, (_, i) => ((i + Math.floor(i / 1000)) % 2 ? 0 : 255));
    await expect(readMask(await write('dots.png', dots, 1000))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
    });
    await rm(await folder, { recursive: true });
  });

  it.each(['NaN,0,1,1', '0,0,1e9,1', '-1,0,1,1', '0,0,Infinity,1', '0,0,1,1,0', `${'9'.repeat(9000)},0,1,1`])(
    'as %s are refused',
    async (areas) => {
      const code = expect.stringMatching(/OPTION_INVALID|INPUT_/);
      await expect(readMask(areas)).rejects.toMatchObject({ code });
    },
  );

  it('for many sources at large sizes do not fill the memory: those used longest ago are prepared again', () => {
    const frame = { data: new Uint8Array(3 * 1920 * 1080), width: 1920, height: 1080, channels: 3 } as const;
    const masks = Array.from({ length: 16 }, (_, i) => ({
      key: `${i}`,
      masks: [maskAreas([{ left: 0, top: 0, right: 1, bottom: 0.5 + i / 100 }])],
    }));
    const maskings = new Maskings();
    for (const mask of masks) maskings.find(mask)?.fill(frame);
    const prepared = masks.map((mask) => maskings.find(mask)?.preparedBytes ?? 0);
    expect(prepared[0]).toBe(0);
    expect(prepared.at(-1)).toBeGreaterThan(0);
    expect(prepared.reduce((sum, bytes) => sum + bytes)).toBeLessThan(120 * 2 ** 20);
  });
});

describe('many masks of one source', () => {
  it('take as much memory as one, and hide what any of them hides', () => {
    const one = maskAreas([corner]);
    const other = maskAreas([{ left: 0.7, top: 0.7, right: 1, bottom: 1 }]);
    const all = new Masking(...Array.from({ length: 1000 }, (_, i) => (i % 2 ? one : other)));
    const both = new Masking(one, other);
    const frame = renderFrame(5, size);
    expect(all.copy(frame).data).toEqual(both.copy(frame).data);
    expect(all.preparedBytes).toBe(both.preparedBytes);
    all.forget();
    expect(all.preparedBytes).toBe(0);
  });
});
