import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit/fit.ts';
import type { FitOptions } from '../../src/fit/options.ts';
import { corruptions } from '../../src/image/corruptions/corruptions.ts';
import type { Profile } from '../../src/profile/description.ts';
import { decodeProfile, encodeProfile } from '../../src/profile/file.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { Measurements } from '../../src/run/measurements.ts';
import { jpegFrame, renderFolder } from '../fixtures/camera.ts';
import { fitOnce, wholeProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
let frames: string[];

beforeAll(async () => {
  frames = await renderFolder(at('frames'), 100);
});

// Most references are made of the same images: those are measured once.
const measurements = Measurements.open(at('measurements'));
afterAll(() => measurements.close());

/** With causes and a power report, as a user's fit, but of few images. Embeddings are looked at without the causes. */
const fitFew = (path: string, options: Partial<FitOptions> = {}) =>
  fit({ paths: [path], simulations: 10, power: 1, threads: 1, model: 'none', measurements, ...options });
/** With the network, as a user's fit, and without causes. */
const fitSeen = (path: string) => fit({ paths: [path], simulations: 0, power: 0, threads: 1, measurements });

function makeFolder(name: string, files: readonly (readonly [name: string, bytes: Uint8Array])[]): string {
  mkdirSync(at(name), { recursive: true });
  for (const [file, bytes] of files) writeFileSync(at(name, file), bytes);
  return at(name);
}

/** The same pixels in another file: a comment segment of its own. */
function withComment(jpeg: Uint8Array, text: string): Uint8Array {
  const comment = Buffer.from([0xff, 0xfe, 0, 2 + text.length, ...Buffer.from(text)]);
  return Buffer.concat([jpeg.subarray(0, 2), comment, jpeg.subarray(2)]);
}

async function flat(level: number, size = { width: 160, height: 90 }): Promise<Uint8Array> {
  return sharp({ create: { ...size, channels: 3, background: { r: level, g: level, b: level } } })
    .png()
    .toBuffer();
}

/** What every Profile must stand up to: it can be stored, read and used. */
async function expectUsable({ profile }: { profile: Profile }): Promise<void> {
  const inspector = await createInspector({ profile: decodeProfile(encodeProfile(profile)) });
  const { pValue, reasons } = await inspector.inspect(await jpegFrame(5000));
  expect(pValue).toBeGreaterThan(0);
  expect(pValue).toBeLessThanOrEqual(1);
  const strange = await inspector.inspect(await flat(128, { width: 640, height: 480 }));
  expect(strange.score).toBeGreaterThan(1);
  expect(strange.reasons.length).toBeGreaterThan(0);
  for (const { text } of [...reasons, ...strange.reasons]) expect(text).not.toMatch(/NaN|undefined|Infinity/);
}

describe('a reference from which nothing can be learnt is refused, and the error says what to add', () => {
  it('one image repeated', async () => {
    const bytes = readFileSync(frames[0]);
    const copies = Array.from({ length: 60 }, (_, i) => [`${i}.jpg`, bytes] as const);
    await expect(fitFew(makeFolder('one', copies))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_FIT_TOO_FEW_IMAGES',
      message: expect.stringMatching(/at least 50 distinct images .* received 1 and 59 exact copies/),
    });
  });

  it('the same pixels in files that differ', async () => {
    const bytes = readFileSync(frames[0]);
    const files = Array.from({ length: 60 }, (_, i) => [`${i}.jpg`, withComment(bytes, String(1000 + i))] as const);
    await expect(fitFew(makeFolder('same', files))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_FIT_NO_VARIATION',
      message: expect.stringMatching(/Add images of other scenes and times/),
    });
  });

  it('one flat colour', async () => {
    const grey = await flat(90);
    // Bytes behind the end of a PNG are not read.
    const files = Array.from({ length: 60 }, (_, i) => [`${i}.png`, Buffer.concat([grey, Buffer.from([i])])] as const);
    await expect(fitFew(makeFolder('flat', files))).rejects.toMatchObject({ code: 'STOPLINE_ERR_FIT_NO_VARIATION' });
  });

  it('49 images, where 50 are enough', async () => {
    const files = frames.slice(0, 50).map((path) => [basename(path), readFileSync(path)] as const);
    const few = makeFolder('49', files.slice(0, 49));
    await expect(fitFew(few)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_FIT_TOO_FEW_IMAGES',
      message: expect.stringMatching(/at least 50 .*99 to promise .* received 49\./),
    });
    await expectUsable(await fitFew(makeFolder('50', files), { simulations: 0, power: 0 }));
  });

  it('half of the files broken, and too few left', async () => {
    const files = frames.slice(0, 90).map((path, i) => {
      const bytes = readFileSync(path);
      return [basename(path), i % 2 === 0 ? bytes.subarray(0, bytes.length / 2) : bytes] as const;
    });
    await expect(fitFew(makeFolder('broken-few', files))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_FIT_TOO_FEW_IMAGES',
      message: expect.stringMatching(/received 45\. 45 could not be read, the first: /),
    });
  });

  it('one group only', async () => {
    await expect(fitFew(at('frames'), { groupBy: 'frames' })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringMatching(
        /at least two groups .* of 100 images in 1 group only 0 are left .*group-by, or none/,
      ),
    });
  });
});

