/**
 * Takes the pictures of the README: the dashboard of the demo's three cameras once two of them have drifted.
 *
 *     npm run demo && npm run pictures      writes docs/pictures/*.png
 */
import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { cameras, chooseCondition } from '../src/cli/demo/living.ts';
import { loadConfig } from '../src/config.ts';
import { corrupt } from '../src/image/corruptions/corruptions.ts';
import { serve } from '../src/server/serve.ts';
import { openBrowser } from '../test/fixtures/browser.ts';

const profile = fileURLToPath(new URL('../artifacts/demo/camera.stopline', import.meta.url));
const folder = fileURLToPath(new URL('../docs/pictures/', import.meta.url));
/** Frames that the demo has neither fitted nor shown. */
const first = 5000;
/** As the demo's camera gives them. */
const size = { width: 480, height: 270, seed: 1 };
/** After so many images of each camera its state is what it is going to be. */
const images = 160;

async function sendAll(url: string): Promise<void> {
  for (let image = 0; image < images; image++) {
    for (const [place, camera] of cameras.entries()) {
      const index = first + image * cameras.length + place;
      const [condition] = chooseCondition(camera, image);
      const frame = renderFrame(index, size);
      const seen = condition === undefined ? frame : await corrupt(frame, condition.cause, condition.severity, index);
      const body = Buffer.from(await encodeFrame(seen));
      const headers = { 'content-type': 'image/jpeg' };
      const answer = await fetch(`${url}/inspect?source=${camera.name}`, { method: 'POST', headers, body });
      if (!answer.ok) throw new Error(`Expected a verdict but received ${answer.status}: ${await answer.text()}`);
    }
  }
}

/** One picture of what a reader sees first, in few colours, since everybody who opens the README loads it. */
async function photograph(page: Page, address: string, name: string, height: number): Promise<void> {
  await page.setViewportSize({ width: 1080, height });
  await page.goto(address, { waitUntil: 'load' });
  await page.waitForFunction(() => document.querySelector('main h1')?.textContent !== '');
  // Charts and pictures are drawn after the text.
  await page.waitForLoadState('networkidle').catch(() => undefined);
  await page.waitForTimeout(3000);
  const png = await page.screenshot();
  await sharp(png).png({ palette: true, colours: 128, compressionLevel: 9 }).toFile(`${folder}${name}.png`);
  console.log(`docs/pictures/${name}.png`);
}

if (!existsSync(profile)) throw new Error('Expected artifacts/demo/camera.stopline. Make it: npm run demo');
mkdirSync(folder, { recursive: true });
const { config } = loadConfig({ env: {}, flags: { profile, port: 0, logLevel: 'silent' } });
const service = await serve(config);
const browser = await openBrowser();
try {
  await sendAll(service.url);
  const page = await browser.newPage({ colorScheme: 'light' });
  await photograph(page, `${service.url}/`, 'dashboard', 490);
  await photograph(page, `${service.url}/#/camera/${cameras[1].name}`, 'camera', 900);
} finally {
  await browser.close();
  await service.close();
}
