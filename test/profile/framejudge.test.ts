import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { readContainer } from '../../src/image/container/read.ts';
import { decode } from '../../src/image/decode.ts';
import { readPngPixels } from '../../src/image/pngpixels.ts';
import { encodeProfile } from '../../src/profile/file.ts';
import { createFrameJudge, type FrameJudge } from '../../src/profile/framejudge.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import { jpegFrame } from '../fixtures/camera.ts';
import { causesProfile, fitOnce } from '../fixtures/fitted.ts';
import { noiseBytes, picture, png, pngChunk, tiffOrientation, withPngChunks } from '../fixtures/images.ts';

let inspector: Inspector;
let judge: FrameJudge;
let profile: Uint8Array;

beforeAll(async () => {
  const fitted = await fitOnce(causesProfile);
  profile = encodeProfile(fitted.profile);
  inspector = await createInspector({ profile: fitted.profile, core: 'wasm' });
  judge = await createFrameJudge({ profile });
});

/** A verdict without how long it took. */
const untimed = async <Judged extends object>(verdict: Promise<Judged>) => ({
  ...(await verdict),
  timingMs: undefined,
});

/** PNG of every colour type and depth, interlaced or not: rows of noise behind filter 0. */
const colourTypes: [number, number[]][] = [
  [0, [1, 2, 4, 8, 16]],
  [2, [8, 16]],
  [3, [1, 2, 4, 8]],
  [4, [8, 16]],
  [6, [8, 16]],
];
const kinds = colourTypes.flatMap(([colourType, depths]) => depths.map((bitDepth) => ({ colourType, bitDepth })));

describe('readPngPixels', () => {
  it.each(kinds)(
    'reads colour type $colourType of $bitDepth bits as the decoder does',
    async ({ colourType, bitDepth }) => {
      const [width, height] = [37, 23];
      const samples = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[colourType] as number;
      const stride = Math.ceil((width * samples * bitDepth) / 8);
      const rows = Buffer.concat(
        Array.from({ length: height }, (_, y) => Buffer.concat([Buffer.of(0), noiseBytes(stride, y + 1)])),
      );
      const palette = pngChunk('PLTE', noiseBytes(3 * 2 ** Math.min(8, bitDepth)));
      const bytes = png({ width, height, bitDepth, colourType } as never, rows, colourType === 3 ? [palette] : []);
      const expected = (await decode(bytes)).frame;
      const frame = await readPngPixels(bytes, readContainer(bytes));
      expect(Buffer.compare(frame.data, expected.data)).toBe(0);
    },
  );

  it.each([
    ['every filter', { compressionLevel: 9, adaptiveFiltering: true }],
    ['Adam7', { progressive: true, adaptiveFiltering: true }],
    ['a palette', { palette: true }],
  ])('reads %s as the decoder does', async (_, options) => {
    const bytes = await picture(77, 53).png(options).toBuffer();
    const frame = await readPngPixels(bytes, readContainer(bytes));
    expect(Buffer.compare(frame.data, (await decode(bytes)).frame.data)).toBe(0);
  });

  it('refuses data that end too early or cannot be inflated', async () => {
    const short = png({ width: 40, height: 40, bitDepth: 8, colourType: 0 } as never, Buffer.alloc(41 * 20));
    await expect(readPngPixels(short, readContainer(short))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_IMAGE_CORRUPT',
    });
    const whole = await picture(64, 64).png().toBuffer();
    whole.fill(0xff, whole.indexOf('IDAT') + 40, whole.indexOf('IDAT') + 80);
    await expect(readPngPixels(whole, readContainer(whole))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_IMAGE_CORRUPT',
    });
  });
});

describe('createFrameJudge', () => {
  it('gives the verdict of the inspector for pixels, with three channels or the four of a canvas', async () => {
    const { frame } = await decode(await jpegFrame(700));
    const expected = await untimed(inspector.inspectFrame(frame));
    expect(await untimed(judge.inspect(frame))).toEqual(expected);
    const data = new Uint8ClampedArray(
      await sharp(frame.data, { raw: { width: frame.width, height: frame.height, channels: 3 } })
        .ensureAlpha()
        .raw()
        .toBuffer(),
    );
    const canvas = await untimed(judge.inspect({ data, width: frame.width, height: frame.height }));
    // The checksum is that of the samples, of which there are more.
    const { verdict, pValue } = expected;
    expect(canvas).toMatchObject({ verdict, pValue });
  });

  it('gives the verdict of the service for pixels with the bytes they came from', async () => {
    for (const bytes of [await jpegFrame(701), await jpegFrame(702, 20)]) {
      const { frame } = await decode(bytes);
      expect(await untimed(judge.inspect(frame, bytes))).toEqual(await untimed(inspector.inspect(bytes)));
    }
  });

  it.each([
    ['as it is', async () => picture(160, 90).png().toBuffer()],
    ['with alpha', async () => picture(160, 90).ensureAlpha(0.3).png().toBuffer()],
    [
      'turned',
      async () => withPngChunks(await picture(160, 90).png().toBuffer(), pngChunk('eXIf', tiffOrientation(6))),
    ],
    ['shrunk', async () => picture(2000, 1200).png().toBuffer()],
  ])('decodes and judges a PNG %s as the service does', async (_, make) => {
    const bytes = await make();
    const ours = await untimed(judge.inspectImage(new Blob([new Uint8Array(bytes)])));
    expect(ours).toEqual(await untimed(inspector.inspect(bytes)));
    const { tiles } = await judge.explainImage(bytes);
    expect(tiles).toEqual((await inspector.explain(bytes)).tiles);
  });

  it('decides as it is told', async () => {
    const strict = await createFrameJudge({ profile, decideBy: 'capture', blockWhen: 'pValue <= 1' });
    const { frame } = await decode(await jpegFrame(703));
    expect(await strict.inspect(frame)).toMatchObject({ verdict: 'block', decidedBy: 'capture' });
    await expect(createFrameJudge({ profile, decideBy: 'other' as never })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
    });
  });

  it('refuses what it cannot judge, with a code', async () => {
    const code = (name: string) => ({ code: `STOPLINE_ERR_${name}` });
    const damaged = profile.slice();
    damaged[damaged.length - 5] ^= 1;
    await expect(createFrameJudge({ profile: damaged })).rejects.toMatchObject(code('PROFILE_CHECKSUM'));
    await expect(judge.inspect({ data: new Uint8Array(3), width: 64, height: 64 })).rejects.toMatchObject(
      code('FRAME_INVALID'),
    );
    await expect(judge.inspect(undefined as never)).rejects.toMatchObject(code('FRAME_INVALID'));
    // Node decodes no JPEG without sharp.
    await expect(judge.inspectImage(await jpegFrame(1))).rejects.toMatchObject(code('IMAGE_UNSUPPORTED'));
    await expect(judge.inspectImage(new Uint8Array(10))).rejects.toMatchObject(code('IMAGE_UNSUPPORTED'));
    await expect(createFrameJudge({ profile, wasm: new Uint8Array(4) })).rejects.toThrow();
  });
});