describe('a poor reference gives a Profile that says how poor it is', () => {
  it('60 images of one size, with causes and power', async () => {
    const { profile } = await fitOnce(wholeProfile);
    const { reference, falseAlarmRate, power, causes, categories, warnings } = profile;
    expect(reference.images).toBe(60);
    expect(falseAlarmRate.promised.warn).toBe(1 / (reference.fitted + 1));
    expect(warnings[0]).toMatch(/0\.01 for warn needs 99 reference images/);
    expect(falseAlarmRate.achieved?.warn.images).toBe(reference.fitted);
    // The ten that causes are learnt from, each at a fifth of the severities.
    expect(power?.images).toBe(2);
    expect(power?.clean.images).toBe(10);
    // Nobody can tell a rate from ten images.
    expect((power?.clean.high ?? 0) - (power?.clean.low ?? 0)).toBeGreaterThan(0.3);
    expect(causes?.names.length).toBe(corruptions.length);
    expect(categories.size).toEqual({ '160x90': reference.fitted });
    await expectUsable({ profile });
  });

  it('half of the files broken, and enough left', async () => {
    const files = frames.flatMap((path) => {
      const bytes = readFileSync(path);
      return [
        [basename(path), bytes],
        [`cut-${basename(path)}`, bytes.subarray(0, bytes.length / 2)],
      ] as const;
    });
    const result = await fitFew(makeFolder('broken', files), { simulations: 0, power: 0 });
    expect(result.profile.reference).toMatchObject({ images: 100, skipped: 100 });
    expect(result.warnings).toContain('100 images could not be used and were skipped.');
    await expectUsable(result);
  });

  it('mostly one picture: what differs is listed, not lost', async () => {
    const bytes = readFileSync(frames[0]);
    const same = Array.from({ length: 50 }, (_, i) => [`${i}.jpg`, withComment(bytes, String(1000 + i))] as const);
    const others = frames.slice(1, 11).map((path, i) => [`${i * 5}-b.jpg`, readFileSync(path)] as const);
    const mostly = makeFolder('mostly', [...same, ...others]);
    for (const result of [await fitFew(mostly), await fitSeen(mostly)]) {
      await expectUsable(result);
      expect(result.outliers.count).toBe(10);
      expect(result.outliers.images.every(({ path }) => path.endsWith('-b.jpg'))).toBe(true);
      expect(result.warnings.join('\n')).toMatch(/10 of 60 reference images are unlike the rest/);
    }
  });

  it('flat colours of many levels', async () => {
    const files: [string, Uint8Array][] = [];
    for (let i = 0; i < 60; i++) files.push([`${i}.png`, await flat(4 * i)]);
    const levels = makeFolder('levels', files);
    await expectUsable(await fitFew(levels));
    await expectUsable(await fitSeen(levels));
  });

  it('every image of a size of its own', async () => {
    const files: [string, Uint8Array][] = [];
    for (const [i, path] of frames.slice(0, 60).entries()) {
      files.push([
        basename(path),
        await sharp(readFileSync(path))
          .resize(100 + i, 90)
          .jpeg()
          .toBuffer(),
      ]);
    }
    const result = await fitFew(makeFolder('sizes', files), { simulations: 0, power: 0 });
    // A size never seen before says nothing where nobody has seen one twice.
    expect(result.profile.categories.size).toBeUndefined();
    await expectUsable(result);
  });
});

describe('strangers among the reference', () => {
  it('are listed with what sets them apart, and warned about', async () => {
    const mixed = at('mixed');
    mkdirSync(mixed);
    for (const path of frames) copyFileSync(path, join(mixed, basename(path)));
    const strange = new Set<string>();
    for (let i = 0; i < 6; i++) {
      const path = join(mixed, `frame${i * 15}-b.jpg`);
      writeFileSync(path, await sharp(readFileSync(frames[i])).blur(4).jpeg({ quality: 90 }).toBuffer());
      strange.add(path);
    }
    const { outliers, profile, warnings } = await fitSeen(mixed);
    const found = outliers.images.map(({ path }) => path);
    expect(new Set(found.slice(0, 6))).toEqual(strange);
    // A hundred frames that belong together: 0.4 % are expected, one or two may be.
    expect(found.length).toBeLessThanOrEqual(8);
    expect(outliers.count).toBe(found.length);
    for (const { why, steps } of outliers.images) {
      expect(why.length).toBeGreaterThan(0);
      expect(steps).toBeGreaterThan(7);
    }
    expect(outliers.images[0].why.join()).toMatch(/blurrier|softer|smoother|less detail|less/);
    expect(profile.reference.outliers).toBe(outliers.count);
    expect(warnings.join('\n')).toContain(`${outliers.count} of 106 reference images are unlike the rest`);
  });

  it('are few where there are none, and no reason to warn', async () => {
    const { outliers, warnings } = await fitSeen(at('frames'));
    expect(outliers.count).toBeLessThanOrEqual(2);
    expect(warnings.join('\n')).not.toContain('unlike the rest');
  });
});
