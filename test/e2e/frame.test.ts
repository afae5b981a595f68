import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import { type Service, serve } from '../../src/server/serve.ts';
import { browserPath, openBrowser, patience, watchPage } from '../fixtures/browser.ts';
import { encodeFrame, renderFrame } from '../fixtures/camera.ts';
import { causesProfile, fitOnce } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { type FramePage, openFramePage } from '../fixtures/framepage.ts';
import {
  exifSegment,
  noiseBytes,
  picture,
  png,
  pngChunk,
  tiffOrientation,
  webpChunk,
  withJpegSegments,
  withPngChunks,
} from '../fixtures/images.ts';

if (!browserPath) console.warn('skipped: no chromium on this machine (Debian package chromium)');

const folder = temporaryFolder();
const size = { width: 160, height: 90 };
let service: Service;
let browser: Browser;
let inspector: Inspector;
let pages: FramePage;

beforeAll(async () => {
  if (!browserPath) return;
  const { profilePath, profile } = await fitOnce(causesProfile);
  inspector = await createInspector({ profile, core: 'wasm' });
  const flags = {
    profile: profilePath,
    stateDir: join(folder, 'state'),
    port: 0,
    threads: 1,
    isolation: 'thread',
    logLevel: 'silent',
  };
  service = await serve(loadConfig({ env: {}, flags }).config);
  browser = await openBrowser();
  pages = await openFramePage(browser, service.url);
});

afterAll(async () => {
  await browser?.close();
  await service?.close();
});

const rgba = () => sharp(noiseBytes(4 * 80 * 60, 3), { raw: { width: 80, height: 60, channels: 4 } });

/** Images without loss, in every form that changes what a decoder has to do. */
const lossless: Record<string, () => Promise<Uint8Array>> = {
  PNG: () => picture(160, 90).png().toBuffer(),
  'PNG of a frame': async () => encodePng(700),
  'PNG with colours below transparent pixels': () => rgba().png().toBuffer(),
  'PNG of 16 bits': () => picture(160, 90).toColourspace('rgb16').png().toBuffer(),
  'PNG with a palette': () => picture(160, 90).png({ palette: true }).toBuffer(),
  'PNG in Adam7': () => picture(161, 91).png({ progressive: true }).toBuffer(),
  'PNG of 2 bits of grey': async () =>
    png(
      { width: 64, height: 64, bitDepth: 2, colourType: 0 },
      Buffer.concat(Array.from({ length: 64 }, (_, y) => Buffer.concat([Buffer.of(0), noiseBytes(16, y + 1)]))),
    ),
  'PNG that says gamma': async () =>
    withPngChunks(await picture(160, 90).png().toBuffer(), pngChunk('gAMA', Buffer.of(0, 1, 0x86, 0xa0))),
  'PNG on its side': async () =>
    withPngChunks(await picture(160, 90).png().toBuffer(), pngChunk('eXIf', tiffOrientation(8))),
  'PNG that is shrunk': () => picture(2000, 1200).png({ compressionLevel: 1 }).toBuffer(),
  'PNG with a colour profile': () => picture(160, 90).withIccProfile('p3').png().toBuffer(),
  'lossless WebP': () => picture(160, 90).webp({ lossless: true }).toBuffer(),
  'lossless WebP with colours below transparent pixels': () => rgba().webp({ lossless: true, exact: true }).toBuffer(),
  'lossless WebP with a colour profile': () =>
    picture(160, 90).withIccProfile('p3').webp({ lossless: true }).toBuffer(),
};

async function encodePng(index: number): Promise<Uint8Array> {
  const { data, width, height } = renderFrame(index, size);
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** JPEG in every form that cameras and pipelines write. */
const jpegs: Record<string, () => Promise<Uint8Array>> = {
  ...Object.fromEntries(
    [30, 75, 95].map((quality) => [
      `JPEG of quality ${quality}`,
      () => encodeFrame(renderFrame(800 + quality, size), { quality }),
    ]),
  ),
  'JPEG 4:4:4': () => picture(160, 90).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer(),
  'progressive JPEG': () => picture(161, 93).jpeg({ progressive: true }).toBuffer(),
  'grey JPEG': () => picture(160, 90).greyscale().jpeg().toBuffer(),
  'JPEG with a colour profile': () => picture(160, 90).withIccProfile('p3').jpeg().toBuffer(),
  ...Object.fromEntries(
    [2, 3, 4, 5, 6, 7, 8].map((orientation) => [
      `JPEG of orientation ${orientation}`,
      async () => withJpegSegments(await picture(160, 90).jpeg().toBuffer(), exifSegment(tiffOrientation(orientation))),
    ]),
  ),
  'lossy WebP': () => picture(160, 90).webp({ quality: 80 }).toBuffer(),
};

/**
 * Fails unless both are the same but for the last digits of numbers: logarithms and powers of one V8 differ there from those of another.
 */
function expectAlike(received: unknown, expected: unknown, place = 'verdict'): void {
  if (typeof expected === 'number' && typeof received === 'number') {
    expect(Math.abs(received - expected), place).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(expected)));
  } else if (typeof expected === 'object' && expected !== null) {
    const parts = Object.entries(expected);
    expect(Object.keys(received ?? {}).sort(), place).toEqual(parts.map(([key]) => key).sort());
    for (const [key, value] of parts) expectAlike((received as Record<string, unknown>)[key], value, `${place}.${key}`);
  } else expect(received, place).toEqual(expected);
}

describe.skipIf(!browserPath)('the judge of a page', () => {
  it.each(Object.keys(lossless))('gives the verdict of the service, number by number: %s', async (name) => {
    const bytes = await lossless[name]();
    const { timingMs: _, ...expected } = await inspector.inspect(bytes);
    const [verdict] = await pages.judge([bytes]);
    expectAlike(verdict, JSON.parse(JSON.stringify(expected)));
  });

  it.each(Object.keys(jpegs))('gives the verdict of the service: %s', async (name) => {
    const bytes = await jpegs[name]();
    const { verdict, image } = await inspector.inspect(bytes);
    const [judged] = await pages.judge([bytes]);
    expect(judged).toMatchObject({
      verdict,
      image: { width: image.width, height: image.height, sha256: image.sha256 },
    });
  });

  it('refuses what the service refuses, with its codes', async () => {
    const whole = Buffer.from(await picture(160, 90).jpeg().toBuffer());
    const cut = whole.subarray(0, whole.length - 400);
    const images = [cut, Buffer.from('none'), await picture(8, 8).png().toBuffer(), webpChunk('VP8 ', Buffer.alloc(9))];
    for (const [i, judged] of (await pages.judge(images)).entries()) {
      const { code } = await inspector.inspect(images[i]).catch((error) => error);
      expect(judged).toMatchObject({ code });
    }
  });

  it('judges on the page without sending the image', async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(patience);
    const faults = watchPage(page, service.url);
    const posted: string[] = [];
    page.on('request', (request) => request.method() !== 'GET' && posted.push(request.url()));
    await page.goto(`${service.url}/#/try`);
    await page.locator('.local input').check();
    const bytes = Buffer.from(await lossless.PNG());
    await page.setInputFiles('input[type=file]', { name: 'x.png', mimeType: 'image/png', buffer: bytes });
    await page.locator('.said').waitFor();
    expect(await page.locator('.said h2').innerText()).toBe(
      `${(await inspector.inspect(bytes)).verdict.toUpperCase()} x.png`,
    );
    expect(await page.locator('.tiles').count()).toBe(4);
    expect({ posted, faults }).toEqual({ posted: [], faults: [] });
    await page.close();
  });
});
