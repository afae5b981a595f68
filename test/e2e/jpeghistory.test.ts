import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit/fit.ts';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import { decode } from '../../src/image/decode.ts';
import type { Frame } from '../../src/image/frame.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import { encodeFrame, renderFrame } from '../fixtures/camera.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const quality = 95;
/** Rendered 8 pixels larger where something is cut off, so that the size of the file stays that of the reference. */
const camera = (index: number, more = 0) => renderFrame(index, { width: 400 + more, height: 240 + more });
let inspector: Inspector;

beforeAll(async () => {
  mkdirSync(join(folder, 'frames'));
  for (let index = 0; index < 60; index++) {
    writeFileSync(join(folder, 'frames', `${index}.jpg`), await encodeFrame(camera(index), { quality }));
  }
  // By the statistics of the pixels alone, at a rate that 60 images can well promise.
  const rates = { falseAlarmRate: { warn: 0.05, block: 0.02 }, model: 'none' };
  const { profile } = await fit({
    paths: [join(folder, 'frames')],
    groupBy: 'none',
    simulations: 0,
    power: 0,
    ...rates,
  });
  inspector = await createInspector({ profile });
});

const raw = ({ data, width, height, channels }: Frame) => sharp(data, { raw: { width, height, channels } });
const pixels = async (bytes: Uint8Array): Promise<Frame> => (await decode(bytes)).frame;

describe('an image that was compressed before', () => {
  it('on the same grid: the verdict says at which quality, and what the file says', async () => {
    const before = await pixels(await encodeFrame(camera(300), { quality: 75 }));
    const { verdict, image, reasons } = await inspector.inspect(await encodeFrame(before, { quality }));
    expect(verdict).not.toBe('pass');
    expect(image.history).toEqual({
      last: { quality, offsetX: 0, offsetY: 0 },
      earlier: { quality: 75, offsetX: 0, offsetY: 0 },
    });
    expect(reasons[0]).toMatchObject({
      statistic: 'history',
      value: 'quality 75',
      direction: 'new',
      text: 'the pixels were JPEG-compressed at about quality 75 before, although the file says 95',
    });
  });

  it('and cropped: the verdict says where the grid lies', async () => {
    const before = await pixels(await encodeFrame(camera(301, 8), { quality: 60 }));
    const cut = await raw(before).extract({ left: 5, top: 3, width: 400, height: 240 }).jpeg({ quality }).toBuffer();
    const { verdict, image, reasons } = await inspector.inspect(cut);
    expect(verdict).not.toBe('pass');
    expect(image.history?.last).toEqual({ quality, offsetX: 0, offsetY: 0 });
    expect(image.history?.earlier).toMatchObject({ offsetX: 3, offsetY: 5 });
    expect(Math.abs((image.history?.earlier?.quality ?? 0) - 60)).toBeLessThanOrEqual(2);
    expect(reasons[0].text).toMatch(/at about quality (59|60|61|62) before, on a grid shifted by \(3, 5\), although/);
  });

  it('and kept without loss: the verdict says that, too', async () => {
    const before = await pixels(await encodeFrame(camera(302), { quality: 80 }));
    const { image, reasons } = await inspector.inspect(await raw(before).png().toBuffer());
    expect(image.history).toEqual({ last: { quality: 80, offsetX: 0, offsetY: 0 } });
    const text = 'the pixels were JPEG-compressed at about quality 80 before, although the file is a PNG';
    expect(reasons.find(({ statistic }) => statistic === 'history')?.text).toBe(text);
    const frame = await inspector.inspectFrame(before);
    expect(frame.image.history).toEqual(image.history);
  });
});

describe('an image that was not', () => {
  it('passes without a look at its history', async () => {
    const verdicts = await Promise.all(
      [400, 401, 402].map(async (index) => inspector.inspect(await encodeFrame(camera(index), { quality }))),
    );
    for (const { verdict, image, reasons } of verdicts) {
      expect('history' in image).toBe(verdict !== 'pass');
      expect(reasons.map(({ statistic }) => statistic)).not.toContain('history');
    }
    expect(verdicts.map(({ verdict }) => verdict)).toContain('pass');
  });

  it('has only the history of its file when something else is wrong', async () => {
    const foggy = await corrupt(camera(303), 'fog', 3, 1);
    const { verdict, image, reasons } = await inspector.inspect(await encodeFrame(foggy, { quality }));
    expect(verdict).not.toBe('pass');
    expect(image.history).toEqual({ last: { quality, offsetX: 0, offsetY: 0 } });
    expect(reasons.map(({ statistic }) => statistic)).not.toContain('history');
  });

  it('has none that could be read when it was turned', async () => {
    const file = await raw(camera(304)).jpeg({ quality: 40 }).withMetadata({ orientation: 3 }).toBuffer();
    const { verdict, image } = await inspector.inspect(file);
    expect(verdict).not.toBe('pass');
    expect(image.history).toBeUndefined();
  });
});
